//! Incidents of a running daemon: an outage opens one, a restart does not open it again, people act on it, and it closes.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, get, output, post, series, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

fn write(dir: &Path, url: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let text = format!(
        "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"crm\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
         criticality = \"critical\"\nrunbook = \"https://wiki.example.com/crm\"\n[[integration.check]]\nid = \"list\"\nevery = \"1s\"\ntimeout = \"500ms\"\n\
         [integration.check.http]\nurl = \"{url}\"\n"
    );
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

fn incidents(daemon: &Daemon) -> Vec<Value> {
    let body: Value = serde_json::from_str(&daemon.get("/api/v1/incidents")).unwrap();
    body["incidents"].as_array().unwrap().clone()
}

fn stdout(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned()
}

fn cli(daemon: &Daemon, args: &[&str]) -> Output {
    output(soakwatch().args(args).args(["--url", &daemon.url]))
}

/// A server that can be broken, and what watches it.
fn watched() -> (FakeApi, Arc<AtomicBool>, tempfile::TempDir) {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let api = FakeApi::start(move |_| if is_broken.load(Ordering::Relaxed) { Reply::status(503) } else { Reply::json("{}") });
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &api.url("/contacts"));
    (api, broken, dir)
}

#[test]
fn an_outage_is_one_incident_over_a_kill_and_closes() {
    let (_api, broken, dir) = watched();
    let daemon = Daemon::start(dir.path(), &[]);
    let opened = eventually("an incident opens", || incidents(&daemon).pop());
    let id = opened["id"].as_str().unwrap().to_owned();
    assert_eq!((&opened["open"], &opened["severity"], &opened["class"]), (&json!(true), &json!("P2"), &json!("server_error")), "{opened}");
    assert_eq!((&opened["attribution"], &opened["runbook"]), (&json!("third_party"), &json!("https://wiki.example.com/crm")));
    assert_eq!((&opened["runs"][0]["status"], &opened["checks"][0]["check"]), (&json!(503), &json!("list")));
    assert_eq!(opened["time_to_detect_s"], 2, "the third run in a row, one a second");

    let listed = cli(&daemon, &["incidents", "--open"]);
    assert_eq!(listed.status.code(), Some(1), "one is open");
    assert!(stdout(&listed).contains(&id) && stdout(&listed).contains("acme/staging/crm"), "{}", stdout(&listed));
    let acked = cli(&daemon, &["ack", &id, "--by", "Jane"]);
    assert_eq!(acked.status.code(), Some(0), "{}", String::from_utf8_lossy(&acked.stderr));
    assert_eq!(cli(&daemon, &["note", &id, "the vendor knows"]).status.code(), Some(0));
    daemon.kill();

    let daemon = Daemon::start(dir.path(), &[]);
    let seen = incidents(&daemon);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((&seen[0]["id"], &seen[0]["opened"], &seen[0]["open"]), (&json!(id), &opened["opened"], &json!(true)));
    assert!(seen[0]["acknowledged"]["by"].as_str().unwrap().starts_with("anonymous@"), "{}", seen[0]);
    let runs_before = seen[0]["checks"][0]["failures"].as_u64().unwrap();
    eventually("it goes on being counted", || {
        (incidents(&daemon)[0]["checks"][0]["failures"].as_u64().unwrap() > runs_before).then_some(())
    });

    broken.store(false, Ordering::Relaxed);
    let closed = eventually("it closes", || incidents(&daemon).pop().filter(|i| i["open"] == false));
    assert_eq!(closed["id"].as_str(), Some(id.as_str()));
    let events: Vec<&str> = closed["timeline"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["opened", "acknowledged", "noted", "closed"], "{closed}");
    assert_eq!(cli(&daemon, &["incidents", "--open"]).status.code(), Some(0));
    let shown = cli(&daemon, &["incidents", &id]);
    assert!(stdout(&shown).contains("the vendor knows") && stdout(&shown).contains("works again"), "{}", stdout(&shown));
    assert_eq!(daemon.stop(), Some(0));

    let store = dir.path().join("soakwatch.db");
    let offline = output(soakwatch().args(["incidents", &id, "--store"]).arg(&store));
    assert_eq!((offline.status.code(), stdout(&offline).contains("the vendor knows")), (Some(0), true));
    // Nothing is on record twice.
    let log = Reader::open(&store).unwrap().evidence("acme", "staging", UnixMs(i64::MAX)).unwrap();
    let of_it = log.into_iter().filter_map(|l| l.record.map(|r| *r)).filter(|r| r.body.get("incident").is_some());
    let said: Vec<String> = of_it.map(|r| r.body.get("event").and_then(Value::as_str).unwrap_or(&r.kind).to_owned()).collect();
    assert_eq!(said, ["opened", "acknowledgement", "note", "closed"]);
}

/// The row of the criterion.
fn criterion(gate: &Value) -> Value {
    let rows = gate["integrations"][0]["soak"]["criteria"].as_array().unwrap_or_else(|| panic!("{gate}"));
    rows.iter().find(|r| r["name"] == "incidents").cloned().unwrap()
}

