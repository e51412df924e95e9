//! One exchange: a request, the redirects it may follow, and the answer at the end, read whole within its caps.
//!
//! Credentials go to the origin they were meant for and nowhere else: after a redirect to another origin they are gone for the rest of the chain.
//! A connection that is accepted and then closed or reset before the response is complete is `protocol`, in the handshake `tls`: `connect` is
//! kept for connections that never came to be.

use std::collections::HashSet;
use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use hyper::body::Incoming;
use url::Url;

use super::away::Endpoint;
use super::connect::{Sent, hop, is_ours};
use super::kept::{Link, Live, MAX_HEADERS, Place};
use super::listen::Listener;
use super::{Options, Transport, body};
use crate::clock::monotonic;
use crate::fields::masked_query;
use crate::observed::{Failure, Hop, Observed, Step, bounded};
use crate::outcome::{Cause, Class};
use crate::ratelimit::{Dialect, RateLimit};
use crate::run_id::TraceParent;
use crate::secret::{REDACTED, Redactor, SecretValue};

/// A `Location` may have this many bytes.
const MAX_LOCATION: usize = 8192;

/// What to send. Has no Debug: headers, query and body may hold secrets.
#[derive(Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// URL, without the secret parts of its query.
    pub url: Url,
    /// Headers; values that are secret are marked sensitive, and go to the first origin only.
    pub headers: HeaderMap,
    /// Query parameters that are secret; go to the first origin only.
    pub secret_query: Vec<(String, SecretValue)>,
    /// Body.
    pub body: Bytes,
    /// Whether the body holds a secret: then it goes to the first origin only.
    pub secret_body: bool,
}

/// What came back at the end of the chain.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, unpacked, at most `max_body` bytes.
    pub body: Vec<u8>,
    /// From the first look-up to the body's end, all hops of this exchange.
    pub took: Duration,
    /// What it says of rate limits.
    pub limits: RateLimit,
    /// The dialect it was read in.
    pub dialect: Dialect,
}

