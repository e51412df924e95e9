//! Bundles: the evidence behind the answer about one environment, as files that can be checked without us, years later (docs/evidence.md).
//!
//! - `key`: who signs

pub mod key;
