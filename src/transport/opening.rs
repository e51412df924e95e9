//! The beginning of an exchange over HTTP/1.1 on a connection just opened: the request is written here, and hyper gets the connection once something came
//! back over it.
//!
//! hyper's client holds some 25 KiB from its handshake on: room for 32 requests, a buffer to write from, one to read into. A run that waits for a target
//! which takes its request and says nothing holds none of it. What comes back is hyper's to read from its first byte on; nothing is parsed here.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes};
use http::Method;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body_util::Full;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Stream;

/// What is read at once of what comes back first; the rest is read by hyper.
const FIRST: usize = 4096;

/// What is still to be sent: head and body.
type Unsent = Chain<Bytes, Bytes>;

fn nothing() -> Unsent {
    Bytes::new().chain(Bytes::new())
}

/// A request on its way, until something comes back: an answer's first bytes, the connection's end, or an error.
pub(super) struct Asking {
    stream: Option<Box<dyn Stream>>,
    unsent: Unsent,
}

impl Asking {
    /// Writes the request to a connection that nothing was asked over yet.
    pub(super) fn new(stream: Box<dyn Stream>, request: http::Request<Bytes>) -> Self {
        let head = Bytes::from(head(&request));
        Self { stream: Some(stream), unsent: head.chain(request.into_body()) }
    }
}

impl Future for Asking {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let Self { stream, unsent } = &mut *self;
        let Some(open) = stream else { return Poll::Pending };
        let sent = send(open, unsent, cx);
        let mut space = [MaybeUninit::uninit(); FIRST];
        let mut first = ReadBuf::uninit(&mut space);
        // Looked for while the request is still being sent, too: an answer may come before its end. And after an error, for it may have come before that.
        let failed = match (Pin::new(open).poll_read(cx, &mut first), sent) {
            (Poll::Ready(Ok(())), _) => None,
            (Poll::Ready(Err(e)), _) | (Poll::Pending, Poll::Ready(Err(e))) => Some(e),
            (Poll::Pending, Poll::Ready(Ok(())) | Poll::Pending) => return Poll::Pending,
        };
        let heard = Bytes::copy_from_slice(first.filled());
        let unsent = std::mem::replace(unsent, nothing());
        match stream.take() {
            Some(stream) => Poll::Ready(Answered { stream, unsent, heard, failed, asked: false }),
            None => Poll::Pending,
        }
    }
}

/// Sends what is unsent; ready when nothing is any more.
fn send(stream: &mut Box<dyn Stream>, unsent: &mut Unsent, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    if unsent.has_remaining() {
        while unsent.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 2];
            let filled = unsent.chunks_vectored(&mut slices);
            match ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..filled]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => unsent.advance(written),
            }
        }
        // Its memory is not needed while we wait.
        *unsent = nothing();
    }
    Pin::new(stream).poll_flush(cx)
}

/// A request's head as it stands on the wire.
fn head(request: &http::Request<Bytes>) -> Vec<u8> {
    let headers = request.headers();
    let named: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let mut head = Vec::with_capacity(named + request.method().as_str().len() + target.len() + 48);
    let mut write = |parts: &[&[u8]]| parts.iter().for_each(|part| head.extend_from_slice(part));
    write(&[request.method().as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
    for (name, value) in headers {
        // How the body ends is said here and nowhere else.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            write(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    if !request.body().is_empty() {
        write(&[b"content-length: ", request.body().len().to_string().as_bytes(), b"\r\n"]);
    }
    write(&[b"\r\n"]);
    head
}

/// The connection as hyper gets it. What hyper writes first is the request that has been sent, and goes nowhere; then it reads what came back.
pub(super) struct Answered {
    stream: Box<dyn Stream>,
    /// Of a request that was answered before its end.
    unsent: Unsent,
    heard: Bytes,
    failed: Option<io::Error>,
    /// Whether hyper has written the request. Until then nothing is read: to hyper, an answer that comes before its request is none.
    asked: bool,
}

/// The request to hand hyper, which is not sent: of the one that was, it needs to know the method.
pub(super) fn stand_in(method: Method) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::new(Full::default());
    *request.method_mut() = method;
    request
}

impl Answered {
    /// Whether what is written now goes nowhere; an error, if it can't follow what was sent.
    fn swallows(&mut self) -> io::Result<bool> {
        if !std::mem::replace(&mut self.asked, true) {
            return Ok(true);
        }
        // Another request, behind one that was never sent to its end.
        if self.unsent.has_remaining() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(false) }
    }
}

