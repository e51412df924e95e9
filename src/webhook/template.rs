//! A scheme written by hand, for senders that are in no table: an HMAC over a text with placeholders.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::HeaderName;

use super::coding::Encoding;
use super::key::Form;
use super::recipe::{Carrier, Digest, Piece, Recipe, StampAt};
use super::scheme::{Greeting, IdAt, Proof, Scheme};
use super::stamp::Unit;

/// A template, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Scheme);

/// The keys a template knows.
const KEYS: [&str; 10] = [
    "signed",
    "hash",
    "encoding",
    "prefix",
    "signature_header",
    "timestamp_header",
    "timestamp_unit",
    "tolerance_s",
    "id_header",
    "secret",
];
const PLACEHOLDERS: &str = "{id}, {timestamp}, {body}, {method}, {url}";
/// The longest tolerance, in seconds: a day.
const MAX_TOLERANCE_S: u32 = 86_400;
/// A text of a template may have this many bytes, and this many pieces.
const MAX_TEXT: usize = 400;

impl Template {
    /// Reads a template from its keys. The error names the key and what was expected.
    pub fn read(keys: &BTreeMap<String, String>) -> Result<Self, String> {
        if let Some(unknown) = keys.keys().find(|k| !KEYS.contains(&k.as_str())) {
            let short: String = unknown.chars().take(40).collect();
            return Err(format!("{short:?} is not known: expected {}", KEYS.join(", ")));
        }
        if let Some((key, _)) = keys.iter().find(|(_, v)| v.len() > MAX_TEXT) {
            return Err(format!("{key}: expected at most {MAX_TEXT} bytes"));
        }
        let get = |key: &str| keys.get(key).map(String::as_str);
        let header = |key: &str| get(key).map(|v| name(key, v)).transpose();
        let pieces = pieces(get("signed").unwrap_or("{body}")).map_err(|e| format!("signed: {e}"))?;
        let signature = header("signature_header")?.ok_or("signature_header is missing: expected the header the signature stands in")?;
        let (stamp, id) = (header("timestamp_header")?, header("id_header")?);
        for (piece, key, found) in [(Piece::Timestamp, "timestamp_header", &stamp), (Piece::Id, "id_header", &id)] {
            if pieces.contains(&piece) && found.is_none() {
                return Err(format!("{key} is missing: it is signed, so expected the header it stands in"));
            }
        }
        if stamp.is_some() && !pieces.contains(&Piece::Timestamp) {
            return Err("timestamp_header: {timestamp} is not signed, so anybody could change it: expected it in \"signed\"".into());
        }
        let choose = |key: &str, names: &'static [&'static str]| choice(key, get(key), names);
        let recipe = Recipe {
            signature: Cow::Owned(signature),
            carrier: Carrier::Prefixed(Cow::Owned(get("prefix").unwrap_or_default().to_owned())),
            pieces: Cow::Owned(pieces),
            digest: [Digest::HmacSha256, Digest::HmacSha1, Digest::HmacSha512][choose("hash", &["sha256", "sha1", "sha512"])?.min(2)],
            encoding: [Encoding::Hex, Encoding::Base64][choose("encoding", &["hex", "base64"])?.min(1)],
            key: [Form::Text, Form::Base64][choose("secret", &["text", "base64"])?.min(1)],
            stamp: match stamp {
                None => StampAt::Nowhere,
                Some(name) => {
                    let units = [Unit::Seconds, Unit::Milliseconds, Unit::Rfc3339];
                    let unit = choose("timestamp_unit", &["seconds", "milliseconds", "rfc3339"])?;
                    StampAt::Header(Cow::Owned(name), units[unit.min(2)])
                }
            },
            tolerance_s: match get("tolerance_s") {
                None => 300,
                Some(text) => text
                    .parse()
                    .ok()
                    .filter(|s| (1..=MAX_TOLERANCE_S).contains(s))
                    .ok_or_else(|| format!("tolerance_s: expected seconds from 1 to {MAX_TOLERANCE_S}"))?,
            },
        };
        let id = id.map_or(IdAt::Nowhere, |name| IdAt::Header(Cow::Owned(name)));
        let proof = Proof::Signature(Cow::Owned(recipe));
        Ok(Self(Scheme { name: "generic", aliases: &[], proof, id, greeting: Greeting::None }))
    }

    /// The scheme it makes.
    pub fn scheme(&self) -> &Scheme {
        &self.0
    }
}

