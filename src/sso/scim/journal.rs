//! What a run that writes may have left behind: stored before each create and after each id, so that the next start can remove it also after a kill.
//!
//! What may be deleted is decided here and nowhere else: a resource whose id our own create returned, or, where the answer never came, the one
//! resource found by a name that only that run can have made. Both must bear the reserved prefix.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ask::{Ask, by, encoded};
use super::exchange::Exchange;

/// How each name begins that a check makes: nobody else's does.
pub const PREFIX: &str = "soakwatch-probe-";
/// How each of them ends: a domain that can never be (RFC 2606).
const SUFFIX: &str = "@invalid.example";
/// Entries of a journal at most.
const MOST_ENTRIES: usize = 8;
/// Characters of an id at most: a longer one is not kept, and its resource is sought by name.
const MOST_ID: usize = 512;

/// What kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// A user, known by its userName.
    User,
    /// A group, known by its displayName.
    Group,
}

impl Resource {
    pub(super) fn endpoint(self) -> &'static str {
        match self {
            Self::User => "Users",
            Self::Group => "Groups",
        }
    }
    pub(super) fn attribute(self) -> &'static str {
        match self {
            Self::User => "userName",
            Self::Group => "displayName",
        }
    }
}

/// One resource that was made, or was about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub resource: Resource,
    /// Its reserved name.
    pub name: String,
    /// The id its own create returned; `None`: no answer came, or one without an id.
    pub id: Option<String>,
}

/// What a run may have left behind. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// At most eight; groups last.
    pub entries: Vec<Entry>,
}

impl Journal {
    /// Reads a stored journal. Entries that this program can't have made are left out, and so are more than there can be.
    pub fn read(text: &str) -> Self {
        let read: Self = serde_json::from_str(text).unwrap_or_default();
        let sound = |e: &Entry| is_reserved(&e.name) && e.id.as_deref().is_none_or(|id| !id.is_empty() && id.chars().count() <= MOST_ID);
        Self { entries: read.entries.into_iter().filter(sound).take(MOST_ENTRIES).collect() }
    }

    /// Nothing was left behind.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Notes what is about to be made; false: it may not be, the journal is full or the name is not ours.
    pub(super) fn intend(&mut self, resource: Resource, name: &str) -> bool {
        let room = self.entries.len() < MOST_ENTRIES && is_reserved(name);
        if room {
            self.entries.push(Entry { resource, name: name.to_owned(), id: None });
        }
        room
    }

    /// Takes the answer to a create: its id, if it has one and the answer does not bear another's name. Gives the id.
    pub(super) fn made(&mut self, resource: Resource, name: &str, answer: &Exchange) -> Option<String> {
        let entry = self.entries.iter_mut().rev().find(|e| e.resource == resource && e.name == name && e.id.is_none())?;
        let id = id_of(&answer.body, resource, name).filter(|_| answer.succeeded())?;
        entry.id = Some(id.clone());
        Some(id)
    }

    /// The last create of this name made nothing: it was refused.
    pub(super) fn refused(&mut self, resource: Resource, name: &str) {
        if let Some(at) = self.entries.iter().rposition(|e| e.resource == resource && e.name == name && e.id.is_none()) {
            self.entries.remove(at);
        }
    }

    /// The resource is gone.
    pub(super) fn gone(&mut self, resource: Resource, id: &str) {
        self.entries.retain(|e| e.resource != resource || e.id.as_deref() != Some(id));
    }
}

