//! A daemon's soaks without its tasks: the running state, and beside it everything that would be in its store and its evidence log.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use serde_json::json;

use crate::board::{CheckEntry, CheckState, IntegrationEntry};
use crate::clock::{HOUR_MS, UnixMs};
use crate::config::model::{CheckDef, Config, Integration};
use crate::config::{LoadOptions, load};
use crate::evidence::entry::DAEMON;
use crate::evidence::{Entry, Hash, Kind, Link, Recorded, Scope};
use crate::fields::CheckId;
use crate::outcome::{Cause, Outcome};
use crate::readiness::{Answered, Asked, CheckCase, Log, Soaks, decide, situation};
use crate::record::{DurationCode, Record, Run};
use crate::slots::Grid;
use crate::soak::Window;

/// 2026-11-23T08:00:00Z: the soaks' start.
pub(super) const START: UnixMs = UnixMs(1_795_420_800_000);
pub(super) const MINUTE: i64 = 60_000;

pub(super) const CUSTOMER: &str = r#"
[customer]
id = "acme"
name = "Acme"
[[integration]]
id = "crm"
environment = "production"
owner = "vendor"
name = "CRM"
# go-live
[integration.soak]
start = 2026-11-23T08:00:00Z
window = "3h"
coverage = 0.9
success_ratio = 0.9
attest = ["uat_signoff"]
[[integration.waiver]]
criterion = "longest_outage"
reason = "known"
approver = "b-boss"
until = 2026-11-23T12:30:00Z
[[integration.check]]
id = "ping"
every = "90s"
judged = false
[integration.check.http]
url = "https://crm.example.com/ping"
[[integration.check]]
id = "list"
every = "1m"
[integration.check.http]
url = "https://crm.example.com/list"
"#;
pub(super) const MAIL: &str = r#"
[[integration]]
id = "mail"
environment = "production"
owner = "us"
[integration.soak]
start = 2026-11-23T08:30:00Z
window = "2h"
[[integration.check]]
id = "send"
every = "5m"
judge = "every"
[integration.check.http]
url = "https://mail.example.com/send"
"#;

pub(super) fn config(customer: &str, mail: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), "").unwrap();
    std::fs::write(dir.path().join("customers/acme.toml"), format!("{customer}{mail}")).unwrap();
    let loaded = load(dir.path(), &LoadOptions { check_secrets: false, env: Vec::new(), now: START });
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

/// What an operator may turn the configuration into.
pub(super) static CONFIGS: LazyLock<[Config; 6]> = LazyLock::new(|| {
    let go_live = CUSTOMER.replace("# go-live", "go_live = 2026-11-23T13:10:00Z");
    [
        config(CUSTOMER, MAIL),
        config(&CUSTOMER.replace("/list", "/orders"), MAIL),
        config(&CUSTOMER.replace("\"CRM\"", "\"The CRM\""), MAIL),
        config(&go_live, MAIL),
        config(&CUSTOMER.replacen("08:00:00Z", "09:45:00Z", 1), MAIL),
        config(&CUSTOMER.replace("coverage = 0.9", "coverage = 0.8"), ""),
    ]
});

