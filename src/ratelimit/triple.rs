//! Plain headers: limit, remaining and reset under one of three prefixes, with their aliases, and the window they may speak of.

use std::time::Duration;

use http::HeaderMap;

use super::dialect::Dialect;
use super::lines::{count, lines, parameter, parts, split_outside_quotes};
use super::number::Number;
use super::policy::{Policy, Quota};
use super::times::{Times, Unit};

/// Which prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    RateLimit,
    XRateLimit,
    XRateLimitDashed,
}

impl Family {
    /// In the order in which they are believed.
    pub(super) const ALL: [Self; 3] = [Self::RateLimit, Self::XRateLimit, Self::XRateLimitDashed];

    const fn prefix(self) -> &'static str {
        match self {
            Self::RateLimit => "ratelimit-",
            Self::XRateLimit => "x-ratelimit-",
            Self::XRateLimitDashed => "x-rate-limit-",
        }
    }

    /// Other names of its limit.
    const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::RateLimit => &[],
            Self::XRateLimit => &["x-ratelimit-total", "x-ratelimit-burst-capacity"],
            Self::XRateLimitDashed => &["x-rate-limit"],
        }
    }
}

/// One triple. Its window is only what it says itself.
#[derive(Debug, Default)]
pub(super) struct Triple {
    pub(super) quota: Quota,
    /// Policies in its limit, as early revisions of the draft and Envoy send them: `10, 10;w=1, 50;w=60`.
    pub(super) policies: Vec<Policy>,
}

/// Reads the headers of one family.
pub(super) fn read(family: Family, dialect: Dialect, headers: &HeaderMap, times: &Times) -> Triple {
    let name = |suffix: &str| format!("{}{suffix}", family.prefix());
    let remaining = count(headers, &name("remaining"));
    let (own, policies) = limit_list(headers, &name("limit"));
    let used = || Some(count(headers, &name("used"))?.saturating_add(remaining?));
    let limit = own.or_else(|| family.aliases().iter().find_map(|a| count(headers, a))).or_else(used);
    let reset = |suffix: &str| {
        let milliseconds = suffix == "reset" && family != Family::RateLimit && dialect.milliseconds();
        times.header(headers, &name(suffix), if milliseconds { Unit::Milliseconds } else { Unit::Seconds })
    };
    let reset_in = ["reset-after", "reset", "resettime", "next"].into_iter().find_map(reset);
    let stated = || ["x-ratelimit-period", "x-ratelimit-interval-seconds"].into_iter().find_map(|n| period(headers, n));
    let window = if family == Family::XRateLimit { stated() } else { None };
    Triple { quota: Quota { limit, remaining, reset_in, window }, policies }
}

/// A window in seconds, the longest of several.
fn period(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let longest = parts(headers, name).iter().filter_map(|p| Number::parse(p)).max();
    longest.map(Number::ceil).filter(|s| *s > 0).map(Duration::from_secs)
}

/// A limit, which may be a list: bare numbers are limits, of which the smallest counts; `n;w=60` (or `window=`) are policies, whose first one is the
/// limit when no number stands alone.
fn limit_list(headers: &HeaderMap, name: &str) -> (Option<u64>, Vec<Policy>) {
    let (mut bare, mut policies) = (None, Vec::new());
    for line in lines(headers, name) {
        for member in split_outside_quotes(&line, ',') {
            let pieces = split_outside_quotes(member, ';');
            let Some(n) = pieces.first().and_then(|p| Number::parse(p)) else { continue };
            if pieces.len() == 1 {
                bare = Some(bare.map_or(n, |b: Number| b.min(n)));
                continue;
            }
            let window = ["w", "window"].into_iter().find_map(|k| Number::parse(&parameter(&pieces[1..], k)?));
            let window = window.map(Number::ceil).filter(|w| *w > 0).map(Duration::from_secs);
            policies.push(Policy { name: parameter(&pieces[1..], "name"), limit: Some(n.floor()), window, ..Policy::default() });
        }
    }
    (bare.map(Number::floor).or_else(|| policies.first().and_then(|p| p.limit)), policies)
}

