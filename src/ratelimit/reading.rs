//! What is kept of a response's rate limits: one [`Reading`] a policy, small, under a name that can be a metric's label.

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::{Quota, RateLimit};
use crate::clock::UnixMs;

/// So many policies of one check are kept; what a server names beyond them is left out.
pub const MOST_READINGS: usize = 10;
/// A policy's name has at most this many characters.
const MAX_NAME: usize = 64;
/// A unit has at most this many characters.
const MAX_UNIT: usize = 32;
/// The name of what a server gives no name.
const UNNAMED: &str = "default";

/// One policy as a response told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Its name among the policies of a check: as the server calls it (`_` for a slash), `100;w=60` or `default` where it has no name; behind
    /// `token/` where a token endpoint told it, behind `host/` where another host than the check's own did.
    pub policy: String,
    /// So many (of `unit`) in a window.
    pub limit: Option<u64>,
    /// So many were left.
    pub remaining: Option<u64>,
    /// The window's length in seconds.
    pub window_s: Option<u64>,
    /// When there is more.
    pub reset_at: Option<UnixMs>,
    /// What is counted; `None`: requests.
    pub unit: Option<String>,
    /// When it was read.
    pub at: UnixMs,
}

/// What a response told, policy by policy; the values that stand outside of the policies are joined to the one they speak of, or are `default`.
/// At most [`MOST_READINGS`].
pub fn readings(limits: &RateLimit, prefix: &str, at: UnixMs) -> Vec<Reading> {
    let mut policies: Vec<Policy> = limits.policies.clone().unwrap_or_default();
    let top = Quota { limit: limits.limit, remaining: limits.remaining, reset_in: limits.reset_in, window: limits.window };
    let same = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
    let speaks_of = |p: &&mut Policy| {
        same(p.limit, top.limit)
            && same(p.remaining, top.remaining)
            && p.limit.is_some() == top.limit.is_some()
            && same(p.window.map(|w| w.as_secs()), top.window.map(|w| w.as_secs()))
    };
    if !top.is_empty() {
        match policies.iter_mut().find(speaks_of) {
            Some(p) => {
                p.remaining = p.remaining.or(top.remaining);
                p.reset_in = p.reset_in.or(top.reset_in);
                p.window = p.window.or(top.window);
            }
            None => policies.insert(0, top.named(UNNAMED)),
        }
    }
    let mut all: Vec<Reading> = Vec::new();
    for p in &policies {
        let reading = Reading {
            policy: format!("{prefix}{}", name(p)),
            limit: p.limit,
            remaining: p.remaining,
            window_s: p.window.map(|w| w.as_secs()),
            reset_at: p.reset_in.map(|r| at.plus(r)),
            unit: p.unit.as_deref().filter(|_| !p.counts_requests()).map(|u| shortened(u, MAX_UNIT)),
            at,
        };
        if let Some(other) = all.iter_mut().find(|r| r.policy == reading.policy) {
            // The same policy for several partitions: the one that is nearest to its end.
            if reading.remaining.is_some_and(|n| other.remaining.is_none_or(|o| n < o)) {
                *other = reading;
            }
        } else if all.len() < MOST_READINGS {
            all.push(reading);
        }
    }
    all
}

fn name(p: &Policy) -> String {
    match (&p.name, p.limit, p.window) {
        // A slash stands behind whose policy it is.
        (Some(name), ..) if !name.trim().is_empty() => shortened(name, MAX_NAME).replace('/', "_"),
        (_, Some(limit), Some(window)) => format!("{limit};w={}", window.as_secs()),
        _ => UNNAMED.to_owned(),
    }
}

fn shortened(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn policy(name: Option<&str>, limit: u64, remaining: Option<u64>, window: u64) -> Policy {
        Policy {
            name: name.map(str::to_owned),
            limit: Some(limit),
            remaining,
            window: Some(Duration::from_secs(window)),
            ..Policy::default()
        }
    }

    fn told(limits: &RateLimit) -> Vec<(String, Option<u64>, Option<u64>)> {
        readings(limits, "", UnixMs(0)).into_iter().map(|r| (r.policy, r.remaining, r.window_s)).collect()
    }

    #[test]
    fn values_outside_of_the_policies_join_the_one_they_speak_of() {
        let policies = Some(vec![policy(None, 10, None, 1), policy(None, 50, None, 60)]);
        let limits =
            RateLimit { limit: Some(50), remaining: Some(9), window: Some(Duration::from_secs(60)), policies, ..RateLimit::default() };
        assert_eq!(told(&limits), [("10;w=1".into(), None, Some(1)), ("50;w=60".into(), Some(9), Some(60))]);
        let alone = RateLimit { policies: None, ..limits };
        assert_eq!(told(&alone), [("default".into(), Some(9), Some(60))]);
        assert_eq!(told(&RateLimit::default()), []);
    }

    #[test]
    fn names_are_bounded_and_there_once() {
        let long = "x".repeat(500);
        let twice = vec![policy(Some("a/b\n"), 5, Some(3), 1), policy(Some("a/b\n"), 5, Some(2), 1), policy(Some(&long), 5, None, 1)];
        let limits = RateLimit { policies: Some(twice), ..RateLimit::default() };
        assert_eq!(told(&limits), [("a_b ".into(), Some(2), Some(1)), ("x".repeat(64), None, Some(1))]);
        let many = (0..100).map(|n| policy(Some(&n.to_string()), 5, None, 1)).collect();
        assert_eq!(told(&RateLimit { policies: Some(many), ..RateLimit::default() }).len(), MOST_READINGS);
    }
}
