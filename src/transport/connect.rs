//! From a host to a stream: resolve, guard, TCP, TLS. Writes each phase into the hop while it goes on.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use url::Host;

use super::client::ClientCertificate;
use super::tls::{Captured, Refusal, refusal};
use super::{HttpVersion, Options, Transport, certificate, family, guard};
use crate::clock::monotonic;
use crate::fields::host_port;
use crate::observed::{Failure, Hop, Observed, Step, TlsFacts, bounded};
use crate::outcome::{Cause, Class, Reason};
use crate::route::{Family, Prefers};
use crate::secret::Redactor;

/// A connected stream, in plain or inside TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Who sent us to an address: whose fault a refusal of the guard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The configuration.
    ByUs,
    /// A redirect.
    ByTarget,
}

/// The hop being made.
pub(super) fn hop(observed: &mut Observed) -> &mut Hop {
    if observed.hops.is_empty() {
        observed.hops.push(Hop::default());
    }
    let last = observed.hops.len() - 1;
    &mut observed.hops[last]
}

/// Whether an error says that this machine is out of descriptors, buffers, ports or memory: never the target's fault.
pub(super) fn is_ours(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL))
}

/// No address may take longer than this while others wait.
const LONGEST_SHARE: Duration = Duration::from_secs(5);

impl Transport {
    /// A stream to the URL's host, and whether it speaks HTTP/2.
    pub(super) async fn open(
        &self,
        url: &url::Url,
        options: &Options,
        (sent, client): (Sent, Option<&Arc<ClientCertificate>>),
        redactor: &Redactor,
        observed: &mut Observed,
    ) -> Result<(Box<dyn Stream>, bool), Failure> {
        let host = url.host().ok_or_else(|| Failure::ours(Cause::Internal, "a URL without a host"))?.to_owned();
        let secure = url.scheme() == "https";
        let port = url.port_or_known_default().unwrap_or(if secure { 443 } else { 80 });
        let stream = match &options.way.proxy {
            Some(proxy) => Box::pin(self.tunnel((&host, port), proxy, options, sent, observed)).await?,
            None => {
                let own = host_port(url) == options.host;
                let found = Box::pin(self.candidates((&host, port), own, options, sent, observed)).await?;
                if options.way.to(own).1 == Family::Both {
                    return Box::pin(self.over_both(&host, found, secure, (options, client), redactor, observed)).await;
                }
                Box::new(Box::pin(connect(&host, found, (secure, own), options, observed)).await?)
            }
        };
        Box::pin(self.secured(stream, &host, secure, (options, client), redactor, observed)).await
    }

    async fn secured(
        &self,
        stream: Box<dyn Stream>,
        host: &Host,
        secure: bool,
        (options, client): (&Options, Option<&Arc<ClientCertificate>>),
        redactor: &Redactor,
        observed: &mut Observed,
    ) -> Result<(Box<dyn Stream>, bool), Failure> {
        if secure {
            Box::pin(self.handshake(stream, host, (options, client), redactor, observed)).await
        } else {
            Ok((stream, options.version == HttpVersion::Http2))
        }
    }

    /// A connection over each address family, with TLS where it belongs; the request goes over the second, IPv6. Both are tried whatever becomes of
    /// the first, so that both are known; one that fails fails the run.
    async fn over_both(
        &self,
        host: &Host,
        found: Vec<SocketAddr>,
        secure: bool,
        (options, client): (&Options, Option<&Arc<ClientCertificate>>),
        redactor: &Redactor,
        observed: &mut Observed,
    ) -> Result<(Box<dyn Stream>, bool), Failure> {
        let (mut failed, mut last) = (None, None);
        for v4 in [true, false] {
            let name = if v4 { "IPv4" } else { "IPv6" };
            let addresses: Vec<SocketAddr> = found.iter().copied().filter(|a| a.is_ipv4() == v4).collect();
            if addresses.is_empty() {
                let guarded = hop(observed).families.iter().any(|f| f.family == family::name(v4));
                let reason = (!guarded).then_some(Reason::NoSuchFamily);
                let why = format!("the name has no {name} address that may be connected to");
                family::note(observed, v4, None, None, Some(why.clone()));
                let failure = Failure { reason, ..Failure::new(Class::Dns, format!("{host} over {name}: {why}")) };
                failed = failed.or(Some(failure));
                continue;
            }
            let started = monotonic();
            hop(observed).address = None;
            let made = async {
                observed.step = Step::Connect;
                let tcp = Box::pin(connect(host, addresses, (secure, true), options, observed)).await?;
                Box::pin(self.secured(Box::new(tcp), host, secure, (options, client), redactor, observed)).await
            };
            // So that a family that is silent leaves time for the other, and for the request.
            let made = tokio::time::timeout((options.timeout / 3).min(LONGEST_SHARE), made).await;
            let made = made.unwrap_or_else(|_| Err(Failure::new(observed.step.class(), format!("{host}: no connection in time"))));
            let (address, took) = (hop(observed).address, Some(started.elapsed()));
            match made {
                Ok(stream) => {
                    family::note(observed, v4, address, took, None);
                    last = Some(stream);
                }
                Err(failure) if failure.class == Class::Internal => return Err(failure),
                Err(failure) => {
                    family::note(observed, v4, address, took, Some(failure.detail.clone()));
                    let detail = bounded(format!("over {name}: {}", failure.detail), 300);
                    failed = failed.or(Some(Failure { detail, ..failure }));
                }
            }
        }
        match (failed, last) {
            (None, Some(stream)) => Ok(stream),
            (failed, _) => Err(failed.unwrap_or_else(|| Failure::new(Class::Dns, format!("{host}: the name has no addresses")))),
        }
    }

