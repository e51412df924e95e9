//! What several subjects of the integration tests share: servers that play the far side, checks run once against them, the program as a child process.

pub(crate) mod daemon;
pub(crate) mod fake;
pub(crate) mod fake_api;
pub(crate) mod pki;
pub(crate) mod probing;
