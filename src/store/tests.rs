//! The store as a whole: what is written comes back, whatever happens in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::fixtures::{failed, passed, passing};
use super::*;
use crate::board::CheckState;
use crate::clock::{HOUR_MS, UnixMs};
use crate::fields::Span;
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::record::{DurationCode, Facts};

const HOUR: i64 = 490_000;
const START: i64 = HOUR * HOUR_MS;
const A: &str = "acme/production/crm/orders";
const B: &str = "acme/production/crm/users";

fn id(text: &str) -> CheckId {
    text.parse().unwrap()
}

fn file(dir: &TempDir) -> PathBuf {
    dir.path().join("soakwatch.db")
}

/// Nothing here cuts the power: without syncs a thousand commits take no time.
fn open(dir: &TempDir) -> Store {
    let store = Store::open(&file(dir)).unwrap();
    store.conn.as_ref().unwrap().pragma_update(None, "synchronous", "off").unwrap();
    store
}

/// What a kill -9 leaves: the files as they are now, elsewhere.
fn copy(path: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let from = PathBuf::from(format!("{}{suffix}", path.display()));
        if from.exists() {
            std::fs::copy(&from, to.path().join(from.file_name().unwrap())).unwrap();
        }
    }
    to
}

/// The recorder's side: states folded live, and folded from a restore.
type States = BTreeMap<CheckId, CheckState>;

fn restored(store: &mut Store, now: UnixMs) -> (States, RestoreReport) {
    let mut states = States::new();
    let report = store
        .restore(now, &mut |what| match what {
            Restored::State(check, json) => {
                states.insert(check.clone(), serde_json::from_str(json).unwrap());
            }
            Restored::Hour(check, hour, counts) => states.get_mut(check).unwrap().add_hour(hour, counts),
            Restored::Record(r, true) => states.entry(r.check.clone()).or_default().apply(r),
            Restored::Record(r, false) => states.get_mut(&r.check).unwrap().add_rolling(r),
        })
        .unwrap();
    (states, report)
}

fn seal(states: &States, check: &CheckId) -> Seal {
    Seal { check: check.clone(), state: serde_json::to_string(&states[check]).unwrap() }
}

fn all_runs(path: &Path, check: &str) -> Vec<Run> {
    Reader::open(path).unwrap().runs(&id(check), 0, UnixMs(i64::MIN), UnixMs(i64::MAX)).unwrap()
}

/// States as they must agree; rolling counts are not part of the JSON, so they are asked for.
fn shown(states: &States, now: UnixMs) -> BTreeMap<String, String> {
    let one = |s: &CheckState| format!("{} {:?} {:?}", serde_json::to_string(s).unwrap(), s.last_hour(now), s.last_hours(168, now));
    states.iter().map(|(id, s)| (id.to_string(), one(s))).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// Time goes on, and each check has its slots.
    Run(u8, u8),
    /// The daemon was away: a span of unknown slots, perhaps over hours.
    Away(u16),
    /// What is due is sealed; or everything, due or not.
    Seal(bool),
    /// kill -9 and start.
    Crash,
    /// A check leaves the configuration.
    Forget(bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (any::<u8>(), any::<u8>()).prop_map(|(n, luck)| Step::Run(n, luck)),
        2 => (1u16..3_000).prop_map(Step::Away),
        4 => any::<bool>().prop_map(Step::Seal),
        2 => Just(Step::Crash),
        1 => any::<bool>().prop_map(Step::Forget),
    ]
}

/// A daemon as far as the store sees it.
struct Life {
    dir: TempDir,
    store: Option<Store>,
    now: i64,
    states: States,
    /// Everything ever committed.
    kept: BTreeMap<CheckId, Vec<Run>>,
}

