//! The access log: who asked for what, without anything that a stranger chose or that is secret.

use serde_json::Value;

use crate::support::daemon::{Daemon, eventually, request, soakwatch};

fn lines(daemon: &Daemon) -> Vec<Value> {
    let all = daemon.log();
    let lines = all.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    lines.filter(|l| l["target"] == "soakwatch::access").collect()
}

#[test]
fn each_request_is_told_once_by_its_template_and_the_name_of_its_token() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    let made = soakwatch().args(["token", "grafana", "--role", "viewer"]).output().unwrap();
    let made = String::from_utf8_lossy(&made.stdout).into_owned() + &String::from_utf8_lossy(&made.stderr);
    let token =
        made.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).find(|w| w.starts_with("swt_")).unwrap().to_owned();
    let hash = made.split('"').find(|w| w.starts_with("sha256:")).unwrap();
    let settings = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\naccess_log = true\n[[server.token]]\nname = \"grafana\"\nrole = \"viewer\"\nhash = \"{hash}\"\n\
         [receiver]\nlisten = \"127.0.0.1:0\"\naccess_log = true\n"
    );
    std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let log = daemon.log();
    let hooks = log.split_once("messages are received on ").unwrap().1.split_once("/hooks").unwrap().0.to_owned();
    let bearer = format!("Bearer {token}");

    let (status, body) = request("GET", &format!("{}/?q=hunter22", daemon.url), &[("authorization", &bearer)]);
    assert_eq!(status, 200);
    request("GET", &format!("{}/api/v1/incidents/hunter23", daemon.url), &[("authorization", &bearer)]);
    request("GET", &format!("{}/hunter24?x=hunter25", daemon.url), &[("authorization", "Bearer hunter26")]);
    request("HUNTER27", &format!("{hooks}/hooks/hunter28/x/y"), &[]);
    assert_eq!(request("POST", &format!("{}/-/reload", daemon.url), &[("authorization", &bearer)]).0, 403);
    let told = eventually("five lines", || Some(lines(&daemon)).filter(|l| l.len() >= 5));
    assert_eq!(told.len(), 5, "{told:#?}");
    let shown = |n: usize, key: &str| told[n][key].clone();
    let about = |n: usize| ["listener", "method", "path", "status", "who"].map(|key| shown(n, key));
    assert_eq!(about(0), ["server".into(), "GET".into(), "/".into(), 200.into(), "grafana".into()] as [Value; 5]);
    assert_eq!(shown(0, "bytes"), body.len() as u64);
    assert!(shown(0, "peer").as_str().unwrap().starts_with("127.0.0.1:") && shown(0, "took_ms").is_u64(), "{told:#?}");
    assert_eq!(about(1), ["server".into(), "GET".into(), "/api/v1/incidents/{id}".into(), 404.into(), "grafana".into()] as [Value; 5]);
    assert_eq!(about(2), ["server".into(), "GET".into(), "other".into(), 401.into(), "-".into()] as [Value; 5]);
    assert_eq!(about(3), ["receiver".into(), "other".into(), "other".into(), 404.into(), "-".into()] as [Value; 5]);
    assert_eq!(about(4), ["server".into(), "POST".into(), "/-/reload".into(), 403.into(), "grafana".into()] as [Value; 5]);
    let all = daemon.log();
    assert!(!all.contains("hunter2") && !all.contains(&token), "{all}");

    // Off again, at once.
    let text = std::fs::read_to_string(dir.path().join("soakwatch.toml")).unwrap().replace("access_log = true", "access_log = false");
    std::fs::write(dir.path().join("soakwatch.toml"), text).unwrap();
    daemon.signal("HUP");
    eventually("it is in force", || daemon.log().contains("configuration taken over").then_some(()));
    request("GET", &format!("{}/-/healthy", daemon.url), &[]);
    assert_eq!(lines(&daemon).len(), 5);
    assert_eq!(daemon.stop(), Some(0));
}
