//! Points of time written as cron has them: five fields, in a time zone. Pure arithmetic.
//!
//! Numbers, ranges, lists, steps, names of months and days of the week; where both days are restricted, either counts. A time that the change to summer time leaves
//! out comes as much later; of one that comes twice, the first counts.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::UnixMs;

/// What the fields are, for messages.
pub const EXPECTED: &str = "minute, hour, day, month and day of the week, such as \"0 2 * * *\" or \"*/15 8-18 * * mon-fri\"";
/// The 29th of February may be eight years away.
const MOST_DAYS: usize = 366 * 8 + 2;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A schedule in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    text: String,
    zone: TimeZone,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    either: bool,
}

impl Cron {
    /// Reads five fields. The error says what is wrong.
    pub fn read(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else { return Err(format!("it has {} fields", fields.len())) };
        let weekdays = field(weekday, 0, 7, &WEEKDAYS, 0)?;
        let cron = Self {
            text: fields.join(" "),
            zone: zone.clone(),
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 0)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            // Sunday is 0 and 7.
            weekdays: weekdays | weekdays >> 7 & 1,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        cron.after(UnixMs(0)).map(|_| cron).ok_or_else(|| "it names no day there is".to_owned())
    }

    /// As written, with its zone.
    pub fn text(&self) -> String {
        format!("{} {}", self.text, self.zone.iana_name().unwrap_or("UTC"))
    }

    /// The first time after this one.
    pub fn after(&self, t: UnixMs) -> Option<UnixMs> {
        let mut date = t.timestamp().to_zoned(self.zone.clone()).date();
        for _ in 0..MOST_DAYS {
            if let Some(found) = self.times(date).find(|at| *at > t) {
                return Some(found);
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    /// The last time at or before this one.
    pub fn at_or_before(&self, t: UnixMs) -> Option<UnixMs> {
        let mut date = t.timestamp().to_zoned(self.zone.clone()).date();
        for _ in 0..MOST_DAYS {
            if let Some(found) = self.times(date).filter(|at| *at <= t).last() {
                return Some(found);
            }
            date = date.checked_sub(1.day()).ok()?;
        }
        None
    }

    /// Its times on a day, ascending.
    fn times(&self, date: Date) -> impl Iterator<Item = UnixMs> + '_ {
        let has = |set: u64, n: i8| set >> n & 1 == 1;
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let day = has(self.days, date.day());
        let today = has(self.months, date.month()) && if self.either { day || weekday } else { day && weekday };
        let hours = (0..24i8).filter(move |h| today && has(self.hours, *h));
        hours.flat_map(move |h| {
            let minutes = (0..60i8).filter(move |m| has(self.minutes, *m));
            minutes.filter_map(move |m| {
                let zoned = date.at(h, m, 0, 0).to_zoned(self.zone.clone()).ok()?;
                Some(UnixMs(zoned.timestamp().as_millisecond()))
            })
        })
    }
}

/// The numbers of a field as bits.
fn field(text: &str, low: u32, high: u32, names: &[&str], first: u32) -> Result<u64, String> {
    let wrong = || format!("`{}` is none of {low} to {high}", text.chars().take(20).collect::<String>());
    let number = |word: &str| -> Option<u32> {
        let named = names.iter().position(|n| n.eq_ignore_ascii_case(word)).and_then(|n| u32::try_from(n).ok());
        let n = named.map(|n| n + first).or_else(|| word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok())?)?;
        (low..=high).contains(&n).then_some(n)
    };
    let mut set = 0;
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|s| *s > 0).ok_or_else(wrong)?)),
            None => (item, None),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (low, high),
            (_, Some((from, to))) => (number(from).ok_or_else(wrong)?, number(to).ok_or_else(wrong)?),
            (one, None) => {
                let n = number(one).ok_or_else(wrong)?;
                (n, if step.is_some() { high } else { n })
            }
        };
        if from > to {
            return Err(wrong());
        }
        for n in (from..=to).step_by(step.unwrap_or(1)) {
            set |= 1u64 << n;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMs {
        UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn next_and_last_times() {
        for (cron, from, next) in [
            ("0 2 * * *", "2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z"),
            ("*/15 8-18 * * mon-fri", "2026-11-20T18:45:00Z", "2026-11-23T08:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            // Either day, where both are written.
            ("30 6 1 * 7", "2026-11-22T06:30:00Z", "2026-11-29T06:30:00Z"),
            ("30 6 1 * 7", "2026-11-29T06:30:00Z", "2026-12-01T06:30:00Z"),
            ("5,10 1 1 JAN *", "2026-01-01T01:05:00Z", "2026-01-01T01:10:00Z"),
        ] {
            let cron = Cron::read(cron, &TimeZone::UTC).unwrap();
            assert_eq!(cron.after(at(from)), Some(at(next)), "{cron:?} {from}");
            assert_eq!(cron.at_or_before(at(next)), Some(at(next)));
            assert!(cron.at_or_before(UnixMs(at(next).0 - 1)).unwrap() <= at(from), "nothing between");
        }
    }

    #[test]
    fn the_local_clock_counts() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let cron = Cron::read("30 2 * * *", &berlin).unwrap();
        // Summer: 00:30Z, winter: 01:30Z. On 2026-03-29 there is no 02:30: an hour later.
        assert_eq!(cron.after(at("2026-07-01T00:00:00Z")), Some(at("2026-07-01T00:30:00Z")));
        assert_eq!(cron.after(at("2026-12-01T00:00:00Z")), Some(at("2026-12-01T01:30:00Z")));
        assert_eq!(cron.after(at("2026-03-29T00:00:00Z")), Some(at("2026-03-29T01:30:00Z")));
        // Twice on 2026-10-25: the first.
        assert_eq!(cron.after(at("2026-10-25T00:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(cron.after(at("2026-10-25T00:30:00Z")), Some(at("2026-10-26T01:30:00Z")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "* * * foo *",
            "0 0 31 2 *",
            "+1 * * * *",
        ] {
            assert!(Cron::read(bad, &TimeZone::UTC).is_err(), "{bad}");
        }
    }
}
