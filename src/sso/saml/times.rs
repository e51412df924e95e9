//! Times and durations as XML Schema writes them (XSD 1.0 part 2, 3.2.6 and 3.2.7), strictly. Reads no clock.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::{DAY_MS, UnixMs};

/// No legal text is longer, but for digits nobody writes.
const MAX_LEN: usize = 64;

/// An `xs:dateTime`. Without a zone it is UTC, as SAML wants it. Leap seconds and years before 1 or beyond 9999 are none.
pub(super) fn date_time(text: &str) -> Option<UnixMs> {
    // The schema type collapses white space around it.
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.len() > MAX_LEN || !text.is_ascii() {
        return None;
    }
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = fields(date, '-')?;
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, "Z"),
    };
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, milliseconds(fraction)?),
        None => (clock, 0),
    };
    let [hour, minute, second] = fields(clock, ':')?;
    let sizes = date.len() == 10 && clock.len() == 8 && year.len() == 4 && [month, day, hour, minute, second].iter().all(|f| f.len() == 2);
    if !sizes {
        return None;
    }
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    // 24:00:00 is midnight at the end of the day.
    let end_of_day = hour == 24 && minute == 0 && second == 0 && fraction == 0;
    if !(end_of_day || hour < 24) || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::new(i16::try_from(number(year)?).ok()?, i8::try_from(number(month)?).ok()?, i8::try_from(number(day)?).ok()?).ok()?;
    if date.year() < 1 {
        return None;
    }
    let midnight = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    let local = midnight + (hour * 3600 + minute * 60 + second) * 1000 + fraction;
    Some(UnixMs(local - zone_minutes(zone)? * 60_000))
}

fn fields(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

fn number(digits: &str) -> Option<i64> {
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn milliseconds(fraction: &str) -> Option<i64> {
    number(fraction.get(..fraction.len().min(9))?)?;
    number(fraction.get(9..).filter(|f| !f.is_empty()).unwrap_or("0"))?;
    number(&format!("{fraction:0<3}")[..3])
}

fn zone_minutes(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= 14 * 60).then_some(sign * (hours * 60 + minutes))
}

/// An `xs:duration`: what of it has a fixed length, and months (a year is twelve) apart, because a month has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration {
    /// It was written with a minus sign.
    pub negative: bool,
    /// Months, years included.
    pub months: i64,
    /// Days, hours, minutes and seconds, in milliseconds.
    pub ms: i64,
}

impl Duration {
    /// The longest it can be, in milliseconds: a month of 31 days.
    pub(super) fn longest_ms(self) -> i64 {
        self.months.saturating_mul(31 * DAY_MS).saturating_add(self.ms)
    }
}

/// Reads an `xs:duration`. There must be at least one number, and one after the `T`; weeks do not exist; only seconds have a fraction.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.len() > MAX_LEN || !text.is_ascii() {
        return None;
    }
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |r| (true, r));
    let rest = rest.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    if time.is_some_and(str::is_empty) || (date.is_empty() && time.is_none()) {
        return None;
    }
    let mut read = Duration { negative, months: 0, ms: 0 };
    let [years, months, days] = amounts(date, ['Y', 'M', 'D'])?;
    let [hours, minutes, seconds] = amounts(time.unwrap_or(""), ['H', 'M', 'S'])?;
    for fixed in [years, months, days, hours, minutes] {
        if fixed.contains('.') {
            return None;
        }
    }
    // What is too large for a number is as good as for ever.
    let whole = |digits: &str| {
        if digits.is_empty() { Some(0) } else { number(digits).or_else(|| digits.bytes().all(|b| b.is_ascii_digit()).then_some(i64::MAX)) }
    };
    let (seconds, fraction) = match seconds.split_once('.') {
        Some((seconds, fraction)) => (if seconds.is_empty() { return None } else { seconds }, milliseconds(fraction)?),
        None => (seconds, 0),
    };
    read.months = whole(years)?.saturating_mul(12).saturating_add(whole(months)?);
    let parts = [(days, DAY_MS), (hours, 3_600_000), (minutes, 60_000), (seconds, 1000)];
    for (digits, unit) in parts {
        read.ms = read.ms.saturating_add(whole(digits)?.saturating_mul(unit));
    }
    read.ms = read.ms.saturating_add(fraction);
    Some(read)
}

/// The numbers before each of three letters, which come in this order; empty where a letter is not there.
fn amounts(mut text: &str, letters: [char; 3]) -> Option<[&str; 3]> {
    let mut found = [""; 3];
    for (slot, letter) in found.iter_mut().zip(letters) {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        if text[digits..].starts_with(letter) {
            let (amount, rest) = (&text[..digits], &text[digits + 1..]);
            if amount.is_empty() {
                return None;
            }
            (*slot, text) = (amount, rest);
        }
    }
    text.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let read = |t: &str| date_time(t).map(|at| at.to_string());
        for (text, at) in [
            ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            (" 2026-06-22T18:39:53.000Z\n", "2026-06-22T18:39:53Z"),
            ("2026-06-22T18:39:53.5Z", "2026-06-22T18:39:53.5Z"),
            ("2026-06-22T18:39:53.123456789123Z", "2026-06-22T18:39:53.123Z"),
            ("2026-06-22T18:39:53", "2026-06-22T18:39:53Z"),
            ("2026-06-22T18:39:53+02:00", "2026-06-22T16:39:53Z"),
            ("2026-06-22T18:39:53-09:30", "2026-06-23T04:09:53Z"),
            ("2026-12-31T24:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(at), "{text}");
        }
        for text in [
            "",
            "2026-12-01",
            "2026-12-01 00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-12-01T25:00:00Z",
            "2026-12-01T00:00Z",
            "2026-12-01T00:00:60Z",
            "26-12-01T00:00:00Z",
            "2026-12-01T00:00:00.Z",
            "2026-12-01T00:00:00z",
            "2026-12-01t00:00:00Z",
            "2026-12-01T00:00:00+15:00",
            "2026-12-01T00:00:00+2:00",
            "1798761600",
            "2026-12-01T24:00:01Z",
            "0000-01-01T00:00:00Z",
            "2026-12-0٣T00:00:00Z",
            "2026-12-01T00:00:00.1x3Z",
            "2026-12-01T00:00:00.1234567890xZ",
            "+026-12-01T00:00:00Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        let day = DAY_MS;
        let of = |months, ms| Some(Duration { negative: false, months, ms });
        for (text, expected) in [
            ("PT6H", of(0, 6 * 3_600_000)),
            ("P1DT12H", of(0, day * 3 / 2)),
            ("P604800S", None),
            ("PT604800S", of(0, 7 * day)),
            ("PT1.5S", of(0, 1500)),
            ("PT0S", of(0, 0)),
            ("P1M", of(1, 0)),
            ("P1Y2M3D", of(14, 3 * day)),
            ("PT1412080378S", of(0, 1_412_080_378_000)),
            ("PT", None),
            ("P", None),
            ("P7W", None),
            ("P1DT", None),
            ("PT1H30", None),
            ("PT30M1H", None),
            ("P1.5D", None),
            ("PT.5S", None),
            ("PT1.S", None),
            ("1D", None),
            ("p1d", None),
            ("+P1D", None),
            ("", None),
            ("PT99999999999999999999S", of(0, i64::MAX)),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
        assert_eq!(duration("-PT1H"), Some(Duration { negative: true, months: 0, ms: 3_600_000 }));
        assert_eq!(duration("P1M").map(Duration::longest_ms), Some(31 * day));
    }
}
