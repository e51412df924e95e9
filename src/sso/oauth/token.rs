//! What a token endpoint answers: a token, a refusal of the configured client, a refusal of a client that does not exist.

use serde_json::{Map, Value};

use crate::fields::bounded;
use crate::finding::oauth::{TOK_01, TOK_02, TOK_03, TOK_04, TOK_05, TOK_06};
use crate::finding::{Finding, Level, Severity};
use crate::sso::json;

/// One answer of a token endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Cache-Control`, its lines joined by commas.
    pub cache_control: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// What the client wants of a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Scopes, separated by spaces.
    pub scope: Option<&'a str>,
    /// For how many seconds it is used.
    pub use_s: u64,
    /// The life time of the token that was accepted before, in seconds.
    pub life_before_s: Option<u64>,
}

/// What a success was.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// Every finding.
    pub findings: Vec<Finding>,
    /// The token's life time in seconds, if it was said.
    pub life_s: Option<u64>,
}

/// Errors of RFC 6749 5.2, with what each means for the client.
const ERRORS: [(&str, &str); 6] = [
    ("invalid_request", "the request lacks something the server wants"),
    ("invalid_client", "the secret or key is wrong, ran out or was replaced"),
    ("invalid_grant", "the grant is not valid"),
    ("unauthorized_client", "the client may not use client_credentials"),
    ("unsupported_grant_type", "the server does not offer client_credentials"),
    ("invalid_scope", "the scope is unknown or consent for it is missing"),
];

/// The finding for an endpoint that takes no POST. Whether it was the network is the caller's to say.
pub fn unreachable(why: &str) -> Finding {
    TOK_01.found(bounded(why, 180))
}

