//! Reads what a response says of rate limits and writes it down: once its head is there, and again when its body is, which may say more. A body
//! that never ends, or a run that is cut off while it reads, takes nothing of what the head said.

use std::time::Instant;

use http::{HeaderMap, StatusCode};
use url::Url;

use super::away::Endpoint;
use super::{Options, Transport};
use crate::clock::{Clock, UnixMs, monotonic};
use crate::fields::host_port;
use crate::observed::{Heard, Observed};
use crate::ratelimit::{self, Dialect, RateLimit, Response};
use crate::secret::Redactor;

/// One response, listened to.
pub(super) struct Listener<'a> {
    transport: &'a Transport,
    redactor: &'a Redactor,
    endpoint: Option<&'a Endpoint>,
    host: String,
    dialect: Dialect,
    at: (UnixMs, Instant),
    /// Where it stands in `Observed::heard`.
    place: Option<usize>,
}

impl<'a> Listener<'a> {
    /// From now on, to a response from `url`; `endpoint`: it is a token endpoint's.
    pub(super) fn new(
        transport: &'a Transport,
        options: &Options,
        redactor: &'a Redactor,
        endpoint: Option<&'a Endpoint>,
        url: &Url,
    ) -> Self {
        let host = host_port(url);
        let dialect = if host == options.host { options.dialect } else { Dialect::Auto };
        Self { transport, redactor, endpoint, host, dialect, at: (Clock::default().now(), monotonic()), place: None }
    }

    /// Reads as much of the response as is there.
    pub(super) fn hear(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8], observed: &mut Observed) -> (RateLimit, Dialect) {
        let (at, mono) = self.at;
        let response = Response { dialect: self.dialect, status: status.as_u16(), headers, body, received_at: at };
        let limits = ratelimit::read(&response).cleaned(&|text| self.redactor.clean(text));
        let stay_away = limits.stay_away(self.dialect);
        let heard = Heard { host: self.host.clone(), token: self.endpoint.is_some(), at, limits: limits.clone(), stay_away };
        // That a token endpoint serves again is known from the whole answer only.
        if let Some(endpoint) = self.endpoint.filter(|_| heard.limits.throttled || self.place.is_some()) {
            self.transport.away.heard(endpoint, &heard, mono);
        }
        match self.place.and_then(|n| observed.heard.get_mut(n)) {
            Some(before) => *before = heard,
            None => {
                self.place = Some(observed.heard.len());
                observed.heard.push(heard);
            }
        }
        (limits, self.dialect)
    }
}
