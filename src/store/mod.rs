//! The store. See `docs/decisions` for the packing.
use std::path::Path;

use crate::board::Counts;
use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::record::{DurationCode, Record};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored blob can't be read.
    #[error("store: {0}")]
    Corrupt(String),
}
/// A seal.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Which check.
    pub check: CheckId,
    /// Its state as JSON, with every record committed before this batch folded in.
    pub state: String,
}
/// What a restart reads back, in this order for each check: state, hours, records.
#[derive(Debug)]
pub enum Restored<'a> {
    /// The last snapshot of a check's state.
    State(&'a CheckId, &'a str),
    /// A sealed hour of the last 7 days.
    Hour(&'a CheckId, i64, &'a Counts),
    /// A journal record; `after_state`: committed after the snapshot.
    Record(&'a Record, bool),
}
/// One stored run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Run {
    /// Slot (first).
    pub slot: UnixMs,
    /// Distance of slots.
    pub interval_ms: u32,
    /// How many.
    pub count: u32,
    /// Outcome.
    pub outcome: Outcome,
    /// Class.
    pub class: Option<Class>,
    /// Cause.
    pub cause: Option<Cause>,
    /// Attribution.
    pub attribution: Option<Attribution>,
    /// Duration.
    pub duration: DurationCode,
    /// Attempts.
    pub attempts: u8,
    /// First attempt.
    pub first_attempt_passed: bool,
}
/// The writer.
#[derive(Debug)]
pub struct Store {
    conn: rusqlite::Connection,
}
impl Store {
    /// Opens or makes the store, and migrates it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { conn: rusqlite::Connection::open(path)? })
    }
    /// Writes a batch and seals, in one transaction.
    pub fn commit(&mut self, _now: UnixMs, _records: &[Record], _seals: &[Seal]) -> Result<(), StoreError> {
        Ok(())
    }
    /// Hands everything a restart needs to `sink`.
    pub fn restore(&mut self, _now: UnixMs, _sink: &mut dyn FnMut(Restored<'_>)) -> Result<(), StoreError> {
        let _ = &self.conn;
        Ok(())
    }
}
/// Reads runs.
#[derive(Debug)]
pub struct Reader {}
impl Reader {
    /// Opens read-only.
    pub fn open(_path: &Path) -> Result<Self, StoreError> {
        Ok(Self {})
    }
    /// Runs of a check.
    pub fn runs(&self, _check: &CheckId, _vantage: u16, _since: UnixMs, _until: UnixMs) -> Result<Vec<Run>, StoreError> {
        Ok(Vec::new())
    }
}
