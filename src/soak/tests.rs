//! Verdicts and the gate over small histories: what is observed beside the runs, waivers, attestations, and every way in which the gate does not say go.

use super::gate::{Answer, Candidate, Gate, answer, gate};
use super::*;
use crate::clock::{DAY_MS, HOUR_MS, UnixMs};
use crate::fields::{CheckId, Ratio, Span};
use crate::outcome::{Cause, Criticality, Outcome};
use crate::record::{DurationCode, Run};
use crate::slots::grid::Grid;

const S: i64 = 1_796_112_000_000;
const MINUTE: i64 = 60_000;
const WEEK: i64 = 7 * DAY_MS;

fn run(slot: i64, outcome: Outcome) -> Run {
    Run {
        slot: UnixMs(slot),
        interval_ms: MINUTE as u32,
        count: 1,
        outcome,
        class: None,
        cause: None,
        attribution: None,
        duration: DurationCode(150),
        attempts: 1,
        first_attempt_passed: outcome == Outcome::Pass,
    }
}

/// A soak with one check a minute that passes; what a test changes of it.
struct World {
    policy: Policy,
    now: i64,
    go_live: Option<i64>,
    superseded: bool,
    judge: Judge,
    judged: bool,
    throttled_excluded: bool,
    runs: Vec<Run>,
    exclusions: Vec<Exclusion>,
    seen: Observations,
    waivers: Vec<Waiver>,
    attestations: Vec<Attestation>,
    doubts: Vec<String>,
}

impl World {
    /// A full week of passes, judged at its end.
    fn new() -> Self {
        Self {
            policy: Policy::new(Criticality::Normal, UnixMs(S)),
            now: S + WEEK,
            go_live: None,
            superseded: false,
            judge: Judge::Ratio,
            judged: true,
            throttled_excluded: false,
            runs: (0..WEEK / MINUTE).map(|n| run(S + n * MINUTE, Outcome::Pass)).collect(),
            exclusions: Vec::new(),
            seen: Observations::default(),
            waivers: Vec::new(),
            attestations: Vec::new(),
            doubts: Vec::new(),
        }
    }

    /// The same, in which minutes of the soak ended otherwise.
    fn with(mut self, minutes: std::ops::Range<usize>, outcome: Outcome) -> Self {
        self.runs[minutes].iter_mut().for_each(|r| *r = run(r.slot.0, outcome));
        self
    }

