//! Must show 1: a page reaches whom it concerns, once. A daemon, Debian's Prometheus under our rules and Debian's Alertmanager under our routes run on
//! loopback; a fake receiver hears what each of Alertmanager's receivers is told.
//!
//! Rules speak of minutes and hours. Here all their windows, waits and intervals, and all waits of Alertmanager, are divided by 30: the same table
//! (`rules::groups`) with another scale, which nothing in the product can choose. Thresholds, counts and labels are as they are. A check every second is
//! then one every 30 s, and twelve minutes are 24 s.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use soakwatch::rules::{Bases, Scale, groups, written};

use crate::support::alertmanager::{Alertmanager, Notified};
use crate::support::daemon::{Daemon, eventually};
use crate::support::fake_api::{FakeApi, Reply};
use crate::support::prometheus::{Prometheus, installed};

const FASTER: u32 = 30;

/// All three, one after the other.
struct Chain {
    daemon: Daemon,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    _dir: tempfile::TempDir,
}

/// `None`: a program is missing, which is said.
fn programs() -> Option<[std::path::PathBuf; 2]> {
    Some([installed("prometheus")?, installed("prometheus-alertmanager")?])
}

/// Customers whose integration `crm` is critical and in hypercare, checked every second.
fn configure(dir: &Path, api: &str, customers: &[&str], control: &str) {
    std::fs::create_dir(dir.join("customers")).unwrap();
    let settings =
        format!("[server]\nlisten = \"127.0.0.1:0\"\n[self_check]\ntargets = [\"{control}\"]\nevery = \"1s\"\ntimeout = \"500ms\"\n");
    std::fs::write(dir.join("soakwatch.toml"), settings).unwrap();
    let yesterday = soakwatch::clock::UnixMs(soakwatch::clock::Clock::System.now().0 - 86_400_000);
    for customer in customers {
        let text = format!(
            "[customer]\nid = \"{customer}\"\nallow_private = true\n[[integration]]\nid = \"crm\"\nenvironment = \"production\"\nowner = \"vendor\"\n\
             criticality = \"critical\"\ngo_live = {yesterday}\nrunbook = \"https://wiki.example.com\"\n[[integration.check]]\nid = \"list\"\nevery = \"1s\"\n\
             timeout = \"900ms\"\n[integration.check.http]\nurl = \"{api}\"\n"
        );
        std::fs::write(dir.join(format!("customers/{customer}.toml")), text).unwrap();
    }
}

impl Chain {
    fn start([prometheus, alertmanager]: [std::path::PathBuf; 2], api: &FakeApi, customers: &[&str], control: &FakeApi) -> Self {
        let dir = tempfile::tempdir().unwrap();
        configure(dir.path(), &api.url("/"), customers, &format!("tcp://{}", control.address()));
        let daemon = Daemon::start(dir.path(), &[]);
        let alertmanager = Alertmanager::start(&alertmanager, u64::from(FASTER));
        let scale = Scale::faster(NonZeroU32::new(FASTER).unwrap());
        let rules = written(&groups(scale), scale, &Bases::default());
        let address = daemon.url.strip_prefix("http://").unwrap();
        let prometheus = Prometheus::configured(&prometheus, &configuration(address, &alertmanager.address), &rules);
        Self { daemon, prometheus, alertmanager, _dir: dir }
    }

    /// How many of these alerts fire.
    fn firing(&self, selector: &str) -> u64 {
        let query = format!("count(ALERTS{{alertstate=\"firing\",{selector}}}) or vector(0)");
        self.prometheus.value(&query).map_or(0, |n| n as u64)
    }

    /// What of pages the pager was told in all.
    fn pages(&self) -> Vec<Notified> {
        self.alertmanager.told("pager")
    }
}

/// The shipped configuration, faster, and with these addresses.
fn configuration(daemon: &str, alertmanager: &str) -> String {
    let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/prometheus.yml")).unwrap();
    let text = shipped.split("\n  - job_name: prometheus\n").next().unwrap();
    let changed = [
        ("127.0.0.1:9464", daemon),
        ("127.0.0.1:9093", alertmanager),
        ("soakwatch.rules.yml\n", "rules.yml\n"),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("scrape_timeout: 10s", "scrape_timeout: 1s"),
        ("evaluation_interval: 30s", "evaluation_interval: 1s"),
    ];
    changed.into_iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} was not found");
        text.replace(from, to)
    })
}

