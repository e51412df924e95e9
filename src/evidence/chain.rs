//! The chain: each record's hash goes into the hash of the chain after it, so that no record can be changed, left out or put in between without
//! the end being another one. A record may be given as its hash alone: the chain can be checked without knowing what it says. Pure.

use std::fmt;

use super::entry::Recorded;
use super::hash::Hash;

/// The chain begins with the hash of this text.
pub const GENESIS: &str = "soakwatch evidence log, version 1";
/// Breaks that are named one by one.
const NAMED: usize = 20;

/// The chain's hash before the first record.
pub fn genesis() -> Hash {
    Hash::of(GENESIS.as_bytes())
}

/// The chain's hash after a record: SHA-256 over both, 64 bytes.
pub fn follow(chain: Hash, record: Hash) -> Hash {
    let mut both = [0; 64];
    both[..32].copy_from_slice(&chain.0);
    both[32..].copy_from_slice(&record.0);
    Hash::of(&both)
}

/// A record's place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The record's number.
    pub seq: u64,
    /// The record's hash.
    pub record: Hash,
    /// The chain's hash after it.
    pub chain: Hash,
}

/// Where the log is not what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// A record can't be read.
    Unreadable {
        /// Its number.
        seq: u64,
        /// Why.
        why: String,
    },
    /// A record does not have the hash it was given.
    Changed(u64),
    /// The chain's hash after a record is another.
    Unlinked(u64),
    /// Records are not there.
    Missing {
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { seq, why } => write!(f, "evidence record {seq} can't be read: {why}"),
            Self::Changed(seq) => write!(f, "evidence record {seq} was changed: it does not have its hash"),
            Self::Unlinked(seq) => {
                write!(f, "the chain of evidence is broken at record {seq}: a record up to it was changed, left out or put in")
            }
            Self::Missing { from, to } if from == to => write!(f, "evidence record {from} is missing"),
            Self::Missing { from, to } => write!(f, "evidence records {from} to {to} are missing"),
        }
    }
}

/// How far a chain is checked, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The last record's number; 0 before the first.
    pub seq: u64,
    /// The chain's hash after it, as it is stored.
    pub head: Hash,
    /// What was found, the first 20.
    pub breaks: Vec<Break>,
    /// How many more.
    pub more: u64,
}

impl Default for Checked {
    fn default() -> Self {
        Self { seq: 0, head: genesis(), breaks: Vec::new(), more: 0 }
    }
}

impl Checked {
    /// Whether every record up to here is as it was recorded.
    pub fn whole(&self) -> bool {
        self.breaks.is_empty()
    }

    /// Takes the next record: its place as it is stored, and what it says, if that is known. Goes on after a break, so that all are found.
    pub fn next(&mut self, link: Link, record: Option<&Recorded>) {
        self.up_to(link.seq.saturating_sub(1));
        if record.is_some_and(|r| r.seq != link.seq || r.hash() != Some(link.record)) {
            self.found(Break::Changed(link.seq));
        }
        if follow(self.head, link.record) != link.chain {
            self.found(Break::Unlinked(link.seq));
        }
        (self.seq, self.head) = (link.seq, link.chain);
    }

    /// The next record is there and can't be read. What follows can't be linked to it.
    pub fn unreadable(&mut self, seq: u64, why: String) {
        self.up_to(seq.saturating_sub(1));
        self.found(Break::Unreadable { seq, why });
        self.seq = seq;
    }

    /// There are so many records: what was not given is missing.
    pub fn up_to(&mut self, seq: u64) {
        if seq > self.seq {
            self.found(Break::Missing { from: self.seq + 1, to: seq });
            self.seq = seq;
        }
    }

    /// Something is wrong.
    pub fn found(&mut self, what: Break) {
        if self.breaks.len() < NAMED { self.breaks.push(what) } else { self.more += 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::evidence::{Entry, Kind, Scope};
    use proptest::prelude::*;
    use serde_json::json;

    fn log(bodies: &[u32]) -> Vec<(Link, Recorded)> {
        let mut chain = genesis();
        let numbered = |(n, body): (usize, &u32)| {
            let entry = Entry::new(UnixMs(n as i64), Kind::Verdict, Scope::environment("acme", "production"), "x", json!({ "n": body }));
            let recorded = entry.numbered(n as u64 + 1);
            let record = recorded.hash().unwrap();
            chain = follow(chain, record);
            (Link { seq: recorded.seq, record, chain }, recorded)
        };
        bodies.iter().enumerate().map(numbered).collect()
    }

    /// Checks a log of which only the records in `known` are known.
    fn check(log: &[(Link, Recorded)], known: &[bool]) -> Checked {
        let mut checked = Checked::default();
        for ((link, recorded), known) in log.iter().zip(known.iter().chain(std::iter::repeat(&true))) {
            checked.next(*link, known.then_some(recorded));
        }
        checked
    }

    #[test]
    fn the_first_hashes_are_what_docs_evidence_says() {
        // printf 'soakwatch evidence log, version 1' | sha256sum
        assert_eq!(genesis().to_string(), "74c97f0986881ec63a5eba0366a76b86e452cdd8b39cfa1e693c20e02e97b75d");
        assert_eq!(follow(Hash([0; 32]), Hash([0; 32])), Hash::of(&[0; 64]));
    }

    proptest! {
        #[test]
        fn a_chain_is_whole_whoever_looks(bodies in proptest::collection::vec(any::<u32>(), 0..20), known in proptest::collection::vec(any::<bool>(), 20)) {
            let checked = check(&log(&bodies), &known);
            prop_assert!(checked.whole(), "{:?}", checked.breaks);
            prop_assert_eq!(checked.seq, bodies.len() as u64);
        }

        #[test]
        fn a_changed_record_is_named(bodies in proptest::collection::vec(any::<u32>(), 1..20), at in any::<prop::sample::Index>()) {
            let mut log = log(&bodies);
            let at = at.index(log.len());
            log[at].1.actor.push('!');
            prop_assert_eq!(check(&log, &[]).breaks, [Break::Changed(at as u64 + 1)]);
            // With its hash made to fit, the chain no longer does; with that made to fit, too, the end is another one.
            log[at].0.record = log[at].1.hash().unwrap();
            prop_assert_eq!(check(&log, &[]).breaks, [Break::Unlinked(at as u64 + 1)]);
        }

        #[test]
        fn a_record_that_is_left_out_or_moved_is_noticed(bodies in proptest::collection::vec(any::<u32>(), 2..20), at in any::<prop::sample::Index>()) {
            let whole = log(&bodies);
            let at = at.index(whole.len() - 1);
            let mut left_out = whole.clone();
            left_out.remove(at);
            let seq = at as u64 + 1;
            let checked = check(&left_out, &[]);
            prop_assert_eq!(&checked.breaks, &[Break::Missing { from: seq, to: seq }, Break::Unlinked(seq + 1)]);
            let mut moved = whole.clone();
            moved.swap(at, at + 1);
            prop_assert!(!check(&moved, &[]).whole());
            // The end: only who knows how long it was can tell.
            let mut cut = check(&whole[..at + 1], &[]);
            prop_assert!(cut.whole());
            cut.up_to(whole.len() as u64);
            prop_assert!(!cut.whole());
        }
    }

    #[test]
    fn what_is_found_is_bounded() {
        let mut checked = Checked::default();
        (1..=100).for_each(|seq| checked.unreadable(seq, "x".into()));
        assert_eq!((checked.breaks.len(), checked.more, checked.seq), (NAMED, 80, 100));
    }
}
