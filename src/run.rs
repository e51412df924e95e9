//! The shape of a finished run (the lead's file replaces this one).

use std::time::Duration;

use serde::Serialize;

use crate::observed::{Failure, Observed};
use crate::record::Record;

/// One attempt of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// When it began, counted from the run's beginning.
    pub started_after: Duration,
    /// How long it took.
    pub duration: Duration,
    /// What it saw.
    pub observed: Observed,
    /// Why it did not pass.
    pub failure: Option<Failure>,
}

/// A finished run: what is recorded, and what was seen on the way.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// What the recorder gets.
    pub record: Record,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}
