//! The pages in a real browser, over the running demo: nothing in the console, nothing asked of others, nothing wider than the window, everything within
//! reach of Tab, and no serious finding of axe. Screenshots go to target/screenshots.
//!
//! `tests/run` installs Chromium and puts the packages under target/tools, and says that they have to be there (`SOAKWATCH_BROWSER=required`). Without that
//! they may be missing, and it is printed that nothing was tried.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::daemon::{eventually, get, soakwatch};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Where the browser and the packages are. Where they are not and need not be, it is said.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let tools = root().join("target/tools/browser-js");
    let browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].map(PathBuf::from).into_iter().find(|p| p.exists());
    let packages = ["axe-core", "puppeteer-core"].iter().all(|name| tools.join("node_modules").join(name).exists());
    if let (Some(browser), true) = (&browser, packages) {
        return Some((tools, browser.clone()));
    }
    let required = std::env::var("SOAKWATCH_BROWSER").is_ok_and(|v| v == "required");
    assert!(!required, "Chromium or {} is missing: tests/run installs them", tools.display());
    // Not by a macro: the test runner would keep what those print to itself.
    let _ = writeln!(std::io::stderr(), "NOT TRIED in a browser: Chromium or its packages are missing; tests/run installs them");
    None
}

/// The demo as a child process; ended with the test.
struct Demo(Child, String);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Demo {
    fn start() -> Self {
        let mut child =
            soakwatch().args(["demo", "--for", "10m", "--log", "error"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        while address.is_empty() {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "the demo ended before it said where it is");
            address = line.trim().strip_prefix("open").map(|rest| rest.trim().trim_end_matches('/').to_owned()).unwrap_or_default();
        }
        // What else it says is read and dropped: a closed pipe would end it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self(child, address)
    }
}

#[test]
fn pages_hold_in_a_browser() {
    let Some((tools, chromium)) = installed() else { return };
    let demo = Demo::start();
    // There is something to look at: an incident that is open, and environments that were counted.
    let open = eventually("an incident is open, and environments were counted", || {
        let (_, body) = get(&format!("{}/api/v1/hypercare", demo.1));
        let shown: Value = serde_json::from_str(&body).ok()?;
        let id = shown["open_incidents"][0]["id"].as_str()?.to_owned();
        (!shown["environments"].as_array()?.is_empty()).then_some(id)
    });
    let screenshots = root().join("target/screenshots");
    std::fs::create_dir_all(&screenshots).unwrap();
    let looked = Command::new("node")
        .arg(root().join("tests/interop/browser/look.mjs"))
        .args([&tools, &chromium])
        .arg(&demo.1)
        .arg(&screenshots)
        .args(["overview=/?refresh=off", "hypercare=/hypercare?refresh=off", "readiness=/readiness/cobalt/production"])
        .args([
            format!("incident=/incidents/{open}?refresh=off"),
            "integration=/integrations/borealis/production/lab-results?refresh=off".to_owned(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&looked.stdout);
    let wrong: Vec<String> =
        serde_json::from_str(said.trim()).unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&looked.stderr)));
    assert_eq!(wrong, [] as [String; 0]);
}
