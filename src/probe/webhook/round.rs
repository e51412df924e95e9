//! What is done now and then beside delivering: the same message again, and messages that must be refused. When it was last done is remembered, so that
//! a restart does not repeat it; while something is wrong, it is done at every run, so that every run tells what is so now.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::{Sender, Variant};
use super::{WebhookCheck, answer, effect, message_id};
use crate::clock::UnixMs;
use crate::finding::webhook::{ERR_01, REP_01, REP_02, SIG_01, SIG_02, SIG_03, SIG_04};
use crate::finding::{Finding, Findings, Level, Rule, sorted};
use crate::hex;
use crate::observed::{Failure, Observed, Step};
use crate::outcome::{Cause, Class};
use crate::probe::ProbeContext;
use crate::transport::{Options, Request};

pub(super) use super::answer::failure;

/// How the rules begin that only a round can judge.
pub(super) const RULES: [&str; 3] = ["HOOK-SIG", "HOOK-REP", "HOOK-ERR"];

/// What a check remembers of its last round.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Of what was asked, and of whom: another question is asked at once.
    asked: String,
    /// The slot of the run that did it, in milliseconds.
    at: i64,
    /// Something was wrong.
    open: bool,
}

/// What a round asks, and whom.
fn asked(check: &WebhookCheck) -> String {
    let words: Vec<&str> = check.reject.iter().map(|v| v.as_str()).collect();
    let text = format!("{} {} {} {:?}", check.url.url(), words.join(" "), check.replay, check.effect.as_ref().map(|e| e.path.source()));
    hex::sha256(text.as_bytes()).chars().take(16).collect()
}

/// Whether this run does it.
pub(super) fn is_due(check: &WebhookCheck, context: &ProbeContext<'_>) -> bool {
    let kept = context.memory.recall().and_then(|text| serde_json::from_str::<Kept>(&text).ok());
    let fresh = |k: &Kept| {
        let age = context.slot.0 - k.at;
        // A clock that was set back makes nothing fresh for longer. An attempt after one that found nothing asks nothing again.
        k.asked == asked(check) && !k.open && (0..check.reject_every.ms()).contains(&age)
    };
    !kept.as_ref().is_some_and(fresh)
}

async fn remember(check: &WebhookCheck, open: bool, at: UnixMs, context: &ProbeContext<'_>) -> Result<(), Failure> {
    let ours = |why: &dyn std::fmt::Display| Failure::ours(Cause::Internal, format!("what was tested can't be remembered: {why}"));
    let text = serde_json::to_string(&Kept { asked: asked(check), at: at.0, open }).map_err(|e| ours(&e))?;
    context.memory.remember(text).await.map_err(|e| ours(&e))
}

/// The rule that a wrong message breaks where it is taken.
fn rule(variant: Variant) -> Option<&'static Rule> {
    match variant {
        Variant::Genuine => None,
        Variant::Tampered => Some(&SIG_01),
        Variant::Stale => Some(&SIG_02),
        Variant::WrongSecret => Some(&SIG_03),
        Variant::Unsigned => Some(&SIG_04),
    }
}

/// What a wrong message is called.
fn words(variant: Variant) -> &'static str {
    match variant {
        Variant::Genuine => "the message",
        Variant::Tampered => "a tampered message",
        Variant::Stale => "a stale message, a day old",
        Variant::WrongSecret => "a message signed with a wrong secret",
        Variant::Unsigned => "an unsigned message",
    }
}

