//! What is known of the policies a check's endpoint holds it to: the last reading of each, and what only several readings tell. A fold over
//! readings, so that a restart ends in the same state.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reading::{MOST_READINGS, Reading};
use crate::clock::{DAY_MS, UnixMs};

/// A policy nobody told of for this long (or for its window, if that is longer) is forgotten.
const KEPT_MS: i64 = DAY_MS;
/// No window makes a policy be kept for longer.
const LONGEST_KEPT_MS: i64 = 366 * DAY_MS;
/// A reading older than the last one by no more than this was overtaken; if it is older still, the clock was set back.
const OVERTAKEN_MS: u64 = 60_000;
/// The window that is assumed where a server tells neither a window nor a reset.
const ASSUMED_WINDOW_S: u64 = 60;

/// What is known of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyState {
    /// The last reading.
    pub last: Reading,
    /// The last limit that was told, also where the last reading does not say: an answer that keeps silent takes nothing back.
    limit: Option<u64>,
    /// The window that was told of that limit, in seconds.
    window_s: Option<u64>,
    /// The longest time to a reset that was told of that limit, in seconds: where no window is told it is at least that long.
    pub longest_reset_s: Option<u64>,
    /// The first reading of the present window: when, and how many were left.
    pub first: Option<(UnixMs, u64)>,
}

impl PolicyState {
    /// Whether it counts requests; nothing else can be set against a rate of requests.
    pub fn counts_requests(&self) -> bool {
        self.last.unit.is_none()
    }

    /// The limit that was told last.
    pub fn limit(&self) -> Option<u64> {
        self.last.limit.or(self.limit)
    }

    /// The window's length, as told.
    pub fn window(&self) -> Option<Duration> {
        self.last.window_s.or(self.window_s).map(Duration::from_secs)
    }

    /// The window's length: as told, or the longest reset that was, or a minute. Never shorter than the truth for long: what we send is spread over
    /// it, and when a reset that was near has come, the next one is a whole window away.
    pub fn assumed_window(&self) -> Duration {
        let guess = || Duration::from_secs(self.longest_reset_s.unwrap_or(ASSUMED_WINDOW_S));
        self.window().unwrap_or_else(guess).max(Duration::from_secs(1))
    }

    /// How many requests a second the whole quota is. `None` where it counts something else, or has no limit.
    pub fn rate(&self) -> Option<f64> {
        let limit = self.limit().filter(|l| *l > 0 && self.counts_requests())?;
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
        let overtaken = reading.at < before.at && before.at.since(reading.at).as_millis() <= OVERTAKEN_MS.into();
        if overtaken || reading == before {
            return;
        }
        let other = matches!((self.limit(), reading.limit), (Some(a), Some(b)) if a != b);
        let over = other
            || reading.at < before.at
            || before.reset_at.is_some_and(|reset| reset <= reading.at)
            || matches!((before.remaining, reading.remaining), (Some(a), Some(b)) if b > a)
            || self.window().is_some_and(|w| reading.at.since(self.first.map_or(before.at, |(at, _)| at)) > w);
        if over || self.first.is_none() {
            self.first = reading.remaining.map(|n| (reading.at, n));
        }
        if other {
            // Another quota, with a window of its own.
            (self.window_s, self.longest_reset_s) = (None, None);
        }
        self.limit = reading.limit.or(self.limit);
        self.window_s = reading.window_s.or(self.window_s);
        // A reset that is over says nothing about the window.
        let reset_s = reading.reset_at.map(|r| r.since(reading.at).as_secs()).filter(|s| *s > 0);
        self.longest_reset_s = self.longest_reset_s.max(reset_s);
        self.last = reading.clone();
    }
}

/// The policies of one check, in order of their names. Most are told of one or two: a map would make room for eleven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, PolicyState>", into = "BTreeMap<String, PolicyState>")]
pub struct Limits(Vec<(String, PolicyState)>);

