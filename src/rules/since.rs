//! Since when an alert is true, as a template: Prometheus keeps that in a series of its own, which the template asks for.

/// The template for an alert with these identity labels. In its first moments there is no such series yet.
pub(super) fn since(alert: &str, identity: &[&str]) -> String {
    let labels: String = identity.iter().map(|l| format!(",{l}=%q")).collect();
    let values: String = identity.iter().map(|l| format!(" $labels.{l}")).collect();
    format!(
        "{{{{ with printf `ALERTS_FOR_STATE{{alertname=%q{labels}}}` \"{alert}\"{values} | query }}}}\
         {{{{ . | first | value | humanizeTimestamp }}}}{{{{ else }}}}just now{{{{ end }}}}"
    )
}