impl Transport {
    /// Makes the exchange. Every hop is written into `observed` while it goes on; `token`: the token endpoint it asks.
    pub async fn exchange(
        &self,
        request: &Request,
        options: &Options,
        token: Option<&Endpoint>,
        redactor: &Redactor,
        observed: &mut Observed,
    ) -> Result<Answer, Failure> {
        let mut started = monotonic();
        let mut visited = HashSet::new();
        let mut followed = 0u8;
        let own_encoding = request.headers.contains_key(ACCEPT_ENCODING);
        let first = request.url.origin();
        // What a redirect made of the request.
        let mut turned: Option<Box<Request>> = None;
        loop {
            let request = turned.as_deref().unwrap_or(request);
            let url = full_url(request);
            // Most requests make one.
            observed.hops.reserve_exact(1);
            observed.hops.push(Hop {
                token: token.is_some(),
                method: request.method.to_string(),
                url: shown(&url, redactor),
                ..Hop::default()
            });
            let sent = if followed == 0 { Sent::ByUs } else { Sent::ByTarget };
            let client = options.client.as_ref().filter(|_| url.origin() == first);
            let host = shown_host(&url);
            let place = Place::of(&url, options).filter(|_| followed == 0 && token.is_none());
            // As it is before a connection is used again, for when that one turns out to have ended.
            let mut fresh = place.as_ref().map(|_| Box::new(hop(observed).clone()));
            let mut kept = place.as_ref().and_then(|place| self.kept.take(place, hop(observed)));
            let (response, mut live) = loop {
                let reused = kept.is_some();
                let link = match kept.take() {
                    Some(live) => Link::Kept(live),
                    None => {
                        let (stream, h2) = Box::pin(self.open(&url, options, (sent, client), redactor, observed)).await?;
                        Link::Opened { stream, h2, at: monotonic() }
                    }
                };
                let patience = (reused && request.method.is_idempotent()).then_some(options.timeout / SHARE_OF_A_KEPT_ONE);
                match (heard(patience, Box::pin(self.converse(link, request, &url, &host, observed))).await, fresh.take()) {
                    (Ok(answered), _) => break answered,
                    // It ended while nobody looked, or was forgotten on the way: that is no answer, and a request that may be repeated is.
                    (Err(unanswered), Some(new)) if patience.is_some() && unanswered.gone => {
                        (*hop(observed), started) = (*new, monotonic());
                    }
                    (Err(unanswered), _) => return Err(unanswered.failure),
                }
            };
            let (parts, incoming) = response.into_parts();
            hop(observed).status = Some(parts.status.as_u16());
            if token.is_none() {
                observed.status = Some(parts.status.as_u16());
            }
            let mut listener = Listener::new(self, options, redactor, token, &url);
            listener.hear(parts.status, &parts.headers, &[], observed);
            if let Some(next) = location(parts.status, &parts.headers, &url, options, redactor, observed)? {
                if followed == options.redirects {
                    return Err(Failure::new(
                        Class::Redirect,
                        format!("more than {} redirects (the last one from {})", options.redirects, shown(&url, redactor)),
                    ));
                }
                drop((incoming, live));
                followed += 1;
                visited.insert((request.method.clone(), url.clone()));
                let mut to = Box::new(request.clone());
                turn(&mut to, parts.status, &url, next, redactor)?;
                if visited.contains(&(to.method.clone(), full_url(&to))) {
                    return Err(Failure::new(Class::Redirect, format!("a redirect loop: sent back to {}", shown(&to.url, redactor))));
                }
                turned = Some(to);
                continue;
            }
            observed.step = Step::Transfer;
            let first_byte = monotonic();
            let max = options.max_body.unwrap_or(self.limits.max_body);
            let read = live.until(Box::pin(body::read(incoming, &parts.headers, max, own_encoding, &host, observed))).await;
            hop(observed).phases.transfer = Some(first_byte.elapsed());
            // One that answers as slowly could not be told from one that is dead.
            let prompt = hop(observed).phases.processing.is_some_and(|took| took <= options.timeout / (2 * SHARE_OF_A_KEPT_ONE));
            match place.filter(|_| read.is_ok() && prompt) {
                Some(place) => self.kept.put(place, live, hop(observed)).await,
                None => drop(live),
            }
            // Where the body can't be read, the headers still speak.
            let (limits, dialect) = listener.hear(parts.status, &parts.headers, read.as_deref().unwrap_or_default(), observed);
            return Ok(Answer { status: parts.status, body: read?, took: started.elapsed(), limits, dialect, headers: parts.headers });
        }
    }

    /// Sends the request and waits for the response's head.
    async fn converse(
        &self,
        link: Link,
        request: &Request,
        url: &Url,
        host: &str,
        observed: &mut Observed,
    ) -> Result<(http::Response<Incoming>, Live), Unanswered> {
        observed.step = Step::Processing;
        let head = self.head(request, url, link.is_h2(), observed.trace.filter(|_| self.limits.traceparent))?;
        let started = monotonic();
        let answered = link.ask(head, &self.limits).await;
        let hop = hop(observed);
        hop.phases.processing = Some(started.elapsed());
        let (response, live) =
            answered.map_err(|e| Unanswered { failure: wire(host, &e, "the response"), gone: !e.is_parse() && !e.is_user() })?;
        hop.version = Some(version_text(response.version()).to_owned());
        // HTTP/2 has no cap on the number of headers of its own.
        if response.headers().len() > MAX_HEADERS {
            return Err(Failure::new(Class::Protocol, format!("{host}: the response has more than {MAX_HEADERS} headers")).into());
        }
        Ok((response, live))
    }

