//! What the evidence log says of integrations: soaks that began, what was excluded, what was attested. How such records are written, and how they are
//! read again, side by side.

use serde_json::{Value, json};

use super::case::{AttestedCase, ExclusionCase};
use crate::clock::UnixMs;
use crate::config::fingerprint::Fingerprint;
use crate::evidence::written::{text_at, time_at};
use crate::evidence::{Entry, Kind, Recorded, Scope, time_text};
use crate::fields::{CheckId, IntegrationId};

/// When a soak began to count, and what was judged then.
#[derive(Clone, Debug, PartialEq)]
pub struct Began {
    /// Runs count from here on.
    pub since: UnixMs,
    /// What is judged.
    pub fingerprint: Fingerprint,
}

impl Began {
    /// The record that a soak began, or began again because these keys changed.
    pub fn entry(&self, at: UnixMs, integration: &IntegrationId, actor: &str, changed: Option<&[String]>) -> Entry {
        let kind = if changed.is_some() { Kind::SoakRestarted } else { Kind::SoakStarted };
        let fingerprint = serde_json::to_value(&self.fingerprint).unwrap_or_default();
        let mut body = json!({ "since": time_text(self.since), "fingerprint": fingerprint });
        if let Some(keys) = changed {
            body["changed"] = keys.into();
        }
        Entry::new(at, kind, Scope::integration(integration), actor, body)
    }

    fn read(record: &Recorded) -> Option<Self> {
        let fingerprint = serde_json::from_value(record.body.get("fingerprint")?.clone()).ok()?;
        Some(Self { since: time_at(&record.body, "since")?, fingerprint })
    }
}

/// The record of an exclusion: of one check, or of all of an integration. `remark`: who asked for it, as they said.
pub fn exclusion(
    at: UnixMs,
    integration: &IntegrationId,
    check: Option<&CheckId>,
    (from, to): (UnixMs, UnixMs),
    reason: &str,
    actor: &str,
    remark: Option<&str>,
) -> Entry {
    let check = check.map(CheckId::check);
    let body = json!({ "check": check, "from": time_text(from), "to": time_text(to), "reason": reason, "by": remark });
    Entry::new(at, Kind::Exclusion, Scope::integration(integration), actor, body)
}

/// The record of an attestation for an environment, or for one integration of it.
pub fn attestation(at: UnixMs, scope: Scope, name: &str, value: Option<&str>, note: Option<&str>, until: Option<UnixMs>, actor: &str) -> Entry {
    let body = json!({ "name": name, "value": value, "note": note, "until": until.map(time_text) });
    Entry::new(at, Kind::Attestation, scope, actor, body)
}

/// What the log says of one integration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The newest record that the soak began.
    pub began: Option<Began>,
    /// Everything that was excluded.
    pub exclusions: Vec<ExclusionCase>,
    /// The newest attestation of each name.
    pub attestations: Vec<AttestedCase>,
}

impl Said {
    /// Of these records, in the order of the log.
    pub fn of<'r>(integration: &IntegrationId, records: impl IntoIterator<Item = &'r Recorded>) -> Self {
        let mut said = Self::default();
        records.into_iter().filter(|r| concerns(&r.scope(), integration)).for_each(|r| said.take(r));
        said
    }

    /// Takes in the next record that concerns the integration.
    fn take(&mut self, record: &Recorded) {
        let body = &record.body;
        let text = |key: &str| text_at(body, key).map(str::to_owned);
        match record.kind() {
            Some(Kind::SoakStarted | Kind::SoakRestarted) => self.began = Began::read(record).or(self.began.take()),
            Some(Kind::Exclusion) => {
                let (Some(from), Some(to)) = (time_at(body, "from"), time_at(body, "to")) else { return };
                let (check, reason) = (text("check"), text("reason").unwrap_or_default());
                self.exclusions.push(ExclusionCase { seq: record.seq, check, from, to, reason, by: record.actor.clone() });
            }
            Some(Kind::Attestation) => {
                let (Some(name), Some(at)) = (text("name"), record.time()) else { return };
                let until = time_at(body, "until");
                // An end that can't be read is no end for good.
                if until.is_none() && !matches!(body.get("until"), None | Some(Value::Null)) {
                    return;
                }
                self.attestations.retain(|a| a.name != name);
                let (value, note, by) = (text("value"), text("note"), record.actor.clone());
                self.attestations.push(AttestedCase { seq: record.seq, name, value, note, by, at, until });
            }
            _ => {}
        }
    }
}

fn concerns(scope: &Scope, integration: &IntegrationId) -> bool {
    let this = |mine: &Option<String>, asked: &str| mine.as_deref().is_some_and(|m| m == asked);
    this(&scope.customer, integration.customer())
        && this(&scope.environment, integration.environment())
        && scope.integration.as_deref().is_none_or(|i| i == integration.integration())
}
