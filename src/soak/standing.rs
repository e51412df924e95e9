//! The numbers of one check in the window: what its fold says, held against the slots that were due. Pure.

use super::exact::{allowed, wilson_lower};
use super::fold::{NEVER, Tally, excluded_in};
use super::given::{CheckInput, Rules};
use super::policy::Judge;
use super::track::{NOT_DUE_ONE_IN, Sums};
use super::verdict::{Budget, Standing};
use super::window::{Frame, Stage, Window};
use crate::clock::UnixMs;
use crate::record::Counts;

/// The latest slot before the window's end that has not been recorded while its interval is not over: it may be running, and is neither due nor
/// missing yet.
pub(super) fn pending(check: &CheckInput<'_>, frame: &Frame, now: UnixMs) -> Option<UnixMs> {
    let grid = check.rules.grid?;
    let slot = grid.at_or_before(UnixMs(frame.window.end.0 - 1));
    let waits = slot >= frame.window.start && slot > check.fold.newest && now.0 < slot.0 + grid.interval();
    waits.then_some(slot)
}

pub(super) fn standing(check: &CheckInput<'_>, frame: &Frame, now: UnixMs) -> Standing {
    let (fold, rules) = (check.fold, &check.rules);
    let (window, whole) = (frame.window, Window { end: frame.full_end, ..frame.window });
    let pending = pending(check, frame, now);
    // Slots that should have been recorded by now. A frozen window that could not become full is counted as if it had.
    let past = Window { end: pending.unwrap_or(window.end), ..window };
    let beyond = Window { start: window.end, end: if frame.stage == Stage::Frozen { frame.full_end } else { window.end } };
    let all = rules.grid.map(|g| g.within(whole.start, whole.end));
    let is_all = past.end == whole.end;
    let expected = rules
        .grid
        .zip(all)
        .map_or(0, |(g, all)| if is_all { all } else { g.within(past.start, past.end) + g.within(beyond.start, beyond.end) });
    let excluded = excluded_in(past, rules) + if is_all { 0 } else { excluded_in(beyond, rules) };
    let cap = all.unwrap_or_else(|| recorded(fold.raw)) / NOT_DUE_ONE_IN;
    let counts = fill(fold.raw, expected, cap);
    let adjusted = fill(fold.adjusted, expected - excluded, cap);
    let not_due = u64::from(fold.adjusted.not_due).min(cap);
    let n = judged_runs(&adjusted, rules);
    let due = all.map(|n| n - excluded_in(whole, rules)).map(|n| n.saturating_sub(not_due));
    let ratio = |part: u64| (n > 0).then(|| part as f64 / n as f64);
    Standing {
        judged: check.judged,
        counts,
        adjusted,
        not_due,
        excluded,
        slots: due,
        ratio: ratio(adjusted.pass),
        lower: wilson_lower(adjusted.pass, n),
        first_attempts: ratio(u64::from(fold.first_attempts)),
        coverage: adjusted.coverage(),
        outage: (fold.outages.longest.1 > 0).then_some(fold.outages.longest),
        gap: gap(check, frame, past),
        p95: fold.durations.percentile_of(adjusted.pass, 95),
        budget: budget(&adjusted, due.unwrap_or_else(|| adjusted.due()), rules),
    }
}

/// Runs that the ratio is taken over.
pub(super) fn judged_runs(counts: &Counts, rules: &Rules<'_>) -> u64 {
    counts.pass + counts.fail + if rules.throttled_excluded { 0 } else { counts.throttled }
}

/// What the window's criteria can be lost by.
pub(super) fn sums(check: &CheckInput<'_>) -> Sums {
    let (fold, tally) = (check.fold, check.fold.adjusted);
    let slow = check.rules.policy.latency_p95.map_or(0, |most| fold.durations.above(most.0.as_secs_f64()));
    Sums {
        pass: tally.pass,
        fail: tally.fail,
        throttled: tally.throttled,
        not_due: tally.not_due,
        slow: u32::try_from(slow).unwrap_or(u32::MAX),
        outage: fold.certain,
    }
}

fn recorded(tally: Tally) -> u64 {
    tally.counts().due() + u64::from(tally.not_due)
}

/// The counts, with the slots nobody recorded, and those beyond what may be taken out as not due, as `unknown`.
fn fill(tally: Tally, expected: u64, cap: u64) -> Counts {
    let counts = tally.counts();
    let not_due = u64::from(tally.not_due);
    let due = expected.saturating_sub(not_due.min(cap)).max(counts.due() + not_due.saturating_sub(cap));
    Counts { unknown: due - (counts.due() - counts.unknown), ..counts }
}

fn budget(counts: &Counts, due: u64, rules: &Rules<'_>) -> Budget {
    let used = counts.fail + if rules.throttled_excluded { 0 } else { counts.throttled };
    let out = if rules.throttled_excluded { counts.throttled } else { 0 };
    let allowed = match rules.judge {
        Judge::Ratio => allowed(rules.policy.success_ratio, rules.policy.confidence, due.saturating_sub(out)),
        Judge::Every => 0,
    };
    Budget { allowed, used, left: allowed.saturating_sub(used), check: None }
}

/// The longest span without a counted run, the one that goes on included.
fn gap(check: &CheckInput<'_>, frame: &Frame, past: Window) -> Option<(UnixMs, i64)> {
    let fold = check.fold;
    let running = check.rules.grid.and_then(|g| {
        if fold.last_counted != NEVER && fold.last_counted.0 + g.interval() >= past.end.0 {
            return None;
        }
        let after = if fold.last_counted == NEVER { UnixMs(frame.window.start.0 - 1) } else { fold.last_counted };
        let first = g.after(after);
        let ms = i64::try_from(g.within(first, past.end)).unwrap_or(0) * g.interval();
        (ms > 0).then_some((first, ms))
    });
    let closed = (fold.gap.1 > 0).then_some(fold.gap);
    match (closed, running) {
        (Some(a), Some(b)) => Some(if b.1 > a.1 { b } else { a }),
        (a, b) => a.or(b),
    }
}
