//! Reading a recording: a JSON array of exchanges as `soakwatch lint scim` takes it (docs/findings.md). Bounded; says what was expected and where.
//!
//! Facts come from the parentheses behind a request and, where a name says it plainly, from the exchange's name.

use std::time::Duration;

use serde_json::{Map, Value};

use super::exchange::{Exchange, Fact, Request};
use super::filter::Filter;
use super::target::Target;
use crate::fields::bounded;

/// Bytes of a recording at most.
pub const MOST_BYTES: u64 = 16 << 20;
/// Exchanges of a recording at most.
pub const MOST_EXCHANGES: usize = 2000;
/// Characters of an exchange's name that are kept.
const MOST_NAME: usize = 60;
/// Headers of an exchange that are kept.
const MOST_HEADERS: usize = 100;

/// Parentheses of a request that are read.
const MOST_FACTS: usize = 8;

const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// Reads a recording. The error names what was expected, and where.
pub fn read(bytes: &[u8]) -> Result<Vec<Exchange>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value = serde_json::from_slice(bytes).map_err(|e| format!("not JSON: {e}; expected an array of recorded exchanges"))?;
    let Value::Array(all) = value else {
        return Err(format!("expected an array of recorded exchanges, found {}", kind(&value)));
    };
    if all.len() > MOST_EXCHANGES {
        return Err(format!("{} exchanges, expected at most {MOST_EXCHANGES}", all.len()));
    }
    all.into_iter().enumerate().map(|(at, v)| exchange(at, v)).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn exchange(at: usize, value: Value) -> Result<Exchange, String> {
    let place = format!("exchange {}", at + 1);
    let Value::Object(mut all) = value else {
        return Err(format!("{place}: expected an object with name, request, status, ct and body, found {}", kind(&value)));
    };
    let wrong = |name: &str, expected: &str, found: &Value| Err(format!("{place}: {name}: expected {expected}, found {}", kind(found)));
    let name = match all.remove("name") {
        None | Some(Value::Null) => place.clone(),
        Some(Value::String(name)) if name.trim().is_empty() => place.clone(),
        Some(Value::String(name)) => bounded(name, MOST_NAME),
        Some(other) => return wrong("name", "text", &other),
    };
    let line = match all.remove("request") {
        Some(Value::String(line)) => line,
        None => return Err(format!("{place}: request is missing: expected text such as \"GET /Users?count=2\"")),
        Some(other) => return wrong("request", "text such as \"GET /Users?count=2\"", &other),
    };
    let mut request = request(&line).map_err(|why| format!("{place}: request: {why}"))?;
    request.facts.extend(told_by_name(&name));
    let status = match all.remove("status") {
        None => return Err(format!("{place}: status is missing: expected a number")),
        Some(found) => match found.as_u64().and_then(|s| u16::try_from(s).ok()).filter(|s| *s < 1000) {
            Some(status) => status,
            None => return Err(format!("{place}: status: expected a number from 0 to 999, found {}", kind(&found))),
        },
    };
    let headers = match all.remove("headers") {
        None | Some(Value::Null) => None,
        Some(Value::Object(all)) => Some(headers(all)),
        Some(other) => return wrong("headers", "an object of names and values", &other),
    };
    let said = |headers: &Option<Vec<(String, String)>>| {
        headers.iter().flatten().find(|(n, _)| n.eq_ignore_ascii_case("content-type")).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    let content_type = match all.remove("ct") {
        None | Some(Value::Null) => said(&headers),
        Some(Value::String(ct)) if ct.is_empty() => said(&headers),
        Some(Value::String(ct)) => ct,
        Some(other) => return wrong("ct", "text", &other),
    };
    let body = match all.remove("body").unwrap_or_default() {
        // A recorder may keep the text as it came.
        Value::String(text) => match serde_json::from_str::<Value>(&text) {
            Ok(read) if read.is_object() || read.is_array() => read,
            _ => Value::String(text),
        },
        other => other,
    };
    let known = match all.remove("known") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(other) => return wrong("known", "a userName that exists", &other),
    };
    let known_total = match all.remove("known_total") {
        None | Some(Value::Null) => None,
        Some(found) => match found.as_u64() {
            Some(total) => Some(total),
            None => return wrong("known_total", "the number of users", &found),
        },
    };
    let took = match all.remove("ms") {
        None | Some(Value::Null) => None,
        Some(found) => match found.as_f64().and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()) {
            Some(took) => Some(took),
            None => return wrong("ms", "how many milliseconds the answer took", &found),
        },
    };
    Ok(Exchange { name, request, status, headers, content_type, body, known, known_total, took })
}