    /// A TCP connection to the host.
    pub(super) async fn tcp(
        &self,
        (host, port): (&Host, u16),
        (secure, own): (bool, bool),
        options: &Options,
        sent: Sent,
        observed: &mut Observed,
    ) -> Result<TcpStream, Failure> {
        let found = Box::pin(self.candidates((host, port), own, options, sent, observed)).await?;
        Box::pin(connect(host, found, (secure, own), options, observed)).await
    }

    /// The host's addresses that may be connected to, in the order in which they are tried; `own`: it is the check's own host.
    async fn candidates(
        &self,
        (host, port): (&Host, u16),
        own: bool,
        options: &Options,
        sent: Sent,
        observed: &mut Observed,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let (pinned, wanted) = options.way.to(own);
        let addresses = match (pinned, host) {
            (Some(ip), _) => vec![SocketAddr::new(ip, port)],
            (None, Host::Ipv4(ip)) => vec![SocketAddr::from((*ip, port))],
            (None, Host::Ipv6(ip)) => vec![SocketAddr::from((*ip, port))],
            (None, Host::Domain(name)) => {
                observed.step = Step::Resolve;
                let started = monotonic();
                let found = Box::pin(self.resolver.resolve(name, port)).await;
                hop(observed).phases.resolve = Some(started.elapsed());
                found?
            }
        };
        let addresses = family::arranged(addresses, wanted, options.way.source);
        if addresses.is_empty() {
            let (why, of_family) = family::lacks(wanted, options.way.source);
            let reason = of_family.then_some(Reason::NoSuchFamily);
            return Err(Failure { answered: true, reason, ..Failure::new(Class::Dns, format!("{host}: {why}")) });
        }
        observed.step = Step::Connect;
        let mut open = Vec::with_capacity(addresses.len());
        let mut refused = None;
        for address in addresses {
            match guard::judge(address.ip(), options.allow_private) {
                Ok(()) => open.push(address),
                Err(rule) => {
                    if wanted != Family::Any {
                        let why = format!("the address guard refuses it ({rule})");
                        family::note(observed, address.is_ipv4(), Some(address), None, Some(why));
                    }
                    refused = refused.or(Some((address, rule)));
                }
            }
        }
        observed.egress_rule = observed.egress_rule.or(refused.map(|(_, rule)| rule));
        if let (true, Some((address, rule))) = (open.is_empty(), refused) {
            hop(observed).address = Some(address);
            return Err(denied(host, address, rule, sent));
        }
        if let Family::Prefer(prefers) = wanted {
            let v4 = prefers == Prefers::Ipv4;
            if open.iter().all(|a| a.is_ipv4() != v4) && hop(observed).families.is_empty() {
                family::note(observed, v4, None, None, Some("the name has no such address".into()));
            }
        }
        Ok(open)
    }

