//! What a scrape says of soaks and gates: numbers of the worst judged check, the verdict, and the gates' answers. Never judges: verdicts come from
//! `readiness`, answers from `soak::gate` and `checkpoint`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::encode::Lines;
use super::rows::Row;
use crate::board::IntegrationEntry;
use crate::checkpoint;
use crate::clock::UnixMs;
use crate::hypercare;
use crate::readiness::Soaks;
use crate::soak::gate::{self, Answer};
use crate::soak::{Input, Name, Ruling, Standing, State, Verdict};

/// The gate before go-live.
const GATE: (&str, &str) = ("gate", "go_live");

/// The gate at the end of hypercare.
const HYPERCARE: (&str, &str) = ("gate", checkpoint::GATE);

/// One integration's soak. Ratios are of 1; what is not known is absent.
#[derive(Debug, Default)]
pub(super) struct SoakRow {
    restarts: u64,
    /// `None`: it was never judged.
    numbers: Option<Numbers>,
}

/// What its verdict says.
#[derive(Debug)]
pub(super) struct Numbers {
    ruling: Ruling,
    pub(super) success: Option<f64>,
    pub(super) lower_bound: Option<f64>,
    pub(super) coverage: Option<f64>,
    pub(super) progress: f64,
    pub(super) budget: Option<f64>,
    pub(super) samples: Option<f64>,
    pub(super) window_start: UnixMs,
    /// Seconds.
    pub(super) longest_gap: Option<f64>,
    pub(super) excluded: Option<f64>,
}

/// An environment's gate.
#[derive(Debug)]
pub(super) struct GateRow {
    answer: Answer,
    criteria: BTreeMap<Cow<'static, str>, Worst>,
    /// One was never judged: of nothing is it known that all meet it.
    incomplete: bool,
}

/// What comes of a criterion over all integrations, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worst {
    NotMet,
    Open,
    Met,
}

fn environment(entry: &IntegrationEntry) -> (&str, &str) {
    (entry.def.id.customer(), entry.def.id.environment())
}

/// Judges all integrations, and puts the gate of each environment on its first one with a soak.
pub(super) fn judge(rows: &mut [Row], all: &[IntegrationEntry], soaks: &Soaks, now: UnixMs) {
    let mut gates: HashMap<(&str, &str), (usize, GateRow)> = HashMap::new();
    for ((n, entry), restarts) in all.iter().enumerate().zip(soaks.restarts(all)) {
        if let (Some(row), Some(restarts)) = (rows.get_mut(n), restarts) {
            row.soak = Some(SoakRow { restarts, numbers: None });
            gates.entry(environment(entry)).or_insert_with(|| (n, GateRow::default()));
        }
    }
    let mut next = 0;
    soaks.each_judged(all, now, |entry, input, verdict| {
        // They come in the order of `all`.
        while all.get(next).is_some_and(|e| !std::ptr::eq(e, entry)) {
            next += 1;
        }
        if let Some(soak) = rows.get_mut(next).and_then(|row| row.soak.as_mut()) {
            soak.numbers = Some(Numbers::of(input, verdict));
        }
        if let Some((_, gate)) = all.get(next).and_then(|entry| gates.get_mut(&environment(entry))) {
            gate.add(input, verdict);
        }
    });
    for (entry, row) in all.iter().zip(rows.iter()) {
        // Without a soak, or without a verdict.
        let unknown = row.soak.as_ref().is_none_or(|s| s.numbers.is_none());
        if let Some((_, gate)) = unknown.then(|| gates.get_mut(&environment(entry))).flatten() {
            gate.answer = gate.answer.max(Answer::NotYet);
            gate.incomplete |= row.soak.is_some();
        }
    }
    for (n, gate) in gates.into_values() {
        if let Some(row) = rows.get_mut(n) {
            row.gate = Some(gate);
        }
    }
}

impl Default for GateRow {
    fn default() -> Self {
        Self { answer: Answer::Go, criteria: BTreeMap::new(), incomplete: false }
    }
}

impl GateRow {
    fn add(&mut self, input: &Input<'_>, verdict: &Verdict) {
        self.answer = self.answer.max(gate::answer(verdict));
        for row in &verdict.rows {
            let worst = match (row.met(), row.state) {
                (Some(false), _) => Worst::NotMet,
                (Some(true), _) => Worst::Met,
                (None, State::Idle) => continue,
                (None, _) => Worst::Open,
            };
            let name = match row.name {
                Name::Criterion(c) => Cow::Borrowed(c.as_str()),
                Name::Attested(n) => Cow::Owned(input.policy.attest.get(n as usize).cloned().unwrap_or_default()),
            };
            let known = self.criteria.entry(name).or_insert(worst);
            *known = worst.min(*known);
        }
    }
}

