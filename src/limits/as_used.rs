//! Whether a declared batch fits the next time it begins, if its quota is used on as it is used now: what is declared may be less than what is sent. Never
//! looks at the declared volume; that is `batch`'s.

use super::forecast::DAY_S;
use super::{PolicyShown, words};
use crate::clock::{DAY_MS, UnixMs};
use crate::config::model::Batch;
use crate::fields::{Span, TimeOfDay};

/// Whether it fits, and why in words. `None`: nobody knows how the quota is used, or what is left of it.
pub(super) fn fits(batch: &Batch, p: &PolicyShown, now: UnixMs) -> Option<(bool, String)> {
    let (limit, window_s) = (p.limit.filter(|l| *l > 0)? as f64, p.window_s.filter(|s| *s > 0)?);
    let calls = Some(batch.calls()).filter(|n| n.is_finite())?;
    if window_s < DAY_S {
        at_its_pace(calls, limit / window_s as f64, p.used_per_s?)
    } else {
        of_what_is_left(batch.start, calls, limit, p, now)
    }
}

/// A short window is full again and again: what counts is how fast the batch may go.
fn at_its_pace(calls: f64, quota_per_s: f64, used_per_s: f64) -> Option<(bool, String)> {
    let (left, used) = (quota_per_s - used_per_s, words::rate(used_per_s));
    if left <= 0.0 {
        return Some((false, format!("{used} are used now, and leave nothing of {}", words::rate(quota_per_s))));
    }
    let takes_s = words::whole_up(calls / left);
    let pace = words::rate(left);
    Some(match takes_s {
        DAY_S.. => (false, format!("{used} are used now, and leave {pace}: it takes {}, a day or longer", words::span(takes_s))),
        _ => (true, format!("{used} are used now, and leave {pace}: it takes at least {}", Span::seconds(takes_s))),
    })
}

/// Of a long window so much must be left when the batch begins.
fn of_what_is_left(start: TimeOfDay, calls: f64, limit: f64, p: &PolicyShown, now: UnixMs) -> Option<(bool, String)> {
    let (begins, remaining) = (next(start, now), p.remaining? as f64);
    let rate = p.used_per_s.or((remaining == 0.0).then_some(0.0))?;
    // Where no reset is told, nothing comes back before.
    let reset = p.reset_at.filter(|reset| *reset <= begins);
    if reset.is_some_and(|reset| reset <= now) {
        return None;
    }
    let (full, since) = reset.map_or((remaining, p.read_at), |reset| (limit, reset));
    let left = full - rate * begins.since(since).as_secs_f64();
    let at = begins.whole_seconds();
    Some(match p.exhausted_at {
        Some(out) if out <= begins && reset.is_none() => {
            (false, format!("nothing is left from {} on, and it begins at {at}", out.whole_seconds()))
        }
        _ => {
            let left = left.max(0.0).floor();
            let than = if left >= calls { "no more than" } else { "more than" };
            (left >= calls, format!("it makes {} calls, {than} the {} that are left at {at}", words::count(calls), words::count(left)))
        }
    })
}

