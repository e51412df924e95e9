//! Reads TOML tables key by key and collects every problem with its place.
//!
//! serde stops at a table's first error and says little about the key; a [`Table`] goes on, remembers which keys it was asked for, and in the end
//! reports the ones nobody asked for, with the nearest known word. Owns the wording of problems; knows no particular key.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use crate::clock::UnixMs;
use crate::fields::{Bytes, CheckId, Expected, HttpUrl, IntegrationId, Ratio, Slug, Span, Volume};
use crate::outcome::{Attribution, Class, Criticality, Owner, Role};
use crate::secret::SecretRef;

/// A problem in the configuration, with its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
}

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
        }
    }

    /// Line and column (1-based, in characters) of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Adds a problem at a byte range.
    pub fn report(&self, at: Range<usize>, path: &str, what: impl Into<String>, expected: impl Into<String>, warning: bool) {
        let (line, column) = self.position(at.start);
        self.problems.borrow_mut().push(Problem {
            file: self.name.clone(),
            line,
            column,
            path: path.to_owned(),
            what: what.into(),
            expected: expected.into(),
            warning,
        });
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

/// What kind of TOML value it is, in words.
pub fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) => {
            let short: String = s.chars().take(60).collect();
            let dots = if s.chars().nth(60).is_some() { "…" } else { "" };
            format!("\"{short}{dots}\"").replace(char::is_control, " ")
        }
        DeValue::Integer(i) => format!("the number {i}"),
        DeValue::Float(x) => format!("the number {x}"),
        DeValue::Boolean(b) => format!("{b}"),
        DeValue::Datetime(d) => format!("the time {d}"),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A type a single value can be read as.
pub trait Field: Sized {
    /// What is expected, in words.
    fn expected() -> String;
    /// Reads it; the error says what was expected instead (usually [`Field::expected`], or something narrower).
    fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected>;
    /// Words one of which was probably meant; for the hint.
    fn words() -> Vec<&'static str> {
        Vec::new()
    }
    /// Whether the value may hold a secret, so that a problem must not repeat it.
    fn hide() -> bool {
        false
    }
}

fn wrong<T: Field>() -> Expected {
    Expected(T::expected())
}

/// Reads a field from a string through `FromStr`.
macro_rules! string_field {
    ($($t:ty => $expected:literal),+ $(,)?) => { $(
        impl Field for $t {
            fn expected() -> String { $expected.into() }
            fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
                value.as_str().ok_or_else(wrong::<Self>).and_then(<$t as FromStr>::from_str)
            }
        }
    )+ };
}
string_field! {
    Slug => "an id of a-z, 0-9 and -, such as \"crm-orders\"",
    Span => "a duration such as \"60s\", \"5m\", \"1h30m\" or \"7d\"",
    HttpUrl => "an absolute URL such as \"https://api.example.com/v1/orders\"",
    Volume => "a volume such as \"600/min\" or \"40000/day\"",
    IntegrationId => "customer/environment/integration",
    CheckId => "customer/environment/integration/check",
}

/// Reads a member of a closed set.
macro_rules! word_field {
    ($($t:ty),+) => { $(
        impl Field for $t {
            fn expected() -> String { one_of(&Self::words()) }
            fn words() -> Vec<&'static str> { <$t>::ALL.iter().map(|v| v.as_str()).collect() }
            fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
                value.as_str().and_then(<$t>::parse).ok_or_else(wrong::<Self>)
            }
        }
    )+ };
}
word_field!(Owner, Criticality, Attribution, Class, Role);

/// `"a", "b" or "c"`
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

impl Field for String {
    fn expected() -> String {
        "a text in quotes".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        value.as_str().map(str::to_owned).ok_or_else(wrong::<Self>)
    }
}

impl Field for bool {
    fn expected() -> String {
        "true or false (without quotes)".into()
    }
    fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected> {
        match value {
            DeValue::Boolean(b) => Ok(*b),
            DeValue::String(s) if lenient => s.parse().map_err(|_| wrong::<Self>()),
            _ => Err(wrong::<Self>()),
        }
    }
}

fn integer(value: &DeValue<'_>, lenient: bool) -> Option<i64> {
    match value {
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok(),
        DeValue::String(s) if lenient => s.parse().ok(),
        _ => None,
    }
}

macro_rules! integer_field {
    ($($t:ty),+) => { $(
        impl Field for $t {
            fn expected() -> String { format!("a whole number from {} to {} (without quotes)", <$t>::MIN, <$t>::MAX) }
            fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected> {
                integer(value, lenient).and_then(|i| <$t>::try_from(i).ok()).ok_or_else(wrong::<Self>)
            }
        }
    )+ };
}
integer_field!(u8, u16, u32, i64);

impl Field for u64 {
    fn expected() -> String {
        "a whole number, 0 or more (without quotes)".into()
    }
    fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected> {
        integer(value, lenient).and_then(|i| Self::try_from(i).ok()).ok_or_else(wrong::<Self>)
    }
}

impl Field for f64 {
    fn expected() -> String {
        "a number (without quotes)".into()
    }
    fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected> {
        let number = match value {
            DeValue::Float(x) => x.as_str().parse().ok(),
            DeValue::Integer(_) => integer(value, false).map(|i| i as Self),
            DeValue::String(s) if lenient => s.parse().ok(),
            _ => None,
        };
        number.filter(|n: &Self| n.is_finite()).ok_or_else(wrong::<Self>)
    }
}

