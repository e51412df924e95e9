//! Judges what an endpoint answered: to the message itself, as a sender would, and to one it had to refuse.

use http::StatusCode;

use super::WebhookCheck;
use crate::fields::Span;
use crate::finding::webhook::END_01;
use crate::finding::{Finding, Findings};
use crate::observed::{Expectation, Failure, Observed, bounded};
use crate::outcome::Class;
use crate::secret::Redactor;
use crate::transport::{Answer, status};

/// What was seen is shown to this length.
const MAX_SEEN: usize = 200;

/// Writes an expectation down, with what was seen.
pub(super) fn note(expected: &str, seen: &str, met: bool, class: Class, redactor: &Redactor, observed: &mut Observed) {
    let text = |t: &str| bounded(redactor.clean(t), MAX_SEEN);
    observed.expectations.push(Expectation { expected: text(expected), seen: text(seen), met, class });
}

/// A status in words: `410 (Gone)`.
pub(super) fn status_words(code: StatusCode) -> String {
    let reason = code.canonical_reason().map(|r| format!(" ({r})")).unwrap_or_default();
    format!("{}{reason}", code.as_u16())
}

/// Whether the message counts as taken.
pub(super) fn is_taken(check: &WebhookCheck, answer: &Answer) -> bool {
    check.status.iter().any(|r| (r.from..=r.to).contains(&answer.status.as_u16())) && !answer.limits.throttled
}

/// How an answer that is none of those expected fails. Where it asks for room, the budgets hear of it too.
pub(super) fn refusal(check: &WebhookCheck, answer: &Answer, observed: &mut Observed) -> Failure {
    let (mut class, mut wait) = status::refusal(answer.status, &answer.limits, answer.dialect);
    let host = check.url.shown_host();
    let code = answer.status.as_u16();
    let mut says = String::new();
    match code {
        300..=399 => {
            class = Class::Redirect;
            says.push_str("; senders follow no redirect");
        }
        // To a sender of webhooks these say: slow down (Standard Webhooks). With a time they are taken at their word.
        502 | 504 if !answer.limits.throttled && answer.limits.retry_after.is_some() => {
            class = Class::Throttled;
            if let Some(heard) = observed.heard.last_mut() {
                heard.limits.throttled = true;
                heard.stay_away = heard.limits.stay_away(answer.dialect);
                wait = heard.stay_away;
            }
        }
        502 | 504 => says.push_str("; to senders that means: slow down"),
        410 => says.push_str("; senders disable the endpoint"),
        _ => {}
    }
    if let Some(wait) = wait {
        says.push_str(&format!("; asks to wait {}", Span(wait)));
    }
    let detail = format!("{host} answered {}{says}", status_words(answer.status));
    Failure { retry_after: wait, answered: true, ..Failure::new(class, detail) }
}

/// Judges the answer to the message itself: status, then time.
pub(super) fn taken(check: &WebhookCheck, answer: &Answer, redactor: &Redactor, observed: &mut Observed) -> Result<(), Failure> {
    let all: Vec<String> = check.status.iter().map(ToString::to_string).collect();
    let expected = format!("status is {}", all.join(" or "));
    let met = is_taken(check, answer);
    let failure = (!met).then(|| refusal(check, answer, observed));
    let class = failure.as_ref().map_or(Class::Assertion, |f| f.class);
    note(&expected, &status_words(answer.status), met, class, redactor, observed);
    if let Some(mut failure) = failure {
        if answer.status == StatusCode::GONE {
            let finding = END_01.found("it answers 410");
            failure.detail = format!("{}: {}", finding.id, failure.detail);
            observed.findings = Some(Findings::partial(vec![finding]));
        } else {
            failure.detail = format!("{}; expected: {expected}", failure.detail);
        }
        return Err(failure);
    }
    if let Some(within) = check.within {
        let seen = match u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX) {
            0 => "less than 1ms".to_owned(),
            ms => Span(std::time::Duration::from_millis(ms)).to_string(),
        };
        let (words, met) = (format!("answers within {within}"), answer.took <= within.0);
        note(&words, &seen, met, Class::Slow, redactor, observed);
        if !met {
            return Err(Failure { answered: true, ..Failure::new(Class::Slow, format!("expected: {words}; seen: {seen}")) });
        }
    }
    Ok(())
}

/// The failure by what a round found; every wrong message that was taken is named.
pub(super) fn failure(found: &[Finding]) -> Option<Failure> {
    let accepted: Vec<&str> = found.iter().filter(|f| f.class == Class::Signature).map(|f| f.detail.as_str()).collect();
    if accepted.is_empty() {
        return crate::probe::document::failure(found);
    }
    Some(Failure { answered: true, ..Failure::new(Class::Signature, accepted.join("; ")) })
}
