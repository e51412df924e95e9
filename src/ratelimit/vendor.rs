//! What single vendors send: sets of named quotas, and ratios. Unmistakable headers are read in every dialect, the others only in their own.

use std::time::Duration;

use http::HeaderMap;

use super::dialect::Dialect;
use super::lines::{count, lines, parameter, parts, split_outside_quotes};
use super::number::Number;
use super::policy::{Policy, Quota};
use super::times::{Times, Unit, clock_time};
use super::triple::{Family, Triple, window};

const DAY: u64 = 86_400;

/// Everything a vendor's set is made of.
pub(super) struct Source<'a> {
    pub(super) dialect: Dialect,
    pub(super) headers: &'a HeaderMap,
    pub(super) times: &'a Times,
    /// In the order of [`Family::ALL`].
    pub(super) triples: &'a [Triple; 3],
}

/// The named quotas, in a fixed order; `without_kong`: without the windows Kong sends one by one.
pub(super) fn policies(source: &Source<'_>, without_kong: bool) -> Vec<Policy> {
    let headers = source.headers;
    let mut own = own_dialect(source);
    let mut found = salesforce(headers);
    found.extend(auth0(headers, source.times));
    if !without_kong {
        found.extend(kong(headers));
    }
    found.extend(hubspot(headers));
    found.extend(azure(headers));
    // A triple makes a set only together with something else.
    let alone =
        own.len() == 1 && own_triple(source).is_some() && (source.dialect != Dialect::Auth0 || auth0(headers, source.times).is_empty());
    if alone {
        own.clear();
    }
    own.extend(found);
    own
}

/// The triple that is part of the dialect's set, by the name it has there.
fn own_triple(source: &Source<'_>) -> Option<Policy> {
    let [plain, x, dashed] = source.triples;
    let (triple, name) = match source.dialect {
        Dialect::Docusign => (x, "hourly"),
        Dialect::X => (dashed, "window"),
        Dialect::Zendesk if plain.quota.remaining.is_some() => (plain, "account"),
        Dialect::Zendesk => (dashed, "account"),
        Dialect::Auth0 => (x, "rate-limit"),
        _ => return None,
    };
    let quota = triple.quota;
    // The other members of the set are other quotas: their windows say nothing about this one.
    let window = window(&quota, &triple.policies, &[], source.dialect);
    (!quota.is_empty()).then(|| Quota { window, ..quota }.named(name))
}

/// The set of the dialect itself, its triple first.
fn own_dialect(source: &Source<'_>) -> Vec<Policy> {
    let headers = source.headers;
    let mut found: Vec<Policy> = own_triple(source).into_iter().collect();
    match source.dialect {
        Dialect::Docusign => {
            let quota = pair(headers, "x-burstlimit-limit", "x-burstlimit-remaining", Some(30));
            found.extend(quota.map(|q| q.named("burst")));
        }
        Dialect::X => {
            for (name, prefix) in [("app-24hour", "x-app-limit-24hour"), ("user-24hour", "x-user-limit-24hour")] {
                let quota = pair(headers, &format!("{prefix}-limit"), &format!("{prefix}-remaining"), Some(DAY));
                let reset_in = source.times.header(headers, &format!("{prefix}-reset"), Unit::Seconds);
                found.extend(quota.map(|q| Quota { reset_in, ..q }.named(name)));
            }
        }
        Dialect::Zendesk => {
            for name in headers.keys() {
                let suffix = name.as_str().strip_prefix("zendesk-ratelimit-");
                found.extend(suffix.and_then(|s| Some(zendesk(headers, name.as_str(), source.times)?.named(s))));
            }
        }
        _ => {}
    }
    found
}

/// A limit and what is left of it. None when neither can be read.
fn pair(headers: &HeaderMap, limit: &str, remaining: &str, window: Option<u64>) -> Option<Quota> {
    let (limit, remaining) = (count(headers, limit), count(headers, remaining));
    let window = window.map(Duration::from_secs);
    (limit.is_some() || remaining.is_some()).then_some(Quota { limit, remaining, reset_in: None, window })
}

