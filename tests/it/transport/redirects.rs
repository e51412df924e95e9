//! Redirects: what is followed, what is refused, and where credentials stay behind.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use soakwatch::outcome::Class;

use crate::support::fake::{Fake, Reply};
use crate::support::pki::{Pki, server_tls};
use crate::support::probing::{check, run, transport};

/// Several secrets at once: Authorization, an API key in a header and one in the query. The variables are those cargo sets for every test.
const SECRETS: &str = "auth = { bearer = { env = \"CARGO_PKG_NAME\" } }\n\
    headers = { \"X-Api-Key\" = { env = \"CARGO_PKG_NAME\" }, \"X-Tenant\" = \"acme\" }\n\
    query = { api_key = { env = \"CARGO_PKG_NAME\" } }\nredirects = 5\n";

#[tokio::test]
async fn off_unless_asked_for() {
    let fake = Fake::http(|_| Reply::redirect(302, "/next?token=x")).await;
    let transport = transport(None);
    let ran = run(&transport, &check(&format!("url = \"{}\"", fake.url("/")))).await;
    ran.failed(Class::Assertion, "answered 302");
    assert_eq!(ran.observed.hops[0].location.as_deref(), Some(fake.url("/next?token=…").as_str()), "shown without its query's values");
    run(&transport, &check(&format!("url = \"{}\"\nexpect = {{ status = 302 }}", fake.url("/")))).await.passed();
    assert_eq!(fake.log().len(), 2);
    let odd = Fake::http(|_| Reply::redirect(302, "http://[::1")).await;
    run(&transport, &check(&format!("url = \"{}\"\nexpect = {{ status = 302 }}", odd.url("/")))).await.passed();
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let other = Fake::http(|seen| if seen.target == "/back" { Reply::new(200) } else { Reply::redirect(307, "/back") }).await;
    let away = other.url("/elsewhere");
    let fake =
        Fake::http(
            move |seen| {
                if seen.target.starts_with("/same") { Reply::redirect(301, away.clone()) } else { Reply::redirect(302, "/same") }
            },
        )
        .await;
    let ran = run(&transport(None), &check(&format!("url = \"{}\"\n{SECRETS}", fake.url("/start")))).await;
    ran.passed();
    assert_eq!(ran.observed.hops.iter().map(|h| h.status.unwrap()).collect::<Vec<_>>(), [302, 301, 307, 200]);
    for seen in fake.log() {
        assert_eq!((seen.header("authorization"), seen.header("x-api-key")), ("Bearer soakwatch", "soakwatch"));
        assert!(seen.target.ends_with("?api_key=soakwatch"), "{}", seen.target);
    }
    for seen in other.log() {
        let all = format!("{seen:?}");
        assert!(
            seen.header("authorization").is_empty() && seen.header("x-api-key").is_empty() && !seen.target.contains("api_key"),
            "{all}"
        );
        assert_eq!(seen.header("x-tenant"), "acme", "what is no secret goes along");
    }
    assert_eq!((fake.log().len(), other.log().len()), (2, 2));
}

#[tokio::test]
async fn methods_and_bodies_as_rfc_9110_says() {
    let fake = Fake::http(|seen| match seen.target.strip_prefix("/go/") {
        Some(status) => Reply::redirect(status.parse().unwrap(), "/end"),
        None => Reply::new(200),
    })
    .await;
    let transport = transport(None);
    for (status, method, body) in [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "a=1"), (308, "POST", "a=1")] {
        let toml = format!("url = \"{}\"\nbody = {{ form = {{ a = 1 }} }}\nredirects = 1", fake.url(&format!("/go/{status}")));
        run(&transport, &check(&toml)).await.passed();
        let last = fake.log().pop().unwrap();
        assert_eq!((last.method.as_str(), last.body.as_str()), (method, body), "{status}");
        assert_eq!(last.header("content-type").is_empty(), body.is_empty());
    }
}

