//! Faults in what comes from outside: whatever the bytes, every parser comes back, with a value or a refusal in words, and the daemon goes on. `inventory` has
//! the list of all parsers with the test that tries each; here stand those that have no place of their own.

mod inventory;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use soakwatch::bundle::key::{PublicKey, SigningKey};
use soakwatch::clock::UnixMs;
use soakwatch::config::model::CheckDef;
use soakwatch::config::model::ListenerTls;
use soakwatch::route::{Protocol, Proxy, Route, Via};
use soakwatch::secret::SecretRef;
use soakwatch::slots::cron::Cron;
use soakwatch::store::Store;

use crate::estate;
use crate::receiver::hooks;
use crate::support::daemon::{Daemon, PATIENCE, get, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};
use crate::support::probing::{check, run, transport};
use crate::support::seeds::tried;

/// A change of bytes: where, how long, in which way, with what.
type Change = (Index, Index, u8, Vec<u8>);

/// Some changes of bytes: taken out, put in, doubled.
fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..6)), 1..most)
}

fn changed(original: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for (at, length, how, put) in changes {
        let at = at.index(bytes.len() + 1);
        let end = (at + length.index(30)).min(bytes.len());
        match how % 3 {
            0 => drop(bytes.splice(at..end, std::iter::empty())),
            1 => drop(bytes.splice(at..(at + put.len()).min(bytes.len()), put.iter().copied())),
            _ => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
        }
    }
    bytes
}

/// Pieces of JSON, right and wrong.
const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\"orders\":",
    "\"meta\":",
    "\"total\":",
    "\"id\":",
    "\"a\\ud800\"",
    "\"\\u0000\"",
    "1",
    "-0",
    "1e999",
    "99999999999999999999",
    "null",
    "true",
    "\u{feff}",
    "[[[[[[[[",
    "{\"orders\":[{\"id\":1}],\"meta\":{\"total\":5}}",
    "NaN",
];

const CODINGS: &[&str] = &["", "gzip", "deflate", "br", "gzip, gzip", "x", "identity"];

/// An answer of an endpoint: head and body made of what makes answers, or noise.
fn any_answer() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(select(JSON), 0..14).prop_map(|p| p.concat().into_bytes());
    let body = prop_oneof![3 => body, 1 => prop::collection::vec(any::<u8>(), 0..200)];
    let length = prop_oneof![6 => Just(None), 1 => any::<u64>().prop_map(Some), 1 => (0u64..300).prop_map(Some)];
    let headers = prop::collection::vec(("[a-zA-Z-]{1,12}", "[ -~é]{0,30}"), 0..4);
    let status = prop_oneof![6 => Just(200u16), 2 => 100u16..600, 1 => any::<u16>()];
    let made = (status, headers, select(CODINGS), length, body).prop_map(|(status, headers, coding, length, body)| {
        let length = length.unwrap_or(body.len() as u64);
        let mut out =
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n");
        for (name, value) in headers {
            out += &format!("{name}: {value}\r\n");
        }
        let mut out = out.into_bytes();
        out.extend(b"\r\n");
        out.extend(body);
        out
    });
    let broken = (made.clone(), changes(4)).prop_map(|(answer, c)| changed(&answer, &c));
    prop_oneof![4 => made, 2 => broken, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

#[test]
fn whatever_an_endpoint_answers_is_judged() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
    let given = Arc::clone(&answer);
    let api = FakeApi::start(move |_| Reply::raw(given.lock().unwrap().clone()));
    let wanted = format!(
        "url = \"{}\"\nexpect = {{ contains = [\"id\"], matches = \"[0-9]+\", json = [{{ path = \"$.orders[*].id\", min = 0 }}, {{ path = \"$..total\", is = \"number\" }}] }}\n\
         observe = [{{ name = \"total\", path = \"$.meta.total\" }}]\n",
        api.url("/")
    );
    let (check, transport) = (check(&wanted), transport(None));
    tried(12, &any_answer(), |bytes| {
        *answer.lock().unwrap() = bytes;
        let ran = runtime.block_on(run(&transport, &check));
        prop_assert!(ran.result.is_some(), "it came back by itself: {:?}", ran);
        prop_assert!(ran.detail().chars().count() <= 2_000 && !ran.detail().chars().any(char::is_control), "{:?}", ran.detail());
        prop_assert!(ran.observed.values.iter().all(|(_, v)| v.is_finite()), "{:?}", ran.observed.values);
        Ok(())
    });
}

