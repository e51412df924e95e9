//! Every query of every dashboard on a real Prometheus that scrapes the demo whole, and beside it a daemon with what the demo does not have: messages that
//! arrive, a pace to wait for, an address and a configuration that are refused. Times are shortened: it scrapes and evaluates every second, and no rule waits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use soakwatch::clock::{Clock, monotonic};
use soakwatch::demo::{self, Estate};
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Outgoing, Scheme, sign};

use super::lint::{list, text};
use super::{Query, dashboards, of_variables, promql, queries, rules_file, shown};
use crate::support::daemon::{Daemon, post};
use crate::support::fake_api::{FakeApi, Reply};
use crate::support::prometheus::{Prometheus, installed};

/// Queries that can't return data here: `uid: title ref`, and why.
const WITHOUT_DATA: &[(&str, &str)] = &[];
/// How long it may take until all queries returned data.
const LIMIT: Duration = Duration::from_secs(150);
const SECRET: &str = "whsec_c2Vuc29yLWNhbmFyeS1zZWNyZXQtMTIzNDU2Nzg5MA==";

/// The recording rules and alerts as they are, but for their times.
fn rules() -> String {
    let sums = regex::Regex::new(r"\[\w+:5m\]").unwrap();
    let shorter = |line: &str| {
        let key = line.trim_start().trim_start_matches("- ");
        let to = |value: &str| line.replace(key, value);
        match key {
            k if k.starts_with("interval:") => to("interval: 1s"),
            k if k.starts_with("for:") => to("for: 0s"),
            // What is summed up every five minutes would begin in five minutes.
            _ => sums.replace_all(line, "[10m:1s]").into_owned(),
        }
    };
    let text = std::fs::read_to_string(rules_file()).unwrap();
    text.lines().map(|l| shorter(l) + "\n").collect()
}

/// What the daemon beside the demo watches.
fn beside(dir: &Path, api: &FakeApi) -> Daemon {
    std::fs::create_dir(dir.join("customers")).unwrap();
    std::fs::write(dir.join("secret"), SECRET).unwrap();
    let settings = "[server]\nlisten = \"127.0.0.1:0\"\n[receiver]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(dir.join("soakwatch.toml"), settings).unwrap();
    let integration = |id: &str| format!("[[integration]]\nid = \"{id}\"\nenvironment = \"production\"\nowner = \"vendor\"\n");
    let http = |id: &str, url: &str| {
        format!("[[integration.check]]\nid = \"{id}\"\nevery = \"1s\"\ntimeout = \"900ms\"\nhttp = {{ url = \"{url}\", redirects = 1 }}\n")
    };
    let customer = "[customer]\nid = \"beside\"\nname = \"Beside the demo\"\nallow_private = true\n".to_owned()
        + &integration("shared")
        + &["a", "b", "c"].map(|id| http(id, &api.url("/v1"))).concat()
        + &integration("refused")
        + &http("redirect", &api.url("/inside"))
        + &integration("orders")
        + "[[integration.check]]\nid = \"arrivals\"\nevery = \"2s\"\n[integration.check.webhook_arrival]\nscheme = \"standard-webhooks\"\n\
           secrets = { file = \"secret\" }\ngrace = \"1s\"\n";
    std::fs::write(dir.join("customers/beside.toml"), customer).unwrap();
    let daemon = Daemon::start(dir, &[]);
    // An alert about the monitor fires: its next configuration is refused.
    std::fs::write(dir.join("customers/broken.toml"), "broken").unwrap();
    daemon.signal("HUP");
    daemon
}

/// Sends one good message and one that is forged.
fn deliver(daemon: &Daemon, n: u64) {
    let log = daemon.log();
    let address: String =
        log.split_once("received on http://").unwrap().1.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    let url = format!("http://{address}/hooks/beside/production/orders");
    let id = format!("m{n}");
    let message = Outgoing { id: &id, method: "POST", url: &url, content_type: Some("application/json"), body: b"{}" };
    let signed = sign(Scheme::named("standard-webhooks").unwrap(), &[SecretValue::new(SECRET)], &message, Clock::System.now()).unwrap();
    let headers: Vec<(&str, &str)> = signed.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(post(&url, &headers, "{}").0, 200);
    assert_eq!(post(&url, &headers, "{ }").0, 401);
}

/// The series of an answer that have a number in them.
fn with_data(answer: &Value) -> Vec<&Value> {
    let number = |sample: &Value| sample[1].as_str().is_some_and(|s| s.parse::<f64>().is_ok_and(f64::is_finite));
    let has = |series: &&Value| number(&series["value"]) || list(&series["values"]).iter().any(number);
    list(answer).iter().filter(has).collect()
}

/// Asks as Grafana does; why there is no answer yet.
fn asked(server: &Prometheus, q: &Query<'_>) -> Result<Vec<Value>, String> {
    let expr = promql::filled_in(q.expr, "1m");
    let at = Clock::System.now().0.div_euclid(1000);
    let answer = match q.target["instant"] == true {
        true => server.ask("query", &[("query", &expr)]),
        false => server.ask("query_range", &[("query", &expr), ("start", &(at - 60).to_string()), ("end", &at.to_string()), ("step", "1")]),
    };
    let answer = answer.unwrap_or_else(|e| panic!("{}: {e}\n{expr}", q.place));
    let series: Vec<Value> = with_data(&answer).into_iter().cloned().collect();
    if series.is_empty() { Err(format!("{}: no data: {expr}", q.place)) } else { Ok(series) }
}

