//! What the writer remembers between two commits: names, open hours, failures, and when each check is due for sealing. No I/O.
//!
//! Changed only after a commit has succeeded, so that it never says more than the file.

use std::collections::{BTreeSet, HashMap};

use super::failures::Failures;
use super::open::{Open, due_at};
use crate::fields::CheckId;
use crate::record::Run;

/// Checks handed out for sealing at once.
const DUE: usize = 500;
/// Hours handed out for sealing at once, so that a long absence does not make one long commit.
const DUE_HOURS: i64 = 2_000;

/// What is remembered of one check.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: CheckId,
    /// Its name is in the file.
    pub(super) named: bool,
    /// Counts how often the check was removed and came back: sums of an earlier life are not its own.
    pub(super) era: i64,
    /// Records up to this journal row are in the snapshot, and their hours before `sealed_until` in segments.
    pub(super) as_of: i64,
    pub(super) sealed_until: i64,
    /// It has a snapshot.
    pub(super) has_state: bool,
    pub(super) open: Open,
    pub(super) failures: Failures,
    /// A damage stands in the way of sealing it, until the next start tries again.
    stuck: bool,
    /// Its place in `due` and `pins`.
    due: Option<i64>,
    pin: Option<i64>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Boxed: a map has up to twice the room that it needs.
    pub(super) entries: HashMap<u64, Box<Entry>>,
    /// Keys of the checks seen, so that a digest is made once per check and not per record.
    keys: HashMap<CheckId, u64>,
    /// (time, key): when checks are due for sealing.
    due: BTreeSet<(i64, u64)>,
    /// (journal row, key): the oldest row each check still needs.
    pins: BTreeSet<(i64, u64)>,
}

/// Moves a member of an ordered set.
fn place(set: &mut BTreeSet<(i64, u64)>, key: u64, at: &mut Option<i64>, to: Option<i64>) {
    if *at != to {
        if let Some(old) = *at {
            set.remove(&(old, key));
        }
        set.extend(to.map(|new| (new, key)));
        *at = to;
    }
}

impl Memory {
    /// The key of a check, which is in `entries` from now on. `None`: another check has the same key (a chance of 1 in 10^11 for 10,000).
    pub(super) fn key(&mut self, id: &CheckId) -> Option<u64> {
        if let Some(key) = self.keys.get(id) {
            return Some(*key);
        }
        let key = id.key();
        let entry = self.entries.entry(key).or_insert_with(|| Box::new(Entry::new(id.clone())));
        if entry.id != *id {
            return None;
        }
        self.keys.insert(id.clone(), key);
        Some(key)
    }

    /// Takes over a name of the file.
    pub(super) fn adopt(&mut self, key: u64, id: CheckId) {
        self.entries.entry(key).or_insert_with(|| Box::new(Entry::new(id))).named = true;
    }

    /// A run stands in journal row `seq`, and its check's name in the file.
    pub(super) fn add(&mut self, key: u64, vantage: u16, run: Run, detail: Option<&str>, seq: i64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.named = true;
            entry.failures.fold(vantage, &run, detail);
            entry.open.add(vantage, run, seq);
            entry.refresh(key, &mut self.due, &mut self.pins);
        }
    }

    /// The check's hours before `until` are sealed, as of journal row `as_of`, and its failures written to `failures`.
    pub(super) fn sealed(&mut self, key: u64, until: i64, as_of: i64, failures: &[Option<i64>]) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.open.drop_before(until);
            entry.failures.written(failures);
            (entry.named, entry.sealed_until, entry.as_of, entry.has_state) = (true, until, as_of, true);
        }
        self.refresh(key);
    }

    /// The check can't be sealed: it is not handed out for it again.
    pub(super) fn give_up(&mut self, key: u64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.stuck = true;
        }
        self.refresh(key);
    }

    /// Nothing is known of the check any more.
    pub(super) fn remove(&mut self, key: u64) {
        if let Some(mut entry) = self.entries.remove(&key) {
            place(&mut self.due, key, &mut entry.due, None);
            place(&mut self.pins, key, &mut entry.pin, None);
            self.keys.remove(&entry.id);
        }
    }

    /// Puts a check where it belongs in `due` and `pins`.
    pub(super) fn refresh(&mut self, key: u64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.refresh(key, &mut self.due, &mut self.pins);
        }
    }

    /// The oldest journal row that is still needed.
    pub(super) fn first_seq(&self) -> Option<i64> {
        self.pins.first().map(|(seq, _)| *seq)
    }

    /// Checks due for sealing at this time, the most overdue first: at most a sixtieth of all, in bounded portions.
    pub(super) fn due(&self, now: i64) -> Vec<CheckId> {
        let most = (self.entries.len() / 60).clamp(1, DUE);
        let mut hours = 0;
        let mut out = Vec::new();
        for (_, key) in self.due.iter().take_while(|(at, _)| *at <= now).take(most) {
            let Some(entry) = self.entries.get(key) else { continue };
            hours += entry.open.weight();
            if hours > DUE_HOURS && !out.is_empty() {
                break;
            }
            out.push(entry.id.clone());
        }
        out
    }
}

impl Entry {
    fn new(id: CheckId) -> Self {
        Self {
            id,
            named: false,
            era: 0,
            as_of: 0,
            sealed_until: i64::MIN,
            has_state: false,
            open: Open::default(),
            failures: Failures::default(),
            stuck: false,
            due: None,
            pin: None,
        }
    }

    fn refresh(&mut self, key: u64, due: &mut BTreeSet<(i64, u64)>, pins: &mut BTreeSet<(i64, u64)>) {
        let at = if self.stuck {
            None
        } else if self.failures.many() {
            Some(i64::MIN)
        } else {
            self.open.first_hour().map(|hour| due_at(hour, key))
        };
        place(due, key, &mut self.due, at);
        place(pins, key, &mut self.pin, self.open.first_seq());
    }

    /// What of a run in journal row `seq` is not in a segment.
    pub(super) fn unsealed(&self, run: &Run, seq: i64) -> Option<Run> {
        unsealed(run, seq, self.as_of, self.sealed_until)
    }
}

/// The rule by which a restart and a reader tell what of the journal is in segments: rows up to `as_of`, in hours before `sealed_until`.
pub(super) fn unsealed(run: &Run, seq: i64, as_of: i64, sealed_until: i64) -> Option<Run> {
    if seq > as_of {
        return Some(*run);
    }
    run.clip(super::run::hour_start(sealed_until), crate::clock::UnixMs(i64::MAX))
}
