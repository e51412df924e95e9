//! `manifest.json`: the files of a bundle with their hashes, and the signature over all of it. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::key::{PublicKey, SigningKey};
use crate::evidence::{Hash, canonical};
use crate::report::Program;

/// What the manifest is written by.
pub const SCHEMA: &str = "soakwatch-manifest/1";
/// Its file.
pub const NAME: &str = "manifest.json";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 over it.
    pub sha256: Hash,
}

/// The manifest. Whole in itself: everything in it but the signature is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// What wrote it.
    pub program: Program,
    /// Whose evidence it is.
    pub customer: String,
    /// Of which environment.
    pub environment: String,
    /// The time it was judged for.
    pub as_of: String,
    /// The other files, sorted by name.
    pub files: Vec<FileEntry>,
    /// The evidence log's chain after its last record.
    pub chain_head: Hash,
    /// How many records it has.
    pub chain_records: u64,
    /// The first 16 hex digits of SHA-256 over the public key; null: not signed.
    pub key_id: Option<String>,
    /// The public key as PEM.
    pub public_key: Option<String>,
    /// Ed25519 over the canonical JSON of the manifest without this key, base64.
    pub signature: Option<String>,
}

impl Manifest {
    /// Signs, where there is a key.
    pub fn signed(mut self, key: Option<&SigningKey>) -> Result<Self, serde_json::Error> {
        let public = key.map(SigningKey::public);
        (self.key_id, self.public_key) = (public.map(|p| p.id()), public.map(|p| p.pem()));
        self.signature = match key {
            Some(key) => Some(STANDARD.encode(key.sign(&self.message()?))),
            None => None,
        };
        Ok(self)
    }

    /// What is signed.
    fn message(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        value.as_object_mut().and_then(|members| members.remove("signature"));
        canonical(&value)
    }

    /// Nobody signed it: it has no part of a signature.
    pub fn is_unsigned(&self) -> bool {
        self.key_id.is_none() && self.public_key.is_none() && self.signature.is_none()
    }

    /// What is wrong with the signature, by this key or else by the one it names itself; `None`: nothing, or there is none and nobody asked.
    pub fn signature_problem(&self, key: Option<&PublicKey>) -> Option<String> {
        let (Some(id), Some(pem), Some(signature)) = (&self.key_id, &self.public_key, &self.signature) else {
            return match (!self.is_unsigned(), key) {
                (true, _) => Some("it has a part of a signature, and not all of it".to_owned()),
                (false, Some(_)) => Some("it is not signed".to_owned()),
                (false, None) => None,
            };
        };
        let Some(named) = PublicKey::parse(pem).filter(|k| k.pem() == *pem) else { return Some("its public key is not one".to_owned()) };
        if named.id() != *id {
            return Some(format!("its key id is {id}, but its public key's is {}", named.id()));
        }
        if let Some(key) = key.filter(|key| **key != named) {
            return Some(format!("it is signed with another key: {id}, not {}", key.id()));
        }
        let bytes = STANDARD.decode(signature).ok().filter(|b| STANDARD.encode(b) == *signature);
        let holds = bytes.zip(self.message().ok()).is_some_and(|(signature, message)| named.signed(&message, &signature));
        (!holds).then(|| "its signature does not hold: something in it was changed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            schema: SCHEMA.to_owned(),
            program: Program::this(),
            customer: "acme".to_owned(),
            environment: "production".to_owned(),
            as_of: "2026-11-30T08:00:00.000Z".to_owned(),
            files: vec![FileEntry { name: "report.md".to_owned(), bytes: 3, sha256: Hash::of(b"abc") }],
            chain_head: Hash::of(b""),
            chain_records: 7,
            key_id: None,
            public_key: None,
            signature: None,
        }
    }

    #[test]
    fn a_signature_holds_for_its_key_and_nothing_else() {
        let (key, other) = (SigningKey::fresh().unwrap(), SigningKey::fresh().unwrap());
        let signed = manifest().signed(Some(&key)).unwrap();
        assert_eq!(signed.signature_problem(None), None);
        assert_eq!(signed.signature_problem(Some(&key.public())), None);
        let said = |m: &Manifest, key: Option<&SigningKey>| m.signature_problem(key.map(SigningKey::public).as_ref()).unwrap_or_default();
        assert!(said(&signed, Some(&other)).contains("another key"));
        assert!(said(&manifest(), Some(&key)).contains("not signed"));
        assert_eq!(manifest().signature_problem(None), None);

        let changed = |f: &dyn Fn(&mut Manifest)| {
            let mut m = signed.clone();
            f(&mut m);
            said(&m, None)
        };
        assert!(changed(&|m| m.files[0].bytes = 4).contains("does not hold"));
        assert!(changed(&|m| m.chain_records = 8).contains("does not hold"));
        assert!(changed(&|m| m.signature = None).contains("a part"));
        assert!(changed(&|m| m.key_id = Some("0".repeat(16))).contains("key id"));
        assert!(changed(&|m| m.public_key = Some("x".to_owned())).contains("not one"));
        assert!(changed(&|m| m.signature = Some(format!("{}=", m.signature.clone().unwrap()))).contains("does not hold"));
        let resigned = Manifest { customer: "zeta".to_owned(), ..signed.clone() }.signed(Some(&other)).unwrap();
        assert_eq!(resigned.signature_problem(None), None, "only who knows the key can tell");
        assert!(said(&resigned, Some(&key)).contains("another key"));
    }
}
