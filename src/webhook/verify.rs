//! Judges a message: is it authentic, is it of now, is it the first of its id. In this order, so that "stale" always means a genuine sender.

use serde::Serialize;
use serde_json::Value;

use super::key::{Key, equal};
use super::message::{MessageId, Request};
use super::presented;
use super::recipe::{Carrier, Piece, Recipe, StampAt};
use super::scheme::{IdAt, Proof, Scheme};
use super::signed::{Part, texts};
use super::stamp::{self, Beyond, Unit};
use super::{MAX_BODY, MAX_HEADER, MAX_MEMBERS};
use crate::clock::UnixMs;
use crate::secret::SecretValue;

/// Why a message is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The body is larger than [`MAX_BODY`]. Nothing was hashed.
    TooLarge,
    /// A header that the scheme needs is not there, or is empty.
    MissingHeader,
    /// The timestamp is none, or a header that may stand once stands there with two values.
    MalformedHeader,
    /// No signature of a version or method that the scheme knows.
    NoSupportedSignature,
    /// No secret made any of the signatures.
    BadSignature,
    /// Authentic, and older than the tolerance.
    StaleTimestamp,
    /// Authentic, and from further in the future than the tolerance.
    FutureTimestamp,
    /// Authentic, and processed already: answer 2xx and do nothing.
    ReplayedId,
}

impl Reason {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::MissingHeader => "missing_header",
            Self::MalformedHeader => "malformed_header",
            Self::NoSupportedSignature => "no_supported_signature",
            Self::BadSignature => "bad_signature",
            Self::StaleTimestamp => "stale_timestamp",
            Self::FutureTimestamp => "future_timestamp",
            Self::ReplayedId => "replayed_id",
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is authentic, of now and new.
    pub valid: bool,
    /// Why not.
    pub reason: Option<Reason>,
    /// Which of the secrets it was made with; `None` if it is not authentic.
    pub secret: Option<usize>,
    /// How long ago it was stamped, in milliseconds; negative for the future. Only of authentic messages with a timestamp.
    pub age_ms: Option<i64>,
    /// What names it. Only of authentic messages.
    pub id: Option<MessageId>,
}

impl Verdict {
    /// Whether one of the secrets made it, whatever its age.
    pub fn authentic(&self) -> bool {
        self.secret.is_some()
    }

    fn refused(reason: Reason) -> Self {
        Self { valid: false, reason: Some(reason), secret: None, age_ms: None, id: None }
    }
}

/// Judges a request. `seen` says whether an id was processed already; it is asked only of authentic messages of now.
pub fn verify(scheme: &Scheme, secrets: &[SecretValue], request: &Request<'_>, now: UnixMs, seen: &dyn Fn(&MessageId) -> bool) -> Verdict {
    let authentic = match authentic(scheme, secrets, request) {
        Ok(authentic) => authentic,
        Err(reason) => return Verdict::refused(reason),
    };
    let id = message_id(scheme, request);
    let stamp = authentic.stamp;
    let beyond = stamp.and_then(|(at, tolerance_s)| stamp::beyond(at, now, tolerance_s));
    let reason = match beyond {
        Some(Beyond::Past) => Some(Reason::StaleTimestamp),
        Some(Beyond::Future) => Some(Reason::FutureTimestamp),
        None => id.as_ref().is_some_and(seen).then_some(Reason::ReplayedId),
    };
    let age_ms = stamp.map(|(at, _)| stamp::age_ms(at, now));
    Verdict { valid: reason.is_none(), reason, secret: Some(authentic.secret), age_ms, id }
}

/// An authentic message: which secret, and its time with the tolerance.
struct Authentic {
    secret: usize,
    stamp: Option<(i128, u32)>,
}

fn authentic(scheme: &Scheme, secrets: &[SecretValue], request: &Request<'_>) -> Result<Authentic, Reason> {
    if request.body.len() > MAX_BODY {
        return Err(Reason::TooLarge);
    }
    let secrets = secrets.get(..MAX_MEMBERS).unwrap_or(secrets);
    let untimed = |secret| Authentic { secret, stamp: None };
    match &scheme.proof {
        Proof::Signature(recipe) => {
            let carried = carried(scheme, recipe, request)?;
            let keys: Vec<Option<Key>> = secrets.iter().map(|s| Key::read(recipe.key, s).ok()).collect();
            let texts = texts(recipe, request, carried.id, carried.stamp_text);
            let secret = keys
                .iter()
                .position(|key| key.as_ref().is_some_and(|key| texts.iter().any(|text| made(recipe, key, text, &carried.members))))
                .ok_or(Reason::BadSignature)?;
            Ok(Authentic { secret, stamp: carried.stamp.map(|at| (at, recipe.tolerance_s)) })
        }
        Proof::Header(name) => presented::which(secrets, request.headers.one(name)?).map(untimed),
        Proof::ClientState => presented::client_state(secrets, request.body).map(untimed),
        Proof::Bearer => presented::bearer(secrets, request).map(untimed),
        Proof::Nothing => Err(Reason::NoSupportedSignature),
    }
}

/// Whether one of the members is this key's over this text.
pub(super) fn made(recipe: &Recipe, key: &Key, text: &[Part<'_>], members: &[Member<'_>]) -> bool {
    if matches!(key, Key::Shared(_)) {
        let Some(tag) = key.tag(recipe.digest, text.iter().map(Part::bytes)) else { return false };
        let of_this = |m: &Member<'_>| !m.asymmetric && recipe.encoding.decode(m.text).is_some_and(|given| equal(&given, &tag));
        // All are compared, whichever fits.
        return members.iter().filter(|m| of_this(m)).count() > 0;
    }
    let joined = text.iter().filter_map(Part::bytes).collect::<Vec<_>>().concat();
    let of_this = |m: &Member<'_>| m.asymmetric && recipe.encoding.decode(m.text).is_some_and(|given| key.signed(&joined, &given));
    members.iter().any(of_this)
}

