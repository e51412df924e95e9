//! Every page of a store is overwritten in turn, and its write-ahead log torn: what is lost is told, nothing is invented, and what comes later is kept wherever
//! it can be written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::fixtures::{failed, passed};
use super::*;
use crate::board::CheckState;
use crate::clock::{HOUR_MS, UnixMs};
use crate::evidence::{Entry, Kind, Scope};
use crate::outcome::{Class, Outcome};

const START: i64 = 490_000 * HOUR_MS;
const CHECKS: usize = 12;
const PAGE: usize = 4096;
/// Hours of which the first are sealed.
const HOURS: i64 = 4;
const SEALED: i64 = 3;

fn check(n: usize) -> CheckId {
    format!("acme/production/crm-orders-{n}/list-the-newest").parse().unwrap()
}

/// What was committed, slot by slot.
type Kept = BTreeMap<CheckId, BTreeMap<UnixMs, Outcome>>;

/// A store with a few hours of everything in it, in one file, and when it ends.
fn made(path: &Path) -> (Kept, i64) {
    let mut store = Store::open(path).unwrap();
    store.conn.as_ref().unwrap().pragma_update(None, "synchronous", "off").unwrap();
    let (mut kept, mut states) = (Kept::new(), BTreeMap::<CheckId, CheckState>::new());
    let notes: Vec<Note> = (0..30).map(|n| Note { kind: "schedule", id: format!("acme/{n}"), text: Some("x".repeat(300)) }).collect();
    store.write_notes(&notes).unwrap();
    for slot in 0..HOURS * 120 {
        let at = START + slot * 30_000;
        let records: Vec<Record> = (0..CHECKS)
            .map(|n| match (slot as usize + n * 7) % 9 {
                0 => failed(check(n).as_str(), at, Class::ServerError, &format!("{} answered 503 with a long story", "x".repeat(n * 20))),
                _ => passed(check(n).as_str(), at),
            })
            .collect();
        for r in &records {
            kept.entry(r.check.clone()).or_default().insert(r.slot, r.outcome);
        }
        let seals: Vec<Seal> = if slot % 120 == 2 && slot / 120 <= SEALED {
            states.iter().map(|(c, s)| Seal { check: c.clone(), state: serde_json::to_string(s).unwrap() }).collect()
        } else {
            Vec::new()
        };
        store.commit(UnixMs(at), &records, &seals).unwrap();
        for r in &records {
            states.entry(r.check.clone()).or_default().apply(r);
        }
        if slot % 8 == 0 {
            let scope = Scope::integration(&check(0).integration());
            let entry = Entry::new(UnixMs(at), Kind::Verdict, scope, "x", serde_json::json!({ "n": slot, "text": "y".repeat(200) }));
            store.append_evidence(&[entry]).unwrap();
        }
    }
    (kept, START + HOURS * 120 * 30_000)
}

/// What a start asks of the store, and what it folds.
fn start(path: &Path, now: i64) -> Result<(Store, BTreeMap<CheckId, CheckState>, Damaged), StoreError> {
    let mut store = Store::open(path)?;
    let mut states = BTreeMap::<CheckId, CheckState>::new();
    store.restore(UnixMs(now), &mut |what| match what {
        Restored::State(check, json) => {
            states.insert(check.clone(), serde_json::from_str(json).unwrap_or_default());
        }
        Restored::Record(r, true) => states.entry(r.check.clone()).or_default().apply(r),
        _ => {}
    })?;
    store.notes("schedule")?;
    store.recent_incidents(10)?;
    store.read_evidence(&mut |_| {})?;
    let damaged = store.damaged().clone();
    Ok((store, states, damaged))
}

/// Everything a reader gives was committed; what it does not give is told.
fn reads_no_more_than_was_kept(path: &Path, kept: &Kept) -> Result<(), StoreError> {
    let reader = Reader::open(path)?;
    for (id, kept) in kept {
        let (mut found, mut all) = (BTreeMap::new(), false);
        let asked = [(id, UnixMs(i64::MIN), UnixMs(i64::MAX))];
        let read = reader.runs_of(&asked, 0, &mut |_, runs, whole| {
            all = whole;
            for r in runs.iter() {
                for n in 0..i64::from(r.count) {
                    assert!(found.insert(UnixMs(r.slot.0 + n * i64::from(r.interval_ms)), r.outcome).is_none(), "{id}: a slot twice");
                }
            }
        });
        if let Err(e) = read {
            assert!(rows::is_damage(&e), "{e}");
            continue;
        }
        assert!(found.iter().all(|(slot, outcome)| kept.get(slot) == Some(outcome)), "{id}: nothing is invented");
        assert!(!all || found.len() == kept.len(), "{id}: {} of {} slots, and nobody says so", found.len(), kept.len());
        assert!(all || reader.damaged().count > 0);
    }
    Ok(())
}

