//! The gate's answer as every output shows it: the same object from a running daemon and from its store (docs/verdicts.md has the keys).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::case::ExclusionCase;
use super::decide::Situation;
use crate::clock::UnixMs;
use crate::soak::gate::{Answer, Gate, Passage};
use crate::soak::{Shown, Window};

/// What is said of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct Answered {
    pub environment: String,
    pub as_of: String,
    pub answer: Answer,
    pub reasons: Vec<String>,
    pub earliest: Option<String>,
    pub integrations: Vec<Passed>,
    pub config_hash: String,
}

/// What is said of one integration.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[expect(missing_docs, reason = "docs/verdicts.md has them in a table")]
pub struct Passed {
    pub integration: String,
    pub answer: Answer,
    pub reasons: Vec<String>,
    /// Those that reach into the window.
    pub exclusions: Vec<ExclusionCase>,
    pub soak: Option<Shown>,
}

impl Answered {
    /// Of a gate's answer to a situation.
    pub fn of(situation: &Situation, gate: Gate) -> Self {
        let now = situation.as_of;
        let cases = situation.integrations.iter();
        let exclusions = cases.map(|c| c.soak.as_ref().map(|s| inside(&s.exclusions, s.frame(now).window)).unwrap_or_default());
        let environment = (situation.customer.as_str(), situation.environment.as_str());
        Self::made(environment, now, &situation.config_hash, gate, exclusions.collect())
    }

    /// `exclusions`: of every integration, in the gate's order.
    pub(super) fn made(
        (customer, environment): (&str, &str),
        now: UnixMs,
        config_hash: &str,
        gate: Gate,
        exclusions: Vec<Vec<ExclusionCase>>,
    ) -> Self {
        Self {
            environment: format!("{customer}/{environment}"),
            as_of: now.to_string(),
            answer: gate.answer,
            reasons: gate.reasons,
            earliest: gate.earliest,
            integrations: gate.integrations.into_iter().zip(exclusions).map(|(p, x)| Passed::of(p, x)).collect(),
            config_hash: config_hash.to_owned(),
        }
    }
}

impl Passed {
    fn of(passage: Passage, exclusions: Vec<ExclusionCase>) -> Self {
        let Passage { integration, answer, reasons, soak } = passage;
        Self { integration, answer, reasons, exclusions, soak }
    }
}

/// The exclusions that reach into a window.
pub(super) fn inside(all: &[ExclusionCase], window: Window) -> Vec<ExclusionCase> {
    all.iter().filter(|x| x.from < window.end && window.start < x.to).cloned().collect()
}
