//! What is to be shown of a check's budget, and why it is what it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::{Hold, Inner, Lane, LaneKey, Seat, per_s};
use crate::clock::UnixMs;
use crate::fields::{CheckId, Ratio, Span};
use crate::ratelimit::PolicyState;

/// What a pace comes from: the tightest quota an endpoint told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// The policy's name.
    pub policy: String,
    /// So many requests ...
    pub limit: u64,
    /// ... in so long, seconds.
    pub window_s: u64,
    /// Whether the window was told or configured; else it is the longest reset that was told, or a minute.
    pub window_told: bool,
    /// Of that, so much is ours.
    pub share: Ratio,
}

impl Reason {
    /// A policy as a reason, if it is a quota of requests. `window`: the configured one, for policies that tell none.
    pub(super) fn of(name: &str, p: &PolicyState, window: Option<Span>) -> Option<Self> {
        let limit = p.limit().filter(|l| *l > 0 && p.counts_requests())?;
        let told = p.window().or(window.map(|w| w.0));
        let window_s = told.unwrap_or_else(|| p.assumed_window()).as_secs().max(1);
        Some(Self { policy: name.to_owned(), limit, window_s, window_told: told.is_some(), share: Ratio(1.0) })
    }

    pub(super) fn shared(self, share: Ratio) -> Self {
        Self { share, ..self }
    }

    /// Requests a second of the whole quota.
    pub fn quota_per_s(&self) -> f64 {
        self.limit as f64 / self.window_s as f64
    }

    /// Requests a second that are ours.
    pub fn per_s(&self) -> f64 {
        self.quota_per_s() * self.share.0
    }
}

/// A check's budget. Rates are requests a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckBudget {
    /// `host:port` whose patience it is.
    pub host: String,
    /// The quota the pace comes from; without one it is `max_rate`.
    pub quota: Option<Reason>,
    /// What all checks that share the pace may send together.
    pub allowed_per_s: f64,
    /// What they would send at their configured intervals.
    pub wanted_per_s: f64,
    /// How many checks share it.
    pub shared_by: usize,
    /// Every so many slots run; 1: all.
    pub factor: u32,
    /// The interval that comes of it.
    pub effective_interval: Span,
    /// Requests the pace would let go now, 0 to 1.
    pub tokens: f64,
    /// The hold in force.
    pub hold: Option<Hold>,
}

impl CheckBudget {
    /// The share of configured slots that are left out because the interval is widened.
    pub fn coverage_lost(&self) -> f64 {
        1.0 - 1.0 / f64::from(self.factor.max(1))
    }
}

/// What the pace makes of a check just now, for who asks for many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paced {
    /// As in [`CheckBudget`].
    pub effective_interval: Span,
    /// As in [`CheckBudget`].
    pub tokens: f64,
}

/// What the pace makes of all checks of a lane just now.
pub(super) struct LanePace {
    /// So many times as long are their intervals.
    factor: u32,
    tokens: f64,
}

impl LanePace {
    /// The same of one with this interval.
    pub(super) fn of(&self, every: Span) -> Paced {
        Paced { effective_interval: Span(every.0.saturating_mul(self.factor)), tokens: self.tokens }
    }
}

/// The budgets of all checks that have one.
pub type Views = HashMap<CheckId, CheckBudget>;

/// What all who keep one pace want, and how many they are.
#[derive(Clone, Copy)]
struct Wants {
    per_s: f64,
    checks: usize,
}

impl Inner {
    pub(super) fn lane_pace(&self, key: &LaneKey, lane: &Lane, mono: Instant) -> Option<LanePace> {
        let (gate, factor) = match &lane.quota {
            Some((_, gate)) => (gate, lane.factor),
            None => self.hosts.get(&key.host).map(|(gate, factor)| (gate, *factor))?,
        };
        Some(LanePace { factor: factor.max(1), tokens: gate.limiter.tokens(mono) })
    }

    pub(super) fn view(&self, check: &CheckId, wall: UnixMs, mono: Instant) -> Option<CheckBudget> {
        let seat = self.seats.get(check)?;
        let lane = self.lanes.get(&seat.lane)?;
        let wants = if lane.quota.is_some() { self.lane_wants(lane) } else { self.host_wants(&seat.lane.host) };
        self.shown(seat, lane, wants, wall, mono)
    }

    /// Every check's; what a pace's checks want is added up once for all of them.
    pub(super) fn views(&self, wall: UnixMs, mono: Instant) -> Views {
        let mut hosts: HashMap<&str, Wants> = HashMap::new();
        let mut all = Views::with_capacity(self.seats.len());
        for (key, lane) in &self.lanes {
            let wants = match lane.quota {
                Some(_) => self.lane_wants(lane),
                None => *hosts.entry(&key.host).or_insert_with(|| self.host_wants(&key.host)),
            };
            let seats = lane.seats.iter().filter_map(|id| Some((id, self.seats.get(id)?)));
            all.extend(seats.filter_map(|(id, seat)| Some((id.clone(), self.shown(seat, lane, wants, wall, mono)?))));
        }
        all
    }

    fn lane_wants(&self, lane: &Lane) -> Wants {
        Wants { per_s: self.demand(lane), checks: lane.seats.len() }
    }

    fn host_wants(&self, host: &Arc<str>) -> Wants {
        Wants { per_s: self.host_demand(host), checks: self.unpaced(host).map(|l| l.seats.len()).sum() }
    }

    fn shown(&self, seat: &Seat, lane: &Lane, wants: Wants, wall: UnixMs, mono: Instant) -> Option<CheckBudget> {
        let Paced { effective_interval, tokens } = self.lane_pace(&seat.lane, lane, mono)?.of(seat.every);
        let quota = lane.quota.as_ref().map(|(reason, _)| reason);
        Some(CheckBudget {
            host: seat.lane.host.to_string(),
            allowed_per_s: quota.map_or_else(|| per_s(self.settings.max_rate), Reason::per_s),
            wanted_per_s: wants.per_s,
            shared_by: wants.checks,
            quota: quota.cloned(),
            factor: self.factor(seat),
            effective_interval,
            tokens,
            hold: lane.hold.clone().filter(|h| h.until > wall),
        })
    }
}
