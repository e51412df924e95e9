//! Labels and annotations of an alert, as templates of Prometheus.

use super::since::since;
use super::{Alert, Dashboard, Severity, Urgency};
use crate::incident;
use crate::outcome::{Criticality, Phase};

/// Labels that make up a path, outermost first; the others of an identity are named.
const PATH: [&str; 4] = ["customer", "environment", "integration", "check"];
/// The criticalities whose pages are pages.
const PAGED: [Criticality; 2] = [Criticality::Critical, Criticality::High];

/// Where links of an alert lead to. Without a scheme they are paths: of this repository, and of Grafana.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bases {
    /// Before the name of a runbook.
    pub runbooks: String,
    /// Before the uid of a dashboard.
    pub dashboards: String,
}

impl Default for Bases {
    fn default() -> Self {
        Self { runbooks: "docs/runbooks".into(), dashboards: "/d".into() }
    }
}

fn words<T: Copy>(values: &[T], text: impl Fn(T) -> &'static str) -> String {
    values.iter().map(|v| format!(" \"{}\"", text(*v))).collect()
}

/// `severity`, `scope` and, where the alert knows its integration, `priority`.
pub(super) fn labels(alert: &Alert) -> Vec<(&'static str, String)> {
    let severity = match alert.severity {
        Severity::Always(urgency) => urgency.as_str().to_owned(),
        Severity::PageIn(phases) => format!(
            "{{{{ if and (eq $labels.phase{}) (eq $labels.tier{}) }}}}{}{{{{ else }}}}{}{{{{ end }}}}",
            words(phases, Phase::as_str),
            words(&PAGED, Criticality::as_str),
            Urgency::Page,
            Urgency::Ticket
        ),
    };
    let mut labels = vec![("severity", severity), ("scope", alert.scope.as_str().to_owned())];
    if alert.placed {
        labels.push(("priority", priority()));
    }
    labels
}

/// The severity an incident of this integration would have, from its criticality and phase.
fn priority() -> String {
    Criticality::ALL
        .iter()
        .map(|tier| {
            let of = |phase| incident::Severity::of(*tier, phase);
            let otherwise = of(Phase::Steady);
            let word = match of(Phase::Hypercare) {
                same if same == otherwise => same.to_string(),
                worse => format!("{{{{ if eq $labels.phase \"{}\" }}}}{worse}{{{{ else }}}}{otherwise}{{{{ end }}}}", Phase::Hypercare),
            };
            format!("{{{{ if eq $labels.tier \"{tier}\" }}}}{word}{{{{ end }}}}")
        })
        .collect()
}

/// `summary`, `description`, `runbook_url` and `dashboard`.
pub(super) fn annotations(alert: &Alert, bases: &Bases) -> Vec<(&'static str, String)> {
    let who = who(alert.identity);
    let begin = if who.is_empty() { String::new() } else { format!("{who}: ") };
    vec![
        ("summary", format!("{begin}{}", alert.summary)),
        ("description", format!("{} Since {}.", alert.description, since(alert.name, alert.identity))),
        ("runbook_url", format!("{}/{}.md", bases.runbooks, alert.name)),
        ("dashboard", dashboard(alert, bases)),
    ]
}

/// `acme/production/crm-orders/list-orders (policy burst)`, as a template.
fn who(identity: &[&str]) -> String {
    let path: Vec<String> = PATH.iter().filter(|l| identity.contains(l)).map(|l| format!("{{{{ $labels.{l} }}}}")).collect();
    let named: Vec<String> = identity.iter().filter(|l| !PATH.contains(l)).map(|l| format!("{l} {{{{ $labels.{l} }}}}")).collect();
    match (path.is_empty(), named.is_empty()) {
        (_, true) => path.join("/"),
        (true, false) => named.join(", "),
        (false, false) => format!("{} ({})", path.join("/"), named.join(", ")),
    }
}

fn dashboard(alert: &Alert, bases: &Bases) -> String {
    let (uid, variables): (&str, &[&str]) = match alert.dashboard {
        Dashboard::Integration => ("sw-integration", &["customer", "environment", "integration"]),
        Dashboard::Readiness => ("sw-readiness", &["customer", "environment", "gate"]),
        Dashboard::Monitor => ("sw-self", &[]),
    };
    let known = variables.iter().filter(|v| alert.identity.contains(v));
    let query: Vec<String> = known.map(|v| format!("var-{v}={{{{ $labels.{v} }}}}")).collect();
    format!("{}/{uid}{}{}", bases.dashboards, if query.is_empty() { "" } else { "?" }, query.join("&"))
}
