//! `soakwatch lint saml`: its exit codes and both forms of its answer.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::daemon::{output, soakwatch};

use super::make::{ATTACKER, SIGNER, idp, signed};

fn lint(dir: &Path, document: &str, args: &[&str]) -> Output {
    std::fs::write(dir.join("metadata.xml"), document).unwrap();
    let mut command = soakwatch();
    command.current_dir(dir).args(["lint", "saml", "metadata.xml", "--at", "2026-12-01T00:00:00Z"]).args(args);
    output(&mut command)
}

fn printed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn json_is_printed_whatever_the_exit() {
    let dir = tempfile::tempdir().unwrap();
    let fine = lint(dir.path(), &idp(), &["--json"]);
    assert_eq!((fine.status.code(), printed(&fine)), (Some(0), json!({"verdict": "pass", "findings": []})));
    let wrong = lint(dir.path(), "no metadata", &["--json"]);
    let said = printed(&wrong);
    assert_eq!((wrong.status.code(), &said["verdict"]), (Some(1), &json!("fail")));
    let first = &said["findings"][0];
    assert_eq!(
        (&first["id"], &first["level"], &first["severity"], &first["owner"]),
        (&json!("SAML-XML-01"), &json!("fail"), &json!("critical"), &json!("customer_idp"))
    );
    assert!(first["detail"].is_string());
    let missing = lint(dir.path(), "", &["--json", "--pin", "nothing.pem"]);
    assert_eq!((missing.status.code(), printed(&missing)), (Some(65), json!({"verdict": "fail", "findings": []})));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nothing.pem"));
    let words = lint(dir.path(), "no metadata", &[]);
    assert!(String::from_utf8_lossy(&words.stdout).starts_with("verdict: fail"));
    let usage = lint(dir.path(), "", &["--role", "bishop"]);
    assert_eq!(usage.status.code(), Some(64));
}

#[test]
fn several_certificates_may_be_pinned_in_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let document = signed(&idp());
    let run = |pem: String| {
        std::fs::write(dir.path().join("pins.pem"), pem).unwrap();
        lint(dir.path(), &document, &["--require-signature", "--pin", "pins.pem"]).status.code()
    };
    assert_eq!(run(ATTACKER.pem() + &SIGNER.pem()), Some(0));
    assert_eq!(run(ATTACKER.pem()), Some(1));
    assert_eq!(run("nothing in here".into()), Some(65));
}
