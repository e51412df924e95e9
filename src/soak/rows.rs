//! Every criterion of a verdict: what was seen of the worst check, and what comes of it. Pure numbers.

use super::exact::{Share, reaches};
use super::fold::{NEVER, slots_in};
use super::given::{CheckInput, Input};
use super::policy::{Confidence, Criterion, Judge};
use super::standing::{judged_runs, pending, sums};
use super::track::{CAN_BE_LOST, Track};
use super::verdict::{Name, Row, Standing, State, Value};
use super::window::{Frame, Window};
use crate::clock::UnixMs;
use crate::fields::Ratio;

/// One judged check, as the criteria look at it.
pub(super) struct Judged<'a> {
    /// Its number in the input.
    index: u32,
    input: &'a CheckInput<'a>,
    standing: &'a Standing,
    /// Which of [`CAN_BE_LOST`] can't hold any more.
    lost: [bool; 5],
    frame: &'a Frame,
    now: UnixMs,
}

/// A window that may still pass.
struct Aim {
    /// Runs of it that the ratio is taken over, and those that coverage counts.
    judged: u64,
    counted: u64,
    /// Slots of it that are still to come.
    to_come: u64,
    /// Slots that are due in all of it.
    due: u64,
    /// It is the one that is shown: what was seen of it is all there was.
    shown: bool,
}

impl<'a> Judged<'a> {
    pub(super) fn new(index: u32, input: &'a CheckInput<'a>, standing: &'a Standing, frame: &'a Frame, now: UnixMs) -> Self {
        let mut lost = [false; 5];
        if frame.is_over() {
            let due = standing.slots.unwrap_or_else(|| standing.adjusted.due());
            lost = sums(input).lost(&input.rules, Some(due));
        } else {
            for (which, lost) in lost.iter_mut().enumerate() {
                let mut ahead = input.fold.ahead.iter().filter(|t| t.window.end > now).peekable();
                *lost = ahead.peek().is_some() && ahead.all(|t| t.lost.get(which).is_some_and(|at| *at != NEVER));
            }
        }
        Self { index, input, standing, lost, frame, now }
    }

    /// Whether not one run of the window counts.
    pub(super) fn ran_never(&self) -> bool {
        self.standing.adjusted.counted() == 0
    }

    /// While the window is not over: the windows it may still pass in, the last one first. `None`: nobody knows how many runs come.
    fn aims(&self) -> impl Iterator<Item = Option<Aim>> {
        let (fold, rules, frame, now) = (self.input.fold, &self.input.rules, self.frame, self.now);
        let ahead = fold.ahead.iter().filter(move |t| !frame.is_over() && t.window.end > now);
        ahead.map(move |track: &Track| {
            let rest = Window { start: frame.window.end.max(track.window.start), end: track.window.end };
            let waits = pending(self.input, frame, now).is_some_and(|slot| slot >= track.window.start);
            let [pass, fail, throttled] = [track.sums.pass, track.sums.fail, track.sums.throttled].map(u64::from);
            Some(Aim {
                judged: pass + fail + if rules.throttled_excluded { 0 } else { throttled },
                counted: pass + fail + throttled,
                to_come: slots_in(rest, rules)? + u64::from(waits),
                due: track.due()?,
                shown: track.window.start == frame.window.start,
            })
        })
    }

    fn lost(&self, criterion: Criterion) -> bool {
        CAN_BE_LOST.iter().zip(self.lost).any(|(c, lost)| *c == criterion && lost)
    }

    /// Whether it will hold although all that is to come is as bad as can be.
    fn secure(&self, holds: impl Fn(&Aim) -> bool) -> bool {
        self.aims().next().flatten().is_some_and(|aim| aim.shown && holds(&aim))
    }

    /// Whether too little is to come, in every window that may still pass.
    fn hopeless(&self, fails: impl Fn(&Aim) -> bool) -> bool {
        let mut aims = self.aims().peekable();
        aims.peek().is_some() && aims.all(|aim| aim.is_some_and(|a| fails(&a)))
    }

