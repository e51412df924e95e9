//! What a run costs at the evenly spread rate of 10,000 checks every 30 s: the daemon, a bare hyper client that makes the same exchanges, and
//! blackbox_exporter that is asked for them; over HTTP and over HTTPS with full handshakes. And how late the daemon's runs are, beside a bare heap of timers.
//!
//! `cargo bench --bench exchange [-- --seconds 20 --rounds 2 --checks 10000 --every 30 --soaks 0 --https 1 --pairs 6]` (eighteen minutes; `--rounds 1` nine).
//! One program after the other has a window, again and again; all keep the same slots, every exchange is a new connection, and the target is a process of
//! its own that counts them. Nobody scrapes. CPU is user and system time of the program measured; the median of its windows. Not in a window: start, sealing hours.
//! Latency is what a run measures itself, in windows of their own in which the same checks are run on one thread, for the store keeps no phase below 0.1 ms.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and stops at the first error")]

use std::cmp::Reverse;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use soakwatch::clock::{Clock, monotonic};
use soakwatch::config::LoadOptions;
use soakwatch::memory::Memories;
use soakwatch::observed::{Noted, Phases};
use soakwatch::run::run_once;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

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

use bed::{Blackbox, Estate, Target, again, cpu_of, median, quantile, resident_of, wall_us};
use measure::{cpu, option};

/// Windows of each program in a round in which latency is looked at, by turns.
const PAIRS: u64 = 6;
/// How long each is.
const PAIR_SECONDS: u64 = 5;
/// Before a window begins.
const WARM_UP: Duration = Duration::from_secs(3);

fn estate() -> Estate {
    let every = Duration::from_secs(option("--every", 30));
    Estate { checks: option("--checks", 10_000), every, soaks: option("--soaks", 0) > 0 }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("target") => runtime.block_on(bed::target(false)),
        Some("bare") => runtime.block_on(bare(&args[2], Path::new(&args[3]))),
        Some("heap") => heap(&args[2]),
        Some("latency") => latency(Path::new(&args[2])),
        _ => compare(&runtime),
    }
}

// --- the bare client

/// The role `bare BASE CA`: one exchange for each slot, on new connections, and nothing else. Prints CPU time, exchanges and the middle latency.
async fn bare(base: &str, ca: &Path) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = base.starts_with("https").then(|| tokio_rustls::TlsConnector::from(Arc::new(config)));
    let address: Arc<str> = base.rsplit('/').next().unwrap().into();
    let took: Arc<Mutex<Vec<(f64, f64)>>> = Arc::default();
    let window = Duration::from_secs(option("--seconds", 20));
    let (begin, mut before) = (wall_us() / 1000 + WARM_UP.as_millis() as i64, None);
    let walk = estate().walk(begin + window.as_millis() as i64, |n| {
        if before.is_none() && wall_us() / 1000 >= begin {
            before = Some(cpu());
            took.lock().unwrap().clear();
        }
        let (address, tls, took) = (Arc::clone(&address), tls.clone(), Arc::clone(&took));
        tokio::spawn(async move {
            let began = monotonic();
            if let Some((200, connected)) = exchange(&address, tls, n).await {
                let us = |took: Duration| took.as_secs_f64() * 1e6;
                took.lock().unwrap().push((us(began.elapsed()), us(connected.duration_since(began))));
            }
        });
    });
    walk.await;
    let used = cpu() - before.unwrap();
    let took = std::mem::take(&mut *took.lock().unwrap());
    let middle = |of: fn(&(f64, f64)) -> f64| median(took.iter().map(of).collect());
    println!("{} {} {} {}", used.as_secs_f64(), took.len(), middle(|t| t.0), middle(|t| t.1));
}

/// The status, and when the connection was there.
async fn exchange(address: &str, tls: Option<tokio_rustls::TlsConnector>, n: u64) -> Option<(u16, Instant)> {
    let stream = TcpStream::connect(address).await.ok()?;
    let connected = monotonic();
    let _ = stream.set_nodelay(true);
    let status = match tls {
        None => request(stream, address, n).await,
        Some(tls) => request(tls.connect(ServerName::try_from("127.0.0.1").ok()?, stream).await.ok()?, address, n).await,
    };
    Some((status?, connected))
}

