//! `/probe`: the last result in the words of the blackbox exporter. What it says of every kind of result, what it refuses, and a real Prometheus with an
//! ordinary blackbox job on it.

use std::collections::BTreeSet;
use std::path::Path;

use soakwatch::board::CheckEntry;
use soakwatch::clock::UnixMs;
use soakwatch::fields::Span;
use soakwatch::metrics::blackbox::probe;
use soakwatch::metrics::catalogue::PROBE;
use soakwatch::outcome::{Cause, Class, HttpSpoken, TlsSpoken};
use soakwatch::record::{Record, Spoken};

use crate::estate::{Ended, MINUTE, NOW, integration, runs, with_checks};
use crate::live_metrics::promtool;
use crate::support::daemon::{Daemon, eventually, get, request, series};
use crate::support::fake::{Fake, Reply};
use crate::support::pki::{Pki, server_tls};
use crate::support::prometheus::{Prometheus, installed};

const MINUTES: Span = Span::seconds(60);

/// What is said of a check after runs that ended so, the last one a minute ago.
fn after(ended: &[Ended], change: impl Fn(&mut Record)) -> CheckEntry {
    let (_, checks) = with_checks(integration("acme", "production", "crm-orders"), &["list-orders"]);
    let mut entry = CheckEntry { def: checks[0].clone(), state: soakwatch::board::CheckState::default() };
    let mut ended = ended.iter();
    let mut records = runs(&checks[0], ended.len() as i64, |_| match ended.next() {
        Some(Ended::Fail(class, detail)) => Ended::Fail(*class, detail),
        Some(Ended::NotRun(cause)) => Ended::NotRun(*cause),
        Some(Ended::Throttled) => Ended::Throttled,
        _ => Ended::Pass,
    });
    records.iter_mut().for_each(change);
    records.iter().for_each(|r| entry.state.apply(r));
    entry
}

fn said(entry: &CheckEntry, now: UnixMs) -> String {
    let text = String::from_utf8(probe(entry, MINUTES, now)).unwrap();
    if let Some((said, content)) = promtool(&text) {
        assert!(content, "promtool check metrics: {said}\n{text}");
    }
    text
}

fn over_tls(r: &mut Record) {
    r.facts.spoken = Some(Spoken { http: HttpSpoken::Http2, tls: Some(TlsSpoken::Tls13) });
    r.facts.certificate_expiry = Some(UnixMs(1_800_000_000_000));
}

#[test]
fn a_pass_over_tls_says_everything_there_is() {
    let text = said(&after(&[Ended::Pass], over_tls), NOW);
    let families: BTreeSet<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(families, PROBE.iter().map(|f| f.name).collect::<BTreeSet<_>>(), "each row of the catalogue, and no other");
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#') && !l.starts_with("probe_http_duration_seconds")).collect();
    let quantised = |l: &&&str| !l.starts_with("probe_duration_seconds") && !l.starts_with("probe_dns");
    assert_eq!(
        lines.iter().filter(quantised).collect::<Vec<_>>(),
        [
            &"probe_success 1",
            &"soakwatch_result_age_seconds 60",
            &"probe_timeout_seconds 10",
            &"probe_http_status_code 200",
            &"probe_ssl_earliest_cert_expiry 1800000000",
            &"probe_http_version 2",
            &"probe_http_ssl 1",
            &"probe_tls_version_info{version=\"TLS 1.3\"} 1",
        ]
    );
    for (phase, ms) in [("resolve", 2.0), ("connect", 11.0), ("tls", 24.0), ("processing", 140.0), ("transfer", 5.0)] {
        let seconds = series(&text, "probe_http_duration_seconds", &[&format!("phase=\"{phase}\"")]).unwrap();
        assert!((seconds * 1e3 / ms - 1.0).abs() < 0.05, "{phase}: {seconds}");
    }
    assert!((series(&text, "probe_duration_seconds", &[]).unwrap() / 0.182 - 1.0).abs() < 0.05);
}

