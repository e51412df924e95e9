//! What the evidence log says: kinds, scopes, entries. Every text is bounded here, so that no record can grow beyond what is checked quickly.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::hash::{Hash, canonical};
use super::{time_of, time_text};
use crate::clock::UnixMs;
use crate::fields::IntegrationId;
use crate::observed::bounded;
use crate::outcome::closed_set;

/// A text in a record may have this many characters.
const MAX_TEXT: usize = 1_000;
/// A body may have this many bytes of canonical JSON; of a larger one its size and hash are kept.
const MAX_BODY: usize = 256 << 10;
/// A body may be nested so deep.
const MAX_DEPTH: usize = 16;
/// Ids listed in one record.
const MAX_IDS: usize = 200;

/// Who recorded what nobody asked for.
pub const DAEMON: &str = "soakwatch";

closed_set! {
    /// What a record is about. docs/evidence.md says what each one's body holds.
    Kind {
        /// A configuration came into force.
        ConfigApplied => "config_applied",
        /// A soak's judged time began.
        SoakStarted => "soak_started",
        /// What is judged was changed: the soak began again.
        SoakRestarted => "soak_restarted",
        /// A verdict changed, or was frozen at go-live.
        Verdict => "verdict",
        /// What was observed beside the runs changed, or was what was known at go-live.
        Observed => "observed",
        /// Runs were taken out of the judgement after the fact.
        Exclusion => "exclusion",
        /// A waiver of the configuration turned a criterion that was not met into a waived one.
        WaiverUsed => "waiver_used",
        /// Somebody vouched for what a monitor can't see.
        Attestation => "attestation",
        /// Somebody accepted a changed document.
        Acceptance => "acceptance",
        /// An incident opened, closed, opened again, became worse, or was reclassified.
        Incident => "incident",
        /// Somebody is on an incident.
        Acknowledgement => "acknowledgement",
        /// Somebody wrote something down about an incident.
        Note => "note",
        /// A maintenance window was declared, or withdrawn.
        Maintenance => "maintenance",
        /// A bundle was written by itself.
        Bundle => "bundle",
        /// The daemon began to record.
        DaemonStarted => "daemon_started",
        /// The daemon ended in order: everything was written.
        DaemonStopped => "daemon_stopped",
        /// Slots came due while the daemon was not running.
        DaemonGap => "daemon_gap",
        /// Stored evidence is not what was recorded, or could not be recorded.
        Damage => "damage",
    }
}

/// Whose record it is. Without a customer it concerns everybody, and stands in every bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The customer's slug.
    pub customer: Option<String>,
    /// The environment's slug.
    pub environment: Option<String>,
    /// The integration's slug.
    pub integration: Option<String>,
}

impl Scope {
    /// The daemon itself: concerns everybody.
    pub fn daemon() -> Self {
        Self::default()
    }

    /// One environment of a customer.
    pub fn environment(customer: &str, environment: &str) -> Self {
        Self { customer: Some(customer.to_owned()), environment: Some(environment.to_owned()), integration: None }
    }

    /// One integration.
    pub fn integration(id: &IntegrationId) -> Self {
        Self { integration: Some(id.integration().to_owned()), ..Self::environment(id.customer(), id.environment()) }
    }

    /// Whether a bundle of this customer's environment holds the record whole.
    pub fn concerns(&self, customer: &str, environment: &str) -> bool {
        let other = |mine: &Option<String>, asked: &str| mine.as_deref().is_some_and(|m| m != asked);
        !other(&self.customer, customer) && !other(&self.environment, environment)
    }
}

/// What is to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it came about.
    pub at: UnixMs,
    /// What it is about.
    pub kind: Kind,
    /// Whose it is.
    pub scope: Scope,
    /// Who did it: the name of the token, or [`DAEMON`].
    pub actor: String,
    body: Map<String, Value>,
}

impl Entry {
    /// An entry with its texts cut to what a record may hold. `body` is a JSON object; anything else is put into one.
    pub fn new(at: UnixMs, kind: Kind, scope: Scope, actor: &str, body: Value) -> Self {
        let body = match tidy(body, 0) {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        let size = canonical(&body).map_or(usize::MAX, |bytes| bytes.len());
        let body = if size <= MAX_BODY {
            body
        } else {
            let sha256 = canonical(&body).map(|bytes| Hash::of(&bytes).to_string()).unwrap_or_default();
            Map::from_iter([("too_large".to_owned(), size.into()), ("sha256".to_owned(), sha256.into())])
        };
        Self { at, kind, scope, actor: bounded(actor, MAX_TEXT), body }
    }

    /// What it says.
    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    /// As it stands in the log under a number.
    pub fn numbered(&self, seq: u64) -> Recorded {
        Recorded {
            seq,
            at: time_text(self.at),
            kind: self.kind.as_str().to_owned(),
            customer: self.scope.customer.clone(),
            environment: self.scope.environment.clone(),
            integration: self.scope.integration.clone(),
            actor: self.actor.clone(),
            body: self.body.clone(),
        }
    }
}

/// A record of the log: exactly what its hash covers. The kind is a text, for a record of a later version stays one.
#[derive(Clone, Debug, PartialEq, schemars::JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Its number: 1, 2, 3, ...
    pub seq: u64,
    /// When, as [`time_text`] writes it.
    pub at: String,
    /// What it is about: one of [`Kind`].
    pub kind: String,
    /// Whose it is; null: everybody's.
    pub customer: Option<String>,
    /// In which environment.
    pub environment: Option<String>,
    /// Of which integration.
    pub integration: Option<String>,
    /// Who did it.
    pub actor: String,
    /// What it says.
    pub body: Map<String, Value>,
}

