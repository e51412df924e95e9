//! A made estate for tests of what shows the board: customers, checks, and records as the recorder would hand them over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use soakwatch::attribution::attribute;
use soakwatch::board::Board;
use soakwatch::budget::Budgets;
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::config::fingerprint::{Fingerprint, KeyLists};
use soakwatch::config::model::{
    CheckDef, Config, Customer, DeclaredVolume, EvidenceSettings, Integration, LogSettings, Maintenance, MetricsSettings, Paused,
    ProbeSettings, RateLimitSettings, ReceiverSettings, ReloadSettings, SchedulerSettings, SelfCheckSettings, ServerSettings, Settings,
    SoakPolicy, StoreSettings,
};
use soakwatch::config::table::{Source, Table};
use soakwatch::fields::{Bytes, IntegrationId, Ratio, Slug, Span};
use soakwatch::outcome::{Cause, Class, Criticality, Outcome, Owner};
use soakwatch::probe::Kind;
use soakwatch::readiness::Soaks;
use soakwatch::record::{DurationCode, Facts, Record, Run};

/// The time of every made estate: 2026-11-21T12:00:00Z.
pub(crate) const NOW: UnixMs = UnixMs(1_795_262_400_000);
pub(crate) const MINUTE: i64 = 60_000;

pub(crate) fn slug(s: &str) -> Slug {
    s.parse().unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings {
        server: ServerSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            open: false,
            hosts: Vec::new(),
            max_connections: 64,
            timeout: Span::seconds(10),
            tokens: Vec::new(),
            tls: None,
            access_log: false,
        },
        store: StoreSettings { path: "soakwatch.db".into(), keep_runs: Span::days(40), keep_hours: Span::days(400), outbox: 10_000 },
        scheduler: SchedulerSettings { vantage: slug("local"), per_host: 2, max_runs: 1_000, grace: Span::seconds(10), threads: 1 },
        rate_limit: RateLimitSettings { max_rate: "1000/s".parse().unwrap(), quota_share: Ratio(0.05), max_hold: Span::seconds(3600) },
        self_check: SelfCheckSettings { targets: Vec::new(), every: Span::seconds(5), timeout: Span::seconds(2), time_server: None },
        probe: ProbeSettings {
            max_body: Bytes(1 << 20),
            max_headers: Bytes(64 << 10),
            user_agent: "soakwatch".into(),
            contact: None,
            traceparent: false,
            dns: Vec::new(),
            ca: None,
            ca_sha256: None,
            proxy: None,
        },
        receiver: ReceiverSettings {
            listen: None,
            public_url: None,
            max_connections: 16,
            max_per_sender: 16,
            timeout: Span::seconds(5),
            max_rate: "50/s".parse().unwrap(),
            tls: None,
            access_log: false,
        },
        metrics: MetricsSettings { check_histograms: false, max_series: 1_000_000 },
        evidence: EvidenceSettings { bundles: false, dir: "evidence".into(), signing_key: None },
        heartbeat: Settings::default().heartbeat,
        reload: ReloadSettings { watch: false },
        log: LogSettings { level: tracing::Level::INFO, json: None },
    }
}

pub(crate) fn integration(customer: &str, environment: &str, id: &str) -> Integration {
    Integration {
        id: IntegrationId::new(&slug(customer), &slug(environment), &slug(id)),
        name: id.to_owned(),
        customer_name: customer.to_owned(),
        owner: Owner::Vendor,
        criticality: Criticality::Normal,
        runbook: None,
        go_live: None,
        hypercare: Span::days(30),
        soak: None,
        waivers: Vec::new(),
        volume: DeclaredVolume::default(),
        allow_private: false,
        maintenance: Vec::new(),
        paused: None,
        attribution: BTreeMap::new(),
        dialect: soakwatch::ratelimit::Dialect::Auto,
        quota_share: None,
        quota_window: None,
        incident: Default::default(),
        throttled_excluded: false,
        exit: soakwatch::config::model::ExitPolicy::new(None),
        contact: None,
    }
}

fn kind() -> Kind {
    let text = "http = { url = \"https://api.example.com/v1/orders\" }";
    let source = Source::new("made.toml", ".", text);
    let root = toml::de::DeTable::parse(text).unwrap();
    let mut table = Table::new(&source, "", 0..0, root.get_ref());
    Kind::read(&mut table).unwrap()
}

/// An integration with checks of these names; every minute, 10 s, no retries.
pub(crate) fn with_checks(i: Integration, checks: &[&str]) -> (Arc<Integration>, Vec<Arc<CheckDef>>) {
    let i = Arc::new(i);
    let checks = checks
        .iter()
        .map(|name| {
            let id = i.id.check(&slug(name));
            Arc::new(CheckDef {
                key: id.key(),
                id,
                integration: Arc::clone(&i),
                every: Span::seconds(60),
                timeout: Duration::from_secs(10),
                retries: 0,
                judged: *name != "informational",
                judge: soakwatch::soak::Judge::Ratio,
                route: soakwatch::route::Route::default(),
                blocked_by: None,
                host: kind().host().map(Into::into),
                kind: kind(),
            })
        })
        .collect();
    (i, checks)
}

