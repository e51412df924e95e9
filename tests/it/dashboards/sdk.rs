//! A second opinion on the form of dashboards: Grafana's own SDK reads each and writes it again (`tests/interop/grafana`). What gets lost is no part of
//! Grafana's schema. `tests/run` installs it and says that it has to be there (`SOAKWATCH_GRAFANA_SDK=required`).

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{UIDS, dashboards, root};

/// What the schema leaves out though Grafana reads it: fields of the Prometheus data source's own annotations and variables.
const OF_THE_DATA_SOURCE: [(&str, &str); 5] = [
    ("/annotations/list/", "/step"),
    ("/annotations/list/", "/titleFormat"),
    ("/annotations/list/", "/textFormat"),
    ("/annotations/list/", "/useValueForTime"),
    ("/templating/list/", "/definition"),
];

fn python() -> Option<PathBuf> {
    let python = root().join("target/tools/grafana-py/bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(std::env::var_os("SOAKWATCH_GRAFANA_SDK").is_none_or(|v| v != "required"), "{} is not there", python.display());
    println!("not run: Grafana's SDK is not installed (tests/run brings it)");
    None
}

/// What it says of these files, but for what is known.
fn said(python: &Path, files: &[PathBuf]) -> Vec<String> {
    let done = Command::new(python).arg(root().join("tests/interop/grafana/dashboards.py")).args(files).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let known = |line: &&str| {
        let mut parts = line.splitn(3, ": ").skip(1);
        let (path, what) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        what == "is not known" && OF_THE_DATA_SOURCE.iter().any(|(start, end)| path.starts_with(start) && path.ends_with(end))
    };
    String::from_utf8(done.stdout).unwrap().lines().filter(|l| !known(l)).map(str::to_owned).collect()
}

#[test]
fn grafanas_own_sdk_loses_nothing_of_them() {
    let Some(python) = python() else { return };
    let files: Vec<PathBuf> = UIDS.iter().map(|uid| root().join(format!("dashboards/{uid}.json"))).collect();
    assert_eq!(said(&python, &files), [""; 0]);

    // And it finds what Grafana does not know.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broken.json");
    for (place, fault) in [
        ("/panels/0/options", json!({"colourMode": "value"})),
        ("/panels/0/fieldConfig/defaults/units", json!("s")),
        ("/panels/6/fieldConfig/defaults/custom", json!({"fillOpacty": 1})),
        ("/panels/0/targets/0/expression", json!("up")),
        ("/panels/0/targets/0", json!("up")),
    ] {
        let mut broken: Value = dashboards().remove("sw-fleet").unwrap();
        let (of, key) = place.rsplit_once('/').unwrap();
        match broken.pointer_mut(of).unwrap() {
            Value::Array(all) => all[key.parse::<usize>().unwrap()] = fault,
            other => other[key] = fault,
        }
        std::fs::write(&file, broken.to_string()).unwrap();
        assert!(!said(&python, std::slice::from_ref(&file)).is_empty(), "{place}");
    }
}
