//! OIDC discovery, judged over the raw JSON: what the document is, whose it is, and whether the application can work with it.
//!
//! Owns the order: what can't be read is one finding, and nothing is said about contents that are not there. Fetches nothing.

use serde_json::{Map, Value};

use super::identifier::difference;
use super::json;
use crate::fields::bounded;
use crate::finding::oidc::{CHG_01, FMT_01, GET_01, GET_02, ISS_01, ISS_02};
use crate::finding::{Finding, Level, Severity};

mod fetched;
mod offer;
mod shape;
mod snapshot;

pub use fetched::{EndpointTrouble, clock_offset, endpoint, fetched};
pub use snapshot::{Snapshot, changes};

/// What the application has configured.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The issuer, compared byte for byte.
    pub issuer: String,
    /// The method by which the client authenticates at the token endpoint; unknown: not judged.
    pub client_auth: Option<String>,
    /// The `jwks_uri` that was accepted before.
    pub baseline_jwks_uri: Option<String>,
    /// The only algorithm of ID tokens that the client takes.
    pub pinned_alg: Option<String>,
    /// Scopes that the client asks for.
    pub scopes: Vec<String>,
    /// Claims that the client needs.
    pub claims: Vec<String>,
    /// Whether the client uses PKCE.
    pub pkce: bool,
}

impl Expected {
    /// A client with this issuer that uses PKCE; nothing else is known of it.
    pub fn of(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            client_auth: None,
            baseline_jwks_uri: None,
            pinned_alg: None,
            scopes: Vec::new(),
            claims: Vec::new(),
            pkce: true,
        }
    }
}

/// What was found in a document, and what is kept of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Every finding.
    pub findings: Vec<Finding>,
    /// What a later document is compared with; nothing when this one is no discovery document.
    pub snapshot: Option<Snapshot>,
}

/// Judges a discovery document.
pub fn lint(bytes: &[u8], expected: &Expected) -> Judged {
    let document = match json::read(bytes) {
        Ok(document) => document,
        Err(why) => return Judged { findings: vec![GET_01.found(format!("no JSON object: {why}"))], snapshot: None },
    };
    let Value::Object(doc) = &document.value else {
        let what = kind(&document.value);
        return Judged { findings: vec![GET_01.found(format!("expected a JSON object, found {what}"))], snapshot: None };
    };
    let mut found = Vec::new();
    if document.byte_order_mark {
        // Of low severity, and readers that matter skip it: the samples count such a document as a pass.
        found.push(GET_02.found("the document begins with a byte order mark").at(Level::Info));
    }
    if document.not_utf8 {
        found.push(GET_02.found("the document holds bytes that are not UTF-8"));
    }
    found.extend(twice(&document.twice));
    found.extend(shape::types(doc));
    found.extend(shape::required(doc));
    found.extend(issuer(doc, &expected.issuer));
    found.extend(shape::urls(doc));
    found.extend(offer::judged(doc, expected));
    let snapshot = Snapshot::of(doc);
    if let (Some(before), Some(now)) = (&expected.baseline_jwks_uri, text(doc, "jwks_uri")) {
        found.extend(snapshot::url_changed("jwks_uri", before, now));
    }
    Judged { findings: found, snapshot: Some(snapshot) }
}

/// Two values for one member: readers differ in which one they take. The same value twice harms nobody.
fn twice(all: &[json::Twice]) -> Vec<Finding> {
    let told = |same: bool| {
        let places: Vec<&str> = all.iter().filter(|t| t.same == same).map(|t| t.place.as_str()).collect();
        (!places.is_empty()).then(|| places.join(", "))
    };
    let differ = told(false).map(|places| FMT_01.found(format!("stand twice with different values: {places}")));
    let same = told(true).map(|places| FMT_01.found(format!("stand twice: {places}")).of(Severity::Info).at(Level::Info));
    differ.into_iter().chain(same).collect()
}

fn issuer(doc: &Map<String, Value>, configured: &str) -> Vec<Finding> {
    let Some(found) = text(doc, "issuer") else { return Vec::new() };
    let mut all = Vec::new();
    if found != configured {
        let differs = difference(configured, found).map(|d| format!("; they differ {d}")).unwrap_or_default();
        let (found, configured) = (bounded(found, 60), bounded(configured, 60));
        all.push(ISS_01.found(format!("issuer is \"{found}\", configured \"{configured}\"{differs}")));
    }
    let mut wrong = Vec::new();
    if let Some(why) = shape::not_https(found) {
        wrong.push(why);
    }
    if found.contains('?') {
        wrong.push("has a query");
    }
    if found.contains('#') {
        wrong.push("has a fragment");
    }
    if placeholder(found) {
        wrong.push("holds a placeholder");
    }
    if !wrong.is_empty() {
        all.push(ISS_02.found(format!("issuer \"{}\" {}", bounded(found, 100), wrong.join(" and "))));
    }
    all
}

/// `{tenantid}`, also percent-encoded, or `<tenant>`.
fn placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["{", "}", "%7b", "%7d", "<", ">"].iter().any(|mark| lower.contains(mark))
}

/// A member that is a text.
fn text<'a>(doc: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    doc.get(name).and_then(Value::as_str)
}

/// A member that is a list of texts; nothing when it is absent, of another type, or holds anything else.
fn list<'a>(doc: &'a Map<String, Value>, name: &str) -> Option<Vec<&'a str>> {
    doc.get(name)?.as_array()?.iter().map(Value::as_str).collect()
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
