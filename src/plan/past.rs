//! What became of a check's slots so far, as a plan counts them: run, failed, not due, taken out; all others were not run and will never be. Judges nothing.

use crate::clock::UnixMs;
use crate::config::model::CheckDef;
use crate::outcome::Outcome;
use crate::record::Run;
use crate::slots::Grid;
use crate::soak::{Exclusion, Window};

/// A check that has recorded nothing for so many intervals and so long has stopped; until then its newest slots may just not be stored yet.
const SILENT: (i64, i64) = (3, 60_000);

/// The slots of a check up to a time, in stretches that became the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    until: UnixMs,
    stretches: Vec<Stretch>,
}

/// Slots one after the other: the first and the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    first: UnixMs,
    last: UnixMs,
    became: Became,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    Run,
    Failed,
    NotDue,
    Excluded,
}

/// The slots of a window that lie in the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// All of them, but for those that were taken out.
    pub(super) slots: u64,
    pub(super) not_due: u64,
    pub(super) run: u64,
    /// Of these.
    pub(super) failed: u64,
}

impl Counted {
    /// Slots nobody ran.
    pub(super) fn missed(&self) -> u64 {
        self.slots.saturating_sub(self.not_due + self.run)
    }
}

impl Past {
    /// Of the runs of a check, in slot order, up to now.
    pub fn of(def: &CheckDef, runs: &[Run], exclusions: &[Exclusion], now: UnixMs) -> Self {
        let every = def.every.ms().max(1);
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut newest = None;
        for run in runs {
            for n in 0..i64::from(run.count.max(1)) {
                let slot = UnixMs(run.slot.0 + n * i64::from(run.interval_ms));
                newest = Some(slot);
                let taken_out = exclusions.iter().any(|x| x.from <= slot && slot < x.to);
                let became = match run.outcome {
                    _ if taken_out => Became::Excluded,
                    Outcome::Pass => Became::Run,
                    Outcome::Throttled if def.integration.throttled_excluded => Became::Run,
                    Outcome::Fail | Outcome::Throttled => Became::Failed,
                    Outcome::NotDue => Became::NotDue,
                    Outcome::Skipped | Outcome::Unknown => continue,
                };
                match stretches.last_mut().filter(|s| s.became == became && s.last.0 + every == slot.0) {
                    Some(last) => last.last = slot,
                    None => stretches.push(Stretch { first: slot, last: slot, became }),
                }
            }
        }
        let fresh = |slot: &UnixMs| now.0 - slot.0 < (SILENT.0 + 1) * every + SILENT.1;
        // The slot whose interval is not over may be running.
        let until = newest.filter(fresh).map_or_else(|| Grid::of(def).at_or_before(now), |slot| UnixMs(slot.0 + 1));
        Self { until, stretches }
    }

    /// Where the past of a window ends, and what is in it.
    pub(super) fn counted(&self, grid: Grid, window: Window) -> (UnixMs, Counted) {
        let until = self.until.clamp(window.start, window.end);
        let mut counted = Counted { slots: grid.within(window.start, until), ..Counted::default() };
        for s in &self.stretches {
            let (from, to) = (s.first.max(window.start), UnixMs(s.last.0 + 1).min(until));
            if from >= to {
                continue;
            }
            let n = grid.within(from, to);
            match s.became {
                Became::Run => counted.run += n,
                Became::Failed => (counted.run, counted.failed) = (counted.run + n, counted.failed + n),
                Became::NotDue => counted.not_due += n,
                Became::Excluded => counted.slots -= n,
            }
        }
        (until, counted)
    }
}
