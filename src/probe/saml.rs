//! The saml kind: SAML metadata of an identity provider, a service provider or a federation, from a URL or a file.
//!
//! Gets the document, has it judged (`sso::saml`), compares it with the one that was accepted, and asks whether its endpoints are there. Never logs in
//! and never sends a message. An aggregate is held one at a time, of all checks.
//!
//! ```toml
//! [integration.check.saml]
//! url = "https://idp.example.com/metadata"
//! entity_id = "https://idp.example.com/metadata"
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Method;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::document::{self, Document, Got, Place};
use super::endpoint::{self, Reached, is_definite};
use super::material::Material;
use super::{Accepted, NothingToAccept, ProbeContext, RefusedLiteral, refused_address};
use crate::fields::{Bytes as Size, HttpUrl, bounded};
use crate::finding::{DocumentFacts, Finding, Findings, Level, saml as rule};
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Cause, Class};
use crate::sso::saml::{self, Expected, Judged, Peer, Role, Snapshot, ValidityPolicy};
use crate::transport::read_roots_blocking;

mod files;
mod table;

const ACCEPT: &str = "application/samlmetadata+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1";
/// Endpoints that are asked in one run.
const MOST_ENDPOINTS: usize = 8;
/// Aggregates that are held at once, whoever's they are.
static AGGREGATES: Semaphore = Semaphore::const_new(1);
/// What is judged by reading the document: of one that can't be read all of it stays as it was.
const OF_THE_CONTENT: [&str; 10] =
    ["SAML-XML-03", "SAML-XML-04", "SAML-ENT", "SAML-ROL", "SAML-VAL", "SAML-SIG", "SAML-KEY", "SAML-EP", "SAML-NID", "SAML-FLG"];
/// What is judged by comparing it with the accepted one, and by going where it says.
const OF_A_SOUND_ONE: [&str; 4] = ["SAML-KEY-06", "SAML-KEY-07", "SAML-EP-03", "SAML-EP-04"];

/// A saml check, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct SamlCheck {
    /// `url` or `file`.
    source: Source,
    /// `ca`: a PEM file of roots trusted besides the shared ones, read at use.
    ca: Option<PathBuf>,
    /// `entity_id`, compared byte for byte.
    entity_id: Option<String>,
    /// `role`.
    role: Role,
    /// `signature.require`.
    require_signature: bool,
    /// `signature.pins`: PEM files, read at use.
    pins: Vec<PathBuf>,
    /// `warn_days`.
    warn_days: u32,
    /// `validity`.
    validity: Option<ValidityPolicy>,
    /// `peer`.
    peer: Peer,
    /// `endpoints`: whether they are asked.
    endpoints: bool,
    /// `max_size`.
    max_size: Size,
}

/// Where the document is.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    Url(HttpUrl),
    File(PathBuf),
}

/// The document's bytes, or why there are none; how it came, where it was got.
enum Read {
    Got(Document),
    File(Arc<[u8]>),
}

impl SamlCheck {
    /// `host:port` it asks for the document; `None`: it reads a file.
    pub fn host(&self) -> Option<String> {
        match &self.source {
            Source::Url(url) => Some(url.host_port()),
            Source::File(_) => None,
        }
    }

    /// The URL, if it is written as an address that the guard would refuse.
    pub fn refused_literal(&self, allow_private: bool) -> Option<RefusedLiteral> {
        match &self.source {
            Source::Url(url) => refused_address("url", url, allow_private),
            Source::File(_) => None,
        }
    }

    /// A file it names that can't be used; the document itself is not one of them: that it is missing is found at a run. Reads them: blocking.
    pub fn unusable_file_blocking(&self) -> Option<(&'static str, String)> {
        let unusable = |file: &Path, why: String| format!("{} can't be used: {why}", file.display());
        if let Some(file) = &self.ca
            && let Err(why) = read_roots_blocking(file)
        {
            return Some(("ca", unusable(file, why)));
        }
        self.pins.iter().find_map(|file| files::pins_blocking(file).err().map(|why| ("signature.pins", unusable(file, why))))
    }

    /// Where the document is.
    pub fn target_shown(&self) -> String {
        match &self.source {
            Source::Url(url) => url.shown(),
            Source::File(file) => format!("file:{}", file.display()),
        }
    }

