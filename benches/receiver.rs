//! A flood of forged messages at one path of the receiver, while probes run and genuine messages go to another path: what it costs them.
//!
//! `cargo bench --bench receiver [-- --seconds 30] [--checks 200]`. In this process is the daemon alone; the target of the probes, the genuine sender and the flood
//! are processes of their own on the same machine, so they take their share of its cores: how much, the same flood at a server that is not ours shows. The flood is made by `wrk` if it is installed, else by this program.
//! Prints what was seen and how; exits 1 if a genuine message or a slot was lost.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark reports to its terminal and stops at the first thing that fails"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use soakwatch::app::{App, Parts, Running};
use soakwatch::clock::{Clock, UnixMs, monotonic};
use soakwatch::config::{self, LoadOptions, model::Config};
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::secret::SecretValue;
use soakwatch::slots::Grid;
use soakwatch::webhook::{Outgoing, Scheme, sign};

const SECRET: &str = "the secret of the bench";
const FLOODED: &str = "/hooks/acme/production/flooded";
const QUIET: &str = "/hooks/acme/production/quiet";
/// Connections of the flood at once: fewer than one address may have.
const CONNECTIONS: usize = 50;
/// Genuine messages a second.
const GENUINE: u64 = 20;

#[path = "support/measure.rs"]
mod measure;
use measure::{memory, option};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let of = |role: &str| args.iter().position(|a| a == role).map(|n| args[n + 1..].to_vec());
    if of("target").is_some() {
        target();
    } else if of("bare").is_some() {
        bare();
    } else if let Some(rest) = of("genuine") {
        genuine(rest[0].parse().unwrap(), rest[1].parse().unwrap());
    } else if let Some(rest) = of("flood") {
        flood(rest[0].parse().unwrap(), rest[1].parse().unwrap());
    } else {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let lost = runtime.block_on(measured(option("--checks", 200), option("--seconds", 30)));
        std::process::exit(i32::from(lost));
    }
}

/// This program in another role.
fn role(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args).stdout(Stdio::piped());
    command
}

struct Other(Child);

impl Other {
    fn line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers `GET /N` and remembers when it came; `GET /dump` tells all of them and forgets them.
fn target() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let came: Arc<Mutex<String>> = Arc::default();
    for socket in listener.incoming() {
        let (Ok(mut socket), came) = (socket, Arc::clone(&came)) else { continue };
        let at = Clock::System.now();
        std::thread::spawn(move || {
            let Some(head) = head(&mut socket) else { return };
            let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let body = if path == "dump" {
                std::mem::take(&mut *came.lock().unwrap())
            } else {
                *came.lock().unwrap() += &format!("{path} {}\n", at.0);
                "{}".to_owned()
            };
            let length = body.len();
            let _ = write!(socket, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        });
    }
}

/// Answers whatever comes with 401, as plainly as can be: what a flood costs this machine without our receiver.
fn bare() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    for socket in listener.incoming() {
        let Ok(mut socket) = socket else { continue };
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while socket.read(&mut some).is_ok_and(|n| n > 0)
                && socket.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").is_ok()
            {}
        });
    }
}

/// A head, up to its empty line.
fn head(socket: &mut impl std::io::Read) -> Option<String> {
    let mut read = Vec::new();
    let mut some = [0; 2048];
    while !read.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = socket.read(&mut some).ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&some[..n]);
    }
    String::from_utf8(read).ok()
}

/// Sends genuine messages for so many seconds from an address of its own; says how many were sent and taken, and how long the slowest percent took.
fn genuine(to: SocketAddr, seconds: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connect = || {
        let socket = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            socket.connect(to).await.unwrap().into_std().unwrap()
        });
        socket.set_nonblocking(false).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
    };
    let scheme = Scheme::named("github").unwrap();
    let (mut socket, mut taken, mut took) = (connect(), 0, Vec::new());
    let began = monotonic();
    for n in 0..GENUINE * seconds {
        std::thread::sleep(Duration::from_millis(n * 1000 / GENUINE).saturating_sub(began.elapsed()));
        let id = format!("{}-{n}", began.elapsed().as_nanos());
        let out = Outgoing { id: &id, method: "POST", url: "http://x/", content_type: None, body: b"{\"n\":1}" };
        let signed = sign(scheme, &[SecretValue::new(SECRET)], &out, Clock::System.now()).unwrap();
        let headers: String = signed.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        let sent = monotonic();
        write!(socket, "POST {QUIET} HTTP/1.1\r\nhost: x\r\n{headers}content-length: 7\r\n\r\n{{\"n\":1}}").unwrap();
        match head(&mut socket) {
            Some(answer) if answer.starts_with("HTTP/1.1 200") => taken += 1,
            _ => socket = connect(),
        }
        took.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    println!("{} {taken} {:.1}", GENUINE * seconds, p99(&mut took));
}

