//! What the store costs, against one SQLite row per run: `cargo bench --bench store` (under a minute; prints how each figure was made).

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and stops at the first error")]

use std::path::Path;
use std::time::Duration;

use soakwatch::board::CheckState;
use soakwatch::clock::{HOUR_MS, UnixMs, monotonic};
use soakwatch::fields::CheckId;
use soakwatch::outcome::{Attribution, Class, Outcome};
use soakwatch::record::{DurationCode, Facts, Record};
use soakwatch::store::{Reader, Seal, Store};

const START: i64 = 490_000 * HOUR_MS;
const EVERY_MS: i64 = 30_000;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// A run of a check every 30 s: durations scatter over a few steps of 5 %, one in 500 fails.
fn record(check: &CheckId, slot: i64, dice: &mut Dice) -> Record {
    let code = 148 + (dice.roll() % 3 + dice.roll() % 3) as u16;
    let mut r = Record {
        check: check.clone(),
        vantage: 0,
        slot: UnixMs(slot),
        interval_ms: EVERY_MS as u32,
        count: 1,
        outcome: Outcome::Pass,
        cause: None,
        class: None,
        attribution: None,
        duration: DurationCode(code),
        attempts: 1,
        first_attempt_passed: true,
        facts: Facts {
            codes: vec![200],
            phases: [33, 70, 90, code, 40].map(|c| Some(DurationCode(c))),
            certificate_expiry: Some(UnixMs(START + 2_000_000_000)),
            ..Facts::default()
        },
        detail: None,
    };
    if dice.roll().is_multiple_of(500) {
        (r.outcome, r.class, r.attribution) = (Outcome::Fail, Some(Class::ServerError), Some(Attribution::ThirdParty));
        (r.first_attempt_passed, r.detail) = (false, Some("answered 503".to_owned()));
    }
    r
}

fn checks(n: usize) -> Vec<CheckId> {
    (0..n).map(|i| format!("customer-{}/production/integration-{}/check-{i}", i / 20, i / 5).parse().unwrap()).collect()
}

#[path = "support/measure.rs"]
mod measure;
use measure::cpu;

/// Bytes this process made the system write.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|l| l.strip_prefix("write_bytes: ")).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn baseline(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
         CREATE TABLE run (check_key INTEGER, slot INTEGER, outcome INTEGER, class INTEGER, cause INTEGER, attribution INTEGER,
         duration INTEGER, attempts INTEGER, first INTEGER, PRIMARY KEY (check_key, slot)) WITHOUT ROWID;",
    )
    .unwrap();
    conn
}

fn insert(conn: &mut rusqlite::Connection, records: &[Record], keys: &[u64]) {
    let tx = conn.transaction().unwrap();
    {
        let mut st = tx.prepare_cached("INSERT INTO run VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8)").unwrap();
        for (r, key) in records.iter().zip(keys) {
            let (class, attribution) = (r.class.map(|c| c as u8), r.attribution.map(|a| a as u8));
            let params = rusqlite::params![
                *key as i64,
                r.slot.0,
                r.outcome as u8,
                class,
                attribution,
                r.duration.0,
                r.attempts,
                r.first_attempt_passed
            ];
            st.execute(params).unwrap();
        }
    }
    tx.commit().unwrap();
}

