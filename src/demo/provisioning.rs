//! The estate's SCIM servers: one as it should be, and one that answers every filter with everybody. Three made-up people, nothing to write.

use serde_json::{Value, json};

use super::stories::{Answer, Ask, PROVISIONING_TOKEN, bearer};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const MESSAGES: &str = "urn:ietf:params:scim:api:messages:2.0";

/// Does what RFC 7644 says.
pub(super) fn sound(ask: &Ask<'_>) -> Answer {
    served(ask, true)
}

/// Pays no heed to filters: whoever an identity provider looks for, it finds the first of all.
pub(super) fn unfiltered(ask: &Ask<'_>) -> Answer {
    served(ask, false)
}

fn served(ask: &Ask<'_>, filters: bool) -> Answer {
    if !bearer(ask, PROVISIONING_TOKEN) {
        return error(401, None).header("www-authenticate", "Bearer");
    }
    let query: Vec<(String, String)> = url::form_urlencoded::parse(ask.query.as_bytes()).into_owned().collect();
    let given = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    match ask.path.strip_prefix("/scim/v2/").unwrap_or_default() {
        "ServiceProviderConfig" => {
            let (on, off) = (json!({ "supported": true }), json!({ "supported": false }));
            answer(
                200,
                &json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"], "patch": on, "filter": on, "bulk": off,
                "changePassword": off, "sort": off, "etag": off, "authenticationSchemes": [] }),
            )
        }
        "ResourceTypes" => {
            let kind = |name: &str, urn: &str| json!({ "id": name, "name": name, "endpoint": format!("/{name}s"), "schema": urn });
            list(&[kind("User", USER), kind("Group", GROUP)], 1, usize::MAX)
        }
        "Schemas" if given("filter").is_some() => error(403, None),
        "Schemas" => {
            let schema = |urn: &str| json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": urn, "attributes": [] });
            list(&[schema(USER), schema(GROUP)], 1, usize::MAX)
        }
        "Users" => users(given("filter").filter(|_| filters), given("startIndex"), given("count"), given("attributes")),
        "Groups" => list(&[], 1, 1),
        _ => error(404, None),
    }
}

fn users(filter: Option<&str>, start: Option<&str>, count: Option<&str>, only: Option<&str>) -> Answer {
    let wanted = match filter.map(read) {
        Some(None) => return error(400, Some("invalidFilter")),
        Some(Some(name)) => Some(name),
        None => None,
    };
    let people = ["ines.duarte", "jonas.weber", "mei.tanaka"].map(|name| {
        let id = format!("u-{name}");
        let mut user = json!({ "schemas": [USER], "id": id, "userName": format!("{name}@elmwood.example"), "active": true,
            "meta": { "resourceType": "User", "location": format!("/scim/v2/Users/{id}") } });
        if let (Some(only), Some(members)) = (only, user.as_object_mut()) {
            members.retain(|k, _| ["schemas", "id", "meta", only].contains(&k.as_str()));
        }
        user
    });
    let fits = |u: &&Value| wanted.as_ref().is_none_or(|w| u["userName"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(w)));
    let all: Vec<Value> = people.iter().filter(fits).cloned().collect();
    let number = |text: Option<&str>, otherwise: usize| text.and_then(|t| t.parse().ok()).unwrap_or(otherwise);
    list(&all, number(start, 1).max(1), number(count, 100))
}

/// The name that `userName eq "name"` looks for; nobody has an externalId.
fn read(filter: &str) -> Option<String> {
    let mut parts = filter.splitn(3, ' ');
    let (attribute, op, value) = (parts.next()?, parts.next()?, parts.next()?);
    let value: String = serde_json::from_str(value).ok().filter(|_| op.eq_ignore_ascii_case("eq"))?;
    Some(if attribute.eq_ignore_ascii_case("userName") { value } else { String::new() })
}

fn list(all: &[Value], start: usize, count: usize) -> Answer {
    let page: Vec<&Value> = all.iter().skip(start - 1).take(count).collect();
    answer(
        200,
        &json!({ "schemas": [format!("{MESSAGES}:ListResponse")], "totalResults": all.len(), "startIndex": start,
        "itemsPerPage": page.len(), "Resources": page }),
    )
}

fn error(status: u16, kind: Option<&str>) -> Answer {
    let mut body = json!({ "schemas": [format!("{MESSAGES}:Error")], "status": status.to_string(), "detail": "see RFC 7644" });
    if let Some(kind) = kind {
        body["scimType"] = json!(kind);
    }
    answer(status, &body)
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, ..Answer::json(body) }.header("content-type", "application/scim+json")
}
