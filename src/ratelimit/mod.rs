//! Reads what a response says about rate limits, in whatever dialect: how many, how many are left, until when, and whether it throttles us.
//!
//! Pure: a status, headers, a body and a time in, a [`RateLimit`] out; [`Limits`] folds what is kept of it. No clock, no I/O; linear in its input. What can't be read is
//! absent, never 0, and spoils nothing else. docs/rate-limits.md says which headers are read and how.

mod date;
mod dialect;
mod lines;
mod number;
mod policy;
mod reading;
mod state;
mod structured;
mod throttled;
mod times;
mod triple;
mod vendor;

use std::time::Duration;

use http::HeaderMap;
use serde::{Serialize, Serializer};

pub use self::dialect::Dialect;
pub use self::policy::Policy;
pub use self::reading::{MOST_READINGS, Reading, readings};
pub use self::state::{Limits, PolicyState};

use self::lines::{lines, parts};
use self::number::Number;
use self::policy::{Quota, primary};
use self::structured::Structured;
use self::throttled::{Body, Waits};
use self::times::Times;
use self::vendor::Source;
use crate::clock::UnixMs;

/// So many policies of one response are kept. No server known sends more than ten.
pub const MAX_POLICIES: usize = 100;

/// The time an HTTP-date names, to whole seconds; `received` decides the century of a year with two digits.
pub fn http_date(text: &str, received: UnixMs) -> Option<UnixMs> {
    let ms = date::parse(text, received)?.div_euclid(1_000_000);
    i64::try_from(ms).ok().map(UnixMs)
}

/// One response, as much of it as speaks of rate limits.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Who is likely to have sent it.
    pub dialect: Dialect,
    /// Its status.
    pub status: u16,
    /// Its headers, in order.
    pub headers: &'a HeaderMap,
    /// Its body, unpacked. The first 64 KiB are looked at.
    pub body: &'a [u8],
    /// When it came, by our clock.
    pub received_at: UnixMs,
}

/// What a response says about rate limits. `None` is "not known". The first four values come from one source and belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// So many requests (or what the policy counts) in a window.
    pub limit: Option<u64>,
    /// So many are left: a hint, not a grant. May exceed the limit.
    pub remaining: Option<u64>,
    /// Until there are more; whole seconds, rounded up, 0 for the past.
    #[serde(rename = "reset_in_s", serialize_with = "whole_seconds")]
    pub reset_in: Option<Duration>,
    /// The window's length; whole seconds.
    #[serde(rename = "window_s", serialize_with = "whole_seconds")]
    pub window: Option<Duration>,
    /// Whether this response refuses for too many requests.
    pub throttled: bool,
    /// The wait it asks for; whole seconds. Never derived from a reset.
    #[serde(rename = "retry_after_s", serialize_with = "whole_seconds")]
    pub retry_after: Option<Duration>,
    /// All policies it names, at most [`MAX_POLICIES`]; `None` when it names none, never empty.
    pub policies: Option<Vec<Policy>>,
}

impl RateLimit {
    /// Passes every text in it, which are the server's, through `clean`.
    pub fn cleaned(mut self, clean: &dyn Fn(&str) -> String) -> Self {
        for p in self.policies.iter_mut().flatten() {
            for text in [&mut p.name, &mut p.unit, &mut p.pk].into_iter().flatten() {
                *text = clean(text);
            }
        }
        self
    }

    /// How long to stay away after this response, if it throttles: what it asks for, even when that is shorter than its reset; else its reset; else
    /// what is known of the dialect. `None` when it does not throttle, or nobody says.
    pub fn stay_away(&self, dialect: Dialect) -> Option<Duration> {
        self.throttled.then(|| self.retry_after.or(self.reset_in).or_else(|| dialect.backoff())).flatten()
    }
}

fn whole_seconds<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    d.map(|d| d.as_secs()).serialize(s)
}

/// Reads a response.
pub fn read(response: &Response<'_>) -> RateLimit {
    let Response { dialect, status, headers, received_at, .. } = *response;
    let times = Times::of(headers, received_at);
    let (quota, mut policies) = if from_cache(headers) { Default::default() } else { quotas(dialect, headers, &times) };
    let waits = Waits::read(headers, &times);
    let body = Body::of(response.body);
    let throttled = throttled::throttled(status, dialect, headers, quota.remaining, waits, &body);
    let in_body = || if throttled { throttled::wait_in_body(&body, &times) } else { None };
    policies.truncate(MAX_POLICIES);
    RateLimit {
        limit: quota.limit,
        remaining: quota.remaining,
        reset_in: quota.reset_in,
        window: quota.window,
        throttled,
        retry_after: waits.any.or_else(in_body),
        policies: (!policies.is_empty()).then_some(policies),
    }
}

/// Its date (RFC 9110, 5.6.7; ISO 8601 is taken too), by the server's clock; `received` decides the century of a year with two digits.
pub fn date(headers: &HeaderMap, received: UnixMs) -> Option<UnixMs> {
    let nanos = lines(headers, "date").find_map(|l| date::parse(&l, received))?;
    i64::try_from(nanos.div_euclid(1_000_000)).ok().map(UnixMs)
}

/// A cache answered: what it says of quotas is old.
fn from_cache(headers: &HeaderMap) -> bool {
    parts(headers, "age").iter().filter_map(|p| Number::parse(p)).any(|age| age.floor() >= 1)
}

/// The four values, from the first source that knows what remains, else from the first that knows anything; and the policies.
fn quotas(dialect: Dialect, headers: &HeaderMap, times: &Times) -> (Quota, Vec<Policy>) {
    // Every header that is read below has one of these words in its name; most responses have none of them.
    if !headers.keys().any(|name| ["limit", "quota"].iter().any(|word| name.as_str().contains(word))) {
        return Default::default();
    }
    let Structured { named, numbered, dictionary } = structured::read(headers, times);
    let mut triples = vendor::triples(dialect, headers, times);
    if let Some(dictionary) = dictionary {
        triples[0].quota = dictionary;
    }
    let source = Source { dialect, headers, times, triples: &triples };
    let vendors = vendor::policies(&source, false);
    // Kong's windows step behind its own newer triple.
    let vendor = if triples[0].quota.remaining.is_some() { primary(&vendor::policies(&source, true)) } else { primary(&vendors) };
    let named_one = primary(&named);
    let numbered_one = primary(&numbered);
    let quotas = triples.each_ref().map(|t| t.quota);
    let in_limits = triples.map(|t| t.policies);
    let lists = [named, vendors, numbered.clone()].into_iter().chain(in_limits);
    let policies = lists.into_iter().find(|l| !l.is_empty()).unwrap_or_default();
    let plain = quotas.map(|q| {
        let window = || triple::window(&q, &policies, &numbered, dialect);
        // A window alone, guessed from the dialect, is no knowledge.
        if q.is_empty() { q } else { Quota { window: window(), ..q } }
    });
    let all = [vendor::shopify(headers), named_one, vendor].into_iter().chain(plain).chain([numbered_one]);
    let known: Vec<Quota> = all.filter(|q| !q.is_empty()).collect();
    let first = known.iter().find(|q| q.remaining.is_some()).or(known.first());
    (first.copied().unwrap_or_default(), policies)
}
