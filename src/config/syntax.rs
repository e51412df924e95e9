//! What the TOML parser found wrong, in words for people who do not know TOML's grammar.
//!
//! The parser goes on after an error. After some errors what it reads next is right (a value without quotes costs only that value); after others
//! (a bracket that is never closed) it is noise. Only what is certain is reported.

use toml::de::Error;

use super::headings;
use super::table::{Problem, Source};

/// Errors that cost one value: what follows is read as it was meant.
const LOCAL: &[&str] = &[
    "string values must be quoted",
    "invalid basic string",
    "invalid literal string",
    "invalid date",
    "invalid time",
    "invalid offset",
    "duplicate key",
    "unexpected leading zero",
    "missing escaped value",
    "too few unicode value digits",
];

/// A heading that can't be put together with those before it.
const TWICE: &str = "duplicate key";

/// Reports the errors, up to and with the first after which the rest can't be trusted.
pub(super) fn report(source: &Source, errors: &[Error]) {
    let mut errors: Vec<(usize, &str)> = errors.iter().map(|e| (e.span().map_or(0, |s| s.start), e.message())).collect();
    errors.sort_unstable();
    source.damaged.set(!errors.is_empty());
    // One heading in the wrong brackets makes many keys stand twice: it alone is told, and what follows it is read once it is mended.
    let headings = errors.iter().any(|(at, message)| *message == TWICE && headings::stands_at(&source.text, *at));
    if let Some(wrong) = headings.then(|| headings::first_wrong(&source.text)).flatten() {
        let before: Vec<_> = errors.iter().copied().take_while(|(at, _)| *at < wrong.at).collect();
        if !tell(source, &before) {
            source.report(wrong.at..wrong.at, "", wrong.what, wrong.expected, false);
            source.lost.set(true);
        }
        return;
    }
    tell(source, &errors);
}

/// Whether the thread was lost.
fn tell(source: &Source, errors: &[(usize, &str)]) -> bool {
    for (at, message) in errors {
        let slip = slip(&source.text, *at, message);
        let (what, expected) = slip.unwrap_or_else(|| words(message));
        source.report(*at..*at, "", what, expected, false);
        if !LOCAL.iter().any(|l| message.starts_with(l)) {
            source.lost.set(true);
            return true;
        }
    }
    false
}

/// What people are used to write elsewhere, named by what stands at the place.
fn slip(text: &str, at: usize, message: &str) -> Option<(String, String)> {
    let here = text.get(at..)?.chars().next();
    let line = text.get(at..)?.lines().next().unwrap_or_default();
    let said = |what: &str, expected: &str| Some((what.to_owned(), expected.to_owned()));
    match here {
        _ if message.starts_with("missing escaped value") || message.starts_with("too few unicode") => said(
            "in double quotes a backslash begins a special character",
            "expected it doubled (\\\\), or the text in single quotes ('...'), in which it is an ordinary character",
        ),
        Some(':') if message.starts_with("invalid unquoted key") => {
            said("a colon stands after the key", "expected an equals sign between key and value: key = \"value\"")
        }
        Some('“' | '”' | '„' | '‟' | '‘' | '’' | '‚' | '«' | '»') => {
            let quote = line.chars().next().unwrap_or_default();
            let expected = "expected straight ones, \"text\" or 'text': a word processor may have replaced them";
            Some((format!("{quote} is a curly quote, which does not begin or end a text here"), expected.to_owned()))
        }
        _ => None,
    }
}

/// Takes out of a damaged source's problems those that may only follow from a syntax error: on its line, or after the last one if the
/// parser lost the thread there.
pub(super) fn certain(source: &Source, problems: Vec<Problem>) -> Vec<Problem> {
    if !source.damaged.get() {
        return problems;
    }
    let syntax: Vec<usize> = problems.iter().filter(|p| p.path.is_empty()).map(|p| p.line).collect();
    let end = if source.lost.get() { syntax.iter().copied().max().unwrap_or(0) } else { usize::MAX };
    problems.into_iter().filter(|p| p.path.is_empty() || (!syntax.contains(&p.line) && p.line < end)).collect()
}

const LOST: &str = "can't be read from here on";

fn words(message: &str) -> (String, String) {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let said = |what: &str, expected: &str| (what.to_owned(), expected.to_owned());
    match what {
        "string values must be quoted" => {
            said("is not a value", "expected a text in quotes (such as \"60s\"), a number, a time, true or false")
        }
        "invalid basic string" | "invalid literal string" => {
            said("this text has no closing quote, or holds a character that may not stand in it", "expected a text in quotes on one line")
        }
        TWICE => said("this key stands here twice", "expected each key once in its table"),
        "invalid datetime" => said(
            "is not a time",
            "expected a time with its offset, such as 2026-12-01T08:00:00Z, or a time of day in quotes, such as \"22:00Z\"",
        ),
        "unexpected leading zero" => said("a number may not start with 0", "expected a number such as 5, or a text in quotes"),
        _ if LOCAL.iter().any(|l| what.starts_with(l)) => {
            (what.to_owned(), format!("expected {}", if expected.is_empty() { "another form" } else { expected }))
        }
        _ => {
            let expected = if expected.is_empty() { String::new() } else { format!("expected {expected}") };
            (format!("{LOST}: {what}"), expected)
        }
    }
}
