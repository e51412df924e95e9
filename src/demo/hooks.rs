//! The stories about webhooks: endpoints that take signed messages, one that judges them and one that only looks whether they are signed; and systems that
//! answer a request and then send us a message about it, one as it should, one twice.

use serde_json::{Value, json};

use super::senders::{Message, PROOFS_SECRET, REFERRALS_SECRET};
use super::stories::{Answer, Ask};
use crate::secret::SecretValue;
use crate::webhook::{Headers, Reason, Request, Scheme, verify};

/// What messages to the patients' appointments are signed with.
pub const APPOINTMENTS_SECRET: &str = "whsec_ZGVtby1hcHBvaW50bWVudHMtNDhiMWMyZDk=";
/// What messages to the parcels' system are signed with.
pub const PARCELS_SECRET: &str = "whsec_ZGVtby1wYXJjZWxzLWE3MjAzZmQxLTk5MGI=";

/// Why a message is to be refused; `None`: it is authentic and of now.
fn judged(ask: &Ask<'_>, secret: &str) -> Option<Reason> {
    let headers = ask.headers.map(Headers::from).unwrap_or_default();
    // Only schemes that sign the address need it.
    let request = Request { method: "POST", url: "", headers: &headers, body: ask.body.as_bytes() };
    let scheme = Scheme::named("standard-webhooks")?;
    verify(scheme, &[SecretValue::new(secret)], &request, ask.now, &|_| false).reason
}

fn answer(refused: Option<Reason>) -> Answer {
    match refused {
        None => Answer::json(&json!({ "accepted": true })),
        Some(_) => Answer::error(401, "not accepted"),
    }
}

/// Takes what is authentic and of now, as often as it comes.
pub(super) fn appointments(ask: &Ask<'_>) -> Answer {
    answer(judged(ask, APPOINTMENTS_SECRET))
}

/// Looks whether there is a signature, and how old it is; the comparison was left out for a test and never put back.
pub(super) fn parcels(ask: &Ask<'_>) -> Answer {
    answer(judged(ask, PARCELS_SECRET).filter(|reason| *reason != Reason::BadSignature))
}

/// Takes a referral, and says a moment later that it was accepted.
pub(super) fn referrals(ask: &Ask<'_>) -> Answer {
    let told = told(ask, "borealis/production/referral-letters", REFERRALS_SECRET);
    accepted(told.into_iter().collect())
}

/// Takes an order, and reports its delivery twice: two workers take the same job from the queue.
pub(super) fn deliveries(ask: &Ask<'_>) -> Answer {
    let told = told(ask, "dunlin/staging/proof-of-delivery", PROOFS_SECRET);
    accepted(told.into_iter().flat_map(|m| [m.clone(), m]).collect())
}

fn accepted(messages: Vec<Message>) -> Answer {
    if messages.is_empty() {
        return Answer::error(400, "expected a reference");
    }
    Answer { status: 202, messages, ..Answer::json(&json!({ "accepted": true })) }
}

/// The message about a request: it names the reference that the request had.
fn told(ask: &Ask<'_>, to: &'static str, secret: &'static str) -> Option<Message> {
    let request: Value = serde_json::from_str(ask.body).ok()?;
    let body = json!({ "type": "accepted", "data": { "reference": request["reference"].as_str()? } }).to_string();
    Some(Message { to, scheme: "standard-webhooks", secret, id: format!("demo-{}-{}", ask.started.0, ask.before), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_reference_sets_its_messages_off() {
        let sent = |story: fn(&Ask<'_>) -> Answer, body: &str| {
            let answer = story(&Ask { body, ..Ask::default() });
            (answer.status, answer.messages.into_iter().map(|m| (m.id, m.body)).collect::<Vec<_>>())
        };
        let asked = "{\"reference\": \"r-1\"}";
        let (status, one) = sent(referrals, asked);
        assert!(status == 202 && one.len() == 1 && one[0].1.contains("\"reference\":\"r-1\""), "{one:?}");
        let (status, two) = sent(deliveries, asked);
        assert!(status == 202 && two.len() == 2 && two[0] == two[1], "the same message again: {two:?}");
        assert_eq!(sent(referrals, "{}"), (400, Vec::new()));
    }
}
