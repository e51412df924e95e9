//! Stored runs of one check, read from the store's file beside the writer. Bounded in span and in number.

use std::path::Path as FilePath;

use axum::Json;
use axum::extract::{Path, Query as QueryOf, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::api::Problem;
use super::paging::{Page, cursor};
use super::{Query, Shared};
use crate::clock::UnixMs;
use crate::fields::{CheckId, Point, Span};
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::run_id::RunId;
use crate::store::{FailureRow, Reader, Run, StoreError};

/// The longest span of one answer: what the store keeps unless told otherwise.
const LONGEST: Span = Span::days(40);
/// The most runs of one answer; the newest are kept.
const MOST: usize = 20_000;
/// The span when none is asked for.
const DEFAULT: Span = Span::seconds(24 * 3600);

/// A run.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Run")]
struct RunShown {
    /// Its id, which stands in the log and in `traceparent` too; null: nobody ran it.
    run: Option<RunId>,
    slot: String,
    /// More than 1: so many contiguous slots of the same outcome that nobody ran.
    count: u32,
    outcome: Outcome,
    class: Option<Class>,
    cause: Option<Cause>,
    attribution: Option<Attribution>,
    duration_seconds: f64,
    attempts: u8,
    first_attempt_passed: bool,
}

impl RunShown {
    fn of(check: &CheckId, r: &Run) -> Self {
        Self {
            run: r.id(check),
            slot: r.slot.to_string(),
            count: r.count,
            outcome: r.outcome,
            class: r.class,
            cause: r.cause,
            attribution: r.attribution,
            duration_seconds: r.duration.seconds(),
            attempts: r.attempts,
            first_attempt_passed: r.first_attempt_passed,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Runs")]
pub(super) struct Body {
    id: CheckId,
    since: String,
    until: String,
    /// Older runs of the span were left out, because there are more than an answer may hold.
    truncated: bool,
    /// Oldest first.
    runs: Vec<RunShown>,
    /// The cursor of the next page, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) async fn runs(
    State(shared): State<Shared>,
    Path((customer, environment, integration, check)): Path<(String, String, String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "no such check is configured", "/api/v1/integrations/C/E/I lists the checks of an integration.")
    };
    let id: CheckId = format!("{customer}/{environment}/{integration}/{check}").parse().map_err(|_| unknown())?;
    shared.state.board.check(&id).ok_or_else(unknown)?;
    let now = shared.state.clock.now();
    let list = format!("runs {id}");
    let page = Page::read(&query, &list)?;
    let (since, until) = match page.after.as_deref() {
        // The end stays where it was on the first page.
        Some(after) => continued(after, &query)?,
        None => {
            let until = query.get("until").map_or(Ok(now), |text| point("until", text, now))?;
            (query.get("since").map_or(Ok(until.minus(DEFAULT.0)), |text| point("since", text, now))?, until)
        }
    };
    if since > until {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "since is later than until", "Give the earlier time as since."));
    }
    if until.since(since) > LONGEST.0 {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the span is longer than {LONGEST}"),
            format!("Ask for at most {LONGEST} at once; until=TIME gives the end of the span."),
        ));
    }
    let mut runs = stored(&shared, id.clone(), since, until, false).await?.runs;
    let (mut truncated, mut next) = (false, None);
    if let Some(limit) = page.limit {
        let more = runs.len() > limit;
        runs.truncate(limit);
        next = runs.last().filter(|_| more).map(|last| cursor(&list, &format!("{} {}", last.last_slot().0 + 1, until.0)));
    } else if runs.len() > MOST {
        truncated = true;
        runs.drain(..runs.len() - MOST);
    }
    let runs = runs.iter().map(|r| RunShown::of(&id, r)).collect();
    Ok(Json(Body { id, since: since.to_string(), until: until.to_string(), truncated, runs, next }).into_response())
}

/// Where a page goes on, and where the last one ends; in milliseconds, apart by a space.
fn continued(after: &str, query: &std::collections::BTreeMap<String, String>) -> Result<(UnixMs, UnixMs), Problem> {
    let bad = |error: &str, hint: &str| Problem::new(StatusCode::BAD_REQUEST, error, hint);
    if query.contains_key("since") || query.contains_key("until") {
        return Err(bad("since and until stand beside cursor", "Leave them out: the cursor knows them."));
    }
    let ends = after.split_once(' ').and_then(|(since, until)| Some((UnixMs(since.parse().ok()?), UnixMs(until.parse().ok()?))));
    ends.ok_or_else(|| bad("cursor is not one of this list", "Give what `next` said, or leave it out to begin anew."))
}

fn point(name: &str, text: &str, now: UnixMs) -> Result<UnixMs, Problem> {
    // A + that was not escaped arrives as a space.
    text.replace(' ', "+")
        .parse::<Point>()
        .map(|p| p.at(now))
        .map_err(|expected| Problem::new(StatusCode::BAD_REQUEST, format!("{name} is not readable"), format!("Give {expected}.")))
}

/// Stored runs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The runs.
    pub runs: Vec<Run>,
    /// What was said about those that did not pass, if it was asked for.
    pub failures: Vec<FailureRow>,
}

/// Reads runs and what explains them.
pub(super) async fn read_explained(shared: &Shared, id: CheckId, since: UnixMs, until: UnixMs) -> Result<Stored, Problem> {
    stored(shared, id, since, until, true).await
}

/// Reads off the runtime's threads.
async fn stored(shared: &Shared, id: CheckId, since: UnixMs, until: UnixMs, explained: bool) -> Result<Stored, Problem> {
    let path = shared.state.store.clone();
    let work = tokio::task::spawn_blocking(move || read_blocking(&path, &id, since, until, explained));
    match work.await {
        Ok(Ok(stored)) => Ok(stored),
        Ok(Err(e)) => {
            tracing::error!(error = %e, "stored runs can't be read");
            Err(Problem::ours("the store can't be read"))
        }
        Err(e) => {
            tracing::error!(error = %e, "reading stored runs was cut off");
            Err(Problem::ours("the store can't be read"))
        }
    }
}

fn read_blocking(path: &FilePath, id: &CheckId, since: UnixMs, until: UnixMs, explained: bool) -> Result<Stored, StoreError> {
    let reader = match Reader::open(path) {
        // The daemon has not written anything yet.
        Err(StoreError::Missing(_)) => return Ok(Stored::default()),
        reader => reader?,
    };
    let runs = reader.runs(id, 0, since, until)?;
    let failures = if explained { reader.failures(id, since, until)? } else { Vec::new() };
    Ok(Stored { runs, failures })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        let now = UnixMs(1_800_000_000_000);
        assert_eq!(point("since", "90m", now).unwrap(), UnixMs(now.0 - 5_400_000));
        assert_eq!(point("since", "2026-12-01T08:00:00Z", now).unwrap(), UnixMs(1_796_112_000_000));
        assert_eq!(point("since", "2026-12-01T10:00:00 02:00", now).unwrap(), UnixMs(1_796_112_000_000));
        assert!(point("since", "yesterday", now).is_err());
    }
}
