//! What a quota means for a declared volume: how many times it fits, and when what is left runs out. Plain arithmetic over plain numbers; whatever
//! can't be told (nothing declared, no window, numbers that overflow) is absent.

use crate::clock::UnixMs;
use crate::config::model::{Batch, DeclaredVolume};
use crate::fields::Volume;

/// Seconds of a day: quotas with a window of at least that are set against what is declared a day, the batches among it, shorter ones against the peak.
pub const DAY_S: u64 = 86_400;
/// The last millisecond of the year 9999. A later time is a mistake somewhere, and not shown.
const LAST_MS: i64 = 253_402_300_799_999;

/// So many requests in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests.
    pub limit: u64,
    /// The window's length in seconds, more than 0.
    pub window_s: u64,
}

impl Quota {
    /// The quota over the declared use of one window ([`declared_use`]).
    pub fn headroom(self, volume: &DeclaredVolume) -> Option<f64> {
        let used = declared_use(volume, self.window_s).filter(|n| *n > 0.0)?;
        Some(self.limit as f64 / used).filter(|h| h.is_finite())
    }
}

/// Requests a second.
pub(super) fn per_s(v: Volume) -> f64 {
    v.calls as f64 / v.per_s.max(1) as f64
}

/// The calls of all declared batches of a day.
pub(super) fn in_batches(volume: &DeclaredVolume) -> f64 {
    volume.batches.iter().map(Batch::calls).fold(0.0, |sum, n| sum + n)
}

/// The declared requests of a day: `daily` and the batches. Where there is a peak but no `daily`, nobody knows the rest of the day.
fn in_a_day(volume: &DeclaredVolume) -> Option<f64> {
    match (volume.daily, volume.peak) {
        (Some(daily), _) => Some(per_s(daily) * DAY_S as f64 + in_batches(volume)),
        (None, None) if !volume.batches.is_empty() => Some(in_batches(volume)),
        (None, _) => None,
    }
}

/// The declared requests a second that count for a window: the peak, or over a day and more the mean of it.
pub fn declared_per_s(volume: &DeclaredVolume, window_s: u64) -> Option<f64> {
    if window_s < DAY_S { volume.peak.map(per_s) } else { Some(in_a_day(volume)? / DAY_S as f64) }
}

/// The declared requests of one window: the peak all through it, but no more than the whole day has besides batches; from a day on, what is declared a
/// day, batches and all.
pub fn declared_use(volume: &DeclaredVolume, window_s: u64) -> Option<f64> {
    let used = declared_per_s(volume, window_s)? * window_s as f64;
    let day = volume.daily.filter(|_| window_s < DAY_S).map(|d| per_s(d) * DAY_S as f64);
    Some(day.map_or(used, |d| used.min(d)))
}

/// A time that can be shown.
pub(super) fn dated(t: UnixMs) -> Option<UnixMs> {
    (0..=LAST_MS).contains(&t.0).then_some(t)
}

