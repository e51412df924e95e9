//! The listener as a client sees it, over real sockets on loopback: who may what, what is refused, what is cut off, what the answers are.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use soakwatch::board::Board;
use soakwatch::config::diff::AtStart;
use soakwatch::config::model::{Config, Settings, Token};
use soakwatch::config::table::Problem;
use soakwatch::fields::Span;
use soakwatch::health::Health;
use soakwatch::metrics::own::OwnMetrics;
use soakwatch::outcome::Role;
use soakwatch::server::{ReloadAnswer, ReloadRequest, ServerState, bind, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::estate::{clock, config, estate, integration, settings, with_checks};

/// A running server over the made estate.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) health: Arc<Health>,
    own: Arc<OwnMetrics>,
    config: watch::Sender<Arc<Config>>,
    stop: CancellationToken,
    done: JoinHandle<std::io::Result<()>>,
}

/// Starts one; every reload is answered with `answer`.
pub(crate) async fn start(settings: Settings, answer: ReloadAnswer) -> Server {
    start_with(settings, answer, estate).await
}

async fn start_with(settings: Settings, answer: ReloadAnswer, estate: impl FnOnce(Settings) -> (Config, Board)) -> Server {
    let listener = bind(&settings.server).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (config, board) = estate(settings);
    let (config, receiver) = watch::channel(Arc::new(config));
    let (reload, mut requests) = mpsc::channel::<ReloadRequest>(1);
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let _ = request.answer.send(match &answer {
                ReloadAnswer::Applied { added, removed, changed, unchanged, hash, soaks_restarted, settings_changed, .. } => {
                    ReloadAnswer::Applied {
                        settings_changed: settings_changed.clone(),
                        soaks_restarted: soaks_restarted.clone(),
                        added: *added,
                        removed: *removed,
                        changed: *changed,
                        unchanged: *unchanged,
                        // So that the test sees who asked.
                        restart_needed: vec![request.actor],
                        hash: hash.clone(),
                    }
                }
                refused => refused.clone(),
            });
        }
    });
    let health = Arc::new(Health::default());
    health.set_ready(true);
    let own = Arc::new(OwnMetrics::new().unwrap());
    let state = ServerState {
        incidents: Arc::default(),
        checkpoints: Arc::default(),
        memories: Arc::default(),
        soaks: Arc::default(),
        started: Arc::new(AtStart::of(&Settings::default())),
        budgets: Arc::new(soakwatch::budget::Budgets::new(&soakwatch::config::model::Settings::default().rate_limit)),
        board: Arc::new(board),
        own: Arc::clone(&own),
        clock: clock(),
        config: receiver,
        health: Arc::clone(&health),
        reload,
        decisions: mpsc::channel(1).0,
        store: std::env::temp_dir().join("soakwatch-no-store-in-this-test.db"),
    };
    let stop = CancellationToken::new();
    let done = tokio::spawn(serve(listener, None, state, stop.clone()));
    Server { at, health, own, config, stop, done }
}

pub(crate) fn applied() -> ReloadAnswer {
    let (restart_needed, soaks_restarted) = (Vec::new(), Vec::new());
    let settings_changed = vec!["scheduler.vantage".to_owned()];
    ReloadAnswer::Applied {
        added: 1,
        removed: 2,
        changed: 3,
        unchanged: 4,
        settings_changed,
        restart_needed,
        soaks_restarted,
        hash: "beef".into(),
    }
}

const VIEWER: &str = "swt_viewer";
const OPERATOR: &str = "swt_operator";

fn with_tokens() -> Settings {
    let token = |name: &str, role, text: &str| {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref());
        Token { name: name.parse().unwrap(), role, sha256 }
    };
    let mut s = settings();
    s.server.tokens = vec![token("prometheus", Role::Viewer, VIEWER), token("pipeline", Role::Operator, OPERATOR)];
    s
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
    }
}

/// Sends bytes and reads to the end. Chunked bodies are put together.
pub(crate) async fn send(at: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A server that closes while we still write may reset the connection; what came before counts.
    let _ = stream.read_to_end(&mut bytes).await;
    let split = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer: {bytes:?}"));
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    let mut body = bytes[split + 4..].to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        let mut whole = Vec::new();
        while let Some(line) = body.windows(2).position(|w| w == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
            whole.extend_from_slice(&body[line + 2..line + 2 + size]);
            body.drain(..line + 4 + size);
        }
        body = whole;
    }
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body }
}

