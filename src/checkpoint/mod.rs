//! Checkpoints: configuration, evidence log, stored runs and incidents brought together for `hypercare`, for one environment at a time.
//!
//! - `answered`: may hypercare end, and every number beside it, as every output shows it (docs/hypercare.md has the keys)
//! - `assemble`: the same from configuration and store
//! - `span`: a checkpoint, what happened in a span; `handoff`: all that support takes over
//! - `live`: what was found last of every environment that is live, for pages and metrics
//!
//! Owns no store and no clock, never writes. What a number or a criterion means is `hypercare`'s.

mod answered;
mod assemble;
mod handoff;
mod live;
mod span;
#[cfg(test)]
mod tests;

pub use answered::{Answered, GATE, Passed, Standing};
pub use assemble::{answer, answer_from, is_live};
pub use handoff::{ClassSeen, Handoff, Inventory, InventoryCheck, Verdict, handoff};
pub use live::Live;
pub use span::{Checkpoint, Finding, Part, Waiver, checkpoint};
