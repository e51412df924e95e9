//! The page of hypercare: what is broken now, whose it most likely is, what to do and who is on it; what has one cause; how every environment that is live
//! stands, and what ends next. And the same as JSON. Reads what others found; judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query as QueryOf, State};
use axum::response::Response;
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

use super::api::{Problem, json_bytes};
use super::page::{age, ahead, moment, page, problem_page, refresh_link, refreshes, words};
use super::page_incident::{acknowledged, href, owner_words, severity_badge};
use super::{Query, ServerState, Shared};
use crate::attribution::remediation;
use crate::checkpoint::{Answered, Passed};
use crate::clock::UnixMs;
use crate::hypercare::{Answer, Expiry, Reach};
use crate::incident::cause::causes;
use crate::incident::shown::{CauseShown, IncidentShown};
use crate::incident::{CommonCause, Incident};
use crate::soak::percent;

/// Open incidents shown, the worst first.
const MOST_OPEN: usize = 100;
/// Environments shown.
const MOST_ENVIRONMENTS: usize = 500;
/// Things that end, the next first.
const MOST_EXPIRIES: usize = 12;

/// What is shown of an integration beside its incident.
pub(super) struct About {
    pub(super) name: String,
    pub(super) customer: String,
    pub(super) runbook: Option<String>,
    pub(super) contact: Option<String>,
}

/// What the page shows.
struct View {
    open: Vec<Arc<Incident>>,
    causes: Vec<CommonCause>,
    environments: Vec<Arc<Answered>>,
    about: BTreeMap<String, About>,
}

/// What is known of integrations: those asked for.
pub(super) fn about(state: &ServerState, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, About> {
    state.board.read(|all| {
        let of = |i: &crate::board::IntegrationEntry| About {
            name: i.def.name.clone(),
            customer: i.def.customer_name.clone(),
            runbook: i.def.runbook.as_ref().map(ToString::to_string),
            contact: i.def.contact.clone(),
        };
        all.iter().filter(|i| wanted(i.def.id.as_str())).map(|i| (i.def.id.to_string(), of(i))).collect()
    })
}

fn look(state: &ServerState) -> View {
    let all = state.incidents.all();
    let causes = causes(all.iter().filter(|i| i.is_open()).map(Arc::as_ref));
    let mut open: Vec<Arc<Incident>> = all.into_iter().filter(|i| i.is_open()).collect();
    open.sort_by_key(|i| (i.severity, i.first_bad));
    let environments = state.checkpoints.all();
    let about = about(state, |_| true);
    View { open, causes, environments, about }
}

/// `/api/v1/hypercare`.
#[derive(Serialize, JsonSchema)]
pub(super) struct Shown<'a> {
    now: String,
    open_incidents: Vec<IncidentShown>,
    common_causes: Vec<CauseShown>,
    environments: Vec<&'a Answered>,
}

/// `/api/v1/hypercare`: what the page shows (docs/hypercare.md has the keys).
pub(super) async fn json(State(shared): State<Shared>) -> Result<Response, Problem> {
    let work = tokio::task::spawn_blocking(move || {
        let (view, now) = (look(&shared.state), shared.state.clock.now());
        let runbook = |i: &Incident| view.about.get(i.integration.as_str()).and_then(|a| a.runbook.clone());
        serde_json::to_vec(&Shown {
            now: now.to_string(),
            open_incidents: view.open.iter().map(|i| IncidentShown::of(i, runbook(i), &view.causes)).collect(),
            common_causes: view.causes.iter().map(Into::into).collect(),
            environments: view.environments.iter().map(Arc::as_ref).collect(),
        })
    });
    json_bytes(work.await)
}

pub(super) async fn html(State(shared): State<Shared>, QueryOf(query): Query) -> Response {
    let (inner, refresh) = (shared.clone(), refreshes(&query));
    let work = tokio::task::spawn_blocking(move || {
        let (view, now) = (look(&inner.state), inner.state.clock.now());
        let title = if view.open.is_empty() { "Hypercare".to_owned() } else { format!("{} open: hypercare", view.open.len()) };
        page(&inner, &title, refresh, &body(&view, refresh, now))
    });
    work.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "the page of hypercare could not be made");
        problem_page(&shared, &Problem::ours("the page could not be made"))
    })
}

