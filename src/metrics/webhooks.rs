//! What a scrape says of messages that arrive: how many, how many were refused and why, how late they were, and when one is expected.

use super::encode::Lines;
use super::rows::Row;
use crate::arrivals::{Arrivals, DELAY_BUCKETS, REASONS, Tally};
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::probe::Kind;

/// [`DELAY_BUCKETS`] as text, with `+Inf`.
const BUCKET_TEXTS: [&str; DELAY_BUCKETS.len() + 1] = ["1", "5", "15", "60", "300", "900", "3600", "+Inf"];

/// What arrived for an integration. Of several checks: sums, the last message of any, the shortest interval.
#[derive(Debug, Default)]
pub(super) struct WebhooksRow {
    tally: Tally,
    pub(super) last: Option<UnixMs>,
    pub(super) since: Option<UnixMs>,
    pub(super) interval: Option<f64>,
}

impl WebhooksRow {
    /// Sums over an integration's checks, and over those that left it; `None`: it has no checks whose messages arrive, and had none.
    pub(super) fn of(entry: &IntegrationEntry, arrivals: &Arrivals) -> Option<Self> {
        let arrived = entry.departed.as_ref().map(|d| &d.arrived).filter(|tally| tally.received > 0);
        let mut row = arrived.map(|tally| Self { tally: tally.clone(), ..Self::default() });
        for check in entry.checks.iter().filter(|c| c.def.kind.receiving().is_some()) {
            let row = row.get_or_insert_default();
            arrivals.read(&check.def.id, |state| {
                row.tally.add(&state.tally);
                row.last = row.last.max(state.last);
            });
            if matches!(check.def.kind, Kind::WebhookArrival(_)) {
                let every = check.def.every.0.as_secs_f64();
                row.interval = Some(row.interval.map_or(every, |i| i.min(every)));
                let since = arrivals.read(&check.def.id, |state| state.since).flatten();
                row.since = row.since.into_iter().chain(since).min();
            }
        }
        row
    }
}

pub(super) fn deliveries(l: &mut Lines<'_>, r: &Row) {
    if let Some(w) = &r.webhooks {
        l.count(&r.i, &[], w.tally.received);
    }
}

pub(super) fn rejections(l: &mut Lines<'_>, r: &Row) {
    if let Some(w) = &r.webhooks {
        let of = |reason: &str| w.tally.refused.get(reason).copied().unwrap_or(0);
        REASONS.iter().for_each(|reason| l.count(&r.i, &[("reason", reason)], of(reason)));
    }
}

pub(super) fn delays(l: &mut Lines<'_>, r: &Row) {
    if let Some(w) = &r.webhooks {
        l.histogram(&r.i, &BUCKET_TEXTS, &w.tally.delays, w.tally.delay_sum);
    }
}

pub(super) fn interval(l: &mut Lines<'_>, r: &Row) {
    if let Some(seconds) = r.webhooks.as_ref().and_then(|w| w.interval) {
        l.value(&r.i, &[], seconds);
    }
}