#[test]
fn a_soak_is_judged_by_what_is_on_record_of_incidents() {
    let (_api, broken, dir) = watched();
    let file = dir.path().join("customers/acme.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let start = Clock::System.now().minus(std::time::Duration::from_secs(3_600));
    let soak = format!("criticality = \"critical\"\nsoak = {{ start = {start}, window = \"1h\" }}");
    std::fs::write(&file, text.replace("criticality = \"critical\"", &soak)).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let id = eventually("an incident opens", || incidents(&daemon).pop())["id"].as_str().unwrap().to_owned();
    let agreed = |observed: i64| {
        eventually("daemon and store say the same", || {
            let live: Value = serde_json::from_slice(&cli(&daemon, &["gate", "acme/staging", "--json"]).stdout).ok()?;
            let at = live["as_of"].as_str()?;
            let stored = output(soakwatch().args(["gate", "acme/staging", "--json", "--at", at, "--config"]).arg(dir.path()));
            let stored: Value = serde_json::from_slice(&stored.stdout).ok()?;
            let (live, stored) = (criterion(&live), criterion(&stored));
            (live == stored && live["observed"] == json!(observed)).then_some(live)
        })
    };
    agreed(1);
    let out = dir.path().join("bundle");
    let report = output(soakwatch().args(["report", "acme/staging", "--config"]).arg(dir.path()).arg("--out").arg(&out));
    assert!(out.exists(), "{}", String::from_utf8_lossy(&report.stderr));
    let verified = output(soakwatch().arg("verify").arg(&out));
    let evidence = std::fs::read_to_string(out.join("evidence.json")).unwrap();
    let dense: String = evidence.split_whitespace().collect();
    assert!(
        dense.contains(r#""incidents":{"open":1,"p1":0,"#) || dense.contains(r#""incidents":{"p1":0,"open":1,"#),
        "{}",
        &dense[..2_000]
    );
    assert!(verified.status.code() != Some(1) && !stdout(&verified).contains("BROKEN"), "{}", stdout(&verified));
    broken.store(false, Ordering::Relaxed);
    agreed(0);
    let scrape = daemon.get("/metrics");
    assert_eq!(series(&scrape, "soakwatch_incidents_total", &["severity=\"P2\""]), Some(1.0));
    assert_eq!(series(&scrape, "soakwatch_incident_open", &["severity=\"P2\""]), Some(0.0));
    // A P1 that is over still counts.
    let to = ["reclassify", &id, "--severity", "P1", "--reason", "all orders were lost"];
    assert_eq!(cli(&daemon, &to).status.code(), Some(0));
    agreed(1);
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let (_api, _broken, dir) = watched();
    let daemon = Daemon::start(dir.path(), &[]);
    let id = eventually("an incident opens", || incidents(&daemon).pop())["id"].as_str().unwrap().to_owned();
    let at = |path: &str| get(&format!("{}{path}", daemon.url));
    for (path, status) in [
        ("/api/v1/incidents?customer=acme&environment=staging&open=true", 200),
        ("/api/v1/incidents?customer=acne", 404),
        ("/api/v1/incidents?open=maybe", 400),
        ("/api/v1/incidents?custommer=acme", 400),
        ("/api/v1/incidents/aaaaaaaaaaaa", 404),
    ] {
        assert_eq!(at(path).0, status, "{path}: {}", at(path).1);
    }
    let told = |what: &str, body: &str| {
        post(&format!("{}/api/v1/incidents/{id}/{what}", daemon.url), &[("content-type", "application/json")], body)
    };
    for (what, body, word) in [
        ("note", "{}", "text: is missing"),
        ("ack", "{\"bye\":\"x\"}", "did you mean by?"),
        ("reclassify", "{\"reason\":\"x\"}", "give class, attribution or severity"),
        ("reclassify", "{\"reason\":\"x\",\"class\":\"time_out\"}", "did you mean timeout?"),
        ("reclassify", "{\"reason\":\"x\",\"attribution\":\"monitor\"}", "expected one of configuration"),
    ] {
        let (status, answer) = told(what, body);
        assert!(status == 422 && answer.contains(word), "{what} {body}: {status} {answer}");
    }
    let (status, answer) = told("reclassify", "{\"reason\":\"a drill\",\"severity\":\"P4\",\"class\":\"timeout\"}");
    assert_eq!(status, 201, "{answer}");
    let seen = incidents(&daemon).remove(0);
    assert_eq!((&seen["severity"], &seen["class"], &seen["attribution"]), (&json!("P4"), &json!("timeout"), &json!("third_party")));
    assert_eq!(cli(&daemon, &["ack", "nonsense"]).status.code(), Some(64));
    assert_eq!(cli(&daemon, &["reclassify", &id, "--reason", "x"]).status.code(), Some(64), "what is it then?");
    assert_eq!(cli(&daemon, &["incidents", "aaaaaaaaaaaa"]).status.code(), Some(65));
    // The daemon is there; the incident is not.
    for args in
        [&["ack", "aaaaaaaaaaaa"][..], &["note", "aaaaaaaaaaaa", "x"], &["reclassify", "aaaaaaaaaaaa", "--severity", "P4", "--reason", "x"]]
    {
        let out = cli(&daemon, args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(65) && said.contains("nothing was recorded"), "{args:?}: {said}");
    }
}
