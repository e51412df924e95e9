//! The slots of a check as points of time, and counting them. Pure arithmetic; why a slot is not due stands in `slots`.

use crate::clock::UnixMs;

/// The slots of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    interval: i64,
    phase: i64,
}

impl Grid {
    /// The grid of a check with this key and interval (milliseconds, at least 1).
    pub fn new(key: u64, interval_ms: i64) -> Self {
        let interval = interval_ms.max(1);
        let phase = i64::try_from(key % interval.unsigned_abs()).unwrap_or(0);
        Self { interval, phase }
    }

    /// Distance of slots, milliseconds, at least 1.
    pub fn interval(self) -> i64 {
        self.interval
    }

    /// The latest slot at or before a time.
    pub fn at_or_before(self, t: UnixMs) -> UnixMs {
        UnixMs(self.number(t) * self.interval + self.phase)
    }

    /// The first slot after a time.
    pub fn after(self, t: UnixMs) -> UnixMs {
        UnixMs(self.at_or_before(t).0 + self.interval)
    }

    /// How many slots lie in `(after, until]`.
    pub fn count(self, after: UnixMs, until: UnixMs) -> i64 {
        (self.number(until) - self.number(after)).max(0)
    }

    /// The number of the latest slot at or before a time, counted from the one at the phase.
    fn number(self, t: UnixMs) -> i64 {
        (t.0 - self.phase).div_euclid(self.interval)
    }

    /// How many slots lie in `[from, until)`.
    pub fn within(self, from: UnixMs, until: UnixMs) -> u64 {
        u64::try_from(self.count(UnixMs(from.0 - 1), UnixMs(until.0 - 1))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The plainest possible oracle: walk the slots one by one.
        #[test]
        fn the_grid_agrees_with_counting(key: u64, interval in 1i64..5_000, from in -100_000i64..100_000, span in 0i64..50_000) {
            let grid = Grid::new(key, interval);
            let phase = (key % interval as u64) as i64;
            let is_slot = |t: i64| (t - phase).rem_euclid(interval) == 0;
            let slots: Vec<i64> = (from + 1..=from + span).filter(|t| is_slot(*t)).collect();
            prop_assert_eq!(grid.count(UnixMs(from), UnixMs(from + span)), slots.len() as i64);
            let next = grid.after(UnixMs(from));
            prop_assert!(next.0 > from && next.0 <= from + interval && is_slot(next.0));
            let last = grid.at_or_before(UnixMs(from));
            prop_assert!(last.0 <= from && last.0 > from - interval && is_slot(last.0));
        }
    }
}
