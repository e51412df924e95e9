//! Key sets: the shared samples, a fixture for every rule, changes of keys, and whatever bytes come.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use soakwatch::finding::{Finding, Level, jwks::RULES};
use soakwatch::sso::jwks::{Expected, MOST_KEYS, Snapshot, cache_control, changes, fetched, lint};

use crate::support::jose::{Pair, b64, ed25519, p256, rsa, x5c, x5t};
use crate::support::judged::{SAMPLED_AT, lint as command, printed, sample, sound, told};

/// What stands where a private member's value is: it may never come out.
const SECRET: &str = "c2VjcmV0LW9mLXRoZS1rZXk";

fn judge(set: &Value) -> Vec<Finding> {
    judge_pinned(set, &[])
}

fn judge_pinned(set: &Value, algs: &[&str]) -> Vec<Finding> {
    let expected = Expected { algs: algs.iter().map(|a| (*a).to_owned()).collect() };
    let found = lint(set.to_string().as_bytes(), &expected, SAMPLED_AT).findings;
    sound(&found);
    assert!(!format!("{found:?}").contains(SECRET));
    found
}

fn snapshot(set: &Value) -> Snapshot {
    lint(set.to_string().as_bytes(), &Expected::default(), SAMPLED_AT).keys.unwrap().snapshot()
}

fn set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

/// One key for signatures with these members besides.
fn one(pair: &Pair, more: Value) -> Value {
    let mut more = more;
    for (name, value) in [("kid", "a"), ("use", "sig")] {
        if more.get(name).is_none() {
            more[name] = value.into();
        }
    }
    set(&[pair.with(more)])
}

/// A number of so many octets that looks like a modulus.
fn modulus(octets: usize) -> String {
    b64(vec![0xc1; octets])
}

/// Sets in whose writing or keys something is wrong.
fn written() -> Vec<(Value, &'static str)> {
    let rsa = rsa(0);
    let (ec, ed) = (p256(), ed25519());
    let n = rsa.jwk["n"].as_str().unwrap();
    let padded = format!("{n}==");
    let zero = b64([&[0u8][..], &vec![0xc1; 256]].concat());
    vec![
        (one(rsa, json!({})), ""),
        (one(&ec, json!({ "alg": "ES256", "key_ops": ["verify"] })), ""),
        (one(&ed, json!({ "alg": "EdDSA" })), ""),
        (json!([]), "fail JWKS-FMT-01"),
        (json!({ "key": [] }), "fail JWKS-FMT-01"),
        (json!({ "keys": { "a": {} } }), "fail JWKS-FMT-01"),
        (json!({ "keys": ["a"] }), "fail JWKS-FMT-01"),
        (one(rsa, json!({ "n": padded })), "fail JWKS-FMT-02"),
        (one(rsa, json!({ "n": "a+b/" })), "fail JWKS-FMT-02, fail JWKS-STR-01"),
        (one(rsa, json!({ "n": "!" })), "fail JWKS-FMT-02"),
        (one(rsa, json!({ "n": null })), "fail JWKS-FMT-02"),
        (one(rsa, json!({ "e": 65537 })), "fail JWKS-FMT-02"),
        (one(rsa, json!({ "n": zero })), "warn JWKS-FMT-02"),
        (one(rsa, json!({ "e": "AAEAAQ" })), "warn JWKS-FMT-02"),
        (one(rsa, json!({ "kid": 7 })), "fail JWKS-FMT-02, warn JWKS-KID-01"),
        (one(rsa, json!({ "kty": null })), "fail JWKS-FMT-02"),
        (one(rsa, json!({ "kty": "rsa" })), "fail JWKS-FMT-02"),
        (one(&ec, json!({ "crv": null })), "fail JWKS-FMT-02"),
        (one(&ec, json!({ "x": b64([1; 31]) })), "fail JWKS-FMT-02"),
        (one(&ed, json!({ "x": b64([1; 31]) })), "fail JWKS-FMT-02"),
        (one(rsa, json!({ "d": SECRET })), "fail JWKS-PRIV-01"),
        (one(rsa, json!({ "oth": [{ "d": SECRET }] })), "fail JWKS-PRIV-01"),
        (one(rsa, json!({ "kty": "AKP", "priv": SECRET })), "fail JWKS-PRIV-01, fail JWKS-SIG-01"),
        (set(&[one(rsa, json!({}))["keys"][0].clone(), json!({ "kty": "oct", "k": SECRET })]), "fail JWKS-PRIV-01"),
        (set(&[]), "fail JWKS-SIG-01"),
        (one(rsa, json!({ "use": "enc" })), "fail JWKS-SIG-01"),
        (set(&[json!({ "kty": "AKP", "pub": "AA", "alg": "ML-DSA-44", "kid": "pq" })]), "fail JWKS-SIG-01"),
        (set(&[one(rsa, json!({}))["keys"][0].clone(), json!({ "kty": "AKP", "pub": "AA" })]), ""),
        (one(rsa, json!({ "n": modulus(128) })), "fail JWKS-STR-01"),
        (one(rsa, json!({ "n": b64([&[0x7f][..], &vec![0xc1; 255]].concat()) })), "fail JWKS-STR-01"),
        (one(rsa, json!({ "e": "AQAA" })), "fail JWKS-STR-01"),
        (one(rsa, json!({ "e": b64([17]) })), "fail JWKS-STR-01"),
        (one(rsa, json!({ "e": b64([3]) })), "warn JWKS-STR-01"),
        (one(&ec, json!({ "x": b64([9; 32]) })), "fail JWKS-STR-01"),
        (one(&ec, json!({ "crv": "P-192" })), "fail JWKS-STR-01"),
        (one(&ed, json!({ "crv": "Ed25518" })), "fail JWKS-STR-01"),
    ]
}

