//! OIDC discovery documents: the shared samples, a fixture for every rule, and whatever bytes come.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use soakwatch::finding::{Finding, Level, Severity, oidc::RULES, verdict};
use soakwatch::sso::oidc::{EndpointTrouble, Expected, Snapshot, changes, clock_offset, endpoint, fetched, lint};

use crate::support::judged::{SAMPLED_AT, lint as command, printed, sample, sound, told};

const ISSUER: &str = "https://login.example.com/t1";

/// A document without a fault.
pub(crate) fn good() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://login.example.com/t1/authorize",
        "token_endpoint": "https://login.example.com/t1/token",
        "userinfo_endpoint": "https://api.example.com:8443/userinfo",
        "jwks_uri": "https://login.example.com/t1/keys",
        "response_types_supported": ["code", "code id_token"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "scopes_supported": ["openid", "email"],
        "claims_supported": ["sub", "email"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "claims_parameter_supported": false,
        "request_uri_parameter_supported": true,
        "mtls_endpoint_aliases": { "token_endpoint": "https://mtls.example.com/t1/token" },
    })
}

fn with(changes: Value) -> Value {
    let mut doc = good();
    let Value::Object(changes) = changes else { panic!("an object of changes") };
    doc.as_object_mut().unwrap().extend(changes);
    doc
}

fn without(names: &[&str]) -> Value {
    let mut doc = good();
    for name in names {
        doc.as_object_mut().unwrap().remove(*name);
    }
    doc
}

fn judge(doc: &Value, expected: &Expected) -> Vec<Finding> {
    let found = lint(doc.to_string().as_bytes(), expected).findings;
    sound(&found);
    found
}

pub(crate) fn snapshot(doc: &Value) -> Snapshot {
    lint(doc.to_string().as_bytes(), &Expected::of(ISSUER)).snapshot.unwrap()
}

/// Documents for a client that only has an issuer, with what must be told of each.
fn documents() -> Vec<(Value, &'static str)> {
    let implicit = json!({ "response_types_supported": ["id_token", "id_token token"], "grant_types_supported": ["implicit"] });
    let mut implicit_only = with(implicit.clone());
    for name in ["token_endpoint", "code_challenge_methods_supported"] {
        implicit_only.as_object_mut().unwrap().remove(name);
    }
    let mut no_token_endpoint = with(implicit);
    no_token_endpoint.as_object_mut().unwrap().remove("token_endpoint");
    vec![
        (good(), ""),
        (json!([1]), "fail OIDC-GET-01"),
        (json!({}), "fail OIDC-REQ-01"),
        (with(json!({ "response_types_supported": "code" })), "fail OIDC-FMT-01"),
        (with(json!({ "claims_parameter_supported": "false" })), "fail OIDC-FMT-01"),
        (with(json!({ "token_endpoint": ["https://a/token"] })), "fail OIDC-FMT-01"),
        (with(json!({ "registration_endpoint": null })), "fail OIDC-FMT-01"),
        (with(json!({ "scopes_supported": ["openid", 1] })), "fail OIDC-FMT-01"),
        (with(json!({ "mtls_endpoint_aliases": ["a"] })), "fail OIDC-FMT-01"),
        (with(json!({ "mtls_endpoint_aliases": { "token_endpoint": 1 } })), "fail OIDC-FMT-01"),
        (with(json!({ "issuer": 7 })), "fail OIDC-FMT-01"),
        (with(json!({ "vendor_supported": 7, "http_logout_supported": true })), ""),
        (with(json!({ "issuer": "https://login.example.com/t1/" })), "fail OIDC-ISS-01"),
        (with(json!({ "issuer": "http://login.example.com/t1" })), "fail OIDC-ISS-01, fail OIDC-ISS-02"),
        (with(json!({ "issuer": "https://login.example.com/{tenantid}" })), "fail OIDC-ISS-01, fail OIDC-ISS-02"),
        (without(&["jwks_uri", "subject_types_supported"]), "fail OIDC-REQ-01"),
        (without(&["token_endpoint"]), "fail OIDC-REQ-01"),
        (without(&["issuer"]), "fail OIDC-REQ-01"),
        (with(json!({ "subject_types_supported": [] })), "fail OIDC-REQ-01"),
        (no_token_endpoint, "fail OIDC-REQ-01"),
        (implicit_only, "fail OIDC-CAP-01"),
        (with(json!({ "userinfo_endpoint": "http://login.example.com/u" })), "fail OIDC-EP-01"),
        (with(json!({ "jwks_uri": "/keys" })), "fail OIDC-EP-01"),
        (with(json!({ "token_endpoint": "https://" })), "fail OIDC-EP-01"),
        (with(json!({ "token_endpoint": " https://login.example.com/token" })), "fail OIDC-EP-01"),
        (with(json!({ "mtls_endpoint_aliases": { "token_endpoint": "http://m.example.com" } })), "fail OIDC-EP-01"),
        (with(json!({ "response_types_supported": ["id_token"] })), "fail OIDC-CAP-01"),
        (with(json!({ "grant_types_supported": ["client_credentials"] })), "fail OIDC-CAP-01"),
        (with(json!({ "scopes_supported": ["email"] })), "fail OIDC-CAP-02"),
        (without(&["scopes_supported", "grant_types_supported", "claims_supported"]), ""),
        (with(json!({ "id_token_signing_alg_values_supported": ["ES256"] })), "warn OIDC-ALG-01"),
        (with(json!({ "id_token_signing_alg_values_supported": ["RS256", "none"] })), "warn OIDC-ALG-02"),
        (with(json!({ "id_token_signing_alg_values_supported": ["none"] })), "fail OIDC-ALG-02, warn OIDC-ALG-01"),
        (with(json!({ "code_challenge_methods_supported": ["plain"] })), "warn OIDC-PKCE-01"),
        (without(&["code_challenge_methods_supported"]), ""),
    ]
}