/// `total=100; remaining=99; resets=41`, the most careful of all lines.
fn zendesk(headers: &HeaderMap, name: &str, times: &Times) -> Option<Quota> {
    let mut quota = Quota::default();
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    for part in parts(headers, name) {
        let pieces: Vec<&str> = part.split(';').collect();
        let number = |key| Number::parse(&parameter(&pieces, key)?);
        quota.limit = least(quota.limit, number("total").map(Number::floor));
        quota.remaining = least(quota.remaining, number("remaining").map(Number::floor));
        quota.reset_in = quota.reset_in.max(number("resets").and_then(|n| times.number(n, Unit::Seconds)));
    }
    (quota.limit.is_some() || quota.remaining.is_some()).then_some(quota)
}

/// `api-usage=25/5000; per-app-api-usage=17/250(appName=sample)`.
fn salesforce(headers: &HeaderMap) -> Vec<Policy> {
    let mut found = Vec::new();
    for line in lines(headers, "sforce-limit-info") {
        // What stands in brackets is a name somebody chose: it may hold anything.
        let mut depth = 0u32;
        let outside: String = line
            .chars()
            .filter(|c| match c {
                '(' => {
                    depth = depth.saturating_add(1);
                    false
                }
                ')' => {
                    depth = depth.saturating_sub(1);
                    false
                }
                _ => depth == 0,
            })
            .collect();
        for member in outside.split([';', ',']) {
            let Some((name, ratio)) = member.split_once('=') else { continue };
            let (name, Some((limit, remaining))) = (name.trim(), used_of(ratio)) else { continue };
            if !name.is_empty() {
                let window = (name == "api-usage").then_some(Duration::from_secs(DAY));
                found.push(Quota { limit: Some(limit), remaining: Some(remaining), reset_in: None, window }.named(name));
            }
        }
    }
    found
}

/// `used/limit` as the limit and what is left.
fn used_of(ratio: &str) -> Option<(u64, u64)> {
    let (used, limit) = ratio.split_once('/')?;
    let (used, limit) = (Number::parse(used)?.floor(), Number::parse(limit)?.floor());
    Some((limit, limit.saturating_sub(used)))
}

/// `b=per_hour;q=100;r=0;t=3600`, in older answers `per_hour;q=100`.
fn auth0(headers: &HeaderMap, times: &Times) -> Vec<Policy> {
    let read = |member: &String| {
        let pieces = split_outside_quotes(member, ';');
        let first = pieces.first().map(|p| p.trim()).filter(|p| !p.is_empty() && !p.contains('='));
        let name = parameter(&pieces, "b").or_else(|| first.map(str::to_owned)).filter(|n| !n.is_empty())?;
        let number = |key| Number::parse(&parameter(&pieces, key)?);
        let (limit, remaining) = (number("q").map(Number::floor), number("r").map(Number::floor));
        let reset_in = number("t").and_then(|n| times.number(n, Unit::Seconds));
        let seconds = match name.as_str() {
            "per_second" => Some(1),
            "per_minute" => Some(60),
            "per_hour" => Some(3600),
            "per_day" => Some(DAY),
            _ => None,
        };
        let quota = Quota { limit, remaining, reset_in, window: seconds.map(Duration::from_secs) };
        (limit.is_some() || remaining.is_some()).then(|| quota.named(&name))
    };
    let names = ["auth0-client-quota-limit", "auth0-organization-quota-limit"];
    names.iter().flat_map(|n| parts(headers, n)).filter_map(|m| read(&m)).collect()
}

/// `X-RateLimit-Limit-Minute` and its siblings.
fn kong(headers: &HeaderMap) -> Vec<Policy> {
    [("second", 1), ("minute", 60), ("hour", 3600), ("day", DAY), ("month", 30 * DAY), ("year", 365 * DAY)]
        .into_iter()
        .filter_map(|(name, seconds)| {
            let quota = pair(headers, &format!("x-ratelimit-limit-{name}"), &format!("x-ratelimit-remaining-{name}"), Some(seconds))?;
            Some(quota.named(name))
        })
        .collect()
}

