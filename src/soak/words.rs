//! The reasons of a verdict's criteria, in words for people. Reads numbers, decides nothing.

use std::time::Duration;

use serde_json::Value as Json;

use super::given::{Attestation, Input};
use super::judge::{active_waiver, is_coverage};
use super::policy::{Confidence, Criterion};
use super::shown::ShownRow;
use super::verdict::{Name, Row, Standing, State, Value, Verdict};
use super::window::Stage;
use crate::clock::UnixMs;
use crate::fields::Span;

/// A share in percent, cut and not rounded, so that 98.999 % is not shown as 99 %.
pub fn percent(share: f64) -> String {
    // The small amount keeps a share that is exact in hundredths of a percent from losing its last digit to binary fractions.
    let cut = ((share * 10_000.0 + 1e-7).floor() / 100.0).max(0.0);
    format!("{cut} %")
}

/// Seconds as people read them: to the millisecond below a minute, in units above.
pub fn seconds(s: f64) -> String {
    if s < 60.0 { format!("{} s", (s * 1000.0).round() / 1000.0) } else { Span(Duration::from_secs(s.round() as u64)).to_string() }
}

impl ShownRow {
    /// What is asked for: `>= 99 %`; `-` where nothing is.
    pub fn asked(&self) -> String {
        let sign = match Criterion::parse(&self.name) {
            Some(Criterion::LongestOutage | Criterion::LatencyP95 | Criterion::ThrottledRatio) => "<= ",
            Some(Criterion::EveryRun | Criterion::Drift | Criterion::Incidents) | None => "",
            Some(_) => ">= ",
        };
        if self.threshold.is_null() { "-".to_owned() } else { format!("{sign}{}", self.number(&self.threshold)) }
    }

    /// What was seen: `99.83 %`; `-` where nothing was.
    pub fn seen(&self) -> String {
        self.number(&self.observed)
    }

    fn number(&self, value: &Json) -> String {
        let Some(x) = value.as_f64() else { return value.as_str().unwrap_or("-").to_owned() };
        match Criterion::parse(&self.name) {
            Some(Criterion::SuccessRatio | Criterion::Coverage | Criterion::ThrottledRatio | Criterion::Reconciliation) => percent(x),
            Some(Criterion::LongestOutage | Criterion::LatencyP95) => seconds(x),
            Some(Criterion::QuotaHeadroom) => format!("{} x", cut(x)),
            Some(Criterion::CertificateDays) => format!("{value} days"),
            Some(Criterion::SampleSize) => format!("{value} runs"),
            _ => value.to_string(),
        }
    }
}

/// What one criterion's row needs to be told.
struct Told<'a> {
    input: &'a Input<'a>,
    verdict: &'a Verdict,
    row: &'a Row,
    /// The check that decided.
    check: Option<&'a Standing>,
    over: bool,
}

/// Why a criterion is met, is not, or can't be decided.
pub(super) fn reason(input: &Input<'_>, verdict: &Verdict, row: &Row) -> String {
    let over = matches!(verdict.stage, Stage::Full | Stage::Frozen);
    let check = row.check.and_then(|n| verdict.checks.get(n as usize));
    let told = Told { input, verdict, row, check, over };
    let mut words = told.words();
    let several = verdict.checks.iter().filter(|c| c.judged).count() > 1;
    if let Some(id) = row.check.filter(|_| several).and_then(|n| input.checks.get(n as usize)) {
        words = format!("{}: {words}", id.id.check());
    }
    if let Some(w) = row.waiver.and_then(|n| input.waivers.get(n as usize)) {
        words = format!("{words}; waived by {} until {}: {}", w.approver, w.until, w.reason);
    } else if over && is_coverage(row) && !row.lets_pass() && active_waiver(input, Criterion::Coverage.as_str()).is_some() {
        words = format!("{words}; no waiver stands in for a check that was never run");
    }
    words
}

