//! HTTP `CONNECT` (RFC 9110, 9.3.6): the answer's head is bounded, its body is not read, and of its words only those are looked at whose meaning is
//! defined: the status, `Proxy-Status` (RFC 9209), and the error code that Squid gives.

use std::pin::pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sfv::{BareItem, ListEntry, Parser};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::auth::sensitive;
use super::super::connect::Stream;
use super::super::way::Opened;
use super::super::{Options, Transport};
use super::{Target, ours};
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Cause, Class, Reason};

/// The head of a proxy's answer may have so many headers, and so many bytes.
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 16 * 1024;

/// Asks the proxy for a connection. While it says nothing it is not known who keeps us waiting: after a while it is asked something it can answer
/// by itself, and if it does, the rest of the waiting is the endpoint's.
pub(super) async fn connect(
    transport: &Transport,
    tcp: TcpStream,
    target: Target<'_>,
    (opened, options, patience): (&Opened, &Options, Duration),
    observed: &mut Observed,
) -> Result<Box<dyn Stream>, Failure> {
    let proxy = opened.proxy.to_string();
    let request = request(transport, target, opened)?;
    let mut tasks = JoinSet::new();
    let asked = async {
        let (mut sender, driver) =
            http1::Builder::new().max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD).handshake(TokioIo::new(tcp)).await?;
        tasks.spawn(driver.with_upgrades());
        sender.send_request(request).await
    };
    let mut asked = pin!(asked);
    let answer = match tokio::time::timeout(patience, asked.as_mut()).await {
        Ok(answer) => answer,
        Err(_) => {
            lives(transport, opened, options, patience, &proxy).await?;
            observed.step = Step::Connect;
            asked.await
        }
    };
    let answer = answer.map_err(|e| unreadable(&proxy, &e))?;
    observed.step = Step::Connect;
    if !answer.status().is_success() {
        return Err(refused(&answer, target, &proxy));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|e| unreadable(&proxy, &e))?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

fn request(transport: &Transport, target: Target<'_>, opened: &Opened) -> Result<Request<Empty<Bytes>>, Failure> {
    let unsendable = |_| Failure::new(Class::Dns, format!("{}: not a name a proxy can be asked for", target.host));
    let authority = target.authority();
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority.parse().map_err(unsendable)?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&authority).map_err(|_| Failure::ours(Cause::Internal, "a host that can't be sent"))?);
    headers.insert(USER_AGENT, transport.limits.user_agent.clone());
    if let (Some((name, _)), Some(password)) = (&opened.proxy.login, &opened.password) {
        let coded = STANDARD.encode(format!("{name}:{}", password.expose()));
        headers.insert(PROXY_AUTHORIZATION, sensitive(&format!("Basic {coded}"), "the proxy's password")?);
    }
    Ok(request)
}

/// Whether the proxy answers at all: to a request that no proxy can pass on.
async fn lives(transport: &Transport, opened: &Opened, options: &Options, patience: Duration, proxy: &str) -> Result<(), Failure> {
    let asked = async {
        let mut tcp = transport.dial(opened, options, patience).await?;
        let said = async {
            tcp.write_all(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n").await?;
            tcp.read_u8().await
        };
        said.await.map_err(|e| super::broken(proxy, &e))
    };
    let silent = || ours(proxy, "it accepts connections and answers nothing");
    tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| Err(silent())).map(drop)
}

fn unreadable(proxy: &str, error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        return ours(proxy, "the head of its answer is too large");
    }
    if error.is_parse() {
        return ours(proxy, "what it answers is not HTTP");
    }
    ours(proxy, "it closed the connection without an answer")
}

/// What an answer other than 2xx means. A status alone does not say whether the endpoint or the proxy is in trouble: then nobody is blamed.
fn refused(answer: &Response<Incoming>, target: Target<'_>, proxy: &str) -> Failure {
    let (status, authority) = (answer.status().as_u16(), target.authority());
    if let Some((class, answered, why)) = said_of_the_endpoint(answer.headers()) {
        return target.failed(class, answered, proxy, why);
    }
    match status {
        407 => ours(proxy, "it wants to know who we are, or does not accept the user name and password (407)").because(Reason::ProxyLogin),
        403 | 405 => {
            ours(proxy, format!("its rules don't let us connect to {authority} ({status}); many proxies allow CONNECT to port 443 alone"))
        }
        _ => ours(proxy, format!("it did not connect to {authority} ({status})")),
    }
}

/// What the proxy says went wrong between itself and the endpoint.
fn said_of_the_endpoint(headers: &HeaderMap) -> Option<(Class, bool, &'static str)> {
    const REFUSED: (Class, bool, &str) = (Class::Connect, true, "nothing listens there (connection refused)");
    const SILENT: (Class, bool, &str) = (Class::Connect, false, "no connection in time");
    const NO_NAME: (Class, bool, &str) = (Class::Dns, true, "the name does not resolve");
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(code) = text("x-squid-error") {
        let mut words = code.split_whitespace();
        return match (words.next()?, words.next()) {
            ("ERR_DNS_FAIL", _) => Some(NO_NAME),
            // Numbers of Linux: ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH.
            ("ERR_CONNECT_FAIL", Some("111")) => Some(REFUSED),
            ("ERR_CONNECT_FAIL", Some("110" | "113")) => Some(SILENT),
            _ => None,
        };
    }
    let list: sfv::List = Parser::new(text("proxy-status")?).parse().ok()?;
    let ListEntry::Item(last) = list.last()? else { return None };
    let error = match last.params.get("error")? {
        BareItem::Token(t) => t.as_str(),
        _ => return None,
    };
    match error {
        "dns_error" => Some(NO_NAME),
        "dns_timeout" => Some((Class::Dns, false, "no DNS answer came")),
        "connection_refused" => Some(REFUSED),
        "connection_timeout" | "destination_unavailable" => Some(SILENT),
        "connection_terminated" => Some((Class::Connect, true, "the connection was closed at once")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_defined_blames_the_endpoint() {
        let said = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))]);
            said_of_the_endpoint(&headers).map(|(class, answered, _)| (class, answered))
        };
        for (name, value, expected) in [
            ("x-squid-error", "ERR_DNS_FAIL 0", Some((Class::Dns, true))),
            ("x-squid-error", "ERR_CONNECT_FAIL 111", Some((Class::Connect, true))),
            ("x-squid-error", "ERR_CONNECT_FAIL 110", Some((Class::Connect, false))),
            ("x-squid-error", "ERR_ACCESS_DENIED 0", None),
            ("proxy-status", "inner.example; error=connection_refused", Some((Class::Connect, true))),
            ("proxy-status", "inner.example; error=dns_error; rcode=\"NXDOMAIN\"", Some((Class::Dns, true))),
            ("proxy-status", "a; error=dns_error, b; error=http_request_denied", None),
            ("proxy-status", "inner.example; error=proxy_internal_error", None),
            ("proxy-status", "(((", None),
        ] {
            assert_eq!(said(name, value), expected, "{value}");
        }
    }
}