/// A daemon without tasks: the running state, and beside it everything that would be in its store.
pub(super) struct Bench {
    pub(super) soaks: Soaks,
    pub(super) config: usize,
    pub(super) now: UnixMs,
    pub(super) log: Vec<Recorded>,
    pub(super) stored: BTreeMap<CheckId, Vec<Run>>,
    /// What is known of each check after what is stored.
    pub(super) states: BTreeMap<CheckId, CheckState>,
    /// When the certificate ends that is seen; `None`: another one each hour.
    pub(super) certificate: Option<UnixMs>,
    /// Slots up to here are accounted for.
    pub(super) slots: BTreeMap<CheckId, UnixMs>,
    /// Held for the self-check: recorded later than what follows.
    pub(super) held: Vec<Record>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let before = UnixMs(START.0 - 45 * MINUTE);
        let mut bench = Self {
            soaks: Soaks::default(),
            config: 0,
            now: before,
            log: Vec::new(),
            stored: BTreeMap::new(),
            states: BTreeMap::new(),
            certificate: Some(UnixMs(START.0 + 31 * 24 * HOUR_MS)),
            slots: BTreeMap::new(),
            held: Vec::new(),
        };
        bench.take_over(0);
        bench
    }

    pub(super) fn in_force(&self) -> &'static Config {
        &CONFIGS[self.config]
    }

    pub(super) fn record(&mut self, entry: &Entry) -> Link {
        let seq = self.log.len() as u64 + 1;
        self.log.push(entry.numbered(seq));
        Link { seq, record: Hash([0; 32]), chain: Hash([0; 32]) }
    }

    pub(super) fn take_over(&mut self, n: usize) {
        self.config = n;
        let applied = json!({ "hash": self.in_force().hash });
        self.record(&Entry::new(self.now, Kind::ConfigApplied, Scope::daemon(), DAEMON, applied));
        for entry in self.soaks.configure(self.in_force(), self.now) {
            self.record(&entry);
        }
    }

    pub(super) fn restart(&mut self) {
        self.soaks = Soaks::default();
        self.log.iter().for_each(|r| self.soaks.learn(r));
        for entry in self.soaks.configure(self.in_force(), self.now) {
            self.record(&entry);
        }
    }

    pub(super) fn entries(&self) -> Vec<IntegrationEntry> {
        let config = self.in_force();
        let check = |def: &Arc<CheckDef>| CheckEntry { def: Arc::clone(def), state: self.states.get(&def.id).cloned().unwrap_or_default() };
        let entry = |def: &Arc<Integration>| IntegrationEntry {
            def: Arc::clone(def),
            checks: config.checks().filter(|c| c.integration.id == def.id).map(check).collect(),
            departed: None,
            apart: Default::default(),
        };
        config.integrations().map(entry).collect()
    }

    /// The slots that come due in so many minutes; `fate` says of each what becomes of it.
    pub(super) fn pass(&mut self, minutes: i64, fate: &mut impl FnMut() -> u8) -> Vec<Record> {
        self.now = UnixMs(self.now.0 + minutes * MINUTE);
        let mut due = Vec::new();
        for def in self.in_force().checks() {
            let grid = Grid::of(def);
            let last = self.slots.entry(def.id.clone()).or_insert(UnixMs(self.now.0 - minutes * MINUTE));
            let mut slot = grid.after(*last);
            while slot < self.now {
                let mut record = ran(def, slot, fate());
                let each_hour = || UnixMs(START.0 + (29 + slot.hour().rem_euclid(4)) * 24 * HOUR_MS);
                record.facts.certificate_expiry = (record.outcome == Outcome::Pass).then(|| self.certificate.unwrap_or_else(each_hour));
                due.push(record);
                *last = slot;
                slot = grid.after(slot);
            }
        }
        due.sort_by_key(|r| r.slot);
        due
    }

    /// As a commit does, but for telling the running state.
    pub(super) fn store(&mut self, records: &[Record]) {
        for r in records {
            let runs = self.stored.entry(r.check.clone()).or_default();
            let at = runs.partition_point(|x| x.slot <= r.slot);
            runs.insert(at, Run::of(r));
            self.states.entry(r.check.clone()).or_default().apply(r);
        }
    }

    pub(super) fn commit(&mut self, records: &[Record]) {
        self.store(records);
        self.soaks.apply(records);
    }

    pub(super) fn runs(&self, check: &CheckId, from: UnixMs, until: UnixMs) -> Vec<Run> {
        self.stored.get(check).into_iter().flatten().filter_map(|r| r.clip(from, until)).collect()
    }

    /// The keeper's look. `meanwhile`: what is committed while the store is read; `seen`: the reader saw it.
    pub(super) fn look(&mut self, meanwhile: &[Record], seen: bool) {
        let asked = self.soaks.stale(self.now, 100);
        if seen {
            self.store(meanwhile);
        }
        let read: Vec<(Asked, Vec<Run>)> = asked.into_iter().map(|a| (a.clone(), self.runs(&a.check, a.from, a.until))).collect();
        if !seen {
            self.store(meanwhile);
        }
        self.soaks.apply(meanwhile);
        for (asked, runs) in read {
            self.soaks.refold(&asked.check, &runs, self.now);
        }
        let (entries, now) = (self.entries(), self.now);
        for entry in self.soaks.watch(&entries, now, true) {
            self.record(&entry);
        }
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            self.look(&[], false);
        }
        assert_eq!(self.soaks.stale(self.now, 1), [], "it never comes to rest");
    }

    pub(super) fn live(&self) -> Answered {
        let entries = self.entries();
        self.soaks.answered(("acme", "production"), &entries.iter().collect::<Vec<_>>(), &self.in_force().hash, self.now)
    }

    pub(super) fn anew(&self) -> Answered {
        self.anew_from(&Log::of(&self.log), self.now)
    }

    /// As `--at` does: by the records up to then, and what is known now.
    pub(super) fn anew_at(&self, as_of: UnixMs) -> Answered {
        self.anew_from(&Log::of(self.log.iter().filter(|r| r.time().is_some_and(|at| at <= as_of))), as_of)
    }

    fn anew_from(&self, log: &Log, as_of: UnixMs) -> Answered {
        let situation = situation(self.in_force(), &self.entries(), log, None, ("acme", "production"), as_of);
        let mut runs = |c: &CheckCase, w: Window| Ok::<_, Infallible>(self.runs(&c.check, w.start, w.end));
        let gate = decide(&situation, &mut runs).unwrap();
        Answered::of(&situation, gate)
    }

    pub(super) fn newest(&self) -> Option<UnixMs> {
        self.stored.values().flatten().map(Run::last_slot).max()
    }
}

pub(super) fn ran(def: &CheckDef, slot: UnixMs, fate: u8) -> Record {
    let interval = u32::try_from(def.every.ms()).unwrap();
    let not_run = |cause| Record::not_run(def.id.clone(), slot, interval, 1, cause);
    match fate {
        0..=3 => Record { outcome: Outcome::Fail, cause: None, attempts: 1, ..not_run(Cause::Internal) },
        4 => Record { outcome: Outcome::Throttled, cause: None, attempts: 1, ..not_run(Cause::Internal) },
        5 => not_run(Cause::Down),
        6 => not_run(Cause::Maintenance),
        7 => not_run(Cause::HostBusy),
        n => {
            let (duration, first_attempt_passed) = (DurationCode(100 + u16::from(n % 90)), n % 9 > 0);
            Record { outcome: Outcome::Pass, cause: None, attempts: 1, duration, first_attempt_passed, ..not_run(Cause::Internal) }
        }
    }
}
