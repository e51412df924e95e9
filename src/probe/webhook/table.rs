//! Reads `[integration.check.webhook]`: every key, every problem at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use toml::de::DeValue;

use super::message::{BODY, Variant};
use super::{CloudEvent, Effect, Signing, WebhookCheck};
use crate::config::table::{self, Table, nearest, one_of};
use crate::fields::{HttpUrl, Span};
use crate::probe::http::{Given, StatusRange, never_shown, read_headers, read_path, read_status, read_url};
use crate::secret::SecretRef;
use crate::transport::OwnCertificate;
use crate::transport::auth::rooted;
use crate::webhook::{MAX_BODY, Scheme, Template};

const WRONG: [Variant; 4] = [Variant::Tampered, Variant::Stale, Variant::WrongSecret, Variant::Unsigned];
/// Secrets in force at once.
const MAX_SECRETS: usize = 8;
const PLACEHOLDERS: [&str; 3] = ["{id}", "{time}", "{unix}"];
const CE_HEADERS: [&str; 5] = ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time"];

impl WebhookCheck {
    /// Reads the kind's table. `None` after a problem that leaves no check to speak of; other problems are reported and the rest is read.
    pub fn read(mut t: Table<'_>) -> Option<Self> {
        let url = read_url(&mut t);
        let signing = read_signing(&mut t);
        let secrets: Vec<SecretRef> = t.list::<SecretRef>("secrets").into_iter().map(|s| rooted(s, &t)).collect();
        let headers = read_headers(&mut t);
        let body = read_body(&mut t);
        let cloudevents = t.table("cloudevents").and_then(read_cloudevents);
        let mut ca = t.opt::<PathBuf>("ca").map(|p| t.source().dir.join(p));
        let mut own = t.table("client").and_then(OwnCertificate::read);
        let (status, within) = t.table("expect").map(read_expect).unwrap_or_else(|| (any_2xx(), None));
        let reject = read_reject(&mut t);
        let replay = t.or("replay", false);
        let effect = t.table("effect").and_then(read_effect);
        let reject_every = t.between("reject_every", Span::seconds(60), Span::days(7)).unwrap_or(Span::seconds(3600));
        let plain = |u: &HttpUrl| u.url().scheme() == "http";
        let never_tls = url.as_ref().is_some_and(plain) && effect.as_ref().is_none_or(|e| plain(&e.url));
        if t.has("client") && never_tls {
            never_shown(&t);
            own = None;
        }
        if t.has("ca") && never_tls {
            let what = "is never used: a plain http URL has no certificate to check";
            t.problem("ca", what, "expected a URL that starts with https://, or no ca");
            ca = None;
        }
        read_secrets(&t, &secrets, signing.as_ref());
        if t.has("reject_every") && reject.is_empty() && !replay {
            t.problem("reject_every", "says when to test, but there is nothing to test", "expected reject or replay = true beside it");
        }
        if t.has("effect") && !replay {
            t.warn("effect", "is never looked at", "expected replay = true beside it, or no effect");
        }
        if let Some(signing) = &signing {
            together(&t, signing.scheme(), &headers, cloudevents.is_some(), &reject, (replay, &body));
        }
        t.finish();
        Some(Self {
            url: url?,
            signing: signing?,
            secrets,
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
            reject_every,
        })
    }
}

fn any_2xx() -> Vec<StatusRange> {
    vec![StatusRange { from: 200, to: 299 }]
}

fn read_signing(t: &mut Table<'_>) -> Option<Signing> {
    let name = t.opt::<String>("scheme");
    let keys = read_template(t);
    match (name, keys) {
        (Some(_), Some(_)) => {
            t.problem("template", "stands beside scheme", "expected one of them: template is for senders that have no scheme");
            None
        }
        (None, Some(keys)) => match Template::read(&keys) {
            Ok(template) => Some(Signing::Template(Box::new(template), keys.into_iter().collect())),
            Err(why) => {
                t.problem("template", "can't be used", why);
                None
            }
        },
        (Some(name), None) => {
            let known: Vec<&str> = Scheme::all().filter(|s| s.can_sign()).map(Scheme::name).collect();
            let found = Scheme::named(&name).filter(|s| s.can_sign());
            if found.is_none() {
                let what = match Scheme::named(&name) {
                    Some(_) => "is a scheme whose messages are not signed".to_owned(),
                    None => format!("\"{}\" is not a scheme", table::short(&name)),
                };
                let hint = table::did_you_mean(nearest(&name, &known));
                t.problem("scheme", what, format!("expected {}{hint}, or a template", one_of(&known)));
            }
            found.map(Signing::Scheme)
        }
        (None, None) => {
            if t.lacks("scheme") && t.lacks("template") {
                t.missing("scheme", "how messages are signed, such as \"standard-webhooks\", or a template");
            }
            None
        }
    }
}

fn read_template(t: &mut Table<'_>) -> Option<BTreeMap<String, String>> {
    let keys = t.map("template");
    let text = |value: &table::Value<'_>| match value.value {
        DeValue::Integer(_) => table::read_field::<i64>(value).map(|n| n.to_string()),
        _ => table::read_field::<String>(value),
    };
    t.has("template").then(|| keys.iter().filter_map(|(k, v)| Some((k.clone(), text(v)?))).collect())
}

