//! Named tasks: the first that ends before stop was asked for stops all; when stopping, all get a bounded time to end.
//!
//! Knows nothing of what the tasks do.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// A set of named tasks with one stop signal.
#[derive(Debug, Default)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
}

impl Supervisor {
    /// The signal that asks every task to end.
    pub fn stop_signal(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task. It must end soon after the stop signal.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits until stop is asked for or a task ends, then stops the rest and waits for it, at most `patience`.
    pub async fn run(mut self, patience: Duration) -> anyhow::Result<()> {
        let first = tokio::select! {
            // Stop first: an unbiased choice reads a task that ends because of the stop as a crash.
            biased;
            () = self.stop.cancelled() => None,
            ended = self.tasks.join_next_with_id() => ended,
        };
        let mut result = match first {
            None => Ok(()),
            Some(ended) => self
                .judge(ended)
                .and_then(|name| if self.stop.is_cancelled() { Ok(()) } else { Err(anyhow!("task {name} ended before it was asked to")) }),
        };
        self.stop.cancel();
        let drain = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                if let (Err(e), true) = (Self::name_and_result(&self.names, ended), result.is_ok()) {
                    result = Err(e);
                }
            }
        };
        if tokio::time::timeout(patience, drain).await.is_err() {
            self.tasks.abort_all();
            return Err(anyhow!("the tasks did not end within {} s and were cut off", patience.as_secs()));
        }
        result
    }

    fn judge(&self, ended: Result<(Id, anyhow::Result<()>), JoinError>) -> anyhow::Result<&'static str> {
        Self::name_and_result(&self.names, ended)
    }

    fn name_and_result(
        names: &HashMap<Id, &'static str>,
        ended: Result<(Id, anyhow::Result<()>), JoinError>,
    ) -> anyhow::Result<&'static str> {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(e) => (e.id(), Err(anyhow!("{}", if e.is_panic() { "it panicked" } else { "it was cut off" }))),
        };
        let name = names.get(&id).copied().unwrap_or("unnamed");
        result.map(|()| name).with_context(|| format!("task {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clean_stop_is_not_a_crash() {
        for _ in 0..50 {
            let mut s = Supervisor::default();
            let stop = s.stop_signal();
            for name in ["a", "b"] {
                let stop = stop.clone();
                s.spawn(name, async move {
                    stop.cancelled().await;
                    Ok(())
                });
            }
            stop.cancel();
            s.run(Duration::from_secs(5)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_first_end_stops_all_and_is_named() {
        let mut s = Supervisor::default();
        let stop = s.stop_signal();
        let waits = stop.clone();
        s.spawn("waits", async move {
            waits.cancelled().await;
            Ok(())
        });
        s.spawn("fails", async { Err(anyhow!("no disk")) });
        let e = s.run(Duration::from_secs(5)).await.unwrap_err();
        assert!(format!("{e:#}").contains("fails: no disk"), "{e:#}");
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_hangs_is_cut_off() {
        let mut s = Supervisor::default();
        s.spawn("hangs", async {
            std::future::pending::<()>().await;
            Ok(())
        });
        s.stop_signal().cancel();
        assert!(s.run(Duration::from_millis(20)).await.is_err());
    }
}