/// Judges an answer of status 2xx.
pub fn granted(answer: &Answer<'_>, wanted: &Wanted<'_>) -> Granted {
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    if answer.status != 200 {
        wrong.push(format!("the status is {}, not 200", answer.status));
    }
    let read = object(answer.body);
    let said = match &read {
        Ok(said) => said,
        Err(why) => {
            wrong.push(why.clone());
            return Granted { findings: vec![TOK_03.found(wrong.join("; "))], life_s: None };
        }
    };
    if !is_json(answer.content_type) {
        wrong.push(format!("the content type is {}, not application/json", shown_type(answer.content_type)));
    }
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    match said.get("access_token") {
        Some(Value::String(token)) if !token.is_empty() => {}
        Some(_) => wrong.push("access_token is no text, or empty".into()),
        None => wrong.push("access_token is missing".into()),
    }
    match (said.get("token_type"), text("token_type")) {
        (_, Some(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        (_, Some(kind)) => wrong.push(format!("token_type is \"{}\", not Bearer", bounded(kind, 20))),
        (Some(_), None) => wrong.push("token_type is not a text".into()),
        (None, None) => wrong.push("token_type is missing".into()),
    }
    let life_s = match said.get("expires_in") {
        Some(value) => {
            let seconds = value.as_f64().filter(|s| *s > 0.0);
            if seconds.is_none() {
                wrong.push("expires_in is not a number of seconds".into());
            }
            // A cast of more than fits saturates.
            seconds.map(|s| s as u64)
        }
        None => {
            found.push(TOK_03.found("expires_in is missing: clients guess how long the token lives").of(Severity::Low).at(Level::Warn));
            None
        }
    };
    if !wrong.is_empty() {
        found.push(TOK_03.found(wrong.join("; ")));
    }
    found.extend(no_store(answer.cache_control));
    found.extend(enough(said, life_s, wanted));
    Granted { findings: found, life_s }
}

fn no_store(header: Option<&str>) -> Option<Finding> {
    let says = header.is_some_and(|h| h.split(',').any(|d| d.trim().eq_ignore_ascii_case("no-store")));
    let shown = header.map_or_else(|| "there is no Cache-Control".to_owned(), |h| format!("Cache-Control is \"{}\"", bounded(h, 80)));
    (!says).then(|| TOK_04.found(format!("{shown}; expected no-store")))
}

/// Whether the token does for what the client does with it.
fn enough(said: &Map<String, Value>, life_s: Option<u64>, wanted: &Wanted<'_>) -> Option<Finding> {
    let mut wrong = Vec::new();
    // A scope that is not named is the one that was asked for (RFC 6749 5.1).
    if let (Some(asked), Some(given)) = (wanted.scope, said.get("scope").and_then(Value::as_str)) {
        let given: Vec<&str> = given.split_ascii_whitespace().collect();
        let missing: Vec<String> = asked.split_ascii_whitespace().filter(|s| !given.contains(s)).take(4).map(|s| bounded(s, 40)).collect();
        if !missing.is_empty() {
            wrong.push(format!("scope not granted: {}", missing.join(", ")));
        }
    }
    if let Some(life) = life_s {
        if life < wanted.use_s.saturating_mul(2) {
            wrong.push(format!("the token lives {life} s and is used for {} s", wanted.use_s));
        }
        wrong.extend(wanted.life_before_s.and_then(|before| fell(life, before)));
    }
    (!wrong.is_empty()).then(|| TOK_06.found(wrong.join("; ")))
}

fn fell(life_s: u64, before_s: u64) -> Option<String> {
    (life_s < before_s / 2).then(|| format!("the token lives {life_s} s, before it lived {before_s} s"))
}

/// The finding for tokens that live for less than half as long as those before, in seconds.
pub fn life_fell(life_s: u64, before_s: u64) -> Option<Finding> {
    fell(life_s, before_s).map(|words| TOK_06.found(words))
}

/// Judges a refusal of the configured client. A status of 500 and above, or of throttling, decides nothing.
pub fn refused(answer: &Answer<'_>) -> Option<Finding> {
    if answer.status >= 500 || answer.status == 429 || (200..300).contains(&answer.status) {
        return None;
    }
    let status = answer.status;
    let code = object(answer.body).ok().and_then(|said| said.get("error").and_then(Value::as_str).map(str::to_owned));
    let words = match code {
        Some(code) => match ERRORS.iter().find(|(known, _)| *known == code) {
            Some((known, means)) => format!("answered {status} {known}: {means}"),
            None => format!("answered {status} {}", shown_code(&code)),
        },
        None => format!("answered {status} without an error code"),
    };
    Some(TOK_02.found(words))
}

/// Judges the answer to a client that does not exist.
pub fn wrong_client(answer: &Answer<'_>) -> Option<Finding> {
    // Throttled: it was never looked at.
    if answer.status == 429 {
        return None;
    }
    let mut wrong = Vec::new();
    if !matches!(answer.status, 400 | 401) {
        wrong.push(format!("answered {}, not 400 or 401", answer.status));
    }
    match object(answer.body) {
        Err(why) => wrong.push(why),
        Ok(said) => {
            if !is_json(answer.content_type) {
                wrong.push(format!("the content type is {}, not application/json", shown_type(answer.content_type)));
            }
            match said.get("error").and_then(Value::as_str) {
                None => wrong.push("there is no error code".into()),
                Some(code) if ERRORS.iter().any(|(known, _)| *known == code) => {}
                Some(code) => wrong.push(format!("the error code {} is not one of RFC 6749", shown_code(code))),
            }
        }
    }
    (!wrong.is_empty()).then(|| TOK_05.found(format!("to a client that does not exist: {}", wrong.join("; "))))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, String> {
    match json::read(body) {
        Ok(json::Document { value: Value::Object(said), .. }) => Ok(said),
        Ok(_) => Err("the body is no JSON object".into()),
        Err(why) => Err(format!("the body can't be used: {why}")),
    }
}

/// A server may echo what it was sent; only what looks like a code is shown.
fn shown_code(code: &str) -> String {
    let plain = code.len() <= 40 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { code.to_owned() } else { "with an error code of its own".into() }
}

fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|c| c.split(';').next().unwrap_or(c).trim().eq_ignore_ascii_case("application/json"))
}

fn shown_type(content_type: Option<&str>) -> String {
    content_type.map_or_else(|| "missing".to_owned(), |c| bounded(c, 40))
}
