//! What of a kind's table is judged, key by key, in one canonical form: the same judgement gives the same words, however the table was written.
//!
//! Each kind says its own (`Kind::material`). A key that stands at its default is not said, so that a later version with more keys says the same of an
//! old table; and what a key is compared with is written out beside it, never taken from elsewhere: where a default changes, what is judged changes.
//! Knows no secret: not where it is found, only that there is one. Reads no file: whoever hashes this does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What is judged, by key. The values of a key are a set: where the order of a list decided anything, its index would stand in the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Material {
    texts: BTreeMap<String, BTreeSet<String>>,
    files: BTreeMap<String, PathBuf>,
}

impl Material {
    /// Says a value of a key, besides those it has.
    pub fn say(&mut self, key: impl Into<String>, value: &(impl ToString + ?Sized)) {
        self.texts.entry(key.into()).or_default().insert(value.to_string());
    }

    /// Says a value unless it is the one that holds where nothing is written.
    pub fn unless<T: PartialEq + ToString>(&mut self, default: &T, key: &str, value: &T) {
        if value != default {
            self.say(key, value);
        }
    }

    /// Says a value that consists of several parts.
    pub fn parts(&mut self, key: &str, parts: &Value) {
        self.say(key, &canonical(parts));
    }

    /// Says that the contents of a file belong to it, wherever it lies.
    pub fn file(&mut self, key: &str, path: &Path) {
        self.files.insert(key.to_owned(), path.to_owned());
    }

    /// Takes another one in, its keys below this one.
    pub fn below(&mut self, key: &str, other: Self) {
        self.texts.extend(other.texts.into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
        self.files.extend(other.files.into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
    }

    /// Each key with its values, sorted.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.texts.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// Each key that names a file, sorted.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files.iter().map(|(k, v)| (k.as_str(), v.as_path()))
    }
}

/// A JSON value with its keys sorted and whole numbers without a fraction, so that 1 and 1.0 are one.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(o) => {
            let sorted: BTreeMap<&String, &Value> = o.iter().collect();
            let all: Vec<String> = sorted.iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v))).collect();
            format!("{{{}}}", all.join(","))
        }
        Value::Array(a) => format!("[{}]", a.iter().map(canonical).collect::<Vec<_>>().join(",")),
        // Up to 2^53 a float is exact.
        Value::Number(n) => match n.as_f64().filter(|x| n.is_f64() && x.fract() == 0.0 && x.abs() < 9e15) {
            Some(whole) => format!("{}", whole as i64),
            None => n.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_form_for_equal_values() {
        assert_eq!(canonical(&json!({"b": [1.0, 2.5, -0.0], "a": "x\"y"})), r#"{"a":"x\"y","b":[1,2.5,0]}"#);
        assert_eq!(canonical(&json!(1)), canonical(&json!(1.0)));
        assert_ne!(canonical(&json!(1)), canonical(&json!("1")));
        assert_ne!(canonical(&json!(1e300)), canonical(&json!(1e301)));
    }

    #[test]
    fn the_order_of_what_is_said_does_not_matter() {
        let said = |words: &[&str]| {
            let mut m = Material::default();
            words.iter().for_each(|w| m.say("contains", w));
            m.unless(&0, "redirects", &0);
            m
        };
        assert_eq!(said(&["a", "b"]), said(&["b", "a"]));
        assert_ne!(said(&["a", "b"]), said(&["a"]));
        let mut outer = Material::default();
        outer.below("check.x", said(&["a"]));
        assert_eq!(outer.texts().map(|(k, _)| k).collect::<Vec<_>>(), ["check.x.contains"]);
    }
}
