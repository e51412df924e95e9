//! From a configuration and the store to everything an environment is judged by. Reads only.

use crate::board::{CheckEntry, Departed, IntegrationEntry};
use crate::clock::UnixMs;
use crate::config::fingerprint::Change;
use crate::config::model::{Config, Integration};
use crate::evidence::{Checked, Recorded};
use crate::limits;
use crate::readiness::case::{Case, CheckCase, MaintenanceCase, SoakCase, WaiverCase};
use crate::readiness::decide::{Situation, decide};
use crate::readiness::said::Said;
use crate::soak::gate::Gate;
use crate::soak::{Observations, Policy};
use crate::store::{Logged, Reader, StoreError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The configuration has no such environment.
    #[error("nothing is configured for {0}")]
    Unknown(String),
    /// The store can't be read, or not all of it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything an environment is judged by at a time, and the evidence log as it was then.
pub fn assemble(config: &Config, reader: &Reader, customer: &str, environment: &str, as_of: UnixMs) -> Result<(Situation, Vec<Logged>), Failed> {
    let log = reader.evidence(customer, environment, as_of)?;
    let checked = reader.check_evidence(Checked::default())?;
    let entry = |i: &std::sync::Arc<Integration>| -> Result<IntegrationEntry, StoreError> {
        let mut checks = Vec::new();
        for def in config.checks().filter(|c| c.integration.id == i.id) {
            checks.push(CheckEntry { def: std::sync::Arc::clone(def), state: reader.state(&def.id)?.unwrap_or_default() });
        }
        Ok(IntegrationEntry { def: std::sync::Arc::clone(i), checks, departed: Departed::default() })
    };
    let here = |i: &&std::sync::Arc<Integration>| i.id.customer() == customer && i.id.environment() == environment;
    let entries = config.integrations().filter(here).map(entry).collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Err(Failed::Unknown(format!("{customer}/{environment}")));
    }
    let records: Vec<&Recorded> = log.iter().filter_map(|l| l.record.as_ref()).collect();
    let situation = situation(config, &entries, &records, checked.breaks.first().map(ToString::to_string), customer, environment, as_of);
    Ok((situation, log))
}

/// The same from what a running daemon has at hand. `records`: of the evidence log, those that concern the environment; `damage`: what is wrong with it.
pub fn situation(
    config: &Config,
    entries: &[IntegrationEntry],
    records: &[&Recorded],
    damage: Option<String>,
    customer: &str,
    environment: &str,
    as_of: UnixMs,
) -> Situation {
    let case = |entry: &IntegrationEntry| {
        let i = &entry.def;
        let soak = i.soak.as_ref().map(|policy| soak(config, entry, policy, Said::of(&i.id, records.iter().copied()), as_of));
        Case { integration: i.id.clone(), name: i.name.clone(), owner: i.owner, criticality: i.criticality, soak }
    };
    // In one order, whatever the files' is: it decides which of several equals is named, and the order of runs in a bundle.
    let mut integrations: Vec<Case> = entries.iter().map(case).collect();
    integrations.sort_by(|a, b| a.integration.cmp(&b.integration));
    Situation {
        as_of,
        customer: customer.to_owned(),
        environment: environment.to_owned(),
        doubts: damage.map(|d| format!("the evidence log is damaged: {d}")).into_iter().collect(),
        integrations,
    }
}

fn soak(config: &Config, entry: &IntegrationEntry, policy: &Policy, said: Said, as_of: UnixMs) -> SoakCase {
    let i = &entry.def;
    let fingerprint = config.customers.iter().find_map(|c| c.fingerprints.get(&i.id));
    let change = fingerprint.zip(said.began.as_ref()).map(|(now, began)| now.since(&began.fingerprint));
    let (superseded, changed) = match change {
        None | Some(Change::None) => (false, Vec::new()),
        // What can't be told is not taken to be the same.
        Some(Change::Some(keys)) => (true, keys),
        Some(Change::Unsure(keys)) => (true, keys.into_iter().map(|k| format!("{k} (the file it names can't be read)")).collect()),
    };
    let check = |c: &CheckEntry| CheckCase {
        check: c.def.id.clone(),
        judged: c.def.judged,
        judge: c.def.judge,
        throttled_excluded: i.throttled_excluded,
        every: c.def.kind.host().is_some().then_some(c.def.every),
    };
    let waiver = |w: &crate::soak::Waiver| WaiverCase {
        criterion: w.criterion.clone(),
        reason: w.reason.clone(),
        approver: w.approver.clone(),
        until: w.until,
    };
    let window = |m: &crate::config::model::Maintenance| MaintenanceCase { start: m.start, end: m.end, reason: m.reason.clone(), by: m.by.clone() };
    let mut checks: Vec<CheckCase> = entry.checks.iter().map(check).collect();
    checks.sort_by(|a, b| a.check.cmp(&b.check));
    SoakCase {
        policy: policy.clone(),
        fingerprint: fingerprint.map(ToString::to_string),
        recorded_fingerprint: said.began.as_ref().map(|b| b.fingerprint.to_string()),
        since: said.began.map_or(policy.start, |b| b.since.max(policy.start)),
        go_live: i.go_live,
        changed,
        superseded,
        checks,
        observed: observations(entry, as_of).into(),
        waivers: i.waivers.iter().map(waiver).collect(),
        attestations: said.attestations,
        exclusions: said.exclusions,
        maintenance: i.maintenance.iter().map(window).collect(),
    }
}

/// What is known of an integration beside its runs.
pub fn observations(entry: &IntegrationEntry, now: UnixMs) -> Observations {
    Observations {
        quota_headroom: limits::headroom(entry, now),
        certificate_expiry: entry.checks.iter().filter_map(|c| c.state.certificate_expiry).min(),
        ..Observations::default()
    }
}

/// The answer from the store's runs. An error also where stored rows can't be read: nothing is decided on a part.
pub fn judged_from(situation: &Situation, reader: &Reader) -> Result<Gate, StoreError> {
    let gate = decide(situation, &mut |check, window| reader.runs(&check.check, 0, window.start, window.end))?;
    reader.whole()?;
    Ok(gate)
}
