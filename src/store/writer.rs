//! The writer: commit, seal, forget. One transaction each; memory follows the file, never the other way round.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::evidence::Head;
use super::memory::{Entry, Memory};
use super::open::{Ended, settled_before};
use super::segment::{self, HourSum, Place};
use super::{Committed, Damaged, Run, Seal, StoreError, journal, restore, rows, schema};
use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::record::Record;

/// Journal rows deleted with one commit: a commit adds one, so the journal shrinks quickly but no commit waits for an hour of deletions.
const TIDY: i64 = 64;

/// The store, for its one writer.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// `None` after an error that asks for a fresh connection.
    pub(super) conn: Option<Connection>,
    /// The last journal row.
    pub(super) last_seq: i64,
    pub(super) memory: Memory,
    /// A commit failed so late that its row may be in the file after all.
    pub(super) doubt: bool,
    /// Records of a commit that was reported as failed but is in the file: left out when they come again.
    ghosts: Vec<(CheckId, Run)>,
    /// What reading the file found damaged.
    pub(super) damaged: Damaged,
    /// Journal rows that nothing needs are deleted; not once a damage stood in the way.
    tidies: bool,
    /// Where deleting goes on (retention.rs).
    pub(super) tidied: i64,
    /// Where the evidence log ends; `None`: not looked up yet.
    pub(super) evidence: Option<Head>,
    /// Held while this lives; goes with the process, however it ends. Last, so that the connection is closed under it.
    pub(super) _lock: Option<Lock>,
}

/// What a seal wrote.
struct Sealed {
    key: u64,
    until: i64,
    failures: Vec<Option<i64>>,
}

