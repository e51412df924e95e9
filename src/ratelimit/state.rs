//! What is known of the policies a check's endpoint holds it to: the last reading of each, and what only several readings tell. A fold over
//! readings, so that a restart ends in the same state.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reading::{MOST_READINGS, Reading};
use crate::clock::UnixMs;

/// A policy nobody told of for this long (or for its window, if that is longer) is forgotten.
const KEPT_MS: i64 = 86_400_000;
/// The window that is assumed where a server tells neither a window nor a reset.
const ASSUMED_WINDOW_S: u64 = 60;

/// What is known of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyState {
    /// The last reading.
    pub last: Reading,
    /// The longest time to a reset that was told, in seconds: where no window is told it is at least that long.
    pub longest_reset_s: Option<u64>,
    /// The first reading of the present window: when, and how many were left.
    pub first: Option<(UnixMs, u64)>,
}

impl PolicyState {
    /// Whether it counts requests; nothing else can be set against a rate of requests.
    pub fn counts_requests(&self) -> bool {
        self.last.unit.is_none()
    }

    /// The window's length, as told.
    pub fn window(&self) -> Option<Duration> {
        self.last.window_s.map(Duration::from_secs)
    }

    /// The window's length: as told, or the longest reset that was, or a minute. Never shorter than the truth for long: what we send is spread over it.
    pub fn assumed_window(&self) -> Duration {
        let s = self.last.window_s.or(self.longest_reset_s).unwrap_or(ASSUMED_WINDOW_S);
        Duration::from_secs(s.max(1))
    }

    /// How many requests a second the whole quota is. `None` where it counts something else, or has no limit.
    pub fn rate(&self) -> Option<f64> {
        let limit = self.last.limit.filter(|l| *l > 0 && self.counts_requests())?;
        Some(limit as f64 / self.assumed_window().as_secs_f64())
    }

    /// How many requests a second everybody together used in the present window, where two readings at least a few seconds apart tell.
    pub fn used_per_s(&self) -> Option<f64> {
        let (at, remaining) = self.first?;
        let elapsed = self.last.at.since(at).as_secs_f64();
        let used = remaining.checked_sub(self.last.remaining?)?;
        (elapsed >= 1.0).then(|| used as f64 / elapsed)
    }

    fn take(&mut self, reading: &Reading) {
        let before = &self.last;
        let over = before.reset_at.is_some_and(|reset| reset <= reading.at)
            || before.limit != reading.limit
            || matches!((before.remaining, reading.remaining), (Some(a), Some(b)) if b > a)
            || before.window_s.is_some_and(|w| reading.at.since(self.first.map_or(before.at, |(at, _)| at)).as_secs() > w);
        if over || self.first.is_none() {
            self.first = reading.remaining.map(|n| (reading.at, n));
        }
        let reset_s = reading.reset_at.map(|r| r.since(reading.at).as_secs());
        self.longest_reset_s = self.longest_reset_s.max(reset_s);
        self.last = reading.clone();
    }
}

/// The policies of one check, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limits(BTreeMap<String, PolicyState>);

impl Limits {
    /// Takes in what a run read.
    pub fn apply(&mut self, readings: &[Reading]) {
        let Some(now) = readings.iter().map(|r| r.at).max() else { return };
        self.0.retain(|_, p| {
            let kept = p.last.window_s.map_or(KEPT_MS, |w| i64::try_from(w).unwrap_or(KEPT_MS).saturating_mul(1000).max(KEPT_MS));
            now.0.saturating_sub(p.last.at.0) <= kept
        });
        for reading in readings {
            if let Some(known) = self.0.get_mut(&reading.policy) {
                known.take(reading);
            } else if self.0.len() < MOST_READINGS {
                // A server that gives its policies a new name each time makes no new series each time.
                let mut fresh = PolicyState::default();
                fresh.take(reading);
                self.0.insert(reading.policy.clone(), fresh);
            }
        }
    }

    /// Every policy by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PolicyState)> {
        self.0.iter().map(|(name, p)| (name.as_str(), p))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(s: i64, remaining: u64, reset_in: Option<i64>, window_s: Option<u64>) -> Reading {
        Reading {
            policy: "default".into(),
            limit: Some(100),
            remaining: Some(remaining),
            window_s,
            reset_at: reset_in.map(|r| UnixMs((s + r) * 1000)),
            unit: None,
            at: UnixMs(s * 1000),
        }
    }

    fn folded(readings: &[Reading]) -> PolicyState {
        let mut limits = Limits::default();
        readings.iter().for_each(|r| limits.apply(std::slice::from_ref(r)));
        limits.iter().next().map(|(_, p)| p.clone()).unwrap_or_default()
    }

    #[test]
    fn use_is_counted_within_a_window() {
        let p = folded(&[reading(0, 100, Some(60), None), reading(10, 80, Some(50), None), reading(40, 20, Some(20), None)]);
        assert_eq!((p.used_per_s(), p.assumed_window()), (Some(2.0), Duration::from_secs(60)));
        let next = folded(&[reading(50, 5, Some(10), None), reading(61, 100, Some(59), None), reading(71, 90, Some(49), None)]);
        assert_eq!(next.used_per_s(), Some(1.0), "the window before is over");
        assert_eq!(folded(&[reading(0, 100, None, None)]).used_per_s(), None);
    }

    #[test]
    fn rates_are_of_requests() {
        assert_eq!(folded(&[reading(0, 1, None, Some(50))]).rate(), Some(2.0));
        assert_eq!(folded(&[reading(0, 1, None, None)]).rate(), Some(100.0 / 60.0));
        assert_eq!(folded(&[Reading { unit: Some("content-bytes".into()), ..reading(0, 1, None, Some(50)) }]).rate(), None);
        assert_eq!(folded(&[Reading { limit: Some(0), ..reading(0, 1, None, Some(50)) }]).rate(), None);
    }

    #[test]
    fn names_are_bounded_and_old_ones_go() {
        let mut limits = Limits::default();
        for n in 0..50 {
            limits.apply(&[Reading { policy: n.to_string(), ..reading(n, 1, None, None) }]);
        }
        assert_eq!(limits.iter().count(), MOST_READINGS);
        limits.apply(&[reading(86_400 + 100, 1, None, None)]);
        assert_eq!(limits.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), ["default"]);
    }
}
