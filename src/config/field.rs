//! How a single value of the configuration is read as a type of ours, and what a problem says about it. The types are in `crate::fields` and
//! `crate::outcome`; tables and their keys are `table`'s part.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use toml::de::DeValue;

use crate::clock::UnixMs;
use crate::fields::{Bytes, CheckId, Expected, HttpUrl, IntegrationId, Ratio, Slug, Span, TimeOfDay, Volume};
use crate::outcome::{Attribution, Class, Criticality, Owner, Role};
use crate::ratelimit::Dialect;
use crate::secret::SecretRef;
use crate::soak::{Confidence, Judge};

/// A text from a file as a problem may repeat it: short, and without control characters.
pub fn short(text: &str) -> String {
    let start: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() { start + "…" } else { start }
}

/// What kind of TOML value it is, in words.
pub fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) => format!("\"{}\"", short(s)),
        DeValue::Integer(i) => format!("the number {}", short(i.as_str())),
        DeValue::Float(x) => format!("the number {}", short(x.as_str())),
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
    /// What is expected where the value must lie in a range, in words.
    fn expected_between(low: &Self, high: &Self) -> String
    where
        Self: fmt::Display,
    {
        format!("{}, from {low} to {high}", Self::expected())
    }
    /// Words one of which was probably meant; for the hint.
    fn words() -> Vec<&'static str> {
        Vec::new()
    }
    /// Whether the value may hold a secret, so that a problem must not repeat it.
    fn hide() -> bool {
        false
    }
    /// The value as a problem may repeat it.
    fn shown(value: &DeValue<'_>) -> String {
        if Self::hide() && !matches!(value, DeValue::Table(_)) { "this value".into() } else { describe(value) }
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
    Volume => "a volume such as \"600/min\" or \"40000/day\"",
    TimeOfDay => "a time of day with its offset, in quotes, such as \"22:00Z\" or \"23:30+01:00\"",
    IntegrationId => "customer/environment/integration",
    CheckId => "customer/environment/integration/check",
}

impl Field for Span {
    fn expected() -> String {
        "a duration such as \"60s\", \"5m\", \"1h30m\" or \"7d\"".into()
    }
    fn expected_between(low: &Self, high: &Self) -> String {
        format!("a duration from \"{low}\" to \"{high}\"")
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        value.as_str().ok_or_else(wrong::<Self>).and_then(str::parse)
    }
}