impl Life {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(open(&dir));
        Self { dir, store, now: START + 12_345, states: States::new(), kept: BTreeMap::new() }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn commit(&mut self, records: &[Record], seals: &[Seal]) {
        let now = UnixMs(self.now);
        assert_eq!(self.store().commit(now, records, seals).unwrap().kept, records.len());
        for r in records {
            self.states.entry(r.check.clone()).or_default().apply(r);
            self.kept.entry(r.check.clone()).or_default().push(Run::of(r));
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Run(n, luck) => {
                for slot in 0..=*n % 40 {
                    self.now += 30_000;
                    let luck = luck.wrapping_mul(31).wrapping_add(slot.wrapping_mul(7));
                    let batch = [some_record(A, self.now, luck), some_record(B, self.now + 7, luck.rotate_left(3))];
                    self.commit(&batch[..1 + usize::from(slot % 2)], &[]);
                }
            }
            Step::Away(slots) => {
                let span = |check| Record::not_run(id(check), UnixMs(self.now + 30_000), 30_000, u32::from(*slots), Cause::Down);
                let batch = [span(A), span(B)];
                self.now += 30_000 * i64::from(*slots);
                self.commit(&batch, &[]);
            }
            Step::Seal(all) => {
                let now = UnixMs(self.now);
                let due = if *all { self.states.keys().cloned().collect() } else { self.store().due_for_seal(now) };
                let seals: Vec<Seal> = due.iter().map(|check| seal(&self.states, check)).collect();
                // Alone, or together with records that come after the snapshot.
                let slot = self.now + 30_000;
                let batch = [some_record(A, slot, slot as u8)];
                self.commit(if *all { &batch } else { &[] }, &seals);
                self.now = slot;
            }
            Step::Crash => {
                let dir = copy(&file(&self.dir));
                self.store = Some(open(&dir));
                self.dir = dir;
                let now = UnixMs(self.now);
                let (states, report) = restored(self.store(), now);
                assert_eq!(report.damaged, Damaged::default());
                // The rolling counts of a check that has been away for days may differ in hours that nobody asks for any more.
                assert_eq!(shown(&states, now), shown(&self.states, now));
                self.states = states;
            }
            Step::Forget(first) => {
                let (now, check) = (UnixMs(self.now), id(if *first { A } else { B }));
                self.store().forget(now, &check).unwrap();
                self.states.remove(&check);
                assert!(!self.store().known().contains(&check));
            }
        }
    }
}

fn some_record(check: &str, slot: i64, luck: u8) -> Record {
    let code = 140 + u16::from(luck % 9);
    let mut r = passing(slot, 30_000, code).record(&id(check), 0);
    r.facts = Facts {
        codes: vec![200],
        phases: [None, Some(DurationCode(20)), Some(DurationCode(90)), Some(DurationCode(code)), None],
        ..Facts::default()
    };
    match luck {
        0..=30 => {
            (r.outcome, r.class, r.attribution) = (Outcome::Fail, Some(Class::ServerError), Some(Attribution::ThirdParty));
            (r.first_attempt_passed, r.detail) = (false, Some(format!("answered 50{}", luck % 3)));
            r.facts.codes = vec![500 + u16::from(luck % 3)];
        }
        31..=40 => {
            (r.attempts, r.first_attempt_passed) = (2, false);
            (r.facts.retries, r.facts.codes) = (vec![Class::Timeout], vec![504, 200]);
        }
        41..=45 => return Record::not_run(id(check), UnixMs(slot), 30_000, 1, Cause::HostBusy),
        46..=50 => {
            let detail = Some(["held", "widened"][usize::from(luck % 2)].into());
            return Record { detail, ..Record::not_run(id(check), UnixMs(slot), 30_000, 1, Cause::RateLimit) };
        }
        51..=55 => {
            return Record { detail: Some("no network".into()), ..Record::not_run(id(check), UnixMs(slot), 30_000, 1, Cause::SelfCheck) };
        }
        66..=68 => return Record::not_run(id(check), UnixMs(slot), 30_000, 1, Cause::Maintenance),
        69..=72 => {
            (r.outcome, r.class, r.attribution) = (Outcome::Throttled, Some(Class::Throttled), Some(Attribution::Configuration));
            r.first_attempt_passed = false;
        }
        56..=60 => r.facts.values = vec![("queue".into(), f64::from(luck) * 0.1)],
        61..=65 => r.facts.certificate_expiry = Some(UnixMs(slot + 1_000_000_000)),
        _ => {}
    }
    r
}

