//! `/api/v1/incidents`: what is broken and was, and what people do with it: acknowledge, note, reclassify. On record first, under the token's name; then
//! the incident is changed, and only then it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Query as QueryOf, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::api::{Problem, json_bytes};
use super::asked::{Fields, Key, may, must};
use super::auth::Actor;
use super::decisions::{BY, LONGEST, body_of, decided, recorded_with};
use super::limits::{Asked, unknown};
use super::paging::Page;
use super::{Query, ServerState, Shared};
use crate::config::table::nearest;
use crate::evidence::{Entry, Kind, Scope, time_text};
use crate::incident::act::Act;
use crate::incident::cause::causes;
use crate::incident::shown::{IncidentList, IncidentShown};
use crate::incident::{CommonCause, Incident, MOST_NOTE, Severity};
use crate::outcome::{Attribution, Class};
use crate::store::Reader;

/// The events of the log that are about an incident hold at most this of a note; the incident has all of it.
const NOTE_ON_RECORD: usize = 1_000;

/// What an acknowledgement is made of; its body may be left out.
pub(super) const ACK: &[Key] = &[BY];
/// What a note is made of.
pub(super) const NOTE: &[Key] = &[must("text", "What is to be known; one line."), BY];
/// What a reclassification is made of.
pub(super) const RECLASSIFY: &[Key] = &[
    may("class", "What it is; one of class, attribution and severity must be given."),
    may("attribution", "Whose it is."),
    may("severity", "How bad it is: P1 to P4."),
    must("reason", "Why; at most 200 characters."),
    BY,
];

/// All that are at hand, or those of a customer, of an environment, or open.
pub(super) async fn list(State(shared): State<Shared>, QueryOf(query): Query) -> Result<Response, Problem> {
    let state = shared.state;
    let (wanted, page) = (Wanted::read(&state, &query)?, Page::read(&query, "incidents")?);
    // A large estate takes some tens of milliseconds: not on the runtime's threads.
    let work = tokio::task::spawn_blocking(move || {
        let all = state.incidents.all();
        let causes = causes(all.iter().map(Arc::as_ref));
        let runbooks = runbooks(&state);
        let shown = |i: &Arc<Incident>| IncidentShown::of(i, runbooks.get(i.integration.as_str()).cloned(), &causes);
        let incidents: Vec<IncidentShown> = all.iter().filter(|i| wanted.has(i)).map(shown).collect();
        let common = causes.iter().filter(|c| c.incidents.iter().any(|id| incidents.iter().any(|i| i.id == *id)));
        let common_causes = common.map(Into::into).collect();
        let (incidents, next) = page.of("incidents", incidents, |i| &i.id);
        serde_json::to_vec(&IncidentList { now: state.clock.now(), incidents, common_causes, next })
    });
    json_bytes(work.await)
}

/// One of them.
pub(super) async fn one(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (state, id) = (shared.state, id);
    let work = tokio::task::spawn_blocking(move || {
        let incident = find(&state, &id).ok_or_else(|| no_such(&state, &id))?;
        let all = state.incidents.all();
        let causes: Vec<CommonCause> = causes(all.iter().map(Arc::as_ref));
        let runbook = runbooks(&state).get(incident.integration.as_str()).cloned();
        Ok(serde_json::to_vec(&IncidentShown::of(&incident, runbook, &causes)))
    });
    match work.await {
        Ok(Ok(made)) => json_bytes(Ok(made)),
        Ok(Err(problem)) => Err(problem),
        Err(e) => json_bytes(Err(e)),
    }
}

/// `POST .../ack`.
pub(super) async fn ack(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let body = body_of(body).await?;
    let mut asked = Fields::read(if body.is_empty() { b"{}" } else { &body })?;
    let remark = asked.optional("by", LONGEST);
    asked.done(ACK)?;
    act(&shared, actor, &id, Act::Acknowledge(remark.clone()), remark).await
}

/// `POST .../note`.
pub(super) async fn note(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let mut asked = Fields::read(&body_of(body).await?)?;
    let (text, remark) = (asked.text("text", MOST_NOTE), asked.optional("by", LONGEST));
    asked.done(NOTE)?;
    let Some(text) = text else { return Err(Problem::ours("the request could not be understood")) };
    act(&shared, actor, &id, Act::Note(text), remark).await
}

/// `POST .../reclassify`.
pub(super) async fn reclassify(
    State(shared): State<Shared>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let mut asked = Fields::read(&body_of(body).await?)?;
    let class = word(&mut asked, "class", Class::ALL, Class::parse, Class::as_str, Class::Internal);
    let attribution = word(&mut asked, "attribution", Attribution::ALL, Attribution::parse, Attribution::as_str, Attribution::Monitor);
    let severity = word(&mut asked, "severity", Severity::ALL, Severity::parse, Severity::as_str, None);
    let (reason, remark) = (asked.text("reason", LONGEST), asked.optional("by", LONGEST));
    if !["class", "attribution", "severity"].iter().any(|key| asked.has(key)) {
        asked.problem("severity", "is missing: give class, attribution or severity".to_owned());
    }
    asked.done(RECLASSIFY)?;
    let Some(reason) = reason else { return Err(Problem::ours("the request could not be understood")) };
    act(&shared, actor, &id, Act::Reclassify { class, attribution, severity, reason }, remark).await
}

