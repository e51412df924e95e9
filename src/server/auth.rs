//! Who asks, by hashed token, and how often somebody failed to say so. Owns no route; what a role may do is decided in `gate`.
//!
//! Tokens are 256 random bits, so a plain SHA-256 keeps them as well as a slow hash would, and guessing is hopeless. Slowing failures is against
//! noise; a right token always passes, so that nobody can lock out a scraper that shares his address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use crate::config::model::Token;
use crate::outcome::Role;

/// Somebody with a valid token, or whoever asks where no tokens are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Actor {
    /// The token's name; for open listeners, where the request came from.
    pub(super) name: String,
    /// What he may do.
    pub(super) role: Role,
}

/// What a request's credentials are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// None were given.
    None,
    /// They fit no token, or are unreadable.
    Wrong,
    /// They fit this token.
    Right(Actor),
}

/// Looks at `Authorization`: `Bearer TOKEN`, or `Basic` with the token as password and any user name.
pub(super) fn credentials(headers: &HeaderMap, tokens: &[Token]) -> Credentials {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else { return Credentials::None };
    let Some(token) = value.to_str().ok().filter(|_| given.next().is_none()).and_then(presented) else { return Credentials::Wrong };
    let hash = digest(&SHA256, token.as_bytes());
    let mut found = None;
    // Every token is compared, each in constant time: how long it takes says nothing about which one was close.
    for t in tokens {
        if verify_slices_are_equal(hash.as_ref(), &t.sha256).is_ok() {
            found = Some(Actor { name: t.name.to_string(), role: t.role });
        }
    }
    found.map_or(Credentials::Wrong, Credentials::Right)
}

fn presented(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        return decoded.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

/// Failures are forgotten after this long.
const FORGET: Duration = Duration::from_secs(60);
/// From this many on a source is turned away at once.
const TOO_MANY: u32 = 20;
/// Sources remembered.
const SOURCES: usize = 1024;

/// Counts failed attempts by source; bounded.
#[derive(Debug, Default)]
pub(super) struct Failures {
    sources: Mutex<BTreeMap<IpAddr, (u32, Instant)>>,
}

/// What to do with a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slowed {
    /// Answer after this long. `first`: the first failure of this source for a while, worth a line in the log.
    Wait { delay: Duration, first: bool },
    /// Turn it away: too many.
    Refuse,
}

/// One source: an IPv4 address, or the network an IPv6 host picks its addresses from.
fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Failures {
    /// Counts one more failure of a source.
    pub(super) fn count(&self, ip: IpAddr, now: Instant) -> Slowed {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let ip = source(ip);
        if sources.len() >= SOURCES && !sources.contains_key(&ip) {
            sources.retain(|_, (_, last)| now.saturating_duration_since(*last) < FORGET);
            if sources.len() >= SOURCES
                && let Some(oldest) = sources.iter().min_by_key(|(_, (_, last))| *last).map(|(ip, _)| *ip)
            {
                sources.remove(&oldest);
            }
        }
        let entry = sources.entry(ip).or_insert((0, now));
        if now.saturating_duration_since(entry.1) >= FORGET {
            entry.0 = 0;
        }
        *entry = (entry.0.saturating_add(1), now);
        match entry.0 {
            n if n > TOO_MANY => Slowed::Refuse,
            n => Slowed::Wait { delay: Duration::from_millis(50) * n.min(10), first: n == 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    fn token(name: &str, role: Role, text: &str) -> Token {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Token { name: name.parse().unwrap(), role, sha256 }
    }

    fn ask(value: &str) -> Credentials {
        let tokens = [token("a", Role::Viewer, "swt_one"), token("b", Role::Operator, "swt_two")];
        credentials(&[(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect(), &tokens)
    }

    #[test]
    fn bearer_and_basic_name_the_token() {
        let b = Credentials::Right(Actor { name: "b".into(), role: Role::Operator });
        assert_eq!(ask("Bearer swt_two"), b);
        assert_eq!(ask("bearer  swt_two"), b);
        assert_eq!(ask(&format!("Basic {}", STANDARD.encode("anyone:swt_two"))), b);
        for wrong in
            ["Bearer swt_thre", "Bearer", "Bearer ", "Basic swt_two", "Digest swt_two", &format!("Basic {}", STANDARD.encode("swt_two:x"))]
        {
            assert_eq!(ask(wrong), Credentials::Wrong, "{wrong}");
        }
        assert_eq!(credentials(&HeaderMap::new(), &[]), Credentials::None);
    }

    #[test]
    fn failures_are_slowed_refused_and_forgotten() {
        let f = Failures::default();
        let (now, ip) = (monotonic(), "192.0.2.1".parse().unwrap());
        assert_eq!(f.count(ip, now), Slowed::Wait { delay: Duration::from_millis(50), first: true });
        for _ in 1..TOO_MANY {
            assert!(matches!(f.count(ip, now), Slowed::Wait { first: false, .. }));
        }
        assert_eq!(f.count(ip, now), Slowed::Refuse);
        assert!(matches!(f.count("192.0.2.2".parse().unwrap(), now), Slowed::Wait { .. }), "others are not touched");
        assert!(matches!(f.count(ip, now + FORGET), Slowed::Wait { first: true, .. }));
    }

    #[test]
    fn memory_is_bounded_and_an_ipv6_network_is_one_source() {
        let f = Failures::default();
        let now = monotonic();
        for n in 0..5_000u32 {
            f.count(IpAddr::V4(n.into()), now + Duration::from_millis(n.into()));
        }
        assert!(f.sources.lock().unwrap().len() <= SOURCES);
        let f = Failures::default();
        f.count("2001:db8::1".parse().unwrap(), now);
        assert!(matches!(f.count("2001:db8::2".parse().unwrap(), now), Slowed::Wait { first: false, .. }));
    }
}
