//! The judge against the oracle: made histories of every sort, and both must say the same of every number and every word.
//!
//! Nothing in here is local time: the histories lie on days on which clocks are put forward or back somewhere, and nothing comes of it.

mod plain;

use std::collections::BTreeSet;
use std::time::Duration;

use plain::{Asked, Case, Check, HOUR};
use proptest::prelude::*;
use soakwatch::clock::UnixMs;
use soakwatch::fields::{CheckId, Ratio, Span};
use soakwatch::outcome::{Cause, Criticality, Outcome};
use soakwatch::record::{Counts, DurationCode, Run};
use soakwatch::slots::grid::Grid;
use soakwatch::soak::{
    CheckFold, CheckInput, Confidence, Doubts, Exclusion, Frame, Input, Judge, Observations, Policy, Row, Rules, Ruling, Verdict,
    earliest_pass, frame, judge,
};

const MINUTE: i64 = 60_000;

/// A span in which the usual does not hold.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Every run fails.
    Outage,
    /// Every run is throttled.
    Throttling,
    /// The daemon was not there; written as one span when it came back.
    Down,
    /// The same, and the wall clock jumped.
    ClockJump,
    /// Declared beforehand.
    Maintenance,
    /// We chose not to run.
    Held,
    /// Lost: nobody wrote anything.
    Lost,
    /// Passing, and slow.
    Slow,
}

const EVENTS: [Event; 8] =
    [Event::Outage, Event::Throttling, Event::Down, Event::ClockJump, Event::Maintenance, Event::Held, Event::Lost, Event::Slow];

/// Something that happens to a check: what, from which minute on, for how many minutes.
type Happening = (Event, i64, i64);

/// The history of one check from `from` until `to`, as the daemon would have written it: spans for what nobody ran, single runs for the rest.
fn history(check: &Check, from: i64, to: i64, happenings: &[Happening], noise: &[u8]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let first = from + (check.phase - from).rem_euclid(check.interval);
    let slots = (0..).map(|k| first + k * check.interval).take_while(|t| *t < to);
    for (n, slot) in slots.enumerate() {
        let minute = (slot - from) / MINUTE;
        let noise = noise.get(n % noise.len().max(1)).copied().unwrap_or(0);
        let event = happenings.iter().find(|(_, start, length)| (*start..start + length).contains(&minute)).map(|(e, ..)| *e);
        let run = |outcome, code| Run {
            slot: UnixMs(slot),
            interval_ms: check.interval as u32,
            count: 1,
            outcome,
            class: None,
            cause: None,
            attribution: None,
            duration: DurationCode(code),
            attempts: 1,
            first_attempt_passed: outcome == Outcome::Pass && noise % 7 != 0,
        };
        let nobody = |cause: Cause| Run { cause: Some(cause), attempts: 0, ..run(cause.outcome(), 0) };
        let next = match event {
            Some(Event::Outage) => run(Outcome::Fail, 300),
            Some(Event::Throttling) => run(Outcome::Throttled, 100),
            Some(Event::Down) => nobody(Cause::Down),
            Some(Event::ClockJump) => nobody(Cause::Clock),
            Some(Event::Maintenance) => nobody(Cause::Maintenance),
            Some(Event::Held) => nobody(Cause::RateLimit),
            Some(Event::Lost) => continue,
            Some(Event::Slow) => run(Outcome::Pass, 200),
            None => match noise {
                0..4 => run(Outcome::Fail, 250),
                4..6 => run(Outcome::Throttled, 100),
                6 => nobody(Cause::SelfCheck),
                7 => nobody(Cause::HostBusy),
                8..20 => run(Outcome::Pass, 190),
                _ => run(Outcome::Pass, 150 + u16::from(noise % 16)),
            },
        };
        match runs.last_mut() {
            Some(last)
                if next.attempts == 0
                    && (last.cause, last.outcome) == (next.cause, next.outcome)
                    && last.last_slot().0 + check.interval == slot =>
            {
                last.count += 1;
            }
            _ => runs.push(next),
        }
    }
    runs
}

/// A day on which clocks change in Europe, one on which they change in the United States, a leap day, and the turn of a year.
const STARTS: [i64; 4] = [1_774_742_400_000, 1_793_491_200_000, 1_835_395_200_000, 1_798_675_200_000];