/// The quota of an interval and that of the day. The headers by second are deprecated, and say something else.
fn hubspot(headers: &HeaderMap) -> Vec<Policy> {
    let interval = pair(headers, "x-hubspot-ratelimit-max", "x-hubspot-ratelimit-remaining", None).map(|q| {
        let longest = parts(headers, "x-hubspot-ratelimit-interval-milliseconds").iter().filter_map(|p| Number::parse(p)).max();
        let window = longest.map(|ms| Duration::from_secs(ms.ceil().div_ceil(1000))).filter(|w| !w.is_zero());
        Quota { window, ..q }.named("interval")
    });
    let daily = pair(headers, "x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining", Some(DAY)).map(|q| q.named("daily"));
    interval.into_iter().chain(daily).collect()
}

/// What is left, by name; never of how many.
fn azure(headers: &HeaderMap) -> Vec<Policy> {
    const PREFIX: &str = "x-ms-ratelimit-remaining-";
    let left = |name: &str, remaining, reset_in| Quota { remaining: Some(remaining), reset_in, ..Quota::default() }.named(name);
    let mut names: Vec<&str> = headers.keys().filter_map(|n| n.as_str().strip_prefix(PREFIX)).filter(|n| *n != "resource").collect();
    names.sort_unstable();
    let mut found: Vec<Policy> = names.iter().filter_map(|n| Some(left(n, count(headers, &format!("{PREFIX}{n}"))?, None))).collect();
    for member in parts(headers, &format!("{PREFIX}resource")) {
        let Some((name, n)) = member.rsplit_once(';') else { continue };
        let (name, Some(n)) = (name.trim(), Number::parse(n)) else { continue };
        if !name.is_empty() {
            found.push(left(name, n.floor(), None));
        }
    }
    if let Some(n) = count(headers, "x-ms-user-quota-remaining") {
        found.push(left("user-quota", n, clock_time(headers, "x-ms-user-quota-resets-after")));
    }
    found
}

/// Shopify's `32/40`: used of the bucket's size, the fullest of several.
pub(super) fn shopify(headers: &HeaderMap) -> Quota {
    let all = parts(headers, "x-shopify-shop-api-call-limit");
    let fullest = all.iter().filter_map(|p| used_of(p)).min_by_key(|(_, remaining)| *remaining);
    fullest.map_or_else(Quota::default, |(limit, remaining)| Quota { limit: Some(limit), remaining: Some(remaining), ..Quota::default() })
}

