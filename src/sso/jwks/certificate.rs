//! The certificate a key of a set may bring along: whether it is the key's, and whether it is still valid.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::key::Key;
use super::parameters::{Material, lax};
use crate::clock::UnixMs;
use crate::finding::jwks::{FMT_02, X5C_01, X5C_02};
use crate::finding::{Finding, Level, Severity};

/// Certificates of one chain at most.
const MOST_CHAIN: usize = 10;
/// Days before the end from which it is told.
const SOON_DAYS: i64 = 30;

pub(super) fn judged(key: &Key, raw: &Map<String, Value>, at: UnixMs) -> Vec<Finding> {
    let mut found = Vec::new();
    let leaf = match raw.get("x5c") {
        None | Some(Value::Null) => None,
        Some(value) => match leaf(value) {
            Ok((leaf, None)) => Some(leaf),
            Ok((leaf, Some(why))) => {
                found.push(X5C_01.found(format!("{}: {why}", key.label)));
                Some(leaf)
            }
            Err(why) => {
                found.push(X5C_01.found(format!("{}: {why}", key.label)));
                return found;
            }
        },
    };
    let mut wrong = Vec::new();
    for (name, algorithm) in [("x5t", &SHA1_FOR_LEGACY_USE_ONLY), ("x5t#S256", &SHA256)] {
        wrong.extend(thumbprint(name, algorithm, raw, leaf.as_deref(), key, &mut found));
    }
    if let Some(der) = &leaf {
        match X509Certificate::from_der(der) {
            Err(_) => wrong.push("the certificate in x5c can't be read".to_owned()),
            Ok((_, certificate)) => {
                if same_key(key, &certificate) == Some(false) {
                    wrong.push("the certificate in x5c holds another key".to_owned());
                }
                found.extend(validity(key, &certificate, at));
            }
        }
    }
    if !wrong.is_empty() {
        found.push(X5C_01.found(format!("{}: {}", key.label, wrong.join("; "))));
    }
    found
}

/// The first certificate's octets, and what a strict client says of how they are written.
fn leaf(value: &Value) -> Result<(Vec<u8>, Option<&'static str>), &'static str> {
    let Some(all) = value.as_array() else { return Err("x5c is not an array") };
    let texts: Option<Vec<&str>> = all.iter().take(MOST_CHAIN).map(Value::as_str).collect();
    let Some(texts) = texts else { return Err("x5c holds more than texts") };
    let Some(first) = texts.first() else { return Err("x5c is empty") };
    if texts.iter().all(|t| STANDARD.decode(t).is_ok()) {
        return STANDARD.decode(first).map(|der| (der, None)).map_err(|_| "x5c is not base64");
    }
    let (der, _) = lax(first);
    der.map(|der| (der, Some("x5c is not plain base64 (base64url, line breaks or no padding)"))).ok_or("x5c is not base64")
}

/// What is wrong with a thumbprint of the certificate.
fn thumbprint(
    name: &str,
    algorithm: &'static Algorithm,
    raw: &Map<String, Value>,
    leaf: Option<&[u8]>,
    key: &Key,
    found: &mut Vec<Finding>,
) -> Option<String> {
    let value = raw.get(name).filter(|v| !v.is_null())?;
    let (octets, why) = value.as_str().map_or((None, Some("is not a text".to_owned())), lax);
    if let (Some(der), Some(octets)) = (leaf, &octets)
        && digest(algorithm, der).as_ref() != octets.as_slice()
    {
        return Some(format!("{name} is not the certificate's"));
    }
    let right = octets.as_ref().is_some_and(|o| o.len() == algorithm.output_len());
    let why = why.or_else(|| (!right).then(|| format!("is no {}", if name == "x5t" { "SHA-1" } else { "SHA-256" })))?;
    found.push(FMT_02.found(format!("{}: {name} {why}", key.label)));
    None
}

/// Whether the certificate holds this key; nothing when that can't be told.
fn same_key(key: &Key, certificate: &X509Certificate<'_>) -> Option<bool> {
    let info = certificate.public_key();
    let bare = |octets: &[u8]| octets.iter().copied().skip_while(|o| *o == 0).collect::<Vec<u8>>();
    match (key.material.as_ref()?, info.parsed().ok()?) {
        (Material::Rsa { n, e }, PublicKey::RSA(held)) => Some(bare(held.modulus) == *n && bare(held.exponent) == *e),
        (Material::Ec { point, .. }, PublicKey::EC(held)) => match held.data() {
            held if held.first() == Some(&4) => Some(held == point.as_slice()),
            // A compressed point: its x only.
            held => Some(point.get(1..held.len()) == held.get(1..)),
        },
        (Material::Okp { x, .. }, PublicKey::Unknown(held)) => Some(held == x.as_slice()),
        _ => Some(false),
    }
}

fn validity(key: &Key, certificate: &X509Certificate<'_>, at: UnixMs) -> Option<Finding> {
    let time = |seconds: i64| UnixMs(seconds.saturating_mul(1000));
    let ends = time(certificate.validity().not_after.timestamp());
    let begins = time(certificate.validity().not_before.timestamp());
    let days = at.whole_days_until(ends);
    if days < 0 {
        return Some(X5C_02.found(format!("{}: the certificate in x5c ended {ends}, {} days ago", key.label, -days)));
    }
    let near = (days < SOON_DAYS).then(|| format!("{}: the certificate in x5c ends {ends}, in {days} days", key.label));
    let early = (begins > at).then(|| format!("{}: the certificate in x5c is not valid before {begins}", key.label));
    near.or(early).map(|words| X5C_02.found(words).of(Severity::Info).at(Level::Info))
}
