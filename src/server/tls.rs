//! TLS of a listener while it listens: the certificate in force, read again when its files change, and handshakes within a bounded time. Knows no route.
//!
//! What can't be used takes nothing's place: the certificate before stays, it is said once, and counted. Connections that stand keep what they agreed on.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, UnixMs};
use crate::config::model::ListenerTls;
use crate::files::Look;
use crate::listener_tls::{first_end_blocking, holding_blocking, looks_blocking, made_blocking};
use crate::metrics::own::{Listening, OwnMetrics};

/// Between two looks at the files.
const EVERY: Duration = Duration::from_secs(2);
/// A handshake takes no longer, however long a request may.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The TLS of one listener, as it is now.
#[derive(Debug)]
pub struct Tls {
    now: Mutex<Arc<ServerConfig>>,
}

/// What was last read, or tried.
type Tried = (ListenerTls, Vec<Look>);

impl Tls {
    /// The TLS of a listener that begins, and what keeps it up to date until `stop`: to be spawned. `settings` is asked at every look; while it says that there
    /// is none, what there is stays, for that takes effect at a restart.
    pub async fn start(
        settings: impl Fn() -> Option<ListenerTls> + Send + 'static,
        (own, listener): (Arc<OwnMetrics>, Listening),
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Option<(Arc<Self>, impl Future<Output = anyhow::Result<()>> + Send + 'static)>, String> {
        let Some(tls) = settings() else { return Ok(None) };
        let read = move || {
            // Looked at before it is read: what changes meanwhile is read again.
            let looks = looks_blocking(&tls);
            made_blocking(&tls).map(|made| (made, first_end_blocking(&tls), (tls, looks)))
        };
        let (made, until, tried) = tokio::task::spawn_blocking(read).await.map_err(|e| e.to_string())??;
        own.tls_holds(listener, until);
        let tls = Arc::new(Self { now: Mutex::new(made) });
        let kept = Arc::clone(&tls).keep(settings, tried, (own, listener), clock, stop);
        Ok(Some((tls, kept)))
    }

    async fn keep(
        self: Arc<Self>,
        settings: impl Fn() -> Option<ListenerTls> + Send + 'static,
        mut tried: Tried,
        (own, listener): (Arc<OwnMetrics>, Listening),
        clock: Clock,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut last: Option<Tried> = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
            let Some(tls) = settings() else { continue };
            let looked = tokio::task::spawn_blocking(move || {
                let looks = looks_blocking(&tls);
                (tls, looks)
            });
            let Ok(seen) = looked.await else { continue };
            // Certificate and key are two files: what is still being written is left until it rests.
            let at_rest = last.as_ref() == Some(&seen);
            last = Some(seen.clone());
            if !at_rest || seen == tried {
                continue;
            }
            tried = seen.clone();
            let at = clock.now();
            // One that nobody takes any more does not replace one that may still hold. At a start it would do: a late certificate blinds no monitor.
            let made = move || {
                let whose = holding_blocking(&seen.0, at)?;
                Ok((made_blocking(&seen.0)?, first_end_blocking(&seen.0), whose))
            };
            let made = tokio::task::spawn_blocking(made).await.unwrap_or_else(|e| Err(e.to_string()));
            match made {
                Ok((made, until, whose)) => {
                    own.tls_holds(listener, until);
                    *self.now.lock().unwrap_or_else(PoisonError::into_inner) = made;
                    tracing::info!(listener = listener.as_str(), whose, "the listener's certificate was read again");
                }
                Err(why) => {
                    own.tls_refused(listener);
                    tracing::error!(listener = listener.as_str(), why, "the listener's new certificate can't be used; the old one stays");
                }
            }
        }
    }

    /// Takes over what a reload says, at once, so that it holds for every handshake after its answer. What can't be used is said and counted at the next look.
    pub async fn take_now(&self, tls: ListenerTls, at: UnixMs) {
        let made = move || holding_blocking(&tls, at).and_then(|_| made_blocking(&tls));
        if let Ok(Ok(made)) = tokio::task::spawn_blocking(made).await {
            *self.now.lock().unwrap_or_else(PoisonError::into_inner) = made;
        }
    }

    /// Shakes hands, within a bounded time.
    pub(super) async fn accept(&self, stream: TcpStream, timeout: Duration) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::time::timeout(timeout.min(HANDSHAKE), TlsAcceptor::from(config).accept(stream))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}