fn body(view: &View, refresh: bool, now: UnixMs) -> Markup {
    html! {
        p.small { a href="/" { "All integrations" } " / hypercare" }
        div.head { h1 { "Hypercare" } span.soft { (tally(view)) } }
        p.soft.small { "As JSON: " a href="/api/v1/hypercare" { "/api/v1/hypercare" } ". For the daily report: " code { "soakwatch checkpoint CUSTOMER/ENVIRONMENT" } "." }
        p.small.jumps { a href="#broken" { "Broken now" } a href="#environments" { "Since go-live" } a href="#ends" { "What ends next" } (refresh_link(refresh)) }
        section aria-labelledby="broken" {
            h2 #broken { "Broken now" }
            @if view.open.is_empty() {
                div.card.empty { p { "Nothing is broken: no incident is open." } }
            } @else {
                (common(view, now))
                @for i in view.open.iter().take(MOST_OPEN) { (broken(i, view, now)) }
                @if view.open.len() > MOST_OPEN {
                    p role="status" { b { "And " (view.open.len() - MOST_OPEN) " more." } " The first " (MOST_OPEN) " are shown, worst first; " a href="/api/v1/incidents?open" { "all of them as JSON" } "." }
                }
            }
        }
        section aria-labelledby="environments" {
            h2 #environments { "Since go-live" }
            (environments(view, now))
        }
        (expiries(view, now))
    }
}

fn tally(view: &View) -> String {
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    view.open.iter().for_each(|i| *by.entry(i.severity.as_str()).or_default() += 1);
    let each: Vec<String> = by.iter().map(|(severity, n)| format!("{n} {severity}")).collect();
    let open = if each.is_empty() { "no open incident".to_owned() } else { format!("open incidents: {}", each.join(", ")) };
    let n = view.environments.len();
    format!("{open}; {n} {} live", if n == 1 { "environment is" } else { "environments are" })
}

fn common(view: &View, now: UnixMs) -> Markup {
    html! {
        @for cause in &view.causes {
            div.card.pad.cause {
                p { b { "Most likely one cause: " (cause.host) } " · " (words(cause.class.as_str())) " since " (moment(Some(cause.since), now, "")) }
                p { (cause.incidents.len()) " incidents: "
                    @for (n, id) in cause.incidents.iter().enumerate() { @if n > 0 { ", " } a href=(href(id)) { (name_of(id, view)) } }
                }
            }
        }
    }
}

fn name_of(id: &str, view: &View) -> String {
    let incident = view.open.iter().find(|i| i.id == id);
    incident.and_then(|i| view.about.get(i.integration.as_str())).map_or_else(|| id.to_owned(), |a| format!("{}: {}", a.customer, a.name))
}

/// One open incident: what, whose, since when, what to do, who is on it.
fn broken(i: &Incident, view: &View, now: UnixMs) -> Markup {
    let about = view.about.get(i.integration.as_str());
    let checks: Vec<&str> = i.checks.iter().filter(|c| c.open).map(|c| c.check.check()).collect();
    html! {
        article.card.pad.incident aria-label=(format!("{} incident of {}", i.severity, i.integration)) {
            div.head {
                (severity_badge(i.severity))
                h3 { a href=(href(&i.id)) { (about.map_or_else(|| i.integration.to_string(), |a| a.name.clone())) } }
                span.soft.small { (i.integration) }
            }
            p { b { (words(i.class.as_str())) } " · " (words(i.attribution.as_str())) " · " (owner_words(i.owner)) " · since " (moment(Some(i.first_bad), now, ""))
                @if !checks.is_empty() { " · " @for c in &checks { span.tag { (c) } " " } } }
            p { (remediation(i.class, i.attribution, i.owner)) }
            p.small {
                (acknowledged(i, now))
                @if let Some(runbook) = about.and_then(|a| a.runbook.as_ref()) { " · " a href=(runbook) rel="noreferrer noopener" { "Runbook" } }
                @if let Some(contact) = about.and_then(|a| a.contact.as_ref()) { " · contact " (contact) }
                " · " a href=(format!("/integrations/{}", i.integration)) { "Integration" }
            }
        }
    }
}

/// The answer as symbol and word.
pub(super) fn answer_badge(answer: Answer) -> Markup {
    let (class, symbol) = match answer {
        Answer::ReadyForHandoff => ("a-go", "✓"),
        Answer::NotYet => ("a-not_yet", "…"),
        Answer::NotReady => ("a-no_go", "✕"),
    };
    html! { span class=(format!("badge {class}")) { i aria-hidden="true" { (symbol) } (words(answer.as_str())) } }
}

fn environments(view: &View, now: UnixMs) -> Markup {
    html! {
        @if view.environments.is_empty() {
            div.card.empty { p { "No environment is live, or they are still being counted." } p.soft { "An environment is live from the go_live of its first integration on." } }
        } @else {
            div.card { table.list role="table" {
                caption { "Numbers are those of the worst judged check of the worst integration. Days are counted since the newest go-live."
                    @if let Some(a) = view.environments.first() { " Counted at " (a.as_of) "; counted anew every half minute, in large estates more rarely." } }
                thead { tr {
                    th scope="col" { "Exit" } th scope="col" { "Environment" } th.num scope="col" { "Day" } th.num scope="col" { "24 h" } th.num scope="col" { "Burn 6 h" }
                    th.num scope="col" { "Budget left, 30 days" } th scope="col" { "What holds it back" } th scope="col" { "Next to end" }
                } }
                tbody { @for a in view.environments.iter().take(MOST_ENVIRONMENTS) { (environment(a, view, now)) } }
            } }
        }
    }
}

