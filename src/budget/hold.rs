//! A hold: a host refused and said until when, and until then nobody who shares host and credential sends anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::outcome::closed_set;

/// The kind of the notes that remember holds in the store.
pub const HOLD_NOTE: &str = "hold";

closed_set! {
    /// What the end of a hold comes from.
    Because {
        /// The host asked to be left alone for so long.
        Asked => "asked",
        /// The host refused, and told when its quota renews.
        Reset => "reset",
        /// The host refused without a word; its vendor documents how long to pause.
        Documented => "documented",
        /// The token endpoint refused: without a token nothing can be sent.
        Token => "token",
        /// The host leads elsewhere, and it was refused there.
        Redirect => "redirect",
    }
}

impl Because {
    /// Why slots are skipped meanwhile. The same words each time, so that slots in a row are one span.
    pub const fn skipped(self) -> &'static str {
        match self {
            Self::Asked => "held: the host asked to be left alone",
            Self::Reset => "held: the host refused, and said when its quota renews",
            Self::Documented => "held: the host refused, and its vendor documents a pause",
            Self::Token => "held: the token endpoint is to be left alone",
            Self::Redirect => "held: where the host leads to is to be left alone",
        }
    }
}

/// A hold in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Until when nothing is sent.
    pub until: UnixMs,
    /// When it was asked for.
    pub since: UnixMs,
    /// For how long it was asked for, in seconds: more than the hold where `max_hold` cut it.
    pub asked_s: u64,
    /// The check that was told.
    pub check: String,
    /// What it comes from; notes of older versions do not say.
    #[serde(default = "asked")]
    pub because: Because,
}

fn asked() -> Because {
    Because::Asked
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
