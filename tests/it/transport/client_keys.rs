//! Tokens without a client secret: an assertion signed for each request, or the certificate of the connection.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use soakwatch::clock::Clock;
use soakwatch::outcome::{Cause, Class};
use soakwatch::sso::{jwks, oauth};

use crate::support::fake::{Fake, Reply, Seen};
use crate::support::jose::rsa;
use crate::support::pki::{Pki, server_mtls};
use crate::support::probing::{check_of_kind, run, transport};

const ISSUED: &str = r#"{"access_token":"t0ken-of-ours-0123456789","token_type":"Bearer","expires_in":600}"#;

fn pem(dir: &Path, name: &str, label: &str, der: &[u8]) {
    std::fs::write(dir.join(name), format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))).unwrap();
}

/// A token endpoint that takes assertions of this key and algorithm, made for this audience.
async fn by_assertion(alg: &'static str, audience: &'static str) -> Fake {
    let keys = json!({ "keys": [rsa(0).with(json!({ "kid": "one", "use": "sig", "alg": alg }))] }).to_string();
    let keys = Arc::new(jwks::lint(keys.as_bytes(), &jwks::Expected::default(), Clock::System.now()).keys.unwrap());
    Fake::http(move |seen: &Seen| {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
        let wanted = oauth::WantedToken { issuer: Some("acme"), audience: Some(audience), pinned_alg: Some(alg) };
        let found = oauth::verified(&form["client_assertion"], &keys, &wanted, Clock::System.now());
        let right = form["grant_type"] == "client_credentials"
            && form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            && seen.header("authorization").is_empty();
        if found.is_empty() && right { Reply::json(ISSUED) } else { Reply::new(401).body(r#"{"error":"invalid_client"}"#) }
    })
    .await
}

#[tokio::test]
async fn a_signed_assertion_takes_the_place_of_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let audience = "https://login.example.com";
    let api =
        Fake::http(|seen| Reply::new(if seen.header("authorization") == "Bearer t0ken-of-ours-0123456789" { 204 } else { 401 })).await;
    for alg in ["RS256", "PS256"] {
        pem(dir.path(), "key.pem", "PRIVATE KEY", &rsa(0).pkcs8);
        let tokens = by_assertion(alg, audience).await;
        let table = |more: &str| {
            format!(
                "[http]\nurl = \"{}\"\nauth = {{ oauth2 = {{ token_url = \"{}\", client_id = \"acme\", auth_method = \"private_key_jwt\", \
                 key = {{ file = \"key.pem\" }}, alg = \"{alg}\", assertion_audience = \"{audience}\"{more} }} }}",
                api.url("/"),
                tokens.url("/token")
            )
        };
        let check = check_of_kind(&table(", kid = \"one\""), dir.path());
        let first = transport(None);
        for _ in 0..2 {
            let ran = run(&first, &check).await;
            ran.passed();
            let sent = tokens.log()[0].body.clone();
            let jwt = sent.split("client_assertion=").nth(1).unwrap();
            assert!(!format!("{ran:?}").contains(jwt.split('.').nth(2).unwrap()));
        }
        assert_eq!(tokens.log().len(), 1, "the token is kept");
        // Another process asks anew, with an assertion of its own.
        run(&transport(None), &check).await.passed();
        let bodies: Vec<String> = tokens.log().iter().map(|s| s.body.clone()).collect();
        assert!(bodies.len() == 2 && bodies[0] != bodies[1], "no assertion is sent twice");
        // A key that they don't know, one that can't sign so, and none: the first is theirs to say, the others are ours.
        pem(dir.path(), "key.pem", "PRIVATE KEY", &rsa(1).pkcs8);
        run(&first, &check).await.failed(Class::Unauthorized, "invalid_client");
        pem(dir.path(), "key.pem", "PRIVATE KEY", &crate::support::jose::p256().pkcs8);
        let ran = run(&first, &check).await;
        ran.failed(Class::Internal, "which can't sign by the alg that is written");
        assert_eq!(ran.failure().and_then(|f| f.cause), Some(Cause::Secret));
        std::fs::write(dir.path().join("key.pem"), "no key").unwrap();
        run(&first, &check).await.failed(Class::Internal, "expected a private key in PEM form");
    }
}

#[tokio::test]
async fn the_certificate_of_the_connection_does() {
    let (pki, dir) = (Pki::new(), tempfile::tempdir().unwrap());
    let own = pki.identity("acme.client.test", 2020..2090);
    pem(dir.path(), "client.pem", "CERTIFICATE", &own.chain[0]);
    pem(dir.path(), "client-key.pem", "PRIVATE KEY", own.key.secret_der());
    let tokens = Fake::https(server_mtls(pki.identity("api.test", 2020..2090), &pki), |seen| {
        let right = seen.body == "grant_type=client_credentials&client_id=acme" && seen.header("authorization").is_empty();
        if right { Reply::json(ISSUED) } else { Reply::new(400) }
    })
    .await;
    let api = Fake::http(|_| Reply::new(204)).await;
    let table = format!(
        "[http]\nurl = \"{}\"\nclient = {{ certificate = \"client.pem\", key = {{ file = \"client-key.pem\" }} }}\n\
         auth = {{ oauth2 = {{ token_url = \"https://api.test:{}/token\", client_id = \"acme\", auth_method = \"tls_client_auth\" }} }}",
        api.url("/"),
        tokens.port()
    );
    run(&transport(Some(&pki.file())), &check_of_kind(&table, dir.path())).await.passed();
    assert_eq!(api.log()[0].header("authorization"), "Bearer t0ken-of-ours-0123456789");
}
