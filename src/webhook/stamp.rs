//! Timestamps of messages: reading them, writing them, and how old a message may be.

use crate::clock::UnixMs;

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds since the epoch, digits only.
    Seconds,
    /// Milliseconds since the epoch, digits only.
    Milliseconds,
    /// RFC 3339, `2021-03-25T05:09:27Z`.
    Rfc3339,
}

/// A numeric timestamp has at most this many digits.
const MAX_DIGITS: usize = 15;
/// Longer than any RFC 3339 text with nanoseconds and an offset.
const MAX_TEXT: usize = 40;
const NANOS_PER_MS: i128 = 1_000_000;

impl Unit {
    /// The time in nanoseconds since the epoch; `None` if the text is not exactly of this form.
    pub(super) fn read(self, text: &[u8]) -> Option<i128> {
        match self {
            Self::Seconds => Some(digits(text)? * 1000 * NANOS_PER_MS),
            Self::Milliseconds => Some(digits(text)? * NANOS_PER_MS),
            Self::Rfc3339 => rfc3339(text),
        }
    }

    /// A time in this form.
    pub(super) fn write(self, at: UnixMs) -> String {
        match self {
            Self::Seconds => at.0.div_euclid(1000).to_string(),
            Self::Milliseconds => at.0.to_string(),
            Self::Rfc3339 => at.whole_seconds().to_string(),
        }
    }

    /// What a timestamp looks like, for people.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Seconds => "whole seconds since 1970, such as 1700000000",
            Self::Milliseconds => "whole milliseconds since 1970, such as 1700000000000",
            Self::Rfc3339 => "a time such as 2021-03-25T05:09:27Z",
        }
    }
}

fn digits(text: &[u8]) -> Option<i128> {
    let fits = (1..=MAX_DIGITS).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    if fits { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

fn rfc3339(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok().filter(|t| t.len() <= MAX_TEXT)?;
    let shape = text.as_bytes().get(..19)?;
    let fits = shape.iter().enumerate().all(|(n, b)| match n {
        4 | 7 => *b == b'-',
        10 => matches!(b, b'T' | b't'),
        13 | 16 => *b == b':',
        _ => b.is_ascii_digit(),
    });
    // The parser takes more than the standard allows: names of zones in brackets, commas for points.
    let rest_fits = text.get(19..)?.bytes().all(|b| b.is_ascii_digit() || b".:+-Zz".contains(&b));
    if fits && rest_fits { text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond) } else { None }
}

/// How long ago a message was stamped, in milliseconds rounded towards zero; negative for the future.
pub(super) fn age_ms(stamp: i128, now: UnixMs) -> i64 {
    let ms = (i128::from(now.0) * NANOS_PER_MS - stamp) / NANOS_PER_MS;
    i64::try_from(ms).unwrap_or(if ms < 0 { i64::MIN } else { i64::MAX })
}

/// Whether the stamp lies further off than this many seconds. A difference equal to the tolerance passes.
pub(super) fn beyond(stamp: i128, now: UnixMs, tolerance_s: u32) -> Option<Beyond> {
    let difference = i128::from(now.0) * NANOS_PER_MS - stamp;
    let tolerance = i128::from(tolerance_s) * 1000 * NANOS_PER_MS;
    match difference {
        d if d > tolerance => Some(Beyond::Past),
        d if d < -tolerance => Some(Beyond::Future),
        _ => None,
    }
}

/// On which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    Past,
    Future,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_nothing_else() {
        assert_eq!(Unit::Seconds.read(b"0001700000000"), Some(1_700_000_000_000_000_000));
        assert_eq!(Unit::Milliseconds.read(b"999999999999999"), Some(999_999_999_999_999_000_000));
        for bad in ["", "1.0", "-5", "+5", " 5", "5 ", "5\n", "0x5", "1e9", "1_000", "\u{661}", "1000000000000000", "now"] {
            assert_eq!(Unit::Seconds.read(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn times_with_a_zone() {
        let noon = Unit::Rfc3339.read(b"2021-03-25T12:00:00Z");
        assert_eq!(noon, Some(1_616_673_600_000_000_000));
        for same in ["2021-03-25t12:00:00z", "2021-03-25T14:00:00+02:00", "2021-03-25T12:00:00.000000000Z", "2021-03-25T12:00:00+00:00"] {
            assert_eq!(Unit::Rfc3339.read(same.as_bytes()), noon, "{same}");
        }
        assert_eq!(Unit::Rfc3339.read(b"2021-03-25T12:00:00.000000001Z"), noon.map(|n| n + 1));
        for bad in [
            "",
            "2021-03-25T12:00:00",
            "2021-03-25 12:00:00Z",
            "2021-03-25",
            "2021-13-25T12:00:00Z",
            "2021-03-25T12:00:00Z[UTC]",
            "2021-03-25T12:00:00,5Z",
            "1616673600",
            " 2021-03-25T12:00:00Z",
            "2021-03-25T12:00Z",
        ] {
            assert_eq!(Unit::Rfc3339.read(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn the_tolerance_itself_passes() {
        let now = UnixMs(1_700_000_300_000);
        let stamp = |ms: i64| i128::from(ms) * NANOS_PER_MS;
        assert_eq!(beyond(stamp(1_700_000_000_000), now, 300), None);
        assert_eq!(beyond(stamp(1_700_000_000_000) - 1, now, 300), Some(Beyond::Past));
        assert_eq!(beyond(stamp(1_700_000_600_000), now, 300), None);
        assert_eq!(beyond(stamp(1_700_000_600_000) + 1, now, 300), Some(Beyond::Future));
        assert_eq!((age_ms(stamp(1_700_000_000_000), now), age_ms(i128::MAX / 2, now)), (300_000, i64::MIN));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let at = UnixMs(1_700_000_000_000);
        for unit in [Unit::Seconds, Unit::Milliseconds, Unit::Rfc3339] {
            assert_eq!(unit.read(unit.write(at).as_bytes()), Some(1_700_000_000_000_000_000), "{unit:?}");
        }
    }
}
