//! Ratios over windows, error budgets, burn rates, times to detect and to repair. An integration's number is that of its worst judged check, so that a
//! healthy ping can't hide a broken flow; the sums over all judged checks stand beside.
//!
//! Windows are whole hours: from the hour in which `now - window` lies, the running hour included, and never from before go-live. Burn rates over 1 h and
//! 6 h are counted run by run.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::History;
use crate::clock::{DAY_MS, HOUR_MS, UnixMs};
use crate::fields::Span;
use crate::incident::Incident;
use crate::outcome::closed_set;
use crate::record::Counts;

closed_set! {
    /// The windows that are shown.
    Reach {
        /// The last day.
        Day => "24h",
        /// The last 7 days.
        Week => "7d",
        /// The last 14 days.
        Fortnight => "14d",
        /// The last 30 days.
        Month => "30d",
        /// Everything since go-live.
        GoLive => "go_live",
    }
}

impl Reach {
    /// When it begins.
    pub fn start(self, now: UnixMs, go_live: UnixMs) -> UnixMs {
        let days = match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Fortnight => 14,
            Self::Month => 30,
            Self::GoLive => return go_live,
        };
        start(now, days * DAY_MS, go_live)
    }
}

/// Where a window of so many milliseconds begins: at a whole hour, or at go-live.
pub(super) fn start(now: UnixMs, ms: i64, go_live: UnixMs) -> UnixMs {
    let from = now.0.saturating_sub(ms);
    UnixMs(from - from.rem_euclid(HOUR_MS)).max(go_live)
}

/// The spans that burn rates are of: those of the alerts that need no shorter ones. Milliseconds, and how they are called.
pub const BURNS: [(&str, i64); 4] = [("1h", HOUR_MS), ("6h", 6 * HOUR_MS), ("24h", DAY_MS), ("3d", 3 * DAY_MS)];

/// What a window says of an integration; ratios are those of its worst judged check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "HypercareNumbers")]
pub struct Numbers {
    /// When the window begins.
    pub since: String,
    /// Passing runs over runs; absent: there were none.
    pub success_ratio: Option<f64>,
    /// The check with the lowest ratio.
    pub worst_check: Option<String>,
    /// Runs that were made over runs that were due.
    pub coverage: Option<f64>,
    /// The check with the lowest coverage.
    pub least_covered: Option<String>,
    /// All judged checks together.
    pub counts: Counts,
}

/// An error budget; of several checks the one with the least left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "HypercareBudget")]
pub struct Budget {
    /// The check it is of.
    pub check: String,
    /// How many runs may fail; not a whole number.
    pub allowed: f64,
    /// How many did not pass.
    pub used: u64,
    /// The share that is left; below 0: more failed than may.
    pub left: f64,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "HypercareTimes")]
pub struct Times {
    /// How many there were.
    pub count: u64,
    /// Seconds, on average; absent: there were none.
    pub mean_s: Option<f64>,
    /// Seconds, the longest.
    pub worst_s: Option<f64>,
}

impl Times {
    fn of(all: &[i64]) -> Self {
        let count = all.len() as u64;
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let mean_s = (count > 0).then(|| all.iter().map(|ms| seconds(*ms)).sum::<f64>() / count as f64);
        Self { count, mean_s, worst_s: all.iter().max().map(|ms| seconds(*ms)) }
    }
}

/// The incidents of a span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "HypercareIncidents")]
pub struct Incidents {
    /// Opened in it, by severity.
    pub opened: BTreeMap<String, u64>,
    /// Opened in it, by attribution.
    pub opened_by_attribution: BTreeMap<String, u64>,
    /// Closed in it, by severity.
    pub closed: BTreeMap<String, u64>,
    /// Open at its end, by severity.
    pub open: BTreeMap<String, u64>,
    /// From the first bad run to opening, of those opened in it.
    pub time_to_detect: Times,
    /// From the first bad run to the run that ended it, of those closed in it.
    pub time_to_repair: Times,
}

impl Incidents {
    /// Of a span; its end is not part of it.
    pub fn of(all: &[Arc<Incident>], from: UnixMs, until: UnixMs) -> Self {
        let inside = |t: UnixMs| from <= t && t < until;
        let (mut this, mut detect, mut repair) = (Self::default(), Vec::new(), Vec::new());
        for i in all {
            let severity = i.severity.as_str().to_owned();
            if inside(i.opened) {
                *this.opened.entry(severity.clone()).or_default() += 1;
                *this.opened_by_attribution.entry(i.attribution.as_str().to_owned()).or_default() += 1;
                detect.push(i.time_to_detect_ms());
            }
            match (i.closed, i.time_to_repair_ms()) {
                (Some(closed), Some(ms)) if inside(closed) => {
                    *this.closed.entry(severity).or_default() += 1;
                    repair.push(ms);
                }
                (closed, _) if i.opened < until && closed.is_none_or(|c| c >= until) => *this.open.entry(severity).or_default() += 1,
                _ => {}
            }
        }
        (this.time_to_detect, this.time_to_repair) = (Times::of(&detect), Times::of(&repair));
        this
    }

