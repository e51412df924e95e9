//! Metrics: the catalogue of names, the daemon's own metrics in a registry, and the streaming encoder of everything that hangs on a check.
//! Never keeps a number of a check: those are read from the board at each scrape, so a removed check is gone at once.

pub mod blackbox;
pub mod catalogue;
mod documents;
pub mod encode;
mod incidents;
pub mod own;
mod pools;
mod rate_limit;
mod rows;
mod soak;
mod text;
mod webhooks;

/// The media type of a scrape: the Prometheus text exposition format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