impl Store {
    /// Opens or makes the store and migrates it. One writer at a time: a second one is refused. Damaged rows are passed over here and
    /// reported by [`Store::restore`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let conn = schema::open_writer(path)?;
        let mut damaged = Damaged::default();
        let (memory, last_seq) = restore::load(&conn, &mut damaged)?;
        Ok(Self {
            path: path.to_owned(),
            conn: Some(conn),
            last_seq,
            memory,
            doubt: false,
            ghosts: Vec::new(),
            damaged,
            tidies: true,
            tidied: i64::MIN,
            evidence: None,
            _lock: lock,
        })
    }

    /// Writes the seals, then the records, in one transaction. After an error nothing of it is kept, and the same may be tried again: also
    /// when the error was one of those that leave open whether the disk has it.
    pub fn commit(&mut self, now: UnixMs, records: &[Record], seals: &[Seal]) -> Result<Committed, StoreError> {
        self.settle()?;
        let ghosts = std::mem::take(&mut self.ghosts);
        let (records, seals) =
            if ghosts.is_empty() { (records.iter().collect(), seals) } else { (without(records, &ghosts), [].as_slice()) };
        let mut keyed = Vec::with_capacity(records.len());
        for r in &records {
            keyed.extend(self.memory.key(&r.check).map(|key| (key, *r)));
        }
        let mut done = Committed { kept: keyed.len(), refused: records.len() - keyed.len(), ..Committed::default() };
        let written = match self.write(now, &keyed, seals, &mut done) {
            Err(e) if rows::is_damage(&e) && (self.tidies || !seals.is_empty()) => self.write_around(now, &keyed, seals, &mut done),
            written => written,
        };
        match written {
            Ok(sealed) => self.wrote(&sealed, done.seq),
            Err(e) => {
                self.ghosts.extend(ghosts);
                return Err(e);
            }
        }
        for (key, r) in keyed {
            self.memory.add(key, r.vantage, Run::of(r), r.detail.as_deref(), done.seq);
        }
        Ok(done)
    }

    /// A damaged page stands in the way of what only puts the file in order: nothing is deleted any more, each check is sealed by itself or not at all, and
    /// the records are written all the same.
    fn write_around(
        &mut self,
        now: UnixMs,
        keyed: &[(u64, &Record)],
        seals: &[Seal],
        done: &mut Committed,
    ) -> Result<Vec<Sealed>, StoreError> {
        self.tidies = false;
        // The seals first: their snapshots hold none of these records.
        for seal in seals {
            self.settle()?;
            match self.write(now, &[], std::slice::from_ref(seal), done) {
                Ok(sealed) => self.wrote(&sealed, done.seq),
                Err(e) if rows::is_damage(&e) => {
                    done.unsealed += 1;
                    self.memory.give_up(seal.check.key());
                }
                Err(e) => return Err(e),
            }
        }
        self.settle()?;
        if !self.ghosts.is_empty() {
            return Err(StoreError::Corrupt("a commit that failed is in the file after all; it is tried again".to_owned()));
        }
        self.write(now, keyed, &[], done)
    }

    /// What was written of seals is remembered.
    fn wrote(&mut self, sealed: &[Sealed], seq: i64) {
        for s in sealed {
            self.memory.sealed(s.key, s.until, self.last_seq, &s.failures);
        }
        self.last_seq = self.last_seq.max(seq);
    }

    /// What could not be read since the file was opened, and was left out.
    pub fn damaged(&self) -> &Damaged {
        &self.damaged
    }

    fn write(&mut self, now: UnixMs, keyed: &[(u64, &Record)], seals: &[Seal], done: &mut Committed) -> Result<Vec<Sealed>, StoreError> {
        let seals: Vec<(u64, &Seal)> = seals.iter().filter_map(|s| Some((self.memory.key(&s.check)?, s))).collect();
        if keyed.is_empty() && seals.is_empty() {
            return Ok(Vec::new());
        }
        let batch = journal::pack(keyed)?;
        let (memory, last_seq, tidies) = (&self.memory, self.last_seq, self.tidies);
        let keep_from = memory.first_seq().unwrap_or(last_seq + 1);
        let work = |tx: &Transaction<'_>| {
            let mut sealed: Vec<Sealed> = Vec::with_capacity(seals.len());
            for (key, seal) in seals {
                let Some(entry) = memory.entries.get(&key).filter(|_| sealed.iter().all(|s| s.key != key)) else { continue };
                name(tx, key, entry)?;
                let until = entry.sealed_until.max(settled_before(now));
                let sql = "INSERT INTO check_state (key, era, as_of_seq, sealed_until, state) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (key)
                           DO UPDATE SET era = excluded.era, as_of_seq = excluded.as_of_seq, sealed_until = excluded.sealed_until, state = excluded.state";
                tx.prepare_cached(sql)?.execute(params![key as i64, entry.era, last_seq, until, seal.state])?;
                sealed.push(Sealed { key, until, failures: seal_hours(tx, key, entry, until, false, &mut done.damaged)? });
            }
            for (key, _) in keyed {
                if let Some(entry) = memory.entries.get(key) {
                    name(tx, *key, entry)?;
                }
            }
            // Also a commit of seals alone takes a row: it tells whether the commit is in the file.
            done.seq = add_row(tx, now, &batch)?;
            if tidies {
                let sql = "DELETE FROM journal WHERE seq IN (SELECT seq FROM journal WHERE seq < ?1 ORDER BY seq LIMIT ?2)";
                tx.prepare_cached(sql)?.execute([keep_from, TIDY])?;
            }
            Ok(sealed)
        };
        transact(&mut self.conn, &mut self.doubt, work)
    }

    /// A check was removed from the configuration: its open hours are sealed and its state is dropped, so that it starts afresh if it comes
    /// back. Its history stays until retention deletes it.
    pub fn forget(&mut self, now: UnixMs, check: &CheckId) -> Result<(), StoreError> {
        self.settle()?;
        let Some(key) = self.memory.key(check) else { return Ok(()) };
        let last_seq = self.last_seq;
        let Some(entry) = self.memory.entries.get(&key).filter(|e| e.named) else { return Ok(()) };
        let until = entry.open.end_hour().unwrap_or(entry.sealed_until).max(entry.sealed_until);
        let era = entry.era + 1;
        let batch = journal::pack(&[])?;
        let work = |tx: &Transaction<'_>| {
            let sql = "INSERT INTO check_state (key, era, as_of_seq, sealed_until, state) VALUES (?1, ?2, ?3, ?4, NULL) ON CONFLICT (key)
                       DO UPDATE SET era = excluded.era, as_of_seq = excluded.as_of_seq, sealed_until = excluded.sealed_until, state = NULL";
            tx.prepare_cached(sql)?.execute(params![key as i64, era, last_seq, until])?;
            let failures = seal_hours(tx, key, entry, until, true, &mut 0)?;
            Ok((failures, add_row(tx, now, &batch)?))
        };
        let (failures, seq) = transact(&mut self.conn, &mut self.doubt, work)?;
        if let Some(entry) = self.memory.entries.get_mut(&key) {
            entry.failures.close();
        }
        self.memory.sealed(key, until, last_seq, &failures);
        if let Some(entry) = self.memory.entries.get_mut(&key) {
            (entry.has_state, entry.era) = (false, era);
        }
        self.last_seq = seq;
        Ok(())
    }

    /// Checks that are due for sealing, the most overdue first. A check falls due between 1 and 51 minutes after the end of its first open
    /// hour, by its key; at most a sixtieth of all is given at once, and it is given again until it is sealed.
    pub fn due_for_seal(&self, now: UnixMs) -> Vec<CheckId> {
        self.memory.due(now.0)
    }

    /// The checks that a restart would hand something out for: those with a snapshot or with open hours.
    pub fn known(&self) -> Vec<CheckId> {
        let mut ids: Vec<CheckId> =
            self.memory.entries.values().filter(|e| e.named && (e.has_state || !e.open.is_empty())).map(|e| e.id.clone()).collect();
        ids.sort();
        ids
    }

    /// Bytes on disk: the file and its write-ahead log.
    pub fn size_bytes(&self) -> u64 {
        let wal = beside(&self.path, "-wal");
        [&self.path, &wal].into_iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum()
    }

    /// Makes sure that there is a connection and that memory says what the file says.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if self.conn.is_some() && !self.doubt {
            return Ok(());
        }
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => schema::open_writer(&self.path)?,
        };
        let found = restore::last_seq(&conn)?;
        if found != self.last_seq {
            self.damaged = Damaged::default();
            (self.memory, _) = restore::load(&conn, &mut self.damaged)?;
            if self.doubt && found == self.last_seq + 1 {
                self.ghosts = restore::row(&conn, &self.memory, found)?;
            }
            self.last_seq = found;
        }
        (self.conn, self.doubt) = (Some(conn), false);
        Ok(())
    }
}

