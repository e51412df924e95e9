//! Findings of how a document was fetched, how its endpoints answer and how the clocks stand. What was asked, and when, others know.

use crate::finding::{Finding, saml as rule};
use crate::sso::clock_offset;

use super::endpoints::shown;

/// The document could not be had: no answer, or over a limit.
pub fn unreachable(why: &str) -> Finding {
    rule::GET_01.found(format!("the document could not be fetched: {why}"))
}

/// The document's address answered with another status than 200 (or 304, asked conditionally).
pub fn get_failed(status: u16) -> Option<Finding> {
    (!matches!(status, 200 | 304)).then(|| rule::GET_01.found(format!("the document's address answered {status}")))
}

/// The document's address is not https, its certificate is not acceptable, or a redirect led away from https.
pub fn not_trusted(why: &str) -> Finding {
    rule::GET_02.found(why)
}

/// The body is not XML at all: a log-in page, an error page, JSON. It is enough to see its beginning.
pub fn not_xml(head: &[u8]) -> Option<Finding> {
    // UTF-16 comes with its mark, and is looked at by the parser.
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return None;
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |word: &[u8]| head.get(..word.len()).is_some_and(|h| h.eq_ignore_ascii_case(word));
    let what = match head.first() {
        None => "nothing",
        Some(b'<') if begins(b"<!doctype html") || begins(b"<html") => "an HTML page",
        Some(b'<') => return None,
        Some(b'{' | b'[') => "JSON",
        Some(_) => "something else than XML",
    };
    Some(rule::GET_03.found(format!("the document's address gives {what}")))
}

/// An endpoint's host does not resolve, has no acceptable certificate or gives no answer.
pub fn endpoint_unreachable(location: &str, why: &str) -> Finding {
    rule::EP_04.found(format!("{}: {why}", shown(location)))
}

/// An endpoint answered a GET with a server's error. 400 and 405 are fine: nothing was sent to it.
pub fn endpoint_failed(location: &str, status: u16) -> Option<Finding> {
    (status >= 500).then(|| endpoint_unreachable(location, &format!("a GET was answered with {status}")))
}

/// The peer's clock is off by so many milliseconds.
pub fn clock_off(offset_ms: i64) -> Option<Finding> {
    let side = if offset_ms < 0 { "behind" } else { "ahead" };
    let said = format!("the clock is {} seconds {side} of ours", offset_ms.saturating_abs() / 1000);
    clock_offset::level(offset_ms).map(|level| rule::CLK_01.found(said).at(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_documents() {
        let says = |head: &str| not_xml(head.as_bytes()).map(|f| f.detail);
        for page in ["<!DOCTYPE html><html>", "\n <HTML lang=en>", "{\"error\": 1}", "Not found", ""] {
            assert!(says(page).is_some(), "{page}");
        }
        for xml in ["<?xml version='1.0'?>", "\u{feff}<md:EntityDescriptor", "  <!-- c -->", "<!DOCTYPE md>"] {
            assert_eq!(says(xml), None, "{xml}");
        }
        assert_eq!((get_failed(200), get_failed(304), endpoint_failed("https://a.example.com", 405)), (None, None, None));
    }
}