/// The window of a triple: its own; else that of a policy with its limit, the shortest one the reset fits into; else that of the only numbered
/// policy; else the dialect's.
pub(super) fn window(quota: &Quota, policies: &[Policy], numbered: &[Policy], dialect: Dialect) -> Option<Duration> {
    let same = policies.iter().filter(|p| quota.limit.is_some() && p.limit == quota.limit);
    let fitting = same.filter_map(|p| p.window).filter(|w| quota.reset_in.is_none_or(|r| *w >= r)).min();
    let only = match numbered {
        [one] => one.window,
        _ => None,
    };
    quota.window.or(fitting).or(only).or_else(|| dialect.window())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ratelimit::lines::tests::headers;

    fn of(
        family: Family,
        dialect: Dialect,
        lines: &[(&'static str, &'static str)],
    ) -> (Option<u64>, Option<u64>, Option<u64>, Option<u64>) {
        let headers = headers(lines);
        let Quota { limit, remaining, reset_in, window } =
            read(family, dialect, &headers, &Times::of(&headers, UnixMs(1_772_366_400_000))).quota;
        (limit, remaining, reset_in.map(|d| d.as_secs()), window.map(|d| d.as_secs()))
    }

    #[test]
    fn each_prefix_reads_its_own() {
        let all = [
            ("ratelimit-remaining", "1"),
            ("x-ratelimit-remaining", "2"),
            ("x-rate-limit-remaining", "3"),
            ("x-ratelimit-period", "60.5"),
            ("x-rate-limit", "7"),
            ("x-ratelimit-burst-capacity", "8"),
            ("x-ratelimit-used", "1"),
            ("x-ratelimit-reset-after", "1.2"),
            ("x-ratelimit-reset", "99"),
            ("x-rate-limit-reset-after", "never"),
            ("x-rate-limit-next", "9"),
        ];
        assert_eq!(of(Family::RateLimit, Dialect::Auto, &all), (None, Some(1), None, None));
        assert_eq!(of(Family::XRateLimit, Dialect::Auto, &all), (Some(8), Some(2), Some(2), Some(61)));
        assert_eq!(of(Family::XRateLimitDashed, Dialect::Auto, &all), (Some(7), Some(3), Some(9), None));
    }

    #[test]
    fn used_and_remaining_make_a_limit_when_nothing_else_does() {
        let x = |lines: &[(&'static str, &'static str)]| of(Family::XRateLimit, Dialect::Auto, lines).0;
        assert_eq!(x(&[("x-ratelimit-used", "4"), ("x-ratelimit-remaining", "596.9")]), Some(600));
        assert_eq!(x(&[("x-ratelimit-used", "4")]), None);
        assert_eq!(x(&[("x-ratelimit-used", "4"), ("x-ratelimit-remaining", "1"), ("x-ratelimit-total", "9")]), Some(9));
    }

    #[test]
    fn milliseconds_are_one_header_of_one_dialect() {
        let x = [("x-ratelimit-reset", "5500")];
        assert_eq!(of(Family::XRateLimit, Dialect::Mulesoft, &x).2, Some(6));
        assert_eq!(of(Family::XRateLimit, Dialect::Auto, &x).2, Some(5500));
        assert_eq!(of(Family::XRateLimitDashed, Dialect::DeltaMs, &[("x-rate-limit-reset", "5500")]).2, Some(6));
        assert_eq!(of(Family::RateLimit, Dialect::DeltaMs, &[("ratelimit-reset", "5500")]).2, Some(5500));
        assert_eq!(of(Family::XRateLimit, Dialect::DeltaMs, &[("x-ratelimit-reset-after", "5500")]).2, Some(5500));
    }

    #[test]
    fn a_limit_may_be_a_list() {
        let of = |values: &[&str]| {
            let headers = headers(&values.iter().map(|v| ("x", *v)).collect::<Vec<_>>());
            let (limit, policies) = limit_list(&headers, "x");
            (limit, policies.iter().map(|p| (p.limit.unwrap(), p.window.map(|w| w.as_secs()), p.name.clone())).collect::<Vec<_>>())
        };
        assert_eq!(of(&["100, 60"]), (Some(60), vec![]));
        assert_eq!(
            of(&["100;w=60;comment=\"a, 5\", 20; window=1 ;name=b"]),
            (Some(100), vec![(100, Some(60), None), (20, Some(1), Some("b".into()))])
        );
        assert_eq!(of(&["10, 10;w=1", "5, soon, -1"]), (Some(5), vec![(10, Some(1), None)]));
        assert_eq!(of(&["10;w=0", "x;w=1"]), (Some(10), vec![(10, None, None)]));
        assert_eq!(of(&["unlimited"]), (None, vec![]));
    }

    #[test]
    fn windows() {
        let seconds = Duration::from_secs;
        let policy = |limit, window| Policy { limit: Some(limit), window: Some(seconds(window)), ..Policy::default() };
        let quota = |limit, reset: Option<u64>| Quota { limit: Some(limit), reset_in: reset.map(seconds), ..Quota::default() };
        let all = [policy(10, 60), policy(10, 1), policy(50, 3600)];
        let of = |q: Quota, numbered: &[Policy], d| window(&q, &all, numbered, d).map(|w| w.as_secs());
        assert_eq!(of(quota(10, Some(7)), &[], Dialect::Auto), Some(60));
        assert_eq!(of(quota(10, None), &[], Dialect::Auto), Some(1));
        assert_eq!(of(quota(10, Some(61)), &[], Dialect::Auto), None);
        assert_eq!(of(quota(11, Some(7)), &[policy(5, 9)], Dialect::Reddit), Some(9));
        assert_eq!(of(quota(11, Some(7)), &[policy(5, 9), policy(6, 9)], Dialect::Reddit), Some(600));
        assert_eq!(of(Quota { window: Some(seconds(2)), ..quota(10, None) }, &[], Dialect::Reddit), Some(2));
        assert_eq!(of(Quota::default(), &[], Dialect::Auto), None);
    }
}
