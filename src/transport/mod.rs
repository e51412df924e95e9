//! The HTTP exchange all kinds share, built on hyper with a connector of our own: phases, the certificate chain of every hop, the address guard,
//! caps on everything that comes back, credentials.
//!
//! One exchange is one run's: a new connection each time (unless its check asks to keep the one it has), no pool, no cookie jar, a proxy only where one is configured, and nothing of it lives longer than the future that
//! runs it. Owns no deadline (the scheduler's holds over everything), no retry, and no judgement of what a status means.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{UnixMs, monotonic};
use crate::config::model::ProbeSettings;
use crate::observed::Observed;
use crate::ratelimit::Dialect;
use crate::route::Proxy;

mod assertion;
pub mod auth;
mod away;
mod body;
mod certificate;
mod client;
mod connect;
mod digest;
mod exchange;
mod family;
pub mod guard;
mod kept;
mod listen;
mod oauth2;
mod opening;
mod proxy;
mod resolve;
pub mod status;
mod tls;
mod way;

pub use assertion::{AssertionKey, OPTIONAL as OF_ASSERTIONS};
pub use away::{AWAY_NOTE, Endpoint};
pub use certificate::modern;
pub use client::{ClientCertificate, OwnCertificate, control_tls_blocking, first_end, holding, read_chain_blocking};
pub use exchange::{Answer, Request};
pub use kept::LIFE as KEPT_FOR;
pub use oauth2::{Asked, Proof};
pub use resolve::{Resolver, Table};
pub use tls::{OwnRoots, read_roots_blocking, tls_words};
pub use way::Way;

/// Which HTTP version a check speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// What the server chooses: HTTP/2 or 1.1 over TLS (ALPN), 1.1 in plain.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; in plain with prior knowledge (RFC 9113, 3.3).
    Http2,
}

/// How one exchange is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The integration's `allow_private`.
    pub allow_private: bool,
    /// The HTTP version.
    pub version: HttpVersion,
    /// How many redirects are followed; 0: a 3xx is an ordinary answer.
    pub redirects: u8,
    /// Cap of the body after decompression, in bytes. `None`: the settings'.
    pub max_body: Option<u64>,
    /// Roots trusted besides the shared ones.
    pub roots: Option<Arc<OwnRoots>>,
    /// What we show a server that asks who we are; to the first origin of an exchange only, a token endpoint's being an exchange of its own.
    pub client: Option<Arc<ClientCertificate>>,
    /// How long the run may take in all; what several addresses of a name share.
    pub timeout: Duration,
    /// How the check's own host speaks of rate limits; others (a token endpoint elsewhere, where a redirect leads) are read as `auto`.
    pub dialect: Dialect,
    /// The check's own host, as `host:port`.
    pub host: String,
    /// The way to it.
    pub way: Way,
}

/// The means to reach the network that all runs share: resolver, TLS roots, limits, tokens and the token endpoints to leave alone.
pub struct Transport {
    resolver: Resolver,
    tls: tls::Tls,
    tokens: oauth2::Tokens,
    nonces: digest::Nonces,
    away: Arc<away::Away>,
    limits: Limits,
    proxy: Option<Proxy>,
    kept: kept::Kept,
}

#[derive(Clone, Debug)]
struct Limits {
    max_body: u64,
    max_headers: usize,
    user_agent: http::HeaderValue,
    /// Whether requests say which run they belong to.
    traceparent: bool,
}

/// Bounds of `max_headers`: hyper reads nothing smaller than the first; one response may not cost more memory than the second.
const HEADER_BYTES: std::ops::RangeInclusive<usize> = 8 * 1024..=1024 * 1024;

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("resolver", &self.resolver).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Transport {
    /// From the settings. Reads the system's roots and `ca` now, once: blocking.
    pub fn new(settings: &ProbeSettings, resolver: Resolver) -> anyhow::Result<Self> {
        let limits = Limits {
            max_body: settings.max_body.0,
            max_headers: usize::try_from(settings.max_headers.0).unwrap_or(usize::MAX).clamp(*HEADER_BYTES.start(), *HEADER_BYTES.end()),
            user_agent: http::HeaderValue::from_str(&settings.agent())
                .map_err(|_| anyhow::anyhow!("user_agent can't be sent in a header: {:?}", settings.agent()))?,
            traceparent: settings.traceparent,
        };
        let tls = tls::Tls::new(settings.ca.as_deref())?;
        Ok(Self {
            resolver,
            tls,
            tokens: oauth2::Tokens::default(),
            nonces: digest::Nonces::default(),
            away: Arc::default(),
            limits,
            proxy: settings.proxy.clone(),
            kept: kept::Kept::default(),
        })
    }

    /// This one instead of `old`: what asked `old` to be left alone still is.
    pub fn after(mut self, old: &Self) -> Self {
        self.away = Arc::clone(&old.away);
        self
    }

    /// The token endpoints to leave alone, as notes (kind [`AWAY_NOTE`]) to write since the last call: id and text; without text, the note goes.
    pub fn notes(&self) -> Vec<(String, Option<String>)> {
        self.away.notes()
    }

    /// Leaves alone what notes of the last daemon tell of; returns the ids of those that are over.
    pub fn restore(&self, notes: &BTreeMap<String, String>, now: UnixMs) -> Vec<String> {
        self.away.restore(notes, now, monotonic())
    }

    /// How our own control calls do TLS: with the same roots. They never go to a customer's endpoint, and pass no guard.
    pub fn control_tls(&self) -> rustls::ClientConfig {
        self.tls.control()
    }

    /// The addresses of one of our own servers, private ones too: nobody's check goes there.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        match host.parse() {
            Ok(literal) => Ok(vec![SocketAddr::new(literal, port)]),
            Err(_) => self.resolver.resolve(host, port).await.map_err(|f| f.detail),
        }
    }

    /// Whether this endpoint can be reached: resolves it and makes a TCP connection, nothing more. For the self-check: private addresses are open, and no proxy
    /// stands between.
    pub async fn reach(&self, host: &str, port: u16) -> Result<(), String> {
        let host = url::Host::parse(host).map_err(|e| format!("{host}: {e}"))?;
        let options = Options {
            allow_private: true,
            version: HttpVersion::Auto,
            redirects: 0,
            max_body: None,
            roots: None,
            client: None,
            timeout: Duration::from_secs(10),
            dialect: Dialect::Auto,
            host: String::new(),
            way: Way::default(),
        };
        let mut observed = Observed::default();
        Box::pin(self.tcp((&host, port), (false, false), &options, connect::Sent::ByUs, &mut observed))
            .await
            .map(drop)
            .map_err(|f| f.detail)
    }

    /// Roots of a PEM file, read now off the runtime's threads.
    pub async fn roots(&self, file: &Path) -> Result<Arc<OwnRoots>, String> {
        self.tls.own_roots(file).await
    }
}
