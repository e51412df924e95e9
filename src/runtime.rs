//! A runtime of its own for what must not wait for the rest, or must not make it wait: runs, whose measurements no page, scrape or verdict may delay, and
//! the receiver, whose floods take their turns from the operating system. Owns the threads and nothing else.
//!
//! One thread is the rule: what mostly waits, as a run does, pays a third of its CPU time for waking another thread at each step (docs/benchmarks.md).

use std::thread;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Runs `work`, and all that it spawns, on so many threads of its own, which have this name; ends when it ends. What it leaves behind then is cut off.
pub async fn apart(
    name: &'static str,
    threads: u32,
    work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> anyhow::Result<()> {
    let runtime = runtime(name, threads).with_context(|| format!("no runtime for {name}"))?;
    let (done, ended) = oneshot::channel();
    let body = move || {
        let result = runtime.block_on(async { tokio::spawn(work).await });
        runtime.shutdown_background();
        let _ = done.send(result);
    };
    thread::Builder::new().name(name.into()).spawn(body).with_context(|| format!("no thread for {name}"))?;
    ended
        .await
        .with_context(|| format!("the thread {name} ended"))?
        .map_err(|e| anyhow::anyhow!(if e.is_panic() { "it panicked" } else { "it was cut off" }))?
}

fn runtime(name: &str, threads: u32) -> std::io::Result<Runtime> {
    let mut builder = if threads > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if threads > 1 {
        builder.worker_threads(threads as usize);
    }
    builder.thread_name(name).enable_all().build()
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
            apart("elsewhere", threads, work).await.unwrap();
            let (own, spawned) = told.await.unwrap();
            assert_eq!((own.as_str(), spawned.as_str()), ("elsewhere", "elsewhere"), "{threads} threads");
            assert_ne!(here(), "elsewhere");
        }
    }

    #[tokio::test]
    async fn a_failure_and_a_panic_are_told() {
        for threads in [1, 2] {
            assert_eq!(apart("elsewhere", threads, async { Err(anyhow::anyhow!("no")) }).await.unwrap_err().to_string(), "no");
            let why = apart("elsewhere", threads, async { std::panic::panic_any("x") }).await.unwrap_err();
            assert_eq!(why.to_string(), "it panicked");
        }
    }
}
