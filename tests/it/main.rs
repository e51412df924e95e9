//! The integration tests: one binary, one file per subject.

mod bad_config;
mod hostile_config;
mod reference;
mod support;
