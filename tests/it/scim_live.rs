//! The kind scim against a server in memory, over the network: what passes, what is found, what ends a run, and that whatever a run made is gone in the end,
//! also after a kill.

use std::path::Path;

use serde_json::Value;

use crate::support::daemon::{Daemon, PATIENCE, eventually, output, soakwatch};
use crate::support::pki::{Pki, server_mtls};
use crate::support::proxy::tls_before;
use crate::support::scim_server::{STRANGER, ScimServer, Spoilt, TOKEN};

const ID: &str = "acme/staging/app/provisioning";
/// Often, and with time enough for a slow machine.
const OFTEN: &str = "every = \"6s\"\ntimeout = \"5s\"";

/// A directory with one check; `schedule`: its lines; `keys`: further lines of its kind's table.
fn configured(dir: &Path, server: &ScimServer, schedule: &str, keys: &str) {
    let url = server.api.url("/scim/v2/");
    configured_at(dir, &url, schedule, keys);
}

/// The same at another address.
fn configured_at(dir: &Path, url: &str, schedule: &str, keys: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("known"), format!("{STRANGER}\n")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let text = format!(
        "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"app\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
         [[integration.check]]\nid = \"provisioning\"\n{schedule}\n[integration.check.scim]\nurl = \"{url}\"\n\
         auth = {{ bearer = {{ env = \"SCIM_TOKEN\" }} }}\nknown = {{ file = \"known\" }}\n{keys}\n"
    );
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

/// `soakwatch probe`: its report of the check, and everything it printed.
fn probed(server: &ScimServer, keys: &str, token: &str) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    configured(dir.path(), server, "every = \"1h\"", keys);
    probed_in(dir.path(), token)
}

fn probed_in(dir: &Path, token: &str) -> (Value, String) {
    let mut command = soakwatch();
    let out = output(command.args(["probe", ID, "--json", "--config"]).arg(dir).env("SCIM_TOKEN", token));
    let (printed, said) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    let report: Value = serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{e}: {printed}{said}"));
    (report["checks"][0].clone(), format!("{printed}{said}"))
}

/// Ids of what was found at a level.
fn found(report: &Value, level: &str) -> Vec<String> {
    let list = report["attempts"][0]["findings"].as_array().cloned().unwrap_or_default();
    list.iter().filter(|f| f["level"] == level).map(|f| f["id"].as_str().unwrap().to_owned()).collect()
}

/// Outcome and class.
fn ended(report: &Value) -> (&str, &str) {
    (report["outcome"].as_str().unwrap_or_default(), report["class"].as_str().unwrap_or_default())
}

fn no_canary(text: &str, place: &str) {
    assert!(!text.to_lowercase().contains("c4nary"), "in {place}: {text}");
}

#[test]
fn a_correct_server_passes_by_reading_alone() {
    let server = ScimServer::start(Spoilt::Nothing);
    let before = server.held();
    let (report, said) = probed(&server, "", TOKEN);
    assert_eq!((ended(&report), found(&report, "fail"), found(&report, "warn")), (("pass", ""), vec![], vec![]), "{report:#}");
    assert_eq!((server.asked("GET"), server.api.log().len(), server.held()), (24, 24, before));
    no_canary(&said, "the report");
    // Somebody who leaves between two pages is no fault of the server's.
    server.spoil(Spoilt::SomebodyLeaves);
    let (report, _) = probed(&server, "groups = false", TOKEN);
    assert_eq!((ended(&report), found(&report, "fail")), (("pass", ""), vec![]), "{report:#}");
    assert_eq!((server.held().len(), server.api.log().len()), (3, 24 + 23 + 6), "the pages were looked at twice");
    assert!(server.api.log().iter().skip(24).all(|s| !s.path.contains("/Groups")));
}