impl Field for Ratio {
    fn expected() -> String {
        "a share between 0 and 1, such as 0.99".into()
    }
    fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected> {
        f64::read(value, lenient).ok().and_then(Self::new).ok_or_else(wrong::<Self>)
    }
}

impl Field for Bytes {
    fn expected() -> String {
        "a size such as \"64KiB\" or \"1MiB\"".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        match value {
            DeValue::String(s) => s.parse(),
            _ => integer(value, false).and_then(|i| u64::try_from(i).ok()).map(Self).ok_or_else(wrong::<Self>),
        }
    }
}

/// A time: a TOML date-time with an offset, or the same in quotes.
impl Field for UnixMs {
    fn expected() -> String {
        "a time with its offset, such as 2026-12-01T08:00:00Z".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let text = match value {
            DeValue::Datetime(d) => d.to_string(),
            DeValue::String(s) => s.to_string(),
            _ => return Err(wrong::<Self>()),
        };
        text.parse::<jiff::Timestamp>().map(Self::from).map_err(|_| wrong::<Self>())
    }
}

impl Field for std::net::SocketAddr {
    fn expected() -> String {
        "an address and a port such as \"127.0.0.1:9464\" or \"[::]:9464\"".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        value.as_str().and_then(|s| s.parse().ok()).ok_or_else(wrong::<Self>)
    }
}

impl Field for PathBuf {
    fn expected() -> String {
        "a path in quotes".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        value.as_str().filter(|s| !s.is_empty() && !s.contains('\0')).map(Self::from).ok_or_else(wrong::<Self>)
    }
}

/// A secret's reference. The value is never repeated in a problem: it may be the secret itself.
impl Field for SecretRef {
    fn expected() -> String {
        "a reference to the secret, { env = \"NAME\" } or { file = \"/path\" }, never the secret itself".into()
    }
    fn hide() -> bool {
        true
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let entries = value.as_table().ok_or_else(wrong::<Self>)?;
        let mut found = None;
        for (key, v) in entries.iter() {
            let text = v.get_ref().as_str().filter(|s| !s.is_empty()).ok_or_else(wrong::<Self>)?;
            let reference = match key.get_ref().as_ref() {
                "env" if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => Self::Env(text.to_owned()),
                "file" => Self::File(PathBuf::from(text)),
                _ => return Err(wrong::<Self>()),
            };
            if found.replace(reference).is_some() {
                return Err(wrong::<Self>());
            }
        }
        found.ok_or_else(wrong::<Self>)
    }
}

/// The nearest of some words, if one is near enough to have been meant.
pub fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let lower = word.to_lowercase().replace('-', "_");
    let mut scored: Vec<(usize, &str)> =
        words.iter().map(|w| (strsim::damerau_levenshtein(&lower, &w.to_lowercase().replace('-', "_")), *w)).collect();
    scored.sort_by_key(|(distance, w)| (*distance, w.len()));
    let (distance, best) = *scored.first()?;
    (distance <= (word.chars().count() / 3).max(1))
        .then_some(best)
        .or_else(|| words.iter().copied().find(|w| w.len() > 3 && lower.len() > 3 && (w.starts_with(&lower) || lower.starts_with(w))))
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

    /// Reports a problem at a key (or at the table, if the key is not there).
    pub fn problem(&self, key: &str, what: impl Into<String>, expected: impl Into<String>) {
        self.source.report(self.place(key), &self.path_of(key), what, expected, false);
    }

    /// Reports a warning at a key (or at the table, if the key is not there).
    pub fn warn(&self, key: &str, what: impl Into<String>, expected: impl Into<String>) {
        self.source.report(self.place(key), &self.path_of(key), what, expected, true);
    }

    fn place(&self, key: &str) -> Range<usize> {
        self.entries.iter().find(|(k, _)| k.get_ref().as_ref() == key).map_or_else(|| self.at.clone(), |(_, v)| v.span())
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
            self.source.report(self.at.clone(), &self.path_of(key), "is missing", format!("expected {}", T::expected()), false);
            return None;
        }
        self.opt(key)
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
                (name.clone(), Value { source: table.source, path: table.path_of(&name), at: v.span(), value: v.get_ref() })
            })
            .collect()
    }

    /// Reports every key nobody asked for, with the nearest known one.
    pub fn finish(self) {
        for (key, _) in self.entries.iter() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let mut known = self.known.clone();
            known.sort_unstable();
            let expected = match nearest(name, &known) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("expected one of: {}", known.join(", ")),
            };
            self.source.report(key.span(), &self.path_of(name), "unknown key", expected, false);
        }
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
    match value.value {
        DeValue::Table(entries) => Some(Table::new(value.source, value.path.clone(), value.at.clone(), entries)),
        other => {
            value.source.report(
                value.at.clone(),
                &value.path,
                format!("{} is not a table", describe(other)),
                "expected a table, { key = value, ... }",
                false,
            );
            None
        }
    }
}

/// A value as a field; anything else is reported, with the nearest right word.
pub fn read_field<T: Field>(value: &Value<'_>) -> Option<T> {
    match T::read(value.value, value.source.lenient) {
        Ok(v) => Some(v),
        Err(Expected(expected)) => {
            let shown = if T::hide() && !matches!(value.value, DeValue::Table(_)) { "this value".into() } else { describe(value.value) };
            let hint =
                value.value.as_str().and_then(|s| nearest(s, &T::words())).map(|w| format!(" (did you mean \"{w}\"?)")).unwrap_or_default();
            value.source.report(
                value.at.clone(),
                &value.path,
                format!("{shown} is not right here"),
                format!("expected {expected}{hint}"),
                false,
            );
            None
        }
    }
}
