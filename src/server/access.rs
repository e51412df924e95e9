//! The access log: one event for each request of a listener that asks for it, written when its answer was handed over. Target `soakwatch::access`, level info.
//!
//! What a stranger chose does not stand in it: a path is told by its template, never with its query, a token by its name, a method only if it is known.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, Response};

use crate::clock::monotonic;
use crate::metrics::own::Listening;

/// How a listener and its paths are called.
#[derive(Clone)]
pub(crate) struct Names {
    /// Which listener.
    pub(crate) listener: Listening,
    /// What stands for a path: its template, or itself where it is one of ours.
    pub(crate) path: Arc<dyn Fn(&str) -> String + Send + Sync>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Who was let in, in the extensions of a response: the name of a token, never the token.
#[derive(Clone, Debug)]
pub(crate) struct Who(pub(crate) String);

/// A line in the making.
#[derive(Debug)]
pub(super) struct Line {
    listener: Listening,
    method: &'static str,
    path: String,
    peer: SocketAddr,
    began: Instant,
    /// `None`: it was not answered.
    status: Option<u16>,
    who: Option<String>,
    bytes: u64,
}

impl Line {
    /// A request has come.
    pub(super) fn begin<B>(names: &Names, request: &Request<B>, peer: SocketAddr) -> Self {
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH];
        let words = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
        let method = known.iter().zip(words).find(|(m, _)| *m == request.method()).map_or("other", |(_, word)| word);
        let path = (names.path)(request.uri().path());
        Self { listener: names.listener, method, path, peer, began: monotonic(), status: None, who: None, bytes: 0 }
    }

    /// Its answer is known.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        self.status = Some(response.status().as_u16());
        self.who = response.extensions().get::<Who>().map(|who| who.0.clone());
    }

    /// So many bytes of its body were handed over.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}

/// However it ended, it is written once.
impl Drop for Line {
    fn drop(&mut self) {
        let Self { method, path, status, bytes, .. } = self;
        let (listener, peer, who) = (self.listener.as_str(), self.peer, self.who.as_deref().unwrap_or("-"));
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let shown = status.map_or_else(|| "no answer".to_owned(), |s| s.to_string());
        tracing::info!(target: "soakwatch::access", listener, method = *method, path = path.as_str(), status = *status, bytes = *bytes, took_ms, %peer, who, "{method} {path} {shown}");
    }
}
