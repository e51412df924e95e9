//! One run's page: what became of it, and its id, by which whoever was asked finds its requests. What the links of other pages to a run lead to.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::Shared;
use super::api::Problem;
use super::page::{clock_time, moment, page, problem_page, seconds, words};
use super::page_detail::{fact, outcome_word};
use super::runs::{Stored, read_explained};
use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::run_id::RunId;
use crate::store::FailureRow;

/// Where a run's page is.
pub(super) fn href(check: &CheckId, slot: UnixMs) -> String {
    format!("/runs/{check}/{slot}")
}

pub(super) async fn html(
    State(shared): State<Shared>,
    Path((customer, environment, integration, check, slot)): Path<(String, String, String, String, String)>,
) -> Response {
    let missing = |error: &str, hint: &str| problem_page(&shared, &Problem::new(StatusCode::NOT_FOUND, error, hint));
    let id: Option<CheckId> = format!("{customer}/{environment}/{integration}/{check}").parse().ok();
    let Some(id) = id.filter(|id| shared.state.board.check(id).is_some()) else {
        return missing(
            "no such check is configured",
            "It may have been removed since; its runs are still in the store: soakwatch runs ID.",
        );
    };
    let Ok(slot) = slot.parse::<jiff::Timestamp>().map(UnixMs::from) else {
        return missing("this is no slot", "Give the slot's time, such as 2026-12-01T08:00:30Z.");
    };
    let until = UnixMs(slot.0.saturating_add(1));
    match read_explained(&shared, id.clone(), slot, until).await {
        Err(problem) => problem_page(&shared, &problem),
        Ok(stored) => match body(&id, slot, &stored, shared.state.clock.now()) {
            Some(body) => page(&shared, &format!("Run of {}", id.check()), false, &body),
            None => {
                missing("no run is stored of this slot", "It is kept for [store] keep_runs, and is written within a second of its end.")
            }
        },
    }
}

/// What is stored of a slot; `None`: nothing.
fn body(check: &CheckId, slot: UnixMs, stored: &Stored, now: UnixMs) -> Option<Markup> {
    let run = stored.runs.iter().find(|r| r.slot <= slot && slot <= r.last_slot())?;
    let why = run.cause.map(|c| c.as_str()).or(run.class.map(|c| c.as_str()));
    Some(html! {
        p.small { a href="/" { "All integrations" } " / " a href=(format!("/integrations/{}", check.integration())) { (check.integration()) } }
        div.head { h1 { "Run of " (check.check()) } (outcome_word(run.outcome)) }
        p.soft.small { (check) }
        div.card.pad {
            dl.facts {
                (fact("Slot", &html! { (clock_time(slot)) }))
                (fact("Ago", &moment(Some(slot), now, "")))
                @if run.count > 1 { (fact("Slots of this fate", &html! { (run.count) ", " (clock_time(run.slot)) " to " (clock_time(run.last_slot())) })) }
                @if let Some(why) = why { (fact("Class or cause", &html! { (words(why)) })) }
                @if let Some(whose) = run.attribution { (fact("Most likely", &html! { (words(whose.as_str())) })) }
                @if run.attempts > 0 {
                    (fact("Duration", &html! { (seconds(run.duration.seconds())) }))
                    (fact("Attempts", &html! { (run.attempts) @if run.attempts > 1 && run.first_attempt_passed { ", the first passed" } }))
                }
            }
            @if let Some(detail) = FailureRow::said(&stored.failures, run) { p.detail { (detail) } }
        }
        @match run.id(check) {
            None => p.soft { "Nobody ran it, so it has no id." },
            Some(id) => {
                h2 { "Its id" }
                p { code { (id) } }
                p.small.soft { "It stands in our log, and with " code { "[probe] traceparent" } " in the requests, where it is their trace id." }
                @for n in 0..usize::from(run.attempts.min(10)) { p.small { "Attempt " (n + 1) ": " code { "traceparent: " (id.attempt(n)) } } }
            }
        }
    })
}

/// A run's id as a link to its page, shortened to its end: it begins with the time.
pub(super) fn link(check: &CheckId, slot: UnixMs) -> Markup {
    let id = RunId::of(check, slot).to_string();
    html! { a href=(href(check, slot)) title=(id) { code { "…" (id.get(24..).unwrap_or_default()) } } }
}
