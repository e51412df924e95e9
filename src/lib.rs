//! Soakwatch: an integration health monitor. The modules stand in the order data flows; ARCHITECTURE.md walks one run through them.

pub mod attribution;
pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod explain;
pub mod fields;
pub mod health;
pub mod log;
pub mod metrics;
pub mod observed;
pub mod outcome;
pub mod probe;
pub mod record;
pub mod run;
pub mod secret;
pub mod server;
pub mod status;
pub mod store;
pub mod transport;
