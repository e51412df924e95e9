//! Client assertions (private_key_jwt): making and signing one, and whether a server can accept it. Never reads a clock, draws no random
//! numbers, keeps no key longer than its caller.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::clock::UnixMs;
use crate::fields::bounded;
use crate::finding::oauth::ASR_01;
use crate::finding::{Finding, Level, Party};
use crate::sso::identifier::difference;

/// Seconds an assertion may be ahead at most (5 minutes).
const LONGEST_S: i64 = 300;
/// Offsets of clocks, in seconds: from the one it is told, from the other it fails.
const WARN_S: u64 = 60;
const FAIL_S: u64 = 180;

/// What an assertion says.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// Issuer and subject.
    pub client_id: String,
    /// The audience: the issuer or the token endpoint.
    pub audience: String,
    /// When it is made.
    pub at: UnixMs,
    /// How long it lives, in seconds.
    pub life_s: u32,
    /// Used once and never again.
    pub jti: String,
}

impl Assertion {
    /// The claims.
    pub fn claims(&self) -> Value {
        let now = self.at.0.div_euclid(1000);
        json!({
            "iss": self.client_id, "sub": self.client_id, "aud": self.audience, "jti": self.jti, "iat": now,
            "exp": now.saturating_add(i64::from(self.life_s)),
        })
    }
}

/// A key that signs assertions.
pub enum SigningKey {
    /// RS256.
    Rsa(Box<RsaKeyPair>),
    /// PS256.
    RsaPss(Box<RsaKeyPair>),
    /// ES256.
    P256(Box<EcdsaKeyPair>),
    /// ES384.
    P384(Box<EcdsaKeyPair>),
    /// EdDSA.
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.alg())
    }
}

impl SigningKey {
    /// What is expected of a key in PEM form.
    pub const EXPECTED: &'static str =
        "expected a private key in PEM form, PKCS#8 (BEGIN PRIVATE KEY) without a password: RSA from 2048 bits, P-256, P-384 or Ed25519";
    /// Every algorithm there is a key for.
    pub const ALGORITHMS: [&'static str; 5] = ["RS256", "PS256", "ES256", "ES384", "EdDSA"];

    /// The key that signs by this algorithm; as it is where none is said.
    pub fn by(self, alg: Option<&str>) -> Result<Self, &'static str> {
        match (self, alg) {
            (Self::Rsa(key), Some("PS256")) => Ok(Self::RsaPss(key)),
            (key, alg) if alg.is_none_or(|a| a == key.alg()) => Ok(key),
            (key, Some(alg)) => Err(match (key.alg(), alg) {
                ("RS256", _) => "it is an RSA key, which can't sign by the alg that is written (RSA: RS256 or PS256)",
                ("ES256", _) => "it is a P-256 key, which can't sign by the alg that is written (P-256: ES256)",
                ("ES384", _) => "it is a P-384 key, which can't sign by the alg that is written (P-384: ES384)",
                _ => "it is an Ed25519 key, which can't sign by the alg that is written (Ed25519: EdDSA)",
            }),
            (_, None) => Err("it is of another kind than alg asks for"),
        }
    }

