//! `soakwatch plan` as people use it: real configurations, a real store, what it says and how it ends.

use std::path::Path;

use serde_json::Value;
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::outcome::{Cause, Outcome};
use soakwatch::ratelimit::Reading;
use soakwatch::record::{DurationCode, Record};
use soakwatch::store::Store;

use crate::support::daemon::{Daemon, eventually, output, soakwatch};
use crate::support::soaked::{CUSTOMER as CUSTOMER_SOAKED, START, Soaked};

/// 2026-11-20T08:00:00Z.
const NOW: UnixMs = UnixMs(1_795_161_600_000);

/// An environment in which much is wrong, and one that is well.
const CUSTOMER: &str = r#"
[customer]
id = "acme"
soak = { start = 2026-11-23T08:00:00Z, attest = ["uat_signoff"] }

[[integration]]
id = "crm-orders"
environment = "production"
owner = "vendor"
name = "Orders from the CRM"
runbook = "https://wiki.example.com/acme"
go_live = 2026-12-01T08:00:00Z
soak = { attest = ["uat_signoff", "support_handoff"] }
maintenance = [{ start = 2026-11-29T22:00:00Z, end = 2026-11-30T10:00:00Z, reason = "release", by = "vendor" }]
[[integration.waiver]]
criterion = "attest:support_handoff"
reason = "the team starts in January"
approver = "j.doe"
until = 2027-01-10T00:00:00Z
[[integration.waiver]]
criterion = "incidents"
reason = "known"
approver = "j.doe"
until = 2026-11-28T00:00:00Z
[[integration.check]]
id = "list-orders"
every = "60s"
http = { url = "https://api.example.com/v1/orders" }
[[integration.check]]
id = "export"
every = "1h"
http = { url = "https://export.example.com/v1/orders" }
[[integration.check]]
id = "documents"
every = "6h"
judge = "every"
http = { url = "https://documents.example.com/" }

[[integration]]
id = "erp"
environment = "production"
owner = "customer"
runbook = "https://wiki.example.com/acme"

[[integration]]
id = "crm-orders"
environment = "staging"
owner = "vendor"
runbook = "https://wiki.example.com/acme"
go_live = 2026-12-01T08:00:00Z
soak = { }
[[integration.check]]
id = "list-orders"
every = "2s"
timeout = "1s"
http = { url = "https://staging.example.com/v1/orders" }
"#;

fn configured(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("customers/acme.toml"), text).unwrap();
    dir
}

/// What the command says, to standard output and to standard error, and how it ends.
fn plan(dir: &Path, args: &[&str]) -> (String, String, Option<i32>) {
    let at = NOW.to_string();
    let out = output(soakwatch().arg("plan").args(args).args(["--config", dir.to_str().unwrap(), "--at", &at]));
    (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap(), out.status.code())
}

/// A store in which a check was told of a quota and showed a certificate.
fn observed(path: &Path, check: &str, per_minute: u64, certificate: UnixMs) {
    let mut record = Record::not_run(check.parse().unwrap(), NOW, 2_000, 1, Cause::Down);
    (record.outcome, record.cause, record.attribution) = (Outcome::Pass, None, None);
    (record.duration, record.attempts, record.first_attempt_passed) = (DurationCode(160), 1, true);
    record.facts.certificate_expiry = Some(certificate);
    let reading = Reading { policy: "default".into(), limit: Some(per_minute), window_s: Some(60), at: NOW, ..Reading::default() };
    record.facts.limits = vec![reading];
    let kept = Store::open(path).unwrap().commit(NOW, &[record], &[]).unwrap().kept;
    assert_eq!(kept, 1);
}

