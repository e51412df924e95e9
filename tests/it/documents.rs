//! Holds the documents to the repository: what they link to exists, and what they name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of ours, from the root and from docs.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("docs")];
    let in_root = fs::read_dir(root()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file());
    found.extend(in_root.filter(|p| p.extension().is_some_and(|e| e == "md")));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The targets of `[text](target)` that are files: neither addresses nor places in the same page.
fn linked_files(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.map(|t| t.split('#').next().unwrap_or(t)).filter(|t| !t.is_empty() && !t.contains("://")).collect()
}

/// Links of one document that lead nowhere.
fn dead_links(folder: &Path, text: &str) -> Vec<String> {
    linked_files(text).into_iter().filter(|t| !folder.join(t).exists()).map(str::to_owned).collect()
}

/// Modules that the first column of the code map names.
fn code_map(text: &str) -> BTreeSet<String> {
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    text.lines().filter_map(row).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    assert!(documents.len() > 5, "the documents were not found");
    for document in documents {
        let dead = dead_links(document.parent().unwrap(), &fs::read_to_string(&document).unwrap());
        assert!(dead.is_empty(), "{}: {dead:?}", document.display());
    }
}

#[test]
fn the_code_map_names_no_module_that_is_gone() {
    let map = code_map(&fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    assert!(map.len() > 10, "the code map was not found");
    let source = root().join("src");
    let gone: Vec<&String> =
        map.iter().filter(|m| !source.join(format!("{m}.rs")).exists() && !source.join(m).join("mod.rs").exists()).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names modules that are not in src: {gone:?}");
}

#[test]
fn the_first_lines_of_the_readme_are_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands: Vec<&str> = readme.lines().skip_while(|l| *l != "```").skip(1).take_while(|l| *l != "```").collect();
    let starts = |line: usize, with: &str| commands.get(line).is_some_and(|l| l.starts_with(with));
    assert!(starts(0, "cargo run --release -- demo ") && starts(1, "tests/run ") && commands.len() == 2, "{commands:?}");
    assert!(readme.lines().position(|l| l == "```").is_some_and(|n| n < 4), "they do not stand first");
}

#[test]
fn every_decision_is_dated_and_listed() {
    let folder = root().join("docs/decisions");
    let list = fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "README.md" {
            let text = fs::read_to_string(folder.join(&name)).unwrap();
            let dated = text.lines().nth(2).is_some_and(|l| l.len() == 10 && l.starts_with("20"));
            assert!(dated, "{name}: the third line is its date, 2026-11-21");
            assert!(list.contains(&format!("({name})")), "{name} is not in docs/decisions/README.md");
        }
    }
}

#[test]
fn a_planted_dead_link_is_found() {
    let text = "[a](Cargo.toml) [b](gone.md) [c](https://example.com/x) [d](#here) [e](gone/too.md#part)";
    assert_eq!(dead_links(root(), text), ["gone.md", "gone/too.md"]);
    assert_eq!(code_map("| module |\n| `a` | x |\n| `b` | y |\n").len(), 2);
}
