//! SOCKS 5 (RFC 1928), with user name and password (RFC 1929). The name is resolved by the proxy, as what is elsewhere called `socks5h`.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Host;

use super::super::connect::Stream;
use super::super::way::Opened;
use super::{Target, broken, ours};
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Cause, Class, Reason};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;

/// Asks the proxy for a connection. Once it has answered the greeting it is alive: what takes longer then is the endpoint's.
pub(super) async fn connect(
    mut tcp: TcpStream,
    target: Target<'_>,
    (opened, patience): (&Opened, Duration),
    observed: &mut Observed,
) -> Result<Box<dyn Stream>, Failure> {
    let proxy = opened.proxy.to_string();
    let greeted = tokio::time::timeout(patience, greet(&mut tcp, opened, &proxy)).await;
    greeted.unwrap_or_else(|_| Err(ours(&proxy, "it accepted the connection and does not answer")))?;
    observed.step = Step::Connect;
    let io = |e| broken(&proxy, &e);
    tcp.write_all(&request(target)?).await.map_err(io)?;
    let mut head = [0; 4];
    tcp.read_exact(&mut head).await.map_err(io)?;
    let [version, reply, _, kind] = head;
    if version != VERSION {
        return Err(ours(&proxy, "what it answers is not SOCKS 5"));
    }
    if reply != 0 {
        return Err(refused(reply, target, &proxy));
    }
    // The address it connected from, which tells nothing, has to be read.
    let rest = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(tcp.read_u8().await.map_err(io)?),
        _ => return Err(ours(&proxy, "what it answers is not SOCKS 5")),
    };
    let mut bound = [0; 257];
    tcp.read_exact(bound.get_mut(..rest + 2).unwrap_or_default()).await.map_err(io)?;
    Ok(Box::new(tcp))
}

async fn greet(tcp: &mut TcpStream, opened: &Opened, proxy: &str) -> Result<(), Failure> {
    let io = |e| broken(proxy, &e);
    let login = opened.proxy.login.as_ref().map(|(name, _)| name.as_str()).zip(opened.password.as_ref());
    let greeting: &[u8] = if login.is_some() { &[VERSION, 2, NO_LOGIN, LOGIN] } else { &[VERSION, 1, NO_LOGIN] };
    tcp.write_all(greeting).await.map_err(io)?;
    let mut chosen = [0; 2];
    tcp.read_exact(&mut chosen).await.map_err(io)?;
    match (chosen, login) {
        ([VERSION, NO_LOGIN], _) => Ok(()),
        ([VERSION, LOGIN], Some((name, password))) => {
            let mut said = vec![1];
            for part in [name, password.expose()] {
                let length = u8::try_from(part.len()).ok().filter(|n| *n > 0);
                said.push(length.ok_or_else(|| {
                    Failure::ours(Cause::Secret, format!("our own proxy {proxy}: user name and password have 1 to 255 bytes each"))
                })?);
                said.extend_from_slice(part.as_bytes());
            }
            tcp.write_all(&said).await.map_err(io)?;
            let mut answer = [0; 2];
            tcp.read_exact(&mut answer).await.map_err(io)?;
            if answer[1] == 0 {
                Ok(())
            } else {
                Err(ours(proxy, "it does not accept the user name and password").because(Reason::ProxyLogin))
            }
        }
        ([VERSION, _], Some(_)) => Err(ours(proxy, "it takes no user name and password")),
        ([VERSION, _], None) => {
            Err(ours(proxy, "it wants to know who we are; give it a user name and a password").because(Reason::ProxyLogin))
        }
        _ => Err(ours(proxy, "what it answers is not SOCKS 5")),
    }
}

/// `CONNECT` to the endpoint: by its name, or by the address that stands in the URL.
fn request(target: Target<'_>) -> Result<Vec<u8>, Failure> {
    let mut said = vec![VERSION, 1, 0];
    match target.host {
        Host::Ipv4(ip) => {
            said.push(1);
            said.extend_from_slice(&ip.octets());
        }
        Host::Ipv6(ip) => {
            said.push(4);
            said.extend_from_slice(&ip.octets());
        }
        Host::Domain(name) => {
            let length = u8::try_from(name.len());
            said.push(3);
            said.push(length.map_err(|_| Failure::new(Class::Dns, format!("{name}: longer than a name can be")))?);
            said.extend_from_slice(name.as_bytes());
        }
    }
    said.extend_from_slice(&target.port.to_be_bytes());
    Ok(said)
}

/// RFC 1928, 6. What a proxy says of its own network or of its rules is not the endpoint's; neither is what it does not say.
fn refused(reply: u8, target: Target<'_>, proxy: &str) -> Failure {
    match reply {
        4 => target.failed(Class::Connect, false, proxy, "the host can't be reached"),
        5 => target.failed(Class::Connect, true, proxy, "nothing listens there (connection refused)"),
        6 => target.failed(Class::Connect, false, proxy, "no answer (TTL expired)"),
        2 => ours(proxy, format!("its rules don't let us connect to {}", target.authority())),
        3 => ours(proxy, "it has no route to the endpoint's network"),
        1 => ours(proxy, format!("it could not connect to {}, and does not say why", target.authority())),
        other => ours(proxy, format!("it did not connect to {} (reply {other})", target.authority())),
    }
}
