//! May hypercare end: the answer of an environment as every output shows it, the same from a running daemon and from its store.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hypercare::{Answer, Budget, Criterion, Expiry, Incidents, Numbers, Reach, Row};
use crate::outcome::{Attribution, Phase};

/// What this gate is called.
pub const GATE: &str = "hypercare";

/// What is said of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
#[schemars(rename = "HypercareAnswered")]
pub struct Answered {
    pub environment: String,
    pub gate: String,
    pub as_of: String,
    pub answer: Answer,
    pub reasons: Vec<String>,
    pub earliest: Option<String>,
    pub integrations: Vec<Passed>,
    pub config_hash: String,
}

/// What is said of one integration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
#[schemars(rename = "HypercarePassed")]
pub struct Passed {
    pub integration: String,
    pub name: String,
    pub answer: Answer,
    pub phase: Phase,
    pub go_live: Option<String>,
    pub hypercare_ends: Option<String>,
    /// The day since go-live: 1 is the first.
    pub day: Option<i64>,
    pub reasons: Vec<String>,
    pub criteria: Vec<Row>,
    /// `None`: it is not live yet.
    pub standing: Option<Standing>,
}

/// How an integration has done since it went live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
#[schemars(rename = "HypercareStanding")]
pub struct Standing {
    pub objective: f64,
    pub windows: BTreeMap<Reach, Numbers>,
    pub burn: BTreeMap<String, Option<f64>>,
    pub budget_30d: Option<Budget>,
    pub budget_hypercare: Option<Budget>,
    /// Since go-live; `None`: nobody knows whether there were any.
    pub incidents: Option<Incidents>,
    /// Failures of the last 24 hours by whose they most likely are; `None` where single runs are not known.
    pub failures_24h: BTreeMap<Attribution, u64>,
    /// What ends, the earliest first; `None`: what was known at that time is not known any more.
    pub expiries: Option<Vec<Expiry>>,
}

impl Answered {
    /// Whether a criterion is met by all integrations; `None`: of one it is not known, and none is known not to meet it.
    pub fn met(&self, criterion: Criterion) -> Option<bool> {
        let of = |p: &Passed| p.criteria.iter().find(|r| r.name == criterion).and_then(|r| r.met);
        if self.integrations.iter().any(|p| of(p) == Some(false)) {
            return Some(false);
        }
        self.integrations.iter().all(|p| of(p) == Some(true)).then_some(true)
    }

    /// Everything that stands in the way, in words: what is not met, then what is in doubt, then what can't be decided, what only takes time last.
    pub fn obstacles(&self) -> Vec<String> {
        let mut all: Vec<(u8, String)> = self.reasons.iter().map(|why| (1, why.clone())).collect();
        for p in &self.integrations {
            all.extend(p.reasons.iter().map(|why| (1, format!("{}: {why}", p.integration))));
            for r in p.criteria.iter().filter(|r| r.met != Some(true)) {
                let rank = match (r.met, r.name) {
                    (Some(_), _) => 0,
                    (None, Criterion::Window) => 3,
                    (None, _) => 2,
                };
                all.push((rank, format!("{}, {}: {}", p.integration, r.name.as_str().replace('_', " "), r.reason)));
            }
        }
        all.sort_by_key(|(rank, _)| *rank);
        all.into_iter().map(|(_, why)| why).collect()
    }
}
