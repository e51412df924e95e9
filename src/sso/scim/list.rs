//! One list answer: its form (LST), its numbers against what was asked for (PAG), and the resources in it.

use serde_json::{Map, Value};

use super::exchange::Exchange;
use super::found::Found;
use crate::finding::Level;
use crate::finding::scim::{LST_01, PAG_01, PAG_02, PAG_03};

const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// A list, read tolerantly.
#[derive(Debug, Default)]
pub(super) struct List<'a> {
    /// The resources.
    pub resources: Vec<&'a Value>,
    /// `totalResults` where it is a number.
    pub total: Option<u64>,
    /// `startIndex`; `Some(None)`: there, but no number.
    pub start: Option<Option<i64>>,
    /// `itemsPerPage`, likewise.
    pub per_page: Option<Option<u64>>,
    /// The form is wrong: the numbers can't be trusted.
    pub malformed: bool,
    /// The numbers of this page don't fit what was asked for: comparing pages would only say it again.
    pub off: bool,
}

/// A member under its name, or under the same name in another case.
struct Members<'a> {
    object: &'a Map<String, Value>,
    other_case: Vec<&'static str>,
}

impl<'a> Members<'a> {
    fn get(&mut self, name: &'static str) -> Option<&'a Value> {
        if let Some(value) = self.object.get(name) {
            return Some(value);
        }
        let (_, value) = self.object.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        self.other_case.push(name);
        Some(value)
    }
}

impl<'a> List<'a> {
    /// Reads the answer and notes what is wrong with its form: one finding.
    pub(super) fn read(e: &'a Exchange, found: &mut Found) -> Self {
        let mut list = Self::default();
        let Some(object) = e.object() else {
            if let Some(bare) = e.body.as_array() {
                list.resources = bare.iter().collect();
            }
            found.add(
                &LST_01,
                &e.name,
                if e.body.is_array() { "a bare array instead of a ListResponse" } else { "no ListResponse object in the answer" },
            );
            list.malformed = true;
            return list;
        };
        let mut members = Members { object, other_case: Vec::new() };
        let mut wrong = Vec::new();
        let schemas = members.get("schemas");
        let is_list =
            schemas.and_then(Value::as_array).is_some_and(|s| s.iter().filter_map(Value::as_str).any(|s| s.eq_ignore_ascii_case(SCHEMA)));
        if !is_list {
            wrong.push("schemas is not that of a ListResponse");
        }
        let (total, resources) = (members.get("totalResults"), members.get("Resources"));
        list.start = members.get("startIndex").filter(|v| !v.is_null()).map(Value::as_i64);
        list.per_page = members.get("itemsPerPage").filter(|v| !v.is_null()).map(Value::as_u64);
        list.total = total.and_then(whole);
        match total {
            None | Some(Value::Null) => wrong.push("totalResults is missing"),
            Some(_) if list.total.is_none() => wrong.push("totalResults is not a number"),
            Some(_) => {}
        }
        match resources {
            Some(Value::Array(all)) => list.resources = all.iter().collect(),
            None | Some(Value::Null) if list.total.unwrap_or(0) == 0 || e.request.target.query.most() == Some(0) => {}
            None | Some(Value::Null) => wrong.push("Resources is missing although totalResults is not 0"),
            Some(_) => wrong.push("Resources is not an array"),
        }
        if list.resources.iter().any(|r| !r.is_object()) {
            wrong.push("Resources holds something other than objects");
            list.resources.retain(|r| r.is_object());
        }
        list.malformed = !wrong.is_empty();
        if list.malformed {
            found.add(&LST_01, &e.name, wrong.join(", "));
        } else if !members.other_case.is_empty() {
            found.warn(&LST_01, &e.name, format!("names in another case: {}", members.other_case.join(", ")));
        }
        list
    }

    /// How many resources came.
    pub(super) fn returned(&self) -> u64 {
        self.resources.len() as u64
    }

    /// Judges the numbers against the request. `whole`: how many there are, where that is known.
    pub(super) fn judge_numbers(&mut self, e: &Exchange, whole: Option<u64>, found: &mut Found) {
        let Some(total) = self.total.filter(|_| !self.malformed && !e.request.target.query.odd) else { return };
        let query = &e.request.target.query;
        let (returned, first) = (self.returned(), query.first());
        let level = if e.request.target.endpoint.is_discovery() { Level::Warn } else { Level::Fail };
        let mut add = |rule, level: Level, cause: String| match level {
            Level::Fail => found.add(rule, &e.name, cause),
            _ => found.warn(rule, &e.name, cause),
        };
        // Asked for what is behind the end: everything else follows from what came instead.
        let end = whole.unwrap_or(total);
        if first > end.max(1) && returned > 0 {
            add(&PAG_03, level, "a page past the end has resources in it".to_owned());
            self.off = true;
            return;
        }
        let most = query.most();
        if most.is_some_and(|m| returned > m) {
            add(&PAG_02, level, format!("asked for at most {}, got {returned}", most.unwrap_or(0)));
            self.off = true;
        }
        let partial = returned < total && returned > 0;
        match self.start {
            Some(Some(start)) if i64::try_from(first).is_ok_and(|f| f == start) => {}
            // Nothing was returned: no user is lost by the number.
            Some(_) if returned == 0 => add(&PAG_01, Level::Warn, "startIndex of an empty page is not the one asked for".to_owned()),
            Some(start) => {
                let got = start.map_or_else(|| "no number".to_owned(), |s| s.to_string());
                add(&PAG_01, level, format!("startIndex asked for {first}, got {got}"));
                self.off = true;
            }
            None if partial => {
                add(&PAG_01, level, "startIndex is missing on a page that is not all".to_owned());
                self.off = true;
            }
            None => {}
        }
        match self.per_page {
            Some(Some(per_page)) if per_page == returned => {}
            Some(_) if self.off => {}
            Some(Some(per_page)) => {
                let level = if returned == 0 { Level::Warn } else { level };
                add(&PAG_02, level, format!("itemsPerPage is {per_page}, returned were {returned}"));
            }
            Some(None) => add(&PAG_02, level, "itemsPerPage is not a number".to_owned()),
            None if partial && !self.off => add(&PAG_02, level, "itemsPerPage is missing on a page that is not all".to_owned()),
            None => {}
        }
        if let Some(whole) = whole.filter(|w| *w != total) {
            add(&PAG_03, level, format!("totalResults is {total}, there are {whole}"));
            self.off = true;
        } else if returned > 0 && first.saturating_add(returned - 1) > total {
            add(&PAG_03, level, format!("totalResults is {total}, but positions up to {} came", first.saturating_add(returned - 1)));
            self.off = true;
        } else if returned == 0 && total > 0 && first <= total && most != Some(0) && query.filter.is_none() {
            add(&PAG_03, level, format!("totalResults is {total}, and the page within it is empty"));
            self.off = true;
        }
    }
}

/// A number that is whole and not negative; `3.0` is one.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && (0.0..1e15).contains(f)).map(|f| f as u64))
}