/// What a client with more settings is told.
fn clients() -> Vec<(Value, Expected, &'static str)> {
    let client = |change: &dyn Fn(&mut Expected)| {
        let mut expected = Expected::of(ISSUER);
        change(&mut expected);
        expected
    };
    let by = |method: &str| client(&|e| e.client_auth = Some(method.into()));
    let pinned = |alg: &str| client(&|e| e.pinned_alg = Some(alg.into()));
    let keys = |url: &str| client(&|e| e.baseline_jwks_uri = Some(url.into()));
    let only_es = with(json!({ "id_token_signing_alg_values_supported": ["ES256"] }));
    let plain = with(json!({ "code_challenge_methods_supported": ["plain"] }));
    let no_methods = without(&["token_endpoint_auth_methods_supported"]);
    vec![
        (good(), by("client_secret_post"), ""),
        (good(), by("client_secret_basic"), "fail OIDC-AUTH-01"),
        (no_methods.clone(), by("client_secret_basic"), ""),
        (no_methods, by("client_secret_post"), "fail OIDC-AUTH-01"),
        (only_es.clone(), pinned("ES256"), ""),
        (only_es, pinned("PS256"), "fail OIDC-ALG-01"),
        (good(), pinned("PS256"), "fail OIDC-ALG-01"),
        (plain, client(&|e| e.pkce = false), ""),
        (good(), client(&|e| e.scopes = vec!["email".into(), "openid".into()]), ""),
        (good(), client(&|e| e.scopes = vec!["groups".into()]), "fail OIDC-CAP-02"),
        (good(), client(&|e| e.claims = vec!["groups".into()]), "fail OIDC-CAP-02"),
        (good(), keys("https://login.example.com/t1/keys"), ""),
        (good(), keys("https://login.example.com/old"), "warn OIDC-CHG-01"),
        (good(), keys("https://old.example.com/t1/keys"), "warn OIDC-CHG-01"),
    ]
}

/// What is not in the document.
fn around() -> Vec<(Vec<Finding>, &'static str)> {
    let moved = with(json!({ "token_endpoint": "https://new.example.com/token", "jwks_uri": "https://login.example.com/t1/k2" }));
    let bytes = |bytes: &[u8]| lint(bytes, &Expected::of(ISSUER)).findings;
    let text = good().to_string();
    let one = |f: Option<Finding>| f.into_iter().collect::<Vec<_>>();
    vec![
        (one(fetched(200, Some("application/json; charset=utf-8"))), ""),
        (one(fetched(404, None)), "fail OIDC-GET-01"),
        (one(fetched(503, None)), ""),
        (one(fetched(200, Some("text/html"))), "warn OIDC-GET-02"),
        (bytes(b"<!doctype html>"), "fail OIDC-GET-01"),
        (bytes(b""), "fail OIDC-GET-01"),
        (bytes(text.replace("email", "\u{fffd}").as_bytes()), ""),
        (bytes(&text.bytes().map(|b| if b == b'8' { 0xfc } else { b }).collect::<Vec<_>>()), "fail OIDC-EP-01, warn OIDC-GET-02"),
        (bytes(format!("\u{feff}{text}").as_bytes()), ""),
        (bytes(text.replacen('{', "{\"issuer\":\"https://evil.example.com\",", 1).as_bytes()), "fail OIDC-FMT-01"),
        (bytes(text.replacen('{', "{\"claims_parameter_supported\":false,", 1).as_bytes()), ""),
        (one(endpoint("token_endpoint", &EndpointTrouble::Name)), "fail OIDC-EP-02"),
        (one(endpoint("token_endpoint", &EndpointTrouble::Tls("the certificate is expired".into()))), "fail OIDC-EP-02"),
        (one(endpoint("token_endpoint", &EndpointTrouble::Status(502))), "fail OIDC-EP-02"),
        (one(endpoint("token_endpoint", &EndpointTrouble::Status(405))), ""),
        (one(clock_offset(-59)), ""),
        (one(clock_offset(-60)), "warn OIDC-CLK-01"),
        (one(clock_offset(180)), "fail OIDC-CLK-01"),
        (changes(&snapshot(&good()), &snapshot(&good())), ""),
        (changes(&snapshot(&good()), &snapshot(&moved)), "warn OIDC-CHG-01"),
    ]
}