/// Forged messages over as many connections at once, a new one after each refusal; says how many were answered.
fn flood(to: SocketAddr, seconds: u64) {
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut socket) = TcpStream::connect(to) else { continue };
                    let forged = format!(
                        "POST {FLOODED} HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: sha256={}\r\ncontent-length: 2\r\n\r\n{{}}",
                        "0".repeat(64)
                    );
                    if socket.write_all(forged.as_bytes()).is_ok() && head(&mut socket).is_some() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
    });
    println!("{:.0}", answered.load(Ordering::Relaxed) as f64 / seconds as f64);
}

/// A flood; how many requests a second were answered.
fn flooded(to: SocketAddr, seconds: u64, dir: &Path) -> (f64, &'static str) {
    let script = dir.join("forged.lua");
    let body =
        format!("wrk.method = \"POST\"\nwrk.body = \"{{}}\"\nwrk.headers[\"X-Hub-Signature-256\"] = \"sha256={}\"\n", "0".repeat(64));
    std::fs::write(&script, body).unwrap();
    let connections = format!("-c{CONNECTIONS}");
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &connections, &format!("-d{seconds}s"), "-s"]).arg(&script).arg(format!("http://{to}{FLOODED}"));
    match wrk.output() {
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let line = text.lines().find_map(|l| l.strip_prefix("Requests/sec:")).unwrap_or_else(|| panic!("{text}"));
            (line.trim().parse().unwrap(), "wrk")
        }
        Err(_) => {
            let mut own = Other(role(&["flood", &to.to_string(), &seconds.to_string()]).spawn().unwrap());
            (own.line().parse().unwrap(), "this program, for wrk is not installed")
        }
    }
}

