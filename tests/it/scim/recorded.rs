//! A correct recording of a small server, and one change to it for each way in which a rule is broken.

use serde_json::{Value, json};
use soakwatch::clock::UnixMs;
use soakwatch::finding::Level;
use soakwatch::sso::scim::Known;

const CT: &str = "application/scim+json";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// A recording with one fault.
pub(crate) struct Fixture {
    pub(crate) rule: &'static str,
    pub(crate) level: Level,
    pub(crate) what: &'static str,
    pub(crate) recording: Vec<Value>,
    pub(crate) known: Known,
}

pub(crate) fn error(status: u16) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": status.to_string(), "detail": "told"})
}

fn keyed(status: u16, scim_type: &str) -> Value {
    let mut error = error(status);
    error["scimType"] = json!(scim_type);
    error
}

pub(crate) fn user(id: &str, name: &str, active: bool) -> Value {
    json!({"schemas": [USER], "id": id, "userName": name, "active": active, "displayName": "Somebody", "emails": [{"type": "work", "value": name}],
        "meta": {"resourceType": "User", "location": format!("https://scim.example.test/v2/Users/{id}")}})
}

fn group(id: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|m| json!({"value": m})).collect();
    json!({"schemas": [GROUP], "id": id, "displayName": "Everybody", "members": members,
        "meta": {"resourceType": "Group", "location": format!("https://scim.example.test/v2/Groups/{id}")}})
}

pub(crate) fn list(total: usize, start: usize, resources: &[Value]) -> Value {
    json!({"schemas": [LIST], "totalResults": total, "startIndex": start, "itemsPerPage": resources.len(), "Resources": resources})
}

pub(crate) fn one(name: &str, request: &str, status: u16, body: Value) -> Value {
    let ct = if body.is_null() { "" } else { CT };
    let mut exchange = json!({"name": name, "request": request, "status": status, "ct": ct});
    exchange["body"] = body;
    exchange
}

fn patch(path: &str, operation: &Value) -> String {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
    format!("PATCH {path} {body}")
}

fn with_headers(mut exchange: Value, headers: Value) -> Value {
    exchange["headers"] = headers;
    exchange
}

fn people() -> [Value; 3] {
    [user("u1", "ada@example.test", true), user("u2", "bob+x@example.test", true), user("u3", "Zoë@example.test", false)]
}