impl Server {
    /// A request with these further header lines.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let host = if headers.iter().any(|h| h.starts_with("Host:")) { String::new() } else { format!("Host: {}\r\n", self.at) };
        let more: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        send(self.at, &format!("{method} {path} HTTP/1.1\r\n{host}{more}Connection: close\r\n\r\n")).await
    }
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }
}

#[tokio::test]
async fn who_may_what() {
    let s = start(with_tokens(), applied()).await;
    let bearer = |t: &str| format!("Authorization: Bearer {t}");
    let basic = |t: &str| format!("Authorization: Basic {}", STANDARD.encode(format!("me:{t}")));
    let (none, wrong, viewer, operator) = (String::from("X-None: 1"), bearer("swt_wrong"), bearer(VIEWER), bearer(OPERATOR));
    let check = "/api/v1/checks/acme/production/crm-orders/token/runs";
    for (method, path, expected) in [
        ("GET", "/-/healthy", [200, 200, 200, 200]),
        ("GET", "/-/ready", [200, 200, 200, 200]),
        ("GET", "/metrics", [401, 401, 200, 200]),
        ("GET", "/", [401, 401, 200, 200]),
        ("GET", "/probe?target=acme/production/crm-orders&module=token", [401, 401, 200, 200]),
        ("GET", "/api/v1/status", [401, 401, 200, 200]),
        ("GET", "/api/v1/limits", [401, 401, 200, 200]),
        ("GET", "/api/v1/integrations/acme/production/crm-orders", [401, 401, 200, 200]),
        ("GET", "/integrations/acme/production/crm-orders", [401, 401, 200, 200]),
        ("GET", "/readiness/acme/production", [401, 401, 200, 200]),
        ("GET", check, [401, 401, 200, 200]),
        ("GET", "/nothing", [401, 401, 404, 404]),
        ("GET", "/api/v1/soaks", [401, 401, 200, 200]),
        ("GET", "/api/v1/gates/acme/production", [401, 401, 200, 200]),
        ("POST", "/api/v1/exclusions", [401, 401, 403, 403]),
        ("POST", "/api/v1/acceptances", [401, 401, 403, 403]),
        ("POST", "/api/v1/attestations", [401, 401, 403, 400]),
        ("GET", "/api/v1/attestations", [401, 401, 405, 405]),
        ("POST", "/-/reload", [401, 401, 403, 200]),
        ("GET", "/-/reload", [401, 401, 405, 405]),
    ] {
        let mut got = Vec::new();
        for who in [&none, &wrong, &viewer, &operator] {
            got.push(s.ask(method, path, &[who]).await.status);
        }
        assert_eq!(got, expected, "{method} {path}");
    }
    // Without the wrong token: of too many wrong ones none is looked at.
    for (method, path, expected) in [
        ("GET", "/api/v1/incidents", [401, 200, 200]),
        ("GET", "/api/v1/incidents/aaaaaaaaaaaa", [401, 404, 404]),
        ("POST", "/api/v1/incidents/aaaaaaaaaaaa/ack", [401, 403, 404]),
        ("POST", "/api/v1/incidents/aaaaaaaaaaaa/note", [401, 403, 400]),
        ("POST", "/api/v1/incidents/aaaaaaaaaaaa/reclassify", [401, 403, 403]),
        ("GET", "/api/v1/incidents/aaaaaaaaaaaa/ack", [401, 405, 405]),
    ] {
        let mut got = Vec::new();
        for who in [&none, &viewer, &operator] {
            got.push(s.ask(method, path, &[who]).await.status);
        }
        assert_eq!(got, expected, "{method} {path}");
    }
    assert_eq!(s.ask("GET", "/", &[&basic(VIEWER)]).await.status, 200);
    let refused = s.ask("GET", "/", &[&none]).await;
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic realm=\"soakwatch\""));
    let forbidden = s.ask("POST", "/-/reload", &[&viewer]).await.json();
    assert_eq!(forbidden["error"], "the token \"prometheus\" has the role viewer; this needs operator");
    // The reload knows who asked.
    assert_eq!(s.ask("POST", "/-/reload", &[&basic(OPERATOR)]).await.json()["restart_needed"][0], "pipeline");
    // Tokens come from the configuration in force.
    let mut config = Config::clone(&s.config.borrow().clone());
    config.settings.server.tokens.retain(|t| t.role == Role::Operator);
    s.config.send_replace(Arc::new(config));
    assert_eq!(s.ask("GET", "/metrics", &[&viewer]).await.status, 401);
}

