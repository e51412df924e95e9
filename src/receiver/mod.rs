//! The receiver: a listener of its own for messages that customers' systems send to us, at `/hooks/{customer}/{environment}/{integration}`.
//!
//! A request costs little until it is known to be worth more: unknown paths, then the path's rate, then the size, and only then a signature. Tells strangers nothing:
//! 401 without a reason. Lives on a thread of its own. Judges by `webhook`, hands what came to `arrivals` and to waiting runs; decides no outcome.

mod judge;
mod paths;
mod rate;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::arrivals::{Heard, What};
use crate::board::Board;
use crate::clock::{Clock, monotonic};
use crate::config::model::{CheckDef, Config};
use crate::fields::CheckId;
use crate::memory::Memories;
use crate::metrics::own::{Listening, OwnMetrics, Unheard};
use crate::runtime;
use crate::server::accept::{self, Limits, Serving, Turned};
use crate::server::access::Names;
use crate::server::tls::Tls;
use crate::webhook::{self, Handshake, Headers, MAX_BODY};

use judge::{Judged, Message};
use paths::Paths;
use rate::Rates;

/// How long a sender waits until the first message of a slot is on disk. If the store takes longer, it is told that we have it all the same.
const KEPT_WITHIN: Duration = Duration::from_secs(3);

/// What the receiver reads from, and hands to.
#[derive(Clone, Debug)]
pub struct Receiver {
    board: Arc<Board>,
    memories: Arc<Memories>,
    config: watch::Receiver<Arc<Config>>,
    clock: Clock,
    own: Arc<OwnMetrics>,
    paths: Arc<Mutex<Arc<Paths>>>,
    rates: Arc<Mutex<Rates>>,
}

impl Receiver {
    /// A receiver for the checks of whatever configuration is in force.
    pub fn new(
        board: Arc<Board>,
        memories: Arc<Memories>,
        config: watch::Receiver<Arc<Config>>,
        (clock, own): (Clock, Arc<OwnMetrics>),
    ) -> Self {
        let paths = Arc::new(Mutex::new(Arc::new(Paths::of(&config.borrow().clone()))));
        Self { board, memories, config, clock, own, paths, rates: Arc::default() }
    }

    /// Serves until `stop`, on a thread of its own: a flood takes its turns from the operating system, not from the tasks of probes. Ends when it has drained.
    pub async fn serve_apart(self, listener: TcpListener, tls: Option<Arc<Tls>>, stop: CancellationToken) -> anyhow::Result<()> {
        // It belongs to the runtime it was bound in, and moves to the one that serves it.
        let listener = listener.into_std()?;
        let serve = async move {
            self.serve(TcpListener::from_std(listener)?, tls, stop).await;
            Ok(())
        };
        runtime::apart("receiver", 1, serve).await
    }

    async fn serve(self, listener: TcpListener, tls: Option<Arc<Tls>>, stop: CancellationToken) {
        self.memories.callbacks.listen();
        let config = self.config.clone();
        let limits = move || {
            let receiver = &config.borrow().settings.receiver;
            Limits {
                connections: receiver.max_connections,
                of_one_sender: receiver.max_per_sender,
                timeout: receiver.timeout.0,
                access_log: receiver.access_log,
            }
        };
        let own = Arc::clone(&self.own);
        let told = move |turned| {
            own.receiver_refused(match turned {
                Turned::Crowded => Unheard::Sender,
                Turned::Malformed => Unheard::Malformed,
                Turned::Slow => Unheard::Slow,
            });
        };
        let known = self.clone();
        // One of ours, or nothing of what a stranger wrote.
        let path = move |path: &str| if known.paths().checks(path).is_empty() { "other".to_owned() } else { path.to_owned() };
        let names = Names { listener: Listening::Receiver, path: Arc::new(path) };
        let router = Router::new().fallback(receive).with_state(self);
        accept::run(listener, limits, Serving { router, told: Arc::new(told), tls, names }, stop).await;
    }

    /// The paths of the configuration in force.
    fn paths(&self) -> Arc<Paths> {
        let config = self.config.borrow().clone();
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if !paths.are_of(&config) {
            *paths = Arc::new(Paths::of(&config));
            let known = Arc::clone(&paths);
            self.rates.lock().unwrap_or_else(PoisonError::into_inner).keep(|p| !known.checks(p).is_empty());
        }
        Arc::clone(&paths)
    }
}

async fn receive(State(receiver): State<Receiver>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let paths = receiver.paths();
    let checks = paths.checks(head.uri.path());
    let Some(first) = checks.first() else { return receiver.refuse(Unheard::Path, StatusCode::NOT_FOUND) };
    let settings = receiver.config.borrow().settings.receiver.clone();
    let room = receiver.rates.lock().unwrap_or_else(PoisonError::into_inner).take(head.uri.path(), settings.max_rate, monotonic());
    if !room {
        let mut response = receiver.refuse(Unheard::Rate, StatusCode::TOO_MANY_REQUESTS);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    // Whatever becomes of it, also when its time is over and this future is dropped, it came.
    let mut unread = Unread { receiver: &receiver, check: first, what: Some(What::Malformed) };
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok()).unwrap_or(0);
    let read = if announced > MAX_BODY { Err(true) } else { read(body).await };
    let body = match read {
        Ok(body) => body,
        Err(too_large) => {
            unread.what = Some(if too_large { What::TooLarge } else { What::Malformed });
            return refused(if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST });
        }
    };
    unread.what = None;
    drop(unread);
    let base = settings
        .public_url
        .map_or_else(|| format!("https://{}", host(&head.headers)), |u| u.url().as_str().trim_end_matches('/').to_owned());
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    receiver.answer(checks, &head.method, &head.headers, format!("{base}{path}"), &body).await
}

