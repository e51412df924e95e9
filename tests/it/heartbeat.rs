//! The heartbeat: it goes out while outcomes are stored, falls silent when they are not, and its URL is nowhere to be seen.

use std::path::Path;

use crate::support::daemon::{Daemon, eventually, output, series, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

/// Whoever knows it can speak for us.
const PATH: &str = "/ping/c4nary-5f1d2c9e-heartbeat";

fn configure(dir: &Path, api: &FakeApi, more: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("url"), format!("{}\n", api.url(PATH))).unwrap();
    let settings = format!("[server]\nlisten = \"127.0.0.1:0\"\n[heartbeat]\nurl = {{ file = \"url\" }}\nevery = \"1s\"\n{more}");
    std::fs::write(dir.join("soakwatch.toml"), settings).unwrap();
    let check = "[[integration.check]]\nid = \"c\"\nevery = \"1s\"\ntimeout = \"900ms\"\n";
    let customer = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n";
    std::fs::write(dir.join("customers/acme.toml"), format!("{customer}{check}http = {{ url = \"{}\" }}\n", api.url("/watched"))).unwrap();
}

#[test]
fn it_beats_while_outcomes_are_stored_and_is_silent_when_they_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::start(|_| Reply::status(200));
    configure(dir.path(), &api, "");
    let daemon = Daemon::start(dir.path(), &[]);
    let beats = || api.log_of(PATH).len();
    eventually("three beats", || (beats() >= 3).then_some(()));
    let seen = api.log_of(PATH);
    assert!(seen.iter().all(|s| s.method == "GET" && s.body.is_empty()), "{seen:?}");
    assert!(seen.windows(2).all(|w| w[1].at.since(w[0].at).as_millis() >= 900), "never more often than every second: {seen:?}");

    // The store can't be written: runs go on, and nobody is told that all is well.
    let store = dir.path().join("soakwatch.db");
    let other = rusqlite::Connection::open(&store).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let errors = || series(&daemon.get("/metrics"), "soakwatch_store_write_errors_total", &[]).unwrap();
    eventually("commits fail", || (errors() >= 2.0).then_some(()));
    // One may tell of what was stored just before.
    let (before, failed) = (beats(), errors());
    let asked = api.log_of("/watched").len();
    eventually("it goes on failing, and asking", || (errors() >= failed + 3.0 && api.log_of("/watched").len() >= asked + 3).then_some(()));
    assert!(beats() <= before + 1, "{} beats, {before} before", beats());
    other.execute_batch("ROLLBACK").unwrap();
    let silent = beats();
    eventually("it beats again", || (beats() >= silent + 2).then_some(()));

    let scrape = daemon.get("/metrics") + &daemon.get("/api/v1/status") + &daemon.get("/");
    let log = daemon.log();
    assert!(log.contains("the heartbeat arrives"), "{log}");
    assert_eq!(daemon.stop(), Some(0));
    assert!(!log.contains("c4nary") && !scrape.contains("c4nary"), "{log}");
}

#[test]
fn what_does_not_arrive_is_said_once_and_without_the_url() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::start(|seen| match seen.path.as_str() {
        PATH if seen.number < 3 => Reply::status(404),
        PATH if seen.number < 5 => Reply::close(),
        _ => Reply::status(200),
    });
    configure(dir.path(), &api, "method = \"post\"\n");
    let daemon = Daemon::start(dir.path(), &[("SOAKWATCH__LOG__LEVEL", "debug")]);
    eventually("it arrives at last", || daemon.log().contains("the heartbeat arrives").then_some(()));
    let log = daemon.log();
    assert_eq!(log.matches("it was answered with 404").count(), 1, "{log}");
    assert_eq!(log.matches("the heartbeat does not arrive").count(), 2, "{log}");
    assert!(!log.contains("c4nary"), "{log}");
    assert!(api.log_of(PATH).iter().all(|s| s.method == "POST"));
    // What is no URL is told by the reference.
    std::fs::write(dir.path().join("url"), "c4nary is no url").unwrap();
    eventually("it is said", || daemon.log().contains("url holds no http(s) URL").then_some(()));
    assert!(!daemon.log().contains("c4nary"));
    std::fs::remove_file(dir.path().join("url")).unwrap();
    let out = output(soakwatch().args(["validate", dir.path().to_str().unwrap()]));
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("heartbeat.url") && said.contains("no heartbeat can go out"), "{said}");
    assert_eq!(daemon.stop(), Some(0));
}
