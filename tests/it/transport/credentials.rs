//! Credentials: how they are sent, OAuth2 tokens, and that none ever comes out again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use soakwatch::config::model::CheckDef;
use soakwatch::outcome::{Cause, Class};
use soakwatch::secret::SecretRef;

use crate::support::fake::{Fake, Reply, Seen};
use crate::support::probing::{check, run, run_within, transport};

const SECRET: &str = "s3cr3t/+value?&=~*";

/// A file that holds the secret.
fn secret_file(dir: &Path) -> String {
    let file = dir.join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    format!("{{ file = {file:?} }}")
}

#[tokio::test]
async fn each_way_to_authenticate() {
    let dir = tempfile::tempdir().unwrap();
    let secret = secret_file(dir.path());
    let fake = Fake::http(|_| Reply::new(200)).await;
    let transport = transport(None);
    let basic = format!("Basic {}", STANDARD.encode(format!("bob:{SECRET}")));
    for (auth, header, value) in [
        (format!("{{ basic = {{ username = \"bob\", password = {secret} }} }}"), "authorization", basic.as_str()),
        (format!("{{ bearer = {secret} }}"), "authorization", "Bearer s3cr3t/+value?&=~*"),
        (format!("{{ api_key = {{ header = \"X-Api-Key\", value = {secret} }} }}"), "x-api-key", SECRET),
        (
            format!("{{ api_key = {{ header = \"X-Api-Key\", value = {secret}, prefix = \"Key \" }} }}"),
            "x-api-key",
            "Key s3cr3t/+value?&=~*",
        ),
    ] {
        let check = check(&format!("url = \"{}\"\nauth = {auth}", fake.url("/")));
        run(&transport, &check).await.passed();
        assert_eq!(fake.log().pop().unwrap().header(header), value);
        assert_eq!(check.kind.secrets(), [SecretRef::File(dir.path().join("secret"))]);
    }
    let toml = format!("url = \"{}\"\nauth = {{ api_key = {{ query = \"k\", value = {secret} }} }}", fake.url("/x?a=1"));
    let ran = run(&transport, &check(&toml)).await;
    ran.passed();
    assert_eq!(fake.log().pop().unwrap().target, "/x?a=1&k=s3cr3t%2F%2Bvalue%3F%26%3D%7E*");
    assert_eq!(ran.observed.hops[0].url, fake.url("/x?…"));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_our_fault() {
    let fake = Fake::http(|_| Reply::new(200)).await;
    for secret in ["{ env = \"SOAKWATCH_NO_SUCH_VARIABLE\" }", "{ file = \"/nonexistent/secret\" }"] {
        let ran = run(&transport(None), &check(&format!("url = \"{}\"\nauth = {{ bearer = {secret} }}", fake.url("/")))).await;
        let failure = ran.failure().unwrap();
        assert_eq!((failure.class, failure.cause), (Class::Internal, Some(Cause::Secret)), "{failure:?}");
    }
    assert!(fake.log().is_empty());
}

/// Every form in which the secret could come out.
fn assert_silent(text: &str, secret: &str) {
    let coded = [
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD.encode(format!("bob:{secret}")),
        percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        // Half of it is too much as well.
        secret.chars().take(secret.chars().count() / 2).collect(),
    ];
    for form in coded {
        assert!(!text.contains(&form), "{form} came out: {text}");
    }
}

#[tokio::test]
async fn a_target_that_echoes_gives_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let secret = secret_file(dir.path());
    // Echoes what it got in headers, body, a redirect's path and an error.
    let echo = |seen: &Seen| {
        let auth = seen.header("authorization").to_owned();
        let plain =
            auth.strip_prefix("Basic ").and_then(|b| STANDARD.decode(b).ok()).map(|b| String::from_utf8(b).unwrap()).unwrap_or_default();
        let said = format!("{auth} {plain} {} {}", seen.target, seen.header("x-api-key"));
        let body = serde_json::json!({"said": said, "list": [said], "deep": {"said": said}}).to_string();
        match seen.target.split('?').next().unwrap_or_default() {
            "/redirect" => {
                Reply::redirect(302, format!("/x/{}", percent_encoding::utf8_percent_encode(&plain, percent_encoding::NON_ALPHANUMERIC)))
            }
            "/mixed" => Reply::redirect(302, format!("/x/{plain}")),
            "/long" => Reply::json(serde_json::json!({"said": format!("{}{said}", ".".repeat(190)), "list": []}).to_string())
                .header("x-echo", format!("{}{said}", ".".repeat(190))),
            "/500" => Reply::new(500).header("x-echo", said).body(body),
            _ => Reply::json(body).header("x-echo", said),
        }
    };
    let fake = Fake::http(echo).await;
    let transport = transport(None);
    for auth in [
        format!("basic = {{ username = \"bob\", password = {secret} }}"),
        format!("bearer = {secret}"),
        format!("api_key = {{ header = \"X-Api-Key\", value = {secret} }}"),
        format!("api_key = {{ query = \"key\", value = {secret} }}"),
    ] {
        for (path, redirects) in [("/", 0), ("/500", 0), ("/redirect", 0), ("/redirect", 5), ("/mixed", 0), ("/mixed", 5), ("/long", 0)] {
            let toml = format!(
                "url = \"{}\"\nauth = {{ {auth} }}\nredirects = {redirects}\n[expect]\nheaders = [{{ name = \"x-echo\", equals = \"no\" }}]\n\
                 json = [{{ path = \"$.said\", equals = \"no\" }}, {{ path = \"$.list[*]\", is = \"number\" }}, {{ path = \"$..said\", matches = \"^no$\" }}]",
                fake.url(path)
            );
            let ran = run(&transport, &check(&toml)).await;
            assert!(ran.failure().is_some());
            assert_silent(&format!("{ran:?}"), SECRET);
            assert_silent(&serde_json::to_string(&ran.observed).unwrap(), SECRET);
        }
    }
}

