//! The rules for Prometheus and the routes of Alertmanager: what is committed is what the table says, names only what there is, and is judged by the
//! tools of both (promtool, amtool), and by an Alertmanager that runs.
//!
//! `tests/run` brings the tools and says so (`SOAKWATCH_PROMETHEUS=required`). Elsewhere they may be missing, which is said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use soakwatch::arrivals::REASONS;
use soakwatch::finding::{Level, Severity};
use soakwatch::metrics::catalogue::{CHECKS, Family, OWN, Type};
use soakwatch::outcome::{Cause, Class, Criticality, Phase};
use soakwatch::rules::{Bases, Scale, Urgency, groups, written};
use soakwatch::soak::gate::Answer;

use crate::support::alertmanager::{self, Alertmanager};
use crate::support::daemon::{eventually, output, soakwatch};
use crate::support::prometheus::installed;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deployed(path: &str) -> PathBuf {
    root().join("deploy").join(path)
}

/// The names and expressions of all rules.
fn expressions() -> Vec<(String, String)> {
    let all = groups(Scale::REAL).into_iter();
    all.flat_map(|g| g.records.into_iter().map(|r| (r.name, r.expr)).chain(g.alerts.into_iter().map(|a| (a.name.to_owned(), a.expr))))
        .collect()
}

#[test]
fn the_committed_rules_are_what_the_table_says() {
    let (file, text) = (deployed("prometheus/soakwatch.rules.yml"), written(&groups(Scale::REAL), Scale::REAL, &Bases::default()));
    if std::env::var_os("SOAKWATCH_BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "SOAKWATCH_BLESS=1 writes {}", file.display());
    let all = groups(Scale::REAL);
    assert_eq!((all.iter().map(|g| g.records.len()).sum::<usize>(), all.iter().map(|g| g.alerts.len()).sum::<usize>()), (32, 38));
    assert!(all.iter().all(|g| g.interval < 300), "a group that is evaluated less often leaves gaps");
}

#[test]
fn the_command_writes_them_with_links_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yml");
    let said = output(
        soakwatch()
            .args(["rules", "--runbooks", "https://wiki.example.com/runbooks/", "--dashboards", "https://g.example.com/d"])
            .arg("--out")
            .arg(&file),
    );
    assert!(said.status.success(), "{said:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("'https://wiki.example.com/runbooks/SoakwatchAbsent.md'"));
    assert!(text.contains("'https://g.example.com/d/sw-integration?var-customer="));
    let plain = output(soakwatch().arg("rules"));
    assert_eq!(String::from_utf8(plain.stdout).unwrap(), std::fs::read_to_string(deployed("prometheus/soakwatch.rules.yml")).unwrap());
    let limit = output(soakwatch().args(["rules", "--sample-limit"]).arg(root().join("config")));
    let limit = String::from_utf8(limit.stdout).unwrap();
    assert!(limit.strip_prefix("sample_limit: ").is_some_and(|n| n.trim().parse::<u64>().is_ok_and(|n| n > 1000)), "{limit}");
    assert_eq!(output(soakwatch().args(["rules", "--sample-limit", "/nowhere"])).status.code(), Some(65));
}

/// The family of a series' name.
fn family(name: &str) -> Option<&'static Family> {
    let bare = name.strip_suffix("_bucket").unwrap_or(name);
    CHECKS.iter().chain(OWN).copied().find(|f| f.name == bare && ((bare != name) == (f.kind == Type::Histogram)))
}

#[test]
fn every_metric_in_a_rule_exists() {
    let expressions = expressions();
    let recorded: BTreeSet<&str> = expressions.iter().map(|(name, _)| name.as_str()).filter(|n| n.contains(':')).collect();
    let (word, span) = (Regex::new(r"[a-z_:][a-z0-9_:]*").unwrap(), Regex::new(r"\[[^\]]*\]").unwrap());
    let mut seen = BTreeSet::new();
    let without_spans: Vec<(&str, String)> =
        expressions.iter().map(|(rule, expr)| (rule.as_str(), span.replace_all(expr, "").into_owned())).collect();
    for (rule, expr) in &without_spans {
        for name in
            word.find_iter(expr).map(|m| m.as_str()).filter(|n| n.contains(':') || n.starts_with("soakwatch_") || n.starts_with("process_"))
        {
            assert!(recorded.contains(name) || family(name).is_some(), "{rule} names {name}, which nothing exports");
            seen.insert(name);
        }
    }
    assert!(seen.len() > 50, "names were not found: {seen:?}");
}

/// The words that a label may have.
fn words(label: &str) -> Option<Vec<&'static str>> {
    Some(match label {
        "class" => Class::ALL.iter().map(|w| w.as_str()).collect(),
        "cause" => Cause::ALL.iter().map(|w| w.as_str()).collect(),
        "phase" => Phase::ALL.iter().map(|w| w.as_str()).collect(),
        "tier" => Criticality::ALL.iter().map(|w| w.as_str()).collect(),
        "severity" => Severity::ALL.iter().map(|w| w.as_str()).collect(),
        "level" => Level::ALL.iter().map(|w| w.as_str()).collect(),
        "answer" => Answer::ALL.iter().map(|w| w.as_str()).collect(),
        "reason" => REASONS.to_vec(),
        "gate" => vec!["go_live", "hypercare"],
        "job" => vec!["soakwatch"],
        "__name__" => CHECKS.iter().map(|f| f.name).collect(),
        _ => return None,
    })
}

