//! The kind `oauth2` against token endpoints over real sockets: every way to say who one is, every refusal, a token that is verified; and that nothing
//! of secret or token is left anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use soakwatch::clock::{Clock, UnixMs};
use soakwatch::config::model::CheckDef;
use soakwatch::outcome::{Cause, Class};
use soakwatch::sso::{jwks, oauth};

use crate::support::daemon::{Daemon, eventually, output, soakwatch};
use crate::support::fake::{Reply, Seen};
use crate::support::fake_api::{FakeApi, Reply as Plain};
use crate::support::jose::rsa;
use crate::support::pki::{Pki, server_mtls};
use crate::support::probing::{Ran, Remembering, check_of_kind, transport};
use crate::support::provider::Provider;

const SECRET: &str = "c4nary-client-s3cret/+";
const TOKEN: &str = "c4nary-access-token-0123456789";

fn key(which: usize) -> Value {
    rsa(which).with(json!({ "kid": format!("key-{which}"), "use": "sig", "alg": "RS256" }))
}

fn granted(more: Value) -> Reply {
    let mut body = json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "scope": "orders.read orders.write" });
    crate::support::jose::merge(&mut body, more);
    Reply::json(body.to_string()).header("cache-control", "no-store")
}

/// What a token endpoint by the book answers to this client's secret.
fn by_the_book(seen: &Seen) -> Reply {
    let right = format!("Basic {}", STANDARD.encode("acme:c4nary-client-s3cret%2F%2B"));
    if seen.method == "POST" && seen.header("authorization") == right { granted(json!({})) } else { refused(401, "invalid_client", "who?") }
}

fn refused(status: u16, code: &str, why: &str) -> Reply {
    let body = json!({ "error": code, "error_description": why }).to_string();
    Reply::new(status).header("content-type", "application/json").header("cache-control", "no-store").body(body)
}

/// A provider, and a directory with the secret.
struct Scene {
    provider: Provider,
    dir: tempfile::TempDir,
    runs: Remembering,
}

impl Scene {
    async fn new() -> Self {
        let provider = Provider::new(vec![key(0)]).await;
        provider.instead("/token", by_the_book);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), SECRET).unwrap();
        let runs = Remembering::new(transport(Some(&provider.ca())));
        Self { provider, dir, runs }
    }
    fn check(&self, more: &str) -> CheckDef {
        let secret = if more.contains("method") { "" } else { "client_secret = { file = \"secret\" }\n" };
        let table = format!("[oauth2]\ntoken_url = \"{}/token\"\nclient_id = \"acme\"\n{secret}{more}", self.provider.issuer());
        check_of_kind(&table, self.dir.path())
    }
    async fn run(&self, more: &str) -> Ran {
        let ran = self.runs.run(&self.check(more)).await;
        let all = format!("{ran:?}");
        assert!(!all.contains(TOKEN) && !all.contains(SECRET), "{all}");
        ran
    }
}

#[tokio::test]
async fn a_token_by_secret_passes_and_each_fault_is_found() {
    let scene = Scene::new().await;
    let ran = scene.run("scope = \"orders.read\"\nused_for = \"30m\"\nwrong_client = true\nmetadata = false\n").await;
    ran.passed();
    assert_eq!((ran.told(), ran.stays(), ran.observed.status), (String::new(), vec![], Some(200)));
    let bodies: Vec<String> = scene.provider.fake.log().iter().map(|s| s.body.clone()).collect();
    assert_eq!(bodies, ["grant_type=client_credentials&scope=orders.read", "grant_type=client_credentials"]);
    scene.provider.instead("/token", |seen| {
        let posted = seen.body.contains("client_id=acme&client_secret=c4nary-client-s3cret%2F%2B");
        if posted { granted(json!({})) } else { refused(400, "invalid_client", "") }
    });
    scene.run("method = \"client_secret_post\"\nclient_secret = { file = \"secret\" }\n").await.passed();

    type Fault = (&'static str, fn(&Seen) -> Reply, Option<Class>, &'static str);
    let faults: [Fault; 9] = [
        ("", |_| refused(401, "invalid_client", &format!("no {SECRET} here")), Some(Class::Unauthorized), "fail OAUTH-TOK-02"),
        ("", |_| refused(400, "invalid_scope", "consent"), Some(Class::Unauthorized), "fail OAUTH-TOK-02"),
        ("", |_| Reply::new(404).body("gone"), Some(Class::Metadata), "fail OAUTH-TOK-01"),
        ("", |_| Reply::redirect(302, "/login"), Some(Class::Metadata), "fail OAUTH-TOK-01"),
        ("", |_| Reply::new(200).header("cache-control", "no-store").body("<html>"), Some(Class::Metadata), "fail OAUTH-TOK-03"),
        ("", |_| granted(json!({ "expires_in": null })), None, "warn OAUTH-TOK-03"),
        ("scope = \"admin\"\n", |_| granted(json!({})), Some(Class::Metadata), "fail OAUTH-TOK-06"),
        ("used_for = \"2h\"\n", |_| granted(json!({})), Some(Class::Metadata), "fail OAUTH-TOK-06"),
        ("wrong_client = true\n", |_| granted(json!({})), Some(Class::Metadata), "fail OAUTH-TOK-05"),
    ];
    for (more, answer, class, expected) in faults {
        scene.provider.instead("/token", answer);
        let ran = scene.run(more).await;
        assert_eq!((ran.class(), ran.told().as_str()), (class, expected), "{ran:#?}");
    }
    scene.provider.instead("/token", |_| refused(401, "invalid_client", &format!("no {SECRET} here")));
    let ran = scene.run("").await;
    assert!(ran.detail().ends_with("it says: no [secret] here"), "{}", ran.detail());
    assert_eq!(ran.stays(), ["OAUTH-TOK-03", "OAUTH-TOK-04", "OAUTH-TOK-06", "JWKS-", "OIDC-"]);
}

