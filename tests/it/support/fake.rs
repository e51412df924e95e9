//! Fake endpoints on loopback: well-behaved ones with a request log, and raw ones that may do anything. Each ends when it is dropped.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A request as a fake saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its number, from 1.
    pub(crate) n: usize,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    /// A header as text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// What a fake answers.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    delay: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), delay: Duration::ZERO }
    }
    pub(crate) fn json(text: impl Into<String>) -> Self {
        Self::new(200).header("content-type", "application/json").body(text.into())
    }
    pub(crate) fn redirect(status: u16, to: impl Into<String>) -> Self {
        Self::new(status).header("location", to)
    }
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

/// How many bytes a raw fake got rid of, and how many of its connections are open.
#[derive(Debug, Default)]
pub(crate) struct Served {
    bytes: AtomicU64,
    accepted: AtomicUsize,
}

impl Served {
    /// Writes and counts; `false` once the other side is gone.
    pub(crate) async fn send(&self, stream: &mut TcpStream, bytes: &[u8]) -> bool {
        let done = stream.write_all(bytes).await.is_ok();
        self.bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        done
    }
}

/// A fake endpoint.
pub(crate) struct Fake {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    task: JoinHandle<()>,
    log: Arc<Mutex<Vec<Seen>>>,
    served: Arc<Served>,
    open: watch::Receiver<usize>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a connection as open while it lives.
struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|n| *n += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

impl Fake {
    /// A fake that hands each connection to `serve`, whatever that does.
    pub(crate) async fn raw<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Served>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::raw_on("127.0.0.1:0", serve).await
    }

    /// The same, on an address of this machine.
    async fn raw_on<F, R>(on: &str, serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Served>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(on).await.unwrap();
        let at = listener.local_addr().unwrap();
        let served = Arc::new(Served::default());
        let (count, open) = watch::channel(0);
        let (serve, count) = (Arc::new(serve), Arc::new(count));
        let bytes = Arc::clone(&served);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                bytes.accepted.fetch_add(1, Ordering::SeqCst);
                let (serve, bytes, guard) = (Arc::clone(&serve), Arc::clone(&bytes), Open::new(&count));
                connections.spawn(async move {
                    serve(stream, bytes).await;
                    drop(guard);
                });
            }
        });
        Self { at, task, log: Arc::default(), served, open }
    }

    /// A fake that answers in plain HTTP/1.1.
    pub(crate) async fn http(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve("127.0.0.1:0", None, false, handler).await
    }

    /// A fake that answers in plain HTTP/2 with prior knowledge.
    pub(crate) async fn http2(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve("127.0.0.1:0", None, true, handler).await
    }

    /// A fake that answers over TLS, in the version ALPN chose.
    pub(crate) async fn https(tls: Arc<ServerConfig>, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve("127.0.0.1:0", Some(tls), false, handler).await
    }

    /// A fake that answers on an IPv6 address of this machine.
    pub(crate) async fn on_ipv6(tls: Option<Arc<ServerConfig>>, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve("[::1]:0", tls, false, handler).await
    }

    async fn serve(on: &str, tls: Option<Arc<ServerConfig>>, h2: bool, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let log: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (kept, number, handler) = (Arc::clone(&log), Arc::new(AtomicUsize::new(0)), Arc::new(handler));
        let mut fake = Self::raw_on(on, move |stream, _| {
            let (tls, log, number, handler) = (tls.clone(), Arc::clone(&kept), Arc::clone(&number), Arc::clone(&handler) as Arc<Handler>);
            async move {
                match tls {
                    None => answer(stream, h2, log, number, handler).await,
                    Some(tls) => {
                        // A client that refuses our certificate ends here.
                        if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            answer(stream, h2, log, number, handler).await;
                        }
                    }
                }
            }
        })
        .await;
        fake.log = log;
        fake
    }

    /// The requests so far.
    pub(crate) fn log(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }
    /// Bytes a raw fake has sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.served.bytes.load(Ordering::SeqCst)
    }
    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.served.accepted.load(Ordering::SeqCst)
    }
    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.at.port()
    }
    /// `http://127.0.0.1:PORT` and the path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }
    /// Waits until no connection is open any more.
    pub(crate) async fn all_closed(&self) {
        let mut open = self.open.clone();
        tokio::time::timeout(Duration::from_secs(5), open.wait_for(|n| *n == 0)).await.expect("a connection stayed open").unwrap();
    }
}

async fn answer<S>(stream: S, h2: bool, log: Arc<Mutex<Vec<Seen>>>, number: Arc<AtomicUsize>, handler: Arc<Handler>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (log, number, handler) = (Arc::clone(&log), Arc::clone(&number), Arc::clone(&handler));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let seen = Seen {
                n: number.fetch_add(1, Ordering::SeqCst) + 1,
                method: parts.method.to_string(),
                target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                headers: parts.headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            };
            log.lock().unwrap().push(seen.clone());
            let reply = handler(&seen);
            tokio::time::sleep(reply.delay).await;
            let mut response = Response::new(Full::new(reply.body));
            *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
            for (name, value) in reply.headers {
                response.headers_mut().append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            }
            Ok::<_, hyper::Error>(response)
        }
    });
    // The client closing early is part of many tests.
    let _ = if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    };
}
