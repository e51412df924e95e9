//! The accept loop: how many connections, how long each may take, and how they end. Knows no route.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::{Line, Names};
use super::api;
use super::senders::{Seat, Senders};
use super::tls::Tls;

/// Room for the head of a request, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Fields in the head of a request.
const MAX_FIELDS: usize = 64;
/// How long requests in flight may go on after `stop`.
const DRAIN: Duration = Duration::from_secs(5);
/// A whole exchange may take the timeout once for the handler and once more for the client to read the answer.
const EXCHANGE: u32 = 2;

/// Who a request comes from and which of our addresses it came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// The other side.
    pub(crate) peer: SocketAddr,
    /// Our side.
    pub(crate) local: SocketAddr,
}

/// How much of a listener strangers may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once; what holds when the listener begins.
    pub(crate) connections: u32,
    /// Of those, from one address; more are closed at once.
    pub(crate) of_one_sender: u32,
    /// For one request.
    pub(crate) timeout: Duration,
    /// Whether each request is logged.
    pub(crate) access_log: bool,
}

/// Why a connection was closed before any request of it could be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Its sender has as many as one may have.
    Crowded,
    /// What came is no HTTP, or too long a head.
    Malformed,
    /// No head came in time.
    Slow,
}

/// Who is told of connections that were closed.
pub(crate) type Told = Arc<dyn Fn(Turned) + Send + Sync>;

/// What serves the connections of one listener.
#[derive(Clone)]
pub(crate) struct Serving {
    /// The routes.
    pub(crate) router: Router,
    /// Who is told of connections that were closed.
    pub(crate) told: Told,
    /// TLS; `None`: plain.
    pub(crate) tls: Option<Arc<Tls>>,
    /// How the access log calls the listener and its paths.
    pub(crate) names: Names,
}

/// Accepts until `stop`, then drains. `limits` is asked anew for every connection.
pub(crate) async fn run(listener: TcpListener, limits: impl Fn() -> Limits, serving: Serving, stop: CancellationToken) {
    let limit = limits().connections.max(1);
    let Ok(bound) = listener.local_addr() else { return };
    // Beyond the limit connections wait in the kernel's queue: a full house is slow, not broken, and the timeouts make room.
    let room = Arc::new(Semaphore::new(limit as usize));
    let senders = Arc::new(Senders::default());
    let connections = TaskTracker::new();
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = next => next,
        };
        match (permit, accepted) {
            (Ok(permit), Ok((stream, peer))) => {
                let limits = limits();
                let Some(seat) = senders.seat(peer.ip(), limits.of_one_sender) else {
                    (serving.told)(Turned::Crowded);
                    continue;
                };
                let ends = Ends { peer, local: stream.local_addr().unwrap_or(bound) };
                let place = Place { _permit: permit, _seat: seat };
                connections.spawn(connection(stream, ends, serving.clone(), limits, stop.clone(), place));
            }
            (_, Err(e)) if transient(&e) => {}
            (_, Err(e)) => {
                // Out of descriptors, most likely: waiting lets running requests give some back.
                tracing::warn!(error = %e, "the server can't accept connections; trying again in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            // The semaphore is never closed.
            (Err(_), _) => break,
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "the server stops although requests are still going on");
    }
}

fn transient(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(e.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// What a connection takes up.
#[derive(Debug)]
struct Place {
    _permit: OwnedSemaphorePermit,
    _seat: Seat,
}

/// Serves one connection, behind a handshake where there is TLS: in a task of its own, so that nobody waits for somebody who is slow at it.
async fn connection(stream: TcpStream, ends: Ends, serving: Serving, limits: Limits, stop: CancellationToken, _place: Place) {
    let Some(tls) = serving.tls.clone() else { return Box::pin(serve(stream, ends, serving, limits, stop)).await };
    let shaken = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        shaken = tls.accept(stream, limits.timeout) => shaken,
    };
    match shaken {
        Ok(stream) => Box::pin(serve(stream, ends, serving, limits, stop)).await,
        Err(e) => {
            (serving.told)(if e.kind() == std::io::ErrorKind::TimedOut { Turned::Slow } else { Turned::Malformed });
            tracing::debug!(peer = %ends.peer, why = %e, "a TLS handshake came to nothing");
        }
    }
}

/// Serves what stands; ends it when a request takes too long in all, whatever the client does.
async fn serve<S>(stream: S, ends: Ends, serving: Serving, limits: Limits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Serving { router, told, names, .. } = serving;
    let Limits { timeout, access_log, .. } = limits;
    let (busy, mut deadline) = watch::channel(None::<Instant>);
    let busy = Arc::new(busy);
    let asked = Arc::new(AtomicBool::new(false));
    let any = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Incoming>| {
        any.store(true, Ordering::Relaxed);
        busy.send_replace(Some(Instant::now() + timeout * EXCHANGE));
        let line = access_log.then(|| Line::begin(&names, &request, ends.peer));
        answer(request, ends, router.clone(), timeout, (Busy(Arc::clone(&busy)), line))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also ends idle connections.
        .header_read_timeout(timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let overdue = async {
        loop {
            let until = *deadline.borrow_and_update();
            let changed = async {
                if deadline.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            match until {
                Some(until) => {
                    if tokio::time::timeout_at(until, changed).await.is_err() {
                        return;
                    }
                }
                None => changed.await,
            }
        }
    };
    tokio::pin!(overdue);
    let mut stopping = false;
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::pin!(drained);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            // A client's mistake or a lost connection; nothing of ours to report.
            ended = &mut served => {
                match ended {
                    Err(e) if e.is_parse() => told(Turned::Malformed),
                    // Between two requests it is only idle.
                    Err(e) if e.is_timeout() && !asked.load(Ordering::Relaxed) => told(Turned::Slow),
                    _ => {}
                }
                return;
            }
            () = &mut overdue => {
                tracing::debug!(peer = %ends.peer, "a client took too long; its connection was closed");
                return;
            }
            () = &mut drained => return,
        }
    }
}

/// One request through the router, within the timeout.
async fn answer(
    mut request: Request<Incoming>,
    ends: Ends,
    router: Router,
    timeout: Duration,
    (busy, mut line): (Busy, Option<Line>),
) -> Result<Response<Timed>, Infallible> {
    request.extensions_mut().insert(ends);
    let response = match tokio::time::timeout(timeout, TowerToHyperService::new(router).call(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => api::too_slow(),
    };
    if let Some(line) = &mut line {
        line.answered(&response);
    }
    Ok(response.map(|body| Timed { body, line, _busy: busy }))
}

/// Takes the deadline of the exchange away when the response has been handed over, or was given up.
#[derive(Debug)]
struct Busy(Arc<watch::Sender<Option<Instant>>>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

/// A response's body that keeps its connection under the deadline until its end.
#[derive(Debug)]
struct Timed {
    body: Body,
    /// Written when the body is handed over, or given up.
    line: Option<Line>,
    _busy: Busy,
}

impl hyper::body::Body for Timed {
    type Data = Bytes;
    type Error = axum::Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(line)) = (&polled, &mut self.line) {
            line.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
