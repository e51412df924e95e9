//! What the policies of an integration are called. Owns the labels, which never depend on what is told: a metric's series stay the same ones.

use std::cmp::Ordering;
use std::fmt;

use crate::board::{CheckEntry, IntegrationEntry};

/// A policy's label: its name, behind what tells it from those of the same name. Ordered as its text is.
#[derive(Clone, Copy, Debug)]
pub struct Label<'e> {
    prefix: Prefix<'e>,
    name: &'e str,
}

/// What stands before a `/` in front of a policy's name; `None`: nothing, and no `/`.
pub(super) type Prefix<'e> = Option<&'e str>;

impl<'e> Label<'e> {
    pub(super) fn new(prefix: Prefix<'e>, name: &'e str) -> Self {
        Self { prefix, name }
    }

    /// Its text, piece by piece.
    pub fn pieces(self) -> [&'e str; 3] {
        let prefix = self.prefix.unwrap_or_default();
        [prefix, if self.prefix.is_some() { "/" } else { "" }, self.name]
    }

    fn bytes(self) -> impl Iterator<Item = u8> {
        self.pieces().into_iter().flat_map(str::bytes)
    }
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().iter().try_for_each(|piece| f.write_str(piece))
    }
}

impl Ord for Label<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.prefix == other.prefix { self.name.cmp(other.name) } else { self.bytes().cmp(other.bytes()) }
    }
}

impl PartialOrd for Label<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Label<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Label<'_> {}

/// The first check of a host and credential, and what stands before the names of its policies.
struct Lane<'e> {
    check: &'e CheckEntry,
    host: &'e str,
    prefix: Prefix<'e>,
}

/// What stands before the names of each check's policies, in order of the checks. Those who share host and credential share their policies, and the first
/// of them in the configuration decides: nothing for the integration's first check; the host, where no check before asks it; else the check's id.
pub(super) fn prefixes(entry: &IntegrationEntry) -> Vec<Prefix<'_>> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    let mut all = Vec::with_capacity(entry.checks.len());
    for check in &entry.checks {
        let Some(host) = check.def.host.as_deref() else {
            all.push(None);
            continue;
        };
        let shared = lanes.iter().find(|l| l.host == host && l.check.def.kind.shares_credential(&check.def.kind));
        let prefix = shared.map_or_else(|| new(&lanes, host, check.def.id.check()), |l| l.prefix);
        all.push(prefix);
        if shared.is_none() {
            lanes.push(Lane { check, host, prefix });
        }
    }
    all
}

fn new<'e>(lanes: &[Lane<'_>], host: &'e str, check: &'e str) -> Prefix<'e> {
    match lanes {
        [] => None,
        _ if lanes.iter().all(|l| l.host != host) => Some(host),
        // `token/` stands before the policies of token endpoints; no id and no `host:port` is like this.
        _ if check == "token" => Some("check:token"),
        _ => Some(check),
    }
}