/// An API that accepts `good` tokens, and a token endpoint that issues token-1, token-2, ...
async fn oauth(good: impl Fn(&str) -> bool + Send + Sync + 'static, expires_in: u64) -> (Fake, Fake) {
    let login = Fake::http(move |seen| {
        Reply::json(format!(r#"{{"access_token": "token-{}", "token_type": "Bearer", "expires_in": {expires_in}}}"#, seen.n))
    })
    .await;
    let api = Fake::http(move |seen| match seen.header("authorization").strip_prefix("Bearer ") {
        Some(token) if good(token) => Reply::json("{}"),
        _ => Reply::new(401),
    })
    .await;
    (api, login)
}

fn oauth_check(api: &Fake, login: &Fake, secret: &str, more: &str) -> CheckDef {
    check(&format!(
        "url = \"{}\"\nauth = {{ oauth2 = {{ token_url = \"{}\", client_id = \"acme\", client_secret = {secret}{more} }} }}",
        api.url("/"),
        login.url("/token")
    ))
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let secret = secret_file(dir.path());
    let (api, login) = oauth(|t| t.starts_with("token-"), 3600).await;
    let transport = transport(None);
    let check = oauth_check(&api, &login, &secret, ", scope = \"read write\", audience = \"api\"");
    // Many at once: one asks, the others wait for its answer.
    let many = (0..8).map(|_| run(&transport, &check));
    for ran in futures_join(many).await {
        ran.passed();
    }
    let ran = run(&transport, &check).await;
    ran.passed();
    assert_eq!(ran.observed.hops.len(), 1);
    let log = login.log();
    assert_eq!((log.len(), api.log().len()), (1, 9));
    assert_eq!(log[0].body, "grant_type=client_credentials&scope=read+write&audience=api");
    let coded = "s3cr3t%2F%2Bvalue%3F%26%3D%7E*";
    assert_eq!(log[0].header("authorization"), format!("Basic {}", STANDARD.encode(format!("acme:{coded}"))));
    // Another scope is another token; so is another way to send the secret.
    let post = oauth_check(&api, &login, &secret, ", auth_method = \"post\"");
    let ran = run(&transport, &post).await;
    ran.passed();
    assert!(ran.observed.hops[0].token && !ran.observed.hops[1].token);
    assert_eq!(login.log()[1].body, format!("grant_type=client_credentials&client_id=acme&client_secret={coded}"));
    // So is another secret: rotation needs no restart.
    std::fs::write(dir.path().join("secret"), "rotated").unwrap();
    run(&transport, &check).await.passed();
    assert_eq!(login.log().len(), 3);
}

/// Runs futures at once on this task.
async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(move |cx| {
        for (future, done) in &mut all {
            if done.is_none()
                && let std::task::Poll::Ready(t) = future.as_mut().poll(cx)
            {
                *done = Some(t);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(all.iter_mut().filter_map(|(_, done)| done.take()).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let dir = tempfile::tempdir().unwrap();
    let secret = secret_file(dir.path());
    let (api, login) = oauth(|t| t == "token-2", 3600).await;
    let transport = transport(None);
    let check = oauth_check(&api, &login, &secret, "");
    let ran = run(&transport, &check).await;
    ran.passed();
    assert_eq!(
        ran.observed.hops.iter().map(|h| (h.token, h.status.unwrap())).collect::<Vec<_>>(),
        [(true, 200), (false, 401), (true, 200), (false, 200)]
    );
    assert_eq!(ran.observed.status, Some(200));
    run(&transport, &check).await.passed();
    assert_eq!(login.log().len(), 2, "the second token is kept");
    let (never, login) = oauth(|_| false, 3600).await;
    let ran = run(&transport, &oauth_check(&never, &login, &secret, "")).await;
    ran.failed(Class::Unauthorized, "answered 401");
    assert!(!ran.detail().contains("token endpoint"), "the API refused, not the token endpoint: {}", ran.detail());
    assert_eq!((never.log().len(), login.log().len()), (2, 2), "once, not for ever");
}

#[tokio::test]
async fn a_token_at_its_end_is_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let secret = secret_file(dir.path());
    let (api, login) = oauth(|t| t.starts_with("token-"), 0).await;
    let transport = transport(None);
    let check = oauth_check(&api, &login, &secret, "");
    for n in 1..=3 {
        run(&transport, &check).await.passed();
        assert_eq!(login.log().len(), n);
    }
}

#[tokio::test]
async fn a_token_failure_is_not_the_apis() {
    let dir = tempfile::tempdir().unwrap();
    let secret = secret_file(dir.path());
    let api = Fake::http(|_| Reply::new(200)).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let login = Fake::http(move |seen| {
        count.fetch_add(1, Ordering::SeqCst);
        let said = seen.header("authorization").replace('"', "");
        Reply::new(401).body(format!(r#"{{"error": "invalid_client", "error_description": "you sent {said}"}}"#))
    })
    .await;
    let transport = transport(None);
    let ran = run(&transport, &oauth_check(&api, &login, &secret, "")).await;
    ran.failed(Class::Unauthorized, "token endpoint http://127.0.0.1");
    assert!(ran.detail().contains("answered 401 (invalid_client): you sent"), "{}", ran.detail());
    assert_silent(&format!("{ran:?}"), SECRET);
    assert!(!ran.detail().contains(&STANDARD.encode("acme:s3cr3t%2F%2Bvalue%3F%26%3D%7E*")));
    assert_eq!(ran.observed.status, None, "the API was never asked");
    assert!(api.log().is_empty());

    let gone = check(&format!(
        "url = \"{}\"\nauth = {{ oauth2 = {{ token_url = \"http://gone.test/t\", client_id = \"a\", client_secret = {secret} }} }}",
        api.url("/")
    ));
    run(&transport, &gone).await.failed(Class::Dns, "token endpoint http://gone.test/t: gone.test");
    let slow = Fake::http(|_| Reply::new(200).after(Duration::from_secs(600))).await;
    let ran = run_within(&transport, &oauth_check(&api, &slow, &secret, ""), Duration::from_millis(300)).await;
    assert_eq!((ran.class(), ran.observed.hops[0].token), (Some(Class::Timeout), true));
    // What was cut off holds nobody else up.
    let (api, login) = oauth(|_| true, 60).await;
    run(&transport, &oauth_check(&api, &login, &secret, "")).await.passed();
}

#[tokio::test]
async fn an_echoed_token_gives_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let secret = secret_file(dir.path());
    let login = Fake::http(|_| Reply::json(r#"{"access_token": "very-secret-token", "expires_in": 60}"#)).await;
    let api = Fake::http(|seen| Reply::json(format!("{{\"said\": \"{}\"}}", seen.header("authorization")))).await;
    let mut toml = format!(
        "url = \"{}\"\nauth = {{ oauth2 = {{ token_url = \"{}\", client_id = \"acme\", client_secret = {secret} }} }}",
        api.url("/"),
        login.url("/token")
    );
    toml.push_str("\nexpect = { json = [{ path = \"$.said\", equals = \"no\" }] }");
    let transport = transport(None);
    for _ in 0..2 {
        let ran = run(&transport, &check(&toml)).await;
        ran.failed(Class::Assertion, "[secret]");
        assert_silent(&format!("{ran:?}"), "very-secret-token");
    }
    assert_eq!(login.log().len(), 1);
}
