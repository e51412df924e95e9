//! The page of an environment's gate: what it says and why, when it can be green, and every integration's soak. Refreshes nothing by itself: it is
//! read, compared and printed.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::api::Problem;
use super::page::{page, problem_page, words};
use super::page_soak::{Part, answer_badge, budget, card, earliest, progress, utc, verdict_badge};
use super::page_strip::legend;
use super::soaks::unknown;
use super::{ServerState, Shared};
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::readiness::{Answered, Passed};
use crate::soak::gate::Answer;

/// Integrations shown with all their criteria, the worst first; the others have a row.
const MOST_CARDS: usize = 100;
/// Rows of the table.
const MOST_ROWS: usize = 1_000;

/// What the page shows.
struct View {
    customer_name: String,
    answered: Answered,
    /// The worst first.
    parts: Vec<Part>,
}

pub(super) async fn environment(State(shared): State<Shared>, Path((customer, environment)): Path<(String, String)>) -> Response {
    let inner = shared.clone();
    // Judging and writing a large environment takes some milliseconds: not on the runtime's threads.
    let work = tokio::task::spawn_blocking(move || {
        let now = inner.state.clock.now();
        match look(&inner.state, &customer, &environment, now) {
            Ok(view) => {
                let title = format!("{}: {customer}/{environment}", words(view.answered.answer.as_str()));
                page(&inner, &title, false, &body(&view, &customer, &environment, now))
            }
            Err(problem) => problem_page(&inner, &problem),
        }
    });
    work.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "the readiness page could not be made");
        problem_page(&shared, &Problem::ours("the page could not be made"))
    })
}

/// The gate of an environment.
fn look(state: &ServerState, customer: &str, environment: &str, now: UnixMs) -> Result<View, Problem> {
    let here = |i: &&IntegrationEntry| i.def.id.customer() == customer && i.def.id.environment() == environment;
    let mut entries: Vec<IntegrationEntry> = state.board.read(|all| all.iter().filter(here).cloned().collect());
    // The answer's order.
    entries.sort_by(|a, b| a.def.id.cmp(&b.def.id));
    let Some(customer_name) = entries.first().map(|e| e.def.customer_name.clone()) else {
        return Err(state.board.read(|all| unknown(all, customer, environment)));
    };
    let hash = state.config.borrow().hash.clone();
    let all: Vec<&IntegrationEntry> = entries.iter().collect();
    let mut answered = state.soaks.answered((customer, environment), &all, &hash, now);
    let passed: Vec<Passed> = std::mem::take(&mut answered.integrations);
    let mut parts: Vec<Part> = entries.into_iter().zip(passed).map(|(entry, passed)| Part { entry, passed }).collect();
    parts.sort_by_key(|p| std::cmp::Reverse(p.passed.answer));
    Ok(View { customer_name, answered, parts })
}

fn body(view: &View, customer: &str, environment: &str, now: UnixMs) -> Markup {
    let View { customer_name, answered, parts } = view;
    let api = format!("/api/v1/gates/{customer}/{environment}");
    html! {
        p.small { a href="/" { "All integrations" } " / " a href=(format!("/?customer={customer}")) { (customer_name) } " / "
            a href=(format!("/?customer={customer}&environment={environment}")) { (environment) } }
        div.head { h1 { "Readiness: " (customer_name) ", " (environment) } (answer_badge(answered.answer)) }
        p.soft.small { (customer) "/" (environment) ", gate go-live. As JSON: " a href=(api) { (api) } ". For pipelines: " code { "soakwatch gate " (customer) "/" (environment) } "." }
        div.card.pad {
            p { b { (says(answered.answer)) } " " (tally(parts)) }
            @if answered.answer != Answer::Go {
                p { "Green at the earliest: " @match &answered.earliest {
                    Some(at) => b { (utc(at)) },
                    None => b { "no time is known" },
                } "." }
            }
            (reasons(answered, parts))
        }
        div.card.scroll tabindex="0" role="region" aria-label="Integrations" { (summary(parts)) }
        @if parts.iter().any(|p| p.passed.soak.is_some()) { (legend()) }
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
    let of = |a: Answer| parts.iter().filter(|p| p.passed.answer == a).count();
    let said = Answer::ALL.iter().rev().filter(|a| of(**a) > 0).map(|a| format!("{} {}", of(*a), words(a.as_str())));
    let plural = if parts.len() == 1 { "integration" } else { "integrations" };
    format!("{} {plural}: {}.", parts.len(), said.collect::<Vec<_>>().join(", "))
}

fn reasons(answered: &Answered, parts: &[Part]) -> Markup {
    html! {
        @if !answered.reasons.is_empty() || parts.iter().any(|p| !p.passed.reasons.is_empty()) {
            h3 { @if answered.answer == Answer::Go { "To be known" } @else { "Why" } }
            ul {
                @for reason in &answered.reasons { li { (reason) } }
                @for p in parts.iter().take(MOST_CARDS).filter(|p| !p.passed.reasons.is_empty()) {
                    li {
                        a href=(format!("#{}", p.entry.def.id.integration())) { (p.entry.def.name) }
                        ul { @for reason in &p.passed.reasons { li { (reason) } } }
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
                td { (answer_badge(p.passed.answer)) }
                @match &p.passed.soak {
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