fn headers(all: Map<String, Value>) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let one = |(name, value): (String, Value)| match value {
        Value::Null => None,
        Value::Array(many) => Some((name, many.iter().map(text).collect::<Vec<_>>().join(", "))),
        other => Some((name, text(&other))),
    };
    all.into_iter().filter_map(one).take(MOST_HEADERS).collect()
}

/// Reads a request line: METHOD, the target with spaces as they are, then a JSON body or facts in parentheses.
pub fn request(line: &str) -> Result<Request, String> {
    const EXPECTED: &str = "expected METHOD and target, such as \"GET /Users?count=2\"";
    let (method, rest) = line.trim().split_once(char::is_whitespace).ok_or(EXPECTED)?;
    let method = method.to_ascii_uppercase();
    if !METHODS.contains(&method.as_str()) {
        return Err(format!("{EXPECTED}, with one of the methods {}", METHODS.join(", ")));
    }
    let mut rest = rest.trim();
    let mut facts = Vec::new();
    for _ in 0..MOST_FACTS {
        let Some((before, told)) = parenthesised(rest) else { break };
        facts.extend(told_by_fact(told));
        rest = before.trim_end();
    }
    let (target, body) = body_behind(rest);
    let mut target = target.trim_end();
    // Facts may also stand before the body.
    for _ in 0..MOST_FACTS {
        let Some((before, told)) = parenthesised(target) else { break };
        facts.extend(told_by_fact(told));
        target = before.trim_end();
    }
    if target.is_empty() || target.starts_with('{') {
        return Err(EXPECTED.to_owned());
    }
    Ok(Request { method, target: Target::read(target, body.as_ref()), body, facts })
}

/// The target, and the JSON behind it: from the first brace or bracket behind a space from which all the rest is JSON.
fn body_behind(text: &str) -> (&str, Option<Value>) {
    let begins =
        text.char_indices().filter(|(at, c)| matches!(c, '{' | '[') && text.get(..*at).is_some_and(|b| b.ends_with(char::is_whitespace)));
    // Few braces stand behind a space before the body begins: a bound keeps a hostile line from being read again and again.
    for (at, _) in begins.take(8) {
        if let Some((target, rest)) = text.split_at_checked(at)
            && let Ok(body) = serde_json::from_str(rest)
        {
            return (target, Some(body));
        }
    }
    (text, None)
}

/// The facts at the end, where the parentheses are not a filter's own.
fn parenthesised(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_suffix(')')?;
    let open = inside.rfind('(')?;
    let (before, told) = (text.get(..open)?, inside.get(open + 1..)?);
    let behind_word = before.trim_end().rsplit(|c: char| c.is_whitespace() || c == '=' || c == '(').next().unwrap_or_default();
    let of_filter = ["and", "or", "not", ""].iter().any(|w| behind_word.eq_ignore_ascii_case(w)) || Filter::read(told).is_some();
    (before.ends_with(char::is_whitespace) && !(of_filter && before.contains('?'))).then_some((before, told))
}

/// Words in small letters, one space between them.
fn words(text: &str) -> String {
    let lower = text.to_lowercase();
    let all: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty()).collect();
    format!(" {} ", all.join(" "))
}

fn says(words: &str, any: &[&str]) -> bool {
    any.iter().any(|w| words.contains(&format!(" {w} ")))
}

fn about_token(words: &str) -> bool {
    let token = says(words, &["token", "bearer", "authorization", "auth", "credentials", "credential"]);
    let bad = says(
        words,
        &[
            "no", "without", "wrong", "bad", "invalid", "missing", "expired", "revoked", "garbage", "false", "other", "foreign", "another",
            "empty", "omitted",
        ],
    );
    (token && bad) || says(words, &["anonymous", "anonymously", "unauthenticated", "unauthorised", "unauthorized"])
}

const NOBODY: [&str; 10] = [
    "unknown",
    "no such",
    "does not exist",
    "doesn't exist",
    "not exist",
    "not existing",
    "nonexistent",
    "non existent",
    "nonexisting",
    "never existed",
];

