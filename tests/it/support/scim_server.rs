//! A SCIM server over HTTP, in memory: correct but for what a test spoils. Keeps who is there, so that a test sees what was left behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use url::Url;

use super::fake_api::{FakeApi, Reply, Seen};
use crate::scim::recorded::{error, list, user};
use crate::scim::writing::{self, patch};

/// The token it takes.
pub(crate) const TOKEN: &str = "c4nary-scim-token-5521";
/// The first of three strangers who were there before.
pub(crate) const STRANGER: &str = "c4nary.ada@example.test";
/// What a careless server shows of her.
pub(crate) const PASSWORD: &str = "c4nary-password-of-ada";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoilt {
    Nothing,
    /// Whatever the filter, everybody is shown.
    FiltersIgnored,
    /// Creates, and never says so.
    SilentAfterCreate,
    /// Throttles the request with this number.
    Throttles(u64),
    /// Somebody leaves between the first two pages, once.
    SomebodyLeaves,
    /// Is in trouble.
    Down,
    /// Shows a password.
    ShowsPasswords,
    /// Refuses every delete.
    KeepsAll,
}

/// Who is there, by id.
pub(crate) type Held = BTreeMap<String, Value>;

struct State {
    held: Held,
    spoilt: Spoilt,
    made: usize,
    asked: u64,
}

/// The server; its base URL is `api.url("/scim/v2")`.
pub(crate) struct ScimServer {
    pub(crate) api: FakeApi,
    state: Arc<Mutex<State>>,
}

impl ScimServer {
    pub(crate) fn start(spoilt: Spoilt) -> Self {
        let held = [("1", STRANGER), ("2", "bob@example.test"), ("3", "cyd@example.test"), ("4", "dan@example.test")]
            .map(|(id, name)| (id.to_owned(), user(id, name, true)));
        let state = Arc::new(Mutex::new(State { held: held.into(), spoilt, made: 0, asked: 0 }));
        let its = Arc::clone(&state);
        let api = FakeApi::start(move |seen| its.lock().unwrap().answer(seen));
        Self { api, state }
    }

    /// Spoils it, or mends it.
    pub(crate) fn spoil(&self, spoilt: Spoilt) {
        self.state.lock().unwrap().spoilt = spoilt;
    }

    /// Who is there.
    pub(crate) fn held(&self) -> Held {
        self.state.lock().unwrap().held.clone()
    }

    /// Requests by this method so far.
    pub(crate) fn asked(&self, method: &str) -> usize {
        self.api.log().iter().filter(|s| s.method == method).count()
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    if body.is_null() {
        return Reply::status(status);
    }
    Reply::text(status, body.to_string()).header("content-type", "application/scim+json")
}

fn refused(status: u16) -> Reply {
    reply(status, &error(status))
}

impl State {
    fn answer(&mut self, seen: &Seen) -> Reply {
        self.asked += 1;
        match self.spoilt {
            Spoilt::Throttles(number) if number == self.asked => return refused(429).header("retry-after", "600"),
            Spoilt::Down => return Reply::status(503),
            _ => {}
        }
        if seen.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return refused(401).header("www-authenticate", "Bearer");
        }
        let url = Url::parse(&format!("http://h{}", seen.path)).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let parts: Vec<String> = url.path_segments().unwrap().skip(2).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (parts.as_slice(), seen.method.as_str()) {
            (["ServiceProviderConfig"], "GET") => reply(200, &config()),
            (["ResourceTypes"], "GET") => {
                let kind = |name: &str, urn: &str| json!({"id": name, "name": name, "endpoint": format!("/{name}s"), "schema": urn});
                reply(200, &list(2, 1, &[kind("User", USER), kind("Group", GROUP)]))
            }
            (["Schemas"], "GET") if query.contains_key("filter") => refused(403),
            (["Schemas"], "GET") => {
                let schema = |urn: &str| json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": urn, "attributes": []});
                reply(200, &list(2, 1, &[schema(USER), schema(GROUP)]))
            }
            (["Users" | "Groups"], "GET") => self.list(parts[0], &query),
            (["Users" | "Groups"], "POST") => self.create(parts[0], &seen.body),
            (["Users" | "Groups", id], method) => self.one(method, id, &seen.body),
            _ => refused(404),
        }
    }

