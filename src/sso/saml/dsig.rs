//! The cryptography of XML signatures by `bergshamra-dsig`: the only file that knows the library. Nothing is trusted but the keys it is given.

use bergshamra_dsig::verify::verify_document_with_source;
use bergshamra_dsig::{DsigContext, VerifyResult};
use bergshamra_keys::KeysManager;
use bergshamra_keys::loader::load_spki_der;
use uppsala::Document;

use super::certificate::PublicKey;
use super::signature::{Check, Checked};

/// The library.
pub(super) struct Library;

impl Check for Library {
    fn check(&self, doc: &Document<'_>, source: &str, keys: &[&PublicKey]) -> Checked {
        let mut manager = KeysManager::new();
        manager.add_keys(keys.iter().filter_map(|k| load_spki_der(&k.spki).ok()));
        // Its defaults: only these keys, strict about where the reference leads, every digest computed here.
        let context = DsigContext::new(manager);
        match verify_document_with_source(&context, doc, Some(source)) {
            Ok(VerifyResult::Valid { signature_node, references, .. }) => match &references[..] {
                [one] if one.digest_verified => Checked::Valid { signature: signature_node, target: one.resolved_node },
                _ => Checked::Refused("not one reference that was computed".into()),
            },
            // The library's words for it; a test holds them.
            Ok(VerifyResult::Invalid { reason }) if reason.starts_with("Reference digest failed") => Checked::DigestDiffers,
            Ok(VerifyResult::Invalid { .. }) => Checked::ValueDiffers,
            Err(e) => refused(&e.to_string(), keys),
        }
    }
}

/// The library tells why only in words. The digest is computed first: whatever it says of keys, the digest was right.
fn refused(said: &str, keys: &[&PublicKey]) -> Checked {
    if said.contains("unsupported") || keys.iter().all(|k| k.weakness().is_some()) {
        Checked::Unsupported
    } else if said.starts_with("key") || said.starts_with("cryptographic error") {
        Checked::ValueDiffers
    } else {
        Checked::Refused(said.to_owned())
    }
}
