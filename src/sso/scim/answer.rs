//! An answer before its content: token, redirect and rate limit, its label (CT), and the form of errors (ERR-01). One cause, one finding: what
//! stops here is not looked into.

use serde_json::Value;

use super::exchange::{Exchange, Fact};
use super::found::Found;
use super::target::Endpoint;
use crate::finding::Level;
use crate::finding::scim::{AUT_01, AUT_02, AUT_03, CT_01, ERR_01, GET_01, RTE_01};

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Judges what comes before the content; false: nothing more is to be said about the exchange.
pub(super) fn admitted(e: &Exchange, found: &mut Found) -> bool {
    let endpoint = e.request.target.endpoint;
    match e.status {
        0 => {
            found.add(&GET_01, &e.name, "no answer came");
            return false;
        }
        429 => {
            if e.header("retry-after").is_none_or(|v| v.trim().is_empty()) {
                found.add(&RTE_01, &e.name, "429 without Retry-After");
            }
            return false;
        }
        _ => {}
    }
    if e.request.is(Fact::NoToken) {
        match e.status {
            401 | 403 => refused(e, found),
            // What describes the server may be public (RFC 7643, 5).
            _ if endpoint.is_discovery() => return true,
            status @ 200..300 => found.add(&AUT_01, &e.name, format!("answered with {status} without a valid token")),
            status => found.add(&AUT_01, &e.name, format!("answered with {status} instead of 401 without a valid token")),
        }
        return false;
    }
    match e.status {
        401 => {
            found.add(&AUT_03, &e.name, "our own token is refused with 401");
            refused(e, found);
            false
        }
        300..=303 | 305..=399 if endpoint != Endpoint::Me => {
            // A path of the same server keeps the header with most clients.
            let near = e.header("location").is_some_and(|l| l.starts_with('/') && !l.starts_with("//"));
            found_at(if near { Level::Warn } else { Level::Fail }, e, found);
            false
        }
        304 => false,
        _ => true,
    }
}

fn found_at(level: Level, e: &Exchange, found: &mut Found) {
    let cause = format!("redirected with {}: clients drop the token", e.status);
    match level {
        Level::Fail => found.add(&GET_01, &e.name, cause),
        _ => found.warn(&GET_01, &e.name, cause),
    }
}

/// A 401 or 403: its header, and that it is no web page. Gateways answer here, so that the rest of its form is not judged.
fn refused(e: &Exchange, found: &mut Found) {
    if e.status == 401 && e.header("www-authenticate").is_none_or(|v| v.trim().is_empty()) {
        found.add(&AUT_02, &e.name, "401 without WWW-Authenticate");
    }
    if e.is_page() {
        found.add(&CT_01, &e.name, format!("{} with a web page instead of a SCIM answer", e.status));
    }
}

/// Judges the label of an answer with a body; false: a web page, which has no content to judge.
pub(super) fn labelled(e: &Exchange, found: &mut Found) -> bool {
    if e.is_page() {
        found.add(&CT_01, &e.name, "a web page instead of a SCIM answer");
        return false;
    }
    if e.is_empty() {
        return true;
    }
    match e.media_type().as_str() {
        "application/scim+json" => {}
        "application/json" => found.warn(&CT_01, &e.name, "application/json instead of application/scim+json"),
        "" => found.warn(&CT_01, &e.name, "no Content-Type"),
        _ => found.add(&CT_01, &e.name, "Content-Type is neither application/scim+json nor JSON"),
    }
    true
}

/// An error whose status is as it should be: its label and its form.
pub(super) fn fine_error(e: &Exchange, found: &mut Found) {
    if e.status < 400 || !labelled(e, found) {
        return;
    }
    // What a gateway says in between has a form of its own.
    if matches!(e.status, 403 | 502..=504) && e.media_type() != "application/scim+json" {
        return;
    }
    let mut wrong = Vec::new();
    match e.object() {
        None => wrong.push("no Error object in the answer".to_owned()),
        Some(object) => {
            if !is_error(e) {
                wrong.push("schemas is not that of an Error".to_owned());
            }
            match object.get("status") {
                None | Some(Value::Null) => wrong.push("status is missing".to_owned()),
                Some(Value::String(status)) if status.trim() == e.status.to_string() => {}
                Some(Value::String(_)) => wrong.push("status is not that of the answer".to_owned()),
                Some(_) => wrong.push("status is not a string".to_owned()),
            }
            if object.get("detail").and_then(Value::as_str).is_none_or(|d| d.trim().is_empty()) {
                wrong.push("detail is missing".to_owned());
            }
        }
    }
    if !wrong.is_empty() {
        found.add(&ERR_01, &e.name, wrong.join(", "));
    }
}

/// Whether the body says that it is an Error.
pub(super) fn is_error(e: &Exchange) -> bool {
    let schemas = e.body.get("schemas").and_then(Value::as_array);
    schemas.is_some_and(|all| all.iter().filter_map(Value::as_str).any(|s| s.eq_ignore_ascii_case(ERROR)))
}

/// The error's keyword.
pub(super) fn scim_type(e: &Exchange) -> Option<&str> {
    e.body.get("scimType").and_then(Value::as_str)
}

/// Our token may not do this: one rule for all requests. False: the status is another.
pub(super) fn forbidden(e: &Exchange, found: &mut Found) -> bool {
    if e.status == 403 {
        found.add(&AUT_03, &e.name, "our own token is refused with 403");
    }
    e.status == 403
}