fn asked() -> impl Strategy<Value = Asked> {
    let shares = (prop_oneof![Just(500), Just(800), Just(900), Just(950)], prop_oneof![Just(500), Just(900), Just(950)]);
    let rest = (any::<bool>(), 1..90i64, proptest::option::of(155..200u16), prop_oneof![Just(10), Just(100), Just(500)]);
    (1..5i64, shares, rest).prop_map(|(window_h, (success, coverage), (wilson, outage_minutes, p95, throttled))| Asked {
        window_h,
        success,
        wilson,
        coverage,
        outage_ms: outage_minutes * MINUTE,
        p95: p95.map(DurationCode),
        throttled,
    })
}

/// A check before it has a history: interval in seconds, phase, judged, every, throttled excluded; happenings, noise, exclusions by minute.
type Sketch = ((i64, i64, bool, bool, bool), Vec<Happening>, Vec<u8>, Vec<(i64, i64)>);

fn sketch(intervals: &'static [i64]) -> impl Strategy<Value = Sketch> {
    let about = (
        proptest::sample::select(intervals),
        0..MINUTE,
        prop_oneof![9 => Just(true), 1 => Just(false)],
        prop_oneof![4 => Just(false), 1 => Just(true)],
        any::<bool>(),
    );
    let event = prop_oneof![2 => Just(Event::Outage), 5 => proptest::sample::select(&EVENTS[..])];
    let happening = (event, 0..600i64, 1..120i64);
    let noise = prop_oneof![
        Just(vec![100u8]),
        proptest::collection::vec(any::<u8>(), 1..100),
        proptest::collection::vec(prop_oneof![1 => 0..12u8, 30 => 20..=255u8], 40..200)
    ];
    let exclusions = prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec((0..600i64, 1..100i64), 1..3)];
    (about, proptest::collection::vec(happening, 0..5), noise, exclusions)
}

fn cases(intervals: &'static [i64]) -> impl Strategy<Value = Case> {
    let times = (proptest::sample::select(&STARTS[..]), 0..120i64, proptest::option::of(0..600i64), 0..600i64);
    (asked(), proptest::collection::vec(sketch(intervals), 1..3), times).prop_map(|(asked, sketches, (start, since, go_live, now))| {
        // The history begins at `start`; the soak (or the configuration it was last changed to) up to two hours later.
        let since_ms = start + since * MINUTE + 17;
        let go_live = go_live.map(|m| since_ms + m * MINUTE);
        let now = start + now * MINUTE + 431;
        let checks = sketches.into_iter().map(|((seconds, phase, judged, every, throttled_excluded), happenings, noise, exclusions)| {
            let interval = seconds * 1000;
            let exclusions = exclusions.into_iter().map(|(m, n)| (start + m * MINUTE, (start + (m + n) * MINUTE).min(now)));
            let exclusions = exclusions.filter(|(from, to)| from < to).collect();
            let check = Check {
                interval,
                phase: phase % interval,
                judged,
                every,
                throttled_excluded,
                runs: Vec::new(),
                recorded: Default::default(),
                exclusions,
            };
            // The last slot may still be running; or the clock was set back, and what lies ahead is recorded already.
            let until = [now, now - interval, now + 30 * MINUTE][noise.len() % 3];
            let runs = history(&check, start, until, &happenings, &noise);
            Check { recorded: Check::slots_of(&runs), runs, ..check }
        });
        let checks = checks.collect();
        Case { asked, checks, since: since_ms, go_live, now }
    })
}

fn policy(case: &Case) -> Policy {
    let a = &case.asked;
    let share = |thousandths: i64| Ratio(thousandths as f64 / 1000.0);
    Policy {
        window: Span(Duration::from_secs(a.window_h as u64 * 3600)),
        success_ratio: share(a.success),
        confidence: if a.wilson { Confidence::Wilson95 } else { Confidence::Ratio },
        coverage: share(a.coverage),
        longest_outage: Span(Duration::from_millis(a.outage_ms as u64)),
        // To the nanosecond above what the code stands for.
        latency_p95: a.p95.map(|code| Span(Duration::from_secs_f64(code.seconds()) + Duration::from_nanos(1))),
        throttled_ratio: share(a.throttled),
        ..Policy::new(Criticality::Normal, UnixMs(case.since))
    }
}

fn rules<'a>(case: &Case, n: usize, policy: &'a Policy, exclusions: &'a [Exclusion]) -> Rules<'a> {
    let check = &case.checks[n];
    Rules {
        policy,
        judge: if check.every { Judge::Every } else { Judge::Ratio },
        throttled_excluded: check.throttled_excluded,
        grid: Some(Grid::new(check.phase as u64, check.interval)),
        exclusions,
    }
}

