//! Bad configurations, each with exactly what `soakwatch validate` says about it.
//!
//! `tests/fixtures/bad-config/NN-name/` is a configuration directory with `expected.txt` beside it, and if need be `env.txt` (variables, one
//! `NAME=value` a line) and `args.txt` (further arguments). With UPDATE_EXPECTED=1 the expectations are written anew, to be read in the diff.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const KNOWN: [&str; 7] = ["args.txt", "beta.toml", "customers", "env.txt", "expected.txt", "secrets", "soakwatch.toml"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad-config")
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The words of a fixture's file; none if there is no such file.
fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// What the command prints, with the place of the fixtures as `/FIXTURES`, and its exit code.
fn validate(name: &str) -> (String, Option<i32>) {
    let root = fixtures();
    let mut command = Command::new(env!("CARGO_BIN_EXE_soakwatch"));
    for (variable, _) in std::env::vars().filter(|(n, _)| n.starts_with("SOAKWATCH__")) {
        command.env_remove(variable);
    }
    let set = lines(&root.join(name).join("env.txt"));
    command.envs(set.iter().map(|l| l.split_once('=').unwrap()));
    command.current_dir(&root).arg("validate").arg(name).args(lines(&root.join(name).join("args.txt")));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}: nothing goes to standard error");
    let text = String::from_utf8(output.stdout).unwrap();
    (text.replace(root.to_str().unwrap(), "/FIXTURES"), output.status.code())
}

#[test]
fn each_says_exactly_what_is_expected() {
    let root = fixtures();
    let all = names(&root);
    let mut wrong = Vec::new();
    for name in &all {
        let unknown: Vec<String> = names(&root.join(name)).into_iter().filter(|n| !KNOWN.contains(&n.as_str())).collect();
        assert_eq!(unknown, [] as [String; 0], "{name} holds files that no test uses");
        let (said, exit) = validate(name);
        assert_eq!(exit, Some(1), "{name} must not pass:\n{said}");
        let expected = root.join(name).join("expected.txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert!(!said.contains("canary"), "{name}: a secret is repeated:\n{said}");
        if said != expected {
            wrong.push(format!("{name}\n--- expected\n{expected}--- said\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let numbers: BTreeSet<&str> = all.iter().map(|n| n.split('-').next().unwrap()).collect();
    assert_eq!(numbers.len(), all.len(), "two fixtures share a number");
    assert!(all.len() >= 30, "only {} fixtures", all.len());
}

#[test]
fn a_directory_that_is_not_there_is_one_plain_line() {
    let (said, exit) = validate("no-such-directory");
    let expected = "no-such-directory: can't be read: there is nothing of this name; expected the directory that holds soakwatch.toml and customers/\n\
                    0 customers, 0 integrations, 0 checks: 1 error, 0 warnings\n";
    assert_eq!((said.as_str(), exit), (expected, Some(1)));
}