/// Spans are cut and joined at hours: compared slot by slot.
fn slots(runs: &[Run]) -> Vec<Run> {
    let one = |r: &Run, n| Run { slot: UnixMs(r.slot.0 + n * i64::from(r.interval_ms)), count: 1, ..*r };
    let mut all: Vec<Run> = runs.iter().flat_map(|r| (0..i64::from(r.count)).map(|n| one(r, n))).collect();
    all.sort_by_key(|r| r.slot);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The heart of it: a state folded live, and the same state after any seals and crashes, are the same; and every run is there once.
    #[test]
    fn a_restart_ends_in_the_same_state(steps in proptest::collection::vec(any_step(), 1..24)) {
        let mut life = Life::new();
        for step in steps.iter().chain([&Step::Crash, &Step::Seal(true), &Step::Crash]) {
            life.step(step);
        }
        for (check, kept) in &life.kept {
            let read = all_runs(&file(&life.dir), check.as_str());
            prop_assert_eq!(slots(&read), slots(kept));
            prop_assert!(read.is_sorted_by_key(|r| r.slot));
        }
        let reader = Reader::open(&file(&life.dir)).unwrap();
        // Asked for together, from times of their own, they are the same.
        let from = |n: i64| (UnixMs(START + n * 1_700_000), UnixMs(START + 5_400_000 + n * 900_000));
        let asked: Vec<(&CheckId, UnixMs, UnixMs)> = (0..).zip(life.kept.keys()).map(|(n, c)| (c, from(n).0, from(n).1)).collect();
        let mut together = Vec::new();
        reader.runs_of(&asked, 0, &mut |check, runs, whole| together.push((check.clone(), runs.clone(), whole))).unwrap();
        let apart: Vec<_> = asked.iter().map(|(c, from, to)| ((*c).clone(), reader.runs(c, 0, *from, *to).unwrap(), true)).collect();
        prop_assert_eq!(together, apart);
        for (check, state) in &life.states {
            let read = reader.state(check).unwrap().unwrap_or_default();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(state).unwrap());
        }
        // Failures by their count, against the runs.
        for (check, kept) in &life.kept {
            let rows = reader.failures(check, UnixMs(i64::MIN), UnixMs(i64::MAX)).unwrap();
            let told = |r: &&Run| matches!(r.outcome, Outcome::Fail | Outcome::Throttled | Outcome::Unknown) || r.cause == Some(Cause::RateLimit);
            let want: u64 = kept.iter().filter(told).map(|r| u64::from(r.count)).sum();
            prop_assert_eq!(rows.iter().map(|r| r.count).sum::<u64>(), want);
            prop_assert!(kept.iter().filter(told).all(|r| rows.iter().any(|f| f.covers(0, r))));
            // A skipped slot has one reason.
            let skipped = kept.iter().filter(|r| r.cause == Some(Cause::RateLimit));
            prop_assert!(skipped.clone().all(|r| rows.iter().filter(|f| f.covers(0, r)).count() == 1));
        }
    }
}

#[test]
fn a_check_that_comes_back_within_the_hour_does_not_inherit_its_runs() {
    let mut life = Life::new();
    for step in [Step::Run(0, 0), Step::Forget(true), Step::Run(0, 0), Step::Crash, Step::Seal(true), Step::Crash] {
        life.step(&step);
    }
    life.now += HOUR_MS;
    for step in [Step::Seal(true), Step::Crash] {
        life.step(&step);
    }
}

#[test]
fn a_second_daemon_is_refused_and_readers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    assert!(matches!(Store::open(&file(&dir)), Err(StoreError::InUse(_))));
    assert!(Reader::open(&file(&dir)).is_ok());
    // A process that is just being started has all our files until it is another program; it writes nothing.
    let child = store._lock.as_ref().unwrap().0.try_clone().unwrap();
    drop(store);
    assert!(Store::open(&file(&dir)).is_ok());
    drop(child);
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir);
    assert!(matches!(Reader::open(&path), Err(StoreError::Missing(_))));

    std::fs::write(&path, "customers = []\n".repeat(100)).unwrap();
    for error in [Store::open(&path).unwrap_err(), Reader::open(&path).unwrap_err()] {
        assert_eq!(error.to_string(), format!("{} is not a Soakwatch store: it is not a database", path.display()));
    }
    std::fs::remove_file(&path).unwrap();

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE journal (x)").unwrap();
    assert!(Store::open(&path).unwrap_err().to_string().ends_with("it is a database of another program"));
    let mode: String = other.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "the other program's file was changed");
    drop(other);
    std::fs::remove_file(&path).unwrap();

    drop(open(&dir));
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert!(Reader::open(&path).is_err());
}

