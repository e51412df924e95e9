//! Signed client assertions (private_key_jwt, RFC 7523): how their key is named in a table, and the making of one for one request. Keeps no key.

use serde_json::Value;

use super::auth::{reveal, rooted};
use crate::clock::UnixMs;
use crate::config::table::Table;
use crate::hex;
use crate::observed::Failure;
use crate::outcome::Cause;
use crate::secret::{Redactor, SecretRef, SecretValue};
use crate::sso::oauth::{Assertion, SigningKey};

/// Seconds an assertion lives: servers allow five minutes at most.
const LIFE_S: u32 = 120;

/// The keys of a table that only an assertion needs, besides `key`.
pub const OPTIONAL: [&str; 3] = ["kid", "alg", "assertion_audience"];

/// How a client signs for itself.
#[derive(Clone, Debug, PartialEq)]
pub struct AssertionKey {
    /// `key`: a private key in PEM form, PKCS#8.
    pub key: SecretRef,
    /// `kid`: what the server calls it.
    pub kid: Option<String>,
    /// `alg`: the algorithm; what the key gives unless written.
    pub alg: Option<&'static str>,
    /// `assertion_audience`: whom it is for; the token endpoint unless written.
    pub audience: Option<String>,
}

impl AssertionKey {
    /// Reads `key`, `kid`, `alg` and `assertion_audience`; whether they may stand there is for the caller to say. `None`: there is no key.
    pub fn read(t: &mut Table<'_>) -> Option<Self> {
        let key = t.opt::<SecretRef>("key").map(|s| rooted(s, t));
        let kid = t.opt::<String>("kid");
        let alg = t.word("alg", &SigningKey::ALGORITHMS.map(|a| (a, a)));
        let audience = t.opt::<String>("assertion_audience");
        Some(Self { key: key?, kid, alg, audience })
    }

    /// An assertion of this client, made now and used once, with what it says.
    pub async fn assert(
        &self,
        client_id: &str,
        token_url: &url::Url,
        now: UnixMs,
        redactor: &mut Redactor,
    ) -> Result<(SecretValue, Value), Failure> {
        let unusable = |why: &str| Failure::ours(Cause::Secret, format!("the key of private_key_jwt: {why}"));
        let pem = reveal(&self.key, redactor).await?;
        let key = SigningKey::from_pem(pem.expose()).and_then(|key| key.by(self.alg)).map_err(unusable)?;
        let mut once = [0u8; 16];
        aws_lc_rs::rand::fill(&mut once).map_err(|_| Failure::ours(Cause::Internal, "there are no random numbers"))?;
        let jti = hex::encode(&once);
        let audience = self.audience.clone().unwrap_or_else(|| token_url.to_string());
        let claims = Assertion { client_id: client_id.to_owned(), audience, at: now, life_s: LIFE_S, jti }.claims();
        let signed = SecretValue::new(key.sign(&claims, self.kid.as_deref()).map_err(unusable)?);
        redactor.add(&signed);
        Ok((signed, claims))
    }
}