    /// What of it is judged.
    pub fn material(&self) -> Material {
        let Self { source, ca, entity_id, role, require_signature, pins, warn_days, validity, peer, endpoints, max_size } = self;
        let Peer { encrypts, name_id_formats, signs_requests, wants_signed_requests } = peer;
        let mut m = Material::default();
        match source {
            Source::Url(url) => m.say("url", url.url()),
            // The document in it is what is looked at, not what it is judged by; and the folder may move.
            Source::File(file) => m.say("file", &file.file_name().unwrap_or_default().to_string_lossy()),
        }
        ca.iter().for_each(|file| m.file("ca", file));
        entity_id.iter().for_each(|id| m.say("entity_id", id));
        match role {
            Role::Idp => {}
            Role::Sp => m.say("role", "sp"),
            Role::Aggregate => m.say("role", "aggregate"),
        }
        m.unless(&false, "signature.require", require_signature);
        pins.iter().enumerate().for_each(|(n, file)| m.file(&format!("signature.pins.{n}"), file));
        m.unless(&30, "warn_days", warn_days);
        if let Some(ValidityPolicy { least_days, most_days }) = validity {
            m.say("validity.min_days", least_days);
            m.say("validity.max_days", most_days);
        }
        m.unless(&false, "peer.encrypts", encrypts);
        name_id_formats.iter().for_each(|f| m.say("peer.name_id_formats", f));
        signs_requests.iter().for_each(|signs| m.say("peer.signs_requests", signs));
        wants_signed_requests.iter().for_each(|wants| m.say("peer.wants_signed_requests", wants));
        m.unless(&(*role != Role::Aggregate), "endpoints", endpoints);
        m.unless(&Size(saml::MOST_BYTES), "max_size", max_size);
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
        observed.step = Step::Prepare;
        // Waiting for another check's aggregate is our own doing.
        let turn = match self.role {
            Role::Aggregate => Some(AGGREGATES.acquire().await.map_err(|_| Failure::ours(Cause::Internal, "no turn"))?),
            Role::Idp | Role::Sp => None,
        };
        let expected = self.expected().await?;
        let read = self.obtain(context, observed).await?;
        let (mut found, mut unjudged) = (Vec::new(), Vec::new());
        let body = match read {
            Read::File(body) => body,
            Read::Got(got) => {
                found.extend(self.in_plain(&got));
                match document::clock_offset_ms(&got.headers, got.half_round_trip_ms, context.now).filter(|_| self.role != Role::Aggregate)
                {
                    Some(offset) => found.extend(saml::clock_off(offset)),
                    None => unjudged.push("SAML-CLK"),
                }
                got.body
            }
        };
        observed.step = Step::Judge;
        if let Some(page) = saml::not_xml(&body) {
            return nothing_read(vec![page], observed);
        }
        let judged = judge(body, expected, context, turn).await?;
        found.extend(judged.findings);
        if !judged.read {
            unjudged.extend(OF_THE_CONTENT);
        }
        self.conclude(found, judged.snapshot, unjudged, context, observed).await
    }

    /// Compares, remembers, and goes where the document says; what is found by then stands, also where the rest takes too long.
    async fn conclude(
        &self,
        mut found: Vec<Finding>,
        snapshot: Option<Snapshot>,
        mut unjudged: Vec<&'static str>,
        context: &mut ProbeContext<'_>,
        observed: &mut Observed,
    ) -> Result<(), Failure> {
        let (target, at) = (self.target_shown(), context.now);
        let before = document::last_seen::<Snapshot>(&target, context);
        let snapshot = snapshot.map(|now| before.as_ref().map_or(now.clone(), |before| now.following(before)));
        let sound = snapshot.is_some();
        let mut facts = DocumentFacts::default();
        let mut urls = Vec::new();
        match &snapshot {
            None => unjudged.extend(OF_A_SOUND_ONE),
            Some(now) => {
                (facts.valid_until, facts.signing_certificate_expiry) = (now.valid_until(), now.signing_certificate_expiry());
                found.extend(before.as_ref().and_then(|before| saml::stands_still(before, now, at)));
                // A date that moves on is no change.
                document::bring_up_to_date::<Snapshot>(&target, context, |accepted| accepted.validity = now.validity).await;
                urls = if self.endpoints { to_ask(now) } else { urls };
                if !urls.is_empty() {
                    unjudged.push(rule::EP_04.id);
                }
            }
        }
        let changes = |before: &Snapshot, now: &Snapshot| {
            let mut changes = saml::changes(before, now, at);
            changes.retain(|f| f.id != rule::VAL_02.id);
            changes
        };
        let concluded = Box::pin(document::conclude(&target, found, snapshot, changes, facts, context, observed)).await;
        if !sound {
            // What the last sound one said still holds.
            observed.document = None;
        }
        observed.findings = observed.findings.take().map(|f| f.but(unjudged));
        if observed.findings.is_none() || urls.is_empty() {
            return concluded;
        }
        let undecided = Box::pin(self.ask(&urls, context, observed)).await;
        let failed = observed.findings.as_ref().and_then(|f| document::failure(&f.list));
        failed.or(undecided).map_or(concluded, Err)
    }

    /// What is expected, with the pinned keys as they are now.
    async fn expected(&self) -> Result<Expected, Failure> {
        let files = self.pins.clone();
        let read = tokio::task::spawn_blocking(move || files::all_pins_blocking(&files)).await;
        let pins = read.map_err(|_| cut_off())?.map_err(|why| Failure::ours(Cause::File, why))?;
        Ok(Expected {
            entity_id: self.entity_id.clone(),
            role: self.role,
            require_signature: self.require_signature,
            pins,
            warn_days: self.warn_days,
            validity: self.validity,
            peer: self.peer.clone(),
        })
    }