/// Says the same bytes on every connection, and nothing more.
fn says(bytes: &Arc<Mutex<Vec<u8>>>) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, given) = (listener.local_addr().unwrap().port(), Arc::clone(bytes));
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let bytes = given.lock().unwrap().clone();
            std::thread::spawn(move || {
                let _ = socket.set_read_timeout(Some(PATIENCE));
                let _ = socket.write_all(&bytes);
                let _ = socket.shutdown(Shutdown::Write);
                let _ = socket.read_to_end(&mut Vec::new());
            });
        }
    });
    port
}

#[test]
fn whatever_a_proxy_answers_is_no_pass() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let transport = transport(None);
    let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
    let port = says(&answer);
    let connect: &[&[u8]] = &[
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.1 502 Bad\r\nproxy-status: squid; error=connection_refused, x; error=dns_error\r\nx-squid-error: ERR_CONNECT_FAIL 111\r\n\r\n",
        b"HTTP/1.1 407 No\r\nproxy-authenticate: Basic\r\n\r\n",
    ];
    let socks: &[&[u8]] =
        &[b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", b"\x05\x02\x01\x00\x05\x05\x00\x03\x01a\x00\x01", b"\x05\xff"];
    for (protocol, good) in [(Protocol::Http, connect), (Protocol::Socks5, socks)] {
        let proxy = Proxy { protocol, host: url::Host::parse("127.0.0.1").unwrap(), port, login: None };
        let route = Route { via: Some(Via::Proxy(proxy)), ..Route::default() };
        let through = CheckDef { route, ..check("url = \"https://gone.test/\"") };
        let changed = (select(good), changes(4)).prop_map(|(good, c)| changed(good, &c));
        tried(8, &prop_oneof![4 => changed, 1 => prop::collection::vec(any::<u8>(), 0..300)], |bytes| {
            *answer.lock().unwrap() = bytes;
            let ran = runtime.block_on(run(&transport, &through));
            prop_assert!(ran.class().is_some(), "{:?}", ran);
            prop_assert!(ran.detail().chars().count() <= 2_000 && !ran.detail().chars().any(char::is_control), "{:?}", ran.detail());
            Ok(())
        });
    }
}

#[test]
fn whatever_is_written_as_cron_is_a_schedule_or_refused() {
    let words = [
        "*",
        "*/5",
        "0",
        "59",
        "60",
        "1-5",
        "5-1",
        "mon",
        "sun-sat",
        "feb",
        "29",
        "31",
        "*/0",
        ",",
        "1,2,",
        "-",
        "/",
        "L",
        "#",
        "7",
        "99999999999",
        "é",
    ];
    let field = prop_oneof![4 => select(words.to_vec()).prop_map(str::to_owned), 1 => "[0-9*/,a-z-]{0,8}"];
    let text = prop_oneof![4 => prop::collection::vec(field, 5..6).prop_map(|f| f.join(" ")), 1 => ".{0,40}"];
    let zones = select(&["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"][..]);
    tried(60, &(text, zones, any::<i64>()), |(text, zone, at)| {
        let zone = jiff::tz::TimeZone::get(zone).unwrap();
        match Cron::read(&text, &zone) {
            Err(why) => prop_assert!(!why.is_empty()),
            Ok(cron) => {
                let t = UnixMs(at % 4_000_000_000_000);
                let next = cron.after(t);
                prop_assert!(next.is_none_or(|n| n > t), "{}: {:?} after {}", text, next, t);
                prop_assert!(cron.at_or_before(t).is_none_or(|n| n <= t), "{}: {}", text, t);
            }
        }
        Ok(())
    });
}

