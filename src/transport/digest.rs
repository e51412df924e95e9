//! Digest access authentication (RFC 7616): which challenge is answered, and how. The last challenge of each server is kept in memory, so that most
//! runs need one request; who asks, and in whose turn, is the caller's.
//!
//! Of several challenges the first that can be answered is taken; one for MD5 only where the check allows it and nothing better is offered.
//! `qop=auth`, or none at all (RFC 2069); `auth-int` is not spoken.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};

use super::Transport;
use super::auth::{Digest, reveal, sensitive};
use super::exchange::{Answer, Request, full_url, shown_host};
use crate::hex;
use crate::observed::{Failure, bounded};
use crate::outcome::{Cause, Class};
use crate::secret::{Redactor, SecretValue};

mod challenge;

pub(super) use challenge::{Algorithm, Challenge};
use challenge::{Qop, challenges};

/// So many servers' challenges are kept; any one goes when there are more.
const MOST: usize = 4096;

/// The challenges all runs share.
#[derive(Debug, Default)]
pub(super) struct Nonces(Mutex<HashMap<String, (Challenge, u32)>>);

impl Nonces {
    /// The challenge kept for this, with the count of its next use.
    fn next(&self, key: &str) -> Option<(Challenge, u32)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (challenge, used) = all.get_mut(key)?;
        *used = used.checked_add(1)?;
        Some((challenge.clone(), *used))
    }

    fn keep(&self, key: String, challenge: Challenge) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST
            && !all.contains_key(&key)
            && let Some(one) = all.keys().next().cloned()
        {
            all.remove(&one);
        }
        all.insert(key, (challenge, 0));
    }

    fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// For whom a challenge was meant: a server, and who we are there.
fn key(digest: &Digest, password: &SecretValue, request: &Request) -> String {
    let origin = request.url.origin().ascii_serialization();
    hex::sha256(format!("{:?}", (origin, &digest.username, password.expose(), digest.md5)).as_bytes())
}

impl Transport {
    /// Answers beforehand, by the challenge of an earlier run; without one the request goes out as it is.
    pub(super) async fn answer_beforehand(&self, digest: &Digest, request: &mut Request, redactor: &mut Redactor) -> Result<(), Failure> {
        let password = reveal(&digest.password, redactor).await?;
        if let Some((challenge, count)) = self.nonces.next(&key(digest, &password, request)) {
            answer(digest, &password, &challenge, count, request)?;
        }
        Ok(())
    }

    /// Puts the answer to a refusal onto the request. `false`: there is nothing to answer; what we said was looked at, and refused.
    /// A challenge that can't be answered is a failure that says why.
    pub async fn answer_challenge(
        &self,
        digest: &Digest,
        refused: &Answer,
        request: &mut Request,
        (answered, remembered): (u8, bool),
        redactor: &mut Redactor,
    ) -> Result<bool, Failure> {
        let password = reveal(&digest.password, redactor).await?;
        let key = key(digest, &password, request);
        self.nonces.forget(&key);
        let challenge = match chosen(&refused.headers, digest.md5) {
            Ok(challenge) => challenge,
            Err(why) => {
                let detail = format!("{} answered 401, and {why}", shown_host(&request.url));
                return Err(Failure::new(Class::Unauthorized, bounded(redactor.clean(&detail), 300)));
            }
        };
        // What was remembered may have been forgotten over there; what was just answered is wrong unless it came too late.
        if answered >= 2 || (answered == 1 && !remembered && !challenge.stale) {
            return Ok(false);
        }
        self.nonces.keep(key.clone(), challenge);
        let Some((challenge, count)) = self.nonces.next(&key) else { return Ok(false) };
        answer(digest, &password, &challenge, count, request)?;
        Ok(true)
    }
}

/// The challenge to answer, or why none can be.
fn chosen(headers: &HeaderMap, md5: bool) -> Result<Challenge, String> {
    let lines: Vec<&str> = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok()).collect();
    let offered = challenges(&lines.join(", "));
    if offered.is_empty() {
        return Err("offers no Digest (WWW-Authenticate)".to_owned());
    }
    let good: Vec<Challenge> = offered.into_iter().filter_map(|offer| offer.ok()).collect();
    let strong = good.iter().find(|c| c.algorithm != Algorithm::Md5);
    match strong.or(good.first().filter(|_| md5)) {
        Some(challenge) => Ok(challenge.clone()),
        None if !good.is_empty() => Err("offers Digest with MD5 only; expected SHA-256, or md5 = true in auth.digest".to_owned()),
        None => Err("offers Digest in no way that is spoken here; expected SHA-256, SHA-512-256 or MD5, with qop=auth".to_owned()),
    }
}

/// Writes the header.
fn answer(digest: &Digest, password: &SecretValue, challenge: &Challenge, count: u32, request: &mut Request) -> Result<(), Failure> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::ours(Cause::Internal, "there are no random numbers"))?;
    let cnonce = hex::encode(&bytes);
    let url = full_url(request);
    let target = url.query().map_or_else(|| url.path().to_owned(), |q| format!("{}?{q}", url.path()));
    let text = header(&digest.username, password, challenge, (count, &cnonce), (request.method.as_str(), &target));
    let value: HeaderValue = sensitive(&text, "the answer to a digest challenge")?;
    request.headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// The header's text.
fn header(
    username: &str,
    password: &SecretValue,
    challenge: &Challenge,
    (count, cnonce): (u32, &str),
    (method, target): (&str, &str),
) -> String {
    let Challenge { realm, nonce, opaque, algorithm, session, qop, userhash, named, stale: _ } = challenge;
    let hash = |text: &str| algorithm.hex(text.as_bytes());
    let mut ours = hash(&format!("{username}:{realm}:{}", password.expose()));
    if *session {
        ours = hash(&format!("{ours}:{nonce}:{cnonce}"));
    }
    let what = hash(&format!("{method}:{target}"));
    let response = match qop {
        Qop::Auth => hash(&format!("{ours}:{nonce}:{count:08x}:{cnonce}:auth:{what}")),
        Qop::Unsaid => hash(&format!("{ours}:{nonce}:{what}")),
    };
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = match (userhash, username.is_ascii()) {
        (true, _) => format!("Digest username=\"{}\"", hash(&format!("{username}:{realm}"))),
        (false, true) => format!("Digest username=\"{}\"", quoted(username)),
        (false, false) => {
            format!("Digest username*=UTF-8''{}", percent_encoding::utf8_percent_encode(username, percent_encoding::NON_ALPHANUMERIC))
        }
    };
    text.push_str(&format!(", realm=\"{}\", uri=\"{target}\"", quoted(realm)));
    if *named {
        text.push_str(&format!(", algorithm={}{}", algorithm.name(), if *session { "-sess" } else { "" }));
    }
    text.push_str(&format!(", nonce=\"{}\"", quoted(nonce)));
    if *qop == Qop::Auth {
        text.push_str(&format!(", nc={count:08x}, cnonce=\"{cnonce}\", qop=auth"));
    }
    text.push_str(&format!(", response=\"{response}\""));
    if let Some(opaque) = opaque {
        text.push_str(&format!(", opaque=\"{}\"", quoted(opaque)));
    }
    if *userhash {
        text.push_str(", userhash=true");
    }
    text
}

#[cfg(test)]
mod tests;
