//! Round trips over real sockets: a trigger whose system calls back, and every way in which that goes wrong, each with its class.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use soakwatch::clock::{Clock, UnixMs};
use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Outgoing, Scheme, sign};

use crate::support::daemon::{Daemon, eventually, post};
use crate::support::pki::{Pki, server_mtls};
use crate::support::proxy::tls_before;

const SECRET: &str = "whsec_cm91bmQtdHJpcC1jYW5hcnktc2VjcmV0LTEyMzQ1Njc4";
const OTHER: &str = "whsec_YW5vdGhlci10cmlwLWNhbmFyeS1zZWNyZXQtMTIzNDU2";

/// What the customer's system does, by the path of the trigger, and the class that becomes of it.
const STORIES: [(&str, &str, &str); 11] = [
    ("fine", "", "pass"),
    ("twice", "settle = \"500ms\"\nonce = true", "assertion"),
    ("noted", "settle = \"500ms\"", "pass"),
    ("disordered", "settle = \"500ms\"\nsequence = \"$.n\"", "mismatch"),
    ("late", "within = \"300ms\"", "slow"),
    ("stale", "", "slow"),
    ("forged", "", "signature"),
    ("never", "", "missing"),
    ("never-again", "", "missing"),
    ("broken", "", "server_error"),
    ("shared", "", "pass"),
];

fn call_back(url: &str, id: &str, correlation: &str, n: u32, secret: &str, ago_ms: i64) {
    let body = format!("{{\"data\": {{\"reference\": \"{correlation}\"}}, \"n\": {n}}}");
    let message = Outgoing { id, method: "POST", url, content_type: None, body: body.as_bytes() };
    let at = UnixMs(Clock::System.now().0 - ago_ms);
    let signed = sign(Scheme::named("standard-webhooks").unwrap(), &[SecretValue::new(secret)], &message, at).unwrap();
    let headers: Vec<(&str, &str)> = signed.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    post(url, &headers, &body);
}

/// The customer's system: answers the trigger, then calls back as the story says.
fn far_side(mut socket: TcpStream, hooks: &Arc<Mutex<String>>) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&request).contains("soakwatch-") {
        match socket.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&piece[..n]),
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let story = text.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let correlation: String = text.split_once("\"soakwatch-").map(|(_, r)| r.chars().take(32).collect()).unwrap_or_default();
    let correlation = format!("soakwatch-{correlation}");
    let status = if story == "broken" { "503 No" } else { "202 Yes" };
    let _ = socket.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes());
    drop(socket);
    let known = hooks.lock().unwrap().clone();
    // One address for all that this system sends, whatever it is about.
    let url = if story == "shared" { known } else { format!("{known}/{story}") };
    let back =
        |id: &str, n: u32, secret: &str, ago_ms: i64| call_back(&url, &format!("{correlation}-{id}"), &correlation, n, secret, ago_ms);
    match story.as_str() {
        "fine" | "shared" => back("a", 1, SECRET, 0),
        "twice" | "noted" => (0..2).for_each(|_| back("a", 1, SECRET, 0)),
        "disordered" => [2, 1].into_iter().for_each(|n| back(&n.to_string(), n, SECRET, 0)),
        "late" => {
            std::thread::sleep(Duration::from_millis(600));
            back("a", 1, SECRET, 0);
        }
        "stale" => back("a", 1, SECRET, 3_600_000),
        "forged" => back("a", 1, OTHER, 0),
        _ => {}
    }
}

