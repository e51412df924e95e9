//! What is recorded: runs and failures of every integration over the windows of the burn alerts, from sums of both, never from averages of ratios.

use super::query::{I, Queries, burn, ratio, runs};
use super::{DAY, HOUR, MINUTE, Record};
use crate::metrics::catalogue as cat;

/// Windows that are read off the counters.
pub(super) const SHORT: [u64; 5] = [5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR];
/// Windows that are summed up from five-minute pieces: a month of raw samples is too much to read every few minutes.
pub(super) const LONG: [u64; 4] = [DAY, 3 * DAY, 7 * DAY, 30 * DAY];
const FAILURES_5M: &str = "integration:soakwatch_run_failures:increase5m";
const ERROR_BUDGET: &str = "integration:soakwatch_slo_error_budget:ratio";
/// What remains of the tightest quota, over it.
pub(super) const HEADROOM: &str = "integration:soakwatch_rate_limit_headroom:ratio";
/// Judged runs over due slots, over a day.
pub(super) const COVERAGE: &str = "integration:soakwatch_coverage:ratio1d";
/// 95 % of runs were no slower, over five minutes.
pub(super) const P95: &str = "integration:soakwatch_run_duration_seconds:p95_5m";

fn record(name: impl Into<String>, expr: String) -> Record {
    Record { name: name.into(), expr }
}

/// Those that follow the counters closely.
pub(super) fn short(q: Queries) -> Vec<Record> {
    let mut rules: Vec<Record> = SHORT.iter().map(|w| record(runs(*w), q.rose(&cat::RUNS, "", I, *w))).collect();
    rules.push(record(FAILURES_5M, q.rose(&cat::RUN_FAILURES, "", I, 5 * MINUTE)));
    // `> 0`: no runs, no ratio.
    rules.extend(SHORT.iter().map(|w| record(ratio(*w), format!("{}\n/ ({} > 0)", q.rose(&cat::RUN_FAILURES, "", I, *w), runs(*w)))));
    let (remaining, quota) = (q.last(&cat::RATE_LIMIT_REMAINING, ""), q.last(&cat::RATE_LIMIT_QUOTA, ""));
    rules.push(record(HEADROOM, format!("min by ({I}) ({remaining} / ({quota} > 0))")));
    let buckets = format!("sum by ({I}, le) (rate({}_bucket[{}]))", cat::RUN_DURATION.name, q.w(5 * MINUTE));
    rules.push(record(P95, format!("histogram_quantile(0.95, {buckets})")));
    rules
}

/// Those over days.
pub(super) fn long(q: Queries) -> Vec<Record> {
    let summed = |name: &str, w: u64| format!("sum_over_time({name}[{}:{}])", q.w(w), q.w(5 * MINUTE));
    let mut rules: Vec<Record> = LONG.iter().map(|w| record(runs(*w), summed(&runs(5 * MINUTE), *w))).collect();
    rules.extend(LONG.iter().map(|w| record(ratio(*w), format!("{}\n/ ({} > 0)", summed(FAILURES_5M, *w), runs(*w)))));
    let due = q.rose(&cat::RUNS_DUE, "", I, DAY);
    rules.push(record(COVERAGE, format!("{}\n/ ({due} > 0)", q.rose(&cat::RUNS, "", I, DAY))));
    rules
}

/// How fast the error budget is used up: 1 uses it up exactly in the objective's period.
pub(super) fn objective() -> Vec<Record> {
    let mut rules = vec![record(ERROR_BUDGET, format!("1 - max by ({I}) ({})", cat::SLO_OBJECTIVE.name))];
    rules.extend(SHORT.iter().chain(&LONG).map(|w| record(burn(*w), format!("{} / on ({I}) {ERROR_BUDGET}", ratio(*w)))));
    rules
}