#[test]
fn a_locked_store_says_so_soon_and_works_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let now = UnixMs(START);
    store.commit(now, &[passed(A, START)], &[]).unwrap();
    let other = rusqlite::Connection::open(file(&dir)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let begun = crate::clock::monotonic();
    let error = store.commit(now, &[passed(A, START + 30_000)], &[]).unwrap_err();
    assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    assert!(error.to_string().starts_with("the store is locked by another program"), "{error}");

    other.execute_batch("ROLLBACK").unwrap();
    store.commit(now, &[passed(A, START + 30_000), passed(A, START + 60_000)], &[]).unwrap();
    assert_eq!(all_runs(&file(&dir), A).len(), 3);
}

#[test]
fn a_full_disk_keeps_memory_and_file_alike_and_recovers() {
    let mut life = Life::new();
    life.step(&Step::Run(30, 99));
    life.now += 2 * HOUR_MS;
    let conn =
        |life: &Life, pages: i64| life.store.as_ref().unwrap().conn.as_ref().unwrap().pragma_update(None, "max_page_count", pages).unwrap();
    conn(&life, 1);
    let now = UnixMs(life.now);
    let check = life.store().due_for_seal(now).remove(0);
    let due = life.states[&check].counts.due();
    let mut big = failed(A, life.now, Class::Slow, "x");
    big.facts.egress_rule = Some("y".repeat(20_000));
    let seals = [seal(&life.states, &check)];
    let error = life.store().commit(now, std::slice::from_ref(&big), &seals).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(life.store().due_for_seal(now), [check], "what was not sealed is still due");

    conn(&life, 1_000_000);
    life.commit(&[big], &seals);
    life.step(&Step::Crash);
    let sums = rusqlite::Connection::open(file(&life.dir)).unwrap();
    let sql = "SELECT sum(pass + fail + throttled + skipped + unknown) FROM hour_sum";
    assert_eq!(sums.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), due as i64, "sealed once");
}

#[test]
fn a_connection_gone_bad_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let now = UnixMs(START);
    store.commit(now, &[passed(A, START)], &[]).unwrap();
    store.conn.as_ref().unwrap().pragma_update(None, "query_only", true).unwrap();
    let error = store.commit(now, &[passed(A, START + 30_000)], &[]).unwrap_err();
    assert!(error.to_string().contains("may not be written"), "{error}");
    store.commit(now, &[passed(A, START + 30_000)], &[]).unwrap();
    assert_eq!(all_runs(&file(&dir), A).len(), 2);
}

#[test]
fn a_commit_that_failed_and_is_in_the_file_is_not_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let now = UnixMs(START + 2 * HOUR_MS);
    let mut store = open(&dir);
    store.commit(now, &[passed(A, START)], &[]).unwrap();
    // The disk reported an error although it had the whole commit: the file is one row ahead.
    let batch = [passed(A, START + 30_000), failed(B, START, Class::Dns, "no such name")];
    let (memory, seq) = restore::load(store.conn.as_ref().unwrap(), &mut Damaged::default()).unwrap();
    store.commit(now, &batch, &[]).unwrap();
    store.memory = memory;
    store.doubt = true;
    store.last_seq = seq;

    let again = [batch[0].clone(), batch[1].clone(), passed(B, START + 30_000)];
    let state = Seal { check: id(A), state: "{}".into() };
    let done = store.commit(now, &again, &[state]).unwrap();
    assert_eq!(done.kept, 1);
    assert_eq!((all_runs(&file(&dir), A).len(), all_runs(&file(&dir), B).len()), (2, 2));
    let (states, _) = restored(&mut store, now);
    assert_eq!((states[&id(A)].counts.pass, states[&id(B)].counts.due()), (2, 2));
}

