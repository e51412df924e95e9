//! `/api/v1/soaks` and `/api/v1/gates/{c}/{e}`: verdicts and the gates' answers, as `soakwatch gate --json` has them (docs/verdicts.md, docs/hypercare.md).

use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::api::{Problem, json_bytes};
use super::limits::Asked;
use super::paging::Page;
use super::{Query, ServerState, Shared};
use crate::board::IntegrationEntry;
use crate::checkpoint;
use crate::clock::UnixMs;
use crate::config::model::Config;
use crate::fields::Point;
use crate::readiness::{Answered, Failed, Passed, answer_from};
use crate::store::Reader;

#[derive(Serialize, JsonSchema)]
pub(super) struct Soaks {
    /// When this was said.
    now: String,
    /// The hash of the configuration in force.
    config_hash: String,
    /// Each of them.
    soaks: Vec<Passed>,
    /// The cursor of the next page, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// All soaks, or those an id names.
pub(super) async fn soaks(State(shared): State<Shared>, QueryOf(query): Query) -> Result<Response, Problem> {
    let asked = query.get("id").map(|text| Asked::parse(text).ok_or_else(super::limits::no_id)).transpose()?;
    let page = Page::read(&query, "soaks")?;
    let state = shared.state;
    // A large estate takes some tens of milliseconds: not on the runtime's threads.
    let work = tokio::task::spawn_blocking(move || {
        let now = state.clock.now();
        let config_hash = state.config.borrow().hash.clone();
        let soaks = state.board.read(|all| {
            let found: Vec<&IntegrationEntry> = all.iter().filter(|i| asked.as_ref().is_none_or(|a| a.names(&i.def.id))).collect();
            match asked.filter(|_| found.is_empty()) {
                Some(asked) => Err(super::limits::unknown(asked.nearest(all.iter().map(|i| &i.def.id)))),
                None => Ok(found.into_iter().filter_map(|i| state.soaks.passed(i, now)).collect()),
            }
        })?;
        let (soaks, next) = page.of("soaks", soaks, |s: &Passed| &s.integration);
        Ok(serde_json::to_vec(&Soaks { now: now.to_string(), config_hash, soaks, next }))
    });
    answered(work.await)
}

/// What a gate says.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, rename = "Gate")]
#[expect(dead_code, reason = "the shape of what `gate` answers")]
pub(super) enum Gates {
    /// May it go live?
    GoLive(Answered),
    /// May hypercare end?
    Hypercare(checkpoint::Answered),
}

/// The gate of an environment, now or (`?at=`) as it was.
pub(super) async fn gate(
    State(shared): State<Shared>,
    Path((customer, environment)): Path<(String, String)>,
    QueryOf(query): Query,
) -> Result<Response, Problem> {
    let now = shared.state.clock.now();
    let at = query.get("at").map(|text| point(text, now)).transpose()?;
    let hypercare = match query.get("gate").map(String::as_str) {
        None | Some("go_live") => false,
        Some(checkpoint::GATE) => true,
        Some(_) => return Err(Problem::new(StatusCode::BAD_REQUEST, "there is no such gate", "Gates are go_live and hypercare.")),
    };
    // Judged from the store: some seconds of a thread. More of them wait.
    let _turn = match at {
        _ if !hypercare && at.is_none() => None,
        _ => Some(shared.readings.clone().acquire_owned().await.map_err(|_| Problem::ours("the daemon is stopping"))?),
    };
    let state = shared.state;
    let work = tokio::task::spawn_blocking(move || {
        if hypercare {
            let answered = from_store(&state, (&customer, &environment), &|config, reader| {
                checkpoint::answer_from(config, reader, (&customer, &environment), at.unwrap_or(now), at.is_none())
            })?;
            return Ok(serde_json::to_vec(&answered));
        }
        let answered = match at {
            Some(at) => from_store(&state, (&customer, &environment), &|config, reader| {
                answer_from(config, reader, (&customer, &environment), at, false)
            })?,
            None => present(&state, &customer, &environment, now)?,
        };
        Ok(serde_json::to_vec(&answered))
    });
    answered(work.await)
}

fn present(state: &ServerState, customer: &str, environment: &str, now: UnixMs) -> Result<Answered, Problem> {
    let hash = state.config.borrow().hash.clone();
    state.board.read(|all| {
        let here: Vec<&IntegrationEntry> =
            all.iter().filter(|i| i.def.id.customer() == customer && i.def.id.environment() == environment).collect();
        if here.is_empty() {
            return Err(unknown(all, customer, environment));
        }
        Ok(state.soaks.answered((customer, environment), &here, &hash, now))
    })
}

/// Makes an answer of configuration and store.
type Answering<'a, A> = dyn Fn(&Config, &Reader) -> Result<A, Failed> + 'a;

fn from_store<A>(state: &ServerState, (customer, environment): (&str, &str), answer: &Answering<'_, A>) -> Result<A, Problem> {
    let config = state.config.borrow().clone();
    let reader = Reader::open(&state.store).map_err(Failed::from);
    let judged = reader.and_then(|reader| answer(&config, &reader));
    judged.map_err(|e| match e {
        Failed::Unknown(_) => state.board.read(|all| unknown(all, customer, environment)),
        Failed::Store(error) => {
            tracing::error!(error = %error, "the store can't be read for a gate");
            Problem::ours("the store can't be read")
        }
    })
}

/// There is no such environment.
pub(super) fn unknown(all: &[IntegrationEntry], customer: &str, environment: &str) -> Problem {
    let near = Asked::parse(&format!("{customer}/{environment}")).and_then(|asked| asked.nearest(all.iter().map(|i| &i.def.id)));
    let hint = match near {
        Some(near) => format!("Did you mean {near}?"),
        None if all.is_empty() => "No integrations are configured yet.".to_owned(),
        None => "/api/v1/status lists all integrations; ids are customer/environment/integration.".to_owned(),
    };
    Problem::new(StatusCode::NOT_FOUND, "no such environment is configured", hint)
}

fn point(text: &str, now: UnixMs) -> Result<UnixMs, Problem> {
    let unreadable = |hint: String| Problem::new(StatusCode::BAD_REQUEST, "at is not readable", hint);
    // A + that was not escaped arrives as a space.
    let at = text.replace(' ', "+").parse::<Point>().map_err(|expected| unreadable(format!("Give {expected}.")))?.at(now);
    if at > now {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "at is in the future", "Nothing is judged before it has happened."));
    }
    Ok(at)
}

fn answered(work: Result<Result<serde_json::Result<Vec<u8>>, Problem>, tokio::task::JoinError>) -> Result<Response, Problem> {
    match work {
        Ok(Ok(made)) => json_bytes(Ok(made)),
        Ok(Err(problem)) => Err(problem),
        Err(e) => json_bytes(Err(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_happened_can_be_asked_for() {
        let now = UnixMs(1_796_112_000_000);
        assert_eq!(point("1h", now).unwrap(), UnixMs(now.0 - 3_600_000));
        assert_eq!(point("2026-12-01T08:00:00Z", now).unwrap(), now);
        assert_eq!(point("2026-12-01T10:00:00 02:00", now).unwrap(), now);
        for bad in ["2026-12-01T08:00:01Z", "2027-01-01", "soon", ""] {
            assert_eq!(point(bad, now).unwrap_err().status(), StatusCode::BAD_REQUEST, "{bad}");
        }
    }
}
