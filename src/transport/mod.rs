//! The HTTP exchange that all kinds share.
use crate::config::model::ProbeSettings;

/// Shared means to reach the network: resolver, TLS roots, limits, token cache.
#[derive(Debug)]
pub struct Transport {}
impl Transport {
    /// From the settings.
    pub fn new(_settings: &ProbeSettings) -> anyhow::Result<Self> {
        Ok(Self {})
    }
}
