//! What is asked beside the token itself, each only where it is configured: the keys a token is verified with, a client that does not exist, the
//! issuer's metadata.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Found, OAuth2Check, Proves};
use crate::fields::HttpUrl;
use crate::finding::{jwks as keys, oauth as rule};
use crate::large;
use crate::observed::{Failure, Observed};
use crate::outcome::Class;
use crate::probe::ProbeContext;
use crate::probe::document::{self, Got, MAX_DOCUMENT, Place};
use crate::probe::endpoint::is_definite;
use crate::probe::oidc::discovery_url;
use crate::secret::SecretValue;
use crate::sso::{jwks, oauth, oidc};
use crate::transport::{Asked, Options, Proof};

const JSON: &str = "application/json";
/// A client that exists nowhere, and what it says its secret is.
const NOBODY: &str = "soakwatch-no-such-client";
const NO_SECRET: &str = "soakwatch-not-a-secret";

impl OAuth2Check {
    /// Verifies the token with the keys of `verify`.
    pub(super) async fn verify(
        &self,
        said: &Map<String, Value>,
        found: &mut Found,
        context: &mut ProbeContext<'_>,
        observed: &mut Observed,
    ) {
        let Some(verify) = &self.verify else { return };
        let name = if verify.id_token { "id_token" } else { "access_token" };
        let Some(token) = said.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()) else {
            // Of a missing access token it was said already.
            if verify.id_token {
                found.list.push(rule::TOK_03.found("the answer has no id_token to verify"));
            }
            return;
        };
        let unjudged = ["JWKS-", "OIDC-", "OAUTH-TOK-03", "OAUTH-TOK-06"];
        let got = match Box::pin(document::get(&verify.place, JSON, MAX_DOCUMENT, context, observed)).await {
            Ok(Got::Document(got)) => got,
            Ok(Got::Refused(status, failure)) => {
                found.list.push(jwks::fetched(status.as_u16()).unwrap_or_else(|| keys::GET_01.found(&failure.detail)));
                found.unjudged.extend(unjudged);
                return;
            }
            Err(failure) if is_definite(&failure) && failure.cause.is_none() => {
                found.list.push(keys::GET_01.found(&failure.detail));
                found.unjudged.extend(unjudged);
                return;
            }
            Err(failure) => {
                let detail = format!("the keys to verify the token with: {}", failure.detail);
                found.undecided = Some(Failure { detail, ..failure });
                found.unjudged.extend(unjudged);
                return;
            }
        };
        let (body, at) = (Arc::clone(&got.body), context.now);
        let judged = match large::of(body.len(), observed, move || jwks::lint(&body, &jwks::Expected::default(), at)).await {
            Ok(judged) => judged,
            Err(failure) => {
                found.undecided = Some(failure);
                found.unjudged.extend(unjudged);
                return;
            }
        };
        if judged.findings.iter().any(|f| f.id == keys::PRIV_01.id) {
            context.memory.uncache(verify.place.url.url().as_str());
        }
        let Some(set) = judged.keys else {
            found.list.extend(judged.findings);
            found.unjudged.extend(unjudged);
            return;
        };
        // The set as such is an oidc check's to judge; that anybody can sign is said wherever it is seen.
        found.list.extend(judged.findings.into_iter().filter(|f| f.id == keys::PRIV_01.id));
        let wanted = oauth::WantedToken {
            issuer: verify.issuer.as_deref(),
            audience: verify.audience.as_deref(),
            pinned_alg: verify.algorithm.as_deref(),
        };
        found.list.extend(oauth::verified(token, &set, &wanted, context.now));
    }

    /// Asks as a client that does not exist. An error only where it is ours.
    pub(super) async fn try_wrong_client(
        &self,
        options: &Options,
        found: &mut Found,
        context: &mut ProbeContext<'_>,
        observed: &mut Observed,
    ) -> Result<(), Failure> {
        if !self.wrong_client {
            return Ok(());
        }
        let secret = SecretValue::new(NO_SECRET);
        let proof = if matches!(self.proves, Proves::Post(_)) { Proof::Post(&secret) } else { Proof::Basic(&secret) };
        let asked = Asked { url: self.token_url.url(), client_id: NOBODY, scope: None, audience: None };
        let request = asked.request(proof, context.redactor)?;
        match Box::pin(context.transport.ask_token_endpoint(request, NOBODY, options, context.redactor, observed)).await {
            Ok(answer) if answer.limits.throttled => found.unjudged.push(rule::TOK_05.id),
            Ok(answer) => {
                let (content_type, cache_control) = (
                    super::joined(&answer.headers, http::header::CONTENT_TYPE),
                    super::joined(&answer.headers, http::header::CACHE_CONTROL),
                );
                found.list.extend(oauth::wrong_client(&oauth::Answer {
                    status: answer.status.as_u16(),
                    content_type: content_type.as_deref(),
                    cache_control: cache_control.as_deref(),
                    body: &answer.body,
                }));
            }
            // The endpoint served the client that exists: that this one went unanswered decides nothing.
            Err(failure) if failure.class != Class::Internal => found.unjudged.push(rule::TOK_05.id),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Compares the issuer's two documents, where both are served, and looks for the endpoint made for certificates.
    pub(super) async fn compare_metadata(&self, found: &mut Found, context: &mut ProbeContext<'_>, observed: &mut Observed) {
        let Some(issuer) = self.issuer.as_deref().filter(|_| self.metadata) else { return };
        let by_oauth = oauth::well_known(issuer).and_then(|u| u.as_str().parse::<HttpUrl>().ok());
        let (mut read, mut undecided) = (Vec::new(), false);
        for url in [discovery_url(issuer), by_oauth] {
            let Some(url) = url else { continue };
            let place = Place { url, ca: self.ca.clone() };
            let got = Box::pin(document::get(&place, JSON, MAX_DOCUMENT, context, observed)).await;
            undecided |= got.is_err();
            // What is not served contradicts nothing.
            let Ok(Got::Document(got)) = got else { continue };
            let (body, expected) = (got.body, oidc::Expected::of(issuer));
            let judged = large::of(body.len(), observed, move || oidc::lint(&body, &expected)).await;
            undecided |= judged.is_err();
            read.extend(judged.ok().and_then(|j| j.snapshot));
        }
        if let [oidc, oauth] = &read[..] {
            found.list.extend(oauth::agreement(oidc, oauth));
        }
        if matches!(self.proves, Proves::Certificate { .. }) {
            found.list.extend(read.iter().find_map(|m| oauth::bound_endpoint(m, self.token_url.url().as_str())));
        }
        if undecided {
            found.unjudged.extend(["OAUTH-MD", "OAUTH-TLS"]);
        }
    }
}
