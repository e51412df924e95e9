//! A stored run, and cutting spans of them in time. Pure.

use crate::clock::{HOUR_MS, UnixMs};
use crate::fields::CheckId;
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::record::{DurationCode, Facts, Record};

/// One stored run, or a span of slots that nobody ran.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Run {
    /// Its slot; the first one's if `count` > 1. Milliseconds since the epoch.
    pub slot: UnixMs,
    /// Distance of slots in milliseconds.
    pub interval_ms: u32,
    /// How many slots; more than 1 only for `unknown`, `skipped` and `not_due`.
    pub count: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// What went wrong.
    pub class: Option<Class>,
    /// Why it was not run.
    pub cause: Option<Cause>,
    /// The first triage.
    pub attribution: Option<Attribution>,
    /// Total time over all attempts.
    pub duration: DurationCode,
    /// Attempts made.
    pub attempts: u8,
    /// Whether the first attempt passed.
    pub first_attempt_passed: bool,
}

impl Run {
    /// What of a record is kept in segments.
    pub fn of(r: &Record) -> Self {
        Self {
            slot: r.slot,
            interval_ms: r.interval_ms,
            count: r.count.max(1),
            outcome: r.outcome,
            class: r.class,
            cause: r.cause,
            attribution: r.attribution,
            duration: r.duration,
            attempts: r.attempts,
            first_attempt_passed: r.first_attempt_passed,
        }
    }

    /// The record this was, without facts and detail.
    pub fn record(&self, check: &CheckId, vantage: u16) -> Record {
        Record {
            check: check.clone(),
            vantage,
            slot: self.slot,
            interval_ms: self.interval_ms,
            count: self.count,
            outcome: self.outcome,
            cause: self.cause,
            class: self.class,
            attribution: self.attribution,
            duration: self.duration,
            attempts: self.attempts,
            first_attempt_passed: self.first_attempt_passed,
            facts: Facts::default(),
            detail: None,
        }
    }

    /// The last slot this stands for.
    pub fn last_slot(&self) -> UnixMs {
        UnixMs(self.slot.0.saturating_add(self.step().saturating_mul(i64::from(self.count.max(1)) - 1)))
    }

    /// Whether two differ in nothing but time and number, so that one may stand for both.
    pub(super) fn same_result(&self, other: &Self) -> bool {
        Self { slot: other.slot, count: other.count, ..*self } == *other
    }

    /// Distance of slots, never zero.
    pub(super) fn step(&self) -> i64 {
        i64::from(self.interval_ms.max(1))
    }
}

/// The part of a run whose slots lie in `since..until`.
pub(super) fn clip(run: &Run, since: UnixMs, until: UnixMs) -> Option<Run> {
    // How many of its slots lie before a time.
    let before = |t: UnixMs| {
        let ms = t.0.saturating_sub(run.slot.0);
        if ms <= 0 { 0 } else { u32::try_from((ms - 1) / run.step() + 1).unwrap_or(u32::MAX).min(run.count) }
    };
    let (skip, end) = (before(since), before(until));
    let slot = UnixMs(run.slot.0.saturating_add(run.step().saturating_mul(i64::from(skip))));
    (skip < end).then(|| Run { slot, count: end - skip, ..*run })
}

/// The beginning of an hour.
pub(super) fn hour_start(hour: i64) -> UnixMs {
    UnixMs(hour.saturating_mul(HOUR_MS))
}

/// A run, cut where an hour ends.
pub(super) fn pieces(run: Run) -> impl Iterator<Item = Run> {
    let mut rest = Some(run);
    std::iter::from_fn(move || {
        let whole = rest.take()?;
        let end = hour_start(whole.slot.hour().saturating_add(1));
        rest = clip(&whole, end, UnixMs(i64::MAX));
        clip(&whole, whole.slot, end)
    })
}

/// Joins spans that were cut at an hour's end. `runs` are sorted by slot.
pub(super) fn join(runs: &mut Vec<Run>) {
    runs.dedup_by(|b, a| {
        let follows = b.slot.0 == a.last_slot().0.saturating_add(a.step());
        let joined = follows && a.count.max(b.count) > 1 && a.last_slot().hour() != b.slot.hour() && a.same_result(b);
        if joined {
            a.count = a.count.saturating_add(b.count);
        }
        joined
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::passing;
    use proptest::prelude::*;

    fn span(slot: i64, interval_ms: u32, count: u32) -> Run {
        Run { count, outcome: Outcome::Unknown, cause: Some(Cause::Down), attempts: 0, ..passing(slot, interval_ms, 0) }
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(slot in -9_000_000i64..9_000_000, interval in 0u32..5_000_000, count in 1u32..300) {
            let whole = span(slot, interval, count);
            let mut parts: Vec<Run> = pieces(whole).collect();
            prop_assert_eq!(parts.iter().map(|p| p.count).sum::<u32>(), count);
            prop_assert!(parts.iter().all(|p| p.slot.hour() == p.last_slot().hour()));
            join(&mut parts);
            // Slots more than an hour apart, one to a piece, look like single runs and stay apart.
            prop_assert!(parts == [whole] || parts.iter().all(|p| p.count == 1) || whole.step() > 1_800_000);
        }

        #[test]
        fn clipping_keeps_exactly_the_slots_inside(slot in 0i64..1000, interval in 1u32..50, count in 1u32..30, a in 0i64..2500, b in 0i64..2500) {
            let whole = span(slot, interval, count);
            let slots = |r: &Run| (0..i64::from(r.count)).map(|n| r.slot.0 + n * r.step()).collect::<Vec<_>>();
            let want: Vec<i64> = slots(&whole).into_iter().filter(|s| (a..b).contains(s)).collect();
            prop_assert_eq!(clip(&whole, UnixMs(a), UnixMs(b)).map(|r| slots(&r)).unwrap_or_default(), want);
        }
    }
}