/// Everything a correct server answers.
pub(crate) fn correct() -> Vec<Value> {
    let [ada, bob, zoe] = people();
    let all = [ada.clone(), bob, zoe.clone()];
    let on = json!({"supported": true});
    let schema = |urn: &str| json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": urn, "name": "X", "attributes": []});
    let kind = |name: &str, endpoint: &str, urn: &str| json!({"id": name, "name": name, "endpoint": endpoint, "schema": urn});
    let mut slim = group("g1", &[]);
    slim.as_object_mut().unwrap().remove("members");
    let no_token = |name: &str, request: &str| with_headers(one(name, request, 401, error(401)), json!({"WWW-Authenticate": "Bearer"}));
    let mut recording = vec![
        one(
            "config",
            "GET /scim/v2/ServiceProviderConfig",
            200,
            json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": on, "bulk": on, "filter": {"supported": true, "maxResults": 200}, "changePassword": on, "sort": on, "etag": {"supported": false},
            "authenticationSchemes": [{"type": "oauthbearertoken", "name": "t", "description": "t"}]}),
        ),
        one("types", "GET /scim/v2/ResourceTypes", 200, list(2, 1, &[kind("User", "/Users", USER), kind("Group", "/Groups", GROUP)])),
        one("schemas", "GET /scim/v2/Schemas", 200, list(2, 1, &[schema(USER), schema(GROUP)])),
        one("schema", &format!("GET /scim/v2/Schemas/{USER}"), 200, schema(USER)),
        one("no such schema", "GET /scim/v2/Schemas/urn:unknown", 404, error(404)),
        one("schemas filtered", "GET /scim/v2/Schemas?filter=id eq \"x\"", 403, error(403)),
        no_token("no token", "GET /scim/v2/Users (no token)"),
        no_token("wrong token", "GET /scim/v2/Users?count=1 (wrong token)"),
        one("all", "GET /scim/v2/Users", 200, list(3, 1, &all)),
        one("page 1", "GET /scim/v2/Users?startIndex=1&count=2", 200, list(3, 1, &all[..2])),
        one("page 2", "GET /scim/v2/Users?startIndex=3&count=2", 200, list(3, 3, &all[2..])),
        one("page 1 again", "GET /scim/v2/Users?startIndex=1&count=2", 200, list(3, 1, &all[..2])),
        one("second only", "GET /scim/v2/Users?startIndex=2&count=1", 200, list(3, 2, &all[1..2])),
        one("past the end", "GET /scim/v2/Users?startIndex=101&count=100", 200, list(3, 101, &[])),
        one("none wanted", "GET /scim/v2/Users?count=0", 200, list(3, 1, &[])),
        one("nobody", "GET /scim/v2/Users?filter=userName eq \"0b4f7c9e-0000-4000-8000-000000000000\"", 200, list(0, 1, &[])),
        one("by external id", "GET /scim/v2/Users?filter=externalId eq \"none\"", 200, list(0, 1, &[])),
        one("by name", "GET /scim/v2/Users?filter=userName eq \"ada@example.test\"", 200, list(1, 1, &all[..1])),
        one("by name, encoded", "GET /scim/v2/Users?filter=userName%20eq%20%22ada%40example.test%22", 200, list(1, 1, &all[..1])),
        one("by name in capitals", "GET /scim/v2/Users?filter=userName eq \"ADA@EXAMPLE.TEST\"", 200, list(1, 1, &all[..1])),
        one("by name, odd case", "GET /scim/v2/Users?filter=USERNAME Eq \"ada@example.test\"", 200, list(1, 1, &all[..1])),
        one("plus", "GET /scim/v2/Users?filter=userName%20eq%20%22bob%2Bx%40example.test%22", 200, list(1, 1, &all[1..2])),
        one("quote", "GET /scim/v2/Users?filter=userName eq \"say \\\"hi\\\" 100% \\\\\"", 200, list(0, 1, &[])),
        one("accent", "GET /scim/v2/Users?filter=userName%20eq%20%22Zo%C3%AB%40example.test%22", 200, list(1, 1, &all[2..])),
        one("broken filter", "GET /scim/v2/Users?filter=userName eq", 400, keyed(400, "invalidFilter")),
        one(
            "found by search",
            "POST /scim/v2/Users/.search {\"filter\": \"userName eq \\\"ada@example.test\\\"\", \"startIndex\": 1}",
            200,
            list(1, 1, &all[..1]),
        ),
        one(
            "names only",
            "GET /scim/v2/Users?attributes=userName",
            200,
            list(
                3,
                1,
                &[
                    json!({"id": "u1", "userName": "ada@example.test"}),
                    json!({"id": "u2", "userName": "bob+x@example.test"}),
                    json!({"id": "u3", "userName": "Zoë@example.test"}),
                ],
            ),
        ),
        one("groups", "GET /scim/v2/Groups", 200, list(1, 1, &[group("g1", &["u1", "u2"])])),
        one("group without members", "GET /scim/v2/Groups/g1?excludedAttributes=members", 200, slim),
        one("one", "GET /scim/v2/Users/u1", 200, ada),
        one("disabled one", "GET /scim/v2/Users/u3", 200, zoe),
        one("unknown id", "GET /scim/v2/Users/no-such-id", 404, error(404)),
        one("unknown path", "GET /scim/v2/Nothing", 404, error(404)),
        with_headers(one("too many", "GET /scim/v2/Users", 429, error(429)), json!({"retry-after": "3"})),
    ];
    for exchange in &mut recording {
        exchange["known"] = json!("ada@example.test");
        exchange["known_total"] = json!(3);
    }
    recording.extend(written());
    recording
}