/// A word of a closed set; `ours`: the one that is never an integration's.
fn word<T: Copy + PartialEq>(
    asked: &mut Fields,
    key: &'static str,
    all: &[T],
    parse: fn(&str) -> Option<T>,
    text: fn(T) -> &'static str,
    ours: impl Into<Option<T>>,
) -> Option<T> {
    let written = asked.optional(key, LONGEST)?;
    let ours = ours.into();
    let words: Vec<&str> = all.iter().filter(|w| Some(**w) != ours).map(|w| text(*w)).collect();
    let found = parse(&written).filter(|w| Some(*w) != ours);
    if found.is_none() {
        let near = nearest(&written, &words).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        asked.problem(key, format!("expected one of {}{near}", words.join(", ")));
    }
    found
}

async fn act(shared: &Shared, actor: Actor, id: &str, act: Act, remark: Option<String>) -> Result<Response, Problem> {
    let state = &shared.state;
    // What is not at hand any more is history.
    let Some(before) = state.incidents.get(id) else { return Err(no_such(state, id)) };
    let now = state.clock.now();
    let after = before.after(&act, &actor.name, now);
    let (kind, mut body) = match &act {
        Act::Acknowledge(_) => (Kind::Acknowledgement, json!({})),
        Act::Note(text) => (Kind::Note, json!({ "text": text.chars().take(NOTE_ON_RECORD).collect::<String>() })),
        Act::Reclassify { reason, .. } => (
            Kind::Incident,
            json!({
                "event": act.event().as_str(), "at": time_text(now), "severity": after.severity, "class": after.class,
                "attribution": after.attribution, "reason": reason,
                "before": { "severity": before.severity, "class": before.class, "attribution": before.attribution },
            }),
        ),
    };
    (body["incident"], body["remark"]) = (id.into(), remark.into());
    let entry = Entry::new(now, kind, Scope::integration(&before.integration), &actor.name, body);
    Ok(decided(recorded_with(shared, entry, Some((id.to_owned(), act))).await?, Vec::new()))
}

/// At hand, or in the store.
pub(super) fn find(state: &ServerState, id: &str) -> Option<Arc<Incident>> {
    let stored = || match Reader::open(&state.store).and_then(|r| r.incident(id)) {
        Ok(found) => found.map(Arc::new),
        Err(error) => {
            tracing::debug!(%error, "the store can't be read for an incident");
            None
        }
    };
    state.incidents.get(id).or_else(stored)
}

pub(super) fn no_such(state: &ServerState, id: &str) -> Problem {
    let ids: Vec<Arc<Incident>> = state.incidents.all();
    let ids: Vec<&str> = ids.iter().map(|i| i.id.as_str()).collect();
    let asked: String = id.chars().take(60).collect();
    let hint = match nearest(&asked, &ids) {
        Some(near) => format!("Did you mean {near}?"),
        None => "/api/v1/incidents lists them.".to_owned(),
    };
    Problem::new(StatusCode::NOT_FOUND, "there is no such incident", hint)
}

fn runbooks(state: &ServerState) -> BTreeMap<String, String> {
    let of = |i: &crate::board::IntegrationEntry| Some((i.def.id.to_string(), i.def.runbook.as_ref()?.to_string()));
    state.board.read(|all| all.iter().filter_map(of).collect())
}

/// Which incidents are asked for.
struct Wanted {
    below: Option<Asked>,
    environment: Option<String>,
    open: Option<bool>,
}

impl Wanted {
    fn read(state: &ServerState, query: &BTreeMap<String, String>) -> Result<Self, Problem> {
        let bad = |what: &str, hint: &str| Problem::new(StatusCode::BAD_REQUEST, format!("{what} is not readable"), hint);
        let known = ["customer", "environment", "open", "limit", "cursor"];
        if let Some(other) = query.keys().find(|k| !known.contains(&k.as_str())) {
            let shown: String = other.chars().take(60).collect();
            return Err(bad(&shown, "Give customer, environment, open, limit or cursor."));
        }
        let slug = |key: &str| {
            let text =
                query.get(key).map(|text| text.parse::<crate::fields::Slug>().map_err(|_| bad(key, "Give a name as it is configured.")));
            text.transpose()
        };
        let (customer, environment) = (slug("customer")?, slug("environment")?);
        let open = match query.get("open").map(String::as_str) {
            None => None,
            Some("" | "true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(bad("open", "Give open=true or open=false.")),
        };
        let below = customer.and_then(|c| Asked::parse(c.as_str()));
        let wanted = Self { below, environment: environment.map(|e| e.to_string()), open: None };
        // A slip of the pen must not look as if nothing were broken.
        let there = state.board.read(|all| all.iter().any(|i| wanted.concerns(&i.def.id)));
        if !there
            && !state.incidents.all().iter().any(|i| wanted.concerns(&i.integration))
            && (wanted.below.is_some() || wanted.environment.is_some())
        {
            let near = |a: &Asked| state.board.read(|all| a.nearest(all.iter().map(|i| &i.def.id)));
            return Err(unknown(wanted.below.as_ref().and_then(near)));
        }
        Ok(Self { open, ..wanted })
    }

    fn concerns(&self, id: &crate::fields::IntegrationId) -> bool {
        self.below.as_ref().is_none_or(|a| a.names(id)) && self.environment.as_deref().is_none_or(|e| e == id.environment())
    }

    fn has(&self, i: &Incident) -> bool {
        self.concerns(&i.integration) && self.open.is_none_or(|open| open == i.is_open())
    }
}
