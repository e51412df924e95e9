//! How much of an endpoint's patience is ours: a pace for every host and for every credential on it, shared by all checks that use them, and holds
//! where a host asked us to stay away (docs/rate-limits.md).
//!
//! Owns who may send when. While an endpoint tells no quota, all checks of its host share `max_rate`. Once it does, all checks of that host and
//! credential share `quota_share` of the tightest quota that any of them was told. Where the checks want more than that, their intervals are widened
//! by a whole factor: every second, third, ... slot runs. Reads no clock and stores nothing: times are arguments, and what must survive a restart is
//! handed out as notes.

mod hold;
mod limiter;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use hold::{Because, HOLD_NOTE, Hold};
use limiter::Limiter;
use view::LanePace;
pub use view::{CheckBudget, Paced, Reason, Views};

use crate::clock::UnixMs;
use crate::config::model::{CheckDef, Config, RateLimitSettings};
use crate::fields::{CheckId, Ratio, Span, Volume};
use crate::observed::Heard;
use crate::ratelimit::{Limits, readings};

/// Requests of one run towards its own host that are reckoned with at most.
const MOST_OF_A_RUN: u32 = 100;
/// Doublings of a pause nobody told the length of.
const MOST_STRIKES: u32 = 10;
/// A hold shorter than this is not worth remembering over a restart.
const NOTED: Duration = Duration::from_secs(5);
/// What passes at most, most likely, between the look at how long a token endpoint is left alone and the note of it.
const HANDED_ON: Duration = Duration::from_millis(50);

/// Host and credential: who shares a quota and a hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct LaneKey {
    host: Arc<str>,
    credential: Arc<str>,
}

impl LaneKey {
    fn of(def: &CheckDef) -> Option<Self> {
        Some(Self { host: def.host.clone()?, credential: def.kind.credential().into() })
    }
    /// As the id of a note.
    fn id(&self) -> String {
        format!("{} {}", self.host, self.credential)
    }
}

/// A pace, and the queue before it.
struct Gate {
    limiter: Limiter,
    queue: Arc<Semaphore>,
}

impl Gate {
    fn new(per_s: f64, strict: bool, now: Instant) -> Self {
        Self { limiter: Limiter::new(per_s, strict, now), queue: Arc::new(Semaphore::new(1)) }
    }
}

/// All checks of one host and credential.
#[derive(Default)]
struct Lane {
    seats: BTreeSet<CheckId>,
    share: f64,
    /// The tightest quota and its pace, once one was told.
    quota: Option<(Reason, Gate)>,
    hold: Option<Hold>,
    strikes: u32,
    /// How often its seats run: every so many slots.
    factor: u32,
}

/// One check.
struct Seat {
    lane: LaneKey,
    key: u64,
    every: Span,
    /// Paused checks want nothing.
    idle: bool,
    /// Requests of its last run towards its own host.
    cost: u32,
    /// Turns it took since it was last heard of.
    taken: u32,
    window: Option<Span>,
    limits: Limits,
}

struct Inner {
    settings: RateLimitSettings,
    hosts: HashMap<Arc<str>, (Gate, u32)>,
    lanes: BTreeMap<LaneKey, Lane>,
    seats: HashMap<CheckId, Seat>,
    /// The place of each check's lane in the order of `lanes`, by the check's key.
    places: HashMap<u64, usize>,
    /// Lanes whose hold is to be noted.
    noted: BTreeSet<LaneKey>,
    /// Holds of lanes that are not configured just now, by the id of their note.
    strays: BTreeMap<String, Hold>,
}

/// The budgets of a daemon.
pub struct Budgets(Mutex<Inner>);

impl std::fmt::Debug for Budgets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budgets").field("lanes", &self.lock().lanes.len()).finish_non_exhaustive()
    }
}

/// Why a slot is not run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// Its interval is widened, and this slot is none of those that run.
    Widened,
    /// Its host is held for longer than the check would wait.
    Held(Because),
}

impl Excuse {
    /// In words, the same each time.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Widened => "widened interval: our share of the quota",
            Self::Held(because) => because.skipped(),
        }
    }
}

