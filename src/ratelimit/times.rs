//! Turns what a server says about a moment (seconds, an epoch, a date) into whole seconds from now: rounded up, never negative, never absurd.

use std::time::Duration;

use http::HeaderMap;

use super::date::{self, Nanos};
use super::lines::{lines, parts};
use super::number::Number;
use crate::clock::UnixMs;

/// From here on a bare number counts from 1970, in seconds.
const EPOCH_SECONDS: u64 = 1_000_000_000;
/// From here on in milliseconds.
const EPOCH_MILLIS: u64 = 100_000_000_000;
/// 366 days: what is further away was misread, or is a mistake of theirs.
const FURTHEST: Nanos = 31_622_400;
/// How far a server's clock may be off to be believed.
const MAX_SKEW_MS: u64 = 86_400_000;
const SECOND: Nanos = 1_000_000_000;
const MILLI: Nanos = 1_000_000;

/// What a small bare number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// The two clocks: ours, and the one absolute times are counted from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    received: UnixMs,
    now: Nanos,
}

impl Times {
    /// Counts from the response's own `Date` when it is within a day of ours, so that the two clocks need not agree.
    pub(super) fn of(headers: &HeaderMap, received: UnixMs) -> Self {
        let ours = Nanos::from(received.0) * MILLI;
        let date = lines(headers, "date").find_map(|l| date::parse(&l, received));
        let near = |d: &Nanos| d.abs_diff(ours) <= u128::from(MAX_SKEW_MS) * MILLI.unsigned_abs();
        Self { received, now: date.filter(near).unwrap_or(ours) }
    }

    /// A bare number: its size decides what it counts from.
    pub(super) fn number(&self, n: Number, unit: Unit) -> Option<Duration> {
        let size = n.floor();
        let from_now = match unit {
            _ if size >= EPOCH_MILLIS => n.nanos() / 1000 - self.now,
            Unit::Milliseconds => n.nanos() / 1000,
            Unit::Seconds if size >= EPOCH_SECONDS => n.nanos() - self.now,
            Unit::Seconds => n.nanos(),
        };
        plausible(from_now)
    }

    fn text(&self, text: &str, unit: Unit) -> Option<Duration> {
        match Number::parse(text) {
            Some(n) => self.number(n, unit),
            None => plausible(date::parse(text, self.received)? - self.now),
        }
    }

    /// The largest of all lines; a line that can't be read whole is read in its parts between commas, numbers only.
    pub(super) fn header(&self, headers: &HeaderMap, name: &str, unit: Unit) -> Option<Duration> {
        let part = |p: &str| Number::parse(p).and_then(|n| self.number(n, unit));
        lines(headers, name).filter_map(|l| self.text(&l, unit).or_else(|| l.split(',').filter_map(part).max())).max()
    }
}

/// Whole seconds, rounded up; the past is 0; what is implausibly far away is nothing.
fn plausible(nanos: Nanos) -> Option<Duration> {
    let seconds = (nanos.max(0) + SECOND - 1) / SECOND;
    (seconds <= FURTHEST).then(|| u64::try_from(seconds).ok().map(Duration::from_secs)).flatten()
}

/// The largest duration in Go's notation, `1m2.5s` or `500ms`, among the lines of a header.
pub(super) fn go_duration(headers: &HeaderMap, name: &str) -> Option<Duration> {
    parts(headers, name).iter().filter_map(|p| plausible(go(p.trim_matches([' ', '\t']))?)).max()
}

fn go(text: &str) -> Option<Nanos> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: Nanos = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let n = Number::parse(&rest[..number])?;
        rest = &rest[number..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        // In billionths of a second, for a number that is in billionths already.
        let unit: Nanos = match &rest[..letters] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => MILLI,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => return None,
        };
        total = total.checked_add((n.nanos() * unit + SECOND - 1) / SECOND)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then_some(total)
}

/// The largest `hh:mm:ss` among the lines of a header.
pub(super) fn clock_time(headers: &HeaderMap, name: &str) -> Option<Duration> {
    parts(headers, name).iter().filter_map(|p| plausible(hms(p)?)).max()
}

