//! Dates as servers write them: the three forms of an HTTP-date (RFC 9110, 5.6.7), and ISO 8601 date and time. Reads no clock.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::UnixMs;

/// Nanoseconds since the Unix epoch.
pub(super) type Nanos = i128;

const SECOND: Nanos = 1_000_000_000;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// No date is longer, but for digits of a fraction nobody sends.
const MAX_LEN: usize = 64;

/// The time a text names; `received` decides the century of a year with two digits. Dates that never were, and any other text, are none.
pub(super) fn parse(text: &str, received: UnixMs) -> Option<Nanos> {
    let text = text.trim_matches([' ', '\t']);
    if text.len() > MAX_LEN || !text.is_ascii() {
        return None;
    }
    http_date(text, received).or_else(|| iso(text))
}

fn http_date(text: &str, received: UnixMs) -> Option<Nanos> {
    let parts: Vec<&str> = text.split(' ').collect();
    let (day_name, long, year, month, day, time) = match parts[..] {
        // IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
        [name, day, month, year, time, "GMT"] => (name.strip_suffix(',')?, false, digits(year, 4)?, month, digits(day, 2)?, time),
        // RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
        [name, date, time, "GMT"] => {
            let (day, rest) = date.split_once('-')?;
            let (month, year) = rest.split_once('-')?;
            (name.strip_suffix(',')?, true, century(digits(year, 2)?, received), month, digits(day, 2)?, time)
        }
        // asctime: Sun Nov  6 08:49:37 1994
        [name, month, "", day, time, year] => (name, false, digits(year, 4)?, month, digits(day, 1)?, time),
        [name, month, day, time, year] => (name, false, digits(year, 4)?, month, digits(day, 2)?, time),
        _ => return None,
    };
    // The name must be one; whether it is the right one says nothing about the time.
    DAYS.iter().find(|d| if long { **d == day_name } else { d[..3] == *day_name })?;
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    let [hour, minute, second] = time.split(':').map(|t| digits(t, 2)).collect::<Option<Vec<_>>>()?.try_into().ok()?;
    at(year, u32::try_from(month).ok()?, day, [hour, minute, second])
}

/// The last year with these two digits that is not more than 50 years ahead.
fn century(year: u32, received: UnixMs) -> u32 {
    let now = received.timestamp().to_zoned(TimeZone::UTC).year();
    let last = u32::try_from(now).unwrap_or(0) + 50;
    last - (last + 100 - year) % 100
}

/// `2026-03-01T12:00[:05[.25]]` with `T` or a space, then `Z`, `+hh:mm`, `+hhmm` or nothing, which means UTC.
fn iso(text: &str) -> Option<Nanos> {
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes()[10], b'T' | b' ') {
        return None;
    }
    let date: Vec<&str> = date.split('-').collect();
    let [year, month, day] = date[..] else { return None };
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(n) => (&time[..n], zone(&time[n..])?),
        None => (time, 0),
    };
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) if time.len() == 8 => (time, fraction_nanos(fraction)?),
        Some(_) => return None,
        None => (time, 0),
    };
    let parts: Vec<u32> = time.split(':').map(|t| digits(t, 2)).collect::<Option<_>>()?;
    let clock = match parts[..] {
        [hour, minute] => [hour, minute, 0],
        [hour, minute, second] => [hour, minute, second],
        _ => return None,
    };
    Some(at(digits(year, 4)?, digits(month, 2)?, digits(day, 2)?, clock)? + fraction - offset)
}

fn zone(text: &str) -> Option<Nanos> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = if rest.len() == 4 { rest.split_at_checked(2)? } else { rest.split_once(':')? };
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then(|| sign * Nanos::from(hours * 3600 + minutes * 60) * SECOND)
}

fn fraction_nanos(text: &str) -> Option<Nanos> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |n, b| n * 10 + Nanos::from(b - b'0')))
}

/// Exactly so many digits.
fn digits(text: &str, n: usize) -> Option<u32> {
    (text.len() == n && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn at(year: u32, month: u32, day: u32, [hour, minute, second]: [u32; 3]) -> Option<Nanos> {
    let leap = (hour, minute, second) == (23, 59, 60);
    if hour > 23 || minute > 59 || (second > 59 && !leap) {
        return None;
    }
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let midnight = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    Some((Nanos::from(midnight) + Nanos::from(hour * 3600 + minute * 60 + second)) * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_772_366_400_000);

    /// Milliseconds since the epoch.
    fn millis(text: &str) -> Option<Nanos> {
        parse(text, NOW).map(|n| n / 1_000_000)
    }

    #[test]
    fn the_three_forms_of_an_http_date() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(millis(text), Some(784_111_777_000), "{text}");
        }
        assert_eq!(millis("Wed Nov 16 08:49:37 1994"), Some(784_975_777_000));
        assert_eq!(millis("Sat, 31 Dec 2016 23:59:60 GMT"), Some(1_483_228_800_000));
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        assert_eq!(century(76, NOW), 2076);
        assert_eq!(century(77, NOW), 1977);
        assert_eq!(century(26, NOW), 2026);
        assert_eq!(century(0, UnixMs(946_684_799_000)), 2000);
        assert_eq!(century(99, UnixMs(946_684_799_000)), 1999);
        assert_eq!(century(0, NOW), 2000);
    }

    #[test]
    fn iso_dates() {
        let noon = Some(1_772_366_400_000);
        for text in [
            "2026-03-01T12:00:00Z",
            "2026-03-01 12:00:00",
            "2026-03-01T12:00Z",
            "2026-03-01T12:00",
            "2026-03-01T14:00:00+02:00",
            "2026-03-01T06:30:00.000-0530",
            "2026-03-01T14:00+0200",
        ] {
            assert_eq!(millis(text), noon, "{text}");
        }
        assert_eq!(millis("2026-03-01T12:00:00.25Z"), Some(1_772_366_400_250));
    }

    #[test]
    fn other_texts_are_no_date() {
        for bad in [
            "",
            "soon",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 30 Feb 2026 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Som, 06 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun Mar 01 2026 12:00:45 GMT+0000 (Coordinated Universal Time)",
            "2026-03-01",
            "2026-02-30T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-03-01T25:00:00Z",
            "2026-03-01T12:00:00+2",
            "2026-03-01T12:00:00+02",
            "2026-03-01T12:00:00+24:00",
            "2026-03-01T12:00.5Z",
            "2026-03-01T12:00:00.Z",
            "2026-03-01T12:00:00 Z",
            "2026-03-01T12:00:00ZZ",
            "20260301T120000Z",
            "2026-03-01_12:00:00Z",
            "2026-3-1T12:00:00Z",
        ] {
            assert_eq!(parse(bad, NOW), None, "{bad}");
        }
    }
}
