//! One run of one check: its attempts, under one hard deadline, become one [`Record`]. The daemon and `soakwatch probe` share this path.
//!
//! Owns deadlines, retries inside the run, and the step from a failed attempt to an outcome. Never decides when to run, never stores.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{Instrument as _, error_span};

use crate::attribution::attribute;
use crate::budget::Budgets;
use crate::clock::{Clock, UnixMs};
use crate::config::model::CheckDef;
use crate::memory::{Memories, Memory};
use crate::observed::{Failure, Heard, Noted, Observed, Step, bounded};
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::probe::{ProbeContext, Turns};
use crate::ratelimit::{self, Reading};
use crate::record::{DurationCode, Facts, Record, Spoken};
use crate::retry::Pauses;
use crate::run_id::{RunId, TraceParent};
use crate::secret::Redactor;
use crate::transport::Transport;

/// One attempt of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// When it began, counted from the run's beginning.
    pub started_after: Duration,
    /// How long it took.
    pub duration: Duration,
    /// What it saw.
    pub observed: Observed,
    /// Why it did not pass.
    pub failure: Option<Failure>,
}

impl Attempt {
    /// Whether it sent nothing because a token endpoint is to be left alone: a wait rather than an attempt.
    fn held_back(&self) -> bool {
        self.observed.hops.is_empty() && self.failure.as_ref().is_some_and(|f| f.cause == Some(Cause::RateLimit))
    }
}

/// A finished run: what is recorded, and what was seen on the way.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// What the recorder gets.
    pub record: Record,
    /// Every attempt, in order. One that sent nothing, because a token endpoint is to be left alone, stands here only if it is the only one.
    pub attempts: Vec<Attempt>,
}

impl RunReport {
    /// Whether the last attempt failed by an answer rather than by silence ([`Failure::answered`]). Not stored: only the recorder's hold asks.
    pub fn answered(&self) -> bool {
        self.attempts.last().and_then(|a| a.failure.as_ref()).is_some_and(|f| f.answered)
    }
}

/// So many throttled attempts are waited for at least, whatever `retries` says; a target that goes on saying "later" is believed.
const THROTTLED_WAITS: u8 = 3;

/// What a run may still try.
struct Again {
    retries: u8,
    waits: u8,
    pauses: Pauses,
}

/// The pace a run keeps: what it hears goes there, and every attempt after the first waits there for its turn.
#[derive(Clone, Copy, Debug)]
pub struct Pace<'a> {
    /// The budgets.
    pub budgets: &'a Budgets,
    /// Wall time, for holds.
    pub clock: &'a Clock,
}

impl Pace<'_> {
    /// Waits for another turn; `false` if it does not come before the deadline.
    async fn turn(self, def: &CheckDef, deadline: Instant) -> bool {
        loop {
            let (wall, mono) = (self.clock.now(), Instant::now().into_std());
            if self.budgets.take(&def.id, wall, mono) {
                return true;
            }
            // Whoever took it first makes us wait for the next one.
            let until = Instant::from_std(mono) + self.budgets.wait(&def.id, wall, mono).max(Duration::from_millis(1));
            if until >= deadline {
                return false;
            }
            sleep_until(until).await;
        }
    }
}

/// The turns of a run that asks more than once.
#[derive(Debug)]
struct RunTurns<'a> {
    pace: Pace<'a>,
    def: &'a CheckDef,
    deadline: Instant,
}

impl Turns for RunTurns<'_> {
    fn next(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(self.pace.turn(self.def, self.deadline))
    }
}

/// Runs a check once, now, for a slot. Its first turn has been taken; without `pace` nobody counts. `noted`: what its attempts write down of the
/// expectations. Whatever is logged meanwhile carries the run's id.
pub async fn run_once(
    def: &Arc<CheckDef>,
    means: (&Transport, &Memories),
    slot: UnixMs,
    pace: Option<Pace<'_>>,
    noted: Noted,
) -> RunReport {
    let run = RunId::of(&def.id, slot);
    // Of the highest level, so that it stands with every line that is written.
    Box::pin(attempts(def, means, (run, slot), pace, noted)).instrument(error_span!("run", %run, check = %def.id)).await
}