/// What the engine says of a case, in the frame of its own; `look` is shown the input too.
fn engine<R>(case: &Case, look: impl FnOnce(&Input<'_>, &Verdict) -> R) -> R {
    let policy = policy(case);
    let exclusions: Vec<Vec<Exclusion>> = case
        .checks
        .iter()
        .map(|c| Exclusion::tidy(c.exclusions.iter().map(|(from, to)| Exclusion { from: UnixMs(*from), to: UnixMs(*to) }).collect()))
        .collect();
    let ids: Vec<CheckId> = (0..case.checks.len()).map(|n| format!("acme/production/crm/check-{n}").parse().unwrap()).collect();
    let (go_live, now) = (case.go_live.map(UnixMs), UnixMs(case.now));
    let at = Frame::at(UnixMs(case.since), policy.window, go_live, now);
    let rules: Vec<Rules<'_>> = (0..case.checks.len()).map(|n| rules(case, n, &policy, &exclusions[n])).collect();
    let folds: Vec<CheckFold> = case.checks.iter().zip(&rules).map(|(c, r)| CheckFold::of(&at, r, &c.runs)).collect();
    let checks: Vec<CheckInput<'_>> =
        (0..ids.len()).map(|n| CheckInput { id: &ids[n], judged: case.checks[n].judged, rules: rules[n], fold: &folds[n] }).collect();
    let seen = Observations::default();
    let input = Input {
        now,
        policy: &policy,
        since: UnixMs(case.since),
        go_live,
        superseded: false,
        checks: &checks,
        seen: &seen,
        waivers: &[],
        attestations: &[],
        doubts: Doubts::default(),
    };
    assert_eq!(at, frame(&input));
    look(&input, &judge(&input))
}

fn as_list(c: &Counts) -> [u64; 5] {
    [c.pass, c.fail, c.throttled, c.skipped, c.unknown]
}

/// Compares everything but when it was doomed.
fn compare(case: &Case, v: &Verdict) {
    assert_eq!((v.window.start.0, v.window.end.0), case.window());
    assert_eq!(v.ruling.as_str(), case.ruling(), "{v:#?}");
    let mut total = [0; 5];
    for (check, standing) in case.checks.iter().zip(&v.checks) {
        let want = case.numbers(check);
        assert_eq!(as_list(&standing.counts), want.raw);
        assert_eq!(as_list(&standing.adjusted), want.adjusted);
        assert_eq!((standing.not_due, standing.excluded), (want.not_due, want.excluded));
        let n = want.adjusted[0] + want.adjusted[1] + if check.throttled_excluded { 0 } else { want.adjusted[2] };
        let ratio = |part: u64| (n > 0).then(|| part as f64 / n as f64);
        assert_eq!((standing.ratio, standing.first_attempts), (ratio(want.adjusted[0]), ratio(want.first_attempts)));
        let due: u64 = want.adjusted.iter().sum();
        let counted: u64 = want.adjusted[..3].iter().sum();
        assert_eq!(standing.coverage, (due > 0).then(|| counted as f64 / due as f64));
        assert_eq!(standing.outage.map_or(0, |(_, ms)| ms), want.outage_ms);
        assert_eq!(standing.gap.map_or(0, |(_, ms)| ms), want.gap_ms);
        assert_eq!(standing.p95, want.p95);
        if check.judged {
            total.iter_mut().zip(want.raw).for_each(|(sum, n)| *sum += n);
        }
    }
    assert_eq!(as_list(&v.counts), total);
    if v.ruling != Ruling::NotStarted {
        assert_eq!((v.budget.allowed, v.budget.used, v.budget.left), case.budget());
    }
    // Decided criteria never contradict the ruling.
    let met: Vec<Option<bool>> = v.rows.iter().map(Row::met).collect();
    assert!(v.ruling != Ruling::Passed || !met.contains(&Some(false)), "{v:#?}");
    assert!(!matches!(v.ruling, Ruling::Failed | Ruling::Doomed) || met.contains(&Some(false)) || case.checks.len() > 1, "{v:#?}");
}

/// Intervals that divide the hour, in seconds.
const EVEN: &[i64] = &[60, 180, 300, 360, 600, 900, 1200, 1800, 3600];
/// Those and others.
const ANY: &[i64] = &[50, 77, 240, 300, 420, 660, 780, 900, 1500, 2700, 3599, 5400, 5700];

/// So many cases, or as many as `PROPTEST_CASES` says.
fn so_many(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases }, ..default }
}

