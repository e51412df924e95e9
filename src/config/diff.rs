//! What a reload changes: which checks come, go, differ or stay as they are, which settings change at once, and which wait
//! for a restart.

use std::collections::BTreeMap;

use super::model::{
    CheckDef, Config, EvidenceSettings, HeartbeatSettings, ListenerTls, MetricsSettings, ProbeSettings, RateLimitSettings,
    ReceiverSettings, ReloadSettings, SchedulerSettings, SelfCheckSettings, ServerSettings, Settings, StoreSettings,
};
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
    /// Settings that differ and take effect with the reload.
    pub settings_changed: Vec<String>,
    /// Settings that differ and take effect only at a restart.
    pub restart_needed: Vec<String>,
}

/// Compares two configurations. Lists are in the order of ids. `started`: what the daemon was started with, whatever was reloaded since.
pub fn diff(old: &Config, new: &Config, started: &AtStart) -> Diff {
    fn by_id(config: &Config) -> BTreeMap<CheckId, &CheckDef> {
        config.checks().map(|c| (c.id.clone(), &**c)).collect()
    }
    let ((_, before), (at_restart, now)) = (by_effect(&old.settings), by_effect(&new.settings));
    let names = |wanted: Texts, had: &Texts| {
        wanted.into_iter().zip(had).filter(|(wanted, had)| wanted != *had).map(|((name, _), _)| name.to_owned()).collect::<Vec<_>>()
    };
    compared(&by_id(old), &by_id(new), names(now, &before), names(at_restart, &started.0))
}

/// The settings that take effect at a restart only, as text, by name: a daemon keeps those it was started with, for a reload changes none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtStart(pub(super) Texts);

impl AtStart {
    /// Those of a configuration.
    pub fn of(settings: &Settings) -> Self {
        Self(by_effect(settings).0)
    }
}

