//! Backup and restore: a copy made under load, put in place elsewhere, says what the store said; what happened between is unknown, never a failure.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::evidence::Checked;
use soakwatch::outcome::{Cause, Outcome};
use soakwatch::store::{Reader, Run};

use crate::support::daemon::{Daemon, eventually, output, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

const CHECKS: [&str; 4] = ["a", "b", "c", "d"];

fn configure(dir: &Path, api: &FakeApi) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
                    soak = { start = 2025-01-06T08:00:00Z, window = \"6h\" }\n"
        .to_owned();
    for check in CHECKS {
        text += &format!(
            "[[integration.check]]\nid = \"{check}\"\nevery = \"1s\"\ntimeout = \"900ms\"\nhttp = {{ url = \"{}\" }}\n",
            api.url("/watched")
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

fn runs(store: &Path, check: &str, until: UnixMs) -> Vec<Run> {
    let reader = Reader::open(store).unwrap();
    let runs = reader.runs(&format!("acme/staging/api/{check}").parse().unwrap(), 0, UnixMs(0), until).unwrap();
    reader.whole().unwrap();
    runs
}

/// What the gate says of a time, by one store.
fn gate(dir: &Path, store: &Path, at: UnixMs) -> Value {
    let out = output(
        soakwatch().args(["gate", "acme/staging", "--json", "--at", &at.to_string(), "--config"]).arg(dir).arg("--store").arg(store),
    );
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)))
}

fn said(args: &[&str], dir: &Path) -> (Option<i32>, String) {
    let out = output(soakwatch().args(args).arg("--config").arg(dir));
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

#[test]
fn a_backup_under_load_restored_elsewhere_says_the_same_and_invents_no_failure() {
    let api = FakeApi::start(|_| Reply::status(200));
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    configure(here.path(), &api);
    configure(there.path(), &api);
    let store = here.path().join("soakwatch.db");
    let daemon = Daemon::start(here.path(), &[]);
    let passed = |store: &Path, until: UnixMs| CHECKS.iter().map(|c| runs(store, c, until).len()).sum::<usize>();
    eventually("runs are stored", || (passed(&store, UnixMs(i64::MAX)) >= 12).then_some(()));
    let at = Clock::System.now().whole_seconds();
    eventually("what came before that time is stored", || {
        CHECKS.iter().all(|c| runs(&store, c, UnixMs(i64::MAX)).last().is_some_and(|r| r.slot >= at)).then_some(())
    });

    // Several, while runs go on.
    let copies: Vec<_> = (0..4).map(|n| here.path().join(format!("copy-{n}"))).collect();
    for copy in &copies {
        let (code, words) = said(&["backup", copy.to_str().unwrap()], here.path());
        assert_eq!(code, Some(0), "{words}");
        assert!(words.contains("4 checks, ") && words.contains("not in it, copy them too: the configuration in"), "{words}");
        assert_eq!(std::fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let copy = copies.last().unwrap().to_str().unwrap();
    let (code, words) = said(&["backup", copy], here.path());
    assert_eq!(code, Some(74), "{words}");
    assert!(words.contains("is there already and is not overwritten"), "{words}");
    let (code, words) = said(&["restore", copy, "--force"], here.path());
    assert_eq!(code, Some(74), "{words}");
    assert!(words.contains("in use by another Soakwatch daemon: stop it first"), "{words}");
    let ended = runs(&store, "a", UnixMs(i64::MAX)).len();
    eventually("it went on", || (runs(&store, "a", UnixMs(i64::MAX)).len() > ended).then_some(()));
    daemon.kill();

    // Elsewhere: the same verdicts and counts of that time.
    let restored = there.path().join("soakwatch.db");
    let (code, words) = said(&["restore", copy], there.path());
    assert_eq!(code, Some(0), "{words}");
    for check in CHECKS {
        assert_eq!(runs(&restored, check, at), runs(&store, check, at));
    }
    assert_eq!(gate(there.path(), &restored, at), gate(here.path(), &store, at));
    let head = |store: &Path, until: Option<u64>| {
        let checked = Reader::open(store).unwrap().check_evidence(Checked::default()).unwrap();
        assert!(checked.whole(), "{:?}", checked.breaks);
        until.is_none_or(|n| checked.seq > n).then_some((checked.seq, checked.head))
    };
    assert_eq!(head(&restored, None), head(&store, None), "the log is the same to the last record");
    let before = runs(&restored, "a", UnixMs(i64::MAX)).last().unwrap().slot;
    let records = head(&restored, None).unwrap().0;

    let daemon = Daemon::start(there.path(), &[]);
    let started = Clock::System.now();
    eventually("it runs on", || runs(&restored, "a", UnixMs(i64::MAX)).last().is_some_and(|r| r.slot > started).then_some(()));
    eventually("its start is on record, in the same chain", || head(&restored, Some(records)));
    assert_eq!(daemon.stop(), Some(0));
    let all = runs(&restored, "a", UnixMs(i64::MAX));
    assert!(all.iter().all(|r| r.outcome == Outcome::Pass || r.cause == Some(Cause::Down)), "no failure was invented: {all:?}");
    let down: u32 = all.iter().filter(|r| r.slot > before && r.cause == Some(Cause::Down)).map(|r| r.count).sum();
    assert!(down > 0, "the gap is unknown: {all:?}");
}

#[test]
fn nothing_is_replaced_by_what_is_not_good_and_nothing_is_lost() {
    let api = FakeApi::start(|_| Reply::status(200));
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), &api);
    let store = dir.path().join("soakwatch.db");
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("a run is stored", || (!runs(&store, "a", UnixMs(i64::MAX)).is_empty()).then_some(()));
    let good = dir.path().join("good");
    assert_eq!(said(&["backup", good.to_str().unwrap()], dir.path()).0, Some(0));
    let had = runs(&good, "a", UnixMs(i64::MAX));
    eventually("more came", || (runs(&store, "a", UnixMs(i64::MAX)).len() > had.len()).then_some(()));
    daemon.kill();
    let now = runs(&store, "a", UnixMs(i64::MAX));

    // A store is there.
    let (code, words) = said(&["restore", good.to_str().unwrap()], dir.path());
    assert_eq!(code, Some(74), "{words}");
    assert!(words.contains("there is a store already; --force"), "{words}");
    // A record of evidence that was changed, with the triggers out of the way.
    let forged = dir.path().join("forged");
    std::fs::copy(&good, &forged).unwrap();
    let conn = rusqlite::Connection::open(&forged).unwrap();
    conn.execute_batch("DROP TRIGGER evidence_is_never_changed; UPDATE evidence SET actor = 'nobody' WHERE seq = 1").unwrap();
    drop(conn);
    // Half a file.
    let torn = dir.path().join("torn");
    let whole = std::fs::read(&good).unwrap();
    std::fs::write(&torn, &whole[..whole.len() / 2]).unwrap();
    for (bad, why) in [
        (&forged, "evidence log"),
        (&torn, "damaged"),
        (&dir.path().join("none"), "there is no backup at"),
        (&dir.path().join("soakwatch.toml"), "not a database"),
    ] {
        let (code, words) = said(&["restore", bad.to_str().unwrap(), "--force"], dir.path());
        assert!(code == Some(65) && words.contains(why), "{bad:?}: {code:?} {words}");
        assert_eq!(runs(&store, "a", UnixMs(i64::MAX)), now, "the store is as it was");
    }
    let left =
        || -> Vec<String> { std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect() };
    assert!(!left().iter().any(|name| name.starts_with(".soakwatch-")), "{:?}", left());

    let (code, words) = said(&["restore", good.to_str().unwrap(), "--force"], dir.path());
    assert_eq!(code, Some(0), "{words}");
    assert_eq!(runs(&store, "a", UnixMs(i64::MAX)), had);
    let aside = left()
        .into_iter()
        .find(|name| name.starts_with("soakwatch.db.replaced-") && !name.contains("-wal") && !name.contains("-shm"))
        .unwrap();
    assert_eq!(runs(&dir.path().join(aside), "a", UnixMs(i64::MAX)), now, "what was there has another name");
    // And it is a store a daemon starts on.
    assert_eq!(Daemon::start(dir.path(), &[]).stop(), Some(0));
}
