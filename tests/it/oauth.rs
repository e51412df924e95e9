//! Token endpoints: a fixture for every rule, tokens verified against generated keys, assertions of our own.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use proptest::prelude::*;
use serde_json::{Value, json};
use soakwatch::clock::{DAY_MS, UnixMs};
use soakwatch::finding::{Finding, Level, Party, Severity, oauth::RULES};
use soakwatch::outcome::Class;
use soakwatch::sso::jwks::{Expected, KeySet, lint};
use soakwatch::sso::oauth::{
    Accepted, Answer, Assertion, Wanted, WantedToken, agreement, assertion_judged, assertion_refused, bound_endpoint, client_certificate,
    end_date, granted, refused, unreachable, verified, well_known, wrong_client,
};

use crate::oidc::{good, snapshot};
use crate::support::jose::{Pair, b64, ed25519, merge, p256, rsa};
use crate::support::judged::{SAMPLED_AT, sound, told};

const TOKEN_URL: &str = "https://login.example.com/t1/token";
const ISSUER: &str = "https://login.example.com/t1";
/// What stands where a secret is: it may never come out.
const SECRET: &str = "tok-en-that-may-not-be-seen";

fn answer(status: u16, body: &str) -> Answer<'_> {
    Answer { status, content_type: Some("application/json"), cache_control: Some("no-store, no-cache"), body: body.as_bytes() }
}

fn success(change: Value) -> String {
    let mut body = json!({ "access_token": SECRET, "token_type": "bearer", "expires_in": 3600, "scope": "read write" });
    merge(&mut body, change);
    body.to_string()
}

