//! Slot arithmetic: when a check is due, and what became of the slots nobody ran. Pure.
//!
//! Slots are fixed points of UTC: slot k = epoch + phase(hash of the check's id) + k x interval. They are named by their time, not by k, so that
//! a changed interval needs no translation of what was accounted before.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::config::model::{CheckDef, Integration};
use crate::outcome::Cause;
use crate::record::Record;

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

    /// The grid of a check.
    pub fn of(def: &CheckDef) -> Self {
        Self::new(def.key, def.every.ms())
    }

    /// The latest slot at or before a time.
    pub fn at_or_before(self, t: UnixMs) -> UnixMs {
        UnixMs((t.0 - self.phase).div_euclid(self.interval) * self.interval + self.phase)
    }

    /// The first slot after a time.
    pub fn after(self, t: UnixMs) -> UnixMs {
        UnixMs(self.at_or_before(t).0 + self.interval)
    }

    /// How many slots lie in `(after, until]`.
    pub fn count(self, after: UnixMs, until: UnixMs) -> i64 {
        ((self.at_or_before(until).0 - self.at_or_before(after).0) / self.interval).max(0)
    }
}

/// Why a slot is not due, if it is not: paused, or inside a maintenance window declared beforehand.
pub fn not_due(integration: &Integration, slot: UnixMs) -> Option<Cause> {
    if integration.paused.is_some() { Some(Cause::Paused) } else { integration.maintenance_at(slot).map(|_| Cause::Maintenance) }
}

/// What was known of a check's slots at some time: what decides about slots that come while nobody is there. A window declared afterwards
/// takes nothing out, and neither does another interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Interval, milliseconds.
    every_ms: i64,
    /// Paused then.
    paused: bool,
    /// Maintenance windows declared then: start, end (exclusive).
    maintenance: Vec<(UnixMs, UnixMs)>,
}

impl Schedule {
    /// What a definition says.
    pub fn of(def: &CheckDef) -> Self {
        let i = &def.integration;
        let maintenance = i.maintenance.iter().map(|m| (m.start, m.end)).collect();
        Self { every_ms: def.every.ms(), paused: i.paused.is_some(), maintenance }
    }

    fn not_due(&self, slot: UnixMs) -> Option<Cause> {
        let window = || self.maintenance.iter().any(|(start, end)| *start <= slot && slot < *end);
        if self.paused { Some(Cause::Paused) } else { window().then_some(Cause::Maintenance) }
    }
}

/// Accounts for every slot in `(after, until]` that nobody ran: `cause` for those that were due, `not_due` for the others. One record per
/// contiguous span.
pub fn account_gap(def: &CheckDef, after: UnixMs, until: UnixMs, cause: Cause) -> Vec<Record> {
    account_gap_by(&Schedule::of(def), def, after, until, cause)
}

/// The same by a schedule of another time.
pub fn account_gap_by(schedule: &Schedule, def: &CheckDef, after: UnixMs, until: UnixMs, cause: Cause) -> Vec<Record> {
    let grid = Grid::new(def.key, schedule.every_ms);
    let first = grid.after(after);
    if until < first {
        return Vec::new();
    }
    // Between two edges every slot has the same fate.
    let mut edges: Vec<UnixMs> =
        schedule.maintenance.iter().flat_map(|(start, end)| [*start, *end]).filter(|t| first < *t && *t <= until).collect();
    edges.push(first);
    edges.push(UnixMs(until.0 + 1));
    edges.sort_unstable();
    edges.dedup();
    let mut records: Vec<Record> = Vec::new();
    for pair in edges.windows(2) {
        let [from, to] = pair else { continue };
        // Slots in [from, to): the first one at or after `from`.
        let start = grid.after(UnixMs(from.0 - 1));
        let count = grid.count(UnixMs(from.0 - 1), UnixMs(to.0 - 1));
        if count == 0 {
            continue;
        }
        let why = schedule.not_due(start).unwrap_or(cause);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match records.last_mut() {
            Some(last) if last.cause == Some(why) => last.count = last.count.saturating_add(count),
            _ => records.push(Record::not_run(def.id.clone(), start, u32::try_from(grid.interval).unwrap_or(u32::MAX), count, why)),
        }
    }
    records
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
