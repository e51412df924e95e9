//! The dashboards under `dashboards/`: their form (our lint), every name in their queries, and what a real Prometheus answers to each query after it
//! scraped the demo. No Grafana is run here.

mod lint;
mod live;
mod promql;
mod sdk;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use soakwatch::metrics::catalogue::{CHECKS, I, OWN, Type};

use crate::support::daemon::{output, soakwatch};
use crate::support::prometheus::installed;
use lint::{Variables, lint, list, panels, text};

/// The dashboards of the design; links and alerts name them.
const UIDS: [&str; 5] = ["sw-fleet", "sw-hypercare", "sw-integration", "sw-readiness", "sw-self"];
/// What Prometheus makes itself, with its labels beside `job` and `instance`.
const OF_PROMETHEUS: [(&str, &[&str]); 4] = [
    ("ALERTS", &["alertname", "alertstate", "severity", "scope", "customer", "environment", "integration"]),
    ("up", &[]),
    ("scrape_samples_scraped", &[]),
    ("scrape_duration_seconds", &[]),
];
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rules_file() -> PathBuf {
    root().join("deploy/prometheus/soakwatch.rules.yml")
}

/// All dashboards, by the name of their file.
fn dashboards() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(root().join("dashboards")).unwrap().map(|f| f.unwrap().path());
    let json = files.filter(|f| f.extension().is_some_and(|e| e == "json"));
    json.map(|f| (f.file_stem().unwrap().to_str().unwrap().to_owned(), serde_json::from_slice(&std::fs::read(f).unwrap()).unwrap()))
        .collect()
}

fn variables(all: &BTreeMap<String, Value>) -> Variables {
    all.iter().map(|(uid, d)| (uid.clone(), lint::variables(d))).collect()
}

/// A query of a panel or an annotation.
struct Query<'d> {
    /// `uid: title ref`.
    place: String,
    expr: &'d str,
    /// The panel; an annotation is its own.
    of: &'d Value,
    target: &'d Value,
}

fn queries<'d>(uid: &str, dashboard: &'d Value) -> Vec<Query<'d>> {
    let of_panels = panels(dashboard)
        .into_iter()
        .flat_map(|p| list(&p["targets"]).iter().map(move |t| (p, t, format!("{} {}", text(p, "title"), text(t, "refId")))));
    let annotations = list(&dashboard["annotations"]["list"]).iter().filter(|a| a["expr"].is_string());
    let of_annotations = annotations.map(|a| (a, a, format!("annotation {}", text(a, "name"))));
    let query = |(of, target, place)| Query { place: format!("{uid}: {place}"), expr: text(target, "expr"), of, target };
    of_panels.chain(of_annotations).map(query).collect()
}

/// The metric, and the label asked for, of each variable.
fn of_variables(dashboard: &Value) -> Vec<(&str, &str)> {
    let all = list(&dashboard["templating"]["list"]).iter().filter(|v| text(v, "type") == "query");
    all.map(|v| promql::label_values(text(v, "definition")).unwrap_or_else(|| panic!("{v}"))).collect()
}

#[test]
fn the_five_are_there_in_one_stable_form() {
    let all = dashboards();
    assert!(all.keys().eq(UIDS.iter()), "{:?}", all.keys());
    for (name, dashboard) in &all {
        assert_eq!(text(dashboard, "uid"), name);
        let (file, pretty) = (root().join(format!("dashboards/{name}.json")), serde_json::to_string_pretty(dashboard).unwrap() + "\n");
        if std::env::var_os("SOAKWATCH_BLESS").is_some() {
            std::fs::write(&file, &pretty).unwrap();
        }
        assert!(std::fs::read_to_string(&file).unwrap() == pretty, "{name}.json is not in its stable form: SOAKWATCH_BLESS=1 writes it");
    }
}

#[test]
fn the_lint_finds_nothing() {
    let all = dashboards();
    let said: Vec<String> =
        all.iter().flat_map(|(uid, d)| lint(d, &variables(&all)).into_iter().map(move |c| format!("{uid}: {c}"))).collect();
    assert!(said.is_empty(), "{said:#?}");
}