#[test]
fn an_outage_pages_once_inhibits_its_tickets_and_resolves() {
    let Some(programs) = programs() else { return };
    let broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&broken);
    let api = FakeApi::start(move |_| Reply::status(if seen.load(Ordering::SeqCst) { 503 } else { 200 }));
    let control = FakeApi::start(|_| Reply::status(200));
    let chain = Chain::start(programs, &api, &["acme"], &control);
    eventually("the watchdog is heard, so alerts arrive", || (!chain.alertmanager.told("heartbeat").is_empty()).then_some(()));
    eventually("runs are counted", || (chain.prometheus.value("integration:soakwatch_runs:increase5m")? >= 8.0).then_some(()));
    assert_eq!(chain.pages().len(), 0, "nothing is wrong yet");

    broken.store(true, Ordering::SeqCst);
    let page = eventually("the pager is told", || chain.pages().first().cloned());
    assert_eq!((page.receiver.as_str(), page.status.as_str()), ("pager", "firing"));
    assert_eq!(page.group, serde_json::json!({ "customer": "acme", "environment": "production", "integration": "crm" }));
    assert!(page.alerts.iter().any(|(name, _)| name == "SoakwatchIntegrationDown"), "{page:?}");
    eventually("so is the incident bridge", || (!chain.alertmanager.told("incident-bridge").is_empty()).then_some(()));
    eventually("the ticket that comes of it is inhibited", || {
        chain.alertmanager.alerts(true).contains(&"BudgetBurnSlow crm".to_owned()).then_some(())
    });
    assert_eq!(chain.alertmanager.told("ticket-bridge").len(), 0, "nobody gets a ticket about what somebody was called for");
    assert_eq!(chain.pages().len(), 1, "one page however long it goes on, and however many alerts: {:?}", chain.pages());

    broken.store(false, Ordering::SeqCst);
    let all = eventually("the pager is told that it is over", || {
        let pages = chain.pages();
        pages.last().is_some_and(|p| p.status == "resolved").then_some(pages)
    });
    assert!(all[..all.len() - 1].iter().all(|p| p.status == "firing"));
    assert_eq!(all.iter().filter(|p| p.status == "resolved").count(), 1);
}

#[test]
fn a_monitor_that_sees_nothing_pages_once_and_for_no_customer() {
    let Some(programs) = programs() else { return };
    let api = FakeApi::start(|_| Reply::status(200));
    let control = FakeApi::start(|_| Reply::status(200));
    let chain = Chain::start(programs, &api, &["acme", "globex"], &control);
    eventually("runs of both are counted", || {
        (chain.prometheus.value("count(integration:soakwatch_runs:increase5m >= 8)")? >= 2.0).then_some(())
    });
    // Nobody answers any more: neither the endpoints nor the neutral one.
    drop((api, control));
    let page = eventually("the pager is told", || chain.pages().first().cloned());
    assert_eq!(page.alerts, [("SoakwatchBlind".to_owned(), "firing".to_owned())]);
    assert_eq!(page.group, serde_json::json!({}));
    // Long enough for an outage to have paged, by failures and by runs that were not judged.
    let unknown = "min(soakwatch_runs_unknown_total{cause=\"self_check\"})";
    eventually("runs of both are unknown for a while", || (chain.prometheus.value(unknown)? >= 20.0).then_some(()));
    assert_eq!(chain.firing("scope=\"integration\""), 0, "{}", chain.daemon.get("/metrics"));
    assert_eq!(chain.firing("alertname=\"SoakwatchBlind\""), 1);
    assert_eq!(chain.pages().len(), 1, "{:?}", chain.pages());
    for other in ["ticket-bridge", "chat"] {
        assert_eq!(chain.alertmanager.told(other).len(), 0, "{other}");
    }
}
