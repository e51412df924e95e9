//! The run that writes, against a small server in memory: correct, faulty, and killed at any point.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use soakwatch::finding::Level;
use soakwatch::sso::scim::ask::{Answer, Ask};
use soakwatch::sso::scim::journal::{Cleanup, Journal, is_reserved};
use soakwatch::sso::scim::write::Write;
use soakwatch::sso::scim::{Endpoint, Exchange, Fact, Known, Target, judge};

use super::recorded::{error, list, user};

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    NoPatch,
    CapitalsRefused,
    TextIgnored,
    FiltersIgnored,
    GroupEmptied,
    NoGroups,
    NoIds,
    CreatesTwice,
    KeepsTheDeleted,
}

struct Server {
    fault: Fault,
    held: BTreeMap<String, Value>,
    made: usize,
}

impl Server {
    fn new(fault: Fault) -> Self {
        let stranger = user("stranger", "ada@example.test", true);
        Self { fault, held: BTreeMap::from([("stranger".to_owned(), stranger)]), made: 0 }
    }

    /// Only who was there before.
    fn is_clean(&self) -> bool {
        self.held.len() == 1 && self.held["stranger"] == user("stranger", "ada@example.test", true)
    }

    fn answer(&mut self, ask: &Ask) -> Answer {
        let (status, body) = self.respond(ask);
        let mut headers = vec![("content-type".to_owned(), "application/scim+json".to_owned())];
        if status == 201 {
            headers.push(("location".to_owned(), format!("https://scim.example.test{}/x", ask.target)));
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        Answer { status, headers, body, took: None }
    }

    fn respond(&mut self, ask: &Ask) -> (u16, Value) {
        let target = Target::read(&ask.target, None);
        if target.endpoint == Endpoint::Groups && self.fault == Fault::NoGroups {
            return (404, error(404));
        }
        let Some(id) = target.id else {
            return if ask.method == "POST" {
                self.create(ask.body.as_ref().unwrap(), target.endpoint)
            } else {
                self.filter(&target.query.filter.unwrap())
            };
        };
        let Some(held) = self.held.get_mut(&id) else { return (404, error(404)) };
        match ask.method {
            "GET" => (200, held.clone()),
            "PUT" => {
                let mut new = ask.body.clone().unwrap();
                (new["id"], new["meta"]) = (held["id"].clone(), held["meta"].clone());
                new.as_object_mut().unwrap().remove("groups");
                *held = new.clone();
                (200, new)
            }
            "PATCH" => {
                let fault = self.fault;
                patch(held, &ask.body.as_ref().unwrap()["Operations"][0], fault)
            }
            "DELETE" => {
                if self.fault != Fault::KeepsTheDeleted {
                    self.held.remove(&id);
                }
                (204, Value::Null)
            }
            other => panic!("{other}"),
        }
    }

    fn create(&mut self, body: &Value, endpoint: Endpoint) -> (u16, Value) {
        let taken = self.held.values().any(|h| h.get("userName").is_some() && h.get("userName") == body.get("userName"));
        if taken && self.fault != Fault::CreatesTwice {
            let mut refused = error(409);
            refused["scimType"] = json!("uniqueness");
            return (409, refused);
        }
        self.made += 1;
        let (id, kind) = (format!("made{}", self.made), if endpoint == Endpoint::Users { "User" } else { "Group" });
        let mut new = body.clone();
        (new["id"], new["meta"]) =
            (json!(id), json!({"resourceType": kind, "location": format!("/{id}"), "created": "2026-01-01T00:00:00Z"}));
        self.held.insert(id, new.clone());
        if self.fault == Fault::NoIds {
            new.as_object_mut().unwrap().remove("id");
        }
        (201, new)
    }

    fn filter(&self, raw: &str) -> (u16, Value) {
        let fits = |h: &&Value| {
            let name = h.get("userName").or_else(|| h.get("displayName")).and_then(Value::as_str).unwrap();
            self.fault == Fault::FiltersIgnored || raw.contains(&name.replace('@', "%40"))
        };
        let all: Vec<Value> = self.held.values().filter(fits).cloned().collect();
        (200, list(all.len(), 1, &all))
    }
}

pub(crate) fn patch(held: &mut Value, operation: &Value, fault: Fault) -> (u16, Value) {
    let (op, path, value) = (operation["op"].as_str().unwrap(), operation["path"].as_str(), &operation["value"]);
    if fault == Fault::NoPatch {
        return (501, error(501));
    }
    if fault == Fault::CapitalsRefused && op.chars().any(char::is_uppercase) {
        return (400, error(400));
    }
    match path {
        None => held["active"] = value["active"].clone(),
        Some("active") if value.is_string() => {
            if fault != Fault::TextIgnored {
                held["active"] = json!(value.as_str().unwrap().eq_ignore_ascii_case("true"));
            }
        }
        Some("active") => held["active"] = value.clone(),
        Some(mail) if mail.starts_with("emails") => held["emails"][0]["value"] = value.clone(),
        Some(members) => {
            let id = value[0]["value"].as_str().map_or_else(|| members.split('"').nth(1).unwrap().to_owned(), str::to_owned);
            let all = held["members"].as_array_mut().unwrap();
            let there = all.iter().position(|m| m["value"] == id.as_str());
            match (op.to_lowercase().as_str(), there) {
                ("add", None) => all.push(json!({"value": id})),
                ("remove", Some(_)) if fault == Fault::GroupEmptied => all.clear(),
                ("remove", Some(at)) => drop(all.remove(at)),
                _ => {}
            }
        }
    }
    (204, Value::Null)
}

/// Runs to the end, or until it is killed: after `kill` requests were sent, the last answer never came. Gives the exchanges and what the store has.
fn run(server: &mut Server, kill: Option<usize>) -> (Vec<Exchange>, Journal) {
    let mut write = Write::new("k3j9x2");
    let (mut all, mut stored): (Vec<Exchange>, String) = (Vec::new(), "{\"entries\":[]}".into());
    loop {
        let next = write.next(all.last());
        let Some(next) = next else {
            return (all, write.journal().clone());
        };
        if let Some(journal) = &next.store {
            stored = serde_json::to_string(journal).unwrap();
        }
        let by_post = next.ask.method == "POST";
        assert!(
            !by_post || Journal::read(&stored).entries.iter().any(|e| next.ask.body.as_ref().unwrap().to_string().contains(&e.name)),
            "stored before the create"
        );
        assert!(!next.ask.target.contains("stranger"), "{}", next.ask.target);
        assert!(all.len() < 60, "it does not end");
        let answer = server.answer(&next.ask);
        all.push(next.ask.answered(answer, &Known::default()));
        if kill == Some(all.len()) {
            return (all, Journal::read(&stored));
        }
    }
}

fn clean(server: &mut Server, journal: Journal) -> Journal {
    let mut cleanup = Cleanup::of(journal);
    let mut last = None;
    for _ in 0..40 {
        let Some(ask) = cleanup.next(last.as_ref()) else { break };
        assert!(!ask.target.contains("stranger"), "{}", ask.target);
        let answer = server.answer(&ask);
        last = Some(ask.answered(answer, &Known::default()));
    }
    cleanup.left().clone()
}

#[test]
fn a_correct_server_passes_and_is_left_as_it_was() {
    let mut server = Server::new(Fault::None);
    let (all, journal) = run(&mut server, None);
    let found = judge(&all, &Known::default());
    assert!(found.is_empty(), "{found:#?}");
    assert!(server.is_clean() && journal.is_empty());
    assert_eq!(all.len(), 32);
    assert!(
        all.iter().filter(|e| e.request.method == "POST").all(|e| e
            .request
            .body
            .as_ref()
            .unwrap()
            .to_string()
            .contains("soakwatch-probe-"))
    );
    assert!(all.iter().any(|e| e.request.is(Fact::NameExists)));
}

#[test]
fn each_fault_is_found_and_leaves_nothing() {
    for (fault, id) in [
        (Fault::NoPatch, "SCIM-PAT-01"),
        (Fault::CapitalsRefused, "SCIM-PAT-02"),
        (Fault::TextIgnored, "SCIM-PAT-04"),
        (Fault::FiltersIgnored, "SCIM-FLT-02"),
        (Fault::GroupEmptied, "SCIM-PAT-05"),
        (Fault::NoIds, "SCIM-CRE-01"),
        (Fault::CreatesTwice, "SCIM-CRE-01"),
    ] {
        let mut server = Server::new(fault);
        let (all, journal) = run(&mut server, None);
        let fails: Vec<String> =
            judge(&all, &Known::default()).iter().filter(|f| f.level == Level::Fail).map(|f| f.id.to_string()).collect();
        assert_eq!(fails, [id], "{fault:?}");
        assert!(server.is_clean() && journal.is_empty(), "{fault:?}: {:?}", server.held);
    }
    // What a server without groups can't do is not asked of it.
    let mut server = Server::new(Fault::NoGroups);
    let (all, _) = run(&mut server, None);
    assert!(judge(&all, &Known::default()).is_empty() && server.is_clean());
    // A server that deletes nothing says 204: it is told, and the run ends.
    let (all, _) = run(&mut Server::new(Fault::KeepsTheDeleted), None);
    assert!(judge(&all, &Known::default()).iter().any(|f| f.id == "SCIM-DEL-01"));
}

#[test]
fn what_a_killed_run_left_is_removed_at_the_next_start() {
    for fault in [Fault::None, Fault::NoIds, Fault::CreatesTwice] {
        for kill in 1..33 {
            let mut server = Server::new(fault);
            let (_, journal) = run(&mut server, Some(kill));
            assert!(journal.entries.iter().all(|e| is_reserved(&e.name)));
            let left = clean(&mut server, journal);
            // Killed before the second answer of a server that makes twins: found by name are two, and which is whose nobody can tell.
            let twins = fault == Fault::CreatesTwice && kill == 3;
            assert!((server.is_clean() && left.is_empty()) || twins, "{fault:?}, killed after {kill}: {:?}, {left:?}", server.held);
            assert!(server.held.contains_key("stranger"));
        }
    }
    // A server that shows everybody for any filter: nobody is touched.
    let mut server = Server::new(Fault::FiltersIgnored);
    let (_, journal) = run(&mut server, Some(1));
    let left = clean(&mut server, journal);
    assert_eq!((left.entries.len(), server.held.len()), (1, 2));
}
