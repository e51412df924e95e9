//! Secrets as keys, and the digests made with them. Keys live as long as one call; nothing here prints one.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac};

use super::coding::key_from_base64;
use super::recipe::Digest;
use crate::secret::SecretValue;

/// How a secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Its text is the key.
    Text,
    /// Base64 of the key, with or without `whsec_` before it; `whpk_` and `whsk_` are Ed25519 keys.
    Whsec,
    /// Base64 of the key.
    Base64,
}

/// A key to make or check signatures with.
pub(super) enum Key {
    /// Shared by both sides.
    Shared(Vec<u8>),
    /// Ed25519, the receiver's half.
    Public(Vec<u8>),
    /// Ed25519, the sender's half.
    Private(Box<Ed25519KeyPair>),
}

/// Why a secret is no key. The text never repeats the secret.
pub(super) type NoKey = &'static str;

impl Key {
    /// Reads a secret. Blank ones are refused: with them anybody could sign.
    pub(super) fn read(form: Form, secret: &SecretValue) -> Result<Self, NoKey> {
        let text = secret.expose();
        if text.trim().is_empty() {
            return Err("the secret is empty: expected one that only the sender knows");
        }
        let shared = |bytes: Option<Vec<u8>>| match bytes {
            Some(bytes) if !bytes.is_empty() => Ok(Self::Shared(bytes)),
            _ => Err("the secret is not base64: expected whsec_ and base64 of 24 to 64 bytes, or the base64 alone"),
        };
        match form {
            Form::Text => Ok(Self::Shared(text.as_bytes().to_vec())),
            Form::Base64 => match key_from_base64(text) {
                Some(bytes) if !bytes.is_empty() => Ok(Self::Shared(bytes)),
                _ => Err("the secret is not base64: expected it as its sender shows it"),
            },
            Form::Whsec => match (text.strip_prefix("whpk_"), text.strip_prefix("whsk_")) {
                (Some(public), _) => key_from_base64(public)
                    .filter(|k| k.len() == 32)
                    .map(Self::Public)
                    .ok_or("the public key can't be read: expected whpk_ and base64 of 32 bytes"),
                (_, Some(private)) => key_from_base64(private)
                    .as_deref()
                    .and_then(pair)
                    .ok_or("the private key can't be read: expected whsk_ and base64 of 32 or 64 bytes"),
                _ => shared(key_from_base64(text.strip_prefix("whsec_").unwrap_or(text))),
            },
        }
    }

    /// The digest of these pieces under a shared key. A piece `None` is the secret itself.
    pub(super) fn tag<'p>(&self, digest: Digest, pieces: impl Iterator<Item = Option<&'p [u8]>>) -> Option<Vec<u8>> {
        let Self::Shared(key) = self else { return None };
        Some(tag(digest, key, pieces))
    }

    /// Whether an Ed25519 signature over these bytes is by this key.
    pub(super) fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let public = match self {
            Self::Shared(_) => return false,
            Self::Public(key) => key.as_slice(),
            Self::Private(pair) => pair.public_key().as_ref(),
        };
        UnparsedPublicKey::new(&ED25519, public).verify(text, signature).is_ok()
    }
}

/// From a seed, or from a seed and the public key behind it.
fn pair(bytes: &[u8]) -> Option<Key> {
    let pair = match bytes.split_at_checked(32)? {
        (seed, []) => Ed25519KeyPair::from_seed_unchecked(seed),
        (seed, public) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
    };
    pair.ok().map(|p| Key::Private(Box::new(p)))
}

fn tag<'p>(by: Digest, key: &[u8], pieces: impl Iterator<Item = Option<&'p [u8]>>) -> Vec<u8> {
    let algorithm = match by {
        Digest::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::HmacSha256 => hmac::HMAC_SHA256,
        Digest::HmacSha512 => hmac::HMAC_SHA512,
        Digest::Sha256 => {
            let mut context = digest::Context::new(&digest::SHA256);
            pieces.for_each(|p| context.update(p.unwrap_or(key)));
            return context.finish().as_ref().to_vec();
        }
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    pieces.for_each(|p| context.update(p.unwrap_or(key)));
    context.sign().as_ref().to_vec()
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Whether two texts are equal, in a time that tells nothing of where they differ. Their lengths may show.
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}
