//! `expect.schema`: a JSON Schema that the body must fit. Reads it from its file for every run, like every other file a check names; what does not fit is
//! told by the place in the body and in the schema, never by the value that stands there.
//!
//! Bounds: the size of the file, regular expressions in linear time, and no way out of the file: a `$ref` elsewhere is an error when it is read. Judging
//! is off the runtime's threads, so that a run's deadline holds.

use std::path::{Path, PathBuf};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::observed::{Failure, bounded};
use crate::outcome::Cause;

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
        options.build(document).map(Self).map_err(|e| bounded(format!("at {}: {e}", at(e.instance_path().as_str())), 300))
    }

    /// Judges a body. A failure where it could not be judged at all.
    pub(super) async fn judge(self, body: Vec<u8>) -> Result<Fits, Failure> {
        let judged = tokio::task::spawn_blocking(move || self.judge_blocking(&body)).await;
        judged.map_err(|_| Failure::ours(Cause::Internal, "the JSON Schema could not be applied"))
    }

    fn judge_blocking(&self, body: &[u8]) -> Fits {
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
