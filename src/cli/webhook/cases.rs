//! Messages and questions as JSON, one object a line, and what is made of each. Pure. Errors name keys and what was expected; they never repeat a
//! value, which may be a secret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{GENERIC, expected_scheme};
use crate::clock::UnixMs;
use crate::secret::SecretValue;
use crate::webhook::{self, Handshake, Headers, MessageId, Reason, Request, Scheme, Template};

/// One line, read.
struct Case {
    name: Value,
    asks: bool,
    scheme: Scheme,
    secrets: Vec<SecretValue>,
    now: UnixMs,
    method: String,
    url: String,
    headers: Headers,
    body: Vec<u8>,
    allowed: Option<Vec<String>>,
    seen: Vec<String>,
}

#[derive(Serialize)]
struct Judged<'a> {
    name: &'a Value,
    valid: bool,
    reason: Option<Reason>,
}

#[derive(Serialize)]
struct Answered<'a> {
    name: &'a Value,
    status: u16,
    content_type: Option<&'static str>,
    headers: BTreeMap<&'static str, String>,
    body: Option<String>,
}

/// What is printed for a line. `None` for lines without an object: empty ones, and the brackets of an array that has an object a line.
pub(super) fn answer(line: &[u8], now: UnixMs) -> Result<Option<String>, String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    let line = line.strip_suffix(b",").unwrap_or(line);
    if matches!(line, b"" | b"[" | b"]") {
        return Ok(None);
    }
    // The parser's own words hold a column and no contents.
    let value: Value = serde_json::from_slice(line)
        .map_err(|e| format!("expected JSON; {}", e.to_string().replace(" at line 1 column ", " at column ")))?;
    let Value::Object(object) = value else { return Err("expected a JSON object".into()) };
    let case = Case::read(&object, now)?;
    let printed = if case.asks { serde_json::to_string(&case.answered()) } else { serde_json::to_string(&case.judged()) };
    printed.map(Some).map_err(|e| e.to_string())
}

impl Case {
    fn read(object: &Map<String, Value>, now: UnixMs) -> Result<Self, String> {
        let asks = match text(object, "kind")? {
            Some("verify") => false,
            Some("handshake") => true,
            _ => return Err("kind: expected \"verify\" or \"handshake\"".into()),
        };
        let scheme = match text(object, "scheme")? {
            Some(GENERIC) => Template::read(&strings(object, "template")?).map_err(|e| format!("template: {e}"))?.scheme().clone(),
            Some(name) => Scheme::named(name).cloned().ok_or_else(|| format!("scheme: {}", expected_scheme(name)))?,
            None => return Err(format!("scheme: {}", expected_scheme(""))),
        };
        let now = match text(object, "now")? {
            None => now,
            Some(text) => text.parse::<jiff::Timestamp>().map_err(|_| "now: expected a time such as \"2026-12-01T08:00:00Z\"")?.into(),
        };
        let secrets = text(object, "secret")?.map(str::to_owned).into_iter().chain(list(object, "secrets")?.unwrap_or_default());
        let Some(Value::Object(request)) = object.get("request") else { return Err("request: expected an object".into()) };
        let within = |e: String| format!("request.{e}");
        let body = match (text(request, "body").map_err(within)?, text(request, "body_b64").map_err(within)?) {
            (Some(_), Some(_)) => return Err("request: expected body or body_b64, not both".into()),
            (None, Some(coded)) => STANDARD.decode(coded).map_err(|_| "request.body_b64: expected base64")?,
            (plain, None) => plain.unwrap_or_default().as_bytes().to_vec(),
        };
        Ok(Self {
            name: Value::from(text(object, "name")?),
            asks,
            scheme,
            secrets: secrets.map(SecretValue::new).collect(),
            now,
            method: text(request, "method").map_err(within)?.unwrap_or("POST").to_owned(),
            url: text(request, "url").map_err(within)?.unwrap_or_default().to_owned(),
            headers: headers(request)?,
            body,
            allowed: list(request, "allowed_origins").map_err(within)?,
            seen: list(object, "seen_ids")?.unwrap_or_default(),
        })
    }

    fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }

    fn judged(&self) -> Judged<'_> {
        let seen = |id: &MessageId| self.seen.iter().any(|s| is_spelled(s, id));
        let verdict = webhook::verify(&self.scheme, &self.secrets, &self.request(), self.now, &seen);
        Judged { name: &self.name, valid: verdict.valid, reason: verdict.reason }
    }

    fn answered(&self) -> Answered<'_> {
        let answer = webhook::handshake(&self.scheme, &self.secrets, &self.request(), self.allowed.as_deref(), self.now);
        // It asks nothing: taken as any message is.
        let answer = answer.unwrap_or_else(|| {
            let judged = self.judged();
            let taken = judged.valid || judged.reason == Some(Reason::ReplayedId);
            Handshake { status: if taken { 200 } else { 401 }, ..Handshake::default() }
        });
        let headers = answer.headers.into_iter().collect();
        Answered { name: &self.name, status: answer.status, content_type: answer.content_type, headers, body: answer.body }
    }
}

/// Whether a text of `seen_ids` is this id. There, source and id may be joined by anything short, or the id stands alone.
fn is_spelled(text: &str, id: &MessageId) -> bool {
    let Some(source) = &id.source else { return text == id.id };
    let between = text.strip_prefix(source.as_str()).and_then(|rest| rest.strip_suffix(id.id.as_str()));
    text == id.id || between.is_some_and(|b| b.len() <= 2 && !b.bytes().any(|b| b.is_ascii_alphanumeric()))
}

