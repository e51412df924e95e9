//! What a server says in `WWW-Authenticate`: its digest challenges, read with the patience such headers need. Pure; what can't be answered is told apart
//! from what is no digest at all.

use aws_lc_rs::digest::{SHA512_256, digest};

use crate::hex;

/// No header is read further than this.
const MOST_BYTES: usize = 8192;
/// Nor are more parameters.
const MOST_PARAMETERS: usize = 64;

/// A hash by which a challenge may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum Algorithm {
    Md5,
    Sha256,
    Sha512_256,
}

impl Algorithm {
    /// Its name in headers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// The hash, in hex.
    pub(super) fn hex(self, text: &[u8]) -> String {
        match self {
            Self::Md5 => hex::encode(&*md5::compute(text)),
            Self::Sha256 => hex::sha256(text),
            Self::Sha512_256 => hex::encode(digest(&SHA512_256, text).as_ref()),
        }
    }
}

/// What is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qop {
    /// The request's line.
    Auth,
    /// The same, in the way of RFC 2069.
    Unsaid,
}

/// One challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transport) struct Challenge {
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) opaque: Option<String>,
    pub(super) algorithm: Algorithm,
    /// `-sess`.
    pub(super) session: bool,
    pub(super) qop: Qop,
    pub(super) userhash: bool,
    /// Whether `algorithm` was written.
    pub(super) named: bool,
    /// Our nonce was too old; who we are was not looked at.
    pub(super) stale: bool,
}

/// The digest challenges in a header, in order; `Err`: one that can't be answered.
pub(super) fn challenges(text: &str) -> Vec<Result<Challenge, ()>> {
    let mut all: Vec<(String, Vec<(String, String)>)> = Vec::new();
    // A header is ASCII; of one that is not, nothing is taken.
    for item in items(text.get(..text.len().min(MOST_BYTES)).unwrap_or_default()).take(MOST_PARAMETERS) {
        // `Digest realm="x"` begins a challenge, `nonce="y"` goes on with it, `Negotiate` alone is one without parameters.
        let (before, value) = item.split_once('=').map_or((item, None), |(name, value)| (name.trim(), Some(value.trim())));
        let (scheme, name) = match before.split_once(char::is_whitespace) {
            Some((scheme, name)) => (Some(scheme), name.trim()),
            None if value.is_none() => (Some(before), ""),
            None => (None, before),
        };
        if let Some(scheme) = scheme {
            all.push((scheme.to_ascii_lowercase(), Vec::new()));
        }
        if let (Some((_, parameters)), Some(value)) = (all.last_mut(), value) {
            parameters.push((name.to_ascii_lowercase(), unquoted(value)));
        }
    }
    all.iter().filter(|(scheme, _)| scheme == "digest").map(|(_, parameters)| one(parameters).ok_or(())).collect()
}

fn one(parameters: &[(String, String)]) -> Option<Challenge> {
    let said = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let is = |name: &str| said(name).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let named = said("algorithm");
    let name = named.clone().unwrap_or_else(|| "MD5".into()).to_ascii_uppercase();
    let (plain, session) = name.strip_suffix("-SESS").map_or((name.as_str(), false), |plain| (plain, true));
    let algorithm = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256].into_iter().find(|a| a.name() == plain)?;
    let qop = match said("qop") {
        None => Qop::Unsaid,
        Some(words) if words.split(',').any(|w| w.trim().eq_ignore_ascii_case("auth")) => Qop::Auth,
        Some(_) => return None,
    };
    Some(Challenge {
        realm: said("realm")?,
        nonce: said("nonce")?,
        opaque: said("opaque"),
        algorithm,
        session,
        qop,
        userhash: is("userhash"),
        named: named.is_some(),
        stale: is("stale"),
    })
}

/// What stands between commas outside of quotes.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let split = text.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return true,
            _ => {}
        }
        false
    });
    split.map(str::trim).filter(|item| !item.is_empty())
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').map(|v| v.strip_suffix('"').unwrap_or(v)) else { return value.to_owned() };
    let (mut text, mut escaped) = (String::with_capacity(inner.len()), false);
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
            continue;
        }
        escaped = false;
        text.push(c);
    }
    text
}
