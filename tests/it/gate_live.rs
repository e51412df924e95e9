//! The gate of a running daemon: who may decide what, what is refused, that it counts once it is on record, and that daemon, store and far side agree, also
//! through three kills.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use soakwatch::clock::{Clock, HOUR_MS, UnixMs};
use soakwatch::evidence::{Hash, Recorded};
use soakwatch::fields::CheckId;
use soakwatch::outcome::Outcome;
use soakwatch::slots::Grid;
use soakwatch::store::Reader;

use crate::support::daemon::{Daemon, eventually, output, post, request, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};
use crate::support::soaked::{CUSTOMER, Soaked};

const TOKENS: [(&str, &str, &str); 3] =
    [("grafana", "viewer", "swt_viewer"), ("pipeline", "operator", "swt_operator"), ("b-boss", "approver", "swt_approver")];

fn settings(more: &str) -> String {
    let token = |(name, role, text): &(&str, &str, &str)| {
        format!("[[server.token]]\nname = \"{name}\"\nrole = \"{role}\"\nhash = \"sha256:{}\"\n", Hash::of(text.as_bytes()))
    };
    format!("[server]\nlisten = \"127.0.0.1:0\"\n{}{more}", TOKENS.iter().map(token).collect::<String>())
}

/// The program, asking a daemon as somebody.
fn tell(daemon: &Daemon, who: &str, args: &[&str]) -> Output {
    let token = TOKENS.iter().find(|(_, role, _)| *role == who).map_or("swt_nobody", |(.., text)| text);
    output(soakwatch().args(args).args(["--url", &daemon.url, "--token-env", "IT_TOKEN"]).env("IT_TOKEN", token))
}

fn said(o: &Output) -> (Option<i32>, String) {
    (o.status.code(), format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr)))
}

fn ends(o: &Output, code: i32, words: &str) {
    let (exit, all) = said(o);
    assert_eq!(exit, Some(code), "{all}");
    assert!(all.contains(words), "{words:?} is not in: {all}");
}

fn log(dir: &Path, kind: &str) -> Vec<Recorded> {
    let reader = Reader::open(&dir.join("soakwatch.db")).unwrap();
    let all = reader.evidence("acme", "production", UnixMs(i64::MAX)).unwrap();
    all.into_iter().filter_map(|l| l.record.map(|r| *r)).filter(|r| r.kind == kind).collect()
}

/// What the daemon answers; the store says the same of the same time as soon as it holds all that had run by then.
fn agreed(daemon: &Daemon, dir: &Path) -> Value {
    eventually("daemon and store agree", || {
        let live: Value = serde_json::from_slice(&tell(daemon, "viewer", &["gate", "acme/production", "--json"]).stdout).ok()?;
        let at = live["as_of"].as_str()?;
        let args = ["gate", "acme/production", "--json", "--at", at, "--config", dir.to_str()?];
        let stored = serde_json::from_slice::<Value>(&output(soakwatch().args(args)).stdout).ok()?;
        // The daemon judges the past from its store, too.
        let past: Value =
            serde_json::from_slice(&tell(daemon, "viewer", &["gate", "acme/production", "--json", "--at", at]).stdout).ok()?;
        (live == stored && past == stored).then_some(live)
    })
}

/// A soak of six hours that has just ended, 20 minutes of its last but one hour failed, and two attestations asked for of which one is there.
fn soaked(api: &FakeApi) -> (Soaked, UnixMs) {
    let customer = CUSTOMER.replace("https://crm.example.com", &api.url("")).replace("https://mail.example.com", &api.url(""));
    let customer = customer
        .replace("name = \"Acme", "allow_private = true\nname = \"Acme")
        .replace("[\"uat_signoff\"]", "[\"uat_signoff\", \"handoff\"]");
    let start = UnixMs((Clock::System.now().0 - 7 * HOUR_MS) / 1000 * 1000);
    let soaked = Soaked::since(start, &settings(""), &customer, move |id, runs| {
        if id.check() == "send" {
            let hit = |slot: UnixMs| (300..320).contains(&((slot.0 - start.0).div_euclid(60_000)));
            runs.iter_mut().filter(|r| hit(r.slot) && r.outcome == Outcome::Pass).for_each(|r| r.outcome = Outcome::Fail);
        }
    });
    (soaked, start)
}

