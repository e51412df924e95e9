//! The address guard: which resolved addresses we never connect to, and which only with `allow_private`.
//!
//! Pure: an address in, a rule out. Forms that carry an IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) are
//! judged as the address inside. Judged at connect time on what DNS answered, so a name that changes its answer gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of this machine; need `allow_private`.
pub const LOOPBACK: &str = "loopback";
/// Addresses of private networks; need `allow_private`.
pub const PRIVATE: &str = "private";
const LINK_LOCAL: &str = "link_local";
const METADATA: &str = "metadata";
const MULTICAST: &str = "multicast";
const UNSPECIFIED: &str = "unspecified";
const BROADCAST: &str = "broadcast";
const RESERVED: &str = "reserved";

/// Whether we may connect to this address; the error is the rule that refuses it (the label of `soakwatch_egress_denied_total`).
pub fn judge(ip: IpAddr, allow_private: bool) -> Result<(), &'static str> {
    match rule(ip) {
        Some(LOOPBACK | PRIVATE) if allow_private => Ok(()),
        Some(rule) => Err(rule),
        None => Ok(()),
    }
}

/// Whether `allow_private` opens what this rule refuses.
pub fn by_permission(rule: &str) -> bool {
    matches!(rule, LOOPBACK | PRIVATE)
}

/// What kind of address the rule refuses, in words.
pub fn words(rule: &str) -> &'static str {
    match rule {
        LOOPBACK => "an address of this machine itself",
        PRIVATE => "an address of a private network",
        LINK_LOCAL => "a link-local address",
        METADATA => "the metadata service of a cloud, which gives out credentials",
        MULTICAST => "a multicast address",
        BROADCAST => "a broadcast address",
        UNSPECIFIED => "the address that means \"any\"",
        _ => "a reserved address that no endpoint has",
    }
}

/// What to tell the person whose target was refused by this rule.
pub fn advice(rule: &str) -> &'static str {
    match rule {
        LOOPBACK | PRIVATE => "set allow_private = true on the customer or the integration if this is meant",
        _ => "Soakwatch never connects to such addresses",
    }
}

fn rule(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(v4) => rule_v4(v4),
        IpAddr::V6(v6) => rule_v6(v6),
    }
}

fn rule_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        // Cloud metadata services: Alibaba, Oracle, Azure's wire server, and AWS, GCP, Azure, ECS inside link-local.
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] | [169, 254, 169, 254] | [169, 254, 170, 2] => Some(METADATA),
        [169, 254, ..] => Some(LINK_LOCAL),
        [127, ..] => Some(LOOPBACK),
        [0, 0, 0, 0] => Some(UNSPECIFIED),
        [255, 255, 255, 255] => Some(BROADCAST),
        // RFC 1918, RFC 6598 (carrier NAT), RFC 2544 (benchmarking labs).
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => Some(PRIVATE),
        [224..=239, ..] => Some(MULTICAST),
        // "This network", IETF assignments, documentation, the old 6to4 relay, class E.
        [0, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] | [240..=255, ..] => Some(RESERVED),
        _ => None,
    }
}

