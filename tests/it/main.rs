//! All integration tests in one binary: one file per subject, in alphabetical order.

// Tells clippy that helper functions in here are test code too (allow-unwrap-in-tests in clippy.toml).
#![cfg(test)]

mod architecture;
mod bad_config;
mod demo;
mod documents;
mod hostile_config;
mod probe;
mod reference;
mod support;
