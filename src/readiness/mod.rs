//! Readiness: may this environment go live? Everything an environment is judged by, in one piece, from wherever it comes: from a configuration and the
//! store ([`assemble`]), or from a bundle that somebody else wrote. One function decides ([`decide`]), so that gate, report and verification can't differ.
//!
//! - `case`: what an integration is judged by, as it is written into a bundle
//! - `said`: what the evidence log says of integrations: soaks that began, exclusions, attestations
//! - `assemble`: from configuration and store; `decide`: the answer
//!
//! Never writes, never reads a clock. What a criterion means is `soak`'s.

mod assemble;
mod case;
mod decide;
pub mod said;

pub use assemble::{Failed, assemble, judged_from, observations, situation};
pub use case::{AttestedCase, Case, CheckCase, ExclusionCase, IncidentsCase, MaintenanceCase, Observed, SoakCase, WaiverCase};
pub use decide::{Runs, Situation, decide};
