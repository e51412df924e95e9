//! Against plain sums: the same runs counted one by one, and the same incidents added up by hand.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::{DAY_MS, HOUR_MS, UnixMs};
use crate::fields::{CheckId, Ratio, Span};
use crate::incident::{Incident, Severity};
use crate::outcome::{Attribution, Class, Criticality, Outcome, Owner, Phase};
use crate::record::{Counts, DurationCode, Run};

/// 2026-12-01T08:30:00Z: in the middle of an hour.
const LIVE: UnixMs = UnixMs(1_796_113_800_000);
const MINUTE_MS: i64 = 60_000;

fn after(ms: i64) -> UnixMs {
    UnixMs(LIVE.0 + ms)
}

fn run(slot: UnixMs, outcome: Outcome) -> Run {
    Run {
        slot,
        interval_ms: 600_000,
        count: 1,
        outcome,
        class: None,
        cause: None,
        attribution: None,
        duration: DurationCode(0),
        attempts: 1,
        first_attempt_passed: true,
    }
}

/// A check every 10 minutes from go-live to `now`, whose n-th run ends as `outcome` says.
fn check(name: &str, now: UnixMs, outcome: impl Fn(i64) -> Outcome) -> (History, Vec<Run>) {
    let runs: Vec<Run> = (0..).map(|n| (n, after(n * 600_000))).take_while(|(_, t)| *t < now).map(|(n, t)| run(t, outcome(n))).collect();
    (history(name, now, &runs), runs)
}

fn history(name: &str, now: UnixMs, runs: &[Run]) -> History {
    let mut hours: Vec<(i64, Counts)> = Vec::new();
    for r in runs {
        if hours.last().is_none_or(|(h, _)| *h != r.slot.hour()) {
            hours.push((r.slot.hour(), Counts::default()));
        }
        hours.last_mut().unwrap().1.add(r.outcome, 1);
    }
    History {
        check: format!("acme/production/orders/{name}").parse::<CheckId>().unwrap(),
        judged: true,
        every: Some(Span::seconds(600)),
        hours,
        recent: runs.iter().filter(|r| r.slot.0 >= now.0 - DAY_MS).copied().collect(),
        newest: runs.last().map(|r| r.slot),
    }
}

fn incident(id: &str, severity: Severity, first_bad: UnixMs, opened: UnixMs, closed: Option<UnixMs>) -> Arc<Incident> {
    Arc::new(Incident {
        id: id.into(),
        integration: "acme/production/orders".parse().unwrap(),
        first_bad,
        opened,
        closed,
        severity,
        class: Class::ServerError,
        attribution: Attribution::ThirdParty,
        owner: Owner::Vendor,
        criticality: Criticality::Normal,
        phase: Phase::Hypercare,
        checks: Vec::new(),
        classes: Vec::new(),
        since_again: Vec::new(),
        reopened: 0,
        acknowledged: None,
        reclassified: None,
        before: Vec::new(),
        runs: Vec::new(),
        timeline: Vec::new(),
    })
}

fn passes(_: i64) -> Outcome {
    Outcome::Pass
}

fn asked(now: UnixMs, checks: &[History], incidents: Option<&[Arc<Incident>]>, expiries: Option<&[Expiry]>) -> (Answer, Vec<Row>) {
    let policy = Policy::new(None);
    exit(&Given { now, go_live: LIVE, policy: &policy, throttled_excluded: false, checks, incidents, expiries })
}

fn met(rows: &[Row], name: Criterion) -> Option<bool> {
    rows.iter().find(|r| r.name == name).unwrap().met
}

