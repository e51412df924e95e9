//! Faults under load: a thousand targets that hang at once, a reload every second for a minute, SIGTERM while runs are in flight. Others go on, nothing is lost,
//! nothing runs twice, and the daemon ends in time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use soakwatch::clock::{UnixMs, monotonic};
use soakwatch::fields::CheckId;
use soakwatch::outcome::{Cause, Outcome};
use soakwatch::slots::Grid;
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, request, series};
use crate::support::fake_api::{FakeApi, Reply};

fn settings(dir: &Path, more: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n{more}")).unwrap();
}

/// A customer with checks: id, interval, timeout, URL.
fn customer<'a>(dir: &Path, id: &str, checks: impl IntoIterator<Item = (String, &'a str, &'a str, String)>) {
    let mut text = format!(
        "[customer]\nid = \"{id}\"\nname = \"{id}\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n"
    );
    for (check, every, timeout, url) in checks {
        text += &format!(
            "[[integration.check]]\nid = \"{check}\"\nevery = \"{every}\"\ntimeout = \"{timeout}\"\n[integration.check.http]\nurl = \"{url}\"\n"
        );
    }
    std::fs::write(dir.join(format!("customers/{id}.toml")), text).unwrap();
}

fn id(customer: &str, check: &str) -> CheckId {
    format!("{customer}/staging/api/{check}").parse().unwrap()
}

type Slots = BTreeMap<UnixMs, (Outcome, Option<Cause>)>;

/// What is stored of a check, slot by slot: each once, and none left out.
fn slots(dir: &Path, check: &CheckId) -> Slots {
    let reader = Reader::open(&dir.join("soakwatch.db")).unwrap();
    let mut all = Slots::new();
    let mut interval = 0;
    for run in reader.runs(check, 0, UnixMs(0), UnixMs(i64::MAX)).unwrap() {
        interval = i64::from(run.interval_ms);
        for k in 0..i64::from(run.count.max(1)) {
            let slot = UnixMs(run.slot.0 + k * interval);
            assert!(all.insert(slot, (run.outcome, run.cause)).is_none(), "{check}: slot {slot} is stored twice");
        }
    }
    let (first, last) = (all.keys().next().unwrap().0, all.keys().next_back().unwrap().0);
    assert_eq!(all.len() as i64, (last - first) / interval.max(1) + 1, "{check}: every slot is accounted for");
    all
}

/// Every request at the far side is a run that is stored; none of them twice, none invented. How many there were.
fn agrees(api: &FakeApi, path: &str, check: &CheckId, every_ms: i64, all: &Slots) -> usize {
    let grid = Grid::new(check.key(), every_ms);
    let mut asked = BTreeSet::new();
    for seen in api.log_of(path) {
        let slot = grid.at_or_before(seen.at);
        assert!(asked.insert(slot), "{check}: slot {slot} ran twice");
        assert!(all.contains_key(&slot), "{check}: slot {slot} was run and is not accounted for");
    }
    for (slot, (outcome, cause)) in all {
        assert!(!outcome.counted() || asked.contains(slot), "{check}: slot {slot} is {outcome:?} and was never asked");
        assert!(!matches!(cause, Some(Cause::Down | Cause::Internal)), "{check}: slot {slot}: {cause:?}");
    }
    asked.len()
}

