//! A runtime of its own for what makes runs, apart from pages, scrapes, verdicts and the recorder: none of these takes a thread from a run, or delays what it
//! measures. Owns the threads and nothing else.
//!
//! One thread is the default: a run mostly waits, and to wake another thread for each step of it costs a third of its CPU time (docs/benchmarks.md).

use std::thread;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Runs `work`, and all that it spawns, on so many threads of its own; ends when it ends. What it leaves behind then is cut off.
pub(super) async fn apart(threads: u32, work: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> anyhow::Result<()> {
    let runtime = runtime(threads).context("no runtime for the runs")?;
    let (done, ended) = oneshot::channel();
    let body = move || {
        let result = runtime.block_on(async { tokio::spawn(work).await });
        runtime.shutdown_background();
        let _ = done.send(result);
    };
    thread::Builder::new().name("probing".into()).spawn(body).context("no thread for the runs")?;
    ended.await.context("the thread of the runs ended")?.map_err(|e| anyhow::anyhow!(if e.is_panic() { "it panicked" } else { "it was cut off" }))?
}

fn runtime(threads: u32) -> std::io::Result<Runtime> {
    let mut builder = if threads > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if threads > 1 {
        builder.worker_threads(threads as usize);
    }
    builder.thread_name("probing").enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn what_it_spawns_runs_there_too_and_its_end_is_told() {
        for threads in [1, 3] {
            let (tell, told) = oneshot::channel();
            let work = async move {
                let _ = tell.send((here(), tokio::spawn(async { here() }).await?));
                Ok(())
            };
            apart(threads, work).await.unwrap();
            let (own, spawned) = told.await.unwrap();
            assert_eq!((own.as_str(), spawned.as_str()), ("probing", "probing"), "{threads} threads");
            assert_ne!(here(), "probing");
        }
    }

    #[tokio::test]
    async fn a_failure_and_a_panic_are_told() {
        for threads in [1, 2] {
            assert_eq!(apart(threads, async { Err(anyhow::anyhow!("no")) }).await.unwrap_err().to_string(), "no");
            let why = apart(threads, async { std::panic::panic_any("x") }).await.unwrap_err();
            assert_eq!(why.to_string(), "it panicked");
        }
    }
}