#[tokio::test]
async fn a_body_with_credentials_goes_nowhere_else() {
    let other = Fake::http(|_| Reply::new(200)).await;
    let away = other.url("/");
    let fake = Fake::http(move |_| Reply::redirect(307, away.clone())).await;
    for body in [
        "form = { user = \"a\", password = { env = \"CARGO_PKG_NAME\" } }",
        "json = { password = { secret = { env = \"CARGO_PKG_NAME\" } } }",
    ] {
        let toml = format!("url = \"{}\"\nbody = {{ {body} }}\nredirects = 1", fake.url("/"));
        run(&transport(None), &check(&toml)).await.failed(Class::Redirect, "credentials in the body");
    }
    assert!(other.log().is_empty());
    assert_eq!(fake.log()[0].body, "password=soakwatch&user=a");
    assert_eq!(fake.log()[1].body, r#"{"password":"soakwatch"}"#);
}

#[tokio::test]
async fn a_body_with_credentials_is_held_back_for_every_status_that_keeps_it() {
    let other = Fake::http(|_| Reply::new(200)).await;
    let away = other.url("/");
    let fake = Fake::http(move |seen| match seen.target.strip_prefix("/same/") {
        Some(status) => Reply::redirect(status.parse().unwrap(), format!("/{status}")),
        None => Reply::redirect(seen.target[1..].parse().unwrap(), away.clone()),
    })
    .await;
    let transport = transport(None);
    let secret = "form = { user = \"a\", password = { env = \"CARGO_PKG_NAME\" } }";
    for (method, status) in [
        ("PUT", 301),
        ("PUT", 302),
        ("PATCH", 301),
        ("PATCH", 302),
        ("DELETE", 301),
        ("DELETE", 302),
        ("GET", 301),
        ("GET", 302),
        ("HEAD", 303),
        ("PUT", 307),
        ("POST", 308),
    ] {
        // The second way: a redirect on the same origin keeps the body, the one after it leads away.
        for (path, asked) in [(format!("/{status}"), 1), (format!("/same/{status}"), 2)] {
            let before = fake.log().len();
            let toml = format!("url = \"{}\"\nmethod = \"{method}\"\nbody = {{ {secret} }}\nredirects = 2", fake.url(&path));
            run(&transport, &check(&toml)).await.failed(Class::Redirect, "credentials in the body");
            let log = fake.log().split_off(before);
            assert_eq!(log.len(), asked, "{method} {status}");
            assert!(log.iter().all(|seen| seen.method == method && seen.body == "password=soakwatch&user=a"), "{method} {status}: {log:?}");
        }
    }
    assert!(other.log().is_empty(), "{:?}", other.log());
    // A redirect that drops the body may go anywhere, and so may a body without a secret.
    for (method, status, body, arrives) in [
        ("POST", 301, secret, ""),
        ("POST", 302, secret, ""),
        ("PUT", 303, secret, ""),
        ("PUT", 302, "text = \"plain\"", "plain"),
        ("POST", 307, "text = \"plain\"", "plain"),
    ] {
        let toml = format!("url = \"{}\"\nmethod = \"{method}\"\nbody = {{ {body} }}\nredirects = 1", fake.url(&format!("/{status}")));
        run(&transport, &check(&toml)).await.passed();
        assert_eq!(other.log().pop().unwrap().body, arrives, "{method} {status}");
    }
}

/// A server that copies what it was sent into the address of its redirect, as one that sends people to a login page does.
#[tokio::test]
async fn a_redirect_that_carries_a_secret_away_is_not_followed() {
    const SECRET: &str = "S3cr3t/+ value?&=~*";
    let coded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let other = Fake::http(|_| Reply::new(200)).await;
    let transport = transport(None);
    let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let nested = coded(&format!("https://api.test/?key={form}"));
    let forms = [
        form.clone(),
        coded(SECRET),
        coded(SECRET).to_lowercase(),
        // Half encoded only, and with plus signs for spaces.
        "S3cr3t/%2b%20value?%26=%7e*".to_owned(),
        "S3cr3t%2F%2B+value%3f&%3D~%2A".to_owned(),
        // The address to come back to, within an address, within an address.
        nested.clone(),
        coded(&nested),
        STANDARD.encode(format!("bob:{SECRET}")),
        coded(&STANDARD.encode(SECRET)),
        URL_SAFE_NO_PAD.encode(format!("{{\"key\":\"{SECRET}\"}}")),
    ];
    let places = forms.iter().flat_map(|f| [format!("/login?next={f}"), format!("/x/{f}/y"), format!("/#{f}")]);
    for place in places {
        let to = other.url(&place);
        let fake = Fake::http(move |_| Reply::redirect(302, to.clone())).await;
        for auth in
            ["api_key = { query = \"key\", value", "api_key = { header = \"X-Api-Key\", value", "basic = { username = \"bob\", password"]
        {
            let toml = format!("url = \"{}\"\nauth = {{ {auth} = {{ file = {file:?} }} }} }}\nredirects = 3", fake.url("/"));
            let ran = run(&transport, &check(&toml)).await;
            ran.failed(Class::Redirect, "would carry a secret to another host");
            let said = format!("{ran:?}");
            for form in forms.iter().map(String::as_str).chain([SECRET, "S3cr3t", "value?"]) {
                assert!(!said.contains(form), "{form} came out for {place}: {said}");
            }
        }
        assert_eq!(fake.log().len(), 3);
    }
    // A host is looked up in DNS, in lower case: that carries it away as well.
    std::fs::write(&file, "AbCdEf123456").unwrap();
    let to = format!("http://AbCdEf123456.test:{}/", other.port());
    let fake = Fake::http(move |_| Reply::redirect(302, to.clone())).await;
    let toml = format!("url = \"{}\"\nauth = {{ bearer = {{ file = {file:?} }} }}\nredirects = 3", fake.url("/"));
    let ran = run(&transport, &check(&toml)).await;
    ran.failed(Class::Redirect, "would carry a secret to another host");
    assert!(!format!("{ran:?}").to_lowercase().contains("abcdef123456"), "{ran:?}");
    assert!(other.log().is_empty(), "{:?}", other.log());
}

#[tokio::test]
async fn a_redirect_may_carry_a_secret_back_to_its_own_origin() {
    let fake = Fake::http(|seen| {
        if seen.target.starts_with("/end") { Reply::new(200) } else { Reply::redirect(302, seen.target.replacen("/start", "/end", 1)) }
    })
    .await;
    run(&transport(None), &check(&format!("url = \"{}\"\n{SECRETS}", fake.url("/start")))).await.passed();
    assert_eq!(fake.log()[1].target, "/end?api_key=soakwatch");
}

#[tokio::test]
async fn never_from_https_to_http() {
    let plain = Fake::http(|_| Reply::new(200)).await;
    let pki = Pki::new();
    let away = plain.url("/");
    let fake = Fake::https(server_tls(pki.identity("api.test", 2020..2090), &[]), move |_| Reply::redirect(302, away.clone())).await;
    let ran = run(&transport(Some(&pki.file())), &check(&format!("url = \"https://api.test:{}/\"\nredirects = 5", fake.port()))).await;
    ran.failed(Class::Redirect, "from https to plain http");
    assert!(plain.log().is_empty());
}

#[tokio::test]
async fn loops_and_long_ways_end() {
    let transport = transport(None);
    let circle = Fake::http(|seen| Reply::redirect(302, if seen.target == "/a" { "/b" } else { "/a" })).await;
    let ran = run(&transport, &check(&format!("url = \"{}\"\nredirects = 10", circle.url("/a")))).await;
    ran.failed(Class::Redirect, "loop");
    assert_eq!(circle.log().len(), 2);
    let endless = Fake::http(|seen| Reply::redirect(302, format!("/{}", seen.n))).await;
    let ran = run(&transport, &check(&format!("url = \"{}\"\nredirects = 3", endless.url("/")))).await;
    ran.failed(Class::Redirect, "more than 3 redirects");
    assert_eq!((endless.log().len(), ran.observed.hops.len()), (4, 4));
}

#[tokio::test]
async fn a_redirect_may_not_lead_where_we_do_not_go() {
    let transport = transport(None);
    for (to, rule) in [("http://metadata.test/latest/meta-data", Some("metadata")), ("http://169.254.169.254/", Some("metadata"))] {
        let fake = Fake::http(move |_| Reply::redirect(302, to)).await;
        let ran = run(&transport, &check(&format!("url = \"{}\"\nredirects = 2", fake.url("/")))).await;
        ran.failed(Class::Redirect, "address guard");
        assert_eq!((ran.failure().unwrap().egress_rule, ran.failure().unwrap().cause), (rule, None));
    }
    for to in ["file:///etc/passwd", "gopher://x/", "http://", "javascript:alert(1)", "http://[::1"] {
        let fake = Fake::http(move |_| Reply::redirect(302, to)).await;
        run(&transport, &check(&format!("url = \"{}\"\nredirects = 2", fake.url("/")))).await.failed(Class::Redirect, "redirect");
    }
}

#[tokio::test]
async fn every_hop_has_its_chain() {
    let pki = Pki::new();
    let end = Fake::https(server_tls(pki.identity("b.test", 2020..2021), &[]), |_| Reply::new(200)).await;
    let away = format!("https://b.test:{}/", end.port());
    let start = Fake::https(server_tls(pki.identity("a.test", 2020..2090), &[]), move |_| Reply::redirect(302, away.clone())).await;
    let ran = run(&transport(Some(&pki.file())), &check(&format!("url = \"https://a.test:{}/\"\nredirects = 1", start.port()))).await;
    ran.failed(Class::Certificate, "b.test");
    let names: Vec<_> = ran.observed.hops.iter().map(|h| h.tls.as_ref().unwrap().chain[0].names[0].as_str()).collect();
    assert_eq!(names, ["a.test", "b.test"]);
    assert_eq!(ran.observed.certificate_expiry().unwrap().to_string(), "2021-01-01T00:00:00Z");
}
