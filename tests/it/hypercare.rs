//! Hypercare from configuration and store: the gate at its end, checkpoints, the handoff package; and that nothing secret is in them.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use soakwatch::clock::{Clock, DAY_MS, HOUR_MS, UnixMs};
use soakwatch::config::model::Config;
use soakwatch::config::{LoadOptions, load};
use soakwatch::evidence::{Entry, Kind, Scope};
use soakwatch::fields::CheckId;
use soakwatch::incident::act::Act;
use soakwatch::incident::{Affected, Incident, Severity};
use soakwatch::outcome::{Attribution, Cause, Class, Criticality, Outcome, Owner, Phase};
use soakwatch::record::{Counts, DurationCode, Record};
use soakwatch::slots::Grid;
use soakwatch::store::{Reader, Run, Store};

use crate::support::daemon::{output, soakwatch};

/// What must never leave.
const CANARY: &str = "canary-5b1f";

const CUSTOMER: &str = r#"
[customer]
id = "acme"
name = "Acme <b> & Sons"
contact = "it@acme.example"

[[integration]]
id = "orders"
environment = "production"
name = "Orders | of the CRM"
owner = "vendor"
criticality = "critical"
runbook = "https://wiki.example.com/orders"
contact = "crm-oncall@vendor.example"
go_live = GO_LIVE
volume = { peak = "600/min" }
[[integration.waiver]]
criterion = "drift"
reason = "announced by the vendor"
approver = "b.boss"
until = 2199-01-01T00:00:00Z
[[integration.check]]
id = "list"
every = "5m"
[integration.check.http]
url = "https://api.example.com/orders?limit=canary-5b1f-in-the-query"
headers = { X-Key = { env = "SOAKWATCH_CANARY" } }
[[integration.check]]
id = "ping"
every = "10m"
[integration.check.http]
url = "https://api.example.com/ping"
"#;

/// An environment that went live some days ago, and all that a daemon would have stored since the day before.
struct Live {
    dir: tempfile::TempDir,
    now: UnixMs,
    go_live: UnixMs,
}

impl Live {
    fn new(days: i64, outcome: impl Fn(&CheckId, UnixMs) -> Outcome) -> Self {
        let now = Clock::System.now();
        // In the middle of a minute of an hour: windows begin at whole hours all the same.
        let go_live = UnixMs((now.0 - days * DAY_MS - 17 * 60_000) / 1000 * 1000);
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("customers")).unwrap();
        std::fs::write(dir.path().join("soakwatch.toml"), "").unwrap();
        std::fs::write(dir.path().join("customers/acme.toml"), CUSTOMER.replace("GO_LIVE", &go_live.to_string())).unwrap();
        let this = Self { dir, now, go_live };
        let config = this.config();
        let mut store = Store::open(&this.store()).unwrap();
        let applied = serde_json::json!({ "hash": config.hash });
        store.append_evidence(&[Entry::new(go_live, Kind::ConfigApplied, Scope::daemon(), "soakwatch", applied)]).unwrap();
        for def in config.checks() {
            let grid = Grid::of(def);
            let mut records = Vec::new();
            let mut slot = grid.after(UnixMs(go_live.0 - DAY_MS));
            while slot < now {
                records.push(record(&def.id, slot, def.every.ms(), outcome(&def.id, slot)));
                slot = UnixMs(slot.0 + def.every.ms());
            }
            for batch in records.chunks(500) {
                store.commit(batch.last().unwrap().slot, batch, &[]).unwrap();
            }
        }
        this
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("soakwatch.db")
    }

    fn config(&self) -> Config {
        let loaded = load(self.dir.path(), &LoadOptions { check_secrets: false, env: Vec::new(), now: self.now });
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
    }

    fn run(&self, args: &[&str]) -> Output {
        output(soakwatch().args(args).args(["--config", self.dir.path().to_str().unwrap()]).env("SOAKWATCH_CANARY", CANARY))
    }

    fn gate(&self, more: &[&str]) -> Output {
        self.run(&[["gate", "acme/production", "--gate", "hypercare"].as_slice(), more].concat())
    }

    fn add(&self, incident: &Incident) {
        Store::open(&self.store()).unwrap().write_incidents([incident]).unwrap();
    }
}