    fn seen(&self, observed: Value, behind: u64, so_far: Option<bool>, state: State, margin: f64) -> Seen {
        Seen { state, so_far, margin, observed, behind, check: Some(self.index) }
    }

    /// A criterion that can be lost, or is met by what was observed once the window is over.
    fn state(&self, criterion: Criterion, so_far: Option<bool>, secure: bool) -> State {
        match (self.frame.is_over(), so_far) {
            _ if self.lost(criterion) => State::Lost,
            (true, Some(true)) => State::Met,
            (false, _) if secure => State::Met,
            _ => State::Open,
        }
    }

    fn success_ratio(&self) -> Option<Seen> {
        let (policy, rules, counts) = (self.input.rules.policy, &self.input.rules, &self.standing.adjusted);
        if rules.judge != Judge::Ratio {
            return None;
        }
        let (pass, n) = (counts.pass, judged_runs(counts, rules));
        let reached = |n| reaches(policy.success_ratio, policy.confidence, pass, n);
        let so_far = (n > 0).then(|| reached(n));
        let state = self.state(Criterion::SuccessRatio, so_far, self.secure(|aim| n > 0 && reached(n + aim.to_come)));
        let ratio = if policy.confidence == Confidence::Wilson95 { self.standing.lower } else { self.standing.ratio };
        Some(self.seen(number(ratio), n, so_far, state, ratio.unwrap_or(2.0)))
    }

    fn coverage(&self) -> Seen {
        let (counts, asked) = (&self.standing.adjusted, Share::of(self.input.rules.policy.coverage));
        let (counted, due) = (counts.counted(), counts.due());
        let so_far = (due > 0).then(|| asked.reached(counted, due));
        let state = match (self.frame.is_over(), so_far) {
            (true, Some(true)) => State::Met,
            (true, Some(false)) => State::Short,
            (true, None) => State::Open,
            (false, _) if self.hopeless(|aim| !asked.reached(aim.counted + aim.to_come, aim.due)) => State::Short,
            (false, _) if self.secure(|aim| asked.reached(aim.counted, aim.due)) => State::Met,
            (false, _) => State::Open,
        };
        self.seen(number(self.standing.coverage), due, so_far, state, self.standing.coverage.unwrap_or(2.0))
    }

    fn sample_size(&self) -> Option<Seen> {
        let rules = &self.input.rules;
        if rules.judge != Judge::Ratio {
            return None;
        }
        let n = judged_runs(&self.standing.adjusted, rules);
        let Some(needed) = Share::of(rules.policy.success_ratio).runs_needed() else {
            return Some(self.seen(Value::Whole(n), n, Some(false), State::Short, -1.0));
        };
        let enough = n >= needed;
        let state = match self.frame.is_over() {
            true if enough => State::Met,
            true => State::Short,
            false if self.hopeless(|aim| aim.judged + aim.to_come < needed) => State::Short,
            false if self.secure(|_| enough) => State::Met,
            false => State::Open,
        };
        Some(self.seen(Value::Whole(n), n, Some(enough), state, n as f64))
    }

    fn longest_outage(&self) -> Seen {
        let most = self.input.rules.policy.longest_outage.ms();
        let n = self.standing.adjusted.counted();
        let ms = self.standing.outage.map_or(0, |(_, ms)| ms);
        let so_far = (n > 0).then_some(ms <= most);
        let state = self.state(Criterion::LongestOutage, so_far, false);
        self.seen(if n > 0 { Value::Number(ms as f64 / 1000.0) } else { Value::Absent }, n, so_far, state, -(ms as f64))
    }

    fn latency_p95(&self) -> Option<Seen> {
        let most = self.input.rules.policy.latency_p95?.0.as_secs_f64();
        let seconds = self.standing.p95.map(|code| code.seconds());
        let so_far = seconds.map(|s| s <= most);
        let state = self.state(Criterion::LatencyP95, so_far, false);
        Some(self.seen(number(seconds), self.standing.adjusted.pass, so_far, state, -seconds.unwrap_or(0.0)))
    }

