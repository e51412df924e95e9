//! Key sets (JWKS), judged over the raw JSON: types that model keys drop private members and turn a damaged key into nothing.
//!
//! Owns what is said of the set as a whole. A private member's value is never copied out of the document, kept or shown.

use serde_json::{Map, Value};

use super::json;
use crate::clock::UnixMs;
use crate::fields::bounded;
use crate::finding::jwks::{ALG_01, FMT_01, FMT_02, GET_01, KID_01, KID_02, PRIV_01, SIG_01, USE_01};
use crate::finding::{Finding, Level, Party, Severity};

mod agreement;
mod cache;
mod certificate;
mod change;
mod key;
mod names;
mod parameters;

pub use cache::cache_control;
pub use change::{Known, Snapshot, changes};
pub(crate) use key::Key;
pub(crate) use parameters::Material;

use key::Read;

/// Keys of one set that are judged.
pub const MOST_KEYS: usize = 128;
/// Members that belong to private or symmetric keys.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// What the application has configured.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The algorithms of ID tokens that the client is pinned to.
    pub algs: Vec<String>,
}

/// The public keys of a set.
#[derive(Clone, Debug)]
pub struct KeySet {
    pub(crate) keys: Vec<Key>,
}

/// What was found in a key set, and its public keys.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Every finding.
    pub findings: Vec<Finding>,
    /// The keys; nothing when the document is no key set.
    pub keys: Option<KeySet>,
}

/// What the status of the answer says. From 500 on nothing can be said of the set.
pub fn fetched(status: u16) -> Option<Finding> {
    (status != 200 && status < 500).then(|| GET_01.found(format!("expected 200, answered {status}")).for_party(Party::CustomerIdp))
}

/// Judges a key set.
pub fn lint(bytes: &[u8], expected: &Expected, at: UnixMs) -> Judged {
    let no_set = |why: String| Judged { findings: vec![FMT_01.found(why)], keys: None };
    let document = match json::read(bytes) {
        Ok(document) => document,
        Err(why) => return no_set(format!("no key set: {why}")),
    };
    let Some(doc) = document.value.as_object() else { return no_set("no key set: the document is not a JSON object".into()) };
    let Some(raw) = doc.get("keys") else { return no_set("no key set: keys is missing".into()) };
    let Some(raw) = raw.as_array() else { return no_set("no key set: keys is not an array".into()) };

    let mut found = Vec::new();
    if document.byte_order_mark {
        found.push(FMT_01.found("the document begins with a byte order mark").of(Severity::Info).at(Level::Info));
    }
    if raw.len() > MOST_KEYS {
        let words = format!("{} keys, of which the first {MOST_KEYS} are judged", raw.len());
        found.push(FMT_01.found(words).of(Severity::Info).at(Level::Info));
    }
    found.extend(twice(&document.twice));
    let (mut keys, mut nameless, mut odd) = (Vec::new(), 0, Vec::new());
    let mut leaked = Vec::new();
    for (place, raw) in raw.iter().enumerate().take(MOST_KEYS) {
        let Value::Object(raw) = raw else {
            odd.push(format!("keys[{place}]"));
            continue;
        };
        leaked.extend(private(place, raw, &document.twice));
        match key::read(place, raw, &mut found) {
            Read::Key(key) => {
                found.extend(certificate::judged(&key, raw, at));
                keys.push(*key);
            }
            Read::Nameless => nameless += 1,
            Read::Symmetric | Read::Unknown => {}
        }
    }
    if !odd.is_empty() {
        found.push(FMT_01.found(format!("not objects: {}", odd.join(", "))));
    }
    if !leaked.is_empty() {
        found.push(PRIV_01.found(leaked.join("; ")));
    }
    let set = KeySet { keys };
    // A key that can't be read was most likely meant: the finding about it stands for both.
    if !set.keys.iter().any(Key::signs) && nameless == 0 && odd.is_empty() {
        let words = if raw.is_empty() { "the set is empty" } else { "no key with use sig or without use" };
        found.push(SIG_01.found(words));
    }
    found.extend(set.missing_kids());
    found.extend(set.shared_kids());
    found.extend(set.uses());
    found.extend(set.pinned(&expected.algs));
    Judged { findings: found, keys: Some(set) }
}