#[test]
fn every_value_of_a_label_is_a_word_of_a_closed_set() {
    let selector = Regex::new(r"([a-z_:]*)\{([^}]*)\}").unwrap();
    let pair = Regex::new(r#"([a-z_]+)(?:=~|!=|=)"([^"]*)""#).unwrap();
    let mut found = BTreeSet::new();
    for (rule, expr) in expressions() {
        for s in selector.captures_iter(&expr) {
            for p in pair.captures_iter(&s[2]) {
                let words = words(&p[1]).unwrap_or_else(|| panic!("{rule}: values of {} are not held to a set", &p[1]));
                for value in p[2].split('|') {
                    assert!(words.contains(&value), "{rule}: {} is never {value}", &p[1]);
                }
                if let Some(f) = family(&s[1]) {
                    assert!(f.labels.contains(&&p[1]) || &p[1] == "job", "{rule}: {} has no {}", f.name, &p[1]);
                }
                found.insert(p[1].to_owned());
            }
        }
    }
    assert_eq!(found.len(), 9, "{found:?}");
    // In templates: eq $labels.phase "hypercare" "steady"
    let text = std::fs::read_to_string(deployed("prometheus/soakwatch.rules.yml")).unwrap();
    let (compared, quoted) = (Regex::new(r#"eq \$labels\.([a-z]+)((?: "[a-z]+")+)"#).unwrap(), Regex::new(r#""([a-z]+)""#).unwrap());
    let mut n = 0;
    for c in compared.captures_iter(&text) {
        quoted.captures_iter(&c[2]).for_each(|v| assert!(words(&c[1]).unwrap().contains(&&v[1]), "{} is never {}", &c[1], &v[1]));
        n += 1;
    }
    assert!(n > 60, "templates were not found: {n}");
}

#[test]
fn who_is_called_is_as_agreed() {
    let text = std::fs::read_to_string(deployed("prometheus/soakwatch.rules.yml")).unwrap();
    let mut urgencies: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for alert in groups(Scale::REAL).iter().flat_map(|g| &g.alerts) {
        let rule = text.split(&format!("- alert: {}\n", alert.name)).nth(1).unwrap();
        let severity = rule.lines().find_map(|l| l.trim().strip_prefix("severity: ")).unwrap();
        // By phase and criticality: a page or a ticket.
        let plain = Urgency::ALL.iter().find(|u| u.as_str() == severity).map_or("page or ticket", |u| u.as_str());
        urgencies.entry(plain.to_owned()).or_default().push(alert.name.strip_prefix("Soakwatch").unwrap());
    }
    urgencies.values_mut().for_each(|names| names.sort_unstable());
    assert_eq!(
        urgencies["page or ticket"],
        [
            "BudgetBurnFast",
            "CertExpiringCritical",
            "CredentialRejected",
            "FindingCritical",
            "IntegrationDown",
            "ProbeStalled",
            "SsoMetadataExpiringCritical",
            "WebhookSilent"
        ]
    );
    assert_eq!(urgencies["page"], ["Absent", "Blind", "EvidenceBroken", "StoreWriteFailing", "TargetDown", "VantageFault"]);
    assert_eq!(
        (urgencies["info"].as_slice(), urgencies["none"].as_slice()),
        (&["GatePassed", "SsoMetadataChanged"][..], &["Watchdog"][..])
    );
}

/// Runs a tool to its end; what it said.
fn run(program: &Path, dir: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = output(Command::new(program).current_dir(dir).args(arguments));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("{arguments:?}: {said}")) }
}

#[test]
fn promtool_accepts_rules_and_configuration() {
    let Some(promtool) = installed("promtool") else { return };
    let dir = deployed("prometheus");
    run(&promtool, &dir, &["check", "rules", "--lint=all", "--lint-fatal", "soakwatch.rules.yml"]).unwrap();
    run(&promtool, &dir, &["check", "config", "prometheus.yml"]).unwrap();
}

#[test]
fn promtools_unit_tests_pass_and_have_every_alert() {
    let dir = deployed("prometheus/tests");
    let files: Vec<String> = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    let texts: String = files.iter().map(|f| std::fs::read_to_string(dir.join(f)).unwrap()).collect();
    for alert in groups(Scale::REAL).iter().flat_map(|g| &g.alerts) {
        assert!(texts.contains(&format!("labels: '{{alertname=\"{}\"", alert.name)), "no test has {} fire", alert.name);
    }
    let Some(promtool) = installed("promtool") else { return };
    // Each file by itself, all at once: they take most of their time each for itself.
    let (promtool, dir) = (&promtool, &dir);
    let wrong: Vec<String> = std::thread::scope(|s| {
        let tests: Vec<_> = files.iter().map(|f| s.spawn(move || run(promtool, dir, &["test", "rules", f]))).collect();
        tests.into_iter().filter_map(|t| t.join().unwrap().err()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An alert's labels, and who is told.
const ROUTES: &[(&str, &str)] = &[
    ("alertname=SoakwatchWatchdog severity=none scope=monitor", "heartbeat"),
    (
        "alertname=SoakwatchIntegrationDown severity=page scope=integration customer=acme environment=production integration=crm",
        "pager,incident-bridge",
    ),
    (
        "alertname=SoakwatchIntegrationDown severity=page scope=integration customer=acme environment=uat integration=crm",
        "pager,incident-bridge",
    ),
    ("alertname=SoakwatchIntegrationDown severity=page scope=integration customer=acme environment=staging integration=crm", "chat"),
    ("alertname=SoakwatchBudgetBurnFast severity=page scope=integration customer=acme environment=sandbox integration=crm", "chat"),
    (
        "alertname=SoakwatchIntegrationDown severity=ticket scope=integration customer=acme environment=production integration=crm",
        "ticket-bridge",
    ),
    (
        "alertname=SoakwatchSoakBurnFast severity=ticket scope=integration customer=acme environment=sandbox integration=crm",
        "ticket-bridge",
    ),
    ("alertname=SoakwatchGateFailed severity=ticket scope=integration customer=acme environment=production gate=go_live", "ticket-bridge"),
    ("alertname=SoakwatchGatePassed severity=info scope=integration customer=acme environment=production gate=go_live", "chat"),
    ("alertname=SoakwatchSsoMetadataChanged severity=info scope=integration customer=acme environment=staging integration=okta", "chat"),
    ("alertname=SoakwatchBlind severity=page scope=monitor", "pager,incident-bridge"),
    ("alertname=SoakwatchVantageFault severity=page scope=monitor vantage=local", "pager,incident-bridge"),
    ("alertname=SoakwatchTargetDown severity=page scope=monitor instance=m:9464", "pager,incident-bridge"),
    ("alertname=SoakwatchConfigReloadFailed severity=ticket scope=monitor instance=m:9464", "ticket-bridge"),
    ("alertname=SomebodyElses severity=critical", "chat"),
];

#[test]
fn amtool_routes_every_kind_of_alert_to_whom_it_concerns() {
    let Some(amtool) = installed("amtool") else { return };
    let dir = deployed("alertmanager");
    run(&amtool, &dir, &["check-config", "alertmanager.yml"]).unwrap();
    for (labels, receivers) in ROUTES {
        let mut arguments = vec!["config", "routes", "test", "--config.file=alertmanager.yml"];
        let verify = format!("--verify.receivers={receivers}");
        arguments.push(&verify);
        arguments.extend(labels.split(' '));
        run(&amtool, &dir, &arguments).unwrap();
    }
    let wrong =
        run(&amtool, &dir, &["config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers=chat", "severity=page"]);
    assert!(wrong.is_err(), "amtool accepts what is wrong");
}

#[test]
fn no_secret_stands_in_a_configuration() {
    for file in ["alertmanager/alertmanager.yml", "prometheus/prometheus.yml"] {
        let text = std::fs::read_to_string(deployed(file)).unwrap();
        for key in
            ["routing_key:", "api_url:", "api_key:", "service_key:", "credentials:", "password:", "bearer_token:", "secret:", "token="]
        {
            assert!(!text.contains(key), "{file} has {key}");
        }
    }
}

#[test]
fn an_alertmanager_inhibits_what_would_be_noise() {
    let Some(program) = alertmanager::program() else { return };
    let server = Alertmanager::start(&program, 1);
    let of = |rest: &str| format!("customer=acme environment=production scope=integration {rest}");
    let alerts = [
        of("alertname=SoakwatchIntegrationDown integration=crm severity=page check=list"),
        of("alertname=SoakwatchBudgetBurnFast integration=crm severity=page"),
        of("alertname=SoakwatchCoverageLow integration=crm severity=ticket"),
        of("alertname=SoakwatchLatencyHigh integration=erp severity=ticket"),
        of("alertname=SoakwatchProbeStalled integration=hr severity=page check=sync"),
        "alertname=SoakwatchTargetDown scope=monitor severity=page instance=m".to_owned(),
        "alertname=SoakwatchConfigReloadFailed scope=monitor severity=ticket instance=m".to_owned(),
    ];
    server.send(&alerts.each_ref().map(String::as_str));
    eventually("the integration that is down has no other alerts, and who can't be scraped is not called stalled", || {
        (server.alerts(true) == ["BudgetBurnFast crm", "CoverageLow crm", "ProbeStalled hr"]).then_some(())
    });
    assert_eq!(server.alerts(false), ["ConfigReloadFailed", "IntegrationDown crm", "LatencyHigh erp", "TargetDown"]);
    // Nothing of an integration is known while we see nothing; what is ours is still told.
    server.send(&["alertname=SoakwatchBlind scope=monitor severity=page"]);
    eventually("all alerts on integrations are inhibited", || {
        (server.alerts(false) == ["Blind", "ConfigReloadFailed", "TargetDown"]).then_some(())
    });
}
