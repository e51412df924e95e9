//! A token endpoint that throttled is left alone until its time: nobody asks it, nobody waits for it, and who has a token goes on.

use std::sync::Arc;
use std::time::Duration;

use soakwatch::clock::UnixMs;
use soakwatch::config::model::CheckDef;
use soakwatch::memory::Memories;
use soakwatch::observed::Noted;
use soakwatch::outcome::{Cause, Class, Outcome};
use soakwatch::run::{RunReport, run_once};
use soakwatch::transport::Transport;

use crate::support::fake::{Fake, Reply, Seen};
use crate::support::probing::{check, run, run_within, transport};

fn token(expires_in: u64) -> Reply {
    Reply::json(format!(r#"{{"access_token": "token-of-forty-characters", "expires_in": {expires_in}}}"#))
}

fn throttled(wait: &str) -> Reply {
    Reply::new(429).header("retry-after", wait)
}

struct Estate {
    dir: tempfile::TempDir,
    api: Fake,
    login: Fake,
    transport: Transport,
}

impl Estate {
    async fn new(login: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Fake::http(|_| Reply::json("{}")).await, login).await
    }

    async fn with(api: Fake, login: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "s3cr3t-of-the-client\n").unwrap();
        Self { dir, api, login: Fake::http(login).await, transport: transport(None) }
    }

    fn check(&self, client: &str, more: &str) -> CheckDef {
        let secret = self.dir.path().join("secret");
        check(&format!(
            "url = \"{}\"\nauth = {{ oauth2 = {{ token_url = \"{}\", client_id = \"{client}\", client_secret = {{ file = {secret:?} }}{more} }} }}",
            self.api.url("/"),
            self.login.url("/token")
        ))
    }

    async fn once(&self, timeout: Duration) -> RunReport {
        let def = CheckDef { timeout, ..self.check("acme", "") };
        Box::pin(run_once(&Arc::new(def), (&self.transport, &Memories::default()), UnixMs(0), None, Noted::All)).await
    }
}

const SHORT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn nobody_asks_before_its_time_and_such_runs_are_skipped() {
    let estate = Estate::new(|_| throttled("600")).await;
    let first = estate.once(SHORT).await.record;
    assert_eq!((first.outcome, first.class), (Outcome::Throttled, Some(Class::Throttled)), "{first:?}");
    assert!(first.detail.as_ref().unwrap().contains("token endpoint http://127.0.0.1"), "{first:?}");

    let report = estate.once(SHORT).await;
    let (record, failure) = (&report.record, report.attempts[0].failure.as_ref().unwrap());
    assert_eq!((record.outcome, record.cause, record.class, record.attribution), (Outcome::Skipped, Some(Cause::RateLimit), None, None));
    assert_eq!((record.attempts, report.attempts.len(), report.attempts[0].observed.hops.len()), (0, 1, 0));
    assert_eq!((failure.class, failure.cause), (Class::Throttled, Some(Cause::RateLimit)));
    let left = failure.retry_after.unwrap();
    assert!(left <= Duration::from_secs(600) && left > Duration::from_secs(500), "{left:?}");
    assert_eq!(record.detail.as_deref(), Some(failure.detail.as_str()));
    let until = failure.detail.rsplit(' ').next().unwrap();
    assert!(failure.detail.starts_with(&format!("token endpoint {} asked to be left alone until ", estate.login.url("/token"))));
    assert!(until.parse::<jiff::Timestamp>().is_ok(), "{}", failure.detail);

    // The same client with another scope is the same caller; another client is not.
    let other = run(&estate.transport, &estate.check("acme", ", scope = \"write\"")).await;
    other.failed(Class::Throttled, "left alone");
    assert_eq!(estate.login.log().len(), 1);
    run(&estate.transport, &estate.check("zeta", "")).await.failed(Class::Throttled, "answered 429");
    assert_eq!((estate.login.log().len(), estate.api.log().len()), (2, 0));
}

#[tokio::test]
async fn those_who_waited_for_the_answer_are_told_and_ask_no_more() {
    let estate = Estate::new(|_| throttled("600").after(Duration::from_millis(300))).await;
    let (a, b, c) = tokio::join!(estate.once(SHORT), estate.once(SHORT), estate.once(SHORT));
    let mut outcomes = [a, b, c].map(|r| r.record.outcome);
    outcomes.sort_unstable();
    assert_eq!(outcomes, [Outcome::Throttled, Outcome::Skipped, Outcome::Skipped], "one asked");
    assert_eq!(estate.login.log().len(), 1);
}

