//! The incidents a daemon knows: written by the recorder, read by everybody else. Never decides anything.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Incident;
use crate::clock::UnixMs;
use crate::fields::IntegrationId;

/// Closed incidents kept in memory for one integration at most, the newest; the store has all of them.
pub const MOST_CLOSED: usize = 50;

/// The incidents of a daemon: all that are open, and the last closed ones of each integration.
#[derive(Debug, Default)]
pub struct Incidents {
    // As the board's: the recorder writes, all others read, nobody awaits while holding it. Of each integration, oldest first.
    inner: RwLock<BTreeMap<IntegrationId, Vec<Arc<Incident>>>>,
}

impl Incidents {
    /// Takes in an incident, new or changed.
    pub fn put(&self, incident: Incident) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let of = inner.entry(incident.integration.clone()).or_default();
        match of.iter_mut().find(|i| i.id == incident.id) {
            Some(known) => *known = Arc::new(incident),
            None => {
                of.push(Arc::new(incident));
                of.sort_by_key(|i| i.first_bad);
            }
        }
        while of.len() > MOST_CLOSED
            && let Some(oldest) = of.iter().position(|i| !i.is_open())
        {
            of.remove(oldest);
        }
    }

    /// One incident.
    pub fn get(&self, id: &str) -> Option<Arc<Incident>> {
        self.read(|all| all.values().flatten().find(|i| i.id == id).cloned())
    }

    /// Those of an integration, oldest first.
    pub fn of(&self, integration: &IntegrationId) -> Vec<Arc<Incident>> {
        self.read(|all| all.get(integration).cloned().unwrap_or_default())
    }

    /// All, the open ones first, then the newest first.
    pub fn all(&self) -> Vec<Arc<Incident>> {
        let mut all: Vec<_> = self.read(|all| all.values().flatten().cloned().collect());
        all.sort_by_key(|i| (!i.is_open(), std::cmp::Reverse(i.first_bad), i.id.clone()));
        all
    }

    /// The one that goes on in an integration; of several the oldest.
    pub fn open(&self, integration: &IntegrationId) -> Option<Arc<Incident>> {
        self.read(|all| all.get(integration)?.iter().find(|i| i.is_open()).cloned())
    }

    /// The one that goes on in an integration, else the one that closed last.
    pub fn current(&self, integration: &IntegrationId) -> Option<Arc<Incident>> {
        self.read(|all| {
            let of = all.get(integration)?;
            of.iter().find(|i| i.is_open()).or_else(|| of.iter().max_by_key(|i| i.closed)).cloned()
        })
    }

    /// Those of an integration that went on in a span, oldest first.
    pub fn during(&self, integration: &IntegrationId, from: UnixMs, until: UnixMs) -> Vec<Arc<Incident>> {
        self.of(integration).into_iter().filter(|i| i.touches(from, until)).collect()
    }

    fn read<R>(&self, f: impl FnOnce(&BTreeMap<IntegrationId, Vec<Arc<Incident>>>) -> R) -> R {
        f(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}
