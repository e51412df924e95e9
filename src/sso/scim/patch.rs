//! What a PATCH or PUT asks for: the forms it uses, the effect to expect, and whether a resource shows that effect.

use std::collections::HashSet;

use serde_json::Value;

use super::filter::{Filter, member, plain_name};
use crate::finding::Rule;
use crate::finding::scim::{PAT_01, PAT_02, PAT_03, PAT_04, PAT_05, PAT_06};

/// Operations of a PATCH that are read at most.
const MOST_OPERATIONS: usize = 200;

/// Effects of a change that are looked for.
const MOST_EFFECTS: usize = 64;

/// A form that some servers refuse; the last is the most telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// A plain operation: small letters, a path, a value of the right type.
    Plain,
    /// `Replace` instead of `replace`.
    Capital,
    /// No path, an object as value.
    NoPath,
    /// `"False"` instead of `false`.
    TextBoolean,
    /// Adds members.
    AddMember,
    /// A path with a filter.
    FilteredPath,
    /// Removes one member.
    RemoveMember,
}

impl Form {
    /// The rule of this form.
    pub(super) fn rule(self) -> &'static Rule {
        match self {
            Self::Plain => &PAT_01,
            Self::Capital => &PAT_02,
            Self::NoPath => &PAT_03,
            Self::TextBoolean => &PAT_04,
            Self::AddMember | Self::FilteredPath => &PAT_06,
            Self::RemoveMember => &PAT_05,
        }
    }
    /// What people call it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Plain => "a plain PATCH",
            Self::Capital => "an op with a capital letter",
            Self::NoPath => "a PATCH without path",
            Self::TextBoolean => "a boolean as text",
            Self::AddMember => "adding a member",
            Self::FilteredPath => "a path with a filter",
            Self::RemoveMember => "removing one member",
        }
    }
}

/// What must show afterwards.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// The attribute at this path, such as `name.givenName`, has this value.
    Is(String, Value),
    /// Some entry of the attribute matches the filter and has this sub-attribute.
    Entry { attribute: String, filter: Filter, sub: String, value: Value },
    /// The member was added.
    Joined(String),
    /// The member was removed.
    Left(String),
}

/// A change, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wish {
    /// The forms used; empty: nothing that can be judged.
    pub forms: Vec<Form>,
    /// The effects to expect.
    pub effects: Vec<Effect>,
    /// It is wrong on purpose, or cannot be read.
    pub invalid: bool,
}

impl Wish {
    /// Reads a PATCH.
    pub(super) fn of_patch(body: &Value) -> Self {
        let mut wish = Self::default();
        let Some(operations) = member(body, "Operations").and_then(Value::as_array).filter(|o| !o.is_empty()) else {
            return Self { invalid: true, ..wish };
        };
        for operation in operations.iter().take(MOST_OPERATIONS) {
            wish.take(operation);
        }
        if wish.forms.is_empty() {
            wish.forms.push(Form::Plain);
        }
        wish.effects.truncate(MOST_EFFECTS);
        wish.forms.sort_unstable();
        wish.forms.dedup();
        wish
    }

    /// Reads a PUT: what a client may set must show afterwards.
    pub(super) fn of_put(body: &Value) -> Self {
        let mut wish = Self::default();
        for name in ["userName", "active", "displayName"] {
            if let Some(value) = member(body, name) {
                wish.expect(name, value);
            }
        }
        wish
    }

    fn take(&mut self, operation: &Value) {
        let Some(op) = member(operation, "op").and_then(Value::as_str) else {
            self.invalid = true;
            return;
        };
        let kind = op.to_ascii_lowercase();
        if !matches!(kind.as_str(), "add" | "replace" | "remove") {
            self.invalid = true;
            return;
        }
        if kind != op {
            self.forms.push(Form::Capital);
        }
        let path = member(operation, "path").and_then(Value::as_str).map(str::trim).filter(|p| !p.is_empty());
        let value = member(operation, "value");
        match (path, value) {
            (None, Some(Value::Object(all))) if kind != "remove" => {
                self.forms.push(Form::NoPath);
                for (name, value) in all {
                    self.set(&kind, name, value);
                }
            }
            (None, _) => self.invalid = true,
            (Some(path), value) => self.at(&kind, path, value),
        }
    }