#[tokio::test]
async fn what_was_not_answered_is_not_judged() {
    let scene = Scene::new().await;
    let soon = UnixMs(Clock::System.now().0 + 20 * 86_400_000);
    let expires = format!("expires = {soon}\n");
    let ran = scene.run(&expires).await;
    ran.passed();
    assert_eq!(ran.told(), "warn OAUTH-SEC-01");
    scene.provider.instead("/token", |_| Reply::new(500));
    let ran = scene.run(&expires).await;
    ran.failed(Class::ServerError, "500");
    assert_eq!((ran.told(), ran.stays().len()), ("warn OAUTH-SEC-01".to_owned(), 6), "recorded dates need no answer");
    let ended = scene.run("expires = 2020-01-01T00:00:00Z\n").await;
    assert_eq!(ended.told(), "fail OAUTH-SEC-01");

    let stranger = Remembering::new(transport(None));
    stranger.run(&scene.check("")).await.failed(Class::Certificate, "OAUTH-TOK-01");
    // Who throttles is left alone, by everybody who asks as this client.
    scene.provider.instead("/token", |_| Reply::new(429).header("retry-after", "600"));
    let ran = scene.run("").await;
    ran.failed(Class::Throttled, "429");
    assert!(ran.observed.heard.iter().any(|h| h.token && h.limits.throttled));
    let asked = scene.provider.asked().len();
    let ran = scene.run("").await;
    assert_eq!((ran.failure().and_then(|f| f.cause), scene.provider.asked().len()), (Some(Cause::RateLimit), asked), "nothing was sent");
}

#[tokio::test]
async fn a_token_is_verified_with_the_keys() {
    let scene = Scene::new().await;
    let issuer = scene.provider.issuer();
    let verify = format!("verify = {{ jwks_uri = \"{issuer}/keys\", issuer = \"{issuer}\", audience = \"orders\" }}\n");
    let signed = |which: usize, audience: &str| {
        let now = Clock::System.now().0 / 1000;
        let claims = json!({ "iss": issuer, "aud": audience, "sub": "acme", "iat": now, "exp": now + 300 });
        rsa(which).signing().sign(&claims, Some("key-0")).unwrap()
    };
    let serve = |token: String| scene.provider.instead("/token", move |_| granted(json!({ "access_token": token })));
    serve(signed(0, "orders"));
    scene.run(&verify).await.passed();
    serve(signed(1, "orders"));
    scene.run(&verify).await.failed(Class::Signature, "OAUTH-TOK-03");
    serve(signed(0, "invoices"));
    assert_eq!(scene.run(&verify).await.told(), "fail OAUTH-TOK-06");
    serve(signed(0, "orders"));
    scene.provider.keys(vec![]);
    assert_eq!(scene.run(&verify).await.told(), "fail JWKS-ALG-01");
    scene.provider.instead("/keys", |_| Reply::new(503));
    let ran = scene.run(&verify).await;
    ran.failed(Class::ServerError, "the keys to verify the token with");
    assert_eq!((ran.told(), ran.stays()), (String::new(), vec!["JWKS-", "OIDC-", "OAUTH-TOK-03", "OAUTH-TOK-06"]));
    let id = format!("verify = {{ jwks_uri = \"{issuer}/keys\", token = \"id_token\" }}\n");
    scene.run(&id).await.failed(Class::Metadata, "id_token");
}

