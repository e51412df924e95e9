//! A real loopback server that answers by script and logs every request it saw, with its time: the far side's own account of what a daemon
//! did. It lives in the test's process and on a thread of its own, so a daemon may run, be killed and be started again as a child process.
//!
//! ```ignore
//! let api = FakeApi::start(|seen| if seen.number % 10 == 9 { Reply::status(500) } else { Reply::json("{}") });
//! // point a check at api.url("/orders"), run, kill, run ...
//! assert_eq!(api.log_of("/orders").len(), counted_by_the_store);
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use soakwatch::clock::{Clock, UnixMs, monotonic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The most a request's head may hold.
const HEAD_BYTES: usize = 64 * 1024;

/// One request as the server saw it, when its head was complete.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// How many requests to the same path came before it; 0 for the first.
    pub(crate) number: u64,
    /// Wall time.
    pub(crate) at: UnixMs,
    /// Method.
    pub(crate) method: String,
    /// Path with query.
    pub(crate) path: String,
    /// Header lines, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Body.
    pub(crate) body: String,
}

impl Seen {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    manner: Manner,
}

#[derive(Clone, Debug, PartialEq)]
enum Manner {
    Answer,
    /// Closes without an answer.
    Close,
    /// Sends these bytes instead of an answer, then closes.
    Raw,
    /// Keeps the connection and says nothing until the client goes.
    Hang,
}

impl Reply {
    /// An empty answer with a status.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO, manner: Manner::Answer }
    }
    /// A status with a body.
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self { body: body.into().into_bytes(), ..Self::status(status) }
    }
    /// 200 with a JSON body.
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self { body: body.into().into_bytes(), ..Self::status(200) }.header("content-type", "application/json")
    }
    /// The connection is closed without an answer.
    pub(crate) fn close() -> Self {
        Self { manner: Manner::Close, ..Self::status(0) }
    }
    /// These bytes are sent as they are, then the connection is closed.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { manner: Manner::Raw, body: bytes.into(), ..Self::status(0) }
    }
    /// No answer at all.
    pub(crate) fn hang() -> Self {
        Self { manner: Manner::Hang, ..Self::status(0) }
    }
    /// Whether its status is this.
    pub(crate) fn is(&self, status: u16) -> bool {
        self.status == status
    }
    /// With another header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
    /// Sent only after this time.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
}