fn status_line(pid: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find(|l| l.starts_with(name)).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn a_thousand_targets_that_hang_at_once_cost_nobody_else_a_slot() {
    // Connections are made by the kernel, and nobody ever takes them.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let hanging = socket.listen(4_096).unwrap();
    let port = hanging.local_addr().unwrap().port();
    let api = FakeApi::start(|_| Reply::json("{}"));
    let dir = tempfile::tempdir().unwrap();
    settings(dir.path(), "[scheduler]\nmax_runs = 2000\nper_host = 64\n");
    // Each is a host of its own: all of 127.0.0.0/8 is this machine.
    let target = |n: usize| format!("http://127.1.{}.{}:{port}/", n / 200, n % 200 + 1);
    customer(dir.path(), "hangs", (0..1_000).map(|n| (format!("h{n}"), "10s", "9500ms", target(n))));
    customer(dir.path(), "well", (0..20).map(|n| (format!("w{n}"), "2s", "1900ms", api.url(&format!("/w{n}")))));
    let daemon = Daemon::start(dir.path(), &[]);
    let mut most = 0;
    eventually("all have hung for their time", || {
        let scrape = daemon.get("/metrics");
        most = most.max(descriptors(daemon.pid()));
        let failed = scrape
            .lines()
            .filter(|l| l.starts_with("soakwatch_run_failures_total{") && l.contains("customer=\"hangs\"") && !l.ends_with(" 0"));
        (failed.count() >= 990).then_some(())
    });
    let scrape = daemon.get("/metrics");
    for n in 0..20 {
        let label = format!("check=\"w{n}\"");
        let value = |name| series(&scrape, name, &[&label, "customer=\"well\""]).unwrap();
        assert!(value("soakwatch_runs_total") >= 3.0, "w{n}");
        assert_eq!(value("soakwatch_runs_due_total"), value("soakwatch_runs_total"), "w{n}: every due slot was run");
        assert_eq!(value("soakwatch_run_failures_total"), 0.0, "w{n}");
    }
    let timeouts =
        scrape.lines().find(|l| l.starts_with("soakwatch_run_failure_classes_total{") && l.contains("hangs") && l.contains("\"timeout\""));
    assert!(
        timeouts.is_some_and(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap() >= 990.0),
        "each is a timeout, and nothing else"
    );
    println!("{most} descriptors at most, peak memory {:.0} MiB", status_line(daemon.pid(), "VmHWM") / 1024.0);
    assert!(most > 800, "they hung at the same time: {most} descriptors");
    assert!(status_line(daemon.pid(), "VmHWM") < 400.0 * 1024.0, "memory stays bounded");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_reload_every_second_for_a_minute_loses_nothing() {
    const CHECKS: usize = 60;
    let api = FakeApi::start(|seen| Reply::status(if seen.number % 10 == 9 { 500 } else { 200 }).after(Duration::from_millis(100)));
    let dir = tempfile::tempdir().unwrap();
    settings(dir.path(), "[scheduler]\nper_host = 100\n");
    let stays = |n: usize| (format!("s{n}"), "2s", "1900ms", api.url(&format!("/s{n}")));
    let write = |round: usize| {
        customer(dir.path(), "stays", (0..CHECKS).map(stays));
        // One comes and another leaves; one has another timeout each time.
        let comes = (format!("n{round}"), "2s", "1900ms", api.url("/new"));
        let other = ("changed".to_owned(), "2s", ["1800ms", "1700ms"][round % 2], api.url("/changed"));
        customer(dir.path(), "moves", [comes, other]);
    };
    write(0);
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("all run", || (api.log().len() >= CHECKS).then_some(()));
    let mut early = None;
    for round in 1..=60 {
        let begun = monotonic();
        write(round);
        let (status, body) = request("POST", &format!("{}/-/reload", daemon.url), &[]);
        assert_eq!(status, 200, "round {round}: {body}");
        if round == 15 {
            early = Some((status_line(daemon.pid(), "VmRSS"), descriptors(daemon.pid())));
        }
        std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    }
    let ((memory, open), now) = (early.unwrap(), (status_line(daemon.pid(), "VmRSS"), descriptors(daemon.pid())));
    println!("after 15 reloads {:.0} MiB and {open} descriptors, after 60 {:.0} MiB and {}", memory / 1024.0, now.0 / 1024.0, now.1);
    assert!(now.0 < memory + 40.0 * 1024.0 && now.1 < open + 60, "what a reload replaces goes");
    let scrape = daemon.get("/metrics");
    assert!(scrape.contains("check=\"n60\"") && !scrape.contains("check=\"n59\""), "the last one is in force");
    assert_eq!(daemon.stop(), Some(0));
    let mut asked = 0;
    for n in 0..CHECKS {
        let (check, path) = (id("stays", &format!("s{n}")), format!("/s{n}"));
        let all = slots(dir.path(), &check);
        let mine = agrees(&api, &path, &check, 2_000, &all);
        let mut before_the_stop = all.values().rev().skip(1);
        assert!(before_the_stop.all(|(_, cause)| *cause != Some(Cause::Shutdown)), "{check}: a reload is no stop: {all:?}");
        let judged = all.values().filter(|(outcome, _)| outcome.counted()).count();
        assert!(judged + 3 >= mine && judged >= 15, "{check}: {judged} judged of {mine} asked");
        asked += mine;
    }
    println!("{asked} requests, 60 reloads");
    agrees(&api, "/changed", &id("moves", "changed"), 2_000, &slots(dir.path(), &id("moves", "changed")));
}

#[test]
fn a_stop_under_load_is_drained_in_time_and_loses_nothing() {
    const QUICK: usize = 50;
    const HANGING: usize = 75;
    let api = FakeApi::start(
        |seen| {
            if seen.path.starts_with("/h") { Reply::hang() } else { Reply::json("{}").after(Duration::from_millis(600)) }
        },
    );
    let dir = tempfile::tempdir().unwrap();
    settings(dir.path(), "[scheduler]\nper_host = 1000\ngrace = \"2s\"\n");
    customer(dir.path(), "quick", (0..QUICK).map(|n| (format!("q{n}"), "2s", "1900ms", api.url(&format!("/q{n}")))));
    customer(dir.path(), "hangs", (0..HANGING).map(|n| (format!("h{n}"), "1m", "50s", api.url(&format!("/h{n}")))));
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("many are in flight", || {
        let log = api.log();
        let hang = log.iter().filter(|s| s.path.starts_with("/h")).count();
        (hang >= 5 && log.len() - hang >= 3 * QUICK).then_some(())
    });
    let begun = monotonic();
    daemon.signal("TERM");
    // A daemon that waited for those that hang would take their 50 s.
    while !daemon.log().contains("stopped: every outcome is written") {
        assert!(begun.elapsed() < Duration::from_secs(35), "it does not end:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(daemon.stop(), Some(0));
    let (mut passed, mut cut) = (0, 0);
    for n in 0..QUICK {
        let check = id("quick", &format!("q{n}"));
        let all = slots(dir.path(), &check);
        agrees(&api, &format!("/q{n}"), &check, 2_000, &all);
        assert!(all.values().all(|(outcome, _)| *outcome != Outcome::Fail), "{check}: our stop is nobody's failure: {all:?}");
        passed += all.values().filter(|(outcome, _)| *outcome == Outcome::Pass).count();
    }
    for n in 0..HANGING {
        let path = format!("/h{n}");
        if !api.log_of(&path).is_empty() {
            let all = slots(dir.path(), &id("hangs", &format!("h{n}")));
            assert_eq!(all.values().next_back(), Some(&(Outcome::Skipped, Some(Cause::Shutdown))), "{path}: {all:?}");
            cut += 1;
        }
    }
    println!("{passed} passed, {cut} cut off by the stop");
    assert!(cut >= 5 && passed >= 2 * QUICK, "{cut} cut, {passed} passed");
}
