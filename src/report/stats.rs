//! What a check's runs looked like: hour by hour, and its outages. As recorded, with nothing taken out. Pure.

use crate::clock::{HOUR_MS, UnixMs};
use crate::fields::CheckId;
use crate::outcome::Outcome;
use crate::record::{DurationCode, Run};

/// Outages that are listed.
const LISTED: usize = 10;

/// One hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HourCell {
    /// The hour, in hours since the epoch.
    pub hour: i64,
    /// Passed runs.
    pub pass: u32,
    /// Failed and throttled runs.
    pub bad: u32,
    /// Slots that were skipped or unknown.
    pub missing: u32,
    /// Slots that were not due.
    pub not_due: u32,
    /// 95 % of the passed runs took no longer.
    pub p95: Option<DurationCode>,
}

/// The hours of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckStats {
    /// Which check.
    pub check: CheckId,
    /// Hours in which anything was recorded, ascending.
    pub hours: Vec<HourCell>,
    /// The longest outages, the longest first: first slot, milliseconds of slot time, runs.
    pub outages: Vec<(UnixMs, i64, u64)>,
}

impl CheckStats {
    /// Of runs in slot order, from a time on.
    pub fn of(check: &CheckId, runs: &[Run], from: UnixMs) -> Self {
        let mut this = Self { check: check.clone(), hours: Vec::new(), outages: Vec::new() };
        let mut durations: Vec<u16> = Vec::new();
        let mut outage: Option<(UnixMs, i64, u64)> = None;
        for run in runs.iter().filter_map(|r| r.clip(from, UnixMs(i64::MAX))) {
            match run.outcome {
                Outcome::Pass => this.outages.extend(outage.take()),
                Outcome::Fail | Outcome::Throttled => {
                    let (_, ms, n) = outage.get_or_insert((run.slot, 0, 0));
                    *ms = ms.saturating_add(i64::from(run.interval_ms) * i64::from(run.count));
                    *n += u64::from(run.count);
                }
                _ => {}
            }
            let mut rest = Some(run);
            while let Some(run) = rest {
                let hour = run.slot.hour();
                let end = UnixMs((hour + 1).saturating_mul(HOUR_MS));
                let count = run.clip(run.slot, end).map_or(0, |r| r.count);
                let cell = this.cell(hour, &mut durations);
                let sum = match run.outcome {
                    Outcome::Pass => &mut cell.pass,
                    Outcome::Fail | Outcome::Throttled => &mut cell.bad,
                    Outcome::Skipped | Outcome::Unknown => &mut cell.missing,
                    Outcome::NotDue => &mut cell.not_due,
                };
                *sum = sum.saturating_add(count);
                if run.outcome == Outcome::Pass {
                    durations.push(run.duration.0);
                }
                rest = if count < run.count { run.clip(end, UnixMs(i64::MAX)) } else { None };
            }
        }
        this.outages.extend(outage);
        this.close(&mut durations);
        this.outages.sort_by_key(|(from, ms, _)| (-ms, *from));
        this.outages.truncate(LISTED);
        this
    }

    fn cell(&mut self, hour: i64, durations: &mut Vec<u16>) -> &mut HourCell {
        if self.hours.last().is_none_or(|h| h.hour != hour) {
            self.close(durations);
            self.hours.push(HourCell { hour, ..HourCell::default() });
        }
        let last = self.hours.len() - 1;
        &mut self.hours[last]
    }

    /// The hour is over.
    fn close(&mut self, durations: &mut Vec<u16>) {
        durations.sort_unstable();
        let rank = (durations.len() * 95).div_ceil(100).saturating_sub(1);
        if let (Some(cell), Some(code)) = (self.hours.last_mut(), durations.get(rank)) {
            cell.p95 = Some(DurationCode(*code));
        }
        durations.clear();
    }
}
