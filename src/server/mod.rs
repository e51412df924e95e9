//! The daemon's own listener: metrics, health, API, pages. Reads the board, never changes it; what it sets off is a reload, or the record of a decision.
//!
//! A request goes through `accept` (limits of connections and time), `gate` (host, origin, token, body size, counting) and one handler.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::board::{Board, CheckEntry, IntegrationEntry};
use crate::budget::{Budgets, Views};
use crate::checkpoint::Live;
use crate::clock::{Clock, UnixMs, monotonic};
use crate::config::diff::AtStart;
use crate::config::model::{Config, ServerSettings};
use crate::config::table::Problem;
use crate::evidence::{Entry, Link};
use crate::health::Health;
use crate::incident::act::Act;
use crate::incident::live::Incidents;
use crate::memory::Memories;
use crate::metrics::own::{Listening, OwnMetrics};
use crate::readiness::{Restarted, Soaks};

pub(crate) mod accept;
mod acceptances;
pub(crate) mod access;
mod api;
mod asked;
mod auth;
mod decisions;
mod etag;
mod gate;
mod incidents;
mod limits;
mod openapi;
mod operations;
mod origin;
mod page;
mod page_arrivals;
mod page_detail;
mod page_findings;
mod page_hypercare;
mod page_incident;
mod page_limits;
mod page_readiness;
mod page_run;
mod page_soak;
mod page_strip;
mod paging;
mod probe;
mod run_by_id;
mod runs;
mod scrape;
mod senders;
mod soaks;
pub mod tls;

pub use run_by_id::Found;

/// The largest request body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Scrapes answered at once: each holds a copy of the board.
const SCRAPES_AT_ONCE: usize = 4;
/// Gates of the past judged at once: each reads the runs of an environment.
const READINGS_AT_ONCE: usize = 2;

/// What the server reads from, and whom it asks for a reload.
#[derive(Clone, Debug)]
pub struct ServerState {
    /// The state of everything.
    pub board: Arc<Board>,
    /// How much of each endpoint's patience is ours.
    pub budgets: Arc<Budgets>,
    /// Every soak's running state.
    pub soaks: Arc<Soaks>,
    /// The incidents it knows.
    pub incidents: Arc<Incidents>,
    /// What was found last of every environment that is live.
    pub checkpoints: Arc<Live>,
    /// The daemon's own metrics.
    pub own: Arc<OwnMetrics>,
    /// Wall time.
    pub clock: Clock,
    /// What only a restart changes, as it was at the start.
    pub started: Arc<AtStart>,
    /// The configuration in force. Tokens, hosts and the timeout are read from it at each request.
    pub config: watch::Receiver<Arc<Config>>,
    /// Alive and ready?
    pub health: Arc<Health>,
    /// Where reloads are asked for.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Where decisions go to be recorded.
    pub decisions: mpsc::Sender<DecisionRequest>,
    /// What checks remember: what was accepted of their documents.
    pub memories: Arc<Memories>,
    /// The store's file, for reading runs.
    pub store: PathBuf,
}

impl ServerState {
    /// Every check's budget.
    fn views(&self, now: UnixMs) -> Views {
        self.budgets.views(now, monotonic())
    }

    /// Those of one integration's checks.
    fn views_of(&self, entry: &IntegrationEntry, now: UnixMs) -> Views {
        let of = |c: &CheckEntry| Some((c.def.id.clone(), self.budgets.view(&c.def.id, now, monotonic())?));
        entry.checks.iter().filter_map(of).collect()
    }
}

/// Somebody decided something that is to be recorded.
#[derive(Debug)]
pub struct DecisionRequest {
    /// The record.
    pub entry: Entry,
    /// What is done by it, once it stands there, with which incident.
    pub act: Option<(String, Act)>,
    /// Where it is told that it stands in the log, or why it does not.
    pub answer: oneshot::Sender<Result<Link, String>>,
}

/// Somebody asks for a reload.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who: the token's name, or where the request came from.
    pub actor: String,
    /// Where the answer goes.
    pub answer: oneshot::Sender<ReloadAnswer>,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq)]
pub enum ReloadAnswer {
    /// The new configuration is in force.
    Applied {
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
        /// Settings that take effect only after a restart.
        restart_needed: Vec<String>,
        /// Soaks that begin again.
        soaks_restarted: Vec<Restarted>,
        /// The new configuration's hash.
        hash: String,
    },
    /// It has errors; nothing was changed.
    Refused(Vec<Problem>),
}

/// A state of one listener: what all share, and what is known only once it is bound.
#[derive(Clone, Debug)]
struct Shared {
    state: ServerState,
    /// The address that was bound.
    local: SocketAddr,
    failures: Arc<auth::Failures>,
    scrapes: Arc<Semaphore>,
    readings: Arc<Semaphore>,
}

/// Whether a listener may open: outside loopback only with tokens, or with `auth = "none"` written. The error says what to do.
pub fn may_listen(settings: &ServerSettings, address: SocketAddr) -> Result<(), String> {
    if address.ip().to_canonical().is_loopback() || !settings.tokens.is_empty() || settings.open {
        return Ok(());
    }
    Err(format!(
        "the listener {address} can be reached from other machines, but no token protects it: \
         make one with `soakwatch token NAME --role viewer`, or listen on 127.0.0.1, or write auth = \"none\" under [server] if that is meant"
    ))
}

