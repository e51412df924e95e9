//! What a scrape says of messages that arrive: how many, how many were refused and why, how late they were, and when one is expected.

use super::encode::{Lines, Row};
use crate::arrivals::{Arrivals, DELAY_BUCKETS, REASONS, Tally};
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::probe::Kind;

/// [`DELAY_BUCKETS`] as text, with `+Inf`.
const BUCKET_TEXTS: [&str; DELAY_BUCKETS.len() + 1] = ["1", "5", "15", "60", "300", "900", "3600", "+Inf"];

/// What arrived for an integration. Of several checks: sums, the last message of any, the shortest interval.
#[derive(Debug, Default)]
pub(super) struct WebhooksRow {
    /// Whether it has checks whose messages arrive, or had some.
    any: bool,
    tally: Tally,
    pub(super) last: Option<UnixMs>,
    pub(super) since: Option<UnixMs>,
    pub(super) interval: Option<f64>,
}

impl WebhooksRow {
    /// Sums over an integration's checks, and over those that left it.
    pub(super) fn of(entry: &IntegrationEntry, arrivals: &Arrivals) -> Self {
        let tally = entry.departed.as_ref().map(|d| d.arrived.clone()).unwrap_or_default();
        let mut row = Self { any: tally.received > 0, tally, ..Self::default() };
        for check in entry.checks.iter().filter(|c| c.def.kind.receiving().is_some()) {
            row.any = true;
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
    if r.webhooks.any {
        l.count(&r.i, &[], r.webhooks.tally.received);
    }
}

pub(super) fn rejections(l: &mut Lines<'_>, r: &Row) {
    if r.webhooks.any {
        let of = |reason: &str| r.webhooks.tally.refused.get(reason).copied().unwrap_or(0);
        REASONS.iter().for_each(|reason| l.count(&r.i, &[("reason", reason)], of(reason)));
    }
}

pub(super) fn delays(l: &mut Lines<'_>, r: &Row) {
    if r.webhooks.any {
        l.histogram(&r.i, &BUCKET_TEXTS, &r.webhooks.tally.delays, r.webhooks.tally.delay_sum);
    }
}

pub(super) fn interval(l: &mut Lines<'_>, r: &Row) {
    if let Some(seconds) = r.webhooks.interval {
        l.value(&r.i, &[], seconds);
    }
}
