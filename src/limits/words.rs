//! Numbers of rate limits in words, the same on the page and on the command line.

use std::time::Duration;

use super::HoldShown;
use crate::budget::{Because, CheckBudget, Hold, Reason};
use crate::clock::UnixMs;
use crate::fields::{Ratio, Span};

/// Spans longer than this are not spelled out.
const LONG_S: u64 = 10 * 366 * 86_400;

/// `1h30m`.
pub fn span(s: u64) -> String {
    if s > LONG_S { "more than 10 years".into() } else { Span::seconds(s).to_string() }
}

/// `100 in 1m`.
pub fn quota(limit: u64, window_s: u64) -> String {
    format!("{limit} in {}", span(window_s))
}

/// Requests a second in the unit that makes it 1 or more: `2.5/s`, `12/min`, `1.8/h`, `0.5/day`.
pub fn rate(per_s: f64) -> String {
    let (size, unit) = unit(per_s);
    format!("{}/{unit}", count(per_s * size))
}

fn unit(per_s: f64) -> (f64, &'static str) {
    let units = [(1.0, "s"), (60.0, "min"), (3_600.0, "h")];
    units.into_iter().find(|(size, _)| per_s * size >= 0.999).unwrap_or((86_400.0, "day"))
}

/// One of another, in the unit of the smaller: `30 of 83.33/min`.
fn rate_of(part: f64, whole: f64) -> String {
    let (size, unit) = unit(if part > 0.0 { part.min(whole) } else { whole });
    format!("{} of {}/{unit}", count(part * size), count(whole * size))
}

