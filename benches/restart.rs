//! A restart with seven days of 10,000 checks in the store, all of them soaking: how long until the daemon is ready, against the bare decoding of the same
//! segments; and what is resident then, and when every check has run.
//!
//! `cargo bench --bench restart [-- --checks 10000 --every 30 --days 7 --rounds 3]`. The week is made by the store's own writer: some six minutes for
//! 201,600,000 runs. It is kept under target/ and taken again for an hour (`--rounds 0` makes it and measures nothing); a quicker form is `--checks 1000`. The soaks pass, so that
//! bundles are written meanwhile, one after the other; `--bundles 0` is without.
//! CPU is user and system time.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and stops at the first error")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use soakwatch::board::CheckState;
use soakwatch::clock::{DAY_MS, UnixMs, monotonic};
use soakwatch::fields::CheckId;
use soakwatch::outcome::{Attribution, Class, Outcome};
use soakwatch::record::{DurationCode, Facts, Record};
use soakwatch::slots::Grid;
use soakwatch::store::{Reader, Seal, Store};

#[path = "support/bed.rs"]
mod bed;
#[path = "../tests/it/support/daemon.rs"]
#[expect(dead_code, clippy::panic, reason = "the tests use more of it, and may end where a daemon does not start")]
mod daemon;
#[path = "support/measure.rs"]
mod measure;

use bed::{Estate, Target, cpu_of, median, resident_of, wall_us};
use measure::{cpu, option};

/// A commit of so long at a time: what is sealed is the same.
const STEP_MS: i64 = 300_000;
/// So many checks are read in one go: few enough for memory, and nearly as quick as all at once.
const AT_ONCE: usize = 2_000;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// One in 500 fails; durations scatter over a few steps of 5 %.
fn record(id: &CheckId, slot: UnixMs, every_ms: i64, dice: &mut Dice) -> Record {
    let mut r = Record::not_run(id.clone(), slot, every_ms as u32, 1, soakwatch::outcome::Cause::Internal);
    let fails = dice.roll().is_multiple_of(500);
    r.outcome = if fails { Outcome::Fail } else { Outcome::Pass };
    (r.cause, r.class, r.attribution) = (None, fails.then_some(Class::ServerError), fails.then_some(Attribution::ThirdParty));
    (r.attempts, r.first_attempt_passed) = (1, !fails);
    r.duration = DurationCode(148 + (dice.roll() % 3 + dice.roll() % 3) as u16);
    r.facts = Facts {
        codes: vec![if fails { 503 } else { 200 }],
        phases: [33, 70, 90, r.duration.0, 40].map(|c| Some(DurationCode(c))),
        ..Facts::default()
    };
    r
}

/// Writes the days before now, sealed as they fall due.
fn make(store: &Path, ids: &[CheckId], every_ms: i64, days: i64) {
    let now = wall_us() / 1000 / STEP_MS * STEP_MS;
    let mut store = Store::open(store).unwrap();
    let (mut states, mut dice) = (vec![CheckState::default(); ids.len()], Dice(1));
    let places: std::collections::HashMap<&CheckId, usize> = ids.iter().enumerate().map(|(n, id)| (id, n)).collect();
    let grids: Vec<Grid> = ids.iter().map(|id| Grid::new(id.key(), every_ms)).collect();
    let mut at = now - days * DAY_MS;
    while at < now {
        let (from, until) = (UnixMs(at - 1), UnixMs(at + STEP_MS));
        let due = store.due_for_seal(until);
        let state = |id: &CheckId| serde_json::to_string(&states[places[id]]).unwrap();
        let seals: Vec<Seal> = due.into_iter().map(|check| Seal { state: state(&check), check }).collect();
        let mut batch = Vec::new();
        for (id, grid) in ids.iter().zip(&grids) {
            let mut slot = grid.after(from);
            while slot < until {
                batch.push(record(id, slot, every_ms, &mut dice));
                slot = UnixMs(slot.0 + every_ms);
            }
        }
        store.commit(until, &batch, &seals).unwrap();
        batch.iter().for_each(|r| states[places[&r.check]].apply(r));
        at += STEP_MS;
    }
}

