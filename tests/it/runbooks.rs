//! Runbooks: every alert and every failure class has a page, no page is about anything else, and the commands shown can be typed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};
use regex::Regex;
use soakwatch::cli::Cli;
use soakwatch::metrics::catalogue::{CHECKS, OWN};
use soakwatch::outcome::Class;
use soakwatch::rules::{Scale, groups};

const HEADINGS: [&str; 5] = ["What it means", "Confirm", "Likely owners", "Fixes", "Escalate"];
/// Programs that a page may ask for besides ours.
const OTHERS: [&str; 5] = ["amtool", "curl", "grep", "promtool", "timedatectl"];

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks")
}

/// File name and first line of every page that there has to be.
fn wanted() -> BTreeMap<String, String> {
    let alerts = groups(Scale::REAL).into_iter().flat_map(|g| g.alerts).map(|a| (format!("{}.md", a.name), format!("# {}", a.name)));
    let classes = Class::ALL.iter().map(|c| (format!("class-{c}.md"), format!("# Failure class `{c}`")));
    alerts.chain(classes).collect()
}

fn pages() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(dir()).unwrap().map(|f| f.unwrap());
    let page = |f: std::fs::DirEntry| (f.file_name().into_string().unwrap(), std::fs::read_to_string(f.path()).unwrap());
    files.map(page).filter(|(name, _)| name != "README.md").collect()
}

/// The one command of a page.
fn command(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("```sh\n")?;
    let (inside, after) = rest.split_once("\n```\n")?;
    (!inside.contains('\n') && !after.contains("```")).then_some(inside)
}

/// Splits a line as a shell does, as far as the pages need: single and double quotes.
fn split(line: &str) -> Vec<String> {
    let word = Regex::new(r#"'([^']*)'|"([^"]*)"|(\S+)"#).unwrap();
    word.captures_iter(line).map(|c| c.iter().skip(1).flatten().next().unwrap().as_str().to_owned()).collect()
}

/// What is wrong with a command, if anything.
fn mistake(line: &str) -> Option<String> {
    let known = |name: &str| CHECKS.iter().chain(OWN).any(|f| f.name.starts_with(name));
    let metric = Regex::new(r"(soakwatch|process)_[a-z0-9_]*").unwrap();
    for part in line.split(" | ") {
        let words = split(part);
        match words.first()?.as_str() {
            "soakwatch" => {
                if let Err(e) = Cli::try_parse_from(&words) {
                    return Some(e.to_string());
                }
            }
            other if !OTHERS.contains(&other) => return Some(format!("{other} is not known")),
            _ => {}
        }
        if let Some(odd) = metric.find_iter(part).find(|m| !known(m.as_str())) {
            return Some(format!("there is no metric {}", odd.as_str()));
        }
    }
    None
}

#[test]
fn every_alert_and_class_has_its_page_and_no_page_is_left_over() {
    let (wanted, pages) = (wanted(), pages());
    assert_eq!(pages.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, page) in &pages {
        assert_eq!(page.lines().next(), Some(wanted[name].as_str()), "{name}");
        let headings: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{name}");
        let lines = page.lines().count();
        assert!((15..=40).contains(&lines), "{name} has {lines} lines");
        assert!(page.split("## ").skip(1).all(|section| section.lines().skip(1).any(|l| l.len() > 20)), "{name} has an empty section");
    }
}

#[test]
fn no_page_repeats_another() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (name, page) in pages() {
        // What is one line alone may be said twice (a command, its introduction); advice and meaning may not.
        let meaning = page.split("## ").nth(1).unwrap().to_owned();
        let advice = page.split("## ").nth(4).unwrap().split("\n- ").skip(1).map(str::to_owned);
        for text in advice.chain([meaning]) {
            if let Some(other) = seen.insert(text.clone(), name.clone()) {
                panic!("{name} and {other} say the same: {text}");
            }
        }
    }
}

#[test]
fn every_command_and_link_holds() {
    let subcommands: BTreeSet<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let (named, link) = (Regex::new(r"`soakwatch ([a-z]+)").unwrap(), Regex::new(r"\]\(([^)#]+)").unwrap());
    for (name, page) in pages() {
        let line = command(&page).unwrap_or_else(|| panic!("{name} has not exactly one command"));
        if let Some(what) = mistake(line) {
            panic!("{name}: {line}: {what}");
        }
        for n in named.captures_iter(&page) {
            assert!(subcommands.contains(&n[1]), "{name}: there is no soakwatch {}", &n[1]);
        }
        for l in link.captures_iter(&page) {
            assert!(dir().join(&l[1]).exists(), "{name}: {} is not there", &l[1]);
        }
    }
}

#[test]
fn planted_mistakes_are_found() {
    assert_eq!(mistake("soakwatch runs acme/production/crm --since 2h"), None);
    for wrong in ["soakwatch runs --sometimes", "reboot now", "curl -s x | grep soakwatch_never", "soakwatch tidy"] {
        assert!(mistake(wrong).is_some(), "{wrong}");
    }
    assert_eq!(split("grep -E 'a b' \"c d\" e"), ["grep", "-E", "a b", "c d", "e"]);
    assert_eq!((command("```sh\na\nb\n```\n"), command("```sh\na\n```\n")), (None, Some("a")));
}