fn count(path: &Path, id: &CheckId, from: i64) -> usize {
    let runs = Reader::open(path).and_then(|r| r.runs(id, 0, UnixMs(from), UnixMs(i64::MAX)));
    runs.map_or(0, |runs| runs.iter().map(|r| r.count as usize).sum())
}

#[test]
fn a_page_that_is_overwritten_costs_what_stood_on_it() {
    // In memory where that is to be had: a thousand files are written.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = dir.path().join("x.db");
    let (kept, end) = made(&path);
    let good = std::fs::read(&path).unwrap();
    let names = owners(&path);
    let mut stopped: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let noise: Vec<u8> = (0..PAGE).map(|n| (n * n / 3 + n) as u8 | 1).collect();
    for page in 1..=good.len() / PAGE {
        for with in [[&noise[..], &[0; PAGE]][page % 2]] {
            let owner = names.get(&page).cloned().unwrap_or_default();
            let mut bad = good.clone();
            bad[(page - 1) * PAGE..page * PAGE].copy_from_slice(with);
            let path = dir.path().join("bad.db");
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(writer::beside(&path, suffix));
            }
            std::fs::write(&path, bad).unwrap();
            let mut stops = |what: &'static str, e: &StoreError| {
                stopped.entry(what).or_default().insert(format!("{page}: {owner}: {e}"));
            };
            if let Err(e) = reads_no_more_than_was_kept(&path, &kept) {
                stops("read", &e);
            }
            let (mut store, states, damaged) = match start(&path, end) {
                Ok(started) => started,
                Err(e) => {
                    stops("start", &e);
                    continue;
                }
            };
            let mut less = false;
            for (id, kept) in &kept {
                let counts = states.get(id).map(|s| s.counts).unwrap_or_default();
                let of = |o: Outcome| kept.values().filter(|k| **k == o).count() as u64;
                assert!(counts.pass <= of(Outcome::Pass) && counts.fail <= of(Outcome::Fail), "page {page} ({owner}): {id}: {counts:?}");
                less |= counts.due() < kept.len() as u64;
            }
            assert!(!less || damaged.count > 0, "page {page} ({owner}): less is known, and nobody says so");
            // It goes on: new runs, the next seals, and another start.
            let (mut wrote, mut later_kept) = (true, kept.clone());
            for n in 0..4 {
                let at = end + n * 30_000;
                let records: Vec<Record> = (0..CHECKS).map(|n| passed(check(n).as_str(), at)).collect();
                for r in &records {
                    later_kept.entry(r.check.clone()).or_default().insert(r.slot, r.outcome);
                }
                if let Err(e) = store.commit(UnixMs(at), &records, &[]) {
                    stops("commit", &e);
                    wrote = false;
                }
            }
            let later = end + HOUR_MS;
            for _ in 0..200 {
                let due = store.due_for_seal(UnixMs(later));
                if due.is_empty() {
                    break;
                }
                let seals: Vec<Seal> = due
                    .into_iter()
                    .map(|check| Seal {
                        state: serde_json::to_string(states.get(&check).unwrap_or(&CheckState::default())).unwrap(),
                        check,
                    })
                    .collect();
                match store.commit(UnixMs(later), &[], &seals) {
                    Ok(done) if done.unsealed == CHECKS => stops("nothing is sealed", &StoreError::Corrupt(String::new())),
                    Ok(_) => {}
                    Err(e) => {
                        stops("seal", &e);
                        break;
                    }
                }
            }
            if !store.due_for_seal(UnixMs(later)).is_empty() {
                stops("unsealed", &StoreError::Corrupt(String::new()));
            }
            let entry = Entry::new(UnixMs(later), Kind::Verdict, Scope::daemon(), "x", serde_json::Value::Null);
            if let Err(e) = store.append_evidence(&[entry]) {
                stops("evidence", &e);
            }
            drop(store);
            if wrote {
                let seen = (0..CHECKS).filter(|n| count(&path, &check(*n), end) == 4).count();
                if seen < CHECKS {
                    stops("new runs are not read", &StoreError::Corrupt(format!("{seen} of {CHECKS}")));
                }
                match start(&path, later) {
                    Err(e) => stops("second start", &e),
                    Ok((store, ..)) => drop(store),
                }
                reads_no_more_than_was_kept(&path, &later_kept).unwrap();
                let seen = (0..CHECKS).filter(|n| count(&path, &check(*n), end) == 4).count();
                if seen < CHECKS {
                    stops("lost after a start", &StoreError::Corrupt(format!("{seen} of {CHECKS}")));
                }
            }
        }
    }
    for (what, pages) in &stopped {
        println!("{what}: {pages:#?}");
    }
    let pages = good.len() / PAGE;
    assert!(pages > 50, "{pages}");
    // What a page may stop, and how many of them: the first page and the numbers; where new rows go to; what says up to where a check is sealed.
    let allowed = [
        ("read", &["schema"][..], 1),
        ("start", &["schema", "sqlite_sequence"], 2),
        ("commit", &["journal", "check_name"], 3),
        ("evidence", &["evidence"], 2),
        ("new runs are not read", &["check_state"], pages),
        ("lost after a start", &["check_state"], pages),
    ];
    for (what, stopped) in &stopped {
        let (_, owners, most) = allowed.iter().find(|(w, ..)| w == what).unwrap_or_else(|| panic!("{what}: {stopped:#?}"));
        assert!(stopped.len() <= *most, "{what}: {stopped:#?}");
        let may = |at: &String| owners.iter().any(|o| at.split(": ").nth(1).is_some_and(|owner| owner.starts_with(o)));
        assert!(stopped.iter().all(may), "{what}: {stopped:#?}");
    }
    // A leaf of check_state costs the checks on it, not the others.
    let seen = |at: &String| at.rsplit(": ").next().and_then(|n| n.split(' ').next()?.parse::<usize>().ok()).unwrap_or(0);
    let few = |at: &&String| !at.contains("root") && seen(at) < CHECKS - 3;
    assert_eq!(stopped.get("lost after a start").into_iter().flatten().find(few), None);
}