fn p99(all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get((all.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn write_estate(dir: &Path, target: &str, checks: u64, max_rate: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    let receiver = format!("[receiver]\nlisten = \"127.0.0.1:0\"\nmax_rate = \"{max_rate}\"\n");
    let settings = "[server]\nlisten = \"127.0.0.1:0\"\n[scheduler]\nper_host = 64\n[rate_limit]\nmax_rate = \"1000000/s\"\n[log]\nlevel = \"error\"\n";
    std::fs::write(dir.join("soakwatch.toml"), format!("{settings}{receiver}")).unwrap();
    std::fs::write(dir.join("secret"), SECRET).unwrap();
    let integration = |id: &str| format!("[[integration]]\nid = \"{id}\"\nenvironment = \"production\"\nowner = \"vendor\"\n");
    let mut text = "[customer]\nid = \"acme\"\nallow_private = true\n".to_owned();
    for id in ["flooded", "quiet"] {
        text += &integration(id);
        text += "[[integration.check]]\nid = \"in\"\nevery = \"1h\"\n[integration.check.webhook_arrival]\nscheme = \"github\"\nsecrets = { file = \"secret\" }\n";
    }
    text += &integration("probes");
    for n in 0..checks {
        text += &format!("[[integration.check]]\nid = \"c{n}\"\nevery = \"1s\"\n[integration.check.http]\nurl = \"http://{target}/{n}\"\n");
    }
    std::fs::write(dir.join("customers/acme.toml"), text).unwrap();
}

/// What was seen in one stretch of time.
struct Seen {
    /// From when a probe was due to its connection at the target, the slowest percent, in milliseconds.
    lag: f64,
    slots: usize,
    sent: u64,
    taken: u64,
    /// Until a genuine message was answered, the slowest percent, in milliseconds.
    answered: f64,
    flood: Option<(f64, &'static str)>,
    /// Bytes, before and at most.
    memory: (u64, u64),
}

/// Watches for so long, with a flood at an address or without.
async fn watch(running: &Running, config: &Config, target: SocketAddr, seconds: u64, dir: &Path, flooded_at: Option<SocketAddr>) -> Seen {
    let to = running.receiver.unwrap();
    let dump = move || {
        let mut socket = TcpStream::connect(target).unwrap();
        socket.write_all(b"GET /dump HTTP/1.1\r\n\r\n").unwrap();
        let mut all = String::new();
        socket.read_to_string(&mut all).unwrap();
        all.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    tokio::task::spawn_blocking(dump).await.unwrap();
    let (before, from) = (memory("VmRSS"), Clock::System.now());
    let mut sender = Other(role(&["genuine", &to.to_string(), &seconds.to_string()]).spawn().unwrap());
    let dir = dir.to_owned();
    let flood = tokio::task::spawn_blocking(move || flooded_at.map(|at| flooded(at, seconds, &dir)));
    let mut most = before;
    for _ in 0..seconds * 10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(memory("VmRSS"));
    }
    let flood = flood.await.unwrap();
    let said = tokio::task::spawn_blocking(move || sender.line()).await.unwrap();
    let until = Clock::System.now();
    let came = tokio::task::spawn_blocking(dump).await.unwrap();
    let grids: BTreeMap<String, Grid> = config
        .checks()
        .filter(|d| d.kind.is_asked())
        .map(|d| (d.id.as_str().rsplit_once("/c").unwrap().1.to_owned(), Grid::of(d)))
        .collect();
    let mut lags: Vec<f64> = Vec::new();
    for line in came.lines() {
        let (n, at) = line.split_once(' ').unwrap();
        let (grid, at) = (&grids[n], UnixMs(at.parse().unwrap()));
        // The last slot that was due: a lag of a second and more would be told as less, but its slot is then missing below.
        lags.push((at.0 - (grid.after(at).0 - grid.interval())) as f64);
    }
    let due = grids.len() as i64 * (until.0 - from.0) / 1000;
    println!("  {} of about {due} slots ran", lags.len());
    let words: Vec<&str> = said.split(' ').collect();
    let slots = lags.len();
    Seen {
        lag: p99(&mut lags),
        slots,
        sent: words[0].parse().unwrap(),
        taken: words[1].parse().unwrap(),
        answered: words[2].parse().unwrap(),
        flood,
        memory: (before, most),
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

fn told(what: &str, seen: &Seen, calm: Option<&Seen>) {
    let ratio = |now: f64, then: fn(&Seen) -> f64| calm.map_or(String::new(), |c| format!(" ({:.1} times)", now / then(c).max(0.1)));
    println!("{what}: p99 from due to the target {:.0} ms{}, {} slots", seen.lag, ratio(seen.lag, |c| c.lag), seen.slots);
    println!(
        "  genuine messages: {} sent, {} taken, p99 {:.1} ms{}",
        seen.sent,
        seen.taken,
        seen.answered,
        ratio(seen.answered, |c| c.answered)
    );
    if let Some((per_s, by)) = seen.flood {
        println!("  flood: {per_s:.0} requests/s answered, made by {by} over {CONNECTIONS} connections");
    }
    println!("  resident: {:.1} MiB before, {:.1} MiB at most", mib(seen.memory.0), mib(seen.memory.1));
}

/// All of it; whether anything was lost.
async fn measured(checks: u64, seconds: u64) -> bool {
    let mut asked = Other(role(&["target"]).spawn().unwrap());
    let target: SocketAddr = asked.line().parse().unwrap();
    let mut other = Other(role(&["bare"]).spawn().unwrap());
    let bare: SocketAddr = other.line().parse().unwrap();
    println!("{checks} probes a second and {GENUINE} genuine messages a second, {seconds} s each time; everything on this machine");
    let mut lost = false;
    for max_rate in ["50/s", "1000000/s"] {
        let dir = tempfile::tempdir().unwrap();
        write_estate(dir.path(), &target.to_string(), checks, max_rate);
        let loaded = config::load(dir.path(), &LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() });
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let kept = config.clone();
        let own = Arc::new(OwnMetrics::new().unwrap());
        let running = App::start(Parts { config, reload: None, resolver: None, clock: Clock::System, own, notifier: Default::default() })
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        println!(
            "max_rate = {max_rate}: {}",
            if max_rate == "50/s" { "beyond it nothing is read" } else { "each forged signature is judged" }
        );
        let calm = watch(&running, &kept, target, seconds, dir.path(), None).await;
        told(" without a flood", &calm, None);
        let elsewhere = watch(&running, &kept, target, seconds, dir.path(), Some(bare)).await;
        told(" with a flood at a server that is not ours", &elsewhere, Some(&calm));
        let flooded = watch(&running, &kept, target, seconds, dir.path(), running.receiver).await;
        told(" with a flood at the receiver", &flooded, Some(&calm));
        running.stop().await.unwrap();
        for seen in [&calm, &elsewhere, &flooded] {
            lost |= seen.sent != seen.taken || (seen.slots as u64) < checks * (seconds - 1);
        }
    }
    println!("{}", if lost { "SOMETHING WAS LOST" } else { "no slot and no genuine message was lost" });
    lost
}
