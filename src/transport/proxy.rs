//! To an endpoint through a proxy: HTTP `CONNECT` or SOCKS 5, for https and plain http alike, so that nobody between us and the endpoint answers in
//! its place. Names go to the proxy as they are; it resolves them.
//!
//! Decides whose fault it is that there is no connection. What is the proxy's own (it is not there, does not answer, refuses us) is never the
//! endpoint's; what the proxy says of the endpoint is, where it says so in a form that is defined. Nothing of a proxy's texts is repeated.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use url::Host;

use super::connect::{Sent, Stream, denied, hop, is_ours, tcp_to, why_not};
use super::way::Opened;
use super::{Options, Transport, guard};
use crate::clock::monotonic;
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Cause, Class};
use crate::route::Protocol;

mod http;
mod socks;

/// A proxy has this long to accept a connection, and to say anything at all; or half of the run's time, where that is less.
const LONGEST: Duration = Duration::from_secs(5);

/// Where to: the endpoint, as the proxy is told.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    host: &'a Host,
    port: u16,
}

impl Target<'_> {
    /// `host:port`, an IPv6 address in brackets.
    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
    /// There is no connection to it, by what the proxy says.
    fn failed(&self, class: Class, answered: bool, proxy: &str, why: &str) -> Failure {
        Failure { answered, ..Failure::new(class, format!("{}: {why}, says the proxy {proxy}", self.host)) }
    }
}

/// The proxy's own failure.
fn ours(proxy: &str, why: impl std::fmt::Display) -> Failure {
    Failure::ours(Cause::Route, format!("our own proxy {proxy}: {why}"))
}

impl Transport {
    /// A connection to the host through the proxy. All of it is the phase `connect`: the endpoint's name is not resolved here.
    pub(super) async fn tunnel(
        &self,
        (host, port): (&Host, u16),
        opened: &Opened,
        options: &Options,
        sent: Sent,
        observed: &mut Observed,
    ) -> Result<Box<dyn Stream>, Failure> {
        observed.step = Step::Proxy;
        let proxy = opened.proxy.to_string();
        hop(observed).via = Some(proxy.clone());
        guarded(host, port, options, sent, observed)?;
        let started = monotonic();
        let target = Target { host, port };
        let patience = (options.timeout / 2).min(LONGEST);
        let made = match self.dial(opened, options, patience).await {
            Ok(tcp) => match opened.proxy.protocol {
                Protocol::Http => Box::pin(http::connect(self, tcp, target, (opened, options, patience), observed)).await,
                Protocol::Socks5 => Box::pin(socks::connect(tcp, target, (opened, patience), observed)).await,
            },
            Err(failure) => Err(failure),
        };
        hop(observed).phases.connect = Some(started.elapsed());
        made
    }

    /// A TCP connection to the proxy itself. Its address is the operator's choice: no guard judges it.
    async fn dial(&self, opened: &Opened, options: &Options, patience: Duration) -> Result<TcpStream, Failure> {
        let shown = opened.proxy.to_string();
        let port = opened.proxy.port;
        let dialled = async {
            let addresses = match &opened.proxy.host {
                Host::Ipv4(ip) => vec![SocketAddr::from((*ip, port))],
                Host::Ipv6(ip) => vec![SocketAddr::from((*ip, port))],
                Host::Domain(name) => {
                    let found = Box::pin(self.resolver.resolve(name, port)).await;
                    found.map_err(|f| if f.cause.is_some() { f } else { ours(&shown, f.detail) })?
                }
            };
            let mut why = "its name has no addresses".to_owned();
            let count = u32::try_from(addresses.len()).unwrap_or(1).max(1);
            for address in addresses {
                match tokio::time::timeout(patience / count, tcp_to(address, options.way.source)).await {
                    Ok(Ok(Ok(stream))) => {
                        // Small messages go both ways; a socket that refuses it still works.
                        let _ = stream.set_nodelay(true);
                        return Ok(stream);
                    }
                    Ok(Ok(Err(e))) if is_ours(&e) => return Err(broken(&shown, &e)),
                    Ok(Ok(Err(e))) => why = format!("{address}: {}", why_not(&e)),
                    Ok(Err(ours)) => return Err(ours),
                    Err(_) => why = format!("no answer from {address}"),
                }
            }
            Err(ours(&shown, why))
        };
        // With the time its name takes.
        tokio::time::timeout(patience * 2, dialled).await.unwrap_or_else(|_| Err(ours(&shown, "it could not be reached in time")))
    }
}

/// The guard, as far as it can see: addresses that are written, and the names that stand for this machine and for a cloud's metadata everywhere.
fn guarded(host: &Host, port: u16, options: &Options, sent: Sent, observed: &mut Observed) -> Result<(), Failure> {
    let ip: IpAddr = match host {
        Host::Ipv4(ip) => (*ip).into(),
        Host::Ipv6(ip) => (*ip).into(),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            match name {
                // RFC 6761, 6.3.
                _ if name == "localhost" || name.ends_with(".localhost") => Ipv4Addr::LOCALHOST.into(),
                "metadata.google.internal" | "metadata.goog" => Ipv4Addr::new(169, 254, 169, 254).into(),
                _ => return Ok(()),
            }
        }
    };
    let address = SocketAddr::new(ip, port);
    if !matches!(host, Host::Domain(_)) {
        hop(observed).address = Some(address);
    }
    guard::judge(ip, options.allow_private).map_err(|rule| {
        observed.egress_rule = observed.egress_rule.or(Some(rule));
        denied(host, address, rule, sent)
    })
}

/// What broke between us and the proxy.
fn broken(proxy: &str, error: &std::io::Error) -> Failure {
    if is_ours(error) {
        return Failure::ours(Cause::Capacity, format!("our own proxy {proxy}, this machine is out of means: {error}"));
    }
    ours(proxy, "it closed the connection")
}
