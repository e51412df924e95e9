//! One key of a set: what it says of itself, and what it can be used for.
//!
//! Never holds a private member: it reads only the public ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::agreement::disagreements;
use super::names::{self, Work};
use super::parameters::{Material, Wrong, ec, okp, rsa};
use crate::fields::bounded;
use crate::finding::Finding;
use crate::finding::jwks::USE_02;
use crate::sso::kept::hash;

/// A public key of a set.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// What it is called in findings: `keys[0] (kid "a")`.
    pub(crate) label: String,
    pub(crate) kty: String,
    pub(crate) crv: Option<String>,
    /// `kid`, when it is a text that is not empty.
    pub(crate) kid: Option<String>,
    /// `use`.
    pub(crate) used: Option<String>,
    pub(crate) alg: Option<String>,
    pub(crate) ops: Option<Vec<String>>,
    /// Nothing when a parameter is missing or unreadable.
    pub(crate) material: Option<Material>,
}

impl Key {
    /// Whether signatures may be checked with it: `use` is sig, or absent and nothing else says that it encrypts.
    pub(crate) fn signs(&self) -> bool {
        match self.used.as_deref() {
            Some(used) => used == "sig",
            None => !self.encrypts(),
        }
    }

    /// Whether it is for encryption: by `use`, or without one by algorithm, operations or curve.
    pub(crate) fn encrypts(&self) -> bool {
        if let Some(used) = &self.used {
            return used == "enc";
        }
        let by_alg = self.alg.as_deref().and_then(names::algorithm).map(|a| a.work == Work::Encrypt);
        let by_curve = self.crv.as_deref().is_some_and(|c| names::AGREEMENT.contains(&c));
        let by_ops = self.ops.as_ref().is_some_and(|ops| !ops.is_empty() && ops.iter().all(|o| names::op(o) == Some(Work::Encrypt)));
        by_curve || by_alg.unwrap_or(by_ops)
    }

    /// RFC 7638: the same key has the same thumbprint, however it is written.
    pub(crate) fn thumbprint(&self) -> Option<String> {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let text = match self.material.as_ref()? {
            Material::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, b64(e), b64(n)),
            Material::Ec { curve, point } => {
                let (x, y) = point.get(1..)?.split_at_checked(curve.octets)?;
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name, b64(x), b64(y))
            }
            Material::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{}"}}"#, b64(x)),
        };
        Some(hash(text.as_bytes()))
    }

    /// Whether a signature by this algorithm may have been made with it.
    pub(crate) fn fits(&self, alg: &str) -> bool {
        let same = |own: &str| own == alg || (own == "EdDSA" && alg == "Ed25519") || (own == "Ed25519" && alg == "EdDSA");
        self.signs()
            && self.material.is_some()
            && self.alg.as_deref().is_none_or(same)
            && names::algorithm(alg).is_some_and(|a| a.fits(&self.kty, self.crv.as_deref()))
    }
}

/// What one element of `keys` turned out to be.
pub(super) enum Read {
    /// A key that is judged.
    Key(Box<Key>),
    /// A kind of key that this version does not know: left alone.
    Unknown,
    /// A symmetric key: JWKS-PRIV-01's.
    Symmetric,
    /// It does not say what it is.
    Nameless,
}

/// Reads one key and says what is wrong with how it is written and how strong it is.
pub(super) fn read(place: usize, raw: &Map<String, Value>, found: &mut Vec<Finding>) -> Read {
    let text = |name: &str| raw.get(name).and_then(Value::as_str).map(str::to_owned);
    let kid = text("kid").filter(|k| !k.is_empty());
    let label = match &kid {
        Some(kid) => format!("keys[{place}] (kid \"{}\")", bounded(kid, 44)),
        None => format!("keys[{place}]"),
    };
    let mut wrong = Wrong::default();
    for name in ["kid", "use", "alg", "crv", "kty"] {
        if raw.get(name).is_some_and(|v| !v.is_string() && !v.is_null()) {
            wrong.fail.push(format!("{name} is not a text"));
        }
    }
    let Some(kty) = text("kty") else {
        if wrong.fail.is_empty() {
            let other = raw.keys().find(|k| k.eq_ignore_ascii_case("kty")).map(|k| format!(" (it has {})", bounded(k, 3)));
            wrong.fail.push(format!("kty is missing{}", other.unwrap_or_default()));
        }
        wrong.told(&label, found);
        return Read::Nameless;
    };
    let misspelt = ["RSA", "EC", "OKP", "oct"].iter().find(|k| **k != kty && k.eq_ignore_ascii_case(&kty));
    if let Some(right) = misspelt {
        wrong.fail.push(format!("kty is \"{}\", not \"{right}\"", bounded(&kty, 3)));
        wrong.told(&label, found);
        return Read::Nameless;
    }
    let crv = text("crv");
    let material = match kty.as_str() {
        "RSA" => rsa(raw, &label, &mut wrong, found),
        "EC" => ec(raw, crv.as_deref(), &label, &mut wrong, found),
        "OKP" => okp(raw, crv.as_deref(), &label, &mut wrong, found),
        "oct" => return Read::Symmetric,
        _ => return Read::Unknown,
    };
    let ops = match raw.get("key_ops") {
        None | Some(Value::Null) => None,
        Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
            Some(all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Some(_) => {
            wrong.fail.push("key_ops is not an array of texts".into());
            None
        }
    };
    wrong.told(&label, found);
    let key = Key { label, kty, crv, kid, used: text("use"), alg: text("alg"), ops, material };
    let disagree = disagreements(&key);
    if !disagree.is_empty() {
        found.push(USE_02.found(format!("{}: {}", key.label, disagree.join("; "))));
    }
    Read::Key(Box::new(key))
}