pub(crate) fn config(settings: Settings, made: Vec<(Arc<Integration>, Vec<Arc<CheckDef>>)>) -> Config {
    let mut customers: Vec<Customer> = Vec::new();
    for (i, checks) in made {
        let id = slug(i.id.customer());
        if customers.last().is_none_or(|c| c.id != id) {
            customers.push(Customer {
                id,
                name: i.customer_name.clone(),
                integrations: Vec::new(),
                checks: Vec::new(),
                fingerprints: BTreeMap::default(),
            });
        }
        let c = customers.last_mut().unwrap();
        if i.soak.is_some() {
            // Another estate has another: what is judged stands in no text here.
            c.fingerprints.insert(i.id.clone(), Fingerprint::of([("id", Some(i.id.to_string()))].into_iter(), &mut KeyLists::default()));
        }
        c.integrations.push(i);
        c.checks.extend(checks);
    }
    Config { dir: ".".into(), settings, customers, hash: "0123456789abcdef0123456789abcdef".into(), stamp: Default::default() }
}

/// How a run ended, in short.
pub(crate) enum Ended {
    Pass,
    Fail(Class, &'static str),
    Throttled,
    NotRun(Cause),
}

/// One record of a check.
pub(crate) fn record(check: &CheckDef, slot: UnixMs, ended: &Ended) -> Record {
    let owner = check.integration.owner;
    let by = |class| attribute(class, owner, &check.integration.attribution);
    let mut r = Record::not_run(check.id.clone(), slot, 60_000, 1, Cause::Internal);
    (r.cause, r.class, r.attribution, r.attempts) = (None, None, None, 1);
    r.duration = DurationCode::of(Duration::from_millis(182));
    let phases = [Some(2), Some(11), Some(24), Some(140), Some(5)];
    r.facts = Facts { phases: phases.map(|p| p.map(|ms| DurationCode::of(Duration::from_millis(ms)))), ..Facts::default() };
    match ended {
        Ended::Pass => {
            (r.outcome, r.first_attempt_passed) = (Outcome::Pass, true);
            r.facts.codes = vec![200];
        }
        Ended::Fail(class, detail) => {
            (r.outcome, r.class, r.attribution) = (Outcome::Fail, Some(*class), Some(by(*class)));
            r.detail = Some((*detail).to_owned());
        }
        Ended::Throttled => {
            (r.outcome, r.class, r.attribution) = (Outcome::Throttled, Some(Class::Throttled), Some(by(Class::Throttled)));
            r.facts.codes = vec![429];
        }
        Ended::NotRun(cause) => r = Record::not_run(check.id.clone(), slot, 60_000, 1, *cause),
    }
    r
}

/// `n` runs of a check a minute apart, the last one a minute before [`NOW`]; `ended` is given the number of the run.
pub(crate) fn runs(check: &CheckDef, n: i64, mut ended: impl FnMut(i64) -> Ended) -> Vec<Record> {
    (0..n).map(|k| record(check, UnixMs(NOW.0 - (n - k) * MINUTE), &ended(k))).collect()
}

/// A small estate that shows every state.
pub(crate) fn estate(settings: Settings) -> (Config, Board) {
    let hour = Duration::from_secs(3_600);
    let policy = |ratio| SoakPolicy { success_ratio: Ratio(ratio), ..SoakPolicy::new(Criticality::Normal, NOW.minus(hour * 96)) };
    let soak = |ratio| Some(Arc::new(policy(ratio)));
    let orders = Integration {
        name: "CRM orders".into(),
        customer_name: "Acme Corporation".into(),
        criticality: Criticality::Critical,
        runbook: Some("https://wiki.example.com/acme/crm-orders".parse().unwrap()),
        go_live: Some(NOW.plus(hour * 72)),
        soak: soak(0.995),
        volume: DeclaredVolume { peak: Some("600/min".parse().unwrap()), daily: Some("40000/day".parse().unwrap()), batches: Vec::new() },
        ..integration("acme", "production", "crm-orders")
    };
    let stock = Integration {
        name: "Warehouse stock".into(),
        customer_name: "Acme Corporation".into(),
        owner: Owner::Customer,
        criticality: Criticality::High,
        go_live: Some(NOW.plus(hour * 48)),
        ..integration("acme", "production", "warehouse")
    };
    let billing = Integration {
        customer_name: "Acme Corporation".into(),
        dialect: soakwatch::ratelimit::Dialect::Auto,
        quota_share: None,
        quota_window: None,
        incident: Default::default(),
        throttled_excluded: true,
        maintenance: vec![Maintenance {
            start: NOW.minus(hour),
            end: NOW.plus(hour),
            reason: "Vendor moves data centre".into(),
            by: "j.doe".into(),
        }],
        ..integration("acme", "staging", "billing")
    };
    let directory = Integration {
        name: "Directory".into(),
        customer_name: "Globex <script>alert(1)</script>".into(),
        owner: Owner::Us,
        go_live: Some(NOW.minus(hour * 48)),
        ..integration("globex", "production", "directory")
    };
    let tickets = Integration { customer_name: "Globex".into(), ..integration("globex", "production", "tickets") };
    let archive = Integration {
        customer_name: "Initech".into(),
        paused: Some(Paused { reason: "Contract under review".into(), by: "m.lee".into() }),
        ..integration("initech", "production", "archive")
    };
    let fresh = Integration { customer_name: "Initech".into(), ..integration("initech", "production", "fresh") };
    let blind = Integration { customer_name: "Initech".into(), ..integration("initech", "production", "blind") };
    let made = vec![
        with_checks(orders, &["list-orders", "token"]),
        with_checks(stock, &["levels"]),
        with_checks(billing, &["invoices"]),
        with_checks(directory, &["users"]),
        with_checks(tickets, &["queue", "informational"]),
        with_checks(archive, &["reach"]),
        with_checks(fresh, &["first"]),
        with_checks(blind, &["look"]),
    ];
    let config = config(settings, made);
    let board = Board::default();
    board.configure(&config);
    board.apply(&records(&config));
    (config, board)
}

/// What became of its runs.
fn records(config: &Config) -> Vec<Record> {
    let hour = Duration::from_secs(3_600);
    let find = |id: &str| Arc::clone(config.checks().find(|c| c.id.as_str() == id).unwrap());
    let mut records = Vec::new();
    let list = find("acme/production/crm-orders/list-orders");
    records.extend(runs(&list, 300, |k| if k % 10 == 3 { Ended::Fail(Class::ServerError, "HTTP 500") } else { Ended::Pass }));
    for r in records.iter_mut().rev().take(1) {
        r.facts.certificate_expiry = Some(NOW.plus(hour * 24 * 9));
        r.facts.values = vec![("backlog".into(), 12.5), ("open \"orders\"".into(), 3.0)];
        r.facts.retries = vec![Class::Timeout];
        r.facts.codes = vec![206, 200];
        r.attempts = 2;
        r.first_attempt_passed = false;
    }
    let denied = "GET https://api.example.com/v1/orders: HTTP 401 <b>token expired</b> & more";
    records.extend(runs(&find("acme/production/crm-orders/token"), 180, |k| {
        if k > 170 { Ended::Fail(Class::Unauthorized, denied) } else { Ended::Pass }
    }));
    records.extend(runs(&find("acme/production/warehouse/levels"), 120, |k| if k > 110 { Ended::Throttled } else { Ended::Pass }));
    records.extend(runs(&find("acme/staging/billing/invoices"), 30, |k| if k < 5 { Ended::Throttled } else { Ended::Pass }));
    records.extend(runs(&find("globex/production/directory/users"), 1_500, |_| Ended::Pass));
    for r in records.iter_mut().rev().take(1) {
        r.facts.certificate_expiry = Some(NOW.plus(hour * 24 * 200));
    }
    records.extend(runs(&find("globex/production/tickets/queue"), 60, |k| {
        if k % 20 == 7 { Ended::NotRun(Cause::HostBusy) } else { Ended::Pass }
    }));
    let slow = "answer after 2.4 s, expected within 2 s";
    records.extend(runs(&find("globex/production/tickets/informational"), 60, |_| Ended::Fail(Class::Slow, slow)));
    records.extend(runs(
        &find("initech/production/blind/look"),
        60,
        |k| {
            if k > 55 { Ended::NotRun(Cause::SelfCheck) } else { Ended::Pass }
        },
    ));
    for r in records.iter_mut().rev().take(1) {
        r.facts.egress_rule = Some("loopback".into());
    }
    records
}

/// The soaks of the small estate.
pub(crate) fn soaks(config: &Config) -> Soaks {
    soaks_over(config, &records(config))
}

/// The soaks of a configuration over these records.
pub(crate) fn soaks_over(config: &Config, records: &[Record]) -> Soaks {
    let soaks = Soaks::default();
    soaks.configure(config, NOW);
    fold(&soaks, records);
    soaks
}

/// Folds what is to be folded again.
pub(crate) fn fold(soaks: &Soaks, records: &[Record]) {
    for asked in soaks.stale(NOW, usize::MAX) {
        let of_check = records.iter().filter(|r| r.check == asked.check && r.last_slot() >= asked.from);
        let mut runs: Vec<Run> = of_check.map(Run::of).collect();
        runs.sort_by_key(|r| r.slot);
        soaks.refold(&asked.check, &runs, NOW);
    }
}

/// The budgets of a configuration, planned by what the board knows.
pub(crate) fn budgets(config: &Config, board: &Board, mono: Instant) -> Budgets {
    let budgets = Budgets::new(&config.settings.rate_limit);
    budgets.plan(config, |id| board.check(id).map(|c| c.state.limits), mono);
    budgets
}

/// A clock that stands at [`NOW`].
pub(crate) fn clock() -> Clock {
    Clock::simulated(NOW)
}
