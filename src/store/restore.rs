//! Start: what the file holds, back into memory ([`load`]) and out to whoever keeps the live state ([`Store::restore`]).

use rusqlite::{Connection, OptionalExtension as _};

use super::journal;
use super::memory::Memory;
use super::rows::Walk;
use super::segment::{self, Place};
use super::{Damaged, RestoreReport, Restored, Run, Store, StoreError, failures, rows};
use crate::board::Counts;
use crate::clock::UnixMs;
use crate::fields::CheckId;

/// Hours whose sums are handed out: the last 7 days and the running hour.
const HOURS: i64 = 168;

impl Store {
    /// Hands everything that a restart needs to `sink`. What is damaged is left out and reported; it is never an error.
    pub fn restore(&mut self, now: UnixMs, sink: &mut dyn FnMut(Restored<'_>)) -> Result<RestoreReport, StoreError> {
        self.settle()?;
        let mut report = RestoreReport { damaged: self.damaged.clone(), ..RestoreReport::default() };
        let Some(conn) = &self.conn else { return Ok(report) };

        let mut ids: Vec<(&CheckId, u64)> = self.memory.entries.iter().filter(|(_, e)| e.has_state).map(|(key, e)| (&e.id, *key)).collect();
        ids.sort_unstable();
        for (id, key) in ids {
            report.states += u64::from(state(conn, id, key, &mut report.damaged, sink)?);
            hours(conn, id, key, now, &mut report.damaged, sink)?;
        }
        let mut unread = Damaged::default();
        each_row(conn, 0, &mut unread, &mut |seq, bytes| {
            journal::unpack(bytes, &mut |line| {
                // Damage and names that are missing were counted by `load`.
                let Some(entry) = self.memory.entries.get(&line.key).filter(|e| e.named) else { return Ok(()) };
                let run = line.run()?;
                let Some(left) = entry.unsealed(&run, seq) else { return Ok(()) };
                let mut record = line.record(&entry.id)?;
                (record.slot, record.count) = (left.slot, left.count);
                report.records += u64::from(seq > entry.as_of);
                sink(Restored::Record(&record, seq > entry.as_of));
                Ok(())
            })?;
            Ok(())
        })?;
        self.damaged = report.damaged.clone();
        Ok(report)
    }
}

fn state(conn: &Connection, id: &CheckId, key: u64, damaged: &mut Damaged, sink: &mut dyn FnMut(Restored<'_>)) -> Result<bool, StoreError> {
    let mut found = false;
    let sql = "SELECT state FROM check_state WHERE key = ?1 AND state IS NOT NULL";
    rows::each(conn, sql, [key as i64], &format!("the state of {id}"), damaged, &mut |row| {
        let json: String = row.get(0)?;
        serde_json::from_str::<serde::de::IgnoredAny>(&json).map_err(|e| StoreError::Corrupt(format!("it is not JSON ({e})")))?;
        sink(Restored::State(id, &json));
        found = true;
        Ok(())
    })?;
    Ok(found)
}

/// The sealed hours of the last days. Those that reach into the last 60 minutes come run by run, so that the last hour's count by five
/// minutes survives a restart; if a segment does not agree with its sum, the sum is taken.
fn hours(
    conn: &Connection,
    id: &CheckId,
    key: u64,
    now: UnixMs,
    damaged: &mut Damaged,
    sink: &mut dyn FnMut(Restored<'_>),
) -> Result<(), StoreError> {
    let recent = now.hour() - 1;
    let vantages = match rows::vantages(conn, "hour_sum", key) {
        Err(e) if rows::is_damage(&e) => {
            damaged.note(&format!("the hours' sums of {id}"), &e);
            return Ok(());
        }
        found => found?,
    };
    for vantage in vantages {
        let sql = "SELECT hour, pass, fail, throttled, skipped, unknown FROM hour_sum
                   WHERE key = ?1 AND vantage = ?2 AND hour >= ?3 AND era = (SELECT era FROM check_state WHERE key = ?1) ORDER BY hour";
        let params = (key as i64, vantage, now.hour() - HOURS);
        rows::each(conn, sql, params, &format!("an hour's sum of {id}"), damaged, &mut |row| {
            let hour: i64 = row.get(0)?;
            let n = |column: usize| Ok::<u64, rusqlite::Error>(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0));
            let counts = Counts { pass: n(1)?, fail: n(2)?, throttled: n(3)?, skipped: n(4)?, unknown: n(5)? };
            let place = Place { key, vantage, hour };
            match if hour >= recent { runs_of(conn, place, &counts)? } else { None } {
                Some(runs) => runs.iter().for_each(|r| sink(Restored::Record(&r.record(id, vantage), false))),
                None => sink(Restored::Hour(id, hour, &counts)),
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The runs of an hour that its sum is of: the newest ones; what came before an earlier removal of the check is not in the sum.
fn runs_of(conn: &Connection, place: Place, sum: &Counts) -> Result<Option<Vec<Run>>, StoreError> {
    let sql = "SELECT runs FROM segment WHERE key = ?1 AND vantage = ?2 AND hour = ?3";
    let params = (place.key as i64, place.vantage, place.hour);
    let blob: Option<Vec<u8>> = conn.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?;
    let mut runs = Vec::new();
    if blob.is_none_or(|b| segment::read(place, &b, &mut runs).is_err()) {
        return Ok(None);
    }
    let mut counts = Counts::default();
    let mut from = runs.len();
    while counts.due() < sum.due() && from > 0 {
        from -= 1;
        runs.get(from).into_iter().for_each(|r| counts.add(r.outcome, u64::from(r.count)));
    }
    Ok((counts == *sum).then(|| runs.split_off(from)))
}

/// Takes a journal row: its number, its batch.
type EachRow<'a> = dyn FnMut(i64, &[u8]) -> Result<(), StoreError> + 'a;

/// Reads journal rows from `from` on.
fn each_row(conn: &Connection, from: i64, damaged: &mut Damaged, f: &mut EachRow<'_>) -> Result<(), StoreError> {
    let walk = Walk { table: "journal", key: "seq", columns: "batch" };
    rows::around(conn, &walk, from, "a journal row", damaged, &mut |row| {
        f(row.get(0)?, row.get_ref(1)?.as_blob().map_err(|_| StoreError::Corrupt("it is not a blob".to_owned()))?)
    })
}

/// The last journal row there ever was.
pub(super) fn last_seq(conn: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'journal'";
    Ok(conn.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// What the writer remembers, from the file: names, snapshots' positions, failures that go on, open hours.
pub(super) fn load(conn: &Connection, damaged: &mut Damaged) -> Result<(Memory, i64), StoreError> {
    let mut memory = Memory::default();
    let names = Walk { table: "check_name", key: "key", columns: "id" };
    rows::around(conn, &names, i64::MIN, "the name of a check", damaged, &mut |row| {
        let id: String = row.get(1)?;
        let id = id.parse().map_err(|_| StoreError::Corrupt(format!("{id:?} is not a check's name")))?;
        memory.adopt(row.get::<_, i64>(0)? as u64, id);
        Ok(())
    })?;
    let states = Walk { table: "check_state", key: "key", columns: "era, as_of_seq, sealed_until, state IS NOT NULL" };
    rows::around(conn, &states, i64::MIN, "the state of a check", damaged, &mut |row| {
        let key = row.get::<_, i64>(0)? as u64;
        if let Some(entry) = memory.entries.get_mut(&key) {
            (entry.era, entry.as_of, entry.sealed_until, entry.has_state) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        }
        Ok(())
    })?;
    failures::read(conn, None, damaged, &mut |key, id, open, row| {
        if let Some(entry) = memory.entries.get_mut(&key) {
            entry.failures.adopt(id, open, row);
        }
    })?;
    each_row(conn, 0, damaged, &mut |seq, bytes| {
        let mut nameless = false;
        journal::unpack(bytes, &mut |line| {
            let Some(entry) = memory.entries.get_mut(&line.key) else {
                nameless = true;
                return Ok(());
            };
            let run = line.run()?;
            if seq > entry.as_of {
                entry.failures.fold(line.vantage(), &run, line.detail());
            }
            if let Some(left) = entry.unsealed(&run, seq) {
                entry.open.add(line.vantage(), left, seq);
            }
            Ok(())
        })?;
        if nameless { Err(StoreError::Corrupt("it holds records of a check whose name is lost".to_owned())) } else { Ok(()) }
    })?;
    let keys: Vec<u64> = memory.entries.keys().copied().collect();
    keys.into_iter().for_each(|key| memory.refresh(key));
    Ok((memory, last_seq(conn)?))
}

/// The runs in one journal row.
pub(super) fn row(conn: &Connection, memory: &Memory, seq: i64) -> Result<Vec<(CheckId, Run)>, StoreError> {
    let bytes: Vec<u8> = conn.query_row("SELECT batch FROM journal WHERE seq = ?1", [seq], |row| row.get(0))?;
    let mut out = Vec::new();
    journal::unpack(&bytes, &mut |line| {
        out.extend(memory.entries.get(&line.key).map(|e| line.run().map(|run| (e.id.clone(), run))).transpose()?);
        Ok(())
    })?;
    Ok(out)
}
