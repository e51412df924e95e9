//! What the recorder writes: one [`Record`] a slot (or a span of slots nobody ran). The one shape that store, board and metrics are fed with; and what
//! of it is kept for good ([`Run`]), and counted ([`Counts`]).
//!
//! Durations are quantised here, once, to a 5 % scale ([`DurationCode`]), so that live state, segments and reports agree exactly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::finding::{DocumentFacts, Findings};
use crate::outcome::{Attribution, Cause, Class, HttpSpoken, Outcome, Reason, TlsSpoken};
use crate::ratelimit::Reading;
use crate::run_id::RunId;

/// A duration on a scale of 5 % steps: code `n` stands for `100 µs x 1.05^n` (0: up to 100 µs; 400: more than 8 hours).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationCode(pub u16);

impl DurationCode {
    /// The largest code.
    pub const MAX: Self = Self(400);
    const BASE_S: f64 = 100e-6;
    const STEP: f64 = 1.05;

    /// The nearest code.
    pub fn of(d: Duration) -> Self {
        let steps = (d.as_secs_f64() / Self::BASE_S).ln() / Self::STEP.ln();
        Self(steps.round().clamp(0.0, f64::from(Self::MAX.0)) as u16)
    }
    /// The duration a code stands for, in seconds.
    pub fn seconds(self) -> f64 {
        Self::BASE_S * Self::STEP.powi(i32::from(self.0))
    }
}

/// One accounted slot of one check, or `count` contiguous slots of the same outcome that nobody ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Which check.
    pub check: CheckId,
    /// Which place probed; 0 today.
    pub vantage: u16,
    /// The slot's time (the first one's, if `count` > 1). For outcomes that arrive instead of being asked for: the arrival.
    pub slot: UnixMs,
    /// The check's interval in milliseconds: the distance between the slots of a span.
    pub interval_ms: u32,
    /// How many contiguous slots this stands for; more than 1 only for `unknown`, `skipped` and `not_due`.
    pub count: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// For `skipped`, `unknown`, `not_due`: why.
    pub cause: Option<Cause>,
    /// For `fail`, `throttled`, `unknown`: the class.
    pub class: Option<Class>,
    /// For `fail`, `throttled`, `unknown`: the first triage.
    pub attribution: Option<Attribution>,
    /// Total time over all attempts.
    pub duration: DurationCode,
    /// Attempts made; 0 when nothing was sent.
    pub attempts: u8,
    /// Whether the first attempt passed.
    pub first_attempt_passed: bool,
    /// What else was learned.
    pub facts: Facts,
    /// For people: redacted, one line, at most 300 characters.
    pub detail: Option<String>,
}

/// What the last answer of a run was spoken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The version of HTTP.
    pub http: HttpSpoken,
    /// The version of TLS; `None`: it came without.
    pub tls: Option<TlsSpoken>,
}

/// What a run learned besides its outcome; goes into the check's current state, and to the journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Status of each attempt's final response.
    pub codes: Vec<u16>,
    /// Class of each attempt that was retried.
    pub retries: Vec<Class>,
    /// The last attempt's phases in the order of `Phases::NAMES`; `None`: not reached.
    pub phases: [Option<DurationCode>; 5],
    /// Earliest certificate expiry seen.
    pub certificate_expiry: Option<UnixMs>,
    /// Numbers read by `observe`.
    pub values: Vec<(String, f64)>,
    /// The address guard's rule that refused, if one did.
    pub egress_rule: Option<String>,
    /// The rate limits that were told, the last reading of each policy; at most `ratelimit::MOST_READINGS`.
    #[serde(default)]
    pub limits: Vec<Reading>,
    /// The last wait a target asked for: when, and for how many seconds.
    #[serde(default)]
    pub retry_after: Option<(UnixMs, u64)>,
    /// How long the run waited for its turn in the own limiter; `None`: it did not have to.
    #[serde(default)]
    pub throttle_wait: Option<DurationCode>,
    /// What was found in a document; `None`: nothing was looked at, and what was found before stays.
    #[serde(default)]
    pub findings: Option<Findings>,
    /// What the document said of itself; `None` likewise.
    #[serde(default)]
    pub document: Option<DocumentFacts>,
    /// What the last attempt's last request was answered in; `None`: it was not answered, so none of `codes` is its status.
    #[serde(default)]
    pub spoken: Option<Spoken>,
    /// What is known of the failure beyond its class, where it changes what is to be done.
    #[serde(default)]
    pub reason: Option<Reason>,
}

impl Record {
    /// The last slot this record accounts for.
    pub fn last_slot(&self) -> UnixMs {
        UnixMs(self.slot.0.saturating_add(i64::from(self.interval_ms) * (i64::from(self.count.max(1)) - 1)))
    }

    /// Takes in the next slots of the same fate; `false` if `next` is something else or does not follow at once. For slots nobody ran.
    pub fn join(&mut self, next: &Self) -> bool {
        let follows = next.slot.0 == self.last_slot().0.saturating_add(i64::from(self.interval_ms));
        let alike = (&self.check, self.vantage, self.interval_ms, self.outcome, self.cause, self.attempts, &self.detail)
            == (&next.check, next.vantage, next.interval_ms, next.outcome, next.cause, 0, &next.detail);
        let joined = follows && alike && !self.outcome.counted();
        if joined {
            self.count = self.count.max(1).saturating_add(next.count.max(1));
        }
        joined
    }

    /// A record of slots in which nothing was sent.
    pub fn not_run(check: CheckId, slot: UnixMs, interval_ms: u32, count: u32, cause: Cause) -> Self {
        let outcome = cause.outcome();
        let ours = outcome == Outcome::Unknown;
        Self {
            check,
            vantage: 0,
            slot,
            interval_ms,
            count,
            outcome,
            cause: Some(cause),
            class: ours.then_some(Class::Internal),
            attribution: ours.then_some(Attribution::Monitor),
            duration: DurationCode(0),
            attempts: 0,
            first_attempt_passed: false,
            facts: Facts::default(),
            detail: None,
        }
    }
}

