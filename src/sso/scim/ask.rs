//! What a check asks a SCIM server, as data: made without a network, judged as an [`Exchange`] once it is answered.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::exchange::{Exchange, Fact, Known, Request};
use super::target::Target;

/// What stays as it is in a path or a query's value.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The token to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Our own.
    Own,
    /// None at all.
    None,
    /// One that was made up.
    Wrong,
}

/// One request to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// What findings call it: plain words, nothing of the directory.
    pub name: &'static str,
    /// GET, POST, PUT, PATCH, DELETE.
    pub method: &'static str,
    /// Path and query behind the base URL, encoded.
    pub target: String,
    /// The body, to be sent as `application/scim+json`.
    pub body: Option<Value>,
    /// The token to send.
    pub token: Token,
    /// What is known about it.
    pub facts: Vec<Fact>,
}

/// The answer, as far as the judge wants it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The status; 0: none came.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body's bytes, already bounded.
    pub body: Vec<u8>,
    /// How long it took.
    pub took: Option<Duration>,
}

impl Ask {
    /// Asks for something.
    pub(super) fn get(name: &'static str, target: impl Into<String>) -> Self {
        Self { name, method: "GET", target: target.into(), body: None, token: Token::Own, facts: Vec::new() }
    }

    /// Sends something.
    pub(super) fn send(name: &'static str, method: &'static str, target: impl Into<String>, body: Value) -> Self {
        Self { method, body: Some(body), ..Self::get(name, target) }
    }

    /// The same with a fact.
    pub(super) fn knowing(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// The same with another token.
    pub(super) fn with(mut self, token: Token) -> Self {
        if token != Token::Own {
            self.facts.push(Fact::NoToken);
        }
        Self { token, ..self }
    }

    /// Whether it asks for what every server shows: an error of the server's own then says that it is in trouble, and nothing of how it keeps to the rules.
    pub fn is_plain(&self) -> bool {
        let odd = self.target.contains("filter=") || matches!(self.name, "page past the end" | "unknown path");
        self.method == "GET" && self.token == Token::Own && self.facts.is_empty() && !odd
    }

    /// The exchange that this request and its answer are.
    pub fn answered(&self, answer: Answer, known: &Known) -> Exchange {
        let read = serde_json::from_slice(&answer.body).ok();
        let body = read.unwrap_or_else(|| Value::String(String::from_utf8_lossy(&answer.body).into_owned()));
        let said = answer.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-type"));
        let content_type = said.map(|(_, v)| v.clone()).unwrap_or_default();
        Exchange {
            name: self.name.to_owned(),
            request: Request {
                method: self.method.to_owned(),
                target: Target::read(&self.target, self.body.as_ref()),
                body: self.body.clone(),
                facts: self.facts.clone(),
            },
            status: answer.status,
            headers: Some(answer.headers),
            content_type,
            body,
            known: known.user_name.clone(),
            known_total: None,
            took: answer.took,
        }
    }
}

/// A text as one segment of a path, or as a query's value.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

/// A query for whom this attribute equals the value.
pub(super) fn by(endpoint: &str, attribute: &str, value: &str) -> String {
    // Quoted as JSON quotes (RFC 7644, 3.4.2.2).
    format!("/{endpoint}?filter={}", encoded(&format!("{attribute} eq {}", Value::from(value))))
}
