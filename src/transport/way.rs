//! A check's way with its secrets read: one run's, never kept longer than that.

use std::net::IpAddr;
use std::sync::Arc;

use super::Transport;
use super::auth::reveal;
use crate::config::model::CheckDef;
use crate::observed::Failure;
use crate::route::{Family, Proxy, Via};
use crate::secret::{Redactor, SecretValue};

/// The way one run's connections take.
#[derive(Clone, Debug, Default)]
pub struct Way {
    pub(super) proxy: Option<Arc<Opened>>,
    pub(super) source: Option<IpAddr>,
    address: Option<IpAddr>,
    family: Family,
    /// The check whose connection is kept for its next run.
    pub(super) keep: Option<u64>,
}

impl Way {
    /// The same text for ways that are alike.
    pub(super) fn described(&self) -> String {
        let proxy = self.proxy.as_ref().map(|o| (o.proxy.to_string(), o.proxy.login.as_ref().map(|(name, _)| name.as_str())));
        format!("{proxy:?} {:?} {:?} {:?}", self.source, self.address, self.family)
    }
    /// The pinned address and the family to a host; both are of the check's own host alone.
    pub(super) fn to(&self, own: bool) -> (Option<IpAddr>, Family) {
        if own { (self.address, self.family) } else { (None, Family::Any) }
    }
}

/// A proxy, and the password it is shown.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) proxy: Proxy,
    pub(super) password: Option<SecretValue>,
}

impl Transport {
    /// The way of a check: its own proxy, or else the settings'. Variables of the environment are never asked.
    pub async fn way(&self, check: &CheckDef, redactor: &mut Redactor) -> Result<Way, Failure> {
        let route = &check.route;
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
        Ok(Way { proxy, source: route.source, address: route.address, family: route.family, keep: route.keep_alive.then_some(check.key) })
    }
}