async fn request<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, address: &str, n: u64) -> Option<u16> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = http::Request::get(Estate::path(n)).header("host", address).body(Empty::<Bytes>::new()).ok()?;
    let answer = sender.send_request(request).await.ok()?;
    let status = answer.status().as_u16();
    answer.into_body().collect().await.ok()?;
    Some(status)
}

// --- latency as a run measures it

/// The role `latency DIR`: the runs of the daemon's checks at their slots, on one thread as there, and nothing else of the daemon. Prints the middle of
/// what they measured, and of each phase, before it is rounded to what the store keeps (steps of 5 %, and none below 0.1 ms).
fn latency(dir: &Path) {
    let options = LoadOptions { check_secrets: true, env: Vec::new(), now: Clock::System.now() };
    let config = soakwatch::config::load(dir, &options).config.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let until = wall_us() / 1000 + (WARM_UP + Duration::from_secs(option("--seconds", 20))).as_millis() as i64;
    let all: Arc<Mutex<Vec<Phases>>> = Arc::default();
    runtime.block_on(async {
        let transport = soakwatch::app::make_transport(&config, None, None).await.unwrap();
        let (defs, memories) = (config.checks().cloned().collect::<Vec<_>>(), Arc::new(Memories::default()));
        let walk = estate().walk(until, |n| {
            let (transport, memories, all) = (Arc::clone(&transport), Arc::clone(&memories), Arc::clone(&all));
            let def = Arc::clone(&defs[n as usize % defs.len()]);
            tokio::spawn(async move {
                let report = Box::pin(run_once(&def, (&transport, &memories), Clock::System.now(), None, Noted::All)).await;
                assert_eq!(report.record.outcome, soakwatch::outcome::Outcome::Pass, "{:?}", report.record.detail);
                all.lock().unwrap().push(report.attempts[0].observed.phases());
            });
        });
        walk.await;
    });
    let all = all.lock().unwrap();
    let us = |took: Option<Duration>| took.map_or(0.0, |t| t.as_secs_f64() * 1e6);
    let middle = |of: &dyn Fn(&Phases) -> f64| median(all.iter().map(of).collect());
    println!(
        "{} connect {:.0}, tls {:.0}, processing {:.0}, transfer {:.0}",
        middle(&|p| us(p.connect) + us(p.tls) + us(p.processing) + us(p.transfer)),
        middle(&|p| us(p.connect)),
        middle(&|p| us(p.tls)),
        middle(&|p| us(p.processing)),
        middle(&|p| us(p.transfer)),
    );
}

// --- the bare heap of timers

/// The role `heap ADDRESS`: a thread that sleeps until the next slot and begins a request for it; another one reads the answers. No runtime.
fn heap(address: &str) {
    use std::io::{Read as _, Write as _};
    let estate = estate();
    let (reader, sockets) = std::sync::mpsc::sync_channel::<std::net::TcpStream>(1024);
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        for mut socket in sockets {
            answer.clear();
            let _ = socket.read_to_end(&mut answer);
        }
    });
    let until = wall_us() / 1000 + (WARM_UP + Duration::from_secs(option("--seconds", 20))).as_millis() as i64;
    let mut heap = estate.heap();
    while let Some(Reverse((due, n))) = heap.pop() {
        if due >= until {
            break;
        }
        let left = due * 1000 - wall_us();
        if left > 0 {
            std::thread::sleep(Duration::from_micros(left as u64));
        }
        heap.push(Reverse((due + estate.every.as_millis() as i64, n)));
        if let Ok(mut socket) = std::net::TcpStream::connect(address) {
            let _ = write!(socket, "GET {} HTTP/1.1\r\nhost: x\r\n\r\n", Estate::path(n));
            let _ = reader.send(socket);
        }
    }
}

// --- the comparison

/// One window of one program.
#[derive(Default)]
struct Windows {
    /// CPU time an exchange, in microseconds.
    cpu: Vec<f64>,
    /// Microseconds.
    p50: Vec<f64>,
    /// The middle of each phase in the last window, microseconds.
    phases: String,
    per_s: Vec<f64>,
    resident: f64,
}

