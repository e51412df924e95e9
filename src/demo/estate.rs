//! Starts the estate's servers on free loopback ports, answers for its names, and takes everything down again.
//!
//! Everything is bounded: connections a server, time and bytes a request. A server never learns that it is part of a demo: what it does is its
//! story (`stories.rs`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certificates::Authority;
use super::files;
use super::history::Made;
use super::identity::Signing;
use super::senders::{self, Outbox};
use super::stories::{Answer, Ask, ENDPOINTS, Endpoint, Wire};
use super::time;
use crate::clock::{Clock, UnixMs};

/// Connections at once to one server.
const CONNECTIONS: usize = 64;
/// The longest a connection lives.
const CONNECTION_LIFE: Duration = Duration::from_secs(30);
/// The longest request body a server reads.
const REQUEST_BYTES: usize = 64 * 1024;
/// So many of the last requests a server remembers.
const REMEMBERED: usize = 1024;
/// TLS alert "handshake failure", fatal (RFC 8446, section 6.2), as a record of TLS 1.2.
const HANDSHAKE_FAILURE: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28];

/// What turns a name and port of the demo into loopback addresses; the error says why there is none.
pub type Lookup = Arc<dyn Fn(&str, u16) -> Result<Vec<SocketAddr>, String> + Send + Sync>;

/// The running estate. Its servers end with [`Estate::stop`], or when it is dropped.
#[derive(Debug)]
pub struct Estate {
    dir: tempfile::TempDir,
    pub(super) made: OnceLock<Made>,
    names: Arc<Names>,
    served: BTreeMap<&'static str, Arc<Visits>>,
    /// Where the daemon that watches it receives messages.
    receiver: watch::Sender<Option<SocketAddr>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Names {
    places: BTreeMap<(String, u16), Place>,
    /// While the network is cut.
    cut: AtomicBool,
    /// Hosts that are down.
    down: Mutex<BTreeSet<String>>,
    dead: SocketAddr,
    // Bound and never listening: its port refuses connections, and nobody else can take it meanwhile.
    _closed: TcpSocket,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    At(SocketAddr),
    NoName,
}

impl Names {
    fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        if self.cut.load(Ordering::SeqCst) {
            // A cut shows in both ways in which a network can be gone: no name server answers, and nothing can be connected to.
            return if host.len().is_multiple_of(2) { Err("no name server answers".into()) } else { Ok(vec![self.dead]) };
        }
        let host = host.to_ascii_lowercase();
        if self.down.lock().unwrap_or_else(PoisonError::into_inner).contains(&host) {
            return Ok(vec![self.dead]);
        }
        match self.places.get(&(host.clone(), port)) {
            Some(Place::At(address)) => Ok(vec![*address]),
            Some(Place::NoName) => Err("no such name (NXDOMAIN)".into()),
            None => Err(format!("the demo knows no {host}:{port}")),
        }
    }
}

impl Estate {
    /// Starts every server and writes the configuration that watches them.
    pub async fn start(clock: &Clock) -> anyhow::Result<Self> {
        let now = clock.now();
        let authority = Authority::new(now)?;
        let signing = Arc::new(Signing::new(&authority)?);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (receiver, told) = watch::channel(None);
        let outbox = Outbox::new(told, clock, &stop, &tasks);
        let closed = TcpSocket::new_v4().context("a socket for the closed port")?;
        closed.bind((Ipv4Addr::LOCALHOST, 0).into()).context("a loopback port that stays closed")?;
        let dead = closed.local_addr().context("the closed port")?;
        let mut places = BTreeMap::new();
        let mut served = BTreeMap::new();
        for endpoint in ENDPOINTS {
            let place = match endpoint.wire {
                Wire::NoName => Place::NoName,
                Wire::Closed => Place::At(dead),
                _ => {
                    let visits = Arc::new(Visits::new(clock, now, &signing, &outbox));
                    served.insert(endpoint.host, Arc::clone(&visits));
                    let server = Server::new(endpoint, &authority, visits)?;
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a free loopback port")?;
                    let address = listener.local_addr().context("the port of a demo server")?;
                    tasks.spawn(accept(listener, server, stop.clone(), tasks.clone()));
                    Place::At(address)
                }
            };
            places.insert((endpoint.host.to_owned(), endpoint.port), place);
        }
        let clock_tower = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a free loopback port")?;
        places.insert((time::HOST.to_owned(), 123), Place::At(clock_tower.local_addr().context("the port of the time server")?));
        tasks.spawn(time::serve(clock_tower, clock.clone(), stop.clone()));
        let names = Arc::new(Names { places, cut: AtomicBool::new(false), down: Mutex::default(), dead, _closed: closed });
        let cut = Arc::clone(&names);
        senders::start(&outbox, move || cut.cut.load(Ordering::SeqCst));
        let pem = authority.pem();
        let dir = tokio::task::spawn_blocking(move || -> anyhow::Result<tempfile::TempDir> {
            let dir = tempfile::Builder::new().prefix("soakwatch-demo-").tempdir().context("a temporary directory")?;
            files::write(dir.path(), now, &pem)?;
            Ok(dir)
        })
        .await
        .context("writing the demo's configuration was cut off")??;
        Ok(Self { dir, made: OnceLock::new(), names, served, receiver, stop, tasks })
    }

