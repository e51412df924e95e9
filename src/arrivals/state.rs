//! What came for one check, and what becomes of its expectations. Pure: a message and a time in, records out.
//!
//! Bounded whatever arrives: a few open expectations, so many delays of each, so many numbers that are missing. Survives restarts as the check's memory.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::expected::Expected;
use super::tally::Tally;
use crate::attribution::attribute;
use crate::clock::UnixMs;
use crate::config::model::CheckDef;
use crate::fields::Span;
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::probe::Kind;
use crate::probe::webhook_arrival::ArrivalCheck;
use crate::record::{DurationCode, Facts, Record};
use crate::slots;

/// Upper bounds of the histogram of delays, in seconds (metrics-and-alerts.md).
pub const DELAY_BUCKETS: [f64; 7] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];
/// Expectations that are open at once.
const MOST_OPEN: usize = 16;
/// Delays kept of an expectation; of more, every second one, and so on.
const MOST_DELAYS: usize = 128;
/// Numbers that are known to be missing at once.
const MOST_MISSING: usize = 256;

/// What a delivered message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Authentic, of now and new.
    Accepted,
    /// Authentic, and its id was processed before.
    Duplicate,
    /// Authentic, and stamped too long ago or too far in the future.
    Stale,
    /// No secret made it, or it is not signed at all.
    Forged,
    /// What it carries beside its body can't be read.
    Malformed,
    /// Larger than a body may be.
    TooLarge,
}

impl What {
    /// The label `reason` of a refusal; `None`: it was accepted.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Accepted => None,
            Self::Duplicate => Some("replay"),
            Self::Stale => Some("timestamp"),
            Self::Forged => Some("signature"),
            Self::Malformed => Some("unknown"),
            Self::TooLarge => Some("too_large"),
        }
    }
}

/// Every reason there is.
pub const REASONS: [&str; 5] = ["signature", "timestamp", "replay", "too_large", "unknown"];

/// A message, judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// When it came.
    pub at: UnixMs,
    /// What it was.
    pub what: What,
    /// From its event to its receipt, in seconds, where it says when that was. Only of authentic ones.
    pub delay: Option<f64>,
    /// Its number, where messages are numbered. Only of authentic ones.
    pub number: Option<i64>,
}

/// What came for one expectation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Open {
    due: UnixMs,
    first: Option<UnixMs>,
    accepted: u32,
    duplicates: u32,
    stale: u32,
    forged: u32,
    out_of_order: u32,
    delays: Vec<u32>,
    /// Each kept delay stands for two to the power of this many.
    thinned: u32,
}

/// What came for one check, ever, and what is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// When expecting began.
    pub since: Option<UnixMs>,
    /// By which schedule.
    schedule: String,
    /// The last expectation that was judged.
    judged: Option<UnixMs>,
    /// The last authentic message.
    pub last: Option<UnixMs>,
    /// What is counted.
    pub tally: Tally,
    /// The highest number.
    highest: Option<i64>,
    /// Numbers that did not come yet, each with the expectation during which that was seen.
    missing: BTreeMap<i64, UnixMs>,
    open: VecDeque<Open>,
}

/// A time in which nothing could be received, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// From.
    pub from: UnixMs,
    /// Until.
    pub until: UnixMs,
    /// Whose fault: the daemon was down, or our own network.
    pub cause: Cause,
}

/// What is known of ourselves.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// When nothing could be received.
    pub away: &'a [Away],
    /// Until when that is sure: what our network does after it is not known yet.
    pub sure: UnixMs,
}

impl State {
    /// Begins to expect, where it did not before or by another schedule.
    pub fn expect(&mut self, expected: Option<&Expected>, now: UnixMs) {
        let schedule = expected.map(Expected::text).unwrap_or_default();
        if self.since.is_none() || self.schedule != schedule {
            self.since = Some(now);
            self.schedule = schedule;
            self.judged = None;
            self.open.clear();
        }
    }

