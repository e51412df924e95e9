//! The page of one incident: what is known of it, what to do, the checks it hit, the runs that show it, what happened, and how to say that one is on it.

use std::sync::Arc;

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use maud::{Markup, html};

use super::api::Problem;
use super::incidents::{find, no_such};
use super::page::{clock_time, moment, page, problem_page, refresh_link, refreshes, words};
use super::page_detail::fact;
use super::page_hypercare::{About, about};
use super::page_run;
use super::{Query, Shared};
use crate::attribution::remediation;
use crate::clock::UnixMs;
use crate::incident::cause::causes;
use crate::incident::{CommonCause, Incident, Severity};
use crate::outcome::Owner;
use crate::soak::seconds;

/// The way to an incident's page. Ids need no escaping.
pub(super) fn href(id: &str) -> String {
    format!("/incidents/{id}")
}

/// A severity as symbol and word.
pub(super) fn severity_badge(severity: Severity) -> Markup {
    let symbol = match severity {
        Severity::P1 => "▲▲",
        Severity::P2 => "▲",
        Severity::P3 => "△",
        Severity::P4 => "▽",
    };
    html! { span class=(format!("badge p-{severity}")) { i aria-hidden="true" { (symbol) } (severity) } }
}

/// Who owns the far side, in a word or two.
pub(super) fn owner_words(owner: Owner) -> &'static str {
    match owner {
        Owner::Customer => "the customer's side",
        Owner::Vendor => "the vendor's side",
        Owner::Partner => "the partner's side",
        Owner::Us => "our side",
    }
}

/// Who is on it.
pub(super) fn acknowledged(i: &Incident, now: UnixMs) -> Markup {
    html! {
        @match &i.acknowledged {
            Some((by, at)) => { "Acknowledged by " b { (by) } " " (moment(Some(*at), now, "")) },
            None if i.is_open() => b.low { "Nobody is on it yet" },
            None => "Never acknowledged",
        }
    }
}

pub(super) async fn html(State(shared): State<Shared>, Path(id): Path<String>, QueryOf(query): Query) -> Response {
    let (inner, refresh) = (shared.clone(), refreshes(&query));
    // It may have to be read from the store.
    let work = tokio::task::spawn_blocking(move || {
        let (state, now) = (&inner.state, inner.state.clock.now());
        let Some(incident) = find(state, &id) else { return problem_page(&inner, &no_such(state, &id)) };
        let all = state.incidents.all();
        let cause = causes(all.iter().map(Arc::as_ref)).into_iter().find(|c| c.incidents.contains(&incident.id));
        let about = about(state, |id| id == incident.integration.as_str()).remove(incident.integration.as_str());
        let title = format!("{} {}", incident.severity, incident.integration);
        page(&inner, &title, refresh && incident.is_open(), &body(&incident, about.as_ref(), cause.as_ref(), (refresh, now)))
    });
    work.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "the page of an incident could not be made");
        problem_page(&shared, &Problem::ours("the page could not be made"))
    })
}

fn body(i: &Incident, about: Option<&About>, cause: Option<&CommonCause>, (refresh, now): (bool, UnixMs)) -> Markup {
    let name = about.map_or_else(|| i.integration.to_string(), |a| a.name.clone());
    let api = format!("/api/v1/incidents/{}", i.id);
    html! {
        p.small { a href="/" { "All integrations" } " / " a href="/hypercare" { "hypercare" } " / incident" }
        div.head {
            h1 { (name) }
            (severity_badge(i.severity))
            @if i.is_open() { span.badge.s-failing { i aria-hidden="true" { "✕" } "open" } } @else { span.badge.s-passing { i aria-hidden="true" { "✓" } "closed" } }
        }
        p.soft.small { "Incident " code { (i.id) } " of "
            @if about.is_some() { a href=(format!("/integrations/{}", i.integration)) { (i.integration) } } @else { (i.integration) " (no longer configured)" }
            ". As JSON: " a href=(api) { (api) } "." @if i.is_open() { " " (refresh_link(refresh)) } }
        div.card.pad.why {
            p { b { (words(i.class.as_str())) } " · " (words(i.attribution.as_str())) " · " (owner_words(i.owner)) }
            p { (remediation(i.class, i.attribution, i.owner)) }
            p.small {
                (acknowledged(i, now))
                @if let Some(runbook) = about.and_then(|a| a.runbook.as_ref()) { " · " a href=(runbook) rel="noreferrer noopener" { "Runbook" } }
                @if let Some(contact) = about.and_then(|a| a.contact.as_ref()) { " · contact " (contact) }
            }
        }
        (common(i, cause))
        (facts(i))
        (checks(i, now))
        (timeline(i))
        (runs(i))
        (commands(i))
    }
}

