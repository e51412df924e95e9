//! What is said about integrations: states, ratios, blame.

use std::sync::Arc;

use soakwatch::board::{Board, IntegrationEntry};
use soakwatch::budget::{Because, CheckBudget, Hold, Views};
use soakwatch::clock::UnixMs;
use soakwatch::config::LoadOptions;
use soakwatch::config::model::{Batch, CheckDef, DeclaredVolume, Integration};
use soakwatch::fields::{IntegrationId, Span};
use soakwatch::outcome::{Attribution, Cause, Class, Lack};
use soakwatch::ratelimit::Reading;
use soakwatch::status::{IntegrationStatus, State, check_status, integration_state, integration_status, sort_key};

use crate::estate::{Ended, MINUTE, NOW, config, estate, integration, record, runs, settings, with_checks};

fn entry(board: &Board, id: &str) -> IntegrationEntry {
    board.integration(&id.parse::<IntegrationId>().unwrap()).unwrap()
}

fn said(board: &Board, id: &str) -> IntegrationStatus {
    integration_status(&entry(board, id), &Views::new(), NOW)
}

#[test]
fn every_state_is_told() {
    let (_, board) = estate(settings());
    for (id, state) in [
        ("acme/production/crm-orders", State::Failing),
        ("acme/production/warehouse", State::Throttled),
        ("acme/staging/billing", State::Maintenance),
        ("globex/production/directory", State::Passing),
        ("globex/production/tickets", State::Passing),
        ("initech/production/archive", State::Paused),
        ("initech/production/fresh", State::Pending),
        ("initech/production/blind", State::Unknown),
    ] {
        assert_eq!(said(&board, id).state, state, "{id}");
    }
}

#[test]
fn an_integration_is_as_good_as_its_worst_judged_check() {
    let (_, board) = estate(settings());
    let s = said(&board, "acme/production/crm-orders");
    // list-orders: every tenth fails; token: 9 of the last 55 (the running five minutes have just begun).
    assert_eq!(s.ratios.ratio_1h, Some(46.0 / 55.0));
    assert_eq!(s.ratios.ratio_24h, Some(0.9));
    assert_eq!((s.totals_24h.pass, s.totals_24h.fail), (270 + 171, 30 + 9));
    assert_eq!((s.class, s.attribution), (Some(Class::Unauthorized), Some(Attribution::Configuration)));
    assert_eq!(s.failing_checks, ["token"]);
    assert!(s.remediation.unwrap().contains("401"));
    assert_eq!(s.certificate_days, Some(9));
    // A failing informational check changes nothing.
    let s = said(&board, "globex/production/tickets");
    assert_eq!((s.ratios.ratio_24h, s.class), (Some(1.0), None));
    assert_eq!(s.coverage_24h, Some(57.0 / 60.0));
}

#[test]
fn passing_after_a_bad_hour_is_only_passing_now() {
    let (_, board) = estate(settings());
    let mut s = said(&board, "globex/production/directory");
    assert!(s.state == State::Passing && !s.only_passing_now());
    s.ratios.ratio_1h = Some(0.27);
    assert!(s.only_passing_now());
    s.state = State::Failing;
    assert!(!s.only_passing_now(), "what fails needs no more words");
    let mut s = said(&board, "acme/production/crm-orders");
    let soak = s.soak.clone().unwrap();
    assert_eq!((soak.window.to_string(), soak.success_ratio), ("7d".to_owned(), 0.995));
    // The declared objective counts, else 99 %.
    (s.state, s.ratios.ratio_1h) = (State::Passing, Some(0.993));
    assert!(s.only_passing_now());
    s.soak = None;
    assert!(!s.only_passing_now());
}

#[test]
fn no_data_is_no_ratio() {
    let (_, board) = estate(settings());
    let s = said(&board, "initech/production/fresh");
    assert_eq!((s.ratios.ratio_1h, s.ratios.ratio_24h, s.ratios.ratio_7d, s.coverage_24h, s.last_run), (None, None, None, None, None));
    let s = said(&board, "initech/production/blind");
    assert_eq!((s.cause, s.attribution), (Some(Cause::SelfCheck), Some(Attribution::Monitor)));
    assert!(s.remediation.unwrap().contains("no customer is to blame"));
}

