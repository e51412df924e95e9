//! Cutting stored runs where an hour ends, and joining them again. Pure.

use crate::clock::{HOUR_MS, UnixMs};
use crate::record::Run;

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
        rest = whole.clip(end, UnixMs(i64::MAX));
        whole.clip(whole.slot, end)
    })
}

/// Whether two differ in nothing but time and number, so that one may stand for both.
fn same_result(a: &Run, b: &Run) -> bool {
    Run { slot: b.slot, count: b.count, ..*a } == *b
}

/// Joins spans that were cut at an hour's end. `runs` are sorted by slot.
pub(super) fn join(runs: &mut Vec<Run>) {
    runs.dedup_by(|b, a| {
        // First of all, for most are single runs.
        let span = a.count.max(b.count) > 1;
        let follows = || b.slot.0 == a.last_slot().0.saturating_add(a.step());
        let joined = span && follows() && a.last_slot().hour() != b.slot.hour() && same_result(a, b);
        if joined {
            a.count = a.count.saturating_add(b.count);
        }
        joined
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Cause, Outcome};
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
            prop_assert_eq!(whole.clip(UnixMs(a), UnixMs(b)).map(|r| slots(&r)).unwrap_or_default(), want);
        }
    }
}
