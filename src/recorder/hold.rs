//! Failures that could be our own network's wait here for a self-check that began after them (product.md, Outcome of a run).
//!
//! A dns, connect or tls failure, or a message that a request set off and that did not come, is held at most [`LIMIT`]; if the self-check fails it
//! becomes `unknown`, cause `self_check`. So does a name for which no DNS answer came while none came for any name (`blackout.rs`): a self-check of
//! addresses does not see that our name servers are down.
//! Without configured targets, silence at dns and connect from all hosts at once counts as a failed self-check (`blackout.rs`); a failure that
//! is an answer (connection refused, no such name) says nothing for or against us there and is not held. Outcomes of a check behind a held one
//! wait too, so that a check's records stay in order. Bounded: when too much is held, the oldest goes on as it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Arrived;
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
    /// What our network says, if it is decided already, before its turn.
    ours: Option<bool>,
    /// The same of our name servers; `Some(false)` from the start where they have nothing to do with it.
    names: Option<bool>,
}

/// Whose fault a held failure was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Theirs,
    Network,
    NameServers,
}

/// The host without its port: several ports of one machine are one host when it comes to being reachable.
pub(super) fn host_name(host_port: &str) -> &str {
    host_port.rsplit_once(':').map_or(host_port, |(name, _)| name)
}

/// Whether a host without its port is an address: nobody asks DNS for it.
pub(super) fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// Said once in each blackout.
const ALL_FAIL: &str = "every host fails at once: our own network is taken to be down, and these runs are unknown, until one is reached (set self_check.targets to be sure)";
const NO_NAMES: &str = "no name is answered: our name servers are taken to be down, and these runs are unknown, until one answers";

