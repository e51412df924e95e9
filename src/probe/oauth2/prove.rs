//! Who the client is: its secret, a signed assertion, or its certificate, read and made for one run.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::{OAuth2Check, Proves};
use crate::clock::UnixMs;
use crate::finding::Finding;
use crate::observed::Failure;
use crate::outcome::Cause;
use crate::probe::ProbeContext;
use crate::secret::SecretValue;
use crate::sso::oauth::{self, Assertion, SigningKey};
use crate::transport::auth::reveal;
use crate::transport::{ClientCertificate, Proof};

/// Seconds an assertion lives: servers allow five minutes at most.
const ASSERTION_LIFE_S: u32 = 120;

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
            Proves::Key { .. } => Proof::Assertion(&self.value),
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
            Proves::Key { key, kid, audience } => {
                let unusable = |why: &str| Failure::ours(Cause::Secret, format!("the key of private_key_jwt: {why}"));
                let pem = reveal(key, context.redactor).await?;
                let key = SigningKey::from_pem(pem.expose()).map_err(unusable)?;
                let mut once = [0u8; 16];
                aws_lc_rs::rand::fill(&mut once).map_err(|_| Failure::ours(Cause::Internal, "there are no random numbers"))?;
                let jti = once.iter().map(|b| format!("{b:02x}")).collect();
                let (client_id, audience) = (self.client_id.clone(), audience.clone());
                let claims = Assertion { client_id, audience, at: context.now, life_s: ASSERTION_LIFE_S, jti }.claims();
                let signed = SecretValue::new(key.sign(&claims, kid.as_deref()).map_err(unusable)?);
                context.redactor.add(&signed);
                Ok(Proved { claims: Some(claims), ..proved(signed) })
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
