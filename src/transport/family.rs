//! Which of a host's addresses are tried, and in which order: by the address family that a check asks for, and the one it comes from.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::connect::hop;
use super::resolve::MAX_ADDRESSES;
use crate::observed::{Observed, OnFamily};
use crate::route::{Family, Prefers};

/// `ipv4` or `ipv6`.
pub(super) const fn name(v4: bool) -> &'static str {
    if v4 { "ipv4" } else { "ipv6" }
}

/// The addresses to try, in order, at most [`MAX_ADDRESSES`]; with a preference, one place is kept for the other family.
pub(super) fn arranged(found: Vec<SocketAddr>, family: Family, source: Option<IpAddr>) -> Vec<SocketAddr> {
    let found = found.into_iter().filter(|a| source.is_none_or(|s| s.is_ipv4() == a.is_ipv4()));
    let first = match family {
        Family::Any => return found.take(MAX_ADDRESSES).collect(),
        Family::Only(f) | Family::Prefer(f) => f == Prefers::Ipv4,
        Family::Both => true,
    };
    let (mut wanted, mut others): (Vec<_>, Vec<_>) = found.partition(|a| a.is_ipv4() == first);
    match family {
        Family::Only(_) => others.clear(),
        // Each is tried by itself.
        Family::Both => {}
        _ => wanted.truncate(if others.is_empty() { MAX_ADDRESSES } else { MAX_ADDRESSES - 1 }),
    }
    others.truncate(if family == Family::Both { MAX_ADDRESSES } else { MAX_ADDRESSES - wanted.len().min(MAX_ADDRESSES) });
    wanted.truncate(MAX_ADDRESSES);
    wanted.append(&mut others);
    wanted
}

/// What a host lacks, where nothing is left of its addresses; `true`: it may have some of the other family.
pub(super) fn lacks(family: Family, source: Option<IpAddr>) -> (&'static str, bool) {
    let v4 = match (family, source) {
        (Family::Only(f), _) => Some(f == Prefers::Ipv4),
        (_, source) => source.map(|s| s.is_ipv4()),
    };
    match v4 {
        Some(true) => ("the name has no IPv4 address, and no other is to be used", true),
        Some(false) => ("the name has no IPv6 address, and no other is to be used", true),
        None => ("the name has no addresses", false),
    }
}

/// Writes down how it went over a family, in the place of what was written of it before.
pub(super) fn note(observed: &mut Observed, v4: bool, address: Option<SocketAddr>, took: Option<Duration>, failure: Option<String>) {
    let families = &mut hop(observed).families;
    families.retain(|f| f.family != name(v4));
    families.push(OnFamily { family: name(v4), address, took, failure });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_ordered_and_one_place_is_kept_for_the_other() {
        let v4 = |n: u8| SocketAddr::from(([192, 0, 2, n], 443));
        let v6 = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 443));
        let all = vec![v4(1), v4(2), v4(3), v4(4), v4(5), v6(1), v6(2)];
        let of = |family, source: Option<&str>| arranged(all.clone(), family, source.map(|s| s.parse().unwrap()));
        assert_eq!(of(Family::Any, None), [v4(1), v4(2), v4(3), v4(4)]);
        assert_eq!(of(Family::Any, Some("2001:db8::9")), [v6(1), v6(2)]);
        assert_eq!(of(Family::Prefer(Prefers::Ipv4), None), [v4(1), v4(2), v4(3), v6(1)]);
        assert_eq!(of(Family::Prefer(Prefers::Ipv6), None), [v6(1), v6(2), v4(1), v4(2)]);
        assert_eq!(of(Family::Only(Prefers::Ipv6), None), [v6(1), v6(2)]);
        assert_eq!(of(Family::Only(Prefers::Ipv4), None), [v4(1), v4(2), v4(3), v4(4)]);
        assert_eq!(of(Family::Both, None), [v4(1), v4(2), v4(3), v4(4), v6(1), v6(2)]);
        assert!(of(Family::Only(Prefers::Ipv6), Some("192.0.2.9")).is_empty());
    }
}
