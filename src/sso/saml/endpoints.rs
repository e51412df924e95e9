//! The endpoints of one role: the ones that are needed, addresses a browser can reach, bindings that exist, numbers that are unique.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use url::{Host, Url};

use super::found::Found;
use super::read::{Endpoint, Role, RoleKind};
use crate::fields::bounded;
use crate::finding::saml as rule;

/// Unknown bindings of one role that are looked at.
const MOST_UNKNOWN: usize = 16;
const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
const SIMPLE_SIGN: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST-SimpleSign";
const ARTIFACT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact";
const SOAP: &str = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP";
const PAOS: &str = "urn:oasis:names:tc:SAML:2.0:bindings:PAOS";
const URI: &str = "urn:oasis:names:tc:SAML:2.0:bindings:URI";
const HOLDER_OF_KEY: &str = "urn:oasis:names:tc:SAML:2.0:profiles:holder-of-key:SSO:browser";
const SOAP_1: &str = "urn:oasis:names:tc:SAML:1.0:bindings:SOAP-binding";
const POST_1: &str = "urn:oasis:names:tc:SAML:1.0:profiles:browser-post";
const ARTIFACT_1: &str = "urn:oasis:names:tc:SAML:1.0:profiles:artifact-01";
const SHIBBOLETH_1: &str = "urn:mace:shibboleth:1.0:profiles:AuthnRequest";
const WS_FED: &str = "http://schemas.xmlsoap.org/ws/2003/07/secext";

/// The bindings an element may have: SAML 2.0's, and those of SAML 1 and WS-Federation that stand beside them in real files.
fn known(element: &str) -> &'static [&'static str] {
    match element {
        "SingleSignOnService" => &[REDIRECT, POST, SIMPLE_SIGN, ARTIFACT, SOAP, HOLDER_OF_KEY, SHIBBOLETH_1],
        "AssertionConsumerService" => &[POST, SIMPLE_SIGN, ARTIFACT, PAOS, HOLDER_OF_KEY, POST_1, ARTIFACT_1, WS_FED],
        "SingleLogoutService" => &[REDIRECT, POST, SIMPLE_SIGN, ARTIFACT, SOAP, WS_FED],
        "ManageNameIDService" => &[REDIRECT, POST, SIMPLE_SIGN, ARTIFACT, SOAP],
        "AssertionIDRequestService" => &[URI, SOAP],
        _ => &[SOAP, SOAP_1],
    }
}

/// Judges the endpoints of a role.
pub(super) fn judge(role: &Role<'_>, found: &mut Found<'_>) {
    let offers = |element: &str, bindings: &[&str]| {
        role.endpoints.iter().any(|e| e.element == element && e.binding.is_some_and(|b| bindings.contains(&b)))
    };
    match role.kind {
        RoleKind::Idp if !offers("SingleSignOnService", &[REDIRECT, POST]) => {
            found.add(rule::EP_01.found("no SingleSignOnService by HTTP-Redirect or HTTP-POST"));
        }
        RoleKind::Sp if !offers("AssertionConsumerService", &[POST]) => {
            found.add(rule::EP_01.found("no AssertionConsumerService by HTTP-POST"));
        }
        _ => {}
    }
    for endpoint in &role.endpoints {
        for (location, what) in [(endpoint.location, "Location"), (endpoint.response_location, "ResponseLocation")] {
            if let Some(why) = location.and_then(unreachable) {
                found.add(rule::EP_02.found(format!("{what} of {} {why}: {}", endpoint.element, shown(location.unwrap_or("")))));
            }
        }
    }
    let unknown: BTreeSet<(&str, &str)> =
        role.endpoints.iter().filter_map(|e| Some((e.element, e.binding?))).filter(|(e, b)| !known(e).contains(b)).collect();
    for (element, binding) in unknown.into_iter().take(MOST_UNKNOWN) {
        found.add(rule::EP_06.found(misspelt(element, binding)));
    }
    for element in ["AssertionConsumerService", "ArtifactResolutionService"] {
        numbers(role.endpoints.iter().filter(|e| e.element == element), element, found);
    }
}

