//! What a status nobody asked for means, and how long a server asks us to wait.

use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use crate::clock::Clock;
use crate::outcome::Class;

/// No server makes us wait for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// The class of an unexpected status, and the wait the server asked for, if it did.
pub fn refusal(status: StatusCode, headers: &HeaderMap) -> (Class, Option<Duration>) {
    let wait = retry_after(headers);
    let class = match status.as_u16() {
        401 => Class::Unauthorized,
        403 => Class::Forbidden,
        404 | 410 => Class::NotFound,
        429 => Class::Throttled,
        503 if headers.contains_key(RETRY_AFTER) => Class::Throttled,
        400..=499 => Class::ClientError,
        500..=599 => Class::ServerError,
        _ => Class::Assertion,
    };
    (class, wait)
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date counted from the response's own `Date`, so that two clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.parse().map_or(LONGEST_WAIT, Duration::from_secs).min(LONGEST_WAIT));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text.trim()).ok().map(|z| z.timestamp().as_second());
    let from = headers.get(DATE).and_then(|d| d.to_str().ok()).and_then(date);
    let from = from.unwrap_or_else(|| Clock::default().now().timestamp().as_second());
    let seconds = date(text)?.saturating_sub(from);
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_class() {
        for (status, class) in [
            (401, Class::Unauthorized),
            (403, Class::Forbidden),
            (404, Class::NotFound),
            (410, Class::NotFound),
            (429, Class::Throttled),
            (400, Class::ClientError),
            (503, Class::ServerError),
            (500, Class::ServerError),
            (204, Class::Assertion),
            (302, Class::Assertion),
            (999, Class::Assertion),
        ] {
            assert_eq!(refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new()).0, class, "{status}");
        }
    }

    #[test]
    fn waits_are_read_and_bounded() {
        let wait = |retry: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            let (class, wait) = refusal(StatusCode::SERVICE_UNAVAILABLE, &headers);
            assert_eq!(class, Class::Throttled);
            wait
        };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(wait("30", None), seconds(30));
        assert_eq!(wait("99999999999999999999999", None), seconds(86_400));
        assert_eq!(wait("soon", None), None);
        assert_eq!(wait("-5", None), None);
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT", Some("Sun, 06 Nov 1994 08:49:07 GMT")), seconds(30));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT", Some("Sun, 06 Nov 1994 09:49:07 GMT")), seconds(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT", None), seconds(0));
    }
}