#[test]
fn silence_for_three_intervals_is_unknown() {
    let (_, board) = estate(settings());
    let e = entry(&board, "globex/production/directory");
    assert_eq!(integration_state(&e, &Views::new(), UnixMs(NOW.0 + 2 * MINUTE)), State::Passing);
    let late = UnixMs(NOW.0 + 2 * MINUTE + 10_001);
    assert_eq!(integration_state(&e, &Views::new(), late), State::Unknown);
    let s = integration_status(&e, &Views::new(), late);
    assert_eq!(s.detail.as_deref(), Some("no result since 2026-11-21T11:59:00Z, for more than 3 intervals"));
    // Neither is an old failure still told as if it were new.
    let s = integration_status(&entry(&board, "acme/production/crm-orders"), &Views::new(), late);
    assert_eq!((s.state, s.class), (State::Unknown, None));
}

#[test]
fn worst_first() {
    let (_, board) = estate(settings());
    let order: Vec<String> = board.read(|all| {
        let mut all: Vec<&IntegrationEntry> = all.iter().collect();
        all.sort_by_key(|i| sort_key(i, &Views::new(), NOW));
        all.iter().map(|i| i.def.id.integration().to_owned()).collect()
    });
    assert_eq!(order, ["crm-orders", "warehouse", "blind", "fresh", "billing", "archive", "directory", "tickets"]);
}

#[test]
fn a_check_tells_its_last_run_and_since_when_it_fails() {
    let (_, board) = estate(settings());
    let e = entry(&board, "acme/production/crm-orders");
    let token = check_status(&e.checks[1], &Views::new(), NOW);
    assert_eq!(token.consecutive_failures, 9);
    assert_eq!(token.failing_since.as_deref(), Some("2026-11-21T11:51:00Z"));
    assert_eq!(token.classes["unauthorized"]["configuration"], 9);
    let list = check_status(&e.checks[0], &Views::new(), NOW);
    assert_eq!(list.observed["backlog"], 12.5);
    let last = list.last.unwrap();
    assert_eq!((last.attempts, last.codes), (2, vec![206, 200]));
    assert!((last.phases["tls"] - 0.024).abs() < 0.0012);
}

#[test]
fn excluded_throttling_is_in_no_ratio() {
    let mut i = integration("acme", "production", "api");
    i.throttled_excluded = true;
    let made = with_checks(i, &["a"]);
    let check = made.1[0].clone();
    let board = Board::default();
    board.configure(&config(settings(), vec![made]));
    board.apply(&runs(&check, 10, |k| if k < 4 { Ended::Throttled } else { Ended::Pass }));
    assert_eq!(said(&board, "acme/production/api").ratios.ratio_1h, Some(1.0));
    board.apply(&[record(&check, NOW, &Ended::Throttled)]);
    assert_eq!(said(&board, "acme/production/api").state, State::Throttled);
}

/// A board with one check every minute, and the check.
fn one() -> (Board, Arc<CheckDef>) {
    let made = with_checks(integration("acme", "production", "api"), &["a"]);
    let check = made.1[0].clone();
    let board = Board::default();
    board.configure(&config(settings(), vec![made]));
    (board, check)
}

#[test]
fn a_result_of_a_time_to_come_says_nothing_about_now() {
    let (board, check) = one();
    board.apply(&runs(&check, 3, |_| Ended::Pass));
    // The clock was set back by an hour: nothing runs until it has caught up.
    let now = UnixMs(NOW.0 - 60 * MINUTE);
    let s = integration_status(&entry(&board, "acme/production/api"), &Views::new(), now);
    assert_eq!(s.state, State::Unknown);
    assert_eq!(s.detail.as_deref(), Some("the last result is of 2026-11-21T11:59:00Z, which is still to come: the clock was set back"));
}

/// While a run waits for its turn in the pace, the slots that are left out meanwhile are not recorded: they come after it.
#[test]
fn who_waits_for_its_turn_at_a_widened_interval_is_not_silent() {
    let (board, check) = one();
    board.apply(&[record(&check, NOW, &Ended::Pass)]);
    let budget = CheckBudget {
        host: "api.example.com:443".into(),
        quota: None,
        allowed_per_s: 1.0,
        wanted_per_s: 10.0,
        shared_by: 1,
        factor: 10,
        effective_interval: Span::seconds(600),
        tokens: 0.0,
        hold: None,
    };
    let views = Views::from([(check.id.clone(), budget)]);
    let state = |minutes| integration_state(&entry(&board, "acme/production/api"), &views, UnixMs(NOW.0 + minutes * MINUTE));
    assert_eq!((state(20), state(31)), (State::Passing, State::Unknown));
}

