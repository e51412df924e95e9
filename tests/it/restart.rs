//! What a restart and a removed check may not do: make a gap vanish, or let a counter fall.

use std::path::Path;

use soakwatch::clock::{Clock, UnixMs};
use soakwatch::outcome::{Cause, Outcome};
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, output, series, soakwatch};

/// Nothing listens there: every run fails at once, class `connect`.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn write(dir: &Path, port: u16, extra: &str, checks: &[(&str, &str)]) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut text = format!(
        "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n{extra}\n"
    );
    for (id, every) in checks {
        text += &format!(
            "[[integration.check]]\nid = \"{id}\"\nevery = \"{every}\"\ntimeout = \"500ms\"\n[integration.check.http]\nurl = \"http://127.0.0.1:{port}/\"\n"
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

fn value(daemon: &Daemon, name: &str, label: &str) -> f64 {
    series(&daemon.get("/metrics"), name, &[label]).unwrap_or(0.0)
}

/// Failures by class, summed over the integration's checks.
fn failures(daemon: &Daemon) -> f64 {
    value(daemon, "soakwatch_run_failure_classes_total", "class=\"connect\"")
}

fn reload(daemon: &Daemon) {
    assert_eq!(output(soakwatch().args(["reload", "--url", &daemon.url])).status.code(), Some(0));
}

#[test]
fn what_is_declared_while_the_daemon_is_down_takes_nothing_out_of_the_gap() {
    let now = || Clock::System.now();
    let hour = |at: UnixMs| std::time::Duration::from_millis(at.0.unsigned_abs().min(3_600_000));
    let window = format!(
        "maintenance = [{{ start = {}, end = {}, reason = \"late\", by = \"x\" }}]",
        now().minus(hour(now())),
        now().plus(hour(now()))
    );
    for (edit, every) in [(window.as_str(), "1s"), ("paused = { reason = \"late\", by = \"x\" }", "1s"), ("", "1h")] {
        let (dir, port) = (tempfile::tempdir().unwrap(), closed_port());
        write(dir.path(), port, "", &[("ping", "1s")]);
        let daemon = Daemon::start(dir.path(), &[]);
        eventually("two runs are stored", || (value(&daemon, "soakwatch_runs_total", "check=\"ping\"") >= 2.0).then_some(()));
        let (killed, down) = (now(), std::time::Duration::from_millis(3_200));
        daemon.kill();
        write(dir.path(), port, edit, &[("ping", every)]);
        eventually("three slots have passed", || (now() > killed.plus(down)).then_some(()));
        let restarted = now();
        let daemon = Daemon::start(dir.path(), &[]);
        assert_eq!(daemon.stop(), Some(0));
        let runs = Reader::open(&dir.path().join("soakwatch.db")).unwrap().runs(
            &"acme/staging/api/ping".parse().unwrap(),
            0,
            UnixMs(0),
            restarted,
        );
        let runs = runs.unwrap();
        let gap: u32 = runs.iter().filter(|r| r.cause == Some(Cause::Down)).map(|r| r.count).sum();
        assert!(gap >= 3, "{edit} {every}: {runs:?}");
        assert!(runs.iter().all(|r| r.outcome != Outcome::NotDue), "{edit} {every}: {runs:?}");
    }
}

#[test]
fn counters_of_an_integration_do_not_fall_when_a_check_leaves_it() {
    let (dir, port) = (tempfile::tempdir().unwrap(), closed_port());
    write(dir.path(), port, "", &[("stays", "1s"), ("leaves", "1s")]);
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("both have failed three times", || {
        ["stays", "leaves"].iter().all(|c| value(&daemon, "soakwatch_run_failures_total", &format!("check=\"{c}\"")) >= 3.0).then_some(())
    });
    let before = failures(&daemon);
    assert!(before >= 6.0);
    write(dir.path(), port, "", &[("stays", "1s")]);
    reload(&daemon);
    assert!(failures(&daemon) >= before, "at the reload");
    let before = failures(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start(dir.path(), &[]);
    assert!(failures(&daemon) >= before, "nor at a restart");

    // The same when it leaves while the daemon is down.
    write(dir.path(), port, "", &[("stays", "1s"), ("second", "1s")]);
    reload(&daemon);
    eventually("the second has failed", || (value(&daemon, "soakwatch_run_failures_total", "check=\"second\"") >= 2.0).then_some(()));
    let before = failures(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    write(dir.path(), port, "", &[("stays", "1s")]);
    let daemon = Daemon::start(dir.path(), &[]);
    assert!(failures(&daemon) >= before, "also when it left while the daemon was down");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_check_that_leaves_and_comes_back_at_once_loses_nothing_of_its_new_life() {
    let (dir, port) = (tempfile::tempdir().unwrap(), closed_port());
    write(dir.path(), port, "", &[("quick", "1s")]);
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("it runs", || (value(&daemon, "soakwatch_runs_total", "check=\"quick\"") >= 2.0).then_some(()));
    write(dir.path(), port, "", &[]);
    reload(&daemon);
    write(dir.path(), port, "", &[("quick", "1s")]);
    reload(&daemon);
    eventually("it runs again", || (value(&daemon, "soakwatch_runs_total", "check=\"quick\"") >= 3.0).then_some(()));
    let before = value(&daemon, "soakwatch_runs_due_total", "check=\"quick\"");
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start(dir.path(), &[]);
    assert!(value(&daemon, "soakwatch_runs_due_total", "check=\"quick\"") >= before);
    assert_eq!(daemon.stop(), Some(0));
}
#[test]
fn a_configuration_taken_over_just_before_the_stop_is_remembered() {
    let (dir, port) = (tempfile::tempdir().unwrap(), closed_port());
    write(dir.path(), port, "", &[("rare", "1h")]);
    let daemon = Daemon::start(dir.path(), &[]);
    write(dir.path(), port, "", &[("rare", "2h")]);
    reload(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    let notes = soakwatch::store::Store::open(&dir.path().join("soakwatch.db")).unwrap().notes("schedule").unwrap();
    assert!(notes["acme/staging/api/rare"].contains("7200000"), "{notes:?}");
}