/// One signature of a message.
pub(super) struct Member<'r> {
    pub(super) text: &'r [u8],
    /// Ed25519.
    pub(super) asymmetric: bool,
}

/// What a signed message carries beside its body.
pub(super) struct Carried<'r> {
    /// Empty where it is not signed.
    pub(super) id: &'r [u8],
    /// As it came; empty where there is none.
    pub(super) stamp_text: &'r [u8],
    /// In nanoseconds since the epoch.
    pub(super) stamp: Option<i128>,
    /// Those of a known version; never empty.
    pub(super) members: Vec<Member<'r>>,
}

pub(super) fn carried<'r>(scheme: &Scheme, recipe: &Recipe, request: &Request<'r>) -> Result<Carried<'r>, Reason> {
    let headers = request.headers;
    let is_list = !matches!(recipe.carrier, Carrier::Prefixed(_));
    // What is missing is said before what is malformed.
    let needed = |name: &str| match headers.one(name) {
        Err(Reason::MissingHeader) => Err(Reason::MissingHeader),
        other => Ok(other),
    };
    // A list may be spread over several lines.
    let lines = if is_list {
        let all: Vec<&[u8]> = headers.all(&recipe.signature).filter(|l| !l.is_empty()).collect();
        if all.is_empty() { Err(Reason::MissingHeader) } else { Ok(Ok(all)) }
    } else {
        needed(&recipe.signature).map(|one| one.map(|one| vec![one]))
    }?;
    let id = match &scheme.id {
        IdAt::Header(name) if recipe.signs(&Piece::Id) => Some(needed(name)?),
        _ => None,
    };
    let stamp = match &recipe.stamp {
        StampAt::Header(name, unit) => Some((needed(name)?, *unit)),
        StampAt::Nowhere | StampAt::InSignature => None,
    };
    let lines = lines?;
    if lines.iter().map(|l| l.len()).sum::<usize>() > MAX_HEADER {
        return Err(Reason::MalformedHeader);
    }
    let (id, stamp) = (id.transpose()?, stamp.map(|(text, unit)| Ok((text?, unit))).transpose()?);
    let stamp = match recipe.stamp {
        StampAt::InSignature => Some((pairs(&lines).find(|(name, _)| *name == b"t").ok_or(Reason::MalformedHeader)?.1, Unit::Seconds)),
        _ => stamp,
    };
    let at = stamp.map(|(text, unit)| unit.read(text).ok_or(Reason::MalformedHeader)).transpose()?;
    let members = members(recipe, &lines);
    if members.is_empty() {
        return Err(Reason::NoSupportedSignature);
    }
    Ok(Carried { id: id.unwrap_or_default(), stamp_text: stamp.map(|(text, _)| text).unwrap_or_default(), stamp: at, members })
}

/// The members of a list between commas, each split at its first `=`. Those without one are skipped.
fn pairs<'r>(lines: &[&'r [u8]]) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
    let members = lines.iter().flat_map(|l| l.split(|b| *b == b','));
    members.filter_map(|m| split(m.trim_ascii(), b'='))
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let n = text.iter().position(|b| *b == at)?;
    Some((text.get(..n)?, text.get(n + 1..)?))
}

/// The signatures of known versions.
fn members<'r>(recipe: &Recipe, lines: &[&'r [u8]]) -> Vec<Member<'r>> {
    let shared = |text| Member { text, asymmetric: false };
    match &recipe.carrier {
        Carrier::Prefixed(prefix) => lines.iter().filter_map(|l| l.strip_prefix(prefix.as_bytes())).map(shared).collect(),
        Carrier::Pairs | Carrier::Stamped => {
            pairs(lines).filter(|(version, _)| *version == b"v1").map(|(_, text)| shared(text)).take(MAX_MEMBERS).collect()
        }
        Carrier::Versions => {
            let all = lines.iter().flat_map(|l| l.split(|b| *b == b' ')).filter_map(|m| split(m, b','));
            let known = all.filter_map(|(version, text)| match version {
                b"v1" => Some(shared(text)),
                b"v1a" => Some(Member { text, asymmetric: true }),
                _ => None,
            });
            known.take(MAX_MEMBERS).collect()
        }
    }
}

/// What names the message, if its sender numbers its messages.
fn message_id(scheme: &Scheme, request: &Request<'_>) -> Option<MessageId> {
    let plain = |id: String| Some(MessageId { source: None, id });
    match &scheme.id {
        IdAt::Nowhere => None,
        IdAt::Header(name) => request.headers.one(name).ok().and_then(|v| plain(String::from_utf8_lossy(v).into_owned())),
        IdAt::Body(name) => in_body(request.body, &[name]).and_then(plain),
        IdAt::Within(outer, name) => in_body(request.body, &[outer, name]).and_then(plain),
        IdAt::CloudEvent => presented::event_id(request),
    }
}

/// A text in a JSON body that lies in the objects of these names.
fn in_body(body: &[u8], path: &[&str]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let found = path.iter().try_fold(&body, |value, name| value.get(name))?;
    found.as_str().filter(|t| !t.is_empty()).map(str::to_owned)
}
