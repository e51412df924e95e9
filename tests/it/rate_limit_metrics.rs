//! What a scrape says of rate limits: what was told, what is in force, what our own pace makes of it, and nothing where nothing is known.

use std::sync::Arc;
use std::time::Duration;

use soakwatch::board::Board;
use soakwatch::budget::Budgets;
use soakwatch::clock::{UnixMs, monotonic};
use soakwatch::config::model::{Batch, CheckDef, Config, DeclaredVolume, Integration, Settings};
use soakwatch::incident::live::Incidents;
use soakwatch::metrics::encode::{Encoder, Scrape};
use soakwatch::outcome::Cause;
use soakwatch::ratelimit::Reading;
use soakwatch::readiness::Soaks;
use soakwatch::record::{DurationCode, Facts, Record};

use crate::estate::{Ended, MINUTE, NOW, config, estate, integration, record, settings, with_checks};
use crate::metrics::encoded;
use crate::support::daemon::series;
use crate::support::probing;

/// A policy as it was read so many seconds from [`NOW`].
pub(crate) fn reading(policy: &str, limit: u64, remaining: u64, window_s: u64, at_s: i64) -> Reading {
    let at = UnixMs(NOW.0 + at_s * 1000);
    Reading {
        policy: policy.to_owned(),
        limit: Some(limit),
        remaining: Some(remaining),
        window_s: Some(window_s),
        reset_at: Some(at.plus(Duration::from_secs(window_s))),
        unit: None,
        at,
    }
}

/// What a check of the made estate learned besides, carried by a slot that was not due: nothing else changes.
fn learned(config: &Config, check: &str, told: impl FnOnce(&mut Facts)) -> Record {
    let def = config.checks().find(|c| c.id.as_str() == check).unwrap();
    let mut r = record(def, UnixMs(NOW.0 - MINUTE), &Ended::NotRun(Cause::Maintenance));
    told(&mut r.facts);
    r
}

/// The made estate, and what its targets told of their limits. All its checks share a host, so all are widened by the tightest quota.
pub(crate) fn told_estate(settings: Settings) -> (Config, Board) {
    let (config, board) = estate(settings);
    let minute = |remaining, at_s| vec![reading("minute", 1_200, remaining, 60, at_s)];
    let unknown = Reading { limit: None, reset_at: None, window_s: None, ..reading("a \"b\" \\c", 0, 12, 0, -20) };
    let day = reading("day", 200_000, 150_000, 86_400, -20);
    let waited = |ms| move |f: &mut Facts| f.throttle_wait = Some(DurationCode::of(Duration::from_millis(ms)));
    board.apply(&[
        learned(&config, "acme/production/crm-orders/list-orders", |f| f.limits = minute(1_100, -40)),
        learned(&config, "acme/production/crm-orders/list-orders", |f| f.limits = minute(200, -10)),
        learned(&config, "acme/production/crm-orders/token", |f| f.limits = vec![day, unknown]),
        learned(&config, "acme/production/warehouse/levels", |f| f.retry_after = Some((UnixMs(NOW.0 - 60_000), 120))),
        learned(&config, "acme/staging/billing/invoices", |f| f.retry_after = Some((UnixMs(NOW.0 - 60_000), 60))),
        learned(&config, "globex/production/tickets/queue", waited(300)),
        learned(&config, "globex/production/tickets/informational", waited(7_000)),
    ]);
    (config, board)
}

/// The value of an integration's series.
fn of(text: &str, name: &str, integration: &str, more: &[&str]) -> Option<f64> {
    let integration = format!("integration=\"{integration}\"");
    series(text, &format!("soakwatch_{name}"), &[&[integration.as_str()], more].concat())
}

