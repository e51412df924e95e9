//! The oauth2 kind: one token by client credentials, asked for the way an application asks, and everything that can be said of the answer.
//!
//! What is right and wrong is said by `sso::oauth` (docs/sso.md). The token is looked at and let go: it is in no record, log or memory.
//!
//! ```toml
//! [integration.check.oauth2]
//! token_url     = "https://login.example.com/token"
//! client_id     = "soakwatch-acme"
//! client_secret = { env = "ACME_SECRET" }
//! scope         = "orders.read"
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::{self, Place};
use super::endpoint::is_definite;
use super::{Accepted, NothingToAccept, ProbeContext, RefusedLiteral, refused_address};
use crate::clock::UnixMs;
use crate::fields::{HttpUrl, Span, bounded};
use crate::finding::{DocumentFacts, Finding, Findings, oauth as rule};
use crate::hex;
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Class, Reason};
use crate::secret::{SecretRef, SecretValue};
use crate::sso::oauth;
use crate::transport::{Answer, Asked, AssertionKey, ClientCertificate, Options, read_chain_blocking, read_roots_blocking, status};

mod beside;
mod prove;
mod table;

/// More often than this is hard on the far side.
pub const SPARING: Span = Span::seconds(15 * 60);
/// What of an error's description is shown, in characters.
const MOST_SAID: usize = 120;
/// What can't be judged while there is no answer: all but recorded dates.
const BY_ANSWER: [&str; 6] = ["OAUTH-TOK", "OAUTH-ASR", "OAUTH-MD", "OAUTH-TLS", "JWKS-", "OIDC-"];
/// What can't be judged without a token.
const BY_TOKEN: [&str; 5] = ["OAUTH-TOK-03", "OAUTH-TOK-04", "OAUTH-TOK-06", "JWKS-", "OIDC-"];

/// An oauth2 check, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth2Check {
    /// `token_url`.
    pub token_url: HttpUrl,
    /// `client_id`.
    pub client_id: String,
    /// `method`, with the keys that belong to it.
    proves: Proves,
    /// `scope`: wanted scopes, separated by spaces.
    pub scope: Option<String>,
    /// `audience`.
    pub audience: Option<String>,
    /// `used_for`: how long the application works with one token.
    pub used_for: Option<Span>,
    /// `expires`: the recorded end of the secret or certificate.
    pub expires: Option<UnixMs>,
    /// `issuer`.
    pub issuer: Option<String>,
    /// `metadata`: whether the issuer's two documents are compared.
    pub metadata: bool,
    /// `wrong_client`: whether a client that does not exist is tried, too.
    pub wrong_client: bool,
    /// `ca`.
    pub ca: Option<PathBuf>,
    /// `verify`.
    verify: Option<Verify>,
}

/// How the client says who it is.
#[derive(Clone, Debug, PartialEq)]
enum Proves {
    Basic(SecretRef),
    Post(SecretRef),
    Key(AssertionKey),
    Certificate { file: PathBuf, key: SecretRef },
}

/// `verify`: the token is a JWT, and what it must be.
#[derive(Clone, Debug, PartialEq)]
struct Verify {
    /// `jwks_uri`.
    place: Place,
    issuer: Option<String>,
    audience: Option<String>,
    algorithm: Option<String>,
    /// `token = "id_token"` instead of the access token.
    id_token: bool,
}

/// What is remembered: how long tokens live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Life {
    life_s: u64,
}

impl Life {
    /// A life that is much the same is the same: some servers give what is left of a token's life, some draw it by lot.
    fn steady(before: Option<Self>, life_s: u64) -> Self {
        before.filter(|b| (b.life_s / 2..=b.life_s.saturating_mul(2)).contains(&life_s)).unwrap_or(Self { life_s })
    }
}

/// What one run knows by now.
#[derive(Debug, Default)]
struct Found {
    list: Vec<Finding>,
    /// Rules that could not be judged.
    unjudged: Vec<&'static str>,
    /// The first thing that left something undecided which the run is about.
    undecided: Option<Failure>,
}

impl Found {
    /// Writes down what is known, so that it stands where the rest takes too long; `pending`: what is still to be judged.
    fn note(&self, pending: &[&'static str], observed: &mut Observed) {
        let unjudged = self.unjudged.iter().chain(pending).copied();
        observed.findings = Some(Findings::whole(self.list.clone()).but(unjudged));
    }
}

impl OAuth2Check {
    /// `host:port` of the token endpoint.
    pub fn host(&self) -> String {
        self.token_url.host_port()
    }

    /// Who we are to them: client, method and where the secret is to be found, hashed.
    pub fn credential(&self) -> String {
        hex::sha256(format!("oauth2 {} {:?}", self.client_id, self.proves).as_bytes()).chars().take(16).collect()
    }

