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

use soakwatch::clock::{Clock, UnixMs};
use soakwatch::demo::{self, Estate};
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::rules::{Bases, Scale, groups, written};

use crate::support::alertmanager::{self, Alertmanager, Notified};
use crate::support::daemon::{Daemon, eventually};
use crate::support::fake_api::{FakeApi, Reply};
use crate::support::prometheus::{Prometheus, installed};

const FASTER: u32 = 30;

/// What a daemon's metrics go through, one after the other.
struct Chain {
    prometheus: Prometheus,
    alertmanager: Alertmanager,
}

/// `None`: a program is missing, which is said.
fn programs() -> Option<[std::path::PathBuf; 2]> {
    Some([installed("prometheus")?, alertmanager::program()?])
}

/// Customers whose integration `crm` is critical and in hypercare, with two checks every second. Half of its runs may fail: so its budget, which half an
/// hour remembers, does not keep the page open.
fn configure(dir: &Path, api: &FakeApi, customers: &[&str], control: &FakeApi) {
    std::fs::create_dir(dir.join("customers")).unwrap();
    let targets = format!("[self_check]\ntargets = [\"tcp://{}\"]\nevery = \"1s\"\ntimeout = \"500ms\"\n", control.address());
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n{targets}")).unwrap();
    let ago = |days: i64| UnixMs(Clock::System.now().0 - days * 86_400_000);
    for customer in customers {
        let integration = format!(
            "[[integration]]\nid = \"crm\"\nenvironment = \"production\"\nowner = \"vendor\"\ncriticality = \"critical\"\ngo_live = {}\n\
             runbook = \"https://wiki.example.com\"\nsoak = {{ start = {}, success_ratio = 0.5 }}\n",
            ago(1),
            ago(9)
        );
        let check = |id: &str| {
            let url = api.url(&format!("/{id}"));
            format!("[[integration.check]]\nid = \"{id}\"\nevery = \"1s\"\ntimeout = \"900ms\"\nhttp = {{ url = \"{url}\" }}\n")
        };
        let text = format!("[customer]\nid = \"{customer}\"\nallow_private = true\n{integration}{}{}", check("list"), check("search"));
        std::fs::write(dir.join(format!("customers/{customer}.toml")), text).unwrap();
    }
}

/// A daemon that watches these customers.
fn watching(dir: &Path, api: &FakeApi, customers: &[&str], control: &FakeApi) -> Daemon {
    configure(dir, api, customers, control);
    Daemon::start(dir, &[])
}

/// Where it listens, without the scheme.
fn address(daemon: &Daemon) -> &str {
    daemon.url.strip_prefix("http://").unwrap()
}

impl Chain {
    /// Of the daemon at this address.
    fn start([prometheus, alertmanager]: [std::path::PathBuf; 2], address: &str) -> Self {
        let alertmanager = Alertmanager::start(&alertmanager, u64::from(FASTER));
        let scale = Scale::faster(NonZeroU32::new(FASTER).unwrap());
        let rules = written(&groups(scale), scale, &Bases::default());
        let prometheus = Prometheus::configured(&prometheus, &configuration(address, &alertmanager.address), &rules);
        Self { prometheus, alertmanager }
    }

    /// How many of these alerts fire.
    fn firing(&self, selector: &str) -> u64 {
        let query = format!("count(ALERTS{{alertstate=\"firing\",{selector}}}) or vector(0)");
        self.prometheus.value(&query).map_or(0, |n| n as u64)
    }

