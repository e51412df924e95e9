//! How far a peer's clock is from ours, by the `Date` header of an answer; and what to make of it. For every protocol.
//!
//! Pure: never reads a clock. A cache's answer carries an old date and says nothing.

use crate::clock::UnixMs;
use crate::finding::Level;

/// From here on it warns: milliseconds.
pub const WARN_MS: i64 = 60_000;
/// From here on it fails: assertions and tokens allow 60 to 300 seconds.
pub const FAIL_MS: i64 = 180_000;

/// What is needed of one answer.
#[derive(Clone, Copy, Debug)]
pub struct Dated {
    /// Its `Date`.
    pub date: UnixMs,
    /// When the request was sent, by our clock.
    pub sent: UnixMs,
    /// When the answer's head came, by our clock.
    pub received: UnixMs,
    /// Its `Age` in seconds, if it has one.
    pub age: Option<u64>,
    /// `max-age` (or `s-maxage`) of its `Cache-Control` in seconds, if it has one.
    pub max_age: Option<u64>,
}

/// How many milliseconds the peer's clock is ahead of ours (behind: negative); none where a cache may have answered.
pub fn estimate(answer: &Dated) -> Option<i64> {
    if answer.age.is_some_and(|age| age > 0) || answer.received < answer.sent {
        return None;
    }
    let middle = answer.sent.0 + (answer.received.0 - answer.sent.0) / 2;
    // A date has whole seconds: on average it is half a second behind.
    let offset = answer.date.0.saturating_add(500).saturating_sub(middle);
    // A copy that may be kept for so long may be as old as that, whether or not its Age says so.
    let may_be_old = answer.max_age.is_some_and(|seconds| offset < 0 && offset.unsigned_abs() / 1000 <= seconds && offset <= -WARN_MS);
    (!may_be_old).then_some(offset)
}

/// What an offset is worth; nothing below a minute.
pub fn level(offset_ms: i64) -> Option<Level> {
    match offset_ms.saturating_abs() {
        ..WARN_MS => None,
        WARN_MS..FAIL_MS => Some(Level::Warn),
        _ => Some(Level::Fail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates() {
        let answer = Dated { date: UnixMs(100_000), sent: UnixMs(99_500), received: UnixMs(101_500), age: None, max_age: None };
        assert_eq!(estimate(&answer), Some(0));
        assert_eq!(estimate(&Dated { date: UnixMs(300_000), ..answer }), Some(200_000));
        assert_eq!(estimate(&Dated { age: Some(0), ..answer }), Some(0));
        assert_eq!(estimate(&Dated { age: Some(7), ..answer }), None);
        let behind = Dated { date: UnixMs(0), max_age: Some(300), ..answer };
        assert_eq!(estimate(&behind), None);
        assert_eq!(estimate(&Dated { max_age: Some(30), ..behind }), Some(-100_000));
        assert_eq!(estimate(&Dated { date: UnixMs(300_000), max_age: Some(3600), ..answer }), Some(200_000));
        assert_eq!(estimate(&Dated { received: UnixMs(0), ..answer }), None);
    }

    #[test]
    fn what_it_is_worth() {
        let levels = [0, 59_999, 60_000, -179_999, 180_000, i64::MIN].map(level);
        assert_eq!(levels, [None, None, Some(Level::Warn), Some(Level::Warn), Some(Level::Fail), Some(Level::Fail)]);
    }
}
