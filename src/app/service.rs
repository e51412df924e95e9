//! Accompanies the tasks for the service manager: feeds its watchdog while the daemon is healthy, and says when it stops.
//!
//! Never stops anything itself: who does not hear from us decides what to do.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::notify::Notifier;

/// Runs the tasks to their end.
pub(super) async fn accompany(
    tasks: impl Future<Output = anyhow::Result<()>>,
    notifier: Notifier,
    health: Arc<Health>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut tasks = pin!(tasks);
    // Twice within the time, so that one that comes late costs nothing.
    let mut pings = notifier.watchdog().map(|w| interval((w / 2).max(Duration::from_millis(1))));
    if let Some(pings) = &mut pings {
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let (mut stopping, mut fed) = (false, true);
    loop {
        tokio::select! {
            biased;
            result = &mut tasks => return result,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                // Draining takes its time, and the scheduler has stopped moving.
                health.set_ready(false);
                notifier.stopping();
            }
            () = next(&mut pings) => match health.healthy() {
                Ok(()) => {
                    fed = true;
                    notifier.alive();
                }
                Err(why) => {
                    if std::mem::replace(&mut fed, false) {
                        tracing::error!(why, "the watchdog of the service manager is no longer fed");
                    }
                }
            }
        }
    }
}

async fn next(pings: &mut Option<Interval>) {
    match pings {
        Some(pings) => {
            pings.tick().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// What is said while the tasks take a hundred times the watchdog's span (at most ten messages wait in the socket).
    async fn said(health: Arc<Health>, stop: CancellationToken) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let variable = |name: &str| match name {
            "NOTIFY_SOCKET" => Some(path.clone().into_os_string()),
            "WATCHDOG_USEC" => Some("2000".into()),
            _ => None,
        };
        let notifier = Notifier::from_variables(variable, 1).unwrap();
        let tasks = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        };
        accompany(tasks, notifier, health, stop).await.unwrap();
        let mut said = Vec::new();
        let mut buffer = [0; 1000];
        while let Ok(n) = socket.recv(&mut buffer) {
            said.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
        }
        said
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_while_the_scheduler_moves_and_not_when_it_stalls() {
        let health = Arc::new(Health::default());
        health.set_ready(true);
        let fed = said(health, CancellationToken::new()).await;
        assert!(!fed.is_empty() && fed.iter().all(|m| m == "WATCHDOG=1"), "{fed:?}");
        let stalled = Arc::new(Health::stalled());
        assert_eq!(said(Arc::clone(&stalled), CancellationToken::new()).await, [] as [&str; 0]);
        stalled.beat();
        assert!(!said(stalled, CancellationToken::new()).await.is_empty(), "a beat heals it");
    }

    #[tokio::test]
    async fn a_daemon_that_drains_says_so_and_is_not_taken_for_dead() {
        let stop = CancellationToken::new();
        stop.cancel();
        let said = said(Arc::new(Health::stalled()), stop).await;
        assert!(said[0].starts_with("STOPPING=1\n"), "{said:?}");
        assert!(said.len() > 1 && said[1..].iter().all(|m| m == "WATCHDOG=1"), "{said:?}");
    }
}
