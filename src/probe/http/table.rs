//! Reads `[integration.check.http]`: every key, every problem at once.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, Method};

use super::HttpCheck;
use super::body::Body;
use super::expect::{Expect, read_observe};
use super::given::{self, Given, secret_header, secret_name};
use crate::config::table::{Table, short};
use crate::fields::{Bytes, HttpUrl};
use crate::transport::auth::{Auth, KeyPlace, Proves};
use crate::transport::{HttpVersion, OwnCertificate};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// More would only show a loop later.
const MAX_REDIRECTS: u8 = 10;
const MIN_BODY: Bytes = Bytes(1 << 10);
/// The most one run may hold of a body.
pub const MAX_BODY: Bytes = Bytes(16 << 20);
const MAX_HEADERS: usize = 64;

impl HttpCheck {
    /// Reads the kind's table. `None` after a problem that leaves no check to speak of; other problems are reported and the rest is read.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let url = read_url(&mut t);
        let headers = read_headers(&mut t);
        let query = t.map("query").into_iter().filter_map(|(name, v)| given::read(&v, secret_name(&name)).map(|g| (name, g))).collect();
        let body = t.table("body").and_then(Body::read).map(Box::new);
        let method = read_method(&mut t, body.is_some());
        let auth = t.table("auth").and_then(Auth::read).map(Box::new);
        let mut ca = t.opt::<std::path::PathBuf>("ca").map(|p| t.source().dir.join(p));
        let mut own = t.table("client").and_then(OwnCertificate::read).map(Box::new);
        let version = t.word("http_version", &[("auto", HttpVersion::Auto), ("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)]);
        let redirects = t.between("redirects", 0, MAX_REDIRECTS);
        let max_body = t.between("max_body", MIN_BODY, MAX_BODY);
        let expect = t.table("expect").map(Expect::read).unwrap_or_default();
        let observe = read_observe(&mut t);
        together(&t, url.as_ref(), &headers, (auth.as_deref(), redirects), &expect);
        if t.has("ca") && never_tls(url.as_ref(), auth.as_deref(), redirects) {
            let what = "is never used: a plain http URL has no certificate to check";
            t.problem("ca", what, "expected a URL that starts with https://, or no ca");
            ca = None;
        }
        // After a redirect to another origin it is no longer shown.
        if t.has("client") && never_tls(url.as_ref(), auth.as_deref(), None) {
            never_shown(&t);
            own = None;
        }
        shows_itself(&t, auth.as_deref());
        t.finish();
        Some(Self {
            url: url?,
            method,
            headers,
            query,
            body,
            auth,
            ca,
            own,
            version: version.unwrap_or_default(),
            redirects: redirects.unwrap_or(0),
            max_body,
            expect,
            observe,
        })
    }
}

/// What is right alone and wrong together.
fn together(
    t: &Table<'_>,
    url: Option<&HttpUrl>,
    headers: &[(HeaderName, Given)],
    (auth, redirects): (Option<&Auth>, Option<u8>),
    expect: &Expect,
) {
    let own = match auth {
        Some(Auth::ApiKey { place: KeyPlace::Header(name), .. }) => Some(name.clone()),
        Some(Auth::ApiKey { .. }) | None => None,
        Some(_) => Some(AUTHORIZATION),
    };
    if let Some(name) = own.filter(|own| headers.iter().any(|(n, _)| n == own)) {
        t.problem("headers", format!("sets {name}, and so does auth"), "expected one of them");
    }
    if matches!(auth, Some(Auth::Digest(_))) && redirects.unwrap_or(0) > 0 {
        let what = "are followed, but a digest answers for one address";
        t.problem("redirects", what, "expected the final URL in url, and no redirects");
    }
    if expect.certificate_days.is_some() && url.is_some_and(|u| u.url().scheme() == "http") {
        let what = "asks for certificate_days, but a plain http URL has no certificate";
        t.problem("expect", what, "expected a URL that starts with https://, or no certificate_days");
    }
    if let Some(min) = expect.size_min
        && min > MAX_BODY
    {
        t.problem("expect", format!("asks for a body of at least {min}"), format!("bodies are read up to max_body, at most {MAX_BODY}"));
    }
}

/// Reports a client that has no certificate to say who it is by.
pub(in crate::probe) fn shows_itself(t: &Table<'_>, auth: Option<&Auth>) {
    if let Some(Auth::OAuth2(o)) = auth
        && matches!(o.proves, Proves::Certificate)
        && t.lacks("client")
    {
        let what = "says who the client is by its certificate, and there is none";
        t.problem("auth", what, "expected client = { certificate = \"...\", key = { ... } } beside auth");
    }
}

/// Reports a certificate that nobody will ask for.
pub(in crate::probe) fn never_shown(t: &Table<'_>) {
    t.problem("client", "is never shown: plain http has no certificates", "expected a URL that starts with https://, or no client");
}

/// Whether no request of the check can meet a certificate: not its own, not its token's, and none it is redirected to.
fn never_tls(url: Option<&HttpUrl>, auth: Option<&Auth>, redirects: Option<u8>) -> bool {
    let plain = |u: &HttpUrl| u.url().scheme() == "http";
    let token = match auth {
        Some(Auth::OAuth2(o)) => plain(&o.token_url),
        _ => true,
    };
    url.is_some_and(plain) && token && redirects.unwrap_or(0) == 0
}

/// Reads `url`: one that can be sent, without a secret in its query.
pub(in crate::probe) fn read_url(t: &mut Table<'_>) -> Option<HttpUrl> {
    let url = t.req::<HttpUrl>("url")?;
    if url.url().as_str().parse::<http::Uri>().is_err() {
        t.problem("url", "holds characters that can't be sent", "expected them percent-encoded");
        return None;
    }
    if let Some((name, _)) = url.url().query_pairs().find(|(name, value)| secret_name(name) && !value.is_empty()) {
        let expected = format!("expected the parameter in `query`, {name} = {{ env = \"NAME\" }}, or in `auth`");
        t.problem("url", format!("its parameter {name} holds what looks like a secret, written out"), expected);
    }
    Some(url)
}

fn read_method(t: &mut Table<'_>, has_body: bool) -> Method {
    match t.word("method", &METHODS.map(|m| (m, m))) {
        None if has_body => Method::POST,
        None => Method::GET,
        Some(word) => {
            if has_body && matches!(word, "GET" | "HEAD") {
                t.warn("method", format!("many servers pass over the body of a {word}"), "expected POST, PUT or PATCH");
            }
            Method::from_bytes(word.as_bytes()).unwrap_or_default()
        }
    }
}

/// Reads `headers`.
pub(in crate::probe) fn read_headers(t: &mut Table<'_>) -> Vec<(HeaderName, Given)> {
    let mut all = Vec::new();
    for (name, value) in t.map("headers") {
        let report = |what: String, expected: &str| value.source.report(value.at.clone(), &value.path, what, expected, false);
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            report(format!("\"{}\" is not a header's name", short(&name)), "expected a name such as \"Accept\"");
            continue;
        };
        if [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, TE, TRAILER, UPGRADE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION]
            .contains(&header)
            || matches!(header.as_str(), "keep-alive" | "proxy-connection" | "expect" | "http2-settings")
        {
            report(format!("{header} can't be set: soakwatch sets it itself, from the URL and the body"), "expected other headers");
            continue;
        }
        let Some(given) = given::read(&value, secret_header(&name)) else { continue };
        if let Given::Text(text) = &given
            && HeaderValue::from_str(text).is_err()
        {
            report("holds a character that can't be sent in a header".into(), "expected a text of printable ASCII");
            continue;
        }
        all.push((header, given));
    }
    if all.len() > MAX_HEADERS {
        t.problem("headers", format!("has {} headers", all.len()), format!("expected at most {MAX_HEADERS}"));
    }
    all
}
