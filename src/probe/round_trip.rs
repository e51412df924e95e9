//! The kind `round_trip`: a request that makes the customer's system send a message to our receiver, and that message.
//!
//! Each run puts an id of its own into the request and waits for an authentic message that names it. Like every kind it runs once; waiting for what it set off is
//! part of the run, within its deadline. What the request itself does wrong keeps its own class: a callback is only missed once the trigger was accepted.
//!
//! ```toml
//! [integration.check.round_trip]
//! scheme      = "standard-webhooks"
//! secrets     = { env = "ACME_HOOK_SECRET" }
//! correlation = "$.data.reference"
//! trigger     = { url = "https://api.example.com/v1/orders", body = { json = { reference = "{correlation}" } } }
//! ```

use http::HeaderName;
use tokio::time::{Instant, timeout_at};

use super::ProbeContext;
use super::http::{HttpCheck, Path};
use super::material::Material;
use super::receiving::Receiving;
use super::webhook_arrival::json_path;
use crate::callbacks::{Callback, Proof, Waiting};
use crate::config::table::Table;
use crate::fields::Span;
use crate::hex::Hex;
use crate::observed::{Expectation, Failure, Observed, Step};
use crate::outcome::{Cause, Class};

/// What stands for the id in the request.
const PLACEHOLDER: &str = "{correlation}";
/// What ids of runs begin with.
pub const ID_PREFIX: &str = "soakwatch-";
/// Unless `deadline` is written.
const DEADLINE: Span = Span::seconds(5);
/// So long may the trigger take, where no timeout is written.
const TRIGGER: std::time::Duration = std::time::Duration::from_secs(5);
/// So much of the run's own deadline is left for saying that nothing came.
const RESERVE: std::time::Duration = std::time::Duration::from_millis(100);

/// Where a message names the id.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    /// `correlation`: in its JSON body.
    Body(Path),
    /// `correlation_header`.
    Header(HeaderName),
}

/// A round trip, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundTripCheck {
    /// Who may send the message.
    pub receiving: Receiving,
    /// `trigger`: the request, as in the kind `http`.
    pub trigger: HttpCheck,
    /// `correlation` or `correlation_header`.
    pub named: Named,
    /// `deadline`: how long after the trigger's answer the message may come.
    pub deadline: Span,
    /// `within`: how long after the trigger was sent it should have come.
    pub within: Option<Span>,
    /// `settle`: how long others are waited for after it.
    pub settle: Span,
    /// `once`: another message for the same id is a failure.
    pub once: bool,
    /// `sequence`: where messages are numbered; a lower number after a higher one is a failure.
    pub sequence: Option<Path>,
}