fn all() -> Vec<(Vec<Finding>, &'static str)> {
    let mut all: Vec<_> = documents().iter().map(|(doc, want)| (judge(doc, &Expected::of(ISSUER)), *want)).collect();
    all.extend(clients().iter().map(|(doc, expected, want)| (judge(doc, expected), *want)));
    all.extend(around());
    all
}

/// The rules for which a fixture here makes a finding above information.
pub(crate) fn covered() -> BTreeSet<&'static str> {
    let told = |id: &str| all().iter().any(|(found, _)| found.iter().any(|f| f.id == id && f.level != Level::Info));
    RULES.iter().map(|r| r.id).filter(|id| told(id)).collect()
}

#[test]
fn every_fixture_is_told_by_its_rules_and_no_others() {
    for (n, (found, want)) in all().iter().enumerate() {
        sound(found);
        assert_eq!(told(found), *want, "{n}: {found:?}");
    }
}

#[test]
fn every_rule_has_a_fixture() {
    let covered = covered();
    let missing: Vec<&str> = RULES.iter().map(|r| r.id).filter(|id| !covered.contains(id)).collect();
    assert_eq!(missing, [] as [&str; 0]);
}

#[test]
fn the_samples_are_told_as_the_index_has_it() {
    let entra = "https://login.microsoftonline.com/12345678-1234-1234-1234-123456789012/v2.0";
    for (file, issuer, verdict, want) in [
        ("okta-discovery.json", "https://auth-js-test.okta.com", "fail", "fail OIDC-REQ-01"),
        ("auth0-discovery.json", "https://samples.auth0.com/", "pass", ""),
        ("auth0-discovery.json", "https://samples.auth0.com", "fail", "fail OIDC-ISS-01"),
        ("entra-v2-discovery.json", entra, "pass", ""),
        ("google-legacy-discovery.json", "https://accounts.google.com", "fail", "fail OIDC-ISS-01, fail OIDC-ISS-02, fail OIDC-REQ-01"),
        ("pingfederate-discovery.json", "https://connect-interop.pinglabs.org:9031", "warn", "warn OIDC-ALG-02"),
        ("identityserver-discovery.json", "https://demo.identityserver.io", "pass", ""),
        ("cilogon-discovery-no-jwks-uri.json", "https://cilogon.org", "fail", "fail OIDC-REQ-01"),
        ("keycloak-discovery-http.json", "http://keycloak.example.org/realms/demo", "fail", "fail OIDC-EP-01, fail OIDC-ISS-02"),
    ] {
        let Some(path) = sample(&format!("oidc/{file}")) else { return };
        let at = SAMPLED_AT.to_string();
        let done = command(&["oidc", path.to_str().unwrap(), "--issuer", issuer, "--at", &at, "--json"]);
        assert_eq!(printed(&done), (verdict.to_owned(), want.to_owned()), "{file}");
        assert_eq!(done.status.code(), Some(i32::from(verdict == "fail")), "{file}");
    }
}

#[test]
fn what_differs_and_what_is_missing_is_named() {
    let said = |doc: &Value| judge(doc, &Expected::of(ISSUER)).into_iter().map(|f| f.detail).collect::<Vec<_>>().join("\n");
    for (issuer, words) in [
        ("https://login.example.com/t1/", "they differ only by a slash at the end"),
        ("https://login.example.com/T1", "they differ only by upper and lower case"),
        ("http://login.example.com/t1", "they differ only by the scheme"),
        ("https://login.example.com:443/t1", "they differ only by the port"),
    ] {
        assert!(said(&with(json!({ "issuer": issuer }))).contains(words), "{issuer}");
    }
    assert_eq!(said(&without(&["jwks_uri", "token_endpoint"])), "missing: jwks_uri, token_endpoint");
}

#[test]
fn changes_weigh_by_what_moved() {
    let severity = |member: &str, to: &str| {
        let found = changes(&snapshot(&good()), &snapshot(&with(json!({ member: to }))));
        assert_eq!(told(&found), "warn OIDC-CHG-01");
        found[0].severity
    };
    assert_eq!(severity("token_endpoint", "https://new.example.com/token"), Severity::High);
    assert_eq!(severity("jwks_uri", "https://new.example.com/keys"), Severity::Medium);
    assert_eq!(severity("jwks_uri", "https://login.example.com/t1/new"), Severity::Low);
    assert_eq!(severity("issuer", "https://login.example.com/t2"), Severity::High);
    let gone = changes(&snapshot(&good()), &snapshot(&with(json!({ "id_token_signing_alg_values_supported": ["RS256"] }))));
    assert_eq!(gone[0].detail, "algorithms no longer offered: ES256");
}

