//! The examples of README.md and docs: each TOML block says what it is (```` ```toml customer ````) and is loaded as such; each line shown
//! of what `validate` says is said by one of the bad configurations under test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use soakwatch::clock::UnixMs;
use soakwatch::config::{LoadOptions, load};

/// What stands before an example that is only a part of an integration or a check.
const INTEGRATION: &str = "[customer]\nid = \"acme\"\n[[integration]]\nid = \"crm-orders\"\nenvironment = \"production\"\nowner = \"vendor\"\n\
                           runbook = \"https://wiki.example.com/acme\"\n";
const CHECK: &str = "[[integration.check]]\nid = \"example\"\nevery = \"60s\"\n";
const HTTP: &str = "[integration.check.http]\nurl = \"https://api.example.com\"\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of a text that begin so: line, what stands behind, contents.
fn blocks<'t>(text: &'t str, fence: &str) -> Vec<(usize, &'t str, String)> {
    let mut lines = text.lines().enumerate();
    let mut found = Vec::new();
    while let Some((n, line)) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().map(|(_, l)| l).take_while(|l| *l != "```").collect();
            if let Some(kind) = kind.strip_prefix(fence) {
                found.push((n + 1, kind.trim(), inside.join("\n") + "\n"));
            }
        }
    }
    found
}

/// Loads an example; what is wrong with it, but for secrets and files that are not there.
fn wrong(kind: &str, text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("customers")).unwrap();
    let whole = match kind {
        "customer" => text.to_owned(),
        "integration" => format!("{INTEGRATION}{text}{CHECK}{HTTP}"),
        "check" => format!("{INTEGRATION}{CHECK}{text}"),
        "settings" => format!("{INTEGRATION}{CHECK}{HTTP}"),
        _ => return vec![format!("a block ```toml {kind}: say customer, integration, check or settings")],
    };
    std::fs::write(dir.path().join("customers/acme.toml"), whole).unwrap();
    // Checks that expect messages want a receiver.
    let settings = if kind == "settings" { text } else { "[receiver]\nlisten = \"127.0.0.1:9465\"\n" };
    std::fs::write(dir.path().join("soakwatch.toml"), settings).unwrap();
    // 2026-11-01: before the dates in the examples.
    let loaded = load(dir.path(), &LoadOptions { check_secrets: false, env: Vec::new(), now: UnixMs(1_793_491_200_000) });
    let outside = |what: &str| {
        what.starts_with("environment variable ")
            || what.starts_with("file ")
            || what.contains(".pem can't be used")
            || what.contains(".json can't be used: there is nothing")
    };
    loaded.problems.iter().filter(|p| !(p.warning && outside(&p.what))).map(ToString::to_string).collect()
}

#[test]
fn every_example_loads() {
    let mut kinds = BTreeSet::new();
    for document in ["README.md", "docs/configuration.md", "docs/sso.md", "docs/webhooks.md"] {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        let examples = blocks(&text, "toml");
        assert!(examples.len() >= 2, "{document}: the examples were not found");
        for (line, kind, example) in examples {
            let wrong = wrong(kind, &example);
            assert!(wrong.is_empty(), "{document}:{line}: {wrong:#?}\n{example}");
            kinds.insert(kind.to_owned());
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["check", "customer", "integration", "settings"]);
}

#[test]
fn what_validate_is_shown_to_say_it_says() {
    let fixtures = root().join("tests/fixtures/bad-config");
    let expected = |dir: std::io::Result<std::fs::DirEntry>| -> PathBuf { dir.unwrap().path().join("expected.txt") };
    let said: Vec<String> = std::fs::read_dir(fixtures).unwrap().map(|d| std::fs::read_to_string(expected(d)).unwrap()).collect();
    let said: BTreeSet<&str> = said.iter().flat_map(|t| t.lines()).filter_map(|l| l.split_once('/')).map(|(_, l)| l).collect();
    let text = std::fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let shown: Vec<String> = blocks(&text, "text validate").into_iter().map(|(_, _, lines)| lines).collect();
    let shown: Vec<&str> = shown.iter().flat_map(|t| t.lines()).collect();
    assert!(shown.len() > 5, "the lines were not found");
    let never: Vec<&&str> = shown.iter().filter(|l| !said.contains(**l)).collect();
    assert!(never.is_empty(), "docs/configuration.md shows what no bad configuration brings about: {never:#?}");
}

#[test]
fn a_planted_bad_example_is_found() {
    let found = blocks("a\n```toml check\nx = 1\n```\n```\ny\n```\n```toml\nz\n```\n", "toml");
    assert_eq!(found, [(2, "check", "x = 1\n".to_owned()), (8, "", "z\n".to_owned())]);
    assert_eq!(wrong("check", &found[0].2).len(), 2);
    assert_eq!(wrong("", "").len(), 1);
    assert_eq!(wrong("settings", "[server]\nlisten = \"everywhere\"\n").len(), 1);
}
