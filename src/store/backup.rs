//! A copy of the store as it is at one moment, and a copy put in a store's place. For the commands that do it; the daemon knows neither.
//!
//! A copy is one file: no write-ahead log beside it, and nothing to be told apart from a store. Never changes the file it copies.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tempfile::NamedTempFile;

use super::schema::{self, BUSY};
use super::writer::{Lock, beside, lock};
use super::{StoreError, evidence};
use crate::clock::UnixMs;
use crate::evidence::Checked;

/// Pages copied in one go: a mebibyte.
const STEP: i32 = 256;
/// What SQLite says of a damaged file at most.
const COMPLAINTS: i64 = 3;

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Checks anything is stored of.
    pub checks: u64,
    /// Records of the evidence log.
    pub evidence: u64,
    /// The last commit.
    pub last: Option<UnixMs>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// The right to write to a store, held while this lives.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    _lock: Option<Lock>,
}

/// Copies a store, whoever writes to it meanwhile, into a new file in `dir` that only its owner may read, and examines the copy. What is committed while
/// it goes on is not in it. The file goes when it is dropped.
pub fn copy(from: &Path, dir: &Path) -> Result<(NamedTempFile, Contents), CopyError> {
    let trouble = |error| CopyError::File { path: dir.to_owned(), error };
    let file = tempfile::Builder::new().prefix(".soakwatch-").tempfile_in(dir).map_err(trouble)?;
    pages(from, file.path()).map_err(|e| damaged(e, from))?;
    file.as_file().sync_all().map_err(trouble)?;
    let contents = examine(file.path(), from).map_err(|e| damaged(e, from))?;
    Ok((file, contents))
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The store that was to be copied.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place where the copy was to be.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// SQLite's word for a damaged file, with the file's name.
fn damaged(e: StoreError, named: &Path) -> StoreError {
    match &e {
        StoreError::Sqlite(inner) if inner.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            StoreError::Corrupt(format!("{} is damaged: {inner}", named.display()))
        }
        _ => e,
    }
}

fn pages(from: &Path, to: &Path) -> Result<(), StoreError> {
    if !from.exists() {
        return Err(StoreError::Missing(from.to_owned()));
    }
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    source.busy_timeout(BUSY)?;
    // One moment: as long as this reading goes on, commits of the daemon are not seen, and the copy is never begun again because of them.
    let moment = source.unchecked_transaction()?;
    schema::ours(&moment, from)?;
    let mut target = Connection::open(to)?;
    {
        let backup = Backup::new(&moment, &mut target)?;
        while backup.step(STEP)? != StepResult::Done {}
    }
    drop(moment);
    // The store's own mode is copied too, and would want a second file beside the copy.
    target.pragma_update(None, "journal_mode", "delete")?;
    target.close().map_err(|(_, e)| e)?;
    Ok(())
}

/// Whether a copy is one, whole, and its evidence log unbroken. `named`: how it is called in an error.
fn examine(path: &Path, named: &Path) -> Result<Contents, StoreError> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let version = schema::ours(&conn, named)?;
    let complaints: Vec<String> = conn
        .prepare(&format!("PRAGMA integrity_check({COMPLAINTS})"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, rusqlite::Error>>()?;
    if complaints != ["ok"] {
        return Err(StoreError::Corrupt(format!("{} is damaged: {}", named.display(), complaints.join("; "))));
    }
    // An older schema had no log.
    let log = version >= schema::WITH_EVIDENCE;
    let checked = if log { evidence::check(&conn, Checked::default(), &mut |_| {})? } else { Checked::default() };
    if let Some(first) = checked.breaks.first() {
        return Err(StoreError::Corrupt(format!("the evidence log in {} is broken: {first}", named.display())));
    }
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Ok(Contents {
        checks: count(number("SELECT count(*) FROM check_name")?),
        evidence: checked.seq,
        last: number("SELECT max(at) FROM journal")?.map(UnixMs),
        bytes: path.metadata().map_or(0, |m| m.len()),
    })
}

/// Takes the right to write to a store, or says that a daemon has it.
pub fn hold(path: &Path) -> Result<Held, StoreError> {
    let held = Held { _lock: lock(path)?, path: path.to_owned() };
    // Who restores as root must not leave a lock behind that the daemon can't open.
    let _ = given_to_its_owner(&beside(path, "-lock"));
    Ok(held)
}

/// Puts a copy in the place of a store. What was there is moved aside first and never deleted: its new name begins with the store's and ends in `aside`.
pub fn put(held: &Held, copy: NamedTempFile, aside: &str) -> io::Result<Option<PathBuf>> {
    let path = &held.path;
    let kept = if path.exists() { Some(move_aside(path, aside)?) } else { None };
    given_to_its_owner(copy.path())?;
    copy.as_file().sync_all()?;
    copy.persist_noclobber(path).map_err(|e| e.error)?;
    sync_directory(path)?;
    Ok(kept)
}

fn move_aside(path: &Path, aside: &str) -> io::Result<PathBuf> {
    // What is in the write-ahead log goes into the file, so that one name says it all; a damaged one is left as it is.
    if let Ok(old) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX) {
        let _ = old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
    let kept = beside(path, aside);
    // The log first: one that stayed beside another file would be read into that one.
    for suffix in ["-wal", "-shm"] {
        let from = beside(path, suffix);
        if from.exists() {
            std::fs::rename(&from, beside(&kept, suffix))?;
        }
    }
    std::fs::rename(path, &kept)?;
    Ok(kept)
}

/// A file made by root goes to whom the directory belongs: the daemon's user.
fn given_to_its_owner(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).metadata()?;
    if rustix::process::geteuid().is_root() && directory.uid() != 0 {
        std::os::unix::fs::chown(path, Some(directory.uid()), Some(directory.gid()))?;
    }
    Ok(())
}