/// The first in the queue before a pace; others wait until it is dropped.
#[derive(Debug)]
pub struct Head(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// Requests a second; a rate of none counts as one.
pub fn per_s(volume: Volume) -> f64 {
    (volume.calls.max(1) as f64) / (volume.per_s.max(1) as f64)
}

impl Budgets {
    /// None of anything yet.
    pub fn new(settings: &RateLimitSettings) -> Self {
        Self(Mutex::new(Inner {
            settings: settings.clone(),
            hosts: HashMap::new(),
            lanes: BTreeMap::new(),
            seats: HashMap::new(),
            places: HashMap::new(),
            noted: BTreeSet::new(),
            strays: BTreeMap::new(),
        }))
    }

    // Nobody awaits while holding it.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a configuration over: checks that stay keep what is known of their quotas, lanes their holds and paces. `known`: what the store knows
    /// of a check that is new here.
    pub fn plan(&self, config: &Config, known: impl FnMut(&CheckId) -> Option<Limits>, now: Instant) {
        self.lock().plan(config, known, now);
    }

    /// Puts back the holds a note of the last daemon tells of.
    /// Returns the ids of those that are over.
    pub fn restore(&self, notes: &BTreeMap<String, String>, now: UnixMs) -> Vec<String> {
        let mut inner = self.lock();
        let mut over = Vec::new();
        for (id, json) in notes {
            let Some(hold) = serde_json::from_str::<Hold>(json).ok().filter(|h| h.until > now) else {
                over.push(id.clone());
                continue;
            };
            match inner.lanes.iter_mut().find(|(key, _)| key.id() == *id) {
                Some((_, lane)) => lane.hold = Some(hold),
                None => drop(inner.strays.insert(id.clone(), hold)),
            }
        }
        over
    }

    /// The notes to write since the last call: id and text; without text, the note goes.
    pub fn notes(&self) -> Vec<(String, Option<String>)> {
        let mut inner = self.lock();
        let keys = std::mem::take(&mut inner.noted);
        let text = |key: &LaneKey| inner.lanes.get(key).and_then(|l| serde_json::to_string(l.hold.as_ref()?).ok());
        keys.iter().map(|key| (key.id(), text(key))).collect()
    }

    /// Whether a slot that comes due now is run at all. `patience`: how long its run would wait for its turn.
    pub fn excuse(&self, check: &CheckId, slot: UnixMs, now: UnixMs, patience: Duration) -> Option<Excuse> {
        let inner = self.lock();
        let seat = inner.seats.get(check)?;
        let lane = inner.lanes.get(&seat.lane)?;
        let max = inner.settings.max_hold.0;
        if let Some(hold) = lane.hold.as_ref().filter(|h| h.left(now, max) >= patience) {
            return Some(Excuse::Held(hold.because));
        }
        let factor = inner.factor(seat);
        let number = slot.0.div_euclid(seat.every.ms().max(1)).wrapping_add(i64::try_from(seat.key >> 33).unwrap_or(0));
        (number.rem_euclid(i64::from(factor)) != 0).then_some(Excuse::Widened)
    }

    /// The interval at which a check runs: its own, or the widened one.
    pub fn interval(&self, check: &CheckId) -> Option<Duration> {
        self.lock().interval(check)
    }

    /// Waits at the end of the check's queue until its turn may come. `None`: that would be after `until`. The turn itself is taken with
    /// [`Budgets::take`], when all else that the run needs is there.
    pub async fn queue(&self, check: &CheckId, until: Instant, now: impl Fn() -> (UnixMs, Instant)) -> Option<Head> {
        let queue = self.lock().gate(check).map(|g| Arc::clone(&g.queue))?;
        let head = tokio::time::timeout_at(until.into(), queue.acquire_owned()).await.ok()?.ok()?;
        loop {
            let (wall, mono) = now();
            let wait = self.wait(check, wall, mono);
            if wait.is_zero() {
                return Some(Head(head));
            }
            if mono + wait >= until {
                return None;
            }
            tokio::time::sleep_until((mono + wait).into()).await;
        }
    }

    /// How long until the check may send: the end of a hold, or its turn in the pace.
    pub fn wait(&self, check: &CheckId, wall: UnixMs, mono: Instant) -> Duration {
        let mut inner = self.lock();
        let pace = inner.gate(check).map_or(Duration::ZERO, |g| g.limiter.wait(mono));
        let max = inner.settings.max_hold.0;
        let held = inner.seats.get(check).and_then(|s| inner.lanes.get(&s.lane)?.hold.as_ref().map(|h| h.left(wall, max)));
        pace.max(held.unwrap_or_default())
    }

    /// Takes the check's turn, if it has one now.
    pub fn take(&self, check: &CheckId, wall: UnixMs, mono: Instant) -> bool {
        if !self.wait(check, wall, mono).is_zero() {
            return false;
        }
        let mut inner = self.lock();
        let taken = inner.gate(check).is_none_or(|g| g.limiter.take(mono));
        if let Some(seat) = inner.seats.get_mut(check).filter(|_| taken) {
            seat.taken = seat.taken.saturating_add(1);
        }
        taken
    }

    /// Takes in what an attempt was told, and what it cost.
    pub fn heard(&self, def: &CheckDef, heard: &[Heard], mono: Instant) {
        self.lock().heard(def, heard, mono);
    }

    /// Takes in that a run could send nothing, because a token endpoint is to be left alone for so long: without a token nobody of its host and
    /// credential can.
    pub fn left_alone(&self, def: &CheckDef, now: UnixMs, left: Duration) {
        let mut inner = self.lock();
        let max = inner.settings.max_hold.0;
        // To the whole second that the run's own words name; what it took to come here is no part of it.
        let until = now.plus(left.min(max)).minus(HANDED_ON).next_whole_second();
        let asked_s = left.saturating_sub(HANDED_ON).as_secs_f64().ceil() as u64;
        let hold = Hold { until, since: now, asked_s, check: def.id.to_string(), because: Because::Token };
        let Some(key) = inner.seats.get(&def.id).map(|s| s.lane.clone()) else { return };
        // Told once more of the same end: the hold stays what it is.
        let known = inner.lanes.get(&key).and_then(|l| l.hold.as_ref());
        if known.is_none_or(|h| h.because != Because::Token || h.until < until) {
            inner.keep(&key, hold, "a token endpoint");
        }
    }

    /// What is to be shown of a check's budget.
    pub fn view(&self, check: &CheckId, wall: UnixMs, mono: Instant) -> Option<CheckBudget> {
        self.lock().view(check, wall, mono)
    }

    /// The same for every check at once.
    pub fn views(&self, wall: UnixMs, mono: Instant) -> Views {
        self.lock().views(wall, mono)
    }

    /// Lets `f` ask for the bare numbers of many checks under one lock, by key and interval, without a copy of all the rest. It must not block: runs wait meanwhile.
    pub fn paces<R>(&self, mono: Instant, f: impl FnOnce(&dyn Fn(u64, Span) -> Option<Paced>) -> R) -> R {
        let inner = self.lock();
        let lanes: Vec<Option<LanePace>> = inner.lanes.iter().map(|(key, lane)| inner.lane_pace(key, lane, mono)).collect();
        f(&|key, every| Some(lanes.get(*inner.places.get(&key)?)?.as_ref()?.of(every)))
    }
}

impl Inner {
    fn plan(&mut self, config: &Config, mut known: impl FnMut(&CheckId) -> Option<Limits>, now: Instant) {
        self.settings = config.settings.rate_limit.clone();
        let mut before = std::mem::take(&mut self.seats);
        let mut lanes = std::mem::take(&mut self.lanes);
        for def in config.checks() {
            let Some(lane) = LaneKey::of(def) else { continue };
            let (limits, cost) = match before.remove(&def.id).filter(|s| s.lane == lane) {
                Some(seat) => (seat.limits, seat.cost),
                None => (known(&def.id).unwrap_or_default(), def.kind.requests()),
            };
            let i = &def.integration;
            let entry = self.lanes.entry(lane.clone()).or_insert_with(|| {
                let old = lanes.remove(&lane).unwrap_or_default();
                let hold = old.hold.or_else(|| self.strays.remove(&lane.id()));
                Lane { seats: BTreeSet::new(), share: 0.0, hold, ..old }
            });
            entry.seats.insert(def.id.clone());
            entry.share = entry.share.max(i.quota_share.map_or(self.settings.quota_share, |s| s).0);
            let seat =
                Seat { key: def.key, every: def.every, idle: i.paused.is_some(), cost, taken: 0, window: i.quota_window, limits, lane };
            self.seats.insert(def.id.clone(), seat);
        }
        for (key, lane) in lanes {
            // The host asked for it, whoever is configured: kept as long as it holds.
            if let Some(hold) = lane.hold {
                self.strays.insert(key.id(), hold);
            }
        }
        let rate = per_s(self.settings.max_rate);
        let mut hosts = std::mem::take(&mut self.hosts);
        for key in self.lanes.keys() {
            let host = &key.host;
            let gate = || hosts.remove(host).unwrap_or_else(|| (Gate::new(rate, false, now), 1));
            let (gate, _) = self.hosts.entry(Arc::clone(host)).or_insert_with(gate);
            gate.limiter.set(rate, now);
        }
        for lane in self.lanes.keys().cloned().collect::<Vec<_>>() {
            self.pace(&lane, now);
        }
        self.places.clear();
        for (place, lane) in self.lanes.values().enumerate() {
            self.places.extend(lane.seats.iter().filter_map(|id| Some((self.seats.get(id)?.key, place))));
        }
    }

    /// The pace a check keeps: its lane's where a quota is known, else its host's.
    fn gate(&mut self, check: &CheckId) -> Option<&mut Gate> {
        let seat = self.seats.get(check)?;
        match self.lanes.get_mut(&seat.lane)?.quota.as_mut() {
            Some((_, gate)) => Some(gate),
            None => self.hosts.get_mut(&seat.lane.host).map(|(gate, _)| gate),
        }
    }

    /// How far apart the slots of a check are that run.
    fn interval(&self, check: &CheckId) -> Option<Duration> {
        let seat = self.seats.get(check)?;
        Some(seat.every.0.saturating_mul(self.factor(seat)))
    }

    fn factor(&self, seat: &Seat) -> u32 {
        let lane = self.lanes.get(&seat.lane);
        let factor = match lane {
            Some(lane) if lane.quota.is_some() => lane.factor,
            _ => self.hosts.get(&seat.lane.host).map_or(1, |(_, factor)| *factor),
        };
        factor.max(1)
    }

    /// Requests a second the checks of a lane want.
    fn demand(&self, lane: &Lane) -> f64 {
        let wants = |s: &Seat| f64::from(s.cost.max(1)) / s.every.0.as_secs_f64().max(0.001);
        // From 0.0: the sum of nothing would be -0.
        lane.seats.iter().filter_map(|id| self.seats.get(id)).filter(|s| !s.idle).map(wants).fold(0.0, |sum, n| sum + n)
    }

    /// The lanes of a host that share its pace, having no quota of their own.
    fn unpaced(&self, host: &Arc<str>) -> impl Iterator<Item = &Lane> {
        let first = LaneKey { host: Arc::clone(host), credential: "".into() };
        let of_host = self.lanes.range(first..).take_while(move |(k, _)| k.host == *host);
        of_host.map(|(_, l)| l).filter(|l| l.quota.is_none())
    }

    /// What they want.
    fn host_demand(&self, host: &Arc<str>) -> f64 {
        self.unpaced(host).map(|l| self.demand(l)).fold(0.0, |sum, n| sum + n)
    }

    /// Sets pace and factor of a lane by what its checks were told, and its host's.
    fn pace(&mut self, key: &LaneKey, now: Instant) {
        let Some(lane) = self.lanes.get(key) else { return };
        let told = lane.seats.iter().filter_map(|id| self.seats.get(id)?.tightest());
        let tightest = told.min_by(|a, b| a.quota_per_s().total_cmp(&b.quota_per_s()));
        let wanted = self.demand(lane);
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let reason = tightest.map(|r| r.shared(Ratio(lane.share)));
        match (reason, &mut lane.quota) {
            (Some(reason), quota) => {
                let allowed = reason.per_s().max(1e-9);
                match quota {
                    Some((old, gate)) => {
                        gate.limiter.set(allowed, now);
                        *old = reason;
                    }
                    None => {
                        let mut gate = Gate::new(allowed, true, now);
                        // What told us of the quota was a request of ours; and a daemon that starts again and again sends no more than others.
                        gate.limiter.take(now);
                        *quota = Some((reason, gate));
                    }
                }
                say(&key.host, lane.factor, factor(wanted, allowed), allowed);
                lane.factor = factor(wanted, allowed);
            }
            (None, quota) => *quota = None,
        }
        let wanted = self.host_demand(&key.host);
        let allowed = per_s(self.settings.max_rate);
        if let Some((_, host_factor)) = self.hosts.get_mut(&key.host) {
            say(&key.host, *host_factor, factor(wanted, allowed), allowed);
            *host_factor = factor(wanted, allowed);
        }
    }

    fn heard(&mut self, def: &CheckDef, heard: &[Heard], mono: Instant) {
        let Some(seat) = self.seats.get_mut(&def.id) else { return };
        let key = seat.lane.clone();
        // What a token endpoint elsewhere, or the end of a redirect, says binds this credential too: without it nothing can be sent.
        let own: Vec<&Heard> = heard.iter().filter(|h| *h.host == *key.host).collect();
        let before = (seat.tightest(), seat.cost);
        for h in own.iter().filter(|h| !h.token) {
            seat.limits.apply(&readings(&h.limits, "", h.at));
        }
        seat.cost = u32::try_from(own.len()).unwrap_or(1).clamp(1, MOST_OF_A_RUN);
        let changed = before != (seat.tightest(), seat.cost);
        // The first turn was taken by whoever ran it, those after it by a kind that asks more than once.
        let beyond = seat.cost.saturating_sub(std::mem::take(&mut seat.taken).max(1));
        if let Some(gate) = self.gate(&def.id).filter(|_| beyond > 0) {
            gate.limiter.charge(beyond);
        }
        let elsewhere = heard.iter().filter(|h| *h.host != *key.host);
        for h in elsewhere {
            if let Some((gate, _)) = self.hosts.get_mut(h.host.as_str()) {
                gate.limiter.charge(1);
            }
        }
        self.hold(def, &key, heard);
        if changed {
            self.pace(&key, mono);
        }
    }

    fn hold(&mut self, def: &CheckDef, key: &LaneKey, heard: &[Heard]) {
        let max = self.settings.max_hold.0;
        for h in heard {
            let Some(lane) = self.lanes.get_mut(key) else { return };
            if !h.limits.throttled {
                lane.strikes = if *h.host == *key.host { 0 } else { lane.strikes };
                continue;
            }
            // A token endpoint that throttles, while the token at hand still serves, is the transport's to leave alone.
            let last_word = heard.last().is_some_and(|last| last.limits.throttled);
            let Some(told) = h.stay_away.filter(|_| *h.host == *key.host || last_word) else { continue };
            let said = h.limits.retry_after.is_some() || h.limits.reset_in.is_some();
            let asked = if said { told } else { told.saturating_mul(1 << lane.strikes.min(MOST_STRIKES)) };
            lane.strikes = if said { 0 } else { (lane.strikes + 1).min(MOST_STRIKES) };
            let until = h.at.plus(asked.min(max));
            let until = if h.token { until.next_whole_second() } else { until };
            let because = match (&h.limits.retry_after, h.limits.reset_in) {
                _ if h.token => Because::Token,
                _ if *h.host != *key.host => Because::Redirect,
                (Some(_), _) => Because::Asked,
                (None, Some(_)) => Because::Reset,
                (None, None) => Because::Documented,
            };
            self.keep(key, Hold { until, since: h.at, asked_s: asked.as_secs(), check: def.id.to_string(), because }, &h.host);
        }
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let over = |h: &Hold| heard.iter().all(|heard| h.until < heard.at);
        if lane.hold.as_ref().is_some_and(|h| !heard.is_empty() && over(h)) {
            lane.hold = None;
            self.noted.insert(key.clone());
        }
    }
}

impl Inner {
    /// Holds a lane, beside the hold there may be, and has it noted. `who`: who asks for it.
    fn keep(&mut self, key: &LaneKey, hold: Hold, who: &str) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let (since, asked) = (hold.since, Duration::from_secs(hold.asked_s));
        if asked >= NOTED && lane.hold.as_ref().is_none_or(|old| old.until < since) {
            let (host, until) = (&*key.host, hold.until.whole_seconds());
            let says = match hold.because {
                Because::Reset => "refused, and its quota renews in",
                Because::Documented => "refused, and by its vendor's word is to be left alone for",
                Because::Asked | Because::Token | Because::Redirect => "asks to be left alone for",
            };
            tracing::warn!(check = hold.check, host, %until, "{who} {says} {}: the checks of {host} are skipped until then", Span(asked));
        }
        let hold = hold.join(lane.hold.take());
        if hold.until.since(since) >= NOTED {
            self.noted.insert(key.clone());
        }
        lane.hold = Some(hold);
    }
}

impl Seat {
    /// The tightest quota of requests its own host told.
    fn tightest(&self) -> Option<Reason> {
        let own = self.limits.iter().filter(|(name, _)| !name.contains('/'));
        let all = own.filter_map(|(name, p)| Reason::of(name, p, self.window));
        all.min_by(|a, b| a.quota_per_s().total_cmp(&b.quota_per_s()))
    }
}

/// Said once, when it changes.
fn say(host: &str, before: u32, factor: u32, allowed: f64) {
    if factor > 1 && factor != before {
        let per_min = allowed * 60.0;
        tracing::warn!(
            host,
            factor,
            "the checks of {host} want more than the {per_min:.1} requests a minute that are ours: one slot in {factor} runs"
        );
    } else if factor == 1 && before > 1 {
        tracing::info!(host, "all slots of the checks of {host} run again");
    }
}

/// Every how many slots run, so that no more is wanted than is allowed.
pub fn factor(wanted: f64, allowed: f64) -> u32 {
    let factor = (wanted / allowed - 1e-6).ceil();
    if factor.is_finite() { (factor as u32).max(1) } else { 1 }
}
