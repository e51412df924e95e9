//! Signs a message as a sender of the scheme would. Sends nothing.

use std::borrow::Cow;

use super::coding::Encoding;
use super::form;
use super::key::{Key, sha256};
use super::message::{Headers, Request};
use super::recipe::{Carrier, Piece, Recipe, StampAt};
use super::scheme::{IdAt, Proof, Scheme};
use super::signed::{Part, texts};
use super::stamp::Unit;
use super::twilio::BODY_HASH;
use super::{MAX_BODY, MAX_HEADER};
use crate::clock::UnixMs;
use crate::secret::SecretValue;

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its id, the same for every attempt.
    pub id: &'a str,
    /// The method, in capitals.
    pub method: &'a str,
    /// The whole address.
    pub url: &'a str,
    /// What the body is.
    pub content_type: Option<&'a str>,
    /// The body, byte for byte as it will be sent.
    pub body: &'a [u8],
}

/// A signed message: its address, and the headers to add to it. They are as good as a secret until they are stale.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// The address; another one than given where the scheme puts something into it.
    pub url: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
}

/// Names of the headers only.
impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.headers.iter().map(|(n, _)| n)).finish()
    }
}

/// Signs with one secret, or with several where the scheme's header holds a list (rotation). An error says what was expected, and never a secret.
pub fn sign(scheme: &Scheme, secrets: &[SecretValue], message: &Outgoing<'_>, now: UnixMs) -> Result<Signed, String> {
    if message.body.len() > MAX_BODY {
        return Err(format!("the body has {} bytes: expected at most {MAX_BODY}", message.body.len()));
    }
    let first = secrets.first().ok_or("expected a secret")?;
    let visible = |what: &str, text: &str| {
        let fits = (1..=MAX_HEADER).contains(&text.len()) && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if fits { Ok(()) } else { Err(format!("{what} can't stand in a header: expected printable ASCII")) }
    };
    match &scheme.proof {
        Proof::Signature(recipe) => {
            visible("the id", message.id)?;
            signature(scheme, recipe, secrets, message, now)
        }
        Proof::Header(name) => {
            visible("the secret", first.expose())?;
            Ok(Signed { url: message.url.to_owned(), headers: vec![((*name).to_owned(), first.expose().to_owned())] })
        }
        Proof::Bearer => {
            visible("the secret", first.expose())?;
            Ok(Signed { url: message.url.to_owned(), headers: vec![("authorization".into(), format!("Bearer {}", first.expose()))] })
        }
        Proof::ClientState => {
            Err("messages of ms-graph are not signed: the secret stands in their body, as the clientState of every item".into())
        }
        Proof::Nothing => Err("messages of salesforce are not signed: they are told by a client certificate".into()),
    }
}

fn signature(scheme: &Scheme, recipe: &Recipe, secrets: &[SecretValue], message: &Outgoing<'_>, now: UnixMs) -> Result<Signed, String> {
    let url = if recipe.signs(&Piece::TwilioUrl) { with_body_hash(message) } else { Cow::Borrowed(message.url) };
    let mut headers = Vec::new();
    if let IdAt::Header(name) = &scheme.id {
        headers.push((name.to_string(), message.id.to_owned()));
    }
    let stamp = match &recipe.stamp {
        StampAt::Nowhere => String::new(),
        StampAt::InSignature => Unit::Seconds.write(now),
        StampAt::Header(name, unit) => {
            let text = unit.write(now);
            headers.push((name.to_string(), text.clone()));
            text
        }
    };
    let kind: Headers = message.content_type.map(|t| ("content-type", t)).into_iter().collect();
    let request = Request { method: message.method, url: &url, headers: &kind, body: message.body };
    let text = texts(recipe, &request, message.id.as_bytes(), stamp.as_bytes()).into_iter().next().ok_or("nothing can bind this body")?;
    let is_list = !matches!(recipe.carrier, Carrier::Prefixed(_));
    let members: Vec<String> =
        secrets.iter().take(if is_list { usize::MAX } else { 1 }).map(|secret| member(recipe, secret, &text)).collect::<Result<_, _>>()?;
    let value = match &recipe.carrier {
        Carrier::Prefixed(prefix) => format!("{prefix}{}", members.concat()),
        Carrier::Versions => members.join(" "),
        Carrier::Pairs => members.join(","),
        Carrier::Stamped => format!("t={stamp},{}", members.join(",")),
    };
    headers.push((recipe.signature.to_string(), value));
    Ok(Signed { url: url.into_owned(), headers })
}

/// One signature, with its version.
fn member(recipe: &Recipe, secret: &SecretValue, text: &[Part<'_>]) -> Result<String, String> {
    let key = Key::read(recipe.key, secret)?;
    let (version, bytes) = match &key {
        Key::Shared(_) => ("v1", key.tag(recipe.digest, text.iter().map(Part::bytes)).unwrap_or_default()),
        Key::Private(pair) => {
            let joined = text.iter().filter_map(Part::bytes).collect::<Vec<_>>().concat();
            ("v1a", pair.sign(&joined).as_ref().to_vec())
        }
        Key::Public(_) => return Err("a public key (whpk_) can't sign: expected whsec_ or the private key, whsk_".into()),
    };
    let written = recipe.encoding.encode(&bytes);
    Ok(match recipe.carrier {
        Carrier::Prefixed(_) => written,
        Carrier::Versions => format!("{version},{written}"),
        Carrier::Pairs | Carrier::Stamped => format!("{version}={written}"),
    })
}

/// Twilio's address of a body that is no form.
fn with_body_hash<'a>(message: &Outgoing<'a>) -> Cow<'a, str> {
    let is_form = message.content_type.is_none_or(|t| t.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
    if is_form || message.body.is_empty() || form::in_query(message.url, BODY_HASH).is_some() {
        return Cow::Borrowed(message.url);
    }
    let between = if message.url.contains('?') { '&' } else { '?' };
    Cow::Owned(format!("{}{between}{BODY_HASH}={}", message.url, Encoding::Hex.encode(&sha256(message.body))))
}

/// The headers of a CloudEvent in binary mode.
pub fn cloudevents_headers(id: &str, source: &str, kind: &str, now: UnixMs) -> [(String, String); 5] {
    let time = now.to_string();
    [("ce-specversion", "1.0"), ("ce-id", id), ("ce-source", source), ("ce-type", kind), ("ce-time", &time)]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
}