    async fn obtain(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<Read, Failure> {
        let most = self.max_size.0;
        let url = match &self.source {
            Source::Url(url) => url.clone(),
            Source::File(file) => {
                let file = file.clone();
                let read = tokio::task::spawn_blocking(move || files::document_blocking(&file, most)).await.map_err(|_| cut_off())?;
                let body = read.map_err(|why| {
                    let failure = Failure { answered: true, ..Failure::new(Class::Metadata, why) };
                    document::not_had(saml::unreachable(&failure.detail), failure, observed)
                })?;
                observed.body_bytes = Some(body.len() as u64);
                return Ok(Read::File(body));
            }
        };
        let place = Place { url, ca: self.ca.clone() };
        match Box::pin(document::get(&place, ACCEPT, most, context, observed)).await {
            Ok(Got::Document(got)) => Ok(Read::Got(got)),
            Ok(Got::Refused(status, failure)) => {
                let finding = saml::get_failed(status.as_u16()).unwrap_or_else(|| saml::unreachable(&failure.detail));
                Err(document::not_had(finding, failure, observed))
            }
            // What our own guard refuses was configured: that is ours.
            Err(failure) if is_definite(&failure) && failure.cause.is_none() => {
                Err(document::not_had(saml::not_trusted(&failure.detail), failure, observed))
            }
            Err(failure) if failure.class == Class::Protocol => {
                Err(document::not_had(saml::unreachable(&failure.detail), failure, observed))
            }
            // Silence and trouble over there say nothing about the document.
            Err(failure) => Err(failure),
        }
    }

    /// It came without TLS: only a pinned signature says whose it is.
    fn in_plain(&self, got: &Document) -> Option<Finding> {
        let Source::Url(url) = &self.source else { return None };
        if url.url().scheme() == "https" {
            return got.downgraded.then(|| saml::not_trusted("a redirect leads away from https"));
        }
        let finding = saml::not_trusted("the document's address is not https");
        Some(if self.require_signature { finding.at(Level::Warn) } else { finding })
    }

    /// Asks each endpoint with a GET; adds what was found. Gives what could not be decided.
    async fn ask(&self, urls: &[HttpUrl], context: &mut ProbeContext<'_>, observed: &mut Observed) -> Option<Failure> {
        let (mut found, mut undecided) = (Vec::new(), None);
        for url in urls {
            let place = Place { url: url.clone(), ca: self.ca.clone() };
            let options = match document::options(&place, 0, context).await {
                Ok(options) => options,
                Err(failure) => return Some(failure),
            };
            let shown = url.url().as_str();
            match Box::pin(endpoint::ask(Method::GET, url.url(), &options, context, observed)).await {
                Reached::Status(status) => found.extend(saml::endpoint_failed(shown, status)),
                Reached::NoName => found.push(saml::endpoint_unreachable(shown, "its host's name does not exist")),
                Reached::Not(why) => found.push(saml::endpoint_unreachable(shown, &context.redactor.clean(&why))),
                Reached::Undecided(failure) => undecided = undecided.or(Some(failure)),
            }
        }
        if let Some(findings) = &mut observed.findings {
            if undecided.is_none() {
                findings.stays.retain(|begins| begins != rule::EP_04.id);
            }
            findings.add(found);
        }
        undecided
    }
}

/// Judges off the runtime. The turn ends with the judging, also where nobody waits for it any more.
async fn judge(
    body: Arc<[u8]>,
    expected: Expected,
    context: &ProbeContext<'_>,
    turn: Option<SemaphorePermit<'static>>,
) -> Result<Judged, Failure> {
    let at = context.now;
    let judging = move || {
        let judged = saml::judge(&body, &expected, at);
        drop((body, turn));
        judged
    };
    tokio::task::spawn_blocking(judging).await.map_err(|_| cut_off())
}

/// The document is another one altogether: what was found in the last one stays.
fn nothing_read(found: Vec<Finding>, observed: &mut Observed) -> Result<(), Failure> {
    let failed = document::failure(&found);
    observed.findings = Some(Findings::partial(found));
    failed.map_or(Ok(()), Err)
}

/// Addresses that a browser would be sent to, each once.
fn to_ask(now: &Snapshot) -> Vec<HttpUrl> {
    let mut urls: Vec<HttpUrl> = Vec::new();
    for location in now.locations() {
        // A query would be part of a message.
        let bare = Url::parse(location).ok().filter(|u| u.scheme() == "https").map(|mut u| {
            u.set_query(None);
            u.set_fragment(None);
            u
        });
        let Some(url) = bare.and_then(|u| u.as_str().parse::<HttpUrl>().ok()) else { continue };
        if urls.len() < MOST_ENDPOINTS && !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls
}

fn cut_off() -> Failure {
    Failure::ours(Cause::Internal, "reading the document was cut off")
}
