//! Reads the way to an endpoint: `proxy` and `source_address`, wherever they stand (`[probe]`, `[customer]`, `[[integration]]`, a check), and what a
//! check alone says: `address`, `address_family`, `keep_alive`. What can't go together is reported here.

use std::net::IpAddr;

use toml::de::DeValue;
use url::Host;

use super::judge::Judge;
use super::table::{Field, Table, Value, as_table};
use crate::fields::{Expected, Span};
use crate::probe::Kind;
use crate::route::{Family, Prefers, Protocol, Proxy, Route, Via};
use crate::secret::SecretRef;
use crate::transport::KEPT_FOR;
use crate::transport::auth::rooted;

/// A user name may have so many bytes (RFC 1929).
const MAX_NAME: usize = 255;

/// The way that a customer's or an integration's table names; what it leaves out is as above it.
pub(super) fn read(t: &mut Table<'_>, above: &Route, judge: &mut Judge) -> Route {
    let own = proxy(t);
    if let Some(Via::Proxy(Proxy { login: Some((_, password)), .. })) = &own {
        judge.readable(t, "proxy", vec![password.clone()], &[]);
    }
    let source: Option<Address> = t.opt("source_address");
    let route = Route { via: own.or_else(|| above.via.clone()), source: source.map(|s| s.0).or(above.source), ..Route::default() };
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

/// The way of a check: what its table says, and what stands above it.
pub(super) fn of_check(t: &mut Table<'_>, above: &Route, judge: &mut Judge) -> Route {
    let route = read(t, above, judge);
    let address: Option<Address> = t.opt("address");
    let family = t.word("address_family", &Family::WORDS).unwrap_or_default();
    Route { address: address.map(|a| a.0), family, keep_alive: t.or("keep_alive", false), ..route }
}

/// What of a check's way can't go together, with itself or with whom it asks.
pub(super) fn together(t: &Table<'_>, route: &Route, kind: &Kind, every: Option<Span>, judge: &mut Judge) {
    let Some(host) = kind.host() else {
        for key in ["proxy", "source_address", "address", "address_family", "keep_alive"].into_iter().filter(|k| t.has(k)) {
            t.problem(key, "is set, and this check has no URL of its own", "expected it on a check that has one");
        }
        return;
    };
    if route.keep_alive {
        kept(t, route, kind, every);
    }
    let chosen = if route.address.is_some() { "address" } else { "address_family" };
    let chooses = route.address.is_some() || route.family != Family::Any;
    if route.address.is_some() && route.family != Family::Any {
        t.problem("address_family", "is set beside address, which is of one family already", "expected one of the two lines");
    }
    let literal = host.rsplit_once(':').is_some_and(|(h, _)| matches!(Host::parse(h), Ok(Host::Ipv4(_) | Host::Ipv6(_))));
    if literal && chooses {
        t.problem(chosen, format!("is set, and {host} is an address already"), "expected a name in the URL, or no such line");
    }
    if let Some(from) = route.source {
        let (family, other) = if from.is_ipv4() { (Prefers::Ipv4, "IPv6") } else { (Prefers::Ipv6, "IPv4") };
        let fits =
            route.address.is_none_or(|a| a.is_ipv4() == from.is_ipv4()) && [Family::Any, Family::Only(family)].contains(&route.family);
        if chooses && !fits {
            let what = format!("asks for {other}, and connections come from {from} (source_address)");
            t.problem(chosen, what, "expected addresses of one family");
        }
    }
    if !chooses {
        return;
    }
    let what = |proxy: &dyn std::fmt::Display| format!("is set, and the proxy {proxy} chooses the address by itself");
    let expected = "expected proxy = \"direct\" beside it, or no such line";
    match &route.via {
        Some(Via::Direct) => {}
        Some(Via::Proxy(proxy)) => t.problem(chosen, what(proxy), expected),
        None => judge.if_proxied.push(t.as_problem(chosen, what(&"of [probe] in soakwatch.toml"), expected)),
    }
}

/// Where `keep_alive` can do nothing, or harm.
fn kept(t: &Table<'_>, route: &Route, kind: &Kind, every: Option<Span>) {
    let life = Span(KEPT_FOR);
    let wrong = match kind {
        Kind::Http(check) if !check.method.is_idempotent() => Some((
            format!("is set, and a {} could be carried out twice where a connection ends unanswered", check.method),
            "expected it with GET, HEAD, OPTIONS, PUT or DELETE",
        )),
        Kind::Http(_) if route.family == Family::Both => {
            Some(("is set, and address_family = \"both\" wants new connections".to_owned(), "expected one of them"))
        }
        Kind::Http(_) => {
            let long = every.filter(|every| *every >= life);
            long.map(|every| {
                (
                    format!("is set, and every ({every}) is as long as a connection is kept ({life})"),
                    "expected a shorter every, or no such line",
                )
            })
        }
        other => Some((format!("is set, and each run of the kind {} connects anew", other.name()), "expected it with the kind http")),
    };
    if let Some((what, expected)) = wrong {
        t.problem("keep_alive", what, expected);
    }
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
        "http" => (Protocol::Http, port_written(text).then_some(80)),
        "socks5" => (Protocol::Socks5, Some(1080)),
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
    // Port 80 of a URL is that of a web server; curl takes 1080, and most proxies listen on neither.
    let Some(port) = url.port().or(usual_port) else {
        let expected = "expected one, such as \"http://proxy.example.com:3128\" (3128 and 8080 are usual; 1080 is that of socks5://)";
        return report(&format!("{shown} names no port"), expected);
    };
    match port {
        0 => report(&format!("{shown} is not right here"), &usual),
        port => Some((protocol, host, port)),
    }
}

/// Whether a port stands in a URL, be it the scheme's own, which a parsed one does not tell.
fn port_written(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// An address that can be connected to or from.
struct Address(IpAddr);

impl Field for Address {
    fn expected() -> String {
        "an address such as \"192.0.2.10\" or \"2001:db8::10\"".into()
    }
    fn read(value: &DeValue<'_>, _lenient: bool) -> Result<Self, Expected> {
        let text = value.as_str().unwrap_or_default();
        if text.parse::<std::net::SocketAddr>().is_ok() {
            return Err(Expected(format!("{} without a port: the port is that of the URL", Self::expected())));
        }
        let address: Option<IpAddr> = text.parse().ok();
        address.filter(|a| !a.is_unspecified() && !a.is_multicast()).map(Self).ok_or_else(|| Expected(Self::expected()))
    }
}
