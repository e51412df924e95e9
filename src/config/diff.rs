//! What a reload changes: which checks come, go, differ or stay as they are, and which settings wait for a restart.

use std::collections::BTreeMap;

use super::model::{CheckDef, Config, ListenerTls, ReceiverSettings, SchedulerSettings, ServerSettings, Settings, StoreSettings};
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
    pub restart_needed: Vec<String>,
}

/// Compares two configurations. Lists are in the order of ids. `started`: what the daemon was started with, whatever was reloaded since.
pub fn diff(old: &Config, new: &Config, started: &AtStart) -> Diff {
    fn by_id(config: &Config) -> BTreeMap<CheckId, &CheckDef> {
        config.checks().map(|c| (c.id.clone(), &**c)).collect()
    }
    let wanted = AtStart::of(&new.settings);
    let differs = wanted.0.into_iter().zip(&started.0).filter(|(wanted, had)| wanted != *had);
    compared(&by_id(old), &by_id(new), differs.map(|((name, _), _)| name.to_owned()).collect())
}

/// The settings that take effect at a restart only, as text, by name: a daemon keeps those it was started with, for a reload changes none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtStart(pub(super) Vec<(&'static str, String)>);

impl AtStart {
    /// Those of a configuration.
    pub fn of(settings: &Settings) -> Self {
        Self(at_restart(settings))
    }
}

/// The same of checks by id, whatever stands for one.
pub(super) fn compared<T: PartialEq>(before: &BTreeMap<CheckId, T>, after: &BTreeMap<CheckId, T>, restart_needed: Vec<String>) -> Diff {
    let mut diff = Diff { restart_needed, ..Diff::default() };
    for (id, check) in before {
        match after.get(id) {
            None => diff.removed.push(id.clone()),
            Some(now) if now == check => diff.unchanged += 1,
            Some(_) => diff.changed.push(id.clone()),
        }
    }
    diff.added = after.keys().filter(|id| !before.contains_key(*id)).cloned().collect();
    diff
}

/// What is built once at start, as text: the listeners, the store's file, the log. All other settings are taken over while the daemon runs.
fn at_restart(settings: &Settings) -> Vec<(&'static str, String)> {
    // Taken apart by name, so that a new setting must be placed here.
    let Settings {
        server,
        store,
        scheduler,
        rate_limit: _,
        self_check: _,
        probe: _,
        receiver,
        metrics: _,
        evidence: _,
        heartbeat: _,
        reload: _,
        log,
    } = settings;
    let ServerSettings { listen, open: _, hosts: _, max_connections, timeout: _, tokens: _, tls, access_log: _ } = server;
    let StoreSettings { path, keep_runs: _, keep_hours: _, outbox: _ } = store;
    let SchedulerSettings { vantage: _, per_host: _, max_runs: _, grace: _, threads } = scheduler;
    let ReceiverSettings {
        listen: receives,
        public_url: _,
        max_connections: receives_most,
        max_per_sender: _,
        timeout: _,
        max_rate: _,
        tls: receives_tls,
        access_log: _,
    } = receiver;
    // Whether there is TLS at all; its files are read again while the listener listens.
    let has = |tls: &Option<ListenerTls>| tls.is_some().to_string();
    vec![
        ("server.listen", listen.to_string()),
        ("server.max_connections", max_connections.to_string()),
        ("server.tls", has(tls)),
        ("store.path", path.display().to_string()),
        ("scheduler.threads", threads.to_string()),
        ("receiver.listen", format!("{receives:?}")),
        ("receiver.max_connections", receives_most.to_string()),
        ("receiver.tls", has(receives_tls)),
        ("log", format!("{log:?}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::config::{LoadOptions, load};

    fn config(settings: &str, customer: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("customers")).unwrap();
        std::fs::write(dir.path().join("soakwatch.toml"), format!("[store]\npath = \"/tmp/x.db\"\n{settings}")).unwrap();
        std::fs::write(dir.path().join("customers/acme.toml"), format!("[customer]\nid = \"acme\"\n{customer}")).unwrap();
        let loaded = load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: UnixMs(0) });
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
    }

    fn integration(id: &str, owner: &str, checks: &[(&str, &str)]) -> String {
        let head = format!("[[integration]]\nid = \"{id}\"\nenvironment = \"production\"\nowner = \"{owner}\"\n");
        let check = |(id, every): &(&str, &str)| {
            format!(
                "[[integration.check]]\nid = \"{id}\"\nevery = \"{every}\"\n[integration.check.http]\nurl = \"https://api.example.com/\"\n"
            )
        };
        head + &checks.iter().map(check).collect::<String>()
    }

    fn compare(old: &Config, new: &Config) -> Diff {
        diff(old, new, &AtStart::of(&old.settings))
    }

    fn ids(list: &[CheckId]) -> Vec<&str> {
        list.iter().map(|id| id.as_str().trim_start_matches("acme/production/")).collect()
    }

    #[test]
    fn the_same_configuration_changes_nothing() {
        let text = integration("crm", "vendor", &[("list", "60s"), ("get", "30s")]);
        let same = compare(&config("", &text), &config("", &text));
        assert_eq!(same, Diff { unchanged: 2, ..Diff::default() });
    }

    #[test]
    fn only_what_differs_is_named() {
        let old = integration("crm", "vendor", &[("list", "60s"), ("get", "30s"), ("old", "60s")])
            + &integration("erp", "vendor", &[("ping", "60s")]);
        let new = integration("crm", "vendor", &[("get", "31s"), ("list", "60s"), ("new", "60s")])
            + &integration("erp", "customer", &[("ping", "60s")]);
        let d = compare(&config("", &old), &config("", &new));
        assert_eq!(ids(&d.added), ["crm/new"]);
        assert_eq!(ids(&d.removed), ["crm/old"]);
        // The check of erp is as it was, but its owner is not: failures are attributed otherwise from now on.
        assert_eq!(ids(&d.changed), ["crm/get", "erp/ping"]);
        assert_eq!(d.unchanged, 1);
        assert_eq!(d.restart_needed, [] as [&str; 0]);
    }

    #[test]
    fn settings_that_wait_for_a_restart_are_named() {
        let text = integration("crm", "vendor", &[("list", "60s")]);
        let old = config("[server]\nlisten = \"127.0.0.1:1\"\n", &text);
        let new = config("keep_runs = \"50d\"\n[server]\nhosts = [\"x\"]\n[scheduler]\nper_host = 3\n[log]\nlevel = \"debug\"\n", &text);
        let d = compare(&old, &new);
        assert_eq!(d.restart_needed, ["server.listen", "log"]);
        assert_eq!(d.unchanged, 1);
        // Taken over and not in force: it goes on waiting, until it is put back.
        let started = AtStart::of(&old.settings);
        assert_eq!(diff(&new, &new, &started).restart_needed, ["server.listen", "log"]);
        assert_eq!(diff(&new, &old, &started).restart_needed, [] as [&str; 0]);
    }
}
