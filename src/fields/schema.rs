//! What JSON schemas say of the values people write: texts, each with a word on what it looks like. Never reads or writes a value.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Bytes, CheckId, HttpUrl, IntegrationId, Ratio, Slug, Span, Volume};

/// A type that is a text in JSON.
macro_rules! text {
    ($($t:ident: $description:literal, $example:literal;)+) => { $(
        impl JsonSchema for $t {
            fn schema_name() -> Cow<'static, str> {
                stringify!($t).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $description, "examples": [$example] })
            }
        }
    )+ };
}

text! {
    Slug: "A name: lower-case letters, digits and single hyphens.", "crm-orders";
    IntegrationId: "customer/environment/integration.", "acme/production/crm-orders";
    CheckId: "customer/environment/integration/check.", "acme/production/crm-orders/list-orders";
    Span: "A span of time.", "1h30m";
    Bytes: "A size.", "64KiB";
    HttpUrl: "An absolute http or https URL.", "https://wiki.example.com/acme";
    Volume: "So many calls in a unit of time.", "600/min";
}

impl JsonSchema for Ratio {
    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1, "description": "A share." })
    }
}
