//! What the records of the evidence log mean for soaks: since when runs count and by which fingerprint, what was excluded and attested, what was
//! already said. A fold over records in their order; a record that can't be understood changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{AttestedCase, ExclusionCase};
use super::said::{Began, text, waiver_key};
use super::seen::{Noted, Past};
use crate::evidence::{Entry, Kind, Recorded};
use crate::fields::{CheckId, IntegrationId};
use crate::soak::{Attestation, Exclusion};

/// What the log knows of one integration's soak.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Since when runs count, and what was judged then; `None`: no soak was ever seen.
    pub began: Option<Began>,
    /// It began again because what is judged was changed.
    pub again: bool,
    /// How often it did.
    pub restarts: u64,
    /// What was excluded, in order of the log.
    pub exclusions: Vec<ExclusionCase>,
    /// The verdict that was recorded last.
    pub said: Option<String>,
    /// Whether it was said of a window that is frozen.
    pub said_frozen: bool,
    /// What was observed beside the runs, since it began.
    pub observed: Past,
    /// Waivers whose use was recorded, as `criterion until`.
    pub waived: BTreeSet<String>,
}

impl Known {
    /// What was taken out of a check, as the engine takes it.
    pub fn excluded(&self, check: &CheckId) -> Vec<Exclusion> {
        ExclusionCase::of(&self.exclusions, check)
    }
}

/// What the log knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    soaks: BTreeMap<(String, String, String), Known>,
    attested: BTreeMap<(String, String), BTreeMap<String, AttestedCase>>,
    config: Option<String>,
}

impl Log {
    /// What these records mean, taken in their order.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Recorded>) -> Self {
        let mut log = Self::default();
        records.into_iter().for_each(|r| log.take(r));
        log
    }

    /// Takes the next record.
    pub fn take(&mut self, r: &Recorded) {
        match (r.kind(), &r.customer, &r.environment, &r.integration) {
            (Some(Kind::ConfigApplied), None, ..) => self.config = text(&r.body, "hash").or(self.config.take()),
            (Some(Kind::Attestation), Some(customer), Some(environment), None) => {
                let Some(a) = AttestedCase::read(r) else { return };
                let of = self.attested.entry((customer.clone(), environment.clone())).or_default();
                if of.get(&a.name).is_none_or(|known| known.seq <= a.seq) {
                    of.insert(a.name.clone(), a);
                }
            }
            (Some(kind), Some(customer), Some(environment), Some(integration)) => {
                let known = self.soaks.entry((customer.clone(), environment.clone(), integration.clone())).or_default();
                known.take(kind, r);
            }
            _ => {}
        }
    }

    /// Takes an entry as it will stand in the log.
    pub fn expect(&mut self, entry: &Entry) {
        self.take(&entry.numbered(0));
    }

    /// What it knows of an integration.
    pub fn known(&self, id: &IntegrationId) -> Option<&Known> {
        self.soaks.get(&(id.customer().to_owned(), id.environment().to_owned(), id.integration().to_owned()))
    }

    /// What was attested in an environment, the newest of each name, by name.
    pub fn attested(&self, customer: &str, environment: &str) -> Vec<AttestedCase> {
        let of = self.attested.get(&(customer.to_owned(), environment.to_owned()));
        of.map(|a| a.values().cloned().collect()).unwrap_or_default()
    }

    /// The same as the engine takes it.
    pub fn attestations(&self, customer: &str, environment: &str) -> Vec<Attestation> {
        let of = self.attested.get(&(customer.to_owned(), environment.to_owned()));
        of.into_iter().flatten().map(|(_, a)| a.into()).collect()
    }

    /// The hash of the configuration that came into force last.
    pub fn config(&self) -> Option<&str> {
        self.config.as_deref()
    }
}

impl Known {
    fn take(&mut self, kind: Kind, r: &Recorded) {
        match kind {
            Kind::SoakStarted | Kind::SoakRestarted => {
                let Some(began) = Began::read(r) else { return };
                self.again = kind == Kind::SoakRestarted;
                self.restarts += u64::from(self.again);
                (self.began, self.said, self.said_frozen) = (Some(began), None, false);
                self.waived.clear();
                self.observed = Past::default();
            }
            Kind::Verdict => {
                self.said = text(&r.body, "verdict");
                self.said_frozen = r.body.get("frozen").and_then(serde_json::Value::as_bool).unwrap_or(false);
            }
            Kind::WaiverUsed => self.waived.extend(waiver_key(&r.body)),
            Kind::Observed => Noted::read(r).into_iter().for_each(|n| self.observed.take(n)),
            Kind::Exclusion => self.exclusions.extend(ExclusionCase::read(r)),
            _ => {}
        }
    }
}
