//! Secrets that a message presents instead of signing with them: a static header, Microsoft Graph's `clientState`, a bearer token. Such a message proves no
//! more than that its sender once saw the secret.

use std::borrow::Cow;

use serde::Deserialize;

use super::form;
use super::key::{equal, sha256};
use super::message::{MessageId, Request};
use super::verify::Reason;
use crate::secret::SecretValue;

/// Which of the secrets equals the text. All are compared; the time tells neither where they differ nor how long they are.
pub(super) fn which(secrets: &[SecretValue], text: &[u8]) -> Result<usize, Reason> {
    let hash = sha256(text);
    let mut found = None;
    for (n, secret) in secrets.iter().enumerate() {
        let known = !secret.expose().trim().is_empty();
        if equal(&sha256(secret.expose().as_bytes()), &hash) && known && found.is_none() {
            found = Some(n);
        }
    }
    found.ok_or(Reason::BadSignature)
}

#[derive(Deserialize)]
struct Notifications<'b> {
    #[serde(borrow)]
    value: Vec<Item<'b>>,
}

#[derive(Deserialize)]
struct Item<'b> {
    #[serde(rename = "clientState", borrow)]
    state: Option<Cow<'b, str>>,
}

/// How many items Microsoft Graph sent; `None` if the body is of another kind.
pub(super) fn states(body: &[u8]) -> Option<usize> {
    serde_json::from_slice::<Notifications<'_>>(body).ok().map(|n| n.value.len())
}

/// Microsoft Graph: every item holds the secret. No items prove nothing.
pub(super) fn client_state(secrets: &[SecretValue], body: &[u8]) -> Result<usize, Reason> {
    let items: Notifications<'_> = serde_json::from_slice(body).map_err(|_| Reason::BadSignature)?;
    let mut found = Err(Reason::BadSignature);
    for item in &items.value {
        found = Ok(which(secrets, item.state.as_deref().unwrap_or_default().as_bytes())?);
    }
    found
}

const ATTRIBUTES: [&str; 4] = ["ce-id", "ce-source", "ce-specversion", "ce-type"];

/// CloudEvents: a bearer token in the header, or `access_token` in the query. An event in binary mode has all its attributes.
pub(super) fn bearer(secrets: &[SecretValue], request: &Request<'_>) -> Result<usize, Reason> {
    if request.headers.any_begins("ce-") {
        ATTRIBUTES.iter().try_for_each(|name| request.headers.one(name).map(drop))?;
    }
    let in_query = || form::in_query(request.url, "access_token");
    match request.headers.one("authorization") {
        Ok(value) => {
            let end = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
            let (scheme, token) = value.split_at(end);
            match in_query() {
                _ if scheme.eq_ignore_ascii_case(b"bearer") => which(secrets, token.trim_ascii()),
                Some(token) => which(secrets, &token),
                None => Err(Reason::NoSupportedSignature),
            }
        }
        Err(Reason::MissingHeader) => which(secrets, &in_query().ok_or(Reason::MissingHeader)?),
        Err(other) => Err(other),
    }
}

/// What names an event: its source and its id, from the headers or the body.
pub(super) fn event_id(request: &Request<'_>) -> Option<MessageId> {
    #[derive(Deserialize)]
    struct Event {
        source: String,
        id: String,
    }
    let header = |name| request.headers.one(name).ok().map(|v| String::from_utf8_lossy(v).into_owned());
    match (header("ce-source"), header("ce-id")) {
        (Some(source), Some(id)) => Some(MessageId { source: Some(source), id }),
        _ => serde_json::from_slice(request.body).ok().map(|e: Event| MessageId { source: Some(e.source), id: e.id }),
    }
}
