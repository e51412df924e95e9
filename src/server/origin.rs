//! Where a request says it goes and comes from. A page from elsewhere, open in somebody's browser, must neither change anything here (cross-site
//! POST) nor read it through a name that suddenly points to this machine (DNS rebinding). Pure.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, Uri, header};

/// The authority a request is for: the target's, if it has one (RFC 9112, 3.2.2), else the one `Host`. `Ok(None)`: it says
/// nothing. `Err`: several, or unreadable.
pub(super) fn authority<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Result<Option<&'r str>, &'static str> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.as_str()));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map(Some).map_err(|_| "the Host header is not readable"),
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err("there is more than one Host header"),
    }
}

/// The name or address of an authority, without its port; IPv6 without brackets.
fn name(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(name, _)| name)
}

/// Whether we are reached under a name of ours: the listener's address, loopback, `localhost`, or one of `server.hosts` (with its port, if it
/// is written with one).
pub(super) fn host_is_ours(authority: &str, local: SocketAddr, hosts: &[String]) -> bool {
    let host = name(authority);
    let same = |a: &str, b: &str| a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'));
    if same(host, "localhost") || hosts.iter().any(|h| same(authority, h) || same(host, h)) {
        return true;
    }
    host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback() || ip.to_canonical() == local.ip().to_canonical())
}

/// Whether a request that changes something comes from our own page, or from no page at all.
pub(super) fn origin_is_ours(headers: &HeaderMap, authority: &str) -> bool {
    let site = headers.get_all(HeaderName::from_static("sec-fetch-site")).iter();
    let same_site = site.into_iter().all(|v| matches!(v.as_bytes(), b"same-origin" | b"none"));
    // `null` and anything unreadable match no host.
    let same_origin = headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        ["http://", "https://"].iter().any(|scheme| {
            origin.strip_prefix(scheme).is_some_and(|rest| {
                let plain = |a: &str| a.strip_suffix(if *scheme == "http://" { ":80" } else { ":443" }).unwrap_or(a).to_ascii_lowercase();
                plain(rest) == plain(authority)
            })
        })
    });
    same_site && same_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn hosts() {
        let local: SocketAddr = "192.0.2.7:9464".parse().unwrap();
        let hosts = ["monitor.example.com".to_owned(), "proxy.example.com:8443".to_owned()];
        for ours in [
            "192.0.2.7:9464",
            "192.0.2.7",
            "localhost:9000",
            "LOCALHOST",
            "127.0.0.1:9464",
            "[::1]:9464",
            "monitor.example.com",
            "Monitor.Example.com.:1",
            "proxy.example.com:8443",
        ] {
            assert!(host_is_ours(ours, local, &hosts), "{ours}");
        }
        for theirs in [
            "evil.example",
            "192.0.2.8:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "proxy.example.com",
            "",
            "[::2]:9464",
            "monitor.example.com.evil",
        ] {
            assert!(!host_is_ours(theirs, local, &hosts), "{theirs}");
        }
    }

    #[test]
    fn origins() {
        let at = "localhost:9464";
        assert!(origin_is_ours(&headers(&[]), at));
        assert!(origin_is_ours(&headers(&[("origin", "http://localhost:9464"), ("sec-fetch-site", "same-origin")]), at));
        assert!(origin_is_ours(&headers(&[("origin", "https://monitor.example.com")]), "monitor.example.com:443"));
        for bad in ["null", "http://localhost:9465", "http://evil.example", "http://localhost:9464.evil.example", "localhost:9464", ""] {
            let h: HeaderMap = [(header::ORIGIN, bad.parse().unwrap())].into_iter().collect();
            assert!(!origin_is_ours(&h, at), "{bad}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(!origin_is_ours(&headers(&[("sec-fetch-site", site)]), at), "{site}");
        }
    }

    #[test]
    fn one_host_only() {
        let uri: Uri = "/".parse().unwrap();
        assert_eq!(authority(&headers(&[]), &uri), Ok(None));
        let mut two = headers(&[("host", "a")]);
        two.append(header::HOST, "b".parse().unwrap());
        assert!(authority(&two, &uri).is_err());
        assert_eq!(authority(&headers(&[("host", "a")]), &"http://b:1/".parse().unwrap()), Ok(Some("b:1")));
    }
}
