//! The only place that reads a clock. Owns wall time as [`UnixMs`] and the monotonic reading for durations; never sleeps.
//!
//! Everything that judges takes a time as an argument, so that a week can be simulated; everything that needs "now" holds a [`Clock`].
#![expect(clippy::disallowed_methods, reason = "this is the one module that may read the clocks")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point of wall time: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

/// Milliseconds in an hour: the span of one stored segment.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

impl UnixMs {
    /// Whole seconds since the epoch, as Prometheus timestamps want them.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The number of the UTC hour this time lies in.
    pub fn hour(self) -> i64 {
        self.0.div_euclid(HOUR_MS)
    }

    /// This time moved by a duration (saturating).
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time moved back by a duration (saturating).
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How much later this time is than `earlier`; zero if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This time without its fraction of a second.
    pub fn whole_seconds(self) -> Self {
        Self(self.0.div_euclid(1000).saturating_mul(1000))
    }

    /// The first whole second that is not before this time.
    pub fn next_whole_second(self) -> Self {
        Self(self.0.saturating_add(999)).whole_seconds()
    }

    /// Whole days from this time until another, as people count them: 1 from 24 hours on, 0 below. Once it is over the days since, negative, and
    /// -1 on the first day too, so that 0 always means that it is still to come.
    pub fn whole_days_until(self, later: Self) -> i64 {
        match later.0.saturating_sub(self.0) {
            ms if ms < 0 => (ms / DAY_MS).min(-1),
            ms => ms / DAY_MS,
        }
    }

    /// The same instant as a `jiff` timestamp (clamped to what `jiff` can hold).
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX })
    }
}

impl From<jiff::Timestamp> for UnixMs {
    fn from(t: jiff::Timestamp) -> Self {
        Self(t.as_millisecond())
    }
}

/// RFC 3339 in UTC, to the millisecond where it is not zero.
impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

/// A source of wall time: the system's, or a number a test moves.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is set.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that shows `at` until [`Clock::set`] moves it.
    pub fn simulated(at: UnixMs) -> Self {
        Self::Simulated(Arc::new(AtomicI64::new(at.0)))
    }

    /// The present wall time.
    pub fn now(&self) -> UnixMs {
        match self {
            Self::System => {
                let now = SystemTime::now();
                let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
                UnixMs(now.duration_since(UNIX_EPOCH).map_or_else(|e| -ms(e.duration()), ms))
            }
            Self::Simulated(at) => UnixMs(at.load(Ordering::SeqCst)),
        }
    }

    /// How long until it shows `at`: to the microsecond, where [`Clock::now`] leaves out what has gone by of a millisecond. Zero once it does.
    pub fn until(&self, at: UnixMs) -> Duration {
        match self {
            Self::System => {
                let gone = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Duration::from_millis(u64::try_from(at.0).unwrap_or(0)).saturating_sub(gone)
            }
            Self::Simulated(_) => at.since(self.now()),
        }
    }

    /// Moves a simulated clock; the system's clock is left alone.
    pub fn set(&self, to: UnixMs) {
        if let Self::Simulated(at) = self {
            at.store(to.0, Ordering::SeqCst);
        }
    }
}

/// A monotonic reading, for durations only.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Microseconds of the system's monotonic clock, as other processes read it.
pub fn monotonic_micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    u64::try_from(micros).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_waited_for_to_its_millisecond() {
        let at = UnixMs(1_800_000_000_000);
        let clock = Clock::simulated(UnixMs(at.0 - 3));
        assert_eq!(clock.until(at), Duration::from_millis(3));
        assert_eq!(clock.until(UnixMs(at.0 - 4)), Duration::ZERO);
        let now = Clock::System.now();
        let left = Clock::System.until(now.plus(Duration::from_secs(3600)));
        assert!(left <= Duration::from_secs(3600) && left > Duration::from_secs(3500), "{left:?}");
        assert_eq!(Clock::System.until(now), Duration::ZERO);
    }

    #[test]
    fn whole_days_are_those_that_people_count() {
        let now = UnixMs(1_800_000_000_000);
        let days = |ms: i64| now.whole_days_until(UnixMs(now.0 + ms));
        assert_eq!([days(0), days(DAY_MS - 1), days(DAY_MS), days(9 * DAY_MS + 1)], [0, 0, 1, 9]);
        // Over is never 0.
        assert_eq!([days(-1), days(-DAY_MS), days(-3 * DAY_MS), days(-3 * DAY_MS - 1)], [-1, -1, -3, -3]);
    }
}
