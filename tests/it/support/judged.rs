//! What the tests of findings share: the shared samples, what was found against what was expected, the command.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use soakwatch::clock::UnixMs;
use soakwatch::finding::{Finding, Level, MOST_DETAIL, rule};

/// 2026-12-01T00:00:00Z: the time the samples are judged at.
pub(crate) const SAMPLED_AT: UnixMs = UnixMs(1_796_083_200_000);

/// A file of `../shared/samples/sso`; says so and gives nothing where the folder is not.
pub(crate) fn sample(name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples/sso")).join(name);
    if !file.exists() {
        println!("NOT CHECKED: {} is not there", file.display());
        return None;
    }
    Some(file)
}

/// `fail OIDC-REQ-01, warn ...`: what is above the level of information, each id and level once, worst first.
pub(crate) fn told(findings: &[Finding]) -> String {
    let all: BTreeSet<(Level, &str)> = findings.iter().filter(|f| f.level != Level::Info).map(|f| (f.level, f.id.as_ref())).collect();
    all.iter().map(|(level, id)| format!("{level} {id}")).collect::<Vec<_>>().join(", ")
}

/// What must hold of every finding, whatever was read.
pub(crate) fn sound(findings: &[Finding]) {
    for f in findings {
        assert!(rule(&f.id).is_some(), "{} is no rule", f.id);
        assert!(f.detail.chars().count() <= MOST_DETAIL && !f.detail.is_empty(), "{f:?}");
        assert!(!f.detail.chars().any(char::is_control), "{f:?}");
    }
}

/// `soakwatch lint` with these arguments.
pub(crate) fn lint(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_soakwatch")).arg("lint").args(args).output().unwrap()
}

/// What `lint --json` printed: the verdict, and its findings as [`told`] has them.
pub(crate) fn printed(done: &Output) -> (String, String) {
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    let one = |f: &Value| {
        let level = Level::parse(f["level"].as_str().unwrap()).unwrap();
        let id = f["id"].as_str().unwrap().to_owned();
        assert!(["severity", "owner", "detail"].iter().all(|k| f[*k].is_string()) && f.as_object().unwrap().len() == 5);
        (level, id)
    };
    let all: BTreeSet<(Level, String)> =
        answer["findings"].as_array().unwrap().iter().map(one).filter(|(l, _)| *l != Level::Info).collect();
    let told = all.iter().map(|(level, id)| format!("{level} {id}")).collect::<Vec<_>>().join(", ");
    (answer["verdict"].as_str().unwrap().to_owned(), told)
}
