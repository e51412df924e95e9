//! One key of a set: its parameters, read as tolerantly as the laxest client does so that one fault is one finding, and what is wrong with them.
//!
//! Never holds a private member: it reads only the public ones.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, EcdsaVerificationAlgorithm,
    ParsedPublicKey,
};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::names::{self, Work};
use crate::finding::jwks::{FMT_02, STR_01, USE_02};
use crate::finding::{Finding, Level, Severity};
use crate::observed::bounded;
use crate::sso::kept::hash;

/// base64url as the laxest clients read it.
const LAX: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Public parameters, without zeros in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
    Okp {
        crv: &'static str,
        x: Vec<u8>,
    },
}

/// A curve whose points can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// Octets of a coordinate.
    octets: usize,
}

const CURVES: [Curve; 4] = [
    Curve { name: "P-256", octets: 32 },
    Curve { name: "P-384", octets: 48 },
    Curve { name: "P-521", octets: 66 },
    Curve { name: "secp256k1", octets: 32 },
];

impl Curve {
    fn algorithm(self) -> &'static EcdsaVerificationAlgorithm {
        match self.name {
            "P-256" => &ECDSA_P256_SHA256_FIXED,
            "P-384" => &ECDSA_P384_SHA384_FIXED,
            "P-521" => &ECDSA_P521_SHA512_FIXED,
            _ => &ECDSA_P256K1_SHA256_FIXED,
        }
    }
}

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

/// How a key's parameters are written wrongly.
#[derive(Default)]
struct Wrong {
    fail: Vec<String>,
    warn: Vec<String>,
}

impl Wrong {
    fn told(self, label: &str, found: &mut Vec<Finding>) {
        if !self.fail.is_empty() {
            found.push(FMT_02.found(format!("{label}: {}", self.fail.join("; "))));
        }
        if !self.warn.is_empty() {
            found.push(FMT_02.found(format!("{label}: {}", self.warn.join("; "))).of(Severity::Low).at(Level::Warn));
        }
    }

    /// A parameter's octets.
    fn octets(&mut self, raw: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
        let value = match raw.get(name) {
            None | Some(Value::Null) => {
                self.fail.push(format!("{name} is missing"));
                return None;
            }
            Some(value) => value,
        };
        let Some(text) = value.as_str() else {
            self.fail.push(format!("{name} is not a text"));
            return None;
        };
        if text.is_empty() {
            self.fail.push(format!("{name} is empty"));
            return None;
        }
        let (octets, why) = lax(text);
        match (&octets, why) {
            (_, Some(why)) => self.fail.push(format!("{name} {why}")),
            (Some(_), None) if URL_SAFE_NO_PAD.decode(text).is_err() => self.warn.push(format!("{name} has stray bits at its end")),
            _ => {}
        }
        octets
    }
}

/// What a text holds when it is read without rigour, and what a strict client says of it.
pub(super) fn lax(text: &str) -> (Option<Vec<u8>>, Option<String>) {
    let mut why = Vec::new();
    if text.contains(['+', '/']) {
        why.push("has + or / (base64, not base64url)");
    }
    if text.contains('=') {
        why.push("is padded");
    }
    if text.contains(char::is_whitespace) {
        why.push("holds white space");
    }
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).map(|c| if c == '+' { '-' } else { c }).collect();
    let octets = LAX.decode(plain.replace('/', "_").trim_end_matches('=')).ok();
    if octets.is_none() {
        why = vec!["is not base64url"];
    }
    (octets, (!why.is_empty()).then(|| why.join(", ")))
}

/// An unsigned number's octets without zeros in front; one in front is told, as a warning.
fn number(raw: &Map<String, Value>, name: &str, wrong: &mut Wrong) -> Option<Vec<u8>> {
    let octets = wrong.octets(raw, name)?;
    let zeros = octets.iter().take_while(|o| **o == 0).count();
    if zeros > 0 && octets.len() > 1 {
        wrong.warn.push(format!("{name} has a zero octet in front"));
    }
    Some(octets[zeros..].to_vec())
}

fn rsa(raw: &Map<String, Value>, label: &str, wrong: &mut Wrong, found: &mut Vec<Finding>) -> Option<Material> {
    let (n, e) = (number(raw, "n", wrong), number(raw, "e", wrong));
    let (n, e) = (n?, e?);
    let mut weak = Vec::new();
    let bits = n.len() * 8 - n.first().map_or(0, |o| o.leading_zeros() as usize);
    if bits < 2048 {
        weak.push(format!("RSA with {bits} bits"));
    }
    if n.last().is_none_or(|o| o % 2 == 0) {
        weak.push("the modulus is even".into());
    }
    let exponent = e.iter().try_fold(0u64, |sum, o| sum.checked_mul(256).map(|s| s + u64::from(*o)));
    let mut small = false;
    match exponent {
        Some(3) => small = true,
        Some(x) if x % 2 == 0 => weak.push("the exponent is even".into()),
        Some(x) if x < 65_537 => weak.push(format!("the exponent is {x}")),
        None if e.last().is_some_and(|o| o % 2 == 0) => weak.push("the exponent is even".into()),
        _ => {}
    }
    if !weak.is_empty() {
        found.push(STR_01.found(format!("{label}: {}", weak.join("; "))));
    }
    if small {
        found.push(STR_01.found(format!("{label}: the exponent is 3")).of(Severity::Low).at(Level::Warn));
    }
    Some(Material::Rsa { n, e })
}

