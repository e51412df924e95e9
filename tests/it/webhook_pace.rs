//! The requests of a webhook check's round, each in its turn: with the budgets the daemon has, against a real socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use soakwatch::budget::Budgets;
use soakwatch::clock::{Clock, UnixMs, monotonic};
use soakwatch::config::model::{CheckDef, Config};
use soakwatch::config::{LoadOptions, load};
use soakwatch::memory::Memories;
use soakwatch::observed::Noted;
use soakwatch::outcome::{Cause, Outcome};
use soakwatch::run::{Pace, RunReport, run_once};

use crate::support::fake_api::{FakeApi, Reply, Seen};
use crate::support::probing::transport;

/// Five turns a second, a tenth of the distance allowed for.
const LEAST_BETWEEN_MS: i64 = 180;

/// A configuration with one check that does all there is: the message, itself again, the effect before and after, four to refuse.
fn estate(dir: &Path, api: &FakeApi, max_rate: &str, check: &str) -> Config {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("secret"), "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3").unwrap();
    std::fs::write(dir.join("soakwatch.toml"), format!("[rate_limit]\nmax_rate = \"{max_rate}\"\n")).unwrap();
    let text = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"orders\"\nenvironment = \"production\"\nowner = \"customer\"\n\
         runbook = \"https://wiki.example.com/r\"\n[[integration.check]]\nid = \"hook\"\nevery = \"60s\"\n{check}\n\
         [integration.check.webhook]\nurl = \"{}\"\nscheme = \"standard-webhooks\"\nsecrets = [{{ file = \"secret\" }}]\nreplay = true\n\
         reject = [\"tampered\", \"stale\", \"wrong_secret\", \"unsigned\"]\neffect = {{ url = \"{}\", path = \"$.n\" }}\n",
        api.url("/in"),
        api.url("/effect?id={id}"),
    );
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
    let options = LoadOptions { check_secrets: true, env: Vec::new(), now: UnixMs(0) };
    let loaded = load(dir, &options);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

fn answer(seen: &Seen) -> Reply {
    if seen.method == "GET" { Reply::json("{\"n\": 1}".to_owned()) } else { Reply::status(200) }
}

async fn run(def: &Arc<CheckDef>, budgets: &Budgets, memories: &Memories) -> RunReport {
    let clock = Clock::System;
    Box::pin(run_once(def, (&transport(None), memories), clock.now(), Some(Pace { budgets, clock: &clock }), Noted::Unmet)).await
}

/// Takes the turn the scheduler takes before a run. False: more is owed than one distance.
async fn turn(def: &CheckDef, budgets: &Budgets) -> bool {
    let now = || (Clock::System.now(), monotonic());
    tokio::time::sleep(budgets.wait(&def.id, now().0, now().1) + Duration::from_millis(2)).await;
    budgets.take(&def.id, now().0, now().1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_keeps_its_host_s_pace_and_is_charged_once() {
    let (api, dir) = (FakeApi::start(answer), tempfile::tempdir().unwrap());
    let config = estate(dir.path(), &api, "5/s", "");
    let def = config.checks().next().unwrap();
    assert_eq!(def.kind.requests(), 8);
    assert_eq!(def.timeout, Duration::from_secs(40), "time for all of them");
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, monotonic());
    let memories = Memories::default();
    for (round, asked) in [(true, 8), (false, 9)] {
        assert!(turn(def, &budgets).await, "what was sent in its turn is owed a second time");
        if !round {
            // Nothing is wrong any more: the message alone is sent.
            memories.remember(&def.id, memories.recall(&def.id).unwrap().replace("\"open\":true", "\"open\":false")).await.unwrap();
        }
        run(def, &budgets, &memories).await;
        assert_eq!(api.log().len(), asked);
    }
    assert!(turn(def, &budgets).await);
    let at: Vec<i64> = api.log().iter().map(|s| s.at.0).collect();
    let least = i64::try_from(at.len() - 1).unwrap() * LEAST_BETWEEN_MS;
    assert!(at[at.len() - 1] - at[0] >= least, "9 requests within {} ms, expected {least}", at[at.len() - 1] - at[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_has_no_time_is_our_own_fault_and_due_again() {
    // A turn a second: each request has most of one, and the fourth turn comes too late.
    let (api, dir) = (FakeApi::start(answer), tempfile::tempdir().unwrap());
    let config = estate(dir.path(), &api, "1/s", "timeout = \"2900ms\"");
    let def = config.checks().next().unwrap();
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(&config, |_| None, monotonic());
    let memories = Memories::default();
    assert!(turn(def, &budgets).await);
    let report = run(def, &budgets, &memories).await;
    assert_eq!((report.record.outcome, report.record.cause), (Outcome::Unknown, Some(Cause::RateLimit)), "{:?}", report.record.detail);
    assert!(report.record.detail.unwrap().contains("expected a longer timeout"), "what to do about it is said");
    let sent = api.log().len();
    assert!((2..8).contains(&sent), "{sent}");
    assert_eq!(memories.recall(&def.id), None, "it is not taken for done");
    let options = LoadOptions { check_secrets: true, env: Vec::new(), now: UnixMs(0) };
    let said: Vec<String> = load(dir.path(), &options).problems.iter().map(ToString::to_string).collect();
    let words = "2s900ms is too short for the 8 requests of a run: max_rate (1/s) makes them take 7s at least";
    assert!(said.iter().any(|s| s.contains(words)), "{said:?}");
}