#[test]
fn after_a_maintenance_window_the_next_run_is_awaited() {
    let (board, check) = one();
    board.apply(&[record(&check, UnixMs(NOW.0 - 60 * MINUTE), &Ended::Pass)]);
    let mut window = record(&check, UnixMs(NOW.0 - 59 * MINUTE), &Ended::NotRun(Cause::Maintenance));
    window.count = 59;
    board.apply(&[window]);
    let state = |now| integration_state(&entry(&board, "acme/production/api"), &Views::new(), now);
    assert_eq!(state(NOW), State::Pending, "not unknown: nothing was due for an hour; not passing: that is an hour old");
    assert_eq!(state(UnixMs(NOW.0 + 5 * MINUTE)), State::Unknown, "it should have run by now");
    board.apply(&[record(&check, UnixMs(NOW.0), &Ended::Pass)]);
    assert_eq!(state(NOW), State::Passing);
}

#[test]
fn a_slot_missed_while_nobody_was_there_is_no_run() {
    let (board, check) = one();
    board.apply(&runs(&check, 3, |_| Ended::Pass));
    for cause in [Cause::Down, Cause::Clock, Cause::Late] {
        board.apply(&[record(&check, NOW, &Ended::NotRun(cause))]);
        assert_eq!(said(&board, "acme/production/api").state, State::Passing, "{cause}: as after two missed slots");
    }
    board.apply(&[record(&check, NOW, &Ended::NotRun(Cause::Capacity))]);
    assert_eq!(said(&board, "acme/production/api").state, State::Unknown);
}

#[test]
fn what_a_passing_run_no_longer_sees_is_gone() {
    let (board, check) = one();
    let mut seen = record(&check, UnixMs(NOW.0 - 3 * MINUTE), &Ended::Pass);
    seen.facts.certificate_expiry = Some(NOW);
    seen.facts.values = vec![("backlog".into(), 12.5)];
    board.apply(&[seen]);
    let state = || board.check(&check.id).unwrap().state;
    board.apply(&[record(&check, UnixMs(NOW.0 - 2 * MINUTE), &Ended::Fail(Class::Tls, "no handshake"))]);
    assert_eq!((state().certificate_expiry, state().values.len()), (Some(NOW), 1), "a failing run that saw nothing takes nothing away");
    // The check was changed: plain http, no `observe`.
    board.apply(&[record(&check, UnixMs(NOW.0 - MINUTE), &Ended::Pass)]);
    assert_eq!((state().certificate_expiry, state().values.len()), (None, 0));
}

#[test]
fn who_spares_a_quota_is_not_silent() {
    let (board, check) = one();
    board.apply(&[record(&check, UnixMs(NOW.0 - 60 * MINUTE), &Ended::Throttled)]);
    let skips = |cause, from: i64, n: u32| {
        let mut skipped = record(&check, UnixMs(NOW.0 - from * MINUTE), &Ended::NotRun(cause));
        skipped.outcome = soakwatch::outcome::Outcome::Skipped;
        skipped.count = n;
        board.apply(&[skipped]);
    };
    let state = |now| integration_state(&entry(&board, "acme/production/api"), &Views::new(), now);
    skips(Cause::HostBusy, 59, 58);
    assert_eq!(state(NOW), State::Unknown, "an hour without a run, for no good reason");
    skips(Cause::RateLimit, 59, 59);
    assert_eq!(state(NOW), State::Throttled, "what the last run said still stands");
    let silent = UnixMs(NOW.0 + 3 * MINUTE);
    assert_eq!(state(silent), State::Unknown, "now not even slots are left out");
    // The clock was set back behind the skips: they are no word about now.
    assert_eq!(state(UnixMs(NOW.0 - 30 * MINUTE)), State::Unknown);

    let hold = Hold {
        until: UnixMs(NOW.0 + 5 * MINUTE),
        since: UnixMs(NOW.0 - 60 * MINUTE),
        asked_s: 3_900,
        check: check.id.to_string(),
        because: Because::Asked,
    };
    let budget = CheckBudget {
        host: "api.example.com:443".into(),
        quota: None,
        allowed_per_s: 1.0,
        wanted_per_s: 1.0,
        shared_by: 1,
        factor: 4,
        effective_interval: Span::seconds(240),
        tokens: 1.0,
        hold: Some(hold),
    };
    let views = Views::from([(check.id.clone(), budget)]);
    let at = |now| integration_status(&entry(&board, "acme/production/api"), &views, now);
    let s = at(NOW);
    assert_eq!(s.detail.as_deref(), Some("held until 2026-11-21T12:05:00Z, nothing is sent before: the host asked to be left alone"));
    assert_eq!((s.limits.held_until, s.limits.interval_factor), (Some(UnixMs(NOW.0 + 5 * MINUTE)), Some(4)));
    assert_eq!(at(UnixMs(NOW.0 + 5 * MINUTE)).limits.held_until, None, "it is over");
    let c = check_status(&entry(&board, "acme/production/api").checks[0], &views, NOW);
    assert!(c.trouble.unwrap().detail.unwrap().starts_with("held until"));
}

