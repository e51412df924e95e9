//! `expect` and `observe`: what must hold of a response, and which numbers are read from it. Types and their reading; judging is in `judge.rs`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use serde_json::Value;
use toml::de::DeValue;

use super::body::scalar;
use super::pattern::{Path, Pattern};
use crate::config::table::{self, Table, short};
use crate::fields::{Bytes, Span};

/// What must hold of the response.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// `status`; `2xx` unless said.
    pub status: Vec<StatusRange>,
    /// `headers`.
    pub headers: Vec<(HeaderName, HeaderTest)>,
    /// `json`: a path and what must hold of what it selects.
    pub json: Vec<(Path, JsonTest)>,
    /// `schema`: a file with a JSON Schema that the body must fit.
    pub schema: Option<PathBuf>,
    /// `contains`.
    pub contains: Vec<String>,
    /// `not_contains`.
    pub not_contains: Vec<String>,
    /// `matches`.
    pub matches: Option<Box<Pattern>>,
    /// `size.min`.
    pub size_min: Option<Bytes>,
    /// `size.max`.
    pub size_max: Option<Bytes>,
    /// `within`: from the first look-up to the body's end, redirects included, a token request not.
    pub within: Option<Span>,
    /// `certificate_days`: days left at least, over every certificate seen.
    pub certificate_days: Option<u16>,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            status: vec![StatusRange { from: 200, to: 299 }],
            headers: Vec::new(),
            json: Vec::new(),
            schema: None,
            contains: Vec::new(),
            not_contains: Vec::new(),
            matches: None,
            size_min: None,
            size_max: None,
            within: None,
            certificate_days: None,
        }
    }
}

/// A status, a span of them, or a class (`2xx`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// First.
    pub from: u16,
    /// Last.
    pub to: u16,
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (from, to) if from == to => write!(f, "{from}"),
            (from, to) if from % 100 == 0 && to == from + 99 => write!(f, "{}xx", from / 100),
            (from, to) => write!(f, "{from}-{to}"),
        }
    }
}

/// What must hold of a header.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderTest {
    /// `exists`.
    Exists(bool),
    /// `equals`: one of its values is this text.
    Equals(String),
    /// `contains`: one of its values holds this text.
    Contains(String),
    /// `matches`: the expression is found in one of its values.
    Matches(Pattern),
}

/// What must hold of every value a path selects; except for `exists = false` at least one must be selected.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTest {
    /// `exists`.
    Exists(bool),
    /// `is`.
    Is(JsonType),
    /// `equals`: numbers by value, the rest exactly.
    Equals(Value),
    /// `min`.
    Min(f64),
    /// `max`.
    Max(f64),
    /// `matches`: the expression is found in the string.
    Matches(Pattern),
}

/// A JSON type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonType {
    /// `array`
    Array,
    /// `object`
    Object,
    /// `string`
    String,
    /// `number`
    Number,
    /// `boolean`
    Boolean,
    /// `null`
    Null,
}

impl JsonType {
    /// Every type.
    pub const ALL: [Self; 6] = [Self::Array, Self::Object, Self::String, Self::Number, Self::Boolean, Self::Null];
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Object => "object",
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }
    /// The type of a value.
    pub const fn of(value: &Value) -> Self {
        match value {
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
            Value::String(_) => Self::String,
            Value::Number(_) => Self::Number,
            Value::Bool(_) => Self::Boolean,
            Value::Null => Self::Null,
        }
    }
}

/// A number read from the body: `{ name, path, required }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Observe {
    /// `name`: the label of `soakwatch_observed_value`.
    pub name: String,
    /// `path`.
    pub path: Path,
    /// `required`: without a number there, the run fails (`assertion`).
    pub required: bool,
}

/// A check reads at most so many numbers.
const MAX_OBSERVED: usize = 20;

impl Expect {
    /// Whether the status is one of those expected.
    pub fn accepts(&self, status: StatusCode) -> bool {
        self.status.iter().any(|r| (r.from..=r.to).contains(&status.as_u16()))
    }

    /// Reads the table `expect`.
    pub(super) fn read(mut t: Table<'_>) -> Self {
        let mut expect = Self::default();
        if let Some(value) = t.value("status") {
            let members = table::members(&value);
            let read: Vec<_> = members.iter().filter_map(read_status).collect();
            if members.is_empty() {
                t.problem("status", "is empty, so nothing would ever pass", "expected such as [200], [\"2xx\"] or [\"200-204\", 404]");
            } else {
                expect.status = read;
            }
        }
        for header in t.tables("headers") {
            read_header(header, &mut expect.headers);
        }
        for json in t.tables("json") {
            read_json(json, &mut expect.json);
        }
        // One test is usual, and has a hundred bytes: room for four is held by every check.
        expect.json.shrink_to_fit();
        expect.schema = t.opt::<PathBuf>("schema").map(|p| t.source().dir.join(p));
        expect.contains = texts(&mut t, "contains");
        expect.not_contains = texts(&mut t, "not_contains");
        expect.matches = pattern(&mut t, "matches").map(Box::new);
        if let Some(mut size) = t.table("size") {
            expect.size_min = size.opt("min");
            expect.size_max = size.opt("max");
            if let (Some(min), Some(max)) = (expect.size_min, expect.size_max)
                && min > max
            {
                size.problem("min", format!("{min} is more than max, {max}"), format!("expected at most {max}"));
            }
            size.finish();
        }
        expect.within = t.between("within", Span(Duration::from_millis(1)), Span::seconds(600));
        expect.certificate_days = t.between("certificate_days", 1, 36_500);
        t.finish();
        expect
    }
}

