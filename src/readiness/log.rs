//! What the records of the evidence log mean for soaks: since when runs count and by which fingerprint, what was excluded and attested, what was
//! already said. A fold over records in their order; a record that can't be understood changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::UnixMs;
use crate::config::fingerprint::Fingerprint;
use crate::evidence::entry::DAEMON;
use crate::evidence::{Entry, Kind, Recorded, Scope, time_of, time_text};
use crate::fields::IntegrationId;
use crate::soak::{Attestation, Exclusion};

/// Since when runs count, and what was judged then.
#[derive(Clone, Debug, PartialEq)]
pub struct Began {
    /// Since when.
    pub since: UnixMs,
    /// What was judged.
    pub fingerprint: Fingerprint,
}

/// Runs that were taken out of the judgement after the fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// From when to when.
    #[serde(flatten)]
    pub span: Exclusion,
    /// Why.
    pub reason: String,
    /// Who: the token's name.
    pub by: String,
    /// When it was recorded.
    pub at: UnixMs,
}

/// What the log knows of one integration's soak.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Since when runs count; `None`: no soak was ever seen.
    pub began: Option<Began>,
    /// How often it began again.
    pub restarts: u64,
    /// What was excluded, in order of the log.
    pub excluded: Vec<Excluded>,
    /// The verdict that was recorded last.
    pub said: Option<String>,
    /// Waivers whose use was recorded, as `criterion until`.
    pub waived: BTreeSet<String>,
}

impl Known {
    /// The spans that were excluded, as the engine takes them.
    pub fn exclusions(&self) -> Vec<Exclusion> {
        Exclusion::tidy(self.excluded.iter().map(|x| x.span).collect())
    }
}

/// What the log knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    soaks: BTreeMap<(String, String, String), Known>,
    attested: BTreeMap<(String, String), BTreeMap<String, Attestation>>,
}

impl Log {
    /// Takes the next record.
    pub fn take(&mut self, r: &Recorded) {
        let (Some(kind), Some(at)) = (r.kind(), r.time()) else { return };
        let (Some(customer), Some(environment)) = (&r.customer, &r.environment) else { return };
        if kind == Kind::Attestation {
            if let Some(attestation) = attestation(&r.body, &r.actor, at) {
                let of = self.attested.entry((customer.clone(), environment.clone())).or_default();
                of.insert(attestation.name.clone(), attestation);
            }
            return;
        }
        let Some(integration) = &r.integration else { return };
        let known = self.soaks.entry((customer.clone(), environment.clone(), integration.clone())).or_default();
        match kind {
            Kind::SoakStarted | Kind::SoakRestarted => {
                let Some(began) = began(&r.body) else { return };
                known.restarts += u64::from(kind == Kind::SoakRestarted);
                (known.began, known.said) = (Some(began), None);
                known.waived.clear();
            }
            Kind::Verdict => known.said = text(&r.body, "verdict"),
            Kind::WaiverUsed => known.waived.extend(waiver_key(&r.body)),
            Kind::Exclusion => known.excluded.extend(excluded(&r.body, &r.actor, at)),
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

    /// What was attested in an environment, the newest of each name.
    pub fn attestations(&self, customer: &str, environment: &str) -> Vec<Attestation> {
        if self.attested.is_empty() {
            return Vec::new();
        }
        let of = self.attested.get(&(customer.to_owned(), environment.to_owned()));
        of.map(|a| a.values().cloned().collect()).unwrap_or_default()
    }
}

/// The record that a soak begins, or begins again. `changed`: the keys that differ from before.
pub(super) fn begin(id: &IntegrationId, began: &Began, again: Option<&[String]>, now: UnixMs) -> Entry {
    let kind = if again.is_some() { Kind::SoakRestarted } else { Kind::SoakStarted };
    let body = json!({ "since": time_text(began.since), "judged": began.fingerprint, "changed": again });
    Entry::new(now, kind, Scope::integration(id), DAEMON, body)
}

/// The record of an exclusion.
pub fn exclude(id: &IntegrationId, span: Exclusion, reason: &str, remark: Option<&str>, actor: &str, now: UnixMs) -> Entry {
    let body = json!({ "from": time_text(span.from), "to": time_text(span.to), "reason": reason, "by": remark });
    Entry::new(now, Kind::Exclusion, Scope::integration(id), actor, body)
}

/// The record of an attestation.
pub fn attest(customer: &str, environment: &str, a: &Attestation, note: &str, remark: Option<&str>) -> Entry {
    let body = json!({ "name": a.name, "value": a.value, "until": a.until.map(time_text), "note": note, "by": remark });
    Entry::new(a.at, Kind::Attestation, Scope::environment(customer, environment), &a.by, body)
}

/// How a waiver's use is told apart from that of another.
pub(super) fn waiver_key(body: &Map<String, Value>) -> Option<String> {
    Some(format!("{} {}", text(body, "criterion")?, text(body, "until")?))
}

fn text(body: &Map<String, Value>, key: &str) -> Option<String> {
    body.get(key)?.as_str().map(str::to_owned)
}

fn time(body: &Map<String, Value>, key: &str) -> Option<UnixMs> {
    time_of(body.get(key)?.as_str()?)
}

fn began(body: &Map<String, Value>) -> Option<Began> {
    let fingerprint = serde_json::from_value(body.get("judged")?.clone()).ok()?;
    Some(Began { since: time(body, "since")?, fingerprint })
}

fn excluded(body: &Map<String, Value>, actor: &str, at: UnixMs) -> Option<Excluded> {
    let span = Exclusion { from: time(body, "from")?, to: time(body, "to")? };
    Some(Excluded { span, reason: text(body, "reason")?, by: actor.to_owned(), at })
}

fn attestation(body: &Map<String, Value>, actor: &str, at: UnixMs) -> Option<Attestation> {
    let until = match body.get("until") {
        None | Some(Value::Null) => None,
        // An end that can't be read has come.
        Some(_) => Some(time(body, "until").unwrap_or(UnixMs(0))),
    };
    Some(Attestation { name: text(body, "name")?, value: text(body, "value"), by: actor.to_owned(), at, until })
}