/// A fault: the rule that has to find it, where (a JSON pointer), and what is put there.
fn faults() -> Vec<(&'static str, &'static str, Value)> {
    let other = json!({"type": "prometheus", "uid": "P1809F7CD0C75ACF3"});
    vec![
        ("schema-version", "/schemaVersion", json!(42)),
        ("uneditable", "/editable", json!(true)),
        ("tag", "/tags", json!(["other"])),
        ("dashboard-title", "/description", json!("")),
        ("refresh", "/refresh", json!("")),
        ("links-keep", "/links/0/keepTime", json!(false)),
        ("links-keep", "/links", json!([])),
        ("annotations", "/annotations/list/1/name", json!("Other")),
        ("datasource-uid", "/annotations/list/1/datasource", other.clone()),
        ("datasource-uid", "/panels/0/datasource", other.clone()),
        ("datasource-uid", "/panels/0/targets/0/datasource", other.clone()),
        ("datasource-uid", "/templating/list/1/datasource", other),
        ("datasource-variable", "/templating/list/0/query", json!("loki")),
        ("variable-refresh", "/templating/list/1/refresh", json!(1)),
        ("variable-label", "/templating/list/1/label", json!("")),
        ("variable-query", "/templating/list/1/query/query", json!("label_values(up, job)")),
        ("variable-used", "/templating/list/1/name", json!("unused")),
        ("panel-id", "/panels/1/id", json!(1)),
        ("panel-type", "/panels/0/type", json!("graph")),
        ("panel-title", "/panels/0/title", json!(" ")),
        ("panel-description", "/panels/0/description", json!("Only says what it is.")),
        ("panel-targets", "/panels/0/targets", json!([])),
        ("panel-targets", "/panels/0/targets/0/expr", json!("")),
        ("panel-targets", "/panels/0/type", json!("text")),
        ("panel-units", "/panels/0/fieldConfig/defaults/unit", json!("")),
        ("ref-id", "/panels/7/targets/1/refId", json!("A")),
        ("table-query", "/panels/7/targets/0/instant", json!(false)),
        ("rate-interval", "/panels/0/targets/0/expr", json!("sum(rate(soakwatch_runs_total[5m]))")),
        ("rate-interval", "/panels/0/targets/0/expr", json!("sum(increase(soakwatch_runs_total[$__interval]))")),
        ("thresholds", "/panels/0/fieldConfig/defaults/thresholds/steps", json!([{"color": "red", "value": 1}])),
        ("state-by-text", "/panels/5/fieldConfig/defaults/mappings/0/options/0/text", json!("")),
        ("state-by-text", "/panels/6/fieldConfig/defaults/mappings", json!([])),
        ("link-target", "/panels/6/fieldConfig/defaults/links/0/url", json!("/d/other?var-datasource=${datasource}&${__url_time_range}")),
        (
            "link-target",
            "/panels/6/fieldConfig/defaults/links/0/url",
            json!("/d/sw-fleet?var-datasource=${datasource}&var-x=1&${__url_time_range}"),
        ),
        ("links-keep", "/panels/6/fieldConfig/defaults/links/0/url", json!("/d/sw-fleet?var-datasource=${datasource}&x=1")),
        ("grid", "/panels/1/gridPos/x", json!(1)),
        ("grid", "/panels/5/gridPos/x", json!(22)),
    ]
}

#[test]
fn the_lint_finds_each_fault_that_is_put_in() {
    let all = dashboards();
    let known = variables(&all);
    for (rule, place, fault) in faults() {
        let mut broken = all["sw-fleet"].clone();
        *broken.pointer_mut(place).unwrap_or_else(|| panic!("{place} is not there")) = fault;
        let said = lint(&broken, &known);
        assert!(said.iter().any(|c| c.starts_with(&format!("{rule}: "))), "{rule} at {place}: {said:?}");
    }
}

