//! Keys as a provider publishes them, made by the tests themselves.

use std::sync::OnceLock;

use aws_lc_rs::digest::{Algorithm, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use soakwatch::sso::oauth::SigningKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

/// base64url without padding.
pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Sets these members; null takes one away.
pub(crate) fn merge(doc: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { panic!("an object of changes") };
    for (name, value) in changes {
        match value {
            Value::Null => drop(doc.as_object_mut().unwrap().remove(&name)),
            value => doc[name] = value,
        }
    }
}

/// A key pair: the private half in PKCS#8, the public one as a JWK without kid.
pub(crate) struct Pair {
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) jwk: Value,
}

impl Pair {
    /// The public key with these members besides; null takes one away.
    pub(crate) fn with(&self, more: Value) -> Value {
        let mut jwk = self.jwk.clone();
        merge(&mut jwk, more);
        jwk
    }

    pub(crate) fn signing(&self) -> SigningKey {
        SigningKey::from_pkcs8(&self.pkcs8).unwrap()
    }

    /// A certificate for this key, from a year to another (1 January each).
    pub(crate) fn certificate(&self, years: std::ops::Range<i32>) -> Vec<u8> {
        let key = KeyPair::try_from(self.pkcs8.as_slice()).unwrap();
        let mut params = CertificateParams::new(vec!["login.example.com".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        params.self_signed(&key).unwrap().der().to_vec()
    }
}

/// A certificate as x5c has it.
pub(crate) fn x5c(der: &[u8]) -> Value {
    json!([STANDARD.encode(der)])
}

/// A certificate's thumbprint.
pub(crate) fn x5t(algorithm: &'static Algorithm, der: &[u8]) -> String {
    b64(digest(algorithm, der))
}

/// RSA with 2048 bits: two of them, the same in every test.
pub(crate) fn rsa(which: usize) -> &'static Pair {
    static KEYS: [OnceLock<Pair>; 2] = [const { OnceLock::new() }; 2];
    KEYS[which].get_or_init(|| {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut pair = Pair { pkcs8: AsDer::<Pkcs8V1Der>::as_der(&key).unwrap().as_ref().to_vec(), jwk: Value::Null };
        let der = pair.certificate(2020..2040);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let PublicKey::RSA(public) = certificate.public_key().parsed().unwrap() else { panic!("an RSA key") };
        let bare = |n: &[u8]| b64(n.strip_prefix(&[0]).unwrap_or(n));
        pair.jwk = json!({ "kty": "RSA", "n": bare(public.modulus), "e": bare(public.exponent) });
        pair
    })
}

/// EC on P-256, new each time.
pub(crate) fn p256() -> Pair {
    let key = KeyPair::generate().unwrap();
    let (x, y) = key.public_key_raw()[1..].split_at(32);
    Pair { pkcs8: key.serialize_der(), jwk: json!({ "kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y) }) }
}

/// Ed25519, new each time.
pub(crate) fn ed25519() -> Pair {
    let key = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key()) });
    Pair { pkcs8: key.to_pkcs8().unwrap().as_ref().to_vec(), jwk }
}
