//! Through a proxy: what arrives, and who is blamed for what does not. `gone.test` is a name that this machine can't resolve.

use std::time::Duration;

use soakwatch::config::model::CheckDef;
use soakwatch::outcome::{Cause, Class};
use soakwatch::route::{Protocol, Proxy, Route, Via};
use soakwatch::secret::SecretRef;
use soakwatch::transport::Transport;
use tokio::io::AsyncWriteExt as _;

use crate::support::fake::{Fake, Reply};
use crate::support::pki::{Pki, server_tls};
use crate::support::probing::{Ran, check, check_where, resolver, run, run_within, settings, transport};
use crate::support::proxy::{FakeProxy, head};

fn proxy(protocol: Protocol, port: u16) -> Proxy {
    Proxy { protocol, host: url::Host::parse("127.0.0.1").unwrap(), port, login: None }
}

fn through(proxy: Proxy, check: CheckDef) -> CheckDef {
    CheckDef { route: Route { via: Some(Via::Proxy(proxy)), ..Route::default() }, ..check }
}

#[tokio::test]
async fn https_goes_through_either_kind_and_is_verified_end_to_end() {
    let pki = Pki::new();
    let serve = |name| Fake::https(server_tls(pki.identity(name, 2020..2090), &["h2", "http/1.1"]), |_| Reply::json("{}"));
    let (right, wrong) = (serve("gone.test").await, serve("other.test").await);
    let transport = transport(Some(&pki.file()));
    for protocol in [Protocol::Http, Protocol::Socks5] {
        for fake in [&right, &wrong] {
            let (at, asked) = match protocol {
                Protocol::Http => (FakeProxy::http(fake.at, None).await, "CONNECT gone.test:8443 HTTP/1.1"),
                Protocol::Socks5 => (FakeProxy::socks(fake.at, None).await, "name gone.test:8443"),
            };
            // The proxy is on loopback, which is its operator's choice; the check itself may ask no private address.
            let check = check_where("url = \"https://gone.test:8443/\"", false);
            let ran = run(&transport, &through(proxy(protocol, at.fake.port()), check)).await;
            assert_eq!(at.asked(), [asked], "the proxy resolves the name");
            if fake.at == wrong.at {
                ran.failed(Class::Certificate, "another name (other.test)");
                continue;
            }
            ran.passed();
            let hop = &ran.observed.hops[0];
            assert!(hop.phases.resolve.is_none() && hop.phases.connect.is_some() && hop.phases.tls.is_some(), "{hop:?}");
            assert_eq!(hop.via.as_deref(), Some(proxy(protocol, at.fake.port()).to_string().as_str()));
            assert_eq!((hop.address, hop.version.as_deref()), (None, Some("HTTP/2")));
        }
    }
}

#[tokio::test]
async fn plain_http_goes_through_a_tunnel_too_with_who_we_are_told_to_the_proxy_alone() {
    let fake = Fake::http(|_| Reply::json("{}")).await;
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    std::fs::write(&good, "canary-pass-4711\n").unwrap();
    std::fs::write(&bad, "canary-wrong-4711\n").unwrap();
    let transport = transport(None);
    for protocol in [Protocol::Http, Protocol::Socks5] {
        let at = match protocol {
            Protocol::Http => FakeProxy::http(fake.at, Some("soak:canary-pass-4711")).await,
            Protocol::Socks5 => FakeProxy::socks(fake.at, Some(("soak", "canary-pass-4711"))).await,
        };
        let with = |file: Option<&std::path::Path>| {
            let login = file.map(|f| ("soak".to_owned(), SecretRef::File(f.to_owned())));
            through(Proxy { login, ..proxy(protocol, at.fake.port()) }, check("url = \"http://api.test:8080/x\""))
        };
        run(&transport, &with(Some(&good))).await.passed();
        let seen = fake.log().pop().unwrap();
        assert_eq!((seen.target.as_str(), seen.header("host"), seen.header("proxy-authorization")), ("/x", "api.test:8080", ""));
        for refused in [Some(bad.as_path()), None] {
            let ran = run(&transport, &with(refused)).await;
            is_ours(&ran, "");
            assert!(!format!("{ran:?}").contains("canary"), "{ran:?}");
        }
    }
    assert_eq!(fake.log().len(), 2);
}

/// Unknown, cause `route`.
fn is_ours(ran: &Ran, words: &str) {
    ran.failed(Class::Internal, words);
    assert!(ran.failure().is_none_or(|f| f.cause == Some(Cause::Route)), "{ran:#?}");
    ran.failed(Class::Internal, "our own proxy");
}

#[tokio::test]
async fn what_is_the_proxys_own_is_never_the_endpoints() {
    let transport = transport(None);
    let target = || check("url = \"https://gone.test/\"");
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for protocol in [Protocol::Http, Protocol::Socks5] {
        is_ours(&run(&transport, &through(proxy(protocol, closed), target())).await, "nothing listens there");
        let named = Proxy { host: url::Host::parse("gone.test").unwrap(), ..proxy(protocol, 3128) };
        is_ours(&run(&transport, &through(named, target())).await, "NXDOMAIN");
    }
    let long = [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(2000)].concat();
    for (answer, words) in [
        (b"HTTP/1.1 407 No\r\n\r\n".as_slice(), "who we are"),
        (b"HTTP/1.1 403 No\r\n\r\n", "rules don't let us connect to gone.test:443 (403)"),
        (b"HTTP/1.1 502 No\r\n\r\n", "did not connect to gone.test:443 (502)"),
        (b"HTTP/1.1 302 No\r\nLocation: http://login.test/\r\n\r\n", "(302)"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"", "closed the connection"),
        (&long, "too large"),
    ] {
        let at = FakeProxy::http_that_says(answer).await;
        is_ours(&run(&transport, &through(proxy(Protocol::Http, at.fake.port()), target())).await, words);
    }
    for reply in [1, 2, 3, 7, 8, 200] {
        let at = FakeProxy::socks_that_says(reply).await;
        is_ours(&run(&transport, &through(proxy(Protocol::Socks5, at.fake.port()), target())).await, "");
    }
}

