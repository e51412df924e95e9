//! Typed values that configuration, store and API share: slugs, ids, durations, sizes, URLs, volumes.
//!
//! Each parses from the text a person writes and says in one short phrase what it expected. Owns no I/O; secrets are in `secret.rs`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::UnixMs;

mod schema;

/// What a value should have looked like, in words for the person who wrote it ("a duration such as \"60s\"").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected(pub String);

impl Expected {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An id a person chose: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Arc<str>);

impl Slug {
    /// The slug's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// `local`, the vantage of a daemon that was not given another.
    pub fn local() -> Self {
        Self("local".into())
    }
}

impl FromStr for Slug {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        let b = s.as_bytes();
        let word = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (1..=63).contains(&b.len())
            && b.first().is_some_and(word)
            && b.last().is_some_and(word)
            && b.iter().all(|c| word(c) || *c == b'-');
        if fits {
            Ok(Self(s.into()))
        } else {
            Err(Expected::new("1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends, such as \"crm-orders\""))
        }
    }
}

/// `customer/environment/integration`, the name of an integration everywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntegrationId(Arc<str>);

/// `customer/environment/integration/check`, the name of a check everywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(Arc<str>);

fn part(path: &str, n: usize) -> &str {
    path.split('/').nth(n).unwrap_or_default()
}

impl IntegrationId {
    /// Joins the three slugs.
    pub fn new(customer: &Slug, environment: &Slug, integration: &Slug) -> Self {
        Self(format!("{customer}/{environment}/{integration}").into())
    }
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The customer's slug.
    pub fn customer(&self) -> &str {
        part(&self.0, 0)
    }
    /// The environment's slug.
    pub fn environment(&self) -> &str {
        part(&self.0, 1)
    }
    /// The integration's slug.
    pub fn integration(&self) -> &str {
        part(&self.0, 2)
    }
    /// The id of one of its checks.
    pub fn check(&self, check: &Slug) -> CheckId {
        CheckId(format!("{}/{check}", self.0).into())
    }
}

impl CheckId {
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The integration this check belongs to.
    pub fn integration(&self) -> IntegrationId {
        let cut = self.0.rfind('/').unwrap_or(self.0.len());
        IntegrationId(self.0[..cut].into())
    }
    /// The check's own slug.
    pub fn check(&self) -> &str {
        // By bytes: a search for a character costs a scrape more than what it finds.
        let start = self.0.bytes().rposition(|b| b == b'/').map_or(0, |slash| slash + 1);
        self.0.get(start..).unwrap_or_default()
    }
    /// A stable 64-bit name of this check: the first 8 bytes of SHA-256 over the path, big endian. Key of the store and source of the phase,
    /// the same on every machine.
    pub fn key(&self) -> u64 {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.0.as_bytes());
        digest.as_ref().iter().take(8).fold(0, |n, b| (n << 8) | u64::from(*b))
    }
}

fn parse_path<const N: usize>(s: &str, expected: &str) -> Result<Arc<str>, Expected> {
    let parts: Vec<&str> = s.split('/').collect();
    if parts.len() == N && parts.iter().all(|p| p.parse::<Slug>().is_ok()) { Ok(s.into()) } else { Err(Expected::new(expected)) }
}

impl FromStr for IntegrationId {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        parse_path::<3>(s, "customer/environment/integration").map(Self)
    }
}

impl FromStr for CheckId {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        parse_path::<4>(s, "customer/environment/integration/check").map(Self)
    }
}

