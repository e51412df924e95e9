//! One integration test binary, one file per subject.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on fails; clippy only knows this of functions marked as tests"
)]

mod estate;
mod metrics;
mod server;
mod status;
