//! A check's way with its secrets read: one run's, never kept longer than that.

use std::net::IpAddr;
use std::sync::Arc;

use super::Transport;
use super::auth::reveal;
use crate::observed::Failure;
use crate::route::{Proxy, Route, Via};
use crate::secret::{Redactor, SecretValue};

/// The way one run's connections take.
#[derive(Clone, Debug, Default)]
pub struct Way {
    pub(super) proxy: Option<Arc<Opened>>,
    pub(super) source: Option<IpAddr>,
}

/// A proxy, and the password it is shown.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) proxy: Proxy,
    pub(super) password: Option<SecretValue>,
}

impl Transport {
    /// The way of a check: its own proxy, or else the settings'. Variables of the environment are never asked.
    pub async fn way(&self, route: &Route, redactor: &mut Redactor) -> Result<Way, Failure> {
        let proxy = match &route.via {
            Some(Via::Proxy(proxy)) => Some(proxy),
            Some(Via::Direct) => None,
            None => self.proxy.as_ref(),
        };
        let proxy = match proxy {
            Some(proxy) => {
                let password = match &proxy.login {
                    Some((_, password)) => Some(reveal(password, redactor).await?),
                    None => None,
                };
                Some(Arc::new(Opened { proxy: proxy.clone(), password }))
            }
            None => None,
        };
        Ok(Way { proxy, source: route.source })
    }
}
