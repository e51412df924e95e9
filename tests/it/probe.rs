//! `soakwatch probe` as a person runs it: its words and its exit codes, against a real server.

use std::path::Path;
use std::process::Command;

use crate::support::fake_api::{FakeApi, Reply};

struct Ran {
    exit: Option<i32>,
    out: String,
    err: String,
}

fn probe(dir: &Path, id: &str, more: &[&str]) -> Ran {
    let done = Command::new(env!("CARGO_BIN_EXE_soakwatch")).args(["probe", id, "--config"]).arg(dir).args(more).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { exit: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
}

fn api() -> FakeApi {
    FakeApi::start(|seen| match seen.path.as_str() {
        "/good" => Reply::json(r#"{"orders": []}"#),
        "/second" if seen.number == 1 => Reply::json("{}"),
        "/second" => Reply::status(500),
        "/busy" => Reply::status(429).header("retry-after", "60"),
        _ => Reply::json(r#"{"orders": "none"}"#),
    })
}

fn configuration(api: &FakeApi) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    let check = |id: &str, path: &str, more: &str| {
        format!(
            "[[integration.check]]\nid = \"{id}\"\nevery = \"60s\"\ntimeout = \"5s\"\nretries = 1\n[integration.check.http]\nurl = \"{}\"\n{more}\n",
            api.url(path)
        )
    };
    let integration = |id: &str| {
        format!(
            "[[integration]]\nid = \"{id}\"\nenvironment = \"production\"\nowner = \"vendor\"\nrunbook = \"https://wiki.example.com/r\"\n"
        )
    };
    let text = [
        "[customer]\nid = \"acme\"\nallow_private = true\n".to_owned(),
        integration("good"),
        check("list", "/good", "expect = { status = [200], json = [{ path = \"$.orders\", is = \"array\" }] }"),
        check("second", "/second", "expect = { status = [200] }"),
        integration("bad"),
        check("list", "/good", "expect = { status = [200] }"),
        check("wrong", "/wrong", "expect = { json = [{ path = \"$.orders\", is = \"array\" }] }"),
        integration("busy"),
        check("list", "/busy", "expect = { status = [200] }"),
        integration("ours"),
        check("list", "/good", "auth = { bearer = { env = \"SOAKWATCH_TEST_NOBODY_SETS_THIS\" } }"),
    ]
    .concat();
    std::fs::write(dir.path().join("customers/acme.toml"), text).unwrap();
    dir
}

#[test]
fn a_run_that_passes_shows_what_it_saw() {
    let api = api();
    let dir = configuration(&api);
    let ran = probe(dir.path(), "acme/production/good/list", &[]);
    assert_eq!(ran.exit, Some(0), "{}{}", ran.out, ran.err);
    for words in ["GET http://127.0.0.1:", "status 200", "connect ", "processing ", "✓", "Outcome:      pass after 1 attempt"] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
    assert_eq!(api.log_of("/good").len(), 1, "one run is one request");
}

#[test]
fn every_check_of_an_integration_and_the_worst_of_them_decides() {
    let api = api();
    let dir = configuration(&api);
    let ran = probe(dir.path(), "acme/production/bad", &[]);
    assert_eq!(ran.exit, Some(1), "{}{}", ran.out, ran.err);
    for words in [
        "acme/production/bad/list",
        "acme/production/bad/wrong",
        "✗",
        "Class:        assertion",
        "Attribution:  third_party",
        "What to do:",
    ] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
}

#[test]
fn json_holds_each_attempt() {
    let api = api();
    let dir = configuration(&api);
    let ran = probe(dir.path(), "acme/production/good/second", &["--json"]);
    assert_eq!(ran.exit, Some(0), "{}{}", ran.out, ran.err);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((value["exit"].as_u64(), value["outcome"].as_str()), (Some(0), Some("pass")));
    let attempts = value["checks"][0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.iter().map(|a| a["status"].as_u64().unwrap()).collect::<Vec<_>>(), [500, 200]);
    assert_eq!(attempts[0]["failure"]["class"], "server_error");
    assert_eq!(value["checks"][0]["first_attempt_passed"], false);
}

#[test]
fn exit_codes_tell_no_undecided_and_wrong_use_apart() {
    let api = api();
    let dir = configuration(&api);
    let throttled = probe(dir.path(), "acme/production/busy", &[]);
    assert_eq!(throttled.exit, Some(1), "{}{}", throttled.out, throttled.err);
    assert!(throttled.out.contains("The target asks to wait"), "{}", throttled.out);
    assert!(throttled.out.contains("\n     rate limit: throttled: asks to wait 1m\n"), "{}", throttled.out);
    let ours = probe(dir.path(), "acme/production/ours", &[]);
    assert_eq!(ours.exit, Some(2), "{}{}", ours.out, ours.err);
    assert!(ours.out.contains("the monitor's own fault"), "{}", ours.out);
    let unknown = probe(dir.path(), "acme/production/god/list", &[]);
    assert_eq!(unknown.exit, Some(65), "{}", unknown.err);
    assert!(unknown.err.contains("did you mean acme/production/good/list?"), "{}", unknown.err);
    assert_eq!(probe(dir.path(), "acme/good", &[]).exit, Some(64));
    std::fs::write(dir.path().join("customers/zeta.toml"), "[customer]\nid = \"Zeta\"\nnmae = \"Z\"\n").unwrap();
    let broken = probe(dir.path(), "acme/production/good", &[]);
    assert_eq!(broken.exit, Some(65), "{}", broken.err);
    assert!(broken.err.contains("zeta.toml:2:") && broken.err.contains("zeta.toml:3:"), "every error is listed: {}", broken.err);
}

#[test]
fn proxies_of_the_environment_are_never_used() {
    let api = api();
    let dir = configuration(&api);
    // Nothing listens there.
    let nobody = "http://127.0.0.1:9";
    let mut command = Command::new(env!("CARGO_BIN_EXE_soakwatch"));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, nobody);
    }
    let done = command.args(["probe", "acme/production/good", "--config"]).arg(dir.path()).output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains("address 127.0.0.1:") && !said.contains("through the proxy"), "{said}");
    assert_eq!(done.status.code(), Some(0), "{said}");
    // The configuration's is.
    let file = dir.path().join("customers/acme.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("allow_private = true", &format!("allow_private = true\nproxy = \"{nobody}\""))).unwrap();
    let ran = probe(dir.path(), "acme/production/good/list", &[]);
    assert!(ran.out.contains("through the proxy http://127.0.0.1:9") && ran.out.contains("our own proxy"), "{}", ran.out);
    assert_eq!(ran.exit, Some(2), "{}", ran.out);
}