fn told_by_fact(text: &str) -> Vec<Fact> {
    let words = words(text);
    let mut facts = Vec::new();
    if about_token(&words) {
        facts.push(Fact::NoToken);
    }
    let nobody = says(&words, &NOBODY);
    if nobody {
        facts.push(Fact::UnknownId);
    } else if says(&words, &["exists", "existing", "exist", "taken", "duplicate", "already", "again"]) {
        facts.push(Fact::NameExists);
    }
    if says(&words, &["deleted", "after delete", "removed before", "gone"]) {
        facts.push(Fact::Deleted);
    }
    if says(&words, &["disabled", "deactivated", "inactive", "active false", "active is false"]) {
        facts.push(Fact::Disabled);
    }
    let mut before = "";
    for word in words.split(' ') {
        if word == "members"
            && let Ok(count) = before.parse()
        {
            facts.push(Fact::Members(count));
        }
        before = word;
    }
    facts
}

/// What the exchange's name says beyond doubt.
fn told_by_name(name: &str) -> Vec<Fact> {
    let words = words(name);
    let mut facts = Vec::new();
    if about_token(&words) {
        facts.push(Fact::NoToken);
    }
    if says(&words, &["unknown id", "unknown user id", "no such id", "nonexistent id", "unknown resource", "unknown path"]) {
        facts.push(Fact::UnknownId);
    }
    if says(&words, &["duplicate", "username exists"]) {
        facts.push(Fact::NameExists);
    }
    if says(&words, &["deleted", "after delete", "after deletion"]) {
        facts.push(Fact::Deleted);
    }
    facts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::target::Endpoint;
    use super::*;

    #[test]
    fn request_lines() {
        let plain = request("GET /Users?filter=userName eq \"ada@example.test\"").unwrap();
        assert_eq!((plain.method.as_str(), plain.target.query.filter.as_deref()), ("GET", Some("userName eq \"ada@example.test\"")));
        let patch = request("PATCH /Users/u1 {\"Operations\": [{\"path\": \"emails[type eq \\\"work\\\"].value\"}]}").unwrap();
        assert_eq!((patch.target.endpoint, patch.target.id.as_deref()), (Endpoint::Users, Some("u1")));
        assert!(patch.body.unwrap()["Operations"].is_array());
        assert_eq!(request("GET /Users (no token)").unwrap().facts, [Fact::NoToken]);
        assert_eq!(request("POST /Users (userName exists)").unwrap().facts, [Fact::NameExists]);
        assert_eq!(request("GET /Users/x (does not exist)").unwrap().facts, [Fact::UnknownId]);
        assert_eq!(request("GET /Groups/g (it had 3 members)").unwrap().facts, [Fact::Members(3)]);
        let both = request("POST /Users {\"userName\": \"a (b)\"} (userName exists)").unwrap();
        assert!(both.body.is_some() && both.facts == [Fact::NameExists]);
        // A filter keeps its parentheses.
        let filter = request("GET /Users?filter=active eq true and (userName eq \"a\") (wrong token)").unwrap();
        assert_eq!(filter.target.query.filter.as_deref(), Some("active eq true and (userName eq \"a\")"));
        assert_eq!(filter.facts, [Fact::NoToken]);
        assert_eq!(request("GET /Users?filter=not (active eq true)").unwrap().target.query.filter.as_deref(), Some("not (active eq true)"));
        for wrong in ["", "GET", "FETCH /Users", "POST {\"a\": 1}"] {
            assert!(request(wrong).unwrap_err().contains("expected METHOD"), "{wrong}");
        }
    }

    #[test]
    fn recordings() {
        let good = json!([{"name": "a", "request": "GET /Users", "status": 200, "headers": {"X": ["1", "2"]}, "ct": "", "body": "{\"a\": 1}", "known": "ada",
            "known_total": 3, "ms": 12.5}]);
        let read_back = read(good.to_string().as_bytes()).unwrap();
        assert_eq!((&read_back[0].body, read_back[0].header("x"), read_back[0].known_total), (&json!({"a": 1}), Some("1, 2"), Some(3)));
        for (bad, why) in [
            (json!({"requests": []}), "expected an array of recorded exchanges, found an object"),
            (json!([3]), "exchange 1: expected an object"),
            (json!([{"request": "GET /Users"}]), "exchange 1: status is missing"),
            (json!([{"status": 200}]), "exchange 1: request is missing"),
            (json!([{"request": "GET /Users", "status": "200"}]), "exchange 1: status: expected a number from 0 to 999, found text"),
            (json!([{"request": "GET /Users", "status": 200, "ct": 1}]), "exchange 1: ct: expected text, found a number"),
            (json!([{"request": "GET /Users", "status": 200, "known_total": -1}]), "exchange 1: known_total: expected the number of users"),
        ] {
            let told = read(bad.to_string().as_bytes()).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        assert!(read(b"<html>").unwrap_err().contains("not JSON"));
    }
}
