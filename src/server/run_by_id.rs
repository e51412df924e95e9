//! `/api/v1/runs/{run}`: the stored run of an id. Ids are derived, not stored: the slot stands in it, and whose it is is tried, one check after the other.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query as QueryOf, State};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::Problem;
use super::{Query, Shared};
use crate::clock::UnixMs;
use crate::config::model::Config;
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

/// What became of looking for a run.
enum Looked {
    Found(Box<Found>),
    /// Whose it is; nothing is stored of it.
    Whose(CheckId),
    /// No check that is known has it.
    Nobodys,
}

pub(super) async fn run(State(shared): State<Shared>, Path(id): Path<String>, QueryOf(query): Query) -> Result<Json<Found>, Problem> {
    let run: RunId = id.parse().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "this is no id of a run", "Give 32 hex digits, or a whole traceparent out of somebody's log.")
    })?;
    let now = shared.state.clock.now();
    let turn = shared.readings.clone().acquire_owned().await.map_err(|_| Problem::ours("the daemon is stopping"))?;
    let config = Arc::clone(&shared.state.config.borrow());
    let (path, below, known) = (shared.state.store.clone(), query.get("id").cloned(), Arc::clone(&config));
    let looking = move || {
        let looked = look_blocking(&path, run, below.as_deref(), &known);
        drop(turn);
        looked
    };
    let looked = match tokio::task::spawn_blocking(looking).await {
        Ok(Ok(looked)) => looked,
        Ok(Err(e)) => {
            tracing::error!(error = %e, "stored runs can't be read");
            return Err(Problem::ours("the store can't be read"));
        }
        Err(e) => {
            tracing::error!(error = %e, "reading stored runs was cut off");
            return Err(Problem::ours("the store can't be read"));
        }
    };
    let (slot, missing) = (run.slot(), |error: String, hint: &str| Problem::new(StatusCode::NOT_FOUND, error, hint));
    match looked {
        Looked::Found(found) => Ok(Json(*found)),
        Looked::Whose(check) if config.checks().any(|c| c.id == check && under_way(c, slot, now)) => {
            let error = format!("nothing is stored yet of this run: it is that of {check} for the slot {slot}");
            let hint = "It goes on, or has just ended: it is written within a second of its end, or of the self-check it waits for. Ask again then.";
            Err(missing(error, hint).with("pending", json!({ "check": check, "slot": slot.to_string() })))
        }
        Looked::Whose(check) => {
            let error = format!("nothing is stored of this run: it is that of {check} for the slot {slot}");
            Err(missing(error, "Runs are kept for [store] keep_runs; what was not written before a crash is lost."))
        }
        Looked::Nobodys => {
            let error = format!("no check that is known here has a run of this id; its slot would be {slot}");
            Err(missing(
                error,
                "If that time can't be, it is somebody else's trace id; otherwise another daemon's, or that of a check renamed since.",
            ))
        }
    }
}

/// Whether a check is one of a customer, an environment or an integration, or itself the one that is meant; `None`: all are.
fn is_meant(below: Option<&str>, check: &CheckId) -> bool {
    let among = |part: &str| check.as_str().strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below.is_none_or(among)
}

/// One digest for each check, those that were removed and are still stored included; then one slot of one check is read.
fn look_blocking(path: &FilePath, run: RunId, below: Option<&str>, config: &Config) -> Result<Looked, StoreError> {
    let is_it = |check: &&CheckId| is_meant(below, check) && run.is_of(check);
    let mut whose = config.checks().map(|c| &c.id).find(is_it).cloned();
    let reader = match Reader::open(path) {
        // The daemon has not written anything yet.
        Err(StoreError::Missing(_)) => return Ok(whose.map_or(Looked::Nobodys, Looked::Whose)),
        reader => reader?,
    };
    if whose.is_none() {
        whose = reader.checks()?.iter().find(is_it).cloned();
    }
    let Some(check) = whose else { return Ok(Looked::Nobodys) };
    let (slot, next) = (run.slot(), UnixMs(run.slot().0.saturating_add(1)));
    let runs = reader.runs(&check, 0, slot, next)?;
    let Some(stored) = runs.iter().find(|r| r.id(&check) == Some(run)) else { return Ok(Looked::Whose(check)) };
    let failures = reader.failures(&check, slot, next)?;
    Ok(Looked::Found(Box::new(found(&check, run, stored, &failures))))
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
