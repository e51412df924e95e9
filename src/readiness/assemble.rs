//! From a configuration and the store to everything an environment is judged by. Reads only.

use std::sync::Arc;

use super::answered::Answered;
use super::basis::Basis;
use super::case::{Case, CheckCase, MaintenanceCase, SoakCase, WaiverCase};
use super::decide::{Situation, decide};
use super::log::{Known, Log};
use super::seen;
use crate::board::{CheckEntry, IntegrationEntry};
use crate::clock::UnixMs;
use crate::config::model::{Config, Integration};
use crate::evidence::Checked;
use crate::soak::gate::Gate;
use crate::soak::{Frame, Policy};
use crate::store::{Logged, Reader, StoreError};

/// Clocks of two machines may differ so much.
pub(super) const AHEAD_MS: i64 = 60_000;

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

/// Everything an environment is judged by at a time, and the evidence log as it was then. `config` is the one at hand.
pub fn assemble(
    config: &Config,
    reader: &Reader,
    customer: &str,
    environment: &str,
    as_of: UnixMs,
) -> Result<(Situation, Vec<Logged>), Failed> {
    let log = reader.evidence(customer, environment, as_of)?;
    let checked = reader.check_evidence(Checked::default())?;
    let entry = |i: &Arc<Integration>| -> Result<IntegrationEntry, StoreError> {
        let mut checks = Vec::new();
        for def in config.checks().filter(|c| c.integration.id == i.id) {
            checks.push(CheckEntry { def: Arc::clone(def), state: reader.state(&def.id)?.unwrap_or_default() });
        }
        Ok(IntegrationEntry { def: Arc::clone(i), checks, departed: None, apart: Default::default() })
    };
    let here = |i: &&Arc<Integration>| i.id.customer() == customer && i.id.environment() == environment;
    let entries = config.integrations().filter(here).map(entry).collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Err(Failed::Unknown(format!("{customer}/{environment}")));
    }
    let known = Log::of(log.iter().filter_map(|l| l.record.as_deref()));
    Ok((situation(config, &entries, &known, damage(&checked), (customer, environment), as_of), log))
}

/// What is wrong with the evidence log, in words.
fn damage(checked: &Checked) -> Option<String> {
    let first = checked.breaks.first()?;
    let more = checked.breaks.len() as u64 - 1 + checked.more;
    Some(if more > 0 { format!("{first} (and {more} more)") } else { first.to_string() })
}

/// The same of what was read before. `log`: of the records that concern the environment, up to that time; `damage`: what is wrong with the log.
pub fn situation(
    config: &Config,
    entries: &[IntegrationEntry],
    log: &Log,
    damage: Option<String>,
    (customer, environment): (&str, &str),
    as_of: UnixMs,
) -> Situation {
    let case = |entry: &IntegrationEntry| {
        let i = &entry.def;
        let soak = i.soak.as_deref().map(|policy| soak(config, entry, policy, log, as_of));
        Case { integration: i.id.clone(), name: i.name.clone(), owner: i.owner, criticality: i.criticality, soak }
    };
    let doubts = damage.map(|d| damaged_log(&d)).into_iter().chain(other_config(log.config(), &config.hash)).collect();
    // In one order, whatever the files' is: it decides which of several equals is named, and the order of runs in a bundle.
    let mut integrations: Vec<Case> = entries.iter().map(case).collect();
    integrations.sort_by(|a, b| a.integration.cmp(&b.integration));
    Situation {
        as_of,
        customer: customer.to_owned(),
        environment: environment.to_owned(),
        config_hash: config.hash.clone(),
        doubts,
        integrations,
    }
}

/// Said of an environment whose evidence log is damaged.
pub(super) fn damaged_log(what: &str) -> String {
    format!("the evidence log is damaged: {what}")
}

/// What is said where the configuration at hand is not the one that was recorded last. Thresholds are held by the fingerprint; waivers, dates and which
/// integrations there are stand in the configuration alone.
pub(crate) fn other_config(recorded: Option<&str>, at_hand: &str) -> Option<String> {
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    let why = match recorded {
        Some(recorded) if recorded == at_hand => return None,
        Some(recorded) => format!("it recorded {}, this one is {}", short(recorded), short(at_hand)),
        None => "it recorded none".to_owned(),
    };
    Some(format!("this is not the configuration that the daemon had in force ({why}): nothing shows that it was used"))
}