/// Runs one transaction. After an error nothing of it is in the file, but for `doubt`.
pub(super) fn transact<T>(
    conn: &mut Option<Connection>,
    doubt: &mut bool,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let Some(open) = conn.as_mut() else { return Err(StoreError::Corrupt("the store is closed".to_owned())) };
    let attempt = |doubt: &mut bool| {
        let tx = open.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&tx)?;
        *doubt = true;
        tx.commit()?;
        *doubt = false;
        Ok(done)
    };
    let result = attempt(doubt);
    if let Err(StoreError::Sqlite(e)) = &result {
        // A lock or a full disk passes; anything else may be the connection's own trouble (a file system remounted, a file replaced).
        if !matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull)) {
            *conn = None;
        }
    }
    result
}

fn add_row(tx: &Transaction<'_>, now: UnixMs, batch: &journal::Batch) -> Result<i64, StoreError> {
    tx.prepare_cached("INSERT INTO journal (at, marks, batch) VALUES (?1, ?2, ?3)")?.execute(params![now.0, batch.marks, batch.bytes])?;
    Ok(tx.last_insert_rowid())
}

fn name(tx: &Transaction<'_>, key: u64, entry: &Entry) -> Result<(), StoreError> {
    if !entry.named {
        tx.prepare_cached("INSERT OR IGNORE INTO check_name (key, id) VALUES (?1, ?2)")?.execute(params![key as i64, entry.id.as_str()])?;
    }
    Ok(())
}

