//! A daemon over a go-live: what was observed then is what counts, whatever is seen later; and the bundle is there without anybody asking for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use soakwatch::clock::{Clock, HOUR_MS, UnixMs};
use soakwatch::evidence::{Hash, Recorded};
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, output, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};
use crate::support::soaked::{CUSTOMER, Soaked};

fn log(dir: &Path, kind: &str) -> Vec<Recorded> {
    let reader = Reader::open(&dir.join("soakwatch.db")).unwrap();
    let all = reader.evidence("acme", "production", UnixMs(i64::MAX)).unwrap();
    all.into_iter().filter_map(|l| l.record.map(|r| *r)).filter(|r| r.kind == kind).collect()
}

/// Six hours that all passed, of endpoints that tell their quota.
fn soaked(api: &FakeApi, go_live: Option<UnixMs>, settings: &str) -> Soaked {
    let mut customer = CUSTOMER.replace("https://crm.example.com", &api.url("")).replace("https://mail.example.com", &api.url(""));
    customer = customer.replace("name = \"Acme", "allow_private = true\nname = \"Acme");
    customer = customer.replacen("every = \"30s\"", "every = \"4s\"", 1);
    let more = go_live.map(|at| format!("go_live = {at}\n")).unwrap_or_default();
    customer =
        customer.replacen("criticality = \"normal\"", &format!("criticality = \"normal\"\nvolume = {{ peak = \"60/min\" }}\n{more}"), 1);
    let start = UnixMs((Clock::System.now().0 - 7 * HOUR_MS) / 1000 * 1000);
    Soaked::since(start, &format!("[server]\nlisten = \"127.0.0.1:0\"\n{settings}"), &customer, |_, _| {})
}

/// What is judged of the first integration.
fn judged(answer: &Value) -> Option<(Value, Value)> {
    let soak = &answer["integrations"][0]["soak"];
    let headroom = soak["criteria"].as_array()?.iter().find(|c| c["name"] == "quota_headroom")?;
    Some((soak["verdict"].clone(), headroom.clone()))
}

#[test]
fn a_quota_that_shrinks_after_go_live_changes_no_verdict() {
    let small = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&small);
    let api = FakeApi::start(move |_| {
        let quota = if told.load(Ordering::SeqCst) { 30 } else { 6000 };
        Reply::json("{}").header("ratelimit-policy", format!("\"calls\";q={quota};w=60")).header("ratelimit", "\"calls\";r=20;t=30")
    });
    let go_live = UnixMs((Clock::System.now().0 + 25_000) / 1000 * 1000);
    let soaked = soaked(&api, Some(go_live), "");
    let dir = soaked.dir.path();
    let daemon = Daemon::start(dir, &[]);
    eventually("the quota is on record", || log(dir, "observed").last().is_some_and(|r| r.body["quota_headroom"] == 100.0).then_some(()));
    assert!(Clock::System.now() < go_live, "too slow to see it before go-live");
    let of = |r: &Recorded| r.body["of"].as_str().map(str::to_owned);
    let time = soakwatch::evidence::time_text(go_live);
    eventually("go-live is on record", || log(dir, "observed").iter().any(|r| of(r) == Some(time.clone())).then_some(()));
    let live = |daemon: &Daemon| serde_json::from_str(&daemon.get("/api/v1/gates/acme/production")).ok().and_then(|v| judged(&v));
    let before = eventually("it is frozen", || live(&daemon));
    assert_eq!((before.0.as_str(), before.1["observed"].as_f64(), before.1["met"].as_bool()), (Some("passed"), Some(100.0), Some(true)));

    small.store(true, Ordering::SeqCst);
    let check = "acme/production/crm-orders/list-orders".parse().unwrap();
    eventually("the new quota is seen", || {
        let state = Reader::open(&dir.join("soakwatch.db")).ok()?.state(&check).ok()??;
        state.limits.iter().any(|(_, p)| p.limit() == Some(30)).then_some(())
    });
    let stored = |at: &[&str]| {
        let out = output(soakwatch().args(["gate", "acme/production", "--json", "--config", dir.to_str().unwrap()]).args(at));
        judged(&serde_json::from_slice(&out.stdout).unwrap()).unwrap()
    };
    let late = Clock::System.now().to_string();
    assert_eq!(live(&daemon), Some(before.clone()));
    assert_eq!(stored(&[]), before);
    daemon.kill();
    assert_eq!(stored(&[]), before);
    assert_eq!(stored(&["--at", &late]), before);
    let daemon = Daemon::start(dir, &[]);
    assert_eq!(eventually("it is judged again", || live(&daemon)), before);
    let at = format!("/api/v1/gates/acme/production?at={late}");
    assert_eq!(serde_json::from_str(&daemon.get(&at)).ok().and_then(|v| judged(&v)), Some(before));
}