    /// Takes a message in. True: it is the first that counts for its expectation, so it should be on disk before its sender is told that we have it.
    pub fn hear(&mut self, expected: Option<&Expected>, heard: Heard) -> bool {
        self.tally.received += 1;
        if let Some(reason) = heard.what.reason() {
            *self.tally.refused.entry(reason.to_owned()).or_default() += 1;
        }
        let authentic = matches!(heard.what, What::Accepted | What::Duplicate | What::Stale);
        if authentic {
            self.last = self.last.max(Some(heard.at));
        }
        if let Some(delay) = heard.delay.filter(|d| authentic && d.is_finite()) {
            self.tally.delayed(delay.max(0.0));
        }
        let Some(expected) = expected else { return false };
        let due = expected.belongs(heard.at);
        let out_of_order = heard.number.filter(|_| heard.what == What::Accepted).is_some_and(|n| self.number(n, due));
        let open = self.open_for(due);
        match heard.what {
            What::Accepted => open.accepted = open.accepted.saturating_add(1),
            What::Duplicate => open.duplicates = open.duplicates.saturating_add(1),
            What::Stale => open.stale = open.stale.saturating_add(1),
            What::Forged => open.forged = open.forged.saturating_add(1),
            What::Malformed | What::TooLarge => {}
        }
        open.out_of_order = open.out_of_order.saturating_add(u32::from(out_of_order));
        if let Some(delay) = heard.delay.filter(|_| heard.what == What::Accepted) {
            open.delayed(delay);
        }
        let first = heard.what == What::Accepted && open.first.is_none();
        if first {
            open.first = Some(heard.at);
        }
        first
    }

    fn open_for(&mut self, due: UnixMs) -> &mut Open {
        let place = match self.open.binary_search_by_key(&due, |o| o.due) {
            Ok(place) => place,
            Err(place) => {
                self.open.insert(place, Open { due, ..Open::default() });
                if self.open.len() > MOST_OPEN {
                    self.open.pop_front();
                }
                place.min(self.open.len() - 1)
            }
        };
        &mut self.open[place]
    }

    /// Takes a number in; true if a higher one came before it.
    fn number(&mut self, n: i64, due: UnixMs) -> bool {
        let Some(highest) = self.highest.filter(|_| n > 1) else {
            // The first, or the sender began to count again.
            self.highest = Some(n);
            return false;
        };
        if n <= highest {
            return self.missing.remove(&n).is_some();
        }
        for missing in (highest + 1..n).take(MOST_MISSING.saturating_sub(self.missing.len())) {
            self.missing.insert(missing, due);
        }
        self.highest = Some(n);
        false
    }

    /// Judges every expectation whose time and grace are over. `after`: those up to it are on record already. Silence that may have been our own network's waits,
    /// and what comes after it, until that is known; the flag says so.
    pub fn judge(&mut self, def: &CheckDef, ours: Ours<'_>, after: Option<UnixMs>, now: UnixMs) -> (Vec<Record>, bool) {
        let (Kind::WebhookArrival(check), Some(expected), Some(since)) = (&def.kind, Expected::of(def), self.since) else {
            return (Vec::new(), false);
        };
        let first = expected.first(since);
        let mut due = self.judged.max(after).map_or(first, |last| if last < first { first } else { expected.first_after(last) });
        let mut records: Vec<Record> = Vec::new();
        while due.plus(check.grace.0) <= now {
            let record = self.judge_one(def, check, &expected, ours.away, due);
            if record.class == Some(Class::Missing) && due.plus(check.grace.0) > ours.sure {
                return (records, true);
            }
            if !records.last_mut().is_some_and(|last| last.join(&record)) {
                records.push(record);
            }
            self.judged = Some(due);
            self.open.retain(|o| o.due > due);
            self.missing.retain(|_, seen| *seen > due);
            due = expected.next(due);
        }
        (records, false)
    }

