//! Bundles: the evidence behind the answer about one environment, as files that can be checked without us, years later (docs/evidence.md).
//!
//! - `key`: who signs; `manifest`: what is signed; `csv`: the runs
//! - `write`: a bundle from what is judged; `verify`: everything in it checked, and the answer made again; `differs`: what is not alike, by name
//!
//! The only module that knows the files. Never reads the store, the configuration or a clock.

mod csv;
mod differs;
pub mod key;
pub mod manifest;
mod verify;
mod write;

pub use verify::{Finding, Unreadable, Verified, verify};
pub use write::{Content, NotWritten, Written, write_bundle};

const EVIDENCE: &str = "evidence.json";
const HTML: &str = "report.html";
const MARKDOWN: &str = "report.md";
const RUNS: &str = "runs.csv.zst";
/// Every file but the manifest, sorted.
const FILES: [&str; 4] = [EVIDENCE, HTML, MARKDOWN, RUNS];
/// How hard runs are packed: harder ones take several times the time for little.
const ZSTD_LEVEL: i32 = 3;
