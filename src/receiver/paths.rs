//! Which checks a path belongs to: `/hooks/{customer}/{environment}/{integration}` to all of an integration that receive, with the id of a check behind it to that
//! check alone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::model::{CheckDef, Config};

/// The paths of a configuration.
#[derive(Debug)]
pub(super) struct Paths {
    /// Names the configuration.
    hash: String,
    checks: HashMap<String, Vec<Arc<CheckDef>>>,
}

impl Paths {
    /// Those of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        let mut checks: HashMap<String, Vec<Arc<CheckDef>>> = HashMap::new();
        for def in config.checks().filter(|d| d.kind.receiving().is_some()) {
            for path in [format!("/hooks/{}", def.integration.id), format!("/hooks/{}", def.id)] {
                checks.entry(path).or_default().push(Arc::clone(def));
            }
        }
        Self { hash: config.hash.clone(), checks }
    }

    /// Whether they are those of this configuration.
    pub(super) fn are_of(&self, config: &Config) -> bool {
        self.hash == config.hash
    }

    /// The checks of a path; none: nobody expects anything there.
    pub(super) fn checks(&self, path: &str) -> &[Arc<CheckDef>] {
        self.checks.get(path).map_or(&[], Vec::as_slice)
    }
}
