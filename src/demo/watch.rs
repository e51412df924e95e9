//! Lets the daemon, whole and as it is, watch the estate: the estate's files through the ordinary loader, its names through its own look-up, its made
//! history in the store before it starts. Its senders are told where messages are received.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Estate, history};
use crate::app::{App, Loader, Parts, Running, StartError};
use crate::clock::Clock;
use crate::config::{self, LoadOptions, Loaded};
use crate::metrics::own::OwnMetrics;
use crate::transport::Resolver;

/// Starts a daemon on the estate's configuration; it can be reloaded like any other. Of the environment it takes nothing: what is set for a real
/// daemon on this machine is not meant for the demo.
pub async fn watch(estate: &Estate, listen: SocketAddr, clock: Clock, own: Arc<OwnMetrics>) -> Result<Running, StartError> {
    let (dir, now) = (estate.config_dir().to_owned(), clock.clone());
    let loader: Loader = Arc::new(move || {
        let mut loaded = config::load(&dir, &LoadOptions { check_secrets: true, env: Vec::new(), now: now.now() });
        if let Some(config) = &mut loaded.config {
            config.settings.server.listen = listen;
        }
        loaded
    });
    let read = Arc::clone(&loader);
    let Loaded { config, problems, .. } =
        tokio::task::spawn_blocking(move || read()).await.map_err(|e| StartError::Internal(anyhow::Error::new(e)))?;
    let Some(config) = config else {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        return Err(StartError::Internal(anyhow::anyhow!("the demo's own configuration is wrong: {}", all.join("; "))));
    };
    let (config, made) = match estate.made.get() {
        Some(_) => (config, None),
        None => {
            let now = clock.now();
            let write = move || history::write_blocking(&config, now).map(|made| (config, Some(made)));
            tokio::task::spawn_blocking(write).await.map_err(|e| StartError::Internal(anyhow::Error::new(e)))??
        }
    };
    let resolver = Some(Resolver::Fixed(estate.lookup()));
    let running =
        App::start(Parts { config, reload: Some(loader), resolver, clock: clock.clone(), own, notifier: Default::default() }).await?;
    estate.receiver_is(running.receiver);
    if let Some(made) = made {
        for entry in made.said(clock.now()) {
            running.recorder.evidence(entry).await;
        }
        let _ = estate.made.set(made);
    }
    Ok(running)
}