    fn head(&self, request: &Request, url: &Url, h2: bool, trace: Option<TraceParent>) -> Result<http::Request<Bytes>, Failure> {
        let unsendable = |_| Failure::new(Class::Redirect, "a URL that can't be sent");
        let mut target: http::Uri = url.as_str().parse().map_err(unsendable)?;
        let mut headers = request.headers.clone();
        if !h2 {
            let authority = target.authority().map(|a| a.as_str().to_owned()).unwrap_or_default();
            headers
                .insert(HOST, HeaderValue::from_str(&authority).map_err(|_| Failure::new(Class::Redirect, "a host that can't be sent"))?);
            let path = target.path_and_query().map_or("/", |p| p.as_str()).to_owned();
            target = path.parse().map_err(unsendable)?;
        }
        headers.entry(USER_AGENT).or_insert_with(|| self.limits.user_agent.clone());
        // What the check itself sends in this header stays.
        if let Some(trace) = trace.and_then(|t| HeaderValue::from_str(&t.to_string()).ok()) {
            headers.entry("traceparent").or_insert(trace);
        }
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(body::ACCEPTED));
        let mut head = http::Request::new(request.body.clone());
        *head.method_mut() = request.method.clone();
        *head.uri_mut() = target;
        *head.version_mut() = if h2 { Version::HTTP_2 } else { Version::HTTP_11 };
        *head.headers_mut() = headers;
        Ok(head)
    }
}

/// A connection that was kept is waited for so long a share of the run's time: where something on the way forgot it, nobody answers and nobody says so.
const SHARE_OF_A_KEPT_ONE: u32 = 2;

/// Waits for an answer, at most as long as there is patience; what is silent by then counts as gone.
async fn heard<T>(patience: Option<Duration>, asked: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
    let Some(patience) = patience else { return asked.await };
    let silent = || Unanswered { failure: Failure::new(Class::Timeout, "the connection that was kept is silent"), gone: true };
    tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| Err(silent()))
}

/// No response came.
struct Unanswered {
    failure: Failure,
    /// The connection broke, and nothing was said.
    gone: bool,
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self { failure, gone: false }
    }
}

fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

pub(super) fn full_url(request: &Request) -> Url {
    let mut url = request.url.clone();
    for (name, value) in &request.secret_query {
        // A redirect on the same origin may carry the parameter already.
        if !url.query_pairs().any(|(n, _)| n == name.as_str()) {
            url.query_pairs_mut().append_pair(name, value.expose());
        }
    }
    url
}

/// A URL as it may be shown: without user, fragment and the values of its query, without secrets, at most 300 characters.
pub(super) fn shown(url: &Url, redactor: &Redactor) -> String {
    let mut url = url.clone();
    // Both only fail for URLs without a host, which we have none of.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let query = masked_query(&url);
    if redactor.is_empty() {
        url.set_query(None);
        url.set_fragment(None);
        return bounded(format!("{url}{query}"), 300);
    }
    // A secret may stand across path and query, or with some characters encoded and others not: the whole is decoded and looked at first.
    let decoded = percent_encoding::percent_decode_str(url.as_str()).decode_utf8_lossy().into_owned();
    let clean = redactor.clean(&decoded);
    let had_query = url.query().is_some();
    url.set_query(None);
    url.set_fragment(None);
    let text = if clean == decoded {
        redactor.clean(&format!("{url}{query}"))
    } else {
        let path = clean.find(['?', '#']).map_or(clean.as_str(), |end| &clean[..end]);
        format!("{}{}", redactor.clean(path), if had_query { "?…" } else { "" })
    };
    if redactor.holds(&text) {
        // Encoded more than once: it can't be cut out, so nothing of the path is shown.
        url.set_path("");
        return bounded(format!("{}{REDACTED}", redactor.clean(url.as_str())), 300);
    }
    bounded(text, 300)
}

pub(super) fn shown_host(url: &Url) -> String {
    bounded(crate::fields::shown_host(url), 100)
}