/// Writes a check's open hours before `until` as segments and sums, added to what is there of them, and its failures; gives their rows.
fn seal_hours(
    tx: &Transaction<'_>,
    key: u64,
    entry: &Entry,
    until: i64,
    gone: bool,
    damaged: &mut usize,
) -> Result<Vec<Option<i64>>, StoreError> {
    for Ended { vantage, hour, mut runs } in entry.open.ended(until)? {
        add_sum(tx, key, vantage, hour, entry.era, &HourSum::of(&runs))?;
        let place = Place { key, vantage, hour };
        let sql = "SELECT runs FROM segment WHERE key = ?1 AND vantage = ?2 AND hour = ?3";
        let there: Option<Vec<u8>> = tx.prepare_cached(sql)?.query_row(params![key as i64, vantage, hour], |row| row.get(0)).optional()?;
        if let Some(blob) = there {
            let mut earlier = Vec::new();
            *damaged += usize::from(segment::read(place, &blob, &mut earlier).is_err());
            earlier.append(&mut runs);
            runs = earlier;
        }
        let blob = segment::blob(place, &segment::pack(hour, &mut runs).bytes());
        let sql = "INSERT OR REPLACE INTO segment (key, vantage, hour, runs) VALUES (?1, ?2, ?3, ?4)";
        tx.prepare_cached(sql)?.execute(params![key as i64, vantage, hour, blob])?;
    }
    entry.failures.write(tx, key, gone)
}

fn add_sum(tx: &Transaction<'_>, key: u64, vantage: u16, hour: i64, era: i64, sum: &HourSum) -> Result<(), StoreError> {
    if sum.is_empty() {
        return Ok(());
    }
    let c = &sum.counts;
    let sql = "INSERT INTO hour_sum (key, vantage, hour, era, pass, fail, throttled, skipped, unknown, first_attempt_failures, duration_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (key, vantage, hour, era) DO UPDATE SET
               pass = pass + excluded.pass, fail = fail + excluded.fail, throttled = throttled + excluded.throttled,
               skipped = skipped + excluded.skipped, unknown = unknown + excluded.unknown,
               first_attempt_failures = first_attempt_failures + excluded.first_attempt_failures,
               duration_ms = duration_ms + excluded.duration_ms";
    let n = [c.pass, c.fail, c.throttled, c.skipped, c.unknown, sum.first_attempt_failures, sum.duration_ms].map(|n| n as i64);
    let [pass, fail, throttled, skipped, unknown, first, ms] = n;
    tx.prepare_cached(sql)?.execute(params![key as i64, vantage, hour, era, pass, fail, throttled, skipped, unknown, first, ms])?;
    Ok(())
}

/// The records that are not among those already in the file.
fn without<'a>(records: &'a [Record], ghosts: &[(CheckId, Run)]) -> Vec<&'a Record> {
    let mut ghosts = ghosts.to_vec();
    let mut fresh = |r: &&Record| match ghosts.iter().position(|(check, run)| *check == r.check && *run == Run::of(r)) {
        Some(n) => {
            ghosts.swap_remove(n);
            false
        }
        None => true,
    };
    records.iter().filter(|r| fresh(r)).collect()
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The lock that says "I write", until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(pub(super) File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave it with a process that is just being started and still has all our files.
        let _ = self.0.unlock();
    }
}

/// Takes the lock that says "I write". On a file system that knows no locks there is none.
pub(super) fn lock(path: &Path) -> Result<Option<Lock>, StoreError> {
    let Ok(file) = File::options().write(true).create(true).truncate(false).open(beside(path, "-lock")) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}
