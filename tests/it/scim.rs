//! SCIM recordings: a correct one gives nothing, each change to it gives its rule and no other, and every rule has a change. The shared samples,
//! where they are, pass. Whatever is read, the judge ends.

pub(crate) mod recorded;
pub(crate) mod writing;

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use soakwatch::clock::UnixMs;
use soakwatch::finding::{Finding, Level, Verdict, scim::RULES, sorted, verdict};
use soakwatch::sso::scim::{Known, judge, recording};

use crate::support::daemon::{output, soakwatch};
use recorded::{Fixture, correct, fixtures};

fn findings(recording: &Value, known: &Known) -> Vec<Finding> {
    sorted(judge(&recording::read(recording.to_string().as_bytes()).unwrap(), known))
}

fn ids(found: &[Finding], level: Level) -> BTreeSet<String> {
    found.iter().filter(|f| f.level == level).map(|f| f.id.to_string()).collect()
}

/// The rules that some fixture here shows.
pub(crate) fn covered() -> BTreeSet<&'static str> {
    fixtures().iter().map(|f| f.rule).collect()
}

#[test]
fn every_rule_has_a_fixture() {
    let missing: Vec<&str> = RULES.iter().map(|r| r.id).filter(|id| !covered().contains(id)).collect();
    assert!(missing.is_empty(), "rules without a fixture: {missing:?}");
}

