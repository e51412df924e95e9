//! What people decide about a judgement: exclusions and attestations. Checked whole, recorded durably under the token's name, and only then answered.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::oneshot;

use super::api::Problem;
use super::asked::{Fields, Key, may, must};
use super::auth::Actor;
use super::{DecisionRequest, MAX_BODY, Shared};
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::config::model::Config;
use crate::config::table::nearest;
use crate::evidence::{Entry, Recorded};
use crate::fields::{CheckId, IntegrationId, Point, Slug, Span};
use crate::incident::act::Act;
use crate::readiness::{AttestedCase, ExclusionCase};

/// A reason, a value or a remark may have this many characters.
pub(super) const LONGEST: usize = 200;
/// A note may have this many.
pub(super) const LONGEST_NOTE: usize = 800;
/// The name of something that is attested.
pub(super) const LONGEST_NAME: usize = 63;

/// Who it was, where the token's name does not say enough.
pub(super) const BY: Key = may("by", "Who decided it, where the token's name does not say enough.");
/// What an exclusion is made of.
pub(super) const EXCLUSION: &[Key] = &[
    must("id", "customer/environment/integration, or customer/environment/integration/check for one check."),
    must("from", "The beginning of what is taken out: a time, a day, or a span back from now (2h)."),
    must("to", "Its end, exclusive, likewise."),
    must("reason", "Why; at most 200 characters."),
    BY,
];
/// What an attestation is made of.
pub(super) const ATTESTATION: &[Key] = &[
    must("environment", "customer/environment."),
    must("name", "What is attested, as the soak's `attest` names it."),
    may("value", "What was found; at most 200 characters."),
    may("note", "More about it; at most 800 characters."),
    may("until", "Until when it holds: a span from now on (30d), a time or a day."),
    BY,
];

/// A decision that is on record.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Decided {
    /// The record as it stands in the evidence log.
    recorded: Recorded,
    /// SHA-256 over it, hex.
    record_hash: String,
    /// What may not have been meant.
    warnings: Vec<String>,
}

/// Says that a decision is on record.
pub(super) fn decided((recorded, record_hash): (Recorded, String), warnings: Vec<String>) -> Response {
    (StatusCode::CREATED, Json(Decided { recorded, record_hash, warnings })).into_response()
}

/// `POST /api/v1/exclusions`.
pub(super) async fn exclude(State(shared): State<Shared>, Extension(actor): Extension<Actor>, body: Body) -> Result<Response, Problem> {
    let mut asked = Fields::read(&body_of(body).await?)?;
    let (now, config) = (shared.state.clock.now(), shared.state.config.borrow().clone());
    let id = asked.text("id", 4 * LONGEST_NAME + 3).and_then(|text| target(&mut asked, &text, &config));
    let from = asked.text("from", LONGEST).and_then(|text| past(&mut asked, "from", &text, now));
    let to = asked.text("to", LONGEST).and_then(|text| past(&mut asked, "to", &text, now));
    let reason = asked.text("reason", LONGEST);
    let remark = asked.optional("by", LONGEST);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        asked.problem("to", format!("{to} is not later than from ({from})"));
    }
    let keep = config.settings.store.keep_runs;
    if let Some(from) = from.filter(|t| *t < now.minus(keep.0)) {
        asked.problem("from", format!("{from} is longer ago than runs are kept ({keep})"));
    }
    asked.done(EXCLUSION)?;
    let (Some((id, check)), Some(from), Some(to), Some(reason)) = (id, from, to, reason) else {
        return Err(Problem::ours("the request could not be understood"));
    };
    let check = check.map(|c| c.check().to_owned());
    let case = ExclusionCase { seq: 0, check, from, to, reason, by: actor.name, remark, at: now };
    let mut warnings = Vec::new();
    let reaches = |entry: &IntegrationEntry| {
        shared.state.soaks.judged(entry, now, |_, verdict| from < verdict.window.end && verdict.window.start < to)
    };
    if shared.state.board.integration(&id).and_then(|entry| reaches(&entry)) == Some(false) {
        warnings.push("the span lies outside the window that is judged now: it changes nothing today".to_owned());
    }
    record(&shared, case.entry(&id), warnings).await
}

/// `POST /api/v1/attestations`.
pub(super) async fn attest(State(shared): State<Shared>, Extension(actor): Extension<Actor>, body: Body) -> Result<Response, Problem> {
    let mut asked = Fields::read(&body_of(body).await?)?;
    let (now, config) = (shared.state.clock.now(), shared.state.config.borrow().clone());
    let place = asked.text("environment", 2 * LONGEST_NAME + 1).and_then(|text| environment(&mut asked, &text, &config));
    let name = asked.text("name", LONGEST_NAME);
    let (value, note) = (asked.optional("value", LONGEST), asked.optional("note", LONGEST_NOTE));
    let until = asked.optional("until", LONGEST).and_then(|text| ahead(&mut asked, "until", &text, now));
    let remark = asked.optional("by", LONGEST);
    asked.done(ATTESTATION)?;
    let (Some((customer, environment)), Some(name)) = (place, name) else {
        return Err(Problem::ours("the request could not be understood"));
    };
    let warnings = unasked(&config, &customer, &environment, &name).into_iter().collect();
    let case = AttestedCase { seq: 0, name, value, note, by: actor.name, remark, at: now, until };
    record(&shared, case.entry(&customer, &environment), warnings).await
}

pub(super) async fn body_of(body: Body) -> Result<Vec<u8>, Problem> {
    Ok(to_bytes(body, MAX_BODY).await.map_err(|_| Problem::too_large())?.to_vec())
}

