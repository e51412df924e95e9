//! What no sender would send, over raw sockets: the receiver answers or closes it, counts it by its reason, and goes on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;

use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Outgoing, Scheme, sign};

use crate::receiver::{SECRET, counted, estate, hooks, now, send};
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
    // A reset after the answer is an end, too; silence is none.
    if let Err(e) = socket.read_to_end(&mut answer) {
        assert!(!matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "it is still open");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends bytes, maybe that nothing more comes, and reads to the end.
fn raw(address: &str, bytes: &[u8], ends: bool) -> String {
    let mut socket = connect(address);
    // Of what is refused early the rest is not read.
    let _ = socket.write_all(bytes);
    if ends {
        let _ = socket.shutdown(Shutdown::Write);
    }
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
        ("a chunk that is cut off", chunked("ff\r\n{}"), &[400, 0], OF_CHECK, "unknown"),
        ("an extension without an end", chunked(&format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(100_000))), &[400], OF_CHECK, "unknown"),
        ("trailers without an end", chunked(&format!("2\r\n{{}}\r\n0\r\n{}\r\n", many.repeat(20))), &[400, 401], OF_CHECK, "unknown"),
        ("a body that is cut off", post("content-length: 100\r\n", "{"), &[400, 0], OF_CHECK, "unknown"),
        ("an id twice", message("one", "1.1", "webhook-id: two\r\n").into_bytes(), &[401], OF_CHECK, "unknown"),
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
        let answer = raw(&address, &bytes, what.ends_with("cut off"));
        let status = statuses(&answer).first().copied().unwrap_or(0);
        assert!(answers.contains(&status), "{what}: {answer}");
        eventually(&format!("{what}: counted as {reason}"), || (count(&daemon, name, reason) == before + 1.0).then_some(()));
    }
    assert_eq!(send(&format!("http://{address}{PATH}"), "after-all"), 200);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn who_is_slow_is_closed_and_counted_while_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, address) = start(dir.path(), "timeout = \"1s\"");
    let (mut head, mut body) = (connect(&address), connect(&address));
    head.write_all(format!("POST {PATH} HTTP/1.1\r\nx-slow: ").as_bytes()).unwrap();
    body.write_all(format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n").as_bytes()).unwrap();
    // A byte now and then keeps neither open; a write after the end says so.
    let trickle = |mut socket: TcpStream| {
        std::thread::spawn(move || {
            while socket.write_all(b"x").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        })
    };
    let slow = [trickle(head), trickle(body)];
    assert_eq!(send(&format!("http://{address}{PATH}"), "meanwhile"), 200);
    eventually("the head is given up", || (count(&daemon, OWN, "slow") == 1.0).then_some(()));
    eventually("the body is given up", || (count(&daemon, OF_CHECK, "unknown") == 1.0).then_some(()));
    slow.into_iter().for_each(|s| s.join().unwrap());
    // Who sends nothing at all between two messages is only idle.
    let mut idle = connect(&address);
    idle.write_all(message("idle", "1.1", "").as_bytes()).unwrap();
    assert_eq!(statuses(&rest(idle)), [200]);
    assert_eq!(count(&daemon, OWN, "slow"), 1.0);
}

#[test]
fn several_at_once_are_answered_in_turn_until_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, address) = start(dir.path(), "timeout = \"5s\"");
    let forged = message("three", "1.1", "").replace("{}", "[]");
    let all = [message("one", "1.1", ""), message("two", "1.1", ""), forged, message("four", "1.1", "")].concat();
    assert_eq!(statuses(&raw(&address, all.as_bytes(), false)), [200, 200, 401], "what follows a refusal is not looked at");
    assert_eq!(counted(&daemon, "soakwatch_webhook_deliveries_total", &[]), Some(3.0));
    assert_eq!(statuses(&raw(&address, message("old", "1.0", "").as_bytes(), false)), [200], "HTTP/1.0");
    let asked = message("asked", "1.1", "expect: 100-continue\r\nconnection: close\r\n");
    assert_eq!(statuses(&raw(&address, asked.as_bytes(), false)).last(), Some(&200));
    let chunked = message("chunked", "1.1", "connection: close\r\ntransfer-encoding: chunked\r\n").replace("content-length: 2\r\n", "");
    let chunked = chunked.replace("\r\n\r\n{}", "\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nx-trailer: 1\r\n\r\n");
    assert_eq!(statuses(&raw(&address, chunked.as_bytes(), false)), [200], "the body is what its chunks say");
}