fn read_secrets(t: &Table<'_>, secrets: &[SecretRef], signing: Option<&Signing>) {
    if secrets.is_empty() {
        if t.lacks("secrets") {
            t.missing("secrets", "where to find the secret, [{ env = \"NAME\" }] or [{ file = \"/path\" }]");
        } else if !t.has("secrets") || t.shown("secrets") == "a list" {
            t.problem("secrets", "is empty", "expected [{ env = \"NAME\" }] or [{ file = \"/path\" }]");
        }
    }
    if secrets.len() > MAX_SECRETS {
        t.problem("secrets", format!("has {} secrets", secrets.len()), format!("expected at most {MAX_SECRETS}"));
    }
    if let Some(scheme) = signing.map(Signing::scheme)
        && secrets.len() > 1
        && !scheme.carries_several()
    {
        let what = format!("has {} secrets, but a message of {} carries one signature", secrets.len(), scheme.name());
        t.problem("secrets", what, "expected the secret that is in force");
    }
}

fn read_body(t: &mut Table<'_>) -> String {
    let Some(body) = t.opt::<String>("body") else { return BODY.to_owned() };
    if body.len() > MAX_BODY / 2 {
        t.problem("body", format!("has {} bytes", body.len()), format!("expected at most {}", MAX_BODY / 2));
    }
    let words = body.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(word, _)| word);
    let mut placeholders = words.filter(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_'));
    if let Some(word) = placeholders.find(|w| !PLACEHOLDERS.contains(&format!("{{{w}}}").as_str())) {
        t.problem("body", format!("{{{}}} is no placeholder", table::short(word)), format!("expected {}", one_of(&PLACEHOLDERS)));
    }
    body
}

fn read_cloudevents(mut t: Table<'_>) -> Option<CloudEvent> {
    let kind = t.req_text("type", 200);
    let source = t.req_text("source", 200);
    for (key, text) in [("type", &kind), ("source", &source)] {
        if text.as_ref().is_some_and(|t| !t.is_ascii()) {
            t.problem(key, "holds a character that can't be sent in a header", "expected printable ASCII");
        }
    }
    t.finish();
    Some(CloudEvent { kind: kind?, source: source? })
}

fn read_expect(mut t: Table<'_>) -> (Vec<StatusRange>, Option<Span>) {
    let mut status = any_2xx();
    if let Some(value) = t.value("status") {
        let read: Vec<StatusRange> = table::members(&value).iter().filter_map(read_status).collect();
        if read.is_empty() || read.iter().any(|r| r.from < 200 || r.to > 299) {
            t.problem("status", "is not what senders take for a success", "expected statuses of 2xx, such as [200, 202]");
        } else {
            status = read;
        }
    }
    let within = t.between("within", Span(Duration::from_millis(1)), Span::seconds(600));
    t.finish();
    (status, within)
}

fn read_reject(t: &mut Table<'_>) -> Vec<Variant> {
    let known = WRONG.map(Variant::as_str);
    let mut all = Vec::new();
    for word in t.list::<String>("reject") {
        match WRONG.into_iter().find(|v| v.as_str() == word) {
            Some(variant) if all.contains(&variant) => t.problem("reject", format!("holds \"{word}\" twice"), "expected each once"),
            Some(variant) => all.push(variant),
            None => {
                let hint = table::did_you_mean(nearest(&word, &known));
                t.problem("reject", format!("\"{}\" is not right here", table::short(&word)), format!("expected {}{hint}", one_of(&known)));
            }
        }
    }
    all
}

fn read_effect(mut t: Table<'_>) -> Option<Effect> {
    let url = read_url(&mut t);
    let path = read_path(&mut t);
    let bearer = t.opt::<SecretRef>("bearer").map(|s| rooted(s, &t));
    let headers = read_headers(&mut t);
    if bearer.is_some() && headers.iter().any(|(n, _)| *n == http::header::AUTHORIZATION) {
        t.problem("headers", "sets authorization, and so does bearer", "expected one of them");
    }
    let settle = t.between("settle", Span::seconds(0), Span::seconds(60)).unwrap_or(Span::seconds(0));
    t.finish();
    Some(Effect { url: url?, path: path?, bearer, headers, settle })
}

/// What is right alone and wrong together.
fn together(
    t: &Table<'_>,
    scheme: &Scheme,
    headers: &[(HeaderName, Given)],
    is_event: bool,
    reject: &[Variant],
    (replay, body): (bool, &str),
) {
    let own = [scheme.proof_header(), scheme.id_header(), scheme.stamp_header()].into_iter().flatten();
    let events = CE_HEADERS.into_iter().filter(|_| is_event);
    for name in own.chain(events).filter(|own| headers.iter().any(|(n, _)| n.as_str() == own.to_ascii_lowercase())) {
        t.problem("headers", format!("sets {name}, and so does soakwatch"), "expected other headers");
    }
    if reject.contains(&Variant::Stale) && scheme.tolerance_s().is_none() {
        let what = format!("holds \"stale\", but {} signs no time: its messages never grow old", scheme.name());
        t.problem("reject", what, "expected it without \"stale\"");
    }
    if reject.contains(&Variant::Tampered) && !scheme.binds_body() {
        let what = format!("holds \"tampered\", but {} signs nothing: who changed a body can't be told", scheme.name());
        t.problem("reject", what, "expected it without \"tampered\"");
    }
    if scheme.name() == "cloudevents" && !is_event {
        t.problem("scheme", "needs the event's type and source", "expected cloudevents = { type = \"..\", source = \"..\" }");
    }
    if replay && scheme.id_header().is_none() && !is_event && !body.contains("{id}") {
        let what = format!("needs an id by which a message is known again, and {} has none outside of the body", scheme.name());
        t.problem("replay", what, "expected {id} in body");
    }
}