impl Told<'_> {
    fn words(&self) -> String {
        let criterion = match self.row.name {
            Name::Attested(_) => return self.attested(),
            Name::Criterion(criterion) => criterion,
        };
        if self.verdict.stage == Stage::NotStarted {
            return format!("the soak starts {}", self.input.since);
        }
        match criterion {
            Criterion::SuccessRatio => self.success_ratio(),
            Criterion::Coverage => self.coverage(),
            Criterion::SampleSize => self.sample_size(),
            Criterion::LongestOutage => self.longest_outage(),
            Criterion::LatencyP95 => self.latency(),
            Criterion::ThrottledRatio => self.throttled(),
            Criterion::EveryRun => self.every_run(),
            Criterion::QuotaHeadroom => self.observed("the limit is", |x| format!("{} times the declared peak", cut(x))),
            Criterion::CertificateDays => {
                self.observed("the certificate that ends first has", |days| format!("{days} days left at the window's end"))
            }
            Criterion::Drift => self.observed("changes that nobody acknowledged:", |n| n.to_string()),
            Criterion::Incidents => self.incidents(),
            Criterion::Reconciliation => self.observed("found to agree:", percent),
        }
    }

    /// "so far " while more may come.
    fn so_far(&self) -> &'static str {
        if self.over { "" } else { "so far " }
    }

    fn target(&self) -> String {
        percent(self.input.policy.success_ratio.0)
    }

    fn success_ratio(&self) -> String {
        let Some((check, ratio)) = self.check.and_then(|c| Some((c, c.ratio?))) else {
            return if self.check.is_some() { "no run has been counted" } else { "no check is judged by its ratio" }.to_owned();
        };
        let n = self.row.behind;
        let mut words = format!("{}{} of {n} runs passed", self.so_far(), percent(ratio));
        if self.input.policy.confidence == Confidence::Wilson95 {
            let lower = percent(check.lower.unwrap_or_default());
            words = format!("{words}, which shows at least {lower} (95 % Wilson score interval)");
        }
        let (budget, missing) = (check.budget, check.adjusted.skipped + check.adjusted.unknown);
        match self.row.state {
            State::Lost if self.over => format!("{words}: {} did not, at most {} may{}", budget.used, budget.allowed, even_if(missing)),
            State::Lost => format!("{words}: it can't reach {} any more, even if everything to come passes", self.target()),
            State::Met if !self.over => format!("{words}: it reaches {} whatever comes", self.target()),
            State::Met => words,
            _ if self.over => format!("{words}, {} are asked for; the {missing} missing runs decide", self.target()),
            _ => format!("{words}; {} more may fail", budget.left),
        }
    }

    fn coverage(&self) -> String {
        let Some((check, share)) = self.check.and_then(|c| Some((c, c.coverage?))) else {
            return if self.check.is_some() { "nothing was due" } else { "no check is judged" }.to_owned();
        };
        let missing = check.adjusted.skipped + check.adjusted.unknown;
        let words = format!("{}{} of {} due slots were run", self.so_far(), percent(share), self.row.behind);
        let asked = percent(self.input.policy.coverage.0);
        match self.row.state {
            State::Short if self.over && self.verdict.progress < 1.0 => {
                format!("{words}: {missing} are missing, because go-live came before the window was full")
            }
            State::Short if self.over => format!("{words}: {missing} are missing, {asked} are asked for"),
            State::Short => format!("{words}: it can't reach {asked} any more"),
            _ => words,
        }
    }

    fn sample_size(&self) -> String {
        let (Value::Whole(needed), n) = (self.row.threshold, self.row.behind) else {
            return format!("no number of runs can show {}", self.target());
        };
        let target = self.target();
        match self.row.state {
            State::Idle => "no check is judged by its ratio".to_owned(),
            State::Short if self.over => format!("{n} runs are too few to show {target}: it takes {needed}"),
            State::Short => format!("{n} runs so far, and too few to come to show {target}: it takes {needed}"),
            State::Met => format!("{n} runs, and {needed} are enough to show {target}"),
            _ => format!("{n} runs so far; it takes {needed} to show {target}"),
        }
    }

    fn longest_outage(&self) -> String {
        let Value::Number(s) = self.row.observed else { return "no run has been counted".to_owned() };
        let Some((from, _)) = self.check.and_then(|c| c.outage).filter(|_| s > 0.0) else { return format!("{}no outage", self.so_far()) };
        let most = self.input.policy.longest_outage;
        match self.row.state {
            State::Lost => format!("an outage of {} from {from} on is longer than {most}", seconds(s)),
            State::Open if self.over => {
                format!("the longest outage took {}, from {from} on, {most} is asked for; the missing runs decide", seconds(s))
            }
            _ => format!("{}the longest outage took {}, from {from} on", self.so_far(), seconds(s)),
        }
    }

    fn latency(&self) -> String {
        let Some(most) = self.input.policy.latency_p95 else { return "not asked for".to_owned() };
        let Value::Number(s) = self.row.observed else { return "no run has passed".to_owned() };
        let words = format!("{}95 % of {} passing runs took at most {} (to within 2.5 %)", self.so_far(), self.row.behind, seconds(s));
        match self.row.state {
            State::Lost if !self.over => format!("{words}: it can't come below {most} any more"),
            State::Open if self.over => format!("{words}, {most} is asked for; the missing runs decide"),
            _ => words,
        }
    }

    fn throttled(&self) -> String {
        let Value::Number(share) = self.row.observed else { return "no run has been counted".to_owned() };
        let n = self.check.map_or(0, |c| c.adjusted.throttled);
        format!("{}{n} of {} runs were throttled, {}", self.so_far(), self.row.behind, percent(share))
    }

    fn every_run(&self) -> String {
        let Some(check) = self.check else { return "no check is judged run by run".to_owned() };
        let (bad, missing) = (check.budget.used, check.adjusted.skipped + check.adjusted.unknown);
        match (self.row.behind, bad, missing) {
            (0, ..) => "nothing was due".to_owned(),
            (n, 0, 0) => format!("{}all {n} due runs were there and passed", self.so_far()),
            (n, 0, missing) => format!("{}{missing} of {n} due runs are missing, and each counts", self.so_far()),
            (n, bad, _) => format!("{}{bad} of {n} due runs did not pass, and each counts", self.so_far()),
        }
    }

    fn incidents(&self) -> String {
        match self.input.seen.incidents {
            Some(i) => format!("{}{} P1 in the window, {} other open", self.so_far(), i.p1, i.open),
            None => self.unobserved(),
        }
    }

    fn observed(&self, what: &str, value: impl Fn(f64) -> String) -> String {
        match self.row.observed {
            Value::Number(x) => format!("{}{what} {}", self.so_far(), value(x)),
            Value::Whole(n) => format!("{}{what} {n}", self.so_far()),
            _ => self.unobserved(),
        }
    }

    fn unobserved(&self) -> String {
        let idle = self.row.state == State::Idle;
        if idle { "never observed; left out, as the configuration does not set it" } else { "asked for, and never observed" }.to_owned()
    }

    fn attested(&self) -> String {
        let Value::Attested(n) = self.row.observed else { return "nobody has attested it".to_owned() };
        let Some(Attestation { by, at, until, .. }) = self.input.attestations.get(n as usize) else {
            return "nobody has attested it".to_owned();
        };
        match until {
            Some(t) if *t <= self.input.now => format!("attested by {by} on {at}, which expired {t}"),
            Some(t) => format!("attested by {by} on {at}, until {t}"),
            None => format!("attested by {by} on {at}"),
        }
    }
}

