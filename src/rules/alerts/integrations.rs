//! Alerts on how integrations run: budgets, outages, credentials, rate limits, latency, and what the address guard refused.

use super::{Alert, CALLED_IN, OF_CHECK, OF_INTEGRATION, about};
use crate::metrics::catalogue as cat;
use crate::outcome::{Class, Phase};
use crate::rules::query::{FEWEST_RUNS, I, IC, Queries, burn, one_of, ratio, runs};
use crate::rules::recording::{HEADROOM, P95};
use crate::rules::{DAY, HOUR, MINUTE};

/// Two windows that both burn faster than this, the short one with runs enough to say so, and the long one with more than a single failure: while there
/// is little history it is no longer than the short one.
fn tier(long: u64, short: u64, faster_than: f64) -> String {
    let (long_burn, short_burn) = (burn(long), burn(short));
    format!(
        "({long_burn} > {faster_than} and {short_burn} > {faster_than} and {} >= {FEWEST_RUNS} and {} * {} > 1.5)",
        runs(short),
        ratio(long),
        runs(long)
    )
}

fn fast(first: f64, second: f64) -> String {
    format!("{}\nor {}", tier(HOUR, 5 * MINUTE, first), tier(6 * HOUR, 30 * MINUTE, second))
}

fn slow(first: f64, second: f64) -> String {
    format!("{}\nor {}", tier(DAY, 2 * HOUR, first), tier(3 * DAY, 6 * HOUR, second))
}

/// All of them.
pub(in crate::rules) fn integrations(q: Queries) -> Vec<Alert> {
    let class = |of: &[Class]| one_of("class", &of.iter().map(|c| c.as_str()).collect::<Vec<_>>());
    let headroom = format!("{HEADROOM} < 0.2");
    let rejected = format!("{} > 2", q.rose(&cat::FAILURE_CLASSES, &class(&[Class::Unauthorized, Class::Forbidden]), I, 15 * MINUTE));
    let throttled = format!("{} > 2", q.rose(&cat::FAILURE_CLASSES, &class(&[Class::Throttled]), I, HOUR));
    let exhaustion = format!("min by ({I}, policy) ({}) - time() < {HOUR}", q.last(&cat::RATE_LIMIT_EXHAUSTION, ""));
    let latency = format!(
        "{P95} > on ({I}) 0.8 * min by ({I}) ({})\nand on ({I}) {} >= {FEWEST_RUNS}",
        q.last(&cat::CHECK_TIMEOUT, ""),
        runs(5 * MINUTE)
    );
    vec![
        about(
            q,
            "SoakwatchBudgetBurnFast",
            OF_INTEGRATION,
            Some(CALLED_IN),
            &fast(14.4, 6.0),
            "uses up its error budget within days",
            "Failures use up the error budget {{ $value | humanize }} times as fast as the objective allows.",
        )
        .after(MINUTE)
        .keeps(5 * MINUTE)
        .pages_in(CALLED_IN),
        about(
            q,
            "SoakwatchBudgetBurnSlow",
            OF_INTEGRATION,
            Some(CALLED_IN),
            &slow(3.0, 1.0),
            "will not keep its objective",
            "Over the last days failures used up the error budget {{ $value | humanize }} times as fast as the objective allows.",
        )
        .after(15 * MINUTE)
        .keeps(30 * MINUTE),
        about(
            q,
            "SoakwatchSoakBurnFast",
            OF_INTEGRATION,
            Some(&[Phase::Soak]),
            &fast(13.44, 3.5),
            "is about to fail its soak",
            "Failures use up the soak's error budget {{ $value | humanize }} times as fast as its window allows.",
        )
        .after(MINUTE)
        .keeps(5 * MINUTE),
        about(
            q,
            "SoakwatchSoakBurnSlow",
            OF_INTEGRATION,
            Some(&[Phase::Soak]),
            &slow(1.4, 0.98),
            "will fail its soak if it goes on like this",
            "Over the last days failures used up the soak's error budget {{ $value | humanize }} times as fast as its window allows.",
        )
        .after(15 * MINUTE)
        .keeps(30 * MINUTE),
        about(q, "SoakwatchIntegrationDown", OF_CHECK, None, &down(q), "is down", "{{ $value }} runs in a row failed, at every vantage.")
            .keeps(5 * MINUTE)
            .pages_in(CALLED_IN),
        about(
            q,
            "SoakwatchCredentialRejected",
            OF_INTEGRATION,
            None,
            &rejected,
            "its credential is refused",
            "{{ $value | humanize }} runs of the last 15 minutes were answered 401 or 403.",
        )
        .keeps(15 * MINUTE)
        .pages_in(CALLED_IN),
        about(
            q,
            "SoakwatchRateLimited",
            OF_INTEGRATION,
            None,
            &throttled,
            "is throttled",
            "{{ $value | humanize }} runs of the last hour were told that there are too many requests.",
        )
        .keeps(30 * MINUTE),
        about(
            q,
            "SoakwatchRateLimitHeadroomLow",
            OF_INTEGRATION,
            None,
            &headroom,
            "its quota is nearly used up",
            "{{ $value | humanizePercentage }} of the tightest quota remains.",
        )
        .after(15 * MINUTE)
        .keeps(30 * MINUTE),
        about(
            q,
            "SoakwatchQuotaExhaustionSoon",
            &["customer", "environment", "integration", "policy"],
            None,
            &exhaustion,
            "its quota runs out within the hour",
            "As it is used now, the quota is used up in {{ $value | humanizeDuration }}, before it renews.",
        )
        .after(5 * MINUTE)
        .keeps(30 * MINUTE),
        about(
            q,
            "SoakwatchLatencyHigh",
            OF_INTEGRATION,
            None,
            &latency,
            "answers nearly too late",
            "5 % of runs take {{ $value | humanizeDuration }} or more, which is over 80 % of the time they have.",
        )
        .after(15 * MINUTE)
        .keeps(15 * MINUTE),
        about(
            q,
            "SoakwatchEgressDenied",
            &["customer", "environment", "integration", "rule"],
            None,
            &q.rose_or_appeared(&cat::EGRESS_DENIED, &format!("{I}, rule"), 15 * MINUTE),
            "its target was refused by our address guard",
            "{{ $value | humanize }} requests were not sent, because they would have gone to an address that is not allowed.",
        )
        .keeps(30 * MINUTE),
    ]
}

/// Three failures in a row, everywhere and for two minutes. A check that was in maintenance has time for its next run.
fn down(q: Queries) -> String {
    format!(
        "min by ({IC}) (min_over_time({}[{}])) >= 3\nunless on ({I}) {}",
        cat::CONSECUTIVE_FAILURES.name,
        q.w(2 * MINUTE),
        q.in_maintenance(5 * MINUTE)
    )
}