#[test]
fn whatever_is_called_a_key_is_one_or_refused() {
    let key = SigningKey::fresh().unwrap();
    let pems = [key.pem().unwrap(), key.public().pem(), "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n".to_owned()];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chain.pem");
    let text = (select(pems.to_vec()), changes(4)).prop_map(|(pem, c)| changed(pem.as_bytes(), &c));
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let tls = ListenerTls { certificate: file.clone(), key: SecretRef::File(file.clone()), clients: None };
    tried(60, &prop_oneof![4 => text, 1 => noise], |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        if let Some(read) = PublicKey::parse(&text) {
            prop_assert_eq!(PublicKey::parse(&read.pem()).map(|k| k.id()), Some(read.id()));
        }
        if let Err(why) = SigningKey::parse(&text) {
            prop_assert!(!why.is_empty());
        }
        std::fs::write(&file, &bytes).unwrap();
        let _ = soakwatch::transport::read_chain_blocking(&file);
        let _ = soakwatch::transport::read_roots_blocking(&file);
        // None of these is a certificate with its key.
        prop_assert!(soakwatch::listener_tls::made_blocking(&tls).is_err());
        Ok(())
    });
}

#[test]
fn whatever_is_called_a_copy_of_a_store_is_one_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let (config, _) = estate::estate(estate::settings());
    let records: Vec<_> = config
        .checks()
        .flat_map(|c| estate::runs(c, 50, |n| if n % 5 == 0 { estate::Ended::Throttled } else { estate::Ended::Pass }))
        .collect();
    let mut store = Store::open(&path).unwrap();
    store.commit(estate::NOW, &records, &[]).unwrap();
    let scope = soakwatch::evidence::Scope::daemon();
    let said = |n: i64| {
        soakwatch::evidence::Entry::new(UnixMs(n), soakwatch::evidence::Kind::Verdict, scope.clone(), "x", serde_json::json!({ "n": n }))
    };
    store.append_evidence(&(0..20).map(said).collect::<Vec<_>>()).unwrap();
    drop(store);
    let good = std::fs::read(&path).unwrap();
    let whole = soakwatch::store::backup::copy(&path, dir.path()).unwrap().1;
    let torn = (any::<Index>(), prop::collection::vec(any::<u8>(), 1..600));
    let strategy = prop_oneof![
        3 => torn.prop_map(|(at, bytes)| (Some(at), bytes)),
        1 => prop::collection::vec(any::<u8>(), 0..5_000).prop_map(|bytes| (None, bytes)),
    ];
    tried(15, &strategy, |(at, bytes)| {
        let copy = match at {
            None => bytes,
            Some(at) => {
                let mut copy = good.clone();
                let at = at.index(copy.len());
                let end = (at + bytes.len()).min(copy.len());
                copy[at..end].copy_from_slice(&bytes[..end - at]);
                copy
            }
        };
        let other = dir.path().join("copy.db");
        std::fs::write(&other, &copy).unwrap();
        if let Ok((_, contents)) = soakwatch::store::backup::copy(&other, dir.path()) {
            prop_assert!(contents.evidence == whole.evidence, "{:?}", contents);
        }
        Ok(())
    });
}

#[test]
fn whatever_a_time_server_says_is_an_offset_or_an_error() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let said: Arc<Mutex<Vec<Change>>> = Arc::default();
    let given = Arc::clone(&said);
    std::thread::spawn(move || {
        let mut buffer = [0u8; 100];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            // RFC 5905, 7.3: an answer repeats the time the question was sent with.
            let mut answer = vec![0x24, 2, 6, 0xec];
            answer.extend([0; 20]);
            answer.extend(buffer.get(40..n.min(48)).unwrap_or_default());
            answer.extend(buffer.get(40..n.min(48)).unwrap_or_default());
            answer.extend(buffer.get(40..n.min(48)).unwrap_or_default());
            let _ = socket.send_to(&changed(&answer, &given.lock().unwrap()), from);
        }
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = rsntp::Config::default().bind_address("127.0.0.1:0".parse().unwrap()).timeout(std::time::Duration::from_millis(300));
    let client = rsntp::AsyncSntpClient::with_config(settings);
    let mut offsets = 0;
    let answered = std::cell::RefCell::new(&mut offsets);
    tried(4, &changes(3), |c| {
        *said.lock().unwrap() = c;
        if let Ok(told) = runtime.block_on(client.synchronize(at)) {
            prop_assert!(told.clock_offset().as_secs_f64().is_finite());
            **answered.borrow_mut() += 1;
        }
        Ok(())
    });
    assert!(offsets > 0, "some answers are still good");
}

