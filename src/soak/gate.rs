//! The gate: the verdicts of an environment become one answer, the worst of all. Pure; it never says go on stale, unknown or missing data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::given::Input;
use super::shown::{Shown, shown};
use super::verdict::{Name, Ruling, Verdict};
use super::window::Stage;
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
    /// What its verdict was made from, and the verdict; `None`: there is none.
    pub soak: Option<(&'a Input<'a>, &'a Verdict)>,
    /// Whether it has a soak: without one nothing judges it.
    pub has_soak: bool,
}

/// The answer for one environment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
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

impl Gate {
    /// There is a doubt about what all of it was made from: it is not `go`.
    pub fn doubt(&mut self, why: String) {
        self.answer = self.answer.max(Answer::NotYet);
        self.reasons.push(why);
    }
}

/// What a ruling comes to by itself.
pub fn answer_to(ruling: Ruling) -> Answer {
    match ruling {
        Ruling::Passed => Answer::Go,
        Ruling::Failed | Ruling::Doomed => Answer::NoGo,
        Ruling::NotStarted | Ruling::Running | Ruling::InsufficientEvidence | Ruling::Stale | Ruling::Superseded => Answer::NotYet,
    }
}

/// What a verdict comes to: its ruling, and whether it is heard of, everything asked for is attested, and nothing is doubted.
pub fn answer(verdict: &Verdict) -> Answer {
    let attested = verdict.rows.iter().filter(|r| matches!(r.name, Name::Attested(_))).all(super::Row::lets_pass);
    let known = attested && verdict.silent.is_none() && !verdict.doubted;
    answer_to(verdict.ruling).max(if known { Answer::Go } else { Answer::NotYet })
}

/// The integrations of an environment, one after the other.
#[derive(Debug, Default)]
pub struct Gathered {
    integrations: Vec<Passage>,
    has_soak: bool,
    /// The latest of the earliest times; one of them is not known.
    earliest: Option<UnixMs>,
    never: bool,
    /// The time it is for.
    now: Option<UnixMs>,
    /// They are the same for all integrations.
    doubts: Vec<String>,
}

impl Gathered {
    /// Takes in the next integration.
    pub fn add(&mut self, candidate: &Candidate<'_>) {
        self.has_soak |= candidate.has_soak;
        // Each has to be green.
        match candidate.soak.and_then(|(input, verdict)| super::earliest::earliest_pass(input, verdict)) {
            Some(at) => self.earliest = self.earliest.max(Some(at)),
            None => self.never = true,
        }
        if let Some((input, _)) = candidate.soak {
            self.now = Some(input.now);
            if self.doubts.is_empty() {
                self.doubts = input.doubts.shared.to_vec();
            }
        }
        self.integrations.push(passage(candidate));
    }

    /// The answer for the environment.
    pub fn gate(self) -> Gate {
        let Self { integrations, has_soak, earliest, never, now, doubts } = self;
        let mut reasons = Vec::new();
        if integrations.is_empty() {
            reasons.push("the environment has no integrations".to_owned());
        } else if !has_soak {
            reasons.push("no integration of the environment has a soak".to_owned());
        }
        reasons.extend(doubts);
        let answer = integrations.iter().map(|p| p.answer).max().unwrap_or(Answer::NotYet);
        // Where every soak has passed something else holds it back, and nobody knows for how long.
        let earliest = earliest.filter(|t| !never && answer != Answer::Go && Some(*t) > now).map(|t| t.to_string());
        Gate { answer, reasons, earliest, integrations }
    }
}

/// The answer for an environment.
pub fn gate(candidates: &[Candidate<'_>]) -> Gate {
    let mut gathered = Gathered::default();
    candidates.iter().for_each(|c| gathered.add(c));
    gathered.gate()
}

fn passage(candidate: &Candidate<'_>) -> Passage {
    let integration = candidate.id.to_string();
    let Some((input, verdict)) = candidate.soak else {
        let why = if candidate.has_soak { "its runs are still being read" } else { "it has no soak: nothing judges it" };
        return Passage { integration, answer: Answer::NotYet, reasons: vec![why.to_owned()], soak: None };
    };
    let shown = shown(input, verdict);
    let answer = answer(verdict);
    let mut reasons = Vec::new();
    match verdict.ruling {
        Ruling::Passed | Ruling::Running | Ruling::InsufficientEvidence | Ruling::Failed | Ruling::Doomed | Ruling::NotStarted => {}
        Ruling::Stale => {
            reasons.push(format!("it passed at go-live, {}; that was valid for {}", verdict.window.end, input.policy.valid_for));
        }
        Ruling::Superseded if verdict.stage == Stage::Frozen => {
            reasons.push("what is judged was changed in the configuration after go-live: it is not what these runs show".to_owned());
        }
        Ruling::Superseded => reasons.push("what is judged was changed in the configuration: the soak starts again".to_owned()),
    }
    reasons.extend(input.doubts.own.iter().cloned());
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
