//! One integration test binary, one file per subject.

mod estate;
mod metrics;
mod server;
mod status;