/// Where to go next, if this is a redirect and redirects are followed. Where it points to is written down in any case.
fn location(
    status: StatusCode,
    headers: &HeaderMap,
    from: &Url,
    options: &Options,
    redactor: &Redactor,
    observed: &mut Observed,
) -> Result<Option<Url>, Failure> {
    let (301 | 302 | 303 | 307 | 308, Some(value)) = (status.as_u16(), headers.get(LOCATION)) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(|t| t.len() <= MAX_LOCATION);
    let next = text.and_then(|t| from.join(t).ok());
    hop(observed).location = next.as_ref().map(|url| shown(url, redactor));
    match next {
        _ if options.redirects == 0 => Ok(None),
        None => Err(Failure::new(Class::Redirect, "a redirect to something that is no URL")),
        next => Ok(next),
    }
}

/// Makes the request the one the redirect asks for (RFC 9110, 15.4), or says why we don't.
fn turn(request: &mut Request, status: StatusCode, from: &Url, mut to: Url, redactor: &Redactor) -> Result<(), Failure> {
    let refuse = |why: &str| Err(Failure::new(Class::Redirect, format!("{why}: {}", shown(&to, redactor))));
    match (from.scheme(), to.scheme()) {
        ("https", "http") => return refuse("redirected from https to plain http"),
        (_, "http" | "https") if to.host().is_some() => {}
        _ => return refuse("redirected to something other than http"),
    }
    let (same_origin, keeps) = (from.origin() == to.origin(), matches!(status.as_u16(), 307 | 308));
    // The server copied what we sent it, as those do that send people to a login page and back.
    if !same_origin && redactor.holds(to.as_str()) {
        return refuse("the redirect would carry a secret to another host or port, so it is not followed");
    }
    let becomes_get = status == StatusCode::SEE_OTHER && request.method != Method::HEAD;
    if becomes_get || (!keeps && request.method == Method::POST) {
        request.method = Method::GET;
        request.body = Bytes::new();
        request.secret_body = false;
        for name in [CONTENT_TYPE, CONTENT_LENGTH] {
            request.headers.remove(name);
        }
    }
    if !same_origin && request.secret_body {
        return refuse("redirected with credentials in the body to another origin, which they were not meant for");
    }
    if !same_origin {
        request.secret_query.clear();
        let secret: Vec<_> = request.headers.iter().filter(|(_, v)| v.is_sensitive()).map(|(n, _)| n.clone()).collect();
        for name in secret.into_iter().chain([AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE]) {
            request.headers.remove(name);
        }
    }
    to.set_fragment(None);
    // A Location may name a user; we send no credentials we were not given.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    request.url = to;
    Ok(())
}

/// What went wrong on the wire after the connection stood.
pub(super) fn wire(host: &str, error: &hyper::Error, what: &str) -> Failure {
    if error.is_parse_too_large() {
        return Failure::new(
            Class::Protocol,
            format!("{host}: the response's headers are too large or too many (at most {MAX_HEADERS}; max_headers)"),
        );
    }
    if error.is_parse() {
        return Failure::new(Class::Protocol, format!("{host}: what the server sent is not HTTP ({error})"));
    }
    if error.is_incomplete_message() {
        return Failure::new(Class::Protocol, format!("{host}: the connection was closed before {what} was complete"));
    }
    if error.is_user() {
        return Failure::ours(Cause::Internal, format!("{host}: the request could not be made ({error})"));
    }
    let mut source = error.source();
    while let Some(e) = source {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                // After the handshake there are only alerts: nothing a stranger worded.
                let (class, words) = super::tls::refusal(host, tls);
                return Failure::new(class, words);
            }
            if is_ours(io) {
                return Failure::ours(Cause::Capacity, format!("{host}: this machine is out of means: {io}"));
            }
            return match io.kind() {
                io::ErrorKind::TimedOut => {
                    Failure::new(Class::Timeout, format!("{host}: the connection went dead while waiting for {what}"))
                }
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                    Failure::new(Class::Protocol, format!("{host}: the connection was reset before {what} was complete"))
                }
                _ => Failure::new(Class::Protocol, format!("{host}: the connection broke before {what} was complete ({io})")),
            };
        }
        source = e.source();
    }
    Failure::new(Class::Protocol, format!("{host}: {what} can't be read ({})", chain(error)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text = format!("{text}: {e}");
        source = e.source();
    }
    bounded(text, 200)
}
