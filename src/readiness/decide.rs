//! The answer: every integration judged from its runs, the verdicts combined, and what else holds a go back. Pure.

use serde::{Deserialize, Serialize};

use super::case::{Case, CheckCase, SoakCase};
use crate::clock::UnixMs;
use crate::evidence::written::time;
use crate::fields::CheckId;
use crate::record::Run;
use crate::soak::gate::{Candidate, Gate, Gathered};
use crate::soak::{CheckFold, CheckInput, Doubts, Exclusion, Input, Observations, Window, judge};

/// An environment at a time, with everything it is judged by but the runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Situation {
    /// The time it is judged for.
    #[serde(with = "time")]
    pub as_of: UnixMs,
    /// Whose.
    pub customer: String,
    /// Which environment.
    pub environment: String,
    /// The configuration at hand: SHA-256 over its files.
    pub config_hash: String,
    /// What can't be shown of the environment as a whole. With any of it the answer is not `go`.
    pub doubts: Vec<String>,
    /// Its integrations, sorted by id.
    pub integrations: Vec<Case>,
}

impl Situation {
    /// The window a check is judged in.
    pub fn window_of(&self, check: &CheckId) -> Option<Window> {
        let soaks = self.integrations.iter().filter(|c| c.integration == check.integration()).filter_map(|c| c.soak.as_ref());
        soaks.map(|s| s.frame(self.as_of).window).next()
    }
}

/// Gives the runs of a check whose slots lie in a span, in slot order.
pub type Runs<'a, E> = dyn FnMut(&CheckCase, Window) -> Result<Vec<Run>, E> + 'a;

/// One judged soak, with everything its input borrows.
struct Judged<'a> {
    soak: &'a SoakCase,
    exclusions: Vec<Vec<Exclusion>>,
    folds: Vec<CheckFold>,
    waivers: Vec<crate::soak::Waiver>,
    attestations: Vec<crate::soak::Attestation>,
    seen: Observations,
    superseded: bool,
    doubts: Vec<String>,
}

impl<'a> Judged<'a> {
    fn new<E>(soak: &'a SoakCase, now: UnixMs, runs: &mut Runs<'_, E>) -> Result<Self, E> {
        let frame = soak.frame(now);
        let span = Window { start: frame.reads_from(), end: frame.window.end };
        let exclusions: Vec<Vec<Exclusion>> = soak.checks.iter().map(|c| soak.excluded(c)).collect();
        let mut folds = Vec::with_capacity(soak.checks.len());
        for (check, excluded) in soak.checks.iter().zip(&exclusions) {
            // One check at a time: the runs of all of them need not fit into memory.
            folds.push(CheckFold::of(&frame, &soak.rules(check, excluded), &runs(check, span)?));
        }
        let (waivers, attestations, seen) = (soak.waivers(), soak.attestations(), soak.observed.seen());
        let basis = soak.basis();
        let superseded = basis.superseded(now, folds.iter().map(CheckFold::newest));
        Ok(Self { soak, exclusions, folds, waivers, attestations, seen, superseded, doubts: basis.doubts() })
    }

    fn checks(&self) -> Vec<CheckInput<'_>> {
        let given = self.soak.checks.iter().zip(&self.exclusions).zip(&self.folds);
        given.map(|((c, x), fold)| CheckInput { id: &c.check, judged: c.judged, rules: self.soak.rules(c, x), fold }).collect()
    }

    fn input<'b>(&'b self, now: UnixMs, checks: &'b [CheckInput<'b>], shared: &'b [String]) -> Input<'b> {
        Input {
            now,
            policy: &self.soak.policy,
            since: self.soak.since,
            go_live: self.soak.go_live,
            superseded: self.superseded,
            checks,
            seen: &self.seen,
            waivers: &self.waivers,
            attestations: &self.attestations,
            doubts: Doubts { shared, own: &self.doubts },
        }
    }
}

/// Judges every integration and gives the gate's answer. `runs` is asked once for each check of each soak.
pub fn decide<E>(situation: &Situation, runs: &mut Runs<'_, E>) -> Result<Gate, E> {
    let now = situation.as_of;
    let mut gathered = Gathered::default();
    for case in &situation.integrations {
        let id = &case.integration;
        let Some(soak) = &case.soak else {
            gathered.add(&Candidate { id, soak: None, has_soak: false });
            continue;
        };
        let judged = Judged::new(soak, now, runs)?;
        let checks = judged.checks();
        let input = judged.input(now, &checks, &situation.doubts);
        gathered.add(&Candidate { id, soak: Some((&input, &judge(&input))), has_soak: true });
    }
    Ok(gathered.gate())
}
