//! What is answered to a sender that asks, before it sends anything, whether we want its messages.
//!
//! Where the question is signed, the signature is checked first. Zoom's answer is an HMAC under the key of its messages: given to anybody, it would sign
//! forged ones.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;

use super::coding::Encoding;
use super::form;
use super::key::Key;
use super::message::Request;
use super::recipe::{Digest, Recipe};
use super::scheme::{Greeting, Scheme};
use super::verify::verify;
use super::{MAX_BODY, MAX_HEADER};
use crate::clock::UnixMs;
use crate::secret::SecretValue;

/// An answer. Its body may be text that a stranger chose: never send it as HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The status; 401 answers no challenge.
    pub status: u16,
    /// What the body is; `None` without one.
    pub content_type: Option<&'static str>,
    /// Other headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Option<String>,
}

impl Handshake {
    fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn text(body: String) -> Self {
        let headers = vec![("X-Content-Type-Options", "nosniff".to_owned())];
        Self { status: 200, content_type: Some("text/plain"), headers, body: Some(body) }
    }

    fn json(value: &serde_json::Value) -> Self {
        Self { content_type: Some("application/json"), ..Self { status: 200, body: Some(value.to_string()), ..Self::default() } }
    }
}

/// The answer to a question of the scheme's sender; `None` if the request asks none and is a message. `allowed` are the origins that may send
/// CloudEvents; `None` is any.
pub fn handshake(
    scheme: &Scheme,
    secrets: &[SecretValue],
    request: &Request<'_>,
    allowed: Option<&[String]>,
    now: UnixMs,
) -> Option<Handshake> {
    // A larger body is no question: `verify` refuses it.
    if request.body.len() > MAX_BODY {
        return None;
    }
    match scheme.greeting {
        Greeting::None => None,
        Greeting::Okta => (request.method == "GET").then(|| okta(request)),
        Greeting::Graph => {
            let token = form::in_query(request.url, "validationToken").filter(|_| request.method == "POST")?;
            let token = String::from_utf8(token).ok().filter(|t| (1..=MAX_HEADER).contains(&t.len()));
            Some(token.map_or(Handshake::status(400), Handshake::text))
        }
        Greeting::CloudEvents => (request.method == "OPTIONS").then(|| options(request, allowed)),
        Greeting::Slack | Greeting::Zoom | Greeting::Twitch => {
            let question = Question::read(scheme.greeting, request)?;
            // It may come again: an id that was seen is answered again.
            let verdict = verify(scheme, secrets, request, now, &|_| false);
            let secret = verdict.secret.filter(|_| verdict.valid).and_then(|n| secrets.get(n));
            let Some((secret, recipe)) = secret.zip(scheme.recipe()) else { return Some(Handshake::status(401)) };
            Some(question.answer(recipe, secret))
        }
    }
}

/// The part of a body that asks.
#[derive(Default, Deserialize)]
struct Body<'b> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'b, str>>,
    #[serde(borrow)]
    event: Option<Word<'b>>,
    #[serde(borrow)]
    challenge: Option<Cow<'b, str>>,
    #[serde(borrow)]
    payload: Option<Payload<'b>>,
}

/// Slack's `event` is an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word<'b> {
    Text(#[serde(borrow)] Cow<'b, str>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Payload<'b> {
    #[serde(rename = "plainToken", borrow)]
    plain_token: Option<Cow<'b, str>>,
}

/// What is to be answered; `None` where the question lacks its text.
enum Question {
    /// With the text itself.
    Echo(Option<String>),
    /// With the text and its HMAC.
    Prove(Option<String>),
}

impl Question {
    fn read(greeting: Greeting, request: &Request<'_>) -> Option<Self> {
        let body = || serde_json::from_slice::<Body<'_>>(request.body);
        let text = |t: Option<Cow<'_, str>>| t.map(Cow::into_owned).filter(|t| !t.is_empty());
        match greeting {
            Greeting::Slack => {
                let body = body().ok().filter(|b| b.kind.as_deref() == Some("url_verification"))?;
                Some(Self::Echo(text(body.challenge)))
            }
            Greeting::Zoom => {
                let body = body().ok().filter(|b| matches!(&b.event, Some(Word::Text(t)) if t == "endpoint.url_validation"))?;
                Some(Self::Prove(text(body.payload.and_then(|p| p.plain_token))))
            }
            Greeting::Twitch => {
                let kind = request.headers.one("twitch-eventsub-message-type").ok()?;
                (kind == b"webhook_callback_verification").then(|| Self::Echo(text(body().unwrap_or_default().challenge)))
            }
            Greeting::None | Greeting::Okta | Greeting::Graph | Greeting::CloudEvents => None,
        }
    }

    /// The answer to an authentic question.
    fn answer(self, recipe: &Recipe, secret: &SecretValue) -> Handshake {
        match self {
            Self::Echo(Some(text)) => Handshake::text(text),
            Self::Prove(Some(text)) => {
                let key = Key::read(recipe.key, secret).ok();
                let tag = key.and_then(|key| key.tag(Digest::HmacSha256, std::iter::once(Some(text.as_bytes()))));
                let answer = |tag: Vec<u8>| Handshake::json(&json!({ "plainToken": text, "encryptedToken": Encoding::Hex.encode(&tag) }));
                tag.map_or(Handshake::status(401), answer)
            }
            Self::Echo(None) | Self::Prove(None) => Handshake::status(400),
        }
    }
}

/// Asked once, by GET.
fn okta(request: &Request<'_>) -> Handshake {
    let challenge = request.headers.one("x-okta-verification-challenge").ok().and_then(|v| std::str::from_utf8(v).ok());
    challenge.map_or(Handshake::status(400), |value| Handshake::json(&json!({ "verification": value })))
}

/// The abuse protection of CloudEvents: consent is in the headers, not in the status.
fn options(request: &Request<'_>, allowed: Option<&[String]>) -> Handshake {
    let post = ("Allow", "POST".to_owned());
    let header = |name| request.headers.one(name).ok().and_then(|v| std::str::from_utf8(v).ok());
    let Some(origin) = header("webhook-request-origin") else {
        return Handshake { headers: vec![post], ..Handshake::status(400) };
    };
    if allowed.is_some_and(|all| !all.iter().any(|a| a == "*" || a.eq_ignore_ascii_case(origin))) {
        return Handshake { headers: vec![post], ..Handshake::status(405) };
    }
    let mut rates = request.headers.all("webhook-request-rate").peekable();
    // Not asked for: no limit is set. What is no number is granted nothing.
    let rate = match rates.peek() {
        None => Some("*".to_owned()),
        Some(_) => header("webhook-request-rate").filter(|r| *r == "*" || is_rate(r)).map(str::to_owned),
    };
    let Some(rate) = rate else { return Handshake { headers: vec![post], ..Handshake::status(400) } };
    let headers = vec![("WebHook-Allowed-Origin", origin.to_owned()), ("WebHook-Allowed-Rate", rate), post];
    Handshake { headers, ..Handshake::status(200) }
}

/// A positive whole number, requests a minute.
fn is_rate(text: &str) -> bool {
    (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && text.bytes().any(|b| b != b'0')
}