/// Does all of it. An error: it could not be done to its end, and is due again; what was found by then stands in `observed`.
pub(super) async fn run(
    check: &WebhookCheck,
    (sender, options): (&Sender<'_>, &Options),
    (id, first): (&str, Request),
    context: &mut ProbeContext<'_>,
    observed: &mut Observed,
) -> Result<Vec<Finding>, Failure> {
    let mut found = Vec::new();
    let done = async {
        if check.replay {
            replay(check, options, (id, first), context, observed, &mut found).await?;
        }
        for variant in &check.reject {
            reject(check, *variant, (sender, options), context, observed, &mut found).await?;
        }
        Ok(())
    };
    if let Err(failure) = done.await {
        observed.findings = Some(Findings::whole(found).but(RULES));
        return Err(failure);
    }
    let open = found.iter().any(|f: &Finding| f.level == Level::Fail);
    remember(check, open, context.slot, context).await?;
    Ok(sorted(found))
}

/// Waits until the pace of the check's host allows one more request.
pub(super) async fn turn(context: &ProbeContext<'_>, observed: &mut Observed) -> Result<(), Failure> {
    observed.step = Step::Prepare;
    context.turn(observed.hops.len()).await
}

/// The same message once more, byte for byte: it is taken, and does nothing.
async fn replay(
    check: &WebhookCheck,
    options: &Options,
    (id, first): (&str, Request),
    context: &mut ProbeContext<'_>,
    observed: &mut Observed,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let before = match &check.effect {
        Some(e) => Some(Box::pin(effect::read(e, id, options, context, observed)).await?),
        None => None,
    };
    turn(context, observed).await?;
    let again = Box::pin(context.transport.exchange(&first, options, None, context.redactor, observed)).await?;
    let met = answer::is_taken(check, &again);
    let seen = answer::status_words(again.status);
    answer::note("the same message again is taken", &seen, met, Class::Assertion, context.redactor, observed);
    if !met {
        let failure = answer::refusal(check, &again, observed);
        if failure.class == Class::Throttled {
            return Err(failure);
        }
        found.push(REP_01.found(format!("the same message again was answered {seen}")));
    }
    let (Some(e), Some(before)) = (&check.effect, before) else { return Ok(()) };
    let after = Box::pin(effect::read(e, id, options, context, observed)).await?;
    let met = before == after;
    let (path, shown) = (e.path.source(), |v: &Value| context.redactor.clean(&short(v)));
    let seen = format!("{} before, {} after", shown(&before), shown(&after));
    let expected = format!("the same message again does not change {path}");
    answer::note(&expected, &seen, met, Class::Assertion, context.redactor, observed);
    if !met {
        found.push(REP_02.found(format!("the same message had a second effect: {path} is {seen}")));
    }
    Ok(())
}

/// One message that must be refused.
async fn reject(
    check: &WebhookCheck,
    variant: Variant,
    (sender, options): (&Sender<'_>, &Options),
    context: &mut ProbeContext<'_>,
    observed: &mut Observed,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    // An id of its own: a receiver may answer 2xx to an id it knows before it looks at anything else.
    let id = message_id(context, variant.as_str());
    let request = sender.message(variant, &id, context.now, context.redactor)?;
    let expected = format!("{} is refused", words(variant));
    turn(context, observed).await?;
    let answered = match Box::pin(context.transport.exchange(&request, options, None, context.redactor, observed)).await {
        Ok(answered) => answered,
        // Who hangs up takes nothing.
        Err(failure) if failure.class == Class::Protocol => {
            answer::note(&expected, "the connection was closed", true, Class::Signature, context.redactor, observed);
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    if answered.limits.throttled {
        return Err(answer::refusal(check, &answered, observed));
    }
    let accepted = answered.status.is_success();
    let seen = answer::status_words(answered.status);
    answer::note(&expected, &seen, !accepted, Class::Signature, context.redactor, observed);
    if accepted {
        found.extend(rule(variant).map(|r| r.found(format!("accepts {} (answered {seen})", words(variant)))));
    } else if answered.status.is_server_error() {
        found.push(ERR_01.found(format!("answers {seen} to {}", words(variant))));
    }
    Ok(())
}

/// A value in a few words.
fn short(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(entries) => format!("an object of {}", entries.len()),
        other => crate::fields::bounded(other.to_string(), 60),
    }
}