/// What is held, and what is known of our network.
pub(super) struct Hold {
    self_check: SelfCheckHandle,
    verdict: Verdict,
    /// When the last self-check that failed began.
    last_down: Option<Instant>,
    held: VecDeque<Held>,
    of_check: HashMap<CheckId, usize>,
    blackout: Blackout,
    /// The same of our name servers: hosts whose names were not answered, and hosts that were found by name.
    nameless: Blackout,
    /// Hosts in the configuration: fewer than can fail together tell nothing about our network, and nothing waits for them.
    hosts: usize,
    /// Those of them that are names.
    names: usize,
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
            nameless: Blackout::default(),
            hosts: usize::MAX,
            names: usize::MAX,
        }
    }

    /// Says how many hosts the configuration has, and how many of them are names.
    pub(super) fn hosts(&mut self, hosts: usize, names: usize) {
        (self.hosts, self.names) = (hosts, names);
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
    pub(super) fn admit(&mut self, arrived: Arrived) -> (Option<Record>, bool) {
        let Arrived { record, host, ended, answered } = arrived;
        let targets = self.verdict != Verdict::NoTargets;
        let host: Option<Arc<str>> = host.map(|h| Arc::from(host_name(&h)));
        let class = record.class.filter(|_| record.outcome == Outcome::Fail);
        let mut decided = false;
        if let Some(host) = host.as_ref().filter(|_| record.outcome.counted()) {
            decided = self.hear(host, class, answered, ended);
        }
        let on_the_way = match class {
            Some(Class::Dns | Class::Connect) => targets || !answered && self.hosts >= TOGETHER,
            // A refused handshake, and a message that was set off and did not come, are only our network's doing where a target can prove it.
            Some(Class::Tls | Class::Missing) => targets,
            _ => false,
        };
        let nameless = targets && class == Some(Class::Dns) && !answered && self.names >= TOGETHER;
        let began = ended.checked_sub(Duration::from_secs_f64(record.duration.seconds())).unwrap_or(ended);
        let failed = host.filter(|_| on_the_way).map(|host| {
            // The last that was known of our network before this failure: when it comes back just then, the next self-check can't tell.
            let was_down = || matches!(*self.self_check.verdict.borrow(), Verdict::Known { up: false, .. });
            let ours = if targets { was_down() } else { self.blackout.belongs_to_last(&host, began) }.then_some(true);
            let names = if nameless { self.nameless.belongs_to_last(&host, began).then_some(true) } else { Some(false) };
            decided |= ours.is_some() || names == Some(true);
            Failed { began, ended, host, ours, names }
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

    /// What a run says of our network and of our name servers, with targets and without: they may be configured later. `class`: what it failed
    /// with. `true`: something held is decided by it.
    fn hear(&mut self, host: &Arc<str>, class: Option<Class>, answered: bool, at: Instant) -> bool {
        let targets = self.verdict != Verdict::NoTargets;
        let mut decided = false;
        match class {
            Some(Class::Dns | Class::Connect) if answered => {}
            Some(Class::Dns | Class::Connect) => {
                self.blackout.failed(host, at);
                if self.blackout.is_new(at) && !targets && self.hosts >= TOGETHER {
                    tracing::error!("{ALL_FAIL}");
                }
            }
            _ => decided = self.network_reached(host, at, targets),
        }
        match class {
            Some(Class::Dns) if answered => {}
            Some(Class::Dns) => {
                self.nameless.failed(host, at);
                if self.nameless.is_new(at) && targets && self.names >= TOGETHER {
                    tracing::error!("{NO_NAMES}");
                }
            }
            _ if is_address(host) => {}
            _ => decided |= self.name_found(host, at, targets),
        }
        decided
    }

    /// A host was reached: what is held was decided by the span that ends here.
    fn network_reached(&mut self, host: &Arc<str>, at: Instant, targets: bool) -> bool {
        let mut decided = false;
        if !targets {
            for failed in self.held.iter_mut().filter_map(|h| h.failed.as_mut()).filter(|f| f.ours.is_none()) {
                failed.ours = Some(self.blackout.covers(&failed.host, at));
                decided = true;
            }
        }
        let late = self.blackout.is_new(at);
        if self.blackout.reached(host, at) && !targets {
            if late {
                tracing::error!("{ALL_FAIL}");
            }
            tracing::info!("a host was reached: our network is back");
        }
        decided
    }

    /// The same for a host that was found by its name.
    fn name_found(&mut self, host: &Arc<str>, at: Instant, targets: bool) -> bool {
        let mut decided = false;
        for failed in self.held.iter_mut().filter_map(|h| h.failed.as_mut()).filter(|f| f.names.is_none()) {
            failed.names = Some(self.nameless.covers(&failed.host, at));
            decided = true;
        }
        let late = self.nameless.is_new(at);
        if self.nameless.reached(host, at) && targets {
            if late {
                tracing::error!("{NO_NAMES}");
            }
            tracing::info!("a name was found: our name servers are back");
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
            let fault = match &held.failed {
                _ if waits.contains(&held.record.check) => None,
                None => Some(Fault::Theirs),
                Some(f) => self.fault(f, now, held.until <= now).or((n < excess).then_some(Fault::Theirs)),
            };
            match fault {
                None => {
                    waits.insert(held.record.check.clone());
                    keep.push_back(held);
                }
                Some(fault) => out.push(self.let_go(held, fault)),
            }
        }
        self.held = keep;
        out
    }

    /// All that is held, as far as it is known now (stopping).
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<Record> {
        let mut out = Vec::new();
        for held in std::mem::take(&mut self.held) {
            let fault = held.failed.as_ref().map_or(Fault::Theirs, |f| self.fault_at_the_end(f, now));
            out.push(self.let_go(held, fault));
        }
        out
    }

    /// Undecided at the end: not counted against the customer.
    fn fault_at_the_end(&self, failed: &Failed, now: Instant) -> Fault {
        let alone = self.verdict == Verdict::NoTargets;
        match self.fault(failed, now, true) {
            Some(Fault::Theirs) if alone && failed.ours.is_none() && self.blackout.may_cover(&failed.host) => Fault::Network,
            Some(Fault::Theirs) if failed.names.is_none() && self.nameless.may_cover(&failed.host) => Fault::NameServers,
            fault => fault.unwrap_or(Fault::Network),
        }
    }

    /// Whose it was; `None`: not known yet.
    fn fault(&self, failed: &Failed, now: Instant, time_is_up: bool) -> Option<Fault> {
        let network = self.ours(failed, now, time_is_up);
        let names = failed.names.or_else(|| time_is_up.then(|| self.nameless.covers(&failed.host, now)));
        match (network, names) {
            (Some(true), _) => Some(Fault::Network),
            (_, Some(true)) => Some(Fault::NameServers),
            (Some(false), Some(false)) => Some(Fault::Theirs),
            _ => None,
        }
    }

    /// Whether it was our network; `None`: not known yet.
    fn ours(&self, failed: &Failed, now: Instant, time_is_up: bool) -> Option<bool> {
        if failed.ours.is_some() {
            return failed.ours;
        }
        match self.verdict {
            Verdict::NoTargets => time_is_up.then(|| self.blackout.covers(&failed.host, now)),
            // A self-check failed while the run was going on: that it works again now says nothing about then.
            _ if self.last_down.is_some_and(|down| down >= failed.began) => Some(true),
            Verdict::Known { began, up } if began > failed.ended => Some(!up),
            // Targets are configured, but no self-check that began later has ended in time.
            Verdict::Known { .. } | Verdict::NotYet => time_is_up.then_some(true),
        }
    }

    fn let_go(&mut self, held: Held, fault: Fault) -> Record {
        if let Some(n) = self.of_check.get_mut(&held.record.check) {
            *n -= 1;
            if *n == 0 {
                self.of_check.remove(&held.record.check);
            }
        }
        let mut record = held.record;
        if fault != Fault::Theirs {
            record.outcome = Outcome::Unknown;
            record.cause = Some(Cause::SelfCheck);
            // What our own network looked like is no finding of theirs.
            record.facts.findings = None;
            record.attribution = Some(Attribution::Monitor);
            let was = record.class.replace(Class::Internal).map_or("", |c| c.as_str());
            let detail = record.detail.take().unwrap_or_default();
            let ground = match self.verdict {
                _ if fault == Fault::NameServers => "our name servers did not answer for any name",
                Verdict::NoTargets => "every host failed at once, so our own network is taken to have been down",
                _ => "our own network was down",
            };
            record.detail = Some(crate::observed::bounded(format!("{ground} (it looked like {was}: {detail})"), 300));
        }
        record
    }
}

#[cfg(test)]
mod tests;
