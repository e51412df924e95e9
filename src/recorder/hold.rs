//! Failures that could be our own network's wait here for a self-check that began after them (product.md, Outcome of a run).
//!
//! A dns, connect or tls failure is held at most [`LIMIT`]; if the self-check fails it becomes `unknown`, cause `self_check`. Without configured
//! targets, dns and connect failures towards all hosts at once count as a failed self-check (`blackout.rs`). Outcomes of a check behind a held
//! one wait too, so that a check's records stay in order. Bounded: when too much is held, the oldest goes on as it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::blackout::{Blackout, TOGETHER};
use crate::fields::CheckId;
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::record::Record;
use crate::self_check::{SelfCheckHandle, Verdict};

/// Nothing waits longer.
const LIMIT: Duration = Duration::from_secs(15);
/// Outcomes held at once.
const MOST_HELD: usize = 20_000;

struct Held {
    record: Record,
    /// `None`: waits only for its turn behind an earlier one of the same check.
    failed: Option<Failed>,
    until: Instant,
}

/// A failure at the network: `(began, ended)` is the time in which our network can have caused it.
struct Failed {
    began: Instant,
    ended: Instant,
    host: Arc<str>,
    /// Decided already, before its turn.
    ours: Option<bool>,
}

/// The host without its port: several ports of one machine are one host when it comes to being reachable.
pub(super) fn host_name(host_port: &str) -> &str {
    host_port.rsplit_once(':').map_or(host_port, |(name, _)| name)
}

/// What is held, and what is known of our network.
pub(super) struct Hold {
    self_check: SelfCheckHandle,
    verdict: Verdict,
    /// When the last self-check that failed began.
    last_down: Option<Instant>,
    held: VecDeque<Held>,
    of_check: HashMap<CheckId, usize>,
    blackout: Blackout,
    /// Hosts in the configuration: fewer than can fail together tell nothing about our network, and nothing waits for them.
    hosts: usize,
}

impl Hold {
    pub(super) fn new(self_check: SelfCheckHandle) -> Self {
        let verdict = *self_check.verdict.borrow();
        Self {
            self_check,
            verdict,
            last_down: None,
            held: VecDeque::new(),
            of_check: HashMap::new(),
            blackout: Blackout::default(),
            hosts: usize::MAX,
        }
    }

    /// Says how many hosts the configuration has.
    pub(super) fn hosts(&mut self, hosts: usize) {
        self.hosts = hosts;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// When the first held outcome's time is up.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.held.front().map(|h| h.until)
    }

    /// Ends when there is a new verdict.
    pub(super) async fn verdict_changed(&mut self) {
        if self.self_check.verdict.changed().await.is_err() {
            // The self-check task is gone (stopping): held outcomes end by their time.
            std::future::pending::<()>().await;
        }
        self.verdict = *self.self_check.verdict.borrow_and_update();
        if let Verdict::Known { began, up: false } = self.verdict {
            self.last_down = Some(began);
        }
    }

    /// Takes an outcome in. Gives it back at once if nothing holds it. The flag says whether something held may be decided now.
    pub(super) fn admit(&mut self, record: Record, host: Option<Arc<str>>, ended: Instant) -> (Option<Record>, bool) {
        let targets = self.verdict != Verdict::NoTargets;
        let host = host.map(|h| Arc::from(host_name(&h)));
        let network = record.outcome == Outcome::Fail
            && (targets || self.hosts >= TOGETHER)
            && match record.class {
                Some(Class::Dns | Class::Connect) => true,
                // A refused handshake is only our network's doing where a target can prove it.
                Some(Class::Tls) => targets,
                _ => false,
            };
        let began = ended.checked_sub(Duration::from_secs_f64(record.duration.seconds())).unwrap_or(ended);
        let mut decided = false;
        if let Some(host) = host.as_ref().filter(|_| !targets && record.outcome.counted()) {
            if network {
                if self.blackout.failed(host) {
                    tracing::error!(
                        "every host fails at once: our own network is taken to be down, and these runs are unknown, until one is reached (set self_check.targets to be sure)"
                    );
                }
            } else {
                decided = self.close_span(host, ended);
            }
        }
        let failed = host.filter(|_| network).map(|host| {
            // The last that was known of our network before this failure: when it comes back just then, the next self-check can't tell.
            let was_down = || matches!(*self.self_check.verdict.borrow(), Verdict::Known { up: false, .. });
            let ours = if targets { was_down() } else { self.blackout.belongs_to_last(&host, began) }.then_some(true);
            decided |= ours.is_some();
            Failed { began, ended, host, ours }
        });
        if failed.is_none() && !self.of_check.contains_key(&record.check) {
            return (Some(record), decided);
        }
        if failed.is_some() {
            self.self_check.request();
        }
        *self.of_check.entry(record.check.clone()).or_default() += 1;
        self.held.push_back(Held { record, failed, until: ended + LIMIT });
        (None, decided || self.held.len() > MOST_HELD)
    }