    /// For how many seconds the longest of these alerts has been true.
    fn lasted(&self, name: &str) -> f64 {
        self.prometheus.value(&format!("time() - min(ALERTS_FOR_STATE{{alertname=\"{name}\"}})")).unwrap_or(0.0)
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
    let api = FakeApi::start(move |request| match (seen.load(Ordering::SeqCst), request.path.as_str()) {
        (false, _) => Reply::status(200),
        (true, "/list") => Reply::status(503),
        (true, _) => Reply::status(429),
    });
    let control = FakeApi::start(|_| Reply::status(200));
    let dir = tempfile::tempdir().unwrap();
    let daemon = watching(dir.path(), &api, &["acme"], &control);
    let chain = Chain::start(programs, address(&daemon));
    eventually("the watchdog is heard, so alerts arrive", || (!chain.alertmanager.told("heartbeat").is_empty()).then_some(()));
    eventually("runs are counted", || (chain.prometheus.value("integration:soakwatch_runs:increase5m")? >= 8.0).then_some(()));
    assert_eq!(chain.pages().len(), 0, "nothing is wrong yet");

    broken.store(true, Ordering::SeqCst);
    let page = eventually("the pager is told", || chain.pages().first().cloned());
    assert_eq!((page.receiver.as_str(), page.status.as_str()), ("pager", "firing"));
    assert_eq!(page.group, serde_json::json!({ "customer": "acme", "environment": "production", "integration": "crm" }));
    assert!(page.alerts.iter().any(|(name, _)| name == "SoakwatchIntegrationDown"), "{page:?}");
    eventually("so is the incident bridge", || (!chain.alertmanager.told("incident-bridge").is_empty()).then_some(()));
    // It is throttled as well, which is a ticket by itself.
    eventually("the ticket that comes of it is inhibited", || {
        chain.alertmanager.alerts(true).contains(&"RateLimited crm".to_owned()).then_some(())
    });
    eventually("both checks are down, for a while", || (chain.lasted("SoakwatchIntegrationDown") >= 15.0).then_some(()));
    assert_eq!(chain.firing("alertname=\"SoakwatchIntegrationDown\",severity=\"page\",priority=\"P1\""), 2);
    assert!(chain.pages().iter().all(|p| p.group == page.group), "one group however many alerts: {:?}", chain.pages());
    assert_eq!(chain.alertmanager.told("ticket-bridge").len(), 0, "nobody gets a ticket about what somebody was called for");

    broken.store(false, Ordering::SeqCst);
    let all = eventually("the pager is told that it is over", || {
        let pages = chain.pages();
        pages.last().is_some_and(|p| p.status == "resolved").then_some(pages)
    });
    // One that it began, perhaps one when the second check was down as well, and one that it is over, all about the same.
    assert!(all.len() <= 3 && all.iter().filter(|p| p.status == "resolved").count() == 1, "{all:?}");
    assert!(all.iter().all(|p| p.group == page.group), "{all:?}");
}

#[test]
fn a_monitor_that_sees_nothing_pages_once_and_for_no_customer() {
    let Some(programs) = programs() else { return };
    let api = FakeApi::start(|_| Reply::status(200));
    let control = FakeApi::start(|_| Reply::status(200));
    let dir = tempfile::tempdir().unwrap();
    let daemon = watching(dir.path(), &api, &["acme", "globex"], &control);
    let chain = Chain::start(programs, address(&daemon));
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
    // That evidence is missing is true, and a ticket once the page is over.
    assert_eq!(chain.firing("scope=\"integration\",alertname!=\"SoakwatchCoverageLow\""), 0, "{}", daemon.get("/metrics"));
    assert_eq!(chain.firing("alertname=\"SoakwatchBlind\""), 1);
    assert_eq!(chain.pages().len(), 1, "{:?}", chain.pages());
    for other in ["ticket-bridge", "chat"] {
        assert_eq!(chain.alertmanager.told(other).len(), 0, "{other}");
    }
}

/// The estate of the demo with all its other troubles: one host goes down, the integration behind it is critical and in hypercare.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_in_the_demo_pages_for_its_integration_alone_and_resolves() {
    let Some(programs) = programs() else { return };
    let clock = Clock::System;
    let estate = Arc::new(Estate::start(&clock).await.unwrap());
    let running = demo::watch(&estate, "127.0.0.1:0".parse().unwrap(), clock, Arc::new(OwnMetrics::new().unwrap())).await.unwrap();
    let (down, listens) = (Arc::clone(&estate), running.address.to_string());
    tokio::task::spawn_blocking(move || outage_in_the_demo(programs, &listens, &down)).await.unwrap();
    running.stop().await.unwrap();
    Arc::into_inner(estate).unwrap().stop().await;
}

fn outage_in_the_demo(programs: [std::path::PathBuf; 2], listens: &str, estate: &Estate) {
    const HOST: &str = "api.patientcloud.example";
    let chain = Chain::start(programs, listens);
    let about = |receiver: &str| -> Vec<Notified> {
        let mine = |n: &Notified| n.group["integration"] == "patient-index";
        chain.alertmanager.told(receiver).into_iter().filter(mine).collect()
    };
    let runs = "integration:soakwatch_runs:increase5m{integration=\"patient-index\"}";
    eventually("its runs are counted", || (chain.prometheus.value(runs)? >= 4.0).then_some(()));
    assert_eq!(about("pager").len(), 0, "nothing is wrong with it yet");

    estate.outage(HOST, true);
    let page = eventually("the pager is told", || about("pager").first().cloned());
    assert_eq!(page.status, "firing");
    assert_eq!(page.group, serde_json::json!({ "customer": "borealis", "environment": "production", "integration": "patient-index" }));
    eventually("its failures are those of a host that is down", || {
        let failures = "sum(soakwatch_run_failure_classes_total{integration=\"patient-index\",class=\"connect\"})";
        (chain.prometheus.value(failures)? >= 5.0).then_some(())
    });
    // After the page is over a ticket may come: what of its budget is gone stays gone.
    assert_eq!(about("ticket-bridge").len(), 0, "nobody gets a ticket about what somebody was called for");

    estate.outage(HOST, false);
    eventually("it passes again", || {
        (chain.prometheus.value("min(soakwatch_check_success{integration=\"patient-index\"})")? > 0.0).then_some(())
    });
    // Its budget remembers half an hour, which is a minute here.
    let failed = "integration:soakwatch_run_failures_per_runs:ratio30m{integration=\"patient-index\"}";
    for (what, left) in [("half of it is forgotten", 0.5), ("most of it is forgotten", 0.2)] {
        eventually(what, || (chain.prometheus.value(failed)? < left).then_some(()));
    }
    let burning = "count(ALERTS{alertstate=\"firing\",severity=\"page\",integration=\"patient-index\"}) or vector(0)";
    eventually("no alert pages for it any more", || (chain.prometheus.value(burning)? < 1.0).then_some(()));
    let all = eventually("the pager is told that it is over", || {
        let pages = about("pager");
        pages.last().is_some_and(|p| p.status == "resolved").then_some(pages)
    });
    assert_eq!(all.iter().filter(|p| p.status == "resolved").count(), 1, "{all:?}");
    // That it began, and perhaps that another rule saw it too.
    assert!(all.len() <= 3, "{all:?}");
}