#[test]
fn a_snapshot_is_small_and_read_back() {
    let mut doc = good();
    for n in 0..200 {
        doc[format!("{n}\u{1}_endpoint")] = format!("https://login.example.com/{}", "\u{1}\"".repeat(1000)).into();
        doc[format!("x{n}_endpoint")] = format!("https://login.example.com/{}", "x".repeat(370)).into();
        doc["id_token_signing_alg_values_supported"].as_array_mut().unwrap().push(format!("{n}{}", "y".repeat(76)).into());
    }
    let kept = snapshot(&doc);
    let text = serde_json::to_string(&kept).unwrap();
    assert!(text.len() <= 64 << 10, "{}", text.len());
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), kept);
    assert!(["jwks_uri", "token_endpoint", "authorization_endpoint"].iter().all(|m| kept.url(m).is_some()));
}

#[test]
fn the_command_says_what_the_file_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doc.json");
    let path = file.to_str().unwrap();
    let run = |text: &[u8], more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        command(&[&["oidc", path, "--issuer", ISSUER], more].concat())
    };
    let good = good().to_string();
    let done = run(good.as_bytes(), &["--json", "--client-auth", "client_secret_basic"]);
    assert_eq!((done.status.code(), printed(&done)), (Some(1), ("fail".into(), "fail OIDC-AUTH-01".into())));
    let done = run(good.as_bytes(), &["--json", "--baseline-jwks-uri", "https://old.example.com/keys"]);
    assert_eq!((done.status.code(), printed(&done)), (Some(0), ("warn".into(), "warn OIDC-CHG-01".into())));
    let done = run(b"\xff\xfe<html>", &["--json"]);
    assert_eq!((done.status.code(), printed(&done)), (Some(1), ("fail".into(), "fail OIDC-GET-01".into())));
    let done = run(good.as_bytes(), &[]);
    assert_eq!((done.status.code(), done.stdout.as_slice()), (Some(0), b"verdict: pass\n".as_slice()));
    assert_eq!(run(&vec![b' '; (5 << 20) + 1], &["--json"]).status.code(), Some(65));
    assert_eq!(command(&["oidc", "/nonexistent", "--issuer", ISSUER, "--json"]).status.code(), Some(65));
    assert_eq!(command(&["oidc", path]).status.code(), Some(64));
}

/// A good document in which some members are of another kind and some bytes are changed.
fn any_document() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<String>().prop_map(Value::from), 0..4).prop_map(Value::from),
        Just(json!([["none"], {}])),
        Just(json!("https://{t}.example.com:99999/#?")),
    ];
    let changes = (prop::collection::vec((any::<Index>(), value), 0..4), prop::collection::vec((any::<Index>(), any::<u8>()), 0..3));
    changes.prop_map(|(members, bytes)| {
        let mut doc = good();
        let names: Vec<String> = doc.as_object().unwrap().keys().cloned().collect();
        for (which, value) in members {
            doc[which.get(&names)] = value;
        }
        let mut text = doc.to_string().into_bytes();
        for (place, byte) in bytes {
            let place = place.index(text.len());
            text[place] = byte;
        }
        text
    })
}

fn holds(bytes: &[u8]) {
    let expected = Expected { baseline_jwks_uri: Some("https://a/".into()), client_auth: Some("none".into()), ..Expected::of(ISSUER) };
    let judged = lint(bytes, &expected);
    sound(&judged.findings);
    let _ = verdict(&judged.findings);
    if let Some(kept) = judged.snapshot {
        assert!(serde_json::to_string(&kept).unwrap().len() <= 64 << 10);
        sound(&changes(&snapshot(&good()), &kept));
        assert_eq!(changes(&kept, &kept), []);
    }
}

#[test]
fn the_inputs_of_committed_seeds_are_read() {
    let seeds: Vec<&str> = include_str!("../fixtures/jose-seeds.txt").lines().collect();
    assert!(seeds.len() >= 16);
    for seed in seeds {
        let bytes: Vec<u8> = (0..seed.len()).step_by(2).map(|n| u8::from_str_radix(&seed[n..n + 2], 16).unwrap()).collect();
        let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let read = runner.run(&any_document(), |document| {
            holds(&document);
            Ok(())
        });
        assert!(read.is_ok(), "seed {seed}: {read:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_read(document in any_document(), noise in prop::collection::vec(any::<u8>(), 0..300)) {
        holds(&document);
        holds(&noise);
    }
}
