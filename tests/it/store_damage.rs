//! Faults of the store's file: pages are overwritten while the daemon is down and while it runs, and its file system turns read-only under it. The daemon
//! goes on, says what it lost, and never makes an outcome up. (Every page in turn, without a daemon: src/store/pages.rs.)

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use soakwatch::clock::{Clock, UnixMs};
use soakwatch::fields::CheckId;
use soakwatch::outcome::{Cause, Outcome};
use soakwatch::record::{Facts, Record};
use soakwatch::slots::Grid;
use soakwatch::store::{Reader, Store};

use crate::store_trouble::{configuration, runs, value};
use crate::support::daemon::{Daemon, eventually, output, soakwatch};

const PAGE: u64 = 4096;

/// The slots of a check with what became of them, as far as they can be read, and whether all could.
fn slots(store: &Path) -> (BTreeMap<UnixMs, (Outcome, Option<Cause>)>, bool) {
    let reader = Reader::open(store).unwrap();
    let found = reader.runs(&"acme/staging/api/c0".parse().unwrap(), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
    let mut all = BTreeMap::new();
    for run in &found {
        for k in 0..i64::from(run.count.max(1)) {
            let slot = UnixMs(run.slot.0 + k * 1_000);
            assert!(all.insert(slot, (run.outcome, run.cause)).is_none(), "slot {slot} is there twice");
        }
    }
    (all, reader.whole().is_ok())
}

/// The leaves of a table, first to last.
fn leaves(store: &Path, table: &str) -> Vec<u64> {
    let conn = rusqlite::Connection::open(store).unwrap();
    let root: u32 = conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0)).unwrap();
    let bytes = std::fs::read(store).unwrap();
    let page = |n: u64| &bytes[((n - 1) * PAGE) as usize..(n * PAGE) as usize];
    let number = |p: &[u8], at: usize, length: usize| p[at..at + length].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let (mut found, mut todo) = (Vec::new(), vec![u64::from(root)]);
    while let Some(n) = todo.pop() {
        let p = page(n);
        // SQLite's file format, 1.6: 5 is an interior page of a table; its cells begin with the page to the left.
        if p[0] == 5 {
            todo.push(number(p, 8, 4));
            let cells = number(p, 3, 2) as usize;
            todo.extend((0..cells).rev().map(|c| number(p, number(p, 12 + 2 * c, 2) as usize, 4)));
        } else {
            found.push(n);
        }
    }
    found
}

fn overwrite(store: &Path, page: u64) {
    let noise: Vec<u8> = (0..PAGE).map(|n| (n * n / 3 + n) as u8 | 1).collect();
    std::fs::File::options().write(true).open(store).unwrap().write_all_at(&noise, (page - 1) * PAGE).unwrap();
}

/// A store with some minutes of a check's passes in it, all in the one file. The leaves of its journal.
fn a_store_of_leaves(dir: &Path, store: &Path) -> Vec<u64> {
    configuration(dir, store, "");
    let check: CheckId = "acme/staging/api/c0".parse().unwrap();
    let first = Grid::new(check.key(), 1_000).at_or_before(Clock::System.now().minus(std::time::Duration::from_secs(200)));
    let mut writer = Store::open(store).unwrap();
    for n in 0..150 {
        let slot = UnixMs(first.0 + n * 1_000);
        let not_run = Record::not_run(check.clone(), slot, 1_000, 1, Cause::Internal);
        let facts = Facts { egress_rule: Some("x".repeat(300)), ..Facts::default() };
        let passed = Record {
            outcome: Outcome::Pass,
            cause: None,
            class: None,
            attribution: None,
            attempts: 1,
            first_attempt_passed: true,
            facts,
            ..not_run
        };
        writer.commit(slot, &[passed], &[]).unwrap();
    }
    drop(writer);
    let found = leaves(store, "journal");
    assert!(found.len() >= 5, "{found:?}");
    found
}

#[test]
fn a_page_overwritten_while_the_daemon_is_down_costs_what_stood_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("runs.db");
    let leaves = a_store_of_leaves(dir.path(), &store);
    let (before, whole) = slots(&store);
    assert!(whole);
    overwrite(&store, leaves[2]);
    let (left, whole) = slots(&store);
    assert!(!whole && left.len() < before.len(), "the reader says so");

    let daemon = Daemon::start(dir.path(), &[]);
    assert!(daemon.log().contains("parts of the store could not be read and were left out"), "{}", daemon.log());
    let had = runs(&daemon);
    eventually("it goes on", || (runs(&daemon) >= had + 4.0).then_some(()));
    eventually("all of it is stored", || (value(&daemon, "soakwatch_store_outbox_length") == 0.0).then_some(()));
    assert_eq!(value(&daemon, "soakwatch_store_outcomes_lost_total"), 0.0);
    assert_eq!(daemon.stop(), Some(0));
    // A second start loses nothing that came after the damage.
    let (between, _) = slots(&store);
    let daemon = Daemon::start(dir.path(), &[]);
    assert!(runs(&daemon) >= had + 4.0, "counters go on");
    assert_eq!(daemon.stop(), Some(0));

    let (after, whole) = slots(&store);
    assert!(!whole, "what is lost stays lost, and is told");
    let last = before.keys().next_back().unwrap();
    assert!(between.keys().filter(|slot| *slot > last).count() >= 4, "what came after the damage can be read");
    assert!(between.keys().all(|slot| after.contains_key(slot)));
    for (slot, what) in after.iter().filter(|(slot, _)| *slot <= last) {
        assert!(before.get(slot) == Some(what) || what.0 == Outcome::Unknown, "{slot}: {what:?}, it was {:?}", before.get(slot));
    }
}

