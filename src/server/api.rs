//! The JSON side: health, reload, status, one integration, and the shape of every error.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Path, Query as QueryOf, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::asked::FieldProblem;
use super::auth::Actor;
use super::operations;
use super::page_arrivals::{ArrivedStatus, arrived};
use super::paging::Page;
use super::{MAX_BODY, Query, ReloadAnswer, ReloadRequest, ServerState, Shared};
use crate::config::outline::Outline;
use crate::config::table::{Problem as ConfigProblem, nearest};
use crate::fields::IntegrationId;
use crate::health::Refused;
use crate::limits::{IntegrationLimits, integration_limits};
use crate::readiness::Restarted;
use crate::status::{CheckStatus, IntegrationStatus, State as Word, check_status, integration_status};

/// An answer that is not what was asked for: `{ "error": ..., "hint": ... }`.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    error: String,
    hint: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    more: Option<Box<(&'static str, serde_json::Value)>>,
}

impl Problem {
    /// A problem with a hint what to do.
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: hint.into(), headers: Vec::new(), more: None }
    }
    /// The same with one more header.
    pub(super) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }
    /// The same with one more key.
    pub(super) fn with(mut self, key: &'static str, value: serde_json::Value) -> Self {
        self.more = Some(Box::new((key, value)));
        self
    }
    pub(super) fn unauthorized(error: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            error,
            "Send it as `Authorization: Bearer TOKEN`, or in a browser as the password (any user name). Make one with `soakwatch token NAME --role viewer`.",
        )
        .header(header::WWW_AUTHENTICATE, "Basic realm=\"soakwatch\", charset=\"UTF-8\"")
    }
    pub(super) fn too_large() -> Self {
        // The rest of the body is not read: the connection can't go on.
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is larger than 64 KiB", "No request here needs one.")
            .header(header::CONNECTION, "close")
    }
    /// Something of ours failed; the reason went to the log.
    pub(super) fn ours(error: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error, "The daemon's log says why.")
    }
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
    pub(super) fn texts(&self) -> (&str, &str) {
        (&self.error, &self.hint)
    }
}

impl From<Problem> for Response {
    fn from(p: Problem) -> Self {
        let mut body = json!({ "error": p.error, "hint": p.hint });
        if let Some(more) = p.more {
            body[more.0] = more.1;
        }
        let mut response = (p.status, Json(body)).into_response();
        response.headers_mut().extend(p.headers);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into()
    }
}

pub(super) fn too_slow() -> Response {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the answer took too long", "Try again, or ask for less.").into()
}

pub(super) async fn not_found(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let paths: Vec<&str> = operations::ALL.iter().map(|o| o.path).collect();
    let hint = match nearest(&path, &paths) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("There are {}; /api/v1/openapi.json says what each is.", paths.join(", ")),
    };
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path", hint)
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let allowed = if operations::at(uri.path()).is_some_and(|o| o.changes()) { "POST" } else { "GET" };
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for this path"), format!("Use {allowed}."))
        .header(header::ALLOW, if allowed == "POST" { "POST" } else { "GET, HEAD" })
}

/// What is in force, as hashes: enough to tell what another configuration would change.
pub(super) async fn config(State(shared): State<Shared>) -> Json<Outline> {
    let ServerState { config, started, soaks, clock, .. } = &shared.state;
    let config = Arc::clone(&config.borrow());
    Json(Outline::in_force(&config, started, soaks.begun(clock.now())))
}

pub(super) async fn healthy(State(shared): State<Shared>) -> (StatusCode, String) {
    match shared.state.health.healthy() {
        Ok(()) => (StatusCode::OK, "healthy\n".into()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not healthy: {why}\n")),
    }
}

pub(super) async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.state.health.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: the stored state is being read, or the daemon is stopping\n")
    }
}

pub(super) async fn reload(State(shared): State<Shared>, Extension(actor): Extension<Actor>, body: Body) -> Result<Response, Problem> {
    // Nothing in it matters, but a client may send one, and it must be small.
    to_bytes(body, MAX_BODY).await.map_err(|_| Problem::too_large())?;
    let (answer, answered) = oneshot::channel();
    let stopping =
        || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping", "Start it again; it reads its configuration then.");
    // Full: reloads are waiting already, and one more would read the same files.
    shared.state.reload.send(ReloadRequest { actor: actor.name, answer }).await.map_err(|_| stopping())?;
    match answered.await.map_err(|_| stopping())? {
        ReloadAnswer::Applied { added, removed, changed, unchanged, settings_changed, restart_needed, soaks_restarted, hash } => {
            let body =
                Reloaded { applied: true, added, removed, changed, unchanged, settings_changed, restart_needed, soaks_restarted, hash };
            Ok(Json(body).into_response())
        }
        ReloadAnswer::Refused(problems) => {
            let body = NotReloaded {
                applied: false,
                error: "the new configuration has errors; the old one stays in force",
                hint: "Mend what is listed under \"problems\" and try again; `soakwatch validate` shows the same.",
                shown: problems.iter().map(ToString::to_string).collect(),
                problems,
            };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response())
        }
    }
}

