//! The gate: the verdicts of an environment become one answer, the worst of all. Pure; it never says go on stale, unknown or missing data.

use serde::Serialize;

use super::given::Input;
use super::shown::{Shown, shown};
use super::verdict::{Name, Ruling, Verdict};
use crate::clock::UnixMs;
use crate::fields::IntegrationId;
use crate::outcome::closed_set;

closed_set! {
    /// What the gate says, the worst last.
    Answer {
        /// Every integration passed.
        Go => "go",
        /// Something is missing, or could not be decided.
        NotYet => "not_yet",
        /// An integration failed, or can't pass any more.
        NoGo => "no_go",
    }
}

/// One integration before the gate.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Which one.
    pub id: &'a IntegrationId,
    /// What its verdict was made from, and the verdict; `None`: it has no soak, so nothing judges it.
    pub soak: Option<(&'a Input<'a>, &'a Verdict)>,
}

/// The answer for one environment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// The worst of all.
    pub answer: Answer,
    /// Why it is not `go`, where no integration can be named.
    pub reasons: Vec<String>,
    /// When it can be `go` at the earliest; absent where it is `go`, or no time is known.
    pub earliest: Option<String>,
    /// Every integration, in the order given.
    pub integrations: Vec<Passage>,
}

/// What the gate says to one integration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Passage {
    /// customer/environment/integration.
    pub integration: String,
    /// The answer for it alone.
    pub answer: Answer,
    /// Why it is not `go`; waivers that were used stand here too.
    pub reasons: Vec<String>,
    /// Its verdict.
    pub soak: Option<Shown>,
}

/// What a ruling comes to by itself.
pub fn answer_to(ruling: Ruling) -> Answer {
    match ruling {
        Ruling::Passed => Answer::Go,
        Ruling::Failed | Ruling::Doomed => Answer::NoGo,
        Ruling::NotStarted | Ruling::Running | Ruling::InsufficientEvidence | Ruling::Stale | Ruling::Superseded => Answer::NotYet,
    }
}

/// What a verdict comes to: its ruling, and whether it is heard of and everything asked for is attested.
pub fn answer(verdict: &Verdict) -> Answer {
    let attested = verdict.rows.iter().filter(|r| matches!(r.name, Name::Attested(_))).all(super::Row::lets_pass);
    let known = attested && verdict.silent.is_none();
    answer_to(verdict.ruling).max(if known { Answer::Go } else { Answer::NotYet })
}

/// The answer for an environment by the verdicts of its integrations; `None`: it has no soak, or was never judged. Without integrations it is not yet.
pub fn overall<'v>(verdicts: impl Iterator<Item = Option<&'v Verdict>>) -> Answer {
    verdicts.map(|v| v.map_or(Answer::NotYet, answer)).max().unwrap_or(Answer::NotYet)
}

/// The answer for an environment.
pub fn gate(candidates: &[Candidate<'_>]) -> Gate {
    let integrations: Vec<Passage> = candidates.iter().map(passage).collect();
    let mut reasons = Vec::new();
    if candidates.is_empty() {
        reasons.push("the environment has no integrations".to_owned());
    } else if candidates.iter().all(|c| c.soak.is_none()) {
        reasons.push("no integration of the environment has a soak".to_owned());
    }
    let answer = overall(candidates.iter().map(|c| c.soak.map(|(_, verdict)| verdict)));
    // Each has to be green: the latest of the earliest times. An unknown one makes it unknown.
    let times = candidates.iter().map(|c| c.soak.and_then(|(input, verdict)| super::earliest::earliest_pass(input, verdict)));
    let latest = times.collect::<Option<Vec<UnixMs>>>().and_then(|t| t.into_iter().max());
    let earliest = latest.filter(|_| answer != Answer::Go).map(|t| t.to_string());
    Gate { answer, reasons, earliest, integrations }
}

fn passage(candidate: &Candidate<'_>) -> Passage {
    let integration = candidate.id.to_string();
    let Some((input, verdict)) = candidate.soak else {
        return Passage { integration, answer: Answer::NotYet, reasons: vec!["it has no soak: nothing judges it".to_owned()], soak: None };
    };
    let shown = shown(input, verdict);
    let answer = answer(verdict);
    let mut reasons = Vec::new();
    match verdict.ruling {
        Ruling::Passed | Ruling::Running | Ruling::InsufficientEvidence | Ruling::Failed | Ruling::Doomed => {}
        Ruling::NotStarted => {}
        Ruling::Stale => {
            reasons.push(format!("it passed at go-live, {}; that was valid for {}", verdict.window.end, input.policy.valid_for))
        }
        Ruling::Superseded => reasons.push("what is judged was changed in the configuration: the soak starts again".to_owned()),
    }
    if let Some(at) = verdict.doomed_at {
        reasons.push(format!("from the run of {at} on it could not pass any more"));
    }
    if let Some(silence) = &shown.silent {
        reasons.push(format!("{}: nothing has been recorded since {}", silence.check, silence.since));
    }
    if answer != Answer::Go {
        reasons.extend(shown.missing.iter().cloned());
    }
    for row in shown.criteria.iter().filter(|r| r.waived.is_some()) {
        reasons.push(format!("{}: {}", row.name, row.reason));
    }
    Passage { integration, answer, reasons, soak: Some(shown) }
}