    /// The directory with `soakwatch.toml`; it goes when the estate goes.
    pub fn config_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Says where messages are received from now on.
    pub(super) fn receiver_is(&self, receiver: Option<SocketAddr>) {
        self.receiver.send_replace(receiver);
    }

    /// The history that was made when a daemon first watched the estate.
    pub fn made(&self) -> Made {
        self.made.get().cloned().unwrap_or_default()
    }

    /// The estate's own name service. The machine's is never asked.
    pub fn lookup(&self) -> Lookup {
        let names = Arc::clone(&self.names);
        Arc::new(move |host, port| names.look_up(host, port))
    }

    /// Cuts the network (`true`), or mends it: every endpoint is gone at once, the self-check's too. Exchanges in flight still end.
    pub fn cut(&self, cut: bool) {
        self.names.cut.store(cut, Ordering::SeqCst);
    }

    /// Takes one host down (`true`), or brings it back: it refuses connections. Exchanges in flight still end.
    pub fn outage(&self, host: &str, down: bool) {
        let mut all = self.names.down.lock().unwrap_or_else(PoisonError::into_inner);
        if down {
            all.insert(host.to_ascii_lowercase())
        } else {
            all.remove(host)
        };
    }

    /// How many requests a host has answered (connections, where it never gets to a request).
    pub fn served(&self, host: &str) -> u64 {
        self.served.get(host).map_or(0, |v| v.count.load(Ordering::SeqCst))
    }

    /// Ends every server and connection, and removes the configuration.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        // Removing a directory blocks.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Estate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Who came to a server, and when.
#[derive(Debug)]
struct Visits {
    clock: Clock,
    started: UnixMs,
    count: AtomicU64,
    /// When the last requests came, at most [`REMEMBERED`].
    recent: Mutex<VecDeque<UnixMs>>,
    signing: Arc<Signing>,
    outbox: Outbox,
}

impl Visits {
    fn new(clock: &Clock, started: UnixMs, signing: &Arc<Signing>, outbox: &Outbox) -> Self {
        let (signing, outbox) = (Arc::clone(signing), outbox.clone());
        Self { clock: clock.clone(), started, count: AtomicU64::new(0), recent: Mutex::default(), signing, outbox }
    }

    /// Counts one more; returns how many came before, and when the last of them did.
    fn add(&self, now: UnixMs) -> (u64, Vec<UnixMs>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let before: Vec<UnixMs> = recent.iter().copied().collect();
        recent.push_back(now);
        if recent.len() > REMEMBERED {
            recent.pop_front();
        }
        (self.count.fetch_add(1, Ordering::SeqCst), before)
    }
}

#[derive(Clone)]
enum Manner {
    Plain(fn(&Ask<'_>) -> Answer),
    Tls(TlsAcceptor, fn(&Ask<'_>) -> Answer),
    Silent,
    Alert,
    Accepts,
}

#[derive(Clone)]
struct Server {
    manner: Manner,
    visits: Arc<Visits>,
}

impl Server {
    fn new(endpoint: &Endpoint, authority: &Authority, visits: Arc<Visits>) -> anyhow::Result<Self> {
        let manner = match endpoint.wire {
            Wire::Http(story) => Manner::Plain(story),
            Wire::Https(validity, h2, story) => Manner::Tls(TlsAcceptor::from(authority.server(endpoint.host, validity, h2)?), story),
            Wire::Silent => Manner::Silent,
            Wire::Alert => Manner::Alert,
            Wire::Accepts | Wire::Closed | Wire::NoName => Manner::Accepts,
        };
        Ok(Self { manner, visits })
    }
}

async fn accept(listener: TcpListener, server: Server, stop: CancellationToken, tasks: TaskTracker) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors for a moment, or the peer is gone already: the next one may work.
                Err(_) => { tokio::time::sleep(Duration::from_millis(20)).await; continue }
            },
        };
        let (server, stop) = (server.clone(), stop.clone());
        tasks.spawn(async move {
            let _permit = permit;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = tokio::time::timeout(CONNECTION_LIFE, converse(stream, server)) => {}
            }
        });
    }
}

async fn converse(stream: TcpStream, server: Server) {
    // A demo that waits for Nagle would tell stories about 40 ms that are not its own.
    let _ = stream.set_nodelay(true);
    match server.manner {
        Manner::Plain(story) => exchange(stream, false, story, server.visits).await,
        Manner::Tls(acceptor, story) => {
            // A handshake that fails is the client's verdict on our certificate: nothing to do here.
            let Ok(tls) = acceptor.accept(stream).await else { return };
            let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            exchange(tls, h2, story, server.visits).await;
        }
        Manner::Silent | Manner::Accepts => {
            server.visits.count.fetch_add(1, Ordering::SeqCst);
            until_closed(stream).await;
        }
        Manner::Alert => {
            server.visits.count.fetch_add(1, Ordering::SeqCst);
            let _ = alert(stream).await;
        }
    }
}

