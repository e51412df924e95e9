//! Whether an endpoint a document names is there: one request that logs nobody in, and what came of it. Shared by the kinds that judge documents.
//!
//! The document's author chose the address: where our own guard refuses it, that is a finding about the document and no fault of ours.

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use super::ProbeContext;
use crate::observed::{Failure, Observed};
use crate::outcome::{Cause, Class};
use crate::transport::{Options, Request};

/// An answer is not looked at; it may be this large.
const MOST_BYTES: u64 = 256 * 1024;

/// What came of asking.
#[derive(Debug)]
pub enum Reached {
    /// It answered with this status.
    Status(u16),
    /// Its host's name does not exist.
    NoName,
    /// It can't be talked to: nothing listens, its certificate is not acceptable, its address is refused; why, redacted.
    Not(String),
    /// Silence, or trouble of ours: nothing can be said.
    Undecided(Failure),
}

/// Asks once, following no redirect.
pub async fn ask(method: Method, url: &Url, options: &Options, context: &ProbeContext<'_>, observed: &mut Observed) -> Reached {
    let options = Options { redirects: 0, max_body: Some(MOST_BYTES), ..options.clone() };
    let request =
        Request { method, url: url.clone(), headers: HeaderMap::new(), secret_query: Vec::new(), body: Bytes::new(), secret_body: false };
    // What the check itself was answered stays what is shown of it.
    let (status, bytes) = (observed.status, observed.body_bytes);
    let answer = Box::pin(context.transport.exchange(&request, &options, None, context.redactor, observed)).await;
    (observed.status, observed.body_bytes) = (status, bytes);
    match answer {
        Ok(answer) => Reached::Status(answer.status.as_u16()),
        Err(failure) => judged(failure),
    }
}

fn judged(failure: Failure) -> Reached {
    match failure.class {
        Class::Dns if failure.answered => Reached::NoName,
        Class::Connect if failure.answered => Reached::Not(failure.detail),
        _ if is_definite(&failure) => Reached::Not(failure.detail),
        _ => Reached::Undecided(failure),
    }
}

/// Whether an exchange failed by something that is wrong over there, and would be so again: not by silence, and not by us. For the URLs of a document
/// our own guard's refusal is such a thing.
pub fn is_definite(failure: &Failure) -> bool {
    matches!(failure.class, Class::Certificate | Class::Redirect) || failure.cause == Some(Cause::Egress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_decides_nothing() {
        let of = |class, answered| judged(Failure { answered, ..Failure::new(class, "x") });
        assert!(matches!(of(Class::Dns, true), Reached::NoName));
        for (class, answered) in [(Class::Connect, true), (Class::Certificate, false)] {
            assert!(matches!(of(class, answered), Reached::Not(_)), "{class}");
        }
        for (class, answered) in [(Class::Dns, false), (Class::Connect, false), (Class::Timeout, false), (Class::Tls, false)] {
            assert!(matches!(of(class, answered), Reached::Undecided(_)), "{class}");
        }
        assert!(matches!(judged(Failure::ours(Cause::Egress, "x")), Reached::Not(_)));
        assert!(matches!(judged(Failure::ours(Cause::Capacity, "x")), Reached::Undecided(_)));
    }
}
