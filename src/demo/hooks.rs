//! The stories about webhooks: endpoints that take signed messages, one that judges them and one that only looks whether they are signed.

use serde_json::json;

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