#[test]
fn everything_that_stands_against_it_is_said_with_what_to_change() {
    let dir = configured(CUSTOMER);
    let (said, complained, exit) = plan(dir.path(), &["acme/production"]);
    let want = r#"acme/production: can't be proven (as of 2026-11-20T08:00:00Z)

acme/production/crm-orders (Orders from the CRM): can't be proven
  window: 2026-11-24T08:00:00Z to 2026-12-01T08:00:00Z, the last window before go-live (7d)
  green at the earliest: never as it is, for what is marked NO below; go-live: 2026-12-01T08:00:00Z
  certificates: not observed yet; quota headroom: not known yet
  to be attested: uat_signoff
  waived: support_handoff until 2027-01-10T00:00:00Z by j.doe
  waived: incidents until 2026-11-28T00:00:00Z by j.doe
  check        every  slots  can be run  needed  coverage  may fail  in a row
  list-orders  1m     10080  9360        381     97.74 %   93        30
  export       1h     168    156         381     97.5 %    1         0
  documents    6h     28     26          -       96.29 %   0         0
  NO    export: 156 runs are too few to show a success_ratio of 99 %: it takes 381, even if all pass
         -> every = "23m" or less, a longer soak.window, or judge = "every" if it is rare by nature
  NO    documents: each of its 27 due runs must be there, and 1 can't be: 2 of 28 slots lie in declared maintenance, of which at most 1 are taken out
         -> less maintenance in the window, or another go_live
  note  list-orders: coverage is 97.74 % at best (720 of 10080 slots lie in declared maintenance, of which at most 504 are taken out)
  note  export: coverage is 97.5 % at best (12 of 168 slots lie in declared maintenance, of which at most 8 are taken out)
  note  the waiver for incidents ends at 2026-11-28T00:00:00Z, before the window does (2026-12-01T08:00:00Z)
         -> a later until, if it is to count at go-live

acme/production/erp (erp): can't be proven
  NO    it has no soak: nothing judges it, and the gate never says go
         -> add soak = { start = ... } to it, or move it to an environment that needs no gate
"#;
    assert_eq!((said.as_str(), complained.as_str(), exit), (want, "", Some(1)));
}

#[test]
fn what_the_store_knows_of_quotas_and_certificates_counts() {
    let dir = configured(CUSTOMER);
    let id = "acme/staging/crm-orders";
    // Unobserved, the host's checks share one request a second.
    assert_eq!(plan(dir.path(), &[id]).2, Some(0));
    let far = UnixMs(NOW.0 + 100 * 86_400_000);
    // 5 % of 100 a minute is one request in 12 s: every sixth slot.
    let store = dir.path().join("soakwatch.db");
    observed(&store, "acme/staging/crm-orders/list-orders", 100, far);
    let (said, _, exit) = plan(dir.path(), &[id]);
    assert_eq!(exit, Some(1), "{said}");
    let words = "list-orders: coverage can't be more than 16.66 %, and 95 % are asked for: only every 6th slot runs";
    assert!(said.contains(words) && said.contains("-> every = \"12s\", so that each slot is run"), "{said}");
    // What is slowed by a quota is not helped by max_rate.
    assert!(said.contains("or a higher quota_share, or a higher quota on their side") && !said.contains("max_rate"), "{said}");
    assert!(!said.contains("green at the earliest: 2"), "{said}");
    assert!(said.contains("certificates: the first ends at 2027-02-28T08:00:00Z"), "{said}");
    // Another store, in which there is room enough.
    let other = dir.path().join("other.db");
    observed(&other, "acme/staging/crm-orders/list-orders", 1_000_000, UnixMs(NOW.0 + 11 * 86_400_000));
    let (said, _, exit) = plan(dir.path(), &[id, "--store", other.to_str().unwrap()]);
    assert!(said.contains("a certificate ends at 2026-12-01T08:00:00Z, before the window does"), "{said}");
    assert_eq!(exit, Some(1));
}

