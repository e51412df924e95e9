//! The oidc kind: a provider's discovery document, its keys, its endpoints and its clock, as an application sees them before anybody logs in.
//!
//! Fetches and remembers; what is right and wrong is said by `sso::oidc` and `sso::jwks` (docs/sso.md). Never logs in, never keeps a key.
//!
//! ```toml
//! [integration.check.oidc]
//! issuer = "https://login.example.com/realms/acme"
//! ```

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, Method, StatusCode};
use url::Url;

use super::document::{self, Document, Got, MAX_DOCUMENT, Place};
use super::endpoint::{self, Reached, is_definite};
use super::material::Material;
use super::{Accepted, NothingToAccept, ProbeContext, RefusedLiteral, refused_address};
use crate::config::table::Table;
use crate::fields::{HttpUrl, bounded};
use crate::finding::{DocumentFacts, Finding, Findings, oidc as rule};
use crate::large;
use crate::observed::{Failure, Observed};
use crate::sso::{jwks, oidc};
use crate::transport::read_roots_blocking;
use seen::Seen;

mod seen;

const JSON: &str = "application/json";
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// Endpoints that are asked in one run.
const MOST_ENDPOINTS: usize = 8;
/// Those that matter most are asked first.
const FIRST: [&str; 3] = ["token_endpoint", "authorization_endpoint", "userinfo_endpoint"];
/// Methods of RFC 6749, OpenID Connect and RFC 8705.
const METHODS: [&str; 7] = [
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
];

/// An oidc check, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct OidcCheck {
    /// `issuer`, as written: it is compared byte for byte.
    pub issuer: String,
    /// Where its discovery document is, and `ca`.
    place: Place,
    /// `client_auth`: how the application says who it is at the token endpoint.
    pub client_auth: Option<&'static str>,
    /// `algorithm`: the only one of ID tokens that the application takes.
    pub algorithm: Option<String>,
    /// `scopes` that the application asks for.
    pub scopes: Vec<String>,
    /// `claims` that it needs.
    pub claims: Vec<String>,
    /// `pkce`: whether it uses PKCE.
    pub pkce: bool,
    /// `endpoints`: whether they are asked, too.
    pub endpoints: bool,
}

/// What came of fetching the keys.
enum Keys {
    /// They were judged; nothing in there where they are no key set.
    Judged(Vec<Finding>, Option<jwks::Snapshot>),
    /// There is no address to fetch them from, which the document's findings say.
    NoAddress,
    /// Somebody answered that they are not to be had.
    Refused(Finding),
    /// Nothing can be said.
    Undecided(Failure),
}