/// The next time that a time of day comes.
fn next(start: TimeOfDay, now: UnixMs) -> UnixMs {
    let midnight = now.0.div_euclid(DAY_MS).saturating_mul(DAY_MS);
    let today = UnixMs(midnight.saturating_add(i64::from(start.0) * 1000));
    if today > now { today } else { UnixMs(today.0.saturating_add(DAY_MS)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: UnixMs = UnixMs(20_000 * DAY_MS);

    fn at(hour: i64) -> UnixMs {
        UnixMs(DAY.0 + hour * 3_600_000)
    }

    fn batch(calls: u64) -> Batch {
        Batch { start: "22:00Z".parse().unwrap(), rows: calls, calls_per_row: 1.0 }
    }

    /// Read at noon: 50,000 of 100,000 a day are left.
    fn day(used_per_h: f64, reset_at: Option<UnixMs>) -> PolicyShown {
        let used_per_s = Some(used_per_h / 3_600.0);
        let exhausted_at = Some(50_000.0 / used_per_h).filter(|h| *h < 24.0).map(|h| UnixMs(at(12).0 + (h * 3_600_000.0) as i64));
        PolicyShown {
            limit: Some(100_000),
            remaining: Some(50_000),
            window_s: Some(DAY_S),
            read_at: at(12),
            reset_at,
            used_per_s,
            exhausted_at,
            ..PolicyShown::default()
        }
    }

    #[test]
    fn a_batch_needs_what_is_left_when_it_begins() {
        // 4,000 an hour leave 10,000 at 22:00.
        let said = |calls, p: &PolicyShown| fits(&batch(calls), p, at(12)).unwrap();
        let (yes, why) = said(10_000, &day(4_000.0, None));
        assert_eq!((yes, why.as_str()), (true, "it makes 10000 calls, no more than the 10000 that are left at 2024-10-04T22:00:00Z"));
        assert!(!said(10_001, &day(4_000.0, None)).0);
        let (yes, why) = said(1, &day(10_000.0, None));
        let gone = "nothing is left from 2024-10-04T17:00:00Z on, and it begins at 2024-10-04T22:00:00Z";
        assert_eq!((yes, why.as_str()), (false, gone));
        // A reset before it begins: an hour of 10,000 of the new window.
        assert_eq!((said(90_000, &day(10_000.0, Some(at(21)))).0, said(90_001, &day(10_000.0, Some(at(21)))).0), (true, false));
        // Nothing left, and nobody knows since when: until it renews.
        let spent = PolicyShown { remaining: Some(0), used_per_s: None, exhausted_at: Some(at(12)), ..day(1.0, None) };
        assert!(!said(1, &spent).0);
        assert_eq!(fits(&batch(1), &PolicyShown { used_per_s: None, ..day(1.0, None) }, at(12)), None, "one reading is no rate");
        assert_eq!(fits(&batch(1), &day(1.0, Some(at(13))), at(13)), None, "it was reset, and nobody has read it since");
    }

    #[test]
    fn a_short_window_leaves_a_pace() {
        let minute = |used_per_s| PolicyShown { limit: Some(600), window_s: Some(60), used_per_s, ..PolicyShown::default() };
        let said = |calls, used| fits(&batch(calls), &minute(used), at(12));
        let yes = (true, "4/s are used now, and leave 6/s: it takes at least 10m".to_owned());
        assert_eq!(said(3_600, Some(4.0)), Some(yes));
        let (yes, why) = said(3_600, Some(10.0)).unwrap();
        assert_eq!((yes, why.as_str()), (false, "10/s are used now, and leave nothing of 10/s"));
        assert!(!said(600_000, Some(4.0)).unwrap().0, "a day or longer");
        assert_eq!(said(3_600, None), None);
    }

    #[test]
    fn a_time_of_day_comes_every_day() {
        assert_eq!(next("22:00Z".parse().unwrap(), at(21)), at(22));
        assert_eq!(next("22:00Z".parse().unwrap(), at(22)), at(46));
    }

    proptest! {
        #[test]
        fn more_use_never_helps(
            rows in any::<u64>(), limit in any::<u64>(), remaining in any::<u64>(), window_s in prop_oneof![1..200_000_u64, any::<u64>()],
            used in 0.0..1e9_f64, more in 0.0..1e9_f64, reset in proptest::option::of(any::<i64>()), read in any::<i64>(), now in any::<i64>(),
        ) {
            let p = |used| PolicyShown {
                limit: Some(limit),
                remaining: Some(remaining),
                window_s: Some(window_s),
                read_at: UnixMs(read),
                reset_at: reset.map(UnixMs),
                used_per_s: Some(used),
                ..PolicyShown::default()
            };
            let [less, more] = [used, used + more].map(|used| fits(&batch(rows), &p(used), UnixMs(now)).map(|(fits, _)| fits));
            prop_assert!(!(less == Some(false) && more == Some(true)));
        }
    }
}
