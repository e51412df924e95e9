//! TLS of the listeners: made before they serve, so that a daemon whose certificate can't be used does not start, and kept up to date by a task of its own.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::clock::Clock;
use crate::config::model::Config;
use crate::metrics::own::{Listening, OwnMetrics};
use crate::server::tls::Tls;
use crate::supervisor::Supervisor;

/// The TLS of a listener, if it is to have any.
pub(super) async fn tls(
    (config, own, clock, stop): (&watch::Receiver<Arc<Config>>, &Arc<OwnMetrics>, &Clock, &CancellationToken),
    listener: Listening,
    supervisor: &mut Supervisor,
) -> Result<Option<Arc<Tls>>, StartError> {
    let config = config.clone();
    let settings = move || {
        let settings = &config.borrow().settings;
        match listener {
            Listening::Server => settings.server.tls.clone(),
            Listening::Receiver => settings.receiver.tls.clone().filter(|_| settings.receiver.listen.is_some()),
        }
    };
    let started = Tls::start(settings, (Arc::clone(own), listener), clock.clone(), stop.clone()).await;
    let started = started.map_err(|why| StartError::Listen(format!("{}.{why}", listener.as_str())))?;
    Ok(started.map(|(tls, kept)| {
        supervisor.spawn(if listener == Listening::Server { "server_tls" } else { "receiver_tls" }, kept);
        tls
    }))
}
