//! Is a customer ready? What the configuration asks for, what the evidence log knows, and the runs, brought together for the verdict engine.
//!
//! [`Log`] reads the evidence log's records as what they mean for a soak; [`Soaks`] keeps every soak's running state beside the board, so that a verdict
//! costs no scan. Owns no store and no clock, and never judges: that is `soak`'s.

mod live;
mod log;
#[cfg(test)]
mod tests;

pub use live::{Asked, Soaks};
pub use log::{Began, Excluded, Known, Log, attest, exclude};

use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::limits;
use crate::soak::Observations;

/// What was observed of an integration beside its runs.
pub fn observations(entry: &IntegrationEntry, now: UnixMs) -> Observations {
    Observations {
        quota_headroom: limits::headroom(entry, now),
        certificate_expiry: entry.checks.iter().filter(|c| c.def.judged).filter_map(|c| c.state.certificate_expiry).min(),
        ..Observations::default()
    }
}
