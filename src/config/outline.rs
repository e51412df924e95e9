//! A configuration as hashes: one a check, one a setting. So a daemon can say what it runs without saying what stands in its
//! files, and another place can tell what would differ.
//!
//! Hashes are made of how this version of Soakwatch shows a definition; between versions they can't be compared.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::diff::{self, AtStart, Diff, by_effect};
use super::fingerprint::Fingerprint;
use super::model::Config;
use crate::fields::{CheckId, IntegrationId};
use crate::hex;

/// What is known of a configuration from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Outline {
    /// The version of Soakwatch that made it.
    pub version: String,
    /// SHA-256 over its files, hex.
    pub hash: String,
    /// Each check, by id: a hash of all that its own table and its integration's say. Paths count from the configuration's directory.
    #[schemars(with = "BTreeMap<String, String>")]
    pub checks: BTreeMap<CheckId, String>,
    /// The settings that take effect at a restart only, hashed; of a daemon those it was started with.
    pub settings: BTreeMap<String, String>,
    /// The settings that take effect with a reload, hashed.
    pub settings_at_once: BTreeMap<String, String>,
    /// Each soak that has begun, by integration: what it judges, key by key, hashed.
    #[schemars(with = "BTreeMap<String, Fingerprint>")]
    pub soaks: BTreeMap<IntegrationId, Fingerprint>,
}

impl Outline {
    /// The outline of a configuration that no daemon runs.
    pub fn of(config: &Config) -> Self {
        Self::in_force(config, &AtStart::of(&config.settings), BTreeMap::new())
    }

    /// That of a daemon. `soaks`: what each of those judges that have begun.
    pub fn in_force(config: &Config, started: &AtStart, soaks: BTreeMap<IntegrationId, Fingerprint>) -> Self {
        let dir = config.dir.display().to_string();
        let hash = |text: String| hex::encode(&digest(&SHA256, text.replace(&dir, ".").as_bytes()).as_ref()[..16]);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hash: config.hash.clone(),
            checks: config.checks().map(|c| (c.id.clone(), hash(format!("{c:?}")))).collect(),
            settings: started.0.iter().map(|(name, text)| ((*name).to_owned(), hash(text.clone()))).collect(),
            settings_at_once: by_effect(&config.settings).1.into_iter().map(|(name, text)| (name.to_owned(), hash(text))).collect(),
            soaks,
        }
    }

    /// What a reload from the first to the second changes; `None`: they were made by different versions.
    pub fn diff(&self, new: &Self) -> Option<Diff> {
        fn differing(wanted: &BTreeMap<String, String>, had: &BTreeMap<String, String>) -> Vec<String> {
            wanted.iter().filter(|(name, hash)| had.get(*name) != Some(hash)).map(|(name, _)| name.clone()).collect()
        }
        let (at_once, at_restart) = (differing(&new.settings_at_once, &self.settings_at_once), differing(&new.settings, &self.settings));
        (self.version == new.version).then(|| diff::compared(&self.checks, &new.checks, at_once, at_restart))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, load};

    fn outline(settings: &str, every: &str) -> Outline {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("customers")).unwrap();
        let customer = format!(
            "[customer]\nid = \"acme\"\n[[integration]]\nid = \"crm\"\nenvironment = \"production\"\nowner = \"vendor\"\n\
             [[integration.check]]\nid = \"list\"\nevery = \"{every}\"\n[integration.check.http]\nurl = \"https://api.example.com/\"\n\
             auth = {{ bearer = {{ file = \"c4nary\" }} }}\n"
        );
        std::fs::write(dir.path().join("customers/acme.toml"), customer).unwrap();
        std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
        let loaded = load(dir.path(), &LoadOptions { check_secrets: false, env: Vec::new(), now: crate::clock::UnixMs(0) });
        Outline::of(&loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)))
    }

    #[test]
    fn the_same_files_elsewhere_are_the_same_and_what_differs_is_named() {
        let (here, there) = (outline("", "60s"), outline("", "60s"));
        assert_eq!(here.diff(&there), Some(Diff { unchanged: 1, ..Diff::default() }), "another directory is no change");
        let faster = outline("[server]\nlisten = \"127.0.0.1:1\"\n[scheduler]\nvantage = \"north\"\n", "30s");
        let diff = here.diff(&faster).unwrap();
        assert_eq!((diff.changed.len(), diff.unchanged), (1, 0));
        assert_eq!(diff.restart_needed, ["server.listen"]);
        assert_eq!(diff.settings_changed, ["scheduler.vantage"]);
        let newer = Outline { version: "99".into(), ..there };
        assert_eq!(here.diff(&newer), None);
        let text = serde_json::to_string(&here).unwrap();
        assert!(!text.contains("api.example.com") && !text.contains("c4nary"), "{text}");
        assert_eq!(serde_json::from_str::<Outline>(&text).unwrap(), here);
    }
}
