//! Connections that HTTP is spoken over: one for each exchange, and, for a check that asks for it (`keep_alive`), the one of its last run.
//!
//! HTTP/1 over a connection of one exchange is driven by who waits for the answer: no task, no timer, no wake-up of another thread. What outlives its
//! exchange has tasks of its own.
//!
//! Of a check at most one is kept, for at most [`LIFE`] since it was opened, and only for exchanges that would have opened one just like it. Those that
//! ended by themselves or grew too old are looked for once a minute, when one more is kept. A new transport, as a reload makes one, starts with none.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use url::Url;

use super::connect::Stream;
use super::opening::{Answered, Asking, stand_in};
use super::{Limits, Options};
use crate::clock::monotonic;
use crate::fields::host_port;
use crate::observed::{Hop, TlsFacts};

/// A response may have this many headers.
pub(super) const MAX_HEADERS: usize = 256;
/// HTTP/2: how much a server may send before we read it, per connection.
const H2_WINDOW: u32 = 256 * 1024;
/// A connection that is older is not used again.
pub const LIFE: Duration = Duration::from_secs(600);
/// Those that are kept are looked through at most this often, and only when one more is: a run that keeps none pays nothing for it.
const LOOK: Duration = Duration::from_secs(60);
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

type Connection = Pin<Box<http1::Connection<TokioIo<Answered>, Full<Bytes>>>>;

/// Who makes a connection go.
enum Driver {
    /// Whoever waits for what comes over it; `None`: it has ended.
    Waiting(Option<Connection>),
    /// Tasks of its own.
    Tasks(#[expect(dead_code, reason = "held, not read")] Driving),
}

impl Driver {
    /// Waits for something that comes over the connection.
    async fn until<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            if let Poll::Ready(done) = wanted.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            let Self::Waiting(Some(connection)) = self else { return Poll::Pending };
            // How it ended reaches who waits through the response or the body.
            if connection.as_mut().poll(cx).is_ready() {
                *self = Self::Waiting(None);
            }
            wanted.as_mut().poll(cx)
        })
        .await
    }
}

type Response = http::Response<Incoming>;
/// What comes of a request: a response's head, and the connection that the rest comes over.
type Asked = Result<(Response, Live), hyper::Error>;

/// Where a request is sent.
pub(super) enum Link {
    /// Over a connection opened at this moment, which speaks HTTP/2 or does not.
    Opened { stream: Box<dyn Stream>, h2: bool, at: Instant },
    /// Over one that was kept.
    Kept(Live),
}

impl Link {
    /// Whether it speaks HTTP/2.
    pub(super) fn is_h2(&self) -> bool {
        match self {
            Self::Opened { h2, .. } => *h2,
            Self::Kept(live) => matches!(live.sender, Sender::Http2(_)),
        }
    }

    /// Sends a request and waits for the head of its response.
    pub(super) fn ask(self, request: http::Request<Bytes>, limits: &Limits) -> impl Future<Output = Asked> {
        // Not an async function, which would hold the request twice for as long as its target is silent.
        let waiting = match self {
            Self::Opened { stream, h2: false, at } => Waits::First(request.method().clone(), at, Asking::new(stream, request)),
            Self::Opened { stream, h2: true, at } => {
                Waits::Http(Box::pin(async move { Live::http2(stream, at, limits).await?.ask(request).await }))
            }
            Self::Kept(live) => Waits::Http(Box::pin(live.ask(request))),
        };
        async move {
            match waiting {
                Waits::First(method, at, asking) => {
                    let answered = asking.await;
                    Box::pin(Live::hear(answered, at, method, limits)).await
                }
                Waits::Http(asked) => asked.await,
            }
        }
    }
}

/// What is waited for. Over HTTP/1 on a connection just opened hyper is not there before something came back.
enum Waits<'a> {
    First(Method, Instant, Asking),
    Http(Pin<Box<dyn Future<Output = Asked> + Send + 'a>>),
}

/// A connection, ready for requests. It ends when this is dropped.
pub(super) struct Live {
    sender: Sender,
    driver: Driver,
    /// When the connection was made, not when something came back.
    opened: Instant,
}

