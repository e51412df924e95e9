//! `expect.schema`: a JSON Schema that the body must fit. Reads it from its file for every run, like every other file a check names; what does not fit is
//! told by the place in the body and in the schema, never by the value that stands there.
//!
//! Bounds: the size of the file, regular expressions in linear time, and no way out of the file: a `$ref` elsewhere is an error when it is read. How long
//! judging takes is not bounded: `http` does it off the runtime's threads, so that a run's deadline holds.

use std::path::{Path, PathBuf};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ReferencingError, ValidationError, Validator};
use serde_json::Value;

use crate::observed::bounded;

/// A schema may be this large.
const MOST_BYTES: u64 = 256 * 1024;
/// A compiled regular expression may be this large.
const MOST_OF_A_PATTERN: usize = 1 << 20;
/// So much that does not fit is told.
const MOST_TOLD: usize = 3;

/// The words that ask something of a document, of both drafts; a root with none of them asks nothing.
const WORDS: [&str; 40] = [
    "$ref",
    "$dynamicRef",
    "type",
    "enum",
    "const",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "required",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "minProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "minContains",
    "maxContains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "multipleOf",
];

/// A schema, ready to judge.
#[derive(Debug)]
pub(super) struct Schema(Validator);

/// What it says of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fits {
    pub(super) met: bool,
    /// What does not fit, the first of it.
    pub(super) seen: String,
}

/// Why a `$ref` can't be followed, without the words of whoever was to follow it.
fn nowhere(wrong: &ReferencingError) -> String {
    match wrong {
        ReferencingError::Unretrievable { uri, .. } => {
            format!("{uri} is another document, and nothing is fetched: what is referred to stands in the same file (#/$defs/...)")
        }
        ReferencingError::PointerToNowhere { pointer } => format!("nothing stands at {pointer}"),
        ReferencingError::NoSuchAnchor { anchor } | ReferencingError::InvalidAnchor { anchor } => format!("there is no $anchor {anchor}"),
        ReferencingError::UnknownSpecification { specification } => format!("{specification} is no draft that is known here"),
        _ => "it is not written as a reference".to_owned(),
    }
}

