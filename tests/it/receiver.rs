//! The receiver over real sockets: what is accepted and refused, what becomes of silence, of restarts and of each fault of a sender.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use soakwatch::clock::{Clock, UnixMs};
use soakwatch::secret::SecretValue;
use soakwatch::webhook::{Outgoing, Scheme, sign};

use crate::support::daemon::{Daemon, eventually, post, request, series};

pub(crate) const SECRET: &str = "whsec_c2Vuc29yLWNhbmFyeS1zZWNyZXQtMTIzNDU2Nzg5MA==";
const OTHER: &str = "whsec_b3RoZXItY2FuYXJ5LXNlY3JldC0xMjM0NTY3ODkwMTI=";
const CHECK: &str = "acme/production/orders/arrivals";

/// A directory with one check of the kind `webhook_arrival`; `keys`: the rest of its table.
pub(crate) fn estate(dir: &Path, every: &str, keys: &str) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    std::fs::write(dir.join("secret"), SECRET).unwrap();
    let settings = "[server]\nlisten = \"127.0.0.1:0\"\n[receiver]\nlisten = \"127.0.0.1:0\"\ntimeout = \"2s\"\n";
    std::fs::write(dir.join("soakwatch.toml"), settings).unwrap();
    let customer = format!(
        "[customer]\nid = \"acme\"\nname = \"Acme\"\n[[integration]]\nid = \"orders\"\nenvironment = \"production\"\nowner = \"customer\"\n\
         [[integration.check]]\nid = \"arrivals\"\nevery = \"{every}\"\n[integration.check.webhook_arrival]\n\
         scheme = \"standard-webhooks\"\nsecrets = {{ file = \"secret\" }}\n{keys}\n"
    );
    std::fs::write(dir.join("customers/acme.toml"), customer).unwrap();
}

/// Where messages go.
pub(crate) fn hooks(daemon: &Daemon) -> String {
    let log = daemon.log();
    let (_, rest) = log.split_once("received on http://").unwrap();
    let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    format!("http://{address}/hooks/acme/production/orders")
}

pub(crate) fn now() -> UnixMs {
    Clock::System.now()
}

/// Sends a message as its sender would; `at`: when it says it was stamped.
pub(crate) fn deliver(url: &str, id: &str, body: &str, secret: &str, at: UnixMs) -> u16 {
    let scheme = Scheme::named("standard-webhooks").unwrap();
    let message = Outgoing { id, method: "POST", url, content_type: Some("application/json"), body: body.as_bytes() };
    let signed = sign(scheme, &[SecretValue::new(secret)], &message, at).unwrap();
    let headers: Vec<(&str, &str)> = signed.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    post(url, &headers, body).0
}

pub(crate) fn send(url: &str, id: &str) -> u16 {
    deliver(url, id, "{}", SECRET, now())
}

fn status(daemon: &Daemon) -> String {
    daemon.get(&format!("/api/v1/checks/{CHECK}/runs"))
}

pub(crate) fn counted(daemon: &Daemon, name: &str, labels: &[&str]) -> Option<f64> {
    series(&daemon.get("/metrics"), name, labels)
}

/// Until the check has failed so.
fn fails(daemon: &Daemon, class: &str) {
    eventually(&format!("a failure of class {class}: {}", status(daemon)), || {
        counted(daemon, "soakwatch_run_failure_classes_total", &[&format!("class=\"{class}\"")]).filter(|n| *n > 0.0)
    });
}