/// A board with one integration a volume (peak, daily, rows of the batch at 22:00), and the checks, every minute, all passing.
fn passing_with(volumes: &[(&str, &str, &str, Option<u64>)]) -> (Board, Vec<Arc<CheckDef>>) {
    let made = volumes.iter().map(|(id, peak, daily, rows)| {
        let batch = |rows: &u64| Batch { start: "22:00Z".parse().unwrap(), rows: *rows, calls_per_row: 1.0 };
        let batches = rows.iter().map(batch).collect();
        let volume = DeclaredVolume { peak: peak.parse().ok(), daily: daily.parse().ok(), batches };
        with_checks(Integration { volume, ..integration("acme", "production", id) }, &["a"])
    });
    let made: Vec<_> = made.collect();
    let checks: Vec<Arc<CheckDef>> = made.iter().flat_map(|(_, checks)| checks.clone()).collect();
    let board = Board::default();
    board.configure(&config(settings(), made));
    checks.iter().for_each(|c| board.apply(&runs(c, 3, |_| Ended::Pass)));
    (board, checks)
}

/// A run that was told what is left of a quota, so many seconds ago.
fn told(board: &Board, check: &CheckDef, ended: &Ended, limit: u64, window_s: u64, left: &[(u64, i64)]) {
    for (remaining, ago_s) in left {
        let at = UnixMs(NOW.0 - ago_s * 1000);
        let reading = Reading {
            policy: "q".into(),
            limit: Some(limit),
            remaining: Some(*remaining),
            window_s: Some(window_s),
            at,
            ..Reading::default()
        };
        let mut run = record(check, at, ended);
        run.facts.limits = vec![reading];
        board.apply(&[run]);
    }
}

