//! How a token endpoint's answers are read, and what is done with a token that is due for renewal.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::config::model::ProbeSettings;
use crate::fields::Bytes as Size;
use crate::ratelimit::{Dialect, RateLimit};
use crate::secret::SecretRef;
use crate::transport::Resolver;

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into(),
        took: Duration::from_millis(1),
        limits: RateLimit { throttled: status == 429, ..RateLimit::default() },
        dialect: Dialect::Auto,
    }
}

#[test]
fn refusals_are_the_token_endpoints() {
    for (status, body, class, words) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"no such client"}"#,
            Class::Unauthorized,
            "(invalid_client): no such client",
        ),
        (400, r#"{"error":"invalid_client"}"#, Class::Unauthorized, "answered 400 (invalid_client)"),
        (400, r#"{"error":"invalid_scope"}"#, Class::ClientError, "invalid_scope"),
        (429, "", Class::Throttled, "answered 429"),
        (503, "<html>", Class::ServerError, "answered 503"),
        (302, "", Class::Redirect, "answered 302"),
        (200, "{}", Class::Assertion, "without an access_token"),
        (200, r#"{"access_token":"a\nb"}"#, Class::Assertion, "can't be sent"),
        (200, r#"{"access_token":"x","token_type":"mac"}"#, Class::Assertion, "not a bearer"),
    ] {
        let failure = read(&answer(status, body), ("https://login.example.com/token", false), &mut Redactor::default()).unwrap_err();
        assert_eq!(failure.class, class, "{body}");
        assert!(
            failure.detail.starts_with("token endpoint https://login.example.com/token") && failure.detail.contains(words),
            "{}",
            failure.detail
        );
    }
}

#[test]
fn life_is_bounded_and_renewed_before_its_end() {
    for (body, most) in [
        (r#"{"access_token":"tok-1","expires_in":3600,"token_type":"bearer"}"#, 3600),
        (r#"{"access_token":"tok-1","expires_in":"60"}"#, 60),
        (r#"{"access_token":"tok-1"}"#, 300),
        (r#"{"access_token":"tok-1","expires_in":1e300}"#, 86_400),
    ] {
        let mut redactor = Redactor::default();
        let issued = read(&answer(200, body), ("u", false), &mut redactor).unwrap();
        let life = issued.ends_at - monotonic();
        assert!(life <= Duration::from_secs(most) && life > Duration::from_secs(most - 5), "{body}: {life:?}");
        assert!(issued.renew_at < issued.ends_at);
        assert!(!redactor.clean("echo tok-1").contains("tok-1"));
    }
}

#[test]
fn kept_tokens_are_bounded() {
    let tokens = Tokens::default();
    let held = tokens.entry("held".into());
    for n in 0..MAX_TOKENS + 10 {
        tokens.entry(n.to_string());
    }
    let map = tokens.0.lock().unwrap();
    assert_eq!(map.len(), MAX_TOKENS);
    assert!(map.contains_key("held") && !map.contains_key("0"), "an entry in use is not thrown out");
    drop(held);
}

/// A token endpoint, the transport that asks it, and how often it was asked.
struct Estate {
    transport: Transport,
    oauth2: OAuth2,
    options: Options,
    asked: Arc<AtomicU64>,
    _dir: tempfile::TempDir,
}

impl Estate {
    /// Answers with these texts in turn, the last one again and again; an empty one is no answer at all.
    async fn new(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
                while !String::from_utf8_lossy(&request).contains("grant_type=client_credentials") {
                    match stream.read(&mut buffer).await {
                        Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                        _ => break,
                    }
                }
                let n = count.fetch_add(1, Ordering::SeqCst) as usize;
                let _ = stream.write_all(answers[n.min(answers.len() - 1)].as_bytes()).await;
                if answers[n.min(answers.len() - 1)].is_empty() {
                    open.push(stream);
                }
            }
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "s3cr3t-of-the-client").unwrap();
        let settings = ProbeSettings {
            max_body: Size(1 << 20),
            max_headers: Size(64 << 10),
            user_agent: "soakwatch-test".into(),
            contact: None,
            traceparent: false,
            dns: Vec::new(),
            ca: None,
            ca_sha256: None,
            proxy: None,
        };
        let oauth2 = OAuth2 {
            token_url: format!("http://{at}/token").parse().unwrap(),
            client_id: "acme".into(),
            proves: Proves::Basic(SecretRef::File(dir.path().join("secret"))),
            scope: None,
            audience: None,
        };
        let options = Options {
            allow_private: true,
            version: HttpVersion::Auto,
            redirects: 0,
            max_body: None,
            roots: None,
            client: None,
            timeout: Duration::from_secs(10),
            dialect: Dialect::Auto,
            host: "api.example.com:443".into(),
            way: crate::transport::Way::default(),
        };
        let resolver = Resolver::Fixed(Arc::new(|_, _| Err("no names here".into())));
        Self { transport: Transport::new(&settings, resolver).unwrap(), oauth2, options, asked, _dir: dir }
    }

    async fn token(&self) -> (Result<SecretValue, Failure>, Observed) {
        let (mut redactor, mut observed) = (Redactor::default(), Observed::default());
        let got = Box::pin(self.transport.token(&self.oauth2, &self.options, None, &mut redactor, &mut observed)).await;
        (got, observed)
    }

    /// Makes the kept token due for renewal, with so much of its life left.
    async fn age(&self, left: Duration) {
        let secret = SecretValue::new("s3cr3t-of-the-client");
        let entry = self.transport.tokens.entry(key(&self.oauth2, Some(&secret), &self.options));
        let mut slot = entry.slot.lock().await;
        let issued = slot.issued.as_mut().unwrap();
        (issued.renew_at, issued.ends_at) = (monotonic(), monotonic() + left);
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

const ISSUES: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"access_token\": \"tok-1\", \"expires_in\": 3600}";
const LATER: &str = "HTTP/1.1 429 Slow down\r\nretry-after: 600\r\ncontent-length: 0\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n";
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_token_at_hand_is_used_while_it_lives_and_its_endpoint_left_alone() {
    let estate = Estate::new(&[ISSUES, LATER]).await;
    let (first, _) = estate.token().await;
    estate.age(HOUR).await;
    let (refused, seen) = estate.token().await;
    assert_eq!((&refused, estate.asked()), (&first, 2));
    assert!(refused.is_ok());
    let told: Vec<_> = seen.heard.iter().map(|h| (h.token, h.limits.throttled, h.limits.retry_after, h.stay_away)).collect();
    assert_eq!(told, [(true, true, Some(Duration::from_secs(600)), None)], "on record, but it holds up nobody");
    // Whatever `renew_at` says.
    estate.age(HOUR).await;
    let (after, seen) = estate.token().await;
    assert_eq!((after, seen.hops.len(), estate.asked()), (first, 0, 2));
    estate.age(Duration::ZERO).await;
    let (over, seen) = estate.token().await;
    let failure = over.unwrap_err();
    assert_eq!((failure.class, failure.cause, seen.hops.len(), estate.asked()), (Class::Throttled, Some(Cause::RateLimit), 0, 2));
    assert!(failure.retry_after.is_some_and(|left| left <= Duration::from_secs(600)) && failure.detail.contains("asked to be left alone"));
}

#[tokio::test]
async fn a_renewal_that_fails_or_hangs_is_not_tried_by_every_run() {
    for answers in [&[ISSUES, BROKEN], &[ISSUES, ""]] {
        let estate = Estate::new(answers).await;
        assert!(estate.token().await.0.is_ok());
        estate.age(HOUR).await;
        // The run whose turn it was may be cut off at its deadline.
        let tried = tokio::time::timeout(Duration::from_millis(500), estate.token()).await;
        assert!(tried.is_err() || tried.is_ok_and(|(got, _)| got.is_ok()));
        assert_eq!(estate.asked(), 2);
        for _ in 0..3 {
            let (got, seen) = estate.token().await;
            assert!(got.is_ok() && seen.hops.is_empty());
        }
        assert_eq!(estate.asked(), 2);
    }
}

/// Committed seeds: answers of the words of token answers, and bytes that are none.
#[test]
fn whatever_a_token_endpoint_answers_is_a_token_or_a_failure() {
    use proptest::prelude::*;
    let value = prop_oneof![
        Just("\"tok-c4nary\"".to_owned()),
        Just("\"bearer\"".to_owned()),
        Just("\"invalid_client\"".to_owned()),
        Just("\"a\\nb\"".to_owned()),
        "[0-9eE.+-]{1,6}",
        "\"[ -~\u{e4}\u{0}]{0,8}\"",
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just(format!("\"{}\"", "x".repeat(70_000))),
    ];
    let key = prop::sample::select(vec!["access_token", "token_type", "expires_in", "error", "error_description", "x"]);
    let object = proptest::collection::vec((key, value), 0..6)
        .prop_map(|pairs| format!("{{{}}}", pairs.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect::<Vec<_>>().join(",")));
    let body = prop_oneof![4 => object, 1 => "\\PC{0,60}"];
    let status = prop::sample::select(vec![200u16, 201, 204, 302, 400, 401, 403, 429, 500, 503]);
    crate::seeds::tried(24, &(status, body), |(status, body)| {
        let mut redactor = Redactor::default();
        match read(&answer(status, &body), ("https://login.example.com/token", false), &mut redactor) {
            Ok(issued) => {
                let life = issued.ends_at.saturating_duration_since(monotonic());
                prop_assert!((200..300).contains(&status) && life <= Duration::from_secs(86_400) && issued.renew_at <= issued.ends_at);
                prop_assert!(!redactor.clean(&body).contains("c4nary") || !body.contains("\"access_token\":\"tok-c4nary\""), "{body}");
            }
            Err(f) => {
                prop_assert!(
                    f.detail.starts_with("token endpoint https://login.example.com/token answered ") && f.cause.is_none(),
                    "{f:?}"
                );
            }
        }
        Ok(())
    });
}