#[test]
fn pages_overwritten_under_a_running_daemon_stop_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("runs.db");
    let leaves = a_store_of_leaves(dir.path(), &store);
    let daemon = Daemon::start(dir.path(), &[]);
    let had = runs(&daemon);
    eventually("it runs", || (runs(&daemon) > had).then_some(()));
    // All the journal has: nothing can be read of it, and nothing written.
    for leaf in leaves {
        overwrite(&store, leaf);
    }
    let had = runs(&daemon);
    eventually("probing and metrics go on", || (runs(&daemon) >= had + 5.0).then_some(()));
    assert_eq!(crate::support::daemon::get(&format!("{}/-/healthy", daemon.url)).0, 200);
    let (_, whole) = slots(&store);
    assert!(!whole, "the reader says so");
    let code = daemon.stop();
    assert_eq!(code, Some(0));
}

#[test]
fn a_store_that_can_not_be_opened_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("runs.db");
    configuration(dir.path(), &store, "");
    let daemon = Daemon::start(dir.path(), &[]);
    assert_eq!(daemon.stop(), Some(0));
    overwrite(&store, 1);
    let damaged = std::fs::read(&store).unwrap();
    let ran = output(soakwatch().arg("run").arg(dir.path()));
    assert_eq!(ran.status.code(), Some(74));
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("not a Soakwatch store") || said.contains("is damaged"), "{said}");
    assert!(std::fs::read(&store).unwrap() == damaged, "nothing was overwritten");
}

/// An ext4 file system in a file, which can be made to fail. Unmounted when dropped.
struct Disk {
    at: PathBuf,
    image: tempfile::TempDir,
}

impl Disk {
    /// `None` where mounting is not allowed, or mkfs.ext4 is not there.
    fn new() -> Option<Self> {
        let image = tempfile::tempdir().unwrap();
        let (file, at) = (image.path().join("disk"), image.path().join("mounted"));
        std::fs::create_dir(&at).unwrap();
        std::fs::File::create(&file).unwrap().set_len(16 << 20).unwrap();
        let done = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
        let made = done(Command::new("mkfs.ext4").arg("-q").arg(&file))
            && done(Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(&file).arg(&at));
        made.then_some(Self { at, image })
    }

    /// The kernel finds an error in the file system and makes it read-only, whoever has files open for writing.
    fn fails(&self) -> bool {
        let device = output(Command::new("findmnt").args(["-no", "SOURCE"]).arg(&self.at));
        let device = String::from_utf8_lossy(&device.stdout).trim().trim_start_matches("/dev/").to_owned();
        std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").is_ok()
    }

    /// What an operator does: off, checked, on again.
    fn mended(&self) {
        let done = |command: &mut Command| output(command);
        assert!(done(Command::new("umount").arg(&self.at)).status.success());
        let file = self.image.path().join("disk");
        done(Command::new("e2fsck").args(["-f", "-y"]).arg(&file));
        let mounted = done(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(&self.at));
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

#[test]
fn a_file_system_that_turns_read_only_stops_nothing_and_what_is_lost_is_told() {
    let Some(disk) = Disk::new() else {
        println!("not run: mounting a file system needs root, loop devices and mkfs.ext4");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = disk.at.join("runs.db");
    configuration(dir.path(), &store, "");
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("the first runs", || (runs(&daemon) >= 2.0).then_some(()));
    if !disk.fails() {
        println!("not run: this kernel's ext4 can not be made to fail");
        return;
    }
    eventually("write errors are counted", || (value(&daemon, "soakwatch_store_write_errors_total") >= 2.0).then_some(()));
    let before = runs(&daemon);
    eventually("probing and metrics go on", || (runs(&daemon) >= before + 3.0).then_some(()));
    assert!(value(&daemon, "soakwatch_store_outbox_length") > 0.0);
    assert!(daemon.log().contains("the store can't be written"), "{}", daemon.log());
    let (kept, _) = slots(&store);
    daemon.signal("TERM");
    eventually("the stop says what is lost", || daemon.log().contains("these outcomes are lost").then_some(()));
    assert_eq!(daemon.stop(), Some(0));

    disk.mended();
    let daemon = Daemon::start(dir.path(), &[]);
    let had = runs(&daemon);
    eventually("it goes on", || (runs(&daemon) >= had + 2.0).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    let (all, whole) = slots(&store);
    assert!(whole);
    assert!(kept.iter().all(|(slot, what)| all.get(slot) == Some(what)), "what was stored is as it was");
    let gap: Vec<_> = all.iter().filter(|(slot, _)| !kept.contains_key(slot)).take(3).collect();
    assert!(gap.iter().all(|(_, what)| **what == (Outcome::Unknown, Some(Cause::Down))), "what could not be stored is unknown: {gap:?}");
    let (first, last) = (all.keys().next().unwrap(), all.keys().next_back().unwrap());
    assert_eq!(all.len() as i64, (last.0 - first.0) / 1_000 + 1, "every slot is accounted for");
}