macro_rules! path_text {
    ($t:ty) => {
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
path_text!(Slug);
path_text!(IntegrationId);
path_text!(CheckId);

/// A span of time as people write it: `500ms`, `60s`, `5m`, `1h30m`, `7d`, `2w`. Millisecond resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }
    /// A span of whole days.
    pub const fn days(d: u64) -> Self {
        Self(Duration::from_secs(d * 86_400))
    }
    /// Whole milliseconds.
    pub fn ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Span {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        let wrong = || Expected::new("a duration such as \"60s\", \"5m\", \"1h30m\" or \"7d\"");
        let mut rest = s.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let unit: u64 = match &rest[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return Err(wrong()),
            };
            rest = rest[letters..].trim_start();
            total = number.checked_mul(unit).and_then(|n| total.checked_add(n)).ok_or_else(wrong)?;
        }
        // Ten years bound every later sum of durations.
        if total > 10 * 366 * 86_400_000 {
            Err(Expected::new("a duration of at most 10 years"))
        } else {
            Ok(Self(Duration::from_millis(total)))
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = self.0.as_millis();
        if ms == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if ms >= size {
                write!(f, "{}{unit}", ms / size)?;
                ms %= size;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A point in time as people ask for it: a span back from now (`90m`), a time with its offset, or a day (its beginning in UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// So long ago.
    Back(Span),
    /// Then.
    At(UnixMs),
}

impl Point {
    /// The time it stands for.
    pub fn at(self, now: UnixMs) -> UnixMs {
        match self {
            Self::Back(span) => now.minus(span.0),
            Self::At(time) => time,
        }
    }
}

impl FromStr for Point {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        // A time without its offset would be read as its day.
        let only_a_day = !s.contains([':', 'T', 't', ' ']);
        let day =
            || s.parse::<jiff::civil::Date>().ok().filter(|_| only_a_day)?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp());
        let time = || s.parse::<jiff::Timestamp>().ok().or_else(day).map(|t| Self::At(t.into()));
        s.parse()
            .map(Self::Back)
            .ok()
            .or_else(time)
            .ok_or_else(|| Expected::new("a span back from now (90m, 24h, 7d), a time (2026-12-01T08:00:00Z) or a day (2026-12-01)"))
    }
}

/// A number of bytes as people write it: `512`, `64KiB`, `1MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        let wrong = || Expected::new("a size such as \"64KiB\" or \"1MiB\"");
        let s = s.trim();
        let digits = s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = s[..digits].parse().map_err(|_| wrong())?;
        let unit = match s[digits..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n % (1 << 30) == 0 => write!(f, "{}GiB", n >> 30),
            n if n > 0 && n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n > 0 && n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}B"),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A share between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Ratio(pub f64);

impl Ratio {
    /// A ratio, if the number is one.
    pub fn new(n: f64) -> Option<Self> {
        (0.0..=1.0).contains(&n).then_some(Self(n))
    }
}

/// An absolute `http` or `https` URL with a host and without user, password or fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUrl(url::Url);

impl HttpUrl {
    /// The parsed URL.
    pub fn url(&self) -> &url::Url {
        &self.0
    }
    /// `host:port`, the unit of concurrency and budgets.
    pub fn host_port(&self) -> String {
        host_port(&self.0)
    }
    /// The host, with its port where that is not the scheme's own.
    pub fn shown_host(&self) -> String {
        shown_host(&self.0)
    }
    /// Scheme, host, port and path: what may be shown. The query may carry a secret and is left out.
    pub fn shown(&self) -> String {
        let mut u = self.0.clone();
        u.set_query(None);
        u.to_string()
    }
}

/// A URL's `host:port`, with the scheme's own port where none is written.
pub fn host_port(url: &url::Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0))
}

/// A URL's host, with its port where that is not the scheme's own.
pub fn shown_host(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Parameters shown of a query.
const MAX_PARAMETERS: usize = 12;

/// A URL's query with the names of its parameters and none of their values, `?limit=…&updated_since=…`; empty where there is none. What is no plain
/// name is masked whole: it may be a token.
pub fn masked_query(url: &url::Url) -> String {
    let Some(query) = url.query().filter(|q| !q.is_empty()) else { return String::new() };
    let plain = |name: &str| {
        let word = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]$".contains(&b);
        (1..=40).contains(&name.len()) && name.bytes().all(word)
    };
    let mut shown: Vec<String> = query
        .split('&')
        .take(MAX_PARAMETERS)
        .map(|p| p.split_once('=').filter(|(name, _)| plain(name)).map_or_else(|| "…".to_owned(), |(name, _)| format!("{name}=…")))
        .collect();
    if query.split('&').nth(MAX_PARAMETERS).is_some() {
        shown.push("…".to_owned());
    }
    format!("?{}", shown.join("&"))
}

impl FromStr for HttpUrl {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        let wrong = || Expected::new("an absolute URL such as \"https://api.example.com/v1/orders\"");
        if s.len() > 8192 {
            return Err(Expected::new("a URL of at most 8192 bytes"));
        }
        let u = url::Url::parse(s).map_err(|_| wrong())?;
        if !matches!(u.scheme(), "http" | "https") || u.host_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        if !u.username().is_empty() || u.password().is_some() {
            return Err(Expected::new("a URL without user and password (use `auth`)"));
        }
        if u.fragment().is_some() {
            return Err(Expected::new("a URL without a fragment (#...)"));
        }
        Ok(Self(u))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for HttpUrl {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A declared volume: so many calls in a unit of time (`600/min`, `40000/day`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Volume {
    /// Calls.
    pub calls: u64,
    /// In this many seconds.
    pub per_s: u64,
}

impl FromStr for Volume {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        let wrong = || Expected::new("a volume such as \"600/min\" or \"40000/day\" (per s, min, h or day)");
        let (calls, unit) = s.split_once('/').ok_or_else(wrong)?;
        let per_s = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3_600,
            "d" | "day" => 86_400,
            _ => return Err(wrong()),
        };
        Ok(Self { calls: calls.trim().parse().map_err(|_| wrong())?, per_s })
    }
}

impl Volume {
    /// Its unit of time: `s`, `min`, `h` or `day`.
    pub fn unit(self) -> &'static str {
        match self.per_s {
            1 => "s",
            60 => "min",
            3_600 => "h",
            _ => "day",
        }
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calls, self.unit())
    }
}

