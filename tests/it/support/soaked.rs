//! An environment at the end of its soak: a configuration, and a store with every run and record that a daemon would have left.

use std::path::PathBuf;

use soakwatch::clock::{HOUR_MS, UnixMs};
use soakwatch::config::model::Config;
use soakwatch::config::{LoadOptions, load};
use soakwatch::evidence::{Entry, Kind, Scope};
use soakwatch::fields::CheckId;
use soakwatch::outcome::{Attribution, Cause, Class, Outcome};
use soakwatch::readiness::{AttestedCase, Began};
use soakwatch::record::{DurationCode, Record};
use soakwatch::slots::Grid;
use soakwatch::store::Store;

/// 2025-01-06T08:00:00Z: the soak's start.
pub(crate) const START: UnixMs = UnixMs(1_736_150_400_000);
/// The window's length in hours.
pub(crate) const HOURS: i64 = 6;
/// The window has just become full.
pub(crate) const END: UnixMs = UnixMs(START.0 + HOURS * HOUR_MS);

/// A directory with configuration and store.
pub(crate) struct Soaked {
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) const CUSTOMER: &str = r#"
[customer]
id = "acme"
name = "Acme & Sons <Ltd>"

[[integration]]
id = "crm-orders"
environment = "production"
owner = "vendor"
criticality = "normal"
runbook = "https://wiki.example.com/crm"
maintenance = [{ start = 2025-01-06T09:00:00Z, end = 2025-01-06T09:05:00Z, reason = "upgrade | of the CRM", by = "j.doe" }]
[integration.soak]
start = 2025-01-06T08:00:00Z
window = "6h"
attest = ["uat_signoff"]
[[integration.waiver]]
criterion = "certificate_days"
reason = "renewed next week"
approver = "b.boss"
until = 2025-02-06T00:00:00Z
[[integration.check]]
id = "list-orders"
every = "30s"
[integration.check.http]
url = "https://crm.example.com/orders?token-of=nobody"
[[integration.check]]
id = "ping"
every = "45s"
[integration.check.http]
url = "https://crm.example.com/ping"

[[integration]]
id = "mail"
environment = "production"
owner = "us"
runbook = "https://wiki.example.com/mail"
[integration.soak]
start = 2025-01-06T08:00:00Z
window = "6h"
[[integration.check]]
id = "send"
every = "30s"
[integration.check.http]
url = "https://mail.example.com/send"
"#;

impl Soaked {
    /// All of it: the answer is `go`.
    pub(crate) fn new() -> Self {
        Self::with("", |_, _| {})
    }

    /// With settings, and a change to the runs of each check before they are stored.
    pub(crate) fn with(settings: &str, change: impl Fn(&CheckId, &mut Vec<Record>)) -> Self {
        Self::since(START, settings, CUSTOMER, change)
    }

    /// The same with another start and another customer, whose times are moved alike.
    pub(crate) fn since(start: UnixMs, settings: &str, customer: &str, change: impl Fn(&CheckId, &mut Vec<Record>)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("customers")).unwrap();
        std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
        let moved = ["08:00:00Z", "09:00:00Z", "09:05:00Z"].iter().fold(customer.to_owned(), |text, time| {
            let written = format!("2026-11-23T{time}");
            let at = UnixMs::from(written.parse::<jiff::Timestamp>().unwrap());
            text.replace(&written, &UnixMs(at.0 - START.0 + start.0).to_string())
        });
        std::fs::write(dir.path().join("customers/acme.toml"), moved).unwrap();
        let this = Self { dir };
        let config = this.config();
        let mut store = Store::open(&this.store()).unwrap();
        let mut log = vec![Entry::new(start, Kind::DaemonStarted, Scope::daemon(), "soakwatch", serde_json::json!({ "version": "0" }))];
        log.push(Entry::new(start, Kind::ConfigApplied, Scope::daemon(), "soakwatch", serde_json::json!({ "hash": config.hash })));
        let other = Scope::environment("zeta-other-customer", "production");
        log.push(Entry::new(
            start,
            Kind::ConfigApplied,
            other,
            "zeta-actor",
            serde_json::json!({ "added": ["zeta-other-customer/production/x/y"] }),
        ));
        for i in config.integrations() {
            let fingerprint = config.customers[0].fingerprints[&i.id].clone();
            log.push(Began { since: start, fingerprint }.entry(start, &i.id, None));
        }
        log.push(attested(UnixMs(start.0 + 1_000), None));
        store.append_evidence(&log).unwrap();
        for def in config.checks() {
            let mut runs = history(&def.id, Grid::of(def), def.every.ms(), start);
            change(&def.id, &mut runs);
            for batch in runs.chunks(500) {
                store.commit(UnixMs(start.0 + HOURS * HOUR_MS), batch, &[]).unwrap();
            }
        }
        this
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("soakwatch.db")
    }

    pub(crate) fn config(&self) -> Config {
        let loaded = load(self.dir.path(), &LoadOptions { check_secrets: false, env: Vec::new(), now: START });
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
    }

    /// Changes the customer's file.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.dir.path().join("customers/acme.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

/// The record that the users' tests were signed off.
pub(crate) fn attested(at: UnixMs, until: Option<UnixMs>) -> Entry {
    let case = AttestedCase {
        seq: 0,
        name: "uat_signoff".into(),
        value: Some("passed".into()),
        note: Some("see T-1".into()),
        by: "a-tester".into(),
        remark: None,
        at,
        until,
    };
    case.entry("acme", "production")
}

/// Every slot of a check from an hour before the soak to an hour after it: nearly all pass, three fail in a row, maintenance is not due, a span is unknown.
fn history(id: &CheckId, grid: Grid, every: i64, start: UnixMs) -> Vec<Record> {
    let (from, until) = (UnixMs(start.0 - HOUR_MS), UnixMs(start.0 + (HOURS + 1) * HOUR_MS));
    let mut all: Vec<Record> = Vec::new();
    let mut slot = grid.after(from);
    while slot < until {
        let minute = (slot.0 - start.0).div_euclid(60_000);
        let cause = match minute {
            60..65 if id.integration().integration() == "crm-orders" => Some(Cause::Maintenance),
            200..203 => Some(Cause::Down),
            _ => None,
        };
        let record = match cause {
            Some(cause) => Record::not_run(id.clone(), slot, u32::try_from(every).unwrap(), 1, cause),
            None => {
                let mut r = Record::not_run(id.clone(), slot, u32::try_from(every).unwrap(), 1, Cause::Internal);
                let fails = minute == 120;
                (r.outcome, r.cause) = (if fails { Outcome::Fail } else { Outcome::Pass }, None);
                (r.class, r.attribution) = (fails.then_some(Class::ServerError), fails.then_some(Attribution::ThirdParty));
                (r.attempts, r.first_attempt_passed) = (1 + u8::from(minute % 50 == 0), !fails && minute % 50 != 0);
                r.duration = DurationCode(u16::try_from(130 + minute.rem_euclid(7)).unwrap());
                r
            }
        };
        if !all.last_mut().is_some_and(|last| last.join(&record)) {
            all.push(record);
        }
        slot = UnixMs(slot.0 + every);
    }
    all
}
