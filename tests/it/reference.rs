//! `config/reference.toml` and `config/customers/reference.toml` against the code: every key a reader asks for stands there, every line is valid,
//! every default is the code's.
//!
//! Lines that start with `#key = ` or `#[` are other possible values; each is tried in the place of the active line with its key.

use std::collections::BTreeSet;
use std::path::Path;

use soakwatch::clock::UnixMs;
use soakwatch::config::model::{Customer, Settings};
use soakwatch::config::table::{Problem, Source};
use soakwatch::config::{Judge, LoadOptions, load, read_customer, read_settings};
use toml::de::{DeTable, DeValue};

/// 2026-11-01: before the dates in the reference.
const NOW: UnixMs = UnixMs(1_793_491_200_000);

fn config_dir() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(config_dir().join(name)).unwrap()
}

/// What reading a text gave.
struct Read<T> {
    value: T,
    problems: Vec<Problem>,
    asked: BTreeSet<String>,
    shown: BTreeSet<String>,
}

impl<T> Read<T> {
    fn errors(&self) -> Vec<String> {
        self.problems.iter().filter(|p| !p.warning).map(ToString::to_string).collect()
    }
}

fn settings(text: &str) -> Read<Settings> {
    let source = Source::new("reference.toml", config_dir(), text);
    let entries = source.parse();
    let value = read_settings(source.root(&entries));
    finish(value, &source, &entries)
}

fn customer(text: &str) -> Read<Option<Customer>> {
    let source = Source::new("customers/reference.toml", config_dir(), text);
    let entries = source.parse();
    let value = read_customer(source.root(&entries), &mut Judge::new(NOW, false)).customer;
    finish(value, &source, &entries)
}

fn finish<T>(value: T, source: &Source, entries: &DeTable<'_>) -> Read<T> {
    let mut shown = BTreeSet::new();
    paths(entries, "", &mut shown);
    Read { value, problems: source.problems.take(), asked: source.asked.take(), shown }
}

/// Every path in a table, with array indices as `[]`.
fn paths(table: &DeTable<'_>, prefix: &str, into: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        into.insert(path.clone());
        match value.get_ref() {
            DeValue::Table(t) => paths(t, &path, into),
            DeValue::Array(members) => {
                for t in members.iter().filter_map(|m| m.get_ref().as_table()) {
                    paths(t, &format!("{path}[]"), into);
                }
            }
            _ => {}
        }
    }
}

/// The key of a line `key = value`.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(key)
}

fn is_header(line: &str) -> bool {
    line.starts_with('[')
}

/// The text without comments of its own, once for each possible value shown: the line in the place of the active one with its key, a
/// commented-out table with all its lines.
fn variants(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut variants = Vec::new();
    let mut n = 0;
    while n < lines.len() {
        let Some(open) = lines[n].strip_prefix('#').filter(|l| is_header(l) || key(l).is_some() && !l.starts_with(' ')) else {
            n += 1;
            continue;
        };
        let mut variant: Vec<&str> = lines.clone();
        variant[n] = open;
        if is_header(open) {
            while n + 1 < lines.len() && !is_header(lines[n + 1].trim_start_matches('#')) {
                n += 1;
                variant[n] = lines[n].strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(lines[n]);
            }
        } else {
            let first = lines[..n].iter().rposition(|l| is_header(l)).unwrap_or(0);
            let last = lines[n..].iter().position(|l| is_header(l)).map_or(lines.len(), |after| n + after);
            for other in first..last {
                if other != n && key(lines[other]) == key(open) {
                    variant[other] = "";
                }
            }
        }
        variants.push(variant.join("\n"));
        n += 1;
    }
    variants
}

/// Reads the text and all its variants; every one must be without error. Returns the paths asked for and shown.
fn all<T>(text: &str, read: impl Fn(&str) -> Read<T>) -> (BTreeSet<String>, BTreeSet<String>) {
    let first = read(text);
    assert_eq!(but_for_secrets(&first.problems), [] as [&Problem; 0], "the file as it is");
    let (mut asked, mut shown) = (first.asked, first.shown);
    for variant in variants(text) {
        let read = read(&variant);
        assert_eq!(read.errors(), [] as [String; 0], "with another line in use:\n{variant}");
        asked.extend(read.asked);
        shown.extend(read.shown);
    }
    (asked, shown)
}