    /// A private key in PKCS#8 (DER).
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, &'static str> {
        let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(|k| Self::Rsa(Box::new(k)));
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok().map(|k| Self::P256(Box::new(k)));
        let p384 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der).ok().map(|k| Self::P384(Box::new(k)));
        let ed = || Ed25519KeyPair::from_pkcs8(der).ok().map(|k| Self::Ed25519(Box::new(k)));
        rsa().or_else(p256).or_else(p384).or_else(ed).ok_or_else(|| not_taken(der))
    }

    /// The same in PEM form. An error says what it is instead, and nothing of what it holds.
    pub fn from_pem(text: &str) -> Result<Self, &'static str> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes());
        Self::from_pkcs8(key.map_err(|_| instead_of_a_key(text))?.secret_pkcs8_der())
    }

    /// The algorithm it signs by.
    pub fn alg(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::RsaPss(_) => "PS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// The claims as a signed JWT.
    pub fn sign(&self, claims: &Value, kid: Option<&str>) -> Result<String, &'static str> {
        let mut header = json!({ "alg": self.alg(), "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let random = SystemRandom::new();
        let failed = |_| "the key can't sign";
        let signature = match self {
            Self::Rsa(key) | Self::RsaPss(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let padding: &dyn RsaEncoding = if matches!(self, Self::Rsa(_)) { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                key.sign(padding, &random, text.as_bytes(), &mut signature).map_err(failed)?;
                signature
            }
            Self::P256(key) | Self::P384(key) => key.sign(&random, text.as_bytes()).map_err(failed)?.as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(text.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Why a key in PKCS#8 is not taken, by the kind of key it says it is.
fn not_taken(der: &[u8]) -> &'static str {
    // rsaEncryption and id-ecPublicKey as they stand near the beginning; and what the shortest RSA key of 2048 bits takes up in any case.
    const RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    const ELLIPTIC: [u8; 9] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const SHORTEST_RSA: usize = 1100;
    let says = |oid: &[u8]| der.get(..der.len().min(40)).is_some_and(|head| head.windows(oid.len()).any(|w| w == oid));
    if says(&RSA) && der.len() < SHORTEST_RSA {
        "it is an RSA key of fewer than 2048 bits"
    } else if says(&RSA) {
        "it is an RSA key that can't be used"
    } else if says(&ELLIPTIC) {
        "it is a key on another curve than P-256 and P-384"
    } else {
        "it is a key of a kind that is not known here"
    }
}

/// What stands where a private key in PKCS#8 is to stand, by its first line.
fn instead_of_a_key(text: &str) -> &'static str {
    let label = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")).map(|(label, _)| label);
    match label {
        Some("PRIVATE KEY") => "it is damaged: what stands between its first and its last line is no PEM",
        Some("ENCRYPTED PRIVATE KEY") => "it is locked with a password",
        Some("RSA PRIVATE KEY") => "it is a key in PKCS#1 (BEGIN RSA PRIVATE KEY); openssl pkcs8 -topk8 -nocrypt makes PKCS#8 of it",
        Some("EC PRIVATE KEY" | "EC PARAMETERS") => {
            "it is a key in SEC1 (BEGIN EC PRIVATE KEY); openssl pkcs8 -topk8 -nocrypt makes PKCS#8 of it"
        }
        Some("PUBLIC KEY" | "RSA PUBLIC KEY") => "it is a public key, which can't sign",
        Some("CERTIFICATE") => "it is a certificate, which can't sign",
        Some(_) => "it is PEM of another kind",
        None => "it is not PEM",
    }
}

/// What a server accepts.
#[derive(Clone, Debug)]
pub struct Accepted<'a> {
    /// The client's id.
    pub client_id: &'a str,
    /// The issuer, if known.
    pub issuer: Option<&'a str>,
    /// The token endpoint.
    pub token_endpoint: &'a str,
    /// Every `jti` used before.
    pub used: &'a BTreeSet<String>,
    /// The server's clock against ours in seconds, positive when it is ahead.
    pub clock_offset_s: Option<i64>,
}

/// Judges the claims of an assertion that is to be sent at this time.
pub fn judged(claims: &Value, accepted: &Accepted<'_>, at: UnixMs) -> Vec<Finding> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let mut wrong = Vec::new();
    for name in ["iss", "sub"] {
        if text(name) != Some(accepted.client_id) {
            wrong.push(format!("{name} is not the client id"));
        }
    }
    wrong.extend(audience(claims, accepted));
    let theirs = at.0.div_euclid(1000).saturating_add(accepted.clock_offset_s.unwrap_or(0));
    match claims.get("exp").and_then(Value::as_i64) {
        None => wrong.push("exp is missing".into()),
        Some(exp) if exp <= theirs => wrong.push(format!("exp is {} s past by the server's clock", theirs.saturating_sub(exp))),
        Some(exp) if exp.saturating_sub(theirs) > LONGEST_S => {
            wrong.push(format!("exp is {} s ahead, more than {LONGEST_S}", exp.saturating_sub(theirs)));
        }
        Some(_) => {}
    }
    match text("jti") {
        None | Some("") => wrong.push("jti is missing".into()),
        Some(jti) if accepted.used.contains(jti) => wrong.push("jti was used before".into()),
        Some(_) => {}
    }
    let mut found: Vec<Finding> = (!wrong.is_empty()).then(|| ASR_01.found(wrong.join("; "))).into_iter().collect();
    if let Some(offset) = accepted.clock_offset_s.filter(|o| o.unsigned_abs() >= WARN_S) {
        let finding = ASR_01.found(format!("the server's clock differs by {offset} s")).for_party(Party::CustomerIdp);
        found.push(if offset.unsigned_abs() >= FAIL_S { finding } else { finding.at(Level::Warn) });
    }
    found
}

/// The finding for an assertion of ours that is well and that the server refused with `invalid_client`.
pub fn refused(kid: Option<&str>) -> Finding {
    let kid = kid.map(|k| format!(" (kid \"{}\")", bounded(k, 44))).unwrap_or_default();
    ASR_01.found(format!("the assertion is well formed and was refused with invalid_client: is the key{kid} registered there?"))
}

fn audience(claims: &Value, accepted: &Accepted<'_>) -> Option<String> {
    let all: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => return Some("aud is missing".into()),
    };
    let known: Vec<&str> = accepted.issuer.into_iter().chain([accepted.token_endpoint]).collect();
    if all.iter().any(|a| known.contains(a)) {
        return None;
    }
    let near = all.iter().find_map(|a| known.iter().find_map(|k| difference(k, a)));
    Some(format!("aud is neither the issuer nor the token endpoint{}", near.map(|d| format!("; they differ {d}")).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_to_sign_with_is_told_by_what_it_is() {
        let pem = |label: &str| format!("-----BEGIN {label}-----\nc2VjcmV0IGtleQ==\n-----END {label}-----\n");
        for (label, why) in [
            ("PUBLIC KEY", "a public key"),
            ("RSA PRIVATE KEY", "PKCS#1"),
            ("EC PRIVATE KEY", "SEC1"),
            ("ENCRYPTED PRIVATE KEY", "a password"),
            ("CERTIFICATE", "a certificate"),
            ("DH PARAMETERS", "another kind"),
            ("PRIVATE KEY", "not known here"),
        ] {
            let said = SigningKey::from_pem(&pem(label)).unwrap_err();
            assert!(said.contains(why) && !said.contains("secret key"), "{label}: {said}");
        }
        assert_eq!(SigningKey::from_pem("hunter2").unwrap_err(), "it is not PEM");
        assert!(SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\n!!!").unwrap_err().contains("damaged"));
        let rsa = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        assert!(SigningKey::from_pkcs8(&[&[0x30, 0x82, 1, 1][..], &rsa].concat()).unwrap_err().contains("fewer than 2048 bits"));
        let secp256k1 = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
        assert!(SigningKey::from_pkcs8(&secp256k1).unwrap_err().contains("another curve"));
    }
}
