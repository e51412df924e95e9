//! The way to an endpoint, as the configuration has it: through which proxy, from which address, to which. Plain data; holds no secret, only where one is.

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

/// One of the two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefers {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What `address_family` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// The addresses in the order in which they come.
    #[default]
    Any,
    /// No other.
    Only(Prefers),
    /// This one first, the other where it does not connect.
    Prefer(Prefers),
    /// Each must connect.
    Both,
}

impl Family {
    /// Every word with its meaning.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("any", Self::Any),
        ("ipv4", Self::Only(Prefers::Ipv4)),
        ("ipv6", Self::Only(Prefers::Ipv6)),
        ("prefer_ipv4", Self::Prefer(Prefers::Ipv4)),
        ("prefer_ipv6", Self::Prefer(Prefers::Ipv6)),
        ("both", Self::Both),
    ];
    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, family)| *family == self).map_or("any", |(word, _)| word)
    }
}

/// The way of one check, with what its integration and customer say merged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// `proxy`. `None`: the settings'.
    pub via: Option<Via>,
    /// `source_address`: where connections come from. `None`: the system chooses.
    pub source: Option<IpAddr>,
    /// `address`: of the check's own host, instead of what DNS says. Host header and TLS keep the name.
    pub address: Option<IpAddr>,
    /// `address_family`: of the check's own host.
    pub family: Family,
    /// `keep_alive`: the connection of the last run is used again.
    pub keep_alive: bool,
}