/// The labels of a metric as dashboards may use it; `None`: there is no such metric.
fn labels(metric: &str) -> Option<BTreeSet<&'static str>> {
    let with = |more: &[&'static str]| Some(more.iter().copied().chain(["job", "instance"]).collect());
    if metric.starts_with("integration:") {
        return recorded().contains(metric).then(|| I.iter().copied().collect());
    }
    if let Some((_, of)) = OF_PROMETHEUS.iter().find(|(name, _)| *name == metric) {
        return with(of);
    }
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| metric.strip_suffix(s)).unwrap_or(metric);
    let family = CHECKS.iter().chain(OWN).find(|f| f.name == base && (f.kind == Type::Histogram) == (base != metric))?;
    with(&[family.labels, if metric.ends_with("_bucket") { &["le"] } else { &[] }].concat())
}

/// The names of the recording rules.
fn recorded() -> BTreeSet<String> {
    let rules = std::fs::read_to_string(rules_file()).unwrap();
    rules
        .lines()
        .filter_map(|l| l.trim().trim_start_matches("- ").strip_prefix("record: "))
        .map(|r| r.trim_matches(['"', '\'']).to_owned())
        .collect()
}

/// What is wrong with the names in an expression; `shown`: labels that a legend names.
fn unknown_names(expr: &str, shown: &BTreeSet<String>) -> Vec<String> {
    let names = promql::names(expr);
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for (metric, selected) in &names.metrics {
        let Some(labels) = labels(metric) else {
            wrong.push(format!("there is no metric {metric}"));
            continue;
        };
        wrong.extend(selected.iter().filter(|l| !labels.contains(l.as_str())).map(|l| format!("{metric} has no label {l}")));
        known.extend(labels);
    }
    let free = names.grouped.iter().chain(shown).filter(|l| !known.contains(l.as_str()));
    wrong.extend(free.map(|l| format!("no metric here has the label {l}")));
    wrong
}

/// The labels that a legend or a text names as `{{label}}`.
fn shown(text: &str) -> BTreeSet<String> {
    text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim().to_owned())).collect()
}

#[test]
fn every_metric_and_label_is_one_there_is() {
    for (uid, dashboard) in dashboards() {
        for q in queries(&uid, &dashboard) {
            let legend = ["legendFormat", "titleFormat", "textFormat"].map(|key| text(q.target, key)).concat();
            assert_eq!(unknown_names(q.expr, &shown(&legend)), [""; 0], "{}", q.place);
        }
        for (selector, label) in of_variables(&dashboard) {
            assert_eq!(unknown_names(selector, &BTreeSet::from([label.to_owned()])), [""; 0], "{uid}: {selector}");
        }
    }
    // And it finds what is not there.
    let none = BTreeSet::new();
    assert_eq!(
        unknown_names("sum by (x) (soakwatch_runs_totl)", &none),
        ["there is no metric soakwatch_runs_totl", "no metric here has the label x"]
    );
    assert_eq!(
        unknown_names("soakwatch_go_live_timestamp_seconds{integration=\"a\"}", &none),
        ["soakwatch_go_live_timestamp_seconds has no label integration"]
    );
    assert_eq!(unknown_names("soakwatch_throttle_wait_seconds", &none), ["there is no metric soakwatch_throttle_wait_seconds"]);
    assert_eq!(unknown_names("up", &shown("{{job}} {{gone}}")), ["no metric here has the label gone"]);
}

/// What promtool says of rules with these expressions.
fn check_rules(program: &Path, expressions: &[String]) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let rules: Vec<Value> =
        expressions.iter().enumerate().map(|(n, e)| json!({"record": format!("dashboard:expression:{n}"), "expr": e})).collect();
    // JSON is YAML.
    file.write_all(json!({"groups": [{"name": "dashboards", "rules": rules}]}).to_string().as_bytes()).unwrap();
    let done = Command::new(program).args(["check", "rules"]).arg(file.path()).output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

