//! Judges a response, in order: status, headers, size, text, JSON, numbers, certificates, time. The first that does not hold gives the failure; a
//! wrong status ends the judging, because what the body of an error page holds says nothing.

use http::HeaderMap;
use serde_json::Value;

use super::HttpCheck;
use super::expect::{HeaderTest, JsonTest, JsonType};
use super::schema::Fits;
use crate::clock::Clock;
use crate::fields::{Bytes, Span};
use crate::observed::{Expectation, Failure, Noted, Observed, bounded};
use crate::outcome::Class;
use crate::secret::Redactor;
use crate::transport::{Answer, status};

/// What was seen is shown to this length.
const MAX_SEEN: usize = 200;
/// What a schema asks for, in words.
const SCHEMA_WORDS: &str = "the body fits the JSON Schema";

/// Writes each expectation down, with what was seen, and returns the first that did not hold.
struct Notes<'a> {
    redactor: &'a Redactor,
    observed: &'a mut Observed,
    first: Option<Failure>,
}

impl Notes<'_> {
    /// `words`: what was expected, and what was seen; not asked for where nobody would read it.
    fn note(&mut self, met: bool, class: Class, words: impl FnOnce(&Redactor) -> (String, String)) {
        if met && self.observed.noted == Noted::Unmet {
            return;
        }
        let text = |t: String| bounded(self.redactor.clean(&t), MAX_SEEN);
        let (expected, seen) = words(self.redactor);
        let (expected, seen) = (text(expected), text(seen));
        if !met && self.first.is_none() {
            self.first = Some(Failure::new(class, format!("expected: {expected}; seen: {seen}")));
        }
        self.observed.expectations.push(Expectation { expected, seen, met, class });
    }
}

/// Judges the answer. `fits`: what the schema says of its body, where there is one.
pub(super) fn judge(
    check: &HttpCheck,
    answer: &Answer,
    fits: Option<Fits>,
    redactor: &Redactor,
    observed: &mut Observed,
) -> Result<(), Failure> {
    let expect = &check.expect;
    let expiry = observed.certificate_expiry();
    let mut notes = Notes { redactor, observed, first: None };
    let code = answer.status.as_u16();
    let met = expect.accepts(answer.status);
    let limits = &answer.limits;
    // Some vendors refuse with a 200 that says inside: too many requests.
    let inside = met && answer.status.is_success() && limits.throttled;
    let (class, retry_after) =
        if met && !inside { (Class::Assertion, None) } else { status::refusal(answer.status, limits, answer.dialect) };
    let reason = || answer.status.canonical_reason().map(|r| format!(" ({r})")).unwrap_or_default();
    notes.note(met, class, |_| (status_words(check), format!("{code}{}", reason())));
    if inside {
        notes.note(false, class, |_| ("the body does not say: too many requests".into(), "it does".into()));
    }
    if !met || inside {
        let host = check.url.shown_host();
        let asks = if limits.retry_after.is_some() { "asks to wait" } else { "leaves us to wait" };
        let wait = retry_after.map(|d| format!("; {asks} {}", Span(d))).unwrap_or_default();
        let more = if inside { "its body says: too many requests".to_owned() } else { format!("expected: {}", status_words(check)) };
        let detail = format!("{host} answered {code}{}{wait}; {more}", reason());
        return Err(Failure { retry_after, ..Failure::new(class, detail) });
    }
    for (name, test) in &expect.headers {
        let met = header(&answer.headers, name.as_str(), test);
        notes.note(met, Class::Assertion, |_| {
            let seen = answer.headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
            (header_words(name.as_str(), test), seen.unwrap_or_else(|| "not there".to_owned()))
        });
    }
    body(check, answer, &mut notes);
    if let Some(Fits { met, seen }) = fits {
        notes.note(met, Class::Assertion, |_| (SCHEMA_WORDS.to_owned(), seen));
    }
    if let Some(days) = expect.certificate_days {
        // Exact times of a certificate are in `hops`; here the days left, as a person counts them.
        let left = expiry.map(|at| Clock::default().now().whole_days_until(at));
        notes.note(left.is_some_and(|n| n >= i64::from(days)), Class::Certificate, |_| {
            (certificate_words(days), left.map_or_else(|| "no certificate".to_owned(), |n| format!("{n} days left")))
        });
    }
    if let Some(within) = expect.within {
        notes.note(answer.took <= within.0, Class::Slow, |_| {
            let seen = match u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX) {
                0 => "less than 1ms".to_owned(),
                ms => Span(std::time::Duration::from_millis(ms)).to_string(),
            };
            (format!("answers within {within}"), seen)
        });
    }
    notes.first.map_or(Ok(()), Err)
}

