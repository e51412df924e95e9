//! OAuth2 client credentials (RFC 6749, 4.4): one token for everyone who asks with the same words, kept in memory only, fetched by one run at a time.
//!
//! A token is renewed after four fifths of its life, and once after the API refused it. An endpoint that throttled is left alone (`away.rs`): until
//! then the token at hand is used while it lives, and a run without one sends nothing. What goes wrong here says "token endpoint" first, so
//! that it is never taken for the API's failure.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use url::form_urlencoded;

use super::auth::{OAuth2, Proves, basic, reveal};
use super::away::{Endpoint, Stay};
use super::exchange::{Answer, Request, shown};
use super::{HttpVersion, Options, Transport, status};
use crate::clock::{Clock, monotonic};
use crate::hex;
use crate::observed::{Failure, Observed, Step, bounded};
use crate::outcome::{Cause, Class};
use crate::secret::{Redactor, SecretValue};

/// So many different tokens are kept; the one unused for longest goes first.
const MAX_TOKENS: usize = 4096;
/// A token answer may be this large.
const MAX_ANSWER: u64 = 64 * 1024;
/// A token may be this long; it has to fit into a header.
const MAX_TOKEN: usize = 16 * 1024;
/// The life of a token whose answer does not say.
const UNSAID_LIFE: Duration = Duration::from_secs(300);
/// No token is kept for longer.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);
/// The pause after a renewal that failed: a quarter of what is left of the token's life, within these bounds.
const RENEWAL_PAUSE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

/// The tokens all runs share.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<String, (Arc<Entry>, Instant)>>);

#[derive(Debug, Default)]
struct Entry {
    /// Held while one run asks the token endpoint; the others wait for its answer.
    slot: tokio::sync::Mutex<Slot>,
    /// Counts answers, good or bad: tells a run that waited whether one came meanwhile.
    answers: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    issued: Option<Issued>,
    failed: Option<Failure>,
}

#[derive(Debug)]
struct Issued {
    token: SecretValue,
    renew_at: Instant,
    ends_at: Instant,
}

impl Tokens {
    fn entry(&self, key: String) -> Arc<Entry> {
        let now = monotonic();
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !map.contains_key(&key) && map.len() >= MAX_TOKENS {
            let idle = map.iter().filter(|(_, (entry, _))| Arc::strong_count(entry) == 1).min_by_key(|(_, (_, used))| *used);
            match idle.map(|(key, _)| key.clone()) {
                Some(oldest) => drop(map.remove(&oldest)),
                // All are in use right now: this run gets one of its own.
                None => return Arc::default(),
            }
        }
        let (entry, used) = map.entry(key).or_insert_with(|| (Arc::default(), now));
        *used = now;
        Arc::clone(entry)
    }
}

/// Everything that makes a token, hashed: two checks that differ in any of it never share one.
fn key(oauth2: &OAuth2, secret: Option<&SecretValue>, options: &Options) -> String {
    let roots = options.roots.as_ref().map_or("", |r| r.sha256.as_str());
    // A token may be bound to the certificate it was asked for with (RFC 8705, 3).
    let shown = options.client.as_ref().map_or("", |c| c.sha256.as_str());
    let parts = (
        oauth2.token_url.url().as_str(),
        &oauth2.client_id,
        secret.map(SecretValue::expose),
        &oauth2.scope,
        &oauth2.audience,
        // Where its secret is found is no part of it.
        match &oauth2.proves {
            Proves::Key(by) => format!("{:?}", (&by.kid, by.alg, &by.audience)),
            other => other.name().to_owned(),
        },
        options.allow_private,
        roots,
        shown,
    );
    hex::sha256(format!("{parts:?}").as_bytes())
}

