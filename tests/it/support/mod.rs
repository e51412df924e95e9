//! What several subjects of the integration tests share: servers that play the far side.

pub(crate) mod fake_api;