#[tokio::test]
async fn guessing_is_turned_away_but_a_right_token_passes() {
    let s = Arc::new(start(with_tokens(), applied()).await);
    let guesses: Vec<_> = (0..25)
        .map(|n| {
            let s = Arc::clone(&s);
            tokio::spawn(async move { s.ask("GET", "/metrics", &[&format!("Authorization: Bearer swt_{n}")]).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for g in guesses {
        statuses.push(g.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[19], statuses[20], statuses[24]), (401, 401, 429, 429));
    assert_eq!(s.ask("GET", "/metrics", &[&format!("Authorization: Bearer {VIEWER}")]).await.status, 200);
}

#[tokio::test]
async fn without_tokens_on_loopback_all_is_open_but_not_to_other_sites() {
    let mut settings = settings();
    settings.server.hosts = vec!["monitor.example.com".into()];
    let s = start(settings, applied()).await;
    for path in ["/", "/metrics", "/api/v1/status"] {
        assert_eq!(s.get(path).await.status, 200, "{path}");
    }
    let port = s.at.port();
    for (headers, expected) in [
        (vec![], 200),
        (vec!["Host: localhost:1"], 200),
        (vec!["Host: monitor.example.com"], 200),
        (vec!["Host: evil.example"], 421),
        (vec!["Host: 192.0.2.1"], 421),
        (vec!["Host: a", "Host: b"], 400),
        (vec!["Origin: http://evil.example"], 403),
        (vec!["Origin: null"], 403),
        (vec!["Sec-Fetch-Site: cross-site"], 403),
        (vec!["Sec-Fetch-Site: same-site"], 403),
        (vec!["Host: localhost:1", "Origin: http://localhost:1", "Sec-Fetch-Site: same-origin"], 200),
    ] {
        assert_eq!(s.ask("POST", "/-/reload", &headers).await.status, expected, "{headers:?} to port {port}");
    }
    // A rebound name must not read either.
    for path in ["/", "/metrics", "/api/v1/status"] {
        assert_eq!(s.ask("GET", path, &["Host: evil.example"]).await.status, 421, "{path}");
    }
    assert_eq!(s.ask("GET", "/-/healthy", &["Host: evil.example"]).await.status, 200);
    // A link from elsewhere may lead here.
    assert_eq!(s.ask("GET", "/", &["Sec-Fetch-Site: cross-site"]).await.status, 200);
    let actor = s.ask("POST", "/-/reload", &[]).await.json()["restart_needed"][0].clone();
    assert_eq!(actor, "anonymous@127.0.0.1");
}

#[tokio::test]
async fn nothing_but_health_before_ready() {
    let s = start(settings(), applied()).await;
    s.health.set_ready(false);
    assert_eq!(s.get("/metrics").await.status, 503);
    assert_eq!(s.get("/-/ready").await.status, 503);
    assert_eq!(s.get("/-/healthy").await.status, 200);
    assert!(s.get("/").await.text().contains("The monitor is starting or stopping"));
    s.health.set_ready(true);
    assert_eq!(s.get("/metrics").await.status, 200);
    assert_eq!(s.get("/-/ready").await.status, 200);
}

#[tokio::test]
async fn reload_tells_what_happened() {
    let s = start(settings(), applied()).await;
    let a = s.ask("POST", "/-/reload", &["Content-Length: 0"]).await;
    assert_eq!(a.status, 200);
    let j = a.json();
    assert_eq!((&j["applied"], &j["added"], &j["unchanged"], &j["hash"]), (&true.into(), &1.into(), &4.into(), &"beef".into()));

    let problem = |what: &str| Problem {
        file: "customers/acme.toml".into(),
        line: 4,
        column: 1,
        path: "integration[0].ownr".into(),
        what: what.into(),
        expected: "did you mean \"owner\"?".into(),
        warning: false,
    };
    let s = start(settings(), ReloadAnswer::Refused(vec![problem("unknown key"), problem("is missing")])).await;
    let a = s.ask("POST", "/-/reload", &[]).await;
    assert_eq!(a.status, 422);
    assert_eq!(a.json()["problems"].as_array().unwrap().len(), 2);
    assert_eq!(a.json()["shown"][0], "customers/acme.toml:4:1: integration[0].ownr: unknown key; did you mean \"owner\"?");
}

#[tokio::test]
async fn a_hanging_reload_ends_within_the_timeout() {
    let mut quick = settings();
    quick.server.timeout = Span(Duration::from_millis(300));
    let listener = bind(&quick.server).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (config, board) = estate(quick);
    // The receiver is kept, but nobody reads it: the second request finds the channel full.
    let (reload, _requests) = mpsc::channel(1);
    let state = ServerState {
        incidents: Arc::default(),
        checkpoints: Arc::default(),
        memories: Arc::default(),
        soaks: Arc::default(),
        started: Arc::new(AtStart::of(&Settings::default())),
        budgets: Arc::new(soakwatch::budget::Budgets::new(&soakwatch::config::model::Settings::default().rate_limit)),
        board: Arc::new(board),
        own: Arc::new(OwnMetrics::new().unwrap()),
        clock: clock(),
        config: watch::channel(Arc::new(config)).1,
        health: Arc::default(),
        reload,
        decisions: mpsc::channel(1).0,
        store: "none.db".into(),
    };
    tokio::spawn(serve(listener, None, state, CancellationToken::new()));
    for _ in 0..2 {
        let a = send(at, "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert_eq!(a.status, 503, "{}", a.text());
    }
}

#[tokio::test]
async fn large_bodies_and_heads_are_refused() {
    let s = start(settings(), applied()).await;
    let declared = s.ask("POST", "/-/reload", &["Content-Length: 70000"]).await;
    assert_eq!(declared.status, 413);
    assert!(declared.json()["error"].as_str().unwrap().contains("64 KiB"));
    let chunk = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000));
    let head = format!("POST /-/reload HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", s.at);
    assert_eq!(send(s.at, &format!("{head}{chunk}{chunk}0\r\n\r\n")).await.status, 413);
    assert_eq!(send(s.at, &format!("{head}5\r\nhello\r\n0\r\n\r\n")).await.status, 200);
    let long = format!("X-Long: {}", "x".repeat(100_000));
    assert_eq!(s.ask("GET", "/", &[&long]).await.status, 431);
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: 1")).collect();
    assert_eq!(s.ask("GET", "/", &many.iter().map(String::as_str).collect::<Vec<_>>()).await.status, 431);
}

/// Reads until the server closes; how much came.
async fn until_closed(stream: &mut TcpStream) -> usize {
    let mut n = 0;
    let mut buffer = [0; 4096];
    while let Ok(got @ 1..) = stream.read(&mut buffer).await {
        n += got;
    }
    n
}

#[tokio::test]
async fn slow_and_idle_clients_are_cut() {
    let mut quick = settings();
    quick.server.timeout = Span(Duration::from_millis(200));
    let s = start(quick, applied()).await;
    // Half a head, and silence. The test's own limit is far above the server's.
    let patience = Duration::from_secs(10);
    let mut half = TcpStream::connect(s.at).await.unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc").await.unwrap();
    tokio::time::timeout(patience, until_closed(&mut half)).await.expect("half a head is cut");
    // Nothing at all.
    let mut idle = TcpStream::connect(s.at).await.unwrap();
    tokio::time::timeout(patience, until_closed(&mut idle)).await.expect("an idle connection is cut");
    // A body that never comes.
    let mut body = TcpStream::connect(s.at).await.unwrap();
    let head = format!("POST /-/reload HTTP/1.1\r\nHost: {}\r\nContent-Length: 10\r\n\r\n", s.at);
    body.write_all(head.as_bytes()).await.unwrap();
    tokio::time::timeout(patience, until_closed(&mut body)).await.expect("a body that does not come is cut");
    assert_eq!(s.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_no_scrape_for_long() {
    let mut quick = settings();
    quick.server.timeout = Span::seconds(1);
    let s = start_with(quick, applied(), |s| {
        // Far more text than socket buffers hold.
        let many = (0..2_500).map(|n| with_checks(integration("acme", "production", &format!("i{n}")), &["a"])).collect();
        let config = config(s, many);
        let board = Board::default();
        board.configure(&config);
        (config, board)
    })
    .await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(s.at).await.unwrap();
        stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", s.at).as_bytes()).await.unwrap();
        // The head is here, so the body has begun.
        stream.read_exact(&mut [0; 12]).await.unwrap();
        stalled.push(stream);
    }
    let all = async { while s.get("/metrics").await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("the stalled scrapes are cut");
    // One place came free because its scrape was cut; the others may still be going on, and end whole now that they are read.
    let mut cut = 0;
    for mut stream in stalled {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        cut += usize::from(!rest.ends_with(b"0\r\n\r\n"));
    }
    assert!(cut >= 1, "cut in the middle");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_room() {
    let mut tight = settings();
    tight.server.max_connections = 2;
    tight.server.timeout = Span::seconds(60);
    let s = start(tight, applied()).await;
    let request = format!("GET /-/healthy HTTP/1.1\r\nHost: {}\r\n\r\n", s.at);
    let mut first = TcpStream::connect(s.at).await.unwrap();
    let mut second = TcpStream::connect(s.at).await.unwrap();
    let mut buffer = [0; 1024];
    for stream in [&mut first, &mut second] {
        // Answered, so accepted; both stay open.
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
    }
    let mut third = TcpStream::connect(s.at).await.unwrap();
    third.write_all(request.as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), third.read(&mut buffer)).await;
    assert!(early.is_err(), "the third is not served while two are open");
    drop(first);
    let n = tokio::time::timeout(Duration::from_secs(10), third.read(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..n].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn stopping_lets_go_of_idle_connections_and_of_the_port() {
    let s = start(settings(), applied()).await;
    let mut open = TcpStream::connect(s.at).await.unwrap();
    let mut buffer = [0; 1024];
    open.write_all(format!("GET /-/healthy HTTP/1.1\r\nHost: {}\r\n\r\n", s.at).as_bytes()).await.unwrap();
    assert!(open.read(&mut buffer).await.unwrap() > 0);
    s.stop.cancel();
    tokio::time::timeout(Duration::from_secs(4), s.done).await.expect("an idle connection holds nothing up").unwrap().unwrap();
    assert_eq!(until_closed(&mut open).await, 0);
    assert!(TcpStream::connect(s.at).await.is_err());
}

#[tokio::test]
async fn unknown_paths_and_things_are_json_with_a_hint() {
    let s = start(settings(), applied()).await;
    for path in ["/nothing", "/api/v1/integrations/acme/production/nope", "/api/v1/integrations/A/b/c", "/api/v1/checks/a/b/c/d/runs"] {
        let a = s.get(path).await;
        assert_eq!((a.status, a.header("content-type")), (404, Some("application/json")), "{path}");
        assert!(a.json()["error"].is_string() && !a.json()["hint"].as_str().unwrap().is_empty(), "{path}");
    }
    assert_eq!(s.get("/metric").await.json()["hint"], "Did you mean /metrics?");
    assert_eq!(s.ask("POST", "/metrics", &[]).await.status, 405);
    assert_eq!(s.ask("DELETE", "/-/reload", &[]).await.header("allow"), Some("POST"));
    let page = s.get("/integrations/acme/production/nope").await;
    assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")));
}

#[tokio::test]
async fn status_and_integration_say_what_the_board_knows() {
    let s = start(settings(), applied()).await;
    let a = s.get("/api/v1/status").await;
    assert_eq!(a.header("content-type"), Some("application/json"));
    let j = a.json();
    assert_eq!(j["now"], "2026-11-21T12:00:00Z");
    assert_eq!((&j["totals"]["failing"], &j["totals"]["passing"]), (&1.into(), &2.into()));
    let one = &j["integrations"][0];
    assert_eq!(
        (&one["id"], &one["state"], &one["class"]),
        (&"acme/production/crm-orders".into(), &"failing".into(), &"unauthorized".into())
    );
    assert_eq!((&one["volume_peak"], &one["go_live"]), (&"600/min".into(), &"2026-11-24T12:00:00Z".into()));
    let soak = serde_json::json!({ "start": "2026-11-17T12:00:00Z", "window": "7d", "success_ratio": 0.995 });
    assert_eq!(one["soak"], soak);
    let page = s.get("/integrations/acme/production/crm-orders").await.text();
    assert!(page.contains("from 2026-11-17T12:00:00Z, 7d, success 99.5 %"), "{page}");
    assert!(j["integrations"][6]["ratio_24h"].is_null(), "no data is not a number");
    let j = s.get("/api/v1/integrations/acme/production/crm-orders").await.json();
    assert_eq!((&j["id"], &j["check"][0]["counts"]["pass"]), (&"acme/production/crm-orders".into(), &270.into()));
    assert_eq!(j["check"][1]["trouble"]["attribution"], "configuration");
}

#[tokio::test]
async fn runs_are_bounded_and_say_so() {
    let s = start(settings(), applied()).await;
    let path = "/api/v1/checks/acme/production/crm-orders/token/runs";
    let j = s.get(&format!("{path}?since=90m")).await.json();
    assert_eq!(
        (&j["since"], &j["until"], &j["truncated"]),
        (&"2026-11-21T10:30:00Z".into(), &"2026-11-21T12:00:00Z".into(), &false.into())
    );
    for (query, part) in [("since=41d", "40d"), ("since=tomorrow", "since is not readable"), ("since=1h&until=2h", "later than until")] {
        let a = s.get(&format!("{path}?{query}")).await;
        assert_eq!(a.status, 400, "{query}");
        assert!(a.text().contains(part), "{query}: {}", a.text());
    }
}

#[tokio::test]
async fn a_scrape_is_compressed_on_request_and_the_same_text() {
    let s = start(settings(), applied()).await;
    let plain = s.get("/metrics").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(plain.header("content-encoding").is_none());
    let packed = s.ask("GET", "/metrics", &["Accept-Encoding: gzip"]).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).unwrap();
    let per_check = |t: &str| t.lines().filter(|l| l.contains("customer=")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(per_check(&plain.text()), per_check(&text));
    assert!(per_check(&text).len() > 200);
    assert!(text.contains("soakwatch_http_requests_total{code=\"200\",handler=\"metrics\"} 1\n"), "the first scrape was counted");
    assert!(s.own.encode().is_ok());
}

#[tokio::test]
async fn pages_show_hostile_names_as_text_and_allow_no_script() {
    let s = start(settings(), applied()).await;
    for path in [
        "/",
        "/?customer=%3Cscript%3E&q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&state=failing",
        "/integrations/globex/production/directory",
        "/integrations/acme/production/crm-orders",
    ] {
        let a = s.get(path).await;
        assert_eq!((a.status, a.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        let text = a.text();
        assert!(!text.to_lowercase().contains("<script"), "{path}");
        assert!(!text.contains("<b>token expired"), "{path}");
        let policy = a.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(a.header("cache-control"), Some("no-store"));
        assert_eq!(a.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(a.header("referrer-policy"), Some("no-referrer"));
    }
    let text = s.get("/").await.text();
    assert!(text.contains("Globex &lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(text.contains("&lt;b&gt;token expired&lt;/b&gt; &amp; more"));
}

#[tokio::test]
async fn the_overview_is_sorted_filtered_and_refreshing() {
    let s = start(settings(), applied()).await;
    let text = s.get("/").await.text();
    let names = ["CRM orders", "Warehouse stock", ">blind<", ">fresh<", ">billing<", ">archive<", ">Directory<", ">tickets<"];
    let places: Vec<usize> = names.iter().map(|n| text.find(n).unwrap_or_else(|| panic!("{n}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(text.contains(", refreshing every 10 s") && text.contains("<title>1 failing · Soakwatch</title>"));
    for (query, shown, hidden) in [
        ("customer=initech", ">fresh<", "CRM orders"),
        ("environment=staging", ">billing<", "CRM orders"),
        ("phase=hypercare", ">Directory<", "CRM orders"),
        ("state=paused", ">archive<", "CRM orders"),
        ("q=acme%20corp", "CRM orders", ">fresh<"),
    ] {
        let text = s.get(&format!("/?{query}")).await.text();
        let rows = text.split("<tbody>").nth(1).unwrap();
        assert!(rows.contains(shown) && !rows.contains(hidden), "{query}");
    }
    assert!(!s.get("/?refresh=off").await.text().contains(", refreshing"));
    assert!(s.get("/?customer=nobody").await.text().contains("No integration fits these filters"));
}