/// `/api/v1/status`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub(super) struct StatusBody<'a> {
    /// Soakwatch's version.
    version: &'static str,
    /// When this was said.
    now: String,
    /// Whether the stored state is back.
    ready: bool,
    /// The hash of the configuration in force.
    config_hash: &'a str,
    /// What was read since and refused; gone with the next configuration that is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    config_refused: Option<ConfigRefused>,
    /// How many integrations are in each state.
    #[schemars(with = "std::collections::BTreeMap<String, usize>")]
    totals: serde_json::Map<String, serde_json::Value>,
    /// Each of them.
    integrations: Vec<IntegrationStatus>,
    /// The cursor of the next page, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A configuration that was refused: the one before stays in force.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConfigRefused {
    /// When it was read.
    at: String,
    /// How many errors it has; 0 where it could not be taken over for another reason.
    problems: usize,
    /// The first of them, or that reason.
    first: String,
    /// Since when the one in force is.
    in_force_since: String,
}

impl From<Refused> for ConfigRefused {
    fn from(r: Refused) -> Self {
        Self { at: r.at.to_string(), problems: r.problems, first: r.first, in_force_since: r.in_force_since.to_string() }
    }
}

/// `/api/v1/integrations/...`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Integration")]
pub(super) struct IntegrationBody {
    /// When this was said.
    now: String,
    #[serde(flatten)]
    status: IntegrationStatus,
    /// Its rate limits.
    limits: IntegrationLimits,
    /// What arrived for checks that receive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    arrived: Vec<ArrivedStatus>,
    /// Its checks.
    check: Vec<CheckStatus>,
}

/// `POST /-/reload`, applied.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Reloaded {
    /// Always true.
    applied: bool,
    /// Checks that are new.
    added: usize,
    /// Checks that are gone.
    removed: usize,
    /// Checks that are not what they were.
    changed: usize,
    /// Checks that went on undisturbed.
    unchanged: usize,
    /// Settings that changed with it.
    settings_changed: Vec<String>,
    /// Settings that are not those the daemon was started with and take effect only after a restart.
    restart_needed: Vec<String>,
    /// Soaks that begin again, because what they judge was changed.
    soaks_restarted: Vec<Restarted>,
    /// The new configuration's hash.
    hash: String,
}

/// `POST /-/reload`, refused.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NotReloaded {
    /// Always false.
    applied: bool,
    /// What went wrong.
    error: &'static str,
    /// What to do.
    hint: &'static str,
    /// Every problem.
    problems: Vec<ConfigProblem>,
    /// Each as a line of text.
    shown: Vec<String>,
}

/// Any answer that is not what was asked for.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "Error")]
#[expect(dead_code, reason = "the shape of what Problem becomes")]
pub(super) struct ErrorBody {
    /// What went wrong.
    error: String,
    /// What to do.
    hint: String,
    /// What is wrong with which key, where the body of the request was refused.
    #[schemars(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<FieldProblem>>,
}

/// How many integrations are in each state.
fn totals(all: &[IntegrationStatus]) -> serde_json::Map<String, serde_json::Value> {
    Word::ALL.iter().map(|s| (s.to_string(), all.iter().filter(|i| i.state == *s).count().into())).collect()
}

pub(super) async fn status(State(shared): State<Shared>, QueryOf(query): Query) -> Result<Response, Problem> {
    let page = Page::read(&query, "status")?;
    let state = shared.state;
    // A large estate takes some tens of milliseconds: not on the runtime's threads.
    let work = tokio::task::spawn_blocking(move || {
        let now = state.clock.now();
        let views = state.views(now);
        let all: Vec<IntegrationStatus> = state.board.read(|b| b.iter().map(|i| integration_status(i, &views, now)).collect());
        let totals = totals(&all);
        let (integrations, next) = page.of("status", all, |i| &i.id);
        serde_json::to_vec(&StatusBody {
            version: env!("CARGO_PKG_VERSION"),
            now: now.to_string(),
            ready: state.health.is_ready(),
            config_hash: &state.config.borrow().hash,
            config_refused: state.health.refused_config().map(ConfigRefused::from),
            totals,
            integrations,
            next,
        })
    });
    json_bytes(work.await)
}

pub(super) fn json_bytes(made: Result<serde_json::Result<Vec<u8>>, tokio::task::JoinError>) -> Result<Response, Problem> {
    match made {
        Ok(Ok(bytes)) => Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response()),
        failed => {
            tracing::error!(?failed, "an answer of the API could not be made");
            Err(Problem::ours("the answer could not be made"))
        }
    }
}

/// The three parts of an integration's id in a path.
pub(super) type IdPath = Path<(String, String, String)>;

/// The id in a path, if it can be one.
pub(super) fn integration_id(Path((customer, environment, integration)): &IdPath) -> Result<IntegrationId, Problem> {
    format!("{customer}/{environment}/{integration}").parse().map_err(|_| no_integration())
}

pub(super) fn no_integration() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no such integration is configured",
        "/api/v1/status lists all of them; ids are customer/environment/integration.",
    )
}

pub(super) async fn integration(State(shared): State<Shared>, path: IdPath, _: Request) -> Result<Response, Problem> {
    let id = integration_id(&path)?;
    let now = shared.state.clock.now();
    let entry = shared.state.board.integration(&id).ok_or_else(no_integration)?;
    let views = shared.state.views_of(&entry, now);
    let body = IntegrationBody {
        now: now.to_string(),
        status: integration_status(&entry, &views, now),
        limits: integration_limits(&entry, &views, now),
        arrived: arrived(&entry, &shared.state.board),
        check: entry.checks.iter().map(|c| check_status(c, &views, now)).collect(),
    };
    json_bytes(Ok(serde_json::to_vec(&body)))
}
