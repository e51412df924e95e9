//! The test bed of benches that set programs beside each other: a target in a process of its own that counts what it serves, an estate of checks against it
//! with the slots they have, and what another process spent. Never judges a figure.
#![allow(dead_code, reason = "each benchmark takes what it needs")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first thing that fails; a child's stdout is how it answers"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use soakwatch::clock::{DAY_MS, HOUR_MS, UnixMs};
use soakwatch::fields::CheckId;
use soakwatch::slots::Grid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What every target answers with.
const BODY: &str = r#"{"orders":[],"queue":{"depth":3}}"#;
/// Further arrivals are counted, not noted.
const MOST_ARRIVALS: usize = 500_000;

/// What [`Estate::write`] has in its configuration: a daemon of the tests (`Daemon::start`) would otherwise keep a pace of 1,000 a second towards each host.
pub(crate) const NO_PACE: (&str, &str) = ("SOAKWATCH__RATE_LIMIT__MAX_RATE", "1000000/s");

/// Microseconds of wall time: two processes compare them.
pub(crate) fn wall_us() -> i64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    t.tv_sec * 1_000_000 + t.tv_nsec / 1_000
}

/// A child process; killed when dropped.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and system time of a process, in seconds, in steps of 10 ms.
pub(crate) fn cpu_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// What is resident of a process, in MiB.
pub(crate) fn resident_of(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// The value at a share of sorted numbers.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let n = (sorted.len() as f64 * share) as usize;
    sorted.get(n.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The middle one.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    quantile(&numbers, 0.5)
}

/// This program again, in another role.
pub(crate) fn again(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

// --- the estate and its slots

/// So many checks, all of the same interval, in customers of a hundred.
#[derive(Clone, Copy)]
pub(crate) struct Estate {
    pub(crate) checks: u64,
    pub(crate) every: Duration,
    /// Whether every integration soaks, since eight days ago.
    pub(crate) soaks: bool,
}

impl Estate {
    /// The path that a check asks for.
    pub(crate) fn path(n: u64) -> String {
        format!("/c{}/i{}", n / 100, n % 100)
    }

    /// The grid of the check that asks for a path; `None`: no check does.
    pub(crate) fn grid(self, path: &str) -> Option<Grid> {
        let (customer, integration) = path.strip_prefix('/')?.split_once('/')?;
        let id: CheckId = format!("{customer}/production/{integration}/list").parse().ok()?;
        Some(Grid::new(id.key(), self.every.as_millis() as i64))
    }

    /// The next slot of every check, in milliseconds of wall time, and its number: the schedule that the daemon keeps.
    pub(crate) fn heap(self) -> BinaryHeap<Reverse<(i64, u64)>> {
        let now = UnixMs(wall_us() / 1000);
        (0..self.checks).map(|n| Reverse((self.grid(&Self::path(n)).unwrap().after(now).0, n))).collect()
    }

    /// Its configuration. `bases`: where the targets are, `https://127.0.0.1:1`; checks take them in turn.
    pub(crate) fn write(self, dir: &Path, settings: &str, bases: &[String], timeout: Duration) {
        std::fs::create_dir_all(dir.join("customers")).unwrap();
        let head = "[server]\nlisten = \"127.0.0.1:0\"\n[scheduler]\nper_host = 1000\nmax_runs = 100000\n[rate_limit]\nmax_rate = \"1000000/s\"\n\
                    [metrics]\nmax_series = 100000000\n[log]\nlevel = \"info\"\n";
        let start = UnixMs((wall_us() / 1000 - 8 * DAY_MS) / HOUR_MS * HOUR_MS);
        let soak = if self.soaks { format!("soak = {{ start = \"{start}\" }}\n") } else { String::new() };
        std::fs::write(dir.join("soakwatch.toml"), format!("{head}{settings}")).unwrap();
        for customer in 0..self.checks.div_ceil(100) {
            let mut text = format!("[customer]\nid = \"c{customer}\"\nname = \"Customer {customer}\"\nallow_private = true\n");
            for n in customer * 100..(customer * 100 + 100).min(self.checks) {
                let base = &bases[n as usize % bases.len()];
                text += &format!(
                    "[[integration]]\nid = \"i{}\"\nenvironment = \"production\"\nowner = \"vendor\"\nrunbook = \"https://wiki.example.com/x\"\n\
                     {soak}[[integration.check]]\nid = \"list\"\nevery = \"{}s\"\ntimeout = \"{}s\"\n[integration.check.http]\nurl = \"{base}{}\"\n\
                     expect = {{ status = [200], json = [{{ path = \"$.orders\", is = \"array\" }}] }}\n",
                    n % 100,
                    self.every.as_secs(),
                    timeout.as_secs(),
                    Self::path(n)
                );
            }
            std::fs::write(dir.join(format!("customers/c{customer}.toml")), text).unwrap();
        }
    }

    /// Calls `each` at every slot of every check until `until` (milliseconds of wall time). On tokio's timers.
    pub(crate) async fn walk(self, until: i64, mut each: impl FnMut(u64)) {
        let mut heap = self.heap();
        while let Some(Reverse((due, n))) = heap.pop() {
            if due >= until {
                break;
            }
            let left = due * 1000 - wall_us();
            if left > 0 {
                tokio::time::sleep(Duration::from_micros(left as u64)).await;
            }
            heap.push(Reverse((due + self.every.as_millis() as i64, n)));
            each(n);
        }
    }
}

// --- the target

/// The target's process, seen from outside.
pub(crate) struct Target {
    _child: Killed,
    /// `http://127.0.0.1:PORT`, the first of several; for the counts.
    pub(crate) http: Vec<String>,
    /// `https://127.0.0.1:PORT`.
    pub(crate) https: String,
    /// The root that vouches for it.
    pub(crate) ca: PathBuf,
}

impl Target {
    /// Starts it with so many plain ports. `hangs`: it takes requests and never answers.
    pub(crate) fn start(dir: &Path, ports: usize, hangs: bool) -> Self {
        let ca = dir.join("ca.pem");
        let role = if hangs { "target-hangs" } else { "target" };
        let mut child = again(&[role, &ports.to_string(), &ca.display().to_string()]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |scheme: &str| format!("{scheme}://{}", lines.next().unwrap().unwrap());
        let http = (0..ports).map(|_| address("http")).collect();
        Self { http, https: address("https"), ca, _child: Killed(child) }
    }

    /// A word of its control path.
    fn ask(&self, path: &str) -> String {
        use std::io::{Read as _, Write as _};
        let mut socket = std::net::TcpStream::connect(self.http[0].strip_prefix("http://").unwrap()).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Requests served (or taken, where it hangs) so far.
    pub(crate) fn served(&self) -> u64 {
        self.ask("/count").parse().unwrap()
    }

    /// How late every request since the last call was after the slot it is of, in milliseconds, sorted.
    pub(crate) fn lags(&self, estate: Estate) -> Vec<f64> {
        let text = self.ask("/arrivals");
        let lag = |line: &str| {
            let (path, at) = line.split_once(' ')?;
            let at: i64 = at.parse().ok()?;
            Some((at - estate.grid(path)?.at_or_before(UnixMs(at / 1000)).0 * 1000) as f64 / 1000.0)
        };
        let mut lags: Vec<f64> = text.lines().filter_map(lag).collect();
        lags.sort_by(f64::total_cmp);
        lags
    }
}

/// What the target saw: how many requests, and which when.
#[derive(Default)]
struct Seen {
    count: u64,
    arrivals: String,
    noted: usize,
}

/// The role `target PORTS CA`: listens and answers until killed.
pub(crate) async fn target(hangs: bool) {
    let args: Vec<String> = std::env::args().collect();
    let ports: usize = args[args.len() - 2].parse().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let acceptor = acceptor(Path::new(&args[args.len() - 1]));
    let mut tasks = Vec::new();
    for n in 0..=ports {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let (seen, tls) = (Arc::clone(&seen), (n == ports).then(|| acceptor.clone()));
        tasks.push(tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let (at, seen, tls) = (wall_us(), Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    let _ = socket.set_nodelay(true);
                    match tls {
                        None => serve(socket, at, &seen, hangs).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                serve(socket, at, &seen, hangs).await;
                            }
                        }
                    }
                });
            }
        }));
    }
    for task in tasks {
        let _ = task.await;
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, at: i64, seen: &Mutex<Seen>, hangs: bool) {
    let (mut head, mut read) = (vec![0; 2048], 0);
    while let Ok(n) = socket.read(&mut head[read..]).await {
        read += n;
        if n == 0 || head[..read].windows(4).any(|w| w == b"\r\n\r\n") {
            break;
        }
    }
    let text = String::from_utf8_lossy(&head[..read]).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default();
    let body = match path {
        "/count" => seen.lock().unwrap().count.to_string(),
        "/arrivals" => {
            let mut seen = seen.lock().unwrap();
            seen.noted = 0;
            std::mem::take(&mut seen.arrivals)
        }
        _ => {
            let mut seen = seen.lock().unwrap();
            seen.count += 1;
            if seen.noted < MOST_ARRIVALS {
                seen.noted += 1;
                seen.arrivals += &format!("{path} {at}\n");
            }
            BODY.to_owned()
        }
    };
    if hangs && path.starts_with("/c") && path != "/count" {
        // Until the other side has had enough.
        let _ = socket.read(&mut head).await;
        return;
    }
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let _ = socket.write_all(answer.as_bytes()).await;
    let _ = socket.shutdown().await;
}

