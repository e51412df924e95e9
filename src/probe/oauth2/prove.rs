//! Who the client is: its secret, a signed assertion, or its certificate, read and made for one run.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::{OAuth2Check, Proves};
use crate::clock::UnixMs;
use crate::finding::Finding;
use crate::observed::Failure;
use crate::probe::ProbeContext;
use crate::secret::SecretValue;
use crate::sso::oauth;
use crate::transport::auth::reveal;
use crate::transport::{ClientCertificate, Proof};

/// What a run says it is.
#[derive(Debug)]
pub(super) struct Proved {
    /// The secret, or the assertion.
    value: SecretValue,
    /// What the assertion says.
    claims: Option<Value>,
    /// The certificate to show.
    pub(super) client: Option<Arc<ClientCertificate>>,
    /// What is to be said of it already.
    pub(super) found: Vec<Finding>,
}

impl Proved {
    /// The form in which it is sent.
    pub(super) fn proof(&self, proves: &Proves) -> Proof<'_> {
        match proves {
            Proves::Basic(_) => Proof::Basic(&self.value),
            Proves::Post(_) => Proof::Post(&self.value),
            Proves::Key(_) => Proof::Assertion(&self.value),
            Proves::Certificate { .. } => Proof::Certificate,
        }
    }
}

impl OAuth2Check {
    /// Reads the secret or key now, and makes of it what is sent.
    pub(super) async fn prove(&self, context: &mut ProbeContext<'_>) -> Result<Proved, Failure> {
        let proved = |value| Proved { value, claims: None, client: None, found: Vec::new() };
        match &self.proves {
            Proves::Basic(secret) | Proves::Post(secret) => Ok(proved(reveal(secret, context.redactor).await?)),
            Proves::Key(by) => {
                let made = by.assert(&self.client_id, self.token_url.url(), context.now, context.redactor).await?;
                Ok(Proved { claims: Some(made.1), ..proved(made.0) })
            }
            Proves::Certificate { file, key } => {
                let key = reveal(key, context.redactor).await?;
                let client = context.transport.client_certificate(file, &key).await?;
                let found = oauth::client_certificate(client.not_before, client.not_after, context.now);
                Ok(Proved { client: Some(client), found: found.into_iter().collect(), ..proved(key) })
            }
        }
    }

    /// What is to be said of the assertion, now that the server's clock is known.
    pub(super) fn judge_assertion(&self, proved: &Proved, clock_offset_s: Option<i64>, at: UnixMs) -> Vec<Finding> {
        let Some(claims) = &proved.claims else { return Vec::new() };
        let accepted = oauth::Accepted {
            client_id: &self.client_id,
            issuer: self.issuer.as_deref(),
            token_endpoint: self.token_url.url().as_str(),
            // Each is drawn by lot from 2^128.
            used: &BTreeSet::new(),
            clock_offset_s,
        };
        oauth::assertion_judged(claims, &accepted, at)
    }
}
