//! Is our own network up? Connects to neutral endpoints, at an interval and whenever the recorder holds a network failure.
//!
//! Owns the verdict, never the judgement about a run: the recorder compares times. One endpoint that answers is enough.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::model::{Config, ControlTarget};
use crate::metrics::own::OwnMetrics;
use crate::transport::Transport;

/// What is known of our own network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No targets are configured.
    NoTargets,
    /// No self-check has ended yet.
    NotYet,
    /// The last self-check.
    Known {
        /// When it began: it says nothing about failures after that.
        began: Instant,
        /// Whether at least one endpoint answered.
        up: bool,
    },
}

/// The recorder's end: asks for a self-check and sees the last verdict.
#[derive(Clone, Debug)]
pub struct SelfCheckHandle {
    wanted: Arc<Notify>,
    /// The last verdict.
    pub verdict: watch::Receiver<Verdict>,
}

impl SelfCheckHandle {
    /// Asks for a self-check that begins after this call.
    pub fn request(&self) {
        self.wanted.notify_one();
    }
}

/// The task's end.
#[derive(Debug)]
pub struct SelfCheck {
    wanted: Arc<Notify>,
    verdict: watch::Sender<Verdict>,
}

/// Two ends of one self-check. `targets`: whether any are configured at the start.
pub fn channel(targets: bool) -> (SelfCheck, SelfCheckHandle) {
    let wanted = Arc::new(Notify::new());
    let (sender, receiver) = watch::channel(if targets { Verdict::NotYet } else { Verdict::NoTargets });
    (SelfCheck { wanted: Arc::clone(&wanted), verdict: sender }, SelfCheckHandle { wanted, verdict: receiver })
}

/// Between two self-checks, however many failures ask for one: the neutral endpoints are somebody's.
const SPACING: Duration = Duration::from_millis(500);

impl SelfCheck {
    /// Runs until stop. Targets, interval and timeout follow the configuration.
    pub async fn run(
        self,
        mut config: watch::Receiver<Arc<Config>>,
        mut transport: watch::Receiver<Arc<Transport>>,
        own: Arc<OwnMetrics>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            let current = Arc::clone(&config.borrow_and_update());
            let settings = &current.settings.self_check;
            if settings.targets.is_empty() {
                // Without targets there is no verdict: the recorder falls back on what all hosts say together.
                self.verdict.send_replace(Verdict::NoTargets);
                own.self_check("", []);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    changed = config.changed() => if changed.is_err() { return Ok(()) },
                }
                continue;
            }
            let means = Arc::clone(&transport.borrow_and_update());
            let began = Instant::now();
            let results = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                results = check_all(&means, &settings.targets, settings.timeout.0) => results,
            };
            let up = results.iter().any(|(_, answered)| *answered);
            let before = self.verdict.send_replace(Verdict::Known { began, up });
            match (!matches!(before, Verdict::Known { up: false, .. }), up) {
                (true, false) => tracing::error!(
                    targets = results.len(),
                    "self-check: no neutral endpoint answers; runs that fail at the network are recorded as unknown until one does"
                ),
                (false, true) => tracing::info!("self-check: our network is back"),
                _ => {}
            }
            own.self_check(current.settings.scheduler.vantage.as_str(), results.iter().map(|(name, answered)| (name.as_str(), *answered)));
            let rested = async {
                sleep(SPACING).await;
                let _ = timeout(settings.every.0.saturating_sub(SPACING), self.wanted.notified()).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                changed = config.changed() => if changed.is_err() { return Ok(()) },
                () = rested => {}
            }
        }
    }
}

async fn check_all(transport: &Arc<Transport>, targets: &[ControlTarget], limit: Duration) -> Vec<(String, bool)> {
    let mut checks = JoinSet::new();
    for target in targets.iter().cloned() {
        let transport = Arc::clone(transport);
        checks.spawn(async move {
            let answered = matches!(timeout(limit, transport.reach(&target.host, target.port)).await, Ok(Ok(())));
            (target.name, answered)
        });
    }
    let mut results = Vec::new();
    while let Some(done) = checks.join_next().await {
        results.extend(done.ok());
    }
    results.sort();
    results
}

/// A handle whose verdict a test sets.
#[cfg(test)]
pub(crate) fn channel_of(verdict: Verdict) -> (SelfCheckHandle, watch::Sender<Verdict>) {
    let (sender, receiver) = watch::channel(verdict);
    (SelfCheckHandle { wanted: Arc::default(), verdict: receiver }, sender)
}