/// A server's TLS with a root of its own, which is written to `ca`.
fn acceptor(ca: &Path) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::PrivateKeyDer;
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Soakwatch bench root");
    let issuer = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca, issuer.pem()).unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

// --- blackbox_exporter

/// A running blackbox_exporter, and connections to it that are used again, as Prometheus does.
pub(crate) struct Blackbox {
    child: Killed,
    address: String,
    free: Mutex<Vec<http1::SendRequest<Empty<Bytes>>>>,
}

impl Blackbox {
    /// Starts the program of Debian's package with one module, `http`, that wants what our checks want.
    pub(crate) fn start(program: &Path, dir: &Path, ca: &Path, timeout: Duration) -> Arc<Self> {
        let module = format!(
            "modules:\n  http:\n    prober: http\n    timeout: {}s\n    http:\n      preferred_ip_protocol: ip4\n      ip_protocol_fallback: false\n      \
             fail_if_body_not_matches_regexp: ['\"orders\": *\\[']\n      tls_config: {{ ca_file: {} }}\n",
            timeout.as_secs(),
            ca.display()
        );
        std::fs::write(dir.join("blackbox.yml"), module).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Command::new(program)
            .arg(format!("--config.file={}", dir.join("blackbox.yml").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = soakwatch::clock::monotonic();
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "blackbox_exporter does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Arc::new(Self { child: Killed(child), address, free: Mutex::default() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Lets it probe a URL once; whether it said that the probe succeeded. `None`: no answer.
    pub(crate) async fn probe(&self, url: &str, timeout: Duration) -> Option<bool> {
        let free = self.free.lock().unwrap().pop();
        let mut sender = match free {
            Some(sender) if !sender.is_closed() => sender,
            _ => {
                let (sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(&self.address).await.ok()?)).await.ok()?;
                tokio::spawn(connection);
                sender
            }
        };
        let request = http::Request::get(format!("/probe?module=http&target={url}"))
            .header("host", &self.address)
            .header("x-prometheus-scrape-timeout-seconds", timeout.as_secs())
            .body(Empty::new())
            .ok()?;
        let answer = sender.send_request(request).await.ok()?;
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        self.free.lock().unwrap().push(sender);
        Some(body.windows(16).any(|w| w == b"\nprobe_success 1"))
    }
}
