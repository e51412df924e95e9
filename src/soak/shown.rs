//! A verdict as it is shown: the JSON object every output uses, with its words. The first keys and their order are fixed (docs/verdicts.md).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::earliest::earliest_pass;
use super::given::{Input, Waiver};
use super::policy::Judge;
use super::verdict::{Budget, Name, Row, Ruling, Standing, Value, Verdict};
use super::window::Stage;
use super::words::{missing, reason};
use crate::clock::UnixMs;
use crate::record::{Counts, DurationCode};

/// A verdict in words and numbers, complete in itself.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct Shown {
    pub verdict: Ruling,
    pub as_of: String,
    pub doomed_at: Option<String>,
    pub window: ShownWindow,
    pub criteria: Vec<ShownRow>,
    pub counts: ShownCounts,
    pub budget: ShownBudget,
    /// From here on the order may change, and keys may be added.
    pub adjusted: ShownCounts,
    pub not_due: u64,
    pub excluded: u64,
    pub progress: f64,
    pub time_left_s: Option<i64>,
    pub earliest_pass: Option<String>,
    pub missing: Vec<String>,
    pub silent: Option<ShownSilence>,
    pub checks: Vec<ShownCheck>,
}

/// The judged window, its end exclusive.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct ShownWindow {
    pub start: String,
    pub end: String,
}

/// One criterion.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct ShownRow {
    pub name: String,
    pub threshold: Json,
    pub observed: Json,
    pub met: Option<bool>,
    pub reason: String,
    pub so_far: Option<bool>,
    pub check: Option<String>,
    pub behind: u64,
    pub waived: Option<ShownWaiver>,
}

/// The waiver in force.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct ShownWaiver {
    pub reason: String,
    pub approver: String,
    pub until: String,
}

/// Counts; `due` is the sum of the others.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct ShownCounts {
    pub due: u64,
    pub pass: u64,
    pub fail: u64,
    pub throttled: u64,
    pub unknown: u64,
    pub skipped: u64,
}

/// Failures that can be taken.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct ShownBudget {
    pub allowed: u64,
    pub used: u64,
    pub left: u64,
    pub check: Option<String>,
}

/// The check nothing has been heard of.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct ShownSilence {
    pub check: String,
    pub since: String,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct ShownCheck {
    pub check: String,
    pub judged: bool,
    pub judge: Judge,
    pub counts: ShownCounts,
    pub adjusted: ShownCounts,
    pub not_due: u64,
    pub excluded: u64,
    pub success_ratio: Option<f64>,
    pub lower_bound: Option<f64>,
    pub first_attempt_ratio: Option<f64>,
    pub coverage: Option<f64>,
    pub longest_outage: Option<ShownSpan>,
    pub longest_gap: Option<ShownSpan>,
    pub p50_s: Option<f64>,
    pub p95_s: Option<f64>,
    pub p99_s: Option<f64>,
    pub budget: ShownBudget,
}

/// A span of slots.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct ShownSpan {
    pub from: String,
    pub seconds: Json,
}

/// A verdict, with its words.
pub fn shown(input: &Input<'_>, verdict: &Verdict) -> Shown {
    let earliest = earliest_pass(input, verdict);
    let judged = || verdict.checks.iter().filter(|c| c.judged);
    Shown {
        verdict: verdict.ruling,
        as_of: verdict.as_of.to_string(),
        doomed_at: verdict.doomed_at.map(|t| t.to_string()),
        window: ShownWindow { start: verdict.window.start.to_string(), end: verdict.window.end.to_string() },
        criteria: verdict.rows.iter().map(|r| row(input, verdict, r)).collect(),
        counts: counts(&verdict.counts),
        budget: budget(input, verdict.budget),
        adjusted: counts(&verdict.adjusted),
        not_due: judged().map(|c| c.not_due).sum(),
        excluded: judged().map(|c| c.excluded).sum(),
        progress: round(verdict.progress),
        time_left_s: time_left(input, verdict).map(|ms| ms / 1000),
        earliest_pass: earliest.map(|t| t.to_string()),
        missing: missing(input, verdict, earliest),
        silent: verdict.silent.map(|(n, since)| ShownSilence { check: check_name(input, n), since: since.to_string() }),
        checks: (0..).zip(&verdict.checks).map(|(n, s)| check(input, n, s)).collect(),
    }
}