#[test]
fn what_passes_and_will_not_is_warned_of_and_stands_above_what_just_passes() {
    let volumes = [
        ("a-fits", "60/min", "", None),
        ("b-small", "600/min", "", None),
        ("c-out", "", "1000/day", Some(10)),
        ("d-batch", "60/min", "", Some(1_000_000)),
        ("e-batch-as-used", "", "1000/day", Some(33_000)),
        ("f-minute", "", "", None),
        ("g-used-up", "", "", None),
        ("h-plain", "", "", None),
    ];
    let (board, checks) = passing_with(&volumes);
    let pass = |n: usize, limit, window_s, left: &[(u64, i64)]| told(&board, &checks[n], &Ended::Pass, limit, window_s, left);
    pass(0, 600, 60, &[(500, 10)]);
    pass(1, 300, 60, &[(290, 10)]);
    pass(2, 86_400, 86_400, &[(10_060, 60), (10_000, 0)]);
    pass(3, 120, 60, &[(110, 10)]);
    pass(4, 86_400, 86_400, &[(36_100, 1_000), (36_000, 0)]);
    pass(5, 60, 60, &[(40, 10), (20, 0)]);
    pass(6, 60, 3_600, &[(0, 10)]);
    let warning = |n: usize| said(&board, &format!("acme/production/{}", volumes[n].0)).warning;
    let kinds = [0, 1, 2, 3, 4, 5, 6, 7].map(|n| warning(n).map(|w| w.kind));
    let (small, out, batch, used_up) = (Some(Lack::TooSmall), Some(Lack::RunsOut), Some(Lack::Batch), Some(Lack::UsedUp));
    assert_eq!(kinds, [None, small, out, batch, batch, None, used_up, None], "a minute's quota is full again before it is out");

    let said = |n: usize| warning(n).map(|w| (w.attribution, w.detail, w.remediation)).unwrap();
    let who = Attribution::Configuration;
    let small = "the declared volume, 600/min, is more than the quota gives, 300 in 1m (policy q): headroom 0.5 ×";
    let advice = "It passes now, but not at the declared volume. Agree on a larger quota with the vendor, or have the callers slow down.";
    assert_eq!(said(1), (who, small.to_owned(), advice.to_owned()));
    let out = "policy q runs out at 2026-11-21T14:46:40Z as it is used now (1/s): 10000 of 86400 are left; when it renews is not told, \
               2026-11-22T12:00:00Z at the latest";
    assert_eq!(said(2).1, out);
    assert!(said(2).2.contains("have them slow down, move the batch, or agree on a larger quota with the vendor."), "{:?}", said(2));
    assert!(said(3).1.starts_with("the batch of 22:00Z, policy q: at 1/s, what the peak leaves, it takes 11d"), "{:?}", said(3));
    let late =
        "the batch of 22:00Z, policy q: as it is used now, it makes 33000 calls, more than the 32400 that are left at 2026-11-21T22:00:00Z";
    assert_eq!(said(4).1, late);
    assert_eq!(said(6).1, "policy q is used up, nothing is left of 60; when it renews is not told, 2026-11-21T12:59:50Z at the latest");

    let order: Vec<String> = board.read(|all| {
        let mut all: Vec<&IntegrationEntry> = all.iter().collect();
        all.sort_by_key(|i| (sort_key(i, &Views::new(), NOW), i.def.id.clone()));
        all.iter().map(|i| i.def.id.integration()[..1].to_owned()).collect()
    });
    assert_eq!(order.concat(), "bcdegafh");
    // What does not pass has more urgent trouble.
    told(&board, &checks[2], &Ended::Fail(Class::Dns, "no such name"), 86_400, 86_400, &[(9_000, -1)]);
    assert_eq!(warning(2), None);
}

#[test]
fn of_batches_that_do_not_fit_the_worst_is_told() {
    let batch = |start: &str, rows| Batch { start: start.parse().unwrap(), rows, calls_per_row: 1.0 };
    let told_with = |batches: Vec<Batch>| {
        let volume = DeclaredVolume { peak: "60/min".parse().ok(), daily: None, batches };
        let board = Board::default();
        let (i, checks) = with_checks(Integration { volume, ..integration("acme", "production", "api") }, &["a"]);
        board.configure(&config(settings(), vec![(i, checks.clone())]));
        told(&board, &checks[0], &Ended::Pass, 120, 60, &[(110, 10)]);
        said(&board, "acme/production/api").warning.unwrap().detail
    };
    let detail = told_with(vec![batch("01:00Z", 100_000), batch("02:00Z", 900_000), batch("03:00Z", 10), batch("04:00Z", 200_000)]);
    assert!(detail.starts_with("the batch of 02:00Z, policy q: ") && detail.ends_with("; other batches do not fit either"), "{detail}");
    let detail = told_with(vec![batch("01:00Z", 100_000), batch("02:00Z", 100_000), batch("03:00Z", 10)]);
    assert!(detail.starts_with("the batch of 01:00Z, policy q: ") && detail.ends_with("; another batch does not fit either"), "{detail}");
}

#[test]
fn throttled_without_a_word_of_limits_is_no_matter_of_the_volume() {
    let (board, checks) = passing_with(&[("silent", "60/min", "", None)]);
    board.apply(&[record(&checks[0], NOW, &Ended::Throttled)]);
    let s = said(&board, "acme/production/silent");
    assert_eq!(s.class, Some(Class::Throttled));
    let advice = "We are told to slow down, but not what is allowed. Ask the vendor for the limit and who else uses it up, or lengthen the interval.";
    assert_eq!(s.remediation.as_deref(), Some(advice));
}

