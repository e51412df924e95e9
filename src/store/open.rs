//! Open hours: what stands in the journal and in no segment yet, in memory, packed (about a byte a run).
//!
//! Filled record by record after each commit, and from the journal at start. Knows which journal rows are still needed.

use std::collections::BTreeMap;

use super::bits::Damage;
use super::packing::{Packer, unpack};
use super::run::hour_start;
use super::segment;
use crate::clock::{HOUR_MS, UnixMs};
use crate::record::Run;

/// Spans reach back this far at most when they are cut into hours; what lies before is older than anything that is kept by default.
const SPAN_HOURS: i64 = 400 * 24;
/// An hour may be sealed so long after its end: late runs of the hour are in by then.
pub(super) const SETTLE_MS: i64 = 60_000;

/// The open hours of one check.
#[derive(Debug, Default)]
pub(super) struct Open {
    hours: Vec<OpenHour>,
    /// Spans over more than one hour: a monitor that was down for a month is one entry, not 720.
    spans: Vec<OpenSpan>,
}

#[derive(Debug)]
struct OpenHour {
    vantage: u16,
    first_seq: i64,
    packer: Packer,
}

#[derive(Debug)]
struct OpenSpan {
    vantage: u16,
    first_seq: i64,
    run: Run,
}

/// What is sealed of one hour.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) vantage: u16,
    pub(super) hour: i64,
    pub(super) runs: Vec<Run>,
}

impl Open {
    pub(super) fn add(&mut self, vantage: u16, run: Run, seq: i64) {
        let hour = run.slot.hour();
        if run.count > 1 && run.last_slot().hour() != hour {
            self.spans.push(OpenSpan { vantage, first_seq: seq, run });
            return;
        }
        match self.hours.iter_mut().find(|h| h.vantage == vantage && h.packer.hour() == hour) {
            Some(h) => h.packer.push(&run),
            None => {
                let mut packer = Packer::new(hour);
                packer.push(&run);
                // One hour is open, or two: room for four would be the most of what is held.
                self.hours.reserve_exact(1);
                self.hours.push(OpenHour { vantage, first_seq: seq, packer });
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hours.is_empty() && self.spans.is_empty()
    }

    /// The oldest journal row that holds something open.
    pub(super) fn first_seq(&self) -> Option<i64> {
        let hours = self.hours.iter().map(|h| h.first_seq);
        hours.chain(self.spans.iter().map(|s| s.first_seq)).min()
    }

    /// The earliest hour.
    pub(super) fn first_hour(&self) -> Option<i64> {
        let hours = self.hours.iter().map(|h| h.packer.hour());
        hours.chain(self.spans.iter().map(|s| s.run.slot.hour())).min()
    }

    /// The hour after the last one.
    pub(super) fn end_hour(&self) -> Option<i64> {
        let hours = self.hours.iter().map(|h| h.packer.hour());
        hours.chain(self.spans.iter().map(|s| s.run.last_slot().hour())).max().map(|h| h.saturating_add(1))
    }

    /// About how many hours sealing would write.
    pub(super) fn weight(&self) -> i64 {
        let reach = |s: &OpenSpan| s.run.last_slot().hour().saturating_sub(s.run.slot.hour()).min(SPAN_HOURS);
        self.hours.len() as i64 + self.spans.iter().map(reach).sum::<i64>()
    }

    /// Everything in hours before `until`, by hour, sorted by slot. Nothing is taken out.
    pub(super) fn ended(&self, until: i64) -> Result<Vec<Ended>, Damage> {
        let mut all: BTreeMap<(u16, i64), Vec<Run>> = BTreeMap::new();
        for h in self.hours.iter().filter(|h| h.packer.hour() < until) {
            unpack(h.packer.hour(), &h.packer.bytes(), all.entry((h.vantage, h.packer.hour())).or_default())?;
        }
        for s in &self.spans {
            let part = s.run.clip(hour_start(until.saturating_sub(SPAN_HOURS)), hour_start(until));
            for (hour, mut runs) in segment::by_hour(part) {
                all.entry((s.vantage, hour)).or_default().append(&mut runs);
            }
        }
        Ok(all.into_iter().map(|((vantage, hour), runs)| Ended { vantage, hour, runs }).collect())
    }

    /// Drops what [`Open::ended`] gave.
    pub(super) fn drop_before(&mut self, until: i64) {
        self.hours.retain(|h| h.packer.hour() >= until);
        self.hours.shrink_to(2);
        self.spans.retain_mut(|s| match s.run.clip(hour_start(until), UnixMs(i64::MAX)) {
            Some(rest) => {
                s.run = rest;
                true
            }
            None => false,
        });
        self.spans.shrink_to_fit();
    }
}

/// When a check whose first open hour is `hour` may be sealed: once it has settled, spread over the next 50 minutes by the check's key.
pub(super) fn due_at(hour: i64, key: u64) -> i64 {
    hour.saturating_add(1).saturating_mul(HOUR_MS).saturating_add(SETTLE_MS + (key % 3000) as i64 * 1000)
}

/// The hour before which everything may be sealed now.
pub(super) fn settled_before(now: UnixMs) -> i64 {
    UnixMs(now.0.saturating_sub(SETTLE_MS)).hour()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Cause, Outcome};
    use crate::store::fixtures::passing;

    #[test]
    fn a_month_of_silence_is_one_entry_until_it_is_sealed() {
        let mut open = Open::default();
        let start = 490_000 * HOUR_MS + 1_800_000;
        let run = Run { count: 86_400, outcome: Outcome::Unknown, cause: Some(Cause::Down), ..passing(start, 30_000, 0) };
        open.add(0, run, 5);
        open.add(0, passing(run.last_slot().0 + 30_000, 30_000, 150), 6);
        assert_eq!((open.spans.len(), open.hours.len(), open.first_seq()), (1, 1, Some(5)));
        assert_eq!((open.first_hour(), open.end_hour()), (Some(490_000), Some(490_721)));

        // The last hour is still running: the span's last half hour stays open, and so does its journal row.
        let ended = open.ended(490_720).unwrap();
        assert_eq!(ended.len(), 720);
        assert_eq!(ended.iter().flat_map(|e| &e.runs).map(|r| r.count).sum::<u32>(), 86_400 - 60);
        open.drop_before(490_720);
        assert_eq!((open.spans[0].run.count, open.first_seq()), (60, Some(5)));
        let last = open.ended(490_721).unwrap();
        assert_eq!(last[0].runs.iter().map(|r| r.count).collect::<Vec<_>>(), [1, 60]);
        open.drop_before(490_721);
        assert!(open.is_empty() && open.first_seq().is_none());
    }

    #[test]
    fn seals_are_spread_over_the_hour() {
        let end = 490_001 * HOUR_MS;
        assert_eq!(due_at(490_000, 3000), end + 60_000);
        assert_eq!(due_at(490_000, 2999), end + 60_000 + 2_999_000);
        assert_eq!((settled_before(UnixMs(end + 59_999)), settled_before(UnixMs(end + 60_000))), (490_000, 490_001));
    }
}
