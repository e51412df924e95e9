//! One user or group as an answer shows it: what every resource has (RES), and the attributes that were asked for (ATR).

use serde_json::{Map, Value};

use super::exchange::Exchange;
use super::filter::{member, plain_name};
use super::found::Found;
use super::target::Endpoint;
use crate::finding::scim::{ATR_01, RES_01, RES_02, RES_03};

/// How deep a password is looked for.
const MOST_DEPTH: usize = 8;

/// Judges a resource of an answer. `id_matters`: a missing id is this rule's matter, not that of the request's own rule.
pub(super) fn judge(e: &Exchange, resource: &Value, id_matters: bool, found: &mut Found) {
    let place = &e.name;
    let Some(object) = resource.as_object() else {
        found.add(&RES_01, place, "no resource object in the answer");
        return;
    };
    if has_password(resource, 0) {
        found.add(&RES_03, place, "password is in the answer");
    }
    let query = &e.request.target.query;
    let without = |name: &str| {
        !query.attributes.is_empty()
            || query.excluded.iter().any(|x| plain_name(x).split('.').next().is_some_and(|x| x.eq_ignore_ascii_case(name)))
    };
    let mut missing = Vec::new();
    match object.get("id") {
        Some(Value::String(id)) if !id.is_empty() => {}
        Some(Value::String(_)) => missing.push("id is empty"),
        None | Some(Value::Null) if id_matters => missing.push("id is missing"),
        None | Some(Value::Null) => {}
        Some(_) => missing.push("id is not a string"),
    }
    if e.request.target.endpoint.is_directory() {
        match object.get("schemas") {
            Some(Value::Array(all)) if !all.is_empty() && all.iter().all(Value::is_string) => {}
            None if without("schemas") => {}
            _ => missing.push("schemas is missing or no list of texts"),
        }
        if !without("meta") {
            let meta = |name: &str| object.get("meta").and_then(|m| m.get(name)).and_then(Value::as_str).is_some_and(|t| !t.is_empty());
            if !meta("resourceType") {
                missing.push("meta.resourceType is missing");
            }
            if !meta("location") {
                missing.push("meta.location is missing");
            }
        }
    }
    if !missing.is_empty() {
        found.add(&RES_01, place, missing.join(", "));
    }
    if let Some(active) = member(resource, "active").filter(|a| !a.is_boolean()) {
        let kind = match active {
            Value::String(_) => "text",
            Value::Number(_) => "a number",
            _ => "no boolean",
        };
        found.add(&RES_02, place, format!("active is {kind} instead of a boolean"));
    }
    projection(e, object, found);
}

/// Whether a member of this name holds anything, at any depth.
fn has_password(value: &Value, depth: usize) -> bool {
    match value {
        _ if depth > MOST_DEPTH => false,
        Value::Object(all) => {
            all.iter().any(|(name, v)| (name.eq_ignore_ascii_case("password") && !v.is_null()) || has_password(v, depth + 1))
        }
        Value::Array(all) => all.iter().any(|v| has_password(v, depth + 1)),
        _ => false,
    }
}

/// The schema's part of an attribute's name and the path in it; extensions stand under their schema.
fn top(path: &str) -> (&str, Option<&str>) {
    match path.rsplit_once(':') {
        Some((schema, rest)) if !schema.to_ascii_lowercase().contains(":core:") => {
            // The schema alone asks for all of it.
            if rest.contains('.') || rest.starts_with(|c: char| c.is_ascii_lowercase()) { (schema, Some(rest)) } else { (path, None) }
        }
        _ => {
            let name = plain_name(path);
            name.split_once('.').map_or((name, None), |(first, sub)| (first, Some(sub)))
        }
    }
}

fn projection(e: &Exchange, object: &Map<String, Value>, found: &mut Found) {
    let query = &e.request.target.query;
    if !query.attributes.is_empty() {
        let always: &[&str] = match e.request.target.endpoint {
            // What identifies a resource is often declared as always returned.
            Endpoint::Users => &["id", "schemas", "meta", "externalId", "userName"],
            _ => &["id", "schemas", "meta", "externalId", "displayName"],
        };
        let asked = |name: &str| {
            always.iter().any(|a| a.eq_ignore_ascii_case(name)) || query.attributes.iter().any(|a| top(a).0.eq_ignore_ascii_case(name))
        };
        if object.keys().any(|name| !asked(name)) {
            found.add(&ATR_01, &e.name, "attributes is ignored: more came than was asked for");
        }
        let required = if e.request.target.endpoint == Endpoint::Users { "userName" } else { "displayName" };
        let wanted = query.attributes.iter().any(|a| plain_name(a).eq_ignore_ascii_case(required));
        if wanted && !object.keys().any(|n| n.eq_ignore_ascii_case(required)) {
            found.add(&ATR_01, &e.name, format!("{required} was asked for and did not come"));
        }
    }
    let excluded = |path: &String| {
        let (first, sub) = top(path);
        let Some((_, value)) = object.iter().find(|(n, _)| n.eq_ignore_ascii_case(first)) else { return false };
        let there = |v: &Value| sub.is_none_or(|s| member(v, s).is_some());
        // These are always returned.
        !matches!(first.to_ascii_lowercase().as_str(), "id" | "schemas" | "username")
            && match value {
                Value::Array(all) if sub.is_some() => all.iter().any(there),
                other => there(other),
            }
    };
    if query.excluded.iter().any(excluded) {
        found.add(&ATR_01, &e.name, "excludedAttributes is ignored: what was excluded came");
    }
}