fn answers() -> Vec<(Vec<Finding>, &'static str)> {
    let wanted = Wanted { scope: Some("read"), use_s: 600, life_before_s: Some(3600) };
    let token = |change: Value| granted(&answer(200, &success(change)), &wanted).findings;
    let one = |f: Option<Finding>| f.into_iter().collect::<Vec<_>>();
    let no_client = |status: u16, body: &str| one(wrong_client(&answer(status, body)));
    let good = success(json!({}));
    vec![
        (vec![unreachable("answered 404 to a POST")], "fail OAUTH-TOK-01"),
        (token(json!({})), ""),
        (token(json!({ "token_type": "BEARER", "scope": null })), ""),
        (token(json!({ "access_token": null })), "fail OAUTH-TOK-03"),
        (token(json!({ "access_token": 7 })), "fail OAUTH-TOK-03"),
        (token(json!({ "token_type": null })), "fail OAUTH-TOK-03"),
        (token(json!({ "token_type": "mac" })), "fail OAUTH-TOK-03"),
        (token(json!({ "expires_in": "3600" })), "fail OAUTH-TOK-03"),
        (token(json!({ "expires_in": null })), "warn OAUTH-TOK-03"),
        (granted(&answer(200, "<html>"), &wanted).findings, "fail OAUTH-TOK-03"),
        (granted(&answer(201, &good), &wanted).findings, "fail OAUTH-TOK-03"),
        (granted(&Answer { content_type: Some("text/html"), ..answer(200, &good) }, &wanted).findings, "fail OAUTH-TOK-03"),
        (granted(&Answer { cache_control: None, ..answer(200, &good) }, &wanted).findings, "warn OAUTH-TOK-04"),
        (granted(&Answer { cache_control: Some("private"), ..answer(200, &good) }, &wanted).findings, "warn OAUTH-TOK-04"),
        (token(json!({ "scope": "write" })), "fail OAUTH-TOK-06"),
        (token(json!({ "expires_in": 1199 })), "fail OAUTH-TOK-06"),
        (token(json!({ "expires_in": 1799 })), "fail OAUTH-TOK-06"),
        (token(json!({ "expires_in": 1800 })), ""),
        (one(refused(&answer(401, r#"{"error":"invalid_client"}"#))), "fail OAUTH-TOK-02"),
        (one(refused(&answer(400, r#"{"error":"invalid_scope"}"#))), "fail OAUTH-TOK-02"),
        (one(refused(&answer(403, "<html>"))), "fail OAUTH-TOK-02"),
        (one(refused(&answer(503, ""))), ""),
        (one(refused(&answer(429, ""))), ""),
        (no_client(401, r#"{"error":"invalid_client"}"#), ""),
        (no_client(400, r#"{"error":"unauthorized_client"}"#), ""),
        (no_client(200, &good), "fail OAUTH-TOK-05"),
        (no_client(401, "<html>"), "fail OAUTH-TOK-05"),
        (no_client(500, r#"{"error":"invalid_client"}"#), "fail OAUTH-TOK-05"),
        (no_client(400, r#"{"error":"tok-en-that-may-not-be-seen"}"#), "fail OAUTH-TOK-05"),
        (no_client(400, r#"{"message":"no"}"#), "fail OAUTH-TOK-05"),
        (no_client(429, ""), ""),
    ]
}

fn in_days(days: i64) -> UnixMs {
    UnixMs(SAMPLED_AT.0 + days * DAY_MS)
}

fn credentials() -> Vec<(Vec<Finding>, &'static str)> {
    let mut other = good();
    other["token_endpoint"] = "https://login.example.com/other".into();
    let alone = json!({ "issuer": ISSUER, "token_endpoint": TOKEN_URL });
    let one = |f: Option<Finding>| f.into_iter().collect::<Vec<_>>();
    vec![
        (one(agreement(&snapshot(&good()), &snapshot(&alone))), ""),
        (one(agreement(&snapshot(&good()), &snapshot(&other))), "fail OAUTH-MD-01"),
        (one(end_date(false, in_days(60), SAMPLED_AT)), ""),
        (one(end_date(false, in_days(59), SAMPLED_AT)), "warn OAUTH-SEC-01"),
        (one(end_date(true, in_days(-1), SAMPLED_AT)), "fail OAUTH-SEC-01"),
        (one(client_certificate(in_days(-1), in_days(90), SAMPLED_AT)), ""),
        (one(client_certificate(in_days(1), in_days(90), SAMPLED_AT)), "fail OAUTH-TLS-01"),
        (one(client_certificate(in_days(-9), in_days(-1), SAMPLED_AT)), "fail OAUTH-TLS-01"),
        (one(client_certificate(in_days(-9), in_days(9), SAMPLED_AT)), "warn OAUTH-TLS-01"),
        (one(bound_endpoint(&snapshot(&good()), "https://mtls.example.com/t1/token")), ""),
        (one(bound_endpoint(&snapshot(&good()), TOKEN_URL)), "fail OAUTH-TLS-01"),
        (one(bound_endpoint(&snapshot(&alone), TOKEN_URL)), ""),
    ]
}

fn assertion() -> Assertion {
    Assertion { client_id: "acme".into(), audience: TOKEN_URL.into(), at: SAMPLED_AT, life_s: 120, jti: "one".into() }
}

fn assertions() -> Vec<(Vec<Finding>, &'static str)> {
    let none = BTreeSet::new();
    let accepted = Accepted { client_id: "acme", issuer: Some(ISSUER), token_endpoint: TOKEN_URL, used: &none, clock_offset_s: Some(0) };
    let of = |assertion: Assertion| assertion_judged(&assertion.claims(), &accepted, SAMPLED_AT);
    let behind =
        |seconds: i64| assertion_judged(&assertion().claims(), &Accepted { clock_offset_s: Some(seconds), ..accepted.clone() }, SAMPLED_AT);
    let used = BTreeSet::from(["one".to_owned()]);
    vec![
        (of(assertion()), ""),
        (of(Assertion { audience: ISSUER.into(), ..assertion() }), ""),
        (of(Assertion { audience: format!("{TOKEN_URL}/"), ..assertion() }), "fail OAUTH-ASR-01"),
        (of(Assertion { life_s: 301, ..assertion() }), "fail OAUTH-ASR-01"),
        (of(Assertion { life_s: 0, ..assertion() }), "fail OAUTH-ASR-01"),
        (of(Assertion { jti: String::new(), ..assertion() }), "fail OAUTH-ASR-01"),
        (of(Assertion { client_id: "other".into(), ..assertion() }), "fail OAUTH-ASR-01"),
        (assertion_judged(&assertion().claims(), &Accepted { used: &used, ..accepted.clone() }, SAMPLED_AT), "fail OAUTH-ASR-01"),
        (assertion_judged(&json!({}), &accepted, SAMPLED_AT), "fail OAUTH-ASR-01"),
        (behind(-59), ""),
        (behind(60), "warn OAUTH-ASR-01"),
        (behind(-200), "fail OAUTH-ASR-01"),
        (vec![assertion_refused(Some("a"))], "fail OAUTH-ASR-01"),
    ]
}

fn all() -> Vec<(Vec<Finding>, &'static str)> {
    [answers(), credentials(), assertions()].concat()
}

/// The rules for which a fixture here makes a finding above information.
pub(crate) fn covered() -> BTreeSet<&'static str> {
    let all = all();
    let told = |id: &str| all.iter().any(|(found, _)| found.iter().any(|f| f.id == id && f.level != Level::Info));
    RULES.iter().map(|r| r.id).filter(|id| told(id)).collect()
}

#[test]
fn every_fixture_is_told_by_its_rules_and_no_others() {
    for (n, (found, want)) in all().iter().enumerate() {
        sound(found);
        assert!(!format!("{found:?}").contains(SECRET), "{found:?}");
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
fn the_windows_weigh_by_the_days_left() {
    let of = |days| end_date(false, in_days(days), SAMPLED_AT).map(|f| (f.level, f.severity, f.owner));
    assert_eq!(of(13), Some((Level::Warn, Severity::High, Party::VendorSp)));
    assert_eq!(of(14), Some((Level::Warn, Severity::Medium, Party::VendorSp)));
    assert_eq!(of(30), Some((Level::Warn, Severity::Low, Party::VendorSp)));
    assert_eq!(of(60), None);
    assert_eq!(end_date(true, in_days(0), SAMPLED_AT).unwrap().owner, Party::Certificate);
}

#[test]
fn what_an_error_means_is_said_and_nothing_is_echoed() {
    let said = |body: &str| refused(&answer(400, body)).unwrap().detail;
    assert_eq!(said(r#"{"error":"invalid_client"}"#), "answered 400 invalid_client: the secret or key is wrong, ran out or was replaced");
    assert_eq!(said(r#"{"error":"slow_down"}"#), "answered 400 slow_down");
    assert_eq!(said(r#"{"error":"Wrong secret S3cr3t!"}"#), "answered 400 with an error code of its own");
}

#[test]
fn the_well_known_part_stands_between_host_and_path() {
    let of = |issuer: &str| well_known(issuer).map(|u| u.to_string());
    assert_eq!(of("https://a.example.com:9031/t1/"), Some("https://a.example.com:9031/.well-known/oauth-authorization-server/t1".into()));
    assert_eq!(of("https://a.example.com"), Some("https://a.example.com/.well-known/oauth-authorization-server".into()));
    assert_eq!(of("a.example.com"), None);
}

fn keys(all: &[Value]) -> KeySet {
    lint(json!({ "keys": all }).to_string().as_bytes(), &Expected::default(), SAMPLED_AT).keys.unwrap()
}

fn claims() -> Value {
    let now = SAMPLED_AT.0 / 1000;
    json!({ "iss": ISSUER, "sub": SECRET, "aud": ["acme"], "iat": now, "exp": now + 600 })
}

fn token(pair: &Pair, change: Value) -> String {
    let mut claims = claims();
    merge(&mut claims, change);
    pair.signing().sign(&claims, Some("a")).unwrap()
}

const WANTED: WantedToken<'static> = WantedToken { issuer: Some(ISSUER), audience: Some("acme"), pinned_alg: None };

#[test]
fn tokens_hold_under_the_keys_that_signed_them_and_no_others() {
    for pair in [rsa(0), &p256(), &ed25519()] {
        let signed = token(pair, json!({}));
        let own = keys(&[pair.with(json!({ "kid": "a" }))]);
        assert_eq!(verified(&signed, &own, &WANTED, SAMPLED_AT), []);
        let say = |token: &str, keys: &KeySet| {
            let found = verified(token, keys, &WANTED, SAMPLED_AT);
            sound(&found);
            assert!(!format!("{found:?}").contains(SECRET));
            (told(&found), found.first().map(|f| f.class))
        };
        let other = match pair.jwk["kty"].as_str() {
            Some("RSA") => rsa(1).with(json!({ "kid": "a" })),
            Some("EC") => p256().with(json!({ "kid": "a" })),
            _ => ed25519().with(json!({ "kid": "a" })),
        };
        assert_eq!(say(&signed, &keys(&[other])), ("fail OAUTH-TOK-03".into(), Some(Class::Signature)), "another key of this name");
        assert_eq!(say(&signed, &keys(&[pair.with(json!({ "kid": "b" }))])).0, "fail JWKS-ALG-01");
        assert_eq!(say(&signed, &keys(&[pair.with(json!({ "kid": "a", "use": "enc" }))])).0, "fail JWKS-ALG-01");
        let (head, rest) = signed.split_once('.').unwrap();
        let (body, signature) = rest.split_once('.').unwrap();
        let forged = b64(json!({ "iss": ISSUER, "aud": "acme", "exp": 9_999_999_999u64 }).to_string());
        assert_eq!(
            say(&format!("{head}.{forged}.{signature}"), &own),
            ("fail OAUTH-TOK-03".into(), Some(Class::Signature)),
            "other claims"
        );
        let unsigned = format!("{}.{body}.", b64(r#"{"alg":"none"}"#));
        assert_eq!(say(&unsigned, &own), ("fail OIDC-ALG-02".into(), Some(Class::Signature)));
        // The public key as a shared secret.
        assert_eq!(say(&format!("{}.{body}.{signature}", b64(r#"{"alg":"HS256","kid":"a"}"#)), &own).0, "fail JWKS-ALG-01");
        assert_eq!(say(&format!("{}.{body}.{signature}", b64(r#"{"alg":"RS256","alg":"none"}"#)), &own).0, "fail OAUTH-TOK-03");
        for unreadable in ["", "opaque", "a.b.c", "a.b.c.d.e", &format!("{signed}!"), &"x".repeat(20_000)] {
            assert_eq!(say(unreadable, &own).0, "fail OAUTH-TOK-03", "{unreadable:.20}");
        }
    }
}

#[test]
fn pss_is_verified_too_and_by_no_other_algorithm() {
    let pair = rsa(0);
    let key = RsaKeyPair::from_pkcs8(&pair.pkcs8).unwrap();
    let text = format!("{}.{}", b64(r#"{"alg":"PS256"}"#), b64(claims().to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    let signed = format!("{text}.{}", b64(signature));
    let told_by = |more: Value| told(&verified(&signed, &keys(&[pair.with(more)]), &WANTED, SAMPLED_AT));
    assert_eq!(told_by(json!({ "kid": "a" })), "", "a token without kid fits every key");
    assert_eq!(told_by(json!({ "kid": "a", "alg": "RS256" })), "fail JWKS-ALG-01", "the key says which algorithm");
}

#[test]
fn claims_are_judged_once_the_signature_holds() {
    let pair = p256();
    let own = keys(&[pair.with(json!({ "kid": "a" }))]);
    let now = SAMPLED_AT.0 / 1000;
    for (change, want) in [
        (json!({ "aud": "acme" }), ""),
        (json!({ "iss": format!("{ISSUER}/") }), "fail OIDC-ISS-01"),
        (json!({ "aud": "other" }), "fail OAUTH-TOK-06"),
        (json!({ "exp": now }), "fail OAUTH-TOK-06"),
        (json!({ "exp": null }), "fail OAUTH-TOK-06"),
        (json!({ "iat": now + 59 }), ""),
        (json!({ "iat": now + 60 }), "warn OIDC-CLK-01"),
        (json!({ "nbf": now + 180 }), "fail OIDC-CLK-01"),
    ] {
        assert_eq!(told(&verified(&token(&pair, change.clone()), &own, &WANTED, SAMPLED_AT)), want, "{change}");
    }
    let pinned = WantedToken { pinned_alg: Some("RS256"), ..WANTED };
    assert_eq!(told(&verified(&token(&pair, json!({})), &own, &pinned, SAMPLED_AT)), "fail OIDC-ALG-01");
}

#[test]
fn an_assertion_of_ours_is_one_a_server_verifies() {
    for pair in [rsa(0), &p256(), &ed25519()] {
        let key = pair.signing();
        let signed = key.sign(&assertion().claims(), Some("k1")).unwrap();
        let own = keys(&[pair.with(json!({ "kid": "k1", "alg": key.alg() }))]);
        let wanted = WantedToken { issuer: Some("acme"), audience: Some(TOKEN_URL), pinned_alg: None };
        assert_eq!(verified(&signed, &own, &wanted, SAMPLED_AT.plus(Duration::from_secs(100))), []);
        assert!(!format!("{key:?}").contains(&b64(&pair.pkcs8)[..20]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_answered_is_read(
        status in 0u16..700, body in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), any_success()], header in any::<Option<String>>(),
        token in "[a-zA-Z0-9_.-]{0,100}",
    ) {
        is_read(status, &body, header.as_deref(), &token);
    }
}

fn is_read(status: u16, body: &[u8], header: Option<&str>, token: &str) {
    let answer = Answer { status, content_type: header, cache_control: header, body };
    let wanted = Wanted { scope: Some("a b"), use_s: u64::MAX, life_before_s: Some(u64::MAX) };
    sound(&granted(&answer, &wanted).findings);
    sound(&refused(&answer).into_iter().chain(wrong_client(&answer)).collect::<Vec<_>>());
    sound(&verified(token, &keys(&[rsa(0).jwk.clone()]), &WANTED, UnixMs(i64::MAX)));
}

/// Of a token that is good, some characters are others.
#[test]
fn the_inputs_of_committed_seeds_are_read() {
    let good = token(rsa(0), json!({}));
    let place = prop::collection::vec((any::<prop::sample::Index>(), "[a-zA-Z0-9_.=-]{0,3}"), 0..3);
    let body = prop_oneof![prop::collection::vec(any::<u8>(), 0..200), any_success()];
    crate::support::seeds::tried(40, &(0u16..700, body, any::<Option<String>>(), place), |(status, body, header, changes)| {
        let mut token = good.clone();
        for (at, put) in changes {
            let at = at.index(token.len());
            token.replace_range(at..(at + put.len()).min(token.len()), &put);
        }
        is_read(status, &body, header.as_deref(), &token);
        Ok(())
    });
}

fn any_success() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![any::<f64>().prop_map(Value::from), any::<String>().prop_map(Value::from), Just(Value::Null), Just(json!([]))];
    let names = ["access_token", "token_type", "expires_in", "scope", "error"];
    prop::collection::vec((0usize..5, value), 0..4).prop_map(move |changes| {
        let mut body: Value = serde_json::from_str(&success(json!({}))).unwrap();
        for (which, value) in changes {
            body[names[which]] = value;
        }
        body.to_string().into_bytes()
    })
}