#[test]
fn what_is_not_known_has_no_line() {
    // No answer: a status of 0, as the blackbox exporter has it, and nothing about what was spoken.
    let silent = after(&[Ended::Pass, Ended::Fail(Class::Connect, "no connection")], |r| {
        if r.class.is_some() {
            // The attempt before had one.
            (r.facts.codes, r.attempts) = (vec![503], 2);
            r.facts.phases = [r.facts.phases[0], None, None, None, None];
        }
    });
    let text = said(&silent, NOW);
    assert_eq!(series(&text, "probe_success", &[]), Some(0.0));
    assert_eq!(series(&text, "probe_http_status_code", &[]), Some(0.0));
    assert_eq!(text.matches("probe_http_duration_seconds{").count(), 1);
    for absent in ["probe_http_version", "probe_http_ssl", "probe_tls_version_info", "probe_ssl_earliest_cert_expiry"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    // Without TLS.
    let plain = after(&[Ended::Pass], |r| r.facts.spoken = Some(Spoken { http: HttpSpoken::Http11, tls: None }));
    let text = said(&plain, NOW);
    assert_eq!(["probe_http_ssl", "probe_http_version"].map(|n| series(&text, n, &[])), [Some(0.0), Some(1.1)]);
    assert!(!text.contains("probe_tls_version_info"));
    // Never judged: neither a success nor a failure.
    let text = said(&after(&[Ended::NotRun(Cause::SelfCheck)], |_| ()), NOW);
    assert_eq!(text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>(), ["probe_timeout_seconds 10"]);
}

#[test]
fn a_result_that_is_old_is_no_success_and_our_own_fault_is_no_failure() {
    let entry = after(&[Ended::Pass], over_tls);
    let success = |entry: &CheckEntry, minutes: i64| series(&said(entry, UnixMs(NOW.0 + minutes * MINUTE)), "probe_success", &[]);
    // It is a minute old at NOW.
    assert_eq!([success(&entry, 2), success(&entry, 3), success(&entry, -10)], [Some(1.0), Some(0.0), Some(0.0)]);
    let wide =
        |every| series(&String::from_utf8(probe(&entry, Span::seconds(every), UnixMs(NOW.0 + 9 * MINUTE))).unwrap(), "probe_success", &[]);
    assert_eq!([wide(199), wide(200)], [Some(0.0), Some(1.0)], "as the interval was widened");
    // A run that could not be judged because of us: the one before stands, as it does for soakwatch_check_success.
    let blind = after(&[Ended::Pass, Ended::NotRun(Cause::SelfCheck)], over_tls);
    let text = said(&blind, NOW);
    assert_eq!((series(&text, "probe_success", &[]), series(&text, "soakwatch_result_age_seconds", &[])), (Some(1.0), Some(120.0)));
    assert!(!text.contains("probe_http_status_code") && !text.contains("probe_duration_seconds"), "{text}");
    let throttled = said(&after(&[Ended::Throttled], over_tls), NOW);
    assert_eq!(["probe_success", "probe_http_status_code"].map(|n| series(&throttled, n, &[])), [Some(0.0), Some(429.0)]);
}

/// An integration with one check.
fn configured(id: &str, check: &str, every: &str, http: &str, more: &str) -> String {
    format!(
        "[[integration]]\nid = \"{id}\"\nenvironment = \"production\"\nowner = \"vendor\"\n{more}\
         [[integration.check]]\nid = \"{check}\"\nevery = \"{every}\"\ntimeout = \"900ms\"\n[integration.check.http]\n{http}\n"
    )
}

fn write(dir: &Path, integrations: &[String]) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    let store = dir.join("soakwatch.db");
    std::fs::write(dir.join("soakwatch.toml"), format!("[server]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"{}\"\n", store.display()))
        .unwrap();
    let customer = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n".to_owned() + &integrations.concat();
    std::fs::write(dir.join("customers/acme.toml"), customer).unwrap();
}

/// The example job, on a daemon at this address, scraped every second.
fn job(daemon: &Daemon) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/blackbox-job.yml");
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace("127.0.0.1:9464", daemon.url.strip_prefix("http://").unwrap());
    text.replace("scrape_interval: 15s", "scrape_interval: 1s").replace("scrape_timeout: 10s", "scrape_timeout: 1s")
}

