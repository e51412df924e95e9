//! `/api/v1/openapi.json`: an OpenAPI 3.1 document of everything the listener answers, made of the table of operations and of the types of the answers.
//! Owns no path and no type of its own.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use http::{Method, header};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::api::{ErrorBody, NotReloaded};
use super::asked::Key;
use super::gate::{needed, public};
use super::operations::{ALL, Content, Operation};

pub(super) async fn document() -> Response {
    // Made once: it depends on nothing but this program.
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", openapi()));
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|s| {
        s.definitions_path = "/components/schemas".into();
        s.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let error = json!({
        "description": "Something else: what is wrong, and what to do.",
        "content": { "application/json": { "schema": generator.subschema_for::<ErrorBody>() } },
    });
    let mut paths: Map<String, Value> = Map::new();
    for o in ALL {
        let method = if o.changes() { "post" } else { "get" };
        let here = paths.entry(o.path).or_insert_with(|| json!({ "parameters": path_parameters(o.path) }));
        here[method] = operation(o, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Soakwatch",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The listener of the daemon. Times are RFC 3339 in UTC; what is not known is null or left out. docs/api.md says more.",
        },
        "servers": [{ "url": "/" }],
        // Without tokens in the configuration none is asked for.
        "security": [{ "bearer": [] }, { "basic": [] }, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A token made with `soakwatch token`." },
                "basic": { "type": "http", "scheme": "basic", "description": "The token as password, with any user name." },
            },
            "responses": {
                "Error": error,
                "NotModified": { "description": "What If-None-Match names is what there is." },
            },
            "schemas": generator.take_definitions(true),
        },
    })
}

fn operation(o: &Operation, generator: &mut SchemaGenerator) -> Value {
    let method = if o.changes() { Method::POST } else { Method::GET };
    let (status, content) = o.answer;
    let mut responses = Map::new();
    responses.insert(status.to_string(), answered(content, generator));
    if let (false, Content::Json(_)) = (o.changes(), content) {
        responses.insert("304".into(), json!({ "$ref": "#/components/responses/NotModified" }));
    }
    if o.name == "reload" {
        let refused = generator.subschema_for::<NotReloaded>();
        responses.insert(
            "422".into(),
            json!({ "description": "It has errors; nothing was changed.", "content": { "application/json": { "schema": refused } } }),
        );
    }
    if public(o.path) {
        responses.insert("503".into(), answered(content, generator));
    } else {
        responses.insert("default".into(), json!({ "$ref": "#/components/responses/Error" }));
    }
    let mut made = json!({ "operationId": o.name, "summary": o.summary, "responses": responses });
    if public(o.path) {
        made["security"] = json!([]);
    } else {
        made["description"] = format!("For the role {}, or one above it.", needed(&method, o.path)).into();
    }
    if !o.query.is_empty() {
        let all = o.query.iter().map(|p| {
            json!({ "name": p.name, "in": "query", "required": p.required, "description": p.description, "schema": { "type": "string" } })
        });
        made["parameters"] = all.collect();
    }
    if let Some(keys) = o.asked.filter(|keys| !keys.is_empty()) {
        made["requestBody"] =
            json!({ "required": keys.iter().any(|k| k.required), "content": { "application/json": { "schema": object(keys) } } });
    }
    made
}

fn answered(content: Content, generator: &mut SchemaGenerator) -> Value {
    match content {
        Content::Json(schema) => {
            json!({ "description": "As asked for.", "content": { "application/json": { "schema": schema(generator) } } })
        }
        Content::Text(media) => {
            // In the keys of `content` a media type stands without parameters.
            let media = media.split(';').next().unwrap_or(media);
            json!({ "description": "As asked for.", "content": { media: { "schema": { "type": "string" } } } })
        }
    }
}

/// The object a request's body holds.
fn object(keys: &[Key]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|k| (k.name.to_owned(), json!({ "type": "string", "description": k.description }))).collect();
    let required: Vec<&str> = keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// The parts of a path that stand for something.
fn path_parameters(path: &str) -> Value {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })).collect()
}