    async fn handshake(
        &self,
        stream: Box<dyn Stream>,
        host: &Host,
        (options, client): (&Options, Option<&Arc<ClientCertificate>>),
        redactor: &Redactor,
        observed: &mut Observed,
    ) -> Result<(Box<dyn Stream>, bool), Failure> {
        observed.step = Step::Tls;
        let name = match host {
            Host::Domain(d) => {
                ServerName::try_from(d.clone()).map_err(|_| Failure::new(Class::Tls, format!("{host}: not a name TLS can ask for")))?
            }
            Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::from(*ip)),
            Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::from(*ip)),
        };
        let captured = Arc::new(Captured::default());
        let connector = self.tls.connector(options.version, options.roots.as_ref(), client, &captured);
        hop(observed).tls = Some(TlsFacts::default());
        let started = monotonic();
        let mut handshake = Box::pin(connector.connect(name, stream));
        // The chain is taken out after each step of the handshake, so that it is there also when the rest never comes.
        let done = poll_fn(|cx| {
            let polled = handshake.as_mut().poll(cx);
            if let Some(chain) = captured.take() {
                hop(observed).tls.get_or_insert_default().chain = certificate::facts(&chain, redactor);
            }
            polled
        });
        let shaken = done.await;
        let hop = hop(observed);
        hop.phases.tls = Some(started.elapsed());
        let facts = hop.tls.get_or_insert_default();
        match shaken {
            Ok(stream) => {
                let (_, session) = stream.get_ref();
                facts.version = session.protocol_version().map(|v| bounded(format!("{v:?}").replace('_', "."), 20));
                facts.cipher = session.negotiated_cipher_suite().map(|s| bounded(format!("{:?}", s.suite()), 60));
                let h2 = session.alpn_protocol() == Some(b"h2");
                if options.version == HttpVersion::Http2 && !h2 {
                    return Err(Failure::new(Class::Protocol, format!("{host}: the server did not agree to HTTP/2")));
                }
                Ok((Box::new(stream), h2))
            }
            Err(e) => {
                let failure = broken_handshake(host, &e, client.is_some(), redactor);
                if failure.class == Class::Certificate {
                    facts.refused = Some(failure.detail.clone());
                }
                Err(failure)
            }
        }
    }
}

/// A TCP connection to one of the addresses: in the order given, each with a share of the time, the last with what is left.
async fn connect(
    host: &Host,
    open: Vec<SocketAddr>,
    (secure, own): (bool, bool),
    options: &Options,
    observed: &mut Observed,
) -> Result<TcpStream, Failure> {
    let noted = options.way.to(own).1 != Family::Any;
    let started = monotonic();
    let mut failure = None;
    let count = open.len();
    for (n, address) in open.into_iter().enumerate() {
        let tried = monotonic();
        hop(observed).address = Some(address);
        let left = count - n;
        let connected = if left == 1 {
            tcp_to(address, options.way.source).await?
        } else {
            let share = (options.timeout.saturating_sub(started.elapsed()) / u32::try_from(left).unwrap_or(u32::MAX)).min(LONGEST_SHARE);
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
            tokio::time::timeout(share, tcp_to(address, options.way.source)).await.unwrap_or_else(|_| Ok(Err(late())))?
        };
        match connected {
            Ok(stream) => {
                hop(observed).phases.connect = Some(started.elapsed());
                if noted {
                    family::note(observed, address.is_ipv4(), Some(address), Some(tried.elapsed()), None);
                }
                settled(&stream, options);
                return Ok(stream);
            }
            Err(e) => {
                let this = no_connection(host, address, secure, &e);
                if noted {
                    family::note(observed, address.is_ipv4(), Some(address), Some(tried.elapsed()), Some(why_not(&e)));
                }
                let answered = this.answered || failure.is_some_and(|f: Failure| f.answered);
                failure = Some(Failure { answered, ..this });
            }
        }
    }
    hop(observed).phases.connect = Some(started.elapsed());
    let mut failure = failure.unwrap_or_else(|| Failure::new(Class::Dns, format!("{host}: the name has no addresses")));
    if options.way.to(own).0.is_some() {
        failure.detail = bounded(format!("{}; address pins it, DNS was not asked", failure.detail), 300);
    }
    let families = &hop(observed).families;
    if families.len() > 1 && failure.class == Class::Connect {
        let each: Vec<String> = families.iter().map(|f| format!("{}: {}", f.family, f.failure.as_deref().unwrap_or("connected"))).collect();
        let all = if families.iter().any(|f| f.failure.is_none()) { "not over each family" } else { "over neither family" };
        failure.detail = bounded(format!("{host} {all}; {}", each.join("; ")), 300);
    }
    Err(failure)
}

/// Sets what a connection just made needs; a socket that refuses still works.
pub(super) fn settled(stream: &TcpStream, options: &Options) {
    // Without it small requests wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    // One that is kept may die unnoticed between runs. Then what is sent is not even acknowledged, and the run must know before its deadline.
    #[cfg(target_os = "linux")]
    if options.way.keep.is_some() {
        let most = (options.timeout / 2).min(LONGEST_SHARE).as_millis();
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, u32::try_from(most).unwrap_or(u32::MAX));
    }
}

