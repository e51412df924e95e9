//! Client certificates against servers that demand one: who is let in, who is refused and how it is said, and that a renewed pair is taken at once.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use soakwatch::clock::UnixMs;
use soakwatch::config::model::CheckDef;
use soakwatch::outcome::{Cause, Class, Reason};
use soakwatch::route::Route;

use crate::support::fake::{Fake, Reply, Seen};
use crate::support::jose::rsa;
use crate::support::pki::{Pki, server_mtls, server_tls};
use crate::support::probing::{check, check_of_kind, read_in, run, transport};

const VALID: std::ops::Range<i32> = 2020..2090;

fn pem(dir: &Path, name: &str, label: &str, der: &[u8]) {
    std::fs::write(dir.join(name), format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))).unwrap();
}

/// Writes a certificate of this authority with its key.
fn own(dir: &Path, pki: &Pki, years: std::ops::Range<i32>) {
    let own = pki.identity("acme.client.test", years);
    pem(dir, "client.pem", "CERTIFICATE", &own.chain[0]);
    pem(dir, "client-key.pem", "PRIVATE KEY", own.key.secret_der());
}

fn shows(dir: &Path, url: &str, more: &str) -> CheckDef {
    let (certificate, key) = (dir.join("client.pem"), dir.join("client-key.pem"));
    check(&format!("url = \"{url}\"\nclient = {{ certificate = {certificate:?}, key = {{ file = {key:?} }} }}\n{more}"))
}

async fn demanding(pki: &Pki, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::https(server_mtls(pki.identity("api.test", VALID), pki), answer).await
}

#[tokio::test]
async fn the_right_certificate_is_let_in_and_others_are_told_why_not() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let dir = tempfile::tempdir().unwrap();
    let fake = demanding(&pki, |_| Reply::json("{}")).await;
    let transport = transport(Some(&pki.file()));
    let url = format!("https://api.test:{}/v1/orders", fake.port());
    let check_with = shows(dir.path(), &url, "");
    own(dir.path(), &pki, VALID);
    run(&transport, &check_with).await.passed();
    let bare = run(&transport, &check(&format!("url = \"{url}\""))).await;
    bare.failed(Class::Tls, "wants a client certificate, and the check has none");
    assert_eq!(bare.reason(), Some(Reason::NoCertificate));
    // The same check from now on: each pair is taken as it lies there.
    own(dir.path(), &stranger, VALID);
    let strange = run(&transport, &check_with).await;
    strange.failed(Class::Tls, "did not accept our client certificate (UnknownCA)");
    assert_eq!(strange.reason(), None);
    own(dir.path(), &pki, VALID);
    run(&transport, &check_with).await.passed();
    assert_eq!(fake.log().len(), 2, "a request goes out only to whom we were let in by");
}

#[tokio::test]
async fn what_is_wrong_with_our_own_pair_is_ours_and_is_never_sent() {
    let pki = Pki::new();
    let dir = tempfile::tempdir().unwrap();
    let fake = demanding(&pki, |_| Reply::json("{}")).await;
    let transport = transport(Some(&pki.file()));
    let check = shows(dir.path(), &format!("https://api.test:{}/", fake.port()), "");
    let ours = async |words: &str| {
        let ran = run(&transport, &check).await;
        ran.failed(Class::Internal, words);
        assert_eq!(ran.failure().and_then(|f| f.cause), Some(Cause::Secret));
        assert!(ran.observed.hops.is_empty(), "nothing is connected for it: {ran:#?}");
    };
    ours("client-key.pem can't be read").await;
    own(dir.path(), &pki, 2020..2021);
    ours("client.pem: it expired at 2021-01-01T00:00:00Z").await;
    own(dir.path(), &pki, 2080..2090);
    ours("client.pem: it is not valid before 2080-01-01T00:00:00Z").await;
    own(dir.path(), &pki, VALID);
    pem(dir.path(), "client-key.pem", "PRIVATE KEY", &rsa(1).pkcs8);
    ours("its key can't be used, or is another one's").await;
    std::fs::write(dir.path().join("client-key.pem"), "c4nary-no-key").unwrap();
    ours("its key is not a private key in PEM form, without a password").await;
    own(dir.path(), &pki, VALID);
    std::fs::remove_file(dir.path().join("client.pem")).unwrap();
    ours("client.pem: there is nothing of this name").await;
    assert!(fake.log().is_empty());
}

