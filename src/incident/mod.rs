//! Incidents: spans of time in which an integration does not work, with what is known of them (docs/incidents.md).
//!
//! Owns the words and the shape of an incident. Pure: never reads a clock, never stores, never tells anybody; times are arguments, and whoever keeps
//! incidents writes down what comes out.

pub mod act;
pub mod cause;
pub mod engine;
pub mod live;
mod recent;
pub mod shown;

pub use recent::{FLAPPING_RUNS, Ran, Recent};

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::evidence::Hash;
use crate::fields::{CheckId, IntegrationId, Span};
use crate::observed::bounded;
use crate::outcome::{Attribution, Class, Criticality, Owner, Phase, closed_set};

closed_set! {
    /// How bad an incident is, worst first (labels `severity` and `priority`).
    Severity {
        /// Critical, in hypercare.
        P1 => "P1",
        /// High in hypercare; critical otherwise.
        P2 => "P2",
        /// Normal in hypercare; high otherwise.
        P3 => "P3",
        /// All else.
        P4 => "P4",
    }
}

impl Severity {
    /// By criticality and phase (product.md, Hypercare): in hypercare critical is P1, high P2, normal P3, low P4; in every other phase one step lower.
    pub const fn of(criticality: Criticality, phase: Phase) -> Self {
        match (criticality, phase) {
            (Criticality::Critical, Phase::Hypercare) => Self::P1,
            (Criticality::High, Phase::Hypercare) | (Criticality::Critical, _) => Self::P2,
            (Criticality::Normal, Phase::Hypercare) | (Criticality::High, _) => Self::P3,
            _ => Self::P4,
        }
    }
}

closed_set! {
    /// What happened to an incident.
    Event {
        /// It began to be one.
        Opened => "opened",
        /// Another check, class, attribution or severity.
        Updated => "updated",
        /// It works again.
        Closed => "closed",
        /// It broke again so soon that it is the same incident.
        Reopened => "reopened",
        /// Somebody said that they are on it.
        Acknowledged => "acknowledged",
        /// Somebody wrote something down.
        Noted => "noted",
        /// Somebody knows better what it is, whose, or how bad.
        Reclassified => "reclassified",
    }
}

/// Entries of a timeline at most; of more, the oldest but the first are left out.
pub const MOST_TIMELINE: usize = 200;
/// Runs kept as evidence at most, the newest; and the first one.
pub const MOST_RUNS: usize = 10;

/// Reclassifications at most of which it is known what was before; of more the oldest are left out.
pub const MOST_BEFORE: usize = 20;
/// Characters of an entry's text at most; of a note.
pub const MOST_TEXT: usize = 300;
/// The same of a note.
pub const MOST_NOTE: usize = 2_000;

/// When an incident opens and closes (`incident`, in the configuration of an integration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `fail_after`: so many judged runs in a row that do not pass make an incident.
    pub fail_after: u32,
    /// `pass_after`: so many in a row that pass end it.
    pub pass_after: u32,
    /// `reopen_within`: what breaks again so soon is the same incident. Ten intervals of the check, where they are longer.
    pub reopen_within: Span,
}

impl Policy {
    /// The range of `fail_after` and `pass_after`: runs that are at hand.
    pub const RUNS: std::ops::RangeInclusive<u32> = 1..=FLAPPING_RUNS;
    /// The range of `reopen_within`.
    pub const REOPEN: std::ops::RangeInclusive<Span> = Span::seconds(0)..=Span::days(1);
}

impl Default for Policy {
    fn default() -> Self {
        Self { fail_after: 3, pass_after: 3, reopen_within: Span::seconds(1_800) }
    }
}

/// One entry of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When. For what runs tell: the slot of the run.
    pub at: UnixMs,
    /// What.
    pub event: Event,
    /// Who, by the name of their token; `None`: Soakwatch itself.
    pub by: Option<String>,
    /// In words; at most 300 characters (a note: 2,000), redacted.
    pub text: String,
}

/// A check that is, or was, broken in an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// Which.
    pub check: CheckId,
    /// Host and port it talks to, where it talks to one.
    pub host: Option<String>,
    /// Slot of the first run of its streak of failures.
    pub first_bad: UnixMs,
    /// Slot of its last run that did not pass.
    pub last_bad: UnixMs,
    /// Runs in the incident that did not pass.
    pub failures: u64,
    /// Whether it still counts as broken.
    pub open: bool,
    /// Slot of the run by which it worked again; `None`: it is broken, or left the configuration.
    pub recovered: Option<UnixMs>,
    /// Slot of the last of its runs that was taken in.
    pub seen: UnixMs,
}

/// A run as evidence: what of it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRun {
    /// Which check.
    pub check: CheckId,
    /// Its slot.
    pub slot: UnixMs,
    /// What went wrong; `None`: it passed.
    pub class: Option<Class>,
    /// Whose it was, by the triage map.
    pub attribution: Option<Attribution>,
    /// The last status, where there was one.
    pub status: Option<u16>,
    /// What happened, for people; redacted.
    pub detail: Option<String>,
}

