//! The parameters of a key (RFC 7518 6, RFC 8037): read as tolerantly as the laxest client does, so that one fault is one finding, with how they
//! are written wrongly and how strong they are.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, EcdsaVerificationAlgorithm,
    ParsedPublicKey,
};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::names;
use crate::fields::bounded;
use crate::finding::jwks::{FMT_02, STR_01};
use crate::finding::{Finding, Level, Severity};

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
    pub(super) octets: usize,
}

pub(super) const CURVES: [Curve; 4] = [
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

/// How a key's parameters are written wrongly.
#[derive(Default)]
pub(super) struct Wrong {
    pub(super) fail: Vec<String>,
    pub(super) warn: Vec<String>,
}

impl Wrong {
    pub(super) fn told(self, label: &str, found: &mut Vec<Finding>) {
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

pub(super) fn rsa(raw: &Map<String, Value>, label: &str, wrong: &mut Wrong, found: &mut Vec<Finding>) -> Option<Material> {
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

pub(super) fn ec(
    raw: &Map<String, Value>,
    crv: Option<&str>,
    label: &str,
    wrong: &mut Wrong,
    found: &mut Vec<Finding>,
) -> Option<Material> {
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

pub(super) fn okp(
    raw: &Map<String, Value>,
    crv: Option<&str>,
    label: &str,
    wrong: &mut Wrong,
    found: &mut Vec<Finding>,
) -> Option<Material> {
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