fn hms(text: &str) -> Option<Nanos> {
    let text = text.trim_matches([' ', '\t']);
    let (hours, rest) = text.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let whole = |t: &str| if t.contains('.') { None } else { Number::parse(t) };
    let (h, m, s) = (whole(hours)?, whole(minutes)?, Number::parse(seconds)?);
    (m.floor() < 60 && s.floor() < 60).then(|| h.nanos() * 3600 + m.nanos() * 60 + s.nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratelimit::lines::tests::headers;

    /// 2026-03-01T12:00:00Z.
    const NOW: UnixMs = UnixMs(1_772_366_400_000);

    fn at(text: &str, unit: Unit) -> Option<u64> {
        Times::of(&HeaderMap::new(), NOW).text(text, unit).map(|d| d.as_secs())
    }

    #[test]
    fn size_decides_what_a_number_counts_from() {
        use Unit::{Milliseconds, Seconds};
        for (text, unit, seconds) in [
            ("30", Seconds, Some(30)),
            ("2.1", Seconds, Some(3)),
            ("31622400", Seconds, Some(31_622_400)),
            ("31622400.1", Seconds, None),
            ("31622401", Seconds, None),
            ("999999999", Seconds, None),
            ("1000000000", Seconds, Some(0)),
            ("1772366460", Seconds, Some(60)),
            ("1772366460.5", Seconds, Some(61)),
            ("99999999999", Seconds, None),
            ("100000000000", Seconds, Some(0)),
            ("1772366460001", Seconds, Some(61)),
            ("1772366460", Milliseconds, Some(1_772_367)),
            ("5500", Milliseconds, Some(6)),
            ("5500.5", Milliseconds, Some(6)),
            ("1772366460000", Milliseconds, Some(60)),
            ("Sun, 01 Mar 2026 12:00:45 GMT", Seconds, Some(45)),
            ("Sun, 01 Mar 2026 11:00:45 GMT", Milliseconds, Some(0)),
            ("Sun, 01 Mar 2037 12:00:45 GMT", Seconds, None),
            ("-5", Seconds, None),
        ] {
            assert_eq!(at(text, unit), seconds, "{text}");
        }
    }

    #[test]
    fn absolute_times_count_from_the_servers_clock_when_it_is_near() {
        let reset = |date| {
            let all = headers(&[("date", date), ("x", "1772366460")]);
            Times::of(&all, NOW).header(&all, "x", Unit::Seconds).map(|d| d.as_secs())
        };
        assert_eq!(reset("Sun, 01 Mar 2026 12:00:30 GMT"), Some(30));
        assert_eq!(reset("Sat, 28 Feb 2026 12:00:00 GMT"), Some(86_460));
        assert_eq!(reset("Sat, 28 Feb 2026 11:59:59 GMT"), Some(60));
        assert_eq!(reset("yesterday"), Some(60));
    }

    #[test]
    fn the_largest_of_repeated_times() {
        let of = |lines: &[(&'static str, &'static str)]| {
            let all = headers(lines);
            Times::of(&all, NOW).header(&all, "x", Unit::Seconds).map(|d| d.as_secs())
        };
        assert_eq!(of(&[("x", "30"), ("x", "60, 5"), ("x", "soon")]), Some(60));
        assert_eq!(of(&[("x", "5, 99999999, soon")]), Some(5));
        assert_eq!(of(&[("x", "Sun, 01 Mar 2026 12:00:45 GMT"), ("x", "30")]), Some(45));
        assert_eq!(of(&[("x", "soon")]), None);
    }

    #[test]
    fn durations_of_go_and_clock_times() {
        let go = |text: &'static str| go_duration(&headers(&[("x", text)]), "x").map(|d| d.as_secs());
        for (text, seconds) in [
            ("1m2.5s", Some(63)),
            ("500ms", Some(1)),
            ("1h0m0s", Some(3600)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1ns", Some(1)),
            ("2s, 3s", Some(3)),
        ] {
            assert_eq!(go(text), seconds, "{text}");
        }
        for bad in ["", "5", "-1s", "1x", "s", "1d", "10000h", "1.5"] {
            assert_eq!(go(bad), None, "{bad}");
        }
        let clock = |text: &'static str| clock_time(&headers(&[("x", text)]), "x").map(|d| d.as_secs());
        assert_eq!((clock("00:00:05"), clock("01:02:03"), clock("00:00:04.2")), (Some(5), Some(3723), Some(5)));
        assert_eq!((clock("5"), clock("00:60:00"), clock("00:00"), clock("-1:00:00")), (None, None, None, None));
    }
}
