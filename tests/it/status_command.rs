//! `soakwatch status` and `soakwatch top` against a running daemon: what fails, worst first, and exit codes that say it.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::daemon::{Daemon, eventually, output, soakwatch};
use crate::support::fake_api::{FakeApi, Reply};

fn started(api: &FakeApi) -> (tempfile::TempDir, Daemon) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("customers")).unwrap();
    std::fs::write(dir.path().join("soakwatch.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let integration = |id: &str, more: &str| {
        format!(
            "[[integration]]\nid = \"{id}\"\nenvironment = \"staging\"\nowner = \"vendor\"\n{more}[[integration.check]]\nid = \"ask\"\nevery = \"1s\"\ntimeout = \"900ms\"\n\
             [integration.check.http]\nurl = \"{}\"\n",
            api.url(&format!("/{id}"))
        )
    };
    let text = "[customer]\nid = \"acme\"\nallow_private = true\n".to_owned()
        + &integration("good", "")
        + &integration("bad", "criticality = \"critical\"\n");
    std::fs::write(dir.path().join("customers/acme.toml"), text).unwrap();
    let daemon = Daemon::start(dir.path(), &[]);
    (dir, daemon)
}

fn ran(daemon: &str, args: &[&str]) -> (Option<i32>, String) {
    let out = output(soakwatch().args(args).args(["--url", daemon]));
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

#[test]
fn what_fails_is_told_and_the_exit_code_says_so() {
    let api = FakeApi::start(|seen| Reply::status(if seen.path == "/bad" { 503 } else { 200 }));
    let (_dir, daemon) = started(&api);
    let (code, said) = eventually("one fails and one passes", || {
        let (code, said) = ran(&daemon.url, &["status"]);
        said.starts_with("1 failing, 1 passing, as of ").then_some((code, said))
    });
    assert_eq!(code, Some(1), "{said}");
    for words in ["✕ failing  acme/staging/bad", "critical, since 20", "server_error in ask, most likely ", "503", "next: "] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("staging/good") && !said.contains('\u{1b}'), "no colour where there is no terminal: {said}");
    let (code, all) = ran(&daemon.url, &["status", "acme/staging", "--all"]);
    let (bad, good) = (all.find("acme/staging/bad").unwrap(), all.find("acme/staging/good").unwrap());
    assert!(code == Some(1) && bad < good, "worst first: {all}");
    let (code, json) = ran(&daemon.url, &["status", "acme/staging/good", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["integrations"].as_array().unwrap().len(), &json["integrations"][0]["state"]), (Some(0), 1, &"passing".into()));
    let (code, said) = ran(&daemon.url, &["status", "acme/staging/good"]);
    assert!(code == Some(0) && said.starts_with("1 passing, as of ") && said.ends_with("\nnothing fails\n"), "{code:?} {said}");

    let (code, said) = ran(&daemon.url, &["status", "acme/stagin"]);
    assert!(code == Some(65) && said.contains("did you mean acme/staging?"), "{code:?} {said}");
    assert_eq!(ran(&daemon.url, &["status", "a/b/c/d"]).0, Some(64));
    assert_eq!(ran("http://127.0.0.1:9", &["status"]).0, Some(69));
    // Without a terminal it is told once.
    let (code, said) = ran(&daemon.url, &["top", "--every", "1s"]);
    assert!(code == Some(1) && said.contains("✕ failing  acme/staging/bad") && !said.contains('\u{1b}'), "{code:?} {said}");
    assert_eq!(ran(&daemon.url, &["top", "--every", "1ms"]).0, Some(64));
    assert_eq!(daemon.stop(), Some(0));
}

/// On a terminal of its own, made by script(1), where that is installed.
#[test]
fn top_shows_what_changes_until_q_and_gives_the_terminal_back() {
    use std::io::Write as _;
    if !std::path::Path::new("/usr/bin/script").exists() {
        println!("not run: script(1) is not installed");
        return;
    }
    let bad = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let fails = std::sync::Arc::clone(&bad);
    let order = std::sync::atomic::Ordering::Relaxed;
    let api = FakeApi::start(move |seen| Reply::status(if seen.path == "/bad" && fails.load(order) { 503 } else { 200 }));
    let (dir, daemon) = started(&api);
    eventually("it fails", || ran(&daemon.url, &["status"]).1.starts_with("1 failing, 1 passing").then_some(()));
    let told = dir.path().join("told");
    let line = format!(
        "stty rows 20 cols 100; {} top --every 1s --url {}; echo ended with $?; stty -a",
        env!("CARGO_BIN_EXE_soakwatch"),
        daemon.url
    );
    let mut script = Command::new("/usr/bin/script");
    let mut child = script.args(["-q", "-f", "-c", &line]).arg(&told).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let shown = || String::from_utf8_lossy(&std::fs::read(&told).unwrap_or_default()).into_owned();
    eventually("it is shown", || {
        (shown().contains("\u{1b}[?1049h") && shown().contains("✕ failing") && shown().contains("q ends")).then_some(())
    });
    bad.store(false, order);
    eventually("what changed is shown", || shown().contains("nothing fails").then_some(()));
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(b"xq").unwrap();
    keys.flush().unwrap();
    eventually("q ends it", || shown().contains("ended with 0").then_some(()));
    let after = eventually("the terminal's state is told", || {
        let shown = shown();
        shown
            .split_once("ended with 0")
            .filter(|(_, after)| after.contains("echo"))
            .map(|(before, after)| (before.to_owned(), after.to_owned()))
    });
    assert!(after.0.contains("\u{1b}[?25h\u{1b}[?1049l"), "the screen is given back");
    let words: Vec<&str> = after.1.split([' ', ';', '\r', '\n']).collect();
    assert!(words.contains(&"icanon") && words.contains(&"echo") && words.contains(&"isig"), "{}", after.1);
    drop(keys);
    let _ = child.wait();
    assert_eq!(daemon.stop(), Some(0));
}