#[tokio::test]
async fn the_token_endpoint_sees_it_and_where_a_redirect_leads_does_not() {
    let pki = Pki::new();
    let dir = tempfile::tempdir().unwrap();
    own(dir.path(), &pki, VALID);
    std::fs::write(dir.path().join("secret"), "s3cret").unwrap();
    let transport = transport(Some(&pki.file()));
    let tokens = demanding(&pki, |_| Reply::json(r#"{"access_token":"t0ken-of-ours","token_type":"Bearer","expires_in":600}"#)).await;
    let api = Fake::https(server_tls(pki.identity("api.test", VALID), &[]), |_| Reply::new(204)).await;
    let auth = format!(
        "auth = {{ oauth2 = {{ token_url = \"https://api.test:{}/token\", client_id = \"acme\", client_secret = {{ file = {:?} }} }} }}",
        tokens.port(),
        dir.path().join("secret")
    );
    run(&transport, &shows(dir.path(), &format!("https://api.test:{}/", api.port()), &auth)).await.passed();
    let elsewhere = demanding(&pki, |_| Reply::new(200)).await;
    let to = format!("https://api.test:{}/", elsewhere.port());
    let first = demanding(&pki, move |_| Reply::redirect(302, &to)).await;
    let check = shows(dir.path(), &format!("https://api.test:{}/", first.port()), "redirects = 2");
    run(&transport, &check).await.failed(Class::Tls, "wants a client certificate");
    assert_eq!((first.log().len(), elsewhere.log().len()), (1, 0));
}

#[tokio::test]
async fn a_webhook_shows_it_too() {
    let pki = Pki::new();
    let dir = tempfile::tempdir().unwrap();
    own(dir.path(), &pki, VALID);
    std::fs::write(dir.path().join("secret"), "a-secret-of-the-hook").unwrap();
    let transport = transport(Some(&pki.file()));
    let fake = demanding(&pki, |_| Reply::new(204)).await;
    let table = |more: &str| {
        format!("[webhook]\nurl = \"https://api.test:{}/\"\nscheme = \"github\"\nsecrets = {{ file = \"secret\" }}\n{more}", fake.port())
    };
    let with = "client = { certificate = \"client.pem\", key = { file = \"client-key.pem\" } }";
    run(&transport, &check_of_kind(&table(with), dir.path())).await.passed();
    run(&transport, &check_of_kind(&table(""), dir.path())).await.failed(Class::Tls, "wants a client certificate");
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn a_connection_that_is_kept_is_that_of_the_pair_that_opened_it() {
    let pki = Pki::new();
    let dir = tempfile::tempdir().unwrap();
    let fake = demanding(&pki, |_| Reply::json("{}")).await;
    let transport = transport(Some(&pki.file()));
    let check = shows(dir.path(), &format!("https://api.test:{}/", fake.port()), "");
    let check = CheckDef { route: Route { keep_alive: true, ..Route::default() }, ..check };
    own(dir.path(), &pki, VALID);
    for _ in 0..3 {
        run(&transport, &check).await.passed();
    }
    assert_eq!((fake.accepted(), fake.log().len()), (1, 3));
    // A renewed pair is shown, for what the old one was let in by says nothing of it.
    own(dir.path(), &pki, VALID);
    run(&transport, &check).await.passed();
    assert_eq!((fake.accepted(), fake.log().len()), (2, 4));
    // One that has ended is ours, though a connection stands.
    own(dir.path(), &pki, 2020..2021);
    let ran = run(&transport, &check).await;
    ran.failed(Class::Internal, "client.pem: it expired at 2021-01-01T00:00:00Z");
    assert_eq!((ran.failure().and_then(|f| f.cause), fake.log().len()), (Some(Cause::Secret), 4));
    // One of a stranger is refused by the server, not let in by the connection of another.
    own(dir.path(), &Pki::new(), VALID);
    run(&transport, &check).await.failed(Class::Tls, "did not accept our client certificate (UnknownCA)");
    assert_eq!(fake.log().len(), 4);
    own(dir.path(), &pki, VALID);
    run(&transport, &check).await.passed();
}

#[test]
fn what_is_wrong_is_said_when_it_is_loaded() {
    let (pki, dir) = (Pki::new(), tempfile::tempdir().unwrap());
    let table = "url = \"https://api.test/\"\nclient = { certificate = \"client.pem\", key = { file = \"client-key.pem\" } }";
    let said = || read_in(table, dir.path()).unwrap().unusable_files_blocking(UnixMs(1_764_547_200_000));
    own(dir.path(), &pki, VALID);
    assert_eq!(said(), []);
    own(dir.path(), &pki, 2020..2021);
    let ended = said();
    assert!(ended.len() == 1 && ended[0].0 == "client.certificate" && ended[0].1.contains("expired at 2021-01-01"), "{ended:?}");
    own(dir.path(), &pki, VALID);
    pem(dir.path(), "client-key.pem", "PRIVATE KEY", &rsa(1).pkcs8);
    let other = said();
    assert!(other.len() == 1 && other[0].0 == "client.key" && other[0].1.contains("another one's"), "{other:?}");
    // A month before its end it is spoken of, and not earlier.
    own(dir.path(), &pki, VALID);
    let check = read_in(table, dir.path()).unwrap();
    assert_eq!(check.doubts_blocking(UnixMs(1_764_547_200_000)), []);
    own(dir.path(), &pki, 2020..2026);
    let check = read_in(table, dir.path()).unwrap();
    let days = |n: i64| UnixMs(1_767_225_600_000 - n * 86_400_000);
    assert_eq!(check.doubts_blocking(days(31)), []);
    let soon = check.doubts_blocking(days(29));
    assert!(soon.len() == 1 && soon[0].0 == "client.certificate" && soon[0].1.contains("ends at 20"), "{soon:?}");
}
