//! A checkpoint: what happened to an environment in a span that ends now, and how it stands (docs/hypercare.md has the keys).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answered::Answered;
use super::assemble::{answer_from, entries_of, histories, incidents_of, is_live};
use crate::board::IntegrationEntry;
use crate::clock::{DAY_MS, UnixMs};
use crate::config::model::Config;
use crate::finding::Level;
use crate::hypercare::{History, Incidents, Numbers, numbers};
use crate::incident::Incident;
use crate::incident::cause::causes;
use crate::incident::shown::{CauseShown, IncidentShown};
use crate::outcome::{Criticality, Owner};
use crate::readiness::Failed;
use crate::store::{Reader, StoreError};

/// The form of the document.
const SCHEMA: &str = "soakwatch-checkpoint/1";
/// For so many days after go-live a checkpoint is of a day; later it is of a week.
const DAILY: i64 = 7;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
pub struct Checkpoint {
    pub schema: String,
    pub version: String,
    pub environment: String,
    pub customer: String,
    pub as_of: String,
    /// Where the span begins.
    pub since: String,
    /// The answer at the gate, with every number since go-live.
    pub gate: Answered,
    pub integrations: Vec<Part>,
    pub common_causes: Vec<CauseShown>,
}

/// What happened to one integration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/hypercare.md has them in a table")]
pub struct Part {
    pub integration: String,
    pub name: String,
    pub owner: Owner,
    pub criticality: Criticality,
    pub contact: Option<String>,
    pub runbook: Option<String>,
    /// Of the span; `None`: it was not live in it.
    pub numbers: Option<Numbers>,
    /// Of the span; `None`: nobody knows.
    pub incidents: Option<Incidents>,
    /// Those of the span, and those that are open.
    pub incident_list: Vec<IncidentShown>,
    /// Throttled runs of the span by check, where there were any.
    pub throttled: BTreeMap<String, u64>,
    pub waivers: Vec<Waiver>,
    pub findings: Vec<Finding>,
}

/// A waiver that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the keys of [[integration.waiver]]")]
pub struct Waiver {
    pub criterion: String,
    pub reason: String,
    pub approver: String,
    pub until: String,
}

/// What is open of what was found in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/findings.md has them")]
pub struct Finding {
    pub check: String,
    pub rule: String,
    pub level: Level,
    pub detail: String,
    pub advice: String,
}

/// The checkpoint of an environment. `since`: where the span begins; by itself it is a day in the first week after the newest go-live, and a week later.
pub fn checkpoint(
    config: &Config,
    reader: &Reader,
    environment: (&str, &str),
    now: UnixMs,
    since: Option<UnixMs>,
) -> Result<Checkpoint, Failed> {
    let gate = answer_from(config, reader, environment, now, true)?;
    let mut entries = entries_of(config, reader, environment)?;
    entries.sort_by(|a, b| a.def.id.cmp(&b.def.id));
    let newest = entries.iter().filter(|e| is_live(&e.def, now)).filter_map(|e| e.def.go_live).max();
    let days = newest.map_or(0, |t| now.0.saturating_sub(t.0).div_euclid(DAY_MS));
    let since = since.unwrap_or(UnixMs(now.0 - if days < DAILY { DAY_MS } else { DAILY * DAY_MS }));
    let mut stored = histories(&entries, reader, now)?;
    let (mut integrations, mut all) = (Vec::new(), Vec::new());
    for entry in &entries {
        let checks = stored.remove(&entry.def.id).unwrap_or_default().into_iter().map(|(history, _)| history).collect::<Vec<_>>();
        let (part, incidents) = part(entry, reader, &checks, (since, now))?;
        integrations.push(part);
        all.extend(incidents);
    }
    // One cause may lie behind incidents of other customers, too.
    let elsewhere =
        reader.incidents().unwrap_or_default().into_iter().filter(|i| i.touches(since, now) && !all.iter().any(|a| a.id == i.id));
    let here: Vec<String> = all.iter().map(|i| i.id.clone()).collect();
    let others: Vec<Incident> = elsewhere.collect();
    let mut causes = causes(all.iter().chain(&others));
    causes.retain(|c| c.incidents.iter().any(|id| here.contains(id)));
    for shown in integrations.iter_mut().flat_map(|p| &mut p.incident_list) {
        shown.common_cause = causes.iter().find(|c| c.incidents.contains(&shown.id)).map(CauseShown::from);
    }
    Ok(Checkpoint {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: gate.environment.clone(),
        customer: entries.first().map(|e| e.def.customer_name.clone()).unwrap_or_default(),
        as_of: now.to_string(),
        since: since.to_string(),
        gate,
        integrations,
        common_causes: causes.iter().map(Into::into).collect(),
    })
}

fn part(
    entry: &IntegrationEntry,
    reader: &Reader,
    checks: &[History],
    (since, now): (UnixMs, UnixMs),
) -> Result<(Part, Vec<Incident>), StoreError> {
    let i = &entry.def;
    let from = i.go_live.filter(|t| *t <= now).map_or(since, |t| since.max(t));
    let live = is_live(i, now);
    // Numbers tell nothing from before go-live; incidents do, and an integration that is not live yet has some, too.
    let known = incidents_of(reader, &i.id, since, now)?;
    let throttled = checks.iter().map(|c| (c.check.check().to_owned(), c.since(from).throttled)).filter(|(_, n)| *n > 0);
    let runbook = i.runbook.as_ref().map(ToString::to_string);
    let list: Vec<Incident> = known.iter().flatten().map(|i| Incident::clone(i)).collect();
    let open = |w: &&crate::soak::Waiver| now < w.until;
    let waiver = |w: &crate::soak::Waiver| Waiver {
        criterion: w.criterion.clone(),
        reason: w.reason.clone(),
        approver: w.approver.clone(),
        until: w.until.to_string(),
    };
    let findings = entry.checks.iter().flat_map(|c| {
        c.state.findings.iter().filter(|f| f.level != Level::Info).map(|f| Finding {
            check: c.def.id.check().to_owned(),
            rule: f.id.to_string(),
            level: f.level,
            detail: f.detail.clone(),
            advice: f.advice().to_owned(),
        })
    });
    let part = Part {
        integration: i.id.to_string(),
        name: i.name.clone(),
        owner: i.owner,
        criticality: i.criticality,
        contact: i.contact.clone(),
        runbook: runbook.clone(),
        numbers: live.then(|| numbers(checks, from, i.throttled_excluded)),
        incidents: known.as_deref().map(|all| Incidents::of(all, since, UnixMs(now.0.saturating_add(1)))),
        incident_list: list.iter().map(|i| IncidentShown::of(i, runbook.clone(), &[])).collect(),
        throttled: throttled.collect(),
        waivers: i.waivers.iter().filter(open).map(waiver).collect(),
        findings: findings.collect(),
    };
    Ok((part, list))
}
