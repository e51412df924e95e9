//! What a status nobody asked for means, and how long a server asks us to wait. Rate limits are read by `ratelimit`.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::clock::Clock;
use crate::outcome::Class;
use crate::ratelimit::{self, Dialect, RateLimit};

/// No server makes us wait for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// What a response that has just come says about rate limits.
pub fn limits(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> RateLimit {
    let received_at = Clock::default().now();
    ratelimit::read(&ratelimit::Response { dialect: Dialect::Auto, status: status.as_u16(), headers, body, received_at })
}

/// The class of an unexpected status, and the wait the server asked for, if it did.
pub fn refusal(status: StatusCode, limits: &RateLimit) -> (Class, Option<Duration>) {
    let class = match status.as_u16() {
        _ if limits.throttled => Class::Throttled,
        401 => Class::Unauthorized,
        403 => Class::Forbidden,
        404 | 410 => Class::NotFound,
        400..=499 => Class::ClientError,
        500..=599 => Class::ServerError,
        _ => Class::Assertion,
    };
    (class, limits.retry_after.map(|w| w.min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;

    use super::*;

    fn refused(status: u16, headers: &HeaderMap, body: &[u8]) -> (Class, Option<Duration>) {
        let status = StatusCode::from_u16(status).unwrap();
        refusal(status, &limits(status, headers, body))
    }

    #[test]
    fn each_status_has_its_class() {
        for (status, class) in [
            (401, Class::Unauthorized),
            (403, Class::Forbidden),
            (404, Class::NotFound),
            (410, Class::NotFound),
            (420, Class::Throttled),
            (429, Class::Throttled),
            (400, Class::ClientError),
            (503, Class::ServerError),
            (500, Class::ServerError),
            (204, Class::Assertion),
            (302, Class::Assertion),
            (999, Class::Assertion),
        ] {
            assert_eq!(refused(status, &HeaderMap::new(), b"").0, class, "{status}");
        }
        assert_eq!(refused(403, &HeaderMap::new(), br#"{"errorCode":"REQUEST_LIMIT_EXCEEDED"}"#).0, Class::Throttled);
    }

    #[test]
    fn waits_are_read_and_bounded() {
        let wait = |retry: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry.parse().unwrap());
            refused(503, &headers, b"")
        };
        let throttled = |n| (Class::Throttled, Some(Duration::from_secs(n)));
        assert_eq!(wait("30"), throttled(30));
        assert_eq!(wait("90000"), throttled(86_400));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), throttled(0));
        // What says nothing makes a 503 no throttling.
        for bad in ["99999999999999999999999", "soon", "-5"] {
            assert_eq!(wait(bad), (Class::ServerError, None), "{bad}");
        }
    }
}