/// Reads the three triples a source is made of.
pub(super) fn triples(dialect: Dialect, headers: &HeaderMap, times: &Times) -> [Triple; 3] {
    Family::ALL.map(|f| super::triple::read(f, dialect, headers, times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ratelimit::lines::tests::headers;

    /// `name limit/remaining window reset`, `-` for what is not known.
    fn of(dialect: Dialect, lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let headers = headers(lines);
        let times = Times::of(&headers, UnixMs(1_772_366_400_000));
        let triples = triples(dialect, &headers, &times);
        let source = Source { dialect, headers: &headers, times: &times, triples: &triples };
        let n = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
        let s = |d: Option<Duration>| n(d.map(|d| d.as_secs()));
        let text =
            |p: &Policy| format!("{} {}/{} {} {}", p.name.as_deref().unwrap(), n(p.limit), n(p.remaining), s(p.window), s(p.reset_in));
        policies(&source, false).iter().map(text).collect()
    }

    #[test]
    fn salesforce_members() {
        let info = "api-usage=25/5000; per-app-api-usage=17/250(appName=a;b, c=1/2), api-bursts=9/3;bad=1;x=a/2;=1/2";
        let seen = of(Dialect::Auto, &[("sforce-limit-info", info)]);
        assert_eq!(seen, ["api-usage 5000/4975 86400 -", "per-app-api-usage 250/233 - -", "api-bursts 3/0 - -"]);
    }

    #[test]
    fn auth0_buckets() {
        let quota = "b=per_hour;q=100;r=0;t=3600,per_day;q=1000;r=x, b=per_week;r=5, q=1;r=2, b=per_day";
        let only = ["per_hour 100/0 3600 3600", "per_day 1000/- 86400 -", "per_week -/5 - -"];
        assert_eq!(of(Dialect::Auto, &[("auth0-organization-quota-limit", quota), ("x-ratelimit-remaining", "5")]), only);
        let triple = ("x-ratelimit-remaining", "5");
        assert_eq!(
            of(Dialect::Auth0, &[("auth0-client-quota-limit", quota), triple])[..2],
            ["rate-limit -/5 - -".to_owned(), only[0].into()]
        );
        assert_eq!(of(Dialect::Auth0, &[triple]), Vec::<String>::new(), "a triple alone is no set");
    }

    #[test]
    fn sets_of_one_dialect() {
        let burst = [("x-ratelimit-limit", "1000"), ("x-burstlimit-limit", "500"), ("x-burstlimit-remaining", "498")];
        assert_eq!(of(Dialect::Docusign, &burst), ["hourly 1000/- 3600 -", "burst 500/498 30 -"]);
        assert_eq!(of(Dialect::Docusign, &burst[1..]), ["burst 500/498 30 -"]);
        assert_eq!(of(Dialect::Docusign, &burst[..1]), Vec::<String>::new());
        assert_eq!(of(Dialect::Auto, &burst), Vec::<String>::new());
        let x = [("x-user-limit-24hour-remaining", "3"), ("x-user-limit-24hour-reset", "1772366460"), ("x-rate-limit-limit", "15")];
        assert_eq!(of(Dialect::X, &x), ["window 15/- 900 -", "user-24hour -/3 86400 60"]);
        let zendesk = [
            ("zendesk-ratelimit-tickets-index", "total=100; remaining=99; resets=41"),
            ("zendesk-ratelimit-a", "total=10; remaining=nine"),
            ("zendesk-ratelimit-b", "nothing"),
            ("x-rate-limit", "700"),
            ("ratelimit-limit", "70"),
        ];
        assert_eq!(of(Dialect::Zendesk, &zendesk), ["account 700/- 60 -", "tickets-index 100/99 - 41", "a 10/- - -"]);
    }

    #[test]
    fn kong_hubspot_and_azure() {
        let kong = [("x-ratelimit-limit-year", "5"), ("x-ratelimit-remaining-second", "1"), ("x-ratelimit-limit-month", "6")];
        assert_eq!(of(Dialect::Auto, &kong), ["second -/1 1 -", "month 6/- 2592000 -", "year 5/- 31536000 -"]);
        let hubspot = [("x-hubspot-ratelimit-interval-milliseconds", "1500"), ("x-hubspot-ratelimit-remaining", "3")];
        assert_eq!(of(Dialect::Auto, &hubspot), ["interval -/3 2 -"]);
        assert_eq!(of(Dialect::Auto, &hubspot[..1]), Vec::<String>::new());
        let azure = [
            ("x-ms-ratelimit-remaining-tenant-reads", "7"),
            ("x-ms-ratelimit-remaining-subscription-writes", "8"),
            ("x-ms-ratelimit-remaining-subscription-deletes", "many"),
            ("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/HighCostGet3Min;46,Microsoft.Compute/HighCostGet30Min;223, x"),
            ("x-ms-ratelimit-remaining-resource", "b;1"),
            ("x-ms-user-quota-remaining", "0"),
            ("x-ms-user-quota-resets-after", "00:00:05"),
        ];
        assert_eq!(
            of(Dialect::Auto, &azure),
            [
                "subscription-writes -/8 - -",
                "tenant-reads -/7 - -",
                "Microsoft.Compute/HighCostGet3Min -/46 - -",
                "Microsoft.Compute/HighCostGet30Min -/223 - -",
                "b -/1 - -",
                "user-quota -/0 - 5",
            ]
        );
    }

    #[test]
    fn the_fullest_bucket_of_shopify() {
        let mut headers = HeaderMap::new();
        for value in ["32/40, 1/2", "50/40", "a/b"] {
            headers.append("x-shopify-shop-api-call-limit", value.parse().unwrap());
        }
        assert_eq!(shopify(&headers), Quota { limit: Some(40), remaining: Some(0), ..Quota::default() });
        assert!(shopify(&HeaderMap::new()).is_empty());
    }
}
