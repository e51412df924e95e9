//! Reading what became of checks over weeks: counts by hour, from the sums that are kept longer than single runs, and the newest runs one by one.
//! Never writes.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::journal::Marks;
use super::memory::unsealed;
use super::reader::{open_rows, position, sealed_runs};
use super::run::{hour_start, pieces};
use super::{Damaged, Reader, Run, StoreError, rows};
use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::record::Counts;

/// A check over a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hours {
    /// Counts by hour (hours since the epoch), ascending; hours of which nothing is known are left out.
    pub counts: Vec<(i64, Counts)>,
    /// The runs of the span's last part, in order of their slots.
    pub recent: Vec<Run>,
    /// The last slot of which anything is stored.
    pub newest: Option<UnixMs>,
    /// Whether all that was stored could be read.
    pub whole: bool,
}

/// Takes a check and what became of it.
type Each<'a> = dyn FnMut(&CheckId, Hours) + 'a;

impl Reader {
    /// Of each check the hours from a time of its own to `until`, exact to the slot at both ends as long as single runs are kept; and the runs since
    /// `recent`. All that was ever recorded under a check's id counts, also what was before it was removed and put back.
    pub fn hours_of(&self, asked: &[(&CheckId, UnixMs)], until: UnixMs, recent: UnixMs, each: &mut Each<'_>) -> Result<(), StoreError> {
        let moment = self.conn.unchecked_transaction()?;
        let mut damaged = self.damaged.borrow_mut();
        let mut open: HashMap<u64, Vec<(i64, Run)>> = asked.iter().map(|(check, _)| (check.key(), Vec::new())).collect();
        let lost = open_rows(&moment, &Marks::of(open.keys().copied()), 0, &mut damaged, &mut |seq, line| {
            if let Some(lines) = open.get_mut(&line.key).filter(|_| line.vantage() == 0) {
                lines.push((seq, line.run()?));
            }
            Ok(())
        })?;
        for (check, from) in asked {
            let (key, before) = (check.key(), damaged.count);
            let (as_of, sealed_until) = position(&moment, key)?;
            let lines = open.get(&key).into_iter().flatten();
            let open: Vec<Run> = lines.filter_map(|(seq, run)| unsealed(run, *seq, as_of, sealed_until)?.clip(UnixMs(0), until)).collect();
            let mut hours = of_one(&moment, check, (*from, until), recent.max(*from), &open, &mut damaged)?;
            hours.whole = damaged.count == before && !lost.may_hold(key);
            each(check, hours);
        }
        Ok(())
    }
}

fn of_one(
    conn: &Connection,
    check: &CheckId,
    (from, until): (UnixMs, UnixMs),
    recent: UnixMs,
    open: &[Run],
    damaged: &mut Damaged,
) -> Result<Hours, StoreError> {
    let mut counts: BTreeMap<i64, Counts> = BTreeMap::new();
    let mut newest = None;
    let key = check.key();
    let sql = "SELECT hour, sum(pass), sum(fail), sum(throttled), sum(skipped), sum(unknown) FROM hour_sum
               WHERE key = ?1 AND vantage = 0 AND hour BETWEEN ?2 AND ?3 GROUP BY hour ORDER BY hour";
    rows::each(conn, sql, (key as i64, from.hour(), until.hour()), &format!("an hour's sum of {check}"), damaged, &mut |row| {
        let n = |column: usize| Ok::<u64, rusqlite::Error>(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0));
        let sum = Counts { pass: n(1)?, fail: n(2)?, throttled: n(3)?, skipped: n(4)?, unknown: n(5)? };
        counts.insert(row.get(0)?, sum);
        Ok(())
    })?;
    // Of an hour that is cut, the runs are counted; where they are gone, the whole hour counts: rather too much than too little.
    let cut = [from.hour(), until.hour()].into_iter().filter(|h| hour_start(*h) < from || hour_start(h + 1) > until);
    for hour in cut.collect::<std::collections::BTreeSet<_>>() {
        let (mut runs, span) = (Vec::new(), (from.max(hour_start(hour)), until.min(hour_start(hour + 1))));
        sealed_runs(conn, check, 0, (hour_start(hour), hour_start(hour + 1)), damaged, &mut runs)?;
        if !runs.is_empty() {
            let mut sum = Counts::default();
            runs.iter().filter_map(|r| r.clip(span.0, span.1)).for_each(|r| sum.add(r.outcome, u64::from(r.count)));
            counts.insert(hour, sum);
        }
    }
    for run in open.iter().filter_map(|r| r.clip(from, until)).flat_map(pieces) {
        counts.entry(run.slot.hour()).or_default().add(run.outcome, u64::from(run.count));
        newest = newest.max(Some(run.last_slot()));
    }
    let mut runs = Vec::new();
    sealed_runs(conn, check, 0, (recent, until), damaged, &mut runs)?;
    runs.extend(open.iter().filter_map(|r| r.clip(recent, until)));
    runs.sort_by_key(|r| r.slot);
    newest = newest.max(runs.iter().map(Run::last_slot).max());
    // What was not due counts nowhere, but it is known of.
    let newest = newest.or_else(|| counts.keys().next_back().map(|hour| hour_start(*hour)));
    counts.retain(|_, c| *c != Counts::default());
    Ok(Hours { counts: counts.into_iter().collect(), recent: runs, newest, whole: true })
}