#[test]
fn damage_costs_what_is_damaged_and_is_reported() {
    let mut life = Life::new();
    life.step(&Step::Run(39, 99));
    life.now += HOUR_MS;
    life.step(&Step::Seal(true));
    life.step(&Step::Run(39, 99));
    let kept = slots(&all_runs(&file(&life.dir), A));
    life.store = None;
    let conn = rusqlite::Connection::open(file(&life.dir)).unwrap();
    let last: i64 = conn.query_row("SELECT max(seq) FROM journal", [], |row| row.get(0)).unwrap();
    conn.execute("UPDATE journal SET batch = x'0102' WHERE seq = ?1", [last]).unwrap();
    conn.execute("UPDATE segment SET runs = zeroblob(40) WHERE key = ?1", [id(A).key() as i64]).unwrap();
    conn.execute("UPDATE check_state SET state = 'not json' WHERE key = ?1", [id(A).key() as i64]).unwrap();

    let reader = Reader::open(&file(&life.dir)).unwrap();
    let left = reader.runs(&id(A), 0, UnixMs(i64::MIN), UnixMs(i64::MAX)).unwrap();
    assert!(!left.is_empty() && left.len() < kept.len() && left.iter().all(|r| kept.contains(r)));
    assert_eq!(reader.damaged().count, 2);
    // Whose runs are missing is told, and of nobody else.
    let mut whole = Vec::new();
    let asked = [A, B, "x/y/z/w"].map(id);
    let asked: Vec<_> = asked.iter().map(|c| (c, UnixMs(i64::MIN), UnixMs(i64::MAX))).collect();
    reader.runs_of(&asked, 0, &mut |_, _, all| whole.push(all)).unwrap();
    assert_eq!(whole, [false, false, true]);
    assert!(reader.damaged().first.unwrap().starts_with("a journal row: "));

    let mut store = open(&life.dir);
    let mut found = Vec::new();
    let report = store.restore(UnixMs(life.now), &mut |what| found.push(format!("{what:?}"))).unwrap();
    assert_eq!(report.damaged.count, 2, "{report:?}");
    assert!(report.damaged.first.is_some_and(|f| f.starts_with("a journal row: ")));
    assert_eq!(report.states, 1, "the other check's state is there");
    assert!(found.len() > 40);
    // And it goes on.
    store.commit(UnixMs(life.now), &[passed(A, life.now + 30_000)], &[]).unwrap();
}

#[test]
fn two_names_for_one_key_are_refused_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let conn = rusqlite::Connection::open(file(&dir)).unwrap();
    conn.execute("INSERT INTO check_name VALUES (?1, ?2)", (id(A).key() as i64, B)).unwrap();
    let mut store = open(&dir);
    let done = store.commit(UnixMs(START), &[passed(A, START), passed("x/y/z/w", START)], &[]).unwrap();
    assert_eq!((done.kept, done.refused), (1, 1));
    assert_eq!(all_runs(&file(&dir), "x/y/z/w").len(), 1);
}

#[test]
fn the_journal_shrinks_once_everything_is_sealed() {
    let mut life = Life::new();
    life.step(&Step::Run(39, 99));
    life.step(&Step::Run(39, 99));
    life.now += 2 * HOUR_MS;
    life.step(&Step::Seal(true));
    for _ in 0..3 {
        life.step(&Step::Run(0, 99));
    }
    let conn = rusqlite::Connection::open(file(&life.dir)).unwrap();
    let rows: i64 = conn.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 4, "the row of the seal, and those after it");
    assert!(life.store().size_bytes() > 4096);
}

#[test]
fn seals_fall_due_a_few_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let records: Vec<Record> = (0..600).map(|n| passed(&format!("a/b/c/d{n}"), START + n)).collect();
    store.commit(UnixMs(START), &records, &[]).unwrap();
    let end = START + HOUR_MS;
    assert!(store.due_for_seal(UnixMs(end + 59_999)).is_empty());
    let mut asked = 0;
    for second in 60..=60 + 3_000 {
        let due = store.due_for_seal(UnixMs(end + second * 1000));
        assert!(due.len() <= 10);
        let seals: Vec<Seal> = due.into_iter().map(|check| Seal { check, state: "{}".into() }).collect();
        asked += seals.len();
        if !seals.is_empty() {
            store.commit(UnixMs(end + second * 1000), &[], &seals).unwrap();
        }
    }
    assert_eq!(asked, 600);
    assert!(store.due_for_seal(UnixMs(end + 10 * HOUR_MS)).is_empty());
    assert_eq!(store.known().len(), 600);
}

