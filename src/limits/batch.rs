//! Whether the declared batches fit into a quota beside what is declared, and how long each takes at least. Whether they fit beside what is used now is
//! `as_used`'s.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forecast::{DAY_S, Quota, in_batches, per_s};
use super::{PolicyShown, as_used, words, written};
use crate::clock::UnixMs;
use crate::config::model::{Batch, DeclaredVolume};
use crate::fields::{Span, TimeOfDay};

/// A declared batch, and what each policy means for it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
pub struct BatchShown {
    /// When it begins.
    #[schemars(with = "String")]
    #[serde(with = "written")]
    pub start: TimeOfDay,
    /// Rows.
    pub rows: u64,
    /// Calls for each of them.
    pub calls_per_row: f64,
    /// Calls in all, rounded up.
    pub calls: u64,
    /// The answer of every policy that counts requests.
    pub policies: Vec<BatchFit>,
}

/// What one policy means for one batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema, Deserialize)]
pub struct BatchFit {
    /// The policy's label.
    pub policy: String,
    /// Whether it fits beside the declared volume; absent where the policy does not tell enough.
    pub fits: Option<bool>,
    /// Why, in words.
    pub why: String,
    /// Whether it fits the next time, if the quota is used on as it is now; absent where nobody knows how it is used.
    pub fits_as_used: Option<bool>,
    /// Why, in words.
    pub why_as_used: Option<String>,
    /// So many seconds it takes at least; absent where the policy sets no pace (a window of a day or more), or leaves none.
    pub takes_s: Option<u64>,
    /// When it ends at the earliest.
    #[schemars(with = "Option<String>")]
    #[serde(with = "written::option", default)]
    pub ends: Option<TimeOfDay>,
}

/// Every declared batch against every policy.
pub(super) fn batches(volume: &DeclaredVolume, policies: &[PolicyShown], now: UnixMs) -> Vec<BatchShown> {
    let shown = |b: &Batch| BatchShown {
        start: b.start,
        rows: b.rows,
        calls_per_row: b.calls_per_row,
        calls: b.calls() as u64,
        policies: policies.iter().filter(|p| p.unit.is_none()).map(|p| fit(b, volume, p, now)).collect(),
    };
    volume.batches.iter().map(shown).collect()
}

fn fit(batch: &Batch, volume: &DeclaredVolume, p: &PolicyShown, now: UnixMs) -> BatchFit {
    let (fits_as_used, why_as_used) = as_used::fits(batch, p, now).unzip();
    let policy = p.policy.clone();
    BatchFit { policy, fits_as_used, why_as_used, ..as_declared(batch, volume, p) }
}

/// Whether it fits beside the rest of what is declared.
fn as_declared(batch: &Batch, volume: &DeclaredVolume, p: &PolicyShown) -> BatchFit {
    let answer = |fits, why| BatchFit { fits, why, ..BatchFit::default() };
    let (limit, window_s) = match (p.limit.filter(|l| *l > 0), p.window_s.filter(|s| *s > 0)) {
        (Some(limit), Some(window_s)) => (limit, window_s),
        (None, _) => return answer(None, "it tells no limit".into()),
        (_, None) => return answer(None, "it tells no window: set quota_window".into()),
    };
    let quota = Quota { limit, window_s };
    if !batch.calls().is_finite() {
        return answer(None, "its calls are too many to count".into());
    }
    if window_s >= DAY_S {
        let (fits, why) = within_days(volume, quota);
        return answer(Some(fits), why);
    }
    let Some(takes_s) = takes_s(batch.calls(), volume, quota) else {
        let peak = volume.peak.map(|v| v.to_string()).unwrap_or_default();
        return answer(Some(false), format!("the declared peak of {peak} leaves nothing of {}", words::quota(limit, window_s)));
    };
    let pace = words::rate(left_per_s(volume, quota));
    let beside = if volume.peak.is_some() { "what the peak leaves" } else { "the whole quota" };
    if takes_s >= DAY_S {
        let takes = words::span(takes_s);
        return BatchFit {
            takes_s: Some(takes_s),
            ..answer(Some(false), format!("at {pace}, {beside}, it takes {takes}: a day or longer"))
        };
    }
    // To the minute, rounded up: it is shown without seconds.
    let end = (u64::from(batch.start.0) + takes_s).div_ceil(60) * 60 % DAY_S;
    BatchFit {
        takes_s: Some(takes_s),
        ends: u32::try_from(end).ok().map(TimeOfDay),
        ..answer(Some(true), format!("at {pace}, {beside}, it takes at least {}", Span::seconds(takes_s)))
    }
}

