//! What describes the server: ServiceProviderConfig (SPC), ResourceTypes (RTY) and Schemas (SCH), alone and against each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::answer::{fine_error, labelled};
use super::exchange::{Exchange, Fact, Idp};
use super::found::Found;
use super::list::List;
use super::target::Endpoint;
use super::world::looks_made_up;
use crate::finding::scim::{RTY_01, SCH_01, SPC_01, SPC_02, SPC_03};

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const CAPABILITIES: [&str; 6] = ["patch", "bulk", "filter", "changePassword", "sort", "etag"];
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// What the recording says about the server.
#[derive(Default)]
pub(super) struct Discovery {
    /// The resource types' endpoints: the last segment in small letters. Empty: not shown.
    pub endpoints: BTreeSet<String>,
    /// The schemas the types name, in small letters.
    named: BTreeSet<String>,
    /// A whole list of types, without Group: the exchange's name.
    types_without_groups: Option<String>,
    /// The schemas listed, in small letters, and the exchange's name; `None`: not shown, or not all of them.
    schemas: Option<(String, BTreeSet<String>)>,
    /// Who will use the server.
    idp: Idp,
    /// Groups answered.
    pub groups_used: bool,
    /// Groups are not there: the exchange's name.
    pub groups_missing: Option<String>,
}

impl Discovery {
    /// Reads the endpoints that the recording lists, before anything is judged by them.
    pub(super) fn of(exchanges: &[Exchange], idp: Idp) -> Self {
        let types = exchanges.iter().filter(|e| e.status == 200 && e.request.target.endpoint == Endpoint::Types);
        let listed =
            types.flat_map(|e| e.body.get("Resources").and_then(Value::as_array).map_or_else(|| vec![&e.body], |all| all.iter().collect()));
        let endpoints = listed.filter_map(|t| t.get("endpoint").and_then(Value::as_str)).filter_map(last_segment).collect();
        Self { endpoints, idp, ..Self::default() }
    }

    /// Judges an exchange with one of the three endpoints.
    pub(super) fn judge(&mut self, e: &Exchange, found: &mut Found) {
        match e.request.target.endpoint {
            Endpoint::Config => config(e, self.idp, found),
            Endpoint::Types => self.types(e, found),
            _ => self.schemas(e, found),
        }
    }

    fn types(&mut self, e: &Exchange, found: &mut Found) {
        let target = &e.request.target;
        if let Some(id) = &target.id {
            match e.status {
                404 => fine_error(e, found),
                200 if e.request.is(Fact::UnknownId) || looks_made_up(id) => {
                    found.add(&RTY_01, &e.name, "an unknown resource type is not answered with 404");
                }
                200 if !labelled(e, found) => {}
                200 => _ = self.one_type(e, &e.body, found),
                status => found.add(&RTY_01, &e.name, format!("a resource type is answered with {status}")),
            }
            return;
        }
        match e.status {
            // Discovery takes no filter (RFC 7644, 4).
            400 | 403 if target.query.filter.is_some() => return fine_error(e, found),
            200 => {}
            status => return found.add(&RTY_01, &e.name, format!("ResourceTypes is answered with {status}")),
        }
        if !labelled(e, found) {
            return;
        }
        let mut list = List::read(e, found);
        list.judge_numbers(e, None, found);
        let whole = !list.malformed && list.total.is_none_or(|t| t == list.returned()) && target.query.filter.is_none();
        let kinds: Vec<Option<Endpoint>> = list.resources.iter().map(|t| self.one_type(e, t, found)).collect();
        if !whole {
            return;
        }
        if !kinds.contains(&Some(Endpoint::Users)) {
            found.add(&RTY_01, &e.name, "User is not listed");
        }
        self.types_without_groups = Some(e.name.clone()).filter(|_| !kinds.contains(&Some(Endpoint::Groups)));
    }

