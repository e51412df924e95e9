//! Slot arithmetic: when a check is due, and what became of the slots nobody ran. Pure.
//!
//! Slots are fixed points of UTC: slot k = epoch + phase(hash of the check's id) + k x interval. They are named by their time, not by k, so that
//! a changed interval needs no translation of what was accounted before.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::config::model::{CheckDef, Integration};
use crate::outcome::Cause;
use crate::record::Record;

pub mod cron;
pub mod grid;

pub use grid::Grid;

impl Grid {
    /// The grid of a check.
    pub fn of(def: &CheckDef) -> Self {
        Self::new(def.key, def.every.ms())
    }
}

/// Why a slot is not due, if it is not: paused, or inside a maintenance window declared beforehand.
pub fn not_due(integration: &Integration, slot: UnixMs) -> Option<Cause> {
    if integration.paused.is_some() { Some(Cause::Paused) } else { integration.maintenance_at(slot).map(|_| Cause::Maintenance) }
}

/// A run waits for its turn for at most its timeout, takes as long again, is held for the self-check and written within this, milliseconds.
const STORED_WITHIN_MS: i64 = 30_000;

/// Whether a run of a check for this slot may be going on at `now`, or have ended and not be stored yet.
pub fn under_way(def: &CheckDef, slot: UnixMs, now: UnixMs) -> bool {
    let timeout = i64::try_from(def.timeout.as_millis()).unwrap_or(i64::MAX);
    let since = UnixMs(now.0.saturating_sub(timeout.saturating_mul(2)).saturating_sub(STORED_WITHIN_MS));
    (since..=now).contains(&slot)
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
            _ => records.push(Record::not_run(def.id.clone(), start, u32::try_from(grid.interval()).unwrap_or(u32::MAX), count, why)),
        }
    }
    records
}