impl AsyncRead for Answered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.asked {
            // Nobody is woken: hyper writes in the poll in which it first reads, and is polled again then.
            return Poll::Pending;
        }
        if this.heard.has_remaining() {
            let n = this.heard.len().min(into.remaining());
            into.put_slice(&this.heard.split_to(n));
            return Poll::Ready(Ok(()));
        }
        if let Some(e) = this.failed.take() {
            return Poll::Ready(Err(e));
        }
        if this.unsent.has_remaining() {
            // Whether it can be sent is no matter any more: what counts is the answer.
            let _ = send(&mut this.stream, &mut this.unsent, cx);
        }
        Pin::new(&mut this.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Answered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.swallows() {
            Ok(true) => Poll::Ready(Ok(from.len())),
            Ok(false) => Pin::new(&mut self.stream).poll_write(cx, from),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.swallows() {
            Ok(true) => Poll::Ready(Ok(from.iter().map(|slice| slice.len()).sum())),
            Ok(false) => Pin::new(&mut self.stream).poll_write_vectored(cx, from),
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::super::Limits;
    use super::super::kept::Link;
    use super::*;
    use crate::clock::monotonic;

    fn opened(near: impl Stream + 'static) -> Link {
        Link::Opened { stream: Box::new(near), h2: false, at: monotonic() }
    }

    fn request(method: Method, headers: &[(&'static str, &'static str)], body: &'static str) -> Request<Bytes> {
        let mut request = Request::builder().method(method).uri("/v1/orders?limit=1&q=%20x");
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_static(value));
        }
        request.body(Bytes::from_static(body.as_bytes())).unwrap()
    }

    fn limits() -> Limits {
        Limits { max_body: 1 << 20, max_headers: 16 * 1024, user_agent: HeaderValue::from_static("x"), traceparent: false }
    }

    #[tokio::test]
    async fn a_request_is_written_as_hyper_writes_it() {
        let headers = [("host", "api.example.com"), ("authorization", "Bearer abc"), ("x-a", ""), ("accept", "*/*")];
        let bodies = [
            (Method::GET, ""),
            (Method::HEAD, ""),
            (Method::POST, "{\"a\":1}"),
            (Method::POST, ""),
            (Method::PUT, "x"),
            (Method::DELETE, ""),
        ];
        for (method, body) in bodies {
            let ours = request(method.clone(), &headers, body);
            let (near, mut far) = duplex(4096);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(near)).await.unwrap();
            let asked = sender.send_request(ours.clone().map(Full::new));
            let driver = tokio::spawn(connection);
            let mut theirs = vec![0; 4096];
            let mut read = 0;
            while !String::from_utf8_lossy(&theirs[..read]).contains("\r\n\r\n") || !theirs[..read].ends_with(body.as_bytes()) {
                read += far.read(&mut theirs[read..]).await.unwrap();
            }
            let written = [head(&ours), body.as_bytes().to_vec()].concat();
            assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&theirs[..read]), "{method}");
            drop(asked);
            driver.abort();
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_whole_however_it_comes() {
        for piece in [1, 7, FIRST, FIRST + 1, 100_000] {
            let (near, mut far) = duplex(200_000);
            let body = "y".repeat(50_000);
            let answer = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let server = tokio::spawn(async move {
                let mut asked = vec![0; 4096];
                let _ = far.read(&mut asked).await.unwrap();
                for part in answer.as_bytes().chunks(piece) {
                    far.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
                far
            });
            let limits = limits();
            let asking = opened(near).ask(request(Method::GET, &[("host", "x")], ""), &limits);
            let (response, mut live) = asking.await.unwrap();
            assert_eq!(response.status(), 200);
            let all = live.until(http_body_util::BodyExt::collect(response.into_body())).await.unwrap().to_bytes();
            assert_eq!(all, body.as_bytes(), "in pieces of {piece}");
            drop(server.await.unwrap());
        }
    }

    #[tokio::test]
    async fn an_answer_may_come_before_the_request_has_ended() {
        let (near, mut far) = duplex(64);
        let server = tokio::spawn(async move {
            far.read_exact(&mut [0; 100]).await.unwrap();
            far.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            far
        });
        let mut large = request(Method::POST, &[("host", "x")], "");
        *large.body_mut() = Bytes::from(vec![b'x'; 100_000]);
        let limits = limits();
        let (response, _live) = opened(near).ask(large, &limits).await.unwrap();
        assert_eq!(response.status(), 413);
        drop(server.await.unwrap());
    }

    #[tokio::test]
    async fn a_connection_that_ends_is_no_answer() {
        for answer in ["", "HTTP/1.1 200 O"] {
            let (near, mut far) = duplex(4096);
            let server = tokio::spawn(async move {
                let _ = far.read(&mut [0; 1000]).await.unwrap();
                far.write_all(answer.as_bytes()).await.unwrap();
            });
            let limits = limits();
            let asked = opened(near).ask(request(Method::GET, &[("host", "x")], ""), &limits).await;
            assert!(asked.is_err_and(|e| e.is_incomplete_message()), "{answer:?}");
            server.await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_holds_little() {
        let (near, _far) = duplex(4096);
        let limits = limits();
        let asking = opened(near).ask(request(Method::GET, &[("host", "x")], ""), &limits);
        // 72 bytes the head and the body, the rest is the request before it is written.
        assert!(size_of_val(&asking) <= 1024, "{}", size_of_val(&asking));
        assert!(size_of::<Asking>() <= 128, "{}", size_of::<Asking>());
    }
}