#[tokio::test]
async fn what_the_proxy_says_of_the_endpoint_is_the_endpoints() {
    let transport = transport(None);
    let target = || check("url = \"https://gone.test/\"");
    for (answer, class, words) in [
        ("HTTP/1.1 503 No\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n\r\n", Class::Connect, "gone.test: nothing listens there"),
        ("HTTP/1.1 503 No\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n\r\n", Class::Dns, "gone.test: the name does not resolve"),
        ("HTTP/1.1 504 No\r\nProxy-Status: p; error=connection_timeout\r\n\r\n", Class::Connect, "no connection in time"),
    ] {
        let at = FakeProxy::http_that_says(answer).await;
        run(&transport, &through(proxy(Protocol::Http, at.fake.port()), target())).await.failed(class, words);
    }
    let at = FakeProxy::socks_that_says(5).await;
    let ran = run(&transport, &through(proxy(Protocol::Socks5, at.fake.port()), target())).await;
    ran.failed(Class::Connect, "connection refused");
    assert!(ran.failure().unwrap().answered);
}

#[tokio::test]
async fn silence_is_the_proxys_until_it_shows_that_it_lives() {
    let transport = transport(None);
    let target = || CheckDef { timeout: Duration::from_millis(600), ..check("url = \"https://gone.test/\"") };
    let deadline = Duration::from_secs(2);
    let dead = Fake::raw(|_stream, _| std::future::pending()).await;
    for protocol in [Protocol::Http, Protocol::Socks5] {
        is_ours(&run_within(&transport, &through(proxy(protocol, dead.port()), target()), Duration::from_secs(10)).await, "");
    }
    // Alive, and waiting for an endpoint that does not answer.
    let waiting = Fake::raw(|mut stream, _| async move {
        let head = head(&mut stream).await.unwrap_or_default();
        if head.starts_with("CONNECT ") {
            std::future::pending::<()>().await;
        }
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let ran = run_within(&transport, &through(proxy(Protocol::Http, waiting.port()), target()), deadline).await;
    assert!(ran.result.is_none() && ran.class() == Some(Class::Connect), "{ran:#?}");
}

#[tokio::test]
async fn the_guard_judges_what_it_can_see() {
    let fake = Fake::http(|_| Reply::json("{}")).await;
    let at = FakeProxy::http(fake.at, None).await;
    let transport = transport(None);
    for (host, private, rule) in [
        ("169.254.169.254", true, "metadata"),
        ("metadata.google.internal", true, "metadata"),
        ("127.0.0.1", false, "loopback"),
        ("[::1]", false, "loopback"),
        ("10.0.0.1", false, "private"),
        ("localhost", false, "loopback"),
        ("x.localhost", false, "loopback"),
    ] {
        let check = check_where(&format!("url = \"http://{host}:8080/\""), private);
        let ran = run(&transport, &through(proxy(Protocol::Http, at.fake.port()), check)).await;
        let failure = ran.failure().unwrap();
        assert_eq!((failure.cause, failure.egress_rule), (Some(Cause::Egress), Some(rule)), "{host}");
    }
    assert!(at.asked().is_empty(), "{:?}", at.asked());
    // A redirect is judged likewise.
    let sends = Fake::http(|_| Reply::redirect(302, "http://169.254.169.254/latest")).await;
    let at = FakeProxy::http(sends.at, None).await;
    let check = check("url = \"http://api.test/\"\nredirects = 3");
    run(&transport, &through(proxy(Protocol::Http, at.fake.port()), check)).await.failed(Class::Redirect, "the address guard refuses");
    assert_eq!(at.asked(), ["CONNECT api.test:80 HTTP/1.1"]);
}

#[tokio::test]
async fn the_settings_proxy_holds_unless_the_check_says_otherwise() {
    let fake = Fake::http(|_| Reply::json("{}")).await;
    let at = FakeProxy::http(fake.at, None).await;
    let mut settings = settings(None);
    settings.proxy = Some(proxy(Protocol::Http, at.fake.port()));
    let transport = Transport::new(&settings, resolver()).unwrap();
    let toml = format!("url = \"{}\"", fake.url("/"));
    run(&transport, &check(&toml)).await.passed();
    assert_eq!(at.asked().len(), 1);
    let direct = CheckDef { route: Route { via: Some(Via::Direct), ..Route::default() }, ..check(&toml) };
    run(&transport, &direct).await.passed();
    assert_eq!((at.asked().len(), fake.log().len()), (1, 2));
}

#[tokio::test]
async fn a_connection_comes_from_the_source_address() {
    let from = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&from);
    let fake = Fake::raw(move |mut stream, _| {
        kept.lock().unwrap().push(stream.peer_addr().unwrap().ip().to_string());
        async move {
            head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let transport = transport(None);
    let of = |address: &str| {
        let route = Route { source: Some(address.parse().unwrap()), ..Route::default() };
        CheckDef { route, ..check(&format!("url = \"{}\"", fake.url("/"))) }
    };
    run(&transport, &of("127.0.0.3")).await.passed();
    assert_eq!(*from.lock().unwrap(), ["127.0.0.3"]);
    let ran = run(&transport, &of("192.0.2.77")).await;
    ran.failed(Class::Internal, "source_address 192.0.2.77 is not an address of this machine");
    assert_eq!(ran.failure().unwrap().cause, Some(Cause::Route));
}
