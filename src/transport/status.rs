//! What a status nobody asked for means, and how long a server asks us to wait. Rate limits are read by `ratelimit`.

use std::time::Duration;

use http::StatusCode;

use crate::outcome::Class;
use crate::ratelimit::{Dialect, RateLimit};

/// No server makes us wait for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// The class of an unexpected status, and how long to stay away: what the server asks for; where it throttles, also what else it tells
/// ([`RateLimit::stay_away`]).
pub fn refusal(status: StatusCode, limits: &RateLimit, dialect: Dialect) -> (Class, Option<Duration>) {
    let class = match status.as_u16() {
        _ if limits.throttled => Class::Throttled,
        401 => Class::Unauthorized,
        403 => Class::Forbidden,
        404 | 410 => Class::NotFound,
        400..=499 => Class::ClientError,
        500..=599 => Class::ServerError,
        _ => Class::Assertion,
    };
    let wait = if limits.throttled { limits.stay_away(dialect) } else { limits.retry_after };
    (class, wait.map(|w| w.min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::RETRY_AFTER;

    use super::*;
    use crate::clock::UnixMs;
    use crate::ratelimit::{self, Response};

    fn refused(status: u16, headers: &HeaderMap, body: &[u8]) -> (Class, Option<Duration>) {
        let status = StatusCode::from_u16(status).unwrap();
        let response = Response { dialect: Dialect::Auto, status: status.as_u16(), headers, body, received_at: UnixMs(1_800_000_000_000) };
        refusal(status, &ratelimit::read(&response), Dialect::Auto)
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