    /// Every secret it refers to.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match &self.proves {
            Proves::Basic(secret) | Proves::Post(secret) => vec![secret.clone()],
            Proves::Key(AssertionKey { key, .. }) | Proves::Certificate { key, .. } => vec![key.clone()],
        }
    }

    /// The first URL that is written as an address which the guard would refuse.
    pub fn refused_literal(&self, allow_private: bool) -> Option<RefusedLiteral> {
        let issuer = self.issuer.as_ref().and_then(|i| i.parse::<HttpUrl>().ok());
        let keys = self.verify.as_ref().map(|v| &v.place.url);
        let all = [Some(("token_url", &self.token_url)), issuer.as_ref().map(|i| ("issuer", i)), keys.map(|k| ("verify.jwks_uri", k))];
        all.into_iter().flatten().find_map(|(key, url)| refused_address(key, url, allow_private))
    }

    /// A file it names that can't be used. Reads it: blocking.
    pub fn unusable_file_blocking(&self) -> Option<(&'static str, String)> {
        let roots = self.ca.as_deref().and_then(|f| Some(("ca", f, read_roots_blocking(f).err()?)));
        let own = || match &self.proves {
            Proves::Certificate { file, .. } => Some(("certificate", file.as_path(), read_chain_blocking(file).err()?)),
            _ => None,
        };
        let key = || match &self.proves {
            Proves::Key(by) => by.unusable_blocking().map(|why| ("key", why)),
            _ => None,
        };
        roots.or_else(own).map(|(key, file, why)| (key, format!("{} can't be used: {why}", file.display()))).or_else(key)
    }

    /// The certificate it shows, with its key.
    pub fn shows(&self) -> Option<(&PathBuf, &SecretRef)> {
        match &self.proves {
            Proves::Certificate { file, key } => Some((file, key)),
            _ => None,
        }
    }

    /// The token endpoint.
    pub fn url_shown(&self) -> String {
        self.token_url.shown()
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
        let mut found = Found::default();
        let by_certificate = matches!(self.proves, Proves::Certificate { .. });
        found.list.extend(self.expires.and_then(|ends| oauth::end_date(by_certificate, ends, context.now)));
        let place = Place { url: self.token_url.clone(), ca: self.ca.clone() };
        let options = document::options(&place, document::MAX_DOCUMENT, context).await?;
        let proved = Box::pin(self.prove(context)).await?;
        found.list.extend(proved.found.iter().cloned());
        let with = Options { client: proved.client.as_ref().map(Arc::<ClientCertificate>::clone), ..options.clone() };
        let (url, scope, audience) = (self.token_url.url(), self.scope.as_deref(), self.audience.as_deref());
        let request = Asked { url, client_id: &self.client_id, scope, audience }.request(proved.proof(&self.proves), context.redactor)?;
        found.note(&BY_ANSWER, observed);
        let asked = Box::pin(context.transport.ask_token_endpoint(request, &self.client_id, &with, context.redactor, observed)).await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(failure) => return Err(self.unreached(failure, found, observed)),
        };
        observed.step = Step::Judge;
        (observed.status, observed.body_bytes) = (Some(answer.status.as_u16()), Some(answer.body.len() as u64));
        let said = said(&answer, context);
        if let Some(failure) = undecided(&answer, &said) {
            // Nothing more is asked of who has trouble or wants to be left alone.
            return Err(failure);
        }
        let life = self.judge(&answer, &said, &proved, &mut found, context);
        let pending = [self.verify.is_some().then_some(&BY_TOKEN[..]), Some(&["OAUTH-TOK-05", "OAUTH-MD"][..])];
        found.note(&pending.into_iter().flatten().flatten().copied().collect::<Vec<_>>(), observed);
        let (status, bytes) = (observed.status, observed.body_bytes);
        if answer.status.is_success() {
            Box::pin(self.verify(&said, &mut found, context, observed)).await;
        }
        Box::pin(self.try_wrong_client(&options, &mut found, context, observed)).await?;
        Box::pin(self.compare_metadata(&mut found, context, observed)).await;
        (observed.status, observed.body_bytes) = (status, bytes);
        let target = format!("{} {}", self.token_url.url(), self.client_id);
        let life = life.map(|life_s| Life::steady(document::last_seen(&target, context), life_s));
        let fell = |before: &Life, now: &Life| oauth::life_fell(now.life_s, before.life_s).into_iter().collect();
        if life.is_none() && answer.status.is_success() {
            found.unjudged.push("OAUTH-TOK-06");
        }
        let Found { list, unjudged, undecided } = found;
        let concluded = document::conclude(&target, list, life, fell, DocumentFacts::default(), context, observed).await;
        observed.findings = observed.findings.take().map(|f| f.but(unjudged));
        match concluded {
            Ok(()) => undecided.map_or(Ok(()), Err),
            Err(failure) => {
                let by_key = matches!(self.proves, Proves::Key(_)) && !answer.status.is_success();
                let refused = by_key && said.get("error").and_then(Value::as_str) == Some("invalid_client");
                let reason = refused.then_some(Reason::AssertionRefused);
                Err(explained(Failure { reason, ..failure }, &answer, &said, context))
            }
        }
    }

    /// What the answer says of the client and of the token; gives the token's life.
    fn judge(
        &self,
        answer: &Answer,
        said: &Map<String, Value>,
        proved: &prove::Proved,
        found: &mut Found,
        context: &ProbeContext<'_>,
    ) -> Option<u64> {
        let (content_type, cache_control) = (joined(&answer.headers, CONTENT_TYPE), joined(&answer.headers, CACHE_CONTROL));
        let seen = oauth::Answer {
            status: answer.status.as_u16(),
            content_type: content_type.as_deref(),
            cache_control: cache_control.as_deref(),
            body: &answer.body,
        };
        let half_round_trip_ms = i64::try_from(answer.took.as_millis() / 2).unwrap_or(0);
        let offset_s = document::clock_offset_ms(&answer.headers, half_round_trip_ms, context.now).map(|ms| ms / 1000);
        let of_assertion = self.judge_assertion(proved, offset_s, context.now);
        if answer.status.is_success() {
            let wanted =
                oauth::Wanted { scope: self.scope.as_deref(), use_s: self.used_for.map_or(0, |s| s.0.as_secs()), life_before_s: None };
            let granted = oauth::granted(&seen, &wanted);
            found.list.extend(granted.findings.into_iter().chain(of_assertion));
            return granted.life_s;
        }
        found.unjudged.extend(BY_TOKEN);
        let code = said.get("error").and_then(Value::as_str);
        let nobody = answer.status.is_redirection() || matches!(answer.status.as_u16(), 404 | 405 | 410);
        if code.is_none() && nobody {
            found.list.push(oauth::unreachable(&format!("a POST was answered with {}", answer.status.as_u16())));
            return None;
        }
        found.list.extend(oauth::refused(&seen));
        // TOK-02 says what was answered, ASR-01 why it may be.
        match (&self.proves, of_assertion) {
            (Proves::Key(AssertionKey { kid, .. }), judged) if judged.is_empty() && code == Some("invalid_client") => {
                found.list.push(oauth::assertion_refused(kid.as_deref()));
            }
            (_, judged) => found.list.extend(judged),
        }
        None
    }

    /// What it means that no answer came.
    fn unreached(&self, failure: Failure, mut found: Found, observed: &mut Observed) -> Failure {
        // What our own guard refuses here was configured: that is ours.
        let finding = match failure.class {
            _ if is_definite(&failure) && failure.cause.is_none() => oauth::unreachable(&failure.detail),
            Class::Tls if matches!(self.proves, Proves::Certificate { .. }) => rule::TLS_01.found(&failure.detail),
            _ => return failure,
        };
        let failure = Failure { detail: bounded(format!("{}: {}", finding.id, failure.detail), 300), ..failure };
        found.list.push(finding);
        found.note(&BY_ANSWER, observed);
        failure
    }
}