proptest! {
    #![proptest_config(so_many(4000))]

    #[test]
    fn the_engine_says_what_the_oracle_says(case in cases(EVEN)) {
        engine(&case, |_, v| {
            compare(&case, v);
            // With windows that move, what was excluded afterwards would be known beforehand in one of the two.
            let comparable = case.go_live.is_none() || case.checks.iter().all(|c| c.exclusions.is_empty());
            let said = v.ruling == Ruling::Doomed || (v.ruling == Ruling::Failed && (case.window().0 == case.since || case.go_live.is_some_and(|g| g <= case.now)));
            if comparable && said {
                assert_eq!(v.doomed_at.map(|t| t.0), case.doomed_at(), "{v:#?}");
            } else if !said {
                assert_eq!(v.doomed_at, None);
            }
        });
    }
}

proptest! {
    #![proptest_config(so_many(1500))]

    /// Windows that hold a slot more or less, depending on where they begin: never said too early that nothing can pass any more.
    #[test]
    fn intervals_that_do_not_divide_the_hour(case in cases(ANY)) {
        engine(&case, |_, v| {
            let (ours, theirs) = (v.ruling.as_str(), case.ruling());
            if ours == theirs {
                compare(&case, v);
            } else {
                assert!(theirs == "doomed" && ["running", "failed", "insufficient_evidence"].contains(&ours), "{ours}, {theirs}: {v:#?}");
            }
        });
    }

    /// One run after the other into a living fold, or all at once from the store: the same.
    #[test]
    fn a_fold_that_lives_is_one_that_was_rebuilt(case in cases(EVEN)) {
        let policy = policy(&case);
        for (n, check) in case.checks.iter().enumerate() {
            let rules = rules(&case, n, &policy, &[]);
            let at = Frame::at(UnixMs(case.since), policy.window, case.go_live.map(UnixMs), UnixMs(case.now));
            let mut living = CheckFold::new(&at, &rules);
            for run in check.runs.iter().filter_map(|r| r.clip(UnixMs(i64::MIN), at.window.end)) {
                // Spans come in pieces.
                let middle = UnixMs(run.slot.0 + run.step() * i64::from(run.count / 2));
                for part in [run.clip(UnixMs(i64::MIN), middle), run.clip(middle, UnixMs(i64::MAX))].into_iter().flatten() {
                    assert!(living.take(&part, &rules));
                    let counts = case.go_live.is_none_or(|g| part.last_slot().0 < g);
                    assert!(!counts || !living.take(&part, &rules), "twice is once");
                }
            }
            prop_assert!(living.fits(&at));
            prop_assert_eq!(&living, &CheckFold::of(&at, &rules, &check.runs));
            let mut shuffled: Vec<Run> = check.runs.iter().rev().copied().collect();
            shuffled.extend(check.runs.last().copied());
            prop_assert_eq!(&living, &CheckFold::of(&at, &rules, &shuffled));
        }
    }

    /// Nothing passes before the time that was given for it.
    #[test]
    fn nothing_passes_earlier_than_was_said(case in cases(EVEN)) {
        let earliest = engine(&case, earliest_pass);
        let until = earliest.map_or(case.now + 8 * HOUR, |t| t.0);
        let ends = (0..).map(|h| case.since + h * HOUR).skip_while(|t| *t <= case.now).take_while(|t| *t < until);
        for later in ends.take(9) {
            let mut then = Case { now: later, ..case.clone() };
            for check in &mut then.checks {
                let (from, quiet) = (case.now, [100u8]);
                check.runs = check.runs.iter().filter_map(|r| r.clip(UnixMs(i64::MIN), UnixMs(from))).collect();
                let newest = check.runs.last().map_or(from, |r| r.last_slot().0 + 1).max(from - check.interval);
                check.runs.extend(history(check, newest, later, &[], &quiet));
                check.recorded = Check::slots_of(&check.runs);
            }
            if case.go_live.is_some_and(|g| g <= case.now) {
                break;
            }
            prop_assert!(engine(&then, |_, v| v.ruling != Ruling::Passed || earliest.is_some_and(|t| t.0 <= case.now)));
        }
    }
}

