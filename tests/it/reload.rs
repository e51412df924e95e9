//! Reload: the new configuration is read and judged whole before anything stops. A bad one changes nothing but a log line and a gauge; a good one
//! touches only what differs.

use std::path::Path;

use crate::support::daemon::{Daemon, eventually, output, request, series, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

fn customer(dir: &Path, id: &str, checks: &[(&str, &str)], port: u16) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    let mut text = format!(
        "[customer]\nid = \"{id}\"\nname = \"{id}\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n"
    );
    for (check, every) in checks {
        text += &format!(
            "[[integration.check]]\nid = \"{check}\"\nevery = \"{every}\"\ntimeout = \"500ms\"\n[integration.check.http]\nurl = \"http://127.0.0.1:{port}/{check}\"\n"
        );
    }
    std::fs::write(dir.join(format!("customers/{id}.toml")), text).unwrap();
}

/// Nothing listens there: every check fails fast, with a growing streak.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn value(daemon: &Daemon, name: &str, label: &str) -> Option<f64> {
    series(&daemon.get("/metrics"), name, &[label])
}

#[test]
fn a_bad_configuration_changes_nothing_and_a_good_one_only_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let port = closed_port();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    customer(dir.path(), "acme", &[("kept", "1s"), ("faster", "1h"), ("leaves", "1s")], port);
    customer(dir.path(), "gone", &[("x", "1s")], port);
    let daemon = Daemon::start(dir.path(), &[]);
    let streak = || value(&daemon, "soakwatch_check_consecutive_failures", "check=\"kept\"").unwrap_or(0.0);
    eventually("a streak of failures", || (streak() >= 2.0).then_some(()));

    // A misspelt key, by signal.
    let path = dir.path().join("customers/acme.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replacen("every", "evry", 1)).unwrap();
    let before = streak();
    daemon.signal("HUP");
    eventually("the refusal is on the gauge", || {
        (value(&daemon, "soakwatch_config_last_reload_successful", "") == Some(0.0)).then_some(())
    });
    assert!(daemon.log().contains("evry"), "the log names the problem: {}", daemon.log());
    eventually("the old configuration goes on, streak and all", || (streak() > before).then_some(()));

    // The same by the API: every problem, and nothing stopped.
    let (status, body) = request("POST", &format!("{}/-/reload", daemon.url), &[]);
    assert_eq!(status, 422, "{body}");
    assert!(body.contains("did you mean \\\"every\\\"?"), "{body}");

    // And by the command, as `validate` would show it.
    let by_command = |url: &str| output(soakwatch().args(["reload", "--url", url]));
    let refused = by_command(&daemon.url);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(said.contains("acme.toml:") && said.contains("did you mean \"every\"?") && said.contains("nothing was changed"), "{said}");
    assert_eq!(by_command(&format!("http://127.0.0.1:{port}")).status.code(), Some(69), "nothing listens there");

    // A good one: one check unchanged, one faster, one leaves, one comes, one customer leaves.
    customer(dir.path(), "acme", &[("kept", "1s"), ("faster", "1s"), ("comes", "1s")], port);
    std::fs::remove_file(dir.path().join("customers/gone.toml")).unwrap();
    let before = streak();
    let (status, body) = request("POST", &format!("{}/-/reload", daemon.url), &[]);
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&answer["added"], &answer["removed"], &answer["changed"], &answer["unchanged"]),
        (&1.into(), &2.into(), &1.into(), &1.into()),
        "{body}"
    );
    assert_eq!(value(&daemon, "soakwatch_config_last_reload_successful", ""), Some(1.0));
    assert!(streak() >= before, "streaks and counters of what is unchanged go on");
    let scrape = daemon.get("/metrics");
    assert!(!scrape.contains("check=\"leaves\"") && !scrape.contains("customer=\"gone\""), "what left is gone at the next scrape");
    assert_eq!(series(&scrape, "soakwatch_integrations_removed_total", &[]), Some(1.0));
    eventually("what is new and what is faster runs", || {
        let scrape = daemon.get("/metrics");
        ["faster", "comes"].iter().all(|c| series(&scrape, "soakwatch_runs_total", &[&format!("check=\"{c}\"")]) >= Some(2.0)).then_some(())
    });

    // What left and comes back starts fresh: the time between is not held against it.
    customer(dir.path(), "gone", &[("x", "1s")], port);
    let applied = by_command(&daemon.url);
    assert_eq!(applied.status.code(), Some(0), "{}", String::from_utf8_lossy(&applied.stderr));
    assert!(String::from_utf8_lossy(&applied.stdout).contains("1 added"), "{}", String::from_utf8_lossy(&applied.stdout));
    eventually("it runs again", || (value(&daemon, "soakwatch_runs_total", "customer=\"gone\"") >= Some(1.0)).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_a_reload_would_change_is_told_before_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let port = closed_port();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    customer(dir.path(), "acme", &[("kept", "1s"), ("faster", "1h"), ("leaves", "1s")], port);
    let daemon = Daemon::start(dir.path(), &[]);
    let before = daemon.get("/api/v1/config");
    // Elsewhere, as in a pipeline.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"debug\"\n").unwrap();
    customer(elsewhere.path(), "acme", &[("kept", "1s"), ("faster", "1s"), ("comes", "1s")], port);
    let validate = |url: &str, more: &[&str]| output(soakwatch().arg("validate").arg(elsewhere.path()).args(["--against", url]).args(more));
    let said = validate(&daemon.url, &[]);
    assert_eq!(said.status.code(), Some(0));
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    for line in [
        "  start    acme/staging/api/comes\n",
        "  stop     acme/staging/api/leaves\n",
        "  restart  acme/staging/api/faster\n",
        "  leave 1 as it is\n",
        "these settings take effect at the next start: log\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&validate(&daemon.url, &["--json"]).stdout).unwrap();
    assert_eq!(json["against"]["start"], serde_json::json!(["acme/staging/api/comes"]), "{json}");
    assert_eq!(daemon.get("/api/v1/config"), before, "nothing was changed");
    assert!(!before.contains("127.0.0.1"), "hashes only: {before}");

    // With an error in it nothing would change; and where nobody listens nothing can be told.
    assert_eq!(validate(&format!("http://127.0.0.1:{port}"), &[]).status.code(), Some(69));
    std::fs::write(elsewhere.path().join("customers/acme.toml"), "[customer]\n").unwrap();
    let wrong = validate(&daemon.url, &[]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("would be refused"));
}

#[test]
fn soaks_that_begin_again_are_named_before_and_when_they_do() {
    let dir = tempfile::tempdir().unwrap();
    let port = closed_port();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let integration = |id: &str, more: &str| {
        format!(
            "[[integration]]\nid = \"{id}\"\nenvironment = \"production\"\nowner = \"vendor\"\nsoak = {{ start = 2026-01-05T08:00:00Z }}\n\
             [[integration.check]]\nid = \"list\"\nevery = \"1h\"\ntimeout = \"500ms\"\n\
             [integration.check.http]\nurl = \"https://127.0.0.1:{port}/\"\n{more}"
        )
    };
    let customer = "[customer]\nid = \"acme\"\nallow_private = true\n".to_owned()
        + &integration("crm", "expect = { schema = \"order.json\" }\n")
        + &integration("erp", "");
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    write("customers/acme.toml", &customer);
    write("order.json", r#"{ "type": "object" }"#);
    let settings = |more: &str| write("soakwatch.toml", &format!("[server]\nlisten = \"127.0.0.1:0\"\n{more}"));
    settings("");
    let daemon = Daemon::start(dir.path(), &[]);
    let against =
        || String::from_utf8(output(soakwatch().arg("validate").arg(dir.path()).args(["--against", &daemon.url])).stdout).unwrap();
    let reload = || String::from_utf8(output(soakwatch().args(["reload", "--url", &daemon.url])).stdout).unwrap();
    assert!(!against().contains("the soak"), "as it is");

    // No check is another one, but what one of them asks for is.
    write("order.json", r#"{ "type": "array" }"#);
    let schema = "restart the soak of 1 integration:\n    acme/production/crm (check.list.http.expect.schema)\n";
    let said = against();
    assert!(said.contains("leave 2 as they are") && said.contains(schema), "{said}");
    let said = reload();
    assert!(said.contains("0 changed, 2 as before") && said.contains(&schema.replace("restart", "restarts")), "{said}");
    let log = daemon.log();
    let why = log.lines().find(|line| line.contains("its soak begins again")).unwrap_or_default();
    assert!(why.contains("acme/production/crm") && why.contains("check.list.http.expect.schema"), "{log}");
    assert!(!against().contains("the soak") && !reload().contains("the soak"), "once");

    // Another way out is another way for all, and what waits for a restart goes on waiting.
    settings("max_connections = 99\ntimeout = \"9s\"\n[scheduler]\nvantage = \"north\"\n");
    write("customers/acme.toml", &customer.replacen("allow_private", "proxy = \"http://127.0.0.1:3128\"\nallow_private", 1));
    let both =
        "restart the soak of 2 integrations:\n    acme/production/crm (check.list.proxy)\n    acme/production/erp (check.list.proxy)\n";
    // The test's daemon has a pace of its own, by a variable.
    let now = "scheduler.vantage, server.timeout\n";
    let (said, waits) = (against(), "these settings take effect at the next start: server.max_connections\n");
    assert!(said.contains(both) && said.contains(waits) && said.contains(now), "{said}");
    let said = reload();
    assert!(
        said.contains(&both.replace("restart", "restarts"))
            && said.contains("settings that change now: server.timeout, scheduler.vantage\n"),
        "{said}"
    );
    assert!(daemon.log().contains("server.timeout, scheduler.vantage"), "{}", daemon.log());
    let said = against();
    assert!(!said.contains("the soak") && !said.contains("scheduler.vantage") && said.contains(waits), "still waiting: {said}");
    let again = output(soakwatch().args(["reload", "--url", &daemon.url]));
    assert!(String::from_utf8_lossy(&again.stderr).contains(waits.trim_end()), "{again:?}");
}

#[test]
fn watched_files_are_read_again_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let port = closed_port();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n[reload]\nwatch = true\n").unwrap();
    customer(dir.path(), "acme", &[("kept", "1s")], port);
    let daemon = Daemon::start(dir.path(), &[]);
    let loaded = || value(&daemon, "soakwatch_config_last_reload_successful", "");
    assert_eq!(loaded(), Some(1.0));

    customer(dir.path(), "acme", &[("kept", "1s"), ("comes", "1s")], port);
    eventually("the new check is there", || daemon.get("/metrics").contains("check=\"comes\"").then_some(()));
    // An error changes nothing, and is mended by the next change.
    let path = dir.path().join("customers/acme.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replacen("every", "evry", 1)).unwrap();
    eventually("the refusal is on the gauge", || (loaded() == Some(0.0)).then_some(()));
    let status = || String::from_utf8(output(soakwatch().args(["status", "--url", &daemon.url])).stdout).unwrap();
    for told in [daemon.get("/"), daemon.get("/api/v1/status"), status()] {
        assert!(told.contains("refused") && told.contains("acme.toml:") && told.contains("every: is missing"), "{told}");
    }
    // What looks like a secret is not repeated.
    std::fs::write(&path, good.clone() + "headers = { Authorization = \"Bearer c4nary-4711\" }\n").unwrap();
    eventually("another refusal", || daemon.get("/").contains("uthorization").then_some(()));
    for told in [daemon.get("/"), daemon.get("/api/v1/status"), status(), daemon.log()] {
        assert!(told.contains("refused") && !told.contains("c4nary"), "{told}");
    }
    assert!(daemon.get("/metrics").contains("check=\"comes\""), "the old one goes on");
    std::fs::write(&path, good.replacen("comes", "other", 1)).unwrap();
    eventually("mended", || (loaded() == Some(1.0) && daemon.get("/metrics").contains("check=\"other\"")).then_some(()));
    assert!(
        ![daemon.get("/"), daemon.get("/api/v1/status"), status()]
            .iter()
            .any(|told| told.contains("on disk was refused") || told.contains("config_refused"))
    );
    // Switched off, it is by signal again.
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    eventually("watching was switched off", || daemon.log().matches("configuration taken over").count().ge(&3).then_some(()));
    customer(dir.path(), "acme", &[("kept", "1s"), ("unseen", "1s")], port);
    daemon.signal("HUP");
    eventually("the signal still works", || daemon.get("/metrics").contains("check=\"unseen\"").then_some(()));
}

#[test]
fn a_changed_body_is_not_sent_before_it_is_taken_over() {
    let api = FakeApi::start(|_| Reply::status(200));
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    write("soakwatch.toml", "[server]\nlisten = \"127.0.0.1:0\"\n");
    write("order.json", "{\"n\": 1}");
    let check = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
         [[integration.check]]\nid = \"order\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.http]\nurl = \"{}\"\nbody = {{ file = \"order.json\" }}\n",
        api.url("/")
    );
    write("customers/acme.toml", &check);
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("it is sent", || (!api.log().is_empty()).then_some(()));
    write("order.json", "{\"n\": 2}");
    let status = || serde_json::from_str::<serde_json::Value>(&daemon.get("/api/v1/status")).unwrap()["integrations"][0].clone();
    let seen = eventually("nothing is sent", || Some(status()).filter(|i| i["state"] == "unknown"));
    assert_eq!(seen["cause"], "file", "{seen}");
    assert!(seen["detail"].as_str().unwrap().contains("has changed since the configuration was loaded"), "{seen}");
    let sent = |n: u8| api.log().iter().filter(|seen| seen.body.as_ref() as &[u8] == format!("{{\"n\": {n}}}").as_bytes()).count();
    assert_eq!(sent(2), 0);
    let told = output(soakwatch().args(["reload", "--url", &daemon.url]));
    assert!(String::from_utf8_lossy(&told.stdout).contains("1 changed"), "{told:?}");
    eventually("it is sent as it is now", || (sent(2) > 0 && status()["state"] == "passing").then_some(()));
}

#[test]
fn files_that_are_named_are_watched_too() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("soakwatch.toml", "[server]\nlisten = \"127.0.0.1:0\"\n[reload]\nwatch = true\n");
    write("order.json", r#"{ "type": "object" }"#);
    customer(dir.path(), "acme", &[("list", "1s")], closed_port());
    let path = dir.path().join("customers/acme.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + "expect = { schema = \"order.json\" }\n").unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let loaded = || value(&daemon, "soakwatch_config_last_reload_successful", "");
    let taken = || daemon.log().matches("configuration taken over").count();

    write("order.json", r#"{ "type": "#);
    eventually("a broken one is refused", || (loaded() == Some(0.0)).then_some(()));
    assert!(daemon.log().contains("order.json can't be used"), "{}", daemon.log());
    assert_eq!(taken(), 0);
    // One that is gone is refused too, and its coming back is seen.
    std::fs::remove_file(dir.path().join("order.json")).unwrap();
    eventually("a missing one is refused", || (daemon.log().matches("configuration was refused").count() == 2).then_some(()));
    write("order.json", r#"{ "type": "array" }"#);
    eventually("a mended one is taken over", || (loaded() == Some(1.0) && taken() == 1).then_some(()));
}
