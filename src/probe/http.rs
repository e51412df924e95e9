//! The http kind: one request to a customer's endpoint, and what its response must be.
//!
//! For REST APIs and everything else that answers over HTTP. What it sends and expects is in `[integration.check.http]` (`http/table.rs`); how it
//! is sent is `transport`'s; what is judged, and in which order, is `http/judge.rs`. Runs once: retries and deadlines are the scheduler's.
//!
//! ```toml
//! [integration.check.http]
//! url    = "https://api.example.com/v1/orders?limit=1"
//! auth   = { bearer = { env = "ACME_TOKEN" } }
//! expect = { status = [200], json = [{ path = "$.orders", is = "array" }], within = "2s" }
//! ```

use std::path::PathBuf;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::material::Material;
use super::{ProbeContext, RefusedLiteral, refused_address};
use crate::clock::UnixMs;
use crate::fields::{Bytes as Size, HttpUrl, Span, masked_query};
use crate::hex;
use crate::large::{self, LARGE};
use crate::observed::{Failure, Observed, Step, bounded};
use crate::outcome::Cause;
use crate::secret::{Redactor, SecretRef};
use crate::transport::auth::{Auth, Digest, KeyPlace, reveal, sensitive};
use crate::transport::{Answer, HttpVersion, Options, OwnCertificate, Request, read_roots_blocking};

mod body;
mod doubts;
mod expect;
mod fill;
mod given;
mod judge;
mod material;
mod pattern;
mod schema;
mod table;

pub use body::Body;
pub(super) use doubts::own_certificate_blocking;
pub use expect::{Expect, HeaderTest, JsonTest, JsonType, Observe, StatusRange};
pub(super) use expect::{path as read_path, read_status};
pub use given::Given;
use judge::OfBody;
pub(super) use material::authorized;
pub use pattern::{Path, Pattern};
use schema::Schema;
pub use table::MAX_BODY;
pub(super) use table::{never_shown, read_headers, read_url, shows_itself};

/// What a secret among `headers` is called.
const HEADER_SECRET: &str = "a header's secret";

/// An http check, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    /// `url`.
    pub url: HttpUrl,
    /// `method`; GET, or POST when there is a body.
    pub method: Method,
    /// `headers`.
    pub headers: Vec<(HeaderName, Given)>,
    /// `query`: added to the URL's own.
    pub query: Vec<(String, Given)>,
    /// `body`.
    pub body: Option<Box<Body>>,
    /// `auth`.
    pub auth: Option<Box<Auth>>,
    /// `ca`: a PEM file of roots trusted besides the shared ones, read at use.
    pub ca: Option<PathBuf>,
    /// `client`: what we show where we are asked who we are.
    pub own: Option<Box<OwnCertificate>>,
    /// `http_version`.
    pub version: HttpVersion,
    /// `redirects`: how many are followed.
    pub redirects: u8,
    /// `max_body`, instead of the settings'.
    pub max_body: Option<Size>,
    /// `expect`.
    pub expect: Expect,
    /// `observe`.
    pub observe: Vec<Observe>,
}

impl HttpCheck {
    /// `host:port`: the unit of concurrency.
    pub fn host(&self) -> String {
        self.url.host_port()
    }

    /// Who we are to them: the way of `auth` and where its secrets are to be found, hashed; `none` without any.
    pub fn credential(&self) -> String {
        match (&self.auth, self.secrets()) {
            (None, secrets) if secrets.is_empty() => "none".to_owned(),
            (auth, secrets) => hex::sha256(format!("{auth:?} {secrets:?}").as_bytes()).chars().take(16).collect(),
        }
    }

    /// Whether both use the same credential.
    pub fn shares_credential(&self, other: &Self) -> bool {
        self.auth == other.auth && self.secrets() == other.secrets()
    }

    /// The URL as it may be shown: of its query, and of what is added to it, only the names.
    pub fn url_shown(&self) -> String {
        let mut url = self.url.url().clone();
        for (name, _) in &self.query {
            url.query_pairs_mut().append_pair(name, "");
        }
        if let Some(Auth::ApiKey { place: KeyPlace::Query(name), .. }) = self.auth.as_deref() {
            url.query_pairs_mut().append_pair(name, "");
        }
        format!("{}{}", self.url.shown(), masked_query(&url))
    }

    /// Every secret it refers to.
    pub fn secrets(&self) -> Vec<SecretRef> {
        let given = self.headers.iter().map(|(_, g)| g).chain(self.query.iter().map(|(_, g)| g));
        let mut all: Vec<SecretRef> = given.filter_map(Given::secret).cloned().collect();
        all.extend(self.auth.iter().flat_map(|auth| auth.secrets()));
        all.extend(self.body.iter().flat_map(|body| body.secrets()));
        all.extend(self.own.iter().map(|own| own.key.clone()));
        all
    }

