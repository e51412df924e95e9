//! Makes a message: the body out of its template, signed as the scheme says, or wrong in one way that a receiver must notice. Sends nothing.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::{HEADER_SECRET, WebhookCheck};
use crate::clock::UnixMs;
use crate::hex;
use crate::observed::Failure;
use crate::outcome::{Cause, closed_set};
use crate::probe::http::Given;
use crate::secret::{Redactor, SecretValue};
use crate::transport::Request;
use crate::transport::auth::{reveal, sensitive};
use crate::webhook::{Outgoing, cloudevents_headers, sign};

closed_set! {
    /// In which way a message is wrong.
    Variant {
        /// In none.
        Genuine => "genuine",
        /// Its body was changed after it was signed.
        Tampered => "tampered",
        /// It is signed, and a day older than any message may be.
        Stale => "stale",
        /// It is signed with another secret.
        WrongSecret => "wrong_secret",
        /// It has no signature.
        Unsigned => "unsigned",
    }
}

/// What is sent where no body is written.
pub(super) const BODY: &str = r#"{"type":"soakwatch.probe","id":"{id}","timestamp":"{time}","data":{}}"#;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What stands before the key in some secrets.
const PREFIXES: [&str; 2] = ["whsec_", "whsk_"];
/// How much older than its scheme's tolerance a stale message is: older than any receiver would choose.
const STALE_MS: i64 = 86_400_000;
/// Parts of a signature header of this length are signatures, not versions or times.
const SHORTEST_SIGNATURE: usize = 20;

/// Puts the message's id and time into a template.
pub(super) fn fill(template: &str, id: &str, at: UnixMs) -> String {
    let unix = at.0.div_euclid(1000).to_string();
    template.replace("{id}", id).replace("{time}", &at.whole_seconds().to_string()).replace("{unix}", &unix)
}

/// What all messages of one attempt are made with. Has no Debug: it holds secrets.
pub(super) struct Sender<'a> {
    check: &'a WebhookCheck,
    secrets: Vec<SecretValue>,
    headers: HeaderMap,
}

impl<'a> Sender<'a> {
    /// Reads every secret.
    pub(super) async fn new(check: &'a WebhookCheck, redactor: &mut Redactor) -> Result<Self, Failure> {
        let mut secrets = Vec::new();
        for secret in &check.secrets {
            let value = reveal(secret, redactor).await?;
            // Without its prefix it is the same key.
            if let Some(bare) = PREFIXES.iter().find_map(|p| value.expose().strip_prefix(p)) {
                redactor.add(&SecretValue::new(bare));
            }
            secrets.push(value);
        }
        let mut headers = given(&check.headers, redactor).await?;
        headers.entry(CONTENT_TYPE).or_insert(JSON);
        Ok(Self { check, secrets, headers })
    }

    /// A message, with its signature known to the redactor.
    pub(super) fn message(&self, variant: Variant, id: &str, now: UnixMs, redactor: &mut Redactor) -> Result<Request, Failure> {
        let scheme = self.check.signing.scheme();
        let at = match variant {
            Variant::Stale => UnixMs(now.0 - STALE_MS - i64::from(scheme.tolerance_s().unwrap_or(0)) * 1000),
            _ => now,
        };
        let body = fill(&self.check.body, id, at);
        let others;
        let secrets = match variant {
            Variant::WrongSecret => {
                others = self.secrets.iter().take(1).map(|s| another(s, id)).collect::<Vec<_>>();
                &others
            }
            _ => &self.secrets,
        };
        let url = self.check.url.url().as_str();
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let signed = sign(scheme, secrets, &Outgoing { id, method: "POST", url, content_type, body: body.as_bytes() }, at)
            .map_err(|why| Failure::ours(Cause::Secret, format!("the message can't be signed: {why}")))?;
        let mut headers = self.headers.clone();
        for (name, value) in &signed.headers {
            let is_proof = scheme.proof_header() == Some(name);
            if is_proof && variant == Variant::Unsigned {
                continue;
            }
            if is_proof {
                conceal(value, redactor);
            }
            insert(&mut headers, name, value, is_proof)?;
        }
        if let Some(event) = &self.check.cloudevents {
            for (name, value) in cloudevents_headers(id, &event.source, &event.kind, at) {
                insert(&mut headers, &name, &value, false)?;
            }
        }
        let body = if variant == Variant::Tampered { self.tampered(&body, id, at) } else { body };
        let url = Url::parse(&signed.url).map_err(|_| Failure::ours(Cause::Internal, "the signed address can't be sent"))?;
        Ok(Request { method: Method::POST, url, headers, secret_query: Vec::new(), body: Bytes::from(body), secret_body: false })
    }

    /// The same body with another id in it, so that it is still what the receiver can read; with a blank more where it has none.
    fn tampered(&self, body: &str, id: &str, at: UnixMs) -> String {
        let other = fill(&self.check.body, &id.chars().rev().collect::<String>(), at);
        if other == body { format!("{body} ") } else { other }
    }
}

/// Headers as they are sent, with every secret read.
pub(super) async fn given(all: &[(HeaderName, Given)], redactor: &mut Redactor) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, given) in all {
        let value = match given {
            Given::Text(text) => {
                let unsendable = |_| Failure::ours(Cause::Internal, format!("header {name} can't be sent"));
                let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(unsendable)?;
                value.set_sensitive(*name == AUTHORIZATION);
                value
            }
            Given::Secret(secret) => sensitive(reveal(secret, redactor).await?.expose(), HEADER_SECRET)?,
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str, secret: bool) -> Result<(), Failure> {
    let unsendable = || Failure::ours(Cause::Internal, format!("header {name} can't be sent"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| unsendable())?;
    value.set_sensitive(secret);
    headers.insert(name, value);
    Ok(())
}

/// A signature is as good as a secret: the whole header, and each signature in it.
fn conceal(header: &str, redactor: &mut Redactor) {
    redactor.add(&SecretValue::new(header));
    let parts = header.split([' ', ',']).map(|part| part.split_once('=').filter(|(name, _)| name.len() < 8).map_or(part, |(_, v)| v));
    for part in parts.filter(|p| p.len() >= SHORTEST_SIGNATURE && *p != header) {
        redactor.add(&SecretValue::new(part));
    }
}

/// A secret of the same form that is not the one.
fn another(secret: &SecretValue, id: &str) -> SecretValue {
    use base64::Engine as _;
    let prefix = PREFIXES.into_iter().find(|p| secret.expose().starts_with(p)).unwrap_or_default();
    // 32 bytes of text: a key in every form.
    let bytes: String = hex::sha256(format!("not the secret of {id}").as_bytes()).chars().take(32).collect();
    SecretValue::new(format!("{prefix}{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
}