/// Reads the list `observe`.
pub(super) fn read_observe(t: &mut Table<'_>) -> Vec<Observe> {
    let mut all: Vec<Observe> = Vec::new();
    for mut o in t.tables("observe") {
        let name = o.req::<String>("name");
        let path = path(&mut o);
        let required = o.or("required", false);
        let word = |n: &str| {
            n.starts_with(|c: char| c.is_ascii_lowercase()) && n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if let Some(name) = &name {
            if !word(name) || name.len() > 63 {
                o.problem(
                    "name",
                    format!("\"{}\" is not right here", short(name)),
                    "expected 1 to 63 of a-z, 0-9 and _, such as \"queue_depth\"",
                );
            } else if all.iter().any(|a| a.name == *name) {
                o.problem("name", format!("\"{name}\" is there twice"), "expected a name of its own for each number");
            }
        }
        o.finish();
        if let (Some(name), Some(path)) = (name, path) {
            all.push(Observe { name, path, required });
        }
    }
    if all.len() > MAX_OBSERVED {
        t.problem("observe", format!("has {} numbers", all.len()), format!("expected at most {MAX_OBSERVED}"));
    }
    all
}

/// Reads a status, a span of them or a class.
pub(in crate::probe) fn read_status(value: &table::Value<'_>) -> Option<StatusRange> {
    let range = match value.value {
        DeValue::Integer(_) => table::read_field::<u16>(value).map(|s| (s, s)),
        DeValue::String(text) => match text.split_once('-') {
            Some((a, b)) => a.trim().parse().ok().zip(b.trim().parse().ok()),
            None => match text.to_ascii_lowercase().strip_suffix("xx") {
                Some(class) => class.parse::<u16>().ok().filter(|c| (1..=5).contains(c)).map(|c| (c * 100, c * 100 + 99)),
                None => text.parse().ok().map(|s| (s, s)),
            },
        },
        _ => None,
    };
    match range {
        Some((from, to)) if (100..=599).contains(&from) && from <= to && to <= 599 => Some(StatusRange { from, to }),
        _ => {
            let what = format!("{} is not a status", table::describe(value.value));
            value.source.report(value.at.clone(), &value.path, what, "expected such as 200, \"2xx\" or \"200-204\"", false);
            None
        }
    }
}

fn read_header(mut t: Table<'_>, into: &mut Vec<(HeaderName, HeaderTest)>) {
    let name = t.req::<String>("name").and_then(|n| match HeaderName::from_bytes(n.as_bytes()) {
        Ok(name) => Some(name),
        Err(_) => {
            t.problem("name", format!("\"{}\" is not a header's name", short(&n)), "expected a name such as \"Content-Type\"");
            None
        }
    });
    let tests = [
        t.opt("exists").map(HeaderTest::Exists),
        t.opt("equals").map(HeaderTest::Equals),
        t.opt("contains").map(HeaderTest::Contains),
        pattern(&mut t, "matches").map(HeaderTest::Matches),
    ];
    if !["exists", "equals", "contains", "matches"].iter().any(|k| t.has(k)) {
        t.problem("", "does not say what must hold of the header", "expected one of exists, equals, contains, matches");
    }
    t.finish();
    if let Some(name) = name {
        into.extend(tests.into_iter().flatten().map(|test| (name.clone(), test)));
    }
}

fn read_json(mut t: Table<'_>, into: &mut Vec<(Path, JsonTest)>) {
    let path = path(&mut t);
    let kind = t.word("is", &JsonType::ALL.map(|k| (k.as_str(), k)));
    let (min, max) = (t.opt::<f64>("min"), t.opt::<f64>("max"));
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        t.problem("min", format!("{min} is more than max, {max}: no number is both"), format!("expected at most {max}"));
    }
    let tests = [
        t.opt("exists").map(JsonTest::Exists),
        kind.map(JsonTest::Is),
        t.value("equals").and_then(|v| scalar(&v)).map(JsonTest::Equals),
        min.map(JsonTest::Min),
        max.map(JsonTest::Max),
        pattern(&mut t, "matches").map(JsonTest::Matches),
    ];
    if !["exists", "is", "equals", "min", "max", "matches"].iter().any(|k| t.has(k)) {
        t.problem("", "does not say what must hold there", "expected one of exists, is, equals, min, max, matches");
    }
    t.finish();
    if let Some(path) = path {
        into.extend(tests.into_iter().flatten().map(|test| (path.clone(), test)));
    }
}

/// Reads the key `path`.
pub(in crate::probe) fn path(t: &mut Table<'_>) -> Option<Path> {
    let text = t.req::<String>("path")?;
    Path::new(&text)
        .map_err(|why| {
            t.problem("path", format!("\"{}\" can't be used: {why}", short(&text)), "expected a JSON path such as \"$.orders[0].id\"");
        })
        .ok()
}

fn pattern(t: &mut Table<'_>, key: &'static str) -> Option<Pattern> {
    let text = t.opt::<String>(key)?;
    Pattern::new(&text)
        .map_err(|why| {
            t.problem(key, format!("is not a regular expression that can be used: {why}"), "expected one such as \"^order-[0-9]+$\"");
        })
        .ok()
}

fn texts(t: &mut Table<'_>, key: &'static str) -> Vec<String> {
    let all = t.list::<String>(key);
    if all.iter().any(String::is_empty) {
        t.problem(key, "holds an empty text, which every body holds", "expected texts of at least one character");
    }
    all
}