impl RoundTripCheck {
    /// Reads the kind's table.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let receiving = Receiving::read(&mut t);
        if t.lacks("trigger") {
            t.missing("trigger", "the request that sets the message off, { url = \"https://...\", ... }");
        }
        let trigger = t.table("trigger").and_then(HttpCheck::read);
        let named = read_named(&mut t);
        let deadline = t.between("deadline", Span::seconds(1), Span::seconds(600)).unwrap_or(DEADLINE);
        let within = t.between("within", Span(std::time::Duration::from_millis(10)), Span::seconds(600));
        let settle = t.between("settle", Span::seconds(0), Span::seconds(60)).unwrap_or(Span::seconds(0));
        let once = t.or("once", false);
        let sequence = json_path(&mut t, "sequence");
        if (once || sequence.is_some()) && settle == Span::seconds(0) {
            let key = if once { "once" } else { "sequence" };
            t.problem(key, "needs time in which other messages may come", "expected settle, such as \"1s\"");
        }
        if trigger.as_ref().is_some_and(|c| !c.filled(PLACEHOLDER, "").1) {
            t.problem(
                "trigger",
                "holds no {correlation}",
                "expected it in a header, a query parameter or the body, so that the message can be told from others",
            );
        }
        t.finish();
        Some(Self { receiving: receiving?, trigger: trigger?, named: named?, deadline, within, settle, once, sequence })
    }

    /// What of it is judged.
    pub fn material(&self) -> Material {
        let mut m = self.receiving.material();
        m.below("trigger", self.trigger.material());
        match &self.named {
            Named::Body(path) => m.say("correlation", path.source()),
            Named::Header(name) => m.say("correlation_header", name),
        }
        m.unless(&DEADLINE, "deadline", &self.deadline);
        m.unless(&Span::seconds(0), "settle", &self.settle);
        m.unless(&false, "once", &self.once);
        if let Some(within) = self.within {
            m.say("within", &within);
        }
        if let Some(path) = &self.sequence {
            m.say("sequence", path.source());
        }
        m
    }

    /// The timeout where none is written: what is waited for, and time for the trigger.
    pub fn usual_timeout(&self) -> Span {
        Span(TRIGGER + self.deadline.0 + self.settle.0)
    }

    /// Runs once.
    pub async fn run(&self, context: &mut ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
        let callbacks = context.memory.all.callbacks.clone();
        if !callbacks.listening() {
            return Err(Failure::ours(Cause::Internal, "no receiver listens in this process: round trips are run by the daemon"));
        }
        let began = Instant::now();
        let id = fresh_id()?;
        let mut waiting = callbacks.wait(&context.check.id, &id);
        let (trigger, _) = self.trigger.filled(PLACEHOLDER, &id);
        trigger.run(context, observed).await?;
        observed.step = Step::Judge;
        let end = context.deadline.unwrap_or(began + context.check.timeout);
        let last = end.checked_sub(RESERVE).unwrap_or(end);
        let asked = Instant::now();
        let until = (asked + self.deadline.0).min(last);
        let mut first = self.first(&mut waiting, until).await;
        if let Err(failure) = &mut first
            && failure.class == Class::Missing
            && until == last
        {
            let left = last.saturating_duration_since(asked).as_secs_f64();
            failure.detail.push_str(&format!(", of which timeout left {left:.1} s"));
        }
        let expected = format!("an authentic message names the run's id within {}", self.deadline);
        let (seen, class) = first.as_ref().map_or_else(|f| (f.detail.clone(), f.class), |_| ("it came".into(), Class::Missing));
        observed.expectations.push(Expectation { expected, seen, met: first.is_ok(), class });
        let first = first?;
        let delay = first.at.saturating_duration_since(began.into_std());
        observed.values.push(("callback_delay_seconds".into(), delay.as_secs_f64()));
        let (more, disordered) = self.others(&mut waiting, &first, (Instant::now() + self.settle.0).min(last)).await;
        if self.settle > Span::seconds(0) {
            observed.values.push(("callback_duplicates".into(), f64::from(more)));
        }
        self.judge(delay, more, disordered)
    }

    async fn first(&self, waiting: &mut Waiting, until: Instant) -> Result<Callback, Failure> {
        let (mut forged, mut stale) = (0u32, 0u32);
        while let Ok(Some(callback)) = timeout_at(until, waiting.next()).await {
            match callback.proof {
                Proof::Authentic => return Ok(callback),
                Proof::Stale => stale += 1,
                Proof::Forged => forged += 1,
            }
        }
        let deadline = self.deadline;
        Err(match (forged, stale) {
            (0, 0) => {
                Failure::new(Class::Missing, format!("the trigger was accepted, but no message that names its id came within {deadline}"))
            }
            (0, n) => Failure::new(Class::Slow, format!("{n} messages named the run's id, but were stamped too long ago or in the future")),
            (n, _) => Failure::new(Class::Signature, format!("{n} messages named the run's id, but none of the secrets made them")),
        })
    }

    /// How many came besides the first, and whether a number fell.
    async fn others(&self, waiting: &mut Waiting, first: &Callback, until: Instant) -> (u32, bool) {
        let (mut more, mut highest, mut disordered) = (0, first.number, false);
        while let Ok(Some(callback)) = timeout_at(until, waiting.next()).await {
            if callback.proof != Proof::Authentic {
                continue;
            }
            // Numbered messages are steps of one story; only the same step again is a duplicate.
            if callback.duplicate || callback.number.is_none() || callback.number == highest {
                more += 1;
            }
            disordered |= callback.number < highest && callback.number.is_some();
            highest = highest.max(callback.number);
        }
        (more, disordered)
    }

    fn judge(&self, delay: std::time::Duration, more: u32, disordered: bool) -> Result<(), Failure> {
        if disordered {
            return Err(Failure::new(Class::Mismatch, "a message with a lower number came after one with a higher number"));
        }
        if self.once && more > 0 {
            return Err(Failure::new(Class::Assertion, format!("the message came {} times; expected it once", more + 1)));
        }
        match self.within {
            Some(within) if delay > within.0 => {
                Err(Failure::new(Class::Slow, format!("the message came after {:.1} s; expected within {within}", delay.as_secs_f64())))
            }
            _ => Ok(()),
        }
    }
}

fn read_named(t: &mut Table<'_>) -> Option<Named> {
    let body = json_path(t, "correlation").map(Named::Body);
    let header: Option<String> = t.opt("correlation_header");
    let header = header.and_then(|name| match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Some(Named::Header(name)),
        Err(_) => {
            t.problem(
                "correlation_header",
                format!("{} is not a header's name", t.shown("correlation_header")),
                "expected a name such as \"X-Request-Id\"",
            );
            None
        }
    });
    match (t.has("correlation"), t.has("correlation_header")) {
        (false, false) => t.missing("correlation", "where a message names the id, such as \"$.data.reference\", or correlation_header"),
        (true, true) => t.problem("correlation_header", "stands beside correlation", "expected one of them"),
        _ => {}
    }
    body.or(header)
}

/// Nobody can guess it, so nobody can answer for a run beforehand.
fn fresh_id() -> Result<String, Failure> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::ours(Cause::Internal, "the system gave no random bytes"))?;
    Ok(format!("{ID_PREFIX}{}", Hex(&bytes)))
}
