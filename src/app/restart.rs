//! What a start brings back from the store, what it accounts for, and what a change of configuration leaves behind for the next start.
//!
//! What was known when a slot came decides about it: the schedule of every check is noted in the store, so that a window declared, a pause set or
//! an interval changed while the daemon was down takes nothing out of the gap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{StartError, evidence};
use crate::arrivals::State;
use crate::board::{Board, CheckState};
use crate::budget::{Budgets, HOLD_NOTE};
use crate::clock::{Clock, UnixMs, monotonic};
use crate::config::model::Config;
use crate::fields::{CheckId, IntegrationId};
use crate::incident::live::{Incidents, MOST_CLOSED};
use crate::memory::{MEMORY_NOTE, Memories, PART_NOTE};
use crate::outcome::Cause;
use crate::readiness::Soaks;
use crate::recorder::RecorderHandle;
use crate::slots::{Schedule, account_gap_by};
use crate::store::{Note, Restored, Store, StoreError};
use crate::transport::{AWAY_NOTE, Transport};

const SCHEDULE: &str = "schedule";
const DEPARTED: &str = "departed";

/// What the store knew.
pub(super) struct Before {
    pub(super) store: Store,
    /// Checks it knows that are configured no more.
    pub(super) gone: Vec<CheckId>,
    /// The schedules that were in force, by check.
    pub(super) schedules: BTreeMap<String, String>,
    /// The integrations it has sums of departed checks for.
    pub(super) departed: BTreeSet<String>,
    /// Checks that counted messages and receive no more.
    pub(super) unheard: Vec<CheckId>,
    /// The holds that were in force, as they were noted.
    pub(super) holds: BTreeMap<String, String>,
    /// What the evidence log said.
    pub(super) evidence: evidence::Before,
    /// The token endpoints that were to be left alone, likewise.
    pub(super) away: BTreeMap<String, String>,
    /// What checks remember.
    pub(super) remembered: BTreeMap<String, String>,
    /// The parts of it that stand apart.
    pub(super) parts: BTreeMap<String, String>,
    /// Until when messages could be received.
    pub(super) present: BTreeMap<String, String>,
}

/// Opens the store and folds what it knows into the board.
pub(super) async fn bring_back(
    path: &Path,
    board: &Arc<Board>,
    (soaks, incidents): (&Arc<Soaks>, &Arc<Incidents>),
    clock: &Clock,
) -> Result<Before, StartError> {
    let (path, board, clock) = (path.to_owned(), Arc::clone(board), clock.clone());
    let (soaks, incidents) = (Arc::clone(soaks), Arc::clone(incidents));
    let work = tokio::task::spawn_blocking(move || {
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir).map_err(|error| StartError::File { path: dir.to_owned(), error })?;
        }
        bring_back_blocking(&path, &board, (&soaks, &incidents), &clock)
            .map_err(|error| StartError::Store { path: PathBuf::from(&path), error })
    });
    work.await.map_err(|e| StartError::Internal(e.into()))?
}

fn bring_back_blocking(path: &Path, board: &Board, (soaks, incidents): (&Soaks, &Incidents), clock: &Clock) -> Result<Before, StoreError> {
    let mut store = Store::open(path)?;
    let departed = store.notes(DEPARTED)?;
    for (id, json) in &departed {
        if let (Ok(id), Ok(sums)) = (id.parse::<IntegrationId>(), serde_json::from_str(json)) {
            board.update_departed(&id, |d| *d = sums);
        }
    }
    // Checks that left while the daemon was down: what they had counted stays with their integration.
    let mut strays: BTreeMap<CheckId, CheckState> = BTreeMap::new();
    let mut change = |check: &CheckId, f: &mut dyn FnMut(&mut CheckState)| {
        if board.update(check, |_, state| f(state)).is_none() {
            f(strays.entry(check.clone()).or_default());
        }
    };
    let mut sink = |restored: Restored<'_>| match restored {
        Restored::State(check, json) => change(check, &mut |state| match serde_json::from_str::<CheckState>(json) {
            Ok(read) => *state = CheckState { hours: std::mem::take(&mut state.hours), ..read },
            Err(e) => tracing::error!(check = check.as_str(), error = %e, "the stored state can't be read; its counters start again"),
        }),
        Restored::Hour(check, hour, counts) => change(check, &mut |state| state.add_hour(hour, counts)),
        Restored::Record(record, after_state) => {
            change(&record.check, &mut |state| if after_state { state.apply(record) } else { state.add_rolling(record) });
        }
    };
    store.restore(clock.now(), &mut sink)?;
    for (check, state) in &strays {
        board.update_departed(&check.integration(), |d| d.add(state));
    }
    let gone = store.known().into_iter().filter(|check| !board.knows(check)).collect();
    let (known, damaged) = store.recent_incidents(MOST_CLOSED)?;
    if damaged > 0 {
        tracing::error!(damaged, "incidents of the store could not be read and were left out");
    }
    known.into_iter().for_each(|i| incidents.put(i));
    let schedules = store.notes(SCHEDULE)?;
    let (holds, away) = (store.notes(HOLD_NOTE)?, store.notes(AWAY_NOTE)?);
    let (remembered, present) = (store.notes(MEMORY_NOTE)?, store.notes(super::arrivals::RECEIVER_NOTE)?);
    let unheard = take_over_tallies(&schedules, &remembered, board);
    let departed = departed.into_keys().chain(unheard.iter().map(|check| check.integration().to_string())).collect();
    let parts = store.notes(PART_NOTE)?;
    let evidence = evidence::Before::read(&mut store, soaks)?;
    if let Some(first) = &store.damaged().first {
        tracing::error!(damaged = store.damaged().count, first, "parts of the store could not be read and were left out");
    }
    Ok(Before { store, gone, schedules, departed, unheard, holds, away, remembered, parts, present, evidence })
}