/// To two digits after the point, never up.
fn cut(x: f64) -> f64 {
    (x * 100.0 + 1e-9).floor() / 100.0
}

fn even_if(missing: u64) -> String {
    if missing > 0 { format!(", even if the {missing} missing runs had passed") } else { String::new() }
}

/// What still holds a pass back, in the order of the criteria.
pub(super) fn missing(input: &Input<'_>, verdict: &Verdict, earliest: Option<UnixMs>) -> Vec<String> {
    let mut words = Vec::new();
    match verdict.stage {
        Stage::NotStarted => words.push(format!("the soak starts {}", input.since)),
        Stage::Filling => words.push(format!("the window is not full: {} of {}", percent(verdict.progress), input.policy.window)),
        Stage::Full | Stage::Frozen => {}
    }
    let over = matches!(verdict.stage, Stage::Full | Stage::Frozen);
    let holds_back = |r: &&Row| !r.lets_pass() && (over || !matches!(r.state, State::Open) || matches!(r.name, Name::Attested(_)));
    for row in verdict.rows.iter().filter(holds_back) {
        let name = match row.name {
            Name::Criterion(c) => c.as_str(),
            Name::Attested(n) => input.policy.attest.get(n as usize).map_or("attestation", String::as_str),
        };
        words.push(format!("{name}: {}", reason(input, verdict, row)));
    }
    if let (None, Some(go_live), true) = (earliest, input.go_live, verdict.stage == Stage::Filling) {
        words.push(format!("no window can pass before go-live, {go_live}"));
    }
    words
}