impl Schema {
    /// Reads it; an error names the file, and where in it. Blocking.
    pub(super) fn read_blocking(file: &Path) -> Result<Self, String> {
        let why = |why: String| format!("{} can't be used: {why}", file.display());
        let bytes = crate::files::read_blocking(file, MOST_BYTES).map_err(|e| why(e.to_string()))?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|e| why(format!("it is not JSON: {e}")))?;
        Self::new(&document).map_err(why)
    }

    /// The same, off the runtime's threads.
    pub(super) async fn read(file: &Path) -> Result<Self, String> {
        let path: PathBuf = file.to_owned();
        let read = tokio::task::spawn_blocking(move || Self::read_blocking(&path)).await;
        read.map_err(|_| format!("{}: reading was cut off", file.display())).and_then(|r| r)
    }

    fn new(document: &Value) -> Result<Self, String> {
        let draft = match document.get("$schema").map(|s| s.as_str().unwrap_or_default().trim_end_matches('#')) {
            None | Some("https://json-schema.org/draft/2020-12/schema") => Draft::Draft202012,
            Some("http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema") => Draft::Draft7,
            Some(_) => return Err("its $schema is neither draft 2020-12 nor draft 7".to_owned()),
        };
        // By the specification whatever an object says it does not know, it allows: an example of the body would be a schema that everything fits.
        if let Some(object) = document.as_object()
            && !object.keys().any(|key| WORDS.contains(&key.as_str()))
        {
            return Err("it is no JSON Schema: at its root stands none of type, properties, required, items, $ref, ...; is it an example of the body?".to_owned());
        }
        let patterns = PatternOptions::regex().size_limit(MOST_OF_A_PATTERN).dfa_size_limit(MOST_OF_A_PATTERN);
        let options = jsonschema::options().with_draft(draft).should_validate_formats(true).with_pattern_options(patterns);
        let at = |place: &str| if place.is_empty() { "its root".to_owned() } else { place.to_owned() };
        let why = |e: &ValidationError<'_>| match e.kind() {
            ValidationErrorKind::Referencing(wrong) => format!("a $ref leads nowhere: {}", nowhere(wrong)),
            _ => format!("at {}: {e}", at(e.instance_path().as_str())),
        };
        options.build(document).map(Self).map_err(|e| bounded(why(&e), 300))
    }

    /// Judges a body. May take long.
    pub(super) fn judge(&self, body: &[u8]) -> Fits {
        let document: Value = match serde_json::from_slice(body) {
            Ok(document) => document,
            Err(_) if body.is_empty() => return Fits { met: false, seen: "an empty body".to_owned() },
            Err(e) => return Fits { met: false, seen: format!("not JSON ({e})") },
        };
        let mut wrong = self.0.iter_errors(&document);
        let told: Vec<String> = wrong
            .by_ref()
            .take(MOST_TOLD)
            .map(|e| {
                let place = Some(e.instance_path().as_str()).filter(|p| !p.is_empty()).unwrap_or("/");
                // The name of what is missing stands in the schema, not in the body.
                let missing = match e.kind() {
                    ValidationErrorKind::Required { property: Value::String(name) } => format!(" ({name} is missing)"),
                    _ => String::new(),
                };
                format!("{place} breaks {}{missing}", e.schema_path().as_str())
            })
            .collect();
        let more = if wrong.next().is_some() { ", and more" } else { "" };
        if told.is_empty() { Fits { met: true, seen: "it does".to_owned() } } else { Fits { met: false, seen: told.join(", ") + more } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;
    use proptest::prelude::*;
    use serde_json::json;

    /// Any JSON, small; `keys` stand in its objects.
    fn any_json(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let words =
            ["c4nary", "object", "array", "string", "#", "#/$defs/a", "#/properties", "#a", "other.json", "^(a+)+$", "(", "date-time", ""];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3i64..9).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop::sample::select(words.to_vec()).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((prop::sample::select(keys.to_vec()), inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            ]
        })
    }

    /// What is told of a schema, and of a body by it: bounded, and nothing that stands in the body.
    fn told(schema: &Value, body: &[u8]) -> Result<(), TestCaseError> {
        match Schema::new(schema) {
            Ok(schema) => {
                let fits = schema.judge(body);
                prop_assert!(!fits.seen.contains("c4nary"), "{fits:?}");
            }
            Err(why) => prop_assert!(why.chars().count() <= 301 && !why.contains("feature") && !why.contains("registry"), "{why}"),
        }
        Ok(())
    }

    /// Committed seeds: schemas made of the words of schemas, bodies made of the words of bodies, and bytes that are neither.
    #[test]
    fn whatever_is_called_a_schema_is_one_or_refused_and_tells_no_value() {
        const OF_SCHEMAS: &[&str] = &[
            "$ref",
            "$dynamicRef",
            "$anchor",
            "$id",
            "$schema",
            "$defs",
            "type",
            "enum",
            "const",
            "allOf",
            "anyOf",
            "not",
            "if",
            "then",
            "properties",
            "patternProperties",
            "additionalProperties",
            "required",
            "items",
            "prefixItems",
            "contains",
            "minItems",
            "maxLength",
            "pattern",
            "format",
            "minimum",
            "multipleOf",
            "unevaluatedProperties",
            "a",
        ];
        const OF_BODIES: &[&str] = &["a", "orders", "id", "0", "~1", ""];
        seeds::tried(24, &(any_json(OF_SCHEMAS), any_json(OF_BODIES)), |(schema, body)| told(&schema, body.to_string().as_bytes()));
        let good = json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/a" } }, "$defs": { "a": { "type": "integer" } } });
        seeds::tried(16, &proptest::collection::vec(any::<u8>(), 0..80), |body| told(&good, &body));
        let file = tempfile::NamedTempFile::new().unwrap();
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..5);
        seeds::tried(8, &changes, |changes| {
            let mut text = good.to_string().into_bytes();
            for (at, byte, cut) in changes {
                let at = at.index(text.len());
                if cut { text.truncate(at + 1) } else { text[at] = byte }
            }
            std::fs::write(file.path(), &text).unwrap();
            if let Err(why) = Schema::read_blocking(file.path()) {
                prop_assert!(why.contains("can't be used: ") && why.chars().count() < 600, "{why}");
            }
            Ok(())
        });
    }

    #[test]
    fn one_that_refers_to_itself_ends() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
            json!({ "items": { "$ref": "#" } }),
        ] {
            for body in ["{}", "[[]]", &deep] {
                told(&schema, body.as_bytes()).unwrap();
            }
        }
    }
}