    fn list(&mut self, endpoint: &str, query: &BTreeMap<String, String>) -> Reply {
        let named = if endpoint == "Users" { "userName" } else { "displayName" };
        let wanted = match query.get("filter").map(|f| f.splitn(3, ' ').collect::<Vec<_>>()) {
            None => None,
            Some(parts) => match parts.as_slice() {
                [attribute, op, value] if op.eq_ignore_ascii_case("eq") => {
                    let Ok(value) = serde_json::from_str::<String>(value) else { return refused(400) };
                    Some((attribute.to_lowercase(), value.to_lowercase()))
                }
                _ => {
                    let mut body = error(400);
                    body["scimType"] = json!("invalidFilter");
                    return reply(400, &body);
                }
            },
        };
        let fits = |held: &&Value| {
            let of_kind = if endpoint == "Users" { held.get("userName").is_some() } else { held.get("userName").is_none() };
            let text = |name: &str| held.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
            let matches = wanted.as_ref().is_none_or(|(attribute, value)| {
                self.spoilt == Spoilt::FiltersIgnored
                    || (*attribute == named.to_lowercase() && text(named) == *value)
                    || (attribute == "externalid" && text("externalId") == *value)
            });
            of_kind && matches
        };
        let all: Vec<Value> = self.held.values().filter(fits).cloned().map(|v| self.shown(v)).collect();
        let number = |name: &str, otherwise: usize| query.get(name).and_then(|n| n.parse().ok()).unwrap_or(otherwise);
        let start = number("startIndex", 1).max(1);
        let mut page: Vec<Value> = all.iter().skip(start - 1).take(number("count", 100)).cloned().collect();
        if let Some(only) = query.get("attributes") {
            for v in &mut page {
                v.as_object_mut().unwrap().retain(|k, _| ["id", "schemas", "meta", only].contains(&k.as_str()));
            }
        }
        if query.get("excludedAttributes").is_some_and(|a| a == "members") {
            page.iter_mut().for_each(|v| drop(v.as_object_mut().unwrap().remove("members")));
        }
        if self.spoilt == Spoilt::SomebodyLeaves && start == 1 && page.len() == 2 {
            self.spoilt = Spoilt::Nothing;
            self.held.remove("2");
        }
        reply(200, &list(all.len(), start, &page))
    }

    fn shown(&self, mut user: Value) -> Value {
        if self.spoilt == Spoilt::ShowsPasswords {
            user["password"] = json!(PASSWORD);
        }
        user
    }

    fn create(&mut self, endpoint: &str, body: &str) -> Reply {
        let mut new: Value = serde_json::from_str(body).unwrap();
        if endpoint == "Users" && self.held.values().any(|h| h.get("userName").is_some_and(|n| *n == new["userName"])) {
            let mut body = error(409);
            body["scimType"] = json!("uniqueness");
            return reply(409, &body);
        }
        self.made += 1;
        let (id, kind) = (format!("made{}", self.made), endpoint.trim_end_matches('s'));
        let location = format!("http://h/scim/v2/{endpoint}/{id}");
        new["id"] = json!(id);
        new["meta"] = json!({"resourceType": kind, "location": location, "created": "2026-01-01T00:00:00Z"});
        self.held.insert(id, new.clone());
        if self.spoilt == Spoilt::SilentAfterCreate {
            return Reply::hang();
        }
        reply(201, &new).header("location", location)
    }

    fn one(&mut self, method: &str, id: &str, body: &str) -> Reply {
        let Some(held) = self.held.get_mut(id) else { return refused(404) };
        let body = serde_json::from_str::<Value>(body).unwrap_or_default();
        match method {
            "GET" => {
                let held = held.clone();
                reply(200, &self.shown(held))
            }
            "PUT" => {
                let mut new = body;
                (new["id"], new["meta"]) = (held["id"].clone(), held["meta"].clone());
                new.as_object_mut().unwrap().remove("groups");
                *held = new.clone();
                reply(200, &new)
            }
            "PATCH" => {
                let (status, body) = patch(held, &body["Operations"][0], writing::Fault::None);
                reply(status, &body)
            }
            "DELETE" if self.spoilt == Spoilt::KeepsAll => refused(403),
            "DELETE" => {
                self.held.remove(id);
                reply(204, &Value::Null)
            }
            _ => refused(405),
        }
    }
}

fn config() -> Value {
    let on = json!({"supported": true});
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"], "patch": on, "bulk": on, "filter": on,
        "changePassword": on, "sort": on, "etag": {"supported": false}, "authenticationSchemes": []})
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
