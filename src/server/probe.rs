//! `/probe`: the last result of one check in the words of the blackbox exporter. `target` is an integration's id, `module` a check's. Nothing is asked:
//! only what is on the board is shown, so it can't be used to reach anybody, however often it is scraped.

use std::time::Duration;

use axum::extract::{Query as QueryOf, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};

use super::api::Problem;
use super::limits::Asked;
use super::scrape::restored;
use super::{Query, ServerState, Shared};
use crate::config::table::nearest;
use crate::fields::IntegrationId;
use crate::metrics::{CONTENT_TYPE, blackbox};

/// How long Prometheus waits for an answer, as it says with each scrape.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

pub(super) async fn probe(State(shared): State<Shared>, QueryOf(query): Query, headers: HeaderMap) -> Result<Response, Problem> {
    restored(&shared)?;
    let given = |key: &str| query.get(key).filter(|text| !text.is_empty()).cloned();
    let target = given("target").ok_or_else(|| {
        bad("target is missing", "Give target=customer/environment/integration and module=CHECK; /api/v1/status lists all integrations.")
    })?;
    if query.contains_key("debug") {
        return Err(bad("there is no debug output", "`soakwatch probe ID` tells everything about a run that it makes now."));
    }
    let (patience, module, state) = (scrape_timeout(&headers)?, given("module"), shared.state);
    // The board may be held while a batch is folded in: not on the runtime's threads, and no longer than somebody waits for it.
    let work = tokio::task::spawn_blocking(move || result(&state, &target, module.as_deref()));
    let found = match patience {
        None => work.await,
        Some(patience) => tokio::time::timeout(patience, work).await.map_err(|_| {
            let hint = "Try again, or give the scrape more time.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the answer took longer than the scrape may", hint)
        })?,
    };
    let body = found.map_err(|e| {
        tracing::error!(error = %e, "a result can't be read for a scrape");
        Problem::ours("the result can't be read")
    })??;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response())
}

fn bad(error: &str, hint: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, error, hint)
}

/// The last result of the check that `target` and `module` name.
fn result(state: &ServerState, target: &str, module: Option<&str>) -> Result<Vec<u8>, Problem> {
    let entry = target.parse::<IntegrationId>().ok().and_then(|id| state.board.integration(&id)).ok_or_else(|| unknown(state, target))?;
    let checks = || entry.checks.iter().map(|c| c.def.id.check());
    let all = || checks().collect::<Vec<_>>().join(", ");
    let module = module.ok_or_else(|| bad("module is missing", format!("Give module=CHECK; the checks of {target} are {}.", all())))?;
    let check = entry.checks.iter().find(|c| c.def.id.check() == module).ok_or_else(|| {
        let near = nearest(module, &checks().collect::<Vec<_>>()).map(|near| format!("Did you mean {near}?"));
        bad("module names no check of the target", near.unwrap_or_else(|| format!("The checks of {target} are {}.", all())))
    })?;
    let now = state.clock.now();
    let paced = state.views_of(&entry, now).get(&check.def.id).map(|b| b.effective_interval);
    let every = paced.map_or(check.def.every, |p| p.max(check.def.every));
    Ok(blackbox::probe(check, every, now))
}

fn unknown(state: &ServerState, target: &str) -> Problem {
    let near = Asked::parse(target).and_then(|asked| state.board.read(|all| asked.nearest(all.iter().map(|i| &i.def.id))));
    let hint = near.map_or_else(|| "Targets are customer/environment/integration.".to_owned(), |near| format!("Did you mean {near}?"));
    Problem::new(StatusCode::NOT_FOUND, "target names no integration that is configured", hint)
}

/// What Prometheus says it waits, if it says so.
fn scrape_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(SCRAPE_TIMEOUT) else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse::<f64>().ok()).filter(|s| *s > 0.0);
    let span = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
    span.map(Some)
        .ok_or_else(|| bad("the header X-Prometheus-Scrape-Timeout-Seconds is not readable", "Give seconds, such as 10, or leave it out."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_or_refused() {
        let read = |text: &str| {
            let headers: HeaderMap = [(header::HeaderName::from_static(SCRAPE_TIMEOUT), text.parse().unwrap())].into_iter().collect();
            scrape_timeout(&headers).map_err(|p| p.status())
        };
        assert_eq!(scrape_timeout(&HeaderMap::new()).unwrap(), None);
        assert_eq!(read("9.5"), Ok(Some(Duration::from_millis(9_500))));
        for wrong in ["", "0", "-1", "ten", "NaN", "inf", "1e300"] {
            assert_eq!(read(wrong), Err(StatusCode::BAD_REQUEST), "{wrong}");
        }
    }
}
