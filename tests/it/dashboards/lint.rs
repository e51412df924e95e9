//! Our own lint of Grafana dashboards: what docs of Grafana's dashboard-linter ask for, and what our design adds. Pure: a dashboard in, complaints out, each
//! with the name of its rule. Whether a query means anything is not judged here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::promql;

/// The kinds of panels we use; all of them are in every Grafana since 10.
const KINDS: [&str; 8] = ["alertlist", "bargauge", "row", "stat", "state-timeline", "table", "text", "timeseries"];
/// Those that ask no data source.
const WITHOUT_QUERY: [&str; 3] = ["alertlist", "row", "text"];
/// What stands before the action in a description.
const ACTION: &str = " To do: ";
/// The uid that every data source is named by.
const SOURCE: &str = "${datasource}";
/// The annotations of every dashboard, and those of dashboards about customers.
const ANNOTATIONS: [&str; 2] = ["Alerts", "Configuration changes"];
const OF_CUSTOMERS: [&str; 3] = ["Go-lives", "Incidents", "Maintenance"];

/// The variables of all dashboards, by uid: what links may set.
pub(super) type Variables = BTreeMap<String, BTreeSet<String>>;

/// Complaints, `rule: where: what`.
struct Complaints(Vec<String>);

impl Complaints {
    fn unless(&mut self, holds: bool, rule: &str, place: &str, what: impl std::fmt::Display) {
        if !holds {
            self.0.push(format!("{rule}: {place}: {what}"));
        }
    }
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// All panels, those inside of collapsed rows too.
pub(super) fn panels(dashboard: &Value) -> Vec<&Value> {
    list(&dashboard["panels"]).iter().flat_map(|p| std::iter::once(p).chain(list(&p["panels"]))).collect()
}

/// The names of a dashboard's variables.
pub(super) fn variables(dashboard: &Value) -> BTreeSet<String> {
    list(&dashboard["templating"]["list"]).iter().map(|v| text(v, "name").to_owned()).collect()
}

/// Judges one dashboard; `all`: what links may lead to.
pub(super) fn lint(dashboard: &Value, all: &Variables) -> Vec<String> {
    let mut c = Complaints(Vec::new());
    frame(&mut c, dashboard);
    sources(&mut c, "dashboard", dashboard);
    templating(&mut c, dashboard);
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for p in panels(dashboard) {
        let title = text(p, "title");
        c.unless(p["id"].as_u64().is_some_and(|id| id > 0 && ids.insert(id)), "panel-id", title, "an id of its own is missing");
        c.unless(titles.insert(title), "panel-title", title, "two panels have this title");
        panel(&mut c, title, p);
        links(&mut c, title, p, all);
    }
    grid(&mut c, list(&dashboard["panels"]));
    c.0
}

fn frame(c: &mut Complaints, d: &Value) {
    let place = text(d, "uid");
    c.unless(d["schemaVersion"] == 39, "schema-version", place, &d["schemaVersion"]);
    c.unless(d["editable"] == false, "uneditable", place, "editable has to be false");
    c.unless(list(&d["tags"]).iter().any(|t| t == "soakwatch"), "tag", place, "the tag soakwatch is missing");
    c.unless(
        !text(d, "title").is_empty() && !text(d, "description").is_empty(),
        "dashboard-title",
        place,
        "title or description is missing",
    );
    c.unless(!text(d, "refresh").is_empty() && d["graphTooltip"] == 1, "refresh", place, "refresh, or the shared crosshair, is missing");
    let carries = |l: &Value| l["includeVars"] == true && l["keepTime"] == true;
    c.unless(!list(&d["links"]).is_empty(), "links-keep", place, "no link leads to the other dashboards");
    list(&d["links"]).iter().for_each(|l| c.unless(carries(l), "links-keep", text(l, "title"), "includeVars and keepTime have to be true"));
    let there: BTreeSet<&str> = list(&d["annotations"]["list"]).iter().map(|a| text(a, "name")).collect();
    let of_customers = OF_CUSTOMERS.iter().filter(|_| variables(d).contains("customer"));
    for name in ANNOTATIONS.iter().chain(of_customers) {
        c.unless(there.contains(name), "annotations", place, format!("{name} are missing"));
    }
}

/// No data source but the variable, wherever one is named.
fn sources(c: &mut Complaints, place: &str, value: &Value) {
    match value {
        Value::Array(all) => all.iter().for_each(|v| sources(c, place, v)),
        // Grafana's own annotations come from Grafana.
        Value::Object(o) if o.get("builtIn") == Some(&1.into()) => {}
        Value::Object(o) => {
            let place = o.get("title").or(o.get("name")).and_then(Value::as_str).unwrap_or(place);
            if let Some(source) = o.get("datasource") {
                c.unless(
                    source["type"] == "prometheus" && source["uid"] == SOURCE,
                    "datasource-uid",
                    place,
                    format!("{source} is not {SOURCE}"),
                );
            }
            o.values().for_each(|v| sources(c, place, v));
        }
        _ => {}
    }
}

fn templating(c: &mut Complaints, d: &Value) {
    let place = text(d, "uid");
    let all = list(&d["templating"]["list"]);
    let source = all.iter().any(|v| text(v, "type") == "datasource" && text(v, "name") == "datasource" && text(v, "query") == "prometheus");
    c.unless(source, "datasource-variable", place, "a variable datasource of type prometheus is missing");
    for v in all.iter().filter(|v| text(v, "type") == "query") {
        let name = text(v, "name");
        c.unless(v["refresh"] == 2, "variable-refresh", name, "it has to be read again when the time changes");
        c.unless(!text(v, "label").is_empty(), "variable-label", name, "no label");
        c.unless(v["query"]["query"] == v["definition"], "variable-query", name, "query and definition differ");
    }
    let (defined, whole) = (variables(d), d.to_string());
    let used: BTreeSet<String> = promql::variables(&whole).into_iter().filter(|v| !v.starts_with("__")).collect();
    defined
        .symmetric_difference(&used)
        .for_each(|v| c.unless(false, "variable-used", v, "it is defined and not used, or used and not defined"));
}

fn panel(c: &mut Complaints, title: &str, p: &Value) {
    let kind = text(p, "type");
    c.unless(KINDS.contains(&kind), "panel-type", title, kind);
    c.unless(!title.trim().is_empty(), "panel-title", title, "no title");
    if kind == "row" {
        return;
    }
    let action = text(p, "description")
        .split_once(ACTION)
        .filter(|(says, action)| says.ends_with('.') && action.len() > 10 && action.ends_with('.'));
    c.unless(action.is_some(), "panel-description", title, format!("it has to end in{ACTION}and an action, as sentences"));
    let targets = list(&p["targets"]);
    if WITHOUT_QUERY.contains(&kind) {
        c.unless(targets.is_empty(), "panel-targets", title, "it can't show a query");
        return;
    }
    c.unless(!targets.is_empty(), "panel-targets", title, "no query");
    c.unless(p["datasource"]["uid"] == SOURCE, "datasource-uid", title, "no data source");
    let mut ids = BTreeSet::new();
    for t in targets {
        c.unless(!text(t, "refId").is_empty() && ids.insert(text(t, "refId")), "ref-id", title, "a refId of its own is missing");
        c.unless(t["datasource"]["uid"] == SOURCE, "datasource-uid", title, "a query has no data source");
        c.unless(!text(t, "expr").trim().is_empty(), "panel-targets", title, "an empty query");
        c.unless(kind != "table" || (t["format"] == "table" && t["instant"] == true), "table-query", title, "a table shows one moment");
        intervals(c, title, t);
    }
    let fields = &p["fieldConfig"];
    c.unless(!text(&fields["defaults"], "unit").is_empty(), "panel-units", title, "no unit");
    let properties = list(&fields["overrides"]).iter().flat_map(|o| list(&o["properties"]));
    let overridden = |id: &'static str| properties.clone().filter(move |q| q["id"] == id).map(|q| &q["value"]);
    std::iter::once(&fields["defaults"]["thresholds"]).chain(overridden("thresholds")).for_each(|t| thresholds(c, title, t));
    let mappings: Vec<&Value> = std::iter::once(&fields["defaults"]["mappings"]).chain(overridden("mappings")).flat_map(list).collect();
    let said = |m: &&Value| m["options"].as_object().is_some_and(|o| !o.is_empty() && o.values().all(|v| !text(v, "text").is_empty()));
    c.unless(mappings.iter().all(said), "state-by-text", title, "a value is mapped to a colour without a text");
    c.unless(kind != "state-timeline" || !mappings.is_empty(), "state-by-text", title, "states without texts");
}

fn thresholds(c: &mut Complaints, title: &str, t: &Value) {
    let steps = list(&t["steps"]);
    let values: Vec<f64> = steps.iter().skip(1).filter_map(|s| s["value"].as_f64()).collect();
    let whole = steps.first().is_some_and(|s| s["value"].is_null()) && values.len() + 1 == steps.len() && values.is_sorted();
    c.unless(whole, "thresholds", title, "steps have to rise from one without a value");
}

/// Rates over the interval that always holds enough samples; counts over a step that is at least a minute.
fn intervals(c: &mut Complaints, title: &str, target: &Value) {
    for (function, range) in promql::ranges(text(target, "expr")) {
        match (function.as_str(), range.as_str()) {
            ("rate" | "irate" | "deriv", range) => {
                c.unless(range == "$__rate_interval", "rate-interval", title, format!("{function} over {range}"));
            }
            (_, "$__interval") => {
                let step = text(target, "interval");
                c.unless(step.ends_with(['m', 'h', 'd']), "rate-interval", title, "$__interval needs a step of a minute or more");
            }
            _ => {}
        }
    }
}

/// Links inside of panels: to a dashboard there is, with the data source, the time, and variables it has.
fn links(c: &mut Complaints, title: &str, value: &Value, all: &Variables) {
    match value {
        Value::Array(inside) => inside.iter().for_each(|v| links(c, title, v, all)),
        Value::Object(o) => {
            if let Some(url) = o.get("url").and_then(Value::as_str) {
                let target = url.strip_prefix("/d/").and_then(|rest| rest.split_once('?'));
                let known = target.and_then(|(uid, query)| Some((all.get(uid)?, query)));
                c.unless(known.is_some(), "link-target", title, format!("{url} leads to no dashboard of ours"));
                let (variables, query) = known.unwrap_or((&EMPTY, ""));
                for part in query.split('&').filter_map(|p| p.strip_prefix("var-")?.split_once('=')) {
                    c.unless(variables.contains(part.0), "link-target", title, format!("{url} sets a variable that is not there"));
                }
                let keeps = query.contains("var-datasource=${datasource}&") && query.contains("${__url_time_range}");
                c.unless(keeps, "links-keep", title, format!("{url} has to keep data source and time"));
            }
            o.values().for_each(|v| links(c, title, v, all));
        }
        _ => {}
    }
}

static EMPTY: BTreeSet<String> = BTreeSet::new();

/// Every panel inside of the 24 columns, and none over another.
fn grid(c: &mut Complaints, panels: &[Value]) {
    let place = |p: &Value| {
        let n = |key: &str| p["gridPos"][key].as_u64();
        Some((n("x")?, n("y")?, n("w")?, n("h")?))
    };
    let mut taken = BTreeMap::new();
    for p in panels {
        let title = text(p, "title");
        let Some((x, y, w, h)) = place(p).filter(|(x, _, w, h)| x + w <= 24 && *w > 0 && *h > 0) else {
            c.unless(false, "grid", title, "no place inside of the 24 columns");
            continue;
        };
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            if let Some(other) = taken.insert(cell, title).filter(|other| *other != title) {
                c.unless(false, "grid", title, format!("it lies over {other:?}"));
                break;
            }
        }
    }
}
