//! What the recording has shown so far: names, ids, who is disabled, who is gone, how many there are. Grows exchange by exchange; never judges.

use std::collections::HashMap;

use serde_json::Value;

use super::exchange::{Exchange, Fact, Known};
use super::filter::member;
use super::target::Endpoint;

/// A userName that was seen.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// As it was spelt.
    pub exact: String,
    /// The id it had.
    pub id: Option<String>,
    /// Its user was deleted.
    pub gone: bool,
    /// It was created again while it existed: two ids are right.
    pub doubled: bool,
}

/// A resource that was seen, or was written to.
#[derive(Clone, Debug, Default)]
pub(super) struct Held<'a> {
    /// An answer showed it.
    pub seen: bool,
    /// It was deleted.
    pub gone: bool,
    /// Its `active` was set to false.
    pub disabled: bool,
    /// The last full answer.
    pub last: Option<&'a Value>,
    /// Its members as last shown.
    pub members: Option<Vec<String>>,
    /// The last change of it, whose effect may still be seen: an index into the changes.
    pub change: Option<usize>,
}

/// What is known at one point of the recording.
#[derive(Default)]
pub(super) struct World<'a> {
    names: HashMap<String, Name>,
    held: HashMap<Endpoint, HashMap<&'a str, Held<'a>>>,
    total: Option<u64>,
    /// What an exchange last said, also where a write has made it untrue.
    told_total: Option<u64>,
    /// Counts the writes that succeeded: pages are comparable only within one epoch.
    pub epoch: usize,
    /// Some exchange has headers, so a header that is missing was not sent.
    pub records_headers: bool,
}

impl<'a> World<'a> {
    /// What is known beforehand: what was said, and what is shown before the first write.
    pub(super) fn before(exchanges: &'a [Exchange], known: &Known) -> Self {
        let mut world = Self { total: known.total, records_headers: exchanges.iter().any(|e| e.headers.is_some()), ..Self::default() };
        world.exists(known.user_name.as_deref());
        for e in exchanges.iter().take_while(|e| e.request.reads()) {
            world.told(e);
            let listed = e.body.get("Resources").and_then(Value::as_array).into_iter().flatten();
            for resource in listed.chain([&e.body]).filter(|_| e.status == 200 && e.request.target.endpoint == Endpoint::Users) {
                if let Some(name) = member(resource, "userName").and_then(Value::as_str) {
                    world.exists(Some(name));
                }
            }
        }
        world
    }

    /// Takes what an exchange says was known. What every exchange of a recording repeats was true before the first write.
    pub(super) fn told(&mut self, e: &Exchange) {
        if e.known.as_deref().is_some_and(|n| self.name(n).is_none()) {
            self.exists(e.known.as_deref());
        }
        if e.known_total.is_some() && (e.known_total != self.told_total || self.total.is_some()) {
            (self.total, self.told_total) = (e.known_total, e.known_total);
        }
    }

    /// Somebody has this userName.
    pub(super) fn exists(&mut self, name: Option<&str>) {
        if let Some(name) = name.filter(|n| !n.is_empty()) {
            let known = self.names.entry(name.to_lowercase()).or_insert_with(|| Name {
                exact: name.to_owned(),
                id: None,
                gone: false,
                doubled: false,
            });
            known.gone = false;
        }
    }

    /// Who has this userName, in any case.
    pub(super) fn name(&self, name: &str) -> Option<&Name> {
        self.names.get(&name.to_lowercase())
    }

    /// Notes the id of a userName, and gives the one it had before where that is another.
    pub(super) fn has_id(&mut self, name: &str, id: &str) -> Option<String> {
        let known =
            self.names.entry(name.to_lowercase()).or_insert_with(|| Name { exact: name.to_owned(), id: None, gone: false, doubled: false });
        let before = known.id.replace(id.to_owned()).filter(|before| before != id && !known.gone && !known.doubled);
        known.gone = false;
        before
    }

    /// This userName was created again while it existed.
    pub(super) fn double(&mut self, name: &str) {
        if let Some(known) = self.names.get_mut(&name.to_lowercase()) {
            known.doubled = true;
        }
    }

    /// How many users there are, where that is known.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// A resource; made known by asking for it.
    pub(super) fn at(&mut self, endpoint: Endpoint, id: &'a str) -> &mut Held<'a> {
        self.held.entry(endpoint).or_default().entry(id).or_default()
    }

    /// A resource, where something is known of it.
    pub(super) fn held(&self, endpoint: Endpoint, id: &str) -> Option<&Held<'a>> {
        self.held.get(&endpoint)?.get(id)
    }

    /// A user or group came or went: what was said of their number is over.
    pub(super) fn wrote(&mut self, e: &Exchange) {
        self.epoch += 1;
        if matches!(e.request.method.as_str(), "POST" | "DELETE") || e.request.target.endpoint == Endpoint::Bulk {
            self.total = None;
        }
    }

    /// The resource was deleted.
    pub(super) fn deleted(&mut self, endpoint: Endpoint, id: &'a str) {
        let held = self.at(endpoint, id);
        (held.gone, held.change) = (true, None);
        if endpoint == Endpoint::Users {
            self.names.values_mut().filter(|n| n.id.as_deref() == Some(id)).for_each(|n| n.gone = true);
        }
    }

    /// Whether the resource asked for is gone: it was deleted in the recording, or before it.
    pub(super) fn is_gone(&self, e: &Exchange, id: &str) -> bool {
        e.request.is(Fact::Deleted) || self.held(e.request.target.endpoint, id).is_some_and(|h| h.gone)
    }

    /// Whether nothing has the id asked for: it was said, or the id says it and no answer had it.
    pub(super) fn is_unknown(&self, e: &Exchange, id: &str) -> bool {
        let seen = self.held(e.request.target.endpoint, id).is_some_and(|h| h.seen);
        e.request.is(Fact::UnknownId) || (!seen && looks_made_up(id))
    }
}

/// An id that people write when they mean none.
pub(super) fn looks_made_up(id: &str) -> bool {
    let id = id.to_lowercase().replace(['_', ' '], "-");
    let words = [
        "no-such",
        "nosuch",
        "unknown",
        "nonexist",
        "non-exist",
        "not-exist",
        "notexist",
        "missing",
        "invalid",
        "bogus",
        "nobody",
        "notfound",
        "not-found",
        "garbage",
        "made-up",
        "00000000-0000-0000-0000-0000000000",
    ];
    words.iter().any(|w| id.contains(w))
}
