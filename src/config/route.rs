//! Reads `proxy` and `source_address`, wherever they stand: in `[probe]`, `[customer]`, `[[integration]]`. What can't go together is reported here.

use std::net::IpAddr;

use toml::de::DeValue;
use url::Host;

use super::judge::Judge;
use super::table::{Field, Table, Value, as_table};
use crate::fields::Expected;
use crate::route::{Protocol, Proxy, Route, Via};
use crate::secret::SecretRef;
use crate::transport::auth::rooted;

/// A user name may have so many bytes (RFC 1929).
const MAX_NAME: usize = 255;

/// The way that a customer's or an integration's table names; what it leaves out is as above it.
pub(super) fn read(t: &mut Table<'_>, above: &Route, judge: &mut Judge) -> Route {
    let own = proxy(t);
    if let Some(Via::Proxy(Proxy { login: Some((_, password)), .. })) = &own {
        judge.readable(t, "proxy", vec![password.clone()], &[]);
    }
    let source: Option<Source> = t.opt("source_address");
    let route = Route { via: own.or_else(|| above.via.clone()), source: source.map(|s| s.0).or(above.source) };
    if let (Some(Via::Proxy(proxy)), Some(from), true) = (&route.via, route.source, t.has("proxy") || t.has("source_address")) {
        let (other, family) =
            if from.is_ipv4() { (matches!(proxy.host, Host::Ipv6(_)), "IPv4") } else { (matches!(proxy.host, Host::Ipv4(_)), "IPv6") };
        if other {
            let key = if t.has("source_address") { "source_address" } else { "proxy" };
            let what = format!("no connection can go from {from} to the proxy {proxy}: one is IPv4, the other IPv6");
            t.problem(key, what, format!("expected a proxy with an {family} address, or another source_address"));
        }
    }
    route
}

/// Reads `proxy`: a URL, `"direct"`, or a table with the URL and who we are.
pub(super) fn proxy(t: &mut Table<'_>) -> Option<Via> {
    let value = t.value("proxy")?;
    if value.value.is_table() {
        return login(as_table(&value)?);
    }
    if value.value.as_str() == Some("direct") {
        return Some(Via::Direct);
    }
    let (protocol, host, port) = url(&value, ", or \"direct\"")?;
    Some(Via::Proxy(Proxy { protocol, host, port, login: None }))
}

/// `{ url = "…", username = "…", password = { env = "NAME" } }`
fn login(mut t: Table<'_>) -> Option<Via> {
    let place = match t.value("url") {
        Some(value) => url(&value, ""),
        None => {
            t.missing("url", "a URL such as \"http://proxy.example.com:3128\"");
            None
        }
    };
    let name = t.req::<String>("username").filter(|name| {
        let fits = (1..=MAX_NAME).contains(&name.len()) && !name.contains(|c: char| c.is_control() || c == ':');
        if !fits {
            t.problem("username", "is not right here", format!("expected 1 to {MAX_NAME} bytes without a colon, on one line"));
        }
        fits
    });
    let password = t.req::<SecretRef>("password").map(|p| rooted(p, &t));
    t.finish();
    let (protocol, host, port) = place?;
    Some(Via::Proxy(Proxy { protocol, host, port, login: Some((name?, password?)) }))
}

/// A proxy's URL. One with a user or password in it is never repeated.
fn url(value: &Value<'_>, or: &str) -> Option<(Protocol, Host, u16)> {
    let report = |what: &str, expected: &str| {
        value.source.report(value.at.clone(), &value.path, what, expected, false);
        None
    };
    let usual = format!("expected \"http://host:port\" or \"socks5://host:port\"{or}");
    let Some(text) = value.value.as_str().filter(|text| text.len() <= 1000) else { return report("is not right here", &usual) };
    if text.contains('@') {
        let expected = "expected { url = \"http://proxy.example.com:3128\", username = \"NAME\", password = { env = \"NAME\" } }";
        return report("holds a user name or a password, written out", expected);
    }
    let shown = super::table::describe(value.value);
    let Ok(url) = url::Url::parse(text) else { return report(&format!("{shown} is not right here"), &usual) };
    let (protocol, usual_port) = match url.scheme() {
        "http" => (Protocol::Http, 80),
        "socks5" => (Protocol::Socks5, 1080),
        "socks5h" => return report(&format!("{shown} is not right here"), "expected socks5://, which always has the proxy resolve names"),
        "https" => {
            return report(
                &format!("{shown} is not right here"),
                "expected http://: TLS to the proxy itself is not spoken; to the endpoint it is, through the proxy",
            );
        }
        _ => return report(&format!("{shown} is not right here"), &usual),
    };
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let host = url.host_str().filter(|h| bare && !h.is_empty()).and_then(|h| Host::parse(h).ok());
    let Some(host) = host else { return report(&format!("{shown} is not right here"), &usual) };
    match url.port().unwrap_or(usual_port) {
        0 => report(&format!("{shown} is not right here"), &usual),
        port => Some((protocol, host, port)),
    }
}

/// An address of this machine that connections come from.
struct Source(IpAddr);

impl Field for Source {
    fn expected() -> String {
        "an address of this machine, such as \"192.0.2.10\"".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let address: Option<IpAddr> = value.as_str().and_then(|text| text.parse().ok());
        address.filter(|a| !a.is_unspecified() && !a.is_multicast()).map(Self).ok_or_else(|| Expected(Self::expected()))
    }
}
