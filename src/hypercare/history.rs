//! A check's runs since go-live: counts by hour, and the newest runs one by one.

use crate::clock::{HOUR_MS, UnixMs};
use crate::fields::{CheckId, Span};
use crate::record::{Counts, Run};

/// So far back the newest runs reach, so that burn rates over an hour are exact.
pub const RECENT_MS: i64 = 6 * HOUR_MS;
/// A check that records nothing for so many of its intervals, and [`PATIENCE_MS`] on top, is silent.
const SILENT_INTERVALS: i64 = 3;
const PATIENCE_MS: i64 = 60_000;

/// What is known of a check since go-live.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Which.
    pub check: CheckId,
    /// `false`: shown, and nothing else.
    pub judged: bool,
    /// The distance of its slots; `None`: what arrives has none.
    pub every: Option<Span>,
    /// Counts by hour (hours since the epoch), ascending. Nothing before go-live is among them, the running hour is.
    pub hours: Vec<(i64, Counts)>,
    /// The runs of the last day, at least of [`RECENT_MS`], but none before go-live, in order of their slots.
    pub recent: Vec<Run>,
    /// The last slot of which anything is known.
    pub newest: Option<UnixMs>,
}

impl History {
    /// Counts of the whole hours from the one a time lies in, up to now.
    pub fn since(&self, from: UnixMs) -> Counts {
        self.between(from.hour(), i64::MAX)
    }

    /// Counts of hours from one to before another.
    pub fn between(&self, from: i64, until: i64) -> Counts {
        let mut sum = Counts::default();
        self.hours.iter().filter(|(hour, _)| (from..until).contains(hour)).for_each(|(_, counts)| sum.merge(counts));
        sum
    }

    /// Counts of the newest runs from a time on, exactly.
    pub fn exactly_since(&self, from: UnixMs) -> Counts {
        let mut sum = Counts::default();
        let clipped = self.recent.iter().filter_map(|r| r.clip(from, UnixMs(i64::MAX)));
        clipped.for_each(|r| sum.add(r.outcome, u64::from(r.count)));
        sum
    }

    /// Since when nothing has been recorded, where that is too long: then nobody knows how it does.
    pub fn silent(&self, now: UnixMs, go_live: UnixMs) -> Option<UnixMs> {
        let every = self.every?.ms();
        let since = self.newest.unwrap_or(go_live).max(go_live);
        let patience = every.saturating_mul(SILENT_INTERVALS).saturating_add(PATIENCE_MS);
        (now.0.saturating_sub(since.0) > patience).then_some(since)
    }
}
