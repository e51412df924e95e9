//! How what is configured stands to what was recorded when a soak began: since when runs count, whether something else was judged then, and what can't be
//! told. The same for a running daemon, for whoever reads its store, and for a bundle.

use super::log::Known;
use crate::clock::UnixMs;
use crate::config::fingerprint::{Change, Fingerprint};
use crate::soak::Policy;

/// What a soak's runs rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// From when on runs count.
    pub since: UnixMs,
    /// A record says when the soak began, and what was judged then.
    pub recorded: bool,
    /// It began again because what is judged was changed.
    pub restarted: bool,
    /// What is judged now is something else than was recorded; the keys that differ, as far as they can be named.
    pub changed: Option<Vec<String>>,
    /// Keys that name files nobody could read: whether they differ can't be told.
    pub unsure: Vec<String>,
}

impl Basis {
    /// Of a soak as it is configured. `known`: what the evidence log knows of it.
    pub fn of(policy: &Policy, fingerprint: Option<&Fingerprint>, known: Option<&Known>) -> Self {
        let began = known.and_then(|k| k.began.as_ref());
        let change = fingerprint.zip(began).map(|(now, began)| now.since(&began.fingerprint));
        let (changed, unsure) = match change {
            Some(Change::Some(keys)) => (Some(keys), Vec::new()),
            Some(Change::Unsure(keys)) => (None, keys),
            Some(Change::None) | None => (None, Vec::new()),
        };
        Self {
            since: began.map_or(policy.start, |b| b.since),
            recorded: began.is_some() && fingerprint.is_some(),
            restarted: known.is_some_and(|k| k.again),
            changed,
            unsure,
        }
    }

    /// Whether no run was made under what is configured. `newest`: the last recorded slot of each check.
    pub fn superseded(&self, now: UnixMs, mut newest: impl Iterator<Item = Option<UnixMs>>) -> bool {
        let mut nothing_yet = || newest.all(|slot| slot.is_none_or(|s| s < self.since));
        self.changed.is_some() || (self.restarted && self.since <= now && nothing_yet())
    }

    /// What can't be shown, for people. With any of it nothing is a go.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if !self.recorded {
            doubts.push("no record says under which configuration its runs were made".to_owned());
        }
        if let Some(keys) = self.changed.as_ref().filter(|keys| !keys.is_empty()) {
            doubts.push(format!("changed since the soak began: {}", keys.join(", ")));
        }
        if !self.unsure.is_empty() {
            let keys = self.unsure.join(", ");
            doubts.push(format!("whether it is still what was judged can't be told: the files named by {keys} can't be read"));
        }
        doubts
    }
}
