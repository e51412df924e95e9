//! `soakwatch run`: the daemon, until a signal ends it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::{CliResult, Exit, block_on};
use crate::app::{App, Loader, Parts, Running, StartError};
use crate::clock::Clock;
use crate::config::{self, LoadOptions, Loaded};
use crate::metrics::own::OwnMetrics;
use crate::notify::Notifier;
use crate::server::ReloadRequest;

/// Runs the daemon: probes on schedule, keeps every result, serves metrics, API and page. SIGHUP reloads, SIGTERM and SIGINT stop.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory with soakwatch.toml and customers/*.toml
    #[arg(value_name = "DIR", default_value = "config")]
    dir: PathBuf,
}

/// Reads a directory as the daemon does: with the process's environment, and secrets that must be there.
fn load(dir: &Path) -> Loaded {
    config::load(dir, &LoadOptions { check_secrets: true, env: config::environment(), now: Clock::System.now() })
}

/// Runs the command.
pub(super) fn run(args: Args) -> CliResult {
    let loaded = load(&args.dir);
    for problem in &loaded.problems {
        super::complain(problem);
    }
    let Some(config) = loaded.config else {
        return Err(Exit::BadInput
            .with(anyhow::anyhow!("the configuration in {} has errors (listed above); nothing was started", args.dir.display())));
    };
    let own = Arc::new(OwnMetrics::new().map_err(|e| Exit::Internal.with(e))?);
    crate::log::init(&config.settings.log, own.log_counters(), Clock::System)?;
    super::raise_descriptor_limit();
    let notifier = Notifier::from_variables(|name| std::env::var_os(name), std::process::id()).unwrap_or_else(|why| {
        tracing::warn!("{why}");
        Notifier::default()
    });
    let dir = args.dir;
    let loader: Loader = Arc::new(move || load(&dir));
    block_on(async move {
        let mut signals = Signals::new().map_err(|e| Exit::Internal.with(e))?;
        let parts = Parts { config, reload: Some(loader), resolver: None, clock: Clock::System, own, notifier };
        let running = tokio::select! {
            biased;
            () = signals.stop() => return Ok(Exit::Yes),
            started = App::start(parts) => started.map_err(start_error)?,
        };
        watch(running, signals).await
    })
}

/// The exit code of a failed start.
pub(super) fn start_error(e: StartError) -> super::CliError {
    let exit = match &e {
        StartError::Listen(_) | StartError::Store { .. } | StartError::File { .. } => Exit::Io,
        StartError::Network(_) => Exit::BadInput,
        StartError::Internal(_) => Exit::Internal,
    };
    exit.with(e)
}

struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())?, hup: signal(SignalKind::hangup())? })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

async fn watch(running: Running, mut signals: Signals) -> CliResult {
    let (stop, reload) = (running.stop.clone(), running.reload.clone());
    let mut ended = Box::pin(running.ended());
    let signal = loop {
        let asked = tokio::select! {
            biased;
            result = &mut ended => return result.map(|()| Exit::Yes).map_err(|e| Exit::Internal.with(e)),
            _ = signals.term.recv() => Some("SIGTERM"),
            _ = signals.int.recv() => Some("SIGINT"),
            _ = signals.hup.recv() => None,
        };
        match asked {
            None => ask_for_reload(&reload),
            Some(signal) => break signal,
        }
    };
    tracing::info!(signal, "stopping: no new runs, runs in flight may end");
    stop.cancel();
    drop(reload);
    // A second signal means: now.
    tokio::select! {
        biased;
        result = &mut ended => {
            result.map_err(|e| Exit::Internal.with(e))?;
            tracing::info!("stopped: every outcome is written");
            Ok(Exit::Yes)
        }
        () = signals.stop() => Err(Exit::Internal.with(anyhow::anyhow!("stopped by a second signal before everything was written"))),
    }
}

/// The result is logged where the reload is done; a queue of four is enough for signals that all say the same.
fn ask_for_reload(reload: &mpsc::Sender<ReloadRequest>) {
    let (answer, _) = oneshot::channel();
    if reload.try_send(ReloadRequest { actor: "SIGHUP".into(), answer }).is_err() {
        tracing::warn!("a reload is under way already");
    }
}