/// What must hold, in words, in the order above.
pub(super) fn in_words(check: &HttpCheck) -> Vec<String> {
    let expect = &check.expect;
    let mut all = vec![status_words(check)];
    all.extend(expect.headers.iter().map(|(name, test)| header_words(name.as_str(), test)));
    all.extend(expect.size_min.map(|min| format!("the body has at least {min}")));
    all.extend(expect.size_max.map(|max| format!("the body has at most {max}")));
    all.extend(expect.contains.iter().map(|t| format!("the body holds {t:?}")));
    all.extend(expect.not_contains.iter().map(|t| format!("the body does not hold {t:?}")));
    all.extend(expect.matches.iter().map(|p| format!("the body matches {}", p.source())));
    all.extend(expect.json.iter().map(|(path, test)| json_words(path.source(), test)));
    all.extend(check.observe.iter().filter(|o| o.required).map(|o| format!("{} is a number", o.path.source())));
    all.extend(expect.schema.as_ref().map(|_| SCHEMA_WORDS.to_owned()));
    all.extend(expect.certificate_days.map(certificate_words));
    all.extend(expect.within.map(|w| format!("answers within {w}")));
    all
}

fn certificate_words(days: u16) -> String {
    format!("every certificate has at least {days} days left")
}

fn status_words(check: &HttpCheck) -> String {
    let all: Vec<String> = check.expect.status.iter().map(ToString::to_string).collect();
    format!("status is {}", all.join(" or "))
}

fn body(check: &HttpCheck, answer: &Answer, notes: &mut Notes<'_>) {
    let expect = &check.expect;
    let size = answer.body.len() as u64;
    for (min, max) in [(expect.size_min, None), (None, expect.size_max)] {
        let (bound, limit, met) = match (min, max) {
            (Some(min), _) => ("least", min, size >= min.0),
            (_, Some(max)) => ("most", max, size <= max.0),
            _ => continue,
        };
        notes.note(met, Class::Assertion, |_| (format!("the body has at {bound} {limit}"), Bytes(size).to_string()));
    }
    for (texts, wanted) in [(&expect.contains, true), (&expect.not_contains, false)] {
        for text in texts {
            let found = holds(&answer.body, text);
            notes.note(found == wanted, Class::Assertion, |_| {
                (format!("the body {} {text:?}", if wanted { "holds" } else { "does not hold" }), found_in(found, size))
            });
        }
    }
    if let Some(pattern) = &expect.matches {
        let found = pattern.found_in(&answer.body);
        notes.note(found, Class::Assertion, |_| (format!("the body matches {}", pattern.source()), found_in(found, size)));
    }
    if expect.json.is_empty() && check.observe.is_empty() {
        return;
    }
    let document = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(document) => document,
        Err(e) => {
            if !expect.json.is_empty() || check.observe.iter().any(|o| o.required) {
                notes.note(false, Class::Assertion, |_| ("the body is JSON".into(), format!("not JSON ({e})")));
            }
            return;
        }
    };
    for (path, test) in &expect.json {
        let selected = path.select(&document);
        let (met, shows) = json(&selected, test);
        notes.note(met, Class::Assertion, |redactor| (json_words(path.source(), test), seen(shows, redactor)));
    }
    for observe in &check.observe {
        let selected = observe.path.select(&document);
        let number = selected.iter().find_map(|v| v.as_f64()).filter(|n| n.is_finite());
        if let Some(number) = number {
            notes.observed.values.push((observe.name.clone(), number));
        }
        if observe.required {
            let shows = selected.first().copied();
            notes.note(number.is_some(), Class::Assertion, |redactor| {
                (format!("{} is a number", observe.path.source()), seen(shows, redactor))
            });
        }
    }
}