/// A URL. What stands before an `@` or after a `?` may be a secret, so a problem leaves it out.
impl Field for HttpUrl {
    fn expected() -> String {
        "an absolute URL such as \"https://api.example.com/v1/orders\"".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        value.as_str().ok_or_else(wrong::<Self>).and_then(str::parse)
    }
    fn shown(value: &DeValue<'_>) -> String {
        value.as_str().map_or_else(|| describe(value), |s| if s.contains(['@', '?']) { "this URL".into() } else { describe(value) })
    }
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
word_field!(Owner, Criticality, Attribution, Class, Role, Confidence, Judge);

/// A dialect: one of so many words that they stand without quotes, in the order of the alphabet.
impl Field for Dialect {
    fn expected() -> String {
        let mut others: Vec<&str> = Self::words().into_iter().filter(|w| *w != Self::Auto.as_str()).collect();
        others.sort_unstable();
        format!("\"{}\" or one of {}", Self::Auto, others.join(", "))
    }
    fn words() -> Vec<&'static str> {
        Self::ALL.iter().map(|d| d.as_str()).collect()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        value.as_str().and_then(Self::parse).ok_or_else(wrong::<Self>)
    }
}

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
            fn expected_between(low: &Self, high: &Self) -> String { format!("a whole number from {low} to {high} (without quotes)") }
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
    fn expected_between(low: &Self, high: &Self) -> String {
        format!("a whole number from {low} to {high} (without quotes)")
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

/// A share that is not nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub Ratio);

impl Field for Share {
    fn expected() -> String {
        "a share above 0, at most 1, such as 0.05 (without quotes)".into()
    }
    fn read(value: &DeValue<'_>, lenient: bool) -> Result<Self, Expected> {
        Ratio::read(value, lenient).ok().filter(|r| r.0 > 0.0).map(Self).ok_or_else(wrong::<Self>)
    }
}

impl Field for Bytes {
    fn expected() -> String {
        "a size such as \"64KiB\" or \"1MiB\"".into()
    }
    fn expected_between(low: &Self, high: &Self) -> String {
        format!("a size from \"{low}\" to \"{high}\"")
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
    fn shown(value: &DeValue<'_>) -> String {
        match secret_slip(value) {
            Some((what, _)) => what.into(),
            None if value.is_table() => "this table".into(),
            None => "this value".into(),
        }
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        if let Some((_, expected)) = secret_slip(value) {
            return Err(Expected(expected.into()));
        }
        let entries = value.as_table().ok_or_else(wrong::<Self>)?;
        let mut found = None;
        for (key, v) in entries.iter() {
            let text = v.get_ref().as_str().filter(|s| !s.is_empty()).ok_or_else(wrong::<Self>)?;
            let reference = match key.get_ref().as_ref() {
                "env" if variable_name(text) => Self::Env(text.to_owned()),
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

fn variable_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What is wrong with a table that was meant as a reference, and what was expected. The name is not repeated: it may be the secret itself.
fn secret_slip(value: &DeValue<'_>) -> Option<(&'static str, &'static str)> {
    let entries = value.as_table()?;
    let text = |key: &str| entries.iter().find(|(k, _)| k.get_ref().as_ref() == key).map(|(_, v)| v.get_ref());
    match (text("env"), text("file")) {
        (Some(_), Some(_)) => Some(("a reference with env and file", "only one of the two")),
        (Some(DeValue::String(name)), None) if name.starts_with('$') && entries.len() == 1 => {
            Some(("the name after env", "the variable's name without $ and brackets, { env = \"NAME\" }"))
        }
        (Some(DeValue::String(name)), None) if !variable_name(name) && entries.len() == 1 => {
            Some(("the name after env", "a variable's name, of A-Z, a-z, 0-9 and _ alone, { env = \"NAME\" }; never the secret itself"))
        }
        (Some(_), None) | (None, Some(_)) if entries.len() > 1 => {
            Some(("a reference with more than one key", "{ env = \"NAME\" } or { file = \"/path\" } alone"))
        }
        _ => None,
    }
}

/// The nearest of some words, if one is near enough to have been meant.
pub fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    // Comparing costs length times length; nobody meant a known word with this.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    let mut scored: Vec<(usize, &str)> =
        words.iter().map(|w| (strsim::damerau_levenshtein(&lower, &w.to_lowercase().replace('-', "_")), *w)).collect();
    scored.sort_by_key(|(distance, w)| (*distance, w.len()));
    let (distance, best) = *scored.first()?;
    // As many changes as letters make any word of any other.
    let letters = word.chars().count();
    (distance <= (letters / 3).max(1) && distance < letters)
        .then_some(best)
        .or_else(|| words.iter().copied().find(|w| w.len() > 3 && lower.len() > 3 && (w.starts_with(&lower) || lower.starts_with(w))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Source;

    /// What is said about `key = value` when it is read as `T`.
    fn said<T: Field>(value: &str) -> String {
        let source = Source::new("f", "", format!("key = {value}"));
        let entries = source.parse();
        let read: Option<T> = source.root(&entries).opt("key");
        let problems = source.problems.take();
        assert_eq!(read.is_none(), !problems.is_empty());
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_is_a_reference_and_never_repeated() {
        assert_eq!(said::<SecretRef>("{ env = \"ACME_TOKEN\" }"), "");
        assert_eq!(said::<SecretRef>("{ file = \"/run/credentials/acme\" }"), "");
        for inline in
            ["\"canary-4711\"", "[\"canary-4711\"]", "{ value = \"canary-4711\" }", "{ env = 4711 }", "{ file = \"\" }", "{ }", "4711"]
        {
            let said = said::<SecretRef>(inline);
            assert!(said.contains("expected a reference to the secret, { env = \"NAME\" }"), "{inline}: {said}");
            assert!(!said.contains("4711"), "{said}");
        }
    }

    #[test]
    fn a_reference_that_is_nearly_right_is_told_what_is_wrong_with_it() {
        let name = "a variable's name, of A-Z, a-z, 0-9 and _ alone";
        for (slip, expected) in [
            ("{ env = \"$CANARY_4711\" }", "the name after env is not right here; expected the variable's name without $"),
            ("{ env = \"${CANARY_4711}\" }", "the name after env is not right here; expected the variable's name without $"),
            ("{ env = \"canary-4711!\" }", name),
            ("{ env = \"\" }", name),
            ("{ env = \"A\", file = \"canary-4711\" }", "a reference with env and file is not right here; expected only one of the two"),
            ("{ env = \"A\", prefix = \"canary-4711\" }", "a reference with more than one key is not right here"),
        ] {
            let said = said::<SecretRef>(slip);
            assert!(said.contains(expected), "{slip}: {said}");
            assert!(!said.contains("4711"), "{said}");
        }
    }

    #[test]
    fn a_url_is_not_repeated_where_it_may_hold_a_secret() {
        for inline in ["\"https://user:canary-4711@example.com\"", "\"htps://example.com/?key=canary-4711\""] {
            let said = said::<HttpUrl>(inline);
            assert!(said.contains("this URL is not right here") && !said.contains("4711"), "{said}");
        }
        assert!(said::<HttpUrl>("\"example.com\"").contains("\"example.com\" is not right here"));
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["every", "timeout", "success_ratio", "http", "2"];
        for (typo, word) in [("evry", "every"), ("Timeout", "timeout"), ("success-ratio", "success_ratio"), ("htpp", "http")] {
            assert_eq!(nearest(typo, &words), Some(word));
        }
        for far in ["", "x", "3", "colour", &"t".repeat(100_000)] {
            assert_eq!(nearest(far, &words), None, "{far:.9}");
        }
    }

    #[test]
    fn numbers_and_sizes() {
        assert_eq!(said::<u8>("0x1F"), "");
        assert_eq!(said::<u8>("1_0"), "");
        assert!(said::<u8>("256").contains("the number 256 is not right here; expected a whole number from 0 to 255"));
        assert!(said::<f64>("nan").contains("expected a number"));
        assert_eq!(said::<Bytes>("4096"), "");
        assert_eq!(said::<UnixMs>("2026-12-01T09:00:00+01:00"), "");
        assert!(said::<UnixMs>("2026-12-01").contains("expected a time with its offset"));
    }
}