impl OidcCheck {
    /// Reads the kind's table.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let issuer: Option<HttpUrl> = t.req("issuer");
        let written = t.opt::<String>("issuer").filter(|_| issuer.is_some());
        if issuer.as_ref().is_some_and(|i| i.url().query().is_some()) {
            t.problem("issuer", "has a query", "expected the issuer itself: an issuer has neither query nor fragment");
        }
        let ca = t.opt::<std::path::PathBuf>("ca").map(|p| t.source().dir.join(p));
        let client_auth = t.word("client_auth", &METHODS.map(|m| (m, m)));
        let algorithm = t.opt::<String>("algorithm");
        let (scopes, claims) = (t.list::<String>("scopes"), t.list::<String>("claims"));
        let (pkce, endpoints) = (t.or("pkce", true), t.or("endpoints", true));
        t.finish();
        let issuer = written?;
        let url = discovery_url(&issuer)?;
        Some(Self { issuer, place: Place { url, ca }, client_auth, algorithm, scopes, claims, pkce, endpoints })
    }

    /// `host:port` of the issuer.
    pub fn host(&self) -> String {
        self.place.url.host_port()
    }

    /// The issuer, if it is written as an address that the guard would refuse.
    pub fn refused_literal(&self, allow_private: bool) -> Option<RefusedLiteral> {
        refused_address("issuer", &self.place.url, allow_private)
    }

    /// A file it names that can't be used. Reads it: blocking.
    pub fn unusable_file_blocking(&self) -> Option<(&'static str, String)> {
        let file = self.place.ca.as_deref()?;
        read_roots_blocking(file).err().map(|why| ("ca", format!("{} can't be used: {why}", file.display())))
    }

    /// The address of the discovery document.
    pub fn url_shown(&self) -> String {
        self.place.url.shown()
    }

    /// What of it is judged.
    pub fn material(&self) -> Material {
        let Self { issuer, place, client_auth, algorithm, scopes, claims, pkce, endpoints } = self;
        let mut m = Material::default();
        m.say("issuer", issuer);
        place.ca.iter().for_each(|file| m.file("ca", file));
        client_auth.iter().for_each(|method| m.say("client_auth", *method));
        algorithm.iter().for_each(|a| m.say("algorithm", a));
        scopes.iter().for_each(|s| m.say("scopes", s));
        claims.iter().for_each(|c| m.say("claims", c));
        m.unless(&true, "pkce", pkce);
        m.unless(&true, "endpoints", endpoints);
        m
    }

    /// What was last seen is accepted.
    pub fn accept(remembered: Option<&str>) -> Result<Accepted, NothingToAccept> {
        document::accept(remembered)
    }

    /// Runs once.
    pub async fn run(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        let ran = Box::pin(self.attempt(context, observed)).await;
        ran.map_err(|mut failure| {
            failure.detail = bounded(context.redactor.clean(&failure.detail), 300);
            failure
        })
    }

    async fn attempt(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        let document = match Box::pin(document::get(&self.place, JSON, MAX_DOCUMENT, context, observed)).await {
            Ok(Got::Document(document)) => document,
            Ok(Got::Refused(status, failure)) => {
                let finding = oidc::fetched(status.as_u16(), None).unwrap_or_else(|| rule::GET_01.found(&failure.detail));
                return Err(document::not_had(finding, failure, observed));
            }
            // What our own guard refuses here was configured: that is ours.
            Err(failure) if is_definite(&failure) && failure.cause.is_none() => {
                return Err(document::not_had(rule::GET_01.found(&failure.detail), failure, observed));
            }
            Err(failure) => return Err(failure),
        };
        let (body, expected) = (Arc::clone(&document.body), self.expected());
        let judged = large::of(body.len(), observed, move || oidc::lint(&body, &expected)).await?;
        let Some(discovery) = judged.snapshot else {
            // A log-in page, most likely: no discovery document is there, and what was found in the last one stays.
            let failed = document::failure(&judged.findings);
            observed.findings = Some(Findings::partial(judged.findings));
            return failed.map_or(Ok(()), Err);
        };
        let mut found = judged.findings;
        found.extend(oidc::fetched(StatusCode::OK.as_u16(), header(&document, CONTENT_TYPE).as_deref()));
        let mut unjudged = Vec::new();
        match document::clock_offset_ms(&document.headers, document.half_round_trip_ms, context.now) {
            Some(offset) => found.extend(oidc::clock_offset(offset / 1000)),
            None => unjudged.push("OIDC-CLK"),
        }
        // Another issuer's document is nothing to compare with.
        let ours = found.iter().all(|f| f.id != rule::ISS_01.id);
        let before = document::last_seen::<Seen>(&self.issuer, context);
        let fetched = Box::pin(self.keys(&discovery, before.as_ref(), context, observed)).await;
        let (mut keys, mut undecided) = (None, None);
        match fetched {
            Keys::Judged(findings, snapshot) => {
                found.extend(findings);
                keys = snapshot;
            }
            Keys::NoAddress => unjudged.push("JWKS-"),
            Keys::Refused(finding) => {
                found.push(finding);
                unjudged.push("JWKS-");
            }
            Keys::Undecided(failure) => {
                undecided = Some(failure);
                unjudged.push("JWKS-");
            }
        }
        let urls = if self.endpoints { self.to_ask(&discovery) } else { Vec::new() };
        let seen = ours.then(|| Seen::after(before, discovery, keys, context.now));
        if !ours {
            unjudged.extend(["OIDC-CHG", "JWKS-ROT"]);
        }
        if !urls.is_empty() {
            unjudged.push("OIDC-EP-02");
        }
        let facts = DocumentFacts::default();
        let concluded = Box::pin(document::conclude(&self.issuer, found, seen, seen::changes, facts, context, observed)).await;
        // What is found by now stands, also where the rest takes too long.
        observed.findings = observed.findings.take().map(|f| f.but(unjudged));
        if observed.findings.is_none() {
            return concluded;
        }
        undecided = Box::pin(self.ask(&urls, context, observed)).await.or(undecided);
        let failed = observed.findings.as_ref().and_then(|f| document::failure(&f.list));
        failed.or(undecided).map_or(concluded, Err)
    }

    fn expected(&self) -> oidc::Expected {
        oidc::Expected {
            issuer: self.issuer.clone(),
            client_auth: self.client_auth.map(str::to_owned),
            baseline_jwks_uri: None,
            pinned_alg: self.algorithm.clone(),
            scopes: self.scopes.clone(),
            claims: self.claims.clone(),
            pkce: self.pkce,
        }
    }

    /// Whether we would go there: to nowhere in plain, unless the issuer itself is.
    fn open(&self, url: &Url) -> bool {
        url.scheme() == "https" || (url.scheme() == "http" && self.place.url.url().scheme() == "http")
    }

    async fn keys(
        &self,
        discovery: &oidc::Snapshot,
        before: Option<&Seen>,
        context: &mut ProbeContext<'_>,
        observed: &mut Observed,
    ) -> Keys {
        let url = discovery.url("jwks_uri").and_then(|u| u.parse::<HttpUrl>().ok()).filter(|u| self.open(u.url()));
        let Some(url) = url else { return Keys::NoAddress };
        let (status, bytes) = (observed.status, observed.body_bytes);
        let place = Place { url, ca: self.place.ca.clone() };
        let got = Box::pin(document::get(&place, JSON, MAX_DOCUMENT, context, observed)).await;
        (observed.status, observed.body_bytes) = (status, bytes);
        let got = match got {
            Ok(Got::Document(got)) => got,
            Ok(Got::Refused(status, failure)) => {
                let refused = jwks::fetched(status.as_u16());
                return Keys::Refused(refused.unwrap_or_else(|| crate::finding::jwks::GET_01.found(&failure.detail)));
            }
            Err(failure) if is_definite(&failure) => return Keys::Refused(crate::finding::jwks::GET_01.found(&failure.detail)),
            Err(failure) => return Keys::Undecided(failure),
        };
        let (body, at) = (Arc::clone(&got.body), context.now);
        let expected = jwks::Expected { algs: self.algorithm.iter().cloned().collect() };
        let judged = match large::of(body.len(), observed, move || jwks::lint(&body, &expected, at)).await {
            Ok(judged) => judged,
            Err(failure) => return Keys::Undecided(failure),
        };
        if judged.findings.iter().any(|f| f.id == crate::finding::jwks::PRIV_01.id) {
            context.memory.uncache(place.url.url().as_str());
        }
        let mut found = judged.findings;
        let keys = judged.keys.map(|k| k.snapshot());
        if keys.is_some() {
            found.extend(jwks::cache_control(header(&got, CACHE_CONTROL).as_deref(), before.and_then(Seen::overlapped)));
        }
        Keys::Judged(found, keys)
    }

    /// The endpoints to ask, each address once.
    fn to_ask(&self, discovery: &oidc::Snapshot) -> Vec<(String, Url)> {
        let first = FIRST.iter().filter_map(|name| Some((*name, discovery.url(name)?)));
        let rest = discovery.urls.iter().filter(|(name, _)| name.ends_with("_endpoint") && !name.contains('.'));
        let rest = rest.map(|(name, url)| (name.as_str(), url.as_str())).filter(|(name, _)| !FIRST.contains(name));
        let mut urls: Vec<(String, Url)> = Vec::new();
        for (name, url) in first.chain(rest) {
            let Some(url) = Url::parse(url).ok().filter(|u| u.has_host() && self.open(u)) else { continue };
            if urls.len() < MOST_ENDPOINTS && urls.iter().all(|(_, u)| *u != url) {
                urls.push((name.to_owned(), url));
            }
        }
        urls
    }

    /// Asks each endpoint without logging in; adds what was found. Gives what could not be decided.
    async fn ask(&self, urls: &[(String, Url)], context: &mut ProbeContext<'_>, observed: &mut Observed) -> Option<Failure> {
        if urls.is_empty() {
            return None;
        }
        let options = match document::options(&self.place, MAX_DOCUMENT, context).await {
            Ok(options) => options,
            Err(failure) => return Some(failure),
        };
        let (mut found, mut undecided) = (Vec::new(), None);
        for (name, url) in urls {
            let mut reached = Box::pin(endpoint::ask(Method::HEAD, url, &options, context, observed)).await;
            // Some servers stumble over HEAD alone.
            if matches!(reached, Reached::Status(500..)) {
                reached = Box::pin(endpoint::ask(Method::OPTIONS, url, &options, context, observed)).await;
            }
            let trouble = match reached {
                // It is there, and knows neither method.
                Reached::Status(501) => continue,
                Reached::Status(status) => oidc::EndpointTrouble::Status(status),
                Reached::NoName => oidc::EndpointTrouble::Name,
                Reached::Not(why) => oidc::EndpointTrouble::Tls(why),
                Reached::Undecided(failure) => {
                    undecided = undecided.or(Some(failure));
                    continue;
                }
            };
            found.extend(oidc::endpoint(name, &trouble));
        }
        if let Some(findings) = &mut observed.findings {
            if undecided.is_none() {
                findings.stays.retain(|begins| begins != rule::EP_02.id);
            }
            findings.add(found);
        }
        undecided
    }
}

/// The path is appended to the whole issuer, without its slash at the end (OpenID Connect Discovery 1.0, 4).
pub(super) fn discovery_url(issuer: &str) -> Option<HttpUrl> {
    format!("{}{WELL_KNOWN}", issuer.strip_suffix('/').unwrap_or(issuer)).parse().ok()
}

/// A header, its lines joined.
pub(super) fn header(document: &Document, name: HeaderName) -> Option<String> {
    let lines: Vec<&str> = document.headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}
