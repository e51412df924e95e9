//! `soakwatch runs --id RUN --url URL`: the run of an id, asked of a running daemon.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use super::control::{Credential, Daemon, refused};
use super::runs::{History, Runs};
use super::{CliError, Exit, block_on, complain};
use crate::clock::UnixMs;
use crate::record::DurationCode;
use crate::run_id::RunId;
use crate::server::Found;
use crate::store::{FailureRow, Run};

/// The run as a history of one, or the exit code where there is none, which is said.
pub(super) fn asked(args: &Runs, url: &Url, run: RunId) -> Result<Result<History, Exit>, CliError> {
    let mut path = format!("/api/v1/runs/{run}?");
    let given = args.id.as_ref().map(|id| ("id", id));
    path.push_str(&url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish());
    let credential: Credential = args.credential.clone();
    let (status, body) = block_on(Daemon::at(url.clone(), credential).call(Method::GET, &path))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    let said = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    match status {
        StatusCode::OK => {
            let found: Option<Found> = serde_json::from_value(answer.clone()).ok();
            let other =
                || Exit::Unreachable.with(anyhow::anyhow!("the answer can't be read: is this a Soakwatch daemon of the same version?"));
            found.and_then(history).map(Ok).ok_or_else(other)
        }
        StatusCode::NOT_FOUND if answer.get("error").is_some() => {
            complain(format!("soakwatch: {}; {}", said("error"), super::control::within(said("hint"))));
            Ok(Err(if answer.get("pending").is_some() { Exit::Undecided } else { Exit::No }))
        }
        StatusCode::BAD_REQUEST => Err(Exit::Usage.with(anyhow::anyhow!("{}; {}", said("error"), super::control::within(said("hint"))))),
        other => Err(refused(other, &answer, "this needs the token of a viewer")),
    }
}

fn history(found: Found) -> Option<History> {
    let slot = UnixMs::from(found.slot.parse::<jiff::Timestamp>().ok()?);
    let run = Run {
        slot,
        interval_ms: found.interval_ms,
        count: 1,
        outcome: found.outcome,
        class: found.class,
        cause: found.cause,
        attribution: found.attribution,
        duration: DurationCode::of(Duration::try_from_secs_f64(found.duration_seconds).ok()?),
        attempts: found.attempts,
        first_attempt_passed: found.first_attempt_passed,
    };
    let said = FailureRow {
        vantage: 0,
        first: slot,
        last: slot,
        count: 1,
        outcome: run.outcome,
        class: run.class,
        cause: run.cause,
        attribution: run.attribution,
        detail: found.detail,
    };
    Some(History { check: found.check, runs: vec![run], failures: vec![said] })
}
