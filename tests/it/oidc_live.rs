//! The kind `oidc` against a provider over real sockets and TLS: what passes, what each fault becomes, what is remembered, and a daemon with an approver.

use std::path::Path;

use serde_json::{Value, json};
use soakwatch::config::model::CheckDef;
use soakwatch::evidence::Hash;
use soakwatch::outcome::Class;

use crate::support::daemon::{Daemon, eventually, output, series, soakwatch};
use crate::support::fake::Reply;
use crate::support::jose::rsa;
use crate::support::probing::{Remembering, check_of_kind, transport};
use crate::support::provider::Provider;

fn key(which: usize) -> Value {
    rsa(which).with(json!({ "kid": format!("key-{which}"), "use": "sig", "alg": "RS256" }))
}

/// A provider, a check of it, and runs that remember.
async fn scene(more: &str) -> (Provider, CheckDef, Remembering) {
    let provider = Provider::new(vec![key(0)]).await;
    let check = check_of_kind(&format!("[oidc]\nissuer = \"{}\"\n{more}", provider.issuer()), Path::new("/nonexistent"));
    let runs = Remembering::new(transport(Some(&provider.ca())));
    (provider, check, runs)
}

#[tokio::test]
async fn a_sound_provider_passes_and_nobody_logs_in() {
    let (provider, check, runs) = scene("client_auth = \"client_secret_basic\"\nalgorithm = \"RS256\"\nscopes = [\"email\"]\n").await;
    let first = runs.run(&check).await;
    first.passed();
    assert_eq!((first.told(), first.stays()), (String::new(), vec![]));
    let expected = ["GET /.well-known/openid-configuration", "GET /keys", "HEAD /token", "HEAD /authorize", "HEAD /userinfo"];
    assert_eq!(provider.asked(), expected);
    assert_eq!(first.observed.status, Some(200), "the document's, not the last endpoint's");
    // Both documents are asked for conditionally, and what did not change is judged all the same.
    let second = runs.run(&check).await;
    second.passed();
    let documents = second.observed.hops.iter().take(2).map(|h| h.status).collect::<Vec<_>>();
    assert_eq!((documents, second.told()), (vec![Some(304), Some(304)], String::new()));
    assert!(!second.observed.document.unwrap().changed);
}

#[tokio::test]
async fn each_fault_is_found_by_its_rule() {
    let (provider, check, runs) = scene("algorithm = \"RS256\"\n").await;
    runs.run(&check).await.passed();
    let slash = format!("{}/", provider.issuer());
    provider.discovery(json!({ "issuer": slash }));
    let ran = runs.run(&check).await;
    ran.failed(Class::Metadata, "slash");
    assert_eq!(ran.told(), "fail OIDC-ISS-01");
    assert_eq!(ran.stays(), ["OIDC-CHG", "JWKS-ROT"], "somebody else's document is compared with nothing");
    for (changes, expected) in [
        (json!({ "token_endpoint": null }), "fail OIDC-REQ-01, warn OIDC-CHG-01"),
        (json!({ "token_endpoint": "http://127.0.0.1/token" }), "fail OIDC-EP-01, warn OIDC-CHG-01"),
        (json!({ "userinfo_endpoint": "https://127.0.0.1:1/" }), "fail OIDC-EP-02, warn OIDC-CHG-01"),
        (json!({ "id_token_signing_alg_values_supported": ["ES256"] }), "fail OIDC-ALG-01, warn OIDC-CHG-01"),
    ] {
        provider.discovery(changes.clone());
        assert_eq!(runs.run(&check).await.told(), expected, "{changes}");
    }
    // What waits for somebody is told again, until it is as it was.
    // Silence is no answer: of the endpoints nothing is known then.
    provider.discovery(json!({ "userinfo_endpoint": "https://gone.test/" }));
    let ran = runs.run(&check).await;
    ran.failed(Class::Dns, "gone.test");
    assert_eq!((ran.told(), ran.stays()), ("warn OIDC-CHG-01".to_owned(), vec!["OIDC-EP-02"]));
    provider.discovery(json!({}));
    assert_eq!(runs.run(&check).await.told(), "");

    provider.instead("/userinfo", |_| Reply::new(502));
    let ran = runs.run(&check).await;
    ran.failed(Class::Metadata, "userinfo_endpoint: answered 502");
    assert_eq!(provider.asked().iter().rev().take(2).collect::<Vec<_>>(), ["OPTIONS /userinfo", "HEAD /userinfo"]);
    provider.instead("/userinfo", |seen| Reply::new(if seen.method == "HEAD" { 500 } else { 204 }));
    runs.run(&check).await.passed();
    provider.instead("/userinfo", |_| Reply::new(200).header("date", "Sun, 22 Nov 2020 12:00:00 GMT"));
    runs.run(&check).await.passed();
    provider.instead("/keys", |_| Reply::json("{\"keys\": []}").header("cache-control", "max-age=600"));
    let ran = runs.run(&check).await;
    assert_eq!(ran.told(), "fail JWKS-ALG-01, fail JWKS-ROT-02, fail JWKS-SIG-01");
}

