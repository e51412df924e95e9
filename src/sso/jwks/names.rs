//! Names of JOSE (RFC 7518, 8037, 8812, 9864): which algorithm works with which kind of key, which curve belongs to which. Data only.

/// What an algorithm does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Sign,
    Encrypt,
}

/// A registered algorithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Algorithm {
    pub(super) work: Work,
    /// The kinds of key it works with; none: it takes no public key.
    kty: &'static [&'static str],
    /// The curves; empty: any of these kinds.
    crv: &'static [&'static str],
}

impl Algorithm {
    /// Whether a key of this kind and curve fits.
    pub(super) fn fits(&self, kty: &str, crv: Option<&str>) -> bool {
        self.kty.contains(&kty) && (self.crv.is_empty() || crv.is_some_and(|c| self.crv.contains(&c)))
    }
}

/// The curves a key of kind OKP may name, with the length of x in octets.
pub(super) const OKP: [(&str, usize); 4] = [("Ed25519", 32), ("X25519", 32), ("Ed448", 57), ("X448", 56)];
/// Curves that only agree on keys, and never sign.
pub(super) const AGREEMENT: [&str; 2] = ["X25519", "X448"];
/// Operations of `key_ops`, with the use they belong to.
const OPS: [(&str, Work); 8] = [
    ("sign", Work::Sign),
    ("verify", Work::Sign),
    ("encrypt", Work::Encrypt),
    ("decrypt", Work::Encrypt),
    ("wrapKey", Work::Encrypt),
    ("unwrapKey", Work::Encrypt),
    ("deriveKey", Work::Encrypt),
    ("deriveBits", Work::Encrypt),
];

/// What an operation of `key_ops` belongs to.
pub(super) fn op(name: &str) -> Option<Work> {
    OPS.iter().find(|(n, _)| *n == name).map(|(_, w)| *w)
}

/// The algorithm of this name, if it is registered for JWS or JWE.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    use Work::{Encrypt, Sign};
    let (work, kty, crv): (_, &'static [&'static str], &'static [&'static str]) = match name {
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => (Sign, &["RSA"], &[]),
        "ES256" => (Sign, &["EC"], &["P-256"]),
        "ES384" => (Sign, &["EC"], &["P-384"]),
        "ES512" => (Sign, &["EC"], &["P-521"]),
        "ES256K" => (Sign, &["EC"], &["secp256k1"]),
        "EdDSA" => (Sign, &["OKP"], &["Ed25519", "Ed448"]),
        "Ed25519" => (Sign, &["OKP"], &["Ed25519"]),
        "Ed448" => (Sign, &["OKP"], &["Ed448"]),
        "ML-DSA-44" | "ML-DSA-65" | "ML-DSA-87" => (Sign, &["AKP"], &[]),
        "HS256" | "HS384" | "HS512" => (Sign, &["oct"], &[]),
        "none" => (Sign, &[], &[]),
        "RSA1_5" | "RSA-OAEP" | "RSA-OAEP-256" | "RSA-OAEP-384" | "RSA-OAEP-512" => (Encrypt, &["RSA"], &[]),
        "ECDH-ES" | "ECDH-ES+A128KW" | "ECDH-ES+A192KW" | "ECDH-ES+A256KW" => {
            (Encrypt, &["EC", "OKP"], &["P-256", "P-384", "P-521", "X25519", "X448"])
        }
        "dir" | "A128KW" | "A192KW" | "A256KW" | "A128GCMKW" | "A192GCMKW" | "A256GCMKW" | "PBES2-HS256+A128KW" | "PBES2-HS384+A192KW"
        | "PBES2-HS512+A256KW" => (Encrypt, &["oct"], &[]),
        _ => return None,
    };
    Some(Algorithm { work, kty, crv })
}
