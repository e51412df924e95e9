//! Failures towards so many hosts at once, and so long a silence, that it must have been us: our network where no self-check targets say so, and
//! our name servers.
//!
//! A *span* is the time between two moments at which any host was reached. Our own means were down in it if at least [`TOGETHER`] hosts failed
//! that did not fail before it, and it was long enough to mean something: as often as hosts were reached in the minute before it, [`MISSED`]
//! successes are missing, or it lasted [`LONG`]. So healthy hosts that go on passing end the suspicion, and few checks far apart are protected
//! too. A host that failed before the span is down on its own account; after a blackout it gets one more span before that is held against it,
//! because a network may flap. Pure: times are handed in.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// So many different hosts must fail together before it can be our own fault.
pub(super) const TOGETHER: usize = 3;
/// So many successes must be missing, as often as they came before.
const MISSED: f64 = 3.0;
/// A span of this length means something however seldom hosts were reached. Nothing is held longer.
const LONG: Duration = Duration::from_secs(15);
/// How far back it is known how often hosts were reached.
const MEMORY: Duration = Duration::from_secs(60);
/// Hosts reached in a shorter time than this say little about how often they are reached.
const SHORTEST_MEMORY: Duration = Duration::from_secs(10);
/// Hosts remembered.
const MOST_HOSTS: usize = 100_000;

/// What the hosts say together.
#[derive(Debug, Default)]
pub(super) struct Blackout {
    /// Hosts that began to fail in the present span.
    failing: HashSet<Arc<str>>,
    /// When the present span began: with the last reach, or before any with the first failure.
    began: Option<Instant>,
    /// How often hosts were reached, second by second, up to the present span. At most [`MEMORY`] long.
    reaches: VecDeque<(Instant, u32)>,
    /// Whether the present span was already told of as a blackout.
    told: bool,
    /// Hosts whose last result before the present span was a failure, and in how many spans they failed (a span in which fewer than
    /// [`TOGETHER`] did counts as two).
    failed_before: HashMap<Arc<str>, u8>,
    /// The span before the present one, if it was a blackout: its end and its hosts.
    last: Option<(Instant, HashSet<Arc<str>>)>,
}

impl Blackout {
    /// A host could not be reached.
    pub(super) fn failed(&mut self, host: &Arc<str>, at: Instant) {
        self.began.get_or_insert(at);
        if !self.down_on_its_own(host) && self.failing.len() < MOST_HOSTS {
            self.failing.insert(Arc::clone(host));
        }
    }

    /// A host was reached: the span ends. `true`: it was a blackout.
    pub(super) fn reached(&mut self, host: &Arc<str>, at: Instant) -> bool {
        let blackout = self.is_blackout(at);
        if !self.failing.is_empty() {
            let span = std::mem::take(&mut self.failing);
            let together = span.len() >= TOGETHER;
            for failed in &span {
                if self.failed_before.len() < MOST_HOSTS || self.failed_before.contains_key(failed) {
                    let spans = self.failed_before.entry(Arc::clone(failed)).or_default();
                    *spans = spans.saturating_add(if together { 1 } else { 2 });
                }
            }
            if blackout {
                self.last = Some((at, span));
            }
        }
        self.failed_before.remove(host);
        self.remember(at);
        self.told = false;
        blackout
    }

    /// `true` once in each span, as soon as it is a blackout.
    pub(super) fn is_new(&mut self, at: Instant) -> bool {
        let new = !self.told && self.is_blackout(at);
        self.told |= new;
        new
    }

    /// Whether a failure of this host in the present span is ours, as far as the span has come.
    pub(super) fn covers(&self, host: &Arc<str>, at: Instant) -> bool {
        self.failing.contains(host) && self.is_blackout(at)
    }

    /// Whether it would be ours if the span went on.
    pub(super) fn may_cover(&self, host: &Arc<str>) -> bool {
        self.failing.contains(host) && self.failing.len() >= TOGETHER
    }

    /// Whether a run of this host that began then was caught by the blackout before the present span.
    pub(super) fn belongs_to_last(&self, host: &Arc<str>, began: Instant) -> bool {
        self.last.as_ref().is_some_and(|(ended, hosts)| began <= *ended && (hosts.contains(host) || !self.down_on_its_own(host)))
    }

    fn is_blackout(&self, at: Instant) -> bool {
        self.failing.len() >= TOGETHER && self.is_long(at)
    }

    /// Whether the span has missed enough successes by then. Where none ever came there is none to miss: a start without a network.
    fn is_long(&self, at: Instant) -> bool {
        let rate = self.rate();
        let missed = rate * at.saturating_duration_since(self.began.unwrap_or(at)).as_secs_f64();
        missed >= MISSED.min(rate * LONG.as_secs_f64())
    }

    /// Hosts reached per second in the minute before the present span.
    fn rate(&self) -> f64 {
        let (Some((first, _)), Some(began)) = (self.reaches.front(), self.began) else { return 0.0 };
        let time = began.saturating_duration_since(*first).clamp(SHORTEST_MEMORY, MEMORY);
        let count: f64 = self.reaches.iter().map(|(_, n)| f64::from(*n)).sum();
        count / time.as_secs_f64()
    }

    fn down_on_its_own(&self, host: &Arc<str>) -> bool {
        self.failed_before.get(host).is_some_and(|spans| *spans >= 2)
    }

