//! Connections that HTTP is spoken over: one for each exchange, and, for a check that asks for it (`keep_alive`), the one of its last run.
//!
//! Of a check at most one is kept, for at most [`LIFE`] since it was opened, and only for exchanges that would have opened one just like it. A new
//! transport, as a reload makes one, starts with none.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use url::Url;

use super::connect::{Stream, hop};
use super::{Limits, Options};
use crate::clock::monotonic;
use crate::fields::host_port;
use crate::observed::{Hop, Observed, TlsFacts};

/// A response may have this many headers.
pub(super) const MAX_HEADERS: usize = 256;
/// HTTP/2: how much a server may send before we read it, per connection.
const H2_WINDOW: u32 = 256 * 1024;
/// A connection that is older is not used again.
pub const LIFE: Duration = Duration::from_secs(600);
/// And it is closed by then, whoever holds it: no run takes as long as the difference.
const LONGEST_LIFE: Duration = Duration::from_secs(1200);

/// The tasks that drive one connection; they end when this is dropped. hyper's HTTP/2 client spawns some of its own, which would otherwise
/// outlive the run for as long as the server likes.
#[derive(Default)]
struct Driving(Arc<Mutex<JoinSet<()>>>);

impl Driving {
    fn spawn<T, E>(&self, driver: impl Future<Output = Result<T, E>> + Send + 'static) {
        let task = async move {
            // What ends the connection reaches the run through the response or the body.
            let _ = tokio::time::timeout(LONGEST_LIFE, driver).await.is_ok();
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }
    fn executor(&self) -> Tasks {
        Tasks(Arc::downgrade(&self.0))
    }
}

/// Spawns into a [`Driving`]. Weak, or the tasks would keep their own set alive.
#[derive(Clone)]
struct Tasks(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        if let Some(set) = self.0.upgrade() {
            set.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
        }
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A connection, ready for requests. It ends when this is dropped.
pub(super) struct Live {
    sender: Sender,
    _driving: Driving,
    opened: Instant,
    address: Option<SocketAddr>,
    via: Option<String>,
    tls: Option<TlsFacts>,
}

impl Live {
    /// HTTP over a stream just opened, for the hop being made.
    pub(super) async fn begin(stream: Box<dyn Stream>, h2: bool, limits: &Limits, observed: &mut Observed) -> Result<Self, hyper::Error> {
        let driving = Driving::default();
        let sender = if h2 {
            let (sender, driver) = http2::Builder::new(driving.executor())
                .max_header_list_size(u32::try_from(limits.max_headers).unwrap_or(u32::MAX))
                .initial_stream_window_size(H2_WINDOW)
                .initial_connection_window_size(H2_WINDOW)
                .handshake(TokioIo::new(stream))
                .await?;
            driving.spawn(driver);
            Sender::Http2(sender)
        } else {
            let (sender, driver) = http1::Builder::new()
                .max_headers(MAX_HEADERS)
                .max_header_size(limits.max_headers)
                .max_buf_size(limits.max_headers.max(64 * 1024) + 8192)
                .handshake(TokioIo::new(stream))
                .await?;
            driving.spawn(driver);
            Sender::Http1(sender)
        };
        let Hop { address, via, tls, .. } = hop(observed).clone();
        Ok(Self { sender, _driving: driving, opened: monotonic(), address, via, tls })
    }

    /// Whether it speaks HTTP/2.
    pub(super) fn is_h2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn ask(&mut self, request: http::Request<Full<Bytes>>) -> Result<http::Response<Incoming>, hyper::Error> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender) => sender.send_request(request).await,
        }
    }

    /// What a hop over it shows: where it leads, and the certificates it was opened with. It took no time now.
    pub(super) fn write(&self, hop: &mut Hop) {
        hop.reused = true;
        hop.address = self.address;
        hop.via.clone_from(&self.via);
        hop.tls.clone_from(&self.tls);
    }

    fn is_open(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_ready() && !sender.is_closed(),
            Sender::Http2(sender) => sender.is_ready() && !sender.is_closed(),
        }
    }
}

/// Whose connection it is, and what another one must be like to stand in for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    check: u64,
    like: String,
}

impl Place {
    /// Where the connection of a request to this URL is kept; `None`: it is not.
    pub(super) fn of(url: &Url, options: &Options) -> Option<Self> {
        let check = options.way.keep?;
        if host_port(url) != options.host {
            return None;
        }
        let roots = options.roots.as_ref().map(|r| r.sha256.as_str());
        let client = options.client.as_ref().map(|c| c.sha256.as_str());
        let origin = url.origin().ascii_serialization();
        let like = format!("{origin} {:?} {roots:?} {client:?} {} {}", options.version, options.allow_private, options.way.described());
        Some(Self { check, like })
    }
}

/// The connections that wait for their check's next run, one of each.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<u64, (String, Live)>>);

impl Kept {
    /// The check's connection, if it can be used again.
    pub(super) fn take(&self, place: &Place) -> Option<Live> {
        let (like, live) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&place.check)?;
        (like == place.like && live.opened.elapsed() < LIFE && live.is_open()).then_some(live)
    }

    /// Keeps it for the check's next run. Those that have ended meanwhile go.
    pub(super) fn put(&self, place: Place, live: Live) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (_, live)| live.opened.elapsed() < LIFE);
        kept.insert(place.check, (place.like, live));
    }
}