/// Requests a second that the declared peak leaves of a quota.
fn left_per_s(volume: &DeclaredVolume, quota: Quota) -> f64 {
    quota.limit as f64 / quota.window_s as f64 - volume.peak.map_or(0.0, per_s)
}

/// The fewest whole seconds so many calls take beside the peak; absent where it leaves nothing.
pub fn takes_s(calls: f64, volume: &DeclaredVolume, quota: Quota) -> Option<u64> {
    let left = Some(left_per_s(volume, quota)).filter(|r| *r > 0.0)?;
    Some(words::whole_up(calls / left))
}

/// Whether a window of days holds all batches of these days and the rest of the declared volume.
fn within_days(volume: &DeclaredVolume, quota: Quota) -> (bool, String) {
    let days = quota.window_s as f64 / DAY_S as f64;
    let all = in_batches(volume) * days + volume.daily.map_or(0.0, per_s) * quota.window_s as f64;
    let fits = all <= quota.limit as f64;
    let beside = match volume.daily {
        Some(daily) => format!("the batches and {daily} beside them"),
        None => "the batches".into(),
    };
    let than = if fits { "no more than" } else { "more than" };
    (fits, format!("{beside} make {} calls, {than} {}", words::count(all), words::quota(quota.limit, quota.window_s)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn volume(peak: &str, daily: &str, batches: &[(&str, u64, f64)]) -> DeclaredVolume {
        let batch = |(start, rows, calls_per_row): &(&str, u64, f64)| Batch {
            start: start.parse().unwrap(),
            rows: *rows,
            calls_per_row: *calls_per_row,
        };
        DeclaredVolume { peak: peak.parse().ok(), daily: daily.parse().ok(), batches: batches.iter().map(batch).collect() }
    }

    fn policy(limit: u64, window_s: u64) -> PolicyShown {
        PolicyShown { policy: "p".into(), limit: Some(limit), window_s: Some(window_s), ..PolicyShown::default() }
    }

    fn first(volume: &DeclaredVolume, p: PolicyShown) -> (Option<bool>, Option<u64>, Option<String>, String) {
        let fit = batches(volume, &[p], UnixMs(0)).remove(0).policies.remove(0);
        (fit.fits, fit.takes_s, fit.ends.map(|t| t.to_string()), fit.why)
    }

    #[test]
    fn a_batch_takes_what_the_peak_leaves() {
        // 600 a minute of which 300 are left: 3000 calls in 10 minutes.
        let v = volume("300/min", "", &[("23:55Z", 6000, 0.5)]);
        let (fits, takes, ends, why) = first(&v, policy(600, 60));
        assert_eq!((fits, takes, ends.as_deref()), (Some(true), Some(600), Some("00:05Z")));
        assert_eq!(why, "at 5/s, what the peak leaves, it takes at least 10m");
        let (fits, takes, ends, why) = first(&v, policy(300, 60));
        assert_eq!((fits, takes, ends), (Some(false), None, None));
        assert_eq!(why, "the declared peak of 300/min leaves nothing of 300 in 1m");
        let (fits, takes, ends, why) = first(&volume("", "", &[("22:00Z", 90_000, 1.0)]), policy(60, 60));
        assert_eq!((fits, takes, ends), (Some(false), Some(90_000), None));
        assert_eq!(why, "at 1/s, the whole quota, it takes 1d1h: a day or longer");
    }

    #[test]
    fn what_takes_whole_seconds_takes_no_more() {
        // In floats 100 / (5000 / 3600 - 2000 / 3600) is a little more than 120.
        let v = volume("2000/h", "", &[("22:00Z", 100, 1.0), ("22:00Z", 160, 1.0), ("22:00Z", 161, 1.0)]);
        let takes: Vec<_> = batches(&v, &[policy(5_000, 3_600)], UnixMs(0)).iter().map(|b| b.policies[0].takes_s).collect();
        assert_eq!(takes, [Some(120), Some(192), Some(194)]);
    }

    #[test]
    fn a_day_holds_the_batches_and_the_rest() {
        let v = volume("1000/s", "40000/day", &[("22:00Z", 5000, 1.0), ("02:00Z", 5000, 1.0)]);
        let (fits, takes, _, why) = first(&v, policy(50_000, 86_400));
        assert_eq!((fits, takes), (Some(true), None));
        assert_eq!(why, "the batches and 40000/day beside them make 50000 calls, no more than 50000 in 1d");
        assert_eq!(first(&v, policy(49_999, 86_400)).0, Some(false));
        assert_eq!(first(&v, policy(350_000, 7 * 86_400)).0, Some(true));
        let alone = volume("", "", &[("22:00Z", 5001, 1.0)]);
        let (fits, .., why) = first(&alone, policy(5000, 86_400));
        assert_eq!((fits, why.as_str()), (Some(false), "the batches make 5001 calls, more than 5000 in 1d"));
    }

    #[test]
    fn what_is_not_told_is_no_answer() {
        let v = volume("", "", &[("22:00Z", 10, 1.0)]);
        assert_eq!(first(&v, PolicyShown { window_s: None, ..policy(5, 60) }).0, None);
        assert_eq!(first(&v, PolicyShown { limit: None, ..policy(5, 60) }).0, None);
        assert_eq!(first(&v, policy(0, 60)).0, None);
        let bytes = PolicyShown { unit: Some("content-bytes".into()), ..policy(5, 60) };
        assert_eq!(batches(&v, &[bytes], UnixMs(0))[0].policies, []);
        assert_eq!(batches(&volume("1/s", "", &[]), &[policy(5, 60)], UnixMs(0)), []);
    }

    proptest! {
        #[test]
        fn nothing_overflows_and_more_quota_never_hurts(
            rows in any::<u64>(),
            calls_per_row in prop_oneof![0.0..1000.0, Just(f64::INFINITY), Just(f64::NAN), Just(f64::MAX), Just(5e-324)],
            limit in 0..u64::MAX,
            window_s in prop_oneof![0..200_000_u64, any::<u64>()],
            peak in proptest::option::of(any::<u32>()),
        ) {
            let peak = peak.map(|calls| crate::fields::Volume { calls: u64::from(calls), per_s: 60 });
            let batch = Batch { start: TimeOfDay(86_399), rows, calls_per_row };
            let v = DeclaredVolume { peak, daily: peak, batches: vec![batch] };
            let all = batches(&v, &[policy(limit, window_s), policy(limit + 1, window_s)], UnixMs(0));
            let [a, b] = all[0].policies.as_slice() else { panic!("two policies") };
            prop_assert!(!(a.fits == Some(true) && b.fits == Some(false)), "{a:?} {b:?}");
            if let (Some(x), Some(y)) = (a.takes_s, b.takes_s) {
                prop_assert!(y <= x);
            }
            for fit in [a, b] {
                prop_assert!(fit.ends.is_none_or(|t| t.0 < 86_400));
                prop_assert_eq!(fit.ends.is_some(), fit.fits == Some(true) && fit.takes_s.is_some());
                prop_assert!(fit.takes_s.is_none_or(|s| fit.fits == Some(s < DAY_S)));
            }
            let json = serde_json::to_string(&all[0].policies).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Vec<BatchFit>>(&json).unwrap(), &all[0].policies);
        }
    }
}