impl Transport {
    /// A token: a kept one, or a new one when there is none, it is due for renewal, or it is `stale`. Where its endpoint is to be left alone, a
    /// failure with the cause [`Cause::RateLimit`]: nothing was sent for it.
    pub(super) async fn token(
        &self,
        oauth2: &OAuth2,
        options: &Options,
        stale: Option<&SecretValue>,
        redactor: &mut Redactor,
        observed: &mut Observed,
    ) -> Result<SecretValue, Failure> {
        let secret = match &oauth2.proves {
            Proves::Basic(secret) | Proves::Post(secret) => Some(reveal(secret, redactor).await?),
            Proves::Key(by) => Some(reveal(&by.key, redactor).await?),
            Proves::Certificate => None,
        };
        let secret = secret.as_ref();
        let endpoint = Endpoint::of(oauth2);
        let entry = self.tokens.entry(key(oauth2, secret, options));
        let answers = entry.answers.load(Ordering::SeqCst);
        let mut slot = match entry.slot.try_lock() {
            Ok(slot) => slot,
            Err(_) => {
                observed.step = Step::Processing;
                entry.slot.lock().await
            }
        };
        let answered = entry.answers.load(Ordering::SeqCst) != answers;
        let now = monotonic();
        let kept = slot.issued.as_ref().filter(|i| now < i.ends_at && stale.is_none_or(|s| *s != i.token));
        if let Some(issued) = kept.filter(|i| now < i.renew_at) {
            redactor.add(&issued.token);
            return Ok(issued.token.clone());
        }
        let old = kept.map(|i| i.token.clone());
        if let Some(stay) = self.away.stay(&endpoint, now) {
            old.iter().for_each(|token| redactor.add(token));
            return old.ok_or_else(|| left_alone(oauth2.token_url.url(), &stay, redactor));
        }
        if let (true, Some(failed)) = (answered, &slot.failed) {
            return Err(failed.clone());
        }
        if let (Some(issued), true) = (&mut slot.issued, old.is_some()) {
            // Noted before: also where this run is cut off while it waits, the next ones use what they have.
            let pause = issued.ends_at.saturating_duration_since(now) / 4;
            issued.renew_at = now + pause.clamp(*RENEWAL_PAUSE.start(), *RENEWAL_PAUSE.end());
        }
        let told = observed.heard.len();
        let fetched = Box::pin(self.fetch(oauth2, secret, &endpoint, options, redactor, observed)).await;
        entry.answers.fetch_add(1, Ordering::SeqCst);
        match (fetched, old) {
            (Ok(issued), _) => {
                let token = issued.token.clone();
                *slot = Slot { issued: Some(issued), failed: None };
                Ok(token)
            }
            // The old one still holds: what is tested is the API.
            (Err(_), Some(old)) => {
                redactor.add(&old);
                // Only the endpoint is to be left alone then, which is seen to here.
                observed.heard.iter_mut().skip(told).for_each(|h| h.stay_away = None);
                Ok(old)
            }
            (Err(failure), None) => {
                *slot = Slot { issued: None, failed: Some(failure.clone()) };
                Err(failure)
            }
        }
    }

    /// Asks a token endpoint as this client, whatever the answer; one that is to be left alone is not asked: a failure with the cause
    /// [`Cause::RateLimit`]. For those who look at the answer itself: nothing of it is kept.
    pub async fn ask_token_endpoint(
        &self,
        request: Request,
        client_id: &str,
        options: &Options,
        redactor: &Redactor,
        observed: &mut Observed,
    ) -> Result<Answer, Failure> {
        let endpoint = Endpoint::at(&crate::fields::host_port(&request.url), client_id);
        if let Some(stay) = self.away.stay(&endpoint, monotonic()) {
            return Err(left_alone(&request.url, &stay, redactor));
        }
        let options = Options { version: HttpVersion::Auto, redirects: 0, max_body: Some(MAX_ANSWER), ..options.clone() };
        Box::pin(self.exchange(&request, &options, Some(&endpoint), redactor, observed)).await
    }

    async fn fetch(
        &self,
        oauth2: &OAuth2,
        secret: Option<&SecretValue>,
        endpoint: &Endpoint,
        options: &Options,
        redactor: &mut Redactor,
        observed: &mut Observed,
    ) -> Result<Issued, Failure> {
        let request = request(oauth2, secret, redactor).await?;
        let url = shown(&request.url, redactor);
        let options = Options { version: HttpVersion::Auto, redirects: 0, max_body: Some(MAX_ANSWER), ..options.clone() };
        let answer = Box::pin(self.exchange(&request, &options, Some(endpoint), redactor, observed)).await.map_err(|mut f| {
            f.detail = bounded(format!("token endpoint {url}: {}", f.detail), 300);
            f
        })?;
        read(&answer, &url, redactor)
    }
}

/// The failure of a run that has no token and may not ask for one.
fn left_alone(url: &url::Url, stay: &Stay, redactor: &Redactor) -> Failure {
    let url = shown(url, redactor);
    let detail = match stay.told {
        true => format!("token endpoint {url} asked to be left alone until {}", stay.until),
        false => format!("token endpoint {url} throttled without saying for how long: it is left alone until {}", stay.until),
    };
    Failure { cause: Some(Cause::RateLimit), retry_after: Some(stay.left), ..Failure::new(Class::Throttled, redactor.clean(&detail)) }
}

