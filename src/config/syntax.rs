//! What the TOML parser found wrong, in words for people who do not know TOML's grammar.
//!
//! The parser goes on after an error. After some errors what it reads next is right (a value without quotes costs only that value); after others
//! (a bracket that is never closed) it is noise. Only what is certain is reported.

use toml::de::Error;

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
];

/// Reports the errors, up to and with the first after which the rest can't be trusted.
pub(super) fn report(source: &Source, errors: &[Error]) {
    let mut errors: Vec<(usize, &str)> = errors.iter().map(|e| (e.span().map_or(0, |s| s.start), e.message())).collect();
    errors.sort_unstable();
    source.damaged.set(!errors.is_empty());
    for (at, message) in errors {
        let (what, expected) = words(message);
        source.report(at..at, "", what, expected, false);
        if !LOCAL.iter().any(|l| message.starts_with(l)) {
            break;
        }
    }
}

/// Takes out of a damaged source's problems those that may only follow from a syntax error: on its line, or after the last one if the
/// parser lost the thread there.
pub(super) fn certain(source: &Source, problems: Vec<Problem>) -> Vec<Problem> {
    if !source.damaged.get() {
        return problems;
    }
    let syntax: Vec<usize> = problems.iter().filter(|p| p.path.is_empty()).map(|p| p.line).collect();
    let lost = problems.iter().any(|p| p.path.is_empty() && p.what.starts_with(LOST));
    let end = if lost { syntax.iter().copied().max().unwrap_or(0) } else { usize::MAX };
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
        "duplicate key" => said("this key stands here twice", "expected each key once in its table"),
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
