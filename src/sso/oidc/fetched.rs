//! What the way to a discovery document and its endpoints says, apart from the document: status, content type, clock.

use crate::fields::bounded;
use crate::finding::oidc::{CLK_01, EP_02, GET_01, GET_02};
use crate::finding::{Finding, Level, Party};

/// What the answer around a discovery document says. A status of 500 and above is no finding: then nothing can be said of the document.
pub fn fetched(status: u16, content_type: Option<&str>) -> Option<Finding> {
    if status != 200 {
        return (status < 500).then(|| GET_01.found(format!("expected 200, answered {status}")).for_party(Party::CustomerIdp));
    }
    let said = content_type.map(|c| c.split(';').next().unwrap_or(c).trim().to_ascii_lowercase());
    match said.as_deref() {
        Some("application/json") => None,
        Some(other) => Some(GET_02.found(format!("content type is {}, not application/json", bounded(other, 60)))),
        None => Some(GET_02.found("the answer has no content type")),
    }
}

/// What is wrong with an endpoint that was tried without a log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointTrouble {
    /// Its host's name does not resolve.
    Name,
    /// No connection, or the TLS handshake failed; why, redacted.
    Tls(String),
    /// It answered with this status.
    Status(u16),
}

/// The finding for one endpoint, by its member's name. A status below 500 is well: nobody logged in.
pub fn endpoint(member: &str, trouble: &EndpointTrouble) -> Option<Finding> {
    let words = match trouble {
        EndpointTrouble::Status(status) if *status < 500 => return None,
        EndpointTrouble::Name => "its host's name does not resolve".to_owned(),
        EndpointTrouble::Tls(why) => bounded(why, 120),
        EndpointTrouble::Status(status) => format!("answered {status}"),
    };
    Some(EP_02.found(format!("{}: {words}", bounded(member, 60))))
}

/// Seconds from which an offset warns.
const WARN_S: u64 = 60;
/// Seconds from which it fails.
const FAIL_S: u64 = 180;

/// The finding for a peer's clock: its offset from ours in seconds, positive when it is ahead.
pub fn clock_offset(seconds: i64) -> Option<Finding> {
    let off = seconds.unsigned_abs();
    let direction = if seconds < 0 { "behind" } else { "ahead" };
    let finding = || CLK_01.found(format!("the provider's clock is {off} s {direction}"));
    match off {
        FAIL_S.. => Some(finding()),
        WARN_S.. => Some(finding().at(Level::Warn)),
        _ => None,
    }
}