fn name(key: &str, value: &str) -> Result<String, String> {
    HeaderName::from_bytes(value.as_bytes()).map(|n| n.as_str().to_owned()).map_err(|_| format!("{key}: expected the name of a header"))
}

/// Which of the names it is; the first unless it is said.
fn choice(key: &str, value: Option<&str>, names: &[&str]) -> Result<usize, String> {
    let Some(value) = value else { return Ok(0) };
    names.iter().position(|n| *n == value).ok_or_else(|| format!("{key}: expected {}", names.join(" or ")))
}

/// `{id}.{timestamp}.{body}`; `{{` and `}}` stand for braces.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            literal.push(c);
            rest = after;
            continue;
        }
        if c != '{' && c != '}' {
            literal.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let placeholder = rest.find('}').and_then(|end| rest.split_at_checked(end + 1));
        let (piece, after) = placeholder
            .and_then(|(name, after)| Some((known(name)?, after)))
            .ok_or_else(|| format!("expected {PLACEHOLDERS}, and {{{{ or }}}} for braces"))?;
        if !literal.is_empty() {
            found.push(Piece::Literal(Cow::Owned(std::mem::take(&mut literal))));
        }
        found.push(piece);
        rest = after;
    }
    if !literal.is_empty() {
        found.push(Piece::Literal(Cow::Owned(literal)));
    }
    match found.iter().filter(|p| **p == Piece::Body).count() {
        1 => Ok(found),
        0 => Err("expected {body}: a signature that leaves it out proves nothing of it".into()),
        _ => Err("expected {body} once".into()),
    }
}

fn known(placeholder: &str) -> Option<Piece> {
    Some(match placeholder {
        "{id}" => Piece::Id,
        "{timestamp}" => Piece::Timestamp,
        "{body}" => Piece::Body,
        "{method}" => Piece::Method,
        "{url}" => Piece::Url,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &[(&str, &str)]) -> Result<Template, String> {
        Template::read(&keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (keys, said) in [
            (&[][..], "signature_header is missing"),
            (&[("signature_header", "a b")][..], "signature_header: expected the name of a header"),
            (&[("signature_header", "a"), ("sig", "b")][..], "\"sig\" is not known: expected signed, hash"),
            (&[("signature_header", "a"), ("signed", "{id}.{body}")][..], "id_header is missing"),
            (&[("signature_header", "a"), ("signed", "{timestamp}{body}")][..], "timestamp_header is missing"),
            (&[("signature_header", "a"), ("timestamp_header", "t")][..], "{timestamp} is not signed"),
            (&[("signature_header", "a"), ("signed", "x")][..], "signed: expected {body}: a signature"),
            (&[("signature_header", "a"), ("signed", "{body}{body}")][..], "signed: expected {body} once"),
            (&[("signature_header", "a"), ("signed", "{bdy}")][..], "signed: expected {id}, {timestamp}"),
            (&[("signature_header", "a"), ("signed", "{body}}")][..], "{{ or }} for braces"),
            (&[("signature_header", "a"), ("hash", "md5")][..], "hash: expected sha256 or sha1 or sha512"),
            (&[("signature_header", "a"), ("tolerance_s", "0")][..], "tolerance_s: expected seconds from 1"),
        ] {
            let why = read(keys).unwrap_err();
            assert!(why.contains(said), "{keys:?}: {why}");
        }
        let long = "x".repeat(401);
        assert!(read(&[("signature_header", &long)]).unwrap_err().contains("at most 400"));
    }

    #[test]
    fn placeholders_and_braces() {
        let all = pieces("{{{id}}}.é{timestamp}\u{1f600}{method}{url}{body}").unwrap();
        let literal = |t: &str| Piece::Literal(Cow::Owned(t.to_owned()));
        let expected =
            [literal("{"), Piece::Id, literal("}.é"), Piece::Timestamp, literal("\u{1f600}"), Piece::Method, Piece::Url, Piece::Body];
        assert_eq!(all, expected);
    }
}
