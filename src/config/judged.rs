//! What is judged of one integration, in words: the thresholds of its soak, and each judged check with its schedule and its kind's table.
//!
//! A change of any of it starts the soak again. Names, owners, links, dates, pauses, windows of maintenance, volumes, waivers and attestations are
//! not in it: they say who, when and what else is asked for, not how a run is judged. Neither are the daemon's settings, which are the monitor's and
//! nobody's in particular. Every field is named, so that a new one must be placed here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::fingerprint::{Fingerprint, KeyLists};
use super::model::{CheckDef, IncidentPolicy, Integration, SoakPolicy};
use crate::files;
use crate::hex;
use crate::probe::material::{Material, canonical};
use crate::ratelimit::Dialect;
use crate::route::{Family, Route, Via};

/// A file that a check names may hold this much.
const MAX_BYTES: u64 = 16 << 20;

/// What fingerprints are made of that integrations have in common.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Contents of files as hashes, each read once however many checks name it.
    files: HashMap<PathBuf, Option<String>>,
    keys: KeyLists,
}

impl Contents {
    pub(super) fn hash_blocking(&mut self, path: &Path) -> Option<String> {
        let read = || files::read_blocking(path, MAX_BYTES).ok().map(|bytes| hex::sha256(&bytes));
        self.files.entry(path.to_owned()).or_insert_with(read).clone()
    }
}

/// The fingerprint of an integration that has a soak. Reads the files its checks name: blocking.
pub(super) fn fingerprint_blocking(integration: &Integration, checks: &[Arc<CheckDef>], contents: &mut Contents) -> Option<Fingerprint> {
    let material = material(integration, checks)?;
    let texts = material.texts().map(|(key, values)| (key, Some(canonical(&json!(values)))));
    let files: Vec<_> = material.files().map(|(key, path)| (key, contents.hash_blocking(path))).collect();
    Some(Fingerprint::of(texts.chain(files), &mut contents.keys))
}

fn material(integration: &Integration, checks: &[Arc<CheckDef>]) -> Option<Material> {
    let Integration {
        id: _,
        name: _,
        customer_name: _,
        exit: _,
        contact: _,
        owner: _,
        // Its defaults stand in the thresholds.
        criticality: _,
        runbook: _,
        go_live: _,
        hypercare: _,
        soak,
        incident: IncidentPolicy { fail_after, pass_after, reopen_within },
        waivers: _,
        volume: _,
        allow_private: _,
        maintenance: _,
        paused: _,
        attribution: _,
        dialect,
        quota_share: _,
        quota_window: _,
        throttled_excluded,
    } = integration;
    let mut m = Material::default();
    m.below("soak", thresholds(soak.as_deref()?));
    // What counts as throttled depends on it.
    m.unless(&Dialect::Auto, "dialect", dialect);
    if *throttled_excluded {
        m.say("throttled", "excluded");
    }
    // What an incident is, one criterion asks for.
    let usual = IncidentPolicy::default();
    m.unless(&usual.fail_after, "incident.fail_after", fail_after);
    m.unless(&usual.pass_after, "incident.pass_after", pass_after);
    m.unless(&usual.reopen_within.ms(), "incident.reopen_within", &reopen_within.ms());
    for check in checks.iter().filter(|c| c.judged && c.integration.id == integration.id) {
        m.below(&format!("check.{}", check.id.check()), of_check(check));
    }
    Some(m)
}

fn thresholds(policy: &SoakPolicy) -> Material {
    let SoakPolicy {
        start: _,
        window,
        success_ratio,
        confidence,
        coverage,
        longest_outage,
        latency_p95,
        throttled_ratio,
        quota_headroom,
        certificate_days,
        reconciliation,
        valid_for,
        // The gate asks for what is named when it is asked.
        attest: _,
        declared,
    } = policy;
    let mut m = Material::default();
    // As resolved, defaults too: where a default changes, so does what is asked for.
    m.say("window", &window.ms());
    m.say("success_ratio", &success_ratio.0);
    m.say("confidence", confidence);
    m.say("coverage", &coverage.0);
    m.say("longest_outage", &longest_outage.ms());
    latency_p95.iter().for_each(|most| m.say("latency_p95", &most.ms()));
    m.say("throttled_ratio", &throttled_ratio.0);
    m.say("quota_headroom", quota_headroom);
    m.say("certificate_days", certificate_days);
    m.say("reconciliation", &reconciliation.0);
    m.say("valid_for", &valid_for.ms());
    declared.iter().for_each(|criterion| m.say("declared", criterion));
    m
}

fn of_check(check: &CheckDef) -> Material {
    let CheckDef { id: _, key: _, integration: _, every, timeout, retries, judged: _, judge, route, blocked_by, kind, host: _ } = check;
    let mut m = Material::default();
    m.say("every", &every.ms());
    m.say("timeout", &timeout.as_millis());
    m.say("retries", retries);
    m.say("judge", judge);
    if let Some(by) = blocked_by {
        // As it is written: the integration's own name is not judged.
        let (here, there) = (check.id.integration(), by.integration());
        m.say("blocked_by", &if here == there { by.check().to_owned() } else { format!("{}/{}", there.integration(), by.check()) });
    }
    let Route { via, source, address, family, keep_alive } = route;
    match via {
        None => {}
        Some(Via::Direct) => m.say("proxy", "direct"),
        Some(Via::Proxy(proxy)) => {
            m.say("proxy", proxy);
            proxy.login.iter().for_each(|(name, _)| m.say("proxy.username", name));
        }
    }
    source.iter().for_each(|address| m.say("source_address", address));
    address.iter().for_each(|address| m.say("address", address));
    if *family != Family::Any {
        m.say("address_family", family.as_str());
    }
    m.unless(&false, "keep_alive", keep_alive);
    m.say("kind", kind.name());
    m.below(kind.name(), kind.material());
    m
}
