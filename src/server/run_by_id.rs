//! `/api/v1/runs/{run}`: the stored run of an id. Ids are derived, not stored: what the store holds of a span of time is looked through, check by check.

use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::{Path, Query as QueryOf, State};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::Problem;
use super::runs::{DEFAULT, LONGEST, point};
use super::{Query, Shared};
use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::run_id::RunId;
use crate::slots::under_way;
use crate::store::{FailureRow, Reader, Run, StoreError};

/// A run, found by its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FoundRun")]
pub struct Found {
    /// Whose it is.
    pub check: CheckId,
    /// Its id.
    pub run: RunId,
    /// Its slot.
    pub slot: String,
    /// The check's interval then.
    pub interval_ms: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// What kind of failure it was.
    pub class: Option<Class>,
    /// Why it could not be judged.
    pub cause: Option<Cause>,
    /// The first guess who it was.
    pub attribution: Option<Attribution>,
    /// How long it took.
    pub duration_seconds: f64,
    /// How many attempts it had.
    pub attempts: u8,
    /// Whether its first attempt passed.
    pub first_attempt_passed: bool,
    /// What is known of a failure, for people.
    pub detail: Option<String>,
}

/// Set when nobody waits for the answer any more, so that nobody goes on looking.
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is looked through.
struct Search {
    run: RunId,
    /// The start of the ids of the checks that are meant, whole parts of them; `None`: all.
    below: Option<String>,
    since: UnixMs,
    until: UnixMs,
    abandoned: Arc<AtomicBool>,
}

pub(super) async fn run(State(shared): State<Shared>, Path(id): Path<String>, QueryOf(query): Query) -> Result<Json<Found>, Problem> {
    let run: RunId = id.parse().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "this is no id of a run", "Give 32 hex digits, or a whole traceparent out of somebody's log.")
    })?;
    let now = shared.state.clock.now();
    let until = query.get("until").map_or(Ok(now), |text| point("until", text, now))?;
    let since = query.get("since").map_or(Ok(until.minus(DEFAULT.0)), |text| point("since", text, now))?;
    if since > until || until.since(since) > LONGEST.0 {
        let what = format!("since must be earlier than until, and not by more than {LONGEST}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, what, "Give since alone (7d), or both."));
    }
    let _turn = shared.readings.clone().acquire_owned().await.map_err(|_| Problem::ours("the daemon is stopping"))?;
    let abandoned = Arc::new(AtomicBool::new(false));
    let _left = Abandoned(Arc::clone(&abandoned));
    let below = query.get("id").cloned();
    let search = Search { run, below: below.clone(), since, until, abandoned };
    let (path, state) = (shared.state.store.clone(), shared.state.clone());
    let configured: BTreeSet<CheckId> = state.config.borrow().checks().map(|c| c.id.clone()).collect();
    let found = tokio::task::spawn_blocking(move || look_blocking(&path, &search, configured)).await;
    match found {
        Ok(Ok(Some(found))) => return Ok(Json(found)),
        Ok(Ok(None)) => {}
        Ok(Err(e)) => {
            tracing::error!(error = %e, "stored runs can't be read");
            return Err(Problem::ours("the store can't be read"));
        }
        Err(e) => {
            tracing::error!(error = %e, "reading stored runs was cut off");
            return Err(Problem::ours("the store can't be read"));
        }
    }
    let config = Arc::clone(&state.config.borrow());
    if let Some((check, slot)) = under_way(config.checks().map(|c| &**c).filter(|c| is_meant(below.as_deref(), &c.id)), run, now) {
        let error = format!("nothing is stored yet of this run: it is that of {check} for the slot {slot}");
        let hint =
            "It goes on, or has just ended: it is written within a second of its end, or of the self-check it waits for. Ask again then.";
        return Err(Problem::new(StatusCode::NOT_FOUND, error, hint).with("pending", json!({ "check": check, "slot": slot.to_string() })));
    }
    let error = format!("no run from {} to {} has this id", since.whole_seconds(), until.whole_seconds());
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        error,
        "An earlier since looks further back, up to 40d. What `soakwatch probe` sends is stored nowhere.",
    ))
}

/// Whether a check is one of a customer, an environment or an integration, or itself the one that is meant; `None`: all are.
fn is_meant(below: Option<&str>, check: &CheckId) -> bool {
    let among = |part: &str| check.as_str().strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below.is_none_or(among)
}

/// One check's runs at a time: what is looked through is never held whole.
fn look_blocking(path: &FilePath, search: &Search, mut checks: BTreeSet<CheckId>) -> Result<Option<Found>, StoreError> {
    let reader = match Reader::open(path) {
        // The daemon has not written anything yet.
        Err(StoreError::Missing(_)) => return Ok(None),
        reader => reader?,
    };
    checks.extend(reader.checks()?);
    for check in checks.iter().filter(|c| is_meant(search.below.as_deref(), c)) {
        if search.abandoned.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let runs = reader.runs(check, 0, search.since, search.until)?;
        if let Some(run) = runs.iter().find(|r| r.id(check) == Some(search.run)) {
            let failures = reader.failures(check, run.slot, UnixMs(run.slot.0.saturating_add(1)))?;
            return Ok(Some(found(check, search.run, run, &failures)));
        }
    }
    Ok(None)
}

fn found(check: &CheckId, id: RunId, run: &Run, failures: &[FailureRow]) -> Found {
    Found {
        check: check.clone(),
        run: id,
        slot: run.slot.to_string(),
        interval_ms: run.interval_ms,
        outcome: run.outcome,
        class: run.class,
        cause: run.cause,
        attribution: run.attribution,
        duration_seconds: run.duration.seconds(),
        attempts: run.attempts,
        first_attempt_passed: run.first_attempt_passed,
        detail: FailureRow::said(failures, run),
    }
}