impl Live {
    /// HTTP/1 over a stream over which a request was sent and something came back: waits for the head of the response.
    async fn hear(answered: Answered, opened: Instant, method: Method, limits: &Limits) -> Asked {
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_header_size(limits.max_headers)
            .max_buf_size(limits.max_headers.max(64 * 1024) + 8192)
            .handshake(TokioIo::new(answered))
            .await?;
        let mut connection = Box::pin(connection);
        let response = sender.send_request(stand_in(method));
        // This is where hyper writes the request; what came back is there to be read from then on.
        let ended = poll_fn(|cx| Poll::Ready(connection.as_mut().poll(cx).is_ready())).await;
        let mut driver = Driver::Waiting((!ended).then_some(connection));
        let response = driver.until(response).await?;
        Ok((response, Self { sender: Sender::Http1(sender), driver, opened }))
    }

    /// HTTP/2 over a stream just opened.
    async fn http2(stream: Box<dyn Stream>, opened: Instant, limits: &Limits) -> Result<Self, hyper::Error> {
        let driving = Driving::default();
        let (sender, driver) = http2::Builder::new(driving.executor())
            .max_header_list_size(u32::try_from(limits.max_headers).unwrap_or(u32::MAX))
            .initial_stream_window_size(H2_WINDOW)
            .initial_connection_window_size(H2_WINDOW)
            .handshake(TokioIo::new(stream))
            .await?;
        driving.spawn(driver);
        Ok(Self { sender: Sender::Http2(sender), driver: Driver::Tasks(driving), opened })
    }

    /// Sends a request and waits for the head of its response.
    async fn ask(mut self, request: http::Request<Bytes>) -> Asked {
        let request = request.map(Full::new);
        let response = match &mut self.sender {
            Sender::Http1(sender) => self.driver.until(sender.send_request(request)).await?,
            Sender::Http2(sender) => sender.send_request(request).await?,
        };
        Ok((response, self))
    }

    /// Waits for something that comes over it, as the rest of a response does.
    pub(super) async fn until<F: Future>(&mut self, wanted: F) -> F::Output {
        self.driver.until(wanted).await
    }

    /// From here on it goes by itself.
    async fn let_go(&mut self) {
        let Driver::Waiting(connection) = &mut self.driver else { return };
        let Some(mut connection) = connection.take() else { return };
        // Looked at once more: only then does it know whether it is ready for another request, or at its end.
        let ended = poll_fn(|cx| Poll::Ready(connection.as_mut().poll(cx).is_ready())).await;
        if !ended {
            let driving = Driving::default();
            driving.spawn(connection);
            self.driver = Driver::Tasks(driving);
        }
    }

    /// Whether another request may go over it.
    fn is_ready(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_ready(),
            Sender::Http2(sender) => sender.is_ready(),
        }
    }

    /// Whether no request will go over it any more: it has ended, or is too old.
    fn is_over(&self, now: Instant) -> bool {
        let has_ended = match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        };
        has_ended || now.duration_since(self.opened) >= LIFE
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

/// What a hop over a connection shows: where it leads, and the certificates it was opened with.
#[derive(Debug)]
struct Opened {
    address: Option<SocketAddr>,
    via: Option<String>,
    tls: Option<TlsFacts>,
}

struct Waiting {
    like: String,
    live: Live,
    opened: Opened,
}

/// The connections that wait for their check's next run, one of each.
#[derive(Default)]
pub(super) struct Kept(Mutex<Table>);

#[derive(Default)]
struct Table {
    of: HashMap<u64, Waiting>,
    /// When they were looked through last.
    looked: Option<Instant>,
}

impl Table {
    /// Takes out those of which nothing will come any more, if it is time to look: what a server closed while nobody looked, or of a check that is never run
    /// again. Each holds some KiB.
    fn over(&mut self, now: Instant) -> Vec<Waiting> {
        if self.looked.is_some_and(|at| now.duration_since(at) < LOOK) {
            return Vec::new();
        }
        self.looked = Some(now);
        self.of.extract_if(|_, waiting| waiting.live.is_over(now)).map(|(_, waiting)| waiting).collect()
    }
}