const PAUSED: &str = "paused = { reason = \"test\", by = \"tester\" }\n";
const PASSING: &str = "/probe?target=acme/production/crm-orders&module=list-orders";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_blackbox_job_works_as_it_is() {
    let pki = Pki::new();
    let orders = Fake::https(server_tls(pki.identity("localhost", 2020..2060), &["http/1.1"]), |_| Reply::json("{}")).await;
    let stock = Fake::http(|_| Reply::new(503)).await;
    let dir = tempfile::tempdir().unwrap();
    let of_orders = format!("url = \"https://localhost:{}/v1\"\nca = \"{}\"", orders.port(), pki.file().display());
    let crm = |more: &str| configured("crm-orders", "list-orders", "1s", &of_orders, more);
    let others = [
        configured("erp", "read-stock", "1s", &format!("url = \"{}\"", stock.url("/stock")), ""),
        configured("quiet", "never-yet", "7d", &format!("url = \"{}\"", stock.url("/quiet")), PAUSED),
    ];
    write(dir.path(), &[&[crm("")], &others[..]].concat());
    let daemon = Daemon::start(dir.path(), &[]);
    eventually("both have run", || {
        let there = |path: &str| daemon.get(path).contains("probe_success");
        (there(PASSING) && there("/probe?target=acme/production/erp&module=read-stock")).then_some(())
    });
    refusals(&daemon.url);
    // What it says of a check that did not run yet, asked again and again, and what the target saw of that: nothing.
    for _ in 0..50 {
        let quiet = daemon.get("/probe?target=acme/production/quiet&module=never-yet");
        assert!(!quiet.contains("probe_success") && quiet.contains("probe_timeout_seconds 0.9\n"), "{quiet}");
    }
    assert_eq!(stock.log().iter().filter(|s| s.target == "/quiet").count(), 0);

    if let Some(promtool) = installed("promtool") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/blackbox-job.yml");
        assert!(std::process::Command::new(promtool).args(["check", "config", path]).output().unwrap().status.success());
    }
    if let Some(program) = installed("prometheus") {
        let prometheus = Prometheus::configured(&program, &job(&daemon), "groups: []\n");
        let crm = "instance=\"acme/production/crm-orders\"";
        let expect = [
            (format!("probe_success{{job=\"blackbox\",{crm}}}"), 1.0),
            ("probe_success{instance=\"acme/production/erp\"}".to_owned(), 0.0),
            (format!("probe_http_status_code{{{crm}}}"), 200.0),
            ("probe_http_status_code{instance=\"acme/production/erp\"}".to_owned(), 503.0),
            (format!("probe_http_ssl{{{crm}}}"), 1.0),
            (format!("probe_http_version{{{crm}}}"), 1.1),
            (format!("probe_tls_version_info{{{crm},version=\"TLS 1.3\"}}"), 1.0),
            // 2060-01-01.
            (format!("probe_ssl_earliest_cert_expiry{{{crm}}}"), 2_840_140_800.0),
            (format!("count(probe_http_duration_seconds{{{crm}}})"), 5.0),
            // What the alerts of such jobs look like.
            ("count(probe_success == 0)".to_owned(), 1.0),
            ("min(up{job=\"blackbox\"})".to_owned(), 1.0),
        ];
        for (expression, wanted) in expect {
            eventually(&format!("{expression} is {wanted}"), || (prometheus.value(&expression) == Some(wanted)).then_some(()));
        }
    }

    // A restart after a kill shows the same, though nothing runs any more; and in time it is no success.
    eventually("it is stored", || (orders.log().len() > 3).then_some(()));
    let before = lines(&daemon.get(PASSING));
    daemon.kill();
    write(dir.path(), &[&[crm(PAUSED)], &others[..]].concat());
    let daemon = Daemon::start(dir.path(), &[]);
    let names = |lines: &[String]| lines.iter().map(|l| l.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    let shown = lines(&daemon.get(PASSING));
    assert_eq!(names(&shown), names(&before));
    assert!(shown.iter().any(|l| l == "probe_tls_version_info{version=\"TLS 1.3\"} 1"), "{shown:?}");
    eventually("it is old", || (series(&daemon.get(PASSING), "probe_success", &[]) == Some(0.0)).then_some(()));
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect()
}

fn refusals(url: &str) {
    for (query, status, word) in [
        ("", 400, "target is missing"),
        ("?target=&module=list-orders", 400, "target is missing"),
        ("?target=acme/production/crm-orders", 400, "the checks of acme/production/crm-orders are list-orders"),
        ("?target=acme/production/crm-orders&module=list-order", 400, "Did you mean list-orders?"),
        ("?target=acme/production/crm-orders&module=http_2xx", 400, "list-orders"),
        ("?target=acme/production/crm-order&module=list-orders", 404, "Did you mean acme/production/crm-orders?"),
        ("?target=https://example.com/&module=list-orders", 404, "no integration"),
        ("?target=acme/production/crm-orders&module=list-orders&debug=true", 400, "no debug output"),
    ] {
        let (got, body) = get(&format!("{url}/probe{query}"));
        assert!(got == status && body.contains(word), "{query}: {got} {body}");
    }
    let waits = |seconds: &str| request("GET", &format!("{url}{PASSING}"), &[("X-Prometheus-Scrape-Timeout-Seconds", seconds)]).0;
    assert_eq!([waits("5"), waits("0"), waits("soon")], [200, 400, 400]);
}
