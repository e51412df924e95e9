//! The fingerprint of what is judged of one integration: a versioned hash, and a short hash of each key, so that a change can be named.
//!
//! Made from the words of `config::judged`; compared with what was recorded when the soak began. Holds no value of the configuration, only hashes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hex;

/// Stands before the hash. A change of what the words mean, or of how they are hashed, needs another.
const VERSION: &str = "1";

/// What is judged, hashed. Shared: the configuration, the evidence log and the running soak of a daemon hold one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Arc<Whole>);

/// What is judged, hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Whole {
    /// `1:` and 64 hex digits: SHA-256 over all keys and values.
    fingerprint: Box<str>,
    /// Each key (`check.list-orders.http.url`) with the hash of its values.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    parts: Parts,
    /// Keys that name a file nobody could read when this was made. Their part says nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unread: BTreeSet<String>,
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Whole::deserialize(d).map(|whole| Self(Arc::new(whole)))
    }
}

impl JsonSchema for Fingerprint {
    fn schema_name() -> Cow<'static, str> {
        "Fingerprint".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Whole::json_schema(generator)
    }
}

/// Each key with the first 8 bytes of the SHA-256 of its values, as JSON 16 hex digits; sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    keys: Arc<Keys>,
    hashes: Box<[u64]>,
}

/// Keys, one after the other in one text: there are some twenty of each check.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Keys {
    text: Box<str>,
    /// Where each ends.
    ends: Box<[usize]>,
}

/// Lists of keys, of those that are alike one: integrations of one kind differ in the values only.
#[derive(Debug, Default)]
pub struct KeyLists(HashSet<Arc<Keys>>);

impl KeyLists {
    fn parts(&mut self, sorted: &[(&str, u64)]) -> Parts {
        let text: String = sorted.iter().map(|(key, _)| *key).collect();
        let ends = sorted.iter().scan(0, |end, (key, _)| {
            *end += key.len();
            Some(*end)
        });
        let keys = Keys { text: text.into(), ends: ends.collect() };
        let keys = self.0.get(&keys).cloned().unwrap_or_else(|| {
            let keys = Arc::new(keys);
            self.0.insert(Arc::clone(&keys));
            keys
        });
        Parts { keys, hashes: sorted.iter().map(|(_, hash)| *hash).collect() }
    }
}

impl Parts {
    fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let starts = std::iter::once(&0).chain(&self.keys.ends);
        let keys = starts.zip(&self.keys.ends).map(|(start, end)| self.keys.text.get(*start..*end).unwrap_or_default());
        keys.zip(self.hashes.iter().copied())
    }
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.iter().map(|(key, hash)| (key, format!("{hash:016x}"))))
    }
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let hash = |text: &str| Some(text).filter(|t| t.len() == 16).and_then(|t| u64::from_str_radix(t, 16).ok());
        let written = BTreeMap::<String, String>::deserialize(d)?;
        let all: Option<Vec<_>> = written.iter().map(|(key, text)| Some((key.as_str(), hash(text)?))).collect();
        all.map(|all| KeyLists::default().parts(&all)).ok_or_else(|| D::Error::custom("expected 16 hex digits for each key"))
    }
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
    /// Of these keys, each with its values in one fixed order; `None`: the file it names can't be read. `lists`: of the keys of others.
    pub fn of<'m>(keys: impl Iterator<Item = (&'m str, Option<String>)>, lists: &mut KeyLists) -> Self {
        let mut whole = format!("soakwatch fingerprint {VERSION}\n");
        let (mut parts, mut unread) = (Vec::new(), BTreeSet::new());
        let sorted: BTreeMap<&str, Option<String>> = keys.collect();
        for (key, value) in sorted {
            let value = value.unwrap_or_else(|| {
                unread.insert(key.to_owned());
                "unread".to_owned()
            });
            // Lengths first, so that no value can pass for a key.
            whole.push_str(&format!("{}:{key}{}:{value}", key.len(), value.len()));
            parts.push((key, sha256(&value).iter().take(8).fold(0, |n, b| (n << 8) | u64::from(*b))));
        }
        Self(Arc::new(Whole {
            fingerprint: format!("{VERSION}:{}", hex::sha256(whole.as_bytes())).into(),
            parts: lists.parts(&parts),
            unread,
        }))
    }

    /// `1:` and 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0.fingerprint
    }

    /// What differs between this, which is in force, and what was recorded.
    pub fn since(&self, recorded: &Self) -> Change {
        let unread: BTreeSet<&str> = self.0.unread.iter().chain(&recorded.0.unread).map(String::as_str).collect();
        if self.as_str() == recorded.as_str() && unread.is_empty() {
            return Change::None;
        }
        let (now, then): (BTreeMap<_, _>, BTreeMap<_, _>) = (self.0.parts.iter().collect(), recorded.0.parts.iter().collect());
        let keys: BTreeSet<&str> = now.keys().chain(then.keys()).copied().collect();
        let differs = |key: &&&str| now.get(**key) != then.get(**key) && !unread.contains(**key);
        let changed: Vec<String> = keys.iter().filter(differs).map(ToString::to_string).collect();
        match (changed.is_empty(), unread.is_empty()) {
            (true, false) => Change::Unsure(unread.into_iter().map(str::to_owned).collect()),
            _ => Change::Some(changed),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn sha256(text: &str) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[(&str, Option<&str>)]) -> Fingerprint {
        Fingerprint::of(keys.iter().map(|(k, v)| (*k, v.map(str::to_owned))), &mut KeyLists::default())
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
    fn lists_of_keys_that_are_alike_are_held_once() {
        let mut lists = KeyLists::default();
        let mut of = |keys: &[(&'static str, &str)]| Fingerprint::of(keys.iter().map(|(k, v)| (*k, Some((*v).to_owned()))), &mut lists);
        let (one, same, other) = (of(&[("a", "1"), ("bc", "2")]), of(&[("bc", "3"), ("a", "4")]), of(&[("ab", "1"), ("c", "2")]));
        assert!(Arc::ptr_eq(&one.0.parts.keys, &same.0.parts.keys));
        assert_eq!(one.since(&same), Change::Some(vec!["a".into(), "bc".into()]));
        assert_eq!(one.since(&other), Change::Some(vec!["a".into(), "ab".into(), "bc".into(), "c".into()]), "the same letters");
    }

    #[test]
    fn another_version_is_another_fingerprint() {
        let mut old = of(&[("a", Some("1"))]);
        let whole = Arc::make_mut(&mut old.0);
        whole.fingerprint = whole.fingerprint.replacen("1:", "0:", 1).into();
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
        for bad in ["2cc1", "2cc1c371db104ebx", ""] {
            assert!(serde_json::from_str::<Fingerprint>(&json.replace("2cc1c371db104eb5", bad)).is_err(), "{bad}");
        }
    }
}