/// The server. It ends when it is dropped.
pub(crate) struct FakeApi {
    address: SocketAddr,
    log: Arc<Log>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeApi {
    /// Starts on a free loopback port.
    pub(crate) fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (log, stop, script): (_, _, Script) = (Arc::new(Log::default()), CancellationToken::new(), Arc::new(script));
        let (its_log, its_stop) = (Arc::clone(&log), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let serve = async {
                    loop {
                        let Ok((stream, _)) = listener.accept().await else { continue };
                        tokio::spawn(converse(stream, Arc::clone(&script), Arc::clone(&its_log)));
                    }
                };
                its_stop.run_until_cancelled(serve).await;
            });
        });
        Self { address, log, stop, thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path on it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn log(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// The requests to one path (query left out) so far.
    pub(crate) fn log_of(&self, path: &str) -> Vec<Seen> {
        self.log().into_iter().filter(|s| without_query(&s.path) == path).collect()
    }

    /// Waits until a condition on the log holds; `false` if it did not within the limit.
    pub(crate) fn wait_for(&self, limit: Duration, condition: impl Fn(&[Seen]) -> bool) -> bool {
        let until = monotonic() + limit;
        let mut seen = self.log.seen.lock().unwrap();
        while !condition(&seen) {
            let Some(left) = until.checked_duration_since(monotonic()) else { return false };
            seen = self.log.changed.wait_timeout(seen, left).unwrap().0;
        }
        true
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

async fn converse(mut stream: TcpStream, script: Script, log: Arc<Log>) {
    let _ = stream.set_nodelay(true);
    let mut rest = Vec::new();
    while let Ok(Some(mut seen)) = read_request(&mut stream, &mut rest).await {
        {
            let mut all = log.seen.lock().unwrap();
            seen.number = all.iter().filter(|s| without_query(&s.path) == without_query(&seen.path)).count() as u64;
            all.push(seen.clone());
            log.changed.notify_all();
        }
        let reply = script(&seen);
        tokio::time::sleep(reply.delay).await;
        let goes_on = match reply.manner {
            Manner::Answer => stream.write_all(&answer(&reply, seen.method == "HEAD")).await.is_ok(),
            Manner::Close => false,
            Manner::Raw => {
                let _ = stream.write_all(&reply.body).await;
                false
            }
            Manner::Hang => {
                let mut sink = [0u8; 1024];
                while stream.read(&mut sink).await.is_ok_and(|n| n > 0) {}
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

fn answer(reply: &Reply, head_only: bool) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {} -\r\n", reply.status);
    for (name, value) in &reply.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if !matches!(reply.status, 100..=199 | 204 | 304) {
        out.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    if !head_only {
        out.extend_from_slice(&reply.body);
    }
    out
}

/// The next request; `None` when the client has gone. Understands `Content-Length`, which is what the daemon sends.
async fn read_request(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Option<Seen>> {
    let end = loop {
        if let Some(n) = rest.windows(4).position(|w| w == b"\r\n\r\n") {
            break n + 4;
        }
        if rest.len() > HEAD_BYTES || !more(stream, rest).await? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&rest[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned())).collect();
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0usize).min(HEAD_BYTES);
    while rest.len() < end + length {
        if !more(stream, rest).await? {
            return Ok(None);
        }
    }
    let body = String::from_utf8_lossy(&rest[end..end + length]).into_owned();
    rest.drain(..end + length);
    Ok(Some(Seen { number: 0, at: Clock::System.now(), method, path, headers, body }))
}

async fn more(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0u8; 8192];
    let n = stream.read(&mut buffer).await?;
    rest.extend_from_slice(&buffer[..n]);
    Ok(n > 0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Sends a text and reads until the server closes, or until so many bytes came.
    fn ask(api: &FakeApi, text: &str, bytes: usize) -> String {
        let mut stream = TcpStream::connect(api.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        stream.take(bytes as u64).read_to_end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn it_answers_by_script_and_logs_what_came() {
        let api = FakeApi::start(|seen| match (seen.path.as_str(), seen.number) {
            ("/a?x=1", 0) => Reply::json("{}"),
            ("/a?x=1", _) => Reply::status(204).header("x-n", seen.number.to_string()).after(Duration::from_millis(1)),
            ("/close", _) => Reply::close(),
            ("/raw", _) => Reply::raw("noise"),
            _ => Reply::hang(),
        });
        let both = "POST /a?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi".repeat(2);
        let first = "HTTP/1.1 200 -\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        let second = "HTTP/1.1 204 -\r\nx-n: 1\r\n\r\n";
        assert_eq!(ask(&api, &both, first.len() + second.len()), format!("{first}{second}"));
        assert_eq!(ask(&api, "GET /close HTTP/1.1\r\n\r\n", 100), "");
        assert_eq!(ask(&api, "GET /raw HTTP/1.1\r\n\r\n", 100), "noise");
        let mut hanging = TcpStream::connect(api.address()).unwrap();
        hanging.write_all(b"GET /silence HTTP/1.1\r\n\r\n").unwrap();
        assert!(api.wait_for(LIMIT, |log| log.len() == 5));
        let seen = api.log_of("/a");
        assert_eq!(seen.iter().map(|s| s.number).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((seen[0].method.as_str(), seen[0].body.as_str(), seen[0].header("host")), ("POST", "hi", Some("h")));
        assert!(seen[0].at <= seen[1].at);
        assert!(api.url("/x").starts_with("http://127.0.0.1:"));
        assert!(!api.wait_for(Duration::from_millis(1), |log| log.len() > 5));
    }
}
