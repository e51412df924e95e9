//! The webhook kind: one signed message to a customer's endpoint, delivered as its sender would, and what the endpoint must do with it.
//!
//! What it sends and expects is in `[integration.check.webhook]` (`webhook/table.rs`); how messages are made is `webhook/message.rs`, how answers are
//! judged `webhook/answer.rs`. Now and then it also sends what must be refused, and the same message twice (`webhook/round.rs`). The id of a message is
//! that of the run, so that a retry is the same message with a new timestamp. Runs once: retries and deadlines are the scheduler's.
//!
//! ```toml
//! [integration.check.webhook]
//! url     = "https://hooks.example.com/orders"
//! scheme  = "standard-webhooks"
//! secrets = [{ env = "ACME_HOOK_SECRET" }]
//! reject  = ["tampered", "stale", "wrong_secret", "unsigned"]
//! ```

use std::path::PathBuf;

use http::HeaderName;

use super::http::{Given, Path, StatusRange};
use super::material::Material;
use super::{ProbeContext, RefusedLiteral, refused_address};
use crate::clock::UnixMs;
use crate::config::model::CheckDef;
use crate::fields::{HttpUrl, Span, masked_query};
use crate::finding::Findings;
use crate::hex;
use crate::observed::{Failure, Observed, Step, bounded};
use crate::outcome::Cause;
use crate::secret::SecretRef;
use crate::transport::auth::Auth;
use crate::transport::{HttpVersion, Options, OwnCertificate, read_roots_blocking};
use crate::webhook::{Scheme, Template};
use message::{Sender, Variant};

mod answer;
mod effect;
mod material;
mod message;
mod round;
mod table;

/// What the secret of a scheme that shows it is called.
const SECRET: &str = "the webhook's secret";
/// What a secret among `headers` is called.
const HEADER_SECRET: &str = "a header's secret";

/// Seconds for each request with its turn, where no timeout is written.
const A_REQUEST_S: u64 = 5;

/// A webhook check, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookCheck {
    /// `url`.
    pub url: HttpUrl,
    /// `scheme`, or `template`.
    pub signing: Signing,
    /// `secrets`: at least one; the first is the one in force, the others are being rotated.
    pub secrets: Vec<SecretRef>,
    /// `body`, with `{id}`, `{time}` and `{unix}`.
    pub body: String,
    /// `headers`.
    pub headers: Vec<(HeaderName, Given)>,
    /// `cloudevents`: `type` and `source`.
    pub cloudevents: Option<CloudEvent>,
    /// `ca`: a PEM file of roots trusted besides the shared ones, read at use.
    pub ca: Option<PathBuf>,
    /// `client`: what we show where we are asked who we are.
    pub own: Option<OwnCertificate>,
    /// `expect.status`: statuses of 2xx.
    pub status: Vec<StatusRange>,
    /// `expect.within`: from the look-up of the name to the end of the answer to the message itself.
    pub within: Option<Span>,
    /// `reject`: what must be refused.
    pub reject: Vec<Variant>,
    /// `replay`: the same message twice is taken twice.
    pub replay: bool,
    /// `effect`: where it shows what a message did.
    pub effect: Option<Effect>,
    /// `reject_every`: how often what `reject` and `replay` ask for is done.
    pub reject_every: Span,
}

/// How messages are signed.
#[derive(Clone, Debug, PartialEq)]
pub enum Signing {
    /// As a sender of the table does.
    Scheme(&'static Scheme),
    /// By a template, with its keys as written.
    Template(Box<Template>, Vec<(String, String)>),
}

impl Signing {
    /// The scheme.
    pub fn scheme(&self) -> &Scheme {
        match self {
            Self::Scheme(scheme) => scheme,
            Self::Template(template, _) => template.scheme(),
        }
    }
}

/// `cloudevents = { type, source }`.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudEvent {
    /// `type`.
    pub kind: String,
    /// `source`.
    pub source: String,
}

/// `effect = { url, path, bearer, headers, settle }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// `url`, with `{id}`.
    pub url: HttpUrl,
    /// `path`: the value that a second delivery must not change.
    pub path: Path,
    /// `bearer`.
    pub bearer: Option<SecretRef>,
    /// `headers`.
    pub headers: Vec<(HeaderName, Given)>,
    /// `settle`: how long the receiver may take until the effect shows.
    pub settle: Span,
}

impl WebhookCheck {
    /// `host:port`: the unit of concurrency.
    pub fn host(&self) -> String {
        self.url.host_port()
    }

    /// Who we are to them: where the secrets are to be found, hashed.
    pub fn credential(&self) -> String {
        hex::sha256(format!("webhook {:?}", self.secrets).as_bytes()).chars().take(16).collect()
    }

    /// Requests of a run that does everything, to its own host.
    pub fn requests(&self) -> u32 {
        let looks = self.effect.iter().filter(|e| e.url.host_port() == self.host()).count() * 2;
        let replayed = if self.replay { 1 + looks } else { 0 };
        u32::try_from(1 + self.reject.len() + replayed).unwrap_or(u32::MAX)
    }

    /// The timeout where none is written, for a check that sends more than the message.
    pub fn usual_timeout(&self) -> Option<Span> {
        let settle = self.effect.as_ref().filter(|_| self.replay).map_or(0, |e| e.settle.0.as_secs() * 2);
        let requests = u64::from(self.requests());
        (requests > 1).then(|| Span::seconds(requests * A_REQUEST_S + settle))
    }

