//! May hypercare end? The criteria, each with what was observed, and the answer. Where too little time has gone by, or something is not known, it is
//! `not_yet`: never ready on missing data.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::history::History;
use super::numbers::{budget_since, numbers, start};
use super::policy::Policy;
use crate::clock::{DAY_MS, UnixMs};
use crate::incident::{Incident, Severity};
use crate::outcome::closed_set;

closed_set! {
    /// The answer, the worst last.
    Answer {
        /// Hypercare may end.
        ReadyForHandoff => "ready_for_handoff",
        /// Too early, or something could not be decided.
        NotYet => "not_yet",
        /// A criterion is not met.
        NotReady => "not_ready",
    }
}

closed_set! {
    /// What must hold, in the order in which it is shown.
    Criterion {
        /// The window has gone by since go-live.
        Window => "window",
        /// No P1 in the window.
        P1 => "p1_incidents",
        /// P2 in the window, at most so many.
        P2 => "p2_incidents",
        /// No incident is open.
        Open => "open_incidents",
        /// Passing runs over runs.
        SuccessRatio => "success_ratio",
        /// Runs that were made over runs that were due.
        Coverage => "coverage",
        /// Nothing ends soon.
        Expiring => "expiring",
        /// Error budget of the last 30 days.
        Budget => "error_budget",
    }
}

closed_set! {
    /// What ends.
    What {
        /// A certificate of TLS.
        Certificate => "tls_certificate",
        /// A certificate that signs what a document says.
        SigningCertificate => "signing_certificate",
        /// A document, by its `validUntil`.
        Metadata => "metadata",
        /// A client secret, as far as its end is written down.
        ClientSecret => "client_secret",
        /// A waiver of the configuration. Shown; it holds nothing back.
        Waiver => "waiver",
    }
}

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "HypercareExpiry")]
pub struct Expiry {
    /// What.
    pub what: What,
    /// Of which check, or which criterion is waived.
    pub of: String,
    /// When.
    pub at: String,
    /// The same, to compare.
    #[serde(skip)]
    pub at_ms: i64,
}

impl Expiry {
    /// Something that ends at a time.
    pub fn new(what: What, of: &str, at: UnixMs) -> Self {
        Self { what, of: of.to_owned(), at: at.to_string(), at_ms: at.0 }
    }
}

/// What an integration is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Now.
    pub now: UnixMs,
    /// When it went live.
    pub go_live: UnixMs,
    /// What is asked for.
    pub policy: &'a Policy,
    /// Throttled runs are neither numerator nor denominator.
    pub throttled_excluded: bool,
    /// Its checks.
    pub checks: &'a [History],
    /// Its incidents; `None`: nobody knows whether there were any.
    pub incidents: Option<&'a [Arc<Incident>]>,
    /// What ends, the earliest first; `None`: it is not known what was known then.
    pub expiries: Option<&'a [Expiry]>,
}

/// A criterion, and what was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HypercareRow")]
pub struct Row {
    /// Which.
    pub name: Criterion,
    /// What is asked for.
    pub threshold: Value,
    /// What was seen; null: nothing.
    pub observed: Value,
    /// Whether it is met; null: it can't be decided.
    pub met: Option<bool>,
    /// In words.
    pub reason: String,
}

/// Judges every criterion. The answer is that of the worst, but before the window has gone by it is `not_yet` whatever the others say.
pub fn exit(given: &Given<'_>) -> (Answer, Vec<Row>) {
    let rows: Vec<Row> = Criterion::ALL.iter().map(|c| row(*c, given)).collect();
    let early = rows.iter().any(|r| r.name == Criterion::Window && r.met != Some(true));
    let answer = match () {
        () if early => Answer::NotYet,
        () if rows.iter().any(|r| r.met == Some(false)) => Answer::NotReady,
        () if rows.iter().any(|r| r.met.is_none()) => Answer::NotYet,
        () => Answer::ReadyForHandoff,
    };
    (answer, rows)
}

fn row(name: Criterion, given: &Given<'_>) -> Row {
    let (threshold, observed, met, reason) = match name {
        Criterion::Window => window(given),
        Criterion::P1 => of_severity(given, Severity::P1, 0),
        Criterion::P2 => of_severity(given, Severity::P2, given.policy.p2),
        Criterion::Open => open(given),
        Criterion::SuccessRatio => success_ratio(given),
        Criterion::Coverage => coverage(given),
        Criterion::Expiring => expiring(given),
        Criterion::Budget => error_budget(given),
    };
    Row { name, threshold, observed, met, reason }
}

type Judged = (Value, Value, Option<bool>, String);

/// `99.83 %`, cut and not rounded.
fn percent(share: f64) -> String {
    crate::soak::percent(share)
}

fn begins(given: &Given<'_>) -> UnixMs {
    start(given.now, given.policy.window.ms(), given.go_live)
}

fn window(given: &Given<'_>) -> Judged {
    let over = given.go_live.plus(given.policy.window.0);
    let days = given.now.0.saturating_sub(given.go_live.0).div_euclid(DAY_MS);
    let met = given.now >= over;
    let reason = if met {
        format!("it went live {}, {days} days ago", given.go_live)
    } else {
        format!("{} after go-live are over on {over}", given.policy.window)
    };
    (json!(given.policy.window.to_string()), json!(format!("{days}d")), met.then_some(true), reason)
}

const UNKNOWN: &str = "nobody knows whether there were any";

