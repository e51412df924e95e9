//! The rules for Prometheus: what is recorded, when somebody is called, and how urgently (docs/alerts.md). `soakwatch rules` writes them as YAML.
//!
//! Owns the tables and the words on alerts. Pure: names of metrics come from the catalogue, values of labels from the closed sets, so that a rule can't
//! name what is not exported. Never asks Prometheus anything; routes and inhibitions are Alertmanager's (deploy/alertmanager).

mod alerts;
mod query;
mod recording;
mod since;
mod text;
mod yaml;

use crate::outcome::{Phase, closed_set};
use query::Queries;

pub use text::Bases;
pub use yaml::written;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

closed_set! {
    /// What an alert asks for (label `severity`).
    Urgency {
        /// Somebody, now.
        Page => "page",
        /// Somebody, in working hours.
        Ticket => "ticket",
        /// Nobody: worth knowing.
        Info => "info",
        /// Nobody: it tells that alerts arrive at all.
        None => "none",
    }
}

closed_set! {
    /// Whose trouble it is (label `scope`).
    Scope {
        /// An integration's.
        Integration => "integration",
        /// The monitor's own.
        Monitor => "monitor",
    }
}

/// What all windows, waits and intervals are divided by. The product knows [`Scale::REAL`] alone; a test that waits for real alerts takes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(std::num::NonZeroU32);

impl Scale {
    /// As they are.
    pub const REAL: Self = Self(std::num::NonZeroU32::MIN);

    /// So many times as fast.
    pub const fn faster(times: std::num::NonZeroU32) -> Self {
        Self(times)
    }

    /// A time as Prometheus writes it, in the largest unit that fits: `90s`, `5m`, `1d`.
    fn span(self, seconds: u64) -> String {
        let ms = seconds * 1000 / u64::from(self.0.get());
        let unit = [(DAY * 1000, "d"), (HOUR * 1000, "h"), (MINUTE * 1000, "m"), (1000, "s")]
            .into_iter()
            .find(|(u, _)| ms > 0 && ms.is_multiple_of(*u));
        unit.map_or_else(|| format!("{ms}ms"), |(u, name)| format!("{}{name}", ms / u))
    }
}

/// When an alert has which urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Always the same.
    Always(Urgency),
    /// A page while the integration is in one of these phases and its criticality is critical or high; a ticket otherwise.
    PageIn(&'static [Phase]),
}

/// The dashboard that shows most of it (dashboards/).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dashboard {
    /// Of one integration.
    Integration,
    /// Of an environment's soak.
    Readiness,
    /// Of the monitor itself.
    Monitor,
}

/// A recording rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name of what is recorded.
    pub name: String,
    /// PromQL.
    pub expr: String,
}

/// An alerting rule. Times are in seconds, not scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// `Soakwatch...`; its runbook is docs/runbooks/NAME.md.
    pub name: &'static str,
    /// PromQL, scaled.
    pub expr: String,
    /// True for so long before it fires.
    pub wait: Option<u64>,
    /// Fires on for so long after it was true.
    pub keep: Option<u64>,
    /// How urgent.
    pub severity: Severity,
    /// Whose trouble.
    pub scope: Scope,
    /// The labels that tell its alerts apart.
    pub identity: &'static [&'static str],
    /// Whether it carries phase, tier and owner of its integration.
    pub placed: bool,
    /// What is wrong, in a few words.
    pub summary: &'static str,
    /// A sentence with the value, as a template.
    pub description: &'static str,
    /// Where to look.
    pub dashboard: Dashboard,
}

/// Rules that are evaluated together. The interval is in seconds, not scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// How often, in seconds.
    pub interval: u64,
    /// What is recorded.
    pub records: Vec<Record>,
    /// What is alerted on.
    pub alerts: Vec<Alert>,
}

/// All rules.
pub fn groups(scale: Scale) -> Vec<Group> {
    let q = Queries(scale);
    let group = |name, interval, records, alerts| Group { name, interval, records, alerts };
    vec![
        group("soakwatch-sli", 30, recording::short(q), Vec::new()),
        // Less than the five minutes after which Prometheus forgets a sample: there is never a moment without one.
        group("soakwatch-sli-long", 4 * MINUTE, recording::long(q), Vec::new()),
        group("soakwatch-slo", 30, recording::objective(), Vec::new()),
        group("soakwatch-integrations", 30, Vec::new(), alerts::integrations(q)),
        group("soakwatch-expiry", 30, Vec::new(), alerts::expiry(q)),
        group("soakwatch-readiness", 30, Vec::new(), alerts::readiness(q)),
        group("soakwatch-monitor", 30, Vec::new(), alerts::monitor(q)),
    ]
}