#[test]
fn policies_are_exported_as_told_and_what_is_unknown_is_absent() {
    let (config, board) = told_estate(settings());
    let text = encoded(&config, &board);
    let orders = |name: &str, policy: &str| of(&text, &format!("rate_limit_{name}"), "crm-orders", &[&format!("policy=\"{policy}\"")]);
    let all = ["quota", "remaining", "reset_timestamp_seconds", "headroom_ratio", "exhaustion_timestamp_seconds"];
    // 600 a minute are declared; 900 went in 30 s, so the 200 left at NOW - 10 s last for 6.7 s.
    let at = NOW.seconds();
    assert_eq!(
        all.map(|name| orders(name, "minute")),
        [Some(1_200.0), Some(200.0), Some(at + 50.0), Some(2.0), Some(at - 10.0 + 6.666)],
        "{text}"
    );
    // 40,000 a day are declared; nobody knows how fast it goes.
    assert_eq!(all.map(|name| orders(name, "day")), [Some(200_000.0), Some(150_000.0), Some(at - 20.0 + 86_400.0), Some(5.0), None]);
    assert_eq!(all.map(|name| orders(name, r#"a \"b\" \\c"#)), [None, Some(12.0), None, None, None]);
    for name in all {
        assert_eq!(of(&text, &format!("rate_limit_{name}"), "warehouse", &[]), None, "nothing was told");
    }
}

/// The rule `integration:soakwatch_rate_limit_headroom:ratio` divides the one by the other.
#[test]
fn quota_and_remaining_have_the_same_labels() {
    let (config, board) = told_estate(settings());
    let text = encoded(&config, &board);
    let labels = |name: &str, policy: &str| {
        let line = text.lines().find(|l| l.starts_with(&format!("{name}{{")) && l.contains(policy)).unwrap();
        line[name.len()..line.rfind('}').unwrap()].to_owned()
    };
    for policy in ["policy=\"minute\"", "policy=\"day\""] {
        let quota = labels("soakwatch_rate_limit_quota", policy);
        assert_eq!(quota, labels("soakwatch_rate_limit_remaining", policy));
        assert_eq!(quota, labels("soakwatch_rate_limit_headroom_ratio", policy));
    }
}

#[test]
fn two_credentials_on_one_host_are_two_series_and_batches_count_as_use_of_a_day() {
    let batches = vec![Batch { start: "22:00Z".parse().unwrap(), rows: 20_000, calls_per_row: 1.0 }];
    let volume = DeclaredVolume { daily: "80000/day".parse().ok(), batches, ..DeclaredVolume::default() };
    let (i, checks) = with_checks(Integration { volume, ..integration("acme", "production", "crm") }, &["read", "write"]);
    let with_key = |def: &Arc<CheckDef>| {
        let text = format!("url = \"https://api.example.com/x\"\nauth = {{ bearer = {{ env = \"{}\" }} }}", def.id.check().to_uppercase());
        Arc::new(CheckDef { kind: probing::check(&text).kind, ..CheckDef::clone(def) })
    };
    let config = config(settings(), vec![(i, checks.iter().map(with_key).collect())]);
    let board = Board::default();
    board.configure(&config);
    let day = |remaining| vec![reading("day", 200_000, remaining, 86_400, -20)];
    board.apply(&[
        learned(&config, "acme/production/crm/write", |f| f.limits = day(5)),
        learned(&config, "acme/production/crm/read", |f| f.limits = day(7)),
    ]);
    let text = encoded(&config, &board);
    let value = |name: &str, policy: &str| of(&text, &format!("rate_limit_{name}"), "crm", &[&format!("policy=\"{policy}\"")]);
    assert_eq!([value("remaining", "day"), value("remaining", "write/day")], [Some(7.0), Some(5.0)], "{text}");
    assert_eq!(value("headroom_ratio", "day"), Some(2.0));
}

#[test]
fn a_retry_after_is_shown_while_it_is_in_force() {
    let (config, board) = told_estate(settings());
    let text = encoded(&config, &board);
    let retry_after = |integration: &str| of(&text, "rate_limit_retry_after_seconds", integration, &[]);
    assert_eq!(["warehouse", "billing", "fresh"].map(retry_after), [Some(120.0), Some(0.0), Some(0.0)]);
    // One line an integration: of two in force, the one that was told last.
    let told = |check: &str, at_s: i64, seconds| learned(&config, check, |f| f.retry_after = Some((UnixMs(NOW.0 + at_s * 1000), seconds)));
    board.apply(&[told("globex/production/tickets/queue", -5, u64::MAX), told("globex/production/tickets/informational", -4, 30)]);
    let text = encoded(&config, &board);
    assert_eq!(of(&text, "rate_limit_retry_after_seconds", "tickets", &[]), Some(30.0));
    assert_eq!(text.lines().filter(|l| l.starts_with("soakwatch_rate_limit_retry_after_seconds{")).count(), 8);
}

#[test]
fn intervals_and_tokens_are_those_of_the_pace() {
    let (config, board) = told_estate(settings());
    let began = monotonic();
    let (budgets, mono) = (crate::estate::budgets(&config, &board, began), began + Duration::from_secs(3_600));
    let scrape = |budgets: &Budgets, mono| {
        let mut encoder =
            Encoder::new(Scrape::take(&board, (&Soaks::default(), &Incidents::default()), budgets, &config.settings, NOW, mono));
        let mut out = Vec::new();
        while encoder.write(&mut out) {}
        String::from_utf8(out).unwrap()
    };
    // 5 % of 200,000 a day are 0.116 a second; nine checks (the paused one wants nothing) want 0.15.
    let text = scrape(&budgets, mono);
    let interval = |text: &str, check: &str| of(text, "check_effective_interval_seconds", "crm-orders", &[&format!("check=\"{check}\"")]);
    assert_eq!([interval(&text, "list-orders"), interval(&text, "token")], [Some(120.0), Some(120.0)]);
    assert_eq!(of(&text, "check_interval_seconds", "crm-orders", &[]), Some(60.0));
    assert_eq!(of(&text, "rate_budget_tokens", "crm-orders", &[]), Some(1.0));
    let token = config.checks().find(|c| c.id.as_str() == "acme/production/crm-orders/token").unwrap();
    assert!(budgets.take(&token.id, NOW, mono));
    let after = |s: u64| of(&scrape(&budgets, mono + Duration::from_secs(s)), "rate_budget_tokens", "crm-orders", &[]).unwrap();
    assert!(after(0) < 0.001 && (after(4) - 4.0 * 0.05 * 200_000.0 / 86_400.0).abs() < 0.001 && after(9) >= 1.0);

    // A check without a pace has no tokens, and the interval it is configured with.
    let text = scrape(&Budgets::new(&config.settings.rate_limit), mono);
    assert_eq!((interval(&text, "token"), of(&text, "rate_budget_tokens", "crm-orders", &[])), (Some(60.0), None));
}

#[test]
fn waits_are_summed_over_the_checks_and_stay_when_one_leaves() {
    let (config, board) = told_estate(settings());
    let waits = |text: &str| {
        let bucket = |le: &str| of(text, "throttle_wait_seconds_bucket", "tickets", &[&format!("le=\"{le}\"")]);
        let sum = of(text, "throttle_wait_seconds_sum", "tickets", &[]).map(|s| (s / 7.3 - 1.0).abs() < 0.05);
        (["0.01", "0.1", "0.5", "1", "5", "30", "60", "+Inf"].map(bucket), of(text, "throttle_wait_seconds_count", "tickets", &[]), sum)
    };
    let text = encoded(&config, &board);
    let both = ([0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0].map(Some), Some(2.0), Some(true));
    assert_eq!(waits(&text), both);
    assert_eq!(of(&text, "throttle_wait_seconds_count", "crm-orders", &[]), None, "nobody waited there");

    let fewer = config_of(&["queue"]);
    board.configure(&fewer);
    assert_eq!(waits(&encoded(&fewer, &board)), both);
}

/// The integration `tickets` alone, with these checks.
fn config_of(checks: &[&str]) -> Config {
    let (tickets, checks) = with_checks(integration("globex", "production", "tickets"), checks);
    config(settings(), vec![(Arc::clone(&tickets), checks)])
}