proptest! {
    /// Ratios and coverage of every window are those of the runs counted one by one.
    #[test]
    fn windows_are_plain_sums(days in 0i64..40, minutes in 1i64..1440, outcomes in proptest::collection::vec(0u8..12, 30)) {
        let now = after(days * DAY_MS + minutes * MINUTE_MS);
        let outcome = |n: i64| match outcomes[(n % 30) as usize] {
            0 => Outcome::Fail,
            1 => Outcome::Throttled,
            2 => Outcome::Unknown,
            3 => Outcome::Skipped,
            4 => Outcome::NotDue,
            _ => Outcome::Pass,
        };
        let (a, runs) = check("a", now, outcome);
        let checks = [a];
        for reach in Reach::ALL {
            let from = reach.start(now, LIVE);
            prop_assert!(from >= LIVE && (from == LIVE || from.0 % HOUR_MS == 0));
            let inside: Vec<Outcome> = runs.iter().filter(|r| r.slot >= from).map(|r| r.outcome).collect();
            let n = |o: Outcome| inside.iter().filter(|x| **x == o).count() as f64;
            let counted = n(Outcome::Pass) + n(Outcome::Fail) + n(Outcome::Throttled);
            let due = counted + n(Outcome::Unknown) + n(Outcome::Skipped);
            for excluded in [false, true] {
                let judged = counted - if excluded { n(Outcome::Throttled) } else { 0.0 };
                let shown = numbers(&checks, from, excluded);
                prop_assert_eq!(shown.success_ratio, (judged > 0.0).then(|| n(Outcome::Pass) / judged));
                prop_assert_eq!(shown.coverage, (due > 0.0).then(|| counted / due));
                let left = budget_since(&checks, from, 0.99, excluded).map(|b| b.left);
                let bad = judged - n(Outcome::Pass);
                let want = (judged > 0.0).then(|| if bad == 0.0 { 1.0 } else { 1.0 - bad / (0.01 * judged) });
                prop_assert_eq!(left.is_some(), want.is_some());
                prop_assert!((left.unwrap_or(0.0) - want.unwrap_or(0.0)).abs() < 1e-9);
            }
        }
        for (name, ms) in BURNS {
            let from = if ms <= RECENT_MS { now.0 - ms } else { (now.0 - ms).div_euclid(HOUR_MS) * HOUR_MS };
            let inside: Vec<Outcome> = runs.iter().filter(|r| r.slot.0 >= from).map(|r| r.outcome).filter(|o| o.counted()).collect();
            let bad = inside.iter().filter(|o| **o != Outcome::Pass).count() as f64;
            let want = (!inside.is_empty()).then(|| bad / inside.len() as f64 / 0.01);
            let seen = burn(&checks, now, ms, LIVE, 0.99, false);
            prop_assert_eq!(seen.is_some(), want.is_some(), "{}", name);
            prop_assert!((seen.unwrap_or(0.0) - want.unwrap_or(0.0)).abs() < 1e-6, "{} {:?} {:?}", name, seen, want);
        }
    }
}

#[test]
fn the_worst_judged_check_is_the_integration() {
    let now = after(15 * DAY_MS);
    let (good, _) = check("good", now, passes);
    let (bad, runs) = check("bad", now, |n| if n % 50 == 0 { Outcome::Fail } else { Outcome::Pass });
    let (mut shown_only, _) = check("informational", now, |_| Outcome::Fail);
    shown_only.judged = false;
    let n = numbers(&[good.clone(), bad.clone(), shown_only], LIVE, false);
    assert_eq!((n.worst_check.as_deref(), n.counts.counted()), (Some("bad"), 2 * runs.len() as u64));
    let of_all = budget_of_hypercare(&[good, bad], (LIVE, Span::days(30), now), 0.99, false).unwrap();
    // 15 days were run, 15 are to come, every 10 minutes; one in fifty failed.
    assert_eq!((of_all.check.as_str(), of_all.used), ("bad", 44));
    assert!((of_all.allowed - 43.2).abs() < 1e-9, "{of_all:?}");
}

#[test]
fn times_and_counts_of_incidents_are_of_the_span() {
    let m = |n: i64| after(n * MINUTE_MS);
    let all = [
        incident("a", Severity::P1, m(0), m(2), Some(m(30))),
        incident("b", Severity::P2, m(40), m(46), Some(m(50))),
        incident("c", Severity::P2, m(60), m(61), None),
        incident("before", Severity::P3, m(-90), m(-80), Some(m(-10))),
    ];
    let of = Incidents::of(&all, m(0), m(100));
    assert_eq!((Incidents::sum(&of.opened), Incidents::sum(&of.closed), Incidents::sum(&of.open)), (3, 2, 1));
    assert_eq!((of.opened["P2"], of.closed["P1"], of.opened_by_attribution["third_party"]), (2, 1, 3));
    // 2, 6 and 1 minutes; 30 and 10 minutes.
    assert_eq!(of.time_to_detect, Times { count: 3, mean_s: Some(180.0), worst_s: Some(360.0) });
    assert_eq!(of.time_to_repair, Times { count: 2, mean_s: Some(1200.0), worst_s: Some(1800.0) });
    let none = Incidents::of(&all, m(200), m(300));
    assert_eq!((none.time_to_detect, Incidents::sum(&none.open)), (Times { count: 0, mean_s: None, worst_s: None }, 1));
    assert_eq!(Incidents::sum(&Incidents::of(&all, m(41), m(48)).open), 1);
}

#[test]
fn ready_only_when_all_is_known_and_all_is_met() {
    let now = after(14 * DAY_MS);
    let (checks, far) = ([check("a", now, passes).0], [Expiry::new(What::Certificate, "a", after(60 * DAY_MS))]);
    assert_eq!(asked(now, &checks, Some(&[]), Some(&far)).0, Answer::ReadyForHandoff);
    // A run that passed saw all there is: nothing that ends is an answer.
    assert_eq!(asked(now, &checks, Some(&[]), Some(&[])).0, Answer::ReadyForHandoff);
    // Too early by a millisecond.
    let early = UnixMs(now.0 - 1);
    let (answer, rows) = asked(early, &[check("a", early, passes).0], Some(&[]), Some(&far));
    assert_eq!((answer, met(&rows, Criterion::Window)), (Answer::NotYet, None));
    // Nobody knows of incidents, of expiries, or of runs: each is open, none is good.
    for (answer, rows) in
        [asked(now, &checks, None, Some(&far)), asked(now, &checks, Some(&[]), None), asked(now, &[], Some(&[]), Some(&far))]
    {
        assert_eq!(answer, Answer::NotYet);
        assert!(rows.iter().any(|r| r.met.is_none() && r.observed.is_null()), "{rows:?}");
    }
    // A second check of which nothing is stored is no evidence that it works.
    let (empty, _) = check("empty", LIVE, passes);
    let (answer, rows) = asked(now, &[checks[0].clone(), empty], Some(&[]), Some(&far));
    assert_eq!((answer, met(&rows, Criterion::SuccessRatio), met(&rows, Criterion::Coverage)), (Answer::NotYet, None, None));
}