fn bundles(dir: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(dir.join("evidence/acme/production")).into_iter().flatten();
    found.map(|e| e.unwrap().path()).collect()
}

#[test]
fn the_bundle_is_written_by_itself_and_once() {
    let api = FakeApi::start(|_| Reply::json("{}"));
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("evidence.key");
    assert!(output(soakwatch().args(["keygen", "--out"]).arg(&key)).status.success());
    let soaked = soaked(&api, None, &format!("[evidence]\nsigning_key = {{ file = \"{}\" }}\n", key.display()));
    let dir = soaked.dir.path();
    let daemon = Daemon::start(dir, &[]);
    let record = eventually("it is on record", || log(dir, "bundle").pop());
    let [bundle] = &bundles(dir)[..] else { panic!("{:?}", bundles(dir)) };
    assert_eq!(dir.join("evidence").join(record.body["path"].as_str().unwrap()), *bundle);
    let manifest = std::fs::read(bundle.join("manifest.json")).unwrap();
    assert_eq!(record.body["manifest_sha256"], Hash::of(&manifest).to_string());
    assert_eq!(serde_json::from_slice::<Value>(&manifest).unwrap()["as_of"], record.body["as_of"]);
    let verdicts = log(dir, "verdict");
    assert!(verdicts.iter().any(|r| r.body["verdict"] == "passed" && r.at == record.body["as_of"]), "{verdicts:?}");
    let verified = output(soakwatch().arg("verify").arg(bundle).arg("--key").arg(format!("{}.pub", key.display())));
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    assert!(!daemon.log().contains("could not be written"), "{}", daemon.log());

    // What a daemon that was killed left behind does no harm, and nothing is written twice.
    daemon.kill();
    let daemon = Daemon::start(dir, &[]);
    let looks = || daemon.get("/metrics").lines().filter(|l| l.starts_with("soakwatch_soak_verdict") && l.ends_with(" 1")).count();
    eventually("it is judged again", || (looks() == 2).then_some(()));
    // Long enough that it was looked for.
    let runs = api.log().len();
    assert!(api.wait_for(crate::support::daemon::PATIENCE, |seen| seen.len() > runs + 3));
    let starts = log(dir, "daemon_started").len();
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!((log(dir, "bundle").len(), bundles(dir).len(), starts), (1, 1, 3), "{:?}", bundles(dir));
}

#[test]
fn a_bundle_that_can_not_be_written_holds_nothing_up() {
    let api = FakeApi::start(|_| Reply::json("{}"));
    let soaked = soaked(&api, None, "");
    let dir = soaked.dir.path();
    std::fs::write(dir.join("evidence"), "a file").unwrap();
    let daemon = Daemon::start(dir, &[]);
    eventually("it is said", || daemon.log().contains("the evidence bundle of acme/production could not be written").then_some(()));
    let runs = api.log().len();
    assert!(api.wait_for(crate::support::daemon::PATIENCE, |seen| seen.len() > runs + 2));
    assert!(log(dir, "bundle").is_empty());
    // Once it is in the way no more, the next daemon writes what is due.
    assert_eq!(daemon.stop(), Some(0));
    std::fs::remove_file(dir.join("evidence")).unwrap();
    let _daemon = Daemon::start(dir, &[]);
    eventually("it is written", || log(dir, "bundle").pop());
    assert_eq!(bundles(dir).len(), 1);
}