/// Until the window is full, or go-live comes.
fn time_left(input: &Input<'_>, verdict: &Verdict) -> Option<i64> {
    let frame = super::judge::frame(input);
    let end = input.go_live.map_or(frame.full_end, |g| g.min(frame.full_end));
    (verdict.stage == Stage::Filling).then_some(end.0 - input.now.0)
}

fn check_name(input: &Input<'_>, n: u32) -> String {
    input.checks.get(n as usize).map(|c| c.id.to_string()).unwrap_or_default()
}

fn row(input: &Input<'_>, verdict: &Verdict, r: &Row) -> ShownRow {
    let (name, threshold) = match r.name {
        Name::Criterion(c) => (c.as_str().to_owned(), json(input, r.threshold)),
        Name::Attested(n) => (input.policy.attest.get(n as usize).cloned().unwrap_or_default(), Json::from("attested")),
    };
    let waived = |w: &Waiver| ShownWaiver { reason: w.reason.clone(), approver: w.approver.clone(), until: w.until.to_string() };
    ShownRow {
        name,
        threshold,
        observed: json(input, r.observed),
        met: r.met(),
        reason: reason(input, verdict, r),
        so_far: r.so_far,
        check: r.check.map(|n| check_name(input, n)),
        behind: r.behind,
        waived: r.waiver.and_then(|n| input.waivers.get(n as usize)).map(waived),
    }
}

/// Whole numbers without a point, as canonical JSON has them.
fn number(x: f64) -> Json {
    if x.fract() == 0.0 && x.abs() < 9e15 { Json::from(x as i64) } else { Json::from(x) }
}

fn json(input: &Input<'_>, value: Value) -> Json {
    match value {
        Value::Absent => Json::Null,
        Value::Number(x) => number(x),
        Value::Whole(n) => Json::from(n),
        Value::Attested(n) => {
            input.attestations.get(n as usize).map_or(Json::Null, |a| Json::from(a.value.clone().unwrap_or_else(|| "attested".to_owned())))
        }
    }
}

fn counts(c: &Counts) -> ShownCounts {
    let Counts { pass, fail, throttled, skipped, unknown } = *c;
    ShownCounts { due: c.due(), pass, fail, throttled, unknown, skipped }
}

fn budget(input: &Input<'_>, b: Budget) -> ShownBudget {
    ShownBudget { allowed: b.allowed, used: b.used, left: b.left, check: b.check.map(|n| check_name(input, n)) }
}

fn check(input: &Input<'_>, n: u32, s: &Standing) -> ShownCheck {
    let given = input.checks.get(n as usize);
    let at = |percent| given.and_then(|c| c.fold.percentile(percent)).map(DurationCode::seconds).map(round);
    let span = |(from, ms): (UnixMs, i64)| ShownSpan { from: from.to_string(), seconds: number(ms as f64 / 1000.0) };
    ShownCheck {
        check: check_name(input, n),
        judged: s.judged,
        judge: given.map_or(Judge::Ratio, |c| c.rules.judge),
        counts: counts(&s.counts),
        adjusted: counts(&s.adjusted),
        not_due: s.not_due,
        excluded: s.excluded,
        success_ratio: s.ratio,
        lower_bound: s.lower,
        first_attempt_ratio: s.first_attempts,
        coverage: s.coverage,
        longest_outage: s.outage.map(span),
        longest_gap: s.gap.map(span),
        p50_s: at(50),
        p95_s: at(95),
        p99_s: at(99),
        budget: budget(input, Budget { check: Some(n), ..s.budget }),
    }
}

/// To four digits after the point: durations stand on a scale of 5 % steps.
fn round(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}