/// When `remaining`, read at `at`, runs out at so many a second: `at` itself where nothing is left. Absent where that is not before `end` (the reset, or
/// the window's end), and once `end` is over: then there is more, and nobody knows how much.
pub fn runs_out(at: UnixMs, remaining: u64, per_s: f64, end: UnixMs, now: UnixMs) -> Option<UnixMs> {
    if end <= now || end <= at {
        return None;
    }
    if remaining == 0 {
        return dated(at);
    }
    let after_ms = Some(remaining as f64 / per_s * 1000.0).filter(|ms| per_s > 0.0 && *ms < (end.0.saturating_sub(at.0)) as f64)?;
    dated(UnixMs(at.0.saturating_add(after_ms as i64)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn volume(peak: &str, daily: &str) -> DeclaredVolume {
        DeclaredVolume { peak: peak.parse().ok(), daily: daily.parse().ok(), batches: Vec::new() }
    }

    fn headroom(limit: u64, window_s: u64, v: &DeclaredVolume) -> Option<f64> {
        Quota { limit, window_s }.headroom(v)
    }

    #[test]
    fn headroom_is_quota_over_what_is_declared_of_the_same_window() {
        assert_eq!(headroom(1200, 60, &volume("600/min", "")), Some(2.0));
        assert_eq!(headroom(300, 60, &volume("600/min", "")), Some(0.5));
        // An hour at the peak would be more than the whole day has.
        assert_eq!(headroom(10_000, 3_600, &volume("600/min", "5000/day")), Some(2.0));
        assert_eq!(headroom(100_000, 86_400, &volume("600/min", "40000/day")), Some(2.5));
        assert_eq!(headroom(560_000, 7 * 86_400, &volume("", "40000/day")), Some(2.0));
    }

    #[test]
    fn the_batches_are_a_part_of_the_day() {
        let batch = |rows| Batch { start: crate::fields::TimeOfDay(0), rows, calls_per_row: 0.5 };
        let with = |v: DeclaredVolume| DeclaredVolume { batches: vec![batch(15_000), batch(5_000)], ..v };
        let v = with(volume("600/min", "40000/day"));
        assert_eq!((headroom(100_000, 86_400, &v), headroom(700_000, 7 * 86_400, &v)), (Some(2.0), Some(2.0)));
        assert_eq!(headroom(1_200, 60, &v), Some(2.0), "a short window has the peak, and each batch is set against it by itself");
        assert_eq!(headroom(20_000, 86_400, &with(volume("", ""))), Some(2.0), "nothing but batches is declared");
        assert_eq!(headroom(20_000, 86_400, &with(volume("600/min", ""))), None, "nobody says what the day has besides");
        assert_eq!(declared_per_s(&v, 86_400), Some(50_000.0 / 86_400.0));
    }

    #[test]
    fn without_what_it_takes_there_is_none() {
        assert_eq!(headroom(100, 60, &volume("", "40000/day")), None, "a day's mean says nothing about a minute");
        assert_eq!(headroom(100, 86_400, &volume("600/min", "")), None, "nobody calls at the peak all day");
        assert_eq!(headroom(100, 60, &volume("0/min", "")), None);
    }

    #[test]
    fn a_quota_runs_out_before_its_reset_or_not_at_all() {
        let s = |n: i64| UnixMs(n * 1000);
        assert_eq!(runs_out(s(0), 50, 1.0, s(60), s(10)), Some(s(50)));
        assert_eq!(runs_out(s(0), 60, 1.0, s(60), s(10)), None, "just enough");
        assert_eq!(runs_out(s(5), 0, 0.0, s(60), s(10)), Some(s(5)), "it has run out");
        assert_eq!(runs_out(s(5), 0, 9.0, s(60), s(60)), None, "and there is more again");
        assert_eq!(runs_out(s(0), 50, 0.0, s(60), s(10)), None);
        assert_eq!(runs_out(s(0), 1, 1.0 / 1_048_576.0, UnixMs(i64::MAX), s(10)), Some(s(1_048_576)));
        assert_eq!(runs_out(s(0), u64::MAX, 1.0, UnixMs(i64::MAX), s(10)), None, "not in this age");
    }

    /// Any number, the monstrous ones among them.
    fn any_rate() -> impl Strategy<Value = f64> {
        prop_oneof![any::<f64>(), 0.0..100.0, Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(f64::MIN_POSITIVE)]
    }

    proptest! {
        #[test]
        fn what_is_foretold_lies_between_the_reading_and_the_reset(
            at in any::<i64>(), remaining in any::<u64>(), rate in any_rate(), end in any::<i64>(), now in any::<i64>(),
        ) {
            if let Some(t) = runs_out(UnixMs(at), remaining, rate, UnixMs(end), UnixMs(now)) {
                prop_assert!(at <= t.0 && t.0 < end && now < end && (0..=LAST_MS).contains(&t.0));
                prop_assert!(remaining == 0 || rate > 0.0);
            }
        }

        #[test]
        fn the_faster_the_sooner(
            at in 0..LAST_MS / 2, remaining in 0..1_000_000_u64, less in 0..1_000_u64, rate in 1e-6..1e6_f64, times in 1.0..100.0_f64,
        ) {
            let out = |remaining, rate| runs_out(UnixMs(at), remaining, rate, UnixMs(i64::MAX), UnixMs(at));
            if let Some(t) = out(remaining, rate) {
                prop_assert!(out(remaining, rate * times).is_some_and(|sooner| sooner <= t));
                prop_assert!(out(remaining.saturating_sub(less), rate).is_some_and(|sooner| sooner <= t));
            }
        }

        #[test]
        fn headroom_is_a_number_and_grows_with_the_quota(
            limit in any::<u64>(), window_s in 1..u64::MAX, calls in any::<u64>(), per_s in any::<u64>(), daily in any::<u64>(),
        ) {
            let peak = Some(Volume { calls, per_s });
            let v = DeclaredVolume { peak, daily: Some(Volume { calls: daily, per_s: 86_400 }), batches: Vec::new() };
            let h = headroom(limit, window_s, &v);
            prop_assert!(h.is_none_or(|h| h.is_finite() && h >= 0.0));
            let half = headroom(limit / 2, window_s, &v);
            prop_assert!(h.zip(half).is_none_or(|(h, half)| half <= h));
            // What is declared a day can only lower the use of a short window.
            let peak_only = headroom(limit, window_s, &DeclaredVolume { daily: None, ..v });
            prop_assert!(window_s >= DAY_S || h.zip(peak_only).is_none_or(|(h, p)| h >= p));
        }
    }
}
