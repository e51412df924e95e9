//! `soakwatch gate` from configuration and store: what it says, how it ends, and that it says go on nothing that is stale, unknown, missing or damaged.

use std::process::Output;

use serde_json::Value;
use soakwatch::clock::{HOUR_MS, UnixMs};
use soakwatch::evidence::{Entry, Kind, Scope};
use soakwatch::outcome::Outcome;
use soakwatch::readiness::ExclusionCase;
use soakwatch::store::Store;

use crate::support::daemon::{output, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};
use crate::support::soaked::{CUSTOMER, END, START, Soaked, attested};

fn gate(soaked: &Soaked, at: UnixMs, more: &[&str]) -> Output {
    let config = soaked.dir.path().to_str().unwrap();
    output(soakwatch().args(["gate", "acme/production", "--config", config, "--at", &at.to_string()]).args(more))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Its exit code, and everything it said.
fn said(o: &Output) -> (Option<i32>, String) {
    (o.status.code(), format!("{}{}", text(&o.stdout), text(&o.stderr)))
}

/// Ends with this code and says this.
fn ends(o: &Output, code: i32, words: &str) {
    let (exit, all) = said(o);
    assert_eq!(exit, Some(code), "{all}");
    assert!(all.contains(words), "{words:?} is not in: {all}");
}

fn minute(n: i64) -> UnixMs {
    UnixMs(START.0 + n * 60_000)
}

/// Of `mail`, the runs of these minutes fail.
fn failing(from: i64, until: i64, customer: &str) -> Soaked {
    Soaked::since(START, "", customer, move |id, runs| {
        if id.check() == "send" {
            let hit = |slot: UnixMs| minute(from) <= slot && slot < minute(until);
            runs.iter_mut().filter(|r| hit(r.slot) && r.outcome == Outcome::Pass).for_each(|r| r.outcome = Outcome::Fail);
        }
    })
}

fn record(soaked: &Soaked, entry: Entry) {
    Store::open(&soaked.store()).unwrap().append_evidence(&[entry]).unwrap();
}

#[test]
fn go_is_said_line_by_line_and_as_an_object() {
    let soaked = Soaked::new();
    let shown = gate(&soaked, END, &[]);
    ends(&shown, 0, "acme/production: go, as of 2025-01-06T14:00:00Z");
    let shown = text(&shown.stdout);
    for line in ["acme/production/crm-orders: go, soak passed, 2025-01-06T08:00:00Z to 2025-01-06T14:00:00Z", "acme/production/mail: go"] {
        assert!(shown.contains(line), "{shown}");
    }
    for criterion in ["success_ratio", "coverage", "sample_size", "longest_outage", "throttled_ratio", "certificate_days", "uat_signoff"] {
        assert!(shown.lines().any(|l| l.trim_start().starts_with(criterion)), "{criterion}: {shown}");
    }
    assert!(shown.contains("attested by a-tester"), "{shown}");
    let json: Value = serde_json::from_slice(&gate(&soaked, END, &["--json"]).stdout).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    let mut want = ["environment", "as_of", "answer", "reasons", "earliest", "integrations", "config_hash"];
    want.sort_unstable();
    assert_eq!(keys, want);
    assert_eq!((&json["answer"], &json["config_hash"]), (&"go".into(), &soaked.config().hash.into()));
    assert_eq!(json["integrations"][0]["soak"]["verdict"], "passed");
    // Reading changes nothing, and the same question has the same answer.
    assert_eq!(gate(&soaked, END, &["--json"]).stdout, gate(&soaked, END, &["--json"]).stdout);
}

#[test]
fn failures_are_a_no_and_what_was_taken_out_stands_beside() {
    let soaked = failing(240, 260, CUSTOMER);
    ends(&gate(&soaked, END, &[]), 1, "acme/production/mail: no_go, soak failed");
    let (from, to) = (minute(240), minute(260));
    let exclusion = ExclusionCase {
        seq: 0,
        check: Some("send".into()),
        from,
        to,
        reason: "our own upgrade".into(),
        by: "b-boss".into(),
        remark: Some("asked by phone".into()),
        at: END,
    };
    record(&soaked, exclusion.entry(&"acme/production/mail".parse().unwrap()));
    let shown = gate(&soaked, END, &[]);
    ends(&shown, 0, "excluded: 40 of 720 slots, 5.55 %; passed 94.11 % of all runs as recorded, 99.7 % without what was excluded");
    let line =
        "2025-01-06T12:00:00Z to 2025-01-06T12:20:00Z, send alone: our own upgrade (b-boss on 2025-01-06T14:00:00Z, \"asked by phone\")";
    assert!(text(&shown.stdout).contains(line), "{}", text(&shown.stdout));
    // Before it was recorded it was not so.
    let before = gate(&soaked, UnixMs(END.0 - 1), &[]);
    assert_ne!(before.status.code(), Some(0));
}

#[test]
fn a_waiver_is_used_aloud_until_it_ends() {
    let until = |time: &str| {
        let waiver = "[[integration.check]]\nid = \"send\"";
        let with = format!(
            "[[integration.waiver]]\ncriterion = \"longest_outage\"\nreason = \"known\"\napprover = \"b.boss\"\nuntil = {time}\n{waiver}"
        );
        failing(240, 242, &CUSTOMER.replace(waiver, &with).replace("window = \"6h\"\n[[", "window = \"6h\"\nlongest_outage = \"90s\"\n[["))
    };
    let waived = until("2025-01-06T14:00:01Z");
    let shown = gate(&waived, END, &[]);
    ends(&shown, 0, "waived by b.boss until 2025-01-06T14:00:01Z: known");
    assert!(
        text(&shown.stdout).lines().any(|l| l.contains("longest_outage") && l.contains("2m") && l.contains("waived")),
        "{:?}",
        said(&shown)
    );
    ends(&gate(&until("2025-01-06T14:00:00Z"), END, &[]), 1, "longest_outage");
}

#[test]
fn what_is_not_there_or_not_over_is_not_yet() {
    let soaked = Soaked::new();
    for (at, words) in [
        (minute(-10), "the soak starts 2025-01-06T08:00:00Z"),
        (minute(60), "the window is not full: 16.66 % of 6h"),
        // An hour after the window the runs end, and then nothing more comes.
        (minute(8 * 60), "nothing has been recorded since"),
        (minute(365 * 24 * 60), "nothing has been recorded since"),
    ] {
        ends(&gate(&soaked, at, &[]), 2, words);
    }
    // Nobody attested it, or no longer.
    let asks = CUSTOMER.replace("uat_signoff", "support_handoff");
    ends(&gate(&Soaked::since(START, "", &asks, |_, _| {}), END, &[]), 2, "support_handoff: nobody has attested it");
    record(&soaked, attested(minute(300), Some(minute(359))));
    ends(&gate(&soaked, END, &[]), 2, "which expired 2025-01-06T13:59:00Z");
    ends(&gate(&soaked, minute(358), &[]), 2, "99.44 % of 6h");
}

#[test]
fn a_pass_grows_stale_after_go_live() {
    let live = CUSTOMER.replace("owner = ", "go_live = 2025-01-06T14:00:00Z\nowner = ");
    let soaked = Soaked::since(START, "", &live, |_, _| {});
    let day = 24 * 60;
    for (at, code) in [(minute(6 * 60), 0), (minute(10 * day), 0), (minute(6 * 60 + 14 * day), 0), (minute(6 * 60 + 14 * day + 1), 2)] {
        assert_eq!(gate(&soaked, at, &[]).status.code(), Some(code), "{at}");
    }
    ends(&gate(&soaked, minute(20 * day), &[]), 2, "that was valid for 14d");
}

#[test]
fn without_soaks_without_integrations_and_of_strangers() {
    let (mut none, mut inside) = (String::new(), false);
    for line in CUSTOMER.lines() {
        inside = if line.starts_with('[') { ["[integration.soak]", "[[integration.waiver]]"].contains(&line) } else { inside };
        none.push_str(if inside { "" } else { line });
        none.push('\n');
    }
    ends(&gate(&Soaked::since(START, "", &none, |_, _| {}), END, &[]), 2, "no integration of the environment has a soak");

    let soaked = Soaked::new();
    let config = soaked.dir.path().to_str().unwrap();
    let ask = |environment: &str| output(soakwatch().args(["gate", environment, "--config", config]));
    ends(&ask("acme/prodution"), 65, "nothing is configured for acme/prodution; did you mean acme/production?");
    for bad in ["acme", "acme/production/mail", "ACME/production", "/", ""] {
        ends(&ask(bad), 64, "expected customer/environment");
    }
    ends(&gate(&soaked, UnixMs(i64::MAX / 100_000), &[]), 64, "in the future");
    ends(&output(soakwatch().args(["gate", "acme/production", "--config", config, "--at", "soon"])), 64, "is not readable");
    ends(&output(soakwatch().args(["gate", "acme/production", "--url", "http://127.0.0.1:1", "--config", config])), 64, "--config");
    soaked.edit("window = \"6h\"", "window = \"6 hours\"");
    ends(&gate(&soaked, END, &[]), 65, "has errors");
}

#[test]
fn what_is_not_the_judged_configuration_is_not_yet() {
    let soaked = Soaked::new();
    // Material: the soak starts again.
    soaked.edit("/send", "/send/elsewhere");
    let shown = gate(&soaked, END, &[]);
    ends(&shown, 2, "soak superseded");
    assert!(text(&shown.stdout).contains("changed since the soak began: check.send.http.url"), "{:?}", said(&shown));
    soaked.edit("/send/elsewhere", "/send");
    ends(&gate(&soaked, END, &[]), 0, "go");
    // Not material, but nobody has seen it in force: a waiver written a minute ago would be a go.
    soaked.edit("renewed next week", "renewed some day");
    let shown = gate(&soaked, END, &[]);
    ends(&shown, 2, "this is not the configuration that the daemon had in force");
    assert!(!said(&shown).1.contains("at the earliest"), "nobody knows when: {:?}", said(&shown));
    let applied = serde_json::json!({ "hash": soaked.config().hash });
    record(&soaked, Entry::new(UnixMs(END.0 + 1), Kind::ConfigApplied, Scope::daemon(), "soakwatch", applied));
    ends(&gate(&soaked, END, &[]), 2, "this is not the configuration that the daemon had in force");
    ends(&gate(&soaked, UnixMs(END.0 + 1), &[]), 0, "go");
}

#[test]
fn a_soak_nobody_recorded_shows_nothing() {
    let soaked = Soaked::new();
    std::fs::remove_file(soaked.store()).unwrap();
    ends(&gate(&soaked, END, &[]), 74, "there is no store");
    Store::open(&soaked.store()).unwrap();
    let shown = gate(&soaked, END, &[]);
    ends(&shown, 2, "no record says under which configuration its runs were made");
    assert!(text(&shown.stdout).contains("it recorded none"), "{:?}", said(&shown));
}

#[test]
fn a_damaged_log_or_store_is_never_a_go() {
    let soaked = Soaked::new();
    ends(&gate(&soaked, END, &[]), 0, "go");
    let sql = |sql: &str| rusqlite::Connection::open(soaked.store()).unwrap().execute_batch(sql).unwrap();
    sql("UPDATE journal SET batch = x'00' WHERE seq = (SELECT max(seq) FROM journal)");
    ends(&gate(&soaked, END, &[]), 2, "stored rows can't be read and are missing here");
    for (change, code, words) in [
        ("UPDATE evidence SET actor = 'x' WHERE seq = 2", 2, "the evidence log is damaged: evidence record 2 was changed"),
        ("UPDATE evidence SET body = 'x' WHERE seq = 3", 2, "the evidence log is damaged: evidence record 3 can't be read"),
        ("UPDATE evidence SET body = 'x' WHERE seq = 4", 74, "its body is not JSON"),
        ("DELETE FROM evidence WHERE seq > 2", 2, "evidence records 3 to"),
    ] {
        let soaked = Soaked::new();
        let conn = rusqlite::Connection::open(soaked.store()).unwrap();
        conn.execute_batch("DROP TRIGGER evidence_is_never_changed; DROP TRIGGER evidence_is_never_deleted").unwrap();
        conn.execute_batch(change).unwrap();
        ends(&gate(&soaked, END, &[]), code, words);
    }
    std::fs::write(soaked.store(), "not a database at all, but long enough to be looked at".repeat(50)).unwrap();
    for side in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{side}", soaked.store().display()));
    }
    ends(&gate(&soaked, END, &[]), 74, "is not a Soakwatch store");
}