#[tokio::test]
async fn what_could_not_be_had_clears_nothing_and_replaces_nothing() {
    let (provider, check, runs) = scene("").await;
    runs.run(&check).await.passed();
    let remembered = runs.memories.recall(&check.id);
    let discovery = "/.well-known/openid-configuration";

    provider.instead(discovery, |_| Reply::new(500));
    let ran = runs.run(&check).await;
    ran.failed(Class::ServerError, "HTTP 500");
    assert_eq!(ran.observed.findings, None, "nothing is said, so everything stays");

    provider.instead(discovery, |_| Reply::new(404));
    let ran = runs.run(&check).await;
    ran.failed(Class::NotFound, "OIDC-GET-01");
    assert_eq!((ran.told(), ran.stays()), ("fail OIDC-GET-01".to_owned(), vec![""]));

    provider.instead(discovery, |_| Reply::new(200).header("content-type", "text/html").body("<html>log in</html>"));
    let ran = runs.run(&check).await;
    ran.failed(Class::Metadata, "OIDC-GET-01");
    assert_eq!((ran.told(), ran.stays()), ("fail OIDC-GET-01".to_owned(), vec![""]));

    // Of the discovery document all is known, of the keys nothing.
    provider.mended();
    provider.instead("/keys", |_| Reply::new(503));
    let ran = runs.run(&check).await;
    ran.failed(Class::ServerError, "HTTP 503");
    assert_eq!((ran.told(), ran.stays()), (String::new(), vec!["JWKS-"]));
    provider.instead("/keys", |_| Reply::new(403));
    let ran = runs.run(&check).await;
    ran.failed(Class::Metadata, "JWKS-GET-01");
    assert_eq!(ran.stays(), ["JWKS-"]);
    // A document may not send us to a place in plain.
    provider.mended();
    provider.instead("/keys", |_| Reply::redirect(302, "http://127.0.0.1/keys"));
    runs.run(&check).await.failed(Class::Metadata, "JWKS-GET-01");
    assert_eq!(runs.memories.recall(&check.id), remembered);

    // A certificate of nobody we know is a definite answer.
    let stranger = Remembering::new(transport(None));
    stranger.run(&check).await.failed(Class::Certificate, "OIDC-GET-01");
    provider.mended();
    runs.run(&check).await.passed();
}

#[tokio::test]
async fn a_change_of_keys_is_seen_through_an_outage() {
    let (provider, check, runs) = scene("").await;
    runs.run(&check).await.passed();
    provider.keys(vec![key(1)]);
    let ran = runs.run(&check).await;
    ran.failed(Class::Drift, "JWKS-ROT-02");
    // Meanwhile the keys can't be had: what waited to be accepted still waits.
    provider.instead("/keys", |_| Reply::new(500));
    assert_eq!(runs.run(&check).await.told(), "fail JWKS-ROT-02");
    assert!(check.kind.accept(runs.memories.recall(&check.id).as_deref()).is_ok());
    provider.mended();
    provider.keys(vec![key(0)]);
    runs.run(&check).await.passed();
    // The other way about, with the old key beside the new one.
    provider.keys(vec![key(0), key(1)]);
    let ran = runs.run(&check).await;
    ran.passed();
    assert!(ran.observed.document.unwrap().changed);
    assert!(ran.observed.findings.unwrap().list.iter().any(|f| f.id == "JWKS-ROT-01"));
    provider.keys(vec![key(1)]);
    let ran = runs.run(&check).await;
    ran.passed();
    assert_eq!(ran.told(), "", "how long it was is known from the next run on");
    // Side by side for less than a second, while clients may cache for an hour.
    assert_eq!(runs.run(&check).await.told(), "warn JWKS-CCH-01");
}

const TOKEN: &str = "swt_approver";