    fn at(&mut self, kind: &str, path: &str, value: Option<&Value>) {
        if let Some((attribute, rest)) = path.split_once('[') {
            let attribute = plain_name(attribute).to_owned();
            let Some((inside, sub)) = rest.rsplit_once(']') else {
                self.invalid = true;
                return;
            };
            let Some(filter) = Filter::read(inside) else {
                self.invalid = true;
                return;
            };
            let of_members = attribute.eq_ignore_ascii_case("members");
            self.forms.push(if of_members && kind == "remove" { Form::RemoveMember } else { Form::FilteredPath });
            match (kind, sub.strip_prefix('.'), value) {
                ("remove", _, _) if of_members => {
                    let gone = filter.equalities().into_iter().filter(|q| q.attribute == "value").map(|q| Effect::Left(q.value));
                    self.effects.extend(gone);
                }
                ("add" | "replace", Some(sub), Some(value)) if is_simple(value) => {
                    self.effects.push(Effect::Entry { attribute, filter, sub: sub.to_owned(), value: value.clone() });
                }
                _ => {}
            }
            return;
        }
        match (kind, value) {
            ("remove", value) => {
                let named = value.map(ids).unwrap_or_default();
                if is_members(path) && !named.is_empty() {
                    self.forms.push(Form::RemoveMember);
                    self.effects.extend(named.into_iter().map(Effect::Left));
                }
            }
            (_, Some(value)) => self.set(kind, path, value),
            (_, None) => self.invalid = true,
        }
    }

    fn set(&mut self, kind: &str, path: &str, value: &Value) {
        if is_members(path) {
            if kind == "add" {
                self.forms.push(Form::AddMember);
                self.effects.extend(ids(value).into_iter().map(Effect::Joined));
            }
            return;
        }
        if plain_name(path).eq_ignore_ascii_case("active") && truth(value).is_some() && !value.is_boolean() {
            self.forms.push(Form::TextBoolean);
        }
        self.expect(path, value);
    }

    fn expect(&mut self, path: &str, value: &Value) {
        // An extension's attributes stand under its schema: their effect is not looked for.
        let of_extension = path.contains(':') && !path.to_ascii_lowercase().contains(":core:");
        if is_simple(value) && !of_extension && !plain_name(path).eq_ignore_ascii_case("password") {
            self.effects.push(Effect::Is(plain_name(path).to_owned(), value.clone()));
        }
    }

    /// What it sets `active` to.
    pub(super) fn active(&self) -> Option<bool> {
        let set = |e: &Effect| match e {
            Effect::Is(path, value) if path.eq_ignore_ascii_case("active") => truth(value),
            _ => None,
        };
        self.effects.iter().rev().find_map(set)
    }

    /// Whether a resource shows the effects; `Err` says what it shows instead, `None` that it can't be told. `before`: the members there were;
    /// `count`: how many there were, where only that is known.
    pub(super) fn shown(&self, resource: &Value, before: Option<&[String]>, count: Option<usize>) -> Option<Result<(), &'static str>> {
        let mut told = None;
        for effect in &self.effects {
            match shows(effect, resource) {
                Some(Err(why)) => return Some(Err(why)),
                Some(Ok(())) => told = Some(Ok(())),
                None => {}
            }
        }
        let left: Vec<&String> = self.effects.iter().filter_map(|e| if let Effect::Left(id) = e { Some(id) } else { None }).collect();
        if !left.is_empty()
            && let Some(now) = members(resource)
        {
            let kept: HashSet<&String> = now.iter().collect();
            let lost = before.is_some_and(|b| b.iter().any(|id| !left.contains(&id) && !kept.contains(id)));
            if lost || (before.is_none() && count.is_some_and(|c| kept.len() + left.len() < c)) {
                return Some(Err("other members were removed too"));
            }
        }
        told
    }
}

fn shows(effect: &Effect, resource: &Value) -> Option<Result<(), &'static str>> {
    let judged = |held: bool, why| Some(if held { Ok(()) } else { Err(why) });
    match effect {
        Effect::Is(path, value) => {
            let mut found = resource;
            for part in path.split('.') {
                found = member(found, part)?;
            }
            judged(same(found, value), "the old value is still shown")
        }
        Effect::Entry { attribute, filter, sub, value } => {
            let entries = member(resource, attribute)?.as_array()?;
            let fits = |entry: &Value| filter.holds(entry) == Some(true) && member(entry, sub).is_some_and(|v| same(v, value));
            judged(entries.iter().any(fits), "the entry does not have the new value")
        }
        Effect::Joined(id) => match members(resource)?.iter().filter(|m| *m == id).count() {
            0 => judged(false, "the member is not there"),
            many => judged(many == 1, "the member is there twice"),
        },
        Effect::Left(id) => judged(!members(resource)?.contains(id), "the member is still there"),
    }
}