async fn attempts(
    def: &Arc<CheckDef>,
    (transport, memories): (&Transport, &Memories),
    (run, slot): (RunId, UnixMs),
    pace: Option<Pace<'_>>,
    noted: Noted,
) -> RunReport {
    let began = Instant::now();
    let now = || pace.map_or_else(|| slot.plus(began.elapsed()), |p| p.clock.now());
    let deadline = began + def.timeout;
    let mut redactor = Redactor::default();
    let mut again = Again { retries: def.retries, waits: def.retries.max(THROTTLED_WAITS), pauses: Pauses::within(def.timeout) };
    let mut attempts: Vec<Attempt> = Vec::new();
    for number in 0.. {
        let turns = pace.map(|pace| RunTurns { pace, def, deadline });
        let mut context = ProbeContext {
            check: def,
            transport,
            redactor: &mut redactor,
            memory: Memory { all: memories, check: &def.id },
            slot,
            now: now(),
            turns: turns.as_ref().map(|t| t as &dyn Turns),
            deadline: Some(deadline),
        };
        let attempt = attempt(&mut context, (run.attempt(number), noted), began, deadline).await;
        if let Some(pace) = pace {
            pace.budgets.heard(def, &attempt.observed.heard, Instant::now().into_std());
            if let Some(Failure { cause: Some(Cause::RateLimit), retry_after: Some(left), .. }) = &attempt.failure {
                pace.budgets.left_alone(def, pace.clock.now(), *left);
            }
        }
        let pause = attempt.failure.as_ref().and_then(|f| again.pause_after(f));
        attempts.pop_if(|before| before.held_back());
        if attempts.is_empty() || !attempt.held_back() {
            attempts.push(*attempt);
        }
        let Some(pause) = pause.filter(|p| *p < deadline.saturating_duration_since(Instant::now())) else { break };
        sleep(pause).await;
        if let Some(pace) = pace
            && !pace.turn(def, deadline).await
        {
            break;
        }
    }
    RunReport { record: record(def, slot, began.elapsed(), &attempts), attempts }
}

/// In a box: its place would be kept in the run while the attempt still waits.
async fn attempt(context: &mut ProbeContext<'_>, (trace, noted): (TraceParent, Noted), began: Instant, deadline: Instant) -> Box<Attempt> {
    let start = Instant::now();
    let mut observed = Observed { trace: Some(trace), noted, ..Observed::default() };
    let def = context.check;
    let result = match timeout_at(deadline, def.kind.run(context, &mut observed)).await {
        Ok(result) => result,
        Err(_) => Err(deadline_passed(def, &observed)),
    };
    Box::new(Attempt { started_after: start - began, duration: start.elapsed(), observed, failure: result.err() })
}

/// What a deadline means in the step it struck (product.md: waiting that ends nowhere).
fn deadline_passed(def: &CheckDef, observed: &Observed) -> Failure {
    let waiting = match observed.step {
        Step::Prepare => return Failure::ours(Cause::Internal, "the run's deadline passed before anything was sent"),
        Step::Resolve => "for a DNS answer",
        Step::Proxy => return Failure::ours(Cause::Route, "the run's deadline passed while waiting for our own proxy"),
        Step::Connect => "for the connection",
        Step::Tls => "in the TLS handshake",
        Step::Processing => "for the response",
        Step::Transfer => "for the rest of the response's body",
        Step::Judge => "while judging the response",
    };
    // Without a request of its own it waited for the answer to another run's, which asked for the same token.
    let token = if observed.hops.last().is_none_or(|h| h.token) { "token endpoint: " } else { "" };
    let limit = crate::fields::Span(def.timeout);
    Failure::new(observed.step.class(), format!("{token}the deadline of {limit} passed while waiting {waiting}"))
}

impl Again {
    /// How long to wait before another attempt makes sense; `None`: it does not.
    fn pause_after(&mut self, failure: &Failure) -> Option<Duration> {
        let (left, asked) = match (failure.class, failure.retry_after) {
            // Our own fault is no better a moment later, and hides nothing by being said at once.
            (Class::Internal, _) => return None,
            // Asked to wait: exactly that long, or not at all.
            (Class::Throttled, asked) => (&mut self.waits, asked?),
            (_, asked) => (&mut self.retries, asked.unwrap_or_default()),
        };
        *left = left.checked_sub(1)?;
        let pause = self.pauses.pause();
        Some(if failure.class == Class::Throttled && !asked.is_zero() { asked } else { pause.max(asked) })
    }
}