#[test]
fn every_fault_of_a_round_trip_has_its_class() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    let settings = "[server]\nlisten = \"127.0.0.1:0\"\n[receiver]\nlisten = \"127.0.0.1:0\"\n[scheduler]\nper_host = 20\n";
    std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let mut customer = "[customer]\nid = \"acme\"\nname = \"Acme\"\nallow_private = true\n[[integration]]\nid = \"orders\"\nenvironment = \"production\"\nowner = \"vendor\"\n".to_owned();
    // It has the same secret and stands first: what names no run is its own, and nothing else.
    customer += "[[integration.check]]\nid = \"events\"\nevery = \"1h\"\n[integration.check.webhook_arrival]\nscheme = \"standard-webhooks\"\nsecrets = { env = \"TRIP_SECRET\" }\n";
    for (story, keys, _) in STORIES {
        // The second attempt has less time than its message: what is missing stays missing.
        let limits = if story == "never-again" { "timeout = \"3500ms\"\nretries = 1" } else { "timeout = \"6s\"" };
        customer += &format!(
            "[[integration.check]]\nid = \"{story}\"\nevery = \"10s\"\n{limits}\n[integration.check.round_trip]\nscheme = \"standard-webhooks\"\n\
             secrets = {{ env = \"TRIP_SECRET\" }}\ncorrelation = \"$.data.reference\"\ndeadline = \"2s\"\n{keys}\n\
             trigger = {{ url = \"http://{target}/{story}\", body = {{ json = {{ reference = \"{{correlation}}\" }} }} }}\n"
        );
    }
    std::fs::write(dir.path().join("customers/acme.toml"), customer).unwrap();
    let hooks = Arc::new(Mutex::new(String::new()));
    let daemon = Daemon::start(dir.path(), &[("TRIP_SECRET", SECRET)]);
    let log = daemon.log();
    let (_, rest) = log.split_once("received on http://").unwrap();
    let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    *hooks.lock().unwrap() = format!("http://{address}/hooks/acme/production/orders");
    let known = Arc::clone(&hooks);
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let known = Arc::clone(&known);
            std::thread::spawn(move || far_side(socket, &known));
        }
    });
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (story, _, wanted) in STORIES {
        eventually(&format!("{story} becomes {wanted}; so far {seen:?}"), || {
            let runs = daemon.get(&format!("/api/v1/checks/acme/production/orders/{story}/runs"));
            let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
            let runs = runs["runs"].as_array().unwrap().iter();
            let all: Vec<&str> = runs.filter_map(|r| r["class"].as_str().or(r["outcome"].as_str())).collect();
            // Nothing else may become of it.
            let others: Vec<&&str> = all.iter().filter(|c| **c != wanted && **c != "internal").collect();
            assert!(others.is_empty(), "{story}: {all:?}");
            all.contains(&wanted).then_some(())
        });
        seen.insert(story, wanted.to_owned());
    }
    let arrived = || {
        let told: serde_json::Value = serde_json::from_str(&daemon.get("/api/v1/integrations/acme/production/orders")).unwrap();
        told["arrived"].as_array().unwrap().iter().map(|a| a["received"].as_u64().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(arrived()[0], 0, "a run's message is no event");
    call_back(&hooks.lock().unwrap(), "event-1", "order-4711", 1, SECRET, 0);
    call_back(&hooks.lock().unwrap(), "event-2", "soakwatch-of-nobody", 1, SECRET, 0);
    assert_eq!(arrived()[0], 1, "and an event is no run's message");
    let scrape = daemon.get("/metrics");
    for name in ["callback_delay_seconds", "callback_duplicates"] {
        assert!(scrape.contains(&format!("name=\"{name}\"")), "{name}");
    }
    for text in [daemon.log(), scrape, daemon.get("/api/v1/status")] {
        assert!(!text.contains("whsec_") && !text.contains(&SECRET[6..]), "{text}");
    }
}

#[test]
fn a_trigger_shows_the_certificate_that_is_demanded() {
    let (pki, dir) = (Pki::new(), tempfile::tempdir().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tls = server_mtls(pki.identity("127.0.0.1", 2020..2090), &pki);
    let front = runtime.block_on(tls_before(listener.local_addr().unwrap(), tls));
    pki.identity("client", 2020..2090).write(dir.path(), "client");
    std::fs::copy(pki.file(), dir.path().join("roots.pem")).unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    let settings = "[server]\nlisten = \"127.0.0.1:0\"\n[receiver]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
    let mut customer =
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"orders\"\nenvironment = \"production\"\nowner = \"vendor\"\n"
            .to_owned();
    let stories = [("fine", ", client = { certificate = \"client.pem\", key = { file = \"client.key\" } }", "pass"), ("shared", "", "tls")];
    for (story, client, _) in stories {
        customer += &format!(
            "[[integration.check]]\nid = \"{story}\"\nevery = \"5s\"\ntimeout = \"4s\"\n[integration.check.round_trip]\nscheme = \"standard-webhooks\"\n\
             secrets = {{ env = \"TRIP_SECRET\" }}\ncorrelation = \"$.data.reference\"\ndeadline = \"2s\"\n\
             trigger = {{ url = \"https://127.0.0.1:{}/{story}\", body = {{ json = {{ reference = \"{{correlation}}\" }} }}, ca = \"roots.pem\"{client} }}\n",
            front.port()
        );
    }
    std::fs::write(dir.path().join("customers/acme.toml"), customer).unwrap();
    let daemon = Daemon::start(dir.path(), &[("TRIP_SECRET", SECRET)]);
    let log = daemon.log();
    let (_, rest) = log.split_once("received on http://").unwrap();
    let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    let hooks = Arc::new(Mutex::new(format!("http://{address}/hooks/acme/production/orders")));
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            far_side(socket, &hooks);
        }
    });
    for (story, _, wanted) in stories {
        eventually(&format!("{story} becomes {wanted}"), || {
            let runs = daemon.get(&format!("/api/v1/checks/acme/production/orders/{story}/runs"));
            let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
            let runs = runs["runs"].as_array().unwrap();
            runs.iter().any(|r| r["class"].as_str().or(r["outcome"].as_str()) == Some(wanted)).then_some(())
        });
    }
    assert_eq!(daemon.stop(), Some(0));
}
