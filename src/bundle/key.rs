//! Keys that sign bundles: Ed25519, private keys as PKCS#8, both as PEM, so that OpenSSL makes, reads and checks them too.
//!
//! A private key is a secret: it is read at use, never printed, and stands in no error.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::evidence::Hash;

/// What stands before the 32 bytes of a public key in SubjectPublicKeyInfo (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From PEM, or from 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(Hash(raw)) = Hash::parse(text) {
            return Some(Self(raw));
        }
        let der = unwrap(text, PUBLIC)?;
        der.strip_prefix(&SPKI)?.try_into().ok().map(Self)
    }

    /// The first 16 hex digits of SHA-256 over its 32 bytes.
    pub fn id(&self) -> String {
        Hash::of(&self.0).to_string().chars().take(16).collect()
    }

    /// As PEM.
    pub fn pem(&self) -> String {
        wrap(&[SPKI.as_slice(), &self.0].concat(), PUBLIC)
    }

    /// Whether this key signed these bytes.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// 64 hex digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hash(self.0), f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A key that signs.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

impl SigningKey {
    /// A fresh one. `None`: the system gave no random bytes.
    pub fn fresh() -> Option<Self> {
        Ed25519KeyPair::generate().ok().map(Self)
    }

    /// From PEM. The error never repeats what was read.
    pub fn parse(pem: &str) -> Result<Self, &'static str> {
        let der = unwrap(pem.trim(), PRIVATE).ok_or("expected a private key in PEM form, as soakwatch keygen writes it")?;
        // Without the public key in it, as OpenSSL writes them, nothing can be compared; with it, it must fit.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self).map_err(|_| "expected an Ed25519 private key (PKCS#8)")
    }

    /// As PEM: the secret itself. `None`: a defect of ours.
    pub fn pem(&self) -> Option<String> {
        // Version 1: OpenSSL does not read version 2.
        self.0.to_pkcs8v1().ok().map(|der| wrap(der.as_ref(), PRIVATE))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let mut raw = [0; 32];
        raw.iter_mut().zip(self.0.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        PublicKey(raw)
    }

    /// Signs: 64 bytes, the same ones for the same message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

fn wrap(der: &[u8], label: &str) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn unwrap(pem: &str, label: &str) -> Option<Vec<u8>> {
    let body = pem.strip_prefix(&format!("-----BEGIN {label}-----"))?.strip_suffix(&format!("-----END {label}-----"))?;
    let text: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // openssl genpkey -algorithm ed25519; openssl pkey -pubout; printf abc | openssl pkeyutl -sign -rawin
    const OPENSSL: &str =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHxiFhG1+qloRji7q2ffElI4VP0HzYmb75Kb0fnJMsnF\n-----END PRIVATE KEY-----\n";
    const OPENSSL_PUBLIC: &str =
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA7TJ7tR9EbG3W28W19pKzgDHEug1DWGMkWvO6slIeCGo=\n-----END PUBLIC KEY-----\n";
    const OPENSSL_SIGNATURE: &str = "LlcFecgfItMgf/I+S0MIykhiWX6rUAScfiaN1I1VdZ6l6Qw5D331aLzn+ISbnHX5C/3g03CGynOxRp5yopHYDg==";

    #[test]
    fn keys_of_openssl_are_read_and_sign_alike() {
        let key = SigningKey::parse(OPENSSL).unwrap();
        assert_eq!(key.public().pem(), OPENSSL_PUBLIC);
        assert_eq!(STANDARD.encode(key.sign(b"abc")), OPENSSL_SIGNATURE);
        let public = PublicKey::parse(OPENSSL_PUBLIC).unwrap();
        assert!(public.signed(b"abc", &key.sign(b"abc")) && !public.signed(b"abd", &key.sign(b"abc")));
        assert_eq!(PublicKey::parse(&public.to_string()), Some(public));
        assert_eq!(public.id().len(), 16);
    }

    #[test]
    fn a_fresh_key_comes_back_from_its_text() {
        let key = SigningKey::fresh().unwrap();
        let again = SigningKey::parse(&key.pem().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_ne!(SigningKey::fresh().unwrap().public(), key.public());
        assert!(!format!("{key:?}").contains(&key.pem().unwrap()[30..60]));
    }

    #[test]
    fn other_things_are_refused_without_repeating_them() {
        let rsa = OPENSSL.replace("MC4CAQ", "MC4CAA");
        for bad in ["", "hello secret", &rsa, OPENSSL_PUBLIC, &OPENSSL[..60]] {
            let why = SigningKey::parse(bad).unwrap_err();
            assert!(!why.contains("secret") && why.starts_with("expected"), "{why}");
        }
        for bad in ["", "zz", OPENSSL, &OPENSSL_PUBLIC.replace("MCow", "MCox")] {
            assert_eq!(PublicKey::parse(bad), None, "{bad}");
        }
    }
}
