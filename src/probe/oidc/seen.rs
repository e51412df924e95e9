//! What is remembered of a provider: its discovery document and its keys as one, and how long keys overlapped when they last changed.
//!
//! Pure. Holds no key, only thumbprints.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::finding::Finding;
use crate::sso::{jwks, oidc};

/// What is compared with the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The discovery document.
    pub(super) discovery: oidc::Snapshot,
    /// The keys, once they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<jwks::Snapshot>,
    /// Since when old and new signing keys stand side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overlapping_since: Option<UnixMs>,
    /// For how many seconds they did when keys changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overlapped_s: Option<u64>,
}

impl Seen {
    /// What is seen now, after what was seen before. Keys that could not be read are those from before.
    pub(super) fn after(before: Option<Self>, discovery: oidc::Snapshot, keys: Option<jwks::Snapshot>, at: UnixMs) -> Self {
        let before = before.unwrap_or_default();
        let mut now = Self { discovery, ..before };
        if let Some(keys) = keys {
            now.overlap(&keys, at);
            now.keys = Some(keys);
        }
        now
    }

    fn overlap(&mut self, keys: &jwks::Snapshot, at: UnixMs) {
        let (were, are) = (self.keys.as_ref().map(signing).unwrap_or_default(), signing(keys));
        if were == are {
            return;
        }
        let stayed = !were.is_disjoint(&are);
        if stayed && !were.is_subset(&are) {
            self.overlapped_s = self.overlapping_since.map(|since| at.since(since).as_secs());
        }
        let (since, began) = (self.overlapping_since, stayed && !are.is_subset(&were));
        let goes_on = since.filter(|_| stayed && were.is_subset(&are));
        self.overlapping_since = goes_on.or(began.then_some(at));
    }

    /// How long the old and the new key stood side by side when keys changed last.
    pub(super) fn overlapped(&self) -> Option<Duration> {
        self.overlapped_s.map(Duration::from_secs)
    }
}

fn signing(keys: &jwks::Snapshot) -> BTreeSet<String> {
    keys.keys.iter().filter(|k| k.signs).map(|k| k.thumbprint.clone()).collect()
}

/// What the rules say of what changed.
pub(super) fn changes(before: &Seen, now: &Seen) -> Vec<Finding> {
    let mut found = oidc::changes(&before.discovery, &now.discovery);
    if let (Some(before), Some(now)) = (&before.keys, &now.keys) {
        found.extend(jwks::changes(before, now));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sso::jwks::Known;

    fn keys(names: &[&str]) -> jwks::Snapshot {
        let known = |name: &&str| Known {
            thumbprint: (*name).to_owned(),
            kid: Some((*name).to_owned()),
            kty: "RSA".into(),
            alg: None,
            signs: true,
        };
        jwks::Snapshot { keys: names.iter().map(known).collect() }
    }

    #[test]
    fn how_long_keys_overlapped_is_remembered() {
        let discovery = oidc::Snapshot::default;
        let mut seen = None;
        let mut step = |names: Option<&[&str]>, s: i64| {
            let now = Seen::after(seen.take(), discovery(), names.map(keys), UnixMs(s * 1000));
            seen = Some(now.clone());
            now
        };
        assert_eq!(step(Some(&["a"]), 0).overlapped(), None);
        step(Some(&["a", "b"]), 10);
        let unread = step(None, 20);
        assert_eq!(unread.keys, Some(keys(&["a", "b"])), "what could not be read is as it was");
        assert_eq!(step(Some(&["b"]), 40).overlapped(), Some(Duration::from_secs(30)));
        // Swapped at once: no overlap, and the last one is still known.
        assert_eq!(step(Some(&["c"]), 50).overlapped(), Some(Duration::from_secs(30)));
        step(Some(&["c", "d"]), 60);
        step(Some(&["d", "e"]), 70);
        assert_eq!(step(Some(&["e"]), 90).overlapped(), Some(Duration::from_secs(20)), "each has its own");
    }

    #[test]
    fn keys_that_were_never_read_are_no_change() {
        let with = Seen::after(None, oidc::Snapshot::default(), Some(keys(&["a"])), UnixMs(0));
        let without = Seen::after(None, oidc::Snapshot::default(), None, UnixMs(0));
        assert_eq!((changes(&with, &without), changes(&without, &with)), (vec![], vec![]));
        assert_eq!(changes(&with, &Seen { keys: Some(keys(&["b"])), ..with.clone() }).len(), 1);
    }
}
