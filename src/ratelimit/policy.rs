//! One policy of a server, and which of several decides: the one that runs out first.

use std::cmp::Reverse;
use std::time::Duration;

use serde::Serialize;

use super::whole_seconds;

/// One quota a server speaks of. What it does not say is `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Its name, as the server writes it.
    pub name: Option<String>,
    /// So many (of `unit`) in a window.
    pub limit: Option<u64>,
    /// So many are left. May exceed the limit: it is passed on as sent.
    pub remaining: Option<u64>,
    /// The window's length; whole seconds.
    #[serde(rename = "window_s", serialize_with = "whole_seconds")]
    pub window: Option<Duration>,
    /// Until there is more; whole seconds.
    #[serde(rename = "reset_in_s", serialize_with = "whole_seconds")]
    pub reset_in: Option<Duration>,
    /// What is counted; requests, if it does not say.
    pub unit: Option<String>,
    /// The partition key: base64 as sent, without its colons.
    pub pk: Option<String>,
}

/// The four values of one source: of a plain triple of headers, or of the policy that decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) reset_in: Option<Duration>,
    pub(super) window: Option<Duration>,
}

impl Quota {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As a policy with a name.
    pub(super) fn named(self, name: &str) -> Policy {
        let Self { limit, remaining, reset_in, window } = self;
        Policy { name: Some(name.to_owned()), limit, remaining, window, reset_in, unit: None, pk: None }
    }
}

impl Policy {
    pub(super) fn counts_requests(&self) -> bool {
        matches!(self.unit.as_deref(), None | Some("requests" | "request"))
    }

    fn quota(&self) -> Quota {
        Quota { limit: self.limit, remaining: self.remaining, reset_in: self.reset_in, window: self.window }
    }
}

/// The policy that decides: the least remaining; where nobody says what remains, the lowest rate. Policies that count something else than requests
/// take part only when they are used up, or when nobody counts requests.
pub(super) fn primary(policies: &[Policy]) -> Quota {
    let no_requests = !policies.iter().any(Policy::counts_requests);
    let competing: Vec<&Policy> = policies.iter().filter(|p| no_requests || p.counts_requests() || p.remaining == Some(0)).collect();
    // Of several minima the first one is returned.
    let least = competing.iter().filter(|p| p.remaining.is_some()).min_by_key(|p| (p.remaining, Reverse(p.reset_in), Reverse(p.window)));
    let lowest = || {
        let rates = competing.iter().filter_map(|p| Some((p, u128::from(p.limit?), u128::from(p.window?.as_secs()))));
        rates.min_by(|(_, a, a_window), (_, b, b_window)| (a * b_window).cmp(&(b * a_window))).map(|(p, ..)| p)
    };
    least.or_else(lowest).or(competing.first()).map_or_else(Quota::default, |p| p.quota())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(limit: u64, remaining: impl Into<Option<u64>>, window: u64, reset: u64) -> Policy {
        let seconds = |n| (n > 0).then(|| Duration::from_secs(n));
        Policy { limit: Some(limit), remaining: remaining.into(), window: seconds(window), reset_in: seconds(reset), ..Policy::default() }
    }

    fn limit_of_primary(policies: &[Policy]) -> Option<u64> {
        primary(policies).limit
    }

    #[test]
    fn the_least_remaining_decides() {
        assert_eq!(limit_of_primary(&[]), None);
        assert_eq!(limit_of_primary(&[policy(1, 5, 0, 0), policy(2, 4, 0, 0), policy(3, None, 1, 0)]), Some(2));
        assert_eq!(limit_of_primary(&[policy(1, 5, 9, 0), policy(2, 5, 0, 3), policy(3, 5, 0, 2)]), Some(2), "the larger reset");
        assert_eq!(limit_of_primary(&[policy(1, 5, 0, 3), policy(2, 5, 9, 3), policy(3, 5, 8, 3)]), Some(2), "the larger window");
        assert_eq!(limit_of_primary(&[policy(1, 5, 9, 3), policy(2, 5, 9, 3)]), Some(1), "the first");
    }

    #[test]
    fn the_lowest_rate_where_nobody_says_what_remains() {
        assert_eq!(limit_of_primary(&[policy(50, None, 60, 0), policy(1000, None, 3600, 0)]), Some(1000));
        assert_eq!(limit_of_primary(&[policy(7, None, 0, 0), policy(1000, None, 3600, 0)]), Some(1000));
        assert_eq!(limit_of_primary(&[policy(7, None, 0, 0), policy(3, None, 0, 0)]), Some(7));
        assert_eq!(limit_of_primary(&[policy(60, None, 60, 0), policy(1, None, 1, 0)]), Some(60));
        let huge = policy(999_999_999_999_999, None, 999_999_999_999_999, 0);
        assert_eq!(limit_of_primary(&[huge, policy(1, None, 2, 0)]), Some(1));
    }

    #[test]
    fn other_units_take_part_only_when_used_up_or_alone() {
        let bytes = |p: Policy| Policy { unit: Some("content-bytes".into()), ..p };
        let request = |p: Policy| Policy { unit: Some("request".into()), ..p };
        assert_eq!(limit_of_primary(&[bytes(policy(1, 3, 0, 0)), request(policy(2, 40, 0, 0))]), Some(2));
        assert_eq!(limit_of_primary(&[bytes(policy(1, 0, 0, 0)), policy(2, 40, 0, 0)]), Some(1));
        assert_eq!(limit_of_primary(&[bytes(policy(1, 3, 0, 0)), bytes(policy(2, 2, 0, 0))]), Some(2));
        assert_eq!(
            limit_of_primary(&[bytes(policy(1, 3, 0, 0)), policy(2, None, 0, 0)]),
            Some(2),
            "somebody counts requests, unknown how many"
        );
        assert_eq!(limit_of_primary(&[bytes(policy(1, None, 60, 0)), policy(2, None, 1, 0)]), Some(2));
    }
}
