//! The way to an endpoint, as the configuration has it: through which proxy, from which address. Plain data; holds no secret, only where one is.

use std::fmt;
use std::net::IpAddr;

use url::Host;

use crate::secret::SecretRef;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP `CONNECT` (RFC 9110, 9.3.6).
    Http,
    /// SOCKS version 5 (RFC 1928).
    Socks5,
}

/// A proxy: `http://host:port` or `socks5://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Its host.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// Who we are to it, if it asks: user name and password.
    pub login: Option<(String, SecretRef)>,
}

/// As it is written and shown: `http://proxy.example.com:3128`.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// What `proxy` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// Through none, whatever holds elsewhere.
    Direct,
    /// Through this one.
    Proxy(Proxy),
}

/// The way of one check, with what its integration and customer say merged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// `proxy`. `None`: the settings'.
    pub via: Option<Via>,
    /// `source_address`: where connections come from. `None`: the system chooses.
    pub source: Option<IpAddr>,
}