#[test]
fn one_address_can_not_lock_out_another() {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, address) = start(dir.path(), "timeout = \"60s\"\nmax_connections = 8\nmax_per_sender = 5");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let target: SocketAddr = address.parse().unwrap();
    let from = |source: &str| {
        let source: SocketAddr = format!("{source}:0").parse().unwrap();
        let socket = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(source).unwrap();
            socket.connect(target).await.unwrap().into_std().unwrap()
        });
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    // One that holds all it can get, and goes on trying.
    let held: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut socket = from("127.0.0.2");
            let _ = socket.write_all(b"POST / HT");
            socket
        })
        .collect();
    eventually("those beyond its share are closed", || (count(&daemon, OWN, "sender") == 25.0).then_some(()));
    for n in 0..10 {
        let mut other = from("127.0.0.3");
        other.write_all(message(&format!("other-{n}"), "1.1", "connection: close\r\n").as_bytes()).unwrap();
        assert_eq!(statuses(&rest(other)), [200]);
    }
    drop(held);
    eventually("who goes leaves room", || {
        let mut again = from("127.0.0.2");
        let _ = again.write_all(message("again", "1.1", "connection: close\r\n").as_bytes());
        (statuses(&rest(again)) == [200]).then_some(())
    });
}

#[test]
fn noise_ends_no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, address) = start(dir.path(), "timeout = \"5s\"");
    // Numbers that look random and are the same each time.
    let mut seed = 7u64;
    let mut dice = move |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % most.max(1)
    };
    for n in 0..400 {
        let mut bytes = message(&format!("noise-{n}"), "1.1", "").into_bytes();
        for _ in 0..=dice(6) {
            let at = dice(bytes.len());
            match dice(4) {
                0 => bytes[at] = dice(256) as u8,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\r\n\0: ,;{}%"[dice(10)]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        raw(&address, &bytes, true);
    }
    assert_eq!(send(&format!("http://{address}{PATH}"), "after-all"), 200);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn an_origin_that_is_not_listed_is_not_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let listed = |origins: &str| {
        let (_, _) = (std::fs::remove_dir_all(dir.path().join("customers")), std::fs::remove_file(dir.path().join("soakwatch.db")));
        estate(dir.path(), "1h", origins);
        let file = dir.path().join("customers/acme.toml");
        let text = std::fs::read_to_string(&file).unwrap().replace("\"standard-webhooks\"", "\"cloudevents\"");
        std::fs::write(&file, text).unwrap();
        let daemon = Daemon::start(dir.path(), &[]);
        let address = hooks(&daemon).strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let ask = |origin: &str| {
            let question = format!("OPTIONS {PATH} HTTP/1.1\r\nhost: x\r\nwebhook-request-origin: {origin}\r\nconnection: close\r\n\r\n");
            let answer = raw(&address, question.as_bytes(), false).to_ascii_lowercase();
            (
                statuses(&answer.replace("http", "HTTP"))[0],
                answer.contains(&format!("webhook-allowed-origin: {origin}")),
                answer.contains("allow: post"),
            )
        };
        [ask("good.example.com"), ask("bad.example.com")]
    };
    assert_eq!(listed("allowed_origins = [\"Good.example.com\"]"), [(200, true, true), (405, false, true)]);
    assert_eq!(listed(""), [(200, true, true), (200, true, true)], "any");
}
