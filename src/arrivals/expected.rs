//! When a message is expected: once in every interval, or when cron says. Pure.
//!
//! Each expectation is named by the time it is due. A message belongs to one of them: to the interval that ends when it is due, or to the nearest time of a cron.

use crate::clock::UnixMs;
use crate::config::model::CheckDef;
use crate::probe::Kind;
use crate::slots::Grid;
use crate::slots::cron::Cron;

/// A message may come so much before cron's time, but no more than half of the distance to the time before.
const EARLY_MS: i64 = 300_000;
const DAY_MS: i64 = 86_400_000;

/// The expectations of a check.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// One in every interval.
    Every(Grid),
    /// One at each time.
    Cron(Box<Cron>),
}

impl Expected {
    /// Those of a check; `None` for kinds that expect nothing by themselves.
    pub fn of(def: &CheckDef) -> Option<Self> {
        match &def.kind {
            Kind::WebhookArrival(c) => Some(c.cron.clone().map_or_else(|| Self::Every(Grid::of(def)), |c| Self::Cron(Box::new(c)))),
            _ => None,
        }
    }

    /// Names them, so that another schedule is seen to be another one.
    pub fn text(&self) -> String {
        match self {
            Self::Every(grid) => format!("every {}", grid.interval()),
            Self::Cron(cron) => cron.text(),
        }
    }

    /// The expectation that follows one.
    pub fn next(&self, due: UnixMs) -> UnixMs {
        match self {
            Self::Every(grid) => UnixMs(due.0.saturating_add(grid.interval())),
            Self::Cron(cron) => cron.after(due).unwrap_or(UnixMs(due.0.saturating_add(DAY_MS))),
        }
    }

    /// From when on messages belong to an expectation.
    pub fn start(&self, due: UnixMs) -> UnixMs {
        match self {
            Self::Every(grid) => UnixMs(due.0 - grid.interval()),
            Self::Cron(cron) => {
                let before = cron.at_or_before(UnixMs(due.0 - 1)).unwrap_or(UnixMs(due.0 - DAY_MS));
                UnixMs(due.0 - EARLY_MS.min((due.0 - before.0) / 2))
            }
        }
    }

    /// The expectation a message of this time belongs to.
    pub fn belongs(&self, at: UnixMs) -> UnixMs {
        match self {
            Self::Every(grid) => grid.after(UnixMs(at.0 - 1)),
            Self::Cron(cron) => {
                let next = cron.after(at).unwrap_or(UnixMs(at.0 + DAY_MS));
                if self.start(next) <= at { next } else { cron.at_or_before(at).unwrap_or(next) }
            }
        }
    }

    /// The first expectation that is due after a time.
    pub fn first_after(&self, t: UnixMs) -> UnixMs {
        match self {
            Self::Every(grid) => grid.after(t),
            Self::Cron(_) => self.next(t),
        }
    }

    /// The first expectation all of whose messages come after a time.
    pub fn first(&self, since: UnixMs) -> UnixMs {
        let due = self.belongs(since);
        if self.start(due) >= since { due } else { self.next(due) }
    }
}
