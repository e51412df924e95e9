//! Soaks: has an integration held what was asked for, over the judged window, with enough evidence to say so? Policy, window, fold and judge.
//!
//! Pure: data and a time in, an answer out. No clock, no store, no text but in [`Shown`], [`gate`] and the words they make. docs/verdicts.md says what the
//! answers mean; the oracle in `tests/it/soak_oracle.rs` holds this to it.

mod durations;
mod earliest;
mod exact;
mod fold;
pub mod gate;
mod given;
mod judge;
mod policy;
mod rows;
mod shown;
mod standing;
#[cfg(test)]
mod tests;
mod track;
mod verdict;
mod window;
mod words;

pub use durations::{Durations, ERROR as DURATION_ERROR};
pub use earliest::earliest_pass;
pub use exact::{Share, allowed, wilson_lower};
pub use fold::CheckFold;
pub use given::{Attestation, CheckInput, Doubts, Exclusion, Incidents, Input, Observations, Rules, Waiver};
pub use judge::{as_of, frame, judge};
pub use policy::{Confidence, Criterion, Judge, Policy};
pub use shown::{Shown, ShownBudget, ShownCheck, ShownCounts, ShownRow, ShownSilence, ShownSpan, ShownWaiver, ShownWindow, shown};
pub use verdict::{Budget, Name, Row, Ruling, Standing, State, Value, Verdict};
pub use window::{Frame, Stage, Window};
pub use words::{percent, seconds};
