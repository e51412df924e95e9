//! Phases, certificates, versions, bodies, statuses, expectations.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use soakwatch::clock::UnixMs;
use soakwatch::memory::Memories;
use soakwatch::observed::Noted;
use soakwatch::outcome::{Cause, Class, Outcome};
use soakwatch::run::{RunReport, run_once};

use crate::support::fake::{Fake, Reply};
use crate::support::pki::{Pki, server_mtls, server_tls};
use crate::support::probing::{check, check_where, run, run_within, transport};

const VALID: std::ops::Range<i32> = 2020..2090;

#[tokio::test]
async fn every_phase_of_a_plain_exchange_is_measured() {
    let fake = Fake::http(|_| Reply::json(r#"{"orders": []}"#).after(Duration::from_millis(20))).await;
    let toml = format!(
        "url = \"http://api.test:{}/v1/orders?limit=1\"\nexpect = {{ status = [200], json = [{{ path = \"$.orders\", is = \"array\" }}], within = \"5s\" }}",
        fake.port()
    );
    let ran = run(&transport(None), &check(&toml)).await;
    ran.passed();
    let hop = &ran.observed.hops[0];
    assert!(hop.phases.resolve.is_some() && hop.phases.connect.is_some() && hop.phases.tls.is_none() && hop.phases.transfer.is_some());
    assert!(hop.phases.processing.unwrap() >= Duration::from_millis(20));
    assert_eq!((hop.status, hop.version.as_deref(), hop.address), (Some(200), Some("HTTP/1.1"), Some(fake.at)));
    assert_eq!(hop.url, format!("http://api.test:{}/v1/orders?limit=…", fake.port()), "the query's values are not shown");
    assert_eq!(ran.observed.body_bytes, Some(14));
    assert_eq!(ran.observed.expectations.len(), 3);
    let request = &fake.log()[0];
    assert_eq!(request.target, "/v1/orders?limit=1");
    assert_eq!(request.header("host"), format!("api.test:{}", fake.port()));
    assert_eq!(request.header("user-agent"), "soakwatch-test");
    fake.all_closed().await;
}

#[tokio::test]
async fn a_valid_chain_is_shown() {
    let pki = Pki::new();
    let fake = Fake::https(server_tls(pki.identity("api.test", VALID), &["http/1.1"]), |_| Reply::new(204)).await;
    let toml = format!("url = \"https://api.test:{}/\"\nexpect = {{ certificate_days = 30 }}", fake.port());
    let ran = run(&transport(Some(&pki.file())), &check(&toml)).await;
    ran.passed();
    let tls = ran.observed.hops[0].tls.as_ref().unwrap();
    assert_eq!((tls.version.as_deref(), tls.refused.as_ref()), (Some("TLSv1.3"), None));
    assert!(tls.cipher.as_deref().is_some_and(|c| c.contains("AES") || c.contains("CHACHA")), "{tls:?}");
    assert_eq!(tls.chain.len(), 2);
    assert_eq!(tls.chain[0].names, ["api.test"]);
    assert!(ran.observed.hops[0].phases.tls.is_some());
    assert_eq!(ran.observed.certificate_expiry().unwrap().to_string(), "2090-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_refused_chain_is_shown_too() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let cases = [
        (pki.identity("api.test", 2020..2021), "expired at 2021-01-01", "2021-01-01T00:00:00Z"),
        (pki.identity("api.test", 2080..2090), "not valid before 2080-01-01", "2090-01-01T00:00:00Z"),
        (pki.identity("other.test", VALID), "another name (other.test)", "2090-01-01T00:00:00Z"),
        (stranger.identity("api.test", VALID), "issuer is not trusted", "2090-01-01T00:00:00Z"),
    ];
    let transport = transport(Some(&pki.file()));
    for (identity, words, expiry) in cases {
        let fake = Fake::https(server_tls(identity, &[]), |_| Reply::new(200)).await;
        let ran = run(&transport, &check(&format!("url = \"https://api.test:{}/\"", fake.port()))).await;
        ran.failed(Class::Certificate, words);
        let tls = ran.observed.hops[0].tls.as_ref().unwrap();
        assert!(tls.refused.as_deref().is_some_and(|r| r.contains(words)), "{tls:?}");
        assert_eq!(tls.chain[0].not_after.to_string(), expiry);
        assert!(fake.log().is_empty(), "nothing is sent to a server we don't trust");
    }
}

#[tokio::test]
async fn an_own_ca_is_trusted_by_its_check_alone() {
    let pki = Pki::new();
    let fake = Fake::https(server_tls(pki.identity("api.test", VALID), &[]), |_| Reply::new(200)).await;
    let url = format!("url = \"https://api.test:{}/\"", fake.port());
    let transport = transport(None);
    let with_ca = check(&format!("{url}\nca = {:?}", pki.file()));
    run(&transport, &with_ca).await.passed();
    run(&transport, &check(&url)).await.failed(Class::Certificate, "not trusted");
    // The file is read at use: without it we can't judge, and it is not the target's fault.
    std::fs::remove_file(pki.file()).unwrap();
    let ran = run(&transport, &with_ca).await;
    assert_eq!(ran.failure().unwrap().cause, Some(Cause::File), "{ran:?}");
}

#[tokio::test]
async fn few_certificate_days_fail_as_certificate() {
    let pki = Pki::new();
    let fake = Fake::https(server_tls(pki.identity("api.test", VALID), &[]), |_| Reply::new(200)).await;
    let toml = format!("url = \"https://api.test:{}/\"\nexpect = {{ certificate_days = 36500 }}", fake.port());
    run(&transport(Some(&pki.file())), &check(&toml)).await.failed(Class::Certificate, "days left");
}

#[tokio::test]
async fn http_2_by_alpn_and_by_prior_knowledge() {
    let pki = Pki::new();
    let transport = transport(Some(&pki.file()));
    let both = Fake::https(server_tls(pki.identity("api.test", VALID), &["h2", "http/1.1"]), |_| Reply::json("{}")).await;
    for (version, shown) in [("auto", "HTTP/2"), ("2", "HTTP/2"), ("1.1", "HTTP/1.1")] {
        let toml = format!("url = \"https://api.test:{}/\"\nhttp_version = \"{version}\"", both.port());
        let ran = run(&transport, &check(&toml)).await;
        ran.passed();
        assert_eq!(ran.observed.hops[0].version.as_deref(), Some(shown));
        assert!(ran.observed.hops[0].phases.transfer.is_some());
    }
    both.all_closed().await;
    let plain = Fake::http2(|_| Reply::new(200)).await;
    let ran = run(&transport, &check(&format!("url = \"{}\"\nhttp_version = \"2\"", plain.url("/")))).await;
    ran.passed();
    assert_eq!(ran.observed.hops[0].version.as_deref(), Some("HTTP/2"));
    plain.all_closed().await;
    let old = Fake::https(server_tls(pki.identity("api.test", VALID), &[]), |_| Reply::new(200)).await;
    let toml = format!("url = \"https://api.test:{}/\"\nhttp_version = \"2\"", old.port());
    run(&transport, &check(&toml)).await.failed(Class::Protocol, "did not agree to HTTP/2");
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_is_a_tls_failure() {
    let pki = Pki::new();
    let fake = Fake::https(server_mtls(pki.identity("api.test", VALID), &pki), |_| Reply::new(200)).await;
    let ran = run(&transport(Some(&pki.file())), &check(&format!("url = \"https://api.test:{}/\"", fake.port()))).await;
    ran.failed(Class::Tls, "client certificate");
    assert_eq!(ran.observed.hops[0].tls.as_ref().unwrap().chain.len(), 2);
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    let text = format!(r#"{{"orders": [{}1]}}"#, "1,".repeat(5000));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(text.as_bytes()).unwrap();
    let zlib = zlib.finish().unwrap();
    let fake = Fake::http(move |seen| match seen.target.as_str() {
        "/gzip" => Reply::json("").header("content-encoding", "gzip").body(gzip.clone()),
        "/deflate" => Reply::json("").header("content-encoding", "deflate").body(zlib.clone()),
        "/other" => Reply::json("").header("content-encoding", "compress").body("what?"),
        "/cut" => Reply::json("").header("content-encoding", "gzip").body(gzip[..gzip.len() - 20].to_vec()),
        _ => Reply::new(200).header("content-encoding", "gzip"),
    })
    .await;
    let transport = transport(None);
    let at =
        |path: &str| check(&format!("url = \"{}\"\nexpect = {{ json = [{{ path = \"$.orders[5000]\", equals = 1 }}] }}", fake.url(path)));
    for path in ["/gzip", "/deflate"] {
        let ran = run(&transport, &at(path)).await;
        ran.passed();
        assert_eq!(ran.observed.body_bytes, Some(text.len() as u64));
    }
    run(&transport, &at("/other")).await.failed(Class::Protocol, "did not offer");
    run(&transport, &at("/cut")).await.failed(Class::Protocol, "ends too early");
    run(&transport, &check(&format!("url = \"{}\"\nmethod = \"HEAD\"", fake.url("/head")))).await.passed();
    assert_eq!(fake.log()[0].header("accept-encoding"), "gzip, deflate, br, zstd");
}

#[tokio::test]
async fn each_status_has_its_class() {
    let fake = Fake::http(|seen| {
        let status: u16 = seen.target[1..4].parse().unwrap();
        if seen.target.ends_with("wait") { Reply::new(status).header("retry-after", "7") } else { Reply::new(status) }
    })
    .await;
    let transport = transport(None);
    for (path, class) in [
        ("/401", Class::Unauthorized),
        ("/403", Class::Forbidden),
        ("/404", Class::NotFound),
        ("/410", Class::NotFound),
        ("/418", Class::ClientError),
        ("/429", Class::Throttled),
        ("/429/wait", Class::Throttled),
        ("/500", Class::ServerError),
        ("/503", Class::ServerError),
        ("/503/wait", Class::Throttled),
        ("/302", Class::Assertion),
    ] {
        let ran = run(&transport, &check(&format!("url = \"{}\"", fake.url(path)))).await;
        ran.failed(class, &path[1..4]);
        let wait = path.ends_with("wait").then_some(Duration::from_secs(7));
        assert_eq!(ran.failure().unwrap().retry_after, wait, "{path}");
        assert_eq!(ran.observed.status, Some(path[1..4].parse().unwrap()));
    }
    run(&transport, &check(&format!("url = \"{}\"\nexpect = {{ status = [404, \"5xx\"] }}", fake.url("/404")))).await.passed();
}

/// What vendors say inside, or beside, counts as well as a status; an answer that is served with nothing left is served.
#[tokio::test]
async fn throttling_is_seen_whatever_its_status() {
    let graphql = r#"{"errors":[{"extensions":{"code":"THROTTLED","retry_in_seconds":12}}]}"#;
    let fake = Fake::http(move |seen| match seen.target.as_str() {
        "/graphql" => Reply::json(graphql),
        "/used-up" => Reply::new(403).header("x-ratelimit-remaining", "0"),
        "/busy" => Reply::new(503).body("Server is busy"),
        _ => Reply::json("{}").header("x-ratelimit-remaining", "0"),
    })
    .await;
    let transport = transport(None);
    let ran = async |path: &str| run(&transport, &check(&format!("url = \"{}\"", fake.url(path)))).await;
    let inside = ran("/graphql").await;
    inside.failed(Class::Throttled, "answered 200 (OK); asks to wait 12s; its body says: too many requests");
    assert_eq!(inside.failure().unwrap().retry_after, Some(Duration::from_secs(12)));
    assert!(inside.observed.expectations.iter().any(|e| !e.met && e.class == Class::Throttled), "{inside:#?}");
    ran("/used-up").await.failed(Class::Throttled, "answered 403");
    ran("/busy").await.failed(Class::Throttled, "answered 503");
    ran("/served").await.passed();
}

#[tokio::test]
async fn what_is_expected_is_shown_with_what_was_seen() {
    let body = r#"{"status": "degraded", "queue": {"depth": 17}, "items": [1, 2], "nothing": null}"#;
    let fake = Fake::http(move |_| Reply::json(body).header("x-region", "eu-1").after(Duration::from_millis(30))).await;
    let transport = transport(None);
    let with = |expect: &str| check(&format!("url = \"{}\"\nexpect = {{ {expect} }}", fake.url("/")));
    for good in [
        r#"headers = [{ name = "X-Region", matches = "^eu-\\d$" }, { name = "content-type", contains = "json", exists = true }, { name = "x-not", exists = false }]"#,
        r#"json = [{ path = "$.status", equals = "degraded", is = "string", matches = "^deg" }, { path = "$.queue.depth", min = 17, max = 17.0, equals = 17.0 }]"#,
        r#"json = [{ path = "$.items[*]", is = "number" }, { path = "$.items", equals = [1, 2] }, { path = "$.gone", exists = false }, { path = "$.nothing", is = "null" }]"#,
        r#"contains = ["degraded"], not_contains = "error", matches = "\"depth\":\\s*\\d+", size = { min = 10, max = "1KiB" }"#,
    ] {
        let ran = run(&transport, &with(good)).await;
        ran.passed();
        assert!(ran.observed.expectations.iter().all(|e| e.met) && ran.observed.expectations.len() > 4, "{ran:?}");
    }
    for (bad, class, words) in [
        (r#"headers = [{ name = "X-Region", equals = "us-1" }]"#, Class::Assertion, "seen: eu-1"),
        (r#"json = [{ path = "$.status", equals = "ok" }]"#, Class::Assertion, "expected: $.status equals \"ok\"; seen: \"degraded\""),
        (r#"json = [{ path = "$.items", is = "object" }]"#, Class::Assertion, "an array of 2"),
        (r#"json = [{ path = "$.items[*]", max = 1 }]"#, Class::Assertion, "seen: 2"),
        (r#"json = [{ path = "$.gone", is = "array" }]"#, Class::Assertion, "nothing there"),
        (r#"contains = "fine""#, Class::Assertion, "not found"),
        (r#"not_contains = "degraded""#, Class::Assertion, "found in"),
        (r#"matches = "^fine$""#, Class::Assertion, "not found"),
        (r#"size = { max = 10 }"#, Class::Assertion, "at most 10B"),
        (r#"within = "1ms""#, Class::Slow, "within 1ms"),
        (r#"within = "1ms", contains = "fine""#, Class::Assertion, "not found"),
    ] {
        run(&transport, &with(bad)).await.failed(class, words);
    }
}

#[tokio::test]
async fn numbers_are_observed() {
    let fake =
        Fake::http(|seen| Reply::json(if seen.target == "/" { r#"{"queue": {"depth": 17.5}, "age": "old"}"# } else { "<html>" })).await;
    let transport = transport(None);
    let observe = r#"observe = [{ name = "depth", path = "$.queue.depth", required = true }, { name = "age", path = "$.age" }]"#;
    let ran = run(&transport, &check(&format!("url = \"{}\"\n{observe}", fake.url("/")))).await;
    ran.passed();
    assert_eq!(ran.observed.values, [("depth".to_owned(), 17.5)]);
    let ran = run(&transport, &check(&format!("url = \"{}\"\n{observe}", fake.url("/html")))).await;
    ran.failed(Class::Assertion, "not JSON");
    let age = r#"observe = [{ name = "age", path = "$.age", required = true }]"#;
    run(&transport, &check(&format!("url = \"{}\"\n{age}", fake.url("/"))))
        .await
        .failed(Class::Assertion, "$.age is a number; seen: \"old\"");
}

#[tokio::test]
async fn bodies_are_sent() {
    let fake = Fake::http(|_| Reply::new(200)).await;
    let transport = transport(None);
    for (body, kind, sent) in [
        (r#"{ text = "hello" }"#, "text/plain; charset=utf-8", "hello"),
        (
            r#"{ json = { a = 1, b = [true, 2.5], at = 2026-01-01T00:00:00Z } }"#,
            "application/json",
            r#"{"a":1,"at":"2026-01-01T00:00:00Z","b":[true,2.5]}"#,
        ),
        (r#"{ json = '[1, null]' }"#, "application/json", "[1,null]"),
        (r#"{ form = { a = "x y", b = 2 } }"#, "application/x-www-form-urlencoded", "a=x+y&b=2"),
    ] {
        run(&transport, &check(&format!("url = \"{}\"\nbody = {body}", fake.url("/")))).await.passed();
        let last = fake.log().pop().unwrap();
        assert_eq!((last.method.as_str(), last.header("content-type"), last.body.as_str()), ("POST", kind, sent));
    }
    let toml = format!(
        "url = \"{}\"\nmethod = \"PUT\"\nheaders = {{ Content-Type = \"application/xml\" }}\nquery = {{ limit = 5 }}\nbody = {{ text = \"<a/>\" }}",
        fake.url("/?a=b")
    );
    run(&transport, &check(&toml)).await.passed();
    let last = fake.log().pop().unwrap();
    assert_eq!((last.method.as_str(), last.header("content-type"), last.target.as_str()), ("PUT", "application/xml", "/?a=b&limit=5"));
}

#[tokio::test]
async fn unreachable_targets_have_their_class() {
    let transport = transport(None);
    run(&transport, &check("url = \"http://gone.test/\"")).await.failed(Class::Dns, "gone.test: the name does not exist");
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let ran = run(&transport, &check(&format!("url = \"http://api.test:{free}/\""))).await;
    ran.failed(Class::Connect, "connection refused");
    assert!(ran.observed.hops[0].phases.connect.is_some() && ran.observed.hops[0].address.is_some());
    assert!(transport.reach("api.test", free).await.unwrap_err().contains("refused"));
    // The first address is dead, the second is not.
    let fake = Fake::http(|_| Reply::new(200)).await;
    let ran = run(&transport, &check(&format!("url = \"http://two.test:{}/\"", fake.port()))).await;
    ran.passed();
    assert_eq!(ran.observed.hops[0].address, Some(fake.at));
    assert_eq!(transport.reach("api.test", fake.port()).await, Ok(()));
}

#[tokio::test]
async fn the_guard_is_our_decision() {
    let transport = transport(None);
    let fake = Fake::http(|_| Reply::new(200)).await;
    for (url, allow, rule) in [
        (fake.url("/"), false, "loopback"),
        (format!("http://api.test:{}/", fake.port()), false, "loopback"),
        ("http://metadata.test/".to_owned(), true, "metadata"),
        ("http://[::ffff:169.254.169.254]/".to_owned(), true, "metadata"),
    ] {
        let ran = run(&transport, &check_where(&format!("url = \"{url}\""), allow)).await;
        let failure = ran.failure().unwrap();
        assert_eq!((failure.class, failure.cause, failure.egress_rule), (Class::Internal, Some(Cause::Egress), Some(rule)), "{ran:?}");
        assert_eq!(failure.detail.contains("allow_private = true"), rule == "loopback", "{}", failure.detail);
    }
    assert!(fake.log().is_empty());
}

#[tokio::test]
async fn a_refused_address_is_counted_also_when_another_one_serves() {
    let fake = Fake::http(|_| Reply::new(200)).await;
    let once = |url: String| async move {
        let def = Arc::new(check(&format!("url = \"{url}\"")));
        Box::pin(run_once(&def, (&transport(None), &Memories::default()), UnixMs(0), None, Noted::All)).await.record
    };
    let passed = once(format!("http://mixed.test:{}/", fake.port())).await;
    assert_eq!((passed.outcome, passed.facts.egress_rule.as_deref()), (Outcome::Pass, Some("metadata")));
    let plain = once(fake.url("/")).await;
    assert_eq!((plain.outcome, plain.facts.egress_rule), (Outcome::Pass, None));
    let refused = once("http://metadata.test/".to_owned()).await;
    assert_eq!((refused.outcome, refused.facts.egress_rule.as_deref()), (Outcome::Unknown, Some("metadata")));
}

#[tokio::test]
async fn a_run_that_is_cut_off_leaves_nothing_behind() {
    let pki = Pki::new();
    let transport = transport(Some(&pki.file()));
    let hang = |_: &_| Reply::new(200).after(Duration::from_secs(600));
    let plain = Fake::http(hang).await;
    let h2 = Fake::https(server_tls(pki.identity("api.test", VALID), &["h2"]), hang).await;
    let dead = Duration::from_millis(400);
    for toml in [format!("url = \"{}\"", plain.url("/")), format!("url = \"https://api.test:{}/\"", h2.port())] {
        let ran = run_within(&transport, &check(&toml), dead).await;
        assert!(ran.result.is_none());
        assert_eq!(ran.class(), Some(Class::Timeout));
        assert!(ran.observed.hops[0].phases.connect.is_some(), "phases so far are kept");
    }
    plain.all_closed().await;
    h2.all_closed().await;
}

#[tokio::test]
async fn what_was_met_is_told_where_somebody_asks_and_judged_alike_where_nobody_does() {
    let fake = Fake::http(|_| Reply::json("{\"n\": 3}")).await;
    let (transport, memories) = (transport(None), Memories::default());
    for (max, met) in [(5, true), (2, false)] {
        let def = Arc::new(check(&format!("url = \"{}\"\nexpect = {{ json = [{{ path = \"$.n\", max = {max} }}] }}", fake.url("/"))));
        let asked = Box::pin(run_once(&def, (&transport, &memories), UnixMs(0), None, Noted::All)).await;
        let slot = Box::pin(run_once(&def, (&transport, &memories), UnixMs(0), None, Noted::Unmet)).await;
        let told = |report: &RunReport| report.attempts[0].observed.expectations.iter().map(|e| e.met).collect::<Vec<_>>();
        assert_eq!((told(&asked), told(&slot)), (vec![true, met], vec![false; usize::from(!met)]));
        assert_eq!((asked.record.outcome, asked.record.detail), (slot.record.outcome, slot.record.detail));
        assert_eq!(slot.record.outcome == Outcome::Pass, met);
    }
}
