//! Names to addresses: the system's way, given name servers, or a fixed table (demo, tests). Caches nothing, so that each run sees DNS as it is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

use crate::observed::Failure;
use crate::outcome::{Cause, Class};

/// How many addresses of a name are tried.
pub(super) const MAX_ADDRESSES: usize = 4;

/// How many addresses of a name are looked at.
const MAX_ANSWERS: usize = 64;

/// A table of names: host and port in, full socket addresses out (the port may differ); the error is the text of a failed look-up.
pub type Table = dyn Fn(&str, u16) -> Result<Vec<SocketAddr>, String> + Send + Sync;

/// How names become addresses.
#[derive(Clone)]
pub enum Resolver {
    /// Real DNS.
    System(Box<TokioResolver>),
    /// A table in this process; asks nobody.
    Fixed(Arc<Table>),
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System(_) => "Resolver::System",
            Self::Fixed(_) => "Resolver::Fixed",
        })
    }
}

impl Resolver {
    /// The machine's resolver with its hosts file (reads both now: blocking), or, with `dns` given, only those servers.
    pub fn system(dns: &[SocketAddr]) -> anyhow::Result<Self> {
        let provider = TokioRuntimeProvider::default;
        let mut builder = if dns.is_empty() {
            TokioResolver::builder(provider()).unwrap_or_else(|e| {
                tracing::warn!(error = %e, "no usable /etc/resolv.conf; asking a name server on this machine, as the C library does");
                let local = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                let servers = local.into_iter().map(NameServerConfig::udp_and_tcp).collect();
                TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), provider())
            })
        } else {
            let servers = dns.iter().map(|at| {
                let on_port = |mut c: ConnectionConfig| {
                    c.port = at.port();
                    c
                };
                NameServerConfig::new(at.ip(), true, vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())])
            });
            TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers.collect()), provider())
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.positive_max_ttl = Some(Duration::ZERO);
        options.negative_max_ttl = Some(Duration::ZERO);
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = if dns.is_empty() { ResolveHosts::Auto } else { ResolveHosts::Never };
        Ok(Self::System(Box::new(builder.build().context("the resolver could not be set up")?)))
    }

    /// The addresses of a name, at least one, at most [`MAX_ANSWERS`]; of which so many are tried as [`MAX_ADDRESSES`] says.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let mut found: Vec<SocketAddr> = match self {
            Self::Fixed(table) => table(host, port).map_err(|why| Failure::new(Class::Dns, format!("{host}: {why}")))?,
            Self::System(resolver) => {
                let answer = Box::pin(resolver.lookup_ip(host)).await.map_err(|e| refusal(host, &e))?;
                answer.iter().map(|ip| SocketAddr::new(ip, port)).collect()
            }
        };
        if found.is_empty() {
            let answered = matches!(self, Self::System(_));
            return Err(Failure { answered, ..Failure::new(Class::Dns, format!("{host}: the name has no addresses")) });
        }
        found.truncate(MAX_ANSWERS);
        Ok(found)
    }
}

fn refusal(host: &str, error: &NetError) -> Failure {
    let why = match error {
        NetError::Io(e) if super::connect::is_ours(e) => {
            return Failure::ours(Cause::Capacity, format!("{host}: could not ask DNS, this machine is out of means: {e}"));
        }
        NetError::Busy => return Failure::ours(Cause::Capacity, format!("{host}: could not ask DNS, too many questions are open at once")),
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => "the name does not exist (NXDOMAIN)".to_owned(),
            ResponseCode::NoError => "the name has no addresses".to_owned(),
            code => format!("DNS answered with an error ({code})"),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => format!("DNS answered with an error ({code})"),
        NetError::Timeout => "no DNS answer came".to_owned(),
        NetError::NoConnections => "no name server could be reached".to_owned(),
        NetError::Proto(e) => format!("not a name DNS knows how to ask for, or an unreadable answer ({e})"),
        other => format!("the name could not be resolved ({other})"),
    };
    Failure { answered: says_no(error), ..Failure::new(Class::Dns, format!("{host}: {why}")) }
}

/// A name server said that there is no such name, or nothing under it. An error it reports (SERVFAIL) is none: it may have nobody to ask.
fn says_no(error: &NetError) -> bool {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else { return false };
    matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_table_answers_and_is_bounded() {
        let many = Resolver::Fixed(Arc::new(|_, port| Ok((1..=99).map(|n| SocketAddr::from(([127, 0, 0, n], port))).collect())));
        assert_eq!(many.resolve("x", 80).await.unwrap().len(), MAX_ANSWERS);
        let none = Resolver::Fixed(Arc::new(|_, _| Ok(vec![])));
        assert_eq!(none.resolve("x", 80).await.unwrap_err().class, Class::Dns);
        let unknown = Resolver::Fixed(Arc::new(|_, _| Err("the name does not exist (NXDOMAIN)".into())));
        let failure = unknown.resolve("gone.example", 80).await.unwrap_err();
        assert_eq!((failure.class, failure.detail.as_str()), (Class::Dns, "gone.example: the name does not exist (NXDOMAIN)"));
        assert!(!failure.answered, "a table is nobody's answer");
    }

    /// A name server on loopback that answers each A query with the count of A queries so far, and everything else with `code`.
    async fn fake_dns(code: u8) -> SocketAddr {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut asked = 0u8;
            let mut buf = [0u8; 1500];
            while let Ok((n, from)) = socket.recv_from(&mut buf).await {
                // The question ends at the root label plus type and class; what follows (EDNS) is left out of the answer.
                let end = 12 + buf[12..n].iter().position(|b| *b == 0).unwrap() + 5;
                let a_query = buf[end - 3] == 1;
                let mut answer = buf[..end].to_vec();
                let good = a_query && code == 0;
                answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, u8::from(good), 0, 0, 0, 0]);
                if good {
                    asked += 1;
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 10, 0, 0, asked]);
                }
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        at
    }

    #[tokio::test]
    async fn given_servers_are_asked_each_time() {
        let resolver = Resolver::system(&[fake_dns(0).await]).unwrap();
        for n in 1..=3u8 {
            assert_eq!(resolver.resolve("api.example.com", 443).await.unwrap(), vec![SocketAddr::from(([10, 0, 0, n], 443))]);
        }
    }

    #[tokio::test]
    async fn a_missing_name_is_said_in_words() {
        for (code, words, answered) in [(3, "NXDOMAIN", true), (2, "error", false)] {
            let resolver = Resolver::system(&[fake_dns(code).await]).unwrap();
            let failure = resolver.resolve("gone.example.com", 443).await.unwrap_err();
            assert_eq!((failure.class, failure.answered), (Class::Dns, answered), "{}", failure.detail);
            assert!(failure.detail.contains(words), "{}", failure.detail);
        }
    }

    #[test]
    fn silence_and_a_closed_port_of_a_name_server_are_no_answer() {
        let closed = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for error in [NetError::Timeout, NetError::NoConnections, NetError::Io(Arc::new(closed))] {
            let failure = refusal("api.example.com", &error);
            assert_eq!((failure.class, failure.answered), (Class::Dns, false), "{}", failure.detail);
        }
    }
}