fn ec(raw: &Map<String, Value>, crv: Option<&str>, label: &str, wrong: &mut Wrong, found: &mut Vec<Finding>) -> Option<Material> {
    if crv.is_none() && !raw.contains_key("crv") {
        wrong.fail.push("crv is missing".into());
    }
    let (x, y) = (wrong.octets(raw, "x"), wrong.octets(raw, "y"));
    let crv = crv?;
    let Some(curve) = CURVES.into_iter().find(|c| c.name == crv) else {
        // A curve of the other kind is JWKS-USE-02's.
        if !names::OKP.iter().any(|(name, _)| *name == crv) {
            found.push(STR_01.found(format!("{label}: the curve is {}, not P-256 or better", bounded(crv, 40))));
        }
        return None;
    };
    let (mut point, mut whole) = (vec![4], true);
    for (name, octets) in [("x", x?), ("y", y?)] {
        if octets.len() != curve.octets {
            whole = false;
            wrong.fail.push(format!("{name} has {} octets, {} has {}", octets.len(), curve.name, curve.octets));
        }
        let zeros = octets.iter().take_while(|o| **o == 0).count();
        let bare = &octets[zeros..];
        if bare.len() > curve.octets {
            return None;
        }
        point.resize(point.len() + curve.octets - bare.len(), 0);
        point.extend_from_slice(bare);
    }
    if ParsedPublicKey::new(curve.algorithm(), &point).is_err() {
        // Of a coordinate that was cut the length is the cause.
        if whole {
            found.push(STR_01.found(format!("{label}: the point is not on curve {}", curve.name)));
        }
        return None;
    }
    Some(Material::Ec { curve, point })
}

fn okp(raw: &Map<String, Value>, crv: Option<&str>, label: &str, wrong: &mut Wrong, found: &mut Vec<Finding>) -> Option<Material> {
    if crv.is_none() && !raw.contains_key("crv") {
        wrong.fail.push("crv is missing".into());
    }
    let x = wrong.octets(raw, "x");
    let crv = crv?;
    let Some((crv, octets)) = names::OKP.into_iter().find(|(name, _)| *name == crv) else {
        if !CURVES.iter().any(|c| c.name == crv) {
            found.push(STR_01.found(format!("{label}: the curve is {}, not Ed25519", bounded(crv, 40))));
        }
        return None;
    };
    if crv == "Ed448" {
        found.push(STR_01.found(format!("{label}: few libraries know Ed448")).of(Severity::Info).at(Level::Info));
    }
    let x = x?;
    if x.len() != octets {
        wrong.fail.push(format!("x has {} octets, {crv} has {octets}", x.len()));
        return None;
    }
    Some(Material::Okp { crv, x })
}

/// Where use, key_ops, alg, kty and crv do not agree.
fn disagreements(key: &Key) -> Vec<String> {
    let mut wrong = Vec::new();
    let purpose = match key.used.as_deref() {
        Some("sig") => Some(Work::Sign),
        Some("enc") => Some(Work::Encrypt),
        Some(other) => {
            wrong.push(format!("use is \"{}\", not sig or enc", bounded(other, 20)));
            None
        }
        None => None,
    };
    let crv = key.crv.as_deref();
    let of_kind = match key.kty.as_str() {
        "EC" => crv.is_none_or(|c| !names::OKP.iter().any(|(name, _)| *name == c)),
        "OKP" => crv.is_none_or(|c| !CURVES.iter().any(|known| known.name == c)),
        _ => true,
    };
    if !of_kind {
        wrong.push(format!("kty {} has no curve {}", key.kty, bounded(crv.unwrap_or_default(), 20)));
    }
    if purpose == Some(Work::Sign) && crv.is_some_and(|c| names::AGREEMENT.contains(&c)) {
        wrong.push(format!("use is sig, but {} can't sign", crv.unwrap_or_default()));
    }
    let mut by_alg = None;
    if let Some(alg) = &key.alg {
        let shown = bounded(alg, 40);
        match names::algorithm(alg) {
            None => wrong.push(format!("alg \"{shown}\" is not registered for JWS or JWE")),
            Some(known) => {
                by_alg = Some(known.work);
                if of_kind && !known.fits(&key.kty, crv) {
                    wrong.push(format!("alg {shown} does not go with {}", crv.unwrap_or(&key.kty)));
                }
                if purpose.is_some_and(|p| p != known.work) {
                    wrong.push(format!("alg {shown} does not go with use {}", key.used.as_deref().unwrap_or_default()));
                }
            }
        }
    }
    if let Some(ops) = &key.ops {
        let unknown: Vec<String> = ops.iter().filter(|o| names::op(o).is_none()).take(4).map(|o| bounded(o, 20)).collect();
        if !unknown.is_empty() {
            wrong.push(format!("key_ops has unknown {}", unknown.join(", ")));
        }
        let other = |work: Work| ops.iter().filter_map(|o| names::op(o)).any(|w| w != work);
        if purpose.or(by_alg).is_some_and(other) {
            wrong.push("key_ops does not go with use or alg".into());
        }
        if (1..ops.len()).any(|n| ops[..n].contains(&ops[n])) {
            wrong.push("key_ops names an operation twice".into());
        }
    }
    wrong
}