#[test]
fn promtool_reads_every_expression() {
    let Some(program) = installed("promtool") else { return };
    let all = dashboards();
    let expressions: Vec<String> = all.iter().flat_map(|(uid, d)| queries(uid, d)).map(|q| promql::filled_in(q.expr, "1m")).collect();
    assert!(expressions.iter().all(|e| !e.contains('$')), "{expressions:#?}");
    let (content, said) = check_rules(&program, &expressions);
    assert!(content, "{said}");
    assert!(said.contains(&format!("{} rules", expressions.len())), "{said}");
    let (content, said) = check_rules(&program, &["sum(rate(up))".to_owned()]);
    assert!(!content, "{said}");
}

#[test]
fn alerts_lead_to_dashboards_there_are() {
    let known = variables(&dashboards());
    let rules = std::fs::read_to_string(rules_file()).unwrap();
    let links: BTreeSet<&str> = rules.lines().filter_map(|l| l.trim().strip_prefix("dashboard: '")?.strip_suffix('\'')).collect();
    assert!(links.len() >= 3, "{links:?}");
    for link in links {
        let (uid, query) = link.strip_prefix("/d/").map(|l| l.split_once('?').unwrap_or((l, ""))).unwrap();
        let set: BTreeSet<&str> = query.split('&').filter_map(|p| Some(p.strip_prefix("var-")?.split_once('=')?.0)).collect();
        let variables = known.get(uid).unwrap_or_else(|| panic!("{link} leads nowhere"));
        assert!(set.iter().all(|v| variables.contains(*v)), "{link} sets what {uid} does not have");
    }
}

/// The keys of a YAML file, as lines without their indentation.
fn lines(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    text.lines().map(|l| l.trim().trim_start_matches("- ").to_owned()).collect()
}

#[test]
fn grafana_is_told_where_they_are_and_not_to_change_them() {
    let (boards, source) =
        (lines("deploy/grafana/provisioning/dashboards/soakwatch.yml"), lines("deploy/grafana/provisioning/datasources/soakwatch.yml"));
    let place = boards.iter().find_map(|l| l.strip_prefix("path: ")).unwrap();
    let compose = lines("deploy/compose/compose.yml");
    for (file, line) in [
        (&boards, "folder: Soakwatch"),
        (&boards, "allowUiUpdates: false"),
        (&boards, "disableDeletion: true"),
        (&source, "type: prometheus"),
        (&source, "url: $PROMETHEUS_URL"),
        (&compose, &format!("../../dashboards:{place}:ro")),
        (&compose, "../grafana/provisioning:/etc/grafana/provisioning:ro"),
    ] {
        assert!(file.iter().any(|l| l == line), "{line} is missing: {file:#?}");
    }
    // `$__rate_interval` is made of it.
    let interval =
        lines("deploy/compose/prometheus.yml").into_iter().find_map(|l| Some(l.strip_prefix("scrape_interval: ")?.to_owned())).unwrap();
    assert!(source.contains(&format!("timeInterval: {interval}")), "{interval}");
}

/// Words that stand behind `before` in a text.
fn words_behind<'t>(text: &'t str, before: &str) -> Vec<&'t str> {
    text.split(before)
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && !"-_/.".contains(c)).next().unwrap_or_default())
        .collect()
}

#[test]
fn what_descriptions_tell_to_run_and_to_read_is_there() {
    let help = String::from_utf8(output(soakwatch().arg("--help")).stdout).unwrap();
    let known: BTreeSet<&str> = help.lines().filter_map(|l| l.split_whitespace().next()).collect();
    for (uid, dashboard) in dashboards() {
        let said: Vec<&str> =
            panels(&dashboard).into_iter().flat_map(|p| [text(p, "description"), text(&p["options"], "content")]).collect();
        for command in said.iter().flat_map(|s| words_behind(s, "`soakwatch ")) {
            assert!(known.contains(command), "{uid}: there is no soakwatch {command}");
        }
        for page in said.iter().flat_map(|s| words_behind(s, "docs/")).filter(|p| p.ends_with(".md")) {
            assert!(root().join("docs").join(page).exists(), "{uid}: there is no docs/{page}");
        }
    }
}