/// A record without facts and detail: what is stored of a run for good, and what a verdict is made of.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Run {
    /// Its slot; the first one's if `count` > 1. Milliseconds since the epoch.
    pub slot: UnixMs,
    /// Distance of slots in milliseconds.
    pub interval_ms: u32,
    /// How many slots; more than 1 only for `unknown`, `skipped` and `not_due`.
    pub count: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// What went wrong.
    pub class: Option<Class>,
    /// Why it was not run.
    pub cause: Option<Cause>,
    /// The first triage.
    pub attribution: Option<Attribution>,
    /// Total time over all attempts.
    pub duration: DurationCode,
    /// Attempts made.
    pub attempts: u8,
    /// Whether the first attempt passed.
    pub first_attempt_passed: bool,
}

impl Run {
    /// What of a record is kept.
    pub fn of(r: &Record) -> Self {
        Self {
            slot: r.slot,
            interval_ms: r.interval_ms,
            count: r.count.max(1),
            outcome: r.outcome,
            class: r.class,
            cause: r.cause,
            attribution: r.attribution,
            duration: r.duration,
            attempts: r.attempts,
            first_attempt_passed: r.first_attempt_passed,
        }
    }

    /// The record this was, without facts and detail.
    pub fn record(&self, check: &CheckId, vantage: u16) -> Record {
        Record {
            check: check.clone(),
            vantage,
            slot: self.slot,
            interval_ms: self.interval_ms,
            count: self.count,
            outcome: self.outcome,
            cause: self.cause,
            class: self.class,
            attribution: self.attribution,
            duration: self.duration,
            attempts: self.attempts,
            first_attempt_passed: self.first_attempt_passed,
            facts: Facts::default(),
            detail: None,
        }
    }

    /// Its name; `None`: nobody ran it.
    pub fn id(&self, check: &CheckId) -> Option<RunId> {
        (self.attempts > 0).then(|| RunId::of(check, self.slot))
    }

    /// The last slot this stands for.
    pub fn last_slot(&self) -> UnixMs {
        UnixMs(self.slot.0.saturating_add(self.step().saturating_mul(i64::from(self.count.max(1)) - 1)))
    }

    /// Distance of slots, never zero.
    pub fn step(&self) -> i64 {
        i64::from(self.interval_ms.max(1))
    }

    /// The part of it whose slots lie in `since..until`.
    pub fn clip(&self, since: UnixMs, until: UnixMs) -> Option<Self> {
        // How many of its slots lie before a time.
        let before = |t: UnixMs| {
            let ms = t.0.saturating_sub(self.slot.0);
            if ms <= 0 { 0 } else { u32::try_from((ms - 1) / self.step() + 1).unwrap_or(u32::MAX).min(self.count) }
        };
        let (skip, end) = (before(since), before(until));
        let slot = UnixMs(self.slot.0.saturating_add(self.step().saturating_mul(i64::from(skip))));
        (skip < end).then(|| Self { slot, count: end - skip, ..*self })
    }
}

/// Counts of slots by outcome. `due` is always their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, schemars::JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Passed runs.
    pub pass: u64,
    /// Failed runs.
    pub fail: u64,
    /// Throttled runs.
    pub throttled: u64,
    /// Skipped slots.
    pub skipped: u64,
    /// Slots that could not be judged because of us.
    pub unknown: u64,
}

impl Counts {
    /// pass + fail + throttled + unknown + skipped.
    pub fn due(&self) -> u64 {
        self.counted() + self.skipped + self.unknown
    }
    /// pass + fail + throttled.
    pub fn counted(&self) -> u64 {
        self.pass + self.fail + self.throttled
    }
    /// pass / (pass + fail + throttled), or without throttled where that is excluded. No runs: no ratio.
    pub fn success_ratio(&self, throttled_excluded: bool) -> Option<f64> {
        let judged = self.pass + self.fail + if throttled_excluded { 0 } else { self.throttled };
        (judged > 0).then(|| self.pass as f64 / judged as f64)
    }
    /// Counted runs over due slots. Nothing due: no coverage.
    pub fn coverage(&self) -> Option<f64> {
        (self.due() > 0).then(|| self.counted() as f64 / self.due() as f64)
    }
    /// Adds so many slots of an outcome (`not_due` counts nowhere).
    pub fn add(&mut self, outcome: Outcome, n: u64) {
        match outcome {
            Outcome::Pass => self.pass += n,
            Outcome::Fail => self.fail += n,
            Outcome::Throttled => self.throttled += n,
            Outcome::Skipped => self.skipped += n,
            Outcome::Unknown => self.unknown += n,
            Outcome::NotDue => {}
        }
    }
    /// Adds another span's counts.
    pub fn merge(&mut self, other: &Self) {
        self.pass += other.pass;
        self.fail += other.fail;
        self.throttled += other.throttled;
        self.skipped += other.skipped;
        self.unknown += other.unknown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_within_five_percent() {
        for us in [100u64, 150, 1_000, 33_000, 250_000, 1_000_000, 29_999_999] {
            let real = us as f64 / 1e6;
            let shown = DurationCode::of(Duration::from_micros(us)).seconds();
            assert!((shown / real - 1.0).abs() <= 0.05, "{us} us shown as {shown} s");
        }
        assert_eq!(DurationCode::of(Duration::ZERO), DurationCode(0));
        assert_eq!(DurationCode::of(Duration::MAX), DurationCode::MAX);
    }
}