    /// Takes one type, and says of which endpoint it is.
    fn one_type(&mut self, e: &Exchange, value: &Value, found: &mut Found) -> Option<Endpoint> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|t| !t.trim().is_empty());
        let schema = text("schema").map(str::to_ascii_lowercase);
        let of = |name: &str, urn: &str| is_named(value, name) || schema.as_deref().is_some_and(|s| s.eq_ignore_ascii_case(urn));
        let kind = if of("User", USER) {
            Some((Endpoint::Users, USER))
        } else if of("Group", GROUP) {
            Some((Endpoint::Groups, GROUP))
        } else {
            None
        };
        let mut wrong = Vec::new();
        match text("endpoint").and_then(last_segment) {
            Some(endpoint) => _ = self.endpoints.insert(endpoint),
            None => wrong.push("endpoint is missing"),
        }
        match (&schema, kind) {
            (None, _) => wrong.push("schema is missing"),
            (Some(schema), Some((_, urn))) if !schema.eq_ignore_ascii_case(urn) => wrong.push("schema is not that of SCIM 2.0"),
            _ => {}
        }
        if !wrong.is_empty() {
            found.add(&RTY_01, &e.name, format!("a resource type: {}", wrong.join(", ")));
        } else {
            self.named.extend(schema);
        }
        let extensions = value.get("schemaExtensions").and_then(Value::as_array).into_iter().flatten();
        self.named.extend(extensions.filter_map(|x| x.get("schema").and_then(Value::as_str)).map(str::to_ascii_lowercase));
        kind.map(|(endpoint, _)| endpoint)
    }

    fn schemas(&mut self, e: &Exchange, found: &mut Found) {
        let target = &e.request.target;
        if let Some(id) = &target.id {
            return self.one_schema(e, id, found);
        }
        let filtered = target.query.filter.is_some();
        match e.status {
            403 if filtered => return fine_error(e, found),
            status if filtered => {
                return found.add(&SCH_01, &e.name, format!("a filter on Schemas is answered with {status} instead of 403"));
            }
            200 => {}
            status => return found.add(&SCH_01, &e.name, format!("Schemas is answered with {status}")),
        }
        if !labelled(e, found) {
            return;
        }
        let mut list = List::read(e, found);
        list.judge_numbers(e, None, found);
        if list.malformed {
            return;
        }
        if !list.resources.iter().all(|s| is_schema(s)) {
            found.add(&SCH_01, &e.name, "a schema without id or attributes is listed");
        }
        if list.total == Some(list.returned()) {
            let ids = list.resources.iter().filter_map(|s| s.get("id").and_then(Value::as_str));
            self.schemas = Some((e.name.clone(), ids.map(str::to_ascii_lowercase).collect()));
        }
    }

    fn one_schema(&self, e: &Exchange, id: &str, found: &mut Found) {
        let urn = id.to_ascii_lowercase();
        let named = self.named.contains(&urn) || self.schemas.as_ref().is_some_and(|(_, all)| all.contains(&urn));
        let unknown = !named && (e.request.is(Fact::UnknownId) || looks_made_up(id));
        let cause = match e.status {
            404 if named => "a schema that is named elsewhere is not found".to_owned(),
            404 => return fine_error(e, found),
            200 if unknown => "an unknown schema is not answered with 404".to_owned(),
            200 if !labelled(e, found) => return,
            200 if e.body.get("id").and_then(Value::as_str).is_some_and(|i| i.eq_ignore_ascii_case(id)) && is_schema(&e.body) => return,
            200 => "the answer is not the schema asked for: id or attributes are wrong".to_owned(),
            status => format!("a schema is answered with {status}"),
        };
        found.add(&SCH_01, &e.name, cause);
    }

    /// What only shows when all of it is there.
    pub(super) fn finish(&self, found: &mut Found) {
        if let Some((place, listed)) = &self.schemas
            && let missing @ 1.. = self.named.difference(listed).count()
        {
            found.add(&SCH_01, place, format!("schemas that resource types name are not listed: {missing}"));
        }
        if let Some(place) = self.types_without_groups.as_ref().filter(|_| self.groups_used && !found.has(&RTY_01)) {
            found.add(&RTY_01, place, "Group is not listed, and groups are used");
        }
        if let Some(place) = self.groups_missing.as_ref().filter(|_| self.endpoints.contains("groups")) {
            found.add(&RTY_01, place, "Group is listed, and its endpoint is not there");
        }
    }
}

fn config(e: &Exchange, idp: Idp, found: &mut Found) {
    if e.status != 200 {
        return found.add(&SPC_01, &e.name, format!("ServiceProviderConfig is answered with {}", e.status));
    }
    if !labelled(e, found) {
        return;
    }
    let Some(object) = e.object() else {
        return found.add(&SPC_01, &e.name, "the answer is not a JSON object");
    };
    let mut wrong = Vec::new();
    let schemas = object.get("schemas").and_then(Value::as_array);
    if !schemas.is_some_and(|all| all.iter().filter_map(Value::as_str).any(|s| s.eq_ignore_ascii_case(CONFIG))) {
        wrong.push("schemas is not that of SCIM 2.0".to_owned());
    }
    for name in CAPABILITIES {
        match object.get(name).map(|c| c.get("supported")) {
            None => wrong.push(format!("{name} is missing")),
            Some(Some(Value::Bool(_))) => {}
            Some(_) => wrong.push(format!("{name}.supported is not a boolean")),
        }
    }
    if !object.get("authenticationSchemes").is_some_and(Value::is_array) {
        wrong.push("authenticationSchemes is missing or not an array".to_owned());
    }
    if !wrong.is_empty() {
        found.add(&SPC_02, &e.name, wrong.join(", "));
    }
    let off = ["patch", "filter"]
        .into_iter()
        .filter(|n| idp == Idp::Entra || *n != "patch")
        .filter(|n| object.get(*n).and_then(|c| c.get("supported")) == Some(&Value::Bool(false)));
    let off: Vec<&str> = off.collect();
    if !off.is_empty() {
        found.add(&SPC_03, &e.name, format!("not supported: {}", off.join(", ")));
    }
}

fn is_named(value: &Value, name: &str) -> bool {
    ["name", "id"].iter().any(|n| value.get(*n).and_then(Value::as_str) == Some(name))
}

fn is_schema(value: &Value) -> bool {
    value.get("id").and_then(Value::as_str).is_some_and(|i| !i.is_empty()) && value.get("attributes").is_some_and(Value::is_array)
}

fn last_segment(endpoint: &str) -> Option<String> {
    endpoint.split('/').rfind(|s| !s.is_empty()).map(str::to_ascii_lowercase)
}
