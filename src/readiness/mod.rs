//! Readiness: may this environment go live? What the configuration asks for, what the evidence log knows, and the runs, brought together for the verdict
//! engine: from the configuration and the store ([`assemble()`]), from a daemon's running state ([`Soaks`]), or from a bundle that somebody else wrote.
//!
//! - `case`: what an integration is judged by, owned, as it is written into a bundle
//! - `said`: how records of the evidence log are written and read; `log`: what all of them together mean for each soak
//! - `basis`: how what is configured stands to what was recorded: since when runs count, what was changed, what can't be told
//! - `seen`: what was observed beside the runs, as of the end of what is judged; `incidents`: those on record, likewise
//! - `assemble`: from configuration and store; `decide`: the answer from the runs; `answered`: the answer as every output shows it
//! - `live`, `running`: every soak's running state, so that a verdict costs no scan
//!
//! Owns no store and no clock, never writes. What a criterion means is `soak`'s.

mod answered;
mod assemble;
mod basis;
mod case;
mod decide;
mod incidents;
mod live;
mod log;
mod running;
pub mod said;
mod seen;
#[cfg(test)]
mod tests;

pub use answered::{Answered, Passed};
pub(crate) use assemble::other_config;
pub use assemble::{Failed, answer_from, assemble, doubt_clocks, judged_from, situation};
pub use basis::Basis;
pub use case::{AttestedCase, Case, CheckCase, ExclusionCase, IncidentsCase, MaintenanceCase, Observed, SoakCase, WaiverCase};
pub use decide::{Runs, Situation, decide};
pub use incidents::ToldIncidents;
pub use live::{Asked, Soaks};
pub use log::{BundleDue, Known, Log};
pub use running::change;
pub use said::{Began, Restarted};
pub use seen::{Noted, Past, seen_until};