impl Recorded {
    /// SHA-256 over its canonical JSON. `None`: it can't be written as JSON, which what was read from JSON always can.
    pub fn hash(&self) -> Option<Hash> {
        canonical(self).ok().map(|bytes| Hash::of(&bytes))
    }

    /// The kind, if this version knows it.
    pub fn kind(&self) -> Option<Kind> {
        Kind::parse(&self.kind)
    }

    /// When.
    pub fn time(&self) -> Option<UnixMs> {
        time_of(&self.at)
    }

    /// Whose.
    pub fn scope(&self) -> Scope {
        Scope { customer: self.customer.clone(), environment: self.environment.clone(), integration: self.integration.clone() }
    }
}

/// At most so many of a list, and how many more there are.
pub fn listed<T: ToString>(ids: impl IntoIterator<Item = T>) -> Value {
    let mut ids = ids.into_iter();
    let first: Vec<String> = ids.by_ref().take(MAX_IDS).map(|id| id.to_string()).collect();
    match ids.count() {
        0 => first.into(),
        more => serde_json::json!({ "first": first, "more": more }),
    }
}

/// A value with every text cut, and nothing nested deeper than it may be.
fn tidy(value: Value, depth: usize) -> Value {
    match value {
        Value::String(text) => Value::String(bounded(text, MAX_TEXT)),
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => Value::String("…".to_owned()),
        Value::Array(all) => all.into_iter().map(|v| tidy(v, depth + 1)).collect(),
        Value::Object(all) => Value::Object(all.into_iter().map(|(k, v)| (bounded(k, MAX_TEXT), tidy(v, depth + 1))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(body: Value) -> Entry {
        Entry::new(UnixMs(1_796_025_600_000), Kind::Damage, Scope::daemon(), DAEMON, body)
    }

    #[test]
    fn the_hash_covers_exactly_what_is_shown() {
        let id = "acme/production/crm".parse().unwrap();
        let recorded =
            Entry::new(UnixMs(0), Kind::Maintenance, Scope::integration(&id), "j.doe", json!({ "reason": "upgrade" })).numbered(7);
        let text = r#"{"actor":"j.doe","at":"1970-01-01T00:00:00.000Z","body":{"reason":"upgrade"},"customer":"acme","environment":"production","integration":"crm","kind":"maintenance","seq":7}"#;
        assert_eq!(canonical(&recorded).unwrap(), text.as_bytes());
        assert_eq!(recorded.hash(), Some(Hash::of(text.as_bytes())));
        assert_eq!(serde_json::from_str::<Recorded>(text).unwrap(), recorded);
        assert!(serde_json::from_str::<Recorded>(&text.replace("\"seq\"", "\"more\":1,\"seq\"")).is_err());
        assert_eq!((recorded.time(), recorded.kind()), (Some(UnixMs(0)), Some(Kind::Maintenance)));
    }

    #[test]
    fn what_is_too_much_is_cut() {
        let long = entry(json!({ "a": "x".repeat(5_000), "b": ["y\u{0}z"] }));
        assert_eq!(long.body()["a"].as_str().map(|t| t.chars().count()), Some(MAX_TEXT));
        assert_eq!(long.body()["b"], json!(["y z"]));
        let deep = (0..100).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(serde_json::to_string(entry(deep).body()).unwrap().len() < 200);
        let large = entry(json!({ "a": vec!["x".repeat(900); 1_000] }));
        assert_eq!(large.body().keys().collect::<Vec<_>>(), ["sha256", "too_large"]);
        assert_eq!(listed(0..3), json!(["0", "1", "2"]));
        assert_eq!(listed(0..203)["more"], json!(3));
    }

    #[test]
    fn whose_record_it_is() {
        let mine = Scope::integration(&"acme/production/crm".parse().unwrap());
        assert!(mine.concerns("acme", "production") && Scope::daemon().concerns("acme", "production"));
        assert!(!mine.concerns("acme", "staging") && !mine.concerns("zeta", "production"));
    }
}
