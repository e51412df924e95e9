//! Must show 3: a live scrape of a whole daemon over the demo's estate, judged by promtool, and compared with the catalogue in both directions.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use soakwatch::clock::Clock;
use soakwatch::demo::{self, Estate};
use soakwatch::metrics::catalogue::{CHECKS, OWN};
use soakwatch::metrics::own::OwnMetrics;

use crate::support::daemon::{Daemon, eventually, get, series};
use crate::support::fake_api::{FakeApi, Reply};

/// The families of a scrape with their types.
fn families(scrape: &str) -> BTreeSet<(String, String)> {
    let types = scrape.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Rows that need something the demo's estate does not have, or not soon. Those of rate limits are in the test below.
const NOT_IN_THE_DEMO: [&str; 3] =
    ["soakwatch_egress_denied_total", "soakwatch_throttle_wait_seconds", "soakwatch_listener_certificate_expiry_timestamp_seconds"];

async fn live_scrape() -> String {
    let clock = Clock::System;
    let estate = Estate::start(&clock).await.unwrap();
    let running = demo::watch(&estate, "127.0.0.1:0".parse().unwrap(), clock, Arc::new(OwnMetrics::new().unwrap())).await.unwrap();
    let url = format!("http://{}/metrics", running.address);
    let scrape = tokio::task::spawn_blocking(move || {
        eventually("a retry, an observed value, a certificate and a quota that runs out are on the scrape", || {
            let scrape = get(&url).1;
            let there = |name| series(&scrape, name, &[]).is_some();
            let all = there("soakwatch_http_retries_total")
                && there("soakwatch_observed_value")
                && there("soakwatch_tls_cert_expiry_timestamp_seconds")
                && there("soakwatch_gate_success_ratio")
                && there("soakwatch_gate_criterion_met")
                && there("soakwatch_findings")
                && there("soakwatch_sso_signing_cert_expiry_timestamp_seconds")
                && there("soakwatch_rate_limit_exhaustion_timestamp_seconds")
                && there("soakwatch_webhook_last_delivery_timestamp_seconds");
            (all && there("soakwatch_self_check_success")).then_some(scrape)
        })
    });
    let scrape = scrape.await.unwrap();
    running.stop().await.unwrap();
    estate.stop().await;
    scrape
}

/// `promtool check metrics`: what it says, and whether it is content. `None` where it is not installed (`tests/run` brings it).
pub(crate) fn promtool(scrape: &str) -> Option<(String, bool)> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // It may stop reading at the first fault.
    let _ = child.stdin.take().unwrap().write_all(scrape.as_bytes());
    let output = child.wait_with_output().unwrap();
    Some((String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.success()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_scrape_is_what_the_catalogue_says_and_promtool_accepts_it() {
    let scrape = live_scrape().await;
    let catalogue: BTreeSet<(String, String)> = CHECKS.iter().chain(OWN).map(|f| (f.name.to_owned(), f.kind.as_str().to_owned())).collect();
    let scraped = families(&scrape);
    let unknown: Vec<_> = scraped.difference(&catalogue).collect();
    assert!(unknown.is_empty(), "on the scrape, not in the catalogue: {unknown:?}");
    let missing: Vec<_> = catalogue.difference(&scraped).filter(|(name, _)| !NOT_IN_THE_DEMO.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "in the catalogue, not on the scrape: {missing:?}");

    match promtool(&scrape) {
        Some((said, content)) => {
            assert!(content, "promtool check metrics: {said}");
            // It finds fault where there is one: otherwise this test could not fail.
            let (said, content) =
                promtool(&format!("{scrape}\n# TYPE soakwatch_broken_seconds counter\nsoakwatch_broken_seconds 1\n")).unwrap();
            assert!(!content, "{said}");
        }
        None => println!("not run: promtool is not installed (tests/run brings it)"),
    }
}

/// Two targets with limits: one tells a quota that is going fast, and has three checks to share our part of it; the other widens its check, and then
/// asks us to stay away.
#[test]
fn all_rows_of_rate_limits_are_on_a_live_scrape() {
    let quota = FakeApi::start(|seen| {
        let left = 3_600u64.saturating_sub(seen.number * 100);
        Reply::json("{}").header("ratelimit-policy", "\"minute\";q=3600;w=60").header("ratelimit", format!("\"minute\";r={left};t=60"))
    });
    let refusing = FakeApi::start(|seen| match seen.number {
        0 => Reply::json("{}").header("ratelimit-policy", "\"minute\";q=600;w=60").header("ratelimit", "\"minute\";r=1;t=60"),
        _ => Reply::status(429).header("retry-after", "120"),
    });
    let dir = tempfile::tempdir().unwrap();
    let (store, shared, stays) = (dir.path().join("soakwatch.db"), quota.url("/v1"), refusing.url("/v1"));
    let check = |id: &str, url: &str| {
        format!("[[integration.check]]\nid = \"{id}\"\nevery = \"1s\"\ntimeout = \"900ms\"\nhttp = {{ url = \"{url}\" }}\n")
    };
    let integration = |id: &str| format!("[[integration]]\nid = \"{id}\"\nenvironment = \"production\"\nowner = \"vendor\"\n");
    std::fs::write(
        dir.path().join("soakwatch.toml"),
        format!("[server]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"{}\"\n", store.display()),
    )
    .unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    std::fs::write(
        dir.path().join("customers/acme.toml"),
        format!(
            "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n{}volume = {{ peak = \"30/s\" }}\n",
            integration("shared")
        ) + &["a", "b", "c"].map(|id| check(id, &shared)).concat()
            + &integration("refusing")
            + &check("a", &stays),
    )
    .unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let scrape = eventually("every row of rate limits is on the scrape", || {
        let scrape = daemon.get("/metrics");
        let of = |name: &str, integration: &str| series(&scrape, name, &[&format!("integration=\"{integration}\"")]);
        let shared = of("soakwatch_rate_limit_quota", "shared") == Some(3_600.0)
            && of("soakwatch_rate_limit_remaining", "shared").is_some_and(|n| n < 3_000.0)
            && of("soakwatch_rate_limit_reset_timestamp_seconds", "shared").is_some()
            && of("soakwatch_rate_limit_headroom_ratio", "shared") == Some(2.0)
            && of("soakwatch_rate_limit_exhaustion_timestamp_seconds", "shared").is_some()
            && of("soakwatch_throttle_wait_seconds_count", "shared").is_some_and(|n| n > 0.0)
            && of("soakwatch_rate_budget_tokens", "shared").is_some();
        let refusing = of("soakwatch_rate_limit_retry_after_seconds", "refusing") == Some(120.0)
            && of("soakwatch_check_effective_interval_seconds", "refusing").is_some_and(|s| s > 1.0)
            && of("soakwatch_check_interval_seconds", "refusing") == Some(1.0);
        (shared && refusing).then_some(scrape)
    });
    assert_eq!(series(&scrape, "soakwatch_rate_limit_retry_after_seconds", &["integration=\"shared\""]), Some(0.0));
    if let Some((said, content)) = promtool(&scrape) {
        assert!(content, "promtool check metrics: {said}");
    }
}

/// The design's catalogue (outside the repository) names every row we export, except what docs/decisions says was added.
#[test]
fn names_are_those_of_the_design_where_it_is_there() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/design/metrics-and-alerts.md");
    let Ok(design) = std::fs::read_to_string(path) else {
        println!("not run: {path} is not there");
        return;
    };
    let added = [
        "soakwatch_store_outcomes_lost_total",
        "soakwatch_receiver_refused_total",
        "soakwatch_listener_tls_reload_failures_total",
        "soakwatch_listener_certificate_expiry_timestamp_seconds",
    ];
    for family in CHECKS.iter().chain(OWN).filter(|f| f.name.starts_with("soakwatch_")) {
        assert!(design.contains(family.name) || added.contains(&family.name), "{} is not in the design's catalogue", family.name);
    }
}