fn record(check: &CheckId, slot: UnixMs, every: i64, outcome: Outcome) -> Record {
    let every = u32::try_from(every).unwrap();
    let mut r = Record::not_run(check.clone(), slot, every, 1, Cause::Internal);
    if outcome != Outcome::Unknown {
        (r.outcome, r.cause, r.attempts, r.first_attempt_passed) = (outcome, None, 1, outcome == Outcome::Pass);
        r.class = (outcome == Outcome::Fail).then_some(Class::ServerError);
        r.attribution = (outcome == Outcome::Fail).then_some(Attribution::ThirdParty);
        r.duration = DurationCode(100);
    }
    r
}

fn incident(id: &str, first_bad: UnixMs, closed: Option<UnixMs>) -> Incident {
    Incident {
        id: id.into(),
        integration: "acme/production/orders".parse().unwrap(),
        first_bad,
        opened: UnixMs(first_bad.0 + 600_000),
        closed,
        severity: Severity::P2,
        class: Class::ServerError,
        attribution: Attribution::ThirdParty,
        owner: Owner::Vendor,
        criticality: Criticality::High,
        phase: Phase::Hypercare,
        checks: vec![Affected {
            check: "acme/production/orders/list".parse().unwrap(),
            host: Some("api.example.com:443".into()),
            first_bad,
            last_bad: first_bad,
            failures: 3,
            open: closed.is_none(),
            recovered: None,
            seen: first_bad,
        }],
        since_again: Vec::new(),
        classes: vec![(Class::ServerError, Attribution::ThirdParty, 3)],
        reopened: 0,
        acknowledged: None,
        reclassified: None,
        before: Vec::new(),
        runs: Vec::new(),
        timeline: Vec::new(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn ends(o: &Output, code: i32, words: &str) {
    let all = format!("{}{}", text(&o.stdout), text(&o.stderr));
    assert_eq!(o.status.code(), Some(code), "{all}");
    assert!(all.contains(words), "{words:?} is not in: {all}");
}

fn passes(_: &CheckId, _: UnixMs) -> Outcome {
    Outcome::Pass
}

#[test]
fn ready_not_ready_and_not_yet() {
    let live = Live::new(15, passes);
    ends(&live.gate(&[]), 0, "acme/production: ready_for_handoff");
    // What was known of certificates then is not known any more: the past is not ready by today's.
    ends(&live.gate(&["--at", "2h"]), 2, "is not known any more");
    live.add(&incident("aaaaaaaaaaaa", UnixMs(live.now.0 - 3 * DAY_MS), Some(UnixMs(live.now.0 - 2 * DAY_MS))));
    ends(&live.gate(&[]), 0, "1 of severity P2");
    live.add(&incident("bbbbbbbbbbbb", UnixMs(live.now.0 - HOUR_MS), None));
    ends(&live.gate(&[]), 1, "open: bbbbbbbbbbbb");
    let json: Value = serde_json::from_slice(&live.gate(&["--json"]).stdout).unwrap();
    assert_eq!((&json["answer"], &json["gate"]), (&"not_ready".into(), &"hypercare".into()));
    assert_eq!(json["integrations"][0]["standing"]["windows"]["14d"]["success_ratio"], 1.0);

    // Too early, whatever else is wrong.
    let early = Live::new(3, |_, slot| if slot.hour() % 5 == 0 { Outcome::Fail } else { Outcome::Pass });
    ends(&early.gate(&[]), 2, "not_yet");
    ends(&early.run(&["gate", "acme/production", "--gate", "hypercare"]), 2, "14d after go-live are over on");
    // Another configuration than the one on record shows nothing.
    let path = live.dir.path().join("customers/acme.toml");
    let other = std::fs::read_to_string(&path).unwrap().replace("600/min", "601/min");
    std::fs::write(&path, other).unwrap();
    ends(&live.gate(&[]), 1, "this is not the configuration that the daemon had in force");
}

#[test]
fn hours_and_newest_runs_are_those_of_the_runs_one_by_one() {
    let outcome = |id: &CheckId, slot: UnixMs| match (slot.0 / 60_000 + i64::from(id.check() == "ping")) % 7 {
        0 => Outcome::Fail,
        1 => Outcome::Throttled,
        2 => Outcome::Unknown,
        _ => Outcome::Pass,
    };
    let live = Live::new(2, outcome);
    let reader = Reader::open(&live.store()).unwrap();
    let config = live.config();
    let ids: Vec<&CheckId> = config.checks().map(|c| &c.id).collect();
    for (from, until) in [(live.go_live.0, live.now.0), (live.go_live.0 - 3 * HOUR_MS + 1, live.now.0 - 5 * HOUR_MS - 7), (0, live.now.0)] {
        let (from, until) = (UnixMs(from), UnixMs(until));
        let recent = UnixMs(until.0 - 4 * HOUR_MS);
        let asked: Vec<(&CheckId, UnixMs)> = ids.iter().map(|id| (*id, from)).collect();
        let mut seen = 0;
        let mut each = |check: &CheckId, hours: soakwatch::store::Hours| {
            seen += 1;
            let runs = reader.runs(check, 0, from, until).unwrap();
            let mut want: Vec<(i64, Counts)> = Vec::new();
            for r in
                runs.iter().flat_map(|r| (0..r.count).map(|n| Run { slot: UnixMs(r.slot.0 + i64::from(n) * r.step()), count: 1, ..*r }))
            {
                if want.last().is_none_or(|(h, _)| *h != r.slot.hour()) {
                    want.push((r.slot.hour(), Counts::default()));
                }
                want.last_mut().unwrap().1.add(r.outcome, 1);
            }
            assert_eq!(hours.counts, want, "{check} {from} {until}");
            let slots = |runs: &[Run]| runs.iter().map(|r| u64::from(r.count)).sum::<u64>();
            assert_eq!(slots(&hours.recent), slots(&reader.runs(check, 0, recent, until).unwrap()));
            assert_eq!((hours.newest, hours.whole), (runs.last().map(Run::last_slot), true));
        };
        // A reader reads one thing at a time: another one for what is compared with.
        Reader::open(&live.store()).unwrap().hours_of(&asked, until, recent, &mut each).unwrap();
        assert_eq!(seen, 2);
    }
}

#[test]
fn a_checkpoint_in_three_forms() {
    let failing = |id: &CheckId, slot: UnixMs| if id.check() == "list" && slot.hour() % 100 == 0 { Outcome::Fail } else { Outcome::Pass };
    let live = Live::new(15, failing);
    live.add(&incident("bbbbbbbbbbbb", UnixMs(live.now.0 - HOUR_MS), None));
    let json: Value = serde_json::from_slice(&live.run(&["checkpoint", "acme/production", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["schema"], "soakwatch-checkpoint/1");
    // In the third week it is of a week.
    let since: jiff::Timestamp = json["since"].as_str().unwrap().parse().unwrap();
    let span = Clock::System.now().0 - UnixMs::from(since).0;
    assert!((7 * DAY_MS..7 * DAY_MS + HOUR_MS).contains(&span), "{span}");
    let of = &json["integrations"][0];
    assert_eq!((&of["incidents"]["opened"]["P2"], &of["incidents"]["time_to_detect"]["mean_s"]), (&1.into(), &600.0.into()));
    assert_eq!((&of["contact"], &of["waivers"][0]["approver"]), (&"crm-oncall@vendor.example".into(), &"b.boss".into()));
    let md = text(&live.run(&["checkpoint", "acme/production", "--since", "24h"]).stdout);
    for words in
        ["# Checkpoint: Acme \\<b\\> \\& Sons (acme/production)", "**not_ready**", "`bbbbbbbbbbbb`", "## Open now", "Orders \\| of the CRM"]
    {
        assert!(md.contains(words), "{words}: {md}");
    }
    let out = live.dir.path().join("checkpoint.html");
    let written = live.run(&["checkpoint", "acme/production", "--format", "html", "--out", out.to_str().unwrap()]);
    ends(&written, 0, "written to");
    let html = std::fs::read_to_string(&out).unwrap();
    assert!(html.contains("Acme &lt;b&gt; &amp; Sons") && !html.contains("<script") && html.contains("not_ready"), "{html}");
    // The first day is day 1, everywhere.
    assert_eq!(json["gate"]["integrations"][0]["day"], 16);
    assert!(md.contains("| 16 |"), "{md}");
    // What is there is not lost.
    ends(&live.run(&["checkpoint", "acme/production", "--out", out.to_str().unwrap()]), 74, "");
    ends(&live.run(&["checkpoint", "acme/production", "--since", "soon"]), 64, "is not readable");
    ends(&live.run(&["checkpoint", "acme/nowhere"]), 65, "");
}

#[test]
fn a_checkpoint_tells_what_was_before_go_live_and_what_broke_elsewhere() {
    let live = Live::new(3, passes);
    let began = UnixMs(live.go_live.0 - 2 * HOUR_MS);
    live.add(&incident("aaaaaaaaaaaa", began, Some(UnixMs(live.go_live.0 - HOUR_MS))));
    for (id, of) in [("bbbbbbbbbbbb", "acme/production/orders"), ("cccccccccccc", "globex/production/stock")] {
        let mut one = incident(id, UnixMs(live.now.0 - HOUR_MS), None);
        one.integration = of.parse().unwrap();
        one.checks[0].check = format!("{of}/list").parse().unwrap();
        live.add(&one);
    }
    // Another customer's own trouble is none of this one's.
    let mut other = incident("dddddddddddd", UnixMs(live.now.0 - 20 * HOUR_MS), None);
    other.integration = "globex/production/mail".parse().unwrap();
    live.add(&other);
    let out = live.run(&["checkpoint", "acme/production", "--since", "5d", "--format", "json"]);
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    let list = json["integrations"][0]["incident_list"].as_array().unwrap();
    let ids: Vec<&str> = list.iter().map(|i| i["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]);
    assert_eq!(json["integrations"][0]["incidents"]["opened"]["P2"], 2);
    assert_eq!(json["common_causes"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["common_causes"][0]["incidents"], serde_json::json!(["bbbbbbbbbbbb", "cccccccccccc"]));
}

#[test]
fn an_earlier_time_hears_nothing_of_a_later_reclassification() {
    let live = Live::new(15, passes);
    let opened = incident("bbbbbbbbbbbb", UnixMs(live.now.0 - 5 * HOUR_MS), Some(UnixMs(live.now.0 - 4 * HOUR_MS)));
    let worse = |severity| Act::Reclassify { class: None, attribution: None, severity: Some(severity), reason: "it is".to_owned() };
    let once = opened.after(&worse(Severity::P1), "b.boss", UnixMs(live.now.0 - 2 * HOUR_MS));
    live.add(&once.after(&worse(Severity::P4), "b.boss", UnixMs(live.now.0 - HOUR_MS)));
    for (at, severity) in [("3h", "P2"), ("90m", "P1"), ("1m", "P4")] {
        let then: Value = serde_json::from_slice(&live.gate(&["--at", at, "--json"]).stdout).unwrap();
        let counted = &then["integrations"][0]["standing"]["incidents"]["opened"];
        assert_eq!(counted[severity], 1, "{at} ago: {counted}");
    }
}

#[test]
fn the_handoff_holds_all_and_no_secret() {
    let live = Live::new(15, passes);
    live.add(&incident("bbbbbbbbbbbb", UnixMs(live.now.0 - HOUR_MS), None));
    // Who said that something was not as bad, and why.
    let body =
        serde_json::json!({ "event": "reclassified", "incident": "bbbbbbbbbbbb", "text": "P2 server_error (vendor): b.boss had tea" });
    let scope = Scope::environment("acme", "production");
    let entry = Entry::new(UnixMs(live.now.0 - 60_000), Kind::Incident, scope, "b.boss", body);
    Store::open(&live.store()).unwrap().append_evidence(&[entry]).unwrap();
    let out = live.dir.path().join("handoff");
    ends(&live.run(&["handoff", "acme/production", "--out", out.to_str().unwrap()]), 0, "the package is in");
    for name in ["handoff.md", "handoff.html", "handoff.json"] {
        let text = std::fs::read_to_string(out.join(name)).unwrap();
        assert!(!text.contains(CANARY) && !text.contains("SOAKWATCH_CANARY"), "{name}: {text}");
        for words in
            ["api.example.com", "bbbbbbbbbbbb", "crm-oncall@vendor.example", "https://wiki.example.com/orders", "server_error", "had tea"]
        {
            assert!(text.contains(words), "{words} is not in {name}");
        }
    }
    let md = std::fs::read_to_string(out.join("handoff.md")).unwrap();
    for heading in [
        "Inventory and configuration",
        "Known issues",
        "Runbooks",
        "Alert routes",
        "How it has done since go-live",
        "What was judged and decided",
    ] {
        assert!(md.contains(&format!("## {heading}\n")), "{heading}: {md}");
    }
    // Never over something that is there.
    ends(&live.run(&["handoff", "acme/production", "--out", out.to_str().unwrap()]), 74, "is not empty");
}