impl Windows {
    fn add(&mut self, used: f64, exchanges: u64, seconds: f64) {
        self.cpu.push(used / exchanges as f64 * 1e6);
        self.per_s.push(exchanges as f64 / seconds);
    }
    fn of_bare(&mut self, words: &str, seconds: u64) {
        let numbers: Vec<f64> = words.split_whitespace().map(|w| w.parse().unwrap()).collect();
        self.add(numbers[0], numbers[1] as u64, seconds as f64);
    }
    fn latency(&mut self, words: &str) {
        let numbers: Vec<f64> = words.split_whitespace().map(|w| w.parse().unwrap()).collect();
        self.p50.push(numbers[2]);
        self.phases = format!("connect {:.0}", numbers[3]);
    }
    fn cpu(&self) -> f64 {
        median(self.cpu.clone())
    }
    fn line(&self, name: &str) {
        let windows: Vec<String> = self.cpu.iter().map(|c| format!("{c:.0}")).collect();
        let p50 = if self.p50.is_empty() { String::new() } else { format!("; p50 {:.0} us", median(self.p50.clone())) };
        let resident = if self.resident > 0.0 { format!("; {:.0} MiB resident", self.resident) } else { String::new() };
        println!(
            "  {name:<18} {:>6.0} us a run (windows: {}) at {:.0}/s{p50}{resident}",
            self.cpu(),
            windows.join(" "),
            median(self.per_s.clone())
        );
        if !self.phases.is_empty() {
            println!("    of it, the middle of each phase: {} us", self.phases);
        }
    }
}

fn compare(runtime: &tokio::runtime::Runtime) {
    let (rounds, seconds, estate) = (option("--rounds", 2), option("--seconds", 20), estate());
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), 1, false);
    let blackbox = prometheus::installed("prometheus-blackbox-exporter");
    println!(
        "{} checks every {} s, {rounds} windows of {seconds} s each, one program after the other",
        estate.checks,
        estate.every.as_secs()
    );
    let (mut lags, mut on_tokio) = (Vec::new(), Vec::new());
    let schemes = [("HTTP", &target.http[0], (1.25, 3.0)), ("HTTPS", &target.https, (1.15, 2.0))];
    for (scheme, base, goals) in schemes.into_iter().take(if option("--https", 1) > 0 { 2 } else { 1 }) {
        let (mut theirs, mut alone, mut ours, mut asked) = (Windows::default(), Windows::default(), Windows::default(), Windows::default());
        for round in 0..rounds {
            let args = ["bare", base, &target.ca.display().to_string()].map(str::to_owned);
            target.lags(estate);
            theirs.of_bare(&role(&args, seconds, estate, THREADS), seconds);
            if scheme == "HTTP" {
                on_tokio.extend(target.lags(estate));
            }
            alone.of_bare(&role(&args, seconds, estate, "1"), seconds);

            let home = dir.path().join(format!("{scheme}{round}"));
            let settings = format!("[probe]\nca = \"{}\"\n", target.ca.display());
            estate.write(&home, &settings, std::slice::from_ref(base), Duration::from_secs(10));
            let daemon = daemon::Daemon::start(&home, &[bed::NO_PACE]);
            // The first run of a check is told in the log.
            std::thread::sleep(estate.every + WARM_UP);
            target.lags(estate);
            let (used, exchanges, took) = window(&target, daemon.pid(), seconds, || {});
            ours.add(used, exchanges, took);
            ours.resident = resident_of(daemon.pid());
            if scheme == "HTTP" {
                lags.extend(target.lags(estate));
            }
            assert_eq!(daemon.stop(), Some(0));

            // Short windows by turns, for this machine is at times half as fast as at others.
            for _ in 0..option("--pairs", PAIRS) {
                for (of, threads) in [(&mut theirs, THREADS), (&mut alone, "1")] {
                    of.latency(&role(&args, PAIR_SECONDS, estate, threads));
                }
                let words = role(&["latency".to_owned(), home.display().to_string()], PAIR_SECONDS, estate, THREADS);
                let (p50, phases) = words.trim().split_once(' ').unwrap();
                ours.p50.push(p50.parse().unwrap());
                phases.clone_into(&mut ours.phases);
            }

            if let Some(program) = &blackbox {
                let exporter = Blackbox::start(program, dir.path(), &target.ca, Duration::from_secs(10));
                let (base, driven) = (base.clone(), Arc::clone(&exporter));
                let until = wall_us() / 1000 + (WARM_UP.as_millis() as u64 + seconds * 1000 + 1000) as i64;
                let driver = runtime.spawn(async move {
                    let walk = estate.walk(until, |n| {
                        let (url, driven) = (format!("{base}{}", Estate::path(n)), Arc::clone(&driven));
                        tokio::spawn(async move {
                            let good = driven.probe(&url, Duration::from_secs(10)).await;
                            assert_eq!(good, Some(true), "blackbox_exporter's probe of {url}");
                        });
                    });
                    walk.await;
                });
                std::thread::sleep(WARM_UP);
                let (used, exchanges, took) = window(&target, exporter.pid(), seconds, || {});
                asked.add(used, exchanges, took);
                asked.resident = resident_of(exporter.pid());
                runtime.block_on(driver).unwrap();
            }
        }
        println!("{scheme}, every exchange a new connection:");
        theirs.line("bare hyper client");
        alone.line("  on one thread");
        ours.line("soakwatch");
        let cpu = |w: &Windows| ours.cpu() / w.cpu();
        // Of each pair of windows, and of these the middle.
        let p50 = |w: &Windows| (median(ours.p50.iter().zip(&w.p50).map(|(ours, theirs)| ours / theirs).collect()) - 1.0) * 100.0;
        println!("    CPU: {:.2} x the bare client's (goal: at most {}), {:.2} x on one thread", cpu(&theirs), goals.0, cpu(&alone));
        println!("    latency p50: {:+.0} % of the bare client's (goal: within 10), {:+.0} % on one thread", p50(&theirs), p50(&alone));
        if blackbox.is_some() {
            asked.line("blackbox_exporter");
            println!("    CPU: soakwatch takes 1/{:.1} of it (goal: at most 1/{})", asked.cpu() / ours.cpu(), goals.1);
        }
    }
    target.lags(estate);
    role(&["heap".to_owned(), target.http[0].strip_prefix("http://").unwrap().to_owned()], seconds * rounds, estate, THREADS);
    let bare = target.lags(estate);
    lags.sort_by(f64::total_cmp);
    on_tokio.sort_by(f64::total_cmp);
    println!("lag, from a slot to its connection at the target:");
    for (name, all) in [("bare heap, thread", &bare), ("bare heap, tokio", &on_tokio), ("soakwatch", &lags)] {
        println!("  {name:<18} p50 {:.2} ms, p99 {:.2} ms ({} runs)", quantile(all, 0.5), quantile(all, 0.99), all.len());
    }
    let p99 = quantile(&lags, 0.99);
    println!(
        "    p99: {:.1} x that of a heap on a thread that sleeps (goal: at most 1.5), {:.1} x that of a heap on tokio's timers (of a millisecond)",
        p99 / quantile(&bare, 0.99),
        p99 / quantile(&on_tokio, 0.99)
    );
}