#[tokio::test]
async fn a_life_that_falls_waits_for_somebody() {
    let scene = Scene::new().await;
    scene.run("").await.passed();
    scene.provider.instead("/token", |_| granted(json!({ "expires_in": 3000 })));
    scene.run("").await.passed();
    scene.provider.instead("/token", |_| granted(json!({ "expires_in": 300 })));
    for _ in 0..2 {
        scene.run("").await.failed(Class::Metadata, "the token lives 300 s, before it lived 3600 s");
    }
    let check = scene.check("");
    let accepted = check.kind.accept(scene.runs.memories.recall(&check.id).as_deref()).unwrap();
    scene.runs.memories.remember(&check.id, accepted.memory).await.unwrap();
    scene.run("").await.passed();
}

#[tokio::test]
async fn a_client_with_a_key_signs_its_own_assertion() {
    let scene = Scene::new().await;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(&rsa(0).pkcs8));
    std::fs::write(scene.dir.path().join("key.pem"), &pem).unwrap();
    let set = jwks::lint(json!({ "keys": [key(0)] }).to_string().as_bytes(), &jwks::Expected::default(), Clock::System.now());
    let (keys, url) = (Arc::new(set.keys.unwrap()), format!("{}/token", scene.provider.issuer()));
    let accepting = move |seen: &Seen| {
        let form: std::collections::BTreeMap<String, String> = url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
        let wanted = oauth::WantedToken { issuer: Some("acme"), audience: Some(&url), pinned_alg: Some("RS256") };
        let found = oauth::verified(&form["client_assertion"], &keys, &wanted, Clock::System.now());
        let is_jwt = form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        if found.is_empty() && is_jwt { granted(json!({})) } else { refused(401, "invalid_client", "") }
    };
    scene.provider.instead("/token", accepting);
    let table = "method = \"private_key_jwt\"\nkey = { file = \"key.pem\" }\nkid = \"key-0\"\n";
    scene.run(table).await.passed();
    let sent: Vec<String> = scene.provider.fake.log().iter().map(|s| s.body.clone()).collect();
    scene.run(table).await.passed();
    assert_ne!(scene.provider.fake.log().last().unwrap().body, sent[0], "no assertion is sent twice");
    // Another key than is registered there.
    let ran = scene.run(&table.replace("key-0", "key-7")).await;
    ran.failed(Class::Unauthorized, "OAUTH-TOK-02");
    assert_eq!(ran.told(), "fail OAUTH-ASR-01, fail OAUTH-TOK-02");
    // Meant for somebody else: said before the server has to.
    let ran = scene.run(&format!("{table}assertion_audience = \"https://other.example.com\"\n")).await;
    assert!(ran.observed.findings.unwrap().list.iter().any(|f| f.detail.contains("aud is neither")));
    std::fs::write(scene.dir.path().join("key.pem"), "hello").unwrap();
    let ran = scene.run(table).await;
    assert_eq!(ran.failure().and_then(|f| f.cause), Some(Cause::Secret), "what is ours is never theirs");
}

