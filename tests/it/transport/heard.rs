//! Every answer is read for rate limits: the API's, those that redirect, a token endpoint's; each in the dialect of who sent it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use soakwatch::clock::UnixMs;
use soakwatch::config::model::{CheckDef, Integration};
use soakwatch::memory::Memories;
use soakwatch::observed::{Heard, Noted};
use soakwatch::outcome::{Class, Outcome};
use soakwatch::ratelimit::Dialect;
use soakwatch::run::{RunReport, run_once};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::fake::{Fake, Reply, Seen};
use crate::support::probing::{check, run, run_within, transport};

fn limited(reply: Reply, limit: u64, remaining: u64, reset: &str) -> Reply {
    let reply = reply.header("x-ratelimit-limit", limit.to_string()).header("x-ratelimit-remaining", remaining.to_string());
    reply.header("x-ratelimit-reset", reset)
}

async fn once(def: CheckDef) -> RunReport {
    Box::pin(run_once(&Arc::new(def), (&transport(None), &Memories::default()), UnixMs(0), None, Noted::All)).await
}

/// Host, whether a token endpoint said it, limit, remaining, seconds to the reset.
type Told = (String, bool, Option<u64>, Option<u64>, Option<u64>);

fn told(heard: &[Heard]) -> Vec<Told> {
    heard.iter().map(|h| (h.host.clone(), h.token, h.limits.limit, h.limits.remaining, h.limits.reset_in.map(|r| r.as_secs()))).collect()
}

fn policies(report: &RunReport) -> Vec<(String, Option<u64>)> {
    report.record.facts.limits.iter().map(|r| (r.policy.clone(), r.limit)).collect()
}

fn secret(dir: &tempfile::TempDir) -> String {
    let file = dir.path().join("secret");
    std::fs::write(&file, "s3cr3t-of-the-client\n").unwrap();
    format!("{{ file = {file:?} }}")
}

