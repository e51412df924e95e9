//! What the records of the evidence log mean for soaks: since when runs count and by which fingerprint, what was excluded and attested, what was
//! already said. A fold over records in their order; a record that can't be understood changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::case::{AttestedCase, ExclusionCase};
use super::incidents::ToldIncidents;
use super::said::{Began, text, waiver_key};
use super::seen::{Noted, Past};
use crate::clock::{HOUR_MS, UnixMs};
use crate::config::fingerprint::Fingerprint;
use crate::evidence::written::time_at;
use crate::evidence::{Entry, Kind, Recorded};
use crate::fields::{CheckId, IntegrationId};
use crate::soak::{Attestation, Exclusion, Ruling};

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
    /// Its incidents.
    pub incidents: ToldIncidents,
    /// Waivers whose use was recorded, as `criterion until`.
    pub waived: BTreeSet<String>,
}

impl Known {
    /// What was taken out of a check, as the engine takes it.
    pub fn excluded(&self, check: &CheckId) -> Vec<Exclusion> {
        ExclusionCase::of(&self.exclusions, check)
    }
}

/// A bundle that is to be written by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleDue {
    /// Whose.
    pub customer: String,
    /// Of which environment.
    pub environment: String,
    /// As of when: the verdict that asks for it was recorded then.
    pub at: UnixMs,
}

/// At most one bundle an hour is written of windows that move.
const BUNDLE_EVERY_MS: i64 = HOUR_MS;

/// The bundles of one environment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bundled {
    /// The last verdict that asks for one, and whether of a frozen window.
    asked: Option<(UnixMs, bool)>,
    /// As of when the last one was written.
    written: Option<UnixMs>,
}

/// What the log knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    // Boxed: a map has places for twice as many as it holds.
    soaks: HashMap<IntegrationId, Box<Known>>,
    attested: BTreeMap<(String, String), BTreeMap<String, AttestedCase>>,
    bundles: BTreeMap<(String, String), Bundled>,
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
            (Some(Kind::Bundle), Some(customer), Some(environment), None) => {
                let of = self.bundles.entry((customer.clone(), environment.clone())).or_default();
                of.written = of.written.max(time_at(&r.body, "as_of"));
            }
            (Some(kind), Some(customer), Some(environment), Some(integration)) => {
                if let Some(frozen) = asks_for_bundle(kind, r) {
                    let of = self.bundles.entry((customer.clone(), environment.clone())).or_default();
                    // One that was frozen is not put off by one that moves on.
                    let waits = of.asked.filter(|(at, _)| Some(*at) > of.written).is_some_and(|(_, frozen)| frozen);
                    of.asked = r.time().map(|at| (at, frozen || waits)).or(of.asked);
                }
                // Of what is no id nobody can ask.
                let Ok(id) = format!("{customer}/{environment}/{integration}").parse() else { return };
                self.soaks.entry(id).or_default().take(kind, r);
            }
            _ => {}
        }
    }

    /// Takes an entry as it will stand in the log.
    pub fn expect(&mut self, entry: &Entry) {
        self.take(&entry.numbered(0));
    }

    /// Lets what it read be one with this fingerprint, where it is the same: of the configuration and of the log, one is held.
    pub(super) fn share(&mut self, id: &IntegrationId, fingerprint: &Fingerprint) {
        let began = self.soaks.get_mut(id).and_then(|known| known.began.as_mut());
        if let Some(began) = began.filter(|began| began.fingerprint == *fingerprint) {
            began.fingerprint = fingerprint.clone();
        }
    }

    /// What it knows of an integration.
    pub fn known(&self, id: &IntegrationId) -> Option<&Known> {
        self.soaks.get(id).map(Box::as_ref)
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

    /// The bundles that are to be written: of verdicts that ask for one and have none yet.
    pub fn bundles_due(&self, now: UnixMs) -> Vec<BundleDue> {
        let due = |((customer, environment), of): (&(String, String), &Bundled)| {
            let (at, frozen) = of.asked.filter(|(at, _)| Some(*at) > of.written)?;
            let soon = of.written.is_some_and(|last| now.0.saturating_sub(last.0) < BUNDLE_EVERY_MS);
            (frozen || !soon).then(|| BundleDue { customer: customer.clone(), environment: environment.clone(), at })
        };
        self.bundles.iter().filter_map(due).collect()
    }

    /// The hash of the configuration that came into force last.
    pub fn config(&self) -> Option<&str> {
        self.config.as_deref()
    }
}

/// Whether a record is a verdict that asks for a bundle: a pass, a failure, or any at go-live (`Some(true)`).
fn asks_for_bundle(kind: Kind, r: &Recorded) -> Option<bool> {
    let verdict = text(&r.body, "verdict").filter(|_| kind == Kind::Verdict)?;
    let frozen = r.body.get("frozen").and_then(serde_json::Value::as_bool).unwrap_or(false);
    (frozen || verdict == Ruling::Passed.as_str() || verdict == Ruling::Failed.as_str()).then_some(frozen)
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
            Kind::Incident => self.incidents.take(r),
            Kind::Exclusion => self.exclusions.extend(ExclusionCase::read(r)),
            _ => {}
        }
    }
}