/// A name that a check made: the prefix, letters and digits, the domain that can't be.
pub fn is_reserved(name: &str) -> bool {
    let marker = name.strip_prefix(PREFIX).and_then(|n| n.strip_suffix(SUFFIX));
    marker.is_some_and(|m| (6..=64).contains(&m.len()) && m.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

/// The reserved name of a marker (at least six letters and digits, new for each run).
pub fn reserved(marker: &str) -> String {
    format!("{PREFIX}{marker}{SUFFIX}")
}

/// The id of a resource that may be deleted: its name, where the answer says one, is exactly ours.
fn id_of(body: &Value, resource: Resource, name: &str) -> Option<String> {
    let said = body.get(resource.attribute());
    // Servers may fold a userName's case; the marker is in small letters already.
    let ours = said.is_none_or(|n| n.as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
    body.get("id").and_then(Value::as_str).filter(|id| ours && !id.is_empty() && id.chars().count() <= MOST_ID).map(str::to_owned)
}

/// Removing what is left behind, one request after the other.
#[derive(Debug)]
pub struct Cleanup {
    journal: Journal,
    /// The entry that is being worked at.
    at: usize,
    sought: bool,
}

impl Cleanup {
    /// Removes what this journal names.
    pub fn of(journal: Journal) -> Self {
        // Groups first: some servers keep users that are members.
        let mut entries = journal.entries;
        entries.sort_by_key(|e| e.resource == Resource::User);
        Self { journal: Journal { entries }, at: 0, sought: false }
    }

    /// What is still left: to be stored after each answer.
    pub fn left(&self) -> &Journal {
        &self.journal
    }

    /// The next request; `None`: done, and what could not be removed is still in [`Cleanup::left`]. `last`: the answer to the one before.
    pub fn next(&mut self, last: Option<&Exchange>) -> Option<Ask> {
        if let Some(last) = last {
            self.take(last);
        }
        let entry = self.journal.entries.get(self.at)?;
        let endpoint = entry.resource.endpoint();
        Some(match &entry.id {
            Some(id) => Ask {
                body: None,
                ..Ask::send("remove what was left behind", "DELETE", format!("/{endpoint}/{}", encoded(id)), json!(null))
            },
            None => {
                self.sought = true;
                Ask::get("look for what was left behind", by(endpoint, entry.resource.attribute(), &entry.name))
            }
        })
    }

    fn take(&mut self, last: &Exchange) {
        let Some(entry) = self.journal.entries.get_mut(self.at) else { return };
        if !std::mem::take(&mut self.sought) {
            if last.succeeded() || matches!(last.status, 404 | 410) {
                self.journal.entries.remove(self.at);
            } else {
                // Tried again at the next start.
                self.at += 1;
            }
            return;
        }
        // Found by name: only if it is the only one, and bears exactly the name. A server that ignores filters shows others.
        let listed = last.body.get("Resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let total = last.body.get("totalResults").and_then(Value::as_u64);
        match listed {
            [one] if last.status == 200 && total == Some(1) && one.get(entry.resource.attribute()).is_some() => {
                match id_of(one, entry.resource, &entry.name) {
                    Some(id) => entry.id = Some(id),
                    None => self.at += 1,
                }
            }
            [] if last.status == 200 && total == Some(0) => drop(self.journal.entries.remove(self.at)),
            _ => self.at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ask::Answer;
    use super::super::exchange::Known;
    use super::*;

    fn answer(ask: &Ask, status: u16, body: &Value) -> Exchange {
        ask.answered(Answer { status, body: body.to_string().into_bytes(), ..Answer::default() }, &Known::default())
    }

    fn entry(id: Option<&str>) -> Journal {
        Journal { entries: vec![Entry { resource: Resource::User, name: reserved("abc123"), id: id.map(str::to_owned) }] }
    }

    #[test]
    fn what_has_an_id_is_deleted() {
        for (status, left) in [(204, 0), (404, 0), (500, 1), (401, 1)] {
            let mut cleanup = Cleanup::of(entry(Some("a b/c")));
            let ask = cleanup.next(None).unwrap();
            assert_eq!((ask.method, ask.target.as_str()), ("DELETE", "/Users/a%20b%2Fc"));
            assert_eq!(cleanup.next(Some(&answer(&ask, status, &json!(null)))), None);
            assert_eq!(cleanup.left().entries.len(), left, "{status}");
        }
    }

    #[test]
    fn what_has_none_is_sought_by_its_exact_name() {
        let name = reserved("abc123");
        let ours = json!({"id": "u9", "userName": name});
        for (listed, total, found, left) in [
            (vec![ours.clone()], 1, true, 1),
            (vec![], 0, false, 0),
            // A filter that is ignored, somebody else, no name, two, more than are shown.
            (vec![json!({"id": "u1", "userName": "ada"})], 1, false, 1),
            (vec![json!({"id": "u1"})], 1, false, 1),
            (vec![ours.clone(), ours.clone()], 2, false, 1),
            (vec![], 30, false, 1),
            (vec![ours], 30, false, 1),
        ] {
            let mut cleanup = Cleanup::of(entry(None));
            let ask = cleanup.next(None).unwrap();
            assert_eq!(ask.method, "GET");
            let next = cleanup.next(Some(&answer(&ask, 200, &json!({"totalResults": total, "Resources": listed}))));
            assert_eq!(next.as_ref().map(|a| (a.method, a.target.as_str())), found.then_some(("DELETE", "/Users/u9")), "{listed:?}");
            assert_eq!(cleanup.left().entries.len(), left, "{listed:?}");
        }
    }

    #[test]
    fn a_stored_journal_is_not_trusted() {
        let foreign = json!({"entries": [
            {"resource": "user", "name": "ada@example.test", "id": "u1"},
            {"resource": "user", "name": reserved("abc123"), "id": ""},
            {"resource": "group", "name": reserved("abc123"), "id": "g1"},
        ]});
        let read = Journal::read(&foreign.to_string());
        assert_eq!(read.entries.len(), 1);
        assert_eq!(Journal::read(&serde_json::to_string(&read).unwrap()), read);
        assert!(Journal::read("nonsense").is_empty() && !is_reserved(&reserved("a/b*c\"")) && !is_reserved(&reserved("")));
    }
}