#[test]
fn runs_of_the_future_are_a_doubt() {
    let now = UnixMs(soakwatch::clock::Clock::System.now().0 / 1000 * 1000);
    // The runs go on for half an hour from now.
    let soaked = Soaked::since(UnixMs(now.0 - 6 * HOUR_MS - HOUR_MS / 2), "", CUSTOMER, |_, _| {});
    let config = soaked.dir.path().to_str().unwrap();
    ends(&output(soakwatch().args(["gate", "acme/production", "--config", config])), 2, "which lies ahead");
}

#[test]
fn a_daemon_that_is_none_is_never_a_go() {
    let ask = |url: &str| output(soakwatch().args(["gate", "acme/production", "--url", url]));
    ends(&ask("http://127.0.0.1:1"), 69, "no answer from the daemon");
    for (reply, words) in [
        (Reply::json("{}"), "can't be read"),
        (Reply::json("{\"answer\":\"go\"}"), "can't be read"),
        (Reply::json("go"), "can't be read"),
        (Reply::status(500), "500"),
        (Reply::status(404), "404"),
        (Reply::status(302).header("location", "/elsewhere"), "302"),
        (Reply::close(), "no answer"),
    ] {
        let api = FakeApi::start(move |_| reply.clone());
        ends(&ask(&api.url("")), 69, words);
        assert_eq!(api.log_of("/api/v1/gates/acme/production").len(), 1);
    }
    let api = FakeApi::start(|_| Reply::status(404).header("content-type", "application/json"));
    ends(&ask(&api.url("")), 69, "404");
}