/// The ids of a group's members; `None`: not shown.
pub(super) fn members(resource: &Value) -> Option<Vec<String>> {
    let all = member(resource, "members")?.as_array()?;
    Some(all.iter().filter_map(|m| m.get("value").and_then(Value::as_str)).map(str::to_owned).collect())
}

fn is_members(path: &str) -> bool {
    plain_name(path).eq_ignore_ascii_case("members")
}

fn ids(value: &Value) -> Vec<String> {
    let one = |v: &Value| v.as_str().or_else(|| v.get("value").and_then(Value::as_str)).map(str::to_owned);
    match value {
        Value::Array(all) => all.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

fn is_simple(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// A boolean, or what Entra writes for one.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::String(t) if t.eq_ignore_ascii_case("true") => Some(true),
        Value::String(t) if t.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The same value, but for case (userNames may be folded) and for booleans as text (another rule's matter).
fn same(found: &Value, wanted: &Value) -> bool {
    match (truth(found), truth(wanted)) {
        (Some(f), Some(w)) => f == w,
        _ => match (found, wanted) {
            (Value::String(f), Value::String(w)) => f.to_lowercase() == w.to_lowercase(),
            (f, w) => f == w,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(operation: &Value) -> Wish {
        Wish::of_patch(&json!({"Operations": [operation]}))
    }

    #[test]
    fn the_forms_of_the_vendors() {
        for (operation, forms) in [
            (json!({"op": "replace", "path": "active", "value": false}), vec![Form::Plain]),
            (json!({"op": "Replace", "path": "active", "value": false}), vec![Form::Capital]),
            (json!({"op": "Replace", "path": "active", "value": "False"}), vec![Form::Capital, Form::TextBoolean]),
            (json!({"op": "replace", "value": {"active": false}}), vec![Form::NoPath]),
            (json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "a"}), vec![Form::Capital, Form::FilteredPath]),
            (json!({"op": "Remove", "path": "members", "value": [{"value": "u1"}]}), vec![Form::Capital, Form::RemoveMember]),
            (json!({"op": "remove", "path": "members[value eq \"u1\"]"}), vec![Form::RemoveMember]),
            (json!({"op": "Add", "path": "members", "value": [{"value": "u1"}]}), vec![Form::Capital, Form::AddMember]),
        ] {
            let wish = patch(&operation);
            assert_eq!((&wish.forms, wish.invalid, wish.effects.len()), (&forms, false, 1), "{operation}");
        }
        for garbage in [json!({"op": "frob", "path": "active", "value": 1}), json!({"path": "active"}), json!({"op": "replace"}), json!(3)]
        {
            assert!(patch(&garbage).invalid, "{garbage}");
        }
    }

    #[test]
    fn effects_show_or_not() {
        let gone = patch(&json!({"op": "remove", "path": "members[value eq \"u1\"]"}));
        let group = |ids: &[&str]| json!({"members": ids.iter().map(|i| json!({"value": i})).collect::<Vec<_>>()});
        let before = ["u1".to_owned(), "u2".to_owned()];
        assert_eq!(gone.shown(&group(&["u2"]), Some(&before), None), Some(Ok(())));
        assert!(gone.shown(&group(&[]), Some(&before), None).unwrap().is_err());
        assert!(gone.shown(&group(&["u1", "u2"]), None, None).unwrap().is_err());
        assert!(gone.shown(&group(&[]), None, Some(3)).unwrap().is_err());
        assert_eq!(gone.shown(&json!({}), Some(&before), None), None);
        let off = patch(&json!({"op": "Replace", "path": "active", "value": "False"}));
        assert_eq!((off.active(), off.shown(&json!({"active": false}), None, None)), (Some(false), Some(Ok(()))));
        assert!(off.shown(&json!({"active": true}), None, None).unwrap().is_err());
    }
}
