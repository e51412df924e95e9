//! `/metrics`: the daemon's own metrics and one copy of the board, encoded while the client reads, compressed if it wants.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::api::Problem;
use crate::clock::monotonic;
use crate::metrics::CONTENT_TYPE;
use crate::metrics::encode::{CHUNK, Encoder, Scrape};

pub(super) async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let state = &shared.state;
    restored(&shared)?;
    let permit = Arc::clone(&shared.scrapes).acquire_owned().await.map_err(|_| Problem::ours("the server is stopping"))?;
    let own = state.own.encode().map_err(|e| {
        tracing::error!(error = %e, "the daemon's own metrics can't be encoded");
        Problem::ours("the metrics can't be encoded")
    })?;
    let config = state.config.borrow().clone();
    let (board, soaks, budgets, now) = (Arc::clone(&state.board), Arc::clone(&state.soaks), Arc::clone(&state.budgets), state.clock.now());
    let live = Arc::clone(&state.checkpoints);
    let take = move || Scrape::take(&board, &soaks, &budgets, &config.settings, now, monotonic()).with_checkpoints(&live);
    let scrape = tokio::task::spawn_blocking(take).await.map_err(|e| {
        tracing::error!(error = %e, "the board can't be copied for a scrape");
        Problem::ours("the metrics can't be encoded")
    })?;
    let gzip = accepts_gzip(&headers);
    let body = Body::new(Scraped {
        own: Some(own),
        encoder: Some(Encoder::new(scrape)),
        // Level 1: higher ones take many times as long for little.
        gzip: gzip.then(|| GzEncoder::new(Vec::with_capacity(CHUNK), Compression::fast())),
        _permit: permit,
    });
    let mut response = ([(header::CONTENT_TYPE, CONTENT_TYPE), (header::VARY, "accept-encoding")], body).into_response();
    if gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Numbers are shown only once those of before the start are back: a restart must not look like an outage.
pub(super) fn restored(shared: &Shared) -> Result<(), Problem> {
    if shared.state.health.is_ready() {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not ready: counters are being restored from the store",
        "Try again in a few seconds; /-/ready says when.",
    ))
}

/// Whether `Accept-Encoding` names gzip (or anything) and does not rule it out with q=0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values: Vec<&str> = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).collect();
    let weight = |wanted: &str| {
        values.iter().flat_map(|v| v.split(',')).find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="))?.parse::<f32>().ok());
            named.then(|| q.unwrap_or(1.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|q| q > 0.0)
}

/// The body: each poll makes one piece of about [`CHUNK`] bytes, so memory does not grow with the estate beyond the copy itself.
struct Scraped {
    own: Option<Vec<u8>>,
    encoder: Option<Encoder>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    _permit: OwnedSemaphorePermit,
}

impl Scraped {
    /// The next piece of text; `None` at the end.
    fn text(&mut self) -> Option<Vec<u8>> {
        if let Some(own) = self.own.take() {
            return Some(own);
        }
        let encoder = self.encoder.as_mut()?;
        let mut piece = Vec::with_capacity(CHUNK + CHUNK / 4);
        if !encoder.write(&mut piece) {
            self.encoder = None;
        }
        Some(piece)
    }

    /// The next piece as it goes out; `None` at the end.
    fn piece(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            let text = self.text();
            let out = match (&mut self.gzip, text) {
                (None, text) => text,
                (Some(gzip), Some(text)) => {
                    gzip.write_all(&text)?;
                    Some(std::mem::take(gzip.get_mut()))
                }
                (Some(_), None) => match self.gzip.take() {
                    Some(gzip) => Some(gzip.finish()?),
                    None => None,
                },
            };
            // The compressor holds small pieces back.
            if out.as_ref().is_none_or(|o| !o.is_empty()) {
                return Ok(out);
            }
        }
    }
}

impl hyper::body::Body for Scraped {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.piece().transpose().map(|p| p.map(|bytes| Frame::data(bytes.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_only_for_who_accepts_it() {
        for (value, yes) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("br", false),
            ("", false),
        ] {
            let h: HeaderMap = [(header::ACCEPT_ENCODING, value.parse().unwrap())].into_iter().collect();
            assert_eq!(accepts_gzip(&h), yes, "{value}");
        }
    }
}
