//! Tells somebody outside that results are being stored (`[heartbeat]`). A call goes out only if the store took outcomes since the last one that arrived and
//! the scheduler moves, so silence means what it says. Never more often than `every`; the URL is a secret and stands in no log.

use std::sync::Arc;

use anyhow::Context as _;
use reqwest::{Client, Method, Url};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::model::{Config, HeartbeatSettings};
use crate::health::Health;
use crate::transport::Transport;

/// What it goes by.
pub(super) struct Heartbeat {
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) transport: watch::Receiver<Arc<Transport>>,
    /// How many outcomes the store has taken.
    pub(super) stored: watch::Receiver<u64>,
    pub(super) health: Arc<Health>,
}

impl Heartbeat {
    /// Runs until stop.
    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let (mut told, mut last) = (0, Instant::now());
        let mut said: Option<Result<(), String>> = None;
        loop {
            let settings = self.config.borrow_and_update().settings.heartbeat.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                // Another `every`; an error says that the daemon stops.
                _ = self.config.changed() => continue,
                () = sleep_until(last + settings.every.0) => {}
            }
            last = Instant::now();
            let stored = *self.stored.borrow();
            if settings.url.is_none() {
                said = None;
                continue;
            }
            if stored == told || self.health.healthy().is_err() {
                tracing::debug!("no heartbeat: nothing was stored since the last, or the scheduler does not move");
                continue;
            }
            let result = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                result = self.call(&settings) => result,
            };
            if result.is_ok() {
                told = stored;
            }
            if said.as_ref() != Some(&result) {
                match &result {
                    Ok(()) => tracing::info!("the heartbeat arrives"),
                    Err(why) => tracing::warn!(why, "the heartbeat does not arrive; this is said again when it changes"),
                }
                said = Some(result);
            }
        }
    }

    /// One call. The error never holds the URL.
    async fn call(&self, settings: &HeartbeatSettings) -> Result<(), String> {
        let Some(reference) = &settings.url else { return Ok(()) };
        let secret = reference.read().await?;
        let url: Option<Url> = secret.expose().trim().parse().ok();
        let url =
            url.filter(|u: &Url| matches!(u.scheme(), "http" | "https")).ok_or_else(|| format!("{reference} holds no http(s) URL"))?;
        let tls = self.transport.borrow().control_tls();
        let client = client(settings, tls).map_err(|e| format!("{e:#}"))?;
        let method = if settings.post { Method::POST } else { Method::GET };
        let answer = client.request(method, url).send().await.map_err(|e| plain(&e))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it was answered with {}", status.as_u16())),
        }
    }
}

fn client(settings: &HeartbeatSettings, tls: rustls::ClientConfig) -> anyhow::Result<Client> {
    let builder = Client::builder().tls_backend_preconfigured(tls).no_proxy().redirect(reqwest::redirect::Policy::none());
    builder
        .timeout(settings.timeout.0)
        .user_agent(concat!("soakwatch/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(reqwest::Error::without_url)
        .context("no HTTP client")
}

/// Why there was no answer, without anything the URL says.
fn plain(e: &reqwest::Error) -> String {
    let why = if e.is_timeout() {
        "there was no answer in time"
    } else if e.is_connect() {
        "no connection could be made"
    } else {
        "the answer could not be read"
    };
    why.to_owned()
}