/// The same of checks by id, whatever stands for one.
pub(super) fn compared<T: PartialEq>(
    before: &BTreeMap<CheckId, T>,
    after: &BTreeMap<CheckId, T>,
    mut settings_changed: Vec<String>,
    restart_needed: Vec<String>,
) -> Diff {
    // What waits as a whole (a listener that is to speak TLS) does not change now.
    settings_changed.retain(|name| !restart_needed.contains(name));
    let mut diff = Diff { settings_changed, restart_needed, ..Diff::default() };
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

/// Settings as text, by name.
type Texts = Vec<(&'static str, String)>;

/// What is built once at start: the listeners, the store's file, the log. And what is taken over while the daemon runs: all others.
pub(super) fn by_effect(settings: &Settings) -> (Texts, Texts) {
    // Taken apart by name, so that a new setting must be placed here.
    let Settings { server, store, scheduler, rate_limit, self_check, probe, receiver, metrics, evidence, heartbeat, reload, log } =
        settings;
    let ServerSettings { listen, open, hosts, max_connections, timeout, tokens, tls, access_log } = server;
    let StoreSettings { path, keep_runs, keep_hours, outbox } = store;
    let SchedulerSettings { vantage, per_host, max_runs, grace, threads } = scheduler;
    let RateLimitSettings { max_rate, quota_share, max_hold } = rate_limit;
    let SelfCheckSettings { targets, every: checks_every, timeout: checks_timeout, time_server } = self_check;
    let ProbeSettings { max_body, max_headers, user_agent, contact, traceparent, dns, ca, ca_sha256, proxy } = probe;
    let ReceiverSettings {
        listen: receives,
        public_url,
        max_connections: receives_most,
        max_per_sender,
        timeout: receives_timeout,
        max_rate: receives_rate,
        tls: receives_tls,
        access_log: receives_log,
    } = receiver;
    let MetricsSettings { check_histograms, max_series } = metrics;
    let EvidenceSettings { bundles, dir, signing_key } = evidence;
    let HeartbeatSettings { url, every, post, timeout: heartbeat_timeout } = heartbeat;
    let ReloadSettings { watch } = reload;
    // Whether there is TLS at all; its files, and who is asked for a certificate, are taken over while the listener listens.
    let has = |tls: &Option<ListenerTls>| tls.is_some().to_string();
    let at_restart = vec![
        ("server.listen", listen.to_string()),
        ("server.max_connections", max_connections.to_string()),
        ("server.tls", has(tls)),
        ("store.path", path.display().to_string()),
        ("scheduler.threads", threads.to_string()),
        ("receiver.listen", format!("{receives:?}")),
        ("receiver.max_connections", receives_most.to_string()),
        ("receiver.tls", has(receives_tls)),
        ("log", format!("{log:?}")),
    ];
    let now = vec![
        ("server.auth", open.to_string()),
        ("server.hosts", format!("{hosts:?}")),
        ("server.timeout", format!("{timeout:?}")),
        ("server.token", format!("{tokens:?}")),
        ("server.tls", format!("{tls:?}")),
        ("server.access_log", access_log.to_string()),
        ("store.keep_runs", format!("{keep_runs:?}")),
        ("store.keep_hours", format!("{keep_hours:?}")),
        ("store.outbox", outbox.to_string()),
        ("scheduler.vantage", vantage.to_string()),
        ("scheduler.per_host", per_host.to_string()),
        ("scheduler.max_runs", max_runs.to_string()),
        ("scheduler.grace", format!("{grace:?}")),
        ("rate_limit.max_rate", format!("{max_rate:?}")),
        ("rate_limit.quota_share", format!("{quota_share:?}")),
        ("rate_limit.max_hold", format!("{max_hold:?}")),
        ("self_check.targets", format!("{targets:?}")),
        ("self_check.every", format!("{checks_every:?}")),
        ("self_check.timeout", format!("{checks_timeout:?}")),
        ("self_check.time_server", format!("{time_server:?}")),
        ("probe.max_body", format!("{max_body:?}")),
        ("probe.max_headers", format!("{max_headers:?}")),
        ("probe.user_agent", user_agent.clone()),
        ("probe.contact", format!("{contact:?}")),
        ("probe.traceparent", traceparent.to_string()),
        ("probe.dns", format!("{dns:?}")),
        ("probe.ca", format!("{ca:?} {ca_sha256:?}")),
        ("probe.proxy", format!("{proxy:?}")),
        ("receiver.public_url", format!("{public_url:?}")),
        ("receiver.max_per_sender", max_per_sender.to_string()),
        ("receiver.timeout", format!("{receives_timeout:?}")),
        ("receiver.max_rate", format!("{receives_rate:?}")),
        ("receiver.tls", format!("{receives_tls:?}")),
        ("receiver.access_log", receives_log.to_string()),
        ("metrics.check_histograms", check_histograms.to_string()),
        ("metrics.max_series", max_series.to_string()),
        ("evidence.bundles", bundles.to_string()),
        ("evidence.dir", format!("{dir:?}")),
        ("evidence.signing_key", format!("{signing_key:?}")),
        ("heartbeat.url", format!("{url:?}")),
        ("heartbeat.every", format!("{every:?}")),
        ("heartbeat.method", post.to_string()),
        ("heartbeat.timeout", format!("{heartbeat_timeout:?}")),
        ("reload.watch", watch.to_string()),
    ];
    (at_restart, now)
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
        assert_eq!(d.settings_changed, ["server.hosts", "store.keep_runs", "scheduler.per_host"]);
        assert_eq!(d.unchanged, 1);
        assert_eq!(compare(&new, &new).settings_changed, [] as [&str; 0], "they are in force");
        // Taken over and not in force: it goes on waiting, until it is put back.
        let started = AtStart::of(&old.settings);
        assert_eq!(diff(&new, &new, &started).restart_needed, ["server.listen", "log"]);
        assert_eq!(diff(&new, &old, &started).restart_needed, [] as [&str; 0]);
    }
}
