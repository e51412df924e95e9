//! The alerts, in four groups: integrations as they run, what expires or arrives, readiness, the monitor itself.

mod expiry;
mod integrations;
mod monitor;
mod readiness;

use super::query::Queries;
use super::{Alert, Dashboard, Scope, Severity, Urgency};
use crate::outcome::Phase;

pub(super) use expiry::expiry;
pub(super) use integrations::integrations;
pub(super) use monitor::monitor;
pub(super) use readiness::readiness;

const OF_INTEGRATION: &[&str] = &["customer", "environment", "integration"];
const OF_CHECK: &[&str] = &["customer", "environment", "integration", "check"];
/// The phases in which somebody is called.
const CALLED_IN: &[Phase] = &[Phase::Hypercare, Phase::Steady];

/// A ticket about an integration that fires at once and no longer than it is true. `phases`: in which alone, `None`: unless it is paused.
fn about(
    q: Queries,
    name: &'static str,
    identity: &'static [&'static str],
    phases: Option<&[Phase]>,
    expr: &str,
    summary: &'static str,
    description: &'static str,
) -> Alert {
    // A finding has an owner of its own, who is to mend it.
    let labels = if identity.contains(&"owner") { "phase, tier" } else { "phase, tier, owner" };
    Alert {
        name,
        expr: q.placed(expr, phases, labels),
        wait: None,
        keep: None,
        severity: Severity::Always(Urgency::Ticket),
        scope: Scope::Integration,
        identity,
        placed: true,
        summary,
        description,
        dashboard: Dashboard::Integration,
    }
}

/// A page about the monitor itself, likewise.
fn ours(name: &'static str, identity: &'static [&'static str], expr: String, summary: &'static str, description: &'static str) -> Alert {
    Alert {
        name,
        expr,
        wait: None,
        keep: None,
        severity: Severity::Always(Urgency::Page),
        scope: Scope::Monitor,
        identity,
        placed: false,
        summary,
        description,
        dashboard: Dashboard::Monitor,
    }
}

impl Alert {
    /// True for so many seconds before it fires.
    fn after(self, seconds: u64) -> Self {
        Self { wait: Some(seconds), ..self }
    }
    /// Fires on for so many seconds.
    fn keeps(self, seconds: u64) -> Self {
        Self { keep: Some(seconds), ..self }
    }
    /// Of this urgency.
    fn is(self, urgency: Urgency) -> Self {
        Self { severity: Severity::Always(urgency), ..self }
    }
    /// A page in these phases, for what is critical or high.
    fn pages_in(self, phases: &'static [Phase]) -> Self {
        Self { severity: Severity::PageIn(phases), ..self }
    }
}