/// As many as tokio takes where nobody says: one for each core.
const THREADS: &str = "";

/// Runs this program in a role to its end, its runtime with so many threads; what it printed.
fn role(args: &[String], seconds: u64, estate: Estate, threads: &str) -> String {
    let numbers = [("--seconds", seconds), ("--checks", estate.checks), ("--every", estate.every.as_secs())];
    let options: Vec<String> = numbers.iter().flat_map(|(name, n)| [(*name).to_owned(), n.to_string()]).collect();
    let all: Vec<&str> = args.iter().chain(&options).map(String::as_str).collect();
    let mut program = again(&all);
    if threads.is_empty() {
        program.env_remove("TOKIO_WORKER_THREADS");
    } else {
        program.env("TOKIO_WORKER_THREADS", threads);
    }
    String::from_utf8(program.output().unwrap().stdout).unwrap()
}

/// What a process used in a window, how many exchanges the target saw meanwhile, and how long it was.
fn window(target: &Target, pid: u32, seconds: u64, during: impl FnOnce()) -> (f64, u64, f64) {
    let (began, before, served) = (monotonic(), cpu_of(pid), target.served());
    during();
    std::thread::sleep(Duration::from_secs(seconds).saturating_sub(began.elapsed()));
    let (after, now_served) = (cpu_of(pid), target.served());
    (after - before, now_served - served, began.elapsed().as_secs_f64())
}