#[test]
fn what_is_wrong_is_found() {
    let server = ScimServer::start(Spoilt::FiltersIgnored);
    let (report, said) = probed(&server, "", TOKEN);
    assert_eq!((ended(&report), found(&report, "fail")), (("fail", "metadata"), vec!["SCIM-FLT-02".to_owned()]), "{report:#}");
    assert_eq!(report["attempts"][0]["findings"][0]["severity"], "critical");
    no_canary(&said, "the report");
    server.spoil(Spoilt::ShowsPasswords);
    let (report, said) = probed(&server, "", TOKEN);
    assert_eq!(found(&report, "fail"), ["SCIM-RES-03"], "{report:#}");
    no_canary(&said, "the report");
    server.spoil(Spoilt::Nothing);
    let (report, _) = probed(&server, "token_ends = 2026-01-01T00:00:00Z", TOKEN);
    assert_eq!((ended(&report), found(&report, "fail")), (("fail", "unauthorized"), vec!["SCIM-AUT-03".to_owned()]), "{report:#}");
}

#[test]
fn what_says_nothing_of_the_server_ends_the_run() {
    let server = ScimServer::start(Spoilt::Throttles(5));
    let (report, _) = probed(&server, "", TOKEN);
    assert_eq!((ended(&report), server.api.log().len()), (("throttled", "throttled"), 5), "{report:#}");
    assert!(report["attempts"][0]["failure"]["retry_after_seconds"].as_f64() > Some(500.0), "{report:#}");
    server.spoil(Spoilt::Down);
    let (report, _) = probed(&server, "", TOKEN);
    assert_eq!((ended(&report), report["attempts"][0]["findings"].is_null()), (("fail", "server_error"), true), "{report:#}");
    assert_eq!(server.api.log().len(), 6);
    // A token that is refused is not tried a second time.
    server.spoil(Spoilt::Nothing);
    let (report, said) = probed(&server, "", "c4nary-of-yesterday");
    assert_eq!((ended(&report), found(&report, "fail")), (("fail", "unauthorized"), vec!["SCIM-AUT-03".to_owned()]), "{report:#}");
    assert_eq!(server.api.log().len(), 7);
    no_canary(&said, "the report");
}

#[test]
fn outside_the_daemon_nothing_is_written() {
    let server = ScimServer::start(Spoilt::Nothing);
    let (report, _) = probed(&server, "write = true", TOKEN);
    assert_eq!(ended(&report), ("unknown", "internal"));
    assert!(report["detail"].as_str().unwrap().contains("needs the daemon's store"), "{report:#}");
    assert_eq!((server.asked("GET"), server.api.log().len()), (24, 24));
}

fn daemon(dir: &Path) -> Daemon {
    Daemon::start(dir, &[("SCIM_TOKEN", TOKEN)])
}

/// The last run as the API has it.
fn last_outcome(daemon: &Daemon) -> Option<String> {
    let status: Value = serde_json::from_str(&daemon.get("/api/v1/status")).unwrap();
    let text = status.to_string();
    ["\"pass\":1", "\"fail\":1"].iter().find(|t| text.contains(**t)).map(|t| t.to_string())
}

/// Nothing of a directory and no secret in the store, the API, the page, the metrics and the log.
fn nothing_leaked(daemon: &Daemon, dir: &Path) {
    for path in ["/api/v1/status", "/", "/metrics"] {
        no_canary(&daemon.get(path), path);
    }
    no_canary(&daemon.log(), "the log");
    for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.to_string_lossy().contains("soakwatch.db")) {
        no_canary(&String::from_utf8_lossy(&std::fs::read(&entry).unwrap()), "the store");
    }
}

#[test]
fn a_run_that_writes_leaves_the_server_as_it_was() {
    let server = ScimServer::start(Spoilt::Nothing);
    let (dir, before) = (tempfile::tempdir().unwrap(), server.held());
    configured(dir.path(), &server, OFTEN, "write = true");
    let daemon = daemon(dir.path());
    eventually("two whole runs", || (server.asked("PUT") >= 2 && server.held() == before).then_some(()));
    eventually("a pass", || last_outcome(&daemon).filter(|o| o.contains("pass")));
    nothing_leaked(&daemon, dir.path());
    assert_eq!(daemon.stop(), Some(0));
    let touched = |s: &&crate::support::fake_api::Seen| s.method != "GET" && s.method != "POST";
    assert!(server.api.log().iter().filter(touched).all(|s| s.path.contains("/made")), "strangers are left alone");
}