fn rule_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    let tail = v4(s[6], s[7]);
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(UNSPECIFIED),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(LOOPBACK),
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            rule_v4(tail)
        }
        // Local-use NAT64 (RFC 8215): where the IPv4 address stands depends on a prefix length only the network knows. None of the places may
        // hold an address that is always refused.
        [0x64, 0xff9b, 1, ..] => {
            let b = ip.octets();
            let places = [[b[6], b[7], b[9], b[10]], [b[7], b[9], b[10], b[11]], [b[9], b[10], b[11], b[12]]];
            let hidden = places.into_iter().filter_map(|o| rule_v4(o.into())).find(|r| matches!(*r, METADATA | LINK_LOCAL));
            Some(hidden.or_else(|| rule_v4(tail)).unwrap_or(PRIVATE))
        }
        // 6to4 (RFC 3056).
        [0x2002, a, b, ..] => rule_v4(v4(a, b)),
        // Teredo (RFC 4380): the server's address, and the client's with every bit turned.
        [0x2001, 0, a, b, ..] => rule_v4(v4(a, b)).or_else(|| rule_v4(v4(!s[6], !s[7]))),
        // AWS keeps its instance services in this prefix, GCP and Oracle at these addresses.
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] | [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe] => Some(METADATA),
        [0xfe80..=0xfebf, ..] => Some(LINK_LOCAL),
        // ISATAP (RFC 5214) inside any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] if rule_v4(tail).is_some() => rule_v4(tail),
        // Unique local, and the old site-local.
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(PRIVATE),
        [0xff00..=0xffff, ..] => Some(MULTICAST),
        // IETF assignments (2001::/23), documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some(RESERVED),
        // Global unicast is 2000::/3 alone.
        [0x2000..=0x3fff, ..] => None,
        _ => Some(RESERVED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ip: &str, allow_private: bool) -> Option<&'static str> {
        judge(ip.parse().unwrap(), allow_private).err()
    }

    #[test]
    fn always_refused_also_with_allow_private() {
        for (ip, rule) in [
            ("169.254.169.254", METADATA),
            ("169.254.1.1", LINK_LOCAL),
            ("100.100.100.200", METADATA),
            ("192.0.0.192", METADATA),
            ("168.63.129.16", METADATA),
            ("fd00:ec2::254", METADATA),
            ("fe80::1", LINK_LOCAL),
            ("0.0.0.0", UNSPECIFIED),
            ("::", UNSPECIFIED),
            ("0.1.2.3", RESERVED),
            ("224.0.0.1", MULTICAST),
            ("ff02::1", MULTICAST),
            ("255.255.255.255", BROADCAST),
            ("240.0.0.1", RESERVED),
            ("203.0.113.9", RESERVED),
            ("2001:db8::1", RESERVED),
            ("100::1", RESERVED),
            // The same addresses in disguise.
            ("::ffff:169.254.169.254", METADATA),
            ("::169.254.169.254", METADATA),
            ("::ffff:0:169.254.169.254", METADATA),
            ("64:ff9b::169.254.169.254", METADATA),
            ("64:ff9b:1::169.254.169.254", METADATA),
            ("64:ff9b:1:a9fe:a9:fe00::", METADATA),
            ("2002:a9fe:a9fe::1", METADATA),
            ("2001:0:808:808::5601:5601", METADATA),
            ("2606:4700::5efe:169.254.169.254", METADATA),
        ] {
            assert_eq!(judged(ip, true), Some(rule), "{ip}");
            assert_eq!(judged(ip, false), Some(rule), "{ip}");
        }
    }

    #[test]
    fn private_only_when_allowed() {
        for (ip, rule) in [
            ("127.0.0.1", LOOPBACK),
            ("127.9.9.9", LOOPBACK),
            ("::1", LOOPBACK),
            ("::ffff:127.0.0.1", LOOPBACK),
            ("10.1.2.3", PRIVATE),
            ("172.16.0.1", PRIVATE),
            ("172.31.255.255", PRIVATE),
            ("192.168.1.1", PRIVATE),
            ("100.64.0.1", PRIVATE),
            ("fd12:3456::1", PRIVATE),
            ("64:ff9b::10.0.0.1", PRIVATE),
            ("64:ff9b:1::8.8.8.8", PRIVATE),
            ("2002:0a00:0001::", PRIVATE),
        ] {
            assert_eq!(judged(ip, false), Some(rule), "{ip}");
            assert_eq!(judged(ip, true), None, "{ip}");
        }
    }

    #[test]
    fn the_internet_is_open() {
        for ip in
            ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:1.1.1.1"]
        {
            assert_eq!(judged(ip, false), None, "{ip}");
        }
    }
}