#[test]
fn people_decide_through_the_daemon_and_it_is_on_record() {
    let api = FakeApi::start(|_| Reply::json("{}"));
    let (soaked, start) = soaked(&api);
    let dir = soaked.dir.path();
    let daemon = Daemon::start(dir, &[]);
    let gate = || tell(&daemon, "viewer", &["gate", "acme/production"]);
    ends(&gate(), 1, "acme/production/mail: no_go, soak failed");
    assert!(said(&gate()).1.contains("handoff: nobody has attested it"));

    // Who may what.
    let minute = |n: i64| UnixMs(start.0 + n * 60_000).to_string();
    let (from, to) = (minute(300), minute(320));
    let exclude =
        ["exclude", "acme/production/mail/send", "--from", &from, "--to", &to, "--reason", "our own upgrade", "--by", "asked by phone"];
    for who in ["viewer", "operator"] {
        ends(&tell(&daemon, who, &exclude), 65, "this needs approver");
    }
    ends(&tell(&daemon, "nobody", &exclude), 65, "the daemon refused the call (401");
    let attest = ["attest", "acme/production", "handoff", "--value", "accepted", "--note", "T-2", "--until", "30d", "--by", "for j.doe"];
    ends(&tell(&daemon, "viewer", &attest), 65, "this needs operator");
    assert_eq!((log(dir, "exclusion").len(), log(dir, "attestation").len()), (0, 1));
    ends(&gate(), 1, "no_go");

    // What is decided counts at once, under the token's name.
    ends(&tell(&daemon, "operator", &attest), 0, "handoff is attested for acme/production, until ");
    ends(&gate(), 1, "attested by pipeline");
    ends(&tell(&daemon, "approver", &exclude), 0, "acme/production/mail/send is excluded from");
    eventually("the exclusion counts", || (gate().status.code() == Some(0)).then_some(()));
    let [exclusion] = &log(dir, "exclusion")[..] else { panic!() };
    assert_eq!(
        (exclusion.actor.as_str(), &exclusion.body["by"], &exclusion.body["check"]),
        ("b-boss", &json!("asked by phone"), &json!("send"))
    );
    let attestation = log(dir, "attestation").pop().unwrap();
    assert_eq!(
        (attestation.actor.as_str(), &attestation.body["value"], &attestation.body["by"]),
        ("pipeline", &json!("accepted"), &json!("for j.doe"))
    );

    let live = agreed(&daemon, dir);
    assert_eq!((&live["answer"], &live["integrations"][1]["exclusions"][0]["reason"]), (&json!("go"), &json!("our own upgrade")));
    // It says the same after a restart.
    daemon.kill();
    let daemon = Daemon::start(dir, &[]);
    assert_eq!(agreed(&daemon, dir)["answer"], "go");

    // A sign-off that ends, ends.
    ends(&tell(&daemon, "operator", &["attest", "acme/production", "handoff", "--until", "1s"]), 0, "until");
    eventually("it has ended", || (tell(&daemon, "viewer", &["gate", "acme/production"]).status.code() == Some(2)).then_some(()));
    // A name that nobody asks for is most likely a slip.
    ends(&tell(&daemon, "approver", &["attest", "acme/production", "handof"]), 0, "did you mean handoff?");
    // A change that was not reloaded is no configuration that runs were made under; the daemon still judges by its own.
    soaked.edit("renewed next week", "renewed some day");
    let offline = output(soakwatch().args(["gate", "acme/production", "--config", dir.to_str().unwrap()]));
    ends(&offline, 2, "this is not the configuration that the daemon had in force");
    assert!(!said(&tell(&daemon, "viewer", &["gate", "acme/production"])).1.contains("not the configuration"));
}