    fn throttled_ratio(&self) -> Seen {
        let (counts, most) = (&self.standing.adjusted, Share::of(self.input.rules.policy.throttled_ratio));
        let (throttled, counted) = (counts.throttled, counts.counted());
        let so_far = (counted > 0).then(|| most.kept(throttled, counted));
        let secure = self.secure(|aim| counted > 0 && most.kept(throttled + aim.to_come, counted + aim.to_come));
        let ratio = (counted > 0).then(|| throttled as f64 / counted as f64);
        let state = self.state(Criterion::ThrottledRatio, so_far, secure);
        self.seen(number(ratio), counted, so_far, state, -ratio.unwrap_or(0.0))
    }

    fn every_run(&self) -> Option<Seen> {
        let (rules, counts) = (&self.input.rules, &self.standing.adjusted);
        if rules.judge != Judge::Every {
            return None;
        }
        let bad = self.standing.budget.used;
        let missing = counts.skipped + counts.unknown;
        let so_far = (counts.due() > 0).then_some(bad == 0 && missing == 0);
        let state = self.state(Criterion::EveryRun, so_far, false);
        Some(self.seen(Value::Whole(bad + missing), counts.due(), so_far, state, -(bad as f64) - missing as f64 / 1e9))
    }
}

/// What was seen of one check.
#[derive(Clone, Copy)]
struct Seen {
    state: State,
    so_far: Option<bool>,
    /// Of two in the same state the smaller is the worse.
    margin: f64,
    observed: Value,
    behind: u64,
    check: Option<u32>,
}

impl Seen {
    fn badness(&self) -> (State, u8, f64) {
        let so_far = match self.so_far {
            Some(false) => 0,
            None => 1,
            Some(true) => 2,
        };
        (self.state, so_far, self.margin)
    }

    fn is_worse(&self, other: &Self) -> bool {
        let ((a, b, c), (x, y, z)) = (self.badness(), other.badness());
        (a, b).cmp(&(x, y)).then(c.total_cmp(&z)).is_lt()
    }
}

fn number(n: Option<f64>) -> Value {
    n.map_or(Value::Absent, Value::Number)
}

/// The row of the worst check; of equals the first. No check: it does not apply.
fn worst(criterion: Criterion, threshold: Value, seen: impl Iterator<Item = Seen>) -> Row {
    let nothing = Seen { state: State::Idle, so_far: None, margin: 0.0, observed: Value::Absent, behind: 0, check: None };
    let worst = seen.reduce(|worst, next| if next.is_worse(&worst) { next } else { worst }).unwrap_or(nothing);
    row(Name::Criterion(criterion), threshold, worst)
}

fn row(name: Name, threshold: Value, seen: Seen) -> Row {
    let Seen { state, so_far, observed, behind, check, .. } = seen;
    Row { name, threshold, observed, state, so_far, check, behind, waiver: None }
}

