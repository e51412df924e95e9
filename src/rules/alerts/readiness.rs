//! Alerts on the way to go-live: coverage, gates, maintenance, and integrations that are gone.

use super::{Alert, OF_INTEGRATION, about};
use crate::metrics::catalogue as cat;
use crate::rules::query::{FEWEST_RUNS, I, Queries, one_of};
use crate::rules::recording::COVERAGE;
use crate::rules::{DAY, Dashboard, HOUR, MINUTE, Scope, Severity, Urgency};
use crate::soak::gate::Answer;

const OF_GATE: &[&str] = &["customer", "environment", "gate"];
const OF_INTEGRATION_AND_GATE: &[&str] = &["customer", "environment", "integration", "gate"];

/// A ticket or news about an environment's gate, which has no phase of its own.
fn gate(q: Queries, name: &'static str, answer: Answer, urgency: Urgency, summary: &'static str, description: &'static str) -> Alert {
    let answer = one_of("answer", &[answer.as_str()]);
    Alert {
        name,
        expr: format!("max by (customer, environment, gate) ({}) == 1", q.last(&cat::GATE_ANSWER, &answer)),
        wait: Some(10 * MINUTE),
        keep: None,
        severity: Severity::Always(urgency),
        scope: Scope::Integration,
        identity: OF_GATE,
        placed: false,
        summary,
        description,
        dashboard: Dashboard::Readiness,
    }
}

/// All of them.
pub(in crate::rules) fn readiness(q: Queries) -> Vec<Alert> {
    let coverage = format!("{COVERAGE} < 0.98\nand on ({I}) {} >= {FEWEST_RUNS}", q.rose(&cat::RUNS_DUE, "", I, DAY));
    let at_risk = format!(
        "min by ({I}, gate) ({}) < 0.25\nand max by ({I}, gate) ({}) < 0.9",
        q.last(&cat::GATE_BUDGET, ""),
        q.last(&cat::GATE_PROGRESS, "")
    );
    // How many five-minute steps a week has.
    let steps = 7 * DAY / (5 * MINUTE);
    let maintained =
        format!("max by ({I}) (sum_over_time({}[{}:{}])) / {steps} > 0.05", cat::MAINTENANCE.name, q.w(7 * DAY), q.w(5 * MINUTE));
    vec![
        about(
            q,
            "SoakwatchCoverageLow",
            OF_INTEGRATION,
            None,
            &coverage,
            "too few of its runs took place",
            "{{ $value | humanizePercentage }} of the runs that were due in the last day took place; without them nothing is proven.",
        )
        .after(30 * MINUTE),
        gate(
            q,
            "SoakwatchGateFailed",
            Answer::NoGo,
            Urgency::Ticket,
            "the gate says no_go",
            "{{ if eq $labels.gate \"hypercare\" }}Hypercare can't end: an integration does not meet what is asked for{{ else }}At least one integration failed its soak or can't pass it any more{{ end }} (state {{ $value }}).",
        ),
        Alert {
            dashboard: Dashboard::Readiness,
            ..about(
                q,
                "SoakwatchGateAtRisk",
                OF_INTEGRATION_AND_GATE,
                None,
                &at_risk,
                "may fail its soak",
                "{{ $value | humanizePercentage }} of the failures that the soak can take are left, and more than a tenth of its window.",
            )
            .after(30 * MINUTE)
        },
        gate(
            q,
            "SoakwatchGatePassed",
            Answer::Go,
            Urgency::Info,
            "the gate says go",
            "{{ if eq $labels.gate \"hypercare\" }}Hypercare may end: every integration meets what is asked for{{ else }}Every integration of the environment passed its soak{{ end }} (state {{ $value }}).",
        ),
        about(
            q,
            "SoakwatchMaintenanceTooLong",
            OF_INTEGRATION,
            None,
            &maintained,
            "was in maintenance for too long",
            "{{ $value | humanizePercentage }} of the last seven days were declared as maintenance; what runs then is not judged.",
        )
        .after(15 * MINUTE),
        vanished(q),
    ]
}

/// Was there an hour ago, is not there now, and it is not the monitor that is gone.
fn vanished(q: Queries) -> Alert {
    let (info, labels) = (cat::INTEGRATION_INFO.name, format!("{I}, phase, tier, owner"));
    let expr = format!(
        "max by ({labels}) ({info} offset {})\nunless on ({I}) {info}\nunless on () absent(up{{job=\"soakwatch\"}} == 1)",
        q.w(HOUR)
    );
    Alert {
        name: "SoakwatchSeriesVanished",
        expr,
        wait: Some(10 * MINUTE),
        keep: None,
        severity: Severity::Always(Urgency::Ticket),
        scope: Scope::Integration,
        identity: OF_INTEGRATION,
        placed: true,
        summary: "is no longer watched",
        description: "It was watched an hour ago, and is not in the configuration that the daemon runs now (series then: {{ $value }}).",
        dashboard: Dashboard::Integration,
    }
}
