//! Is our own clock right? Asks a time server (`[self_check] time_server`) how far this machine's clock is off, by SNTP (RFC 5905, section 14).
//!
//! Owns the figure, never the clock: nothing is set, and nothing is judged by it. It is for whoever looks after the monitor, because times of certificates,
//! tokens and go-lives are only as right as the clock.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rsntp::{AsyncSntpClient, Config as Client};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::model::Config;
use crate::metrics::own::OwnMetrics;
use crate::transport::Transport;

/// Between two questions: no time server is asked more often than its other clients do (RFC 5905, MINPOLL is 2^4 s, the usual shortest poll 2^6 s).
const EVERY: Duration = Duration::from_secs(64);
/// From here on it is said in the log too: certificates and tokens are judged by seconds.
const SAID_FROM: f64 = 2.0;

/// Runs until stop; the server follows the configuration.
pub async fn run(
    mut config: watch::Receiver<Arc<Config>>,
    transport: watch::Receiver<Arc<Transport>>,
    own: Arc<OwnMetrics>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut said: Option<&'static str> = None;
    loop {
        let settings = config.borrow_and_update().settings.self_check.clone();
        let means = Arc::clone(&transport.borrow());
        if let Some(server) = &settings.time_server {
            let asked = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                asked = timeout(settings.timeout.0, ahead(&means, &server.host, server.port, settings.timeout.0)) => asked,
            };
            let asked = asked.unwrap_or_else(|_| Err(format!("no answer within {}", settings.timeout)));
            own.clock_ahead(asked.as_ref().ok().copied());
            let state = match &asked {
                Err(_) => "unknown",
                Ok(ahead) if ahead.abs() >= SAID_FROM => "off",
                Ok(_) => "right",
            };
            // Said when it changes.
            if said.replace(state) != Some(state) {
                match asked {
                    Err(why) => {
                        tracing::warn!(server = server.name, why, "the time server can't be asked; how right this clock is is unknown");
                    }
                    Ok(seconds) if state == "off" => {
                        tracing::warn!(
                            server = server.name,
                            seconds,
                            "this machine's clock is wrong by so many seconds (negative: behind)"
                        );
                    }
                    Ok(seconds) => tracing::info!(server = server.name, seconds, "this machine's clock is right"),
                }
            }
        } else {
            own.clock_ahead(None);
            said = None;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            changed = config.changed() => if changed.is_err() { return Ok(()) },
            () = sleep(EVERY) => {}
        }
    }
}

/// How many seconds our clock is ahead of the server's; negative: behind. A server that is not synchronised itself is an error.
async fn ahead(transport: &Transport, host: &str, port: u16, limit: Duration) -> Result<f64, String> {
    let server = *transport.addresses(host, port).await?.first().ok_or("its name has no address")?;
    let from: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let client = AsyncSntpClient::with_config(Client::default().bind_address(from).timeout(limit));
    // What it tells is what would have to be added to our clock.
    client.synchronize(server).await.map(|told| -told.clock_offset().as_secs_f64()).map_err(|e| e.to_string())
}