/// Runs a command on lines, and gives what it printed.
fn piped(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

/// Lines of JSON objects, some of them changed, some of them noise. No line ends early.
fn any_lines(good: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let line = (select(good), changes(3)).prop_map(|(line, c)| changed(line.as_bytes(), &c));
    let line =
        prop_oneof![4 => line, 1 => prop::collection::vec(any::<u8>(), 0..80), 1 => select(good).prop_map(|l| l.as_bytes().to_vec())];
    prop::collection::vec(line.prop_map(|l| l.into_iter().filter(|b| *b != b'\n').collect::<Vec<u8>>()), 1..120)
        .prop_map(|lines| lines.join(&b'\n'))
}

#[test]
fn whatever_lines_come_are_answered_one_by_one() {
    let messages: &[&str] = &[
        r#"{"name":"a","scheme":"stripe","secret":"s3cret-c4nary","headers":{"stripe-signature":"t=1700000000,v1=00"},"body":"{}","now":1700000000}"#,
        r#"{"name":2,"scheme":"standard-webhooks","secrets":["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"],"headers":{"webhook-id":"x","webhook-timestamp":"1","webhook-signature":"v1,AA"},"body_base64":"e30="}"#,
        r#"{"name":null,"scheme":"slack","secret":"s3cret-c4nary","body":"{\"type\":\"url_verification\",\"challenge\":\"x\"}","asks":true}"#,
    ];
    let responses: &[&str] = &[
        r#"{"name":"a","status":429,"headers":{"retry-after":"Fri, 31 Dec 1999 23:59:59 GMT","x-ratelimit-remaining":"0"},"received_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"name":1,"status":200,"headers":{"ratelimit":"\"a\";r=5;t=9","ratelimit-policy":"\"a\";q=10;w=60"},"dialect":"github","body":"{}"}"#,
    ];
    for (command, good) in [(&["webhook", "verify", "--jsonl"][..], messages), (&["explain", "--jsonl"][..], responses)] {
        tried(1, &any_lines(good), |lines| {
            let done = piped(soakwatch().args(command), &lines);
            let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            prop_assert!(matches!(done.status.code(), Some(0 | 1 | 65)), "{:?} {}", done.status, err);
            prop_assert!(!err.contains("panicked") && !err.contains("c4nary") && !out.contains("c4nary"), "{err}");
            for line in out.lines() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|v| v.is_object()), "{}", line);
            }
            Ok(())
        });
    }
}

#[test]
fn whatever_a_daemon_answers_to_a_command_is_told() {
    let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
    let given = Arc::clone(&answer);
    let api = FakeApi::start(move |_| Reply::raw(given.lock().unwrap().clone()));
    let url = api.url("");
    let commands: &[&[&str]] = &[
        &["gate", "acme/production", "--url", &url],
        &["incidents", "--url", &url],
        &["limits", "--url", &url],
        &["reload", "--url", &url],
        &["status", "--url", &url],
    ];
    for command in commands {
        tried(1, &any_answer(), |bytes| {
            *answer.lock().unwrap() = bytes;
            let done = piped(soakwatch().args(*command), b"");
            let err = String::from_utf8_lossy(&done.stderr).into_owned();
            prop_assert!(done.status.code().is_some_and(|code| code != 101) && !err.contains("panicked"), "{command:?}: {err}");
            prop_assert!(command[0] != "gate" || done.status.code() != Some(0), "a gate says go: {}", err);
            Ok(())
        });
    }
}

/// Sends bytes, says that nothing more comes, and reads to the end.
fn raw(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer
}