    /// The first of the URL and the token endpoint's that is written as an address the guard would refuse.
    pub fn refused_literal(&self, allow_private: bool) -> Option<RefusedLiteral> {
        let token = match self.auth.as_deref() {
            Some(Auth::OAuth2(o)) => Some(("auth.oauth2.token_url", &o.token_url)),
            _ => None,
        };
        [Some(("url", &self.url)), token].into_iter().flatten().find_map(|(key, url)| refused_address(key, url, allow_private))
    }

    /// Those of its secrets that go into a header as they are, each with what it is called where it can't be sent.
    pub fn header_secrets(&self) -> Vec<(SecretRef, &'static str)> {
        let given = self.headers.iter().filter_map(|(_, g)| g.secret()).map(|s| (s.clone(), HEADER_SECRET));
        given.chain(self.auth.as_deref().and_then(Auth::header_secret)).collect()
    }

    /// The longest time it allows itself in `expect`, and where that stands in its table.
    pub fn within(&self) -> Option<(&'static str, Span)> {
        self.expect.within.map(|w| ("expect.within", w))
    }

    /// The files it names that can't be used by that time: the key of each, and why. Reads them: blocking.
    pub fn unusable_files_blocking(&self, at: UnixMs) -> Vec<(&'static str, String)> {
        let roots =
            self.ca.as_deref().and_then(|f| Some(("ca", format!("{} can't be used: {}", f.display(), read_roots_blocking(f).err()?))));
        let own = self.own.as_ref().and_then(|own| own.unusable_blocking(at));
        let body = match self.body.as_deref() {
            Some(Body::File(file, _)) => body::read_file_blocking(&file.path).err().map(|why| ("body.file", why)),
            _ => None,
        };
        let schema = self.expect.schema.as_deref().and_then(|file| Schema::read_blocking(file).err().map(|why| ("expect.schema", why)));
        let key = self.auth.as_deref().and_then(Auth::unusable_key_blocking);
        roots.into_iter().chain(own).chain(body).chain(schema).chain(key).collect()
    }

    /// What of it is judged.
    pub fn material(&self) -> Material {
        material::of(self)
    }

    /// What must hold, in words, in the order in which it is judged.
    pub fn expectations(&self) -> Vec<String> {
        judge::in_words(self)
    }

    /// Runs once. What was seen stands in `observed`, also when the future is dropped at its deadline.
    pub async fn run(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        let ran = Box::pin(self.attempt(context, observed)).await;
        ran.map_err(|mut failure| {
            failure.detail = bounded(context.redactor.clean(&failure.detail), 300);
            failure
        })
    }

    // What is boxed here is done, or has not begun, while the run waits for its target: its place would be kept all the same.
    async fn attempt(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        observed.step = Step::Prepare;
        let transport = context.transport;
        let roots = match &self.ca {
            Some(file) => Some(Box::pin(transport.roots(file)).await.map_err(|why| Failure::ours(Cause::File, why))?),
            None => None,
        };
        let options = Options {
            allow_private: context.check.integration.allow_private,
            version: self.version,
            redirects: self.redirects,
            max_body: self.max_body.map(|b| b.0),
            roots,
            client: match self.own.as_deref() {
                Some(own) => Box::pin(transport.own_certificate(Some(own), context.now, context.redactor)).await?,
                None => None,
            },
            timeout: context.check.timeout,
            dialect: context.check.integration.dialect,
            host: self.host(),
            way: Box::pin(transport.way(context.check, context.redactor)).await?,
        };
        let schema = match &self.expect.schema {
            Some(file) => Some(Box::pin(Schema::read(file)).await.map_err(|why| Failure::ours(Cause::File, why))?),
            None => None,
        };
        let mut request = Box::pin(self.request(context.redactor)).await?;
        let mut token = None;
        if let Some(auth) = &self.auth {
            token = Box::pin(transport.authorize(auth, &mut request, &options, None, context.redactor, observed)).await?;
        }
        let mut answer = Box::new(Box::pin(transport.exchange(&request, &options, None, context.redactor, observed)).await?);
        if let Some(Auth::Digest(digest)) = self.auth.as_deref() {
            Box::pin(self.challenged(digest, &mut answer, request.clone(), &options, context, observed)).await?;
        }
        let redactor = &mut *context.redactor;
        // A token can be revoked before its end: one new one, one more try, inside the same attempt.
        if let (Some(auth), Some(stale), StatusCode::UNAUTHORIZED) = (&self.auth, &token, answer.status)
            && !self.expect.accepts(answer.status)
        {
            observed.step = Step::Prepare;
            Box::pin(transport.authorize(auth, &mut request, &options, Some(stale), redactor, observed)).await?;
            *answer = Box::pin(transport.exchange(&request, &options, None, redactor, observed)).await?;
        }
        observed.step = Step::Judge;
        let of_body = match self.expect.accepts(answer.status) {
            true => Some(self.judge_body(std::mem::take(&mut answer.body), schema, redactor, observed).await?),
            false => None,
        };
        judge::judge(self, &answer, of_body, redactor, observed)
    }