    /// A host was reached: what is held was decided by the span that ends here.
    fn close_span(&mut self, host: &Arc<str>, at: Instant) -> bool {
        let mut decided = false;
        for failed in self.held.iter_mut().filter_map(|h| h.failed.as_mut()).filter(|f| f.ours.is_none()) {
            failed.ours = Some(self.blackout.covers(&failed.host));
            decided = true;
        }
        if self.blackout.reached(host, at) {
            tracing::info!("a host was reached: our network is back");
        }
        decided
    }

    /// Everything whose fate is decided by now, in order for each check.
    pub(super) fn release(&mut self, now: Instant) -> Vec<Record> {
        let mut out = Vec::new();
        let mut waits: HashSet<CheckId> = HashSet::new();
        let mut keep = VecDeque::with_capacity(self.held.len());
        let excess = self.held.len().saturating_sub(MOST_HELD);
        for (n, held) in std::mem::take(&mut self.held).into_iter().enumerate() {
            let ours = match &held.failed {
                _ if waits.contains(&held.record.check) => None,
                None => Some(false),
                Some(f) => self.ours(f, held.until <= now).or((n < excess).then_some(false)),
            };
            match ours {
                None => {
                    waits.insert(held.record.check.clone());
                    keep.push_back(held);
                }
                Some(ours) => out.push(self.let_go(held, ours)),
            }
        }
        self.held = keep;
        out
    }

    /// All that is held, as far as it is known now (stopping).
    pub(super) fn give_up(&mut self) -> Vec<Record> {
        let mut out = Vec::new();
        for held in std::mem::take(&mut self.held) {
            // Undecided at the end: not counted against the customer.
            let ours = held.failed.as_ref().is_some_and(|f| self.ours(f, true).unwrap_or(true));
            out.push(self.let_go(held, ours));
        }
        out
    }

    /// Whether it was us; `None`: not known yet.
    fn ours(&self, failed: &Failed, time_is_up: bool) -> Option<bool> {
        if failed.ours.is_some() {
            return failed.ours;
        }
        match self.verdict {
            Verdict::NoTargets => time_is_up.then(|| self.blackout.covers(&failed.host)),
            // A self-check failed while the run was going on: that it works again now says nothing about then.
            _ if self.last_down.is_some_and(|down| down >= failed.began) => Some(true),
            Verdict::Known { began, up } if began > failed.ended => Some(!up),
            // Targets are configured, but no self-check that began later has ended in time.
            Verdict::Known { .. } | Verdict::NotYet => time_is_up.then_some(true),
        }
    }