/// Reads and forgets until the client goes.
async fn until_closed(mut stream: TcpStream) {
    let mut sink = [0u8; 4096];
    while stream.read(&mut sink).await.is_ok_and(|n| n > 0) {}
}

async fn alert(mut stream: TcpStream) -> std::io::Result<()> {
    let mut hello = [0u8; 4096];
    let _ = stream.read(&mut hello).await?;
    stream.write_all(&HANDSHAKE_FAILURE).await?;
    stream.shutdown().await?;
    until_closed(stream).await;
    Ok(())
}

async fn exchange<S>(stream: S, h2: bool, story: fn(&Ask<'_>) -> Answer, visits: Arc<Visits>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let service = service_fn(move |request| {
        let visits = Arc::clone(&visits);
        async move { Ok::<_, Infallible>(answer(request, story, &visits).await) }
    });
    // An exchange that breaks off is the client's doing, and the client's run tells of it.
    let _ = if h2 {
        let connection =
            hyper::server::conn::http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).serve_connection(io, service);
        boxed(connection).await
    } else {
        let connection = hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service);
        boxed(connection).await
    };
}

fn boxed<F: Future + Send + 'static>(future: F) -> std::pin::Pin<Box<dyn Future<Output = F::Output> + Send>> {
    Box::pin(future)
}

async fn answer(request: Request<Incoming>, story: fn(&Ask<'_>) -> Answer, visits: &Visits) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_BYTES).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let field = |name| head.headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or_default();
    let now = visits.clock.now();
    let (before, recent) = visits.add(now);
    let ask = Ask {
        before,
        recent: &recent,
        now,
        started: visits.started,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        authorization: field("authorization"),
        api_key: field("x-api-key"),
        signing: Some(&visits.signing),
        headers: Some(&head.headers),
        body: std::str::from_utf8(&body).unwrap_or_default(),
    };
    let answer = story(&ask);
    if !answer.after.is_zero() {
        tokio::time::sleep(answer.after).await;
    }
    visits.outbox.send_after_answer(answer.messages);
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut out = Vec::new();
        stream.read_to_end(&mut out).await.unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    #[tokio::test]
    async fn it_answers_for_its_names_can_be_cut_and_leaves_nothing() {
        let estate = Estate::start(&Clock::System).await.unwrap();
        let dir = estate.config_dir().to_owned();
        assert!(dir.join("customers/acme.toml").is_file());
        let look = estate.lookup();
        let erp = look("ERP.acme.example", 80).unwrap()[0];
        let request = "GET /api/v2/orders HTTP/1.1\r\nhost: erp.acme.example\r\nconnection: close\r\n\r\n";
        let answer = ask(erp, request).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("SO-10442"), "{answer}");
        assert_eq!(estate.served("erp.acme.example"), 1);
        assert!(look("tracking.dunlin-partner.example", 443).unwrap_err().contains("no such name"));
        assert!(look("www.example.com", 443).is_err(), "a name the demo does not know is nobody's");
        let closed = look("customs.dunlin.example", 8443).unwrap()[0];
        assert!(TcpStream::connect(closed).await.is_err());

        estate.cut(true);
        for e in ENDPOINTS {
            if let Ok(addresses) = look(e.host, e.port) {
                assert!(TcpStream::connect(addresses[0]).await.is_err(), "{} is still there", e.host);
            }
        }
        estate.cut(false);
        assert_eq!(look("erp.acme.example", 80).unwrap(), [erp]);

        estate.stop().await;
        assert!(!dir.exists());
        assert!(TcpStream::connect(erp).await.is_err());
    }

    #[tokio::test]
    async fn certificates_are_valid_for_as_long_as_the_story_says() {
        let now = Clock::System.now();
        let authority = Authority::new(now).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        let pem = authority.pem();
        roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        for (validity, days) in [
            (super::super::certificates::Validity::Long, Some(180)),
            (super::super::certificates::Validity::NineDays, Some(9)),
            (super::super::certificates::Validity::Expired, None),
        ] {
            let acceptor = TlsAcceptor::from(authority.server("a.example", validity, true).unwrap());
            let (near, far) = tokio::io::duplex(16 * 1024);
            let name = "a.example".try_into().unwrap();
            let (client, _server) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
            let Some(days) = days else {
                assert!(client.unwrap_err().to_string().contains("xpired"));
                continue;
            };
            let client = client.unwrap();
            let (_, leaf) = x509_parser::parse_x509_certificate(&client.get_ref().1.peer_certificates().unwrap()[0]).unwrap();
            assert_eq!((leaf.validity().not_after.timestamp() - now.0 / 1000) / 86_400, days);
        }
    }
}
