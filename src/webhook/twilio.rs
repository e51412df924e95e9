//! Twilio signs the address it was configured with, and behind it the fields of a form. A body that is no form is bound by its hash in the address.

use super::form;
use super::key::{equal, sha256};
use super::message::Request;
use crate::webhook::coding::Encoding;

/// The query's name for the hash of a body that is no form.
pub(super) const BODY_HASH: &str = "bodySHA256";

/// The texts a signature may stand for: the address as it is, without its port, with the usual one; each with the fields behind it. None when nothing
/// binds the body, or another one.
pub(super) fn texts(request: &Request<'_>) -> Vec<Vec<u8>> {
    let Some(fields) = fields(request) else { return Vec::new() };
    addresses(request.url).into_iter().map(|url| [url.as_bytes(), &fields].concat()).collect()
}

/// The fields of a form, sorted by name, each name with each of its different values, sorted; nothing for other bodies. None if nothing binds the body.
fn fields(request: &Request<'_>) -> Option<Vec<u8>> {
    let hash = form::in_query(request.url, BODY_HASH);
    let is_form = request.headers.all("content-type").next().map(|t| {
        let kind = t.split(|b| *b == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    if is_form.unwrap_or(hash.is_none()) {
        let mut pairs = form::pairs(request.body);
        pairs.sort();
        pairs.dedup();
        return Some(pairs.into_iter().flat_map(|(name, value)| [name, value]).flatten().collect());
    }
    let bound = match hash {
        Some(hash) => Encoding::Hex.decode(&hash).is_some_and(|hash| equal(&hash, &sha256(request.body))),
        None => request.body.is_empty(),
    };
    bound.then(Vec::new)
}

/// A proxy that ends TLS may add the port to an address, or take it away.
fn addresses(url: &str) -> Vec<String> {
    let mut all = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return all };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A port stands behind the last colon, unless that is one of an IPv6 address or of a password.
    let port = authority.rfind(':').filter(|n| {
        let digits = authority.get(n + 1..).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    let usual = match scheme {
        "https" => "443",
        _ => "80",
    };
    match port.and_then(|n| authority.get(..n)) {
        Some(host) => all.push(format!("{scheme}://{host}{path}")),
        None => all.push(format!("{scheme}://{authority}:{usual}{path}")),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::Headers;

    fn texts_of(url: &str, kind: Option<&str>, body: &str) -> Vec<String> {
        let headers: Headers = kind.map(|k| ("Content-Type", k)).into_iter().collect();
        let texts = texts(&Request { method: "POST", url, headers: &headers, body: body.as_bytes() });
        texts.into_iter().map(|t| String::from_utf8(t).unwrap()).collect()
    }

    #[test]
    fn addresses_with_and_without_their_port() {
        for (url, other) in [
            ("https://x.test/a?b=c", "https://x.test:443/a?b=c"),
            ("http://x.test", "http://x.test:80"),
            ("https://x.test:8443/a:1", "https://x.test/a:1"),
            ("https://u:p@x.test/a", "https://u:p@x.test:443/a"),
            ("https://[::1]/a", "https://[::1]:443/a"),
            ("https://[::1]:8443/a", "https://[::1]/a"),
        ] {
            assert_eq!(addresses(url), [url, other]);
        }
        assert_eq!(addresses("/a:1"), ["/a:1"]);
    }

    #[test]
    fn fields_are_sorted_unique_and_decoded() {
        let form = Some("application/x-www-form-urlencoded; charset=UTF-8");
        assert_eq!(texts_of("/u", form, "b=2&a=%2B1&b=1&b=2&B=+&c="), ["/uB a+1b1b2c"]);
        // Nobody says what it is: a form.
        assert_eq!(texts_of("/u", None, "a=1"), ["/ua1"]);
    }

    #[test]
    fn a_body_that_nothing_binds_is_refused() {
        assert!(texts_of("/u", Some("application/json"), "{}").is_empty());
        assert!(texts_of("/u?bodySHA256=zz", Some("application/json"), "{}").is_empty());
        assert_eq!(texts_of("/u", Some("application/json"), "").len(), 1);
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        for hash in [hash.to_owned(), hash.to_uppercase()] {
            assert_eq!(texts_of(&format!("/u?bodySHA256={hash}"), Some("application/json"), "{}").len(), 1);
        }
    }
}