/// What a correct server answers to changes.
fn written() -> Vec<Value> {
    let name = "eve@example.test";
    let new = json!({"schemas": [USER], "userName": name, "active": true, "password": "s3cret"});
    let (on, off) = (user("u9", name, true), user("u9", name, false));
    let located = |exchange: Value| with_headers(exchange, json!({"Location": "https://scim.example.test/v2/x"}));
    let (us, gs) = ("/scim/v2/Users/u9", "/scim/v2/Groups/g9");
    let get = |name: &str, body: &Value| one(name, &format!("GET {us}"), 200, body.clone());
    let set = |name: &str, operation: Value| one(name, &patch(us, &operation), 204, Value::Null);
    let members = |name: &str, operation: Value| one(name, &patch(gs, &operation), 204, Value::Null);
    let group_of = |name: &str, ids: &[&str]| one(name, &format!("GET {gs}"), 200, group("g9", ids));
    let mut mailed = on.clone();
    mailed["emails"][0]["value"] = json!("eve.l@example.test");
    let mut sent = mailed.clone();
    (sent["id"], sent["groups"], sent["meta"]["created"]) = (json!("u8"), json!([{"value": "g7"}]), json!("1999-01-01T00:00:00Z"));
    vec![
        located(one("create", &format!("POST /scim/v2/Users {new}"), 201, on.clone())),
        one("duplicate", &format!("POST /scim/v2/Users {new}"), 409, keyed(409, "uniqueness")),
        one("taken", "POST /scim/v2/Users (userName exists)", 409, keyed(409, "uniqueness")),
        one("no name", "POST /scim/v2/Users {\"active\": true}", 400, keyed(400, "invalidValue")),
        get("created", &on),
        set("disable", json!({"op": "replace", "path": "active", "value": false})),
        get("after disable", &off),
        one(
            "disabled, by filter",
            &format!("GET /scim/v2/Users?filter=userName eq \"{name}\""),
            200,
            list(1, 1, std::slice::from_ref(&off)),
        ),
        one("enable as Okta does", &patch(us, &json!({"op": "replace", "value": {"active": true}})), 200, on.clone()),
        get("after Okta", &on),
        set("disable as Entra does", json!({"op": "Replace", "path": "active", "value": false})),
        get("after Entra", &off),
        set("text boolean", json!({"op": "Replace", "path": "active", "value": "True"})),
        get("after text boolean", &on),
        set("mail", json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "eve.l@example.test"})),
        get("after mail", &mailed),
        one("broken patch", &patch(us, &json!({"op": "frob", "path": "active", "value": 1})), 400, keyed(400, "invalidSyntax")),
        one("put", &format!("PUT {us} {sent}"), 200, mailed.clone()),
        get("after put", &mailed),
        located(one(
            "create group",
            "POST /scim/v2/Groups {\"displayName\": \"Everybody\", \"members\": [{\"value\": \"u9\"}]}",
            201,
            group("g9", &["u9"]),
        )),
        members("join", json!({"op": "Add", "path": "members", "value": [{"value": "u1"}, {"value": "u2"}]})),
        group_of("after join", &["u9", "u1", "u2"]),
        members("join again", json!({"op": "add", "path": "members", "value": [{"value": "u1"}]})),
        group_of("after join again", &["u9", "u1", "u2"]),
        members("leave as Entra does", json!({"op": "Remove", "path": "members", "value": [{"value": "u1"}]})),
        group_of("after leaving", &["u9", "u2"]),
        members("leave by path", json!({"op": "remove", "path": "members[value eq \"u2\"]"})),
        group_of("after leaving by path", &["u9"]),
        one("delete group", &format!("DELETE {gs}"), 204, Value::Null),
        one("delete", &format!("DELETE {us}"), 204, Value::Null),
        one("get what is gone", &format!("GET {us}"), 404, error(404)),
        one("filter what is gone", &format!("GET /scim/v2/Users?filter=userName eq \"{name}\""), 200, list(0, 1, &[])),
        one("delete again", &format!("DELETE {us}"), 404, error(404)),
    ]
}

/// The exchange of this name.
fn at<'a>(recording: &'a mut [Value], name: &str) -> &'a mut Value {
    recording.iter_mut().find(|e| e["name"] == name).unwrap_or_else(|| panic!("no exchange is called {name}"))
}

fn answer(recording: &mut [Value], name: &str, status: u16, body: Value) {
    let exchange = at(recording, name);
    (exchange["status"], exchange["ct"], exchange["body"]) = (json!(status), json!(if body.is_null() { "" } else { CT }), body);
}