#[test]
fn each_criterion_alone_holds_it_back() {
    let now = after(20 * DAY_MS);
    let good = [check("a", now, passes).0];
    let of = |severity, n: i64| {
        (0..n)
            .map(|k| {
                incident(&format!("i{k}"), severity, after((10 + k) * DAY_MS), after((10 + k) * DAY_MS), Some(after((10 + k) * DAY_MS + 1)))
            })
            .collect::<Vec<_>>()
    };
    let failing = |share: i64| [check("a", now, move |n| if n % share == 0 { Outcome::Fail } else { Outcome::Pass }).0];
    let gaps = [check("a", now, |n| if n % 40 == 0 { Outcome::Unknown } else { Outcome::Pass }).0];
    let soon = [Expiry::new(What::SigningCertificate, "a", UnixMs(now.0 + 30 * DAY_MS - 1))];
    let waiver = [Expiry::new(What::Waiver, "drift", after(21 * DAY_MS))];
    let cases: Vec<(Criterion, (Answer, Vec<Row>))> = vec![
        (Criterion::P1, asked(now, &good, Some(&of(Severity::P1, 1)), Some(&[]))),
        (Criterion::P2, asked(now, &good, Some(&of(Severity::P2, 3)), Some(&[]))),
        (Criterion::Open, asked(now, &good, Some(&[incident("x", Severity::P4, after(1), after(2), None)]), Some(&[]))),
        (Criterion::Coverage, asked(now, &gaps, Some(&[]), Some(&[]))),
        (Criterion::Expiring, asked(now, &good, Some(&[]), Some(&soon))),
        // 1 of 125 is 99.2 %, which leaves a fifth of the budget.
        (Criterion::Budget, asked(now, &failing(125), Some(&[]), Some(&[]))),
    ];
    for (criterion, (answer, rows)) in &cases {
        let not: Vec<Criterion> = rows.iter().filter(|r| r.met != Some(true)).map(|r| r.name).collect();
        assert_eq!((*answer, not), (Answer::NotReady, vec![*criterion]), "{rows:?}");
    }
    let (answer, rows) = asked(now, &failing(50), Some(&[]), Some(&[]));
    assert_eq!((answer, met(&rows, Criterion::SuccessRatio)), (Answer::NotReady, Some(false)));
    // Two P2 are put up with, a P1 before the window is over, and a waiver that ends holds nothing back.
    assert_eq!(asked(now, &good, Some(&of(Severity::P2, 2)), Some(&waiver)).0, Answer::ReadyForHandoff);
    let old = [incident("old", Severity::P1, after(0), after(1), Some(after(DAY_MS)))];
    assert_eq!(asked(now, &good, Some(&old), Some(&[])).0, Answer::ReadyForHandoff);
}

#[test]
fn an_objective_of_one_leaves_no_budget_to_burn() {
    let now = after(20 * DAY_MS);
    let policy = Policy { success_ratio: Ratio(1.0), ..Policy::new(None) };
    let answer = |checks: &[History]| {
        exit(&Given { now, go_live: LIVE, policy: &policy, throttled_excluded: false, checks, incidents: Some(&[]), expiries: Some(&[]) }).0
    };
    assert_eq!(answer(&[check("a", now, passes).0]), Answer::ReadyForHandoff);
    let (one, _) = check("a", now, |n| if n == 2_000 { Outcome::Fail } else { Outcome::Pass });
    assert_eq!(answer(std::slice::from_ref(&one)), Answer::NotReady);
    assert_eq!(burn(&[one], now, 3 * DAY_MS, LIVE, 1.0, false), None);
}

#[test]
fn what_was_before_the_first_record_is_missing() {
    let now = after(20 * DAY_MS);
    let (whole, runs) = check("a", now, passes);
    // Nothing of the first 7 days was recorded: a day of the judged window is missing.
    let late: Vec<Run> = runs.iter().filter(|r| r.slot.0 >= LIVE.0 + 7 * DAY_MS).copied().collect();
    let late = history("a", now, &late);
    assert_eq!(whole.coverage(LIVE), Some(1.0));
    let coverage = late.coverage(after(6 * DAY_MS)).unwrap();
    assert!((coverage - 13.0 / 14.0).abs() < 0.002, "{coverage}");
    let (answer, rows) = asked(now, &[late], Some(&[]), Some(&[]));
    assert_eq!((answer, met(&rows, Criterion::Coverage)), (Answer::NotReady, Some(false)));
}