#[test]
fn what_is_too_old_is_deleted_in_small_steps() {
    let mut life = Life::new();
    for _ in 0..30 {
        life.step(&Step::Run(5, 3));
        life.now += HOUR_MS;
        life.step(&Step::Seal(true));
    }
    life.step(&Step::Forget(false));
    let count = |life: &Life, table: &str| -> i64 {
        let conn = rusqlite::Connection::open(file(&life.dir)).unwrap();
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let before = (count(&life, "segment"), count(&life, "hour_sum"), count(&life, "failure"));
    let (now, runs, sums) = (UnixMs(life.now), Span::seconds(36_000), Span::seconds(72_000));
    // What is pinned stays, to the hour.
    let from = life.now - 25 * HOUR_MS;
    let (none, pinned) = (Pinned::new(), Pinned::from([(id(A).key(), UnixMs(from))]));
    assert_eq!(life.store().retain(now, Span::days(40), Span::days(400), &none, 100_000).unwrap(), 0);
    let first = life.store().retain(now, runs, sums, &none, 7).unwrap();
    assert!((1..=7).contains(&first));
    while life.store().retain(now, runs, sums, &pinned, 1_000).unwrap() > 0 {}
    let oldest = |name: &str| all_runs(&file(&life.dir), name)[0].slot.hour();
    assert_eq!(oldest(A), UnixMs(from).hour());
    // Round after round, until a whole round finds nothing.
    let mut idle = 0;
    while idle < 20 {
        idle = if life.store().retain(now, runs, sums, &none, 7).unwrap() == 0 { idle + 1 } else { 0 };
    }
    assert!(count(&life, "segment") < before.0 / 2 && count(&life, "hour_sum") < before.1 && count(&life, "failure") < before.2);
    let oldest = all_runs(&file(&life.dir), A)[0].slot;
    assert!(oldest.hour() >= (life.now - 36_000_000).div_euclid(HOUR_MS));

    // Of a check that is gone nothing is left in the end; the other one keeps its state.
    let later = UnixMs(life.now + 1_000 * 24 * HOUR_MS);
    while life.store().retain(later, runs, sums, &none, 1_000).unwrap() > 0 {}
    assert_eq!(Reader::open(&file(&life.dir)).unwrap().checks().unwrap(), [id(A)]);
    assert_eq!((count(&life, "segment"), count(&life, "hour_sum"), count(&life, "check_state")), (0, 0, 1));
    life.step(&Step::Run(3, 99));
}

#[test]
fn a_reader_sees_the_open_journal_places_and_times() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let mut records: Vec<Record> = (0..240).map(|n| passed(A, START + n * 30_000)).collect();
    records[7].vantage = 1;
    let now = UnixMs(START + HOUR_MS + 60_000);
    store.commit(now, &records[..130], &[]).unwrap();
    store.commit(now, &records[130..], &[Seal { check: id(A), state: "{}".into() }]).unwrap();
    let reader = Reader::open(&file(&dir)).unwrap();
    let read = |vantage, from: i64, to: i64| reader.runs(&id(A), vantage, UnixMs(START + from), UnixMs(START + to)).unwrap();
    assert_eq!((read(0, 0, 2 * HOUR_MS).len(), read(1, 0, 2 * HOUR_MS).len()), (239, 1));
    let part = read(0, HOUR_MS - 60_000, HOUR_MS + 60_001);
    assert_eq!(part.iter().map(|r| r.slot.0 - START - HOUR_MS).collect::<Vec<_>>(), [-60_000, -30_000, 0, 30_000, 60_000]);
    assert!(read(0, 10, 10).is_empty() && read(0, 10, 5).is_empty());
    // A commit made while the reader lives is seen by its next call.
    store.commit(now, &[passed(A, START + 240 * 30_000)], &[]).unwrap();
    assert_eq!(read(0, 0, 3 * HOUR_MS).len(), 240);
    assert_eq!(reader.checks().unwrap(), [id(A)]);
}
