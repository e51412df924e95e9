//! What one attempt saw: hops, phases, certificates, expectations, numbers. Filled while the attempt goes on, so that an attempt that is cut
//! off still shows how far it came. Owns no judgement and no secret: every text in here has been redacted by whoever wrote it.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::clock::UnixMs;
use crate::finding::{DocumentFacts, Findings};
use crate::outcome::{Cause, Class, HttpSpoken, TlsSpoken};
use crate::ratelimit::RateLimit;
use crate::run_id::TraceParent;

pub use crate::fields::bounded;

/// The step an attempt is in; tells what a deadline that passes now means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Preparing: reading secrets, files.
    #[default]
    Prepare,
    /// Waiting for DNS.
    Resolve,
    /// Waiting for a sign of life of our own proxy.
    Proxy,
    /// Waiting for the connection to the endpoint.
    Connect,
    /// In the TLS handshake.
    Tls,
    /// Sending the request and waiting for the first byte.
    Processing,
    /// Reading the body.
    Transfer,
    /// Judging what was read.
    Judge,
}

impl Step {
    /// The class of a run whose deadline passed in this step (product.md: waiting that ends nowhere).
    pub const fn class(self) -> Class {
        match self {
            Self::Prepare | Self::Proxy => Class::Internal,
            Self::Resolve => Class::Dns,
            Self::Connect => Class::Connect,
            Self::Tls => Class::Tls,
            Self::Processing | Self::Transfer | Self::Judge => Class::Timeout,
        }
    }
}

/// The five phases of an exchange. `None`: not reached, or not applicable (no TLS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Phases {
    /// Name resolution.
    pub resolve: Option<Duration>,
    /// TCP connection.
    pub connect: Option<Duration>,
    /// TLS handshake.
    pub tls: Option<Duration>,
    /// From the request's first byte sent to the response's first byte.
    pub processing: Option<Duration>,
    /// From the response's first byte to the body's end.
    pub transfer: Option<Duration>,
}

impl Phases {
    /// The label texts, in order of [`Phases::values`].
    pub const NAMES: [&'static str; 5] = ["resolve", "connect", "tls", "processing", "transfer"];
    /// The values in the order of [`Phases::NAMES`].
    pub fn values(&self) -> [Option<Duration>; 5] {
        [self.resolve, self.connect, self.tls, self.processing, self.transfer]
    }
}

/// One certificate of a chain as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateFacts {
    /// Subject, at most 200 characters.
    pub subject: String,
    /// Issuer, at most 200 characters.
    pub issuer: String,
    /// Start of validity.
    pub not_before: UnixMs,
    /// End of validity.
    pub not_after: UnixMs,
    /// SHA-256 over the DER, hex.
    pub sha256: String,
    /// DNS names and addresses it is for, at most 20.
    pub names: Vec<String>,
}

/// The TLS session of a hop. Present as soon as the server sent its chain, also when that chain was then refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`, once negotiated.
    pub version: Option<String>,
    /// The cipher suite, once negotiated.
    pub cipher: Option<String>,
    /// The chain as sent, leaf first.
    pub chain: Vec<CertificateFacts>,
    /// Why the chain was refused; `None`: accepted, or not judged yet.
    pub refused: Option<String>,
}

impl TlsFacts {
    /// The earliest end of validity in the chain.
    pub fn earliest_expiry(&self) -> Option<UnixMs> {
        self.chain.iter().map(|c| c.not_after).min()
    }
}

/// How connecting went over one address family, where a check asks for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnFamily {
    /// `ipv4` or `ipv6`.
    pub family: &'static str,
    /// The address that was connected to, or tried last.
    pub address: Option<SocketAddr>,
    /// How long it took until the connection stood (with `both`: TLS too).
    pub took: Option<Duration>,
    /// Why there is none; `None`: it stood.
    pub failure: Option<String>,
}

/// One request of a chain of redirects (or the token request before it).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hop {
    /// `true` for a request to an OAuth2 token endpoint.
    pub token: bool,
    /// Method.
    pub method: String,
    /// URL without user; of the query only the parameters' names.
    pub url: String,
    /// The address we connected to, or tried last. `None` for a name behind a proxy, which alone knows it.
    pub address: Option<SocketAddr>,
    /// The proxy it went through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Whether it went over the connection of an earlier run: then no time was taken to resolve, connect and shake hands.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
    /// What became of each address family that was tried, in order; only where `address_family` is set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<OnFamily>,
    /// `HTTP/1.1`, `HTTP/2`.
    pub version: Option<String>,
    /// Phases of this hop.
    pub phases: Phases,
    /// TLS, for https.
    pub tls: Option<TlsFacts>,
    /// Response status.
    pub status: Option<u16>,
    /// Where it redirected to, shown likewise.
    pub location: Option<String>,
}

