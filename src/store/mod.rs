//! The store: every result, on disk, in one SQLite file (docs/store.md has the schema and the packing byte by byte).
//!
//! A commit is one transaction: a journal row with the packed batch. Once an hour and check, spread over the hour, the recorder seals: the
//! open hours become segments and sums, and a snapshot of the check's state takes the place of its journal. Journal rows that nothing needs
//! are deleted. Synchronous: the recorder owns a [`Store`] on a thread of its own; anybody may read through a [`Reader`].
//!
//! - `schema`: tables, versions, migrations; `rows`: reading that survives damage
//! - `journal`: a commit's row; `segment`, `packing`, `bits`, `codes`: an hour's runs in about half a byte each; `run`: cutting spans
//! - `memory`: what the writer remembers: `open` hours, `failures`, what is due
//! - `notes`: what must survive and is no run; `incidents`: those, a row each; `evidence`: the log that is only added to
//! - `backup`: a copy of one moment, and one put in a store's place
//! - `writer`: commit, seal, forget; `restore`: start; `retention`: deleting; `reader`: everybody else
//!
//! Never judges, never reads a clock, never logs: what is damaged or refused is in what it returns.

use std::fmt;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::board::Counts;
use crate::fields::CheckId;
use crate::record::Record;

pub mod backup;
mod bits;
mod codes;
mod evidence;
mod failures;
#[cfg(test)]
mod fixtures;
mod hours;
mod incidents;
mod journal;
mod memory;
mod notes;
mod open;
mod packing;
#[cfg(test)]
mod pages;
mod reader;
mod restore;
mod retention;
mod rows;
mod run;
mod schema;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use crate::record::Run;
pub use evidence::Logged;
pub use failures::FailureRow;
pub use hours::Hours;
pub use notes::Note;
pub use reader::Reader;
pub use retention::Pinned;
pub use writer::Store;

/// Why the store could not do it. The texts are for people.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no file.
    #[error("there is no store at {}: has the daemon ever run with this configuration?", .0.display())]
    Missing(PathBuf),
    /// The file is something else.
    #[error("{} is not a Soakwatch store: {why}", .path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// The file was written by a newer version.
    #[error("{} was written by a newer Soakwatch (schema {found}, this one knows up to {known}): use that version", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// The file is from an older version, and a reader does not migrate.
    #[error("{} was written by an older Soakwatch (schema {found}, this one reads {known}): start this version's daemon on it once", .path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The one this program reads.
        known: i64,
    },
    /// Another daemon writes to it.
    #[error("{} is in use by another Soakwatch daemon", .0.display())]
    InUse(PathBuf),
    /// SQLite said no.
    #[error("the store {}", plain(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// Stored bytes can't be read.
    #[error("{0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether stored bytes are not what was written: that does not pass by waiting.
    pub fn is_damage(&self) -> bool {
        rows::is_damage(self)
    }
}

impl From<bits::Damage> for StoreError {
    fn from(damage: bits::Damage) -> Self {
        Self::Corrupt(damage.0.to_owned())
    }
}

/// What SQLite's error means to somebody who does not know SQLite.
fn plain(e: &rusqlite::Error) -> String {
    let meaning = match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "could not be written: the disk is full",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => "may not be written (check the file's and the directory's permissions)",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => "is locked by another program",
        Some(ErrorCode::CannotOpen) => "can't be opened (is its directory there, and accessible to this user?)",
        Some(ErrorCode::SystemIoFailure) => "could not be read or written: the disk reports an error",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "is damaged",
        _ => "failed",
    };
    format!("{meaning} ({e})")
}

/// Ends a check's settled hours, and replaces its snapshot.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Which check.
    pub check: CheckId,
    /// Its state as JSON, with every record committed before this batch folded in, and none of this batch.
    pub state: String,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The journal row; 0 if there was nothing to write.
    pub seq: i64,
    /// Records kept.
    pub kept: usize,
    /// Records of a check whose 64-bit key is another check's; they can't be kept.
    pub refused: usize,
    /// Segments that were found damaged when more of their hour came; they were replaced.
    pub damaged: usize,
    /// Checks whose hours can't be sealed, because of a damage; they stay in the journal.
    pub unsealed: usize,
}

/// What a restart reads back, in this order: of each check its state and hours; then records in the order they were committed.
#[derive(Debug)]
pub enum Restored<'a> {
    /// The last snapshot of a check's state.
    State(&'a CheckId, &'a str),
    /// The sealed part of an hour of the last 7 days: for `CheckState::add_hour`.
    Hour(&'a CheckId, i64, &'a Counts),
    /// `true`: committed after the snapshot, so `CheckState::apply` it. `false`: in the snapshot, but not in an `Hour`: for
    /// `CheckState::add_rolling` alone (facts and detail may be missing, a span may be a part of what was committed).
    Record(&'a Record, bool),
}

/// What could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damaged {
    /// Rows.
    pub count: u64,
    /// The first one's place and reason.
    pub first: Option<String>,
}

impl Damaged {
    fn note(&mut self, what: &str, why: &dyn fmt::Display) {
        self.count += 1;
        self.first.get_or_insert_with(|| format!("{what}: {why}"));
    }
}

/// What a restart found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Checks with a snapshot.
    pub states: u64,
    /// Records handed out with `true`.
    pub records: u64,
    /// What could not be read and was left out.
    pub damaged: Damaged,
}
