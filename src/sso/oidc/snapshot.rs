//! What is kept of an accepted discovery document, and what a later one changed. At most 64 KiB as JSON; no text of the document is kept that
//! is long or odd: of such a one its hash is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{CHG_01, list, text};
use crate::fields::bounded;
use crate::finding::{Finding, Severity};
use crate::sso::kept::kept;

const MOST_URLS: usize = 48;
const MOST_ALIASES: usize = 16;
const FIRST: [&str; 4] = ["jwks_uri", "token_endpoint", "authorization_endpoint", "userinfo_endpoint"];
const MOST_LISTED: usize = 48;
const MOST_URL: usize = 400;
const MOST_NAME: usize = 80;

/// What is kept of a discovery document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The issuer.
    pub issuer: Option<String>,
    /// `jwks_uri`, every `*_endpoint` and every mTLS alias (`mtls_endpoint_aliases.token_endpoint`).
    pub urls: BTreeMap<String, String>,
    /// The algorithms of ID tokens.
    pub algorithms: BTreeSet<String>,
}

impl Snapshot {
    pub(super) fn of(doc: &Map<String, Value>) -> Self {
        // Those that matter first: a document may hold more than are kept.
        let first = FIRST.iter().filter_map(|n| Some(((*n).to_owned(), doc.get(*n)?)));
        let rest = doc.iter().filter(|(n, _)| n.ends_with("_endpoint") && !FIRST.contains(&n.as_str())).map(|(n, v)| (n.clone(), v));
        let aliases = doc.get("mtls_endpoint_aliases").and_then(Value::as_object).into_iter().flatten();
        let aliases = aliases.map(|(n, v)| (format!("mtls_endpoint_aliases.{n}"), v));
        let urls = first
            .chain(aliases.take(MOST_ALIASES))
            .chain(rest)
            .filter_map(|(n, v)| Some((kept(&n, MOST_NAME), kept(v.as_str()?, MOST_URL))));
        let algorithms = list(doc, "id_token_signing_alg_values_supported").unwrap_or_default();
        Self {
            issuer: text(doc, "issuer").map(|i| kept(i, MOST_URL)),
            urls: urls.take(MOST_URLS).collect(),
            algorithms: algorithms.iter().take(MOST_LISTED).map(|a| kept(a, MOST_NAME)).collect(),
        }
    }

    /// The URL of a member such as `jwks_uri` or `token_endpoint`.
    pub fn url(&self, member: &str) -> Option<&str> {
        self.urls.get(member).map(String::as_str)
    }
}

/// What changed since the accepted document. A member that is gone and required is OIDC-REQ-01's.
pub fn changes(before: &Snapshot, now: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    if let (Some(was), Some(is)) = (&before.issuer, &now.issuer)
        && was != is
    {
        found.push(CHG_01.found(format!("issuer was \"{}\", is \"{}\"", bounded(was, 80), bounded(is, 80))));
    }
    for (member, was) in &before.urls {
        match now.urls.get(member) {
            Some(is) => found.extend(url_changed(member, was, is)),
            None => found.push(CHG_01.found(format!("{member} is gone")).of(Severity::Medium)),
        }
    }
    let new: Vec<&str> = now.urls.keys().filter(|m| !before.urls.contains_key(*m)).map(String::as_str).collect();
    if !new.is_empty() {
        found.push(CHG_01.found(format!("new: {}", new.join(", "))).of(Severity::Low));
    }
    let named = |all: &mut dyn Iterator<Item = &String>| all.map(String::as_str).collect::<Vec<_>>().join(", ");
    let gone = named(&mut before.algorithms.difference(&now.algorithms));
    let more = named(&mut now.algorithms.difference(&before.algorithms));
    if !gone.is_empty() && !now.algorithms.is_empty() {
        found.push(CHG_01.found(format!("algorithms no longer offered: {gone}")));
    }
    if !more.is_empty() && !before.algorithms.is_empty() {
        found.push(CHG_01.found(format!("algorithms newly offered: {more}")).of(Severity::Low));
    }
    found
}

/// A URL that changed: by its host it is worse than by its path, and worst at the token endpoint, which is sent the client's secret.
pub(super) fn url_changed(member: &str, was: &str, is: &str) -> Option<Finding> {
    if was == is {
        return None;
    }
    let origin = |t: &str| Url::parse(t).ok().filter(Url::has_host).map(|u| u.origin().ascii_serialization());
    let (from, to) = (origin(was), origin(is));
    if from == to && from.is_some() {
        let words = format!("{member} was {}, is {}", bounded(was, 80), bounded(is, 80));
        return Some(CHG_01.found(words).of(Severity::Low));
    }
    let severity = if member.ends_with("token_endpoint") { Severity::High } else { Severity::Medium };
    let host = |o: Option<String>, t: &str| bounded(o.unwrap_or_else(|| t.to_owned()), 70);
    Some(CHG_01.found(format!("{member} moved from {} to {}", host(from, was), host(to, is))).of(severity))
}
