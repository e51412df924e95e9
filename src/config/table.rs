//! Reads TOML tables key by key and collects every problem with its place.
//!
//! serde stops at a table's first error and says little about the key; a [`Table`] goes on, remembers which keys it was asked for, and in the end
//! reports the ones nobody asked for, with the nearest known word. Owns the wording of problems; knows no particular key.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;
use toml::de::{DeTable, DeValue};

pub use super::field::{Field, describe, nearest, one_of, short};
use crate::fields::Expected;

/// A problem in the configuration, with its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema, Serialize)]
pub struct Problem {
    /// File as the user named it (relative to where the command ran), or `environment`.
    pub file: String,
    /// 1-based; 0 when the problem has no line (a missing file).
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// The key's path: `integration[0].check[1].every`.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What was expected, if there is more to say.
    pub expected: String,
    /// Warnings let the configuration pass (errors with `--strict`).
    pub warning: bool,
}

/// `file:line:column: path: what is wrong; what was expected`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if self.warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        if !self.expected.is_empty() {
            write!(f, "; {}", self.expected)?;
        }
        Ok(())
    }
}

/// One file's text and the problems found in it so far. Tables of the same file share it.
#[derive(Debug)]
pub struct Source {
    /// Name as shown in problems.
    pub name: String,
    /// The directory relative paths in it start from.
    pub dir: PathBuf,
    /// Its text.
    pub text: String,
    /// What was found.
    pub problems: RefCell<Vec<Problem>>,
    /// Numbers and booleans may be written as strings (values from environment variables).
    pub lenient: bool,
    /// Every path a reader asked for, with array indices as `[]`: for the test that compares the reference files.
    pub asked: RefCell<std::collections::BTreeSet<String>>,
    /// Syntax errors were found: keys may be lost, so a missing one is not reported.
    pub damaged: Cell<bool>,
    /// What was read after the last syntax error is noise.
    pub lost: Cell<bool>,
    /// Where each line begins, once somebody asked for a line: thousands of places are looked up in a long file.
    lines: OnceCell<Vec<usize>>,
}

/// So many problems of one file are listed; whoever has more mends these first.
pub const MAX_PROBLEMS: usize = 100;

impl Source {
    /// A source without problems yet.
    pub fn new(name: impl Into<String>, dir: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            dir: dir.into(),
            text: text.into(),
            problems: RefCell::default(),
            lenient: false,
            asked: RefCell::default(),
            damaged: Cell::new(false),
            lost: Cell::new(false),
            lines: OnceCell::new(),
        }
    }

    /// Parses the text. Syntax errors are reported and, where the parser could go on, what it read is returned; later problems are then only those
    /// that are certain.
    pub fn parse(&self) -> DeTable<'_> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        super::syntax::report(self, &errors);
        table.into_inner()
    }

    /// The root table of a parsed text.
    pub fn root<'s>(&'s self, entries: &'s DeTable<'s>) -> Table<'s> {
        Table::new(self, "", 0..0, entries)
    }

    /// How many errors (not warnings) were found so far.
    pub fn errors(&self) -> usize {
        self.problems.borrow().iter().filter(|p| !p.warning).count()
    }

    /// Line and column (1-based, in characters) of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let lines = self.lines.get_or_init(|| std::iter::once(0).chain(self.text.match_indices('\n').map(|(n, _)| n + 1)).collect());
        let offset = if self.text.is_char_boundary(offset) { offset } else { self.text.len() };
        let line = lines.partition_point(|start| *start <= offset).max(1);
        let start = lines.get(line - 1).copied().unwrap_or(0);
        (line, self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1)
    }

    /// Adds a problem at a byte range.
    pub fn report(&self, at: Range<usize>, path: &str, what: impl Into<String>, expected: impl Into<String>, warning: bool) {
        let mut problems = self.problems.borrow_mut();
        let (file, path) = (self.name.clone(), path.to_owned());
        // Counted apart: however much there is to warn of, it is no error, and hides none.
        match problems.iter().filter(|p| p.warning == warning).count() {
            n if n < MAX_PROBLEMS => {
                let (line, column) = self.position(at.start);
                problems.push(Problem { file, line, column, path, what: what.into(), expected: expected.into(), warning });
            }
            MAX_PROBLEMS => problems.push(Problem {
                file,
                line: self.text.matches('\n').count() + 1,
                column: 1,
                path: String::new(),
                what: format!("has more than {MAX_PROBLEMS} {}", if warning { "warnings" } else { "problems" }),
                expected: "the others are not listed".into(),
                warning,
            }),
            _ => {}
        }
    }

    fn full(&self) -> bool {
        self.errors() > MAX_PROBLEMS
    }
}