#[tokio::test]
async fn a_wait_that_fits_is_waited_for_and_is_no_attempt_where_nothing_was_sent() {
    let estate = Estate::new(|seen| if seen.n == 1 { throttled("1") } else { token(3600) }).await;
    let report = estate.once(Duration::from_secs(10)).await;
    assert_eq!((report.record.outcome, report.record.attempts), (Outcome::Pass, 2));
    assert_eq!(report.record.facts.retries, [Class::Throttled]);

    let estate = Estate::new(|seen| if seen.n == 1 { throttled("2") } else { token(3600) }).await;
    assert_eq!(estate.once(Duration::from_secs(1)).await.record.outcome, Outcome::Throttled);
    let report = estate.once(Duration::from_secs(10)).await;
    let record = &report.record;
    assert_eq!((record.outcome, record.attempts, record.first_attempt_passed), (Outcome::Pass, 1, true), "{report:?}");
    assert_eq!(estate.login.log().len(), 2);
}

#[tokio::test]
async fn an_api_that_refuses_the_token_meanwhile_was_asked_all_the_same() {
    let api = Fake::http(|seen| if seen.n == 1 { Reply::json("{}") } else { Reply::new(401) }).await;
    let estate = Estate::with(api, |seen| if seen.n == 1 { token(3600) } else { throttled("600") }).await;
    assert_eq!(estate.once(SHORT).await.record.outcome, Outcome::Pass);
    // Another token of the same client is refused.
    run(&estate.transport, &estate.check("acme", ", scope = \"write\"")).await.failed(Class::Throttled, "answered 429");
    let report = estate.once(SHORT).await;
    assert_eq!((report.record.outcome, report.record.cause), (Outcome::Throttled, None), "{report:?}");
    assert_eq!((report.record.facts.codes.as_slice(), report.record.attempts), (&[401][..], 1));
    assert!(report.record.detail.unwrap().contains("asked to be left alone"));
    assert_eq!((estate.api.log().len(), estate.login.log().len()), (2, 2));
}

#[tokio::test]
async fn every_way_to_throttle_counts() {
    let unreadable = |_: &Seen| throttled("600").body(vec![b'x'; 100_000]);
    let hint = |_: &Seen| Reply::new(503).header("retry-after", "600");
    let slack = |_: &Seen| Reply::json(r#"{"ok": false, "error": "ratelimited"}"#).header("retry-after", "600");
    let reset = |_: &Seen| Reply::new(429).header("x-ratelimit-reset", "600").header("x-ratelimit-remaining", "0");
    let silent = |_: &Seen| Reply::new(429);
    for (n, script) in [unreadable as fn(&Seen) -> Reply, hint, slack, reset, silent].into_iter().enumerate() {
        let estate = Estate::new(script).await;
        let first = run(&estate.transport, &estate.check("acme", "")).await;
        assert_eq!(first.class(), Some(if n == 0 { Class::Protocol } else { Class::Throttled }), "{n}: {first:?}");
        let second = run(&estate.transport, &estate.check("acme", "")).await;
        second.failed(Class::Throttled, "left alone until");
        assert_eq!(second.detail().contains("without saying for how long"), n == 4, "{}", second.detail());
        assert_eq!(estate.login.log().len(), 1, "{n}");
    }
    // Cut off while it read the body: the head had said it.
    let slow = Estate::new(|_| throttled("600")).await;
    let endless = Fake::raw(|mut stream, served| async move {
        use tokio::io::AsyncReadExt as _;
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        served.send(&mut stream, b"HTTP/1.1 429 Slow down\r\nretry-after: 600\r\ncontent-length: 1000\r\n\r\n").await;
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    let slow = Estate { login: endless, ..slow };
    let cut = run_within(&slow.transport, &slow.check("acme", ""), Duration::from_millis(500)).await;
    assert_eq!(cut.class(), Some(Class::Timeout));
    run(&slow.transport, &slow.check("acme", "")).await.failed(Class::Throttled, "asked to be left alone");
}

#[tokio::test]
async fn failures_that_are_no_throttling_are_asked_again() {
    let estate = Estate::new(|_| Reply::new(500)).await;
    for asked in 1..=2 {
        run(&estate.transport, &estate.check("acme", "")).await.failed(Class::ServerError, "answered 500");
        assert_eq!(estate.login.log().len(), asked);
    }
}

#[tokio::test]
async fn what_asked_to_be_left_alone_still_is_after_a_change_of_settings_or_a_restart() {
    let mut estate = Estate::new(|_| throttled("600")).await;
    assert_eq!(estate.once(SHORT).await.record.outcome, Outcome::Throttled);
    let notes = estate.transport.notes();
    assert_eq!(notes.len(), 1);
    assert!(!format!("{notes:?}").contains("acme"), "a hash tells clients apart");
    estate.transport = transport(None).after(&estate.transport);
    assert_eq!(estate.once(SHORT).await.record.outcome, Outcome::Skipped);
    estate.transport = transport(None);
    let notes = notes.into_iter().map(|(id, text)| (id, text.unwrap())).collect();
    assert_eq!(estate.transport.restore(&notes, soakwatch::clock::Clock::System.now()), Vec::<String>::new());
    assert_eq!(estate.once(SHORT).await.record.outcome, Outcome::Skipped);
    assert_eq!(estate.login.log().len(), 1);
}
