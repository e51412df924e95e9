//! Proxies on loopback, written from the standards and not from our own code: HTTP `CONNECT` and SOCKS 5. Whatever they are asked for, they connect
//! to one address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use super::fake::Fake;

/// A proxy, and what it was asked for.
pub(crate) struct FakeProxy {
    pub(crate) fake: Fake,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeProxy {
    /// HTTP; with `login` (`name:password`) it wants exactly that.
    pub(crate) async fn http(to: SocketAddr, login: Option<&'static str>) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&asked);
        let fake = Fake::raw(move |mut stream, _| {
            let asked = Arc::clone(&kept);
            async move {
                let Some(head) = head(&mut stream).await else { return };
                asked.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
                let wanted = login.map(|l| format!("proxy-authorization: basic {}", base64::engine::general_purpose::STANDARD.encode(l)));
                if wanted.is_some_and(|w| !head.lines().any(|l| l.len() == w.len() && l.to_lowercase() == w.to_lowercase())) {
                    let _ = stream
                        .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n")
                        .await;
                    return;
                }
                let mut there = TcpStream::connect(to).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut there).await;
            }
        })
        .await;
        Self { fake, asked }
    }

    /// SOCKS 5; with `login` it wants that user name and password. What it is asked for is noted as `kind host:port`.
    pub(crate) async fn socks(to: SocketAddr, login: Option<(&'static str, &'static str)>) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&asked);
        let fake = Fake::raw(move |mut stream, _| {
            let asked = Arc::clone(&kept);
            async move {
                if let Some(target) = socks_request(&mut stream, login).await {
                    asked.lock().unwrap().push(target);
                    let mut there = TcpStream::connect(to).await.unwrap();
                    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 9]).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut there).await;
                }
            }
        })
        .await;
        Self { fake, asked }
    }

    /// A SOCKS 5 proxy that answers every request with this reply.
    pub(crate) async fn socks_that_says(reply: u8) -> Self {
        let fake = Fake::raw(move |mut stream, _| async move {
            if socks_request(&mut stream, None).await.is_some() {
                stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            }
        })
        .await;
        Self { fake, asked: Arc::default() }
    }

    /// An HTTP proxy that answers every request with these bytes.
    pub(crate) async fn http_that_says(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes: Vec<u8> = bytes.into();
        let fake = Fake::raw(move |mut stream, _| {
            let bytes = bytes.clone();
            async move {
                if head(&mut stream).await.is_some() {
                    let _ = stream.write_all(&bytes).await;
                }
            }
        })
        .await;
        Self { fake, asked: Arc::default() }
    }

    /// What it was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Ends TLS in front of a server in plain.
pub(crate) async fn tls_before(to: SocketAddr, tls: Arc<rustls::ServerConfig>) -> Fake {
    Fake::raw(move |stream, _| {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&tls));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut there = TcpStream::connect(to).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut there).await;
        }
    })
    .await
}

/// A way to a server that can be cut in silence: what was sent over it goes nowhere from then on, and neither end is told.
pub(crate) struct Wire {
    pub(crate) fake: Fake,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Wire {
    pub(crate) async fn to(to: SocketAddr) -> Self {
        let (cut, cuts) = tokio::sync::watch::channel(false);
        let fake = Fake::raw(move |mut stream, _| {
            let mut cuts = cuts.clone();
            async move {
                let mut there = TcpStream::connect(to).await.unwrap();
                if !*cuts.borrow_and_update() {
                    tokio::select! {
                        _ = copy_bidirectional(&mut stream, &mut there) => return,
                        _ = cuts.changed() => {}
                    }
                }
                // Both ends stay open.
                let _open = (stream, there);
                std::future::pending::<()>().await;
            }
        })
        .await;
        Self { fake, cut }
    }

    /// Cuts what is connected now; `for_good`: what connects from now on, too.
    pub(crate) fn cut(&self, for_good: bool) {
        self.cut.send_replace(for_good);
    }
}

/// The head of a request, to its empty line; nothing after it is read.
pub(crate) async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(text).ok()
}

async fn socks_request(stream: &mut TcpStream, login: Option<(&str, &str)>) -> Option<String> {
    assert_eq!(stream.read_u8().await.ok()?, 5);
    let methods = texts(stream).await?;
    match login {
        Some((name, password)) => {
            assert!(methods.contains(&2));
            stream.write_all(&[5, 2]).await.ok()?;
            assert_eq!(stream.read_u8().await.ok()?, 1);
            let right = texts(stream).await? == name.as_bytes() && texts(stream).await? == password.as_bytes();
            stream.write_all(&[1, u8::from(!right)]).await.ok()?;
            right.then_some(())?;
        }
        None => stream.write_all(&[5, if methods.contains(&0) { 0 } else { 255 }]).await.ok()?,
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.ok()?;
    assert_eq!(request[..3], [5, 1, 0]);
    let host = match request[3] {
        1 => format!("ipv4 {}", std::net::Ipv4Addr::from(stream.read_u32().await.ok()?)),
        3 => format!("name {}", String::from_utf8(texts(stream).await?).unwrap()),
        4 => format!("ipv6 {}", std::net::Ipv6Addr::from(stream.read_u128().await.ok()?)),
        other => panic!("address type {other}"),
    };
    Some(format!("{host}:{}", stream.read_u16().await.ok()?))
}

/// A length and as many bytes.
async fn texts(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await.ok()?)];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}