/// A value with its place, as a reader of a field sees it.
#[derive(Clone, Debug)]
pub struct Value<'s> {
    /// The source it stands in.
    pub source: &'s Source,
    /// Its path.
    pub path: String,
    /// Its place.
    pub at: Range<usize>,
    /// What it is.
    pub value: &'s DeValue<'s>,
}

/// ` (did you mean "every"?)`, or nothing.
pub fn did_you_mean(word: Option<&str>) -> String {
    word.map(|w| format!(" (did you mean \"{w}\"?)")).unwrap_or_default()
}

/// One table being read. Ask for every key it may have, then call [`Table::finish`].
#[derive(Debug)]
pub struct Table<'s> {
    source: &'s Source,
    path: String,
    at: Range<usize>,
    entries: &'s DeTable<'s>,
    known: Vec<&'static str>,
}

impl<'s> Table<'s> {
    /// A table of a source. `path` is empty for the file's root.
    pub fn new(source: &'s Source, path: impl Into<String>, at: Range<usize>, entries: &'s DeTable<'s>) -> Self {
        Self { source, path: path.into(), at, entries, known: Vec::new() }
    }

    /// The source this table stands in.
    pub fn source(&self) -> &'s Source {
        self.source
    }
    /// The place of the whole table.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }
    /// This table's path.
    pub fn path(&self) -> &str {
        &self.path
    }
    /// The path of a key in this table; of the table itself for "".
    pub fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    fn note(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let mut general = String::new();
        let mut skip = false;
        for c in self.path_of(key).chars() {
            match c {
                '[' => {
                    skip = true;
                    general.push_str("[]");
                }
                ']' => skip = false,
                c if !skip => general.push(c),
                _ => {}
            }
        }
        self.source.asked.borrow_mut().insert(general);
    }

    /// The raw value of a key; the key counts as known from now on.
    pub fn value(&mut self, key: &'static str) -> Option<Value<'s>> {
        self.note(key);
        let (_, v) = self.entries.iter().find(|(k, _)| k.get_ref().as_ref() == key)?;
        Some(Value { source: self.source, path: self.path_of(key), at: v.span(), value: v.get_ref() })
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k.get_ref().as_ref() == key)
    }

    /// Whether a key was surely left out: in a damaged file it may have been lost.
    pub fn lacks(&self, key: &str) -> bool {
        !self.has(key) && !self.source.damaged.get()
    }

    /// Reports a problem at a key (or at the table, if the key is not there).
    pub fn problem(&self, key: &str, what: impl Into<String>, expected: impl Into<String>) {
        self.source.report(self.place(key), &self.path_of(key), what, expected, false);
    }

    /// A problem at a key (or at the table, if the key is not there), for whoever knows later whether it is one.
    pub fn as_problem(&self, key: &str, what: impl Into<String>, expected: impl Into<String>) -> Problem {
        let (line, column) = self.source.position(self.place(key).start);
        let (file, path) = (self.source.name.clone(), self.path_of(key));
        Problem { file, line, column, path, what: what.into(), expected: expected.into(), warning: false }
    }

    /// Reports a warning at a key (or at the table, if the key is not there).
    pub fn warn(&self, key: &str, what: impl Into<String>, expected: impl Into<String>) {
        self.source.report(self.place(key), &self.path_of(key), what, expected, true);
    }

    /// The place of a key's value (or of the table, if the key is not there).
    pub fn place(&self, key: &str) -> Range<usize> {
        self.entries.iter().find(|(k, _)| k.get_ref().as_ref() == key).map_or_else(|| self.at.clone(), |(_, v)| v.span())
    }

    /// The place of `a.b.c` below this table: that of the last step which is there.
    pub fn place_of(&self, path: &str) -> Range<usize> {
        let (mut at, mut table) = (self.at.clone(), Some(self.entries));
        for step in path.split('.') {
            let Some((_, value)) = table.and_then(|t| t.iter().find(|(k, _)| k.get_ref().as_ref() == step)) else { break };
            at = value.span();
            table = value.get_ref().as_table();
        }
        at
    }

    /// The first value at or below a key for which this holds, whatever its depth.
    pub fn find(&self, key: &str, holds: &dyn Fn(&Value<'s>) -> bool) -> Option<Value<'s>> {
        let (_, v) = self.entries.iter().find(|(k, _)| k.get_ref().as_ref() == key)?;
        find(Value { source: self.source, path: self.path_of(key), at: v.span(), value: v.get_ref() }, holds)
    }

    /// A key that may be absent. A bad value is reported and reads as absent.
    pub fn opt<T: Field>(&mut self, key: &'static str) -> Option<T> {
        let value = self.value(key)?;
        read_field(&value)
    }

    /// A key that may be absent, with its default.
    pub fn or<T: Field>(&mut self, key: &'static str, default: T) -> T {
        self.opt(key).unwrap_or(default)
    }

    /// A key that must be there. `None` after a problem was reported.
    pub fn req<T: Field>(&mut self, key: &'static str) -> Option<T> {
        if !self.has(key) {
            self.note(key);
            self.missing(key, &T::expected());
            return None;
        }
        self.opt(key)
    }

    /// Reports a key that had to be there.
    pub fn missing(&self, key: &str, expected: &str) {
        if !self.source.damaged.get() {
            self.source.report(self.at.clone(), &self.path_of(key), "is missing", format!("expected {expected}"), false);
        }
    }

    /// A key whose value must lie in a range. A bad value is reported and reads as absent.
    pub fn between<T: Field + Copy + PartialOrd + fmt::Display>(&mut self, key: &'static str, low: T, high: T) -> Option<T> {
        let value = self.value(key)?;
        let what = match T::read(value.value, self.source.lenient) {
            Ok(read) if read >= low && read <= high => return Some(read),
            Ok(_) => "is out of range",
            Err(_) => "is not right here",
        };
        self.problem(key, format!("{} {what}", T::shown(value.value)), format!("expected {}", T::expected_between(&low, &high)));
        None
    }

    /// A key's value as a problem may repeat it.
    pub fn shown(&self, key: &str) -> String {
        self.entries.iter().find(|(k, _)| k.get_ref().as_ref() == key).map(|(_, v)| describe(v.get_ref())).unwrap_or_default()
    }

    /// The line a key stands in.
    pub fn line(&self, key: &str) -> usize {
        self.source.position(self.place(key).start).0
    }

    /// A text for people: not empty, at most `max` characters, without control characters.
    pub fn text(&mut self, key: &'static str, max: usize) -> Option<String> {
        let text: String = self.opt(key)?;
        let fits = !text.trim().is_empty() && text.chars().count() <= max && !text.contains(char::is_control);
        if !fits {
            let shown = format!("\"{}\" is not right here", short(&text));
            self.problem(key, shown, format!("expected a text of 1 to {max} characters on one line"));
        }
        fits.then_some(text)
    }

    /// A text for people that must be there.
    pub fn req_text(&mut self, key: &'static str, max: usize) -> Option<String> {
        if !self.has(key) {
            self.missing(key, &String::expected());
        }
        self.text(key, max)
    }

    /// One of a few words, each with its meaning. Anything else is reported and reads as absent.
    pub fn word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let value = self.value(key)?;
        let known: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        let written = value.value.as_str();
        let found = words.iter().find(|(w, _)| Some(*w) == written).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let hint = did_you_mean(written.and_then(|w| nearest(w, &known)));
            self.problem(key, format!("{} is not right here", describe(value.value)), format!("expected {}{hint}", one_of(&known)));
        }
        found
    }

    /// A list of fields; a single value counts as a list of one. Bad members are reported and left out.
    pub fn list<T: Field>(&mut self, key: &'static str) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        members(&value).iter().filter_map(read_field).collect()
    }

    /// A table under a key.
    pub fn table(&mut self, key: &'static str) -> Option<Table<'s>> {
        let value = self.value(key)?;
        as_table(&value)
    }

    /// A table under a key, with words for what belongs there: `{ reason = "why" }`.
    pub fn table_like(&mut self, key: &'static str, like: &str) -> Option<Table<'s>> {
        let value = self.value(key)?;
        as_table_like(&value, like)
    }

    /// An array of tables (a single table counts as one).
    pub fn tables(&mut self, key: &'static str) -> Vec<Table<'s>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        members(&value).iter().filter_map(as_table).collect()
    }

    /// A table whose keys the user chooses (headers, query parameters): every key with its value.
    pub fn map(&mut self, key: &'static str) -> Vec<(String, Value<'s>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(table) = as_table(&value) else { return Vec::new() };
        table
            .entries
            .iter()
            .map(|(k, v)| {
                let name = k.get_ref().to_string();
                let path = table.path_of(&short(&name));
                (name, Value { source: table.source, path, at: v.span(), value: v.get_ref() })
            })
            .collect()
    }

    /// The heading under which a key of a customer's file belongs, if this table is part of one.
    fn belongs_elsewhere(&self, key: &str) -> Option<String> {
        let customers = self.path == "customer" || self.path.starts_with("integration[");
        customers.then(|| super::whereabouts::heading(key, &self.path)).flatten()
    }

    /// Reports every key nobody asked for, with the nearest known one.
    pub fn finish(self) {
        for (key, _) in self.entries.iter() {
            let name = key.get_ref().as_ref();
            if self.source.full() {
                break;
            }
            if self.known.contains(&name) {
                continue;
            }
            let mut known = self.known.clone();
            known.sort_unstable();
            // Where people meant a word of this table, that comes first; else it may be a word of another.
            let expected = match (nearest(name, &known), self.belongs_elsewhere(name)) {
                (None, Some(heading)) => format!("it belongs in {heading}"),
                (near, _) => format!("expected one of {}{}", known.join(", "), did_you_mean(near)),
            };
            self.source.report(key.span(), &self.path_of(&short(name)), "unknown key", expected, false);
        }
    }
}

fn find<'s>(value: Value<'s>, holds: &dyn Fn(&Value<'s>) -> bool) -> Option<Value<'s>> {
    if holds(&value) {
        return Some(value);
    }
    match value.value {
        DeValue::Array(_) => members(&value).into_iter().find_map(|m| find(m, holds)),
        DeValue::Table(entries) => {
            let table = Table::new(value.source, value.path, value.at, entries);
            entries.keys().find_map(|k| table.find(k.get_ref(), holds))
        }
        _ => None,
    }
}

/// The members of a list, each with its index in the path; a single value is a list of one.
pub fn members<'s>(value: &Value<'s>) -> Vec<Value<'s>> {
    match value.value {
        DeValue::Array(items) => items
            .iter()
            .enumerate()
            .map(|(n, v)| Value { source: value.source, path: format!("{}[{n}]", value.path), at: v.span(), value: v.get_ref() })
            .collect(),
        _ => vec![value.clone()],
    }
}

