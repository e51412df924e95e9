//! What no sender would send, over raw sockets: the receiver answers or closes it, counts it by its reason, and goes on.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Outgoing, Scheme, sign};

use crate::receiver::{SECRET, counted, deliver, estate, hooks, now, send};
use crate::support::daemon::{Daemon, PATIENCE, eventually};

const PATH: &str = "/hooks/acme/production/orders";

/// A daemon with these lines in `[receiver]`, and `host:port` of its receiver.
fn start(dir: &Path, receiver: &str) -> (Daemon, String) {
    estate(dir, "1h", "");
    let settings = format!("[server]\nlisten = \"127.0.0.1:0\"\n[receiver]\nlisten = \"127.0.0.1:0\"\nmax_rate = \"1000/s\"\n{receiver}\n");
    std::fs::write(dir.join("soakwatch.toml"), settings).unwrap();
    let daemon = Daemon::start(dir, &[]);
    let url = hooks(&daemon);
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    (daemon, address)
}

fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Everything that is answered until the other side closes.
fn rest(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is an end, too.
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends bytes, then that nothing more comes, and reads to the end.
fn raw(address: &str, bytes: &[u8]) -> String {
    let mut socket = connect(address);
    // Of what is refused early the rest is not read.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    rest(socket)
}

/// The statuses of all answers.
fn statuses(answer: &str) -> Vec<u16> {
    answer.split("HTTP/1.").skip(1).filter_map(|a| a.split(' ').nth(1)?.parse().ok()).collect()
}

/// A message as its sender would write it, with other lines in its head and another version of HTTP.
fn message(id: &str, version: &str, lines: &str) -> String {
    let scheme = Scheme::named("standard-webhooks").unwrap();
    let out = Outgoing { id, method: "POST", url: "https://x.test/", content_type: None, body: b"{}" };
    let signed = sign(scheme, &[SecretValue::new(SECRET)], &out, now()).unwrap();
    let headers: String = signed.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    format!("POST {PATH} HTTP/{version}\r\nhost: x.test\r\n{headers}{lines}content-length: 2\r\n\r\n{{}}")
}

const OWN: &str = "soakwatch_receiver_refused_total";
const OF_CHECK: &str = "soakwatch_webhook_rejections_total";

fn count(daemon: &Daemon, name: &str, reason: &str) -> f64 {
    counted(daemon, name, &[&format!("reason=\"{reason}\"")]).unwrap()
}

/// What is sent, one of the statuses it may be answered with (0: closed without a word), and where it is counted.
type Case = (&'static str, Vec<u8>, &'static [u16], &'static str, &'static str);

fn cases() -> Vec<Case> {
    let post = |lines: &str, body: &str| format!("POST {PATH} HTTP/1.1\r\nhost: x\r\n{lines}\r\n{body}").into_bytes();
    let chunked = |body: &str| post("transfer-encoding: chunked\r\n", body);
    let many: String = (0..100).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(64 << 10));
    let chunk = format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000));
    let pair = format!("{}webhook-id: two\r\n", message("one", "1.1", "").split_once("\r\n\r\n").unwrap().0.to_owned() + "\r\n");
    vec![
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[400, 0], OWN, "malformed"),
        ("no request line", b"\r\n\r\n\x00\x01\x02\r\n\r\n".to_vec(), &[400, 0], OWN, "malformed"),
        ("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[400, 0], OWN, "malformed"),
        ("another version", format!("POST {PATH} HTTP/3.7\r\n\r\n").into_bytes(), &[400, 0], OWN, "malformed"),
        ("a hundred fields", post(&many, ""), &[431], OWN, "malformed"),
        ("a field of 64 KiB", post(&long, ""), &[431], OWN, "malformed"),
        ("a path of 64 KiB", format!("POST /{} HTTP/1.1\r\n\r\n", "x".repeat(64 << 10)).into_bytes(), &[414, 431], OWN, "malformed"),
        ("a name with a blank", post("bad name: 1\r\n", ""), &[400], OWN, "malformed"),
        ("a folded field", post("x: 1\r\n 2\r\n", ""), &[400], OWN, "malformed"),
        ("a zero byte", post("x: a\0b\r\n", ""), &[400], OWN, "malformed"),
        ("two lengths", post("content-length: 2\r\ncontent-length: 3\r\n", "{}"), &[400], OWN, "malformed"),
        ("a negative length", post("content-length: -1\r\n", ""), &[400], OWN, "malformed"),
        ("a length beyond all", post("content-length: 99999999999999999999999\r\n", ""), &[400], OWN, "malformed"),
        ("another coding", post("transfer-encoding: gzip\r\n", ""), &[400], OWN, "malformed"),
        ("nobody's path", b"POST /hooks/nobody/production/orders HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &[404], OWN, "path"),
        ("a way up", format!("POST {PATH}/../orders HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(), &[404], OWN, "path"),
        ("a tunnel", b"CONNECT x.test:443 HTTP/1.1\r\nhost: x.test:443\r\n\r\n".to_vec(), &[404], OWN, "path"),
        ("the star", b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), &[404], OWN, "path"),
        ("a whole address", format!("DELETE http://x.test{PATH} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(), &[405], OWN, "method"),
        ("a length that is too large", post("content-length: 262145\r\n", ""), &[413], OF_CHECK, "too_large"),
        ("and waits to be asked for it", post("expect: 100-continue\r\ncontent-length: 9999999\r\n", ""), &[413], OF_CHECK, "too_large"),
        ("chunks without an end", chunked(&chunk.repeat(4)), &[413], OF_CHECK, "too_large"),
        ("a chunk without a size", chunked("zz\r\n{}\r\n0\r\n\r\n"), &[400], OF_CHECK, "unknown"),
        ("a chunk beyond all", chunked("ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"), &[400], OF_CHECK, "unknown"),
        ("a chunk that is cut off", chunked("ff\r\n{}"), &[400], OF_CHECK, "unknown"),
        ("an extension without an end", chunked(&format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(100_000))), &[400], OF_CHECK, "unknown"),
        ("trailers without an end", chunked(&format!("2\r\n{{}}\r\n0\r\n{}\r\n", many.repeat(20))), &[400, 401], OF_CHECK, "unknown"),
        ("a body that is cut off", post("content-length: 100\r\n", "{"), &[400], OF_CHECK, "unknown"),
        ("an id twice", format!("{pair}content-length: 2\r\n\r\n{{}}").into_bytes(), &[400, 401], OWN, "malformed"),
        ("no signature", post("content-length: 2\r\n", "{}"), &[401], OF_CHECK, "signature"),
        ("an upgrade", post("connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0\r\n", ""), &[401], OF_CHECK, "signature"),
    ]
}

#[test]
fn what_no_sender_would_send_is_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, address) = start(dir.path(), "timeout = \"5s\"");
    for (what, bytes, answers, name, reason) in cases() {
        let before = count(&daemon, name, reason);
        let answer = raw(&address, &bytes);
        let status = statuses(&answer).first().copied().unwrap_or(0);
        assert!(answers.contains(&status), "{what}: {answer}");
        eventually(&format!("{what}: counted as {reason}"), || (count(&daemon, name, reason) == before + 1.0).then_some(()));
    }
    assert_eq!(send(&format!("http://{address}{PATH}"), "after-all"), 200);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}
