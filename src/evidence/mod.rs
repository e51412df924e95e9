//! Evidence: what changed a judgement, or bears on one, as an append-only log of records that hold each other (docs/evidence.md).
//!
//! - `entry`: what is recorded, in which words
//! - `chain`: how each record carries the hash of all before it, and how that is checked
//! - `hash`: canonical JSON (RFC 8785) and SHA-256
//!
//! Pure: never stores, never reads a clock, never decides what a record means for a verdict.

pub mod chain;
pub mod entry;
pub mod hash;
pub mod written;

pub use chain::{Break, Checked, Link};
pub use entry::{Entry, Kind, Recorded, Scope};
pub use hash::{Hash, canonical};

use crate::clock::UnixMs;

/// A time as evidence writes it: RFC 3339 in UTC, always with three digits after the second, so that the same time has one text.
pub fn time_text(at: UnixMs) -> String {
    at.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The time such a text stands for; `None` if it is written in any other way.
pub fn time_of(text: &str) -> Option<UnixMs> {
    let at = UnixMs::from(text.parse::<jiff::Timestamp>().ok()?);
    (time_text(at) == text).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_text() {
        for ms in [0, 1, -1, 999, 1_000, 1_796_025_600_000, 1_796_025_600_250] {
            assert_eq!(time_of(&time_text(UnixMs(ms))), Some(UnixMs(ms)), "{ms}");
        }
        assert_eq!(time_text(UnixMs(1_796_025_600_000)), "2026-11-30T08:00:00.000Z");
        for other in
            ["2026-11-30T08:00:00Z", "2026-11-30T09:00:00.000+01:00", "2026-11-30t08:00:00.000z", "2026-11-30T08:00:00.0000Z", "", "x"]
        {
            assert_eq!(time_of(other), None, "{other}");
        }
    }
}