#[test]
fn json_holds_the_same() {
    let dir = configured(CUSTOMER);
    let (said, _, exit) = plan(dir.path(), &["acme/staging", "--json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((exit, &json["answer"], &json["as_of"]), (Some(0), &"provable".into(), &"2026-11-20T08:00:00Z".into()));
    let i = &json["integrations"][0];
    assert_eq!((&i["earliest_pass"], &i["attest"]), (&"2026-11-30T08:00:00Z".into(), &serde_json::json!(["uat_signoff"])));
    let numbers = ["slots", "runs", "runs_needed", "may_fail", "in_a_row", "one_in"].map(|key| i["checks"][0][key].as_u64());
    assert_eq!(numbers, [302_400, 302_400, 381, 3_024, 900, 1].map(Some));
    assert_eq!(i["certificate_ends"], Value::Null, "nothing was observed, so nothing is said");
}

#[test]
fn what_depends_on_what_nobody_has_seen_is_undecided() {
    let dir = configured(&CUSTOMER.replace("soak = { }", "soak = { certificate_days = 30 }"));
    let (said, _, exit) = plan(dir.path(), &["acme/staging"]);
    assert_eq!(exit, Some(2), "{said}");
    assert!(said.starts_with("acme/staging: can't be said yet"), "{said}");
    assert!(said.contains("?     no certificate was observed yet, and soak.certificate_days asks for it"), "{said}");
}

#[test]
fn beside_a_running_daemon_it_says_what_a_change_would_start_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let now = Clock::System.now();
    let text = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"crm\"\nenvironment = \"production\"\nowner = \"vendor\"\n\
         soak = {{ start = {} }}\n[[integration.check]]\nid = \"list\"\nevery = \"1s\"\ntimeout = \"500ms\"\n\
         [integration.check.http]\nurl = \"http://127.0.0.1:{port}/\"\n",
        UnixMs(now.0 - 3_600_000).whole_seconds()
    );
    let dir = configured(&text);
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let ask = || {
        let out = output(soakwatch().args(["plan", "acme/production", "--json", "--config", dir.path().to_str().unwrap()]));
        let said: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(out.status.code(), Some(0), "{said}");
        said["integrations"][0].clone()
    };
    // Once it is watched, runs count from the start on, which is an hour ago.
    let start = UnixMs(now.0 - 3_600_000).whole_seconds();
    let earliest = UnixMs(start.0 + 7 * 86_400_000).to_string();
    eventually("the plan knows that it is watched", || (ask()["earliest_pass"] == earliest.as_str()).then_some(()));
    let changed =
        |i: &Value| i["findings"].as_array().unwrap().iter().any(|f| f["what"].as_str().unwrap().contains("the soak starts again"));
    assert!(!changed(&ask()));
    std::fs::write(dir.path().join("customers/acme.toml"), text.replace("owner = \"vendor\"", "owner = \"us\"\nname = \"CRM\"")).unwrap();
    assert!(!changed(&ask()), "whose it is does not matter");
    std::fs::write(dir.path().join("customers/acme.toml"), text.replace("every = \"1s\"", "every = \"1s\"\nretries = 1")).unwrap();
    let i = ask();
    assert!(changed(&i) && i["earliest_pass"] != earliest.as_str(), "{i}");
    assert!(i.to_string().contains("(check.list.retries)"), "{i}");
    assert_eq!(daemon.stop(), Some(0));
}

/// The plan and the gate of one store at one time, in which each check was run until `ran` minutes after the start; of `mail`, minutes in `failed` failed.
fn beside(customer: &str, ran: i64, failed: std::ops::Range<i64>, at: i64) -> (Value, Option<i32>, Value) {
    let minute = |slot: UnixMs| (slot.0 - START.0).div_euclid(60_000);
    let soaked = Soaked::since(START, "", customer, |id, runs| {
        runs.retain(|r| minute(r.slot) < ran);
        let hit = |r: &&mut Record| id.check() == "send" && failed.contains(&minute(r.slot)) && r.outcome == Outcome::Pass;
        runs.iter_mut().filter(hit).for_each(|r| r.outcome = Outcome::Fail);
    });
    let at = UnixMs(START.0 + at * 60_000).to_string();
    let ask = |command: &str| {
        let config = soaked.dir.path().to_str().unwrap();
        let out = output(soakwatch().args([command, "acme/production", "--json", "--at", &at, "--config", config]));
        let said: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{command}: {e} {out:?}"));
        (said, out.status.code())
    };
    let (plan, exit) = ask("plan");
    (plan, exit, ask("gate").0)
}

fn of<'v>(all: &'v Value, name: &str) -> &'v Value {
    let named = |i: &&Value| i["integration"].as_str().unwrap().ends_with(name);
    all["integrations"].as_array().unwrap().iter().find(named).unwrap()
}

fn found(i: &Value, words: &str) -> bool {
    i["findings"].as_array().unwrap().iter().any(|f| f["what"].as_str().unwrap().contains(words))
}

