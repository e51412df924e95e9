//! What the policies of an integration are called. Owns the labels, which never depend on what is told: a metric's series stay the same ones.

use std::cmp::Ordering;
use std::fmt;

use crate::board::{Apart, CheckEntry, IntegrationEntry};

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

/// What stands before the names of each check's policies, in order of the checks.
pub(super) fn prefixes(entry: &IntegrationEntry) -> impl Iterator<Item = Prefix<'_>> {
    let apart = entry.apart.get_or_init(|| apart(&entry.checks));
    entry.checks.iter().zip(apart).map(|(check, apart)| match apart {
        Apart::Nothing => None,
        Apart::Host => check.def.host.as_deref(),
        Apart::Check(place) => match entry.checks.get(*place).map_or("", |first| first.def.id.check()) {
            // `token/` stands before the policies of token endpoints; no id and no `host:port` is like this.
            "token" => Some("check:token"),
            id => Some(id),
        },
    })
}

/// Those who share host and credential share their policies, and the first of them in the configuration decides: nothing for the integration's first
/// check; the host, where no check before asks it; else the check's id.
fn apart(checks: &[CheckEntry]) -> Box<[Apart]> {
    let mut all: Vec<Apart> = Vec::with_capacity(checks.len());
    for (n, check) in checks.iter().enumerate() {
        let Some(host) = &check.def.host else {
            all.push(Apart::Nothing);
            continue;
        };
        let mut asked = checks.iter().take(n).zip(&all).filter(|(before, _)| before.def.host.is_some()).peekable();
        let is_first = asked.peek().is_none();
        let mut same_host = asked.filter(|(before, _)| before.def.host.as_ref() == Some(host)).peekable();
        let is_new_host = same_host.peek().is_none();
        let shared = same_host.find(|(before, _)| before.def.kind.shares_credential(&check.def.kind)).map(|(_, apart)| *apart);
        all.push(shared.unwrap_or(if is_first {
            Apart::Nothing
        } else if is_new_host {
            Apart::Host
        } else {
            Apart::Check(n)
        }));
    }
    all.into()
}
