//! Rate limits in words: what a quota says, and what one response told. Pure.

use std::time::Duration;

use super::{duration, plain};
use crate::fields::Span;
use crate::observed::Heard;
use crate::ratelimit::{RateLimit, readings};

/// `3 of 100 left in 1m, more in 20s`, as much of it as is known. `unit` begins with a space, or is empty.
pub fn quota_words(limit: Option<u64>, remaining: Option<u64>, window: Option<Duration>, reset: Option<Duration>, unit: &str) -> String {
    let mut words = match (remaining, limit) {
        (Some(r), Some(l)) => format!("{r} of {l}{unit} left"),
        (Some(r), None) => format!("{r}{unit} left"),
        (None, Some(l)) => format!("at most {l}{unit}"),
        (None, None) => String::new(),
    };
    if let Some(window) = window {
        words.push_str(&format!("{}in {}", if words.is_empty() { "a window of unknown size, " } else { " " }, Span(window)));
    }
    if let Some(reset) = reset {
        words.push_str(&format!("{}more in {}", if words.is_empty() { "" } else { ", " }, Span(reset)));
    }
    words
}

/// What a response told, in one line: `3 of 100 left in 1m, more in 20s (policy hour); throttled: asks to wait 20s`. `None`: it told nothing.
pub(super) fn told(heard: &Heard) -> Option<String> {
    let l = &heard.limits;
    let quota = quota_words(l.limit, l.remaining, l.window, l.reset_in, "");
    let quota = if quota.is_empty() && l.policies.is_some() { "it names policies only".to_owned() } else { quota };
    let wait = match (l.throttled, l.retry_after, heard.stay_away) {
        (true, Some(wait), _) if wait.is_zero() => "throttled: asks for no wait".to_owned(),
        (true, Some(wait), _) => format!("throttled: asks to wait {}", words(wait)),
        (true, None, Some(wait)) => format!("throttled: does not say for how long, so wait {}", words(wait)),
        (true, None, None) => "throttled: does not say for how long".to_owned(),
        (false, Some(wait), _) if !wait.is_zero() => format!("asks to wait {}", words(wait)),
        (false, ..) => String::new(),
    };
    let all = [format!("{quota}{}", policy(heard, l)), wait];
    let all: Vec<String> = all.into_iter().filter(|part| !part.is_empty()).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// A wait as whole seconds and more are told.
fn words(wait: Duration) -> String {
    if wait.subsec_nanos() == 0 { Span(wait).to_string() } else { duration(wait) }
}

/// Which policy it is that the line tells of, by the name it is kept under, and how many others there are.
fn policy(heard: &Heard, l: &RateLimit) -> String {
    let all = readings(l, "", heard.at);
    let top = |r: &&crate::ratelimit::Reading| (r.limit, r.remaining) == (l.limit, l.remaining);
    let Some(this) = all.iter().find(top).or(all.first()) else { return String::new() };
    let others = match all.len() - 1 {
        0 => String::new(),
        1 => ", and 1 other".to_owned(),
        n => format!(", and {n} others"),
    };
    format!(" (policy {}{others})", plain(&this.policy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ratelimit::{Dialect, Response, read};

    fn line(status: u16, lines: &[(&'static str, &'static str)], dialect: Dialect) -> Option<String> {
        let mut headers = http::HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        let at = UnixMs(1_800_000_000_000);
        let limits = read(&Response { dialect, status, headers: &headers, body: b"", received_at: at });
        let stay_away = limits.stay_away(dialect);
        told(&Heard { host: "api.example.com:443".into(), token: false, at, limits, stay_away })
    }

    #[test]
    fn each_response_has_one_line() {
        let triple = [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "30")];
        let policies = [("ratelimit-policy", "\"hour\";q=1000;w=3600, \"burst\";q=10;w=1"), ("ratelimit", "\"hour\";r=7;t=50")];
        for (status, lines, dialect, said) in [
            (200, &[][..], Dialect::Auto, None),
            (200, &triple[..], Dialect::Auto, Some("12 of 100 left, more in 30s (policy default)")),
            (200, &policies[..], Dialect::Auto, Some("7 of 1000 left in 1h, more in 50s (policy hour, and 1 other)")),
            (429, &[("retry-after", "90")][..], Dialect::Auto, Some("throttled: asks to wait 1m30s")),
            (429, &[("retry-after", "0")][..], Dialect::Auto, Some("throttled: asks for no wait")),
            (429, &[][..], Dialect::Auto, Some("throttled: does not say for how long")),
            (429, &[][..], Dialect::Github, Some("throttled: does not say for how long, so wait 1m")),
            (
                429,
                &triple[1..],
                Dialect::Auto,
                Some("12 left, more in 30s (policy default); throttled: does not say for how long, so wait 30s"),
            ),
            (500, &[("retry-after", "5")][..], Dialect::Auto, Some("asks to wait 5s")),
            (200, &[("retry-after", "0")][..], Dialect::Auto, None),
        ] {
            assert_eq!(line(status, lines, dialect).as_deref(), said, "{status} {lines:?}");
        }
    }
}