    fn let_go(&mut self, held: Held, ours: bool) -> Record {
        if let Some(n) = self.of_check.get_mut(&held.record.check) {
            *n -= 1;
            if *n == 0 {
                self.of_check.remove(&held.record.check);
            }
        }
        let mut record = held.record;
        if ours {
            record.outcome = Outcome::Unknown;
            record.cause = Some(Cause::SelfCheck);
            record.attribution = Some(Attribution::Monitor);
            let was = record.class.replace(Class::Internal).map_or("", |c| c.as_str());
            let detail = record.detail.take().unwrap_or_default();
            let ground = match self.verdict {
                Verdict::NoTargets => "every host failed at once, so our own network is taken to have been down",
                _ => "our own network was down",
            };
            record.detail = Some(crate::observed::bounded(format!("{ground} (it looked like {was}: {detail})"), 300));
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::self_check::channel_of;
    use tokio::sync::watch;

    fn failure(check: &str, slot: i64, class: Class) -> Record {
        let mut r = Record::not_run(check.parse().unwrap(), UnixMs(slot), 1_000, 1, Cause::Internal);
        (r.outcome, r.cause, r.class) = (Outcome::Fail, None, Some(class));
        r
    }

    fn pass(check: &str, slot: i64) -> Record {
        let mut r = failure(check, slot, Class::Dns);
        (r.outcome, r.class) = (Outcome::Pass, None);
        r
    }

    fn hold(verdict: Verdict) -> (Hold, watch::Sender<Verdict>) {
        let (handle, sender) = channel_of(verdict);
        (Hold::new(handle), sender)
    }

    async fn says(hold: &mut Hold, sender: &watch::Sender<Verdict>, began: Instant, up: bool) {
        sender.send_replace(Verdict::Known { began, up });
        hold.verdict_changed().await;
    }

    const A: &str = "a/p/i/c";
    const B: &str = "b/p/i/c";

    #[tokio::test]
    async fn a_network_failure_waits_for_a_later_self_check() {
        let (mut h, sender) = hold(Verdict::NotYet);
        let t = Instant::now();
        let ms = Duration::from_millis;
        assert!(h.admit(failure(A, 1, Class::Connect), Some("a:1".into()), t).0.is_none());
        assert!(h.admit(failure(B, 1, Class::Timeout), Some("b:1".into()), t).0.is_some(), "the target was reached: nothing to wait for");
        says(&mut h, &sender, t, true).await;
        assert!(h.release(t).is_empty(), "a self-check that did not begin after the failure says nothing");
        says(&mut h, &sender, t + ms(1), true).await;
        assert_eq!(h.release(t)[0].outcome, Outcome::Fail);

        assert!(h.admit(failure(A, 2, Class::Tls), Some("a:1".into()), t + ms(10)).0.is_none());
        assert!(h.admit(pass(A, 3), Some("a:1".into()), t + ms(11)).0.is_none(), "a later outcome of the same check waits its turn");
        says(&mut h, &sender, t + ms(12), false).await;
        let out = h.release(t);
        assert_eq!(out.iter().map(|r| (r.slot.0, r.outcome)).collect::<Vec<_>>(), [(2, Outcome::Unknown), (3, Outcome::Pass)]);
        assert_eq!(
            (out[0].cause, out[0].class, out[0].attribution),
            (Some(Cause::SelfCheck), Some(Class::Internal), Some(Attribution::Monitor))
        );
        assert!(h.is_empty());
    }

    #[tokio::test]
    async fn a_run_that_began_while_the_network_was_down_is_not_counted() {
        let (mut h, sender) = hold(Verdict::NotYet);
        let t = Instant::now() + Duration::from_secs(60);
        says(&mut h, &sender, t, false).await;
        let mut r = failure(A, 1, Class::Connect);
        r.duration = crate::record::DurationCode::of(Duration::from_secs(10));
        assert!(h.admit(r, Some("a:1".into()), t + Duration::from_secs(5)).0.is_none());
        says(&mut h, &sender, t + Duration::from_secs(6), true).await;
        assert_eq!(h.release(t)[0].outcome, Outcome::Unknown);
    }

    #[tokio::test]
    async fn a_failure_between_a_failed_self_check_and_the_return_of_the_network_is_not_counted() {
        let (mut h, sender) = hold(Verdict::NotYet);
        let t = Instant::now();
        let ms = Duration::from_millis;
        says(&mut h, &sender, t, false).await;
        assert!(h.admit(failure(A, 1, Class::Dns), Some("a:1".into()), t + ms(300)).0.is_none());
        says(&mut h, &sender, t + ms(500), true).await;
        assert_eq!(h.release(t)[0].outcome, Outcome::Unknown, "refused at once, while all that was known said that we are down");
        assert!(h.admit(failure(A, 2, Class::Dns), Some("a:1".into()), t + ms(600)).0.is_none());
        says(&mut h, &sender, t + ms(700), true).await;
        assert_eq!(h.release(t)[0].outcome, Outcome::Fail, "between two that answered it counts");
    }

    #[tokio::test]
    async fn when_the_self_check_never_answers_nobody_is_blamed() {
        let (mut h, _sender) = hold(Verdict::NotYet);
        let t = Instant::now();
        h.admit(failure(A, 1, Class::Dns), Some("a:1".into()), t);
        assert!(h.release(t + LIMIT - Duration::from_millis(1)).is_empty());
        assert_eq!(h.release(t + LIMIT)[0].outcome, Outcome::Unknown);
    }

    #[tokio::test]
    async fn what_is_held_is_bounded() {
        let (mut h, _sender) = hold(Verdict::NotYet);
        let t = Instant::now();
        for n in 0..MOST_HELD as i64 + 5 {
            let (back, release) = h.admit(failure(A, n, Class::Dns), Some("a:1".into()), t);
            assert!(back.is_none());
            assert_eq!(release, n >= MOST_HELD as i64);
        }
        assert_eq!(h.release(t).len(), 5);
    }
}
