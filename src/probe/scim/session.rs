//! The requests of one run, each made over the transport in its turn, and its answer as an exchange the rules can judge.
//!
//! What says nothing about the server (it throttles, or is in trouble) ends the run here. Owns no rule.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::ScimCheck;
use crate::finding::Findings;
use crate::hex;
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Cause, Class};
use crate::probe::ProbeContext;
use crate::sso::scim::ask::{Answer, Ask, Token};
use crate::sso::scim::{Exchange, Known, judge};
use crate::transport::auth::{Auth, KeyPlace, reveal, sensitive};
use crate::transport::{self, HttpVersion, Options, Request, status};

const SCIM: HeaderValue = HeaderValue::from_static("application/scim+json");
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/scim+json, application/json;q=0.9");
/// One answer may have this many bytes unpacked.
const MOST_OF_ONE: u64 = 2 << 20;
/// The answers of a run may have this many together: all are held until they are judged.
const MOST_OF_ALL: u64 = 8 << 20;

/// A run's requests.
pub(super) struct Session<'a> {
    check: &'a ScimCheck,
    options: Options,
    /// The base URL, without a slash at its end.
    pub(super) base: String,
    /// What is known beforehand.
    pub(super) known: Known,
    /// Letters and digits nobody's name has, new for each run.
    pub(super) marker: String,
    asked: usize,
    bytes: u64,
}

impl<'a> Session<'a> {
    /// Reads what the run needs; asks nothing yet.
    pub(super) async fn open(check: &'a ScimCheck, context: &mut ProbeContext<'_>) -> Result<Self, Failure> {
        let roots = match &check.ca {
            Some(file) => Some(context.transport.roots(file).await.map_err(|why| Failure::ours(Cause::File, why))?),
            None => None,
        };
        let options = Options {
            allow_private: context.check.integration.allow_private,
            version: HttpVersion::Auto,
            // A redirect is an answer: clients that follow one drop the token.
            redirects: 0,
            max_body: Some(MOST_OF_ONE),
            roots,
            client: context.transport.own_certificate(check.own.as_ref(), context.now, context.redactor).await?,
            timeout: context.check.timeout,
            dialect: context.check.integration.dialect,
            host: check.host(),
            way: context.transport.way(context.check, context.redactor).await?,
        };
        let user_name = match &check.known {
            Some(known) => Some(reveal(known, context.redactor).await?.expose().trim().to_owned()),
            None => None,
        };
        let token_ends = check.token_ends.map(|end| (end, context.now));
        let known = Known { user_name, token_ends, idp: check.idp, ..Known::default() };
        let base = check.url.url().as_str().trim_end_matches('/').to_owned();
        Ok(Self { check, options, base, known, marker: marker()?, asked: 0, bytes: 0 })
    }