/// Leaves with their integrations what checks had counted of messages that received when the daemon ended (`schedules` has them) and receive no more.
fn take_over_tallies(schedules: &BTreeMap<String, String>, remembered: &BTreeMap<String, String>, board: &Board) -> Vec<CheckId> {
    let mut unheard = Vec::new();
    for check in schedules.keys().filter_map(|id| id.parse::<CheckId>().ok()) {
        if board.check(&check).is_some_and(|c| c.def.kind.receiving().is_some()) {
            continue;
        }
        let state = remembered.get(check.as_str()).and_then(|text| serde_json::from_str::<State>(text).ok());
        if let Some(tally) = state.map(|s| s.tally).filter(|t| t.received > 0) {
            board.update_departed(&check.integration(), |d| d.arrived.add(&tally));
            unheard.push(check);
        }
    }
    unheard
}

/// Slots that came due while nobody was there: a gap is missing evidence, never a pass and never a failure.
pub(super) async fn account_downtime(
    config: &Config,
    schedules: &BTreeMap<String, String>,
    board: &Board,
    clock: &Clock,
    recorder: &RecorderHandle,
) {
    let now = clock.now();
    let (mut slots, mut checks, mut ahead) = (0u64, 0u64, None);
    let (mut from, mut until) = (now, UnixMs(i64::MIN));
    for def in config.checks().filter(|d| d.kind.is_asked()) {
        let Some(last) = board.check(&def.id).and_then(|c| c.state.last_slot) else { continue };
        if last.0 > now.0.saturating_add(def.every.ms()) {
            ahead = ahead.max(Some(last));
        }
        let noted = schedules.get(def.id.as_str()).and_then(|json| serde_json::from_str(json).ok());
        let before = slots;
        for record in account_gap_by(&noted.unwrap_or_else(|| Schedule::of(def)), def, last, now, Cause::Down) {
            if record.cause == Some(Cause::Down) {
                slots += u64::from(record.count);
                (from, until) = (from.min(record.slot), until.max(record.last_slot()));
            }
            recorder.told(record).await;
        }
        checks += u64::from(slots > before);
    }
    if let Some(until) = ahead {
        tracing::warn!(%until, "the clock is behind what is stored: a slot never runs twice, so checks wait until then");
    }
    if slots > 0 {
        tracing::info!(slots, "slots that came due while the daemon was down are accounted for as unknown");
        evidence::was_down(from, until, slots, checks, now, recorder).await;
    }
    recorder.flush().await;
}

/// Puts the quotas and holds back that were known: who was asked to stay away still does.
pub(super) async fn hold_again(
    config: &Config,
    holds: &BTreeMap<String, String>,
    budgets: &Budgets,
    board: &Board,
    clock: &Clock,
    recorder: &RecorderHandle,
) {
    let mut told = board.limits();
    budgets.plan(config, |id| told.remove(id), monotonic());
    for id in budgets.restore(holds, clock.now()) {
        recorder.note(Note { kind: HOLD_NOTE, id, text: None }).await;
    }
}

/// Leaves the token endpoints alone that asked the last daemon for it.
pub(super) async fn leave_alone_again(away: &BTreeMap<String, String>, transport: &Transport, clock: &Clock, recorder: &RecorderHandle) {
    for id in transport.restore(away, clock.now()) {
        recorder.note(Note { kind: AWAY_NOTE, id, text: None }).await;
    }
}

/// Notes the schedules now in force where they differ from those known, and drops those of checks that left.
pub(super) async fn note_schedules(config: &Config, known: &BTreeMap<String, String>, recorder: &RecorderHandle) {
    let mut left: BTreeSet<&str> = known.keys().map(String::as_str).collect();
    for def in config.checks() {
        left.remove(def.id.as_str());
        let Ok(json) = serde_json::to_string(&Schedule::of(def)) else { continue };
        if known.get(def.id.as_str()) != Some(&json) {
            recorder.note(Note { kind: SCHEDULE, id: def.id.to_string(), text: Some(json) }).await;
        }
    }
    for id in left {
        recorder.note(Note { kind: SCHEDULE, id: id.to_owned(), text: None }).await;
    }
}

/// The schedules of a configuration, as they are noted.
pub(super) fn schedules(config: &Config) -> BTreeMap<String, String> {
    config.checks().filter_map(|def| Some((def.id.to_string(), serde_json::to_string(&Schedule::of(def)).ok()?))).collect()
}

/// Forgets what checks that left remember: should they come back, they accept what they find then.
pub(super) async fn forget_memories(gone: impl Iterator<Item = &CheckId>, memories: &Memories) {
    for check in gone {
        memories.forget(check).await;
    }
}

/// Forgets checks that left, and notes what they leave with their integrations. `before`: integrations that had such sums.
pub(super) async fn forget(gone: &[CheckId], before: &BTreeSet<String>, board: &Board, recorder: &RecorderHandle) {
    for check in gone {
        recorder.forget(check.clone()).await;
    }
    let touched: BTreeSet<String> = gone.iter().map(|check| check.integration().to_string()).chain(before.iter().cloned()).collect();
    for id in touched {
        let sums = id.parse().ok().and_then(|id| board.integration(&id)).and_then(|i| i.departed);
        let text = sums.and_then(|d| serde_json::to_string(&d).ok());
        recorder.note(Note { kind: DEPARTED, id, text }).await;
    }
}
