//! What is judged of one integration, in words: the thresholds of its soak, and each judged check with its schedule and its kind's table.
//!
//! A change of any of it starts the soak again. Names, owners, links, dates, pauses, windows of maintenance, volumes, waivers and attestations are
//! not in it: they say who, when and what else is asked for, not how a run is judged. Every field is named, so that a new one must be placed here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::fingerprint::Fingerprint;
use super::model::{CheckDef, Integration, SoakPolicy};
use crate::files;
use crate::probe::material::{Material, canonical};
use crate::ratelimit::Dialect;
use crate::transport::hex_sha256;

/// A file that a check names may hold this much.
const MAX_BYTES: u64 = 16 << 20;

/// Contents of files as hashes, each read once however many checks name it.
#[derive(Debug, Default)]
pub(super) struct Contents(HashMap<PathBuf, Option<String>>);

impl Contents {
    fn hash_blocking(&mut self, path: &Path) -> Option<String> {
        let read = || files::read_blocking(path, MAX_BYTES).ok().map(|bytes| hex_sha256(&bytes));
        self.0.entry(path.to_owned()).or_insert_with(read).clone()
    }
}

/// The fingerprint of an integration that has a soak. Reads the files its checks name: blocking.
pub(super) fn fingerprint_blocking(integration: &Integration, checks: &[Arc<CheckDef>], contents: &mut Contents) -> Option<Fingerprint> {
    let material = material(integration, checks)?;
    let texts = material.texts().map(|(key, values)| (key, Some(canonical(&json!(values)))));
    let files: Vec<_> = material.files().map(|(key, path)| (key, contents.hash_blocking(path))).collect();
    Some(Fingerprint::of(texts.chain(files)))
}

fn material(integration: &Integration, checks: &[Arc<CheckDef>]) -> Option<Material> {
    let Integration {
        id: _,
        name: _,
        customer_name: _,
        owner: _,
        // Its defaults stand in the thresholds.
        criticality: _,
        runbook: _,
        go_live: _,
        hypercare: _,
        soak,
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
    m.below("soak", thresholds(soak.as_ref()?));
    // What counts as throttled depends on it.
    m.unless(&Dialect::Auto, "dialect", dialect);
    if *throttled_excluded {
        m.say("throttled", "excluded");
    }
    for check in checks.iter().filter(|c| c.judged && c.integration.id == integration.id) {
        m.below(&format!("check.{}", check.id.check()), of_check(check));
    }
    Some(m)
}

fn thresholds(policy: &SoakPolicy) -> Material {
    let SoakPolicy { start: _, window, success_ratio } = policy;
    let mut m = Material::default();
    m.say("window", window.ms());
    m.say("success_ratio", success_ratio.0);
    m
}

fn of_check(check: &CheckDef) -> Material {
    let CheckDef { id: _, key: _, integration: _, every, timeout, retries, judged: _, kind } = check;
    let mut m = Material::default();
    m.say("every", every.ms());
    m.say("timeout", timeout.as_millis());
    m.say("retries", retries);
    m.say("kind", kind.name());
    m.below(kind.name(), kind.material());
    m
}