#[test]
fn a_message_makes_a_slot_pass_and_is_counted_and_silence_fails() {
    let dir = tempfile::tempdir().unwrap();
    estate(dir.path(), "2s", "grace = \"1s\"");
    let daemon = Daemon::start(dir.path(), &[]);
    let url = hooks(&daemon);
    let mut n = 0;
    eventually("a slot passes", || {
        n += 1;
        assert_eq!(send(&url, &format!("m{n}")), 200);
        counted(&daemon, "soakwatch_check_last_success_timestamp_seconds", &[])
    });
    assert_eq!(send(&url, "m1"), 200, "a duplicate is told that we have it");
    assert_eq!(deliver(&url, "f", "{}", OTHER, now()), 401);
    assert_eq!(deliver(&url, "s", "{}", SECRET, UnixMs(now().0 - 3_600_000)), 401);
    assert_eq!(send(&format!("{url}/arrivals"), "by-check"), 200);
    for (path, code) in [("/x", 404), ("", 405)] {
        assert_eq!(request("GET", &format!("{url}{path}"), &[]).0, code);
    }
    let scrape = daemon.get("/metrics");
    let of = |reason: &str| series(&scrape, "soakwatch_webhook_rejections_total", &[&format!("reason=\"{reason}\"")]);
    assert_eq!((of("signature"), of("timestamp"), of("replay"), of("too_large")), (Some(1.0), Some(1.0), Some(1.0), Some(0.0)));
    assert_eq!(series(&scrape, "soakwatch_webhook_deliveries_total", &[]), Some(f64::from(n) + 4.0));
    assert!(series(&scrape, "soakwatch_webhook_delivery_delay_seconds_sum", &[]).unwrap() >= 3600.0, "late, but authentic: measured");
    assert!(series(&scrape, "soakwatch_webhook_last_delivery_timestamp_seconds", &[]).is_some());
    fails(&daemon, "missing");
    let page = daemon.get("/integrations/acme/production/orders");
    assert!(page.contains("Messages to us") && page.contains("/hooks/acme/production/orders/arrivals"), "{page}");
    let api: serde_json::Value = serde_json::from_str(&daemon.get("/api/v1/integrations/acme/production/orders")).unwrap();
    assert_eq!((&api["arrived"][0]["refused"]["signature"], api["arrived"][0]["last"].is_string()), (&1.into(), true));
    for text in [page, daemon.log(), daemon.get("/metrics"), status(&daemon), daemon.get("/api/v1/status")] {
        assert!(!text.contains("whsec_") && !text.contains("v1,"), "{text}");
    }
}

#[test]
fn each_fault_of_a_sender_has_its_class() {
    let dir = tempfile::tempdir().unwrap();
    estate(dir.path(), "2s", "grace = \"1s\"\nsequence = \"$.n\"\nordered = true\nmax_duplicates = 0.2\nwithin = \"60s\"");
    let daemon = Daemon::start(dir.path(), &[]);
    let url = hooks(&daemon);
    let numbered =
        |n: u32, secret: &str, late_ms: i64| deliver(&url, &format!("m{n}"), &format!("{{\"n\": {n}}}"), secret, UnixMs(now().0 - late_ms));
    let until = |class: &str, send: &mut dyn FnMut()| {
        eventually(&format!("class {class}"), || {
            send();
            counted(&daemon, "soakwatch_run_failure_classes_total", &[&format!("class=\"{class}\"")]).filter(|n| *n > 0.0)
        });
    };
    fails(&daemon, "missing");
    until("signature", &mut || assert_eq!(numbered(1, OTHER, 0), 401));
    let mut n = 1;
    until("slow", &mut || {
        n += 1;
        assert_eq!(numbered(n, SECRET, 120_000), 200);
    });
    until("assertion", &mut || {
        n += 1;
        assert_eq!((numbered(n, SECRET, 0), numbered(n, SECRET, 0)), (200, 200));
    });
    until("mismatch", &mut || {
        n += 2;
        assert_eq!((numbered(n, SECRET, 0), numbered(n - 1, SECRET, 0)), (200, 200));
    });
}

#[test]
fn silence_goes_on_over_restarts_and_a_message_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    estate(dir.path(), "8s", "grace = \"8s\"");
    let mut daemon = Daemon::start(dir.path(), &[]);
    let since = counted(&daemon, "soakwatch_webhook_expected_since_timestamp_seconds", &[]).unwrap();
    assert_eq!(send(&hooks(&daemon), "once"), 200);
    // What its sender was told we have is still there after a kill.
    daemon.kill();
    daemon = Daemon::start(dir.path(), &[]);
    assert!(counted(&daemon, "soakwatch_webhook_last_delivery_timestamp_seconds", &[]).is_some());
    assert_eq!(daemon.stop(), Some(0));
    daemon = Daemon::start(dir.path(), &[]);
    assert_eq!(counted(&daemon, "soakwatch_webhook_expected_since_timestamp_seconds", &[]), Some(since));
    fails(&daemon, "missing");
}