/// A number with as many digits as are worth reading: `1234`, `12.5`, `0.31`.
pub fn count(n: f64) -> String {
    let text = if n.abs() >= 100.0 { format!("{n:.0}") } else { format!("{n:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The next whole number; one that floats missed by a hair is met. Beyond the range it becomes the range's end.
pub(super) fn whole_up(n: f64) -> u64 {
    (n * (1.0 - 1e-12)).ceil() as u64
}

/// `5 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", count(share * 100.0))
}

/// How many times the declared use fits: `2.4 ×`. Cut, not rounded: what does not fit never shows as 1.
pub fn times(headroom: f64) -> String {
    format!("{} ×", count((headroom * 100.0).floor() / 100.0))
}

/// Why nothing is sent for now.
pub fn because(hold: &Hold) -> String {
    match hold.because {
        Because::Asked => "the host asked to be left alone".into(),
        Because::Reset => format!("the host refused, and its quota renews at {}", asked_until(hold.since, hold.asked_s)),
        Because::Documented => "the host refused, and its vendor documents a pause".into(),
        Because::Token => "the token endpoint is left alone".into(),
        Because::Redirect => "where the host leads to is left alone".into(),
    }
}

/// Who said what to whom: `HOST asked CHECK to be left alone for 45s`.
pub fn said(h: &HoldShown) -> String {
    let HoldShown { host, told, asked_s, .. } = h;
    let asked = span(*asked_s);
    match h.because {
        Because::Asked => format!("{host} asked {told} to be left alone for {asked}"),
        Because::Reset => format!("{host} refused {told}, and its quota renews at {}", asked_until(h.since, *asked_s)),
        Because::Documented => format!("{host} refused {told}; its vendor documents a pause of {asked}"),
        Because::Token => {
            format!("the token endpoint refused {told}, and is left alone for {asked}; without a token nothing can be sent to {host}")
        }
        Because::Redirect => format!("where {host} leads to, {told} was asked to stay away for {asked}"),
    }
}

/// Later than the hold ends where `max_hold` cut it.
fn asked_until(since: UnixMs, asked_s: u64) -> UnixMs {
    since.plus(Duration::from_secs(asked_s)).whole_seconds()
}

/// Why a check runs as often as it does.
pub fn reason(b: &CheckBudget) -> String {
    let share = match &b.quota {
        Some(q) => share(q),
        None => "max_rate, while no quota is told".into(),
    };
    let by = if b.shared_by == 1 { "this check alone wants".into() } else { format!("{} checks together want", b.shared_by) };
    let so = match b.factor {
        0 | 1 => "as configured".to_owned(),
        n => format!("every {} slot", ordinal(n)),
    };
    format!("{so}: {by} {} ({share})", rate_of(b.wanted_per_s, b.allowed_per_s))
}

fn share(q: &Reason) -> String {
    let Ratio(share) = q.share;
    let guess = if q.window_told { "" } else { ", a window it does not tell" };
    format!("{} of {}{guess}, policy {}", percent(share), quota(q.limit, q.window_s), q.policy)
}

/// `2nd`, `3rd`, `4th`.
pub fn ordinal(n: u32) -> String {
    let end = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_the_unit_that_can_be_read() {
        let shown = [2.5, 1.0, 0.2, 1.0 / 60.0, 0.0005, 0.000_001, 0.0, 1e9].map(rate);
        assert_eq!(shown, ["2.5/s", "1/s", "12/min", "1/min", "1.8/h", "0.09/day", "0/day", "1000000000/s"]);
    }

    #[test]
    fn what_does_not_fit_never_looks_as_if_it_did() {
        assert_eq!([times(0.999_9), times(1.0), times(2.4), times(123.456)], ["0.99 ×", "1 ×", "2.4 ×", "123 ×"]);
        assert_eq!([span(0), span(5_400), span(u64::MAX)], ["0s", "1h30m", "more than 10 years"]);
        assert_eq!([1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal).join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 111th");
        assert_eq!([percent(0.05), percent(1.0), percent(0.666_666)], ["5 %", "100 %", "66.67 %"]);
    }

    #[test]
    fn a_hold_says_who_said_what() {
        let hold = |because| Hold { until: UnixMs(60_500), since: UnixMs(500), asked_s: 7_200, check: "a/b/c/d".into(), because };
        let shown = |because| HoldShown {
            host: "h:443".into(),
            because,
            until: UnixMs(60_500),
            since: UnixMs(500),
            asked_s: 7_200,
            told: "a/b/c/d".into(),
            checks: Vec::new(),
        };
        assert_eq!(said(&shown(Because::Asked)), "h:443 asked a/b/c/d to be left alone for 2h");
        // Nobody asked, and the hold ends before, at `max_hold`.
        assert_eq!(said(&shown(Because::Reset)), "h:443 refused a/b/c/d, and its quota renews at 1970-01-01T02:00:00Z");
        assert_eq!(because(&hold(Because::Reset)), "the host refused, and its quota renews at 1970-01-01T02:00:00Z");
        for b in Because::ALL {
            assert_eq!(because(&hold(*b)).contains("asked"), *b == Because::Asked, "{b}");
        }
    }

    #[test]
    fn a_reason_says_who_wants_what_of_whose_quota() {
        let quota = Reason { policy: "default".into(), limit: 100, window_s: 60, window_told: true, share: Ratio(0.05) };
        let b = CheckBudget {
            host: "api.example.com:443".into(),
            quota: Some(quota.clone()),
            allowed_per_s: quota.per_s(),
            wanted_per_s: 0.2,
            shared_by: 2,
            factor: 3,
            effective_interval: Span::seconds(30),
            tokens: 1.0,
            hold: None,
        };
        assert_eq!(reason(&b), "every 3rd slot: 2 checks together want 12 of 5/min (5 % of 100 in 1m, policy default)");
        let idle = CheckBudget { wanted_per_s: 0.0, factor: 1, ..b.clone() };
        assert_eq!(reason(&idle), "as configured: 2 checks together want 0 of 5/min (5 % of 100 in 1m, policy default)");
        let guessed = CheckBudget { quota: Some(Reason { window_told: false, ..quota }), ..b.clone() };
        assert!(reason(&guessed).contains("100 in 1m, a window it does not tell, policy default"));
        let free = CheckBudget { quota: None, factor: 1, shared_by: 1, allowed_per_s: 1.0, wanted_per_s: 0.1, ..b };
        assert_eq!(reason(&free), "as configured: this check alone wants 6 of 60/min (max_rate, while no quota is told)");
    }
}