impl Serialize for Volume {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A time of every day, `22:00Z` or `22:00+01:00`; kept in seconds after midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay(pub u32);

impl FromStr for TimeOfDay {
    type Err = Expected;
    fn from_str(s: &str) -> Result<Self, Expected> {
        // Borrows the reading of a whole time: of any day.
        let shape = s.len() <= 11 && s.get(2..3) == Some(":") && s.get(5..6).is_some_and(|c| "Z+-".contains(c));
        let at = format!("2001-01-01T{s}").parse::<jiff::Timestamp>().ok().filter(|_| shape);
        let seconds = at.map(|t| t.as_second().rem_euclid(86_400)).and_then(|s| u32::try_from(s).ok());
        seconds.map(Self).ok_or_else(|| Expected::new("a time of day with its offset, such as \"22:00Z\" or \"23:30+01:00\""))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}Z", self.0 / 3600, self.0 / 60 % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Cuts a text to so many characters, on a character boundary, and makes control characters visible as spaces.
pub fn bounded(text: impl AsRef<str>, max: usize) -> String {
    let text = text.as_ref();
    let mut out: String = text.chars().take(max).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(max).is_some() {
        out.pop();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        let at = |text: &str| text.parse::<Point>().unwrap().at(UnixMs(1_800_000_000_000)).to_string();
        assert_eq!(at("90m"), "2027-01-15T06:30:00Z");
        assert_eq!(at("2026-12-01"), "2026-12-01T00:00:00Z");
        assert_eq!(at("2026-12-01T10:00:00+02:00"), "2026-12-01T08:00:00Z");
        for bad in ["yesterday", "2026-12-01T10:00:00", "2026-12-01T10", "2026-12-01 10:00"] {
            assert!(bad.parse::<Point>().is_err(), "{bad}");
        }
    }

    #[test]
    fn times_of_day() {
        let at = |text: &str| text.parse::<TimeOfDay>().map(|t| t.to_string()).ok();
        assert_eq!(at("22:00Z").as_deref(), Some("22:00Z"));
        assert_eq!(at("00:30+01:00").as_deref(), Some("23:30Z"));
        for bad in ["22:00", "25:00Z", "22Z", "22:00Z 1", "", "tomorrow"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn slugs() {
        for good in ["a", "0", "crm-orders", &"x".repeat(63)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", &"x".repeat(64), "ü"] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_read_and_print() {
        for (text, ms) in [("500ms", 500), ("60s", 60_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("2w", 1_209_600_000)] {
            assert_eq!(text.parse::<Span>().unwrap().ms(), ms);
        }
        assert_eq!(Span(Duration::from_millis(5_400_500)).to_string(), "1h30m500ms");
        for bad in ["", "s", "5", "5 parsecs", "-5s", "1.5h", "99999999999d", "11520d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_without_credentials_or_other_schemes() {
        assert_eq!("https://api.example.com/v1?limit=1".parse::<HttpUrl>().unwrap().host_port(), "api.example.com:443");
        for bad in ["ftp://x", "api.example.com", "https://", "https://u:p@x/", "https://x/#y", "file:///etc/passwd"] {
            assert!(bad.parse::<HttpUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn of_a_query_only_the_names_are_shown() {
        let shown = |text: &str| {
            let url = url::Url::parse(text).unwrap();
            format!("{}{}", shown_host(&url), masked_query(&url))
        };
        assert_eq!(shown("https://x.example/a?limit=1&updated_since=2026"), "x.example?limit=…&updated_since=…");
        assert_eq!(shown("https://x.example:8443/a?"), "x.example:8443");
        assert_eq!(shown("http://127.0.0.1:9/?canary&a%20b=canary&c="), "127.0.0.1:9?…&…&c=…");
        assert_eq!(shown("http://x.example:80/?filter[a]=canary"), "x.example?filter[a]=…");
        let many = format!("http://x.example/?{}", "a=canary&".repeat(100));
        assert_eq!(shown(&many).matches('…').count(), MAX_PARAMETERS + 1);
    }

    #[test]
    fn ids_split_and_hash_stably() {
        let id: CheckId = "acme/production/crm-orders/list-orders".parse().unwrap();
        assert_eq!(id.integration().as_str(), "acme/production/crm-orders");
        assert_eq!(id.check(), "list-orders");
        assert_eq!(id.key(), "acme/production/crm-orders/list-orders".parse::<CheckId>().unwrap().key());
        assert!("acme/production/crm-orders".parse::<CheckId>().is_err());
    }
}
