//! The page of an environment's gate: what it says and why, when it can be green, and every integration's soak. Refreshes nothing by itself: it is
//! read, compared and printed.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::api::Problem;
use super::page::{page, problem_page, words};
use super::page_soak::{Part, answer_badge, budget, card, earliest, progress, utc, verdict_badge};
use super::page_strip::legend;
use super::{ServerState, Shared};
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::soak::gate::{Answer, Gate};

/// Integrations shown with all their criteria, the worst first; the others have a row.
const MOST_CARDS: usize = 100;
/// Rows of the table.
const MOST_ROWS: usize = 1_000;

/// What the page shows.
struct View {
    customer: String,
    environment: String,
    customer_name: String,
    gate: Gate,
    /// The worst first.
    parts: Vec<Part>,
}

pub(super) async fn environment(State(shared): State<Shared>, Path((customer, environment)): Path<(String, String)>) -> Response {
    let inner = shared.clone();
    // Judging and writing a large environment takes some milliseconds: not on the runtime's threads.
    let work = tokio::task::spawn_blocking(move || {
        let now = inner.state.clock.now();
        match look(&inner.state, customer, environment, now) {
            Some(view) => page(
                &inner,
                &format!("{}: {}/{}", words(view.gate.answer.as_str()), view.customer, view.environment),
                false,
                &body(&view, now),
            ),
            None => problem_page(&inner, &no_environment()),
        }
    });
    work.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "the readiness page could not be made");
        problem_page(&shared, &Problem::ours("the page could not be made"))
    })
}

fn no_environment() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such environment is configured", "The overview lists all: each row leads to its environment.")
}

/// The gate of an environment; `None`: there is no such environment.
fn look(state: &ServerState, customer: String, environment: String, now: UnixMs) -> Option<View> {
    let here = |i: &&IntegrationEntry| i.def.id.customer() == customer && i.def.id.environment() == environment;
    let entries: Vec<IntegrationEntry> = state.board.read(|all| all.iter().filter(here).cloned().collect());
    let customer_name = entries.first()?.def.customer_name.clone();
    let mut gate = state.soaks.gate(&entries.iter().collect::<Vec<_>>(), now);
    let passages = std::mem::take(&mut gate.integrations);
    let part = |(entry, passage): (IntegrationEntry, _)| {
        let excluded = state.soaks.known(&entry.def.id).map(|k| k.excluded).unwrap_or_default();
        Part { entry, passage, excluded }
    };
    let mut parts: Vec<Part> = entries.into_iter().zip(passages).map(part).collect();
    parts.sort_by_key(|p| std::cmp::Reverse(p.passage.answer));
    Some(View { customer, environment, customer_name, gate, parts })
}

fn body(view: &View, now: UnixMs) -> Markup {
    let View { customer, environment, customer_name, gate, parts } = view;
    let api = format!("/api/v1/gates/{customer}/{environment}");
    html! {
        p.small { a href="/" { "All integrations" } " / " a href=(format!("/?customer={customer}")) { (customer_name) } " / "
            a href=(format!("/?customer={customer}&environment={environment}")) { (environment) } }
        div.head { h1 { "Readiness: " (customer_name) ", " (environment) } (answer_badge(gate.answer)) }
        p.soft.small { (customer) "/" (environment) ", gate go-live. As JSON: " a href=(api) { (api) } ". For pipelines: " code { "soakwatch gate " (customer) "/" (environment) } "." }
        div.card.pad {
            p { b { (says(gate.answer)) } " " (tally(parts)) }
            @if gate.answer != Answer::Go {
                p { "Green at the earliest: " @match &gate.earliest {
                    Some(at) => b { (utc(at)) },
                    None => b { "no time is known" },
                } "." }
            }
            (reasons(gate, parts))
        }
        div.card.scroll { (summary(parts)) }
        @if parts.iter().any(|p| p.passage.soak.is_some()) { (legend()) }
        @for part in parts.iter().take(MOST_CARDS) { (card(part, now)) }
        @if parts.len() > MOST_CARDS {
            p role="status" { b { "And " (parts.len() - MOST_CARDS) " more." } " The first " (MOST_CARDS) " are shown with all their criteria, worst first; each of the others on its own page." }
        }
    }
}

fn says(answer: Answer) -> &'static str {
    match answer {
        Answer::Go => "Go: every integration passed, and everything asked for is attested.",
        Answer::NotYet => "Not yet: something is missing, or could not be decided.",
        Answer::NoGo => "No go: an integration failed, or can't pass any more.",
    }
}

/// How many integrations got which answer.
fn tally(parts: &[Part]) -> String {
    let of = |a: Answer| parts.iter().filter(|p| p.passage.answer == a).count();
    let said = Answer::ALL.iter().rev().filter(|a| of(**a) > 0).map(|a| format!("{} {}", of(*a), words(a.as_str())));
    let plural = if parts.len() == 1 { "integration" } else { "integrations" };
    format!("{} {plural}: {}.", parts.len(), said.collect::<Vec<_>>().join(", "))
}

fn reasons(gate: &Gate, parts: &[Part]) -> Markup {
    html! {
        @if !gate.reasons.is_empty() || parts.iter().any(|p| !p.passage.reasons.is_empty()) {
            h3 { @if gate.answer == Answer::Go { "To be known" } @else { "Why" } }
            ul {
                @for reason in &gate.reasons { li { (reason) } }
                @for p in parts.iter().take(MOST_CARDS).filter(|p| !p.passage.reasons.is_empty()) {
                    li {
                        a href=(format!("#{}", p.entry.def.id.integration())) { (p.entry.def.name) }
                        ul { @for reason in &p.passage.reasons { li { (reason) } } }
                    }
                }
            }
        }
    }
}

/// A row for each integration.
fn summary(parts: &[Part]) -> Markup {
    html! {
        table {
            caption { "Worst first. Times are UTC." }
            thead { tr {
                th scope="col" { "Integration" } th scope="col" { "Gate" } th scope="col" { "Verdict" } th scope="col" { "Window" } th scope="col" { "Error budget" }
                th scope="col" { "Can pass at the earliest" }
            } }
            tbody { @for (n, p) in parts.iter().take(MOST_ROWS).enumerate() { tr {
                th scope="row" {
                    // Whose card is further down.
                    @if n < MOST_CARDS { a href=(format!("#{}", p.entry.def.id.integration())) { (p.entry.def.name) } }
                    @else { a href=(format!("/integrations/{}", p.entry.def.id)) { (p.entry.def.name) } }
                }
                td { (answer_badge(p.passage.answer)) }
                @match &p.passage.soak {
                    None => td colspan="4" { span.none { "no soak" } },
                    Some(shown) => {
                        td { (verdict_badge(shown.verdict)) }
                        td { (progress(shown)) }
                        td { (budget(&shown.budget)) }
                        td { (earliest(shown)) }
                    }
                }
            } } }
        }
    }
}