/// 10,000 checks every 30 s, a commit a second, two hours on end; sealed as they fall due. Records are made outside the clock.
fn cost_of_writing(dir: &Path, seconds: i64) {
    let ids = checks(10_000);
    let keys: Vec<u64> = ids.iter().map(CheckId::key).collect();
    let state = serde_json::to_string(&CheckState::default()).unwrap();
    let mut dice = Dice(1);
    let mut store = Store::open(&dir.join("store.db")).unwrap();
    let mut rows = baseline(&dir.join("rows.db"));
    let (mut ours, mut theirs, mut runs, mut seals_made) = (Duration::ZERO, Duration::ZERO, 0u64, 0);
    let (mut our_bytes, mut their_bytes) = (0, 0);
    for second in 0..seconds {
        let from = (second % 30) as usize * 10_000 / 30;
        let to = (second % 30 + 1) as usize * 10_000 / 30;
        let now = START + second * 1000;
        let batch: Vec<Record> = ids[from..to].iter().enumerate().map(|(n, id)| record(id, now + n as i64 * 3, &mut dice)).collect();
        let (begun, bytes) = (cpu(), written());
        let due = store.due_for_seal(UnixMs(now));
        let seals: Vec<Seal> = due.into_iter().map(|check| Seal { check, state: state.clone() }).collect();
        store.commit(UnixMs(now), &batch, &seals).unwrap();
        ours += cpu() - begun;
        our_bytes += written() - bytes;
        seals_made += seals.len();
        // The baseline is steady from the beginning: a tenth of the time is enough.
        if second % 10 == 0 {
            let (begun, bytes) = (cpu(), written());
            insert(&mut rows, &batch, &keys[from..to]);
            theirs += (cpu() - begun) * 10;
            their_bytes += (written() - bytes) * 10;
        }
        runs += batch.len() as u64;
    }
    let per = |d: Duration| d.as_secs_f64() * 1e6 / runs as f64;
    println!(
        "writing: 10,000 checks every 30 s, a commit a second (333 results, synced), {seconds} s simulated, {seals_made} hours sealed"
    );
    println!("  CPU per result: {:.2} us, a row per run {:.2} us ({:.0}x)", per(ours), per(theirs), per(theirs) / per(ours));
    println!("  written per result: {} B, a row per run {} B", our_bytes / runs, their_bytes / runs);
    println!("  file with up to two open hours: {:.1} MiB", store.size_bytes() as f64 / 1048576.0);
    drop(store);
    let begun = monotonic();
    let mut store = Store::open(&dir.join("store.db")).unwrap();
    let opened = begun.elapsed();
    let mut n = 0u64;
    store.restore(UnixMs(START + seconds * 1000), &mut |_| n += 1).unwrap();
    println!("  start: open {:.2} s, restore {:.2} s ({n} items)", opened.as_secs_f64(), (begun.elapsed() - opened).as_secs_f64());
    let reader = Reader::open(&dir.join("store.db")).unwrap();
    let begun = monotonic();
    let found = reader.runs(&ids[77], 0, UnixMs(START), UnixMs(i64::MAX)).unwrap().len();
    println!("  reading one check with the open journal ({found} runs): {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
}

/// 300 checks, 7 days, sealed as they fall due: bytes on disk, and the time to read one check.
fn size_and_reading(dir: &Path) {
    let ids = checks(300);
    let key = ids[123].key();
    let mut dice = Dice(2);
    let path = dir.join("week.db");
    let mut store = Store::open(&path).unwrap();
    let mut rows = baseline(&dir.join("week-rows.db"));
    let (mut runs, mut of_rows) = (0u64, 0u64);
    // A commit of five minutes at a time: what is sealed is the same.
    for five in 0..7 * 288i64 {
        let at = START + five * 300_000;
        let slot = |check: usize, n: i64| at + n * EVERY_MS + check as i64 * 97;
        let batch: Vec<Record> = (0..10)
            .flat_map(|n| ids.iter().enumerate().map(move |(c, id)| (n, c, id)))
            .map(|(n, c, id)| record(id, slot(c, n), &mut dice))
            .collect();
        let due = store.due_for_seal(UnixMs(at));
        let seals: Vec<Seal> = due.into_iter().map(|check| Seal { check, state: "{}".to_owned() }).collect();
        store.commit(UnixMs(at), &batch, &seals).unwrap();
        // 30 of the 300 checks, for the comparison.
        let some: Vec<Record> = batch.iter().filter(|r| ids[100..130].contains(&r.check)).cloned().collect();
        let keys: Vec<u64> = some.iter().map(|r| r.check.key()).collect();
        insert(&mut rows, &some, &keys);
        runs += batch.len() as u64;
        of_rows += some.len() as u64;
    }
    let end = UnixMs(START + 7 * 24 * HOUR_MS + 2 * HOUR_MS);
    loop {
        let seals: Vec<Seal> = store.due_for_seal(end).into_iter().map(|check| Seal { check, state: "{}".to_owned() }).collect();
        if seals.is_empty() {
            break;
        }
        store.commit(end, &[], &seals).unwrap();
    }
    for _ in 0..100 {
        store.commit(end, &[], &[Seal { check: ids[0].clone(), state: "{}".to_owned() }]).unwrap();
    }
    drop(store);
    drop(rows);
    println!("size: 300 checks every 30 s, 7 days, durations within 5 steps of 5 %, 1 in 500 fails: {runs} runs, all sealed");
    let conn = rusqlite::Connection::open(&path).unwrap();
    let table = |name: &str| -> f64 {
        let sql = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = ?1";
        conn.query_row(sql, [name], |r| r.get::<_, i64>(0)).map_or(f64::NAN, |n| n as f64)
    };
    for name in ["segment", "hour_sum", "failure", "journal"] {
        println!("  table {name}: {:.3} B a run", table(name) / runs as f64);
    }
    let blobs: i64 = conn.query_row("SELECT sum(length(runs)) FROM segment", [], |r| r.get(0)).unwrap();
    println!("  of the segments' bytes, packed runs: {:.3} B a run", blobs as f64 / runs as f64);
    let size = std::fs::metadata(dir.join("week-rows.db")).unwrap().len() as f64 / of_rows as f64;
    println!("  a row per run: {size:.1} B a run");

    let reader = Reader::open(&path).unwrap();
    let read = || reader.runs(&ids[123], 0, UnixMs(START), end).unwrap().len();
    assert_eq!(read(), 20_160);
    let begun = monotonic();
    (0..100).for_each(|_| assert_eq!(read(), 20_160));
    let ours = begun.elapsed().as_secs_f64() * 10.0;
    let conn = rusqlite::Connection::open(dir.join("week-rows.db")).unwrap();
    let mut st = conn.prepare("SELECT slot, outcome, class, attribution, duration, attempts, first FROM run WHERE check_key = ?1").unwrap();
    let begun = monotonic();
    for _ in 0..100 {
        let n: i64 =
            st.query_map([key as i64], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(4)?))).unwrap().map(|r| r.unwrap().1.min(1)).sum();
        assert_eq!(n, 20_160);
    }
    let theirs = begun.elapsed().as_secs_f64() * 10.0;
    println!("reading 7 days of one check (20,160 runs, warm): {ours:.2} ms, a row per run {theirs:.2} ms ({:.0}x)", theirs / ours);
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    cost_of_writing(dir.path(), 2 * 3600);
    size_and_reading(dir.path());
}