/// Every row, before waivers.
pub(super) fn rows(input: &Input<'_>, frame: &Frame, checks: &[Judged<'_>]) -> Vec<Row> {
    let policy = input.policy;
    let mut rows = Vec::with_capacity(Criterion::ALL.len() + policy.attest.len());
    let share = |r: Ratio| Value::Number(r.0);
    rows.push(worst(Criterion::SuccessRatio, share(policy.success_ratio), checks.iter().filter_map(Judged::success_ratio)));
    let mut coverage = worst(Criterion::Coverage, share(policy.coverage), checks.iter().map(Judged::coverage));
    if checks.is_empty() {
        // Where nothing is judged nothing was shown.
        coverage.state = State::Open;
    }
    rows.push(coverage);
    let needed = Share::of(policy.success_ratio).runs_needed().map_or(Value::Absent, Value::Whole);
    rows.push(worst(Criterion::SampleSize, needed, checks.iter().filter_map(Judged::sample_size)));
    let most = Value::Number(policy.longest_outage.0.as_secs_f64());
    rows.push(worst(Criterion::LongestOutage, most, checks.iter().map(Judged::longest_outage)));
    let most = number(policy.latency_p95.map(|s| s.0.as_secs_f64()));
    rows.push(worst(Criterion::LatencyP95, most, checks.iter().filter_map(Judged::latency_p95)));
    rows.push(worst(Criterion::ThrottledRatio, share(policy.throttled_ratio), checks.iter().map(Judged::throttled_ratio)));
    if checks.iter().any(|c| c.input.rules.judge == Judge::Every) {
        rows.push(worst(Criterion::EveryRun, Value::Whole(0), checks.iter().filter_map(Judged::every_run)));
    }
    observed(input, frame, &mut rows);
    rows.extend((0..).zip(&policy.attest).map(|(n, name)| attested(input, n, name)));
    rows
}

/// What was observed beside the runs.
fn observed(input: &Input<'_>, frame: &Frame, rows: &mut Vec<Row>) {
    let (policy, seen) = (input.policy, input.seen);
    let mut push = |criterion, threshold, value: Option<(Value, u64, bool)>, lost: bool| {
        let declared = policy.declared.contains(&criterion);
        let state = match value {
            Some((_, _, true)) if frame.is_over() => State::Met,
            Some((_, _, false)) if frame.is_over() => State::Lost,
            Some(_) if lost => State::Lost,
            None if !declared => State::Idle,
            None if frame.is_over() => State::Short,
            _ => State::Open,
        };
        let (observed, behind) = value.map_or((Value::Absent, 0), |(v, n, _)| (v, n));
        let so_far = value.map(|(_, _, good)| good);
        rows.push(row(Name::Criterion(criterion), threshold, Seen { state, so_far, margin: 0.0, observed, behind, check: None }));
    };
    let headroom = seen.quota_headroom.map(|x| (Value::Number(x), 1, x >= policy.quota_headroom));
    push(Criterion::QuotaHeadroom, Value::Number(policy.quota_headroom), headroom, false);
    let end = if frame.is_over() { frame.window.end } else { frame.full_end };
    let days = seen.certificate_expiry.map(|t| end.whole_days_until(t));
    let days = days.map(|d| (Value::Number(d as f64), 1, d >= i64::from(policy.certificate_days)));
    push(Criterion::CertificateDays, Value::Whole(policy.certificate_days.into()), days, false);
    let drifts = seen.open_drifts.map(|n| (Value::Whole(n.into()), u64::from(n), n == 0));
    push(Criterion::Drift, Value::Whole(0), drifts, false);
    let incidents = seen.incidents.map(|i| u64::from(i.p1) + u64::from(i.open)).map(|n| (Value::Whole(n), n, n == 0));
    push(Criterion::Incidents, Value::Whole(0), incidents, seen.incidents.is_some_and(|i| i.p1_in_last.is_some()));
    let agreed = seen.reconciliation.map(|x| (Value::Number(x), 1, x >= policy.reconciliation.0));
    push(Criterion::Reconciliation, Value::Number(policy.reconciliation.0), agreed, false);
}

fn attested(input: &Input<'_>, number: u32, name: &str) -> Row {
    let found = (0..).zip(input.attestations).find(|(_, a)| a.name == name);
    let holds = found.is_some_and(|(_, a)| a.at <= input.now && a.until.is_none_or(|t| input.now < t));
    let (state, so_far) = if holds { (State::Met, true) } else { (State::Open, false) };
    let observed = found.map_or(Value::Absent, |(n, _)| Value::Attested(n));
    let seen = Seen { state, so_far: Some(so_far), margin: 0.0, observed, behind: u64::from(found.is_some()), check: None };
    row(Name::Attested(number), Value::Absent, seen)
}