type Change = fn(&mut Vec<Value>);

/// What is broken, at level fail.
const FAULTS: &[(&str, &str, Change)] = &[
    ("SCIM-GET-01", "a redirect", |r| {
        answer(r, "all", 302, Value::Null);
        at(r, "all")["headers"] = json!({"Location": "https://login.example.test/"});
    }),
    ("SCIM-GET-01", "a list that fails", |r| answer(r, "all", 500, error(500))),
    ("SCIM-GET-01", "no answer", |r| answer(r, "all", 0, Value::Null)),
    ("SCIM-AUT-01", "data without a token", |r| answer(r, "no token", 200, list(3, 1, &people()))),
    ("SCIM-AUT-01", "400 for a wrong token", |r| answer(r, "wrong token", 400, error(400))),
    ("SCIM-AUT-03", "our token is refused", |r| {
        answer(r, "all", 401, error(401));
        at(r, "all")["headers"] = json!({"www-authenticate": "Bearer"});
    }),
    ("SCIM-AUT-03", "our token may not", |r| answer(r, "one", 403, error(403))),
    ("SCIM-CT-01", "a web page", |r| {
        answer(r, "one", 200, json!("<!DOCTYPE html><html><body>Log in</body></html>"));
        at(r, "one")["ct"] = json!("text/html; charset=utf-8");
    }),
    ("SCIM-CT-01", "another type", |r| at(r, "all")["ct"] = json!("text/plain")),
    ("SCIM-SPC-01", "no configuration", |r| answer(r, "config", 404, error(404))),
    ("SCIM-SPC-01", "no object", |r| answer(r, "config", 200, json!([1]))),
    ("SCIM-SPC-02", "SCIM 1.1", |r| at(r, "config")["body"]["schemas"] = json!(["urn:scim:schemas:core:1.0"])),
    ("SCIM-SPC-02", "supported as text", |r| at(r, "config")["body"]["sort"]["supported"] = json!("true")),
    ("SCIM-SPC-02", "a capability is missing", |r| drop(at(r, "config")["body"].as_object_mut().unwrap().remove("etag"))),
    ("SCIM-SPC-02", "no schemes", |r| drop(at(r, "config")["body"].as_object_mut().unwrap().remove("authenticationSchemes"))),
    ("SCIM-SPC-03", "no PATCH", |r| at(r, "config")["body"]["patch"]["supported"] = json!(false)),
    ("SCIM-SPC-03", "no filter", |r| at(r, "config")["body"]["filter"]["supported"] = json!(false)),
    ("SCIM-RTY-01", "no types", |r| answer(r, "types", 501, error(501))),
    ("SCIM-RTY-01", "User is not listed", |r| {
        let group = at(r, "types")["body"]["Resources"][1].clone();
        at(r, "types")["body"] = list(1, 1, &[group]);
    }),
    ("SCIM-RTY-01", "Group is not listed", |r| {
        let user = at(r, "types")["body"]["Resources"][0].clone();
        at(r, "types")["body"] = list(1, 1, &[user]);
    }),
    ("SCIM-RTY-01", "no endpoint", |r| drop(at(r, "types")["body"]["Resources"][0].as_object_mut().unwrap().remove("endpoint"))),
    ("SCIM-LST-01", "a bare array", |r| at(r, "all")["body"] = json!(people())),
    ("SCIM-LST-01", "no schema of a list", |r| drop(at(r, "all")["body"].as_object_mut().unwrap().remove("schemas"))),
    ("SCIM-LST-01", "the number as text", |r| at(r, "all")["body"]["totalResults"] = json!("3")),
    ("SCIM-LST-01", "no resources", |r| drop(at(r, "all")["body"].as_object_mut().unwrap().remove("Resources"))),
    ("SCIM-PAG-01", "startIndex is not echoed", |r| at(r, "page 2")["body"]["startIndex"] = json!(1)),
    ("SCIM-PAG-01", "counted from 0", |r| at(r, "all")["body"]["startIndex"] = json!(0)),
    ("SCIM-PAG-01", "shifted by one", |r| at(r, "second only")["body"]["Resources"] = json!([people()[2]])),
    ("SCIM-PAG-02", "more than asked for", |r| at(r, "page 1")["body"] = list(3, 1, &people())),
    ("SCIM-PAG-02", "itemsPerPage is another number", |r| at(r, "all")["body"]["itemsPerPage"] = json!(100)),
    ("SCIM-PAG-02", "itemsPerPage is missing", |r| drop(at(r, "page 1")["body"].as_object_mut().unwrap().remove("itemsPerPage"))),
    ("SCIM-PAG-03", "the page's size as total", |r| at(r, "page 1")["body"]["totalResults"] = json!(2)),
    ("SCIM-PAG-03", "404 past the end", |r| answer(r, "past the end", 404, error(404))),
    ("SCIM-PAG-03", "users past the end", |r| at(r, "past the end")["body"] = list(3, 1, &people())),
    ("SCIM-PAG-03", "totals differ, and nobody knows the right one", |r| {
        r.iter_mut().for_each(|e| drop(e.as_object_mut().unwrap().remove("known_total")));
        at(r, "page 2")["body"]["totalResults"] = json!(4);
    }),
    ("SCIM-PAG-04", "another order", |r| {
        let [ada, bob, _] = people();
        at(r, "page 1 again")["body"]["Resources"] = json!([bob, ada]);
    }),
    ("SCIM-PAG-04", "an id on two pages", |r| {
        r.retain(|e| e["name"] != "all" && e["name"] != "second only");
        at(r, "page 2")["body"]["Resources"] = json!([people()[0]]);
    }),
    ("SCIM-FLT-01", "404 for nobody", |r| answer(r, "nobody", 404, error(404))),
    ("SCIM-FLT-01", "400 for nobody", |r| answer(r, "by external id", 400, error(400))),
    ("SCIM-FLT-01", "a total of nobody", |r| at(r, "nobody")["body"]["totalResults"] = json!(3)),
    ("SCIM-FLT-02", "the filter is ignored", |r| at(r, "nobody")["body"] = list(3, 1, &people())),
    ("SCIM-FLT-02", "somebody else", |r| at(r, "by name")["body"] = list(1, 1, &people()[1..2])),
    ("SCIM-FLT-02", "who exists is not found", |r| at(r, "by name")["body"] = list(0, 1, &[])),
    ("SCIM-FLT-04", "a broken filter breaks the server", |r| answer(r, "broken filter", 500, json!("<html>Traceback</html>"))),
    ("SCIM-FLT-05", "a plus is a space", |r| at(r, "plus")["body"] = list(0, 1, &[])),
    ("SCIM-FLT-05", "quotes break the server", |r| answer(r, "quote", 500, error(500))),
    ("SCIM-ATR-01", "members came", |r| at(r, "group without members")["body"] = group("g1", &["u1", "u2"])),
    ("SCIM-ATR-01", "everything came", |r| at(r, "names only")["body"] = list(3, 1, &people())),
    ("SCIM-ATR-01", "refused", |r| answer(r, "group without members", 400, error(400))),
    ("SCIM-RES-01", "a number as id", |r| at(r, "one")["body"]["id"] = json!(7)),
    ("SCIM-RES-01", "no meta", |r| drop(at(r, "one")["body"].as_object_mut().unwrap().remove("meta"))),
    ("SCIM-RES-01", "no schemas", |r| drop(at(r, "one")["body"].as_object_mut().unwrap().remove("schemas"))),
    ("SCIM-RES-01", "another id", |r| at(r, "by name")["body"] = list(1, 1, &[user("u77", "ada@example.test", true)])),
    ("SCIM-RES-01", "a listed id is not there", |r| answer(r, "one", 404, error(404))),
    ("SCIM-RES-01", "the same id twice", |r| {
        let [ada, bob, _] = people();
        at(r, "all")["body"] = list(3, 1, &[ada.clone(), bob, ada]);
    }),
    ("SCIM-RES-02", "active as text", |r| at(r, "one")["body"]["active"] = json!("True")),
    ("SCIM-RES-02", "active is left out when false", |r| drop(at(r, "after disable")["body"].as_object_mut().unwrap().remove("active"))),
    ("SCIM-RES-02", "the disabled are not found", |r| at(r, "disabled, by filter")["body"] = list(0, 1, &[])),
    ("SCIM-RES-02", "the disabled are not there", |r| answer(r, "disabled one", 404, error(404))),
    ("SCIM-RES-03", "a password", |r| at(r, "create")["body"]["password"] = json!("s3cret")),
    ("SCIM-ERR-02", "200 for an unknown id", |r| answer(r, "unknown id", 200, list(0, 1, &[]))),
    ("SCIM-ERR-02", "500 for an unknown id", |r| answer(r, "unknown id", 500, error(500))),
    ("SCIM-ERR-02", "200 for an unknown path", |r| answer(r, "unknown path", 200, json!({}))),
    ("SCIM-CRE-01", "200", |r| at(r, "create")["status"] = json!(200)),
    ("SCIM-CRE-01", "no Location", |r| at(r, "create")["headers"] = json!({})),
    ("SCIM-CRE-01", "no id", |r| drop(at(r, "create group")["body"].as_object_mut().unwrap().remove("id"))),
    ("SCIM-CRE-01", "created twice", |r| {
        let created = at(r, "create").clone();
        answer(r, "duplicate", 201, created["body"].clone());
    }),
    ("SCIM-CRE-01", "500 for a duplicate", |r| answer(r, "taken", 500, error(500))),
    ("SCIM-PAT-01", "refused", |r| answer(r, "disable", 501, error(501))),
    ("SCIM-PAT-01", "no effect", |r| at(r, "after disable")["body"]["active"] = json!(true)),
    ("SCIM-PAT-01", "no PATCH at all", |r| {
        let patches = r.iter_mut().filter(|e| e["request"].as_str().unwrap().starts_with("PATCH"));
        patches.for_each(|e| (e["status"], e["ct"], e["body"]) = (json!(501), json!(CT), error(501)));
        r.retain(|e| !e["name"].as_str().unwrap().starts_with("after"));
    }),
    ("SCIM-PAT-02", "capitals are refused", |r| {
        let capital = |e: &&mut Value| {
            ["\"op\":\"Replace", "\"op\":\"Add", "\"op\":\"Remove"].iter().any(|w| e["request"].as_str().unwrap().contains(w))
        };
        r.iter_mut().filter(capital).for_each(|e| (e["status"], e["ct"], e["body"]) = (json!(400), json!(CT), keyed(400, "invalidSyntax")));
        r.retain(|e| !e["name"].as_str().unwrap().starts_with("after"));
    }),
    ("SCIM-PAT-02", "capitals have no effect", |r| at(r, "after Entra")["body"]["active"] = json!(true)),
    ("SCIM-PAT-03", "no path is refused", |r| {
        answer(r, "enable as Okta does", 400, keyed(400, "noTarget"));
        at(r, "after Okta")["body"]["active"] = json!(false);
    }),
    ("SCIM-PAT-04", "text is refused", |r| {
        answer(r, "text boolean", 400, keyed(400, "invalidValue"));
        at(r, "after text boolean")["body"]["active"] = json!(false);
    }),
    ("SCIM-PAT-05", "the group is emptied", |r| at(r, "after leaving")["body"] = group("g9", &[])),
    ("SCIM-PAT-05", "the value form is refused", |r| {
        answer(r, "leave as Entra does", 400, keyed(400, "noTarget"));
        at(r, "after leaving")["body"] = group("g9", &["u9", "u1", "u2"]);
        at(r, "after leaving by path")["body"] = group("g9", &["u9", "u1"]);
    }),
    ("SCIM-PAT-05", "nobody leaves", |r| at(r, "after leaving by path")["body"] = group("g9", &["u9", "u2"])),
    ("SCIM-PAT-06", "the filter path is refused", |r| {
        answer(r, "mail", 400, keyed(400, "invalidPath"));
    }),
    ("SCIM-PAT-06", "a member is there twice", |r| at(r, "after join again")["body"] = group("g9", &["u9", "u1", "u2", "u1"])),
    ("SCIM-PUT-01", "refused", |r| answer(r, "put", 400, keyed(400, "mutability"))),
    ("SCIM-PUT-01", "another id", |r| at(r, "put")["body"]["id"] = json!("u8")),
    ("SCIM-PUT-01", "groups are taken over", |r| at(r, "put")["body"]["groups"] = json!([{"value": "g7"}])),
    ("SCIM-DEL-01", "200", |r| answer(r, "delete", 200, user("u9", "eve@example.test", true))),
    ("SCIM-DEL-01", "still there", |r| answer(r, "get what is gone", 200, user("u9", "eve@example.test", false))),
    ("SCIM-DEL-01", "still found", |r| at(r, "filter what is gone")["body"] = list(1, 1, &[user("u9", "eve@example.test", false)])),
    ("SCIM-DEL-01", "told beforehand", |r| r.push(one("x", "GET /Users/u5 (deleted before)", 200, user("u5", "eve@example.test", true)))),
    ("SCIM-TIM-01", "one takes too long", |r| at(r, "all")["ms"] = json!(11_000)),
    ("SCIM-TIM-01", "all are slow", |r| r.iter_mut().for_each(|e| e["ms"] = json!(2500))),
];

