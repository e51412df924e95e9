//! The simulated estate: customers whose integrations fail in every way we know, in one process, on loopback, without the machine's resolver.
//!
//! `stories` says what each endpoint does (`quotas` those with rate limits, `hooks` those that take webhooks, `identity` the identity providers, `provisioning` the SCIM servers), `certificates` makes what the TLS ones show, `estate` starts them and writes the configuration
//! that watches them (`config/demo/`, read by the ordinary loader), `history` makes up an hour that nobody watched and says so, `watch` lets the daemon
//! watch it, `summary` is the tables at the end. Never part of a daemon's run.

pub mod certificates;
pub mod estate;
pub mod files;
mod history;
pub mod hooks;
pub mod identity;
mod openid;
mod provisioning;
pub mod quotas;
pub mod senders;
pub mod stories;
pub mod summary;
mod time;
mod watch;

pub use estate::Estate;
pub use history::Made;
pub use watch::watch;
