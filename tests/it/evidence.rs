//! The evidence log of a real daemon: what it says of itself, over restarts, reloads and kills, and what it says when it was tampered with.

use std::path::Path;

use soakwatch::clock::UnixMs;
use soakwatch::evidence::{Checked, Recorded};
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, output, series, soakwatch};

fn write(dir: &Path, checks: &[&str], extra: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for customer in ["acme", "zeta"] {
        let mut text = format!(
            "[customer]\nid = \"{customer}\"\nname = \"X\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n{extra}\n"
        );
        for id in checks {
            text += &format!(
                "[[integration.check]]\nid = \"{id}\"\nevery = \"1s\"\ntimeout = \"500ms\"\n[integration.check.http]\nurl = \"http://127.0.0.1:{port}/\"\n"
            );
        }
        std::fs::write(dir.join(format!("customers/{customer}.toml")), text).unwrap();
    }
}

fn log(dir: &Path) -> Vec<Recorded> {
    let reader = Reader::open(&dir.join("soakwatch.db")).unwrap();
    reader.evidence("acme", "staging", UnixMs(i64::MAX)).unwrap().into_iter().filter_map(|l| l.record.map(|r| *r)).collect()
}

fn kinds(log: &[Recorded]) -> Vec<&str> {
    log.iter().map(|r| r.kind.as_str()).collect()
}

fn value(daemon: &Daemon, name: &str) -> Option<f64> {
    series(&daemon.get("/metrics"), name, &[])
}

#[test]
fn a_daemon_records_its_life() {
    const WINDOW: &str =
        "maintenance = [{ start = 2026-11-25T22:00:00Z, end = 2026-11-26T02:00:00Z, reason = \"upgrade\", by = \"j.doe\" }]";
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &["a"], WINDOW);
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("a run is stored", || (value(&daemon, "soakwatch_runs_total") >= Some(1.0)).then_some(()));
    assert_eq!(value(&daemon, "soakwatch_evidence_verify_failures_total"), Some(0.0));
    eventually("the first records are counted", || (value(&daemon, "soakwatch_evidence_records_total") == Some(6.0)).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    let first = log(dir.path());
    assert_eq!(kinds(&first), ["daemon_started", "config_applied", "config_applied", "maintenance", "daemon_stopped"]);
    // Names of other customers stand nowhere in what a bundle of this one holds.
    assert!(!serde_json::to_string(&first).unwrap().contains("zeta"));
    assert_eq!(first[2].body["added"], serde_json::json!(["acme/staging/api/a"]));
    assert_eq!((first[3].body["action"].as_str(), first[3].body["start"].as_str()), (Some("declared"), Some("2026-11-25T22:00:00.000Z")));

    // The same configuration is no news; a kill leaves a gap; a reload is recorded with who asked.
    let daemon = Daemon::start(dir.path(), &[]);
    daemon.kill();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let daemon = Daemon::start(dir.path(), &[]);
    write(dir.path(), &["a", "b"], "");
    assert_eq!(output(soakwatch().args(["reload", "--url", &daemon.url])).status.code(), Some(0));
    assert_eq!(daemon.stop(), Some(0));
    let all = log(dir.path());
    let since = kinds(&all[5..]);
    let without_gaps: Vec<&str> = since.iter().copied().filter(|k| *k != "daemon_gap").collect();
    assert_eq!(without_gaps, ["daemon_started", "daemon_started", "config_applied", "config_applied", "maintenance", "daemon_stopped"]);
    assert!(since.contains(&"daemon_gap"));
    let [.., applied, withdrawn, _] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&applied.body["added"], applied.actor.as_str() != "soakwatch"), (&serde_json::json!(["acme/staging/api/b"]), true));
    assert_eq!(withdrawn.body["action"], "withdrawn");
    let checked = Reader::open(&dir.path().join("soakwatch.db")).unwrap().check_evidence(Checked::default()).unwrap();
    assert!(checked.whole(), "{:?}", checked.breaks);
}

#[test]
fn a_log_that_was_changed_is_said_once_and_stays_said() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &["a"], "");
    assert_eq!(Daemon::start(dir.path(), &[]).stop(), Some(0));
    let conn = rusqlite::Connection::open(dir.path().join("soakwatch.db")).unwrap();
    conn.execute_batch("DROP TRIGGER evidence_is_never_changed; UPDATE evidence SET actor = 'nobody' WHERE seq = 2").unwrap();
    drop(conn);
    for _ in 0..2 {
        let daemon = Daemon::start(dir.path(), &[]);
        assert_eq!(value(&daemon, "soakwatch_evidence_verify_failures_total"), Some(1.0));
        assert!(daemon.log().contains("evidence record 2 was changed"), "{}", daemon.log());
        assert_eq!(daemon.stop(), Some(0));
    }
    let damage: Vec<Recorded> = log(dir.path()).into_iter().filter(|r| r.kind == "damage").collect();
    assert_eq!(damage.len(), 1, "{damage:?}");
}
