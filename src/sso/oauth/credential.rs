//! The client's own secret and certificate: when they end, and whether the endpoint that binds the certificate is used.

use crate::clock::UnixMs;
use crate::fields::bounded;
use crate::finding::oauth::{SEC_01, TLS_01};
use crate::finding::{Finding, Level, Party, Severity};
use crate::sso::{expiry, oidc};

/// The finding for the recorded end of a secret, or of a client certificate.
pub fn end_date(certificate: bool, ends: UnixMs, at: UnixMs) -> Option<Finding> {
    let (what, owner) = if certificate { ("the client certificate", Party::Certificate) } else { ("the secret", Party::VendorSp) };
    expiry::judged(&SEC_01, what, ends, at).map(|f| f.for_party(owner))
}

/// The finding for the client certificate itself, by its own dates.
pub fn client_certificate(not_before: UnixMs, not_after: UnixMs, at: UnixMs) -> Option<Finding> {
    if not_before > at {
        return Some(TLS_01.found(format!("the client certificate is not valid before {not_before}")));
    }
    expiry::judged(&TLS_01, "the client certificate", not_after, at)
}

/// The finding for a client with mutual TLS that does not use the endpoint made for it.
pub fn bound_endpoint(metadata: &oidc::Snapshot, token_url: &str) -> Option<Finding> {
    let alias = metadata.url("mtls_endpoint_aliases.token_endpoint")?;
    if alias == token_url {
        return None;
    }
    let words = format!("the token endpoint for client certificates is {}, configured is {}", bounded(alias, 70), bounded(token_url, 50));
    // Whoever set the client up mends it.
    Some(TLS_01.found(words).of(Severity::High).at(Level::Fail).for_party(Party::VendorSp))
}