/// What one response said of rate limits. Every response is read: of redirects and token endpoints too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heard {
    /// `host:port` of who said it.
    pub host: String,
    /// Whether a token endpoint said it.
    pub token: bool,
    /// When it came.
    pub at: UnixMs,
    /// What it said.
    pub limits: RateLimit,
    /// How long to stay away after it, where it throttles: what it asks for, else its reset, else what is known of the dialect. `None` where the run
    /// went on all the same, with the token it had: then it is the transport that leaves the token endpoint alone.
    pub stay_away: Option<Duration>,
}

/// One expectation and what was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expectation {
    /// What was expected, in words: `status is 200`, `$.orders is array`.
    pub expected: String,
    /// What was seen, redacted, at most 200 characters.
    pub seen: String,
    /// Whether it held.
    pub met: bool,
    /// The class it fails with.
    pub class: Class,
}

/// Which of the expectations are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Noted {
    /// Every one: somebody is going to read them.
    #[default]
    All,
    /// Those that were not met: what else there was nobody reads.
    Unmet,
}

/// Everything one attempt saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Observed {
    /// How far the attempt came.
    pub step: Step,
    /// Every request made, in order.
    pub hops: Vec<Hop>,
    /// Which of the expectations are written down.
    #[serde(skip)]
    pub noted: Noted,
    /// The expectations that were looked at, in order; those that were met only where [`Noted::All`] are asked for.
    pub expectations: Vec<Expectation>,
    /// Numbers read by `observe`, by name.
    pub values: Vec<(String, f64)>,
    /// What was found in a document, where one could be judged (or its fetching was a finding itself).
    pub findings: Option<Findings>,
    /// What the document said of itself, where one could be read.
    pub document: Option<DocumentFacts>,
    /// What every response said of rate limits, in order; one a hop that was answered.
    pub heard: Vec<Heard>,
    /// Status of the last response to the check's own request (not the token's).
    pub status: Option<u16>,
    /// Bytes of the last body after decompression.
    pub body_bytes: Option<u64>,
    /// The first rule by which our own address guard refused an address, also when another address of that name served.
    pub egress_rule: Option<&'static str>,
    /// Who its requests say they belong to, where they are to say so; `None`: the attempt has no name.
    #[serde(skip)]
    pub trace: Option<TraceParent>,
}

impl Observed {
    /// The earliest end of validity over every hop's chain.
    pub fn certificate_expiry(&self) -> Option<UnixMs> {
        self.hops.iter().filter_map(|h| h.tls.as_ref()?.earliest_expiry()).min()
    }
    /// What the last hop was answered in: HTTP, and TLS if there was any. `None`: it was not, or no answer was the check's own.
    pub fn spoken(&self) -> Option<(HttpSpoken, Option<TlsSpoken>)> {
        let hop = self.hops.last().filter(|_| self.status.is_some())?;
        let version = |text: &Option<String>, before: &str| text.as_deref().and_then(|t| t.strip_prefix(before)).map(str::to_owned);
        let http = HttpSpoken::parse(&version(&hop.version, "HTTP/")?)?;
        let tls = hop.tls.as_ref().and_then(|t| TlsSpoken::parse(&version(&t.version, "TLSv")?));
        Some((http, tls))
    }
    /// The phases summed over all hops; a phase no hop had stays `None`.
    pub fn phases(&self) -> Phases {
        let add = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.hops.iter().fold(Phases::default(), |sum, h| Phases {
            resolve: add(sum.resolve, h.phases.resolve),
            connect: add(sum.connect, h.phases.connect),
            tls: add(sum.tls, h.phases.tls),
            processing: add(sum.processing, h.phases.processing),
            transfer: add(sum.transfer, h.phases.transfer),
        })
    }
}

/// Why an attempt did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The class. [`Class::Internal`] means it was us: the run becomes `unknown` with `cause`.
    pub class: Class,
    /// For [`Class::Internal`]: what of ours it was. [`Cause::RateLimit`] with [`Class::Throttled`]: nothing was sent, because who would have been
    /// asked had throttled before; `retry_after` is what is left.
    pub cause: Option<Cause>,
    /// What happened, for people: redacted, one line, at most 300 characters.
    pub detail: String,
    /// How long the target asked us to wait, if it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
    /// The guard's rule, when our own address guard refused the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_rule: Option<&'static str>,
    /// Somebody answered, if only to refuse: a reset connection, a DNS answer that says there is no such name. Silence may be our own network's.
    #[serde(skip)]
    pub answered: bool,
}

impl Failure {
    /// A failure of the target or the path to it.
    pub fn new(class: Class, detail: impl Into<String>) -> Self {
        Self { class, cause: None, detail: bounded(detail.into(), 300), retry_after: None, egress_rule: None, answered: false }
    }
    /// A failure of ours.
    pub fn ours(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause: Some(cause), ..Self::new(Class::Internal, detail) }
    }
}