/// Sets whose keys do not agree with themselves or each other.
fn agreed() -> Vec<(Value, &'static str)> {
    let (rsa, other) = (rsa(0), rsa(1));
    let (ec, ed) = (p256(), ed25519());
    let sig = |pair: &Pair, kid: &str| pair.with(json!({ "kid": kid, "use": "sig" }));
    let bare = |pair: &Pair| pair.with(json!({ "use": "sig" }));
    let der = rsa.certificate(2020..2040);
    let ended = rsa.certificate(2020..2026);
    let foreign = other.certificate(2020..2040);
    let sha1 = x5t(&SHA1_FOR_LEGACY_USE_ONLY, &der);
    let ec_der = ec.certificate(2020..2040);
    vec![
        (set(&[sig(rsa, "a"), sig(other, "b")]), ""),
        (set(&[bare(rsa)]), "warn JWKS-KID-01"),
        (set(&[bare(rsa), sig(other, "b")]), "fail JWKS-KID-01"),
        (set(&[sig(rsa, "a"), sig(other, "a")]), "fail JWKS-KID-02"),
        (set(&[sig(rsa, "a"), sig(&ec, "a")]), "fail JWKS-KID-02"),
        (set(&[rsa.with(json!({ "kid": "a", "alg": "RS256" })), rsa.with(json!({ "kid": "a", "alg": "PS256" }))]), "warn JWKS-KID-02"),
        (set(&[rsa.with(json!({ "kid": "a" })), other.with(json!({ "kid": "b" }))]), ""),
        (set(&[rsa.with(json!({ "kid": "a" })), other.with(json!({ "kid": "b", "use": "enc" }))]), "fail JWKS-USE-01"),
        (set(&[sig(rsa, "a"), other.with(json!({ "kid": "b", "use": "enc", "alg": "RSA-OAEP" }))]), ""),
        (one(rsa, json!({ "alg": "SHA256" })), "fail JWKS-USE-02"),
        (one(rsa, json!({ "alg": "ES256" })), "fail JWKS-USE-02"),
        (one(rsa, json!({ "alg": "RSA-OAEP" })), "fail JWKS-USE-02"),
        (one(rsa, json!({ "alg": "HS256" })), "fail JWKS-USE-02"),
        (one(rsa, json!({ "use": "signing" })), "fail JWKS-SIG-01, fail JWKS-USE-02"),
        (one(rsa, json!({ "key_ops": ["encrypt"] })), "fail JWKS-USE-02"),
        (one(rsa, json!({ "key_ops": ["signing"] })), "fail JWKS-USE-02"),
        (one(rsa, json!({ "key_ops": ["verify", "verify"] })), "fail JWKS-USE-02"),
        (one(&ec, json!({ "alg": "ES384" })), "fail JWKS-USE-02"),
        (one(&ec, json!({ "crv": "Ed25519" })), "fail JWKS-USE-02"),
        (one(&ed, json!({ "crv": "X25519" })), "fail JWKS-USE-02"),
        (one(rsa, json!({ "x5c": x5c(&der), "x5t": sha1, "x5t#S256": x5t(&SHA256, &der) })), ""),
        (one(&ec, json!({ "x5c": x5c(&ec_der) })), ""),
        (one(&ed, json!({ "x5c": x5c(&ed.certificate(2020..2040)) })), ""),
        (one(rsa, json!({ "x5c": x5c(&foreign) })), "fail JWKS-X5C-01"),
        (one(&ec, json!({ "x5c": x5c(&foreign) })), "fail JWKS-X5C-01"),
        (one(rsa, json!({ "x5c": x5c(&der), "x5t": b64([1; 20]) })), "fail JWKS-X5C-01"),
        (one(rsa, json!({ "x5c": x5c(&der), "x5t#S256": sha1 })), "fail JWKS-X5C-01"),
        (one(rsa, json!({ "x5c": [b64(&der)] })), "fail JWKS-X5C-01"),
        (one(rsa, json!({ "x5c": ["AAAA"] })), "fail JWKS-X5C-01"),
        (one(rsa, json!({ "x5c": "AAAA" })), "fail JWKS-X5C-01"),
        (one(rsa, json!({ "x5t": "AAAA" })), "fail JWKS-FMT-02"),
        (one(rsa, json!({ "x5c": x5c(&ended) })), "warn JWKS-X5C-02"),
    ]
}

