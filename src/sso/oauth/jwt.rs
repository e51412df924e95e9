//! A token that is a JWT, verified against a key set: by aws-lc-rs directly, with the algorithm the key allows and never the one the token wishes.
//!
//! Claims are compared and never shown: they are personal data.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::UnixMs;
use crate::fields::bounded;
use crate::finding::oauth::{TOK_03, TOK_06};
use crate::finding::oidc::{ALG_01, ALG_02, CLK_01, ISS_01};
use crate::finding::{Finding, Level, jwks};
use crate::outcome::Class;
use crate::sso::identifier::difference;
use crate::sso::json;
use crate::sso::jwks::{Key, KeySet, Material};

/// Bytes of a token at most.
const MOST_BYTES: usize = 16 << 10;
/// Seconds by which `iat` and `nbf` may be ahead: none told, then warned of, then a failure.
const WARN_S: i64 = 60;
const FAIL_S: i64 = 180;

/// What a token must be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// `iss`, byte for byte.
    pub issuer: Option<&'a str>,
    /// One of `aud`.
    pub audience: Option<&'a str>,
    /// The only algorithm the client takes.
    pub pinned_alg: Option<&'a str>,
}

/// Verifies a token. Without findings it is well.
pub fn verified(token: &str, keys: &KeySet, wanted: &Wanted<'_>, at: UnixMs) -> Vec<Finding> {
    let unreadable = |why: &str| vec![TOK_03.found(format!("the token {why}"))];
    if token.len() > MOST_BYTES {
        return unreadable("is larger than 16 KiB");
    }
    let parts: Vec<&str> = token.split('.').take(6).collect();
    let [head, body, signature] = parts[..] else {
        return unreadable(if parts.len() == 5 { "is encrypted (JWE)" } else { "is not a JWT" });
    };
    let (Some(header), Some(claims)) = (object(head), object(body)) else { return unreadable("is not a JWT of JSON in base64url") };
    let Some(alg) = header.get("alg").and_then(Value::as_str) else { return unreadable("names no algorithm") };
    if alg.eq_ignore_ascii_case("none") {
        return vec![signed_badly(ALG_02.found("the token is not signed (alg none)"))];
    }
    if header.contains_key("crit") {
        return unreadable("has critical header members (crit) that we do not know");
    }
    if let Some(pinned) = wanted.pinned_alg.filter(|p| *p != alg) {
        let words = format!("the token is signed by {}, pinned is {}", bounded(alg, 20), bounded(pinned, 20));
        return vec![ALG_01.found(words).at(Level::Fail)];
    }
    let kid = header.get("kid").and_then(Value::as_str);
    let fitting: Vec<&Key> = keys.keys.iter().filter(|k| k.fits(alg) && (kid.is_none() || k.kid.as_deref() == kid)).collect();
    if fitting.is_empty() {
        let named = kid.map(|k| format!(" and kid \"{}\"", bounded(k, 60))).unwrap_or_default();
        return vec![jwks::ALG_01.found(format!("the set has no key for a token with alg {}{named}", bounded(alg, 20)))];
    }
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return unreadable("has a signature that is not base64url") };
    let signed = &token.as_bytes()[..head.len() + 1 + body.len()];
    if !fitting.iter().any(|key| holds(key, alg, signed, &signature)) {
        return vec![signed_badly(TOK_03.found("the token's signature does not verify under the key it names"))];
    }
    judged(&claims, wanted, at)
}

fn signed_badly(finding: Finding) -> Finding {
    Finding { class: Class::Signature, ..finding }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    match json::read(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()? {
        json::Document { value: Value::Object(all), twice, .. } if twice.is_empty() => Some(all),
        _ => None,
    }
}

/// Whether the signature is this key's, by this algorithm.
fn holds(key: &Key, alg: &str, signed: &[u8], signature: &[u8]) -> bool {
    match &key.material {
        Some(Material::Rsa { n, e }) => {
            let by: &RsaParameters = match alg {
                "RS256" => &RSA_PKCS1_2048_8192_SHA256,
                "RS384" => &RSA_PKCS1_2048_8192_SHA384,
                "RS512" => &RSA_PKCS1_2048_8192_SHA512,
                "PS256" => &RSA_PSS_2048_8192_SHA256,
                "PS384" => &RSA_PSS_2048_8192_SHA384,
                "PS512" => &RSA_PSS_2048_8192_SHA512,
                _ => return false,
            };
            RsaPublicKeyComponents { n, e }.verify(by, signed, signature).is_ok()
        }
        Some(Material::Ec { point, .. }) => {
            let by: &'static dyn VerificationAlgorithm = match alg {
                "ES256" => &ECDSA_P256_SHA256_FIXED,
                "ES384" => &ECDSA_P384_SHA384_FIXED,
                "ES512" => &ECDSA_P521_SHA512_FIXED,
                "ES256K" => &ECDSA_P256K1_SHA256_FIXED,
                _ => return false,
            };
            UnparsedPublicKey::new(by, point).verify(signed, signature).is_ok()
        }
        Some(Material::Okp { crv: "Ed25519", x }) => UnparsedPublicKey::new(&ED25519, x).verify(signed, signature).is_ok(),
        Some(Material::Okp { .. }) | None => false,
    }
}

/// Judges the claims of a token whose signature holds.
fn judged(claims: &Map<String, Value>, wanted: &Wanted<'_>, at: UnixMs) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(issuer) = wanted.issuer {
        let said = claims.get("iss").and_then(Value::as_str);
        if said != Some(issuer) {
            let differs = said.and_then(|s| difference(issuer, s)).map(|d| format!("; they differ {d}")).unwrap_or_default();
            let said = said.map_or_else(|| "missing".to_owned(), |s| format!("\"{}\"", bounded(s, 60)));
            found.push(ISS_01.found(format!("the token's iss is {said}, configured \"{}\"{differs}", bounded(issuer, 60))));
        }
    }
    let mut short = Vec::new();
    if let Some(audience) = wanted.audience {
        let meant = match claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(all)) => all.iter().any(|a| a.as_str() == Some(audience)),
            _ => false,
        };
        if !meant {
            short.push(format!("the token is not meant for {}", bounded(audience, 60)));
        }
    }
    let now = at.0.div_euclid(1000);
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|s| s as i64);
    match time("exp") {
        None => short.push("the token has no exp".into()),
        Some(exp) if exp <= now => short.push(format!("the token is over since {} s", now.saturating_sub(exp))),
        Some(_) => {}
    }
    if !short.is_empty() {
        found.push(TOK_06.found(short.join("; ")));
    }
    let ahead = ["iat", "nbf"].iter().filter_map(|name| Some((time(name)?.saturating_sub(now), *name))).max();
    if let Some((ahead, name)) = ahead.filter(|(ahead, _)| *ahead >= WARN_S) {
        let finding = CLK_01.found(format!("the token's {name} is {ahead} s ahead"));
        found.push(if ahead >= FAIL_S { finding } else { finding.at(Level::Warn) });
    }
    found
}
