//! What of a webhook check is judged: the message that is sent, and what must come of it.
//!
//! Every field is named, so that a new one must be placed here: said, or left out on purpose.

use http::HeaderName;
use serde_json::json;

use super::message::BODY;
use super::{CloudEvent, Effect, Signing, WebhookCheck};
use crate::fields::Span;
use crate::probe::http::{Given, StatusRange};
use crate::probe::material::Material;

/// A secret, wherever it comes from: it may move and change.
const SECRET: &str = "secret";
/// What passes where `status` is not written.
const ANY_2XX: [StatusRange; 1] = [StatusRange { from: 200, to: 299 }];
/// How long the receiver may take where `settle` is not written.
const NO_TIME: Span = Span::seconds(0);

/// What is judged.
pub(super) fn of(check: &WebhookCheck) -> Material {
    // Secrets may be rotated, and how often it is tested decides about no run.
    let WebhookCheck {
        url,
        signing,
        secrets: _,
        body,
        headers,
        cloudevents,
        ca,
        own,
        status,
        within,
        reject,
        replay,
        effect,
        reject_every: _,
    } = check;
    let mut m = Material::default();
    m.say("url", url.url());
    match signing {
        Signing::Scheme(scheme) => m.say("scheme", scheme.name()),
        Signing::Template(_, keys) => keys.iter().for_each(|(key, value)| m.say(format!("template.{key}"), value)),
    }
    m.unless(&BODY.to_owned(), "body", body);
    sent(&mut m, "headers", headers);
    if let Some(CloudEvent { kind, source }) = cloudevents {
        m.say("cloudevents.type", kind);
        m.say("cloudevents.source", source);
    }
    if let Some(file) = ca {
        m.file("ca", file);
    }
    if own.is_some() {
        m.say("client", SECRET);
    }
    if *status != ANY_2XX {
        status.iter().for_each(|range| m.parts("expect.status", &json!([range.from, range.to])));
    }
    within.iter().for_each(|span| m.say("expect.within", &span.ms()));
    reject.iter().for_each(|variant| m.say("reject", variant.as_str()));
    m.unless(&false, "replay", replay);
    if let Some(Effect { url, path, bearer, headers, settle }) = effect {
        m.say("effect.url", url.url());
        m.say("effect.path", path.source());
        if bearer.is_some() {
            m.say("effect.bearer", SECRET);
        }
        sent(&mut m, "effect.headers", headers);
        m.unless(&NO_TIME.ms(), "effect.settle", &settle.ms());
    }
    m
}

fn sent(m: &mut Material, key: &str, headers: &[(HeaderName, Given)]) {
    for (name, value) in headers {
        match value {
            Given::Text(text) => m.parts(&format!("{key}.{name}"), &json!(text)),
            Given::Secret(_) => m.say(format!("{key}.{name}"), SECRET),
        }
    }
}
