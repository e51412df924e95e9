//! Endpoints that mean harm, or are badly broken: each costs its run at most the deadline and a bounded amount of memory, and has its class.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use soakwatch::outcome::Class;
use soakwatch::transport::Transport;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::fake::{Fake, Reply, Served};
use crate::support::probing::{Ran, check, run_within, transport};

const DEADLINE: Duration = Duration::from_millis(1500);
/// Kernel buffers on both sides take some bytes that we never read.
const BUFFERS: u64 = 8 << 20;

/// Runs against it; whatever it does, the run is over by its deadline, and the connection with it.
async fn probe(transport: &Transport, fake: &Fake, scheme: &str, more: &str) -> Ran {
    let toml = format!("url = \"{scheme}://api.test:{}/\"\n{more}", fake.port());
    let ran = run_within(transport, &check(&toml), DEADLINE).await;
    assert!(ran.took < DEADLINE + Duration::from_millis(500), "{ran:?}");
    fake.all_closed().await;
    ran
}

/// Reads the request's head.
async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    let mut buf = [0u8; 1024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buf).await {
            Ok(n) if n > 0 => head.extend_from_slice(&buf[..n]),
            _ => return,
        }
    }
}

/// A fake that reads the request and then says this, piece by piece, `times` over (0: for ever), and then waits for the other side to go.
async fn says(head: &'static str, piece: impl Into<Vec<u8>>, times: u32, pause: Duration) -> Fake {
    let piece = Arc::new(piece.into());
    Fake::raw(move |mut stream: TcpStream, served: Arc<Served>| {
        let piece = Arc::clone(&piece);
        async move {
            read_head(&mut stream).await;
            let mut alive = served.send(&mut stream, head.as_bytes()).await;
            let mut n = 0;
            while alive && (times == 0 || n < times) {
                alive = served.send(&mut stream, &piece).await;
                n += 1;
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            let _ = stream.read(&mut [0u8; 16]).await;
        }
    })
    .await
}

const OK: &str = "HTTP/1.1 200 OK\r\n\r\n";

#[tokio::test]
async fn an_endless_body_ends_at_the_cap() {
    let fake = says(OK, vec![b'x'; 65_536], 0, Duration::ZERO).await;
    let ran = probe(&transport(None), &fake, "http", "").await;
    ran.failed(Class::Protocol, "larger than 1MiB");
    assert!(ran.observed.body_bytes.unwrap() <= 1 << 20);
    assert!(fake.bytes() < (1 << 20) + BUFFERS, "{} bytes served", fake.bytes());
    let fake = says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n".repeat(1000), 0, Duration::ZERO).await;
    probe(&transport(None), &fake, "http", "max_body = \"64KiB\"").await.failed(Class::Protocol, "larger than 64KiB");
}

#[tokio::test]
async fn one_byte_at_a_time_ends_at_the_deadline() {
    let fake = says("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "x", 0, Duration::from_millis(100)).await;
    let ran = probe(&transport(None), &fake, "http", "").await;
    assert!(ran.result.is_none());
    assert_eq!((ran.class(), ran.observed.status), (Some(Class::Timeout), Some(200)));
    assert!(ran.observed.hops[0].phases.processing.is_some());
    // The same in the headers.
    let fake = says("HTTP/1.1 200 OK\r\nX-Slow: ", "x", 0, Duration::from_millis(100)).await;
    assert_eq!(probe(&transport(None), &fake, "http", "").await.class(), Some(Class::Timeout));
}

#[tokio::test]
async fn a_bomb_ends_at_the_cap() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        bomb.write_all(&vec![0u8; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 17);
    let fake = Fake::http(move |_| Reply::new(200).header("content-encoding", "gzip").body(bomb.clone())).await;
    let ran = probe(&transport(None), &fake, "http", "").await;
    ran.failed(Class::Protocol, "larger than 1MiB");
    assert!(ran.observed.body_bytes.unwrap() <= 1 << 20);
}

#[tokio::test]
async fn too_many_headers() {
    let fake = says("HTTP/1.1 200 OK\r\n", "X-A: b\r\n", 10_000, Duration::ZERO).await;
    probe(&transport(None), &fake, "http", "").await.failed(Class::Protocol, "too large or too many");
    let few = says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", format!("{}\r\n", "X-A: b\r\n".repeat(200)), 1, Duration::ZERO).await;
    probe(&transport(None), &few, "http", "").await.passed();
    let h2 = Fake::http2(|_| (0..10_000).fold(Reply::new(200), |r, n| r.header(&format!("x-{n}"), "b"))).await;
    probe(&transport(None), &h2, "http", "http_version = \"2\"").await.failed(Class::Protocol, "response");
}

#[tokio::test]
async fn a_header_of_a_mebibyte() {
    let fake = says("HTTP/1.1 200 OK\r\nX-Big: ", vec![b'x'; 1 << 20], 1, Duration::ZERO).await;
    probe(&transport(None), &fake, "http", "").await.failed(Class::Protocol, "too large");
    let fake = says("HTTP/1.1 200 OK\r\nX-Big: ", vec![b'x'; 65_536], 0, Duration::ZERO).await;
    probe(&transport(None), &fake, "http", "").await.failed(Class::Protocol, "too large");
    assert!(fake.bytes() < BUFFERS, "{} bytes served", fake.bytes());
}

#[tokio::test]
async fn interim_responses_without_end() {
    let fake = says("", "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000), 0, Duration::from_millis(1)).await;
    let ran = probe(&transport(None), &fake, "http", "").await;
    assert!(matches!(ran.class(), Some(Class::Timeout | Class::Protocol)), "{ran:?}");
}

#[tokio::test]
async fn a_redirect_loop() {
    let fake = Fake::http(|_| Reply::redirect(302, "/")).await;
    probe(&transport(None), &fake, "http", "redirects = 10").await.failed(Class::Redirect, "loop");
}

#[tokio::test]
async fn tls_that_stalls() {
    let silent = says("", "", 1, Duration::ZERO).await;
    let ran = probe(&transport(None), &silent, "https", "").await;
    assert!(ran.result.is_none());
    assert_eq!(ran.class(), Some(Class::Tls));
    assert!(ran.observed.hops[0].phases.connect.is_some() && ran.observed.hops[0].phases.tls.is_none());
    // Half a record header, then nothing.
    let half = Fake::raw(|mut stream, _| async move {
        let _ = stream.write_all(&[0x16, 0x03, 0x03, 0x40]).await;
        let mut buf = [0u8; 4096];
        while stream.read(&mut buf).await.is_ok_and(|n| n > 0) {}
    })
    .await;
    assert_eq!(probe(&transport(None), &half, "https", "").await.class(), Some(Class::Tls));
    // Something that is no TLS at all.
    let plain = Fake::raw(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0u8; 4096]).await;
    })
    .await;
    probe(&transport(None), &plain, "https", "").await.failed(Class::Tls, "not TLS");
}

