//! The incidents a daemon knows: written by the recorder, read by everybody else. Never decides anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use super::Incident;
use crate::fields::IntegrationId;

/// Closed incidents kept in memory for one integration at most, the newest; the store has all of them.
pub const MOST_CLOSED: usize = 50;

/// The incidents of a daemon: all that are open, and the last closed ones of each integration.
#[derive(Debug, Default)]
pub struct Incidents {
    // As the board's: the recorder writes, all others read, nobody awaits while holding it.
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Of each integration, oldest first.
    of: BTreeMap<IntegrationId, Vec<Arc<Incident>>>,
    /// Whose an incident is, by its id: when everything breaks at once, each is asked for.
    whose: HashMap<String, IntegrationId>,
}

impl Incidents {
    /// Takes in an incident, new or changed.
    pub fn put(&self, incident: Incident) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let Inner { of, whose } = &mut *inner;
        let of = of.entry(incident.integration.clone()).or_default();
        match of.iter_mut().find(|i| i.id == incident.id) {
            Some(known) => *known = Arc::new(incident),
            None => {
                whose.insert(incident.id.clone(), incident.integration.clone());
                of.push(Arc::new(incident));
                of.sort_by_key(|i| i.first_bad);
            }
        }
        while of.len() > MOST_CLOSED
            && let Some(oldest) = of.iter().position(|i| !i.is_open())
        {
            whose.remove(&of.remove(oldest).id);
        }
    }

    /// One incident.
    pub fn get(&self, id: &str) -> Option<Arc<Incident>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.of.get(inner.whose.get(id)?)?.iter().find(|i| i.id == id).cloned()
    }

    /// Those of an integration, oldest first.
    pub fn of(&self, integration: &IntegrationId) -> Vec<Arc<Incident>> {
        self.read(|all| all.get(integration).cloned().unwrap_or_default())
    }

    /// All: the open ones first, the worst of them first; then the newest first.
    pub fn all(&self) -> Vec<Arc<Incident>> {
        let mut all: Vec<_> = self.read(|all| all.values().flatten().cloned().collect());
        all.sort_by_cached_key(|i| i.place());
        all
    }

    /// Those that are open.
    pub fn all_open(&self) -> Vec<Arc<Incident>> {
        self.read(|all| all.values().flatten().filter(|i| i.is_open()).cloned().collect())
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

    fn read<R>(&self, f: impl FnOnce(&BTreeMap<IntegrationId, Vec<Arc<Incident>>>) -> R) -> R {
        f(&self.inner.read().unwrap_or_else(PoisonError::into_inner).of)
    }
}
