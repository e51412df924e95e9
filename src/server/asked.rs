//! The JSON object in a request's body, read key by key; everything that is wrong with it is told at once.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::api::Problem;
use crate::config::table::nearest;

/// Problems told of one request.
const MOST: usize = 20;

/// What is wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct FieldProblem {
    /// The key.
    field: String,
    /// What is wrong with it.
    error: String,
}

/// A key of a request's object: a text of one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) required: bool,
    /// What it says, for the API's document.
    pub(super) description: &'static str,
}

/// A key that must be there.
pub(super) const fn must(name: &'static str, description: &'static str) -> Key {
    Key { name, required: true, description }
}

/// A key that may be left out.
pub(super) const fn may(name: &'static str, description: &'static str) -> Key {
    Key { name, required: false, description }
}

/// A request's object, and what was wrong with it so far.
#[derive(Debug)]
pub(super) struct Fields {
    body: Map<String, Value>,
    problems: Vec<FieldProblem>,
}

impl Fields {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let unreadable =
            |why: String| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not readable: {why}"), "Send one JSON object.");
        match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => Ok(Self { body, problems: Vec::new() }),
            Ok(_) => Err(unreadable("it is no JSON object".to_owned())),
            Err(e) => Err(unreadable(e.to_string())),
        }
    }

    /// Something is wrong with a key.
    pub(super) fn problem(&mut self, field: &str, error: String) {
        if self.problems.len() < MOST {
            self.problems.push(FieldProblem { field: field.chars().take(60).collect(), error });
        }
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.body.get(key).is_some_and(|v| !v.is_null())
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, key: &'static str, longest: usize) -> Option<String> {
        if self.body.get(key).is_none_or(Value::is_null) {
            self.problem(key, "is missing".to_owned());
            return None;
        }
        self.optional(key, longest)
    }

    /// A text, if it is there: one line, 1 to so many characters.
    pub(super) fn optional(&mut self, key: &'static str, longest: usize) -> Option<String> {
        let value = self.body.get(key).filter(|v| !v.is_null())?;
        let wrong = match value.as_str().map(str::trim) {
            None => "expected a text".to_owned(),
            Some("") => "is empty".to_owned(),
            Some(text) if text.chars().count() > longest => format!("is longer than {longest} characters"),
            Some(text) if text.chars().any(char::is_control) => "expected one line, without control characters".to_owned(),
            Some(text) => return Some(text.to_owned()),
        };
        self.problem(key, wrong);
        None
    }

    /// All keys were read: of others it is told which they may be meant to be. An error if anything is wrong.
    pub(super) fn done(mut self, keys: &[Key]) -> Result<(), Problem> {
        let keys: Vec<&str> = keys.iter().map(|k| k.name).collect();
        let others: Vec<String> = self.body.keys().filter(|k| !keys.contains(&k.as_str())).cloned().collect();
        for key in others {
            let near =
                nearest(&key, &keys).map_or_else(|| format!("there are {}", keys.join(", ")), |near| format!("did you mean {near}?"));
            self.problem(&key, format!("is not known; {near}"));
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        let shown: Vec<String> = self.problems.iter().map(|p| format!("{}: {}", p.field, p.error)).collect();
        Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            shown.join("; "),
            "Nothing was recorded. Mend what is listed under \"problems\".",
        )
        .with("problems", serde_json::to_value(&self.problems).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(body: &Value) -> Fields {
        Fields::read(&serde_json::to_vec(body).unwrap()).unwrap()
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let mut f = fields(&json!({ "a": " x ", "b": 7, "c": "", "d": "a\nb", "e": "xxx", "f": null, "reasn": "y" }));
        assert_eq!(f.text("a", 2).as_deref(), Some("x"));
        assert_eq!(
            [f.text("b", 9), f.text("c", 9), f.text("d", 9), f.text("e", 2), f.text("f", 9), f.optional("g", 9)],
            [const { None }; 6]
        );
        let told =
            f.done(&[may("a", ""), may("b", ""), may("c", ""), may("d", ""), may("e", ""), may("f", ""), may("reason", "")]).unwrap_err();
        assert_eq!(told.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let want = "b: expected a text; c: is empty; d: expected one line, without control characters; e: is longer than 2 characters; \
                    f: is missing; reasn: is not known; did you mean reason?";
        assert_eq!(told.texts().0, want);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for bad in ["", "[]", "1", "{", "\"x\"", "nul"] {
            assert_eq!(Fields::read(bad.as_bytes()).unwrap_err().status(), StatusCode::BAD_REQUEST, "{bad}");
        }
        let many: Map<String, Value> = (0..1_000).map(|n| (format!("k{n}"), Value::Null)).collect();
        let mut f = Fields { body: many, problems: Vec::new() };
        assert!(f.optional("by", 10).is_none());
        assert!(f.done(&[may("by", "")]).unwrap_err().texts().0.len() < 2_000);
    }
}
