//! How the records are written and read again that change a judgement: a soak that began, an exclusion, an attestation, what was observed. Side by side, so that what is
//! written is what is understood.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::case::{AttestedCase, ExclusionCase, Observed};
use super::seen::Noted;
use crate::clock::UnixMs;
use crate::config::fingerprint::Fingerprint;
use crate::evidence::entry::DAEMON;
use crate::evidence::written::{text_at, time_at};
use crate::evidence::{Entry, Kind, Recorded, Scope, time_text};
use crate::fields::IntegrationId;

/// When a soak began to count, and what was judged then.
#[derive(Clone, Debug, PartialEq)]
pub struct Began {
    /// Runs count from here on.
    pub since: UnixMs,
    /// What is judged.
    pub fingerprint: Fingerprint,
}

impl Began {
    /// The record that a soak began, or (`changed`) began again because these keys changed.
    pub fn entry(&self, at: UnixMs, integration: &IntegrationId, changed: Option<&[String]>) -> Entry {
        let kind = if changed.is_some() { Kind::SoakRestarted } else { Kind::SoakStarted };
        let mut body = json!({ "since": time_text(self.since), "fingerprint": self.fingerprint });
        if let Some(keys) = changed {
            body["changed"] = keys.into();
        }
        Entry::new(at, kind, Scope::integration(integration), DAEMON, body)
    }

    pub(super) fn read(r: &Recorded) -> Option<Self> {
        let fingerprint = serde_json::from_value(r.body.get("fingerprint")?.clone()).ok()?;
        Some(Self { since: time_at(&r.body, "since")?, fingerprint })
    }
}

/// A soak that begins again, because what it judges is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restarted {
    /// Whose.
    pub integration: IntegrationId,
    /// What is changed, such as `check.alive.proxy`; nothing is named where it was recorded by another version of Soakwatch.
    pub changed: Vec<String>,
}

impl Restarted {
    /// What a record says, if it says so.
    pub fn said(entry: &Entry) -> Option<Self> {
        let Scope { customer, environment, integration } = &entry.scope;
        let path = [customer, environment, integration].map(|part| part.as_deref().unwrap_or_default()).join("/");
        let changed = entry.body().get("changed").and_then(Value::as_array)?;
        let changed = changed.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect();
        (entry.kind == Kind::SoakRestarted).then_some(Self { integration: path.parse().ok()?, changed })
    }
}

impl ExclusionCase {
    /// The record of it. Its number is the log's to give.
    pub fn entry(&self, integration: &IntegrationId) -> Entry {
        let (from, to) = (time_text(self.from), time_text(self.to));
        let body = json!({ "check": self.check, "from": from, "to": to, "reason": self.reason, "by": self.remark });
        Entry::new(self.at, Kind::Exclusion, Scope::integration(integration), &self.by, body)
    }

    pub(super) fn read(r: &Recorded) -> Option<Self> {
        let (from, to, at) = (time_at(&r.body, "from")?, time_at(&r.body, "to")?, r.time()?);
        let check = match r.body.get("check") {
            None | Some(Value::Null) => None,
            // A check that can't be read is none, which takes out nothing.
            Some(name) => Some(name.as_str()?.to_owned()),
        };
        let (reason, remark) = (text(&r.body, "reason").unwrap_or_default(), text(&r.body, "by"));
        Some(Self { seq: r.seq, check, from, to, reason, by: r.actor.clone(), remark, at })
    }
}

impl AttestedCase {
    /// The record of it. Its number is the log's to give.
    pub fn entry(&self, customer: &str, environment: &str) -> Entry {
        let Self { name, value, note, remark, .. } = self;
        let body = json!({ "name": name, "value": value, "note": note, "until": self.until.map(time_text), "by": remark });
        Entry::new(self.at, Kind::Attestation, Scope::environment(customer, environment), &self.by, body)
    }

    pub(super) fn read(r: &Recorded) -> Option<Self> {
        let (name, at, until) = (text(&r.body, "name")?, r.time()?, time_at(&r.body, "until"));
        // An end that can't be read is no end for good.
        if until.is_none() && !matches!(r.body.get("until"), None | Some(Value::Null)) {
            return None;
        }
        let of = |key: &str| text(&r.body, key);
        Some(Self { seq: r.seq, name, value: of("value"), note: of("note"), by: r.actor.clone(), remark: of("by"), at, until })
    }
}

impl Noted {
    /// The record of it. Its number is the log's to give.
    pub fn entry(&self, at: UnixMs, integration: &IntegrationId) -> Entry {
        let mut body = serde_json::to_value(self.observed).unwrap_or_default();
        body["of"] = time_text(self.of).into();
        Entry::new(at, Kind::Observed, Scope::integration(integration), DAEMON, body)
    }

    pub(super) fn read(r: &Recorded) -> Option<Self> {
        let of = time_at(&r.body, "of")?;
        let mut body = r.body.clone();
        body.remove("of");
        let observed: Observed = serde_json::from_value(Value::Object(body)).ok()?;
        Some(Self { seq: r.seq, of, observed })
    }
}

/// How a waiver's use is told apart from that of another.
pub(super) fn waiver_key(body: &Map<String, Value>) -> Option<String> {
    Some(format!("{} {}", text_at(body, "criterion")?, text_at(body, "until")?))
}

pub(super) fn text(body: &Map<String, Value>, key: &str) -> Option<String> {
    text_at(body, key).map(str::to_owned)
}