/// Makes a name in a directory survive a power cut.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::passed;
    use super::*;
    use crate::store::{Reader, Store};

    const A: &str = "acme/staging/api/a";

    fn file(dir: &tempfile::TempDir) -> PathBuf {
        dir.path().join("soakwatch.db")
    }

    fn filled(dir: &tempfile::TempDir, slots: std::ops::Range<i64>) -> Store {
        let mut store = Store::open(&file(dir)).unwrap();
        for n in slots {
            store.commit(UnixMs(n), &[passed(A, n * 30_000)], &[]).unwrap();
        }
        store
    }

    fn runs(path: &Path) -> usize {
        let reader = Reader::open(path).unwrap();
        reader.runs(&A.parse().unwrap(), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap().len()
    }

    #[test]
    fn a_copy_holds_one_moment_and_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, 1..40);
        let elsewhere = tempfile::tempdir().unwrap();
        let (copied, contents) = copy(&file(&dir), elsewhere.path()).unwrap();
        store.commit(UnixMs(99), &[passed(A, 99 * 30_000)], &[]).unwrap();
        assert_eq!((contents.checks, contents.evidence, contents.last), (1, 0, Some(UnixMs(39))));
        assert_eq!(copied.as_file().metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!((runs(copied.path()), runs(&file(&dir))), (39, 40));
        let names: Vec<_> = std::fs::read_dir(elsewhere.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1, "nothing beside it: {names:?}");
        assert!(matches!(hold(&file(&dir)), Err(StoreError::InUse(_))), "the writer has it");
    }

    #[test]
    fn what_was_there_is_moved_aside_with_its_log() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(filled(&other, 1..6));
        let store = filled(&dir, 1..20);
        // As after a kill: the log is still beside it.
        let left = std::fs::read(beside(&file(&dir), "-wal")).unwrap();
        drop(store);
        std::fs::write(beside(&file(&dir), "-wal"), left).unwrap();
        let held = hold(&file(&dir)).unwrap();
        let (copied, _) = copy(&file(&other), dir.path()).unwrap();
        let kept = put(&held, copied, ".old").unwrap().unwrap();
        assert_eq!((runs(&file(&dir)), runs(&kept)), (5, 19));
        assert!(!beside(&file(&dir), "-wal").exists() || std::fs::metadata(beside(&file(&dir), "-wal")).unwrap().len() == 0);
        drop(held);
        Store::open(&file(&dir)).unwrap();
    }

    #[test]
    fn damage_and_strangers_are_told() {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(&dir, 1..400));
        let whole = std::fs::read(file(&dir)).unwrap();
        let said = |bytes: &[u8]| {
            let path = dir.path().join("tried");
            std::fs::write(&path, bytes).unwrap();
            match copy(&path, dir.path()) {
                Ok(_) => panic!("it was taken"),
                Err(e) => e.to_string(),
            }
        };
        assert!(said(b"").contains("it is empty"), "{}", said(b""));
        assert!(said(b"hello, this is no database at all").contains("not a Soakwatch store"));
        let mut torn = whole;
        let middle = torn.len() / 2;
        torn[middle..middle + 4096].fill(0xa5);
        assert!(said(&torn).contains("damaged"), "{}", said(&torn));
        let stranger = dir.path().join("stranger");
        Connection::open(&stranger).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
        assert!(said(&std::fs::read(stranger).unwrap()).contains("another program"));
    }
}