impl From<BTreeMap<String, PolicyState>> for Limits {
    fn from(map: BTreeMap<String, PolicyState>) -> Self {
        Self(map.into_iter().collect())
    }
}

impl From<Limits> for BTreeMap<String, PolicyState> {
    fn from(limits: Limits) -> Self {
        limits.0.into_iter().collect()
    }
}

impl Limits {
    /// Takes in what a run read.
    pub fn apply(&mut self, readings: &[Reading]) {
        let Some(now) = readings.iter().map(|r| r.at).max() else { return };
        self.0.retain(|(_, p)| {
            let window = p.window().map_or(0, |w| i64::try_from(w.as_millis()).unwrap_or(i64::MAX));
            // Also what lies ahead, since the clock was set back: else nothing new would find a place until then.
            now.0.saturating_sub(p.last.at.0).saturating_abs() <= window.clamp(KEPT_MS, LONGEST_KEPT_MS)
        });
        for reading in readings {
            match self.0.binary_search_by(|(name, _)| name.cmp(&reading.policy)) {
                Ok(place) => self.0.iter_mut().skip(place).take(1).for_each(|(_, known)| known.take(reading)),
                Err(place) if self.0.len() < MOST_READINGS => {
                    let mut fresh = PolicyState::default();
                    fresh.take(reading);
                    self.0.reserve_exact(1);
                    self.0.insert(place, (reading.policy.clone(), fresh));
                }
                // A server that gives its policies a new name each time makes no new series each time.
                Err(_) => {}
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
    use proptest::option;
    use proptest::prelude::*;

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
    fn silence_takes_no_quota_back() {
        let told = reading(0, 50, None, Some(3600));
        let silent = Reading { limit: None, ..reading(5, 0, Some(30), None) };
        let p = folded(&[told.clone(), silent.clone()]);
        assert_eq!((p.limit(), p.window(), p.last.limit), (Some(100), Some(Duration::from_secs(3600)), None));
        assert_eq!(p.used_per_s(), Some(10.0), "it is the same window");
        // Another limit is another quota.
        let p = folded(&[told, silent, Reading { limit: Some(7), ..reading(9, 7, None, None) }]);
        assert_eq!((p.limit(), p.window(), p.longest_reset_s), (Some(7), None, None));
    }

    #[test]
    fn a_window_nobody_tells_is_the_longest_reset() {
        let resets: Vec<Reading> = [1, 9, 3, 10, 5, 8].into_iter().zip(0..).map(|(r, n)| reading(n * 70, 50, Some(r), None)).collect();
        assert_eq!(folded(&resets).assumed_window(), Duration::from_secs(10));
        let over: Vec<Reading> = (0..9).map(|n| reading(n, 50, Some(0), None)).collect();
        assert_eq!(folded(&over).assumed_window(), Duration::from_secs(60), "a reset that is over says nothing");
    }

    #[test]
    fn a_clock_that_was_set_back_starts_anew() {
        let p = folded(&[reading(7200, 90, None, None), reading(100, 80, None, None), reading(110, 60, None, None)]);
        assert_eq!((p.used_per_s(), p.last.at), (Some(2.0), UnixMs(110_000)));
        let p = folded(&[reading(100, 90, None, None), reading(70, 95, None, None)]);
        assert_eq!((p.last.at, p.last.remaining), (UnixMs(100_000), Some(90)), "it was overtaken");
        // Policies of a time ahead make room.
        let mut limits = Limits::default();
        let ahead = |n: u64| Reading { policy: n.to_string(), ..reading(100 * 86_400, 1, None, Some(u64::MAX)) };
        limits.apply(&(0..10).map(ahead).collect::<Vec<_>>());
        limits.apply(&[reading(90 * 86_400, 1, None, None)]);
        assert_eq!(limits.iter().count(), MOST_READINGS, "kept as long as its window");
        limits.apply(&[reading(-300 * 86_400, 1, None, None)]);
        assert_eq!(limits.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), ["default"]);
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
    /// One response's readings, each of another policy of `names`.
    fn any_response(names: usize) -> impl Strategy<Value = Vec<Reading>> {
        let at = prop_oneof![5 => 0..200_000i64, 2 => 0..40_000_000_000i64, 1 => any::<i64>()];
        let number = || option::of(prop_oneof![4 => 0..200u64, 1 => any::<u64>()]);
        let reset = option::of(prop_oneof![4 => 0..120_000i64, 1 => any::<i64>()]);
        let one = (number(), number(), number(), reset, option::weighted(0.1, Just("content-bytes".to_owned())));
        (at, prop::collection::btree_map(0..names, one, 0..=names.min(12))).prop_map(|(at, all)| {
            let reading = |(name, (limit, remaining, window_s, reset, unit)): (usize, _)| Reading {
                policy: format!("p{name}"),
                limit,
                remaining,
                window_s,
                reset_at: Option::map(reset, |r: i64| UnixMs(at.saturating_add(r))),
                unit,
                at: UnixMs(at),
            };
            all.into_iter().map(reading).collect()
        })
    }

    fn fold(responses: &[Vec<Reading>]) -> Limits {
        let mut limits = Limits::default();
        responses.iter().for_each(|r| limits.apply(r));
        limits
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_told_stays_bounded_and_sane(responses in prop::collection::vec(any_response(30), 0..20)) {
            let limits = fold(&responses);
            prop_assert!(limits.iter().count() <= MOST_READINGS);
            for (name, p) in limits.iter() {
                prop_assert!(p.used_per_s().is_none_or(|n| n.is_finite() && n >= 0.0), "{name}: {p:?}");
                prop_assert!(p.rate().is_none_or(|n| n.is_finite() && n > 0.0), "{name}: {p:?}");
                prop_assert!(p.assumed_window() >= Duration::from_secs(1), "{name}: {p:?}");
            }
        }

        #[test]
        fn the_order_of_policies_within_a_response_does_not_matter(
            before in prop::collection::vec(any_response(MOST_READINGS), 0..5),
            (one, other) in any_response(MOST_READINGS).prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        ) {
            let (mut a, mut b) = (fold(&before), fold(&before));
            a.apply(&one);
            b.apply(&other);
            prop_assert_eq!(a, b);
        }

        #[test]
        fn what_is_read_twice_counts_once(responses in prop::collection::vec(any_response(14), 1..8)) {
            let once = fold(&responses);
            let mut twice = once.clone();
            twice.apply(&responses[responses.len() - 1]);
            prop_assert_eq!(once, twice);
        }

        /// Of two runs that end at nearly the same time the later one may be taken in first.
        #[test]
        fn what_was_overtaken_changes_nothing(before in prop::collection::vec(any_response(8), 0..5), last in any_response(8), by in 1..=60_000i64) {
            let mut limits = fold(&before);
            limits.apply(&last);
            let late: Vec<Reading> =
                last.iter().map(|r| Reading { at: UnixMs(r.at.0.saturating_sub(by)), remaining: Some(3), ..r.clone() }).collect();
            let mut after = limits.clone();
            after.apply(&late);
            for r in &last {
                let of = |l: &Limits| l.iter().find(|(name, _)| *name == r.policy).map(|(_, p)| p.clone());
                let newest = of(&limits).is_some_and(|p| p.last.at == r.at && r.at.0 > i64::MIN + by);
                prop_assert!(!newest || of(&after) == of(&limits), "{:?}", r.policy);
            }
        }

        #[test]
        fn a_restart_ends_in_the_same_state(before in prop::collection::vec(any_response(14), 0..6), next in any_response(14)) {
            let mut live = fold(&before);
            let mut restarted: Limits = serde_json::from_str(&serde_json::to_string(&live).unwrap()).unwrap();
            live.apply(&next);
            restarted.apply(&next);
            prop_assert_eq!(live, restarted);
        }
    }
}