#[test]
fn nobody_fails_because_we_were_down() {
    let dir = tempfile::tempdir().unwrap();
    estate(dir.path(), "2s", "grace = \"0s\"");
    let daemon = Daemon::start(dir.path(), &[]);
    fails(&daemon, "missing");
    daemon.kill();
    let gone = now();
    std::thread::sleep(std::time::Duration::from_secs(7));
    let daemon = Daemon::start(dir.path(), &[]);
    let back = now();
    eventually("the time away is accounted for", || counted(&daemon, "soakwatch_runs_unknown_total", &["down"]).filter(|n| *n >= 3.0));
    // No failure was added: none stands at a slot that was wholly within the time away, and what is counted is what is on record.
    let runs: serde_json::Value = serde_json::from_str(&status(&daemon)).unwrap();
    let slot = |r: &serde_json::Value| UnixMs::from(r["slot"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    let failed: Vec<UnixMs> = runs["runs"].as_array().unwrap().iter().filter(|r| r["outcome"] == "fail").map(slot).collect();
    assert!(failed.iter().all(|slot| slot.0 - 2_000 < gone.0 || *slot > back), "away from {gone} to {back}: {runs:#}");
    let before = failed.iter().filter(|slot| **slot <= back).count();
    let scrape = daemon.get("/metrics");
    let counted = series(&scrape, "soakwatch_run_failure_classes_total", &["missing"]).unwrap();
    assert!(before >= 1 && (before as f64..=failed.len() as f64 + 1.0).contains(&counted), "{counted} of {before}: {runs:#}");
}

#[test]
fn what_a_check_counted_stays_when_it_is_removed_or_becomes_another_kind() {
    let dir = tempfile::tempdir().unwrap();
    estate(dir.path(), "1h", "");
    let file = dir.path().join("customers/acme.toml");
    let with = |checks: &[(&str, &str)]| {
        let mut text = "[customer]\nid = \"acme\"\nname = \"Acme\"\n[[integration]]\nid = \"orders\"\nenvironment = \"production\"\nowner = \"customer\"\n".to_owned();
        for (id, table) in checks {
            text += &format!("[[integration.check]]\nid = \"{id}\"\nevery = \"1h\"\n{table}\n");
        }
        std::fs::write(&file, text).unwrap();
    };
    let receiving = "webhook_arrival = { scheme = \"standard-webhooks\", secrets = { file = \"secret\" } }";
    let other = "http = { url = \"https://never.example.com/\" }";
    with(&[("one", receiving), ("two", receiving), ("three", receiving), ("four", receiving)]);
    let daemon = Daemon::start(dir.path(), &[]);
    for (n, check) in ["one", "two", "three", "four"].iter().enumerate() {
        assert_eq!(send(&format!("{}/{check}", hooks(&daemon)), &format!("m{n}")), 200);
        assert_eq!(deliver(&format!("{}/{check}", hooks(&daemon)), "f", "{}", OTHER, now()), 401);
    }
    let counts = |daemon: &Daemon| {
        let scrape = daemon.get("/metrics");
        let of = |name: &str, labels: &[&str]| series(&scrape, name, labels);
        let delays = of("soakwatch_webhook_delivery_delay_seconds_count", &[]);
        (of("soakwatch_webhook_deliveries_total", &[]), of("soakwatch_webhook_rejections_total", &["signature"]), delays)
    };
    let all = (Some(8.0), Some(4.0), Some(4.0));
    assert_eq!(counts(&daemon), all);
    // By a reload: one is removed, one becomes another kind.
    with(&[("two", other), ("three", receiving), ("four", receiving)]);
    daemon.signal("HUP");
    eventually("the reload", || daemon.log().contains("configuration taken over").then_some(()));
    assert_eq!(counts(&daemon), all);
    assert_eq!(daemon.stop(), Some(0));
    // The same while nobody is there, and once more with nothing changed: nothing is counted twice.
    with(&[("two", other), ("three", other)]);
    for _ in 0..2 {
        let daemon = Daemon::start(dir.path(), &[]);
        assert_eq!(counts(&daemon), all);
        assert_eq!(daemon.stop(), Some(0));
    }
    // Who comes back begins anew, beside what it left.
    with(&[("one", receiving)]);
    let daemon = Daemon::start(dir.path(), &[]);
    assert_eq!(counts(&daemon), all);
    assert_eq!(send(&hooks(&daemon), "m0"), 200);
    assert_eq!(counts(&daemon).0, Some(9.0));
}

#[test]
fn what_is_too_large_or_too_slow_is_not_read_and_secrets_change_by_reload() {
    let dir = tempfile::tempdir().unwrap();
    estate(dir.path(), "1h", "");
    let daemon = Daemon::start(dir.path(), &[]);
    let url = hooks(&daemon);
    assert_eq!(deliver(&url, "big", &"x".repeat(256 << 10), SECRET, now()), 200, "the largest there may be");
    assert_eq!(post(&url, &[], &"x".repeat((256 << 10) + 1)).0, 413);
    assert_eq!(counted(&daemon, "soakwatch_webhook_rejections_total", &["too_large"]), Some(1.0));

    // Byte by byte: closed after the timeout, while others are served.
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let mut slow: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&address).unwrap()).collect();
    for s in &mut slow {
        s.write_all(b"POST /hooks/acme/production/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").unwrap();
    }
    assert_eq!(send(&url, "meanwhile"), 200);
    for s in &mut slow {
        let mut end = String::new();
        s.set_read_timeout(Some(crate::support::daemon::PATIENCE)).unwrap();
        let _ = s.read_to_string(&mut end);
        assert!(!end.starts_with("HTTP/1.1 2"), "{end}");
    }

    std::fs::write(dir.path().join("next"), OTHER).unwrap();
    assert_eq!(deliver(&url, "n1", "{}", OTHER, now()), 401);
    let file = dir.path().join("customers/acme.toml");
    let text = std::fs::read_to_string(&file)
        .unwrap()
        .replace("secrets = { file = \"secret\" }", "secrets = [{ file = \"secret\" }, { file = \"next\" }]");
    std::fs::write(&file, text).unwrap();
    daemon.signal("HUP");
    eventually("both secrets hold", || (deliver(&url, "n2", "{}", OTHER, now()) == 200).then_some(()));
    assert_eq!(send(&url, "n3"), 200);
}