#[test]
fn a_correct_recording_gives_nothing() {
    let found = findings(&Value::Array(correct()), &Known::default());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_fault_gives_its_rule_and_no_other() {
    let mut wrong = Vec::new();
    for Fixture { rule, level, what, recording, known } in fixtures() {
        let found = findings(&Value::Array(recording), &known);
        let (fails, warns) = (ids(&found, Level::Fail), ids(&found, Level::Warn));
        let expected = BTreeSet::from([rule.to_owned()]);
        let (own, other) = if level == Level::Fail { (&fails, &warns) } else { (&warns, &fails) };
        if *own != expected || !other.is_empty() {
            wrong.push(format!("{rule} by {what}: fails {fails:?}, warns {warns:?}\n{found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} fixtures:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nothing_of_the_directory_is_told() {
    for Fixture { what, recording, known, .. } in fixtures() {
        for f in findings(&Value::Array(recording), &known) {
            for name in ["ada", "bob", "example.test", "s3cret"] {
                assert!(!f.detail.to_lowercase().contains(name), "{what}: {}", f.detail);
            }
        }
    }
}

#[test]
fn the_shared_samples_give_their_verdicts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/sso/scim");
    if !dir.is_dir() {
        return eprintln!("not tried: {} is not there", dir.display());
    }
    for (file, request, status) in [
        ("rfc7643-service-provider-config.json", "GET /v2/ServiceProviderConfig", 200),
        ("rfc7643-schema-user.json", "GET /v2/Schemas/urn:ietf:params:scim:schemas:core:2.0:User", 200),
        ("rfc7644-resource-types-list.json", "GET /v2/ResourceTypes", 200),
        ("rfc7644-error-404.json", "GET /v2/Users/2819c223-7f76-453a-919d-413861904646", 404),
    ] {
        let body: Value = serde_json::from_slice(&std::fs::read(dir.join(file)).unwrap()).unwrap();
        let one = json!([{"name": file, "request": request, "status": status, "ct": "application/scim+json;charset=utf-8", "body": body}]);
        let found = findings(&one, &Known::default());
        assert_ne!(verdict(&found), Verdict::Fail, "{file}: {found:#?}");
        let warned = ids(&found, Level::Warn);
        let allowed = if file.contains("list") { BTreeSet::from(["SCIM-PAG-02".to_owned()]) } else { BTreeSet::new() };
        assert!(warned.is_subset(&allowed), "{file}: {found:#?}");
    }
    // The vendors' shapes: refused is what the strict server does, accepted what the tolerant one does.
    let vendor: Value = serde_json::from_slice(&std::fs::read(dir.join("vendor-requests.json")).unwrap()).unwrap();
    for request in vendor["requests"].as_array().unwrap() {
        let (method, path, name) =
            (request["method"].as_str().unwrap(), request["path"].as_str().unwrap(), request["name"].as_str().unwrap());
        let line = request.get("body").map_or_else(|| format!("{method} {path}"), |body| format!("{method} {path} {body}"));
        let expected = match name {
            "disable-capitalised-op" => Some("SCIM-PAT-02"),
            "disable-string-boolean" => Some("SCIM-PAT-04"),
            "multi-valued-with-filter-path" | "add-member" => Some("SCIM-PAT-06"),
            "remove-member-by-value" | "remove-member-by-path" => Some("SCIM-PAT-05"),
            "disable-without-path" => Some("SCIM-PAT-03"),
            "update-by-put" => Some("SCIM-PUT-01"),
            "match-before-create" | "match-by-external-id" | "connection-test" => Some("SCIM-FLT-01"),
            "group-without-members" => Some("SCIM-ATR-01"),
            "first-page-of-one" => Some("SCIM-PAG-02"),
            "import-next-page" => Some("SCIM-PAG-03"),
            "create-duplicate" | "unknown-id" => None,
            other => panic!("a shape this test does not know: {other}"),
        };
        let refused = json!([{"name": "r", "request": line, "status": 400, "ct": "application/scim+json", "body": recorded::error(400)}]);
        let found = findings(&refused, &Known::default());
        if let Some(id) = expected {
            assert_eq!(ids(&found, Level::Fail), BTreeSet::from([id.to_owned()]), "{name}: {found:#?}");
        }
    }
}

#[test]
fn the_command_line_says_it_and_exits_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let lint = |name: &str, text: &str, json: bool| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        let out =
            output(soakwatch().args(["lint", "scim"]).arg(&file).args(["--at", "2026-12-01T00:00:00Z"]).args(json.then_some("--json")));
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let good = Value::Array(correct()).to_string();
    assert_eq!(lint("good.json", &good, true), (0, "{\"verdict\":\"pass\",\"findings\":[]}\n".into(), String::new()));
    let bad = fixtures().into_iter().find(|f| f.rule == "SCIM-FLT-02").unwrap();
    let (exit, printed, _) = lint("bad.json", &Value::Array(bad.recording).to_string(), true);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let f = &printed["findings"][0];
    assert_eq!(
        (exit, &printed["verdict"], &f["id"], &f["level"], &f["severity"], &f["owner"]),
        (1, &json!("fail"), &json!("SCIM-FLT-02"), &json!("fail"), &json!("critical"), &json!("vendor_sp"))
    );
    let (exit, text, _) = lint("bad.json", &Value::Array(fixtures().remove(0).recording).to_string(), false);
    assert!(exit == 1 && text.starts_with("verdict: fail"), "{text}");
    for (text, why) in [
        ("{\"requests\": []}", "expected an array of recorded exchanges, found an object"),
        ("[{\"request\": \"GET /Users\"}]", "exchange 1: status is missing"),
    ] {
        let (exit, printed, told) = lint("unreadable.json", text, true);
        assert_eq!((exit, printed.as_str()), (65, "{\"verdict\":\"fail\",\"findings\":[]}\n"));
        assert!(told.contains(why) && told.contains("unreadable.json"), "{told}");
    }
    let out = output(soakwatch().args(["lint", "scim", "/nowhere/at/all.json"]));
    assert_eq!((out.status.code(), out.stdout.len()), (Some(65), 0));
}

/// Changes a value somewhere in a recording.
fn change(value: &mut Value, path: &[Index], to: &Value) {
    let Some((first, rest)) = path.split_first() else { return };
    let child = match value {
        Value::Array(all) if !all.is_empty() => first.get_mut(all),
        Value::Object(all) if !all.is_empty() => {
            let at = first.index(all.len());
            let Some((_, v)) = all.iter_mut().nth(at) else { return };
            v
        }
        other => return *other = to.clone(),
    };
    if rest.is_empty() || !(child.is_array() || child.is_object()) {
        *child = to.clone();
    } else {
        change(child, rest, to);
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0u16..1000).prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        prop::sample::select(vec![
            "GET /Users",
            "PATCH /Users/u1 {\"Operations\": [{\"op\": \"Add\", \"path\": \"members[\", \"value\": [[]]}]}",
            "DELETE /Users/u1",
            "GET /Users?filter=not (((a pr) or b[c eq 1]) and \"",
            "POST /.search {\"count\": -1}",
            "GET https://x/scim/v2/Users/%ff?count=&startIndex=-9223372036854775808"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map("[a-zA-Z]{1,12}", inner, 0..5).prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

fn any_recording() -> impl Strategy<Value = Value> {
    let changes = prop::collection::vec((prop::collection::vec(any::<Index>(), 1..8), any_value()), 1..6);
    changes.prop_map(|changes| {
        let mut recording = Value::Array(correct());
        for (path, to) in &changes {
            change(&mut recording, path, to);
        }
        recording
    })
}

/// Reading ends in exchanges or a reason; what is judged twice is found twice.
fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    match recording::read(bytes) {
        Err(why) => prop_assert!(!why.is_empty() && why.len() < 500),
        Ok(read) => {
            let known = Known { token_ends: Some((UnixMs(i64::MAX), UnixMs(i64::MIN))), ..Known::default() };
            let found = judge(&read, &known);
            prop_assert_eq!(&found, &judge(&read, &known));
            for f in found {
                prop_assert!(RULES.iter().any(|r| r.id == f.id) && f.detail.chars().count() <= 200, "{:?}", f);
            }
        }
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Committed seeds: the same inputs on every machine and every day. A seed that found something is added to the file.
#[test]
fn the_inputs_of_committed_seeds_are_judged() {
    let seeds: Vec<&str> = include_str!("../fixtures/scim-seeds.txt").lines().collect();
    assert!(seeds.len() >= 8);
    for seed in seeds {
        let bytes: Vec<u8> = (0..seed.len()).step_by(2).map(|n| u8::from_str_radix(&seed[n..n + 2], 16).unwrap()).collect();
        let mut runner = TestRunner::new_with_rng(config(100), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let read = runner.run(&any_recording(), |recording| holds(recording.to_string().as_bytes()));
        assert!(read.is_ok(), "seed {seed}: {read:?}");
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn whatever_is_recorded_is_judged(recording in any_recording()) {
        holds(recording.to_string().as_bytes())?;
    }

    #[test]
    fn whatever_a_request_says_is_read(line in "\\PC{0,120}") {
        let _ = recording::request(&line);
        holds(json!([{"request": format!("GET /Users?filter={line}"), "status": 200, "ct": "", "body": line}]).to_string().as_bytes())?;
    }

    #[test]
    fn bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        holds(&bytes)?;
    }
}
