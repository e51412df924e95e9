//! The answer: every integration judged from its runs, the verdicts combined, and what else holds a go back. Pure.

use serde::{Deserialize, Serialize};

use super::case::{Case, CheckCase, SoakCase};
use crate::clock::UnixMs;
use crate::evidence::written::time;
use crate::record::Run;
use crate::soak::gate::{Answer, Candidate, Gate, gate};
use crate::soak::{CheckFold, CheckInput, Exclusion, Input, Observations, Window, judge};

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
    /// What can't be shown of the environment as a whole. With any of it the answer is not `go`.
    pub doubts: Vec<String>,
    /// Its integrations, sorted by id.
    pub integrations: Vec<Case>,
}

/// Gives the runs of a check whose slots lie in a window, in slot order.
pub type Runs<'a, E> = dyn FnMut(&CheckCase, Window) -> Result<Vec<Run>, E> + 'a;

/// One judged soak, with everything its input borrows.
struct Judged<'a> {
    soak: &'a SoakCase,
    exclusions: Vec<Vec<Exclusion>>,
    folds: Vec<CheckFold>,
    waivers: Vec<crate::soak::Waiver>,
    attestations: Vec<crate::soak::Attestation>,
    seen: Observations,
}

impl<'a> Judged<'a> {
    fn new<E>(soak: &'a SoakCase, now: UnixMs, runs: &mut Runs<'_, E>) -> Result<Self, E> {
        let frame = soak.frame(now);
        let exclusions: Vec<Vec<Exclusion>> = soak.checks.iter().map(|c| soak.excluded(c)).collect();
        let mut folds = Vec::with_capacity(soak.checks.len());
        for (check, excluded) in soak.checks.iter().zip(&exclusions) {
            // One check at a time: the runs of all of them need not fit into memory.
            folds.push(CheckFold::of(&frame, &soak.rules(check, excluded), &runs(check, frame.window)?));
        }
        let (waivers, attestations, seen) = (soak.waivers(), soak.attestations(), soak.observed.seen());
        Ok(Self { soak, exclusions, folds, waivers, attestations, seen })
    }

    fn checks(&self) -> Vec<CheckInput<'_>> {
        let given = self.soak.checks.iter().zip(&self.exclusions).zip(&self.folds);
        given.map(|((c, x), fold)| CheckInput { id: &c.check, judged: c.judged, rules: self.soak.rules(c, x), fold }).collect()
    }

    fn input<'b>(&'b self, now: UnixMs, checks: &'b [CheckInput<'b>]) -> Input<'b> {
        Input {
            now,
            policy: &self.soak.policy,
            since: self.soak.since,
            go_live: self.soak.go_live,
            superseded: self.soak.superseded,
            checks,
            seen: &self.seen,
            waivers: &self.waivers,
            attestations: &self.attestations,
        }
    }
}

/// Judges every integration and gives the gate's answer. `runs` is asked once for each check of each soak.
pub fn decide<E>(situation: &Situation, runs: &mut Runs<'_, E>) -> Result<Gate, E> {
    let now = situation.as_of;
    let mut judged: Vec<Option<Judged<'_>>> = Vec::with_capacity(situation.integrations.len());
    for case in &situation.integrations {
        judged.push(case.soak.as_ref().map(|soak| Judged::new(soak, now, runs)).transpose()?);
    }
    let checks: Vec<Option<Vec<CheckInput<'_>>>> = judged.iter().map(|j| j.as_ref().map(Judged::checks)).collect();
    let inputs: Vec<Option<Input<'_>>> =
        judged.iter().zip(&checks).map(|(j, c)| j.as_ref().zip(c.as_deref()).map(|(j, c)| j.input(now, c))).collect();
    let verdicts: Vec<_> = inputs.iter().map(|i| i.as_ref().map(judge)).collect();
    let candidates: Vec<Candidate<'_>> = situation
        .integrations
        .iter()
        .zip(inputs.iter().zip(&verdicts))
        .map(|(case, (input, verdict))| Candidate { id: &case.integration, soak: input.as_ref().zip(verdict.as_ref()) })
        .collect();
    let mut answer = gate(&candidates);
    hold_back(situation, &mut answer);
    Ok(answer)
}

/// What is not a verdict's to say: doubts about the evidence itself.
fn hold_back(situation: &Situation, gate: &mut Gate) {
    for (case, passage) in situation.integrations.iter().zip(&mut gate.integrations) {
        let Some(soak) = &case.soak else { continue };
        if soak.recorded_fingerprint.is_none() && soak.since <= situation.as_of {
            passage.reasons.push("no record says under which configuration its runs were made".to_owned());
            passage.answer = passage.answer.max(Answer::NotYet);
        } else if !soak.changed.is_empty() {
            passage.reasons.push(format!("changed since the soak began: {}", soak.changed.join(", ")));
        }
        gate.answer = gate.answer.max(passage.answer);
    }
    if !situation.doubts.is_empty() {
        gate.answer = gate.answer.max(Answer::NotYet);
        gate.reasons.extend(situation.doubts.iter().cloned());
    }
}
