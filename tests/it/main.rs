//! All integration tests in one binary: one file per subject, in alphabetical order.

mod architecture;