fn environment(a: &Answered, view: &View, now: UnixMs) -> Markup {
    let standings = || a.integrations.iter().filter_map(|p| p.standing.as_ref());
    let least = |numbers: Vec<f64>| numbers.into_iter().min_by(f64::total_cmp);
    let day = a.integrations.iter().filter_map(|p| p.day).min();
    let success = least(standings().filter_map(|s| s.windows.get(&Reach::Day)?.success_ratio).collect());
    let burn = standings().filter_map(|s| *s.burn.get("6h")?).max_by(f64::total_cmp);
    let budget = least(standings().filter_map(|s| Some(s.budget_30d.as_ref()?.left)).collect());
    let (customer, environment) = a.environment.split_once('/').unwrap_or_default();
    let name =
        view.about.iter().find(|(id, _)| id.starts_with(&format!("{}/", a.environment))).map_or(customer, |(_, about)| &about.customer);
    let ends = a.integrations.iter().flat_map(next_ends).min_by_key(|e| e.at_ms);
    html! {
        tr role="row" {
            td.state role="cell" { (answer_badge(a.answer)) }
            th scope="row" role="rowheader" { a href=(format!("/readiness/{}", a.environment)) { (name) ", " (environment) } div.small.soft { (a.integrations.len()) @if a.integrations.len() == 1 { " integration" } @else { " integrations" } } }
            td.num role="cell" data-label="Day" { @match day { Some(d) => (d), None => span.none { "–" } } }
            td.num role="cell" data-label="24 h" { (super::page::percent(success)) }
            td.num role="cell" data-label="Burn 6 h" { @match burn { Some(x) => span class=[(x > 6.0).then_some("low")] { (format!("{x:.1}")) }, None => span.none { "–" } } }
            td.num role="cell" data-label="Budget left" { @match budget {
                Some(left) if left <= 0.0 => span.low { "none left" },
                Some(left) => span class=[(left <= 0.25).then_some("soon")] { (percent(left)) },
                None => span.none { "no data" },
            } }
            td.why role="cell" data-label="What holds it back" { (reasons(a)) }
            td role="cell" data-label="Next to end" { @match ends { Some(e) => (end_of(e, now)), None => span.none { "nothing seen" } } }
        }
    }
}

/// The first few things that hold it back; all of them are on the page of the gate and in JSON.
fn reasons(a: &Answered) -> Markup {
    const MOST: usize = 3;
    // Every one is of this environment.
    let below = format!("{}/", a.environment);
    let all: Vec<String> = a.obstacles().iter().map(|why| why.replacen(&below, "", 1)).collect();
    html! {
        @if all.is_empty() { p { "Nothing: hypercare may end. " code { "soakwatch handoff " (a.environment) } } }
        @else if all.len() <= MOST { ul.reasons { @for why in &all { li { (why) } } } }
        @else {
            ul.reasons { @for why in all.iter().take(MOST) { li { (why) } } }
            details { summary { "and " (all.len() - MOST) " more" } ul.reasons { @for why in all.iter().skip(MOST) { li { (why) } } } }
        }
    }
}

fn next_ends(p: &Passed) -> impl Iterator<Item = &Expiry> {
    p.standing.iter().filter_map(|s| s.expiries.as_ref()).flatten()
}

fn end_of(e: &Expiry, now: UnixMs) -> Markup {
    let at = UnixMs(e.at_ms);
    let soon = at.0.saturating_sub(now.0) < 30 * crate::clock::DAY_MS;
    html! { (words(e.what.as_str())) " of " (e.of) " " time.nowrap datetime=(e.at) class=[soon.then_some("soon")] {
        @if at < now { "ended " (age(at, now)) } @else { (ahead(at, now)) }
    } }
}

fn expiries(view: &View, now: UnixMs) -> Markup {
    let mut all: Vec<(&str, &Expiry)> = Vec::new();
    for p in view.environments.iter().flat_map(|a| &a.integrations) {
        all.extend(next_ends(p).map(|e| (p.integration.as_str(), e)));
    }
    all.sort_by_key(|(id, e)| (e.at_ms, *id));
    html! {
        section aria-labelledby="ends" {
            h2 #ends { "What ends next" }
            @if all.is_empty() { div.card.empty { p { "Nothing that ends was seen." } } } @else {
                div.card.pad { ul.ends { @for (id, e) in all.iter().take(MOST_EXPIRIES) { li { a href=(format!("/integrations/{id}")) { (id) } ": " (end_of(e, now)) } } } }
            }
        }
    }
}
