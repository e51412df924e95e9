//! What 5,000 runs hold while their targets take requests and never answer: the daemon, and blackbox_exporter asked for as many probes.
//!
//! `cargo bench --bench stuck [-- --runs 5000 --tls 0]` (two minutes). Memory is what is resident of the process; each program has a process and a time of
//! its own. Needs 11,000 open files (`ulimit -n`).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and stops at the first error")]

use std::sync::Arc;
use std::time::Duration;

use soakwatch::clock::monotonic;

#[path = "support/bed.rs"]
mod bed;
#[path = "../tests/it/support/daemon.rs"]
#[expect(dead_code, clippy::panic, reason = "the tests use more of it, and may end where a daemon does not start")]
mod daemon;
#[path = "support/measure.rs"]
mod measure;
#[path = "../tests/it/support/prometheus.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod prometheus;

use bed::{Blackbox, Estate, Target, resident_of, wall_us};
use measure::option;

/// A host takes at most 1,000 runs at once: so many ports.
const PORTS: usize = 10;
/// Checks run every minute and wait for 59 s: nearly all of them wait at any time.
const EVERY: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(59);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::args().any(|a| a == "target-hangs") {
        runtime.block_on(bed::target(true));
        return;
    }
    let (runs, tls) = (option("--runs", 5_000), option("--tls", 0) > 0);
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), PORTS, true);
    let bases = if tls { vec![target.https.clone()] } else { target.http.clone() };
    // Some are between two runs.
    let estate = Estate { checks: runs * 60 / 59 + 1, every: EVERY, soaks: false };
    let settings = format!("[probe]\nca = \"{}\"\n", target.ca.display());
    estate.write(dir.path(), &settings, &bases, TIMEOUT);

    let daemon = daemon::Daemon::start(dir.path(), &[bed::NO_PACE]);
    let idle = resident_of(daemon.pid());
    let began = monotonic();
    // None has ended before the first one's timeout: so many wait as were taken.
    while target.served() < runs && began.elapsed() < TIMEOUT + Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(100));
    }
    // Memory first: a scrape holds some itself, and blackbox_exporter is not asked for one either.
    let ours = resident_of(daemon.pid());
    let waiting = daemon::series(&daemon.get("/metrics"), "soakwatch_runs_inflight", &[]).unwrap_or(0.0);
    let scraped = resident_of(daemon.pid());
    println!(
        "soakwatch: {waiting:.0} runs stuck, {ours:.1} MiB resident ({scraped:.1} after a scrape); {idle:.1} MiB when it had just started"
    );
    drop(daemon);

    let Some(program) = prometheus::installed("prometheus-blackbox-exporter") else { return };
    let exporter = Blackbox::start(&program, dir.path(), &target.ca, Duration::from_secs(110));
    std::thread::sleep(Duration::from_secs(1));
    let (idle, before) = (resident_of(exporter.pid()), target.served());
    let (asked, driven) = (waiting as u64, Arc::clone(&exporter));
    let waits = runtime.spawn(async move {
        let begin = wall_us();
        for n in 0..asked {
            let (url, driven) = (format!("{}{}", bases[n as usize % bases.len()], Estate::path(n)), Arc::clone(&driven));
            // Spread over half a minute.
            let left = begin + (n * 30_000_000 / asked) as i64 - wall_us();
            tokio::time::sleep(Duration::from_micros(left.max(0) as u64)).await;
            tokio::spawn(async move { driven.probe(&url, Duration::from_secs(110)).await });
        }
    });
    runtime.block_on(waits).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    let (theirs, stuck) = (resident_of(exporter.pid()), target.served() - before);
    println!("blackbox_exporter: {stuck} probes stuck, {theirs:.1} MiB resident; {idle:.1} MiB when it had just started");
    println!("soakwatch takes 1/{:.1} of it (goal: at most 1/6)", theirs / ours);
}