    fn judge_one(&self, def: &CheckDef, check: &ArrivalCheck, expected: &Expected, away: &[Away], due: UnixMs) -> Record {
        let interval = u32::try_from(def.every.ms()).unwrap_or(u32::MAX);
        let not_run = |cause| Record::not_run(def.id.clone(), due, interval, 1, cause);
        if let Some(cause) = slots::not_due(&def.integration, due) {
            return not_run(cause);
        }
        let (start, end) = (expected.start(due), due.plus(check.grace.0));
        let none = Open::default();
        let own = self.open.iter().find(|o| o.due == due).unwrap_or(&none);
        let came = self.open.iter().filter_map(|o| o.first).any(|at| at <= end);
        let lost: Vec<i64> = self.missing.iter().filter(|(_, seen)| **seen <= due).map(|(n, _)| *n).collect();
        // A sender tries again: what could not be delivered for no longer than the grace would have come within it.
        let (away_ms, cause) = away_within(away, start, end);
        if (!came || !lost.is_empty())
            && away_ms > check.grace.ms()
            && let Some(cause) = cause
        {
            return not_run(cause);
        }
        let failed = if came { own.failed(check, &lost) } else { Some(own.silent(start, end)) };
        let values = own.values();
        let (class, detail) = failed.map_or((None, None), |(class, detail)| (Some(class), Some(detail)));
        Record {
            check: def.id.clone(),
            vantage: 0,
            slot: due,
            interval_ms: interval,
            count: 1,
            outcome: if class.is_some() { Outcome::Fail } else { Outcome::Pass },
            cause: None,
            class,
            attribution: class.map(|c| -> Attribution { attribute(c, def.integration.owner, &def.integration.attribution) }),
            duration: DurationCode(0),
            attempts: 1,
            first_attempt_passed: class.is_none(),
            facts: Facts { values, ..Facts::default() },
            detail,
        }
    }
}

/// How long nothing could be received in a span, in milliseconds, and why.
fn away_within(away: &[Away], start: UnixMs, end: UnixMs) -> (i64, Option<Cause>) {
    let parts = away.iter().map(|a| ((a.until.0.min(end.0) - a.from.0.max(start.0)).max(0), a.cause)).filter(|(ms, _)| *ms > 0);
    parts.fold((0, None), |(sum, first), (ms, cause)| (sum + ms, first.or(Some(cause))))
}

impl Open {
    fn delayed(&mut self, delay: f64) {
        if !(self.accepted.saturating_sub(1)).is_multiple_of(1u32 << self.thinned.min(31)) {
            return;
        }
        if self.delays.len() >= MOST_DELAYS {
            let mut keep = false;
            self.delays.retain(|_| {
                keep = !keep;
                keep
            });
            self.thinned += 1;
        }
        self.delays.push(delay.clamp(0.0, 4e9).ceil() as u32);
    }

    /// The delay that 95 % of its messages keep, in seconds.
    fn p95(&self) -> Option<u32> {
        let mut sorted = self.delays.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * 95).div_ceil(100).saturating_sub(1)).copied()
    }

    fn values(&self) -> Vec<(String, f64)> {
        let mut values = vec![("messages".to_owned(), f64::from(self.accepted)), ("duplicates".to_owned(), f64::from(self.duplicates))];
        if self.out_of_order > 0 {
            values.push(("out_of_order".to_owned(), f64::from(self.out_of_order)));
        }
        if let Some(p95) = self.p95() {
            values.push(("delay_p95_seconds".to_owned(), f64::from(p95)));
        }
        values
    }

    /// Nothing that counts came.
    fn silent(&self, start: UnixMs, end: UnixMs) -> (Class, String) {
        let between = format!("between {start} and {end}");
        if self.forged > 0 {
            let n = self.forged;
            return (Class::Signature, format!("no authentic message came {between}; {n} that came fit none of the secrets"));
        }
        if self.stale > 0 {
            let n = self.stale;
            return (Class::Slow, format!("{n} authentic messages came {between}, but all were stamped too long ago or in the future"));
        }
        let only = if self.duplicates > 0 { "; only duplicates of earlier ones did" } else { "" };
        (Class::Missing, format!("no message came {between}{only}"))
    }

    /// What is wrong although something came.
    fn failed(&self, check: &ArrivalCheck, lost: &[i64]) -> Option<(Class, String)> {
        if let Some(first) = lost.first() {
            return Some((Class::Missing, format!("{} numbered messages never came, the first of them number {first}", lost.len())));
        }
        if check.ordered && self.out_of_order > 0 {
            return Some((Class::Mismatch, format!("{} messages came after one with a higher number", self.out_of_order)));
        }
        let all = f64::from(self.accepted) + f64::from(self.duplicates);
        if let Some(most) = check.max_duplicates.filter(|most| all > 0.0 && f64::from(self.duplicates) / all > most.0) {
            let what = format!("{} of {all} messages were duplicates; expected at most {} %", self.duplicates, most.0 * 100.0);
            return Some((Class::Assertion, what));
        }
        let (within, p95) = (check.within?, self.p95()?);
        let late = u64::from(p95) > within.0.as_secs();
        late.then(|| (Class::Slow, format!("95 % of the messages took up to {}; expected within {within}", Span::seconds(u64::from(p95)))))
    }
}