/// A TCP connection, from `source` where one is configured. The outer error is ours: that address can't be used.
pub(super) async fn tcp_to(address: SocketAddr, source: Option<IpAddr>) -> Result<io::Result<TcpStream>, Failure> {
    let Some(source) = source else { return Ok(TcpStream::connect(address).await) };
    let bound = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.and_then(|socket| {
        socket.bind(SocketAddr::new(source, 0))?;
        Ok(socket)
    });
    match bound {
        Ok(socket) => Ok(socket.connect(address).await),
        Err(e) if Errno::from_io_error(&e) == Some(Errno::ADDRNOTAVAIL) => {
            Err(Failure::ours(Cause::Route, format!("source_address {source} is not an address of this machine")))
        }
        Err(e) if is_ours(&e) => {
            Err(Failure::ours(Cause::Capacity, format!("no connection from {source}, this machine is out of means: {e}")))
        }
        Err(e) => Err(Failure::ours(Cause::Route, format!("source_address {source} can't be used: {e}"))),
    }
}

pub(super) fn denied(host: &Host, address: SocketAddr, rule: &'static str, sent: Sent) -> Failure {
    let ip = address.ip();
    let advice = guard::advice(rule);
    let mut failure = match sent {
        Sent::ByUs => Failure::ours(Cause::Egress, format!("the address guard refused {host} at {ip} ({rule}): {advice}")),
        Sent::ByTarget => {
            Failure::new(Class::Redirect, format!("redirected to {host} at {ip}, which the address guard refuses ({rule}): {advice}"))
        }
    };
    failure.egress_rule = Some(rule);
    failure
}

fn no_connection(host: &Host, address: SocketAddr, secure: bool, error: &io::Error) -> Failure {
    if is_ours(error) {
        return Failure::ours(Cause::Capacity, format!("no connection to {host}, this machine is out of means: {error}"));
    }
    if Errno::from_io_error(error) == Some(Errno::CONNRESET) {
        // Refused is ECONNREFUSED; this is a connection that was accepted and thrown away before we looked: the same fault as a reset a moment later.
        return Failure::new(
            if secure { Class::Tls } else { Class::Protocol },
            format!("{host} ({address}): accepted the connection and reset it"),
        );
    }
    let answered = Errno::from_io_error(error) == Some(Errno::CONNREFUSED);
    Failure { answered, ..Failure::new(Class::Connect, format!("{host} ({address}): {}", why_not(error))) }
}

/// Why there is no TCP connection, in words.
pub(super) fn why_not(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => "nothing listens there (connection refused)".to_owned(),
        Some(Errno::HOSTUNREACH) => "no route to this host".to_owned(),
        Some(Errno::NETUNREACH) => "no route to its network".to_owned(),
        _ if error.kind() == io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => format!("no connection ({error})"),
    }
}

fn broken_handshake(host: &Host, error: &io::Error, shown: bool, redactor: &Redactor) -> Failure {
    if let Some(e) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        let Refusal { class, words, reason } = refusal(&host.to_string(), e, shown);
        return Failure { reason, ..Failure::new(class, redactor.clean(&words)) };
    }
    if is_ours(error) {
        return Failure::ours(Cause::Capacity, format!("no TLS with {host}, this machine is out of means: {error}"));
    }
    Failure::new(Class::Tls, format!("{host}: the connection was closed during the TLS handshake"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_faults_are_never_the_targets() {
        let host = Host::parse("api.example.com").unwrap();
        let at = SocketAddr::from(([8, 8, 8, 8], 443));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL] {
            let failure = no_connection(&host, at, true, &errno.into());
            assert_eq!((failure.class, failure.cause), (Class::Internal, Some(Cause::Capacity)));
        }
        for (errno, class) in [(Errno::CONNREFUSED, Class::Connect), (Errno::HOSTUNREACH, Class::Connect), (Errno::CONNRESET, Class::Tls)] {
            let failure = no_connection(&host, at, true, &errno.into());
            assert_eq!((failure.class, failure.answered), (class, errno == Errno::CONNREFUSED));
        }
        assert_eq!(no_connection(&host, at, false, &Errno::CONNRESET.into()).class, Class::Protocol);
    }

    #[test]
    fn a_refusal_is_ours_until_the_target_sent_us() {
        let host = Host::parse("metadata.internal").unwrap();
        let at = SocketAddr::from(([169, 254, 169, 254], 80));
        let ours = denied(&host, at, "metadata", Sent::ByUs);
        assert_eq!((ours.class, ours.cause, ours.egress_rule), (Class::Internal, Some(Cause::Egress), Some("metadata")));
        let theirs = denied(&host, at, "metadata", Sent::ByTarget);
        assert_eq!((theirs.class, theirs.cause, theirs.egress_rule), (Class::Redirect, None, Some("metadata")));
    }
}
