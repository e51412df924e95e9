//! What a certificate or a bare key in metadata says: dates, strength, fingerprints. Lenient about everything else, because SAML peers are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_HASH_SHA1, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSASSAPSS,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::clock::UnixMs;
use crate::hex;

/// RSA with MD5, RSA with SHA-1, DSA with SHA-1, ECDSA with SHA-1.
const OLD_SIGNATURES: [&str; 4] = ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10040.4.3", "1.2.840.10045.4.1"];

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// SHA-256 of its SubjectPublicKeyInfo, in hex: the same for every certificate of the key.
    pub id: String,
    /// Its SubjectPublicKeyInfo, DER.
    pub(super) spki: Vec<u8>,
    strength: Strength,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    Rsa(usize),
    /// A curve that is accepted.
    Curve,
    OtherCurve,
    Other,
}

impl PublicKey {
    /// Reads the SubjectPublicKeyInfo of any key.
    fn read(info: &SubjectPublicKeyInfo<'_>) -> Self {
        let curve = || info.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
        let strength = match info.parsed() {
            Ok(Parsed::RSA(rsa)) => Strength::Rsa(significant_bits(rsa.modulus)),
            _ if info.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => match curve() {
                Some(c) if [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521].contains(&c) => Strength::Curve,
                _ => Strength::OtherCurve,
            },
            _ => Strength::Other,
        };
        Self { id: hex::sha256(info.raw), spki: info.raw.to_vec(), strength }
    }

    /// An RSA key from its modulus and exponent, as `ds:RSAKeyValue` has them.
    pub(super) fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let spki = rsa_spki(modulus, exponent);
        let (_, info) = SubjectPublicKeyInfo::from_der(&spki).ok()?;
        Some(Self::read(&info))
    }

    /// Why the key is too weak.
    pub(super) fn weakness(&self) -> Option<String> {
        match self.strength {
            Strength::Rsa(bits) if bits < 2048 => Some(format!("RSA with {bits} bits")),
            Strength::OtherCurve => Some("EC on another curve than P-256, P-384 or P-521".into()),
            Strength::Other => Some("neither RSA nor EC".into()),
            Strength::Rsa(_) | Strength::Curve => None,
        }
    }
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its first moment.
    pub not_before: UnixMs,
    /// Its last moment.
    pub not_after: UnixMs,
    /// SHA-256 of it, in hex.
    pub sha256: String,
    /// Its key.
    pub key: PublicKey,
    /// It is itself signed with MD5 or SHA-1.
    pub(super) old_signature: bool,
}

impl Certificate {
    /// Reads one certificate, DER, with nothing behind it.
    pub fn from_der(der: &[u8]) -> Result<Self, &'static str> {
        let (rest, read) = X509Certificate::from_der(der).map_err(|_| "it is not a certificate in DER")?;
        if !rest.is_empty() {
            return Err("there is more behind the certificate");
        }
        let at = |seconds: i64| UnixMs(seconds.saturating_mul(1000));
        let algorithm = &read.signature_algorithm;
        // PSS names its hash inside; SHA-1 is what it means without.
        let old_pss = algorithm.algorithm == OID_PKCS1_RSASSAPSS
            && algorithm.parameters.as_ref().is_none_or(|p| {
                p.data.is_empty() || p.data.windows(7).any(|w| w == [&[6, 5][..], OID_HASH_SHA1.as_bytes()].concat().as_slice())
            });
        Ok(Self {
            not_before: at(read.validity().not_before.timestamp()),
            not_after: at(read.validity().not_after.timestamp()),
            sha256: hex::sha256(der),
            key: PublicKey::read(read.public_key()),
            old_signature: OLD_SIGNATURES.contains(&algorithm.algorithm.to_id_string().as_str()) || old_pss,
        })
    }

    /// Reads the text of a `ds:X509Certificate`: base64, white space allowed.
    pub(super) fn from_text(text: &str) -> Result<Self, &'static str> {
        let clean = without_space(text);
        if clean.is_empty() {
            return Err("it is empty");
        }
        if clean.starts_with("-----BEGIN") {
            return Err("it has PEM header lines");
        }
        let der = STANDARD.decode(clean).map_err(|_| "it is not base64")?;
        Self::from_der(&der)
    }

    /// The first digits of the fingerprint, for people to tell certificates apart.
    pub(super) fn short(&self) -> &str {
        self.sha256.get(..8).unwrap_or(&self.sha256)
    }
}

/// The bytes of a base64 text, white space allowed.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(without_space(text)).ok()
}

fn without_space(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')).collect()
}

fn significant_bits(number: &[u8]) -> usize {
    let number = without_zeros(number);
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|b| **b == 0).count()..]
}

/// DER of the SubjectPublicKeyInfo of an RSA key.
fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let number = without_zeros(number);
        let sign = number.first().is_none_or(|b| *b >= 0x80).then_some(0);
        der(2, &[sign.as_slice(), number].concat())
    };
    let key = der(0x30, &[integer(modulus), integer(exponent)].concat());
    // rsaEncryption, NULL
    let algorithm = der(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1][..], &[5, 0]].concat());
    der(0x30, &[algorithm, der(3, &[&[0], key.as_slice()].concat())].concat())
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let length = without_zeros(&length);
    let mut out = vec![tag];
    match contents.len() {
        short @ 0..0x80 => out.extend(u8::try_from(short)),
        _ => {
            out.extend(u8::try_from(0x80 | length.len()));
            out.extend(length);
        }
    }
    out.extend(contents);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_and_its_key_alone_have_one_id() {
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        let der = rcgen::CertificateParams::new(vec!["idp.example.com".into()]).unwrap().self_signed(&key).unwrap().der().to_vec();
        let read = Certificate::from_der(&der).unwrap();
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let Ok(Parsed::RSA(rsa)) = parsed.public_key().parsed() else { panic!("an RSA key") };
        assert_eq!(PublicKey::from_rsa(rsa.modulus, rsa.exponent), Some(read.key.clone()));
        assert_eq!((read.key.weakness(), read.old_signature), (None, false));
        assert_eq!(PublicKey::from_rsa(&[0xf0; 128], &[1, 0, 1]).unwrap().weakness().as_deref(), Some("RSA with 1024 bits"));
        let text = STANDARD.encode(&der);
        let spaced = format!("\n\t{} \r\n{}\n", &text[..64], &text[64..]);
        assert_eq!(Certificate::from_text(&spaced).as_ref(), Ok(&read));
        assert_eq!(Certificate::from_der(&[der.as_slice(), &[0]].concat()).err(), Some("there is more behind the certificate"));
    }

    #[test]
    fn what_is_no_certificate() {
        for (text, why) in [
            (" \n", "it is empty"),
            ("-----BEGIN CERTIFICATE-----\nMIIC", "it has PEM header lines"),
            ("MIIC*", "it is not base64"),
            ("MIIC", "it is not a certificate in DER"),
        ] {
            assert_eq!(Certificate::from_text(text).err(), Some(why));
        }
    }
}