/// What an incident was taken for, until somebody knew better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// When they said so.
    pub until: UnixMs,
    /// How bad.
    pub severity: Severity,
    /// What.
    pub class: Class,
    /// Whose.
    pub attribution: Attribution,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id: 12 characters `[a-z2-7]`, made of the integration and the first bad run, so that the same incident has the same id everywhere.
    pub id: String,
    /// Which integration.
    pub integration: IntegrationId,
    /// Slot of the first run that did not pass.
    pub first_bad: UnixMs,
    /// Slot of the run that made it an incident. `opened - first_bad` is the time to detect.
    pub opened: UnixMs,
    /// Slot of the run that ended it; `None`: it is open. `closed - first_bad` is the time to repair.
    pub closed: Option<UnixMs>,
    /// How bad; the worst it has been, unless reclassified.
    pub severity: Severity,
    /// The class most of its failures have had since it opened, or opened again; of equals the latest.
    pub class: Class,
    /// Whose it most likely is.
    pub attribution: Attribution,
    /// Who owns the far side.
    pub owner: Owner,
    /// How much the integration mattered when it opened.
    pub criticality: Criticality,
    /// Where the integration stood when it opened.
    pub phase: Phase,
    /// The checks that were broken in it.
    pub checks: Vec<Affected>,
    /// Failures by class, most first.
    pub classes: Vec<(Class, Attribution, u64)>,
    /// Those since it opened again: what `class` is chosen from then. Empty until it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub since_again: Vec<(Class, Attribution, u64)>,
    /// How often it broke again after it had closed.
    pub reopened: u32,
    /// Who is on it, since when.
    pub acknowledged: Option<(String, UnixMs)>,
    /// Who said what it is; from then on class, attribution and severity are theirs.
    pub reclassified: Option<(String, UnixMs)>,
    /// What it was taken for before each of the last reclassifications, oldest first: who asks for an earlier time is told that.
    #[serde(default)]
    pub before: Vec<Before>,
    /// Runs as evidence, oldest first.
    pub runs: Vec<SeenRun>,
    /// What happened, oldest first.
    pub timeline: Vec<Entry>,
}

/// The id of an incident: 12 characters of base 32 (60 bits) of a hash, so that the same incident has the same id everywhere.
fn id_of(what: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = Hash::of(what.as_bytes());
    let bits = hash.0.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let letter = |n: u32| LETTERS.get((bits >> (59 - 5 * n) & 31) as usize).copied().unwrap_or(b'a');
    (0..12).map(|n| char::from(letter(n))).collect()
}

impl Incident {
    /// The id of the incident of an integration that began with a run.
    pub fn id_for(integration: &IntegrationId, first_bad: UnixMs) -> String {
        id_of(&format!("{integration} {}", first_bad.0))
    }

    /// Writes down what happened. Of too many entries the oldest but the first are left out.
    fn log(&mut self, at: UnixMs, event: Event, by: Option<&str>, text: &str) {
        let most = if event == Event::Noted { MOST_NOTE } else { MOST_TEXT };
        self.timeline.push(Entry { at, event, by: by.map(str::to_owned), text: bounded(text, most) });
        if self.timeline.len() > MOST_TIMELINE {
            self.timeline.remove(1);
        }
    }

    /// The incident as it was known at a time: not closed by what came later, and not reclassified yet. `None`: it was not known yet.
    pub fn as_of(&self, at: UnixMs) -> Option<Self> {
        if self.opened > at {
            return None;
        }
        let mut then = self.clone();
        then.closed = self.closed.filter(|c| *c <= at);
        if let Some(was) = self.before.iter().find(|b| b.until > at) {
            (then.severity, then.class, then.attribution) = (was.severity, was.class, was.attribution);
        }
        Some(then)
    }

    /// Where it stands in a list: the open ones first, the worst of them first; then the newest first.
    pub fn place(&self) -> impl Ord + use<> {
        (self.closed.is_some(), self.closed.is_none().then_some(self.severity), std::cmp::Reverse(self.first_bad), self.id.clone())
    }

    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether it went on at some time of a span (the end is not part of it).
    pub fn touches(&self, from: UnixMs, until: UnixMs) -> bool {
        self.first_bad < until && self.closed.is_none_or(|c| c >= from)
    }

    /// Milliseconds from the first bad run to the run that made it an incident.
    pub fn time_to_detect_ms(&self) -> i64 {
        self.opened.0.saturating_sub(self.first_bad.0)
    }

    /// Milliseconds from the first bad run to the run that ended it; `None`: it is open.
    pub fn time_to_repair_ms(&self) -> Option<i64> {
        self.closed.map(|c| c.0.saturating_sub(self.first_bad.0))
    }
}

/// Incidents behind one host that began together: most likely one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommonCause {
    /// Its id, made of the host and the first incident's.
    pub id: String,
    /// The host and port all of them talk to.
    pub host: String,
    /// The earliest first bad run.
    pub since: UnixMs,
    /// The class most of them have.
    pub class: Class,
    /// Their ids, oldest first; of at least two customers, or three integrations.
    pub incidents: Vec<String>,
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod words {
    use super::*;

    #[test]
    fn severity_is_one_step_lower_outside_hypercare() {
        use Criticality::{Critical, High, Low, Normal};
        for (criticality, inside, outside) in [(Critical, "P1", "P2"), (High, "P2", "P3"), (Normal, "P3", "P4"), (Low, "P4", "P4")] {
            assert_eq!(Severity::of(criticality, Phase::Hypercare).as_str(), inside);
            for phase in [Phase::Build, Phase::Soak, Phase::Steady, Phase::Paused] {
                assert_eq!(Severity::of(criticality, phase).as_str(), outside, "{criticality} {phase}");
            }
        }
    }
}
