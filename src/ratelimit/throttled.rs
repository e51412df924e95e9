//! Whether an answer says "too many requests", and how long it asks to wait: by status, headers, and what vendors write into bodies.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::dialect::Dialect;
use super::lines::lines;
use super::number::Number;
use super::times::{Times, Unit, go_duration};

/// So much of a body is looked at. JSON that is longer is not read as JSON.
const MAX_BODY: usize = 64 * 1024;

const FORBIDDEN: &[&str] = &[
    "REQUEST_LIMIT_EXCEEDED",
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "dailyLimitExceeded",
    "quotaExceeded",
    "secondary rate limit",
    "API rate limit exceeded",
];
const BAD_REQUEST: &[&str] = &[
    "ThrottlingException",
    "Throttling\"",
    "SSS_REQUEST_LIMIT_EXCEEDED",
    "HOURLY_APIINVOCATION_LIMIT_EXCEEDED",
    "BURST_APIINVOCATION_LIMIT_EXCEEDED",
];
const UNAVAILABLE: &[&str] = &["SlowDown", "RequestThrottled", "Server is busy"];
/// `error` beside `ok: false` (Slack).
const ERRORS: &[&str] = &["ratelimited", "rate_limited"];
/// `errors[].extensions.code` (GraphQL).
const CODES: &[&str] =
    &["THROTTLED", "RATE_LIMITED", "RATELIMITED", "COMPLEXITY_BUDGET_EXHAUSTED", "maxConcurrencyExceeded", "IP_RATE_LIMIT_EXCEEDED"];
const MASHERY: &[&str] =
    &["ERR_403_DEVELOPER_OVER_QPS", "ERR_403_DEVELOPER_OVER_RATE", "ERR_403_SERVICE_OVER_QPS", "ERR_403_SERVICE_OVER_RATE"];

/// The beginning of a body.
pub(super) struct Body<'a> {
    text: Cow<'a, str>,
    whole: bool,
}

impl<'a> Body<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let head = &bytes[..bytes.len().min(MAX_BODY)];
        Self { text: String::from_utf8_lossy(head), whole: bytes.len() <= MAX_BODY }
    }

    fn holds(&self, markers: &[&str]) -> bool {
        markers.iter().any(|m| self.text.contains(m))
    }

    fn json(&self) -> Option<Value> {
        self.whole.then(|| serde_json::from_str(&self.text).ok()).flatten()
    }
}

/// The waits the headers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    /// `Retry-After` (RFC 9110, 10.2.3).
    retry_after: Option<Duration>,
    /// That, or what some send instead.
    pub(super) any: Option<Duration>,
}

impl Waits {
    pub(super) fn read(headers: &HeaderMap, times: &Times) -> Self {
        let header = |name| times.header(headers, name, Unit::Seconds);
        let retry_after = header("retry-after");
        let any = retry_after
            .or_else(|| header("x-ratelimit-retry-after"))
            .or_else(|| header("x-rate-limit-retry-after-seconds"))
            .or_else(|| go_duration(headers, "x-retry-in"));
        Self { retry_after, any }
    }
}

/// Whether the answer refuses for too many requests. Nothing left on an answer that was served refuses nothing.
pub(super) fn throttled(status: u16, dialect: Dialect, headers: &HeaderMap, remaining: Option<u64>, waits: Waits, body: &Body<'_>) -> bool {
    let used_up = remaining == Some(0);
    match status {
        420 | 429 => true,
        503 => waits.retry_after.is_some() || used_up || dialect.limits_with_503() || body.holds(UNAVAILABLE),
        // Atlassian Data Center says `Retry-After: 0` on every answer.
        403 => used_up || waits.any.is_some_and(|w| !w.is_zero()) || body.holds(FORBIDDEN) || mashery(headers),
        400 => body.holds(BAD_REQUEST),
        200..=299 => said_in_json(body),
        _ => false,
    }
}

fn mashery(headers: &HeaderMap) -> bool {
    lines(headers, "x-mashery-error-code").any(|l| l.split(',').any(|p| MASHERY.contains(&p.trim())))
}

/// Some refuse with a status of success, and say so inside.
fn said_in_json(body: &Body<'_>) -> bool {
    // Most answers hold none of the words: they need not be parsed.
    if !body.holds(ERRORS) && !body.holds(CODES) {
        return false;
    }
    let Some(json) = body.json() else { return false };
    let word = |v: &Value, among: &[&str]| v.as_str().is_some_and(|s| among.contains(&s));
    let slack = json.get("ok") == Some(&Value::Bool(false)) && json.get("error").is_some_and(|e| word(e, ERRORS));
    slack || each(&json, "errors").any(|e| e.pointer("/extensions/code").is_some_and(|c| word(c, CODES)))
}

fn each<'v>(json: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    json.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The wait a throttled answer asks for in its body.
pub(super) fn wait_in_body(body: &Body<'_>, times: &Times) -> Option<Duration> {
    let json = body.json()?;
    let number = |v: Option<&Value>| match v {
        Some(Value::Number(n)) => times.number(Number::of_json(n)?, Unit::Seconds),
        _ => None,
    };
    let graphql = || each(&json, "errors").filter_map(|e| number(e.pointer("/extensions/retry_in_seconds"))).max();
    let google = || {
        let details = json.get("error").into_iter().flat_map(|e| each(e, "details"));
        let delay = |d: &Value| times.number(Number::parse(d.get("retryDelay")?.as_str()?.strip_suffix('s')?)?, Unit::Seconds);
        details.filter_map(delay).max()
    };
    number(json.get("retry_after")).or_else(|| number(json.get("retryAfter"))).or_else(graphql).or_else(google)
}