    /// What is said of the body: a large one is looked at beside the runs, and so is what a schema is to judge.
    async fn judge_body(
        &self,
        body: Vec<u8>,
        schema: Option<Schema>,
        redactor: &Redactor,
        observed: &mut Observed,
    ) -> Result<OfBody, Failure> {
        let noted = observed.noted;
        if schema.is_none() && body.len() < LARGE {
            return Ok(judge::judge_body((&self.expect, &self.observe), None, &body, noted, redactor));
        }
        let (expect, observe, redactor) = (self.expect.clone(), self.observe.clone(), redactor.clone());
        let judging = move || judge::judge_body((&expect, &observe), schema.as_ref(), &body, noted, &redactor);
        Box::pin(large::aside(observed, judging)).await
    }

    /// Answers the server's digest challenges, each request in its turn: once, and once more where the challenge was too old.
    async fn challenged(
        &self,
        digest: &Digest,
        answer: &mut Answer,
        mut request: Request,
        options: &Options,
        context: &mut ProbeContext<'_>,
        observed: &mut Observed,
    ) -> Result<(), Failure> {
        let remembered = request.headers.contains_key(AUTHORIZATION);
        let mut answered = u8::from(remembered);
        let mut asked = 1;
        while answer.status == StatusCode::UNAUTHORIZED {
            observed.step = Step::Prepare;
            let state = (answered, remembered);
            match context.transport.answer_challenge(digest, answer, &mut request, state, context.redactor).await {
                Ok(true) => {}
                // Where a 401 is what must come, it came.
                Err(_) if self.expect.accepts(answer.status) => break,
                Ok(false) => break,
                Err(failure) => return Err(failure),
            }
            context.turn(asked).await?;
            *answer = Box::pin(context.transport.exchange(&request, options, None, context.redactor, observed)).await?;
            (answered, asked) = (answered + 1, asked + 1);
        }
        Ok(())
    }

    /// The request without `auth`, with every other secret read.
    async fn request(&self, redactor: &mut Redactor) -> Result<Request, Failure> {
        let mut headers = HeaderMap::new();
        for (name, given) in &self.headers {
            let value = match given {
                Given::Text(text) => {
                    let mut value = HeaderValue::from_bytes(text.as_bytes())
                        .map_err(|_| Failure::ours(Cause::Internal, format!("header {name} can't be sent")))?;
                    value.set_sensitive(*name == AUTHORIZATION);
                    value
                }
                Given::Secret(secret) => sensitive(reveal(secret, redactor).await?.expose(), HEADER_SECRET)?,
            };
            headers.append(name, value);
        }
        let mut url = self.url.url().clone();
        let mut secret_query = Vec::new();
        for (name, given) in &self.query {
            match given {
                Given::Text(text) => {
                    url.query_pairs_mut().append_pair(name, text);
                }
                Given::Secret(secret) => secret_query.push((name.clone(), reveal(secret, redactor).await?)),
            }
        }
        let mut bytes = Bytes::new();
        let mut secret_body = false;
        if let Some(body) = &self.body {
            bytes = body.build(redactor).await?;
            secret_body = !body.secrets().is_empty();
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(body.content_type()));
        }
        Ok(Request { method: self.method.clone(), url, headers, secret_query, body: bytes, secret_body })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// On one thread: while every turn is taken, a large body waits, and other runs go on.
    #[tokio::test]
    async fn a_large_body_is_judged_beside_the_runs() {
        let json = JsonTest::Equals(Value::from("there"));
        let check = HttpCheck {
            url: "https://api.example.com/".parse().unwrap(),
            method: Method::GET,
            headers: Vec::new(),
            query: Vec::new(),
            body: None,
            auth: None,
            ca: None,
            own: None,
            version: HttpVersion::default(),
            redirects: 0,
            max_body: None,
            expect: Expect { json: vec![(Path::new("$.word").unwrap(), json)], ..Expect::default() },
            observe: Vec::new(),
        };
        let redactor = Redactor::default();
        let of = |length: usize| format!("{{\"word\": \"here\", \"more\": \"{}\"}}", "x".repeat(length)).into_bytes();
        let (mut first, mut second) = (Observed::default(), Observed::default());
        let turns = large::all_turns().await;
        let little = async {
            let said = check.judge_body(of(10), None, &redactor, &mut second).await.unwrap();
            drop(turns);
            said
        };
        let (much, little) = tokio::join!(check.judge_body(of(LARGE), None, &redactor, &mut first), little);
        assert_eq!(much.unwrap(), little, "the same is said of it");
        assert_eq!((first.waited.is_zero(), second.waited.is_zero()), (false, true));
    }
}