/// What a power cut may leave of the write-ahead log: its beginning, and perhaps noise.
#[test]
fn a_log_that_is_torn_anywhere_is_the_store_of_some_commits_ago() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = dir.path().join("x.db");
    let mut store = Store::open(&path).unwrap();
    let slots: Vec<UnixMs> = (0..40).map(|n| UnixMs(START + n * 30_000)).collect();
    for slot in &slots {
        store.commit(*slot, &[passed(check(0).as_str(), slot.0)], &[]).unwrap();
    }
    let (file, log) = (std::fs::read(&path).unwrap(), std::fs::read(writer::beside(&path, "-wal")).unwrap());
    assert!(log.len() > 40 * PAGE, "{}", log.len());
    let (torn, mut most) = (dir.path().join("torn.db"), 0);
    for at in (0..=log.len()).step_by(1_777).chain([log.len()]) {
        for noise in [0, 700] {
            let _ = std::fs::remove_file(writer::beside(&torn, "-shm"));
            std::fs::write(&torn, &file).unwrap();
            std::fs::write(writer::beside(&torn, "-wal"), [log.get(..at).unwrap(), &vec![0x5a; noise]].concat()).unwrap();
            let (mut store, states, damaged) = start(&torn, START + 40 * 30_000).unwrap();
            assert_eq!(damaged, Damaged::default(), "torn at {at}");
            let runs = Reader::open(&torn).unwrap().runs(&check(0), 0, UnixMs(i64::MIN), UnixMs(i64::MAX)).unwrap();
            let found: Vec<UnixMs> = runs.iter().map(|r| r.slot).collect();
            assert!(found == slots[..found.len()] && found.len() >= most, "torn at {at}: {found:?}");
            assert_eq!(states.get(&check(0)).map_or(0, |s| s.counts.pass), found.len() as u64);
            most = found.len();
            store.commit(UnixMs(START), &[passed(check(1).as_str(), START)], &[]).unwrap();
        }
    }
    assert_eq!(most, slots.len());
}

/// Which table or index a page belongs to, with its kind.
fn owners(path: &Path) -> BTreeMap<usize, String> {
    let conn = rusqlite::Connection::open(path).unwrap();
    let mut found = BTreeMap::new();
    let bytes = std::fs::read(path).unwrap();
    let mut statement = conn.prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").unwrap();
    let roots: Vec<(String, usize)> =
        statement.query_map([], |r| Ok((r.get(0)?, r.get::<_, u32>(1)? as usize))).unwrap().map(Result::unwrap).collect();
    let kind = |page: usize| bytes[(page - 1) * PAGE + if page == 1 { 100 } else { 0 }];
    for (name, root) in roots {
        let mut todo = vec![root];
        while let Some(page) = todo.pop() {
            let what = ["leaf", "inner"][usize::from(matches!(kind(page), 2 | 5))];
            let place = if page == root { "root" } else { "" };
            found.insert(page, format!("{name} {what} {place}"));
            if matches!(kind(page), 2 | 5) {
                let at = |n: usize| bytes[(page - 1) * PAGE + n] as usize;
                let cells = at(3) << 8 | at(4);
                for c in 0..cells {
                    let p = at(12 + 2 * c) << 8 | at(13 + 2 * c);
                    todo.push((0..4).fold(0, |n, k| n << 8 | at(p + k)));
                }
                todo.push((0..4).fold(0, |n, k| n << 8 | at(8 + k)));
            }
        }
    }
    found.insert(1, "schema".into());
    found
}
