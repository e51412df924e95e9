//! Must show 4: scripted runs against a fake API with three kill -9 in between. The store agrees with the fake's own log, minus at most the open
//! batches; no slot runs twice; every slot is accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use soakwatch::board::Counts;
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::fields::CheckId;
use soakwatch::outcome::{Cause, Outcome};
use soakwatch::slots::Grid;
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, series};

const CHECKS: usize = 8;

/// What the fake API logged: (path, when, status).
type Log = Arc<Mutex<Vec<(String, UnixMs, u16)>>>;

/// A fake API with its own log. The path's third number scripts it: every n-th request is answered 500.
fn fake() -> (u16, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::default();
    let kept = Arc::clone(&log);
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let arrived = Clock::System.now();
                let mut lines = BufReader::new(socket.try_clone().unwrap()).lines().map_while(Result::ok);
                let Some(path) = lines.next().and_then(|l| l.split(' ').nth(1).map(str::to_owned)) else { return };
                while lines.next().is_some_and(|l| !l.is_empty()) {}
                let every: usize = path.rsplit('/').next().unwrap().parse().unwrap();
                let status = {
                    let mut kept = kept.lock().unwrap();
                    let nth = kept.iter().filter(|(p, ..)| *p == path).count() + 1;
                    let status = if every > 0 && nth % every == 0 { 500 } else { 200 };
                    kept.push((path, arrived, status));
                    status
                };
                let _ = write!(socket, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            });
        }
    });
    (port, log)
}

fn path(n: usize) -> String {
    format!("/v1/{n}/{}", [0, 3, 5, 2][n % 4])
}

fn configuration(dir: &std::path::Path, port: u16) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n[scheduler]\nper_host = 64\n").unwrap();
    let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"orders\"\nenvironment = \"staging\"\nowner = \"vendor\"\n".to_owned();
    for n in 0..CHECKS {
        let url = format!("http://127.0.0.1:{port}{}", path(n));
        text += &format!(
            "[[integration.check]]\nid = \"c{n}\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.http]\nurl = \"{url}\"\n"
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

fn check(n: usize) -> CheckId {
    format!("acme/staging/orders/c{n}").parse().unwrap()
}

#[test]
fn the_store_agrees_with_the_far_side_through_three_kills() {
    let dir = tempfile::tempdir().unwrap();
    let (port, log) = fake();
    configuration(dir.path(), port);
    let mut kills = 0;
    for round in 0..4 {
        let daemon = Daemon::start(dir.path(), &[]);
        let before = log.lock().unwrap().len();
        eventually("five rounds of requests", || (log.lock().unwrap().len() >= before + 5 * CHECKS).then_some(()));
        if round < 3 {
            daemon.kill();
            kills += 1;
        } else {
            agrees_with_metrics(&daemon);
            assert_eq!(daemon.stop(), Some(0));
        }
    }

    let reader = Reader::open(&dir.path().join("soakwatch.db")).unwrap();
    let (mut asked_in_all, mut stored_in_all) = (0, 0);
    for n in 0..CHECKS {
        let grid = Grid::new(check(n).key(), 1_000);
        // Each request belongs to the slot it was sent for: the last one before it arrived.
        let mut asked: BTreeMap<UnixMs, u16> = BTreeMap::new();
        for (_, at, status) in log.lock().unwrap().iter().filter(|(p, ..)| *p == path(n)) {
            assert!(asked.insert(grid.at_or_before(*at), *status).is_none(), "check {n}: a slot ran twice");
        }
        let runs = reader.runs(&check(n), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
        let mut accounted = BTreeSet::new();
        let mut lost = 0;
        for run in &runs {
            for k in 0..i64::from(run.count.max(1)) {
                let slot = UnixMs(run.slot.0 + k * 1_000);
                assert!(accounted.insert(slot), "check {n}: slot {slot} is stored twice");
                let expected = match asked.get(&slot) {
                    Some(200) => Outcome::Pass,
                    Some(_) => Outcome::Fail,
                    None => Outcome::Unknown,
                };
                if run.outcome == Outcome::Unknown && expected != Outcome::Unknown {
                    assert_eq!(run.cause, Some(Cause::Down), "check {n}: slot {slot}");
                    lost += 1;
                } else {
                    assert_eq!(run.outcome, expected, "check {n}: slot {slot}");
                }
            }
        }
        let stored = runs.iter().filter(|r| r.outcome.counted()).count();
        assert_eq!(stored + lost, asked.len(), "check {n}: what is not stored is accounted for as unknown");
        // An open batch spans a second and its commit: two slots of a 1 s check, and the run in flight.
        assert!(lost <= 3 * kills, "check {n}: {lost} runs lost in {kills} kills");
        let (first, last) = (*accounted.first().unwrap(), *accounted.last().unwrap());
        assert_eq!(accounted.len() as i64, (last.0 - first.0) / 1_000 + 1, "check {n}: every slot is accounted for");
        asked_in_all += asked.len();
        stored_in_all += stored;
    }
    println!("{asked_in_all} requests at the far side, {stored_in_all} runs stored, {kills} kills");
}

/// Counters go on after a restart: the scrape equals the sum of the stored runs, slot by slot, as soon as all is written.
fn agrees_with_metrics(daemon: &Daemon) {
    eventually("counters and API agree", || {
        let scrape = daemon.get("/metrics");
        let mut agree = 0;
        for n in 0..CHECKS {
            let runs: serde_json::Value =
                serde_json::from_str(&daemon.get(&format!("/api/v1/checks/acme/staging/orders/c{n}/runs?since=1h"))).unwrap();
            let mut counts = Counts::default();
            for run in runs.get("runs").unwrap_or(&runs).as_array().unwrap() {
                counts.add(Outcome::parse(run["outcome"].as_str().unwrap()).unwrap(), run["count"].as_u64().unwrap().max(1));
            }
            let label = format!("check=\"c{n}\"");
            let value = |name: &str| series(&scrape, name, &[&label]).unwrap_or(-1.0) as u64;
            // A run may be stored between the scrape and the query.
            let near = |a: u64, b: u64| a <= b && b - a <= 1;
            agree +=
                usize::from(near(value("soakwatch_runs_due_total"), counts.due()) && near(value("soakwatch_runs_total"), counts.counted()));
        }
        (agree == CHECKS).then_some(())
    });
}