    fn see<R>(&self, look: impl FnOnce(&Input<'_>, &Verdict) -> R) -> R {
        let id: CheckId = "acme/production/crm/list".parse().unwrap();
        let rules = Rules {
            policy: &self.policy,
            judge: self.judge,
            throttled_excluded: self.throttled_excluded,
            grid: Some(Grid::new(0, MINUTE)),
            exclusions: &self.exclusions,
        };
        let (now, go_live) = (UnixMs(self.now), self.go_live.map(UnixMs));
        let frame = Frame::at(self.policy.start, self.policy.window, go_live, now);
        let fold = CheckFold::of(&frame, &rules, &self.runs);
        let checks = [CheckInput { id: &id, judged: self.judged, rules, fold: &fold }];
        let input = Input {
            now,
            policy: &self.policy,
            since: self.policy.start,
            go_live,
            superseded: self.superseded,
            checks: &checks,
            seen: &self.seen,
            waivers: &self.waivers,
            attestations: &self.attestations,
            doubts: Doubts { shared: &[], own: &self.doubts },
        };
        look(&input, &judge(&input))
    }

    fn ruling(&self) -> Ruling {
        self.see(|_, v| v.ruling)
    }

    fn met(&self, criterion: Criterion) -> Option<bool> {
        self.row(criterion).0
    }

    /// met, reason.
    fn row(&self, criterion: Criterion) -> (Option<bool>, String) {
        let shown = self.see(shown);
        let row = shown.criteria.into_iter().find(|r| r.name == criterion.as_str()).unwrap();
        (row.met, row.reason)
    }

    fn gate(&self) -> Gate {
        let id = "acme/production/crm".parse().unwrap();
        self.see(|input, verdict| {
            let gate = gate(&[Candidate { id: &id, soak: Some((input, verdict)), has_soak: true }]);
            assert_eq!(gate.answer, answer(verdict));
            gate
        })
    }

    fn waive(mut self, criterion: &str, until: i64) -> Self {
        let (reason, approver) = ("known".to_owned(), "j.doe".to_owned());
        self.waivers.push(Waiver { criterion: criterion.into(), reason, approver, until: UnixMs(until) });
        self
    }
}

#[test]
fn a_clean_week_passes_and_the_gate_says_go() {
    let gate = World::new().gate();
    assert_eq!((gate.answer, gate.earliest, gate.integrations[0].reasons.len()), (Answer::Go, None, 0));
}

#[test]
fn the_gate_never_says_go_on_anything_else() {
    let not_yet = |world: World, ruling: Ruling, words: &str| {
        let gate = world.gate();
        assert_eq!((world.ruling(), gate.answer), (ruling, Answer::NotYet), "{words}");
        let reasons = &gate.integrations[0].reasons;
        assert!(reasons.iter().any(|r| r.contains(words)), "{words}: {reasons:?}");
    };
    not_yet(World { now: S - HOUR_MS, runs: Vec::new(), ..World::new() }, Ruling::NotStarted, "the soak starts 2026-12-01T08:00:00Z");
    not_yet(World { now: S + WEEK - 1, ..World::new() }, Ruling::Running, "the window is not full");
    let mut unknown = World::new();
    unknown.runs.drain(100..1_000);
    not_yet(unknown, Ruling::InsufficientEvidence, "coverage: 91.07 % of 10080 due slots were run: 900 are missing");
    not_yet(World { superseded: true, ..World::new() }, Ruling::Superseded, "was changed in the configuration");
    let live = World { go_live: Some(S + WEEK), now: S + WEEK + 14 * DAY_MS, ..World::new() };
    assert_eq!((live.ruling(), live.gate().answer), (Ruling::Passed, Answer::Go), "valid for 14 days");
    not_yet(World { now: live.now + 1, ..live }, Ruling::Stale, "it passed at go-live");
    // The daemon has been dead for a while: the week still holds, but nobody knows about now.
    let mut silent = World::new();
    silent.runs.truncate(10_080 - 4);
    assert_eq!(silent.ruling(), Ruling::Passed);
    silent.now += 1;
    not_yet(silent, Ruling::Passed, "nothing has been recorded since");
    let doubts = vec!["the evidence log is broken".to_owned()];
    not_yet(World { doubts, ..World::new() }, Ruling::Passed, "the evidence log is broken");
    let mut asks = World::new();
    asks.policy.attest.push("uat_signoff".into());
    not_yet(asks, Ruling::Passed, "uat_signoff: nobody has attested it");
}

#[test]
fn failed_and_doomed_are_no_go() {
    let failed = World::new().with(0..101, Outcome::Fail);
    assert_eq!((failed.ruling(), failed.gate().answer), (Ruling::Failed, Answer::NoGo));
    let doomed = World { now: S + DAY_MS, ..failed };
    let gate = doomed.gate();
    assert_eq!((doomed.ruling(), gate.answer), (Ruling::Doomed, Answer::NoGo));
    assert!(gate.integrations[0].reasons[0].contains("2026-12-01T08:30:00Z"), "31 minutes of outage: {:?}", gate.integrations[0].reasons);
}

#[test]
fn the_worst_integration_decides_and_one_without_a_soak_is_not_judged() {
    let id = "acme/production/crm".parse().unwrap();
    let (good, bad) = (World::new(), World::new().with(0..200, Outcome::Fail));
    let both = good.see(|a, va| {
        bad.see(|b, vb| {
            let of = |soaks: &[Option<(&Input<'_>, &Verdict)>]| {
                let candidates: Vec<Candidate<'_>> = soaks.iter().map(|s| Candidate { id: &id, soak: *s, has_soak: s.is_some() }).collect();
                gate(&candidates)
            };
            [of(&[Some((a, va)), Some((b, vb))]), of(&[Some((a, va)), None]), of(&[None]), of(&[])]
        })
    });
    assert_eq!(both.each_ref().map(|g| g.answer), [Answer::NoGo, Answer::NotYet, Answer::NotYet, Answer::NotYet]);
    assert_eq!(both[1].integrations[1].reasons, ["it has no soak: nothing judges it"]);
    assert_eq!(both[2].reasons, ["no integration of the environment has a soak"]);
    assert_eq!(both[3].reasons, ["the environment has no integrations"]);
}

#[test]
fn an_integration_in_which_nothing_is_judged_shows_nothing() {
    let world = World { judged: false, ..World::new() };
    assert_eq!((world.ruling(), world.row(Criterion::Coverage)), (Ruling::InsufficientEvidence, (None, "no check is judged".into())));
}

#[test]
fn attestations_expire_and_can_be_waived() {
    let attested = |at: i64, until: Option<i64>| {
        let mut world = World::new();
        world.policy.attest.push("uat_signoff".into());
        world.attestations.push(Attestation {
            name: "uat_signoff".into(),
            value: Some("signed".into()),
            by: "jane".into(),
            at: UnixMs(at),
            until: until.map(UnixMs),
        });
        world
    };
    let end = S + WEEK;
    assert_eq!(attested(end - 1, None).gate().answer, Answer::Go);
    assert_eq!(attested(end - 1, Some(end + 1)).gate().answer, Answer::Go);
    let expired = attested(end - 1, Some(end));
    assert_eq!(expired.gate().answer, Answer::NotYet);
    let row = expired.see(shown).criteria.pop().unwrap();
    assert_eq!((row.name.as_str(), row.met, row.observed), ("uat_signoff", None, "signed".into()));
    assert!(row.reason.contains("which expired"), "{}", row.reason);
    assert_eq!(attested(end + 1, None).gate().answer, Answer::NotYet, "not attested yet at that time");
    assert_eq!(expired.waive("uat_signoff", end + 1).gate().answer, Answer::Go);
}

#[test]
fn a_waiver_counts_as_met_and_hides_nothing() {
    let failed = || World::new().with(0..40, Outcome::Fail);
    assert_eq!(failed().ruling(), Ruling::Failed);
    let waived = failed().waive("longest_outage", S + WEEK + 1);
    let gate = waived.gate();
    assert_eq!((waived.ruling(), gate.answer), (Ruling::Passed, Answer::Go));
    let row = waived.see(shown).criteria.into_iter().find(|r| r.name == "longest_outage").unwrap();
    assert_eq!((row.met, row.observed, row.waived.unwrap().approver.as_str()), (Some(true), 2400.into(), "j.doe"));
    assert!(row.reason.contains("an outage of 40m") && row.reason.contains("waived by j.doe until"), "{}", row.reason);
    assert!(gate.integrations[0].reasons[0].contains("waived by j.doe"), "a used waiver is told with a go, too");
    assert_eq!(failed().waive("longest_outage", S + WEEK).ruling(), Ruling::Failed, "it has expired");
    assert_eq!(failed().waive("coverage", S + WEEK + 1).ruling(), Ruling::Failed);
    // Neither does it doom: but what is not waived does.
    let early = |minutes| World { now: S + DAY_MS, ..World::new().with(0..minutes, Outcome::Fail) }.waive("longest_outage", S + WEEK);
    assert_eq!((early(40).ruling(), early(101).ruling()), (Ruling::Running, Ruling::Doomed));
    assert_eq!(early(101).see(|_, v| v.doomed_at), Some(UnixMs(S + 100 * MINUTE)));
    // A waiver for what holds is not used.
    assert_eq!(World::new().waive("coverage", S + WEEK + 1).see(shown).criteria[1].waived, None);
}

#[test]
fn what_was_never_observed_is_passed_over_unless_it_was_asked_for() {
    let beside = [Criterion::QuotaHeadroom, Criterion::CertificateDays, Criterion::Drift, Criterion::Incidents, Criterion::Reconciliation];
    for criterion in beside {
        let mut world = World::new();
        assert_eq!((world.met(criterion), world.ruling()), (None, Ruling::Passed));
        world.policy.declared.insert(criterion);
        assert_eq!(
            (world.row(criterion), world.ruling()),
            ((Some(false), "asked for, and never observed".into()), Ruling::InsufficientEvidence)
        );
        world.now -= 1;
        assert_eq!((world.met(criterion), world.ruling()), (None, Ruling::Running), "it may still come");
    }
    let day = |days: i64| Some(UnixMs(S + WEEK + days * DAY_MS));
    let incidents = |p1, open| Some(Incidents { p1, open, p1_in_last: None });
    type Change = fn(&mut Observations, bool);
    let changes: [(Criterion, Change); 5] = [
        (Criterion::QuotaHeadroom, |o, good| o.quota_headroom = Some(if good { 1.5 } else { 1.49 })),
        (Criterion::CertificateDays, |o, good| o.certificate_expiry = Some(UnixMs(S + WEEK + 30 * DAY_MS - i64::from(!good)))),
        (Criterion::Drift, |o, good| o.open_drifts = Some(u32::from(!good))),
        (Criterion::Incidents, |o, good| o.incidents = Some(Incidents { open: u32::from(!good), ..Incidents::default() })),
        (Criterion::Reconciliation, |o, good| o.reconciliation = Some(if good { 0.995 } else { 0.9949 })),
    ];
    for (criterion, change) in changes {
        for good in [true, false] {
            let mut world = World::new();
            change(&mut world.seen, good);
            assert_eq!(world.met(criterion), Some(good), "{criterion}");
            assert_eq!(world.ruling(), if good { Ruling::Passed } else { Ruling::Failed }, "{criterion}");
            world.now -= MINUTE;
            assert_eq!((world.met(criterion), world.ruling()), (None, Ruling::Running), "{criterion}: it may change");
        }
    }
    let mut world = World { now: S + DAY_MS, ..World::new() };
    world.seen.certificate_expiry = day(29);
    assert_eq!(world.row(Criterion::CertificateDays).1, "so far the certificate that ends first has 29 days left at the window's end");
    world.seen.incidents = incidents(1, 0);
    assert_eq!(world.ruling(), Ruling::Running, "a P1 of a window that may have moved on by then");
    world.seen.incidents = Some(Incidents { p1: 1, open: 0, p1_in_last: Some(UnixMs(S + HOUR_MS)) });
    assert_eq!((world.ruling(), world.see(|_, v| v.doomed_at)), (Ruling::Doomed, Some(UnixMs(S + HOUR_MS))));
}

#[test]
fn every_run_counts_where_runs_are_rare() {
    let rare = |minutes: std::ops::Range<usize>, outcome| {
        let mut world = World { judge: Judge::Every, ..World::new().with(minutes, outcome) };
        world.policy.window = Span::seconds(3600);
        world.now = S + HOUR_MS;
        world
    };
    let all = rare(0..0, Outcome::Pass);
    assert_eq!((all.ruling(), all.met(Criterion::SampleSize), all.met(Criterion::SuccessRatio)), (Ruling::Passed, None, None));
    assert_eq!(all.row(Criterion::EveryRun), (Some(true), "all 60 due runs were there and passed".into()));
    assert_eq!(rare(3..4, Outcome::Fail).ruling(), Ruling::Failed);
    assert_eq!(rare(3..4, Outcome::Unknown).ruling(), Ruling::InsufficientEvidence, "not all of them were there");
    assert_eq!(rare(3..4, Outcome::NotDue).ruling(), Ruling::Passed);
    assert_eq!(all.see(|_, v| v.budget), Budget { allowed: 0, used: 0, left: 0, check: Some(0) });
}

#[test]
fn an_exclusion_revokes_and_stays_beside() {
    let mut world = World { now: S + DAY_MS, ..World::new().with(0..101, Outcome::Fail) };
    assert_eq!(world.ruling(), Ruling::Doomed);
    world.exclusions.push(Exclusion { from: UnixMs(S), to: UnixMs(S + 101 * MINUTE) });
    world.see(|_, v| {
        assert_eq!((v.ruling, v.doomed_at), (Ruling::Running, None));
        assert_eq!((v.counts.fail, v.counts.due(), v.adjusted.fail, v.adjusted.due()), (101, 1440, 0, 1339));
        assert_eq!(v.checks[0].excluded, 101);
    });
}

#[test]
fn exclusions_are_made_tidy() {
    let x = |from, to| Exclusion { from: UnixMs(from), to: UnixMs(to) };
    assert_eq!(Exclusion::tidy(vec![x(5, 9), x(1, 3), x(3, 4), x(8, 12), x(20, 20), x(6, 7)]), [x(1, 4), x(5, 12)]);
}

#[test]
fn maintenance_is_taken_out_up_to_a_twentieth_of_the_window() {
    let world = |minutes| World::new().with(0..minutes, Outcome::NotDue);
    world(504).see(|_, v| assert_eq!((v.ruling, v.counts.due(), v.counts.unknown, v.checks[0].not_due), (Ruling::Passed, 9576, 0, 504)));
    world(600).see(|_, v| assert_eq!((v.ruling, v.counts.due(), v.counts.unknown), (Ruling::Passed, 9576, 96)));
    // 504 are taken out, and more than 5 % of what is left is missing.
    world(504 + 479).see(|_, v| assert_eq!((v.ruling, v.counts.unknown), (Ruling::InsufficientEvidence, 479)));
}

#[test]
fn wilson_makes_the_target_what_was_shown() {
    let wilson = |failures| {
        let mut world = World::new().with(0..failures, Outcome::Fail);
        world.policy.confidence = Confidence::Wilson95;
        world.policy.longest_outage = Span::days(1);
        world
    };
    // The lower end of 9,999 of 10,080 is 0.99003, of 9,998 it is 0.98992: the plain ratio would take 100 failures.
    assert_eq!(wilson(0).see(|_, v| v.budget.allowed), 81);
    assert_eq!((wilson(81).ruling(), wilson(82).ruling()), (Ruling::Passed, Ruling::Failed));
    assert!(
        wilson(81).row(Criterion::SuccessRatio).1.contains("which shows at least 99 %"),
        "{:?}",
        wilson(81).row(Criterion::SuccessRatio)
    );
}

#[test]
fn an_outage_that_a_missing_run_may_have_ended_is_not_certain() {
    // 40 minutes in a row, and in their middle one nobody knows about.
    let world = World::new().with(100..141, Outcome::Fail).with(120..121, Outcome::Unknown);
    assert_eq!((world.ruling(), world.met(Criterion::LongestOutage)), (Ruling::InsufficientEvidence, None));
    assert_eq!(world.see(|_, v| v.checks[0].outage), Some((UnixMs(S + 100 * MINUTE), 40 * MINUTE)));
    assert_eq!(World::new().with(100..152, Outcome::Fail).with(120..121, Outcome::Unknown).ruling(), Ruling::Failed);
}

#[test]
fn the_object_begins_with_the_agreed_keys() {
    let world = World { now: S + DAY_MS, ..World::new().with(0..101, Outcome::Fail) };
    let text = serde_json::to_string(&world.see(shown)).unwrap();
    let mut from = 0;
    let keys = ["verdict", "as_of", "doomed_at", "window", "start", "end", "criteria", "name", "threshold", "observed", "met", "reason"];
    let counts = ["counts", "due", "pass", "fail", "throttled", "unknown", "skipped", "budget", "allowed", "used", "left"];
    for key in keys.iter().chain(&counts) {
        let at = text[from..].find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} in order: {text}"));
        from += at + 1;
    }
    assert!(
        text.starts_with("{\"verdict\":\"doomed\",\"as_of\":\"2026-12-02T08:00:00Z\",\"doomed_at\":\"2026-12-01T08:30:00Z\",\"window\":{")
    );
    let names: Vec<String> = world.see(shown).criteria.into_iter().map(|r| r.name).collect();
    let want: Vec<&str> = Criterion::ALL.iter().filter(|c| **c != Criterion::EveryRun).map(|c| c.as_str()).collect();
    assert_eq!(names, want);
}

/// A fold is kept for every check of every soak: 10,000 of them must not fill a small machine.
#[test]
fn a_living_fold_is_small() {
    let mut world = World::new();
    world.policy.success_ratio = Ratio(0.99);
    // Go-live days after the first window, so that two further windows are followed; a run every 30 s with durations from 20 ms to over a second;
    // 1 % fails, spread over most hours, and the daemon was restarted each day.
    let rules =
        Rules { policy: &world.policy, judge: Judge::Ratio, throttled_excluded: false, grid: Some(Grid::new(0, 30_000)), exclusions: &[] };
    let frame = Frame::at(UnixMs(S), Span::days(7), Some(UnixMs(S + 9 * DAY_MS)), UnixMs(S + WEEK));
    let runs: Vec<Run> = (0..20_160i64)
        .map(|n| {
            let chance = n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64).unsigned_abs();
            let outcome = if chance % 100 == 0 { Outcome::Fail } else { Outcome::Pass };
            let missing = n % 2_880 < 3;
            let outcome = if missing { Cause::Down.outcome() } else { outcome };
            Run { interval_ms: 30_000, duration: DurationCode(110 + (chance / 128 % 85) as u16), ..run(S + n * 30_000, outcome) }
        })
        .collect();
    let fold = CheckFold::of(&frame, &rules, &runs);
    assert!(fold.bytes() <= 1229, "{} bytes", fold.bytes());
}
