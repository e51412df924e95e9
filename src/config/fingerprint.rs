//! The fingerprint of what is judged of one integration: a versioned hash, and a short hash of each key, so that a change can be named.
//!
//! Made from [`super::judged`]'s words; compared with what was recorded when the soak began. Holds no value of the configuration, only hashes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// Stands before the hash. A change of what the words mean, or of how they are hashed, needs another.
const VERSION: &str = "1";
/// Hex digits of the hash of one key.
const PART: usize = 16;

/// What is judged, hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// `1:` and 64 hex digits: SHA-256 over all keys and values.
    fingerprint: String,
    /// Each key (`check.list-orders.http.url`) with the first 16 hex digits of the SHA-256 of its values.
    #[serde(default)]
    parts: BTreeMap<String, String>,
    /// Keys that name a file nobody could read when this was made. Their part says nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unread: BTreeSet<String>,
}

/// How one fingerprint differs from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// What is judged is the same.
    None,
    /// It differs, in these keys; none are named where the other was made by another version.
    Some(Vec<String>),
    /// Nothing is known to differ, but these keys name files that could not be read.
    Unsure(Vec<String>),
}

impl Fingerprint {
    /// Of these keys, each with its values in one fixed order; `None`: the file it names can't be read.
    pub fn of<'m>(keys: impl Iterator<Item = (&'m str, Option<String>)>) -> Self {
        let mut whole = format!("soakwatch fingerprint {VERSION}\n");
        let (mut parts, mut unread) = (BTreeMap::new(), BTreeSet::new());
        let sorted: BTreeMap<&str, Option<String>> = keys.collect();
        for (key, value) in sorted {
            let value = value.unwrap_or_else(|| {
                unread.insert(key.to_owned());
                "unread".to_owned()
            });
            // Lengths first, so that no value can pass for a key.
            whole.push_str(&format!("{}:{key}{}:{value}", key.len(), value.len()));
            parts.insert(key.to_owned(), sha256(&value).chars().take(PART).collect());
        }
        Self { fingerprint: format!("{VERSION}:{}", sha256(&whole)), parts, unread }
    }

    /// `1:` and 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.fingerprint
    }

    /// What differs between this, which is in force, and what was recorded.
    pub fn since(&self, recorded: &Self) -> Change {
        let unread: BTreeSet<&String> = self.unread.union(&recorded.unread).collect();
        if self.fingerprint == recorded.fingerprint && unread.is_empty() {
            return Change::None;
        }
        let keys: BTreeSet<&String> = self.parts.keys().chain(recorded.parts.keys()).collect();
        let differs = |key: &&&String| self.parts.get(**key) != recorded.parts.get(**key) && !unread.contains(**key);
        let changed: Vec<String> = keys.iter().filter(differs).map(|k| (*k).clone()).collect();
        match (changed.is_empty(), unread.is_empty()) {
            (true, false) => Change::Unsure(unread.into_iter().cloned().collect()),
            _ => Change::Some(changed),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint)
    }
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[(&str, Option<&str>)]) -> Fingerprint {
        Fingerprint::of(keys.iter().map(|(k, v)| (*k, v.map(str::to_owned))))
    }

    #[test]
    fn what_differs_is_named() {
        let one = of(&[("a", Some("1")), ("b", Some("2"))]);
        assert_eq!(one.since(&of(&[("b", Some("2")), ("a", Some("1"))])), Change::None);
        assert_eq!(one.since(&of(&[("a", Some("1")), ("c", Some("2"))])), Change::Some(vec!["b".into(), "c".into()]));
        assert_eq!(one.since(&of(&[("a", Some("2")), ("b", Some("2"))])), Change::Some(vec!["a".into()]));
        // The same letters, put apart otherwise.
        assert_ne!(of(&[("a", Some("1"))]).as_str(), of(&[("a1", Some(""))]).as_str());
    }

    #[test]
    fn a_file_that_can_not_be_read_decides_nothing() {
        let recorded = of(&[("ca", Some("root")), ("url", Some("x"))]);
        let blind = of(&[("ca", None), ("url", Some("x"))]);
        assert_eq!(blind.since(&recorded), Change::Unsure(vec!["ca".into()]));
        assert_eq!(blind.since(&blind), Change::Unsure(vec!["ca".into()]), "two that saw nothing");
        assert_eq!(of(&[("ca", None), ("url", Some("y"))]).since(&recorded), Change::Some(vec!["url".into()]));
    }

    #[test]
    fn another_version_is_another_fingerprint() {
        let mut old = of(&[("a", Some("1"))]);
        old.fingerprint = old.fingerprint.replacen("1:", "0:", 1);
        assert_eq!(of(&[("a", Some("1"))]).since(&old), Change::Some(Vec::new()));
    }

    #[test]
    fn it_is_recorded_as_json_and_never_changes() {
        let one = of(&[("url", Some("[\"https://api.example.com/\"]")), ("ca", None)]);
        let json = serde_json::to_string(&one).unwrap();
        let hash = "1:df515341dc1b542536ce6b443a4097a930dc4577cf34ee2d991d480e104ab692";
        let parts = "{\"ca\":\"2cc1c371db104eb5\",\"url\":\"996c34a7728681da\"}";
        assert_eq!(json, format!("{{\"fingerprint\":\"{hash}\",\"parts\":{parts},\"unread\":[\"ca\"]}}"));
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), one);
    }
}
