//! What verdicts cost: 10,000 soaks of 7 days at 30 s, from live state, from disk, and from plain SQLite rows.
//!
//! `cargo bench --bench soaks` (about two minutes; prints how each figure was made). Times are CPU time of this process: other programs on the
//! machine change them little.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and stops at the first error")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::json;
use soakwatch::board::Board;
use soakwatch::bundle::key::SigningKey;
use soakwatch::bundle::{Content, verify, write_bundle};
use soakwatch::clock::{DAY_MS, HOUR_MS, UnixMs};
use soakwatch::config::model::{CheckDef, Config};
use soakwatch::config::{self, LoadOptions};
use soakwatch::evidence::{Entry, Hash, Kind, Scope};
use soakwatch::outcome::{Attribution, Cause, Class, Outcome};
use soakwatch::readiness::{CheckCase, Soaks, assemble};
use soakwatch::record::{DurationCode, Facts, Record, Run};
use soakwatch::slots::Grid;
use soakwatch::soak::{CheckFold, CheckInput, Doubts, Frame, Input, Observations, Policy, Rules, Ruling, Verdict, Window, judge};
use soakwatch::store::{Reader, Seal, Store};

/// The soaks begin at this hour.
const START: UnixMs = UnixMs(490_000 * HOUR_MS);
/// They are judged 7 days and 10 minutes later: the window is full.
const NOW: UnixMs = UnixMs(START.0 + 7 * DAY_MS + 600_000);
const SOAKS: usize = 10_000;
/// So many of them are also written to disk; what reading them costs is scaled up, for it grows with their number.
const ON_DISK: usize = 100;
const EVERY_MS: i64 = 30_000;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// The week of a check, by its number. Durations scatter over some 30 steps of 5 %. Of most checks one run in 500 fails at random; every 50th has
/// an outage of an hour as well, of every 70th the daemon was down for two, every 90th fails three in a hundred.
fn week(n: usize, def: &CheckDef) -> Vec<Run> {
    let mut dice = Dice((n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let grid = Grid::of(def);
    let chance = if n % 90 == 89 { 33 } else { 500 };
    let (outage, down) = ((n % 50 == 49).then_some(3 * DAY_MS), (n % 70 == 69).then_some(5 * DAY_MS));
    let inside = |from: Option<i64>, hours: i64, slot: i64| from.is_some_and(|f| (f..f + hours * HOUR_MS).contains(&(slot - START.0)));
    let mut runs = Vec::with_capacity(grid.within(START, NOW) as usize);
    let mut slot = grid.after(UnixMs(START.0 - 1));
    while slot < NOW {
        let spread = (0..4).map(|_| dice.roll() % 10).sum::<u64>() as u16;
        let failed = dice.roll().is_multiple_of(chance) || inside(outage, 1, slot.0);
        let gone = inside(down, 2, slot.0);
        let outcome = if gone {
            Outcome::Unknown
        } else if failed {
            Outcome::Fail
        } else {
            Outcome::Pass
        };
        let fail = outcome == Outcome::Fail;
        runs.push(Run {
            slot,
            interval_ms: EVERY_MS as u32,
            count: 1,
            outcome,
            class: if gone { Some(Class::Internal) } else { fail.then_some(Class::ServerError) },
            cause: gone.then_some(Cause::Down),
            attribution: if gone { Some(Attribution::Monitor) } else { fail.then_some(Attribution::ThirdParty) },
            duration: if gone { DurationCode(0) } else { DurationCode(130 + spread) },
            attempts: u8::from(!gone),
            first_attempt_passed: outcome == Outcome::Pass && !dice.roll().is_multiple_of(300),
        });
        slot = UnixMs(slot.0 + EVERY_MS);
    }
    runs
}

/// One check an integration, a hundred integrations a customer at most. They go live ten days after the start.
fn configuration(dir: &Path, soaks: usize) -> Config {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    let go_live = UnixMs(START.0 + 10 * DAY_MS);
    for customer in 0..soaks.div_ceil(100) {
        let mut text = format!("[customer]\nid = \"c{customer}\"\nname = \"Customer {customer}\"\n");
        for n in 0..soaks.min(100) {
            text += &format!(
                "[[integration]]\nid = \"i{n}\"\nenvironment = \"production\"\nowner = \"vendor\"\nrunbook = \"https://wiki.example.com/x\"\n\
                 go_live = \"{go_live}\"\nsoak = {{ start = \"{START}\" }}\n[[integration.check]]\nid = \"list\"\nevery = \"30s\"\ntimeout = \"10s\"\n\
                 [integration.check.http]\nurl = \"https://host-{customer}-{n}.example.com/v1/orders\"\nexpect = {{ status = [200] }}\n"
            );
        }
        std::fs::write(dir.join(format!("customers/c{customer:03}.toml")), text).unwrap();
    }
    let loaded = config::load(dir, &LoadOptions { check_secrets: true, env: Vec::new(), now: NOW });
    loaded.config.unwrap_or_else(|| panic_with(&loaded.problems))
}

fn panic_with(problems: &[config::table::Problem]) -> Config {
    problems.iter().take(5).for_each(|p| println!("{p}"));
    std::process::exit(1)
}

/// The least CPU time of some rounds, in seconds.
fn least(rounds: usize, mut f: impl FnMut()) -> f64 {
    let once = |_| {
        let begun = cpu();
        f();
        (cpu() - begun).as_secs_f64()
    };
    (0..rounds).map(once).fold(f64::INFINITY, f64::min)
}

#[path = "support/measure.rs"]
mod measure;
use measure::{cpu, memory, option};

/// What the three ways must agree on.
#[derive(Debug, Default, PartialEq)]
struct Answers {
    /// Slots by outcome: pass, fail, throttled, skipped, unknown.
    counts: [u64; 5],
    first_attempts: u64,
    p95: Option<u16>,
    outage_ms: i64,
    gap_ms: i64,
}

impl Answers {
    fn of(v: &Verdict) -> Self {
        let (s, c) = (&v.checks[0], &v.checks[0].counts);
        let n = c.counted() as f64;
        Self {
            counts: [c.pass, c.fail, c.throttled, c.skipped, c.unknown],
            first_attempts: s.first_attempts.map_or(0, |x| (x * n).round() as u64),
            p95: s.p95.map(|c| c.0),
            outage_ms: s.outage.map_or(0, |(_, ms)| ms),
            gap_ms: s.gap.map_or(0, |(_, ms)| ms),
        }
    }
}

/// Longest outage and longest span without a run, slot by slot.
#[derive(Default)]
struct Walk {
    outage: i64,
    gap: i64,
    longest: (i64, i64),
}

impl Walk {
    fn step(&mut self, outcome: u8) {
        match outcome {
            0 => (self.outage, self.gap) = (0, 0),
            1 | 2 => (self.outage, self.gap) = (self.outage + EVERY_MS, 0),
            _ => self.gap += EVERY_MS,
        }
        self.longest = (self.longest.0.max(self.outage), self.longest.1.max(self.gap));
    }
}

fn rows(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = normal; PRAGMA cache_size = -400000;
         CREATE TABLE run (check_key INTEGER, slot INTEGER, outcome INTEGER, class INTEGER, cause INTEGER, attribution INTEGER,
         duration INTEGER, attempts INTEGER, first INTEGER, PRIMARY KEY (check_key, slot)) WITHOUT ROWID;",
    )
    .unwrap();
    conn
}

fn insert(conn: &mut Connection, key: u64, runs: &[Run]) {
    let tx = conn.transaction().unwrap();
    {
        let mut st = tx.prepare_cached("INSERT INTO run VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)").unwrap();
        for r in runs {
            let (class, cause, attribution) = (r.class.map(|c| c as u8), r.cause.map(|c| c as u8), r.attribution.map(|a| a as u8));
            st.execute(params![
                key as i64,
                r.slot.0,
                r.outcome as u8,
                class,
                cause,
                attribution,
                r.duration.0,
                r.attempts,
                r.first_attempt_passed
            ])
            .unwrap();
        }
    }
    tx.commit().unwrap();
}

/// Plain rows, with as much as possible in SQL: a sum by outcome, a percentile by sorting, and the rows in order for the spans.
fn asked_in_sql(conn: &Connection, key: u64) -> Answers {
    let mut a = Answers::default();
    let span = (key as i64, START.0, NOW.0);
    let sql =
        "SELECT outcome, count(*), sum(outcome = 0 AND first) FROM run WHERE check_key = ?1 AND slot >= ?2 AND slot < ?3 GROUP BY outcome";
    let mut st = conn.prepare_cached(sql).unwrap();
    let mut found = st.query(span).unwrap();
    while let Some(row) = found.next().unwrap() {
        let outcome = usize::from(row.get::<_, u8>(0).unwrap());
        a.counts[outcome] = row.get::<_, i64>(1).unwrap() as u64;
        a.first_attempts += row.get::<_, i64>(2).unwrap() as u64;
    }
    let rank = (a.counts[0] * 95).div_ceil(100).max(1) as i64;
    let sql =
        "SELECT duration FROM run WHERE check_key = ?1 AND slot >= ?2 AND slot < ?3 AND outcome = 0 ORDER BY duration LIMIT 1 OFFSET ?4";
    let mut st = conn.prepare_cached(sql).unwrap();
    a.p95 = st.query_row((span.0, span.1, span.2, rank - 1), |row| row.get(0)).ok();
    let mut st = conn.prepare_cached("SELECT outcome FROM run WHERE check_key = ?1 AND slot >= ?2 AND slot < ?3 ORDER BY slot").unwrap();
    let (mut walk, mut found) = (Walk::default(), st.query(span).unwrap());
    while let Some(row) = found.next().unwrap() {
        walk.step(row.get(0).unwrap());
    }
    (a.outage_ms, a.gap_ms) = walk.longest;
    a
}

/// Plain rows, with as little as possible in SQL: one pass over the rows in order, everything else here.
fn asked_in_one_pass(conn: &Connection, key: u64) -> Answers {
    let mut a = Answers::default();
    let sql = "SELECT outcome, duration, first FROM run WHERE check_key = ?1 AND slot >= ?2 AND slot < ?3 ORDER BY slot";
    let mut st = conn.prepare_cached(sql).unwrap();
    let mut found = st.query((key as i64, START.0, NOW.0)).unwrap();
    let (mut walk, mut durations) = (Walk::default(), Vec::new());
    while let Some(row) = found.next().unwrap() {
        let outcome: u8 = row.get(0).unwrap();
        a.counts[usize::from(outcome)] += 1;
        walk.step(outcome);
        if outcome == 0 {
            durations.push(row.get::<_, u16>(1).unwrap());
            a.first_attempts += u64::from(row.get::<_, bool>(2).unwrap());
        }
    }
    let rank = (durations.len() * 95).div_ceil(100).max(1);
    a.p95 = (!durations.is_empty()).then(|| *durations.select_nth_unstable(rank - 1).1);
    (a.outage_ms, a.gap_ms) = walk.longest;
    a
}

/// The daemon's running state of every soak, made as a start makes it.
fn live(config: &Config) -> (Board, Soaks) {
    let board = Board::default();
    board.configure(config);
    let (before, soaks) = (memory("VmRSS"), Soaks::default());
    let said = soaks.configure(config, START);
    assert_eq!(said.len(), SOAKS, "every soak begins");
    let defs: Vec<_> = config.checks().collect();
    let (mut folding, mut runs) = (Duration::ZERO, 0);
    let mut numbers = defs.iter().enumerate().map(|(n, def)| (&def.id, n)).collect::<HashMap<_, _>>();
    loop {
        let asked = soaks.stale(NOW, 200);
        if asked.is_empty() {
            break;
        }
        for a in asked {
            let n = numbers.remove(&a.check).unwrap();
            let week = week(n, defs[n]);
            runs += week.len();
            let begun = cpu();
            soaks.refold(&a.check, &week, NOW);
            folding += cpu() - begun;
        }
    }
    let per = |bytes: usize| bytes as f64 / SOAKS as f64;
    let grown = usize::try_from(memory("VmRSS").saturating_sub(before)).unwrap_or(0);
    println!("live state: {SOAKS} soaks of one check, {runs} runs folded, {:.1} ns a run", folding.as_secs_f64() * 1e9 / runs as f64);
    println!("  {:.0} B a check (goal: at most {:.0} B)", per(soaks.bytes()), 1.2 * 1024.0);
    println!("  by all that it took from the system, with names, policies and the evidence to be said: {:.0} B", per(grown));
    (board, soaks)
}

/// The same weeks on disk, as the store keeps them and as rows.
fn on_disk(config: &Config, dir: &Path) -> (Reader, Connection) {
    let mut rows = rows(&dir.join("rows.db"));
    let defs: Vec<_> = config.checks().take(ON_DISK).collect();
    let weeks: Vec<Vec<Run>> = defs.iter().enumerate().map(|(n, def)| week(n, def)).collect();
    for (def, week) in defs.iter().zip(&weeks) {
        insert(&mut rows, def.key, week);
    }
    println!(
        "on disk: {ON_DISK} of the soaks, {} runs; the last hours are still in the journal",
        weeks.iter().map(Vec::len).sum::<usize>()
    );
    stored(&mut Store::open(&dir.join("store.db")).unwrap(), &defs, &weeks);
    (Reader::open(&dir.join("store.db")).unwrap(), rows)
}

/// Stores weeks as a daemon does, sealed as they fall due.
fn stored(store: &mut Store, defs: &[&Arc<CheckDef>], weeks: &[Vec<Run>]) {
    let seals = |store: &Store, at| -> Vec<Seal> {
        store.due_for_seal(at).into_iter().map(|check| Seal { check, state: "{}".to_owned() }).collect()
    };
    // A commit of five minutes at a time: what is sealed is the same.
    let mut left: Vec<&[Run]> = weeks.iter().map(Vec::as_slice).collect();
    let mut at = START;
    while at < NOW {
        at = UnixMs(at.0 + 300_000);
        let mut batch: Vec<Record> = Vec::new();
        for (def, left) in defs.iter().zip(&mut left) {
            let (now, later) = left.split_at(left.partition_point(|r| r.slot < at));
            batch.extend(now.iter().map(|r| Record { facts: facts(r), ..r.record(&def.id, 0) }));
            *left = later;
        }
        let seals = seals(store, at);
        store.commit(at, &batch, &seals).unwrap();
    }
}

fn facts(run: &Run) -> Facts {
    Facts { codes: if run.outcome == Outcome::Pass { vec![200] } else { Vec::new() }, ..Facts::default() }
}

/// Verdicts of what the store holds, made as a daemon makes them at its start: a fifth of the checks at a time, for which the journal is read once.
fn from_store(reader: &Reader, defs: &[&Arc<CheckDef>], policy: &Policy, each: &mut dyn FnMut(Verdict)) {
    for some in defs.chunks(ON_DISK / 5) {
        let asked: Vec<_> = some.iter().map(|d| (&d.id, START, NOW)).collect();
        let mut defs = some.iter();
        let mut judged = |runs: &[Run]| {
            let def = defs.next().unwrap();
            let rules = Rules { policy, judge: def.judge, throttled_excluded: false, grid: Some(Grid::of(def)), exclusions: &[] };
            let frame = Frame::at(policy.start, policy.window, def.integration.go_live, NOW);
            let fold = CheckFold::of(&frame, &rules, runs);
            judge(&Input {
                now: NOW,
                policy,
                since: policy.start,
                go_live: def.integration.go_live,
                superseded: false,
                checks: &[CheckInput { id: &def.id, judged: true, rules, fold: &fold }],
                seen: &Observations::default(),
                waivers: &[],
                attestations: &[],
                doubts: Doubts::default(),
            })
        };
        reader.runs_of(&asked, 0, &mut |_, runs, _| each(judged(runs))).unwrap();
    }
}

fn verdicts(config: &Config, dir: &Path) {
    let (board, soaks) = live(config);
    let (reader, rows) = on_disk(config, dir);
    let defs: Vec<_> = config.checks().take(ON_DISK).collect();
    let policy = defs[0].integration.soak.clone().unwrap();

    let mut stored = Vec::new();
    from_store(&reader, &defs, &policy, &mut |v| stored.push(v));
    let mut rulings = BTreeMap::<Ruling, usize>::new();
    board.read(|all| {
        for (n, entry) in all.iter().enumerate() {
            let verdict = soaks.judged(entry, NOW, |_, v| v.clone()).unwrap();
            *rulings.entry(verdict.ruling).or_default() += 1;
            let Some(def) = defs.get(n) else { continue };
            // Four ways, one answer.
            assert_eq!(stored[n], verdict, "{}", def.id);
            let answers = Answers::of(&verdict);
            assert_eq!(asked_in_sql(&rows, def.key), answers, "{}", def.id);
            assert_eq!(asked_in_one_pass(&rows, def.key), answers, "{}", def.id);
        }
    });
    let told: Vec<String> = rulings.iter().map(|(r, n)| format!("{n} {r}")).collect();
    println!("verdicts: {}; those on disk agree in all four ways", told.join(", "));

    let scale = SOAKS as f64 / ON_DISK as f64;
    let live = board.read(|all| {
        least(option("--live-rounds", 21) as usize, || {
            let mut judged = 0;
            soaks.each_judged(all, NOW, |_, _, v| judged += usize::from(std::hint::black_box(v).as_of == NOW));
            assert_eq!(judged, SOAKS);
        })
    });
    let disk =
        scale * least(option("--disk-rounds", 3) as usize, || from_store(&reader, &defs, &policy, &mut |v| drop(std::hint::black_box(v))));
    let sql = scale * least(3, || defs.iter().for_each(|def| _ = std::hint::black_box(asked_in_sql(&rows, def.key))));
    let one_pass = scale * least(3, || defs.iter().for_each(|def| _ = std::hint::black_box(asked_in_one_pass(&rows, def.key))));
    println!("{SOAKS} verdicts, CPU, the least of some rounds, everything in memory or in the system's cache:");
    println!("  from live state:        {:>9.2} ms (all of them)", live * 1e3);
    println!("  from the store:         {:>9.0} ms ({ON_DISK} measured, times {scale})", disk * 1e3);
    println!("  from rows, mostly SQL:  {:>9.0} ms (likewise)", sql * 1e3);
    println!("  from rows, in one pass: {:>9.0} ms (likewise)", one_pass * 1e3);
    for (name, rows) in [("mostly SQL", sql), ("one pass", one_pass)] {
        println!(
            "  rows ({name}) / live: {:.0} (goal: at least 10,000); rows / store: {:.1} (goal: at least 10)",
            rows / live,
            rows / disk
        );
    }
}

/// `report` and `verify` of 20 integrations, against reading and hashing what they hold, and compressing it.
fn bundles(dir: &Path) {
    let config = configuration(dir, 20);
    let (store, out) = (dir.join("store.db"), dir.join("bundle"));
    let defs: Vec<_> = config.checks().collect();
    let weeks: Vec<Vec<Run>> = defs.iter().enumerate().map(|(n, def)| week(n, def)).collect();
    let mut writer = Store::open(&store).unwrap();
    let daemon = |kind, body| Entry::new(START, kind, Scope::daemon(), "soakwatch", body);
    let log = [daemon(Kind::DaemonStarted, json!({})), daemon(Kind::ConfigApplied, json!({ "hash": config.hash }))];
    writer.append_evidence(&[&log[..], &Soaks::default().configure(&config, START)].concat()).unwrap();
    stored(&mut writer, &defs, &weeks);
    let key = SigningKey::fresh().unwrap();

    let mut lines = 0;
    let report = least(5, || {
        let _ = std::fs::remove_dir_all(&out);
        let reader = Reader::open(&store).unwrap();
        let (situation, log) = assemble(&config, &reader, "c0", "production", NOW).unwrap();
        let content = Content { situation, log };
        let mut runs = |check: &CheckCase, window: Window| reader.runs(&check.check, 0, window.start, window.end);
        lines = write_bundle(content, &mut runs, &out, Some(&key)).unwrap().lines;
    });
    let verify = least(5, || {
        let verified = verify(&out, Some(&key.public())).unwrap();
        assert!(verified.findings.is_empty() && verified.gate.is_some(), "{:?}", verified.findings);
    });
    // Everything in it, unpacked, in one file.
    let mut all = Vec::new();
    for file in std::fs::read_dir(&out).unwrap().map(|f| f.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap();
        all.extend(if file.extension().is_some_and(|e| e == "zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes });
    }
    let plain = dir.join("plain");
    std::fs::write(&plain, &all).unwrap();
    let mut packed = 0;
    let hashed = least(5, || assert_ne!(Hash::of(&std::fs::read(&plain).unwrap()), Hash([0; 32])));
    let compressed = least(5, || packed = zstd::encode_all(&std::fs::read(&plain).unwrap()[..], 3).unwrap().len());
    let least = hashed + compressed;
    println!(
        "bundle: {} integrations, {lines} runs, {:.1} MB, {:.2} MB packed; CPU, the least of 5:",
        defs.len(),
        all.len() as f64 / 1e6,
        packed as f64 / 1e6
    );
    println!("  reading and hashing the same bytes: {:.0} ms, compressing them: {:.0} ms", hashed * 1e3, compressed * 1e3);
    for (name, took) in [("report", report), ("verify", verify)] {
        println!("  {name}: {:.0} ms, {:.1} times both (goal: at most 3)", took * 1e3, took / least);
    }
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    bundles(&dir.path().join("bundle"));
    let config = configuration(dir.path(), SOAKS);
    verdicts(&config, dir.path());
}
