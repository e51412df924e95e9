//! SCIM 2.0: exchanges with a server, judged by the rules of `finding::scim`. The same code for a recording and for a check that has just asked.
//!
//! Never sends anything, and never puts a name, an id or another value of a directory into a finding.

mod answer;
pub mod ask;
mod changes;
mod discovery;
mod exchange;
mod filter;
mod filters;
mod found;
pub mod journal;
mod judge;
mod list;
mod pages;
mod patch;
pub mod plan;
pub mod recording;
mod resource;
mod target;
mod world;
pub mod write;
mod writes;

pub use exchange::{Exchange, Fact, Idp, Known, Request};
pub use judge::judge;
pub use target::{Endpoint, Query, Target};