fn soak(config: &Config, entry: &IntegrationEntry, policy: &Policy, log: &Log, as_of: UnixMs) -> SoakCase {
    let i = &entry.def;
    let (fingerprint, known) = (config.fingerprint(&i.id), log.known(&i.id));
    let basis = Basis::of(policy, fingerprint, known);
    let frame = Frame::at(basis.since, policy.window, i.go_live, as_of);
    let nothing = Known::default();
    let of = known.unwrap_or(&nothing);
    let (observed, observed_record) = seen::known_at(&frame, as_of, entry, (&of.observed, &of.incidents));
    let check = |c: &CheckEntry| CheckCase {
        check: c.def.id.clone(),
        judged: c.def.judged,
        judge: c.def.judge,
        throttled_excluded: i.throttled_excluded,
        every: c.def.kind.is_asked().then_some(c.def.every),
    };
    let waiver = |w: &crate::soak::Waiver| WaiverCase {
        criterion: w.criterion.clone(),
        reason: w.reason.clone(),
        approver: w.approver.clone(),
        until: w.until,
    };
    let window =
        |m: &crate::config::model::Maintenance| MaintenanceCase { start: m.start, end: m.end, reason: m.reason.clone(), by: m.by.clone() };
    let mut checks: Vec<CheckCase> = entry.checks.iter().map(check).collect();
    checks.sort_by(|a, b| a.check.cmp(&b.check));
    SoakCase {
        policy: policy.clone(),
        fingerprint: fingerprint.map(ToString::to_string),
        recorded_fingerprint: known.and_then(|k| k.began.as_ref()).map(|b| b.fingerprint.to_string()),
        since: basis.since,
        go_live: i.go_live,
        superseded: basis.changed.is_some(),
        changed: basis.changed.unwrap_or_default(),
        unsure: basis.unsure,
        restarted: basis.restarted,
        checks,
        observed: observed.into(),
        observed_record,
        waivers: i.waivers.iter().map(waiver).collect(),
        attestations: log.attested(i.id.customer(), i.id.environment()),
        exclusions: known.map(|k| k.exclusions.clone()).unwrap_or_default(),
        maintenance: i.maintenance.iter().map(window).collect(),
    }
}

/// The answer from the store's runs. Where stored rows can't be read it is not `go`.
pub fn judged_from(situation: &Situation, reader: &Reader) -> Result<Gate, StoreError> {
    let mut gate = decide(situation, &mut |check, window| reader.runs(&check.check, 0, window.start, window.end))?;
    let damaged = reader.damaged();
    if let Some(first) = damaged.first {
        gate.doubt(damaged_store(damaged.count, &first));
    }
    Ok(gate)
}

/// The gate's answer from configuration and store, as every output shows it. `live`: `as_of` is now, so nothing later can be stored.
pub fn answer_from(
    config: &Config,
    reader: &Reader,
    (customer, environment): (&str, &str),
    as_of: UnixMs,
    live: bool,
) -> Result<Answered, Failed> {
    let (mut situation, _) = assemble(config, reader, customer, environment, as_of)?;
    if live {
        doubt_clocks(reader, &mut situation)?;
    }
    let gate = judged_from(&situation, reader)?;
    Ok(Answered::of(&situation, gate))
}

/// Where it is judged for now: runs that lie ahead are a doubt.
pub fn doubt_clocks(reader: &Reader, situation: &mut Situation) -> Result<(), StoreError> {
    if let Some(slot) = stored_ahead(reader, situation)? {
        let what = format!(
            "the store holds runs of {slot}, which lies ahead: the clock of this machine is behind, or that of the daemon was ahead"
        );
        situation.doubts.push(what);
    }
    Ok(())
}

/// A slot that lies further ahead than clocks differ.
fn stored_ahead(reader: &Reader, situation: &Situation) -> Result<Option<UnixMs>, StoreError> {
    let mut newest = None;
    for id in situation.integrations.iter().filter_map(|c| c.soak.as_ref()).flat_map(|s| &s.checks).map(|c| &c.check) {
        newest = newest.max(reader.state(id)?.and_then(|state| state.last_slot));
    }
    Ok(newest.filter(|slot| slot.0 > situation.as_of.0 + AHEAD_MS))
}

/// Said where stored rows can't be read.
pub(super) fn damaged_store(count: u64, first: &str) -> String {
    format!("{count} stored rows can't be read and are missing here; the first: {first}")
}
