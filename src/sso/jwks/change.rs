//! What is kept of an accepted key set, and what a later one changed. Keys are compared by RFC 7638 thumbprint, never by position.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::KeySet;
use crate::fields::bounded;
use crate::finding::Finding;
use crate::finding::jwks::{ROT_01, ROT_02, ROT_03};
use crate::sso::kept::kept;

const MOST_KID: usize = 128;
const MOST_NAME: usize = 16;

/// What is kept of a key set: at most [`super::MOST_KEYS`] keys, at most 64 KiB as JSON, no key itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Every key that could be read, in order of thumbprint and kid.
    pub keys: BTreeSet<Known>,
}

/// One key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Known {
    /// RFC 7638, SHA-256 in base64url.
    pub thumbprint: String,
    /// `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `kty`.
    pub kty: String,
    /// `alg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// Whether signatures may be checked with it.
    pub signs: bool,
}

impl Snapshot {
    pub(super) fn of(set: &KeySet) -> Self {
        let known = |key: &super::Key| {
            Some(Known {
                thumbprint: key.thumbprint()?,
                kid: key.kid.as_deref().map(|k| kept(k, MOST_KID)),
                kty: kept(&key.kty, MOST_NAME),
                alg: key.alg.as_deref().map(|a| kept(a, MOST_NAME)),
                signs: key.signs(),
            })
        };
        Self { keys: set.keys.iter().filter_map(known).collect() }
    }

    fn prints(&self, signs: bool) -> BTreeSet<&str> {
        self.keys.iter().filter(|k| k.signs || !signs).map(|k| k.thumbprint.as_str()).collect()
    }

    /// What each kid names.
    fn by_kid(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for key in &self.keys {
            if let Some(kid) = &key.kid {
                all.entry(kid).or_default().insert(&key.thumbprint);
            }
        }
        all
    }

    /// What each key is called.
    fn by_print(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for key in &self.keys {
            if let Some(kid) = &key.kid {
                all.entry(&key.thumbprint).or_default().insert(kid);
            }
        }
        all
    }
}

/// What changed since the accepted set.
pub fn changes(before: &Snapshot, now: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    let (were, are) = (before.prints(true), now.prints(true));
    if !were.is_empty() && were.is_disjoint(&are) {
        let words = format!("none of the {} signing keys seen before is left; there are {} new ones", were.len(), are.len());
        found.push(ROT_02.found(words));
    } else if before.prints(false) != now.prints(false) || were != are {
        let gone = before.prints(false).difference(&now.prints(false)).count();
        let new = now.prints(false).difference(&before.prints(false)).count();
        let stayed = were.intersection(&are).count();
        found.push(ROT_01.found(format!("keys changed with overlap: {new} new, {gone} gone, {stayed} signing keys stayed")));
    }
    let (named, names) = (before.by_kid(), now.by_kid());
    let moved: Vec<String> = named
        .iter()
        .filter(|(kid, keys)| names.get(*kid).is_some_and(|k| k.is_disjoint(keys)))
        .map(|(kid, _)| format!("kid \"{}\" names another key", bounded(kid, 44)))
        .collect();
    let (called, calls) = (before.by_print(), now.by_print());
    let renamed = called.iter().filter_map(|(print, kids)| {
        let now = calls.get(print).filter(|k| k.is_disjoint(kids))?;
        let first = |k: &BTreeSet<&str>| bounded(k.first().copied().unwrap_or_default(), 44);
        Some(format!("the key with kid \"{}\" has kid \"{}\" now", first(kids), first(now)))
    });
    let all: Vec<String> = moved.into_iter().chain(renamed).take(4).collect();
    if !all.is_empty() {
        found.push(ROT_03.found(all.join("; ")));
    }
    found
}