#[test]
fn slots_that_have_gone_by_unwatched_are_not_run_any_more() {
    // Run for an hour, then nobody for two: of a window of six no more than 5 % may be missing, and windows move by the hour.
    let (plan, exit, gate) = beside(CUSTOMER_SOAKED, 60, 0..0, 180);
    assert_eq!(exit, Some(0), "{plan}");
    for name in ["/crm-orders", "/mail"] {
        let (planned, judged) = (of(&plan, name), &of(&gate, name)["soak"]);
        assert_eq!(
            (&planned["from"], &planned["earliest_pass"]),
            (&"2025-01-06T11:00:00Z".into(), &"2025-01-06T17:00:00Z".into()),
            "{planned}"
        );
        assert_eq!(judged["earliest_pass"], planned["earliest_pass"], "{judged}");
    }
    // With a go-live right after the window nothing that is missed comes back.
    let live = CUSTOMER_SOAKED.replace("owner = ", "go_live = 2025-01-06T14:00:00Z\nowner = ");
    let (plan, exit, gate) = beside(&live, 60, 0..0, 180);
    let mail = of(&plan, "/mail");
    assert_eq!(
        (exit, &mail["earliest_pass"], &of(&gate, "/mail")["soak"]["earliest_pass"]),
        (Some(1), &Value::Null, &Value::Null),
        "{plan}"
    );
    assert!(found(mail, "go-live (2025-01-06T14:00:00Z) comes before it can be green, 2025-01-06T17:00:00Z at the earliest"), "{mail}");
    // What is under way, and what is not stored yet, is not missed.
    let (plan, exit, _) = beside(&live, 180, 0..0, 181);
    let check = &of(&plan, "/mail")["checks"][0];
    assert_eq!((exit, &check["runs"], &check["missed_so_far"]), (Some(0), &720.into(), &0.into()), "{plan}");
    // A little may be missing, and it is said.
    let (plan, exit, _) = beside(&live, 170, 0..0, 180);
    let mail = of(&plan, "/mail");
    let numbers = ["slots", "runs", "missed_so_far", "failed_so_far"].map(|key| mail["checks"][0][key].as_u64().unwrap());
    assert_eq!((exit, numbers), (Some(0), [720, 701, 19, 2]), "{mail}");
    assert!(found(mail, "coverage is 97.36 % at best (19 of its slots have gone by without a run)"), "{mail}");
    assert!(found(mail, "2 runs of the window have failed so far, 5 more may"), "{mail}");
}

#[test]
fn what_failed_so_far_is_gone_too() {
    let live = CUSTOMER_SOAKED.replace("owner = ", "go_live = 2025-01-06T14:00:00Z\nowner = ");
    // Minute 120 fails in every history.
    let (plan, exit, gate) = beside(&live, 180, 100..102, 180);
    let mail = of(&plan, "/mail");
    assert!(found(mail, "6 runs of the window have failed so far, 1 more may"), "{mail}");
    assert_eq!((exit, &mail["earliest_pass"]), (Some(0), &of(&gate, "/mail")["soak"]["earliest_pass"]), "{plan}");
    let (plan, exit, gate) = beside(&live, 180, 100..140, 180);
    let mail = of(&plan, "/mail");
    assert_eq!((exit, &mail["answer"], &mail["earliest_pass"]), (Some(1), &"not_provable".into(), &Value::Null), "{plan}");
    assert!(found(mail, "it is doomed") && found(mail, "comes before it can be green"), "{mail}");
    assert_eq!(of(&gate, "/mail")["soak"]["verdict"], "doomed");
}

#[test]
fn what_can_not_be_read_is_told_apart() {
    let dir = configured(CUSTOMER);
    let fails = |args: &[&str]| {
        let (said, complained, exit) = plan(dir.path(), args);
        assert_eq!(said, "");
        (exit, complained)
    };
    let (exit, words) = fails(&["acme/produktion"]);
    assert_eq!((exit, words.contains("did you mean acme/production?")), (Some(65), true), "{words}");
    let (exit, words) = fails(&["acme/production/crm-order"]);
    assert_eq!((exit, words.contains("did you mean acme/production/crm-orders?")), (Some(65), true), "{words}");
    assert_eq!(fails(&["acme"]).0, Some(64));
    assert_eq!(fails(&["acme/production", "--store", "/nowhere/soakwatch.db"]).0, Some(74));
    std::fs::write(dir.path().join("customers/zeta.toml"), "[customer]\n").unwrap();
    let (exit, words) = fails(&["acme/production"]);
    assert_eq!((exit, words.contains("customer.id: is missing")), (Some(65), true), "{words}");
}