fn common(i: &Incident, cause: Option<&CommonCause>) -> Markup {
    html! {
        @if let Some(cause) = cause {
            div.card.pad.cause {
                p { b { "Most likely one cause: " (cause.host) } ", with "
                    @for (n, id) in cause.incidents.iter().filter(|id| **id != i.id).enumerate() { @if n > 0 { ", " } a href=(href(id)) { code { (id) } } } }
            }
        }
    }
}

fn facts(i: &Incident) -> Markup {
    let span = |ms: i64| seconds(ms as f64 / 1000.0);
    html! {
        div.card.pad {
            dl.facts {
                (fact("First bad run", &html! { (clock_time(i.first_bad)) }))
                (fact("Opened", &html! { (clock_time(i.opened)) }))
                (fact("Closed", &html! { @match i.closed { Some(t) => (clock_time(t)), None => "it goes on" } }))
                (fact("Time to detect", &html! { (span(i.time_to_detect_ms())) }))
                (fact("Time to repair", &html! { @match i.time_to_repair_ms() { Some(ms) => (span(ms)), None => span.none { "not yet" } } }))
                (fact("Broke again", &html! { (i.reopened) @if i.reopened == 1 { " time" } @else { " times" } }))
                (fact("Criticality", &html! { (i.criticality) }))
                (fact("Phase when it opened", &html! { (i.phase) }))
                (fact("Failures", &html! { @for (n, (class, whose, count)) in i.classes.iter().enumerate() { @if n > 0 { ", " } (count) " " (words(class.as_str())) " (" (words(whose.as_str())) ")" } }))
                @if let Some((by, at)) = &i.reclassified { (fact("Reclassified", &html! { "by " (by) ", " (clock_time(*at)) })) }
            }
        }
    }
}

fn checks(i: &Incident, now: UnixMs) -> Markup {
    html! {
        h2 { "Checks it hit" }
        div.card.scroll.tight tabindex="0" role="region" aria-label="Checks it hit" { table {
            thead { tr { th scope="col" { "Check" } th scope="col" { "State" } th scope="col" { "Talks to" } th scope="col" { "First bad run" } th scope="col" { "Last bad run" } th.num scope="col" { "Failures" } } }
            tbody { @for c in &i.checks { tr {
                th scope="row" { (c.check.check()) }
                td { @if c.open { span.low { "broken" } } @else { span.yes { "no longer broken" } } }
                td { (c.host.as_deref().unwrap_or("–")) }
                td { (moment(Some(c.first_bad), now, "")) }
                td { (moment(Some(c.last_bad), now, "")) }
                td.num { (c.failures) }
            } } }
        } }
    }
}

fn timeline(i: &Incident) -> Markup {
    html! {
        h2 { "What happened" }
        div.card.pad { ol.timeline { @for e in &i.timeline {
            li { time datetime=(e.at) { (clock_time(e.at)) } " " b { (e.event) } @if let Some(by) = &e.by { " by " (by) } @if !e.text.is_empty() { ": " (e.text) } }
        } } }
    }
}

fn runs(i: &Incident) -> Markup {
    html! {
        @if !i.runs.is_empty() {
            h2 { "Runs that show it" }
            div.card.scroll.tight tabindex="0" role="region" aria-label="Runs that show it" { table {
                thead { tr { th scope="col" { "Run" } th scope="col" { "Check" } th scope="col" { "Result" } th.num scope="col" { "Status" } th scope="col" { "What happened" } } }
                tbody { @for r in &i.runs { tr {
                    td { a.nowrap href=(page_run::href(&r.check, r.slot)) { time datetime=(r.slot) { (clock_time(r.slot)) } } }
                    td { (r.check.check()) }
                    td { @match r.class { Some(class) => span.low { (words(class.as_str())) }, None => span.yes { "passed" } } }
                    td.num { @match r.status { Some(s) => (s), None => "–" } }
                    td.detail { (r.detail.as_deref().unwrap_or("")) }
                } } }
            } }
        }
    }
}

fn commands(i: &Incident) -> Markup {
    html! {
        h2 { "What you can do" }
        div.card.pad {
            p { "Pages change nothing. On a command line (where this server asks for tokens with " code { "--token-file FILE" } ", from another machine with " code { "--url URL" } "):" }
            ul.commands {
                li { code { "soakwatch ack " (i.id) } " says that you are on it (token of an operator)." }
                li { code { "soakwatch note " (i.id) " TEXT" } " writes something down (operator)." }
                li { code { "soakwatch reclassify " (i.id) " ..." } " where it is something else, somebody else's, or not as bad (approver: a soak is judged by it)." }
            }
        }
    }
}
