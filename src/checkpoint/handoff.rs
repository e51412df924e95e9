//! What support takes over when hypercare ends: what there is, how it is configured (without a secret), what is known to be wrong, what to do, who is
//! told, and what was judged (docs/hypercare.md has the keys).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::span::{Checkpoint, checkpoint};
use crate::attribution::remediation;
use crate::clock::UnixMs;
use crate::config::model::{CheckDef, Config, Integration};
use crate::evidence::Recorded;
use crate::outcome::{Attribution, Class, Criticality, Owner};
use crate::readiness::Failed;
use crate::store::Reader;

/// The form of the document.
const SCHEMA: &str = "soakwatch-handoff/1";
/// Records of the evidence log that are listed, the newest.
const MOST_VERDICTS: usize = 500;
/// Kinds of records that are the history of a judgement.
const JUDGED: [&str; 9] =
    ["soak_started", "soak_restarted", "verdict", "exclusion", "waiver_used", "attestation", "acceptance", "maintenance", "bundle"];

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
pub struct Handoff {
    pub schema: String,
    /// Everything since the first go-live.
    pub checkpoint: Checkpoint,
    pub inventory: Vec<Inventory>,
    /// The classes of failures that occurred, most first.
    pub classes: Vec<ClassSeen>,
    pub verdicts: Vec<Verdict>,
}

/// An integration as it is configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
pub struct Inventory {
    pub integration: String,
    pub name: String,
    pub owner: Owner,
    pub criticality: Criticality,
    pub contact: Option<String>,
    pub runbook: Option<String>,
    pub go_live: Option<String>,
    pub hypercare: String,
    pub objective: f64,
    /// Runs of a check that do not pass until an incident opens.
    pub fail_after: u32,
    pub peak: Option<String>,
    pub daily: Option<String>,
    pub checks: Vec<InventoryCheck>,
}

/// A check as it is configured. Addresses are shown without the values of their queries; of credentials there is nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
pub struct InventoryCheck {
    pub check: String,
    pub kind: String,
    pub target: Option<String>,
    pub every: String,
    pub timeout_s: f64,
    pub retries: u8,
    pub judged: bool,
}

/// A class of failures that occurred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
pub struct ClassSeen {
    pub class: Class,
    pub attribution: Attribution,
    pub failures: u64,
    /// What to do.
    pub advice: String,
    /// The page that says more, in the documentation of Soakwatch.
    pub page: String,
}

/// A record of the evidence log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/evidence.md has them")]
pub struct Verdict {
    pub seq: u64,
    pub at: String,
    pub kind: String,
    pub integration: Option<String>,
    pub by: String,
    pub body: serde_json::Map<String, serde_json::Value>,
}

/// The package of an environment.
pub fn handoff(config: &Config, reader: &Reader, (customer, environment): (&str, &str), now: UnixMs) -> Result<Handoff, Failed> {
    let here: Vec<&Integration> = config
        .integrations()
        .map(AsRef::as_ref)
        .filter(|i: &&Integration| i.id.customer() == customer && i.id.environment() == environment)
        .collect();
    let since = here.iter().filter_map(|i| i.go_live).filter(|t| *t <= now).min().unwrap_or(now);
    let checkpoint = checkpoint(config, reader, (customer, environment), now, Some(since))?;
    let mut inventory: Vec<Inventory> = here.iter().map(|i| inventory_of(i, config)).collect();
    inventory.sort_by(|a, b| a.integration.cmp(&b.integration));
    let log = reader.evidence(customer, environment, now)?;
    let judged = log.iter().filter_map(|l| l.record.as_deref()).filter(|r| is_judged(r) && r.customer.is_some());
    let mut verdicts: Vec<Verdict> = judged.map(verdict).collect();
    verdicts.drain(..verdicts.len().saturating_sub(MOST_VERDICTS));
    let classes = classes(&checkpoint);
    Ok(Handoff { schema: SCHEMA.to_owned(), checkpoint, inventory, classes, verdicts })
}

fn inventory_of(i: &Integration, config: &Config) -> Inventory {
    let check = |c: &CheckDef| InventoryCheck {
        check: c.id.check().to_owned(),
        kind: c.kind.name().to_owned(),
        target: c.kind.target_shown(),
        every: c.every.to_string(),
        timeout_s: c.timeout.as_secs_f64(),
        retries: c.retries,
        judged: c.judged,
    };
    Inventory {
        integration: i.id.to_string(),
        name: i.name.clone(),
        owner: i.owner,
        criticality: i.criticality,
        contact: i.contact.clone(),
        runbook: i.runbook.as_ref().map(ToString::to_string),
        go_live: i.go_live.map(|t| t.to_string()),
        hypercare: i.hypercare.to_string(),
        objective: i.exit.success_ratio.0,
        fail_after: i.incident.fail_after,
        peak: i.volume.peak.map(|v| v.to_string()),
        daily: i.volume.daily.map(|v| v.to_string()),
        checks: config.checks().filter(|c| c.integration.id == i.id).map(|c| check(c)).collect(),
    }
}

fn classes(checkpoint: &Checkpoint) -> Vec<ClassSeen> {
    let mut sums: BTreeMap<(Class, Attribution), (u64, Owner)> = BTreeMap::new();
    for incident in checkpoint.integrations.iter().flat_map(|p| &p.incident_list) {
        for c in &incident.classes {
            sums.entry((c.class, c.attribution)).or_insert((0, incident.owner)).0 += c.failures;
        }
    }
    let seen = |((class, attribution), (failures, owner))| ClassSeen {
        class,
        attribution,
        failures,
        advice: remediation(class, attribution, owner),
        page: format!("docs/runbooks/class-{class}.md"),
    };
    let mut all: Vec<ClassSeen> = sums.into_iter().map(seen).collect();
    all.sort_by_key(|c| (std::cmp::Reverse(c.failures), c.class));
    all
}

/// Whether it judged something, or changed by what something is judged.
fn is_judged(r: &Recorded) -> bool {
    let event = r.body.get("event").and_then(serde_json::Value::as_str);
    JUDGED.contains(&r.kind.as_str()) || (r.kind.as_str() == "incident" && event == Some("reclassified"))
}

fn verdict(r: &Recorded) -> Verdict {
    let Recorded { seq, at, kind, integration, actor, body, .. } = r.clone();
    Verdict { seq, at, kind, integration, by: actor, body }
}