impl Kept {
    /// The check's connection, if it can be used again. What it was opened with is written into the hop; it took no time now.
    pub(super) fn take(&self, place: &Place, hop: &mut Hop) -> Option<Live> {
        let Waiting { like, live, opened } = self.0.lock().unwrap_or_else(PoisonError::into_inner).of.remove(&place.check)?;
        if like != place.like || live.is_over(monotonic()) || !live.is_ready() {
            return None;
        }
        (hop.reused, hop.address, hop.via, hop.tls) = (true, opened.address, opened.via, opened.tls);
        Some(live)
    }

    /// Keeps the connection of a hop for the check's next run.
    pub(super) async fn put(&self, place: Place, live: Live, hop: &Hop) {
        self.put_at(monotonic(), place, live, hop).await;
    }

    async fn put_at(&self, now: Instant, place: Place, mut live: Live, hop: &Hop) {
        live.let_go().await;
        if live.is_over(now) {
            return;
        }
        let opened = Opened { address: hop.address, via: hop.via.clone(), tls: hop.tls.clone() };
        let waiting = Waiting { like: place.like, live, opened };
        let gone = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (kept.over(now), kept.of.insert(place.check, waiting))
        };
        // Closing them takes its time, which nobody waits for.
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn limits() -> Limits {
        Limits { max_body: 1 << 20, max_headers: 16 * 1024, user_agent: HeaderValue::from_static("x"), traceparent: false }
    }

    /// A connection made at this moment, after its first answer, and its far end.
    async fn answered(at: Instant) -> (Live, DuplexStream) {
        let (near, mut far) = duplex(4096);
        let request = http::Request::builder().uri("/").header("host", "x").body(Bytes::new()).unwrap();
        let (limits, link) = (limits(), Link::Opened { stream: Box::new(near), h2: false, at });
        let answer = async {
            let _ = far.read(&mut [0; 1000]).await.unwrap();
            far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        };
        let (asked, ()) = tokio::join!(link.ask(request, &limits), answer);
        let (response, mut live) = asked.unwrap();
        live.until(http_body_util::BodyExt::collect(response.into_body())).await.unwrap();
        (live, far)
    }

    #[tokio::test]
    async fn its_age_counts_from_when_it_was_made() {
        let made = monotonic();
        assert_eq!(answered(made).await.0.opened, made);
        let (near, _far) = duplex(4096);
        assert_eq!(Live::http2(Box::new(near), made, &limits()).await.unwrap().opened, made);
    }

    impl Kept {
        async fn keep(&self, check: u64, now: Instant, live: Live) {
            self.put_at(now, Place { check, like: String::new() }, live, &Hop::default()).await;
        }

        fn checks(&self) -> Vec<u64> {
            let mut checks: Vec<u64> = self.0.lock().unwrap().of.keys().copied().collect();
            checks.sort_unstable();
            checks
        }

        /// Waits until the connection of a check is seen to have ended.
        async fn ended(&self, check: u64, now: Instant) {
            while !self.0.lock().unwrap().of[&check].live.is_over(now) {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn those_that_ended_by_themselves_or_grew_old_are_given_up_in_time() {
        let (kept, now) = (Kept::default(), monotonic());
        let (closed, far) = answered(now).await;
        let (open, _far) = answered(now).await;
        kept.keep(1, now, closed).await;
        kept.keep(2, now, open).await;
        drop(far);
        kept.ended(1, now).await;
        // Not before it is time to look again.
        let (third, _far) = answered(now).await;
        kept.keep(3, now + LOOK / 2, third).await;
        assert_eq!(kept.checks(), [1, 2, 3]);
        let (fourth, _far) = answered(now + LIFE).await;
        kept.keep(4, now + LOOK, fourth).await;
        assert_eq!(kept.checks(), [2, 3, 4]);
        let (fifth, _far) = answered(now + LIFE).await;
        kept.keep(5, now + LIFE, fifth).await;
        assert_eq!(kept.checks(), [4, 5]);
    }

    #[tokio::test]
    async fn one_that_has_ended_or_is_old_is_not_kept_at_all() {
        let (kept, now) = (Kept::default(), monotonic());
        let (closed, far) = answered(now).await;
        drop(far);
        kept.keep(1, now, closed).await;
        let (old, _far) = answered(now).await;
        kept.keep(2, now + LIFE, old).await;
        assert_eq!(kept.checks(), [0; 0]);
    }
}
