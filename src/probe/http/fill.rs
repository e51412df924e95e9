//! Puts a text in the place of a placeholder, wherever a request may hold it: header, query, body. Never in a secret, never in the URL itself.

use serde_json::Value;

use super::body::Filling;
use super::{Body, Given, HttpCheck};

impl HttpCheck {
    /// The same request with `text` in every place of `placeholder`; and whether there was any.
    pub fn filled(&self, placeholder: &str, text: &str) -> (Self, bool) {
        let (mut filled, mut any) = (self.clone(), false);
        let given = filled.headers.iter_mut().map(|(_, g)| g).chain(filled.query.iter_mut().map(|(_, g)| g));
        given.for_each(|g| fill_given(g, placeholder, text, &mut any));
        match filled.body.as_deref_mut() {
            None => {}
            Some(Body::Text(body)) => fill(body, placeholder, text, &mut any),
            Some(Body::Json(document, _)) => fill_json(document, placeholder, text, &mut any),
            // What it holds is known when it is read.
            Some(Body::File(_, fillings)) => {
                fillings.push(Filling { placeholder: placeholder.to_owned(), text: text.to_owned(), must: !any });
                any = true;
            }
            Some(Body::Form(fields)) => fields.iter_mut().for_each(|(_, g)| fill_given(g, placeholder, text, &mut any)),
        }
        (filled, any)
    }
}

fn fill(into: &mut String, placeholder: &str, text: &str, any: &mut bool) {
    if into.contains(placeholder) {
        *into = into.replace(placeholder, text);
        *any = true;
    }
}

fn fill_given(given: &mut Given, placeholder: &str, text: &str, any: &mut bool) {
    if let Given::Text(value) = given {
        fill(value, placeholder, text, any);
    }
}

/// As deep as the configuration was read.
fn fill_json(value: &mut Value, placeholder: &str, text: &str, any: &mut bool) {
    match value {
        Value::String(s) => fill(s, placeholder, text, any),
        Value::Array(items) => items.iter_mut().for_each(|v| fill_json(v, placeholder, text, any)),
        Value::Object(members) => members.values_mut().for_each(|v| fill_json(v, placeholder, text, any)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
