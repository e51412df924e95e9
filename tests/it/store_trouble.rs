//! A store that can't be written: probing and metrics go on, what could not be kept is counted, and it recovers by itself.

use std::path::Path;
use std::process::Command;

use soakwatch::clock::UnixMs;
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, output, series, soakwatch};

pub(super) fn configuration(dir: &Path, store: &Path, extra: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(
        dir.join("soakwatch.toml"),
        format!("[server]\nlisten = \"127.0.0.1:0\"\n[store]\npath = {:?}\n{extra}", store.to_str().unwrap()),
    )
    .unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n".to_owned();
    for n in 0..5 {
        text += &format!(
            "[[integration.check]]\nid = \"c{n}\"\nevery = \"1s\"\ntimeout = \"500ms\"\n[integration.check.http]\nurl = \"http://127.0.0.1:{port}/\"\n"
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

pub(super) fn value(daemon: &Daemon, name: &str) -> f64 {
    series(&daemon.get("/metrics"), name, &[]).unwrap()
}

pub(super) fn runs(daemon: &Daemon) -> f64 {
    series(&daemon.get("/metrics"), "soakwatch_runs_total", &["check=\"c0\""]).unwrap_or(0.0)
}

/// After all is well again, every run the counters know is in the store.
fn nothing_is_missing(daemon: Daemon, store: &Path) {
    let counted = {
        eventually("the outbox is empty", || (value(&daemon, "soakwatch_store_outbox_length") == 0.0).then_some(()));
        runs(&daemon)
    };
    assert_eq!(value(&daemon, "soakwatch_store_outcomes_lost_total"), 0.0);
    assert_eq!(daemon.stop(), Some(0));
    let reader = Reader::open(store).unwrap();
    let stored = reader.runs(&"acme/staging/api/c0".parse().unwrap(), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
    let stored = stored.iter().filter(|r| r.outcome.counted()).count() as f64;
    assert!(stored >= counted, "{stored} runs stored, {counted} counted");
}

#[test]
fn a_locked_store_stops_nothing_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("runs.db");
    configuration(dir.path(), &store, "");
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("the first runs", || (runs(&daemon) >= 1.0).then_some(()));
    let other = rusqlite::Connection::open(&store).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    eventually("write errors are counted", || (value(&daemon, "soakwatch_store_write_errors_total") >= 2.0).then_some(()));
    let before = runs(&daemon);
    eventually("probing and metrics go on", || (runs(&daemon) >= before + 3.0).then_some(()));
    assert!(value(&daemon, "soakwatch_store_outbox_length") > 0.0);
    assert!(daemon.log().contains("the store can't be written"));
    other.execute_batch("ROLLBACK").unwrap();
    nothing_is_missing(daemon, &store);
}

#[test]
fn a_store_that_is_locked_at_the_start_is_started_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("runs.db");
    configuration(dir.path(), &store, "");
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("the first runs", || (runs(&daemon) >= 1.0).then_some(()));
    daemon.kill();
    let other = rusqlite::Connection::open(&store).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let before = runs(&daemon);
    assert!(before >= 1.0, "what is stored is read");
    eventually("it runs", || (runs(&daemon) >= before + 2.0).then_some(()));
    assert!(value(&daemon, "soakwatch_store_write_errors_total") >= 1.0);
    other.execute_batch("ROLLBACK").unwrap();
    nothing_is_missing(daemon, &store);
}

#[test]
fn a_disk_that_is_full_at_the_start_is_told_and_costs_nothing() {
    let Some(disk) = SmallDisk::new() else {
        println!("not run: mounting a small file system needs root");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = disk.0.path().join("runs.db");
    configuration(dir.path(), &store, "");
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("the first runs", || (runs(&daemon) >= 1.0).then_some(()));
    let before = runs(&daemon);
    daemon.kill();
    let filler = disk.0.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    // What a killed daemon left takes its place on the disk already: it starts, or says why not.
    let (mut daemon, ready) = Daemon::launch(dir.path(), &[]);
    let started = eventually("it starts or ends", || match ready.try_recv() {
        Ok(url) => Some(Some(url)),
        Err(_) => daemon.has_ended().then_some(None),
    });
    match started {
        None => assert!(daemon.log().contains("the disk is full"), "{}", daemon.log()),
        Some(url) => {
            daemon.url = url;
            assert!(runs(&daemon) >= before);
            eventually("it runs", || (runs(&daemon) >= before + 2.0).then_some(()));
        }
    }
    drop(daemon);
    std::fs::remove_file(&filler).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    assert!(runs(&daemon) >= before, "nothing that was stored is lost");
    nothing_is_missing(daemon, &store);
}

#[test]
fn what_does_not_fit_into_the_outbox_is_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("runs.db");
    configuration(dir.path(), &store, "outbox = 10\n");
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("the first runs", || (runs(&daemon) >= 1.0).then_some(()));
    let other = rusqlite::Connection::open(&store).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    eventually("lost outcomes are counted", || (value(&daemon, "soakwatch_store_outcomes_lost_total") >= 5.0).then_some(()));
    assert!(value(&daemon, "soakwatch_store_outbox_length") <= 11.0);
    other.execute_batch("ROLLBACK").unwrap();
    eventually("it recovers", || (value(&daemon, "soakwatch_store_outbox_length") == 0.0).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(dir.path())
            .output()
            .ok()?
            .status
            .success()
            .then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_stops_nothing_and_recovers() {
    let Some(disk) = SmallDisk::new() else {
        println!("not run: mounting a small file system needs root");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = disk.0.path().join("runs.db");
    configuration(dir.path(), &store, "");
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("the first runs", || (runs(&daemon) >= 1.0).then_some(()));
    let filler = disk.0.path().join("filler");
    // Until not a byte is left.
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    eventually("write errors are counted", || (value(&daemon, "soakwatch_store_write_errors_total") >= 2.0).then_some(()));
    let before = runs(&daemon);
    eventually("probing and metrics go on", || (runs(&daemon) >= before + 3.0).then_some(()));
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    nothing_is_missing(daemon, &store);
}

#[test]
fn two_daemons_on_one_store_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("runs.db");
    configuration(dir.path(), &store, "");
    let daemon = Daemon::start(dir.path(), &[]);
    let second = output(soakwatch().arg("run").arg(dir.path()));
    assert_eq!(second.status.code(), Some(74));
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("is in use by another Soakwatch daemon"),
        "{}",
        String::from_utf8_lossy(&second.stderr)
    );
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_file_that_is_no_store_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("runs.db");
    configuration(dir.path(), &store, "");
    std::fs::write(&store, "this is a letter, not a database, and it is long enough to have a header ".repeat(20)).unwrap();
    let ran = output(soakwatch().arg("run").arg(dir.path()));
    assert_eq!(ran.status.code(), Some(74), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(std::fs::read_to_string(&store).unwrap().starts_with("this is a letter"), "nothing was overwritten");
}