    fn remember(&mut self, at: Instant) {
        // Runs may be told of slightly out of their order.
        let at = self.began.map_or(at, |began| began.max(at));
        self.began = Some(at);
        match self.reaches.back_mut() {
            Some((second, n)) if at.saturating_duration_since(*second) < Duration::from_secs(1) => *n = n.saturating_add(1),
            _ => self.reaches.push_back((at, 1)),
        }
        while self.reaches.front().is_some_and(|(second, _)| at.saturating_duration_since(*second) > MEMORY) {
            self.reaches.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Arc<str> {
        name.into()
    }

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn fail(b: &mut Blackout, names: &[&str], at: Instant) {
        for name in names {
            b.failed(&host(name), at);
        }
    }

    /// Two hosts, each reached every four seconds, for a minute. Returns the last reach.
    fn two_healthy(b: &mut Blackout, t: Instant) -> Instant {
        for n in 0..30 {
            b.reached(&host(["h1", "h2"][n % 2]), t + s(2.0 * n as f64));
        }
        t + s(58.0)
    }

    #[test]
    fn three_hosts_failing_together_are_our_fault_two_are_not() {
        let (mut b, t) = (Blackout::default(), Instant::now());
        fail(&mut b, &["a", "b"], t);
        assert!(!b.covers(&host("a"), t + s(60.0)));
        fail(&mut b, &["c"], t);
        assert!(b.covers(&host("a"), t) && b.covers(&host("c"), t) && !b.covers(&host("d"), t), "nothing was ever reached");
        assert!(b.is_new(t) && !b.is_new(t), "told once");
    }

    #[test]
    fn healthy_hosts_that_go_on_passing_end_the_suspicion() {
        let (mut b, t) = (Blackout::default(), Instant::now());
        let mut t = two_healthy(&mut b, t);
        // Three hosts fail two rounds of three; in between the other two pass as ever.
        for round in 0..9 {
            for (n, healthy) in ["h1", "h2"].into_iter().enumerate() {
                if round % 3 == 0 {
                    for name in ["a", "b", "c"] {
                        b.reached(&host(name), t + s(1.0));
                    }
                } else {
                    fail(&mut b, &["a", "b", "c"], t + s(1.0));
                }
                t += s(2.0);
                assert!(!b.covers(&host("a"), t), "round {round}, {n}");
                assert!(!b.reached(&host(healthy), t), "round {round}, {n}");
            }
        }
    }

    #[test]
    fn a_silence_in_which_three_successes_are_missing_is_ours() {
        let (mut b, t) = (Blackout::default(), Instant::now());
        let t = two_healthy(&mut b, t);
        fail(&mut b, &["a", "b", "h1"], t + s(1.0));
        assert!(!b.covers(&host("a"), t + s(5.5)) && b.may_cover(&host("a")) && !b.is_new(t + s(5.5)));
        assert!(b.covers(&host("a"), t + s(6.0)) && b.is_new(t + s(6.0)));
        assert!(b.reached(&host("h2"), t + s(6.0)), "the span that ends was one");
        assert!(!b.covers(&host("a"), t + s(30.0)), "and is over");
    }

    #[test]
    fn where_hosts_are_seldom_reached_fifteen_seconds_are_enough() {
        let (mut b, t) = (Blackout::default(), Instant::now());
        for n in 0..5 {
            b.reached(&host("h"), t + s(60.0 * f64::from(n)));
        }
        let t = t + s(240.0);
        fail(&mut b, &["a", "b", "c"], t + s(5.0));
        assert!(!b.covers(&host("a"), t + s(14.9)));
        assert!(b.covers(&host("a"), t + s(15.0)));
    }

    #[test]
    fn many_hosts_need_no_time_and_little_memory() {
        let (mut b, t) = (Blackout::default(), Instant::now());
        for n in 0..20_000 {
            b.reached(&host("h"), t + s(f64::from(n) / 100.0));
        }
        assert!(b.reaches.len() <= 62, "{}", b.reaches.len());
        assert!((95.0..105.0).contains(&b.rate()), "{}", b.rate());
        let t = t + s(200.0);
        fail(&mut b, &["a", "b", "c"], t);
        assert!(b.covers(&host("a"), t + s(0.1)));
    }

    #[test]
    fn hosts_that_stay_down_while_another_is_reached_are_down_on_their_own() {
        let (mut b, t) = (Blackout::default(), Instant::now());
        let mut t = two_healthy(&mut b, t);
        // The first round can't be told from a blackout; d is reached, so the second can.
        for round in 0..2 {
            fail(&mut b, &["a", "b"], t);
            t += s(10.0);
            assert!(!b.covers(&host("a"), t), "round {round}");
            b.reached(&host("d"), t);
        }
        fail(&mut b, &["a", "c", "e"], t);
        t += s(20.0);
        assert!(!b.covers(&host("a"), t) && !b.covers(&host("c"), t), "a was down before: only two are new");
    }

    #[test]
    fn three_hosts_that_stay_down_are_blamed_after_two_spans_and_cleared_when_reached() {
        let (mut b, t) = (Blackout::default(), Instant::now());
        let mut t = two_healthy(&mut b, t);
        for expected in [true, true, false, false] {
            fail(&mut b, &["a", "b", "c"], t);
            t += s(15.0);
            assert_eq!(b.covers(&host("a"), t), expected);
            b.reached(&host("d"), t);
        }
        for name in ["a", "b", "c"] {
            b.reached(&host(name), t);
            b.failed(&host(name), t);
        }
        assert!(!b.covers(&host("a"), t + s(15.0)), "each was reached between the failures of the others: no span holds three");
    }

    #[test]
    fn a_run_caught_by_the_blackout_may_end_after_it() {
        let (mut b, t) = (Blackout::default(), Instant::now());
        fail(&mut b, &["a", "b", "c"], t);
        b.reached(&host("a"), t);
        assert!(b.belongs_to_last(&host("x"), t) && b.belongs_to_last(&host("b"), t));
        assert!(!b.belongs_to_last(&host("x"), t + s(1.0)));
    }
}