#[tokio::test]
async fn a_client_with_a_certificate_shows_it_where_it_was_meant_to_go() {
    let provider = Provider::with(vec![key(0)], server_mtls).await;
    provider.instead(
        "/token",
        |seen| if seen.body.contains("client_id=acme") { granted(json!({})) } else { refused(401, "invalid_client", "") },
    );
    let dir = tempfile::tempdir().unwrap();
    let pem = |name: &str, label: &str, der: &[u8]| {
        let lines = STANDARD.encode(der);
        std::fs::write(dir.path().join(name), format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")).unwrap();
    };
    let show = |pki: &Pki, years: std::ops::Range<i32>| {
        let own = pki.identity("acme.client.test", years);
        pem("client.pem", "CERTIFICATE", &own.chain[0]);
        pem("client-key.pem", "PRIVATE KEY", own.key.secret_der());
    };
    let table = format!(
        "[oauth2]\ntoken_url = \"{0}/token\"\nclient_id = \"acme\"\nmethod = \"tls_client_auth\"\ncertificate = \"client.pem\"\n\
         key = {{ file = \"client-key.pem\" }}\n",
        provider.issuer()
    );
    let check = check_of_kind(&table, dir.path());
    let runs = Remembering::new(transport(Some(&provider.ca())));
    show(&provider.pki, 2020..2040);
    let ran = runs.run(&check).await;
    ran.passed();
    assert_eq!(ran.told(), "");
    // One that has ended, and one of an authority that is not known there.
    show(&provider.pki, 2020..2021);
    let ran = runs.run(&check).await;
    assert!(ran.class() == Some(Class::Tls) && ran.told() == "fail OAUTH-TLS-01", "{ran:#?}");
    show(&Pki::new(), 2020..2040);
    let ran = runs.run(&check).await;
    ran.failed(Class::Tls, "OAUTH-TLS-01");
    pem("client-key.pem", "PRIVATE KEY", &rsa(1).pkcs8);
    let ran = runs.run(&check).await;
    assert_eq!(ran.failure().and_then(|f| f.cause), Some(Cause::Secret), "{ran:#?}");
}

#[tokio::test]
async fn two_documents_of_one_issuer_must_agree() {
    let scene = Scene::new().await;
    let issuer = scene.provider.issuer();
    let metadata = format!("issuer = \"{issuer}\"\nmetadata = true\n");
    scene.run(&metadata).await.passed();
    let other = json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/other") }).to_string();
    scene.provider.instead("/.well-known/oauth-authorization-server", move |_| Reply::json(other.clone()));
    scene.run(&metadata).await.failed(Class::Metadata, "OAUTH-MD-01");
    scene.provider.instead("/.well-known/oauth-authorization-server", |_| Reply::new(500));
    let ran = scene.run(&metadata).await;
    ran.passed();
    assert_eq!(ran.stays(), ["OAUTH-MD", "OAUTH-TLS"], "found before, it stays");
}

/// A secret of ours is known to the endpoint, which sends it back; nobody who reads anything of ours learns it, nor the token.
#[test]
fn who_needs_a_token_waits_for_the_check_of_it_and_nothing_leaks() {
    let up = Arc::new(AtomicBool::new(false));
    let serving = Arc::clone(&up);
    let token = FakeApi::start(move |seen| {
        let body = if serving.load(Ordering::Relaxed) {
            json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "scope": TOKEN })
        } else {
            json!({ "error": "invalid_client", "error_description": format!("not {} {}", seen.body, seen.header("authorization").unwrap_or("")) })
        };
        Plain::json(body.to_string()).header("cache-control", "no-store").header("x-echo", TOKEN)
    });
    let orders = FakeApi::start(|_| Plain::status(200));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let customer = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"crm\"\nenvironment = \"staging\"\nowner = \"vendor\"\n\
         [[integration.check]]\nid = \"token\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.oauth2]\ntoken_url = \"{}\"\n\
         client_id = \"acme\"\nmethod = \"client_secret_post\"\nclient_secret = {{ env = \"IT_SECRET\" }}\nscope = \"orders\"\n\
         [[integration.check]]\nid = \"orders\"\nevery = \"1s\"\ntimeout = \"900ms\"\nblocked_by = \"token\"\n[integration.check.http]\nurl = \"{}\"\n",
        token.url("/token"),
        orders.url("/orders")
    );
    std::fs::write(dir.path().join("customers/acme.toml"), customer).unwrap();
    let env = [("IT_SECRET", SECRET)];
    let daemon = Daemon::start(dir.path(), &env);
    let shown = |id: &str| -> Value {
        let all: Value = serde_json::from_str(&daemon.get("/api/v1/integrations/acme/staging/crm")).unwrap();
        all["check"].as_array().unwrap().iter().find(|c| c["id"].as_str().is_some_and(|i| i.ends_with(id))).unwrap().clone()
    };
    eventually("the token fails and the other waits", || {
        let waits = shown("orders")["causes"]["blocked"].as_u64() >= Some(2);
        (waits && !shown("token")["findings"].as_array().unwrap().is_empty()).then_some(())
    });
    assert_eq!(shown("orders")["counts"]["fail"], 0);
    up.store(true, Ordering::Relaxed);
    // What was granted is not what was asked for: still no token to work with.
    eventually("the scope is missed", || shown("token")["findings"].to_string().contains("OAUTH-TOK-06").then_some(()));
    let probed = output(soakwatch().args(["probe", "acme/staging/crm/token", "--config"]).arg(dir.path()).envs(env));
    let probed = String::from_utf8_lossy(&probed.stdout).into_owned();
    assert!(probed.contains("OAUTH-TOK-06"), "{probed}");
    let all = [daemon.get("/metrics"), daemon.get("/api/v1/status"), daemon.get("/"), shown("token").to_string(), daemon.log(), probed];
    assert_eq!(daemon.stop(), Some(0));
    let mut bytes = all.concat().into_bytes();
    for file in std::fs::read_dir(dir.path()).unwrap().filter_map(|f| std::fs::read(f.unwrap().path()).ok()) {
        bytes.extend(file);
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.len() > 10_000);
    for secret in [SECRET, TOKEN, "c4nary"] {
        assert!(!text.contains(secret), "{secret} was kept");
    }
}
