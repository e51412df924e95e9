//! Reading the store beside the daemon, or after it: segments, and the open journal on top of them. Never writes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::bits::Damage;
use super::failures::{self, Failures};
use super::journal::{Line, Marks};
use super::memory::unsealed;
use super::rows::Walk;
use super::run::join;
use super::segment::{self, Place};
use super::{Damaged, FailureRow, Run, StoreError, journal, rows, schema};
use crate::board::CheckState;
use crate::clock::UnixMs;
use crate::fields::CheckId;

/// A reader: one connection, for one thread. Each call sees one moment of the store.
#[derive(Debug)]
pub struct Reader {
    pub(super) conn: Connection,
    pub(super) damaged: RefCell<Damaged>,
}

impl Reader {
    /// Opens the store of a running daemon, or of one that has ended in whatever way. The file must be there.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { conn: schema::open_reader(path)?, damaged: RefCell::default() })
    }

    /// All checks that anything is stored of, in order.
    pub fn checks(&self) -> Result<Vec<CheckId>, StoreError> {
        let mut ids: Vec<CheckId> = Vec::new();
        let mut damaged = self.damaged.borrow_mut();
        let names = Walk { table: "check_name", key: "key", columns: "id" };
        rows::around(&self.conn, &names, i64::MIN, "the name of a check", &mut damaged, &mut |row| {
            let id: String = row.get(1)?;
            ids.push(id.parse().map_err(|_| StoreError::Corrupt(format!("{id:?} is not a check's name")))?);
            Ok(())
        })?;
        ids.sort();
        Ok(ids)
    }

    /// The runs whose slots lie in `since..until`, sorted by slot, each once. Spans that reach out of it are cut. About 24 bytes a run: the
    /// caller bounds the time.
    pub fn runs(&self, check: &CheckId, vantage: u16, since: UnixMs, until: UnixMs) -> Result<Vec<Run>, StoreError> {
        let mut found = Vec::new();
        self.runs_of(&[(check, since, until)], vantage, &mut |_, runs, _| std::mem::swap(&mut found, runs))?;
        Ok(found)
    }

    /// The same of many checks, each in a time of its own, one after the other, and of each whether all of it could be read. The journal is read once for
    /// all of them, so that many cost little more than one. What it holds of them all is in memory meanwhile: 32 bytes a run of the last hour or two.
    pub fn runs_of(&self, asked: &[(&CheckId, UnixMs, UnixMs)], vantage: u16, each: &mut EachCheck<'_>) -> Result<(), StoreError> {
        let moment = self.conn.unchecked_transaction()?;
        let mut open: HashMap<u64, Vec<(i64, Run)>> = asked.iter().map(|(check, ..)| (check.key(), Vec::new())).collect();
        let lost = open_rows(&moment, &Marks::of(open.keys().copied()), 0, &mut self.damaged.borrow_mut(), &mut |seq, line| {
            if let Some(lines) = open.get_mut(&line.key).filter(|_| line.vantage() == vantage) {
                lines.push((seq, line.run()?));
            }
            Ok(())
        })?;
        let mut all = Vec::new();
        for (check, since, until) in asked {
            all.clear();
            let mut whole = !lost.may_hold(check.key());
            if since < until {
                whole &= sealed_runs(&moment, check, vantage, (*since, *until), &mut self.damaged.borrow_mut(), &mut all)?;
                let from = all.len();
                let (as_of, sealed_until) = match position(&moment, check.key()) {
                    Err(e) if rows::is_damage(&e) => {
                        // What of the journal is sealed can't be told: rather nothing than a slot twice.
                        self.damaged.borrow_mut().note(&format!("the state of {check}"), &e);
                        all.clear();
                        each(check, &mut all, false);
                        continue;
                    }
                    found => found?,
                };
                let lines = open.get(&check.key()).into_iter().flatten();
                all.extend(lines.filter_map(|(seq, run)| unsealed(run, *seq, as_of, sealed_until)?.clip(*since, *until)));
                // What is sealed is sorted, and as a rule what is not comes after it.
                if !all.iter().skip(from.saturating_sub(1)).is_sorted_by_key(|r| r.slot) {
                    all.sort_by_key(|r| r.slot);
                }
                join(&mut all);
            }
            each(check, &mut all, whole);
        }
        Ok(())
    }

    /// The failures that reach into `since..until`, oldest first.
    pub fn failures(&self, check: &CheckId, since: UnixMs, until: UnixMs) -> Result<Vec<FailureRow>, StoreError> {
        let key = check.key();
        let moment = self.conn.unchecked_transaction()?;
        let mut damaged = self.damaged.borrow_mut();
        let mut all = Failures::default();
        failures::read(&moment, Some(key), &mut damaged, &mut |_, id, open, row| all.adopt(id, open, row))?;
        let (as_of, _) = position(&moment, key)?;
        open_rows(&moment, &Marks::of([key]), as_of + 1, &mut damaged, &mut |_, line| {
            if line.key == key {
                all.fold(line.vantage(), &line.run()?, line.detail());
            }
            Ok(())
        })?;
        let mut found = all.into_rows();
        found.retain(|f| f.first < until && f.last >= since);
        Ok(found)
    }

    /// What was known of a check after its last stored record, but for its counts by hour; `None`: nothing is stored of it.
    pub fn state(&self, check: &CheckId) -> Result<Option<CheckState>, StoreError> {
        let key = check.key();
        let moment = self.conn.unchecked_transaction()?;
        let mut damaged = self.damaged.borrow_mut();
        let mut found = None;
        let sql = "SELECT state FROM check_state WHERE key = ?1 AND state IS NOT NULL";
        rows::each(&moment, sql, [key as i64], &format!("the state of {check}"), &mut damaged, &mut |row| {
            let json: String = row.get(0)?;
            found = Some(serde_json::from_str(&json).map_err(|e| StoreError::Corrupt(format!("it can't be read ({e})")))?);
            Ok(())
        })?;
        let (as_of, _) = position(&moment, key)?;
        open_rows(&moment, &Marks::of([key]), as_of + 1, &mut damaged, &mut |_, line| {
            if line.key == key {
                found.get_or_insert_with(CheckState::default).apply(&line.record(check)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether everything that was asked for since the reader was opened could be read.
    pub fn whole(&self) -> Result<(), StoreError> {
        let damaged = self.damaged();
        match damaged.first {
            Some(first) => Err(StoreError::Corrupt(format!("{} stored rows can't be read; the first: {first}", damaged.count))),
            None => Ok(()),
        }
    }

    /// What could not be read since the reader was opened, and is missing in what it gave.
    pub fn damaged(&self) -> Damaged {
        self.damaged.borrow().clone()
    }
}

/// Up to which journal row, and before which hour, the check is sealed.
pub(super) fn position(conn: &Connection, key: u64) -> Result<(i64, i64), StoreError> {
    let sql = "SELECT as_of_seq, sealed_until FROM check_state WHERE key = ?1";
    let found = conn.prepare_cached(sql)?.query_row([key as i64], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.unwrap_or((0, i64::MIN)))
}

/// Takes a line of the journal, with its row.
pub(super) type EachLine<'a> = dyn FnMut(i64, &Line<'_>) -> Result<(), Damage> + 'a;

/// Takes a check, its runs, and whether they are all that was stored.
type EachCheck<'a> = dyn FnMut(&CheckId, &mut Vec<Run>, bool) + 'a;

/// Appends the runs of a check that lie in sealed hours. `false`: not all of them could be read.
pub(super) fn sealed_runs(
    conn: &Connection,
    check: &CheckId,
    vantage: u16,
    (since, until): (UnixMs, UnixMs),
    damaged: &mut Damaged,
    all: &mut Vec<Run>,
) -> Result<bool, StoreError> {
    let (key, before) = (check.key(), damaged.count);
    let sql = "SELECT hour, runs FROM segment WHERE key = ?1 AND vantage = ?2 AND hour BETWEEN ?3 AND ?4 ORDER BY hour";
    let params = (key as i64, vantage, since.hour(), until.hour());
    rows::each(conn, sql, params, &format!("an hour of {check}"), damaged, &mut |row| {
        let place = Place { key, vantage, hour: row.get(0)? };
        let before = all.len();
        segment::read(place, blob(row, 1)?, all)?;
        // Only the first and the last hour may hold too much.
        if place.hour == since.hour() || place.hour == until.hour() {
            let inside: Vec<Run> = all.drain(before..).filter_map(|r| r.clip(since, until)).collect();
            all.extend(inside);
        }
        Ok(())
    })?;
    Ok(damaged.count == before)
}

/// Hands out the lines of journal rows that may hold one of some checks, from row `from` on; lines of other checks are among them. Gives the marks of
/// the rows that could not be read.
pub(super) fn open_rows(
    conn: &Connection,
    wanted: &Marks,
    from: i64,
    damaged: &mut Damaged,
    f: &mut EachLine<'_>,
) -> Result<Marks, StoreError> {
    let mut lost = Marks::of([]);
    // Two steps: SQLite would read every row's batch, and most rows do not hold the check.
    let mut candidates: Vec<i64> = Vec::new();
    let (walk, before) = (Walk { table: "journal", key: "seq", columns: "marks" }, damaged.count);
    rows::around(conn, &walk, from, "a journal row", damaged, &mut |row| {
        if wanted.may_be_in(blob(row, 1)?) {
            candidates.push(row.get(0)?);
        }
        Ok(())
    })?;
    if damaged.count > before {
        lost.add_all();
    }
    for seq in candidates {
        let (before, mut told) = (damaged.count, false);
        rows::each(conn, "SELECT batch, marks FROM journal WHERE seq = ?1", [seq], "a journal row", damaged, &mut |row| {
            let read = journal::unpack_of(Some(wanted), blob(row, 0)?, &mut |line| f(seq, line));
            if read.is_err() {
                lost.add(blob(row, 1)?);
                told = true;
            }
            Ok(read?)
        })?;
        if damaged.count > before && !told {
            lost.add_all();
        }
    }
    Ok(lost)
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], StoreError> {
    row.get_ref(column)?.as_blob().map_err(|_| StoreError::Corrupt("it is not a blob".to_owned()))
}