/// What changed between two sets.
fn changed() -> Vec<(Value, Value, &'static str)> {
    let (rsa, other) = (rsa(0), rsa(1));
    let sig = |pair: &Pair, kid: &str| pair.with(json!({ "kid": kid, "use": "sig" }));
    let (a, b) = (sig(rsa, "a"), sig(other, "b"));
    let sets = |before: &[&Value], now: &[&Value], want| {
        let all = |keys: &[&Value]| set(&keys.iter().map(|k| (*k).clone()).collect::<Vec<_>>());
        (all(before), all(now), want)
    };
    let padded = rsa.with(json!({ "kid": "a", "use": "sig", "n": format!("{}==", rsa.jwk["n"].as_str().unwrap()) }));
    vec![
        sets(&[&a, &b], &[&b, &a], ""),
        sets(&[&a], &[&padded], ""),
        sets(&[&a], &[&a, &b], "info JWKS-ROT-01"),
        sets(&[&a, &b], &[&b], "info JWKS-ROT-01"),
        sets(&[&a], &[&b], "fail JWKS-ROT-02"),
        sets(&[&a], &[], "fail JWKS-ROT-02"),
        sets(&[], &[&a], "info JWKS-ROT-01"),
        sets(&[&a], &[&sig(other, "a")], "fail JWKS-ROT-02, fail JWKS-ROT-03"),
        sets(&[&a, &b], &[&b, &sig(&p256(), "a")], "fail JWKS-ROT-03, info JWKS-ROT-01"),
        sets(&[&a], &[&sig(rsa, "new")], "fail JWKS-ROT-03"),
        sets(&[&a], &[&a, &sig(rsa, "new")], ""),
        sets(&[&a], &[&rsa.with(json!({ "kid": "a", "use": "enc" })), &b], "fail JWKS-ROT-02"),
    ]
}

/// What is not in the set.
fn around() -> Vec<(Vec<Finding>, &'static str)> {
    let bytes = |bytes: &[u8]| lint(bytes, &Expected::default(), SAMPLED_AT).findings;
    let text = one(rsa(0), json!({})).to_string();
    let one_of = |f: Option<Finding>| f.into_iter().collect::<Vec<_>>();
    let cached = |header: Option<&str>, overlap: Option<u64>| one_of(cache_control(header, overlap.map(Duration::from_secs)));
    let both = set(&[rsa(0).with(json!({ "kid": "a", "use": "sig", "alg": "RS256" })), p256().with(json!({ "kid": "b" }))]);
    vec![
        (one_of(fetched(200)), ""),
        (one_of(fetched(503)), ""),
        (one_of(fetched(404)), "fail JWKS-GET-01"),
        (bytes(b"<html>"), "fail JWKS-FMT-01"),
        (bytes(b"{\"keys\":["), "fail JWKS-FMT-01"),
        (bytes(format!("\u{feff}{text}").as_bytes()), ""),
        (bytes(text.replacen('{', "{\"keys\":[],", 1).as_bytes()), "fail JWKS-FMT-01"),
        (bytes(text.replacen("\"kid\"", "\"kid\":\"b\",\"kid\"", 1).as_bytes()), "fail JWKS-FMT-02"),
        (
            bytes(text.replacen("\"kid\"", &format!("\"d\":\"{SECRET}\",\"d\":null,\"kid\""), 1).as_bytes()),
            "fail JWKS-FMT-02, fail JWKS-PRIV-01",
        ),
        (judge_pinned(&both, &["RS256", "ES256", "HS256"]), ""),
        (judge_pinned(&both, &["PS256"]), "fail JWKS-ALG-01"),
        (judge_pinned(&both, &["EdDSA"]), "fail JWKS-ALG-01"),
        (cached(Some("public, max-age=3600"), None), ""),
        (cached(None, None), ""),
        (cached(Some("private"), None), ""),
        (cached(Some("no-store"), None), "warn JWKS-CCH-01"),
        (cached(Some("max-age=299"), None), "warn JWKS-CCH-01"),
        (cached(Some("Max-Age=\"300\""), None), ""),
        (cached(Some("max-age=86400"), None), ""),
        (cached(Some("max-age=86401"), None), "warn JWKS-CCH-01"),
        (cached(Some("max-age=99999999999999999999999"), None), "warn JWKS-CCH-01"),
        (cached(Some("max-age=soon"), None), "warn JWKS-CCH-01"),
        (cached(Some("max-age=7200"), Some(3600)), "warn JWKS-CCH-01"),
        (cached(Some("max-age=3600"), Some(3600)), ""),
    ]
}