    /// How many, of all severities.
    pub fn sum(of: &BTreeMap<String, u64>) -> u64 {
        of.values().sum()
    }
}

/// Of an integration's checks, the worst of something.
pub(super) fn worst(
    checks: &[History],
    of: impl Fn(&History) -> Option<f64>,
    is_worse: impl Fn(f64, f64) -> bool,
) -> Option<(&History, f64)> {
    let mut found: Option<(&History, f64)> = None;
    for check in checks.iter().filter(|c| c.judged) {
        if let Some(x) = of(check).filter(|x| found.is_none_or(|(_, best)| is_worse(*x, best))) {
            found = Some((check, x));
        }
    }
    found
}

/// What a window says. `counts`: of one check in it.
pub fn numbers(checks: &[History], from: UnixMs, throttled_excluded: bool) -> Numbers {
    let ratio = worst(checks, |c| c.since(from).success_ratio(throttled_excluded), |a, b| a < b);
    let coverage = worst(checks, |c| c.coverage(from), |a, b| a < b);
    let mut counts = Counts::default();
    checks.iter().filter(|c| c.judged).for_each(|c| counts.merge(&c.since(from)));
    Numbers {
        since: from.to_string(),
        success_ratio: ratio.map(|(_, x)| x),
        worst_check: ratio.map(|(c, _)| c.check.check().to_owned()),
        coverage: coverage.map(|(_, x)| x),
        least_covered: coverage.map(|(c, _)| c.check.check().to_owned()),
        counts,
    }
}

/// Runs that count for the ratio, and those of them that did not pass.
fn judged(counts: &Counts, throttled_excluded: bool) -> (u64, u64) {
    let bad = counts.fail + if throttled_excluded { 0 } else { counts.throttled };
    (counts.pass + bad, bad)
}

fn budget(check: &History, runs: u64, used: u64, objective: f64) -> Option<Budget> {
    // Of no runs nothing is left, and nothing is used up.
    let allowed = (runs > 0).then_some((1.0 - objective) * runs as f64)?;
    let left = match used {
        0 => 1.0,
        // No objective below 1: whatever fails is too much.
        _ if allowed <= 0.0 => -(used as f64),
        _ => 1.0 - used as f64 / allowed,
    };
    Some(Budget { check: check.check.check().to_owned(), allowed, used, left })
}

fn least(budgets: impl Iterator<Item = Option<Budget>>) -> Option<Budget> {
    budgets.flatten().min_by(|a, b| a.left.total_cmp(&b.left))
}

/// What the runs since a time leave of the budget they give.
pub fn budget_since(checks: &[History], from: UnixMs, objective: f64, throttled_excluded: bool) -> Option<Budget> {
    least(checks.iter().filter(|c| c.judged).map(|c| {
        let (runs, bad) = judged(&c.since(from), throttled_excluded);
        budget(c, runs, bad, objective)
    }))
}

/// The budget of the whole of hypercare: the runs that were made in it, and those still to come.
pub fn budget_of_hypercare(
    checks: &[History],
    (go_live, length, now): (UnixMs, Span, UnixMs),
    objective: f64,
    throttled_excluded: bool,
) -> Option<Budget> {
    let end = go_live.plus(length.0);
    least(checks.iter().filter(|c| c.judged).map(|c| {
        let (runs, bad) = judged(&c.between(go_live.hour(), end.hour()), throttled_excluded);
        let left_ms = end.0.saturating_sub(now.0).max(0);
        let to_come = c.every.map_or(0, |every| u64::try_from(left_ms / every.ms().max(1)).unwrap_or(0));
        budget(c, runs.saturating_add(to_come), bad, objective)
    }))
}

/// How fast the budget burns: 1 uses it up exactly in its time. Absent: no runs, or no budget.
pub fn burn(checks: &[History], now: UnixMs, ms: i64, go_live: UnixMs, objective: f64, throttled_excluded: bool) -> Option<f64> {
    let allowed = 1.0 - objective;
    let rate = |c: &History| {
        let counts = if ms <= super::history::RECENT_MS {
            c.exactly_since(UnixMs(now.0.saturating_sub(ms)).max(go_live))
        } else {
            c.since(start(now, ms, go_live))
        };
        let (runs, bad) = judged(&counts, throttled_excluded);
        (runs > 0 && allowed > 0.0).then(|| bad as f64 / runs as f64 / allowed)
    };
    worst(checks, rate, |a, b| a > b).map(|(_, x)| x)
}
