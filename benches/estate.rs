//! 10,000 checks every 30 s against a loopback target: no slot missed, memory and CPU printed.
//!
//! `cargo bench --bench estate -- --seconds 300 [--checks 10000] [--every 30] [--soaks 0]`. The target is a process of its own, so the figures are the
//! daemon's alone. Prints what was seen; exits 1 if a slot was missed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark reports to its terminal and stops at the first thing that fails"
)]

use std::sync::Arc;
use std::time::Duration;

use soakwatch::app::{App, Parts};
use soakwatch::board::Counts;
use soakwatch::clock::Clock;
use soakwatch::config::{self, LoadOptions};
use soakwatch::metrics::own::OwnMetrics;

#[path = "support/bed.rs"]
mod bed;
#[path = "../tests/it/support/daemon.rs"]
#[expect(dead_code, clippy::panic, reason = "the tests use more of it, and may end where a daemon does not start")]
mod daemon;
#[path = "support/measure.rs"]
mod measure;
use bed::{Estate, Target, quantile};
use measure::{cpu, option};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::args().any(|a| a == "target") {
        runtime.block_on(bed::target(false));
    } else {
        runtime.block_on(estate(option("--checks", 10_000), option("--every", 30), option("--seconds", 300)));
    }
}

/// In MiB.
fn memory(field: &str) -> f64 {
    measure::memory(field) as f64 / (1 << 20) as f64
}

async fn estate(checks: u64, every: u64, seconds: u64) {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), 1, false);
    let shape = Estate { checks, every: Duration::from_secs(every), soaks: option("--soaks", 0) > 0 };
    shape.write(dir.path(), "", &target.http, Duration::from_secs(10));
    let loaded = config::load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() });
    let config = loaded.config.unwrap();
    println!("{checks} checks every {every} s for {seconds} s against {} (a process of its own)", target.http[0]);
    println!("memory before start: {:.1} MiB", memory("VmRSS"));
    let own = Arc::new(OwnMetrics::new().unwrap());
    let running = App::start(Parts {
        config,
        reload: None,
        resolver: None,
        clock: Clock::System,
        own: Arc::clone(&own),
        notifier: Default::default(),
    })
    .await
    .unwrap();
    let (board, cpu_before) = (Arc::clone(&running.board), cpu());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = (cpu() - cpu_before).as_secs_f64();
    let lags = target.lags(shape);
    println!("memory at the end:   {:.1} MiB resident, {:.1} MiB at most", memory("VmRSS"), memory("VmHWM"));
    let address = running.address;
    let before = cpu();
    let scrape = tokio::task::spawn_blocking(move || daemon::get(&format!("http://{address}/metrics")).1).await.unwrap();
    println!(
        "scrape: {:.1} MB, {} lines, {:.0} ms of CPU with its reader; memory after it: {:.1} MiB",
        scrape.len() as f64 / 1e6,
        scrape.lines().count(),
        (cpu() - before).as_secs_f64() * 1e3,
        memory("VmRSS")
    );
    drop(scrape);
    let now = Clock::System.now();
    running.stop().await.unwrap();
    drop(target);
    let mut all = Counts::default();
    let mut behind = 0u64;
    board.read(|integrations| {
        for check in integrations.iter().flat_map(|i| &i.checks) {
            all.merge(&check.state.counts);
            // Two intervals after the end of the last slot everything before it must be accounted for.
            behind += u64::from(check.state.last_slot.is_none_or(|s| now.since(s) > check.def.every.0 * 2));
        }
    });
    println!(
        "slots: {} due, {} passed, {} failed, {} throttled, {} unknown, {} skipped",
        all.due(),
        all.pass,
        all.fail,
        all.throttled,
        all.unknown,
        all.skipped
    );
    println!(
        "CPU: {:.1} % of one core, {:.0} µs a run; lag from a slot to its connection at the target: p50 {:.1} ms, p99 {:.1} ms",
        used / seconds as f64 * 100.0,
        used / all.counted().max(1) as f64 * 1e6,
        quantile(&lags, 0.5),
        quantile(&lags, 0.99)
    );
    let expected = checks * seconds / every;
    // Less than a second's slots fewer is where the span begins and ends.
    let missed = all.due() + checks / every < expected || behind > 0 || all.pass != all.due();
    println!("expected about {expected} slots: {}", if missed { "SLOTS MISSED" } else { "none missed" });
    std::process::exit(i32::from(missed));
}
