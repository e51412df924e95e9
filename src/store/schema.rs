//! The file: its tables, its version, how it is opened. Migrations stand here and only here; docs/store.md explains every column.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::StoreError;

/// "SOAK": the file says whose it is.
const APPLICATION_ID: i32 = 0x534f_414b;
/// A commit waits so long for another program's lock, and then says that it could not.
pub(super) const BUSY: Duration = Duration::from_millis(500);

/// Step n leads from version n to n + 1. Released steps are never changed; new ones are added at the end.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE journal (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    at    INTEGER NOT NULL,
    marks BLOB NOT NULL,
    batch BLOB NOT NULL
) STRICT;
CREATE TABLE check_name (
    key INTEGER PRIMARY KEY,
    id  TEXT NOT NULL
) STRICT;
CREATE TABLE check_state (
    key          INTEGER PRIMARY KEY,
    era          INTEGER NOT NULL,
    as_of_seq    INTEGER NOT NULL,
    sealed_until INTEGER NOT NULL,
    state        TEXT
) STRICT;
CREATE TABLE segment (
    key     INTEGER NOT NULL,
    vantage INTEGER NOT NULL,
    hour    INTEGER NOT NULL,
    runs    BLOB NOT NULL,
    PRIMARY KEY (key, vantage, hour)
) STRICT, WITHOUT ROWID;
CREATE TABLE hour_sum (
    key       INTEGER NOT NULL,
    vantage   INTEGER NOT NULL,
    hour      INTEGER NOT NULL,
    era       INTEGER NOT NULL,
    pass      INTEGER NOT NULL,
    fail      INTEGER NOT NULL,
    throttled INTEGER NOT NULL,
    skipped   INTEGER NOT NULL,
    unknown   INTEGER NOT NULL,
    first_attempt_failures INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (key, vantage, hour, era)
) STRICT, WITHOUT ROWID;
CREATE TABLE failure (
    id          INTEGER PRIMARY KEY,
    key         INTEGER NOT NULL,
    vantage     INTEGER NOT NULL,
    first_slot  INTEGER NOT NULL,
    last_slot   INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    class       TEXT,
    cause       TEXT,
    attribution TEXT,
    detail      TEXT,
    open        INTEGER NOT NULL
) STRICT;
CREATE INDEX failure_of_check ON failure (key);
CREATE INDEX failure_open ON failure (key) WHERE open;
CREATE TABLE note (
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE evidence (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    customer    TEXT,
    environment TEXT,
    integration TEXT,
    actor       TEXT NOT NULL,
    body        TEXT NOT NULL,
    record_hash BLOB NOT NULL,
    chain_hash  BLOB NOT NULL
) STRICT;
CREATE TRIGGER evidence_is_never_changed BEFORE UPDATE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is only added to'); END;
CREATE TRIGGER evidence_is_never_deleted BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is only added to'); END;
",
    "
CREATE TABLE incident (
    id          TEXT PRIMARY KEY,
    integration TEXT NOT NULL,
    first_bad   INTEGER NOT NULL,
    closed      INTEGER,
    body        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_of_integration ON incident (integration, first_bad);
CREATE INDEX incident_closed ON incident (closed);
",
];

/// The version this program writes.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// The version from which on there is an evidence log.
pub(super) const WITH_EVIDENCE: i64 = 2;

/// Opens the file to write; makes or migrates it. Nothing is changed in a file that is not ours.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    let found = version(&conn, path)?;
    // WAL: readers never wait, a commit is one sync. FULL: what was said to be kept survives a power cut.
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    // A WAL that grew while somebody read is cut back.
    conn.pragma_update(None, "journal_size_limit", 16 << 20)?;
    conn.set_prepared_statement_cache_capacity(32);
    if found < VERSION {
        migrate(&mut conn, path)?;
    }
    Ok(conn)
}

/// Opens the file to read only. It must be there, and of this version.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing(path.to_owned()));
    }
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    match ours(&conn, path)? {
        VERSION => Ok(conn),
        older => Err(StoreError::Older { path: path.to_owned(), found: older, known: VERSION }),
    }
}

/// The schema version of a file that must be ours, of whatever version this program knows.
pub(super) fn ours(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    match version(conn, path)? {
        0 => Err(not_ours(path, "it is empty".to_owned())),
        known => Ok(known),
    }
}

fn not_ours(path: &Path, why: String) -> StoreError {
    StoreError::NotAStore { path: path.to_owned(), why }
}

/// The schema version of the file: 0 for a new one.
fn version(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let read = || Ok((number("PRAGMA application_id")?, number("PRAGMA user_version")?, number("SELECT count(*) FROM sqlite_schema")?));
    let (id, found, tables) = read().map_err(|e: rusqlite::Error| match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => not_ours(path, "it is not a database".to_owned()),
        _ => StoreError::Sqlite(e),
    })?;
    if tables == 0 && found == 0 {
        return Ok(0);
    }
    if id != i64::from(APPLICATION_ID) {
        return Err(not_ours(path, "it is a database of another program".to_owned()));
    }
    if found > VERSION {
        return Err(StoreError::Newer { path: PathBuf::from(path), found, known: VERSION });
    }
    Ok(found)
}

/// Takes the steps that are missing, all or none.
fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again under the lock.
    let found = usize::try_from(version(&tx, path)?).unwrap_or(0);
    for step in MIGRATIONS.iter().skip(found) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    Ok(())
}