/// Why a browser can't use an address as it should.
fn unreachable(location: &str) -> Option<&'static str> {
    if location.chars().any(char::is_whitespace) {
        return Some("has white space in it");
    }
    let Ok(url) = Url::parse(location) else { return Some("is not an absolute address") };
    // The parser forgives a missing slash; peers do not.
    let written = location.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("https://"));
    if url.scheme() != "https" || !written {
        return Some("is not https");
    }
    match url.host() {
        None => Some("has no host"),
        Some(Host::Domain(name)) => internal_name(name).then_some("is an internal host name"),
        Some(Host::Ipv4(ip)) => internal_address(ip.into()).then_some("is an internal address"),
        Some(Host::Ipv6(ip)) => internal_address(ip.into()).then_some("is an internal address"),
    }
}

fn internal_name(name: &str) -> bool {
    const ENDINGS: [&str; 10] =
        [".local", ".internal", ".localhost", ".localdomain", ".lan", ".intranet", ".intra", ".corp", ".home", ".home.arpa"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    !name.contains('.') || ENDINGS.iter().any(|e| name.ends_with(e))
}

fn internal_address(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().is_some_and(|v4| internal_address(v4.into()));
            mapped || v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
    }
}

/// An address without what may be in its query, user part or fragment.
pub(super) fn shown(location: &str) -> String {
    let without = location.split(['?', '#']).next().unwrap_or("");
    let without = match without.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.split_once('@').map_or(rest, |(_, host)| host)),
        None => without.to_owned(),
    };
    bounded(without, 100)
}

fn misspelt(element: &str, binding: &str) -> String {
    let near = known(element).iter().find(|k| strsim::osa_distance(&bounded(binding, 100), k) <= 3);
    match near {
        Some(near) => format!("Binding {:?} of {element} is unknown; meant is probably {near}", bounded(binding, 70)),
        None => format!("Binding {:?} is not one of {element}", bounded(binding, 100)),
    }
}

fn numbers<'r>(endpoints: impl Iterator<Item = &'r Endpoint<'r>>, element: &str, found: &mut Found<'_>) {
    let (mut seen, mut defaults) = (HashSet::new(), 0);
    for endpoint in endpoints {
        defaults += u32::from(endpoint.default);
        let Some(index) = endpoint.index else { continue };
        match index.trim().parse::<u16>() {
            Err(_) => found.add(rule::EP_05.found(format!("index {:?} of {element} is not a number from 0 to 65535", bounded(index, 20)))),
            Ok(n) if !seen.insert(n) => found.add(rule::EP_05.found(format!("index {n} of {element} stands there twice"))),
            Ok(_) => {}
        }
    }
    if defaults > 1 {
        found.add(rule::EP_05.found(format!("{defaults} of {element} are the default")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for fine in ["https://idp.example.com/sso", "HTTPS://idp.example.com:8443/x?a=b", "https://203.0.113.9/"] {
            assert_eq!(unreachable(fine), None, "{fine}");
        }
        for wrong in [
            "",
            "/sso",
            "http://idp.example.com/",
            "https://idp.example.com/a b",
            " https://idp.example.com/",
            "https://localhost/",
            "https://idp/",
            "https://adfs.corp.local/",
            "https://10.1.2.3/",
            "https://[::1]/",
            "https://[::ffff:192.168.0.1]/",
            "https:idp.example.com/",
            "https://",
            "urn:a:b",
            "https://idp.corp.",
            "https://2130706433/",
        ] {
            assert!(unreachable(wrong).is_some(), "{wrong}");
        }
        assert_eq!(shown("https://user:secret@idp.example.com/sso?token=1#x"), "https://idp.example.com/sso");
    }

    #[test]
    fn bindings() {
        assert!(misspelt("SingleSignOnService", "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirct").contains(REDIRECT));
        assert!(!misspelt("AssertionConsumerService", REDIRECT).contains("probably"));
    }
}