/// The smallest of those that are known.
fn least(numbers: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    numbers.flatten().min_by(f64::total_cmp)
}

/// The largest of those that are known.
fn most(numbers: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    numbers.flatten().max_by(f64::total_cmp)
}

impl Numbers {
    fn of(input: &Input<'_>, verdict: &Verdict) -> Self {
        let judged = || verdict.checks.iter().zip(input.checks).filter(|(s, _)| s.judged);
        let standings = || judged().map(|(s, _)| s);
        let samples = judged().map(|(s, c)| {
            let out = if c.rules.throttled_excluded { s.adjusted.throttled } else { 0 };
            Some((s.adjusted.counted() - out) as f64)
        });
        Self {
            ruling: verdict.ruling,
            success: least(standings().map(|s| s.ratio)),
            lower_bound: least(standings().map(|s| s.lower)),
            coverage: least(standings().map(|s| s.coverage)),
            progress: verdict.progress,
            budget: least(standings().map(budget)),
            samples: least(samples),
            window_start: verdict.window.start,
            longest_gap: most(standings().map(|s| (slots(s) > 0).then(|| s.gap.map_or(0.0, |(_, ms)| ms as f64 / 1000.0)))),
            excluded: most(standings().map(|s| (slots(s) > 0).then(|| (s.not_due + s.excluded) as f64 / slots(s) as f64))),
        }
    }
}

/// What is left of what may fail. Of nothing nothing can be left, unless something failed all the same.
fn budget(s: &Standing) -> Option<f64> {
    match (s.budget.allowed, s.budget.used) {
        (0, 0) => None,
        (0, _) => Some(0.0),
        (allowed, _) => Some(s.budget.left as f64 / allowed as f64),
    }
}

/// All slots of the window until now, also those that were taken out.
fn slots(s: &Standing) -> u64 {
    s.adjusted.due() + s.not_due + s.excluded
}

pub(super) fn number(l: &mut Lines<'_>, r: &Row, value: impl Fn(&Numbers) -> Option<f64>) {
    if let Some(x) = r.soak.as_ref().and_then(|s| s.numbers.as_ref()).and_then(value) {
        l.value(&r.i, &[GATE], x);
    }
}

pub(super) fn restarts(l: &mut Lines<'_>, r: &Row) {
    if let Some(soak) = &r.soak {
        l.count(&r.i, &[GATE], soak.restarts);
    }
}

pub(super) fn verdict(l: &mut Lines<'_>, r: &Row) {
    if let Some(numbers) = r.soak.as_ref().and_then(|s| s.numbers.as_ref()) {
        Ruling::ALL.iter().for_each(|v| l.count(&r.i, &[("verdict", v.as_str())], u64::from(*v == numbers.ruling)));
    }
}

pub(super) fn criteria(l: &mut Lines<'_>, r: &Row) {
    for (criterion, worst) in r.gate.iter().flat_map(|gate| &gate.criteria) {
        let met = match worst {
            Worst::NotMet => 0,
            Worst::Met if !r.gate.as_ref().is_some_and(|gate| gate.incomplete) => 1,
            Worst::Met | Worst::Open => continue,
        };
        l.count(&r.customer_environment, &[GATE, ("criterion", criterion)], met);
    }
    let Some(hypercare) = &r.hypercare else { return };
    for criterion in hypercare::Criterion::ALL {
        if let Some(met) = hypercare.met(*criterion) {
            l.count(&r.customer_environment, &[HYPERCARE, ("criterion", criterion.as_str())], u64::from(met));
        }
    }
}

fn answers(l: &mut Lines<'_>, r: &Row, gate: (&'static str, &'static str), answer: Answer) {
    Answer::ALL.iter().for_each(|a| l.count(&r.customer_environment, &[gate, ("answer", a.as_str())], u64::from(*a == answer)));
}

pub(super) fn answer(l: &mut Lines<'_>, r: &Row) {
    if let Some(gate) = &r.gate {
        answers(l, r, GATE, gate.answer);
    }
    if let Some(hypercare) = &r.hypercare {
        let answer = match hypercare.answer {
            hypercare::Answer::ReadyForHandoff => Answer::Go,
            hypercare::Answer::NotYet => Answer::NotYet,
            hypercare::Answer::NotReady => Answer::NoGo,
        };
        answers(l, r, HYPERCARE, answer);
    }
}