/// A case of one check every 7 minutes, judged by wilson95 at 90 %: 35 runs can show it, 34 can't.
fn sevens(window_h: i64, outage_ms: i64, (since, go_live, now): (i64, Option<i64>, i64), phase: i64, runs: &[(i64, u32, Outcome)]) -> Case {
    let run = |(slot, count, outcome): &(i64, u32, Outcome)| Run {
        slot: UnixMs(*slot),
        interval_ms: 420_000,
        count: *count,
        outcome: *outcome,
        class: None,
        cause: None,
        attribution: None,
        duration: DurationCode(154),
        attempts: u8::from(outcome.counted()),
        first_attempt_passed: false,
    };
    let runs: Vec<Run> = runs.iter().map(run).collect();
    let recorded = Check::slots_of(&runs);
    let check =
        Check { interval: 420_000, phase, judged: true, every: false, throttled_excluded: false, runs, recorded, exclusions: Vec::new() };
    let asked = Asked { window_h, success: 900, wilson: true, coverage: 500, outage_ms, p95: None, throttled: 10 };
    Case { asked, checks: vec![check], since, go_live, now }
}

/// Of 35 slots wilson95 lets none fail; with one that was not due 34 are left, too few to fail by. It stays doomed: it can't pass either way.
#[test]
fn what_was_lost_stays_lost_when_too_few_runs_are_left() {
    use Outcome::{Fail, NotDue, Unknown};
    let runs = [
        (1_774_742_760_017, 9, Unknown),
        (1_774_746_540_017, 1, Fail),
        (1_774_746_960_017, 9, Unknown),
        (1_774_750_740_017, 1, Fail),
        (1_774_751_160_017, 1, NotDue),
    ];
    let case = sevens(4, 420_000, (1_774_743_960_017, None, 1_774_751_580_431), 17, &runs);
    let said = engine(&case, |_, v| (v.ruling.as_str(), v.doomed_at.map(|t| t.0)));
    assert_eq!(said, (case.ruling(), case.doomed_at()));
    assert_eq!(said, ("doomed", Some(1_774_746_540_017)));
}

/// The windows that can still come hold 34 slots or 35: what only the latter can't take dooms nothing.
#[test]
fn nothing_is_doomed_by_a_slot_that_no_window_may_hold() {
    use Outcome::{Fail, Pass, Unknown};
    let mut runs: Vec<(i64, u32, Outcome)> =
        (0..39).map(|n| (1_835_395_380_000 + n * 420_000, 1, if n == 0 { Pass } else { Fail })).collect();
    runs.extend((39..42).map(|n| (1_835_395_380_000 + n * 420_000, 1, Pass)));
    runs.extend([(1_835_413_020_000, 1, Unknown), (1_835_413_440_000, 1, Pass), (1_835_413_860_000, 3, Unknown)]);
    runs.extend([(1_835_415_120_000, 1, Fail), (1_835_415_540_000, 1, Fail), (1_835_415_960_000, 1, Pass), (1_835_416_380_000, 1, Fail)]);
    let case = sevens(3, 840_000, (1_835_396_940_017, Some(1_835_425_740_017), 1_835_416_380_431), 0, &runs);
    assert_eq!((engine(&case, |_, v| v.ruling.as_str()), case.ruling()), ("failed", "failed"));
}

/// A window that an exclusion leaves too few runs does not keep up a soak whose later windows are all lost.
#[test]
fn a_window_that_can_show_nothing_keeps_nothing_up() {
    let mut case = sevens(3, 300_000, (1_774_742_640_017, Some(1_774_764_240_017), 1_774_760_400_431), 0, &[]);
    let fails = |slot: i64| if slot == 1_774_760_100_000 { Outcome::Fail } else { Outcome::Pass };
    let slots = (0..60).map(|n| 1_774_742_400_000 + n * 300_000);
    let made = sevens(3, 300_000, (0, None, 0), 0, &slots.map(|slot| (slot, 1, fails(slot))).collect::<Vec<_>>());
    let check = &mut case.checks[0];
    check.runs = made.checks[0].runs.iter().map(|r| Run { interval_ms: 300_000, ..*r }).collect();
    (check.interval, check.exclusions) = (300_000, vec![(1_774_745_880_000, 1_774_750_860_000)]);
    check.recorded = Check::slots_of(&check.runs);
    assert_eq!((engine(&case, |_, v| v.ruling.as_str()), case.ruling()), ("doomed", "doomed"));
}

/// The oracle's own bearings: the histories reach every ruling that runs alone can give, so that agreeing with it means something.
#[test]
fn the_histories_reach_every_ruling() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..400 {
        let case = cases(EVEN).new_tree(&mut runner).unwrap().current();
        seen.insert(case.ruling());
    }
    let all = ["doomed", "failed", "insufficient_evidence", "not_started", "passed", "running"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}
