//! A run's id is the same wherever the run is seen: in its requests, in the log, the store, the API and on the pages.

use serde_json::Value;
use soakwatch::fields::CheckId;
use soakwatch::run_id::RunId;

use crate::support::daemon::{Daemon, eventually, get, output, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

fn write(dir: &std::path::Path, probe: &str, api: &FakeApi) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n[probe]\n{probe}")).unwrap();
    let check = |id: &str, more: &str| {
        format!(
            "[[integration.check]]\nid = \"{id}\"\nevery = \"1s\"\ntimeout = \"900ms\"\nretries = 1\n[integration.check.http]\nurl = \"{}\"\n{more}",
            api.url(&format!("/{id}"))
        )
    };
    let text =
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"crm\"\nenvironment = \"staging\"\nowner = \"vendor\"\n"
            .to_owned()
            + &check("orders", "")
            + &check("own", "headers = { Traceparent = \"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\" }\n");
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

#[test]
fn one_id_in_requests_log_store_api_and_pages() {
    let api = FakeApi::start(|seen| Reply::status(if seen.path == "/orders" && seen.number < 6 { 503 } else { 200 }));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "traceparent = true\ncontact = \"mailto:status@example.com\"\n", &api);
    let daemon = Daemon::start(dir.path(), &[]);
    let check: CheckId = "acme/staging/crm/orders".parse().unwrap();

    let ids = || -> Value { serde_json::from_str(&daemon.get("/api/v1/checks/acme/staging/crm/orders/runs?since=1h")).unwrap() };
    let run = eventually("a failed run is stored", || {
        ids()["runs"].as_array()?.iter().find(|r| r["outcome"] == "fail" && r["attempts"] == 2).cloned()
    });
    let id = run["run"].as_str().unwrap().to_owned();
    let slot: jiff::Timestamp = run["slot"].as_str().unwrap().parse().unwrap();
    assert_eq!(id, RunId::of(&check, slot.into()).to_string(), "it is made of what the store keys the run by");

    // What the far side saw: both attempts are of one run, each with a name of its own.
    let sent: Vec<String> = api.log_of("/orders").iter().map(|s| s.header("traceparent").unwrap().to_owned()).collect();
    let ours: Vec<&String> = sent.iter().filter(|t| t.contains(&id)).collect();
    let run_id: RunId = id.parse().unwrap();
    assert_eq!(ours, [&run_id.attempt(0).to_string(), &run_id.attempt(1).to_string()], "{sent:?}");
    let seen = api.log();
    assert!(seen.iter().all(|s| s.header("user-agent").unwrap().ends_with(" (+mailto:status@example.com)")));
    let own = seen.iter().find(|s| s.path == "/own").unwrap();
    let told: Vec<&str> = own.headers.iter().filter(|(n, _)| n == "traceparent").map(|(_, v)| v.as_str()).collect();
    assert_eq!(told, ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], "what a check sends itself stays");

    // From the far side's log back to the run.
    let found = |what: &str, more: &[&str]| output(soakwatch().args(["runs", "--id", what, "--config"]).arg(dir.path()).args(more));
    let out = found(ours[1], &["--json"]);
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((told.as_array().unwrap().len(), &told[0]["slot"], &told[0]["check"]), (1, &run["slot"], &check.as_str().into()));
    assert!(String::from_utf8(found(&id, &[]).stdout).unwrap().contains(&id));
    let none = found("0af7651916cd43dd8448eb211c80319c", &[]);
    assert_eq!((none.status.code(), none.stdout.is_empty()), (Some(1), true), "{none:?}");
    assert_eq!(found("0af76", &[]).status.code(), Some(64));
    assert_eq!(found(&id, &["--since", "7d"]).status.code(), Some(64), "its time stands in it");
    let earlier = slot.checked_add(jiff::SignedDuration::from_hours(-1)).unwrap();
    let gone = RunId::of(&check, earlier.into()).to_string();

    // The same where the store is not at hand, by the daemon's API.
    let asked = |what: &str, more: &[&str]| output(soakwatch().args(["runs", "--id", what, "--url", &daemon.url]).args(more));
    assert_eq!(asked(ours[1], &["--json"]).stdout, out.stdout);
    let lines = |out: &[u8]| String::from_utf8_lossy(out).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&asked(&id, &[]).stdout), lines(&found(&id, &[]).stdout), "but for the times in the first line");
    assert_eq!(asked(&id, &["acme/staging/crm"]).status.code(), Some(0));
    assert_eq!(asked(&id, &["acme/staging/crm/own"]).status.code(), Some(1), "of another check");
    let none = asked("0af7651916cd43dd8448eb211c80319c", &["--json"]);
    assert_eq!((none.status.code(), String::from_utf8_lossy(&none.stdout).trim()), (Some(1), "[]"), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("its slot would be 1975-10-31"), "{none:?}");
    for none in [found(&gone, &[]), asked(&gone, &[])] {
        let words = String::from_utf8_lossy(&none.stderr).into_owned();
        assert_eq!(none.status.code(), Some(1), "{words}");
        assert!(words.contains(&format!("nothing is stored of this run: it is that of {check} for the slot {earlier}")), "{words}");
    }
    assert_eq!(output(soakwatch().args(["runs", &check.to_string(), "--url", &daemon.url])).status.code(), Some(64), "only of an id");
    assert_eq!(get(&format!("{}/api/v1/runs/0af76", daemon.url)).0, 400);

    // In the log, by the line that says it fails.
    eventually("the log names a run", || {
        daemon.log().lines().any(|l| l.contains("orders fails: server_error") && sent.iter().any(|t| l.contains(&t[3..35]))).then_some(())
    });

    // The integration's page leads to it, and so does the incident's.
    let href = format!("/runs/{check}/{}", run["slot"].as_str().unwrap());
    assert!(daemon.get("/integrations/acme/staging/crm").contains(&href));
    let page = daemon.get(&href);
    assert!(page.contains(&id) && page.contains("503") && page.contains(ours[1].as_str()), "{page}");
    let all: Value = eventually("an incident", || {
        let all: Value = serde_json::from_str(&daemon.get("/api/v1/incidents")).unwrap();
        (!all["incidents"].as_array()?.is_empty()).then_some(all)
    });
    let (incident, first) = (&all["incidents"][0], &all["incidents"][0]["runs"][0]);
    let first_slot: jiff::Timestamp = first["slot"].as_str().unwrap().parse().unwrap();
    assert_eq!(first["run"], RunId::of(&check, first_slot.into()).to_string());
    assert!(daemon.get(&format!("/incidents/{}", incident["id"].as_str().unwrap())).contains(&format!("/runs/{check}/")));
    for (path, words) in
        [("/runs/acme/staging/crm/orders/1999-01-01T00:00:00Z", "no run is stored"), ("/runs/acme/staging/crm/orders/x", "no slot")]
    {
        let (status, page) = get(&format!("{}{path}", daemon.url));
        assert!(status == 404 && page.contains(words), "{path}: {status} {page}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_run_that_is_not_stored_yet_is_told_so() {
    let api = FakeApi::start(|_| Reply::hang());
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "traceparent = true\n", &api);
    let daemon = Daemon::start(dir.path(), &[]);
    let by_url = || soakwatch().args(["runs", "--url", &daemon.url]).output_of(&api);
    let by_store = || soakwatch().args(["runs", "--config"]).arg(dir.path()).output_of(&api);
    for ask in [&by_url as &dyn Fn() -> Option<std::process::Output>, &by_store] {
        // It goes on for most of a second after its request was seen.
        let said = eventually("one that goes on", || ask().filter(|out| out.status.code() == Some(2)));
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(words.contains("stored yet") && words.contains("acme/staging/crm/orders") && !words.contains("--since"), "{words}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

/// Asks for the run of the request that was seen last.
trait OutputOf {
    fn output_of(&mut self, api: &FakeApi) -> Option<std::process::Output>;
}

impl OutputOf for std::process::Command {
    fn output_of(&mut self, api: &FakeApi) -> Option<std::process::Output> {
        let last = api.log_of("/orders").pop()?.header("traceparent")?.to_owned();
        Some(output(self.args(["--id", &last])))
    }
}

#[test]
fn unless_it_is_set_requests_do_not_carry_it() {
    let api = FakeApi::start(|_| Reply::status(200));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "", &api);
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("three requests", || (api.log_of("/orders").len() >= 3).then_some(()));
    let seen = api.log_of("/orders");
    assert!(seen.iter().all(|s| s.header("traceparent").is_none()));
    assert!(seen.iter().all(|s| s.header("user-agent") == Some(concat!("soakwatch/", env!("CARGO_PKG_VERSION")))));
    assert_eq!(daemon.stop(), Some(0));
}