fn all() -> Vec<(Vec<Finding>, &'static str)> {
    let mut all: Vec<_> = written().iter().chain(&agreed()).map(|(set, want)| (judge(set), *want)).collect();
    all.extend(around());
    all
}

/// What [`changes`] says, information included: a change with overlap is nothing more.
fn said_of_changes(before: &Value, now: &Value) -> String {
    let found = changes(&snapshot(before), &snapshot(now));
    sound(&found);
    let all: BTreeSet<(Level, &str)> = found.iter().map(|f| (f.level, f.id.as_ref())).collect();
    all.iter().map(|(level, id)| format!("{level} {id}")).collect::<Vec<_>>().join(", ")
}

/// The rules for which a fixture here makes a finding: above information, where the rule is more than that.
pub(crate) fn covered() -> BTreeSet<&'static str> {
    let (all, changed) = (all(), changed());
    let told = |id: &str| all.iter().any(|(found, _)| found.iter().any(|f| f.id == id && f.level != Level::Info));
    let moved = |id: &str| changed.iter().any(|(before, now, _)| changes(&snapshot(before), &snapshot(now)).iter().any(|f| f.id == id));
    RULES.iter().map(|r| r.id).filter(|id| told(id) || moved(id)).collect()
}

#[test]
fn every_fixture_is_told_by_its_rules_and_no_others() {
    for (n, (found, want)) in all().iter().enumerate() {
        sound(found);
        assert!(!format!("{found:?}").contains(SECRET));
        assert_eq!(told(found), *want, "{n}: {found:?}");
    }
}

#[test]
fn every_change_is_told_by_its_rules_and_no_others() {
    for (n, (before, now, want)) in changed().iter().enumerate() {
        assert_eq!(said_of_changes(before, now), *want, "{n}");
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
    for (file, verdict, want) in [
        ("okta-jwks.json", "fail", "fail JWKS-STR-01"),
        ("entra-legacy-jwks.json", "fail", "fail JWKS-FMT-02, fail JWKS-USE-02, warn JWKS-X5C-02"),
        ("jwks-ec-bad-alg-names.json", "fail", "fail JWKS-USE-02"),
        ("jwks-rsa-missing-component.json", "fail", "fail JWKS-FMT-02, fail JWKS-USE-02, warn JWKS-X5C-02"),
        ("pingfederate-jwks.json", "pass", ""),
    ] {
        let Some(path) = sample(&format!("oidc/{file}")) else { return };
        let done = command(&["jwks", path.to_str().unwrap(), "--at", &SAMPLED_AT.to_string(), "--json"]);
        assert_eq!(printed(&done), (verdict.to_owned(), want.to_owned()), "{file}");
        assert_eq!(done.status.code(), Some(i32::from(verdict == "fail")), "{file}");
    }
}

#[test]
fn thumbprints_are_those_of_rfc_7638() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
             tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91\
             CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let of = |n: &str| snapshot(&set(&[json!({ "kty": "RSA", "n": n, "e": "AQAB", "kid": "2011-04-29" })]));
    let kept = of(n);
    assert_eq!(kept.keys.first().unwrap().thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(of(&format!("{}==", n.replace('-', "+").replace('_', "/"))), kept, "however it is written");
}

#[test]
fn a_snapshot_is_small_and_holds_no_key() {
    let pair = p256();
    let kid = |n: usize| format!("{n}{}", "\"\u{1}".repeat(500));
    let keys: Vec<Value> = (0..MOST_KEYS * 2)
        .map(|n| match n {
            0 => pair.with(json!({ "kid": "first", "d": SECRET, "alg": "x".repeat(100) })),
            n => ed25519().with(json!({ "kid": if n % 2 == 0 { kid(n) } else { format!("{n:0128}") } })),
        })
        .collect();
    let kept = snapshot(&set(&keys));
    assert_eq!(kept.keys.len(), MOST_KEYS);
    let text = serde_json::to_string(&kept).unwrap();
    assert!(text.len() <= 64 << 10, "{}", text.len());
    assert!(!text.contains(SECRET) && !text.contains(pair.jwk["x"].as_str().unwrap()));
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), kept);
}

