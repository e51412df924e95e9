//! Throttled attempts (product.md): one whose Retry-After fits the run's deadline is waited for and tried again, whatever `retries` says; the
//! throttling stays on record. Bounded: a target that only ever says "later" is believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use soakwatch::clock::UnixMs;
use soakwatch::memory::Memories;
use soakwatch::observed::Noted;
use soakwatch::outcome::{Class, Outcome};
use soakwatch::run::{RunReport, run_once};

use crate::support::fake_api::{FakeApi, Reply};
use crate::support::probing::{check, transport};

/// One run against a target that answers 429 to its first `throttled` requests; the report, and how often the target was asked.
async fn run(retry_after: Option<&'static str>, throttled: usize, retries: u8, timeout: Duration) -> (RunReport, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let api = FakeApi::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        n if n >= throttled => Reply::status(200),
        _ => retry_after.iter().fold(Reply::status(429), |reply, wait| reply.header("retry-after", *wait)),
    });
    let mut def = check(&format!("url = \"{}\"", api.url("/")));
    (def.retries, def.timeout) = (retries, timeout);
    let report = Box::pin(run_once(&Arc::new(def), (&transport(None), &Memories::default()), UnixMs(0), None, Noted::All)).await;
    (report, asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_wait_that_fits_is_waited_for_also_without_retries() {
    let (report, asked) = run(Some("1"), 1, 0, Duration::from_secs(10)).await;
    assert_eq!((report.record.outcome, asked), (Outcome::Pass, 2));
    assert!(report.attempts[1].started_after >= Duration::from_secs(1));
    assert_eq!((report.record.attempts, report.record.first_attempt_passed), (2, false));
    assert_eq!((report.record.facts.codes, report.record.facts.retries), (vec![429, 200], vec![Class::Throttled]), "it stays on record");
}

#[tokio::test]
async fn a_wait_that_does_not_fit_ends_the_run() {
    let (report, asked) = run(Some("18446744073709551615"), 1, 5, Duration::from_secs(2)).await;
    assert_eq!((report.record.outcome, asked), (Outcome::Throttled, 1));
}

#[tokio::test]
async fn without_a_word_on_when_nobody_presses_on() {
    let (report, asked) = run(None, 1, 5, Duration::from_secs(2)).await;
    assert_eq!((report.record.outcome, asked), (Outcome::Throttled, 1));
}

#[tokio::test]
async fn a_target_that_always_says_now_is_not_hammered() {
    let (report, asked) = run(Some("0"), usize::MAX, 0, Duration::from_secs(20)).await;
    assert_eq!((report.record.outcome, asked), (Outcome::Throttled, 4));
    assert!(report.attempts.windows(2).all(|pair| pair[1].started_after - pair[0].started_after >= Duration::from_millis(250)));
}