/// What is wrong with an answer that has data: a legend or a column names a label that is not there, or a share is more than all.
fn judged(q: &Query<'_>, series: &[Value]) -> Vec<String> {
    let labels: BTreeSet<&str> = series.iter().flat_map(|s| s["metric"].as_object().unwrap().keys().map(String::as_str)).collect();
    let legend = ["legendFormat", "titleFormat"].map(|key| text(q.target, key)).concat();
    let missing = shown(&legend).into_iter().filter(|l| !labels.contains(l.as_str()));
    let mut wrong: Vec<String> = missing.map(|l| format!("{}: the answer has no label {l}, only {labels:?}", q.place)).collect();
    if q.of["fieldConfig"]["defaults"]["unit"] == "percentunit" && q.of["type"] != "table" {
        let samples = series.iter().flat_map(|s| list(&s["values"]).iter().chain(std::iter::once(&s["value"])));
        let too_much = samples.filter_map(|s| s[1].as_str()?.parse::<f64>().ok()).find(|v| *v > 1.000_1);
        wrong.extend(too_much.map(|v| format!("{}: {v} as a share of 1", q.place)));
    }
    wrong
}

/// The columns that a table's `organize` names and that are in none of its answers.
fn columns(of: &Value, answers: &[(String, BTreeSet<String>)]) -> Vec<String> {
    let organize = list(&of["transformations"]).iter().find(|t| t["id"] == "organize").map(|t| &t["options"]);
    let named =
        ["indexByName", "renameByName", "excludeByName"].iter().flat_map(|key| organize.into_iter().filter_map(|o| o[*key].as_object()));
    let single = answers.len() == 1;
    let value = |r: &str| if single { "Value".to_owned() } else { format!("Value #{r}") };
    let there: BTreeSet<String> =
        answers.iter().flat_map(|(r, labels)| labels.iter().cloned().chain([value(r)])).chain(["Time".to_owned()]).collect();
    named.flat_map(|o| o.keys()).filter(|c| !there.contains(*c)).map(|c| format!("{}: no column {c}", text(of, "title"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_returns_data_from_a_prometheus_that_scrapes_the_demo() {
    let Some(program) = installed("prometheus") else { return };
    let clock = Clock::System;
    let estate = Estate::start(&clock).await.unwrap();
    let running = demo::watch(&estate, "127.0.0.1:0".parse().unwrap(), clock, Arc::new(OwnMetrics::new().unwrap())).await.unwrap();
    let demo = running.address.to_string();
    tokio::task::spawn_blocking(move || all_return_data(&program, &demo)).await.unwrap();
    running.stop().await.unwrap();
    estate.stop().await;
}

fn all_return_data(program: &Path, demo: &str) {
    let api = FakeApi::start(|seen| {
        if seen.path == "/inside" {
            return Reply::status(302).header("location", "http://169.254.169.254/latest");
        }
        let left = 3_600u64.saturating_sub(seen.number * 100);
        Reply::json("{}").header("ratelimit-policy", "\"minute\";q=3600;w=60").header("ratelimit", format!("\"minute\";r={left};t=60"))
    });
    let dir = tempfile::tempdir().unwrap();
    let daemon = beside(dir.path(), &api);
    let server = Prometheus::start(program, &[demo, daemon.url.trim_start_matches("http://")], &rules());
    let all = dashboards();
    let queries: Vec<Query<'_>> = all.iter().flat_map(|(uid, d)| queries(uid, d)).collect();
    let excused = |q: &&Query<'_>| WITHOUT_DATA.iter().any(|(place, _)| *place == q.place);
    let (without, mut open): (Vec<&Query<'_>>, Vec<&Query<'_>>) = queries.iter().partition(excused);
    let asked_for = open.len();

    let (began, mut wrong, mut answers) = (monotonic(), Vec::new(), BTreeMap::<String, Vec<(String, BTreeSet<String>)>>::new());
    for n in 0.. {
        deliver(&daemon, n);
        let mut missing = Vec::new();
        open.retain(|q| match asked(&server, q) {
            Ok(series) => {
                // In its first seconds an estimate of Prometheus may be more than all there is: it must become right, as data must come.
                let faults = judged(q, &series);
                if !faults.is_empty() {
                    missing.extend(faults);
                    return true;
                }
                let labels = series.iter().flat_map(|s| s["metric"].as_object().unwrap().keys().cloned()).collect();
                answers.entry(q.of.to_string()).or_default().push((text(q.target, "refId").to_owned(), labels));
                false
            }
            Err(why) => {
                missing.push(why);
                true
            }
        });
        if open.is_empty() {
            break;
        }
        assert!(began.elapsed() < LIMIT, "still without data: {missing:#?}\n{}\n{wrong:#?}", server.log());
        std::thread::sleep(Duration::from_secs(1));
    }
    println!("{asked_for} queries returned data after {:?}, {} could not", began.elapsed(), without.len());
    let back = without.iter().filter(|q| asked(&server, q).is_ok());
    wrong.extend(back.map(|q| format!("{}: it has data now: take it out of WITHOUT_DATA", q.place)));
    for (panel, answers) in answers {
        wrong.extend(columns(&serde_json::from_str(&panel).unwrap(), &answers));
    }
    for (uid, dashboard) in &all {
        for (selector, label) in of_variables(dashboard) {
            let series = server.ask("series", &[("match[]", &promql::filled_in(selector, "1m"))]).unwrap();
            if !list(&series).iter().any(|s| s[label].is_string()) {
                wrong.push(format!("{uid}: the variable of {label} in {selector} has no values"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(server.ask("query", &[("query", "sum(")]).is_err(), "what is no PromQL is refused");
}
