//! What several subjects need: fake endpoints on loopback, and a check to run against them.

pub(crate) mod fake;
pub(crate) mod pki;
pub(crate) mod probing;