fn text<'o>(object: &'o Map<String, Value>, key: &str) -> Result<Option<&'o str>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key}: expected a text")),
    }
}

fn list(object: &Map<String, Value>, key: &str) -> Result<Option<Vec<String>>, String> {
    let wrong = || format!("{key}: expected an array of texts");
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(all)) => all.iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(wrong)).collect::<Result<_, _>>().map(Some),
        Some(_) => Err(wrong()),
    }
}

fn strings(object: &Map<String, Value>, key: &str) -> Result<BTreeMap<String, String>, String> {
    let wrong = || format!("{key}: expected an object of texts");
    let Some(Value::Object(all)) = object.get(key) else { return Err(wrong()) };
    all.iter().map(|(k, v)| Ok((k.clone(), v.as_str().ok_or_else(wrong)?.to_owned()))).collect()
}

/// A header's value is a text, or an array of the texts of repeated lines.
fn headers(request: &Map<String, Value>) -> Result<Headers, String> {
    let wrong = || "request.headers: expected an object of texts, or of arrays of texts".to_owned();
    let mut headers = Headers::default();
    let all = match request.get("headers") {
        None | Some(Value::Null) => return Ok(headers),
        Some(Value::Object(all)) => all,
        Some(_) => return Err(wrong()),
    };
    for (name, value) in all {
        match value {
            Value::String(line) => headers.add(name, line.as_bytes()),
            Value::Array(lines) => {
                for line in lines {
                    headers.add(name, line.as_str().ok_or_else(wrong)?.as_bytes());
                }
            }
            Value::Null => {}
            _ => return Err(wrong()),
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_700_000_000_000);

    #[test]
    fn lines_that_can_not_be_read_say_what_was_expected_and_repeat_nothing() {
        let canary = "c4naryc4nary";
        let ok = r#""kind":"verify","scheme":"github""#;
        for (line, said) in [
            ("{".to_owned(), "expected JSON; EOF"),
            (format!("[\"{canary}\"]"), "expected a JSON object"),
            (format!("{{\"secret\":\"{canary}"), "expected JSON; EOF while parsing a string at column"),
            (format!("{{\"kind\":\"{canary}\"}}"), "kind: expected \"verify\" or"),
            (format!("{{\"kind\":\"verify\",\"scheme\":\"{canary}\"}}"), "scheme: expected one of standard-webhooks, svix"),
            (r#"{"kind":"verify","scheme":"githob"}"#.into(), "did you mean \"github\"?"),
            (r#"{"kind":"verify"}"#.into(), "scheme: expected one of"),
            (r#"{"kind":"verify","scheme":"generic"}"#.into(), "template: expected an object"),
            (format!("{{{ok},\"secret\":[\"{canary}\"]}}"), "secret: expected a text"),
            (format!("{{{ok},\"secrets\":\"{canary}\"}}"), "secrets: expected an array of texts"),
            (format!("{{{ok},\"secrets\":[1]}}"), "secrets: expected an array of texts"),
            (format!("{{{ok},\"now\":\"{canary}\"}}"), "now: expected a time"),
            (format!("{{{ok}}}"), "request: expected an object"),
            (format!("{{{ok},\"request\":{{\"body\":1}}}}"), "request.body: expected a text"),
            (format!("{{{ok},\"request\":{{\"body_b64\":\"{canary}!\"}}}}"), "request.body_b64: expected base64"),
            (format!("{{{ok},\"request\":{{\"body\":\"\",\"body_b64\":\"\"}}}}"), "expected body or body_b64"),
            (format!("{{{ok},\"request\":{{\"headers\":{{\"a\":1}}}}}}"), "request.headers: expected an object of texts"),
        ] {
            let why = answer(line.as_bytes(), NOW).unwrap_err();
            assert!(why.contains(said) && !why.contains("c4nary"), "{line}: {why}");
        }
        for nothing in ["", "  \n", "[", "]\n"] {
            assert_eq!(answer(nothing.as_bytes(), NOW), Ok(None), "{nothing:?}");
        }
    }

    #[test]
    fn the_agreed_shapes() {
        let line = r#"{"kind":"verify","scheme":"github","name":"a","secret":"x","request":{"headers":{}}},"#;
        let printed = |line: &str| answer(line.as_bytes(), NOW).unwrap().unwrap();
        assert_eq!(printed(line), r#"{"name":"a","valid":false,"reason":"missing_header"}"#);
        let line = r#"{"kind":"handshake","scheme":"okta","request":{"method":"GET","headers":{"x-okta-verification-challenge":"c"}}}"#;
        assert_eq!(
            printed(line),
            r#"{"name":null,"status":200,"content_type":"application/json","headers":{},"body":"{\"verification\":\"c\"}"}"#
        );
        let line = r#"{"kind":"handshake","scheme":"github","name":"ping","secret":"x","request":{"headers":{}}}"#;
        assert_eq!(printed(line), r#"{"name":"ping","status":401,"content_type":null,"headers":{},"body":null}"#);
    }

    #[test]
    fn spellings_of_a_source_and_an_id() {
        let id = MessageId { source: Some("/a".into()), id: "1".into() };
        for (text, same) in
            [("1", true), ("/a1", true), ("/a 1", true), ("/a|1", true), ("/a/1", true), ("/ab1", false), ("/b 1", false), ("/a 11", false)]
        {
            assert_eq!(is_spelled(text, &id), same, "{text}");
        }
    }
}
