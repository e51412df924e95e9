//! What several subjects of the integration tests share: servers that play the far side, the program as a child process.

pub(crate) mod alertmanager;
pub(crate) mod daemon;
pub(crate) mod fake;
pub(crate) mod fake_api;
pub(crate) mod jose;
pub(crate) mod judged;
pub(crate) mod pki;
pub(crate) mod probing;
pub(crate) mod prometheus;
pub(crate) mod provider;
pub(crate) mod proxy;
pub(crate) mod scim_server;
pub(crate) mod seeds;
pub(crate) mod soaked;
