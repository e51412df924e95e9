//! How long a key set may be cached, by its Cache-Control.

use std::time::Duration;

use crate::finding::jwks::CCH_01;
use crate::finding::{Finding, Level, Severity};

const SHORTEST_S: u64 = 300;
const LONGEST_S: u64 = 86_400;

/// What a key set's Cache-Control says. `overlap`: how long the old and the new key stood side by side at the last change of keys.
pub fn cache_control(header: Option<&str>, overlap: Option<Duration>) -> Option<Finding> {
    let unsaid = |words: &str| Some(CCH_01.found(words).of(Severity::Info).at(Level::Info));
    let Some(header) = header else { return unsaid("no Cache-Control: clients cache as they see fit") };
    let directives: Vec<(String, Option<&str>)> = header
        .split(',')
        .map(|d| match d.split_once('=') {
            Some((name, value)) => (name.trim().to_ascii_lowercase(), Some(value.trim().trim_matches('"'))),
            None => (d.trim().to_ascii_lowercase(), None),
        })
        .collect();
    if let Some((name, _)) = directives.iter().find(|(name, _)| name == "no-store" || name == "no-cache") {
        return Some(CCH_01.found(format!("Cache-Control says {name}: every log-in may fetch the keys")));
    }
    let Some(value) = directives.iter().find(|(name, _)| name == "max-age").map(|(_, value)| value.unwrap_or_default()) else {
        return unsaid("Cache-Control has no max-age: clients cache as they see fit");
    };
    // More digits than a number of seconds can have mean "for ever" (RFC 9111 1.2.2).
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let Some(seconds) = digits.then(|| value.parse::<u64>().unwrap_or(u64::MAX)) else {
        return Some(CCH_01.found("max-age is not a number of seconds"));
    };
    match seconds {
        ..SHORTEST_S => Some(CCH_01.found(format!("max-age is {seconds} s, less than 5 minutes"))),
        s if s > LONGEST_S => Some(CCH_01.found(format!("max-age is {seconds} s, more than 24 hours"))),
        s => {
            let overlap = overlap.map(|o| o.as_secs()).filter(|o| *o < s)?;
            Some(CCH_01.found(format!("max-age is {s} s, but at the last change of keys they overlapped for {overlap} s only")))
        }
    }
}
