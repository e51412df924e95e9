//! `ETag` and `If-None-Match` for JSON that is read: who polls gets 304 and no body while nothing has changed. Says nothing to caches: answers stay out of
//! them.

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::api::Problem;
use crate::hex;

/// Keys whose times say only when an answer was made. Two answers that differ in nothing else say the same.
const ASKED_AT: [&str; 2] = ["\"now\":\"", "\"as_of\":\""];

/// Bodies up to here are hashed where they are: a fraction of a millisecond.
const AT_ONCE: usize = 64 << 10;

/// The middleware around all handlers.
pub(super) async fn tagged(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known: Vec<HeaderValue> = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    let response = next.run(request).await;
    let json = |h: &HeaderMap| h.get(header::CONTENT_TYPE).is_some_and(|v| v == "application/json");
    if !reads || response.status() != StatusCode::OK || !json(response.headers()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // It is in memory already, in one piece: handlers make JSON whole.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return Problem::ours("the answer could not be made").into_response() };
    // Large ones are hashed beside the runtime's threads.
    let tag = if bytes.len() <= AT_ONCE {
        tag(&bytes)
    } else {
        let again = bytes.clone();
        let Ok(tag) = tokio::task::spawn_blocking(move || tag(&again)).await else {
            return Problem::ours("the answer could not be made").into_response();
        };
        tag
    };
    let matches = known.iter().filter_map(|v| v.to_str().ok()).any(|v| matches(v, &tag));
    if let Ok(value) = HeaderValue::try_from(tag) {
        head.headers.insert(header::ETAG, value);
    }
    if !matches {
        return Response::from_parts(head, Body::from(bytes));
    }
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::empty())
}

/// The tag of a body: weak where a time in it was passed over, else strong.
fn tag(body: &[u8]) -> String {
    let mut hash = Context::new(&SHA256);
    let (mut rest, mut weak) = (body, false);
    while let Some((key, at)) = next_time(rest) {
        let (before, time) = rest.split_at(at + key.len());
        hash.update(before);
        let end = time.iter().position(|b| *b == b'"').unwrap_or(time.len());
        rest = time.get(end..).unwrap_or_default();
        weak = true;
    }
    hash.update(rest);
    let digest = hash.finish();
    let text = hex::encode(&digest.as_ref()[..16]);
    if weak { format!("W/\"{text}\"") } else { format!("\"{text}\"") }
}

/// The first of [`ASKED_AT`], and where it stands.
fn next_time(body: &[u8]) -> Option<(&'static str, usize)> {
    let mut from = 0;
    loop {
        let quote = from + body.get(from..)?.iter().position(|b| *b == b'"')?;
        let here = body.get(quote..)?;
        // Inside a text a quote has a backslash before it, so no text looks like a key.
        let escaped = quote > 0 && body.get(quote - 1) == Some(&b'\\');
        if let Some(key) = ASKED_AT.iter().find(|k| !escaped && here.starts_with(k.as_bytes())) {
            return Some((key, quote));
        }
        from = quote + 1;
    }
}

/// Whether an `If-None-Match` names a tag, or anything. Weak and strong compare alike (RFC 9110, 13.1.2).
fn matches(value: &str, tag: &str) -> bool {
    let opaque = |t: &str| t.trim().strip_prefix("W/").unwrap_or(t.trim()).to_owned();
    value.split(',').any(|t| t.trim() == "*" || opaque(t) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_it_was_asked_for_makes_no_difference_and_all_else_does() {
        let of = |text: &str| tag(text.as_bytes());
        let one = of(r#"{"now":"2026-01-01T00:00:00Z","soaks":[{"as_of":"x","n":1}]}"#);
        assert!(one.starts_with("W/\""), "{one}");
        assert_eq!(one, of(r#"{"now":"2027-01-01T00:00:00.5Z","soaks":[{"as_of":"yy","n":1}]}"#));
        assert_ne!(one, of(r#"{"now":"2026-01-01T00:00:00Z","soaks":[{"as_of":"x","n":2}]}"#));
        // A text that looks like the key is a text; one that is cut off is no key.
        assert_ne!(of(r#"{"a":"\"now\":\"1\""}"#), of(r#"{"a":"\"now\":\"2\""}"#));
        assert!(of("{\"a\":1}").starts_with('"') && of("{\"now\":\"").starts_with("W/"));
    }

    #[test]
    fn tags_compare_weakly() {
        for (value, yes) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false), ("", false)]
        {
            assert_eq!(matches(value, "W/\"a\""), yes, "{value}");
        }
    }
}