/// What the answer says, where it is an object. Every token in it is known to the redactor from then on.
fn said(answer: &Answer, context: &mut ProbeContext<'_>) -> Map<String, Value> {
    let Ok(Value::Object(said)) = serde_json::from_slice::<Value>(&answer.body) else { return Map::new() };
    for name in ["access_token", "id_token", "refresh_token"] {
        if let Some(token) = said.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()) {
            context.redactor.add(&SecretValue::new(token));
        }
    }
    said
}

/// The failure of an answer that decides nothing: trouble over there, or a wish to be left alone.
fn undecided(answer: &Answer, said: &Map<String, Value>) -> Option<Failure> {
    let issued = answer.status.is_success() && said.contains_key("access_token");
    let (class, retry_after) = status::refusal(answer.status, &answer.limits, answer.dialect);
    let trouble = answer.status.is_server_error() || answer.status == StatusCode::REQUEST_TIMEOUT;
    let is = trouble || (class == Class::Throttled && !issued);
    let detail = format!("the token endpoint answered {}", answer.status.as_u16());
    is.then(|| Failure { retry_after, answered: true, ..Failure::new(class, detail) })
}

/// The failure with what the server says about it, which may echo what it was sent: redacted before it is cut.
fn explained(failure: Failure, answer: &Answer, said: &Map<String, Value>, context: &ProbeContext<'_>) -> Failure {
    let description = said.get("error_description").and_then(Value::as_str).filter(|_| !answer.status.is_success());
    let Some(description) = description else { return failure };
    let shown = bounded(context.redactor.clean(description), MOST_SAID);
    Failure { detail: format!("{}; it says: {shown}", context.redactor.clean(&failure.detail)), ..failure }
}

/// A header, its lines joined.
fn joined(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_that_varies_is_the_same_and_one_that_falls_is_another() {
        let after = |life_s| Life::steady(Some(Life { life_s: 3600 }), life_s).life_s;
        assert_eq!([3599, 1800, 7200].map(after), [3600; 3]);
        assert_eq!([1799, 7201, 60].map(after), [1799, 7201, 60]);
        assert_eq!(Life::steady(None, 5).life_s, 5);
    }
}