    /// Whether both use the same secrets.
    pub fn shares_credential(&self, other: &Self) -> bool {
        self.secrets == other.secrets
    }

    /// The URL as it may be shown.
    pub fn url_shown(&self) -> String {
        format!("{}{}", self.url.shown(), masked_query(self.url.url()))
    }

    /// Every secret it refers to.
    pub fn secrets(&self) -> Vec<SecretRef> {
        let bearer = self.effect.iter().filter_map(|e| e.bearer.clone());
        let key = self.own.iter().map(|own| own.key.clone());
        self.secrets.iter().cloned().chain(self.given().filter_map(|g| g.secret().cloned())).chain(bearer).chain(key).collect()
    }

    /// Those of its secrets that go into a header as they are, each with what it is called where it can't be sent.
    pub fn header_secrets(&self) -> Vec<(SecretRef, &'static str)> {
        let shown = self.secrets.iter().filter(|_| self.signing.scheme().presents_secret()).map(|s| (s.clone(), SECRET));
        let headers = self.given().filter_map(|g| g.secret().cloned()).map(|s| (s, HEADER_SECRET));
        let bearer = self.effect.iter().filter_map(|e| Auth::Bearer(e.bearer.clone()?).header_secret());
        shown.chain(headers).chain(bearer).collect()
    }

    /// The values of all headers it sets.
    fn given(&self) -> impl Iterator<Item = &Given> {
        self.headers.iter().chain(self.effect.iter().flat_map(|e| &e.headers)).map(|(_, given)| given)
    }

    /// The first of its addresses that is written as one the guard would refuse.
    pub fn refused_literal(&self, allow_private: bool) -> Option<RefusedLiteral> {
        let effect = self.effect.as_ref();
        let all = [Some(("url", &self.url)), effect.map(|e| ("effect.url", &e.url))];
        all.into_iter().flatten().find_map(|(key, url)| refused_address(key, url, allow_private))
    }

    /// The longest time it allows an answer, and where that stands in its table.
    pub fn within(&self) -> Option<(&'static str, Span)> {
        self.within.map(|w| ("expect.within", w))
    }

    /// The files it names that can't be used by that time: the key of each, and why. Reads them: blocking.
    pub fn unusable_files_blocking(&self, at: UnixMs) -> Vec<(&'static str, String)> {
        let roots =
            self.ca.as_deref().and_then(|f| Some(("ca", format!("{} can't be used: {}", f.display(), read_roots_blocking(f).err()?))));
        let own = self.own.as_ref().and_then(|own| own.unusable_blocking(at));
        roots.into_iter().chain(own).collect()
    }

    /// What of it is judged.
    pub fn material(&self) -> Material {
        material::of(self)
    }

    /// Runs once. What was seen stands in `observed`, also when the future is dropped at its deadline.
    pub async fn run(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        let ran = Box::pin(self.attempt(context, observed)).await;
        ran.map_err(|mut failure| {
            failure.detail = bounded(context.redactor.clean(&failure.detail), 300);
            failure
        })
    }

    async fn attempt(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        observed.step = Step::Prepare;
        // Until all is done, what was found before stays open.
        observed.findings = Some(Findings::partial(Vec::new()));
        let options = self.options(context).await?;
        let sender = Sender::new(self, context.redactor).await?;
        let id = message_id(context, "");
        let request = sender.message(Variant::Genuine, &id, context.now, context.redactor)?;
        let answered = Box::pin(context.transport.exchange(&request, &options, None, context.redactor, observed)).await?;
        observed.step = Step::Judge;
        observed.body_bytes = Some(answered.body.len() as u64);
        let status = observed.status;
        answer::taken(self, &answered, context.redactor, observed)?;
        if !self.has_round() {
            observed.findings = Some(Findings::whole(Vec::new()));
            return Ok(());
        }
        if !round::is_due(self, context) {
            observed.findings = Some(Findings::whole(Vec::new()).but(round::RULES));
            return Ok(());
        }
        let done = Box::pin(round::run(self, (&sender, &options), (&id, request), context, observed)).await;
        // What is shown as the status is the answer to the message itself.
        observed.status = status;
        observed.step = Step::Judge;
        let found = done?;
        let failure = round::failure(&found);
        observed.findings = Some(Findings::whole(found));
        failure.map_or(Ok(()), Err)
    }

    /// Whether it does more than deliver.
    fn has_round(&self) -> bool {
        !self.reject.is_empty() || self.replay
    }

    async fn options(&self, context: &mut ProbeContext<'_>) -> Result<Options, Failure> {
        let roots = match &self.ca {
            Some(file) => Some(context.transport.roots(file).await.map_err(|why| Failure::ours(Cause::File, why))?),
            None => None,
        };
        let client = context.transport.own_certificate(self.own.as_ref(), context.now, context.redactor).await?;
        let CheckDef { integration, timeout, .. } = context.check;
        Ok(Options {
            allow_private: integration.allow_private,
            version: HttpVersion::Auto,
            // Senders follow none (Standard Webhooks, CloudEvents).
            redirects: 0,
            max_body: None,
            roots,
            timeout: *timeout,
            dialect: integration.dialect,
            host: self.host(),
            client,
            way: context.transport.way(context.check, context.redactor).await?,
        })
    }
}

/// The id of the run's message, or of another one of the same run: the same in each attempt, no other run's.
fn message_id(context: &ProbeContext<'_>, which: &str) -> String {
    let digest = hex::sha256(format!("{} {} {which}", context.check.id, context.slot.0).as_bytes());
    format!("msg_{}", digest.get(..32).unwrap_or_default())
}