    /// Asks, in its turn. Fails where nothing can be said of the server by the answer.
    pub(super) async fn ask(&mut self, ask: &Ask, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<Exchange, Failure> {
        let (mut request, mut token) = (self.request(ask)?, None);
        let auth = self.check.auth.as_ref();
        match (ask.token, auth) {
            (Token::Own, Some(auth)) => {
                self.turn(context, observed).await?;
                let authorize = context.transport.authorize(auth, &mut request, &self.options, None, context.redactor, observed);
                token = Box::pin(authorize).await?;
            }
            (Token::Wrong, auth) => {
                self.turn(context, observed).await?;
                wrong(auth, &self.marker, &mut request)?;
            }
            _ => self.turn(context, observed).await?,
        }
        let mut answer = Box::pin(context.transport.exchange(&request, &self.options, None, context.redactor, observed)).await?;
        // A token can be revoked before its end: one new one, as every client takes.
        if let (Some(auth), Some(stale), StatusCode::UNAUTHORIZED) = (auth, &token, answer.status) {
            self.turn(context, observed).await?;
            let authorize = context.transport.authorize(auth, &mut request, &self.options, Some(stale), context.redactor, observed);
            Box::pin(authorize).await?;
            answer = Box::pin(context.transport.exchange(&request, &self.options, None, context.redactor, observed)).await?;
        }
        observed.step = Step::Judge;
        self.judged(ask, answer, observed)
    }

    async fn turn(&mut self, context: &ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        observed.step = Step::Prepare;
        self.asked += 1;
        context.turn(self.asked - 1).await
    }

    fn request(&self, ask: &Ask) -> Result<Request, Failure> {
        let ours = |what: &str| Failure::ours(Cause::Internal, format!("{}: {what}", ask.name));
        let url = Url::parse(&format!("{}{}", self.base, ask.target)).map_err(|_| ours("a URL that can't be asked"))?;
        let method = Method::from_bytes(ask.method.as_bytes()).map_err(|_| ours("a method that can't be sent"))?;
        let mut headers = HeaderMap::from_iter([(ACCEPT, ACCEPTED)]);
        let mut body = Bytes::new();
        if let Some(said) = &ask.body {
            headers.insert(CONTENT_TYPE, SCIM);
            body = Bytes::from(said.to_string());
        }
        Ok(Request { method, url, headers, secret_query: Vec::new(), body, secret_body: false })
    }

    /// The exchange; a failure where the answer says nothing about how the server keeps to the rules.
    fn judged(&mut self, ask: &Ask, answer: transport::Answer, observed: &mut Observed) -> Result<Exchange, Failure> {
        self.bytes += answer.body.len() as u64;
        observed.body_bytes = Some(self.bytes);
        if self.bytes > MOST_OF_ALL {
            return Err(Failure {
                answered: true,
                ..Failure::new(Class::Protocol, format!("the answers together are larger than {} MiB", MOST_OF_ALL >> 20))
            });
        }
        let code = answer.status;
        let (class, retry_after) = status::refusal(code, &answer.limits, answer.dialect);
        let failure = Failure { retry_after, answered: true, ..Failure::new(class, format!("{}: HTTP {}", ask.name, code.as_u16())) };
        // Without making the connection: identity providers keep theirs.
        let took = observed.hops.last().and_then(|h| Some(h.phases.processing? + h.phases.transfer.unwrap_or_default()));
        let headers = answer.headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
        let exchange = ask.answered(Answer { status: code.as_u16(), headers, body: answer.body, took }, &self.known);
        if class == Class::Throttled {
            if code == StatusCode::TOO_MANY_REQUESTS {
                observed.findings = Some(Findings::partial(judge(std::slice::from_ref(&exchange), &Known::default())));
            }
            return Err(failure);
        }
        let trouble = match code.as_u16() {
            408 | 502..=504 => true,
            501 => false,
            500..=599 => ask.is_plain(),
            _ => false,
        };
        if trouble { Err(failure) } else { Ok(exchange) }
    }
}

/// Credentials like ours that nobody can have.
fn wrong(auth: Option<&Auth>, marker: &str, request: &mut Request) -> Result<(), Failure> {
    let made_up = format!("soakwatch-wrong-{marker}");
    let what = "the made-up token";
    match auth {
        Some(Auth::Basic { .. }) => {
            let coded = STANDARD.encode(format!("soakwatch:{made_up}"));
            request.headers.insert(AUTHORIZATION, sensitive(&format!("Basic {coded}"), what)?);
        }
        Some(Auth::ApiKey { place: KeyPlace::Header(name), prefix, .. }) => {
            request.headers.insert(name, sensitive(&format!("{prefix}{made_up}"), what)?);
        }
        Some(Auth::ApiKey { place: KeyPlace::Query(name), prefix, .. }) => {
            request.secret_query.push((name.clone(), crate::secret::SecretValue::new(format!("{prefix}{made_up}"))));
        }
        Some(Auth::Bearer(_) | Auth::OAuth2(_) | Auth::Digest(_)) | None => {
            request.headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {made_up}"), what)?);
        }
    }
    Ok(())
}

/// Twelve letters and digits nobody has used.
fn marker() -> Result<String, Failure> {
    let mut bytes = [0u8; 6];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::ours(Cause::Internal, "the system gave no random bytes"))?;
    Ok(hex::encode(&bytes))
}