/// Reads all runs of all checks, and does nothing with them.
fn decode(store: &Path, ids: &[CheckId]) -> usize {
    let reader = Reader::open(store).unwrap();
    let mut n = 0;
    for some in ids.chunks(AT_ONCE) {
        let asked: Vec<_> = some.iter().map(|id| (id, UnixMs(0), UnixMs(i64::MAX))).collect();
        reader.runs_of(&asked, 0, &mut |_, runs, _| n += std::hint::black_box(runs).len()).unwrap();
    }
    n
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::args().any(|a| a == "target") {
        runtime.block_on(bed::target(false));
        return;
    }
    let (checks, every, days, rounds) = (option("--checks", 10_000), option("--every", 30), option("--days", 7), option("--rounds", 3));
    let estate = Estate { checks, every: Duration::from_secs(every), soaks: true };
    let ids: Vec<CheckId> = (0..checks).map(|n| format!("c{}/production/i{}/list", n / 100, n % 100).parse().unwrap()).collect();
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).join(format!("bench-restart-{checks}-{every}-{days}"));
    let (store, made) = (dir.join("soakwatch.db"), dir.join("made"));
    let fresh = std::fs::metadata(&made).and_then(|m| m.modified()).is_ok_and(|m| m.elapsed().unwrap() < Duration::from_secs(3600));
    if !fresh {
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let begun = monotonic();
        make(&store, &ids, every as i64 * 1000, days as i64);
        std::fs::write(&made, "").unwrap();
        println!("the week was made in {:.0} s", begun.elapsed().as_secs_f64());
    }
    if rounds == 0 {
        return;
    }
    let target = Target::start(&dir, 1, false);
    let settings = if option("--bundles", 1) == 0 { "[evidence]\nbundles = false\n" } else { "" };
    estate.write(&dir, settings, &target.http, Duration::from_secs(10));
    // The first start finds soaks that are new: their beginning goes on record once.
    let first = daemon::Daemon::start(&dir, &[]);
    assert_eq!(first.stop(), Some(0));
    let (mut bare, mut ready) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    let mut runs = 0;
    for round in 0..rounds {
        let (begun, used) = (monotonic(), cpu());
        runs = decode(&store, &ids);
        bare.0.push((cpu() - used).as_secs_f64());
        bare.1.push(begun.elapsed().as_secs_f64());
        let begun = monotonic();
        let daemon = daemon::Daemon::start(&dir, &[]);
        ready.1.push(begun.elapsed().as_secs_f64());
        ready.0.push(cpu_of(daemon.pid()));
        let resident = resident_of(daemon.pid());
        if round + 1 == rounds {
            std::thread::sleep(estate.every + Duration::from_secs(10));
            println!(
                "memory: {resident:.1} MiB when it was ready, {:.1} MiB when every check had run (goal: at most 64)",
                resident_of(daemon.pid())
            );
        }
        assert_eq!(daemon.stop(), Some(0));
    }
    let size = std::fs::metadata(&store).unwrap().len() as f64;
    println!(
        "{checks} checks every {every} s, {days} days: {runs} runs in {:.0} MiB ({:.2} B a run)",
        size / 1048576.0,
        size / runs as f64
    );
    let [bare_cpu, bare_wall, cpu, wall] = [bare.0, bare.1, ready.0, ready.1].map(median);
    println!("  bare decoding:   {bare_cpu:.2} s of CPU, {bare_wall:.2} s");
    println!("  start to ready:  {cpu:.2} s of CPU, {wall:.2} s");
    println!("  ready takes {:.2} x the CPU of decoding, {:.2} x its time (goal: at most 3)", cpu / bare_cpu, wall / bare_wall);
}