/// Binds the listener after [`may_listen`] agreed. The error is for people.
pub async fn bind(settings: &ServerSettings) -> Result<TcpListener, String> {
    may_listen(settings, settings.listen)?;
    TcpListener::bind(settings.listen).await.map_err(|e| match e.kind() {
        io::ErrorKind::AddrInUse => {
            format!("the address {} is in use; another soakwatch may be running, or set server.listen", settings.listen)
        }
        _ => format!("can't listen on {}: {e}", settings.listen),
    })
}

/// Serves until `stop`, then lets requests in flight end within a bounded time. An error means the listener itself is gone.
pub async fn serve(listener: TcpListener, tls: Option<Arc<tls::Tls>>, state: ServerState, stop: CancellationToken) -> io::Result<()> {
    let local = listener.local_addr()?;
    may_listen(&state.config.borrow().settings.server, local).map_err(io::Error::other)?;
    let (scrapes, readings) = (Arc::new(Semaphore::new(SCRAPES_AT_ONCE)), Arc::new(Semaphore::new(READINGS_AT_ONCE)));
    let shared = Shared { state, local, failures: Arc::default(), scrapes, readings };
    let config = shared.state.config.clone();
    let limits = move || {
        let server = &config.borrow().settings.server;
        // Whoever reaches it is one of us: no address is held to less than all.
        accept::Limits {
            connections: server.max_connections,
            of_one_sender: u32::MAX,
            timeout: server.timeout.0,
            access_log: server.access_log,
        }
    };
    let path = |path: &str| operations::at(path).map_or("other", |o| o.path).to_owned();
    let names = access::Names { listener: Listening::Server, path: Arc::new(path) };
    accept::run(listener, limits, accept::Serving { router: router(shared), told: Arc::new(|_| {}), tls, names }, stop).await;
    Ok(())
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(page::overview))
        .route("/integrations/{customer}/{environment}/{integration}", get(page_detail::integration))
        .route("/readiness/{customer}/{environment}", get(page_readiness::environment))
        .route("/hypercare", get(page_hypercare::html))
        .route("/incidents/{id}", get(page_incident::html))
        .route("/runs/{customer}/{environment}/{integration}/{check}/{slot}", get(page_run::html))
        .route("/metrics", get(scrape::metrics))
        .route("/probe", get(probe::probe))
        .route("/-/healthy", get(api::healthy))
        .route("/-/ready", get(api::ready))
        .route("/-/reload", post(api::reload))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/config", get(api::config))
        .route("/api/v1/limits", get(limits::limits))
        .route("/api/v1/soaks", get(soaks::soaks))
        .route("/api/v1/gates/{customer}/{environment}", get(soaks::gate))
        .route("/api/v1/exclusions", post(decisions::exclude))
        .route("/api/v1/attestations", post(decisions::attest))
        .route("/api/v1/acceptances", post(acceptances::accept))
        .route("/api/v1/hypercare", get(page_hypercare::json))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::one))
        .route("/api/v1/incidents/{id}/ack", post(incidents::ack))
        .route("/api/v1/incidents/{id}/note", post(incidents::note))
        .route("/api/v1/incidents/{id}/reclassify", post(incidents::reclassify))
        .route("/api/v1/integrations/{customer}/{environment}/{integration}", get(api::integration))
        .route("/api/v1/checks/{customer}/{environment}/{integration}/{check}/runs", get(runs::runs))
        .route("/api/v1/runs/{run}", get(run_by_id::run))
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::wrong_method)
        .layer(axum::middleware::from_fn(etag::tagged))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), gate::pass))
        .with_state(shared)
}

/// Query parameters; of one that stands there twice the last counts.
type Query = axum::extract::Query<BTreeMap<String, String>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Span;
    use crate::outcome::Role;

    #[test]
    fn an_open_listener_must_be_meant() {
        let mut s = ServerSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            open: false,
            hosts: Vec::new(),
            max_connections: 10,
            timeout: Span::seconds(5),
            tokens: Vec::new(),
            tls: None,
            access_log: false,
        };
        for loopback in ["127.0.0.1:9464", "127.3.2.1:80", "[::1]:9464", "[::ffff:127.0.0.1]:9464"] {
            assert_eq!(may_listen(&s, loopback.parse().unwrap()), Ok(()), "{loopback}");
        }
        for open in ["0.0.0.0:9464", "[::]:9464", "192.0.2.7:9464", "[2001:db8::1]:9464"] {
            assert!(may_listen(&s, open.parse().unwrap()).unwrap_err().contains("soakwatch token"), "{open}");
        }
        s.open = true;
        assert_eq!(may_listen(&s, "0.0.0.0:9464".parse().unwrap()), Ok(()));
        s.open = false;
        s.tokens.push(crate::config::model::Token { name: "prometheus".parse().unwrap(), role: Role::Viewer, sha256: [1; 32] });
        assert_eq!(may_listen(&s, "0.0.0.0:9464".parse().unwrap()), Ok(()));
    }
}