/// A value as a table; anything else is reported.
pub fn as_table<'s>(value: &Value<'s>) -> Option<Table<'s>> {
    as_table_like(value, "a table, { key = value, ... }")
}

/// The same, with words for what belongs there.
fn as_table_like<'s>(value: &Value<'s>, like: &str) -> Option<Table<'s>> {
    match value.value {
        DeValue::Table(entries) => Some(Table::new(value.source, value.path.clone(), value.at.clone(), entries)),
        other => {
            if let (true, Some(wrong)) = (other.is_array(), super::headings::doubled(&value.source.text, value.at.start)) {
                value.source.report(wrong.at..wrong.at, &value.path, wrong.what, wrong.expected, false);
                return None;
            }
            // Where a table belongs, a text may be a secret that was written out: it is not repeated.
            let what = if other.is_str() { "a text".into() } else { describe(other) };
            value.source.report(value.at.clone(), &value.path, format!("{what} is not a table"), format!("expected {like}"), false);
            None
        }
    }
}

/// A value as a field; anything else is reported, with the nearest right word.
pub fn read_field<T: Field>(value: &Value<'_>) -> Option<T> {
    match T::read(value.value, value.source.lenient) {
        Ok(v) => Some(v),
        Err(Expected(expected)) => {
            let hint = did_you_mean(value.value.as_str().and_then(|s| nearest(s, &T::words())));
            let what = format!("{} is not right here", T::shown(value.value));
            value.source.report(value.at.clone(), &value.path, what, format!("expected {expected}{hint}"), false);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "a = 1\n\n  ü = \"x\"\nlast";
        let source = Source::new("f", "", text);
        let at = |part: &str| source.position(text.find(part).unwrap());
        assert_eq!((at("a ="), at("= \"x"), at("last")), ((1, 1), (3, 5), (4, 1)));
        assert_eq!((source.position(5), source.position(6), source.position(7)), ((1, 6), (2, 1), (3, 1)), "a line ends with its break");
        // Inside of a character, and behind the end: the end.
        let inside = text.find('ü').unwrap() + 1;
        assert_eq!((source.position(inside), source.position(text.len()), source.position(9999)), ((4, 5), (4, 5), (4, 5)));
        assert_eq!(Source::new("f", "", "").position(0), (1, 1));
    }
}