/// A body whole; else whether it is too large (it may be broken off, too).
async fn read(body: Body) -> Result<Bytes, bool> {
    let whole = Limited::new(body, MAX_BODY).collect().await;
    whole.map(http_body_util::Collected::to_bytes).map_err(|e| e.is::<http_body_util::LengthLimitError>())
}

/// A message whose body is not here yet: counted as what it then is, unless it was read.
struct Unread<'a> {
    receiver: &'a Receiver,
    check: &'a CheckDef,
    what: Option<What>,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if let Some(what) = self.what {
            let heard = Heard { at: self.receiver.clock.now(), what, delay: None, number: None };
            self.receiver.board.arrivals.hear(&self.check.id, heard);
        }
    }
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(HOST).and_then(|v| v.to_str().ok()).unwrap_or("localhost")
}

impl Receiver {
    /// Judges a message for each check of its path; the best of them decides what is answered.
    async fn answer(&self, checks: &[Arc<CheckDef>], method: &Method, headers: &HeaderMap, url: String, body: &Bytes) -> Response {
        let now = self.clock.now();
        let headers = Headers::from(headers);
        let mut best: Option<(&Arc<CheckDef>, Judged)> = None;
        let mut unanswered: Option<(&Arc<CheckDef>, Handshake)> = None;
        for check in judge::in_order(checks, &headers, body, &self.memories.callbacks) {
            let Some(receiving) = check.kind.receiving() else { continue };
            let mut secrets = Vec::new();
            for secret in &receiving.secrets {
                match secret.read().await {
                    Ok(value) => secrets.push(value),
                    Err(why) => tracing::debug!(check = check.id.as_str(), why, "a secret can't be read"),
                }
            }
            if secrets.is_empty() {
                // Ours to mend: the sender should try again.
                tracing::warn!(check = check.id.as_str(), "a message came, but none of its check's secrets can be read");
                continue;
            }
            let own_url = receiving.url.as_ref().map(|u| u.url().as_str().to_owned());
            let request = webhook::Request { method: method.as_str(), url: own_url.as_deref().unwrap_or(&url), headers: &headers, body };
            if let Some(answer) = webhook::handshake(&receiving.scheme, &secrets, &request, receiving.allowed_origins.as_deref(), now) {
                if answer.status < 300 {
                    return handshake(answer);
                }
                // Another check of this path may know its sender.
                unanswered.get_or_insert((check, answer));
                continue;
            }
            if *method != Method::POST && *method != Method::PUT {
                continue;
            }
            let judged = judge::judge(
                &Message { request, secrets: &secrets, now, at: monotonic() },
                check,
                &self.board.arrivals,
                &self.memories.callbacks,
            );
            let authentic = judged.authentic();
            if best.as_ref().is_none_or(|(_, b)| !b.authentic()) {
                best = Some((check, judged));
            }
            if authentic {
                break;
            }
        }
        if let Some((check, answer)) = unanswered.filter(|_| best.is_none()) {
            if answer.status == StatusCode::UNAUTHORIZED {
                self.board.arrivals.hear(&check.id, Heard { at: now, what: What::Forged, delay: None, number: None });
            }
            return handshake(answer);
        }
        let Some((check, judged)) = best else {
            return if *method == Method::POST || *method == Method::PUT {
                self.refuse(Unheard::Secret, StatusCode::SERVICE_UNAVAILABLE)
            } else {
                let mut response = self.refuse(Unheard::Method, StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, PUT"));
                response
            };
        };
        if self.board.arrivals.hear(&check.id, judged.heard) {
            // Not as long as the whole exchange may take: who is cut off would send again what we have.
            let patience = KEPT_WITHIN.min(self.config.borrow().settings.receiver.timeout.0 / 2);
            let _ = tokio::time::timeout(patience, self.keep(&check.id)).await;
        }
        match judged.heard.what {
            // A duplicate was processed: who is told so stops trying.
            What::Accepted | What::Duplicate => Response::new(Body::empty()),
            What::TooLarge => refused(StatusCode::PAYLOAD_TOO_LARGE),
            What::Stale | What::Forged | What::Malformed => refused(StatusCode::UNAUTHORIZED),
        }
    }
}

impl Receiver {
    /// Puts on disk what came for a check, with the ids that were processed.
    async fn keep(&self, check: &CheckId) {
        for (part, text) in self.board.arrivals.ids(check) {
            let _ = self.memories.keep_part(check, part, text).await;
        }
        if let Some(text) = self.board.arrivals.text(check) {
            let _ = self.memories.remember_durably(check, text).await;
        }
    }

    /// Refuses what never becomes a message of a check.
    fn refuse(&self, why: Unheard, status: StatusCode) -> Response {
        self.own.receiver_refused(why);
        refused(status)
    }
}

/// A refusal says no more than its status, and makes room for others.
fn refused(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn handshake(answer: Handshake) -> Response {
    let Ok(status) = StatusCode::from_u16(answer.status) else { return refused(StatusCode::UNAUTHORIZED) };
    if status.is_client_error() {
        let mut response = refused(status);
        add(&mut response, answer.headers);
        return response;
    }
    let mut response = Response::new(answer.body.map_or_else(Body::empty, Body::from));
    *response.status_mut() = status;
    if let Some(content_type) = answer.content_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    add(&mut response, answer.headers);
    response
}

fn add(response: &mut Response, headers: Vec<(&'static str, String)>) {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
}
