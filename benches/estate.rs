//! 10,000 checks every 30 s against a loopback target: no slot missed, memory and CPU printed.
//!
//! `cargo bench --bench estate -- --seconds 300 [--checks 10000] [--every 30]`. The target is a process of its own, so the figures are the
//! daemon's alone. Prints what was seen; exits 1 if a slot was missed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark reports to its terminal and stops at the first thing that fails"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use soakwatch::app::{App, Parts};
use soakwatch::board::Counts;
use soakwatch::clock::Clock;
use soakwatch::config::{self, LoadOptions};
use soakwatch::metrics::own::OwnMetrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[path = "support/measure.rs"]
mod measure;
use measure::{cpu, option};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::args().any(|a| a == "target") {
        runtime.block_on(target());
    } else {
        runtime.block_on(estate(option("--checks", 10_000), option("--every", 30), option("--seconds", 300)));
    }
}

/// Answers every request with the same small JSON and closes.
async fn target() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let Ok((mut socket, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let mut head = vec![0; 4096];
            let mut read = 0;
            while let Ok(n) = socket.read(&mut head[read..]).await {
                read += n;
                if n == 0 || head[..read].windows(4).any(|w| w == b"\r\n\r\n") {
                    break;
                }
            }
            let body = br#"{"orders":[],"queue":{"depth":3}}"#;
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = socket.write_all(&[answer.as_bytes(), body].concat()).await;
        });
    }
}

struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_target() -> (Target, String) {
    let mut child = Command::new(std::env::current_exe().unwrap()).arg("target").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Target(child), line.trim().to_owned())
}

fn write_estate(dir: &Path, address: &str, checks: u64, every: u64) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(
        dir.join("soakwatch.toml"),
        "[server]\nlisten = \"127.0.0.1:0\"\n[scheduler]\nper_host = 64\n[rate_limit]\nmax_rate = \"1000000/s\"\n[log]\nlevel = \"warn\"\n",
    )
    .unwrap();
    for customer in 0..checks.div_ceil(100) {
        let mut text = format!("[customer]\nid = \"c{customer}\"\nname = \"Customer {customer}\"\nallow_private = true\n");
        for n in 0..(checks - customer * 100).min(100) {
            text += &format!(
                "[[integration]]\nid = \"i{n}\"\nenvironment = \"production\"\nowner = \"vendor\"\nrunbook = \"https://wiki.example.com/x\"\n\
                 [[integration.check]]\nid = \"list\"\nevery = \"{every}s\"\ntimeout = \"10s\"\n[integration.check.http]\nurl = \"http://{address}/v1/orders\"\n\
                 expect = {{ status = [200], json = [{{ path = \"$.orders\", is = \"array\" }}] }}\n"
            );
        }
        std::fs::write(dir.join(format!("customers/c{customer}.toml")), text).unwrap();
    }
}

/// In MiB.
fn memory(field: &str) -> f64 {
    measure::memory(field) as f64 / (1 << 20) as f64
}

async fn estate(checks: u64, every: u64, seconds: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (target, address) = start_target();
    write_estate(dir.path(), &address, checks, every);
    let loaded = config::load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() });
    let config = loaded.config.unwrap();
    println!("{checks} checks every {every} s for {seconds} s against http://{address} (a process of its own)");
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
    println!("memory at the end:   {:.1} MiB resident, {:.1} MiB at most", memory("VmRSS"), memory("VmHWM"));
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
    let lag = &own.scheduler_lag;
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
        "CPU: {:.1} % of one core, {:.0} µs a run; mean lag {:.2} ms",
        used / seconds as f64 * 100.0,
        used / all.counted().max(1) as f64 * 1e6,
        lag.get_sample_sum() / lag.get_sample_count().max(1) as f64 * 1e3
    );
    let expected = checks * seconds / every;
    let missed = all.due().abs_diff(expected) > checks / every || behind > 0 || all.pass != all.due();
    println!("expected about {expected} slots: {}", if missed { "SLOTS MISSED" } else { "none missed" });
    std::process::exit(i32::from(missed));
}
