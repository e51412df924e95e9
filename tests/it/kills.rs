//! Faults: the daemon is killed (SIGKILL) a hundred times, at moments nobody chose: while it starts, while it runs, while it writes. What was committed stays,
//! no slot runs twice, the evidence log's chain holds, counters and store agree with the far side's own account, and every next start succeeds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use soakwatch::clock::{UnixMs, monotonic_micros};
use soakwatch::evidence::Checked;
use soakwatch::fields::CheckId;
use soakwatch::outcome::{Cause, Outcome};
use soakwatch::record::Run;
use soakwatch::slots::Grid;
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, PATIENCE, eventually, series};
use crate::support::fake_api::{FakeApi, Reply};

const ROUNDS: usize = 100;
const CHECKS: usize = 40;
const EVERY_MS: i64 = 3_000;

/// What the far side answers to the request with this number. Every second answer of most checks is news, so that commits come at any moment.
fn answer(path: &str, number: u64) -> u16 {
    let n: u64 = path.trim_start_matches("/c").parse().unwrap();
    let every = [2, 3, 2, 0][n as usize % 4];
    if every > 0 && number % every == every - 1 { 500 } else { 200 }
}

fn configuration(dir: &Path, api: &FakeApi) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n[scheduler]\nper_host = 64\n").unwrap();
    let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"orders\"\nenvironment = \"staging\"\nowner = \"vendor\"\n".to_owned();
    for n in 0..CHECKS {
        let url = api.url(&format!("/c{n}"));
        text += &format!(
            "[[integration.check]]\nid = \"c{n}\"\nevery = \"3s\"\ntimeout = \"2500ms\"\n[integration.check.http]\nurl = \"{url}\"\n"
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

fn check(n: usize) -> CheckId {
    format!("acme/staging/orders/c{n}").parse().unwrap()
}

/// The next of a series of numbers below `end` (splitmix64): the same for the same seed.
fn random(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) % end
}

/// All that is stored: of each check its slots, each with what became of it.
type Stored = BTreeMap<(usize, UnixMs), (Outcome, Option<Cause>)>;

fn stored(store: &Path) -> Stored {
    let reader = Reader::open(store).unwrap();
    let mut all = Stored::new();
    for n in 0..CHECKS {
        for run in reader.runs(&check(n), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap() {
            for k in 0..i64::from(run.count.max(1)) {
                let slot = UnixMs(run.slot.0 + k * i64::from(run.interval_ms));
                assert!(all.insert((n, slot), (run.outcome, run.cause)).is_none(), "c{n}: slot {slot} is stored twice");
            }
        }
    }
    assert_eq!(reader.damaged().count, 0, "nothing is torn: {:?}", reader.damaged());
    all
}

/// The evidence log is whole; how long it is.
fn evidence(store: &Path) -> u64 {
    let checked = Reader::open(store).unwrap().check_evidence(Checked::default()).unwrap();
    assert!(checked.whole(), "{:?}", checked.breaks);
    checked.seq
}

/// One life: from the start to the kill. What it said it had stored.
fn life(dir: &Path, seed: &mut u64, after_ready: bool) -> (bool, f64) {
    let (mut daemon, ready) = Daemon::launch(dir, &[]);
    let mut said = 0.0;
    let was_ready = if after_ready {
        daemon.url = ready.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it did not start:\n{}", daemon.log()));
        std::thread::sleep(Duration::from_millis(random(seed, 700)));
        // What metrics show was committed before.
        let scrape = daemon.get("/metrics");
        said = scrape
            .lines()
            .filter(|l| l.starts_with("soakwatch_runs_total{"))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        std::thread::sleep(Duration::from_micros(random(seed, 5_000)));
        true
    } else {
        std::thread::sleep(Duration::from_micros(random(seed, 350_000)));
        ready.try_recv().is_ok()
    };
    assert!(!daemon.has_ended(), "it ended by itself:\n{}", daemon.log());
    assert!(!daemon.log().contains("could not be read"), "it found damage:\n{}", daemon.log());
    daemon.kill();
    (was_ready, said)
}

#[test]
fn a_hundred_kills_lose_nothing_that_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("soakwatch.db");
    let api = FakeApi::start(|seen| Reply::status(answer(&seen.path, seen.number)));
    configuration(dir.path(), &api);
    let mut seed = monotonic_micros();
    println!("seed {seed}");
    // So that there is a store to kill: what is missing is another test's subject.
    drop(Daemon::start(dir.path(), &[]));

    let (mut before, mut records, mut early) = (stored(&store), evidence(&store), 0);
    for round in 0..ROUNDS {
        let (ready, said) = life(dir.path(), &mut seed, round % 2 == 0);
        early += usize::from(!ready);
        let now = stored(&store);
        for (slot, what) in &before {
            assert_eq!(now.get(slot), Some(what), "round {round}: what was committed stays as it was: {slot:?}");
        }
        let counted = now.values().filter(|(outcome, _)| outcome.counted()).count() as f64;
        assert!(counted >= said, "round {round}: {said} runs were shown as stored, {counted} are");
        let log = evidence(&store);
        assert!(log >= records, "round {round}: the evidence log had {records} records, now {log}");
        (before, records) = (now, log);
    }
    assert!((10..ROUNDS - 10).contains(&early), "{early} of {ROUNDS} were killed before they were ready");

    let daemon = Daemon::start(dir.path(), &[]);
    let had = api.log().len();
    eventually("it goes on", || (api.log().len() >= had + 2 * CHECKS).then_some(()));
    counters_agree(&daemon, &store);
    assert_eq!(daemon.stop(), Some(0));
    evidence(&store);
    agrees_with_the_far_side(&api, &store, early);
}

/// Every slot is accounted for once, as the far side saw it, or as unknown.
fn agrees_with_the_far_side(api: &FakeApi, store: &Path, early: usize) {
    let all = stored(store);
    let (mut asked_in_all, mut kept, mut lost) = (0, 0, 0);
    for n in 0..CHECKS {
        let (grid, path) = (Grid::new(check(n).key(), EVERY_MS), format!("/c{n}"));
        let mut asked: BTreeMap<UnixMs, u16> = BTreeMap::new();
        for seen in api.log_of(&path) {
            let slot = grid.at_or_before(seen.at);
            assert!(asked.insert(slot, answer(&path, seen.number)).is_none(), "c{n}: slot {slot} ran twice");
        }
        let mine: BTreeSet<UnixMs> = all.keys().filter(|(c, _)| *c == n).map(|(_, slot)| *slot).collect();
        let (first, last) = (mine.first().unwrap(), mine.last().unwrap());
        assert_eq!(mine.len() as i64, (last.0 - first.0) / EVERY_MS + 1, "c{n}: every slot is accounted for");
        for slot in &mine {
            let (outcome, cause) = all[&(n, *slot)];
            match (outcome, asked.get(slot)) {
                (Outcome::Unknown, Some(_)) => {
                    assert_eq!(cause, Some(Cause::Down), "c{n}: slot {slot}");
                    lost += 1;
                }
                (Outcome::Unknown, None) => {}
                (Outcome::Pass, Some(200)) | (Outcome::Fail, Some(500)) => kept += 1,
                (other, saw) => panic!("c{n}: slot {slot} is stored as {other:?}, the far side saw {saw:?}"),
            }
        }
        assert!(asked.keys().all(|slot| mine.contains(slot) || slot < first), "c{n}: what was asked is accounted for");
        asked_in_all += asked.len();
    }
    println!("{ROUNDS} kills, {early} before it was ready; {asked_in_all} requests, {kept} stored, {lost} lost with an open batch");
    // Else nothing was tried: as many kills found something stored as not.
    assert!(kept >= 2 * CHECKS && lost > 0, "{kept} kept, {lost} lost");
}

/// Counters go on over all lives: they are the sums of what is stored.
fn counters_agree(daemon: &Daemon, store: &Path) {
    let reader = Reader::open(store).unwrap();
    eventually("counters and store agree", || {
        let runs = |n: usize| reader.runs(&check(n), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
        let before: Vec<Vec<Run>> = (0..CHECKS).map(runs).collect();
        let scrape = daemon.get("/metrics");
        let same = (0..CHECKS).filter(|n| {
            let label = format!("check=\"c{n}\"");
            let value = |name| series(&scrape, name, &[&label]).unwrap_or(-1.0) as u64;
            let due = |runs: &[Run]| runs.iter().filter(|r| r.outcome != Outcome::NotDue).map(|r| u64::from(r.count.max(1))).sum::<u64>();
            let counted = |runs: &[Run]| runs.iter().filter(|r| r.outcome.counted()).count() as u64;
            // Between the two readings a run may have come.
            let after = runs(*n);
            (due(&before[*n])..=due(&after)).contains(&value("soakwatch_runs_due_total"))
                && (counted(&before[*n])..=counted(&after)).contains(&value("soakwatch_runs_total"))
        });
        (same.count() == CHECKS).then_some(())
    });
}