fn found_in(found: bool, size: u64) -> String {
    format!("{} in {}", if found { "found" } else { "not found" }, Bytes(size))
}

/// Whether the text stands in the body, in time linear in both.
fn holds(body: &[u8], text: &str) -> bool {
    memchr::memmem::find(body, text.as_bytes()).is_some()
}

fn header_words(name: &str, test: &HeaderTest) -> String {
    match test {
        HeaderTest::Exists(true) => format!("header {name} is there"),
        HeaderTest::Exists(false) => format!("header {name} is not there"),
        HeaderTest::Equals(text) => format!("header {name} is {text:?}"),
        HeaderTest::Contains(text) => format!("header {name} holds {text:?}"),
        HeaderTest::Matches(pattern) => format!("header {name} matches {}", pattern.source()),
    }
}

fn header(headers: &HeaderMap, name: &str, test: &HeaderTest) -> bool {
    let mut values = headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
    match test {
        HeaderTest::Exists(wanted) => values.next().is_some() == *wanted,
        HeaderTest::Equals(text) => values.any(|v| v == text.as_bytes()),
        HeaderTest::Contains(text) => values.any(|v| holds(v, text)),
        HeaderTest::Matches(pattern) => values.any(|v| pattern.found_in(v)),
    }
}

fn json_words(path: &str, test: &JsonTest) -> String {
    match test {
        JsonTest::Exists(true) => format!("{path} exists"),
        JsonTest::Exists(false) => format!("{path} does not exist"),
        JsonTest::Is(kind) => format!("{path} is {}", kind.as_str()),
        JsonTest::Equals(value) => format!("{path} equals {}", preview(value, &Redactor::default())),
        JsonTest::Min(n) => format!("{path} is at least {n}"),
        JsonTest::Max(n) => format!("{path} is at most {n}"),
        JsonTest::Matches(pattern) => format!("{path} matches {}", pattern.source()),
    }
}

/// Whether the test holds of all that was selected, and what shows it: the first that breaks it, or the first.
fn json<'v>(selected: &[&'v Value], test: &JsonTest) -> (bool, Option<&'v Value>) {
    let one = |v: &Value| match test {
        JsonTest::Exists(_) => true,
        JsonTest::Is(kind) => JsonType::of(v) == *kind,
        JsonTest::Equals(wanted) => equal(v, wanted),
        JsonTest::Min(n) => v.as_f64().is_some_and(|x| x >= *n),
        JsonTest::Max(n) => v.as_f64().is_some_and(|x| x <= *n),
        JsonTest::Matches(pattern) => v.as_str().is_some_and(|s| pattern.found_in(s.as_bytes())),
    };
    let broken = selected.iter().find(|v| !one(v));
    let met = match test {
        JsonTest::Exists(wanted) => selected.is_empty() != *wanted,
        _ => !selected.is_empty() && broken.is_none(),
    };
    (met, broken.or(selected.first()).copied())
}

fn seen(value: Option<&Value>, redactor: &Redactor) -> String {
    value.map_or_else(|| "nothing there".to_owned(), |v| preview(v, redactor))
}

/// JSON has one kind of number: 1 and 1.0 are equal.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| equal(v, w))),
        _ => a == b,
    }
}

/// A value in a few words. A text is redacted before it is quoted, and whole: cut first, half a secret could stay.
fn preview(value: &Value, redactor: &Redactor) -> String {
    match value {
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(entries) => format!("an object of {}", entries.len()),
        Value::String(s) => format!("{:?}", bounded(redactor.clean(s), MAX_SEEN)),
        other => other.to_string(),
    }
}