/// Killed after a create that was never answered: the next daemon removes what it made, also where writing was switched off meanwhile.
#[test]
fn what_a_killed_run_left_is_removed_by_the_next_daemon() {
    for keys in ["write = true", "write = false"] {
        let server = ScimServer::start(Spoilt::SilentAfterCreate);
        let (dir, before) = (tempfile::tempdir().unwrap(), server.held());
        configured(dir.path(), &server, OFTEN, "write = true");
        let first = daemon(dir.path());
        assert!(server.api.wait_for(PATIENCE, |log| log.iter().any(|s| s.method == "POST")));
        first.kill();
        assert!(server.held().len() > before.len(), "the create was carried out");
        server.spoil(Spoilt::Nothing);
        configured(dir.path(), &server, OFTEN, keys);
        let second = daemon(dir.path());
        eventually("the server is as it was", || (server.asked("DELETE") > 0 && server.held() == before).then_some(()));
        eventually("it is told", || second.log().contains("was cleaned up").then_some(()));
        nothing_leaked(&second, dir.path());
        let touched = |s: &&crate::support::fake_api::Seen| s.method != "GET" && s.method != "POST";
        assert!(server.api.log().iter().filter(touched).all(|s| s.path.contains("/made")), "strangers are left alone");
    }
}

/// What can't be removed is told at every run, and nothing more is made until it is gone.
#[test]
fn what_can_not_be_removed_is_told_and_nothing_more_is_made() {
    let server = ScimServer::start(Spoilt::KeepsAll);
    let dir = tempfile::tempdir().unwrap();
    configured(dir.path(), &server, OFTEN, "write = true");
    let daemon = daemon(dir.path());
    eventually("it is told", || daemon.get("/metrics").contains("SCIM-DEL-01").then_some(()));
    let (made, tried) = (server.asked("POST"), server.asked("DELETE"));
    eventually("another run tried again", || (server.asked("DELETE") > tried + 1).then_some(()));
    eventually("it is told once more", || daemon.get("/api/v1/status").contains("can't be removed").then_some(()));
    assert_eq!(server.asked("POST"), made, "nothing more is made");
}

/// Each request of a run waits for its turn: a host that is to be asked so often is not asked more often by one run.
#[test]
fn a_run_keeps_its_hosts_pace() {
    let server = ScimServer::start(Spoilt::Nothing);
    let dir = tempfile::tempdir().unwrap();
    configured(dir.path(), &server, OFTEN, "");
    let _daemon = Daemon::start(dir.path(), &[("SCIM_TOKEN", TOKEN), ("SOAKWATCH__RATE_LIMIT__MAX_RATE", "10/s")]);
    assert!(server.api.wait_for(PATIENCE, |log| log.len() >= 24));
    let at: Vec<i64> = server.api.log().iter().take(24).map(|s| s.at.0).collect();
    // A tenth of the distance is allowed for.
    assert!(at[23] - at[0] >= 23 * 85, "24 requests within {} ms", at[23] - at[0]);
}

#[test]
fn a_server_that_demands_a_certificate_is_shown_one() {
    let server = ScimServer::start(Spoilt::Nothing);
    let (pki, dir) = (Pki::new(), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tls = server_mtls(pki.identity("127.0.0.1", 2020..2090), &pki);
    let front = runtime.block_on(tls_before(server.api.address(), tls));
    pki.identity("client", 2020..2090).write(dir.path(), "client");
    std::fs::copy(pki.file(), dir.path().join("roots.pem")).unwrap();
    let url = format!("https://127.0.0.1:{}/scim/v2/", front.port());
    let with = "ca = \"roots.pem\"\nclient = { certificate = \"client.pem\", key = { file = \"client.key\" } }";
    configured_at(dir.path(), &url, "every = \"1h\"", with);
    let (report, said) = probed_in(dir.path(), TOKEN);
    assert_eq!((ended(&report), found(&report, "fail")), (("pass", ""), vec![]), "{report:#}");
    assert_eq!(server.api.log().len(), 24);
    no_canary(&said, "the report");
    configured_at(dir.path(), &url, "every = \"1h\"", "ca = \"roots.pem\"");
    let (report, _) = probed_in(dir.path(), TOKEN);
    assert_eq!((ended(&report), server.api.log().len()), (("fail", "tls"), 24), "{report:#}");
    assert!(report.to_string().contains("wants a client certificate"), "{report:#}");
}