/// What is to be looked at, at level warn.
const DOUBTS: &[(&str, &str, Change)] = &[
    ("SCIM-AUT-02", "no WWW-Authenticate", |r| at(r, "no token")["headers"] = json!({})),
    ("SCIM-CT-01", "plain JSON", |r| at(r, "all")["ct"] = json!("application/json; charset=utf-8")),
    ("SCIM-SCH-01", "a schema is not listed", |r| {
        let user = at(r, "schemas")["body"]["Resources"][0].clone();
        at(r, "schemas")["body"] = list(1, 1, &[user]);
    }),
    ("SCIM-SCH-01", "200 for an unknown schema", |r| answer(r, "no such schema", 200, json!({}))),
    ("SCIM-SCH-01", "a filter is accepted", |r| answer(r, "schemas filtered", 200, list(0, 1, &[]))),
    ("SCIM-LST-01", "names in another case", |r| {
        let body = at(r, "all")["body"].as_object_mut().unwrap();
        let resources = body.remove("Resources").unwrap();
        body.insert("resources".into(), resources);
    }),
    ("SCIM-PAG-02", "a list of types", |r| at(r, "types")["body"]["itemsPerPage"] = json!(10)),
    ("SCIM-FLT-03", "the value's case matters", |r| at(r, "by name in capitals")["body"] = list(0, 1, &[])),
    ("SCIM-FLT-03", "the operator's case matters", |r| answer(r, "by name, odd case", 400, keyed(400, "invalidFilter"))),
    ("SCIM-FLT-04", "accepted as if absent", |r| answer(r, "broken filter", 200, list(3, 1, &people()))),
    ("SCIM-FLT-04", "without its keyword", |r| answer(r, "broken filter", 400, error(400))),
    ("SCIM-ERR-01", "the status as a number", |r| at(r, "unknown id")["body"]["status"] = json!(404)),
    ("SCIM-ERR-01", "no schema of an error", |r| answer(r, "unknown path", 404, json!({"message": "no"}))),
    ("SCIM-ERR-01", "no detail", |r| drop(at(r, "broken patch")["body"].as_object_mut().unwrap().remove("detail"))),
    ("SCIM-RTE-01", "no Retry-After", |r| at(r, "too many")["headers"] = json!({})),
    ("SCIM-CRE-01", "without its keyword", |r| answer(r, "duplicate", 409, error(409))),
];

/// Every fault, each in a recording of its own.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let made = |level: Level| {
        move |(rule, what, change): &(&'static str, &'static str, Change)| {
            let mut recording = correct();
            change(&mut recording);
            Fixture { rule, level, what, recording, known: Known::default() }
        }
    };
    let mut all: Vec<Fixture> = FAULTS.iter().map(made(Level::Fail)).chain(DOUBTS.iter().map(made(Level::Warn))).collect();
    for (level, what, ends) in [(Level::Fail, "the token's end is past", 1_000), (Level::Warn, "the token's end is near", 10 * 86_400_000)]
    {
        let known = Known { token_ends: Some((UnixMs(ends), UnixMs(2_000))), ..Known::default() };
        all.push(Fixture { rule: "SCIM-AUT-03", level, what, recording: correct(), known });
    }
    all
}
