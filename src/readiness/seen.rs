//! What was observed of an integration beside its runs (certificates, quotas), as of the end of what is judged: what was known then, not what is known today.
//!
//! The store keeps only what is known now. So what was observed is recorded in the evidence log whenever it changes, and at go-live ([`Noted`]); a time
//! that has gone by is judged by what stands there. Pure: never reads the log itself, never writes.

use super::case::Observed;
use super::incidents::ToldIncidents;
use crate::board::{CheckState, IntegrationEntry};
use crate::clock::UnixMs;
use crate::finding::Level;
use crate::limits;
use crate::outcome::Class;
use crate::soak::{Frame, Observations};

/// What only changes is recorded so often at most.
const EVERY_MS: i64 = 15 * 60_000;
/// So many of the newest records are kept of a soak.
const MOST_KEPT: usize = 1_000;

/// A record of what was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted {
    /// The record's number in the evidence log; 0: it is on its way there.
    pub seq: u64,
    /// The time as of which it was known.
    pub of: UnixMs,
    /// What was.
    pub observed: Observed,
}

/// What the log says was observed of one soak, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past(Vec<Noted>);

impl Past {
    pub(super) fn take(&mut self, noted: Noted) {
        if self.0.len() >= MOST_KEPT {
            self.0.remove(0);
        }
        self.0.push(noted);
    }

    /// What was on record of a time: the newest of what was known up to then.
    pub fn at(&self, end: UnixMs) -> Option<&Noted> {
        self.0.iter().rev().find(|n| n.of <= end)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The time as of which observations count: the window's end, which lies no further than the time it is judged for.
pub fn seen_until(frame: &Frame, now: UnixMs) -> UnixMs {
    frame.window.end.min(now)
}

/// What was known at the window's end, and the record that says so; `None`: it is what is known at hand. What was recorded of exactly that time holds (so go-live is
/// recorded). Else it is what is known now, where nothing was learned since; else what was on record then; else nothing: not today's.
pub(super) fn known_at(
    frame: &Frame,
    now: UnixMs,
    entry: &IntegrationEntry,
    known: (&Past, &ToldIncidents),
) -> (Observations, Option<u64>) {
    let (end, (past, incidents)) = (seen_until(frame, now), known);
    let (seen, record) = match past.at(end) {
        Some(noted) if noted.of == end => (noted.observed.seen(), Some(noted.seq)),
        _ if nothing_since(end, entry) => (observations(entry, end), None),
        Some(noted) => (noted.observed.seen(), Some(noted.seq)),
        None => (Observations::default(), None),
    };
    // Incidents have records of their own. Where nothing ever ran, nobody watched for any.
    let watched = !incidents.is_empty() || entry.checks.iter().any(|c| c.def.judged && c.state.last_run.is_some());
    (Observations { incidents: watched.then(|| incidents.of(frame)), ..seen }, record)
}

/// What is known now. `now`: what was told long before it counts no more.
pub(super) fn observations(entry: &IntegrationEntry, now: UnixMs) -> Observations {
    let judged = || entry.checks.iter().filter(|c| c.def.judged).map(|c| &c.state);
    // Of TLS and of what documents hold.
    let certificates = judged().flat_map(|s| [s.certificate_expiry, s.document.and_then(|d| d.signing_certificate_expiry)]);
    let drifts = judged().filter(|s| s.document.is_some()).map(open_drifts);
    Observations {
        quota_headroom: limits::headroom(entry, now),
        certificate_expiry: certificates.flatten().min(),
        open_drifts: drifts.reduce(u32::saturating_add),
        ..Observations::default()
    }
}

/// Changes of a document that nobody accepted.
fn open_drifts(state: &CheckState) -> u32 {
    let open = state.findings.iter().filter(|f| f.class == Class::Drift && f.level == Level::Fail).count();
    u32::try_from(open).unwrap_or(u32::MAX)
}

/// Whether what is known was learned by runs of slots before a time.
fn nothing_since(end: UnixMs, entry: &IntegrationEntry) -> bool {
    entry.checks.iter().all(|c| c.state.last.as_ref().is_none_or(|run| run.slot < end))
}

/// Notices what is to be recorded of one soak.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// What was known at the last look before go-live.
    before: Option<Observations>,
}

impl Watcher {
    /// Whether go-live came since the last look.
    pub(super) fn waits(&self) -> bool {
        self.before.is_some()
    }

    /// While the window moves: what is to be recorded as known at `end`. `said`: a verdict is said of it, which is to rest on a record.
    pub(super) fn moving(&mut self, end: UnixMs, entry: &IntegrationEntry, past: &Past, said: bool) -> Option<Observations> {
        let now = observations(entry, end);
        self.before = Some(now);
        let Some(last) = past.at(end) else { return (now != Observations::default()).then_some(now) };
        let (before, age) = (last.observed.seen(), end.0.saturating_sub(last.of.0));
        (now != before && (said || age >= EVERY_MS || is_new(&before, &now))).then_some(now)
    }

    /// After go-live (`end`): what is to be recorded, once, as known then.
    pub(super) fn frozen(&mut self, end: UnixMs, entry: &IntegrationEntry, past: &Past) -> Option<Observations> {
        let before = self.before.take();
        if past.at(end).is_some_and(|n| n.of == end) {
            return None;
        }
        let known = if nothing_since(end, entry) { Some(observations(entry, end)) } else { before };
        known.filter(|o| !past.is_empty() || *o != Observations::default())
    }
}

/// Whether something is observed that never was.
fn is_new(before: &Observations, now: &Observations) -> bool {
    (before.quota_headroom.is_none() && now.quota_headroom.is_some())
        || (before.certificate_expiry.is_none() && now.certificate_expiry.is_some())
        || (before.open_drifts.is_none() && now.open_drifts.is_some())
        || (before.reconciliation.is_none() && now.reconciliation.is_some())
}