#[test]
fn everything_wrong_with_a_decision_is_told_and_nothing_is_recorded() {
    let api = FakeApi::start(|_| Reply::json("{}"));
    let (soaked, _) = soaked(&api);
    let dir = soaked.dir.path();
    let daemon = Daemon::start(dir, &[]);
    let bearer = ("authorization", "Bearer swt_approver");
    let ask = |path: &str, body: &str| {
        let (status, text) = post(&format!("{}{path}", daemon.url), &[bearer], body);
        (status, serde_json::from_str::<Value>(&text).unwrap_or_default())
    };
    let problems = |(status, answer): (u16, Value)| {
        assert_eq!(status, 422, "{answer}");
        let told = answer["problems"].as_array().unwrap().iter();
        told.map(|p| format!("{}: {}", p["field"].as_str().unwrap(), p["error"].as_str().unwrap())).collect::<Vec<_>>()
    };
    let (exclusions, attestations) = ("/api/v1/exclusions", "/api/v1/attestations");
    let missing = ["id: is missing", "from: is missing", "to: is missing", "reason: is missing"];
    assert_eq!(problems(ask(exclusions, "{}")), missing);
    let all =
        json!({ "id": "acme/production/male", "from": "2019-01-01", "to": "2999-01-01", "reason": "x".repeat(201), "by": "", "reasn": 1 });
    let told = problems(ask(exclusions, &all.to_string()));
    assert_eq!(told.len(), 6, "{told:?}");
    assert_eq!(told[0], "id: no such integration is configured; did you mean acme/production/mail?");
    assert!(told[1].starts_with("to: ") && told[1].contains("in the future"), "{told:?}");
    assert_eq!(told[2..4], ["reason: is longer than 200 characters", "by: is empty"]);
    assert!(told[4].contains("longer ago than runs are kept"), "{told:?}");
    assert_eq!(told[5], "reasn: is not known; did you mean reason?");
    for (id, words) in
        [("acme/production/mail/sent", "did you mean acme/production/mail/send?"), ("acme", "expected customer/environment/integration")]
    {
        let told = problems(ask(exclusions, &json!({ "id": id, "from": "2h", "to": "3h", "reason": "x" }).to_string()));
        assert!(told[0].contains(words) && told[1].contains("is not later than from"), "{told:?}");
    }
    let told =
        problems(ask(attestations, &json!({ "environment": "acme/prod", "name": "", "until": "2019-01-01", "note": 7 }).to_string()));
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], "environment: no such environment is configured; did you mean acme/production?");
    assert!(told[3].contains("is not in the future"), "{told:?}");
    for (body, status) in [("", 400), ("[]", 400), ("{", 400), ("x", 400)] {
        assert_eq!(ask(exclusions, body).0, status, "{body}");
    }
    assert_eq!(ask(attestations, &format!("{{\"x\": \"{}\"}}", "y".repeat(70_000))).0, 413);
    // From another site, to another name, with the wrong method: as every change.
    let with = |headers: &[(&str, &str)]| post(&format!("{}{exclusions}", daemon.url), headers, "{}").0;
    assert_eq!(with(&[bearer, ("origin", "http://evil.example")]), 403);
    assert_eq!(with(&[bearer, ("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(with(&[]), 401);
    let (status, answer) = request("GET", &format!("{}{exclusions}", daemon.url), &[bearer]);
    assert!(status == 405 && answer.contains("Use POST."), "{answer}");
    // The command tells the same, and a span that changes nothing today is said.
    let wrong = ["exclude", "acme/production/mail", "--from", "1h", "--to", "2h", "--reason", "x"];
    ends(&tell(&daemon, "approver", &wrong), 65, "nothing was recorded:\n  - to: ");
    assert_eq!((log(dir, "exclusion").len(), log(dir, "attestation").len()), (0, 1));
    let outside = ["exclude", "acme/production/mail", "--from", "2d", "--to", "1d", "--reason", "x", "--json"];
    ends(&tell(&daemon, "approver", &outside), 0, "outside the window that is judged now");

    // Verdicts of one, of some, of all; and of none.
    let read = |path: &str| {
        let (status, text) = request("GET", &format!("{}{path}", daemon.url), &[bearer]);
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let soaks = |query: &str| {
        read(&format!("/api/v1/soaks{query}")).1["soaks"].as_array().unwrap().iter().map(|s| s["integration"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(soaks(""), ["acme/production/crm-orders", "acme/production/mail"]);
    assert_eq!((soaks("?id=acme/production"), soaks("?id=acme/production/mail").len()), (soaks(""), 1));
    let hint = |path: &str| {
        let (status, answer) = read(path);
        (status, answer["hint"].as_str().unwrap().to_owned())
    };
    assert_eq!(hint("/api/v1/soaks?id=acme/prod"), (404, "Did you mean acme/production?".into()));
    assert_eq!(hint("/api/v1/gates/acme/prod"), (404, "Did you mean acme/production?".into()));
    assert_eq!(hint("/api/v1/gates/acme/prod?at=1h"), (404, "Did you mean acme/production?".into()));
    assert_eq!(hint("/api/v1/gates/acme/production?at=2999-01-01").0, 400);
    ends(&tell(&daemon, "viewer", &["gate", "acme/prod"]), 65, "is configured; did you mean acme/production?");
}

#[test]
fn what_can_not_be_recorded_does_not_count() {
    let api = FakeApi::start(|_| Reply::json("{}"));
    let (soaked, start) = soaked(&api);
    let dir = soaked.dir.path();
    let daemon = Daemon::start(dir, &[]);
    let (from, to) = (UnixMs(start.0 + 300 * 60_000).to_string(), UnixMs(start.0 + 320 * 60_000).to_string());
    let exclude = ["exclude", "acme/production/mail/send", "--from", &from, "--to", &to, "--reason", "ours"];
    let lock = rusqlite::Connection::open(soaked.store()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    ends(&tell(&daemon, "approver", &exclude), 74, "it could not be recorded, and nothing was changed");
    ends(&tell(&daemon, "viewer", &["gate", "acme/production"]), 1, "no_go");
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    eventually("it can be recorded again", || (tell(&daemon, "approver", &exclude).status.code() == Some(0)).then_some(()));
    assert_eq!(log(dir, "exclusion").len(), 1);
    eventually("it counts", || (tell(&daemon, "viewer", &["gate", "acme/production"]).status.code() == Some(2)).then_some(()));
    agreed(&daemon, dir);
}

const EVERY: i64 = 2_000;
const CHECKS: [&str; 3] = ["a", "b", "c"];

fn killed(dir: &Path, api: &FakeApi, start: UnixMs) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("soakwatch.toml"), settings("[scheduler]\nper_host = 64\n")).unwrap();
    let mut text = format!(
        "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"api\"\nenvironment = \"production\"\nowner = \"vendor\"\n\
         [integration.soak]\nstart = {start}\nwindow = \"1h\"\nsuccess_ratio = 0.5\nthrottled_ratio = 0.5\n"
    );
    for check in CHECKS {
        let url = api.url(&format!("/{check}"));
        text += &format!(
            "[[integration.check]]\nid = \"{check}\"\nevery = \"2s\"\ntimeout = \"1900ms\"\n[integration.check.http]\nurl = \"{url}\"\n"
        );
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

fn id(check: &str) -> CheckId {
    format!("acme/production/api/{check}").parse().unwrap()
}

/// What the far side answered, by check and slot. A request belongs to the slot it was sent for: the last one before it arrived.
fn answered(api: &FakeApi) -> BTreeMap<(&'static str, i64), u16> {
    let of = |check: &'static str| {
        let grid = Grid::new(id(check).key(), EVERY);
        api.log_of(&format!("/{check}")).into_iter().map(move |seen| ((check, grid.at_or_before(seen.at).0), status(check, seen.number)))
    };
    CHECKS.iter().flat_map(|check| of(check)).collect()
}

fn status(check: &str, number: u64) -> u16 {
    match (check, number % 7) {
        ("a", _) => 200,
        ("b", 2 | 3) => 500,
        ("c", 5) => 429,
        _ => 200,
    }
}

fn stored(dir: &Path, check: &str) -> Vec<i64> {
    let runs = Reader::open(&dir.join("soakwatch.db")).unwrap().runs(&id(check), 0, UnixMs(0), UnixMs(i64::MAX)).unwrap();
    runs.iter().filter(|r| r.outcome.counted()).map(|r| r.slot.0).collect()
}

/// The plainest count there is: of every slot, what the far side answered.
fn plain(check: &str, start: UnixMs, as_of: UnixMs, answers: &BTreeMap<(&'static str, i64), u16>) -> Value {
    let grid = Grid::new(id(check).key(), EVERY);
    let (mut pass, mut fail, mut throttled, mut unknown, mut outage, mut longest) = (0u64, 0u64, 0u64, 0u64, 0i64, 0i64);
    let mut slot = grid.after(UnixMs(start.0 - 1));
    while slot < as_of {
        let answer = answers.iter().find(|((c, s), _)| *c == check && *s == slot.0).map(|(_, status)| *status);
        match answer {
            Some(200) => (pass, outage) = (pass + 1, 0),
            Some(429) => (throttled, outage) = (throttled + 1, outage + EVERY),
            Some(_) => (fail, outage) = (fail + 1, outage + EVERY),
            // It may still be running.
            None if as_of.0 < slot.0 + EVERY => {}
            None => unknown += 1,
        }
        longest = longest.max(outage);
        slot = grid.after(slot);
    }
    let due = pass + fail + throttled + unknown;
    let share = |part: u64, whole: u64| if whole == 0 { Value::Null } else { json!(part as f64 / whole as f64) };
    json!({
        "counts": { "due": due, "pass": pass, "fail": fail, "throttled": throttled, "unknown": unknown, "skipped": 0 },
        "success_ratio": share(pass, pass + fail + throttled),
        "coverage": share(pass + fail + throttled, due),
        "longest_outage": longest / 1000,
    })
}

#[test]
fn through_three_kills_the_verdict_is_what_the_far_side_saw() {
    let dir = tempfile::tempdir().unwrap();
    let api = FakeApi::start(|seen| match status(seen.path.trim_start_matches('/'), seen.number) {
        200 => Reply::json("{}"),
        other => Reply::status(other),
    });
    let start = UnixMs((Clock::System.now().0 + 1_000) / 1000 * 1000);
    killed(dir.path(), &api, start);
    // What ran and was not yet written when the daemon was killed: nobody knows of it any more.
    let mut lost: Vec<(&str, i64)> = Vec::new();
    for _ in 0..3 {
        let daemon = Daemon::start(dir.path(), &[]);
        let before = api.log().len();
        eventually("some rounds of requests", || (api.log().len() >= before + 2 * CHECKS.len()).then_some(()));
        daemon.kill();
        // What was still on its way has arrived by then.
        std::thread::sleep(std::time::Duration::from_millis(2_500));
        let there: BTreeMap<&str, Vec<i64>> = CHECKS.iter().map(|c| (*c, stored(dir.path(), c))).collect();
        lost = answered(&api).into_keys().filter(|(check, slot)| !there[check].contains(slot)).collect();
    }
    assert!(lost.len() <= 3 * 2 * CHECKS.len(), "{lost:?}");
    let daemon = Daemon::start(dir.path(), &[]);
    let before = api.log().len();
    eventually("some more", || (api.log().len() >= before + 2 * CHECKS.len()).then_some(()));
    eventually("daemon, store and far side agree", || {
        let live = agreed(&daemon, dir.path());
        let as_of = UnixMs::from(live["as_of"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
        let mut answers = answered(&api);
        answers.retain(|key, _| !lost.contains(key));
        let soak = &live["integrations"][0]["soak"];
        assert_eq!((&live["answer"], &soak["verdict"]), (&json!("not_yet"), &json!("running")), "{live:#}");
        let seen: Vec<Value> = CHECKS.iter().map(|c| plain(c, start, as_of, &answers)).collect();
        let ours = |c: &Value| {
            let outage = c["longest_outage"].as_object().map_or(json!(0), |o| o["seconds"].clone());
            let [counts, success_ratio, coverage] = ["counts", "success_ratio", "coverage"].map(|key| c[key].clone());
            json!({ "counts": counts, "success_ratio": success_ratio, "coverage": coverage, "longest_outage": outage })
        };
        let said: Vec<Value> = soak["checks"].as_array().unwrap().iter().map(ours).collect();
        // A request may have come in between.
        (said == seen).then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
}
