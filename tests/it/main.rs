//! The integration tests: one binary, one file per subject.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails, also outside the functions marked as tests")]

mod bad_config;
mod hostile_config;
mod load_config;
mod reference;