/// Records it and says where it stands.
async fn record(shared: &Shared, entry: Entry, warnings: Vec<String>) -> Result<Response, Problem> {
    Ok(decided(recorded(shared, entry).await?, warnings))
}

/// Records it durably; gives the record as it stands in the log, and its hash.
pub(super) async fn recorded(shared: &Shared, entry: Entry) -> Result<(Recorded, String), Problem> {
    recorded_with(shared, entry, None).await
}

/// The same, and what is done with an incident by it.
pub(super) async fn recorded_with(shared: &Shared, entry: Entry, act: Option<(String, Act)>) -> Result<(Recorded, String), Problem> {
    let not_done = if act.is_some() { "it could not be done" } else { "it could not be recorded, and nothing was changed" };
    let not_done = |why: &str| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{not_done}: {why}"),
            "Try again; the daemon's log says what is wrong with its store.",
        )
    };
    let (answer, answered) = oneshot::channel();
    let request = DecisionRequest { entry: entry.clone(), act, answer };
    shared.state.decisions.send(request).await.map_err(|_| not_done("the daemon is stopping"))?;
    let link = match answered.await {
        Ok(Ok(link)) => link,
        Ok(Err(why)) => return Err(not_done(&why)),
        Err(_) => return Err(not_done("the daemon is stopping")),
    };
    let recorded = entry.numbered(link.seq);
    tracing::info!(actor = recorded.actor, kind = recorded.kind, seq = link.seq, "recorded as evidence");
    Ok((recorded, link.record.to_string()))
}

/// A check, or an integration for all of its checks, that has a soak.
fn target(asked: &mut Fields, text: &str, config: &Config) -> Option<(IntegrationId, Option<CheckId>)> {
    let check = text.parse::<CheckId>().ok();
    let Some(id) = check.as_ref().map(CheckId::integration).or_else(|| text.parse().ok()) else {
        asked
            .problem("id", "expected customer/environment/integration, or customer/environment/integration/check for one check".to_owned());
        return None;
    };
    let known = match &check {
        Some(check) => config.checks().any(|c| c.id == *check),
        None => config.integrations().any(|i| i.id == id),
    };
    if !known {
        let ids: Vec<String> = match &check {
            Some(_) => config.checks().map(|c| c.id.to_string()).collect(),
            None => config.integrations().map(|i| i.id.to_string()).collect(),
        };
        let near = ids.iter().min_by_key(|id| strsim::damerau_levenshtein(text, id));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        asked.problem("id", format!("no such {} is configured{near}", if check.is_some() { "check" } else { "integration" }));
        return None;
    }
    if config.integrations().any(|i| i.id == id && i.soak.is_none()) {
        asked.problem("id", format!("{id} has no soak: there is nothing to exclude from"));
        return None;
    }
    Some((id, check))
}

fn environment(asked: &mut Fields, text: &str, config: &Config) -> Option<(String, String)> {
    let parts = text.split_once('/').filter(|(c, e)| c.parse::<Slug>().is_ok() && e.parse::<Slug>().is_ok());
    let Some((customer, environment)) = parts else {
        asked.problem("environment", "expected customer/environment".to_owned());
        return None;
    };
    let here = |i: &IntegrationId| format!("{}/{}", i.customer(), i.environment());
    if config.integrations().all(|i| here(&i.id) != text) {
        let near = config.integrations().map(|i| here(&i.id)).min_by_key(|id| strsim::damerau_levenshtein(text, id));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        asked.problem("environment", format!("no such environment is configured{near}"));
        return None;
    }
    Some((customer.to_owned(), environment.to_owned()))
}

/// A time that has come.
fn past(asked: &mut Fields, key: &'static str, text: &str, now: UnixMs) -> Option<UnixMs> {
    match text.parse::<Point>().map(|p| p.at(now)) {
        Ok(at) if at <= now => return Some(at),
        Ok(at) => asked.problem(key, format!("{at} is in the future: declare a maintenance window for what is planned")),
        Err(expected) => asked.problem(key, format!("expected {expected}")),
    }
    None
}

/// A time that is still to come: a span from now on, a time or a day.
fn ahead(asked: &mut Fields, key: &'static str, text: &str, now: UnixMs) -> Option<UnixMs> {
    let at = match (text.parse::<Span>(), text.parse::<Point>()) {
        (Ok(span), _) => Some(now.plus(span.0)),
        (_, Ok(Point::At(at))) => Some(at),
        _ => None,
    };
    match at {
        Some(at) if at > now => return Some(at),
        Some(at) => asked.problem(key, format!("{at} is not in the future")),
        None => {
            asked.problem(key, "expected a span from now on (30d), a time (2026-12-01T08:00:00Z) or a day (2026-12-01)".to_owned());
        }
    }
    None
}

/// A warning where nobody asked for it: most likely a slip of the pen.
fn unasked(config: &Config, customer: &str, environment: &str, name: &str) -> Option<String> {
    let here = config.integrations().filter(|i| i.id.customer() == customer && i.id.environment() == environment);
    let names: Vec<&str> = here.filter_map(|i| i.soak.as_ref()).flat_map(|p| &p.attest).map(String::as_str).collect();
    if names.contains(&name) {
        return None;
    }
    let near = match nearest(name, &names) {
        Some(near) => format!("; did you mean {near}?"),
        None if names.is_empty() => String::new(),
        None => format!("; they ask for {}", names.join(", ")),
    };
    Some(format!("no soak of {customer}/{environment} asks for an attestation of this name{near}"))
}
