//! What arrives at the receiver, check by check: counts, which ids were processed, and whether what is expected came.
//!
//! Stands beside the board, because messages come between the slots they are judged in. The receiver adds to it, `app::arrivals` judges and keeps it as the checks'
//! memory; everybody else reads. Never listens, never reads a clock.

mod expected;
mod state;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::UnixMs;
use crate::config::model::{CheckDef, Config};
use crate::fields::CheckId;
use crate::record::Record;
use crate::webhook::{MessageId, ReplayMemory};

pub use expected::Expected;
pub use state::{Away, DELAY_BUCKETS, Heard, Ours, REASONS, State, What};
pub use tally::Tally;

/// So many ids of a check are remembered, each so long: senders retry for up to a day.
const MOST_IDS: usize = 20_000;
const KEEP_IDS: Duration = Duration::from_secs(86_400);

#[derive(Debug)]
struct Entry {
    expected: Option<Expected>,
    state: State,
    seen: ReplayMemory,
    /// Not kept yet as it is.
    changed: bool,
}

/// What arrived for every check that receives.
#[derive(Debug, Default)]
pub struct Arrivals {
    checks: Mutex<HashMap<CheckId, Entry>>,
}

impl Arrivals {
    fn checks(&self) -> MutexGuard<'_, HashMap<CheckId, Entry>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a configuration over: checks that are new begin with what `recall` knows of them. Those that receive no more have left before ([`Arrivals::leave`]).
    pub fn configure(&self, config: &Config, recall: impl Fn(&CheckId) -> Option<String>, now: UnixMs) {
        let mut checks = self.checks();
        let mut before = std::mem::take(&mut *checks);
        for def in config.checks().filter(|d| d.kind.receiving().is_some()) {
            let fresh = || Entry {
                expected: None,
                state: recall(&def.id).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
                seen: ReplayMemory::new(MOST_IDS, KEEP_IDS),
                changed: false,
            };
            let mut entry = before.remove(&def.id).unwrap_or_else(fresh);
            let kept = entry.state.clone();
            entry.expected = Expected::of(def);
            entry.state.expect(entry.expected.as_ref(), now);
            entry.changed |= kept != entry.state;
            checks.insert(def.id.clone(), entry);
        }
    }

    /// Remembers the id of an authentic message of now; true if it was not processed before.
    pub fn is_new(&self, check: &CheckId, id: &MessageId, now: UnixMs) -> bool {
        let mut checks = self.checks();
        // Known for its time only; an id that came back after it counts as new.
        checks.get_mut(check).is_none_or(|e| !e.seen.knows(id, now) && e.seen.remember(id, now))
    }

    /// Takes a message in. True: it should be on disk before its sender is told that we have it.
    pub fn hear(&self, check: &CheckId, heard: Heard) -> bool {
        let mut checks = self.checks();
        let Some(entry) = checks.get_mut(check) else { return false };
        entry.changed = true;
        entry.state.hear(entry.expected.as_ref(), heard)
    }

    /// Judges what is due of a check, as [`State::judge`] does. `after`: what is on record already.
    pub fn judge(&self, def: &CheckDef, ours: Ours<'_>, after: Option<UnixMs>, now: UnixMs) -> (Vec<Record>, bool) {
        let mut checks = self.checks();
        let Some(entry) = checks.get_mut(&def.id) else { return (Vec::new(), false) };
        let (records, waits) = entry.state.judge(def, ours, after, now);
        entry.changed |= !records.is_empty();
        (records, waits)
    }

    /// Takes the checks out that receive no more, each with what it had counted.
    pub fn leave(&self, config: &Config) -> Vec<(CheckId, Tally)> {
        let stay: HashSet<&CheckId> = config.checks().filter(|d| d.kind.receiving().is_some()).map(|d| &d.id).collect();
        let mut checks = self.checks();
        checks.extract_if(|id, _| !stay.contains(id)).map(|(id, entry)| (id, entry.state.tally)).collect()
    }

    /// Whether messages for a check are counted.
    pub fn knows(&self, check: &CheckId) -> bool {
        self.checks().contains_key(check)
    }

    /// A check's state as it is to be kept.
    pub fn text(&self, check: &CheckId) -> Option<String> {
        serde_json::to_string(&self.checks().get(check)?.state).ok()
    }

    /// The states that changed since this was last asked.
    pub fn changed(&self) -> Vec<(CheckId, String)> {
        let mut checks = self.checks();
        let changed = checks.iter_mut().filter_map(|(id, e)| std::mem::take(&mut e.changed).then_some((id, e)));
        changed.filter_map(|(id, e)| Some((id.clone(), serde_json::to_string(&e.state).ok()?))).collect()
    }

    /// Lets `f` read a check's state.
    pub fn read<R>(&self, check: &CheckId, f: impl FnOnce(&State) -> R) -> Option<R> {
        self.checks().get(check).map(|e| f(&e.state))
    }
}