fn of_severity(given: &Given<'_>, severity: Severity, most: u32) -> Judged {
    let Some(all) = given.incidents else { return (json!(most), Value::Null, None, UNKNOWN.to_owned()) };
    // Those that began before go-live count if they reached into the window.
    let n = all.iter().filter(|i| i.severity == severity && i.touches(begins(given), given.now)).count();
    let reason = format!("{n} of severity {severity} since {}, at most {most} may be", begins(given));
    (json!(most), json!(n), Some(n <= most as usize), reason)
}

fn open(given: &Given<'_>) -> Judged {
    let Some(all) = given.incidents else { return (json!(0), Value::Null, None, UNKNOWN.to_owned()) };
    let open: Vec<&str> = all.iter().filter(|i| i.is_open()).map(|i| i.id.as_str()).collect();
    let reason = if open.is_empty() { "no incident is open".to_owned() } else { format!("open: {}", open.join(", ")) };
    (json!(0), json!(open.len()), Some(open.is_empty()), reason)
}

/// Whether every judged check has what is asked for; one of which nothing is known leaves it open.
fn all_known(given: &Given<'_>, of: impl Fn(&History) -> Option<f64>) -> Result<(), String> {
    let mut judged = given.checks.iter().filter(|c| c.judged).peekable();
    if judged.peek().is_none() {
        return Err("no check is judged".to_owned());
    }
    match judged.find(|c| of(c).is_none()) {
        Some(c) => Err(format!("{}: nothing was counted since {}", c.check.check(), begins(given))),
        None => Ok(()),
    }
}

fn at_least(asked: f64, seen: Option<f64>, known: Result<(), String>, words: impl FnOnce(f64) -> String) -> Judged {
    let observed = seen.map_or(Value::Null, |x| json!(x));
    match (seen, known) {
        (Some(x), _) if x < asked => (json!(asked), observed, Some(false), words(x)),
        (_, Err(why)) => (json!(asked), observed, None, why),
        (Some(x), Ok(())) => (json!(asked), observed, Some(true), words(x)),
        (None, Ok(())) => (json!(asked), observed, None, "nothing was counted".to_owned()),
    }
}

fn success_ratio(given: &Given<'_>) -> Judged {
    let from = begins(given);
    let n = numbers(given.checks, from, given.throttled_excluded);
    let known = all_known(given, |c| c.since(from).success_ratio(given.throttled_excluded));
    let asked = given.policy.success_ratio.0;
    let check = n.worst_check.unwrap_or_default();
    at_least(asked, n.success_ratio, known, |x| {
        format!("{check}: {} of the runs since {from} passed, {} is asked for", percent(x), percent(asked))
    })
}

fn coverage(given: &Given<'_>) -> Judged {
    let from = begins(given);
    let n = numbers(given.checks, from, given.throttled_excluded);
    let known = all_known(given, |c| c.coverage(from));
    let asked = given.policy.coverage.0;
    let check = n.least_covered.unwrap_or_default();
    at_least(asked, n.coverage, known, |x| {
        format!("{check}: {} of what was due since {from} was run, {} is asked for", percent(x), percent(asked))
    })
}

fn expiring(given: &Given<'_>) -> Judged {
    let asked = given.policy.expiring;
    let until = given.now.plus(asked.0);
    let Some(known) = given.expiries else {
        return (json!(asked.to_string()), Value::Null, None, "what was known of it then is not known any more".to_owned());
    };
    let ends: Vec<&Expiry> = known.iter().filter(|e| e.what != What::Waiver).collect();
    let observed = ends.iter().map(|e| e.at_ms).min().map_or(Value::Null, |ms| json!(UnixMs(ms).to_string()));
    let soon: Vec<String> = ends.iter().filter(|e| e.at_ms < until.0).map(|e| format!("{} of {} on {}", e.what, e.of, e.at)).collect();
    let seen = given.checks.iter().any(|c| c.judged && c.since(begins(given)).pass > 0);
    let (met, reason) = match (soon.is_empty(), ends.is_empty()) {
        (false, _) => (Some(false), format!("ends within {asked}: {}", soon.join("; "))),
        (true, false) => (Some(true), format!("nothing that was seen ends within {asked}")),
        // A run that passed saw all there is.
        (true, true) if seen => (Some(true), "nothing that ends was seen".to_owned()),
        (true, true) => (None, "no run passed, so nothing that ends was seen".to_owned()),
    };
    (json!(asked.to_string()), observed, met, reason)
}

fn error_budget(given: &Given<'_>) -> Judged {
    let from = start(given.now, 30 * DAY_MS, given.go_live);
    let asked = given.policy.budget.0;
    let known = all_known(given, |c| c.since(from).success_ratio(given.throttled_excluded));
    let budget = budget_since(given.checks, from, given.policy.success_ratio.0, given.throttled_excluded);
    let observed = budget.as_ref().map_or(Value::Null, |b| json!(b.left));
    let met = match (&budget, &known) {
        (Some(b), _) if b.left <= asked => Some(false),
        (Some(_), Ok(())) => Some(true),
        _ => None,
    };
    let reason = match (budget, known) {
        (Some(b), _) if met.is_some() => {
            let left = if b.left < 0.0 { "nothing".to_owned() } else { percent(b.left) };
            format!(
                "{}: {} runs since {from} did not pass, {:.1} may: {left} is left, more than {} is asked for",
                b.check,
                b.used,
                b.allowed,
                percent(asked)
            )
        }
        (_, Err(why)) => why,
        _ => "nothing was counted".to_owned(),
    };
    (json!(asked), observed, met, reason)
}