/// The secrets of the reference exist nowhere; all else must be right.
fn but_for_secrets(problems: &[Problem]) -> Vec<&Problem> {
    problems.iter().filter(|p| !p.what.starts_with("environment variable REFERENCE_")).collect()
}

/// Asked for by the reader of `auth` that all kinds share, and refused there.
const REFUSED: &str = "integration[].check[].scim.auth.digest";

/// Every key a customer's file may have, with array indices as `[]`.
pub(crate) fn keys_of_a_customer() -> BTreeSet<String> {
    all(&text("customers/reference.toml"), customer).0.into_iter().filter(|key| key != REFUSED).collect()
}

#[test]
fn every_setting_stands_in_the_reference_with_its_default() {
    let text = text("reference.toml");
    let (asked, shown) = all(&text, settings);
    assert_eq!(asked.difference(&shown).collect::<Vec<_>>(), [] as [&String; 0], "missing from config/reference.toml");
    let active = settings(&text);
    assert_eq!(active.value, Settings::default(), "defaults in config/reference.toml differ from the code's");
    // Whatever has a default is written with it; these have none.
    let unset: Vec<&str> = asked.difference(&active.shown).map(String::as_str).collect();
    assert_eq!(
        unset,
        [
            "evidence.signing_key",
            "heartbeat.url",
            "probe.ca",
            "probe.contact",
            "probe.proxy",
            "probe.proxy.password",
            "probe.proxy.url",
            "probe.proxy.username",
            "probe.user_agent",
            "receiver.listen",
            "receiver.public_url",
            "receiver.tls",
            "receiver.tls.certificate",
            "receiver.tls.client_ca",
            "receiver.tls.client_certificates",
            "receiver.tls.key",
            "self_check.time_server",
            "server.tls",
            "server.tls.certificate",
            "server.tls.client_ca",
            "server.tls.client_certificates",
            "server.tls.key",
            "server.token",
            "server.token[].hash",
            "server.token[].name",
            "server.token[].role"
        ]
    );
}

#[test]
fn every_key_of_a_customer_stands_in_the_reference() {
    let (asked, mut shown) = all(&text("customers/reference.toml"), customer);
    shown.insert(REFUSED.to_owned());
    // A trigger has the keys of http, read by the same reader: shown once.
    shown.extend(shown.clone().iter().map(|key| key.replace("check[].http.", "check[].round_trip.trigger.")));
    assert_eq!(asked.difference(&shown).collect::<Vec<_>>(), [] as [&String; 0], "missing from config/customers/reference.toml");
}

#[test]
fn each_line_of_a_customer_is_required_default_or_unset_as_it_says() {
    let text = text("customers/reference.toml");
    let whole = customer(&text);
    let lines: Vec<&str> = text.lines().collect();
    let asked: BTreeSet<String> = whole.asked.iter().map(|p| p.replace("[]", "")).collect();
    let (mut tried, mut table) = (0, "");
    for (n, line) in lines.iter().enumerate() {
        if is_header(line) {
            table = line.trim_matches(['[', ']']);
        }
        let Some(name) = key(line) else { continue };
        let mut without = lines.clone();
        without[n] = "";
        let read = customer(&without.join("\n"));
        assert!(asked.contains(&format!("{table}.{name}")), "nobody reads {table}.{name}");
        tried += 1;
        let marker = line.rsplit_once('#').map(|(_, m)| m.trim()).unwrap_or_default();
        match marker.split(':').next().unwrap_or_default() {
            "required" => assert!(!read.errors().is_empty(), "not required: {line}"),
            "default" => {
                assert_eq!(read.errors(), [] as [String; 0], "{line}");
                assert_eq!(read.value, whole.value, "not the default: {line}");
            }
            "unset" => {
                assert_eq!(read.errors(), [] as [String; 0], "{line}");
                assert_ne!(read.value, whole.value, "this is the default: {line}");
            }
            _ => panic!("says neither required, default nor unset: {line}"),
        }
    }
    assert!(tried > 40, "only {tried} lines were tried");
}

#[test]
fn the_repository_s_own_configuration_is_valid() {
    let loaded = load(&config_dir(), &LoadOptions { check_secrets: false, env: Vec::new(), now: NOW });
    assert_eq!(but_for_secrets(&loaded.problems), [] as [&Problem; 0]);
    let config = loaded.config.unwrap();
    assert!(config.integrations().all(|i| i.paused.is_some()), "a copy of it must not send anything");
}