/// The private members of one key, by name.
fn private(place: usize, raw: &Map<String, Value>, twice: &[json::Twice]) -> Option<String> {
    let prefix = format!("keys[{place}].");
    let hidden = |name: &str| twice.iter().any(|t| t.said && t.depth == 2 && t.name == name && t.place.starts_with(&prefix));
    // Some writers put null where there is nothing.
    let here: Vec<&str> = PRIVATE.into_iter().filter(|name| raw.get(*name).is_some_and(|v| !v.is_null()) || hidden(name)).collect();
    let symmetric = raw.get("kty").and_then(Value::as_str) == Some("oct");
    let label = match raw.get("kid").and_then(Value::as_str) {
        Some(kid) => format!("keys[{place}] (kid \"{}\")", bounded(kid, 44)),
        None => format!("keys[{place}]"),
    };
    match (symmetric, here.is_empty()) {
        (true, _) => Some(format!("{label} is a symmetric key")),
        (false, false) => Some(format!("{label} publishes {}", here.join(", "))),
        (false, true) => None,
    }
}

/// Members must be unique in a set and in a key (RFC 7517 4 and 5).
fn twice(all: &[json::Twice]) -> Vec<Finding> {
    let at = |depth: std::ops::RangeInclusive<usize>| {
        let places: Vec<&str> = all.iter().filter(|t| depth.contains(&t.depth)).map(|t| t.place.as_str()).collect();
        (!places.is_empty()).then(|| format!("stand twice: {}", places.join(", ")))
    };
    at(0..=0).map(|w| FMT_01.found(w)).into_iter().chain(at(1..=usize::MAX).map(|w| FMT_02.found(w))).collect()
}

impl KeySet {
    /// What is kept of the set.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self)
    }

    /// How many different keys signatures may be checked with.
    pub fn signing_keys(&self) -> usize {
        let mut prints: Vec<Option<String>> = self.keys.iter().filter(|k| k.signs()).map(Key::thumbprint).collect();
        prints.sort_unstable();
        // Those that can't be read count one by one.
        prints.dedup_by(|a, b| a.is_some() && a == b);
        prints.len()
    }

    fn missing_kids(&self) -> Option<Finding> {
        let without: Vec<&Key> = self.keys.iter().filter(|k| k.kid.is_none()).collect();
        if without.is_empty() {
            return None;
        }
        let several = self.signing_keys() > 1;
        let finding = KID_01.found(format!("without kid: {}", labels(&without)));
        let fails = several && without.iter().any(|k| k.signs());
        Some(if fails { finding } else { finding.of(Severity::Low).at(Level::Warn) })
    }

    fn shared_kids(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (n, key) in self.keys.iter().enumerate() {
            let Some(kid) = &key.kid else { continue };
            if self.keys[..n].iter().any(|k| k.kid.as_ref() == Some(kid)) {
                continue;
            }
            let same: Vec<&Key> = self.keys[n..].iter().filter(|k| k.kid.as_ref() == Some(kid)).collect();
            if same.len() < 2 {
                continue;
            }
            let mut prints: Vec<String> = same.iter().filter_map(|k| k.thumbprint()).collect();
            prints.sort_unstable();
            prints.dedup();
            let shown = bounded(kid, 60);
            if prints.len() > 1 {
                found.push(KID_02.found(format!("kid \"{shown}\" names {} different keys", prints.len())));
            } else {
                let words = format!("kid \"{shown}\" stands {} times for the same key", same.len());
                found.push(KID_02.found(words).of(Severity::Low).at(Level::Warn));
            }
        }
        found
    }

    fn uses(&self) -> Option<Finding> {
        let without: Vec<&Key> = self.keys.iter().filter(|k| k.used.is_none()).collect();
        if without.is_empty() {
            return None;
        }
        let both = self.keys.iter().any(Key::encrypts) && self.keys.iter().any(Key::signs);
        let finding = USE_01.found(format!("without use: {}", labels(&without)));
        Some(if both { finding } else { finding.of(Severity::Info).at(Level::Info) })
    }

    fn pinned(&self, algs: &[String]) -> Option<Finding> {
        // Those of a shared secret have no key here.
        let asymmetric = |a: &&String| !a.starts_with("HS") && *a != "none";
        let missing: Vec<&str> =
            algs.iter().filter(asymmetric).filter(|a| !self.keys.iter().any(|k| k.fits(a))).map(String::as_str).collect();
        (!missing.is_empty()).then(|| ALG_01.found(format!("no key for {}", missing.join(", "))))
    }
}

/// The first of them, for a finding.
fn labels(keys: &[&Key]) -> String {
    let shown: Vec<&str> = keys.iter().take(4).map(|k| k.label.as_str()).collect();
    match keys.len().saturating_sub(4) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
