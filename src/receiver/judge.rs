//! Judges one message for one check: is it authentic, of now and new; how late is it, which number has it, and which run waits for it.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::arrivals::{Arrivals, Heard, What};
use crate::callbacks::{Callback, Callbacks, Proof};
use crate::clock::UnixMs;
use crate::config::model::CheckDef;
use crate::probe::Kind;
use crate::probe::http::Path;
use crate::probe::round_trip::{ID_PREFIX, Named, RoundTripCheck};
use crate::secret::SecretValue;
use crate::webhook::{self, Headers, Reason, Request};

/// A message with what it is judged by.
pub(super) struct Message<'a> {
    pub(super) request: Request<'a>,
    pub(super) secrets: &'a [SecretValue],
    pub(super) now: UnixMs,
    pub(super) at: Instant,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) heard: Heard,
}

impl Judged {
    /// Whether its sender knows the secret.
    pub(super) fn authentic(&self) -> bool {
        matches!(self.heard.what, What::Accepted | What::Duplicate | What::Stale)
    }
}

/// Judges a message.
pub(super) fn judge(message: &Message<'_>, check: &CheckDef, arrivals: &Arrivals, callbacks: &Callbacks) -> Judged {
    let Some(receiving) = check.kind.receiving() else {
        return Judged { heard: Heard { at: message.now, what: What::Malformed, delay: None, number: None } };
    };
    let verdict = webhook::verify(&receiving.scheme, message.secrets, &message.request, message.now, &|_| false);
    let what = match verdict.reason {
        None if verdict.id.as_ref().is_none_or(|id| arrivals.is_new(&check.id, id, message.now)) => What::Accepted,
        None | Some(Reason::ReplayedId) => What::Duplicate,
        Some(Reason::StaleTimestamp | Reason::FutureTimestamp) => What::Stale,
        Some(Reason::MissingHeader | Reason::NoSupportedSignature | Reason::BadSignature) => What::Forged,
        Some(Reason::MalformedHeader) => What::Malformed,
        Some(Reason::TooLarge) => What::TooLarge,
    };
    let stamped = verdict.age_ms.map(|ms| ms as f64 / 1000.0);
    let mut heard = Heard { at: message.now, what, delay: stamped, number: None };
    if let Kind::WebhookArrival(c) = &check.kind
        && verdict.authentic()
        && (c.event_time.is_some() || c.sequence.is_some())
        && let Ok(body) = serde_json::from_slice::<Value>(message.request.body)
    {
        let event = c.event_time.as_ref().and_then(|p| time(p, &body)).map(|at| (message.now.0 - at.0) as f64 / 1000.0);
        heard.delay = event.or(stamped);
        heard.number = c.sequence.as_ref().and_then(|p| number(p, &body));
    }
    if let Kind::RoundTrip(c) = &check.kind {
        hand(message, check, c, what, callbacks);
    }
    Judged { heard }
}

/// Hands a message to the run whose id it names, with what is known of its sender. Only while a run waits is a body read for it.
fn hand(message: &Message<'_>, check: &CheckDef, trip: &RoundTripCheck, what: What, callbacks: &Callbacks) {
    let proof = match what {
        What::Accepted | What::Duplicate => Proof::Authentic,
        What::Stale => Proof::Stale,
        What::Forged => Proof::Forged,
        What::Malformed | What::TooLarge => return,
    };
    if !callbacks.awaited(&check.id) {
        return;
    }
    let in_header = matches!(trip.named, Named::Header(_));
    let body = (!in_header || trip.sequence.is_some()).then(|| serde_json::from_slice::<Value>(message.request.body).ok()).flatten();
    let Some(id) = named(trip, message.request.headers, body.as_ref()) else { return };
    let number = body.as_ref().and_then(|b| number(trip.sequence.as_ref()?, b));
    let _ = callbacks.hand(&check.id, &id, Callback { at: message.at, proof, duplicate: what == What::Duplicate, number });
}

/// The id of a run that a message names for a round trip.
fn named(trip: &RoundTripCheck, headers: &Headers, body: Option<&Value>) -> Option<String> {
    match &trip.named {
        Named::Header(name) => headers.all(name.as_str()).next().map(|v| String::from_utf8_lossy(v).into_owned()),
        Named::Body(path) => path.select(body?).first().and_then(|v| v.as_str()).map(str::to_owned),
    }
}

/// The checks of a path in the order in which they are asked whether a message is theirs. One that names a run is the round trip's, though others have the same
/// secret: systems often have but one address to send to. One that names none is the round trips' last of all.
pub(super) fn in_order<'c>(checks: &'c [Arc<CheckDef>], headers: &Headers, body: &[u8], callbacks: &Callbacks) -> Vec<&'c Arc<CheckDef>> {
    let mut all: Vec<&Arc<CheckDef>> = checks.iter().collect();
    if all.len() == 1 || !all.iter().any(|c| matches!(c.kind, Kind::RoundTrip(_))) {
        return all;
    }
    // What names no run is not read: anybody may have sent it.
    let may = body.windows(ID_PREFIX.len()).any(|w| w == ID_PREFIX.as_bytes());
    let body = may.then(|| serde_json::from_slice::<Value>(body).ok()).flatten();
    all.sort_by_cached_key(|check| match &check.kind {
        Kind::RoundTrip(trip) => match named(trip, headers, body.as_ref()).filter(|id| id.starts_with(ID_PREFIX)) {
            Some(id) if callbacks.awaits(&check.id, &id) => 0,
            Some(_) => 1,
            None => 3,
        },
        _ => 2,
    });
    all
}

/// A whole number, or a text of one.
fn number(path: &Path, body: &Value) -> Option<i64> {
    let found = path.select(body);
    let first = found.first()?;
    first.as_i64().or_else(|| first.as_str()?.parse().ok())
}

/// A time as RFC 3339 has it, or a number of seconds or milliseconds since 1970.
fn time(path: &Path, body: &Value) -> Option<UnixMs> {
    let found = path.select(body);
    let first = found.first()?;
    if let Some(text) = first.as_str() {
        return Some(UnixMs(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()));
    }
    let n = first.as_f64().filter(|n| (0.0..1e14).contains(n))?;
    Some(UnixMs(if n < 1e11 { n * 1000.0 } else { n } as i64))
}