/// How a client says who it is at a token endpoint.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// Id and secret in the header.
    Basic(&'a SecretValue),
    /// Id and secret in the body.
    Post(&'a SecretValue),
    /// A signed assertion in the body (RFC 7523).
    Assertion(&'a SecretValue),
    /// The certificate of the connection; the body names the client (RFC 8705).
    Certificate,
}

/// What is asked of a token endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where.
    pub url: &'a url::Url,
    /// By whom.
    pub client_id: &'a str,
    /// Scopes, separated by spaces.
    pub scope: Option<&'a str>,
    /// For whom.
    pub audience: Option<&'a str>,
}

impl Asked<'_> {
    /// The request for a token by client credentials (RFC 6749, 4.4).
    pub fn request(&self, proof: Proof<'_>, redactor: &mut Redactor) -> Result<Request, Failure> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        for (name, value) in [("scope", self.scope), ("audience", self.audience)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        match proof {
            Proof::Basic(secret) => {
                // RFC 6749, 2.3.1: both are form-encoded before they are joined.
                let coded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let value = basic(&coded(self.client_id), &SecretValue::new(coded(secret.expose())), redactor)?;
                headers.insert(AUTHORIZATION, value);
            }
            Proof::Post(secret) => {
                form.append_pair("client_id", self.client_id).append_pair("client_secret", secret.expose());
            }
            Proof::Assertion(jwt) => {
                form.append_pair("client_id", self.client_id);
                form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                form.append_pair("client_assertion", jwt.expose());
            }
            Proof::Certificate => {
                form.append_pair("client_id", self.client_id);
            }
        }
        Ok(Request {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            secret_query: Vec::new(),
            body: Bytes::from(form.finish()),
            secret_body: matches!(proof, Proof::Post(_) | Proof::Assertion(_)),
        })
    }
}

async fn request(oauth2: &OAuth2, secret: Option<&SecretValue>, redactor: &mut Redactor) -> Result<Request, Failure> {
    let (scope, audience) = (oauth2.scope.as_deref(), oauth2.audience.as_deref());
    let asked = Asked { url: oauth2.token_url.url(), client_id: &oauth2.client_id, scope, audience };
    let unread = || Failure::ours(Cause::Internal, "a secret that was not read");
    match &oauth2.proves {
        Proves::Basic(_) => asked.request(Proof::Basic(secret.ok_or_else(unread)?), redactor),
        Proves::Post(_) => asked.request(Proof::Post(secret.ok_or_else(unread)?), redactor),
        Proves::Key(by) => {
            let (signed, _) = by.assert(&oauth2.client_id, asked.url, Clock::default().now(), redactor).await?;
            asked.request(Proof::Assertion(&signed), redactor)
        }
        Proves::Certificate => asked.request(Proof::Certificate, redactor),
    }
}

fn read(answer: &Answer, url: &str, redactor: &mut Redactor) -> Result<Issued, Failure> {
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = |name: &str| json.as_ref().and_then(|j| j.get(name)).and_then(Value::as_str);
    let issues = text("access_token").is_some_and(|t| !t.is_empty());
    if !answer.status.is_success() || (answer.limits.throttled && !issues) {
        let error = text("error").unwrap_or_default();
        let (class, retry_after) = match (answer.status.as_u16(), error) {
            _ if answer.limits.throttled => status::refusal(answer.status, &answer.limits, answer.dialect),
            // RFC 6749, 5.2: refused credentials may come as 400.
            (400, "invalid_client" | "unauthorized_client" | "invalid_grant" | "access_denied") => (Class::Unauthorized, None),
            (300..=399, _) => (Class::Redirect, None),
            _ => status::refusal(answer.status, &answer.limits, answer.dialect),
        };
        let mut detail = format!("token endpoint {url} answered {}", answer.status.as_u16());
        if !error.is_empty() {
            detail.push_str(&format!(" ({})", bounded(redactor.clean(error), 60)));
        }
        if let Some(more) = text("error_description") {
            detail.push_str(&format!(": {more}"));
        }
        return Err(Failure { retry_after, ..Failure::new(class, redactor.clean(&detail)) });
    }
    let unusable = |why: &str| Failure::new(Class::Assertion, format!("token endpoint {url} answered {} {why}", answer.status.as_u16()));
    let token = text("access_token").filter(|t| !t.is_empty()).ok_or_else(|| unusable("without an access_token"))?;
    if token.len() > MAX_TOKEN || HeaderValue::from_str(token).is_err() {
        return Err(unusable("with an access_token that can't be sent in a header"));
    }
    if text("token_type").is_some_and(|t| !t.eq_ignore_ascii_case("bearer")) {
        return Err(unusable("with a token that is not a bearer token"));
    }
    // Some servers write the number as a text.
    let said = json.as_ref().and_then(|j| j.get("expires_in"));
    let seconds = said.and_then(|v| v.as_f64().or_else(|| v.as_str()?.trim().parse().ok())).filter(|s| s.is_finite() && *s >= 0.0);
    let life = seconds.map_or(UNSAID_LIFE, |s| Duration::from_secs_f64(s.min(LONGEST_LIFE.as_secs_f64())));
    let token = SecretValue::new(token);
    redactor.add(&token);
    let now = monotonic();
    Ok(Issued { token, renew_at: now + life * 4 / 5, ends_at: now + life })
}

#[cfg(test)]
mod tests;