#[tokio::test]
async fn reset_after_accept() {
    // A linger of zero makes the close a reset.
    let resets = || {
        Fake::raw(|stream, _| async move {
            let _ = stream.set_zero_linger();
        })
    };
    for _ in 0..10 {
        let fake = resets().await;
        probe(&transport(None), &fake, "http", "").await.failed(Class::Protocol, "reset");
        let fake = resets().await;
        let ran = probe(&transport(None), &fake, "https", "").await;
        assert_eq!(ran.class(), Some(Class::Tls), "{ran:?}");
    }
}

#[tokio::test]
async fn closed_without_an_answer() {
    let fake = Fake::raw(|mut stream, _| async move { read_head(&mut stream).await }).await;
    probe(&transport(None), &fake, "http", "").await.failed(Class::Protocol, "before the response was complete");
}

#[tokio::test]
async fn http_0_9_and_other_noise() {
    for noise in
        ["<html>hello</html>\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/7.3 200 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "\0\0\0\0\0\0\0\0"]
    {
        let fake = says("", noise, 1, Duration::ZERO).await;
        probe(&transport(None), &fake, "http", "").await.failed(Class::Protocol, "not HTTP");
        let fake = says("", noise, 1, Duration::ZERO).await;
        let ran = probe(&transport(None), &fake, "http", "http_version = \"2\"").await;
        assert!(matches!(ran.class(), Some(Class::Protocol | Class::Timeout)), "{ran:?}");
    }
}

#[tokio::test]
async fn a_wrong_content_length() {
    let short = Fake::raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").await;
    })
    .await;
    let ran = probe(&transport(None), &short, "http", "").await;
    ran.failed(Class::Protocol, "before the body was complete");
    assert_eq!((ran.observed.status, ran.observed.body_bytes), (Some(200), Some(9)));
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ] {
        let fake = says(head, "", 1, Duration::ZERO).await;
        probe(&transport(None), &fake, "http", "").await.failed(Class::Protocol, "");
    }
    let chunked = says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "zz\r\n", 1, Duration::ZERO).await;
    probe(&transport(None), &chunked, "http", "").await.failed(Class::Protocol, "");
    // Longer than said: what is beyond is never read.
    let long = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "okHTTP/1.1 500 Smuggled\r\n\r\n", 1, Duration::ZERO).await;
    probe(&transport(None), &long, "http", "expect = { matches = \"^ok$\" }").await.passed();
}

#[tokio::test]
async fn nul_bytes() {
    let fake = says("HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 0\r\n\r\n", "", 1, Duration::ZERO).await;
    probe(&transport(None), &fake, "http", "").await.failed(Class::Protocol, "not HTTP");
    let fake = says("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", "{\"a\": \"x\\u0000y\"}\0\0\0", 1, Duration::ZERO).await;
    let ran = probe(&transport(None), &fake, "http", "expect = { json = [{ path = \"$.a\", is = \"number\" }] }").await;
    ran.failed(Class::Assertion, "not JSON");
    let fake = says("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n", "{\"a\": \"x\\u0000y\"}", 1, Duration::ZERO).await;
    let ran = probe(&transport(None), &fake, "http", "expect = { json = [{ path = \"$.a\", is = \"number\" }] }").await;
    ran.failed(Class::Assertion, "$.a is number");
    assert!(!format!("{:?}", ran.observed.expectations).contains('\0'));
}

#[tokio::test]
async fn json_that_is_deep_or_wide() {
    let deep = Fake::http(|_| Reply::json("[".repeat(500_000))).await;
    let json = "expect = { json = [{ path = \"$..a\", exists = true }] }";
    probe(&transport(None), &deep, "http", json).await.failed(Class::Assertion, "recursion limit");
    let wide = Fake::http(|_| Reply::json(format!("[{}1]", "[],".repeat(300_000)))).await;
    probe(&transport(None), &wide, "http", json).await.failed(Class::Assertion, "$..a exists; seen: nothing there");
}

#[tokio::test]
async fn accepts_and_hangs() {
    let fake = says("", "", 1, Duration::ZERO).await;
    let ran = probe(&transport(None), &fake, "http", "").await;
    assert!(ran.result.is_none());
    assert_eq!(ran.class(), Some(Class::Timeout));
}
