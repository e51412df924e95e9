//! What a scrape says of rate limits: what an integration's targets told, and how its checks keep to it. Never judges: numbers come from `limits`
//! and `budget`.

use std::ops::Range;
use std::time::Duration;

use super::encode::Lines;
use super::pools::Pools;
use super::rows::{CheckRow, Row};
use crate::board::{IntegrationEntry, Sums, WAIT_BUCKETS};
use crate::clock::UnixMs;
use crate::limits::{PolicyNumbers, each_policy};

/// [`WAIT_BUCKETS`] as text, with `+Inf`.
const WAIT_TEXTS: [&str; WAIT_BUCKETS.len() + 1] = ["0.01", "0.1", "0.5", "1", "5", "30", "60", "+Inf"];

/// A policy that was told.
#[derive(Debug)]
pub(super) struct PolicyRow {
    /// The integration's labels and `policy`.
    block: Range<usize>,
    numbers: PolicyNumbers,
}

impl PolicyRow {
    /// Puts those of an integration into the pools; `i`: its block.
    pub(super) fn each(entry: &IntegrationEntry, now: UnixMs, pools: &mut Pools, i: &Range<usize>) {
        each_policy(entry, now, |label, numbers| {
            let block = pools.labelled(i, "policy", label.pieces());
            pools.policies.push(Self { block, numbers });
        });
    }
}

/// An integration's numbers.
#[derive(Debug, Default)]
pub(super) struct RateRow {
    /// Seconds; 0: none is in force.
    retry_after: u64,
    waits: [u64; WAIT_BUCKETS.len() + 1],
    wait_sum: f64,
}

impl RateRow {
    /// What is in force; waits are added check by check.
    pub(super) fn of(entry: &IntegrationEntry, now: UnixMs) -> Self {
        Self { retry_after: in_force(entry, now), ..Self::default() }
    }

    /// Adds what a check waited, or what checks that left had waited.
    pub(super) fn sum_up(&mut self, s: Sums<'_>) {
        self.waits.iter_mut().zip(s.waits).for_each(|(sum, n)| *sum += n);
        self.wait_sum += s.wait_sum;
    }
}

/// The seconds that the last of the Retry-Afters in force asked for, or 0.
fn in_force(entry: &IntegrationEntry, now: UnixMs) -> u64 {
    let told = entry.checks.iter().filter_map(|c| c.state.retry_after);
    let holding = told.filter(|(at, seconds)| at.plus(Duration::from_secs(*seconds)) > now);
    holding.max().map_or(0, |(_, seconds)| seconds)
}

impl CheckRow {
    /// The interval as the pace widened it; as configured where there is no pace. In seconds.
    pub(super) fn effective_interval(&self) -> f64 {
        self.paced.map_or(self.every, |p| p.effective_interval).0.as_secs_f64()
    }
}

/// A line for every policy where the value is known.
fn each(l: &mut Lines<'_>, r: &Row, value: impl Fn(&PolicyNumbers) -> Option<f64>) {
    for p in l.pools.policies.get(r.policies.clone()).unwrap_or_default() {
        if let Some(x) = value(&p.numbers) {
            l.value(&p.block, &[], x);
        }
    }
}

pub(super) fn quota(l: &mut Lines<'_>, r: &Row) {
    each(l, r, |p| p.limit.map(|n| n as f64));
}

pub(super) fn remaining(l: &mut Lines<'_>, r: &Row) {
    each(l, r, |p| p.remaining.map(|n| n as f64));
}

pub(super) fn reset(l: &mut Lines<'_>, r: &Row) {
    each(l, r, |p| p.reset_at.map(UnixMs::seconds));
}

pub(super) fn headroom(l: &mut Lines<'_>, r: &Row) {
    each(l, r, |p| p.headroom);
}

pub(super) fn exhaustion(l: &mut Lines<'_>, r: &Row) {
    each(l, r, |p| p.exhausted_at.map(UnixMs::seconds));
}

pub(super) fn retry_after(l: &mut Lines<'_>, r: &Row) {
    l.count(&r.i, &[], r.rate.retry_after);
}

/// The least of the integration's checks.
pub(super) fn tokens(l: &mut Lines<'_>, r: &Row) {
    if let Some(tokens) = r.checks.iter().filter_map(|c| c.paced).map(|p| p.tokens).min_by(f64::total_cmp) {
        l.value(&r.i, &[], tokens);
    }
}

/// Absent until a run waited: ten lines for each integration, most of which never wait.
pub(super) fn waits(l: &mut Lines<'_>, r: &Row) {
    if r.rate.waits.iter().any(|n| *n > 0) {
        l.histogram(&r.i, &WAIT_TEXTS, &r.rate.waits, r.rate.wait_sum);
    }
}