fn record(def: &CheckDef, slot: UnixMs, took: Duration, attempts: &[Attempt]) -> Record {
    let last = attempts.last();
    let failure = last.and_then(|a| a.failure.as_ref());
    if last.is_some_and(Attempt::held_back) {
        // Nobody was asked: that is our choice, and says nothing about the target.
        let interval = u32::try_from(def.every.ms()).unwrap_or(u32::MAX);
        let detail = failure.map(|f| f.detail.clone());
        return Record { detail, ..Record::not_run(def.id.clone(), slot, interval, 1, Cause::RateLimit) };
    }
    let class = failure.map(|f| f.class);
    let outcome = match class {
        None => Outcome::Pass,
        Some(Class::Internal) => Outcome::Unknown,
        Some(Class::Throttled) => Outcome::Throttled,
        Some(_) => Outcome::Fail,
    };
    let integration = &def.integration;
    let attribution = class.map(|c| match c {
        Class::Internal => Attribution::Monitor,
        c => attribute(c, integration.owner, &integration.attribution),
    });
    let earlier = attempts.len().saturating_sub(1);
    let certificates = attempts.iter().rev().find_map(|a| a.observed.certificate_expiry());
    Record {
        check: def.id.clone(),
        vantage: 0,
        slot,
        interval_ms: u32::try_from(def.every.ms()).unwrap_or(u32::MAX),
        count: 1,
        outcome,
        cause: (outcome == Outcome::Unknown).then(|| failure.and_then(|f| f.cause).unwrap_or(Cause::Internal)),
        class,
        attribution,
        duration: DurationCode::of(took),
        attempts: u8::try_from(attempts.len()).unwrap_or(u8::MAX),
        first_attempt_passed: attempts.first().is_some_and(|a| a.failure.is_none()),
        facts: Facts {
            codes: attempts.iter().filter_map(|a| a.observed.status).collect(),
            retries: attempts.iter().take(earlier).filter_map(|a| a.failure.as_ref()).map(|f| f.class).collect(),
            phases: last.map(|a| a.observed.phases().values().map(|p| p.map(DurationCode::of))).unwrap_or_default(),
            certificate_expiry: certificates,
            values: last.map(|a| a.observed.values.clone()).unwrap_or_default(),
            egress_rule: attempts.iter().find_map(|a| a.observed.egress_rule).map(str::to_owned),
            limits: limits(def, attempts),
            retry_after: heard(attempts).filter_map(|h| Some((h.at, h.limits.retry_after?.as_secs()))).last(),
            throttle_wait: None,
            findings: last.and_then(|a| a.observed.findings.clone()),
            document: last.and_then(|a| a.observed.document),
            spoken: last.and_then(|a| a.observed.spoken()).map(|(http, tls)| Spoken { http, tls }),
        },
        detail: failure.map(|f| f.detail.clone()),
    }
}

fn heard(attempts: &[Attempt]) -> impl Iterator<Item = &Heard> {
    attempts.iter().flat_map(|a| &a.observed.heard)
}

/// The last reading of every policy the run was told.
fn limits(def: &CheckDef, attempts: &[Attempt]) -> Vec<Reading> {
    let own = def.host.as_deref();
    let mut all: Vec<Reading> = Vec::new();
    for h in heard(attempts) {
        let prefix = match h.token {
            true => "token/".to_owned(),
            false if own == Some(h.host.as_str()) => String::new(),
            false => format!("{}/", bounded(&h.host, 64)),
        };
        for reading in ratelimit::readings(&h.limits, &prefix, h.at) {
            match all.iter().position(|r| r.policy == reading.policy) {
                Some(n) => all[n] = reading,
                None if all.len() < ratelimit::MOST_READINGS => all.push(reading),
                None => {}
            }
        }
    }
    all
}