#[test]
fn throttled_at_a_volume_that_was_declared_too_large_is_said() {
    let (board, checks) = passing_with(&[("small", "600/min", "", None), ("enough", "60/min", "", None)]);
    for check in &checks {
        told(&board, check, &Ended::Throttled, 300, 60, &[(0, 0)]);
    }
    let s = said(&board, "acme/production/small");
    assert_eq!(
        (s.state, s.class, s.attribution),
        (State::Throttled, Some(Class::Throttled), Some(Attribution::ThirdParty)),
        "the map's word"
    );
    let more = "the declared volume is more than the quota gives: headroom 0.5 ×";
    assert!(s.detail.clone().unwrap().ends_with(more), "{s:?}");
    let advice =
        "The declared volume is more than the quota gives. Agree on a larger quota with the vendor, or have the callers slow down.";
    assert_eq!(s.remediation.as_deref(), Some(advice));
    let trouble = check_status(&entry(&board, "acme/production/small").checks[0], &Views::new(), NOW).trouble.unwrap();
    assert_eq!((Some(trouble.remediation), trouble.detail), (s.remediation, s.detail), "the check says the same");
    let s = said(&board, "acme/production/enough");
    assert!(!s.detail.unwrap_or_default().contains("declared") && s.remediation.unwrap().contains("Compare the declared volume"));
}

#[test]
fn what_is_held_before_its_first_run_says_so() {
    let (board, check) = one();
    let hold =
        Hold { until: UnixMs(NOW.0 + 60_334), since: NOW, asked_s: 60, check: "acme/production/other/a".into(), because: Because::Reset };
    let budget = CheckBudget {
        host: "api.example.com:443".into(),
        quota: None,
        allowed_per_s: 1.0,
        wanted_per_s: 1.0,
        shared_by: 2,
        factor: 1,
        effective_interval: Span::seconds(60),
        tokens: 1.0,
        hold: Some(hold),
    };
    let views = Views::from([(check.id.clone(), budget)]);
    let s = integration_status(&entry(&board, "acme/production/api"), &views, NOW);
    assert_eq!((s.state, s.cause), (State::Pending, Some(Cause::RateLimit)));
    let held = "held until 2026-11-21T12:01:00Z, nothing is sent before: the host refused, and its quota renews at 2026-11-21T12:01:00Z";
    assert_eq!(s.detail.as_deref(), Some(held));
    let s = integration_status(&entry(&board, "acme/production/api"), &views, UnixMs(NOW.0 + 61_000));
    assert_eq!((s.state, s.detail), (State::Pending, None), "it is over");
}

/// What arrives is judged when its grace is over, and cron's times are not evenly apart.
#[test]
fn what_is_expected_is_not_silent_before_it_is_due() {
    let state = |every: &str, keys: &str, slot: UnixMs, now: UnixMs| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("customers")).unwrap();
        std::fs::write(dir.path().join("soakwatch.toml"), "[receiver]\nlisten = \"127.0.0.1:0\"\n").unwrap();
        let text = format!(
            "[customer]\nid = \"acme\"\n[[integration]]\nid = \"api\"\nenvironment = \"production\"\nowner = \"vendor\"\n[[integration.check]]\n\
             id = \"a\"\nevery = \"{every}\"\nwebhook_arrival = {{ scheme = \"github\", secrets = {{ env = \"NOT_SET\" }}, {keys} }}\n"
        );
        std::fs::write(dir.path().join("customers/acme.toml"), text).unwrap();
        let loaded = soakwatch::config::load(dir.path(), &LoadOptions { check_secrets: false, env: Vec::new(), now: NOW });
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let board = Board::default();
        board.configure(&config);
        board.apply(&[record(config.checks().next().unwrap(), slot, &Ended::Pass)]);
        integration_state(&entry(&board, "acme/production/api"), &Views::new(), now)
    };
    let after = |t: UnixMs, minutes: i64| UnixMs(t.0 + minutes * MINUTE);
    let graced = |minutes: i64| state("1m", "grace = \"10m\"", NOW, after(NOW, minutes));
    assert_eq!((graced(12), graced(14)), (State::Passing, State::Unknown), "the slot after it is judged after eleven minutes");
    // Friday, 2026-11-20T02:00:00Z; the next three times are on Monday, Tuesday and Wednesday.
    let friday = UnixMs(1_795_140_000_000);
    let working_days = |hours: i64| state("24h", "cron = \"0 2 * * mon-fri\", grace = \"30m\"", friday, after(friday, hours * 60));
    assert_eq!((working_days(4 * 24), working_days(5 * 24), working_days(5 * 24 + 1)), (State::Passing, State::Passing, State::Unknown));
}