/// Requests of what the document says there is, with anything where something is asked for.
fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let document: serde_json::Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
    let operations: Vec<(String, String, Vec<String>)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().filter(|(m, _)| ["get", "post"].contains(&m.as_str())).map(move |(method, o)| {
                let query = o["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query");
                (method.to_ascii_uppercase(), path.clone(), query.map(|p| p["name"].as_str().unwrap().to_owned()).collect())
            })
        })
        .collect();
    assert!(operations.len() > 25);
    let word = prop_oneof![
        4 => select(&["acme", "production", "orders", "arrivals", "acme/production/orders", "1", "0", "-1", "20001", "now", "1h", "99999999d"][..]).prop_map(str::to_owned),
        2 => select(&["2026-01-01T00:00:00Z", "%00", "%ff%fe", "..", "%2e%2e%2f", "aW5jaWRlbnRzCngK", "é", "%C3%A9", "a b", "+", "'\"<"][..]).prop_map(str::to_owned),
        1 => "[!-~]{0,30}".prop_map(|s: String| s.replace(['?', '#', ' '], "")),
    ];
    let key = select(&["actor", "reason", "by", "id", "until", "from", "to", "name", "class", "note", "integration", "x"][..]);
    let value = prop_oneof![
        word.clone().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        Just(serde_json::json!([[{}]])),
    ];
    let object = prop::collection::btree_map(key, value, 0..6).prop_map(|o| serde_json::to_vec(&o).unwrap());
    let body = prop_oneof![4 => object.clone(), 1 => (object, changes(3)).prop_map(|(o, c)| changed(&o, &c)), 1 => prop::collection::vec(any::<u8>(), 0..60)];
    let words = prop::collection::vec(word, 8);
    (select(operations), words, body, prop::collection::vec(any::<Index>(), 0..3)).prop_map(|((method, path, query), words, body, asked)| {
        let mut words = words.into_iter().cycle();
        let mut word = || words.next().unwrap();
        let path: Vec<String> = path.split('/').map(|p| if p.starts_with('{') { word() } else { p.to_owned() }).collect();
        let query: Vec<String> = asked.iter().filter(|_| !query.is_empty()).map(|i| format!("{}={}", i.get(&query), word())).collect();
        let target = format!("{}?{}", path.join("/"), query.join("&")).replace(' ', "%20");
        let mut out = format!(
            "{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        out.extend(body);
        out
    })
}

#[test]
fn whatever_is_asked_of_our_listeners_is_answered_or_closed() {
    let dir = tempfile::tempdir().unwrap();
    crate::receiver::estate(dir.path(), "1h", "");
    let settings = "[server]\nlisten = \"127.0.0.1:0\"\n[receiver]\nlisten = \"127.0.0.1:0\"\nmax_rate = \"1000/s\"\ntimeout = \"5s\"\n";
    std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let (ours, hook) = (daemon.url.strip_prefix("http://").unwrap().to_owned(), hooks(&daemon));
    let theirs = hook.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let message =
        b"POST /hooks/acme/production/orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\nwebhook-id: a\r\nwebhook-timestamp: 1\r\n\
                    webhook-signature: v1,AAAA\r\ncontent-length: 2\r\n\r\n{}";
    let statuses = Mutex::new(std::collections::BTreeMap::<u16, u32>::new());
    let judged = |answer: &[u8], sent: &[u8]| {
        let text = String::from_utf8_lossy(answer);
        let status: u16 = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        *statuses.lock().unwrap().entry(status).or_default() += 1;
        prop_assert!(status < 500 || status == 503, "{}: {}", String::from_utf8_lossy(sent), text);
        Ok(())
    };
    tried(40, &any_request(), |request| judged(&raw(&ours, &request), &request));
    tried(15, &(any_request(), changes(4), any::<bool>()), |(request, c, whose)| {
        let request = if whose { changed(&request, &c) } else { changed(message, &c) };
        let answer = raw(if whose { &ours } else { &theirs }, &request);
        prop_assert!(whose || !answer.starts_with(b"HTTP/1.1 2"), "nothing forged is accepted: {}", String::from_utf8_lossy(&request));
        judged(&answer, &request)
    });
    println!("{:?}", statuses.lock().unwrap());
    assert!(statuses.lock().unwrap().contains_key(&200) && statuses.lock().unwrap().contains_key(&400));
    assert_eq!(get(&format!("{}/-/healthy", daemon.url)).0, 200);
    assert!(!daemon.log().contains("panicked") && !daemon.log().contains("defect"), "{}", daemon.log());
    assert_eq!(daemon.stop(), Some(0));
}