#[test]
fn the_command_says_what_the_file_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let a = file("a.json", one(rsa(0), json!({})).to_string());
    let b = file("b.json", one(rsa(1), json!({ "kid": "b" })).to_string());
    let leaked = file("leaked.json", one(rsa(0), json!({ "d": SECRET })).to_string());
    let page = file("page.json", "<html>".into());
    let done = command(&["jwks", &b, "--before", &a, "--json"]);
    assert_eq!((done.status.code(), printed(&done)), (Some(1), ("fail".into(), "fail JWKS-ROT-02".into())));
    let done = command(&["jwks", &page, "--before", &a, "--json"]);
    assert_eq!((done.status.code(), printed(&done)), (Some(1), ("fail".into(), "fail JWKS-FMT-01".into())));
    for more in [&["--json"][..], &[]] {
        let done = command(&[&["jwks", leaked.as_str()], more].concat());
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert!(done.status.code() == Some(1) && said.contains("JWKS-PRIV-01") && !said.contains(SECRET), "{said}");
    }
    assert_eq!(command(&["jwks", &a, "--before", &page]).status.code(), Some(65));
    assert_eq!(command(&["jwks", &a, "--before", "/nonexistent"]).status.code(), Some(65));
    assert_eq!(command(&["jwks", "/nonexistent", "--json"]).status.code(), Some(65));
}

/// Keys of every kind with members of every kind, and some bytes changed.
fn any_set() -> impl Strategy<Value = Vec<u8>> {
    let names = ["kty", "kid", "use", "alg", "crv", "n", "e", "x", "y", "d", "key_ops", "x5c", "x5t", "x5t#S256", "k"];
    let words = ["RSA", "EC", "OKP", "oct", "P-256", "P-521", "secp256k1", "Ed25519", "X448", "RS256", "ES512", "sig", "enc", "AQAB", ""];
    let value = prop_oneof![
        4 => select(words.to_vec()).prop_map(Value::from),
        2 => prop::collection::vec(any::<u8>(), 0..70).prop_map(|b| Value::from(b64(b))),
        1 => any::<String>().prop_map(Value::from),
        1 => prop::collection::vec(select(words.to_vec()), 0..3).prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let members = prop::collection::vec((select(names.to_vec()), value), 0..6);
    let keys = prop::collection::vec((any::<Index>(), members), 0..5);
    (keys, prop::collection::vec((any::<Index>(), any::<u8>()), 0..3)).prop_map(|(keys, bytes)| {
        let bases = [rsa(0).jwk.clone(), rsa(1).jwk.clone(), p256().jwk, ed25519().jwk, json!({})];
        let made = |(base, members): (Index, Vec<(&str, Value)>)| {
            let mut key = base.get(&bases).clone();
            for (name, value) in members {
                key[name] = value;
            }
            key
        };
        let mut text = set(&keys.into_iter().map(made).collect::<Vec<_>>()).to_string().into_bytes();
        for (place, byte) in bytes {
            let place = place.index(text.len());
            text[place] = byte;
        }
        text
    })
}

fn holds(bytes: &[u8]) {
    let judged = lint(bytes, &Expected { algs: vec!["ES256".into()] }, SAMPLED_AT);
    sound(&judged.findings);
    if let Some(keys) = judged.keys {
        let kept = keys.snapshot();
        assert!(serde_json::to_string(&kept).unwrap().len() <= 64 << 10);
        assert_eq!(changes(&kept, &kept), []);
        sound(&changes(&snapshot(&one(rsa(0), json!({}))), &kept));
    }
}

#[test]
fn the_inputs_of_committed_seeds_are_read() {
    let seeds: Vec<&str> = include_str!("../fixtures/jose-seeds.txt").lines().collect();
    assert!(seeds.len() >= 16);
    for seed in seeds {
        let bytes: Vec<u8> = (0..seed.len()).step_by(2).map(|n| u8::from_str_radix(&seed[n..n + 2], 16).unwrap()).collect();
        let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let read = runner.run(&any_set(), |set| {
            holds(&set);
            Ok(())
        });
        assert!(read.is_ok(), "seed {seed}: {read:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_read(set in any_set(), noise in prop::collection::vec(any::<u8>(), 0..300)) {
        holds(&set);
        holds(&noise);
    }
}
