//! Without self-check targets: failures at dns or connect level towards all hosts at once count as a failed self-check.
//!
//! A *span* is the time between two moments at which any host was reached. If, in one span, at least [`TOGETHER`] hosts fail that did not fail
//! before it, our own network was down in it, and their failures are ours. A host that failed before the span is down on its own account; after
//! a blackout it gets one more span before that is held against it, because a network may flap. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

/// So many different hosts must fail together before it can be our own fault.
pub(super) const TOGETHER: usize = 3;
/// Hosts remembered.
const MOST_HOSTS: usize = 100_000;

/// What the hosts say together.
#[derive(Debug, Default)]
pub(super) struct Blackout {
    /// Hosts that began to fail in the present span.
    failing: HashSet<Arc<str>>,
    /// Hosts whose last result before the present span was a failure, and in how many spans they failed (a span that was no blackout counts
    /// as two).
    failed_before: HashMap<Arc<str>, u8>,
    /// The span before the present one, if it was a blackout: its end and its hosts.
    last: Option<(Instant, HashSet<Arc<str>>)>,
}

impl Blackout {
    /// A host could not be reached. `true`: with this one it is a blackout.
    pub(super) fn failed(&mut self, host: &Arc<str>) -> bool {
        if !self.down_on_its_own(host) && self.failing.len() < MOST_HOSTS {
            return self.failing.insert(Arc::clone(host)) && self.failing.len() == TOGETHER;
        }
        false
    }

    /// A host was reached: the span ends. `true`: it was a blackout.
    pub(super) fn reached(&mut self, host: &Arc<str>, at: Instant) -> bool {
        let mut was_blackout = false;
        if !self.failing.is_empty() {
            let span = std::mem::take(&mut self.failing);
            let blackout = span.len() >= TOGETHER;
            was_blackout = blackout;
            for failed in &span {
                if self.failed_before.len() < MOST_HOSTS || self.failed_before.contains_key(failed) {
                    let spans = self.failed_before.entry(Arc::clone(failed)).or_default();
                    *spans = spans.saturating_add(if blackout { 1 } else { 2 });
                }
            }
            if blackout {
                self.last = Some((at, span));
            }
        }
        self.failed_before.remove(host);
        was_blackout
    }

    fn down_on_its_own(&self, host: &Arc<str>) -> bool {
        self.failed_before.get(host).is_some_and(|spans| *spans >= 2)
    }

    /// Whether a failure of this host in the present span is ours, as far as the span has come.
    pub(super) fn covers(&self, host: &Arc<str>) -> bool {
        self.failing.len() >= TOGETHER && self.failing.contains(host)
    }

    /// Whether a run of this host that began then was caught by the blackout before the present span.
    pub(super) fn belongs_to_last(&self, host: &Arc<str>, began: Instant) -> bool {
        self.last.as_ref().is_some_and(|(ended, hosts)| began <= *ended && (hosts.contains(host) || !self.down_on_its_own(host)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn three_hosts_failing_together_are_our_fault_two_are_not() {
        let mut b = Blackout::default();
        for name in ["a", "b"] {
            b.failed(&host(name));
        }
        assert!(!b.covers(&host("a")));
        b.failed(&host("c"));
        assert!(b.covers(&host("a")) && b.covers(&host("c")) && !b.covers(&host("d")));
    }

    #[test]
    fn hosts_that_stay_down_while_another_is_reached_are_down_on_their_own() {
        let mut b = Blackout::default();
        let t = Instant::now();
        // The first round can't be told from a blackout; d is reached, so the second can.
        for round in 0..2 {
            for name in ["a", "b"] {
                b.failed(&host(name));
            }
            assert!(!b.covers(&host("a")), "round {round}");
            b.reached(&host("d"), t);
        }
        b.failed(&host("a"));
        b.failed(&host("c"));
        b.failed(&host("e"));
        assert!(!b.covers(&host("a")) && !b.covers(&host("c")), "a was down before: only two are new");
    }

    #[test]
    fn three_hosts_that_stay_down_are_blamed_after_two_spans_and_cleared_when_reached() {
        let mut b = Blackout::default();
        let t = Instant::now();
        for expected in [true, true, false, false] {
            for name in ["a", "b", "c"] {
                b.failed(&host(name));
            }
            assert_eq!(b.covers(&host("a")), expected);
            b.reached(&host("d"), t);
        }
        for name in ["a", "b", "c"] {
            b.reached(&host(name), t);
            b.failed(&host(name));
        }
        assert!(!b.covers(&host("a")), "each was reached between the failures of the others: no span holds three");
    }

    #[test]
    fn a_run_caught_by_the_blackout_may_end_after_it() {
        let mut b = Blackout::default();
        let t = Instant::now();
        for name in ["a", "b", "c"] {
            b.failed(&host(name));
        }
        b.reached(&host("a"), t);
        assert!(b.belongs_to_last(&host("x"), t) && b.belongs_to_last(&host("b"), t));
        assert!(!b.belongs_to_last(&host("x"), t + std::time::Duration::from_secs(1)));
    }
}