fn write(dir: &Path, provider: &Provider) {
    std::fs::create_dir_all(dir.join("customers")).unwrap();
    let hash = Hash::of(TOKEN.as_bytes());
    let settings = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[[server.token]]\nname = \"b-boss\"\nrole = \"approver\"\nhash = \"sha256:{hash}\"\n\
         [[server.token]]\nname = \"all\"\nrole = \"viewer\"\nhash = \"sha256:{}\"\n",
        Hash::of(b"swt_viewer")
    );
    std::fs::write(dir.join("soakwatch.toml"), settings).unwrap();
    let customer = format!(
        "[customer]\nid = \"acme\"\nallow_private = true\n[[integration]]\nid = \"sso\"\nenvironment = \"staging\"\nowner = \"customer\"\n\
         [[integration.check]]\nid = \"log-in\"\nevery = \"1s\"\ntimeout = \"900ms\"\n[integration.check.oidc]\nissuer = \"{}\"\nca = \"{}\"\n",
        provider.issuer(),
        provider.ca().display()
    );
    std::fs::write(dir.join("customers/acme.toml"), customer).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_swapped_at_once_fail_until_somebody_accepts_them() {
    let provider = Provider::new(vec![key(0)]).await;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &provider);
    let mut daemon = Daemon::start(dir.path(), &[]);
    let read = |daemon: &Daemon, path: &str| {
        let authorization = format!("Bearer {TOKEN}");
        crate::support::daemon::request("GET", &format!("{}{path}", daemon.url), &[("authorization", &authorization)]).1
    };
    let shown = |daemon: &Daemon| -> Value {
        let all: Value = serde_json::from_str(&read(daemon, "/api/v1/integrations/acme/staging/sso")).unwrap();
        all["check"][0].clone()
    };
    let found = |daemon: &Daemon| -> Vec<String> {
        let all = shown(daemon)["findings"].as_array().cloned().unwrap_or_default();
        all.iter().map(|f| f["id"].as_str().unwrap().to_owned()).collect()
    };
    let passes = |daemon: &Daemon| shown(daemon)["counts"]["pass"].as_u64().unwrap_or(0);
    let scrape = |daemon: &Daemon| read(daemon, "/metrics");
    let changes = |daemon: &Daemon| series(&scrape(daemon), "soakwatch_sso_metadata_changes_total", &["integration=\"sso\""]);
    let accept = |daemon: &Daemon| {
        let args = ["accept", "acme/staging/sso/log-in", "--note", "by phone", "--url", &daemon.url, "--token-env", "IT_TOKEN"];
        output(soakwatch().args(args).env("IT_TOKEN", TOKEN)).status.code()
    };
    eventually("it passes", || (passes(&daemon) >= 2).then_some(()));
    assert_eq!((changes(&daemon), accept(&daemon)), (Some(0.0), Some(69)), "there is nothing to accept");

    // The leaked key, in the set that takes the place of the first.
    let mut leaked = key(1);
    leaked["d"] = json!("c4naryPrivateExponentOfARealKey0123456789");
    provider.keys(vec![leaked]);
    eventually("both are found", || (found(&daemon) == ["JWKS-PRIV-01", "JWKS-ROT-02"]).then_some(()));
    eventually("the store has it", || {
        let ran = output(soakwatch().args(["runs", "acme/staging/sso/log-in", "--config"]).arg(dir.path()));
        String::from_utf8_lossy(&ran.stdout).contains("JWKS-").then_some(())
    });
    // What was accepted survives a kill, and so does what waits.
    daemon.kill();
    daemon = Daemon::start(dir.path(), &[]);
    eventually("both are found again", || (found(&daemon) == ["JWKS-PRIV-01", "JWKS-ROT-02"]).then_some(()));
    let probed = output(soakwatch().args(["probe", "acme/staging/sso/log-in", "--config"]).arg(dir.path()));
    let probed = String::from_utf8_lossy(&probed.stdout).into_owned();
    assert!(probed.contains("JWKS-PRIV-01") && probed.contains("Replace the key now"), "{probed}");

    provider.keys(vec![key(1)]);
    eventually("the swap is left", || (found(&daemon) == ["JWKS-ROT-02"]).then_some(()));
    assert!(series(&scrape(&daemon), "soakwatch_findings", &["rule=\"JWKS-ROT-02\"", "severity=\"critical\""]).is_some());
    eventually("it is accepted", || (accept(&daemon) == Some(0)).then_some(()));
    eventually("it passes", || found(&daemon).is_empty().then_some(()));
    assert_eq!(changes(&daemon), Some(1.0));

    // With overlap nobody is asked, and it is counted.
    provider.keys(vec![key(0), key(1)]);
    eventually("it is counted", || (changes(&daemon) == Some(2.0)).then_some(()));
    assert!(found(&daemon).iter().all(|f| f.starts_with("JWKS-ROT-01") || f.starts_with("JWKS-CCH")), "{:?}", found(&daemon));

    // The provider has trouble: what is open stays open.
    provider.keys(vec![key(0).as_object().map(|k| json!({ "kty": k["kty"], "n": k["n"], "e": k["e"] })).unwrap(), key(1)]);
    eventually("a key without kid", || found(&daemon).iter().any(|f| f == "JWKS-KID-01").then_some(()));
    provider.instead("/.well-known/openid-configuration", |_| Reply::new(500));
    eventually("it fails by the status", || (shown(&daemon)["last"]["codes"] == json!([500])).then_some(()));
    assert!(found(&daemon).iter().any(|f| f == "JWKS-KID-01"));

    let everything =
        [scrape(&daemon), read(&daemon, "/api/v1/status"), read(&daemon, "/"), shown(&daemon).to_string(), daemon.log(), probed];
    assert_eq!(daemon.stop(), Some(0));
    let mut bytes: Vec<u8> = everything.concat().into_bytes();
    for file in std::fs::read_dir(dir.path()).unwrap().filter_map(|f| std::fs::read(f.unwrap().path()).ok()) {
        bytes.extend(file);
    }
    assert!(bytes.len() > 10_000 && !String::from_utf8_lossy(&bytes).contains("c4naryPrivate"), "a private key was kept");
}