#[test]
fn questions_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    estate(dir.path(), "1h", "");
    let file = dir.path().join("customers/acme.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("\"standard-webhooks\"", "\"okta\"");
    std::fs::write(&file, text).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let (code, body) = request("GET", &hooks(&daemon), &[("X-Okta-Verification-Challenge", "c1"), ("Authorization", SECRET)]);
    assert_eq!((code, body.as_str()), (200, "{\"verification\":\"c1\"}"));
    assert_eq!(post(&hooks(&daemon), &[("Authorization", SECRET)], "{\"eventId\":\"1\"}").0, 200);
    assert_eq!(post(&hooks(&daemon), &[("Authorization", "no")], "{}").0, 401);
}

#[test]
fn a_flood_on_one_path_drops_nothing_on_another() {
    let dir = tempfile::tempdir().unwrap();
    estate(dir.path(), "1h", "");
    let file = dir.path().join("customers/acme.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, integration) = text.split_once("[[integration]]").unwrap();
    let other = integration.replace("\"orders\"", "\"stock\"");
    std::fs::write(&file, format!("{head}[[integration]]{integration}[[integration]]{other}")).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    let (flooded, quiet) = (hooks(&daemon), hooks(&daemon).replace("orders", "stock"));
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let flooded = &flooded;
        let flood = move |n: u32| (0..200).map(|i| deliver(flooded, &format!("f{n}-{i}"), "{}", OTHER, now())).collect::<Vec<u16>>();
        let floods: Vec<_> = (0..6).map(|n| scope.spawn(move || flood(n))).collect();
        for n in 0..40 {
            assert_eq!(send(&quiet, &format!("q{n}")), 200);
        }
        floods.into_iter().flat_map(|f| f.join().unwrap()).collect()
    });
    let of = |code: u16| answers.iter().filter(|a| **a == code).count();
    assert_eq!(of(401) + of(429), answers.len(), "{answers:?}");
    assert!(of(401) >= 100 && of(429) > 0, "{} were judged, {} were not", of(401), of(429));
}
