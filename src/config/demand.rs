//! What the checks of each host want of it together, set against `max_rate`: where that is less, intervals are widened from the first day on.
//!
//! Collected while customers' files are read, judged when the settings are known. Counts the requests a kind says that a run makes; how rates become intervals is `budget`'s.

use std::collections::BTreeMap;

use super::table::{Problem, Table};
use crate::budget::{factor, per_s};
use crate::fields::{Span, Volume};

/// What to do about it.
const EXPECTED: &str = "expected longer intervals (every), or a higher max_rate in [rate_limit] of soakwatch.toml if the host can take it";

/// The wishes of all checks, by host.
#[derive(Debug, Default)]
pub(super) struct Demand(BTreeMap<String, Vec<Wish>>);

/// One check's, and where its interval stands.
#[derive(Debug)]
struct Wish {
    per_s: f64,
    /// Requests of a run, and the deadline they have.
    run: (u32, Option<Span>),
    place: Problem,
    /// Where its timeout stands, or would stand.
    deadline: Problem,
}

/// A host whose checks want more than it gets.
struct Over<'d> {
    host: &'d str,
    checks: usize,
    /// Requests a second.
    wanted: f64,
    /// The first check that makes it too much.
    first: &'d Problem,
}

impl Demand {
    /// Takes in a check that runs every so often against a host (`host:port`), with so many requests a run, each in its turn, all within `timeout` (none:
    /// it can't be read).
    pub(super) fn add(&mut self, check: &Table<'_>, host: String, every: Span, requests: u32, timeout: Option<Span>) {
        let place = |key: &str| {
            let (line, column) = check.source().position(check.place(key).start);
            let (file, path) = (check.source().name.clone(), check.path_of(key));
            Problem { file, line, column, path, what: String::new(), expected: String::new(), warning: true }
        };
        let (per_s, deadline) = (f64::from(requests) / every.0.as_secs_f64(), place("timeout"));
        self.0.entry(host).or_default().push(Wish { per_s, run: (requests, timeout), place: place("every"), deadline });
    }

    /// Warns of hosts that are to get less than is wanted of them: once at the place where `max_rate` is written, which mends them all, else for
    /// each host at the first check that is too much. Warns of checks whose requests take longer than their deadline, too.
    pub(super) fn judge(&self, max_rate: Volume, written: Option<Problem>) -> Vec<Problem> {
        let mut problems = self.widened(max_rate, written);
        problems.extend(self.0.values().flatten().filter_map(|w| w.too_short(max_rate)));
        problems
    }

    fn widened(&self, max_rate: Volume, written: Option<Problem>) -> Vec<Problem> {
        let mut over: Vec<Over<'_>> = self.0.iter().filter_map(|(host, wishes)| over(host, wishes, max_rate)).collect();
        let others = over.len().saturating_sub(1);
        match written {
            Some(place) => {
                over.sort_by(|a, b| b.wanted.total_cmp(&a.wanted));
                over.first().map(|worst| worst.problem(&place, max_rate, others)).into_iter().collect()
            }
            None => over.iter().map(|o| o.problem(o.first, max_rate, 0)).collect(),
        }
    }
}

impl Wish {
    /// The warning that a run of several requests can't end within its deadline.
    fn too_short(&self, max_rate: Volume) -> Option<Problem> {
        let (requests, timeout) = (self.run.0, self.run.1?);
        // The first turn is waited for before the run begins.
        let takes_ms = (f64::from(requests.saturating_sub(1)) * 1000.0 / per_s(max_rate)).ceil();
        let takes = Span(std::time::Duration::from_millis(takes_ms as u64));
        (takes >= timeout && requests > 1).then(|| Problem {
            what: format!(
                "{timeout} is too short for the {requests} requests of a run: max_rate ({max_rate}) makes them take {takes} at least"
            ),
            expected: format!("expected more than {takes}, or a higher max_rate in [rate_limit] of soakwatch.toml if the host can take it"),
            ..self.deadline.clone()
        })
    }
}

fn over<'d>(host: &'d str, wishes: &'d [Wish], max_rate: Volume) -> Option<Over<'d>> {
    let allowed = per_s(max_rate);
    let mut sum = 0.0;
    let first = wishes.iter().find(|w| {
        sum += w.per_s;
        factor(sum, allowed) > 1
    })?;
    Some(Over { host, checks: wishes.len(), wanted: wishes.iter().map(|w| w.per_s).sum(), first: &first.place })
}

impl Over<'_> {
    /// The warning, at a place that stands for so many other hosts too.
    fn problem(&self, place: &Problem, max_rate: Volume, others: usize) -> Problem {
        let Self { host, wanted, .. } = self;
        let checks = match self.checks {
            1 => format!("the check of {host} wants"),
            n => format!("the {n} checks of {host} together want"),
        };
        let too = match others {
            0 => String::new(),
            1 => ", as on 1 more host".to_owned(),
            n => format!(", as on {n} more hosts"),
        };
        let factor = factor(*wanted, per_s(max_rate));
        let lost = ((1.0 - 1.0 / f64::from(factor)) * 100.0).floor();
        let what = format!(
            "{checks} {}, more than max_rate allows ({max_rate}){too}: while a host tells no quota its intervals are widened, so one slot \
             in {factor} is run and {lost} % of coverage is lost",
            shown(*wanted, max_rate),
        );
        Problem { what, expected: EXPECTED.into(), ..place.clone() }
    }
}

/// A rate in the unit of another, rounded up: it must not look as if it were enough.
fn shown(rate: f64, like: Volume) -> String {
    let rate = (rate * like.per_s as f64 * 100.0 - 1e-6).ceil() / 100.0;
    format!("{rate}/{}", like.unit())
}
