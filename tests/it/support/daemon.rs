//! The real program as a child process: started on a configuration directory, watched through its log, stopped kindly or killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a test waits for a condition before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// `soakwatch run DIR`.
pub(crate) struct Daemon {
    child: Child,
    /// `http://127.0.0.1:PORT`, or `https://`.
    pub(crate) url: String,
    log: Arc<Mutex<String>>,
}

/// A command of the program under test, without what the environment would add.
pub(crate) fn soakwatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_soakwatch"));
    for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("SOAKWATCH__")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

impl Daemon {
    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) fn start(dir: &Path, env: &[(&str, &str)]) -> Self {
        let (mut daemon, ready) = Self::launch(dir, env);
        match ready.recv_timeout(PATIENCE) {
            Ok(url) => daemon.url = url,
            Err(_) => panic!("the daemon did not get ready:\n{}", daemon.log()),
        }
        daemon
    }

    /// Starts the daemon and does not wait; its URL comes when it is ready.
    pub(crate) fn launch(dir: &Path, env: &[(&str, &str)]) -> (Self, mpsc::Receiver<String>) {
        let mut command = soakwatch();
        // The fake endpoints bear more than strangers are asked to.
        command.env("SOAKWATCH__RATE_LIMIT__MAX_RATE", "1000/s");
        command.arg("run").arg(dir).envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, wait) = mpsc::channel();
        let (stderr, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let said = ["http", "https"].map(|s| line.split_once(&format!("on {s}://")).map(|(_, rest)| (s, rest)));
                if let Some((scheme, rest)) = said.into_iter().flatten().next().filter(|_| line.contains("ready: watching")) {
                    let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
                    let _ = ready.send(format!("{scheme}://{address}"));
                }
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        (Self { child, url: String::new(), log }, wait)
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Everything it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGKILL: no goodbye.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name (`HUP`, `TERM`).
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().unwrap().code()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The body of a GET; panics when there is no answer.
    pub(crate) fn get(&self, path: &str) -> String {
        get(&format!("{}{path}", self.url)).1
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain GET or POST over HTTP/1.0, so that nothing is chunked; status and body.
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> (u16, String) {
    send(method, url, headers, "")
}

/// A plain POST with a body.
pub(crate) fn post(url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    send("POST", url, headers, body)
}

fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').map_or((rest, "/".to_owned()), |(a, p)| (a, format!("/{p}")));
    let mut socket = std::net::TcpStream::connect(authority).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let extra: String = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
    let length = body.len();
    // Of what is refused for its size the rest is not read.
    let _ = write!(socket, "{method} {path} HTTP/1.0\r\nhost: {authority}\r\ncontent-length: {length}\r\n{extra}\r\n{body}");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, text.split_once("\r\n\r\n").map(|(_, b)| b.to_owned()).unwrap_or_default())
}

/// A plain GET.
pub(crate) fn get(url: &str) -> (u16, String) {
    request("GET", url, &[])
}

/// Waits for a condition; panics with `what` when it does not come.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = soakwatch::clock::monotonic();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The value of one series of a scrape, by its start (`name{label="x"`); absent: `None`.
pub(crate) fn series(scrape: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = scrape
        .lines()
        .find(|l| !l.starts_with('#') && l.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| l.contains(label)))?;
    line.rsplit_once(' ')?.1.parse().ok()
}
