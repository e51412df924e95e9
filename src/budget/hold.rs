//! A hold: a host asked us to stay away, and until then nobody who shares host and credential sends anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;

/// The kind of the notes that remember holds in the store.
pub const HOLD_NOTE: &str = "hold";

/// A hold in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Until when nothing is sent.
    pub until: UnixMs,
    /// When it was asked for.
    pub since: UnixMs,
    /// For how long, in seconds: more than the hold where `max_hold` cut it.
    pub asked_s: u64,
    /// The check that was told.
    pub check: String,
}

impl Hold {
    /// How much of it is left, never more than `max`: the clock may have been set back.
    pub fn left(&self, now: UnixMs, max: Duration) -> Duration {
        self.until.since(now).min(max)
    }

    /// Both of them: the later end.
    pub(super) fn join(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.until > self.until => other,
            _ => self,
        }
    }
}
