//! What the policies of an integration are called. Owns the labels, which never depend on what is told: a metric's series stay the same ones.

use crate::board::{CheckEntry, IntegrationEntry};

/// The first check of a host and credential, and what stands before the names of its policies.
struct Lane<'e> {
    check: &'e CheckEntry,
    host: &'e str,
    prefix: String,
}

/// What stands before the names of each check's policies, in order of the checks. Those who share host and credential share their policies, and the first
/// of them in the configuration decides: nothing for the integration's first check; the host, where no check before asks it; else the check's id.
pub(super) fn prefixes(entry: &IntegrationEntry) -> Vec<String> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    let mut all = Vec::with_capacity(entry.checks.len());
    for check in &entry.checks {
        let Some(host) = check.def.host.as_deref() else {
            all.push(String::new());
            continue;
        };
        let shared = lanes.iter().find(|l| l.host == host && l.check.def.kind.shares_credential(&check.def.kind));
        let prefix = shared.map_or_else(|| new(&lanes, host, check.def.id.check()), |l| l.prefix.clone());
        all.push(prefix.clone());
        if shared.is_none() {
            lanes.push(Lane { check, host, prefix });
        }
    }
    all
}

fn new(lanes: &[Lane<'_>], host: &str, check: &str) -> String {
    match lanes {
        [] => String::new(),
        _ if lanes.iter().all(|l| l.host != host) => format!("{host}/"),
        // `token/` stands before the policies of token endpoints; no id and no `host:port` is like this.
        _ if check == "token" => "check:token/".to_owned(),
        _ => format!("{check}/"),
    }
}
