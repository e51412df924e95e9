//! What was found last of every environment that is live: for pages and metrics, which must not read the store themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::answered::{Answered, Passed};
use crate::fields::IntegrationId;

/// The checkpoints of a daemon.
#[derive(Debug, Default)]
pub struct Live {
    // As the board's: one task writes, all others read, nobody awaits while holding it.
    inner: RwLock<BTreeMap<String, Arc<Answered>>>,
}

impl Live {
    /// Takes the place of what was there.
    pub fn put(&self, all: Vec<Answered>) {
        let all = all.into_iter().map(|a| (a.environment.clone(), Arc::new(a))).collect();
        *self.inner.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// What is there is old: nothing is ready by it.
    pub fn doubt(&self, why: &str) {
        for answered in self.inner.write().unwrap_or_else(PoisonError::into_inner).values_mut() {
            let answered = Arc::make_mut(answered);
            if !answered.reasons.iter().any(|r| r == why) {
                answered.doubt([why.to_owned()]);
            }
        }
    }

    /// Every environment that is live, by its name.
    pub fn all(&self) -> Vec<Arc<Answered>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// One environment.
    pub fn of(&self, customer: &str, environment: &str) -> Option<Arc<Answered>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).get(&format!("{customer}/{environment}")).cloned()
    }

    /// One integration.
    pub fn integration(&self, id: &IntegrationId) -> Option<Passed> {
        self.of(id.customer(), id.environment())?.integrations.iter().find(|p| p.integration == id.as_str()).cloned()
    }
}
