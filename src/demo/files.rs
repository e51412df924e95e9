//! The demo's configuration: the files of `config/demo/`, carried in the program and written to a directory of their own.
//!
//! They are ordinary configuration files but for one thing: `{{now-3d}}` stands for a time, counted from the demo's start, because soaks,
//! go-lives and maintenance windows only show something around the present.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::{hooks, senders, stories};
use crate::clock::UnixMs;
use crate::fields::Span;

/// Path below the configuration directory, and text.
pub const FILES: &[(&str, &str)] = &[
    ("soakwatch.toml", include_str!("../../config/demo/soakwatch.toml")),
    ("customers/acme.toml", include_str!("../../config/demo/customers/acme.toml")),
    ("customers/borealis.toml", include_str!("../../config/demo/customers/borealis.toml")),
    ("customers/cobalt.toml", include_str!("../../config/demo/customers/cobalt.toml")),
    ("customers/dunlin.toml", include_str!("../../config/demo/customers/dunlin.toml")),
    ("customers/elmwood.toml", include_str!("../../config/demo/customers/elmwood.toml")),
    ("customers/fjord.toml", include_str!("../../config/demo/customers/fjord.toml")),
];

/// Name below `secrets/`, and value. They open nothing but the demo's own servers.
pub const SECRETS: &[(&str, &str)] = &[
    ("acme-crm-token", stories::CRM_TOKEN),
    ("acme-support-token", stories::SUPPORT_TOKEN),
    ("borealis-chat-token", stories::CHAT_TOKEN),
    ("borealis-client-secret", stories::CLIENT_SECRET),
    ("borealis-hook-secret", hooks::APPOINTMENTS_SECRET),
    ("borealis-referrals-secret", senders::REFERRALS_SECRET),
    ("cobalt-ledger-token", stories::LEDGER_TOKEN_BEFORE),
    ("cobalt-relations-token", stories::RELATIONS_TOKEN),
    ("dunlin-hook-secret", hooks::PARCELS_SECRET),
    ("dunlin-proofs-secret", senders::PROOFS_SECRET),
    ("elmwood-enrolment-secret", senders::ENROLMENT_SECRET),
    ("elmwood-provisioning-token", stories::PROVISIONING_TOKEN),
    ("fjord-loyalty-key", stories::LOYALTY_KEY),
    ("fjord-orders-key", stories::ORDERS_KEY),
    ("fjord-provisioning-token", stories::PROVISIONING_TOKEN),
    ("fjord-stock-secret", senders::STOCK_SECRET),
];

/// Writes everything (blocking): configuration, secrets, and the demo authority's certificate.
pub fn write(dir: &Path, now: UnixMs, ca_pem: &str) -> anyhow::Result<()> {
    for folder in ["customers", "secrets"] {
        std::fs::create_dir(dir.join(folder)).with_context(|| format!("making {folder}/ in {}", dir.display()))?;
    }
    let put = |name: &str, text: &str| std::fs::write(dir.join(name), text).with_context(|| format!("writing {name} in {}", dir.display()));
    for (name, text) in FILES {
        put(name, &fill_in(text, now).with_context(|| (*name).to_owned())?)?;
    }
    for (name, value) in SECRETS {
        put(&format!("secrets/{name}"), &format!("{value}\n"))?;
    }
    put("demo-ca.pem", ca_pem)
}

/// Replaces every `{{now}}`, `{{now-3d}}`, `{{now+1h30m}}` by the time it stands for, in whole seconds.
pub fn fill_in(text: &str, now: UnixMs) -> anyhow::Result<String> {
    let second = UnixMs(now.0.div_euclid(1000) * 1000);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, tail)) = after.split_once("}}") else { bail!("{{{{ is never closed") };
        let time = match inside.trim().strip_prefix("now") {
            Some("") => Some(second),
            Some(shift) => shift
                .strip_prefix('-')
                .and_then(|s| Some(second.minus(s.parse::<Span>().ok()?.0)))
                .or_else(|| Some(second.plus(shift.strip_prefix('+')?.parse::<Span>().ok()?.0))),
            None => None,
        };
        let Some(time) = time else { bail!("{{{{{inside}}}}} is no time; expected {{{{now}}}}, {{{{now-3d}}}} or {{{{now+12h}}}}") };
        out.push_str(before);
        out.push_str(&time.to_string());
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_times() {
        let now = UnixMs(1_700_000_000_123);
        let text = fill_in("a = \"{{now}}\" # {{now-1d}} {{now+1h30m}} }}", now).unwrap();
        assert_eq!(text, "a = \"2023-11-14T22:13:20Z\" # 2023-11-13T22:13:20Z 2023-11-14T23:43:20Z }}");
        for bad in ["{{now", "{{then}}", "{{now*3d}}", "{{now-3 parsecs}}"] {
            assert!(fill_in(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_file_fills_in_and_is_toml() {
        for (name, text) in FILES {
            let text = fill_in(text, UnixMs(1_700_000_000_000)).unwrap();
            assert!(text.parse::<toml::Table>().is_ok(), "{name}: {:?}", text.parse::<toml::Table>().err());
        }
    }

    #[test]
    fn every_secret_the_files_name_is_there_and_the_other_way_round() {
        let all: String = FILES.iter().map(|(_, text)| *text).collect();
        let named: std::collections::BTreeSet<&str> =
            all.split("secrets/").skip(1).filter_map(|rest| rest.split('"').next()).filter(|n| !n.is_empty()).collect();
        let there: std::collections::BTreeSet<&str> = SECRETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, there);
    }

    #[test]
    fn the_ordinary_loader_takes_them_without_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let now = crate::clock::Clock::System.now();
        write(dir.path(), now, &crate::demo::certificates::Authority::new(now).unwrap().pem()).unwrap();
        let loaded = crate::config::load(dir.path(), &crate::config::LoadOptions { check_secrets: true, env: Vec::new(), now });
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [""; 0]);
        let config = loaded.config.unwrap();
        assert_eq!((config.customers.len(), config.integrations().count(), config.checks().count()), (6, 41, 42));
        let phases: std::collections::BTreeSet<&str> = config.integrations().map(|i| crate::board::phase(i, now).as_str()).collect();
        assert_eq!(phases.into_iter().collect::<Vec<_>>(), ["build", "hypercare", "paused", "soak", "steady"]);
    }
}
