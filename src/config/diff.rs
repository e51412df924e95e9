//! What a reload changes: which checks come, go, differ or stay as they are, and which settings wait for a restart.

use std::collections::BTreeMap;

use super::model::{CheckDef, Config, MetricsSettings, SchedulerSettings, ServerSettings, Settings, StoreSettings};
use crate::fields::CheckId;

/// The difference between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// In the new one only.
    pub added: Vec<CheckId>,
    /// In the old one only.
    pub removed: Vec<CheckId>,
    /// In both, but the check or what its integration says differs.
    pub changed: Vec<CheckId>,
    /// In both, alike: these keep position, streaks and counters.
    pub unchanged: usize,
    /// Settings that differ and take effect only at a restart.
    pub restart_needed: Vec<&'static str>,
}

/// Compares two configurations. Lists are in the order of ids.
pub fn diff(old: &Config, new: &Config) -> Diff {
    fn by_id(config: &Config) -> BTreeMap<&CheckId, &CheckDef> {
        config.checks().map(|c| (&c.id, &**c)).collect()
    }
    let (before, after) = (by_id(old), by_id(new));
    let mut diff = Diff { restart_needed: restart_needed(&old.settings, &new.settings), ..Diff::default() };
    for (id, check) in &before {
        match after.get(id) {
            None => diff.removed.push((*id).clone()),
            Some(now) if now == check => diff.unchanged += 1,
            Some(_) => diff.changed.push((*id).clone()),
        }
    }
    diff.added = after.keys().filter(|id| !before.contains_key(*id)).map(|id| (*id).clone()).collect();
    diff
}

/// What is built once at start: sockets, store, pools, subscribers. Tokens, hosts, retention, grace and limits of size are read when used.
fn restart_needed(old: &Settings, new: &Settings) -> Vec<&'static str> {
    // Taken apart by name, so that a new setting must be placed here.
    let Settings { server, store, scheduler, self_check, probe, metrics, log } = new;
    let ServerSettings { listen, open: _, hosts: _, max_connections, timeout, tokens: _ } = server;
    let StoreSettings { path, keep_runs: _, keep_hours: _, outbox } = store;
    let SchedulerSettings { vantage, per_host, max_runs, grace: _ } = scheduler;
    let MetricsSettings { check_histograms, max_series: _ } = metrics;
    let differs = [
        ("server.listen", *listen != old.server.listen),
        ("server.max_connections", *max_connections != old.server.max_connections),
        ("server.timeout", *timeout != old.server.timeout),
        ("store.path", *path != old.store.path),
        ("store.outbox", *outbox != old.store.outbox),
        ("scheduler.vantage", *vantage != old.scheduler.vantage),
        ("scheduler.per_host", *per_host != old.scheduler.per_host),
        ("scheduler.max_runs", *max_runs != old.scheduler.max_runs),
        ("self_check", *self_check != old.self_check),
        ("probe", *probe != old.probe),
        ("metrics.check_histograms", *check_histograms != old.metrics.check_histograms),
        ("log", *log != old.log),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