#[tokio::test]
async fn every_answer_on_the_way_is_heard_each_in_its_own_dialect() {
    let dir = tempfile::tempdir().unwrap();
    let login = Fake::http(|_| limited(Reply::json(r#"{"access_token": "token-of-forty-characters", "expires_in": 60}"#), 5, 4, "9")).await;
    let elsewhere = Fake::http(|_| limited(Reply::json("{}"), 30, 29, "2000")).await;
    let there = elsewhere.url("/there");
    let api = Fake::http(move |seen| match seen.target.as_str() {
        "/" => limited(Reply::redirect(307, "/next"), 100, 51, "1500"),
        _ => limited(Reply::redirect(307, there.clone()), 100, 50, "1500"),
    })
    .await;
    let mut def = check(&format!(
        "url = \"{}\"\nredirects = 3\nauth = {{ oauth2 = {{ token_url = \"{}\", client_id = \"acme\", client_secret = {} }} }}",
        api.url("/"),
        login.url("/token"),
        secret(&dir)
    ));
    // Its resets are milliseconds; nobody else's are.
    def.integration = Arc::new(Integration { dialect: Dialect::Mulesoft, ..Integration::clone(&def.integration) });
    let report = once(def).await;
    assert_eq!(report.record.outcome, Outcome::Pass, "{report:#?}");
    let [login, api, elsewhere] = [&login, &api, &elsewhere].map(|fake| fake.at.to_string());
    assert_eq!(
        told(&report.attempts[0].observed.heard),
        [
            (login, true, Some(5), Some(4), Some(9)),
            (api.clone(), false, Some(100), Some(51), Some(2)),
            (api, false, Some(100), Some(50), Some(2)),
            (elsewhere.clone(), false, Some(30), Some(29), Some(2000)),
        ]
    );
    assert_eq!(
        policies(&report),
        [("token/default".to_owned(), Some(5)), ("default".to_owned(), Some(100)), (format!("{elsewhere}/default"), Some(30))]
    );
    assert_eq!(report.record.facts.limits[1].remaining, Some(50), "the last one counts");
}

#[tokio::test]
async fn answers_that_end_a_run_are_heard_too() {
    let fake = Fake::http(|seen| match seen.target.as_str() {
        "/loop" => limited(Reply::redirect(302, "/loop"), 10, 9, "60"),
        "/many" => limited(Reply::redirect(302, "/many?again"), 10, 8, "60"),
        "/nowhere" => limited(Reply::redirect(302, "http://["), 10, 7, "60"),
        "/large" => limited(Reply::new(200).body(vec![b'x'; 3000]), 10, 6, "60"),
        "/wrong" => limited(Reply::new(200), 10, 5, "60"),
        _ => limited(Reply::new(500), 10, 4, "60"),
    })
    .await;
    for (path, more, remaining) in [
        ("/loop", "redirects = 3", 9),
        ("/many", "redirects = 0\nexpect = { status = [200] }", 8),
        ("/nowhere", "redirects = 3", 7),
        ("/large", "max_body = \"1KiB\"", 6),
        ("/wrong", "expect = { status = [204] }", 5),
        ("/500", "", 4),
    ] {
        let ran = run(&transport(None), &check(&format!("url = \"{}\"\n{more}", fake.url(path)))).await;
        assert!(ran.failure().is_some(), "{path}");
        assert_eq!(told(&ran.observed.heard), [(fake.at.to_string(), false, Some(10), Some(remaining), Some(60))], "{path}");
    }
}

#[tokio::test]
async fn the_head_of_an_answer_is_heard_though_its_body_never_ends() {
    let endless = Fake::raw(|mut stream, served| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let head = b"HTTP/1.1 429 Slow down\r\nretry-after: 3600\r\ncontent-length: 1000\r\n\r\nand";
        if served.send(&mut stream, head).await {
            // Until the client goes.
            let _ = stream.flush().await;
            let _ = stream.read(&mut buffer).await;
        }
    })
    .await;
    let ran = run_within(&transport(None), &check(&format!("url = \"{}\"", endless.url("/"))), Duration::from_millis(500)).await;
    assert!(ran.result.is_none(), "{ran:?}");
    let [heard] = ran.observed.heard.as_slice() else { panic!("{ran:?}") };
    assert_eq!((heard.limits.throttled, heard.stay_away), (true, Some(Duration::from_secs(3600))));
}

#[tokio::test]
async fn what_an_answer_says_of_limits_gives_no_secret_away_and_has_an_end() {
    const KEY: &str = "c4nary-key/with+signs-0123456789";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let echo = |seen: &Seen| {
        let key = seen.header("x-api-key");
        let long = "n".repeat(500);
        let coded = STANDARD.encode(key);
        let named = (0..60).map(|n| format!("\"p{n}\";q=9;w=60")).collect::<Vec<_>>().join(", ");
        Reply::new(429)
            .header(
                "ratelimit-policy",
                format!("\"{key}\";q=100;w=60;pk=:{coded}:, \"b\";q=5000;w=60;qu=\"{key}\", \"a/{long}\";q=50;w=1, {named}"),
            )
            .header("ratelimit", format!("\"{key}\";r=3;t=40"))
            .header("zendesk-ratelimit-x", "total=100; remaining=99; resets=41")
            .header("retry-after", "3600")
    };
    let fake = Fake::http(echo).await;
    let toml = format!("url = \"{}\"\nauth = {{ api_key = {{ header = \"X-Api-Key\", value = {{ file = {file:?} }} }} }}", fake.url("/"));
    let report = once(check(&toml)).await;
    assert_eq!(report.record.outcome, Outcome::Throttled);
    // The echo did come in: what it named is there, without the key.
    assert_eq!(report.attempts[0].observed.heard[0].limits.limit, Some(100), "{report:#?}");
    let names: Vec<&str> = report.record.facts.limits.iter().map(|r| r.policy.as_str()).collect();
    assert!(names.contains(&"[secret]"), "{names:?}");
    assert!(names.iter().any(|n| n.starts_with("a_nnn") && n.chars().count() == 64), "{names:?}");
    assert_eq!(names.len(), soakwatch::ratelimit::MOST_READINGS);
    let said = format!("{report:?} {}", serde_json::to_string(&report.record.facts).unwrap());
    let halves = KEY.split_at(KEY.len() / 2);
    for form in [KEY, halves.0, halves.1, STANDARD.encode(KEY).as_str()] {
        assert!(!said.contains(form), "{form}: {said}");
    }
}

#[tokio::test]
async fn a_reset_alone_is_waited_for_where_it_fits() {
    for (reset, timeout, outcome, asked) in [("1", 10, Outcome::Pass, 2), ("30", 2, Outcome::Throttled, 1)] {
        let fake = Fake::http(move |seen| if seen.n == 1 { limited(Reply::new(429), 10, 0, reset) } else { Reply::new(200) }).await;
        let mut def = check(&format!("url = \"{}\"", fake.url("/")));
        def.timeout = Duration::from_secs(timeout);
        let report = once(def).await;
        assert_eq!((report.record.outcome, fake.log().len()), (outcome, asked), "{reset}");
        let first = &report.attempts[0];
        assert_eq!(first.observed.heard[0].stay_away, Some(Duration::from_secs(reset.parse().unwrap())));
        assert_eq!(report.record.facts.retry_after, None, "it asked for no wait");
        assert_eq!(first.failure.as_ref().map(|f| f.class), Some(Class::Throttled));
    }
}

#[tokio::test]
async fn what_was_waited_for_stays_on_record() {
    let fake = Fake::http(|seen| match seen.n {
        1 => limited(Reply::new(429), 10, 0, "60").header("retry-after", "1"),
        2 => Reply::new(429).header("retry-after", "0"),
        _ => limited(Reply::new(200), 10, 9, "59"),
    })
    .await;
    let report = once(check(&format!("url = \"{}\"", fake.url("/")))).await;
    let record = &report.record;
    assert_eq!((record.outcome, record.class, record.attempts, record.first_attempt_passed), (Outcome::Pass, None, 3, false));
    assert_eq!((&record.facts.codes, &record.facts.retries), (&vec![429, 429, 200], &vec![Class::Throttled; 2]));
    assert_eq!(record.facts.retry_after.map(|(_, seconds)| seconds), Some(0), "the last wait that was asked for");
    assert_eq!(policies(&report), [("default".to_owned(), Some(10))]);
    assert_eq!(record.facts.limits[0].remaining, Some(9));
    assert!(report.attempts[1].started_after >= Duration::from_secs(1), "the wait counts, not the reset, which is later");
}
