//! Daemon settings in their layers: defaults < `soakwatch.toml` < `SOAKWATCH__SECTION__KEY`, merged by the `config` crate.
//!
//! `config` forgets where a value came from. So the file is read first, alone, for its own mistakes; then the merged settings are read the same way,
//! judged as a whole, and what is wrong there is told at the place it came from: a variable, or a line of the file.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::judge::Judge;
use super::load::Counts;
use super::model::Settings;
use super::table::{Problem, Source, nearest, short};
use super::{judge, settings, syntax};

/// What every variable of ours starts with.
pub(super) const PREFIX: &str = "SOAKWATCH__";
/// The file name of problems that have no file.
const ENVIRONMENT: &str = "environment";
/// The built-in defaults, as the user may read them. A test holds them to `Settings::default`.
pub(super) const DEFAULTS: &str = include_str!("../../config/reference.toml");
/// Settings that are lists: their variables hold members separated by commas.
const LISTS: [&str; 3] = ["probe.dns", "self_check.targets", "server.hosts"];
/// Where the pace of hosts that tell no quota stands.
const MAX_RATE: &str = "rate_limit.max_rate";

/// Reads the settings: the file (if there is one) and the variables over it.
pub(super) fn read(
    dir: &Path,
    name: &str,
    text: Option<&str>,
    environment: &[(String, String)],
    counts: Counts,
    judge: &mut Judge,
) -> (Settings, Vec<Problem>) {
    let file = Source::new(name, dir, text.unwrap_or_default());
    let entries = file.parse();
    let alone = settings::read(file.root(&entries));
    let mut problems = syntax::certain(&file, file.problems.take());

    let known = known();
    let set = variables(environment, &known, &mut problems);
    // Only tables of ours are handed to `config`, which takes a key such as `a[9]` for an index.
    let ours = |key: &str| known.iter().any(|k| section(k) == key);
    let whole = !file.damaged.get() && entries.keys().all(|k| ours(k.get_ref()));
    let merged = match merge(if whole { &file.text } else { "" }, &set) {
        Ok(merged) => merged,
        // Only values that the file's own reading refused can do this.
        Err(why) => {
            if problems.iter().all(|p| p.warning) {
                problems.push(at_variable("", format!("the settings can't be merged: {}", short(&why)), "expected other values", false));
            }
            return (alone, problems);
        }
    };
    let mut source = Source::new(ENVIRONMENT, dir, merged);
    source.lenient = true;
    let merged_entries = source.parse();
    let mut settings = settings::read(source.root(&merged_entries));
    // What is already told is not told again, and nothing is concluded from a section that is wrong in itself.
    let told: BTreeSet<String> = problems.iter().filter(|p| !p.warning).map(|p| section(&p.path).to_owned()).collect();
    if whole {
        judge::settings(&source, &mut settings, counts, &told, (&mut judge.named, judge.check_secrets));
    }
    let found = source.problems.take();
    if whole && !found.iter().any(|p| section(&p.path) == section(MAX_RATE)) {
        let in_file = place(&entries, MAX_RATE).filter(|(_, exact)| *exact).map(|(at, _)| {
            let (line, column) = file.position(at.start);
            Problem { file: file.name.clone(), line, column, path: MAX_RATE.into(), ..at_variable("", String::new(), "", true) }
        });
        let in_variable = set.iter().any(|(key, _)| *key == MAX_RATE).then(|| at_variable(MAX_RATE, String::new(), "", true));
        problems.extend(judge.demand.judge(settings.rate_limit.max_rate, in_variable.or(in_file)));
    }
    for mut p in found {
        let of_variable = set.iter().any(|(key, _)| *key == p.path.split('[').next().unwrap_or_default());
        if !of_variable && (!whole || told.contains(section(&p.path))) {
            continue;
        }
        let beside: Vec<String> = set.iter().filter(|(key, _)| section(key) == section(&p.path)).map(|(key, _)| variable(key)).collect();
        match place(&entries, &p.path) {
            Some((at, exact)) if !of_variable && (exact || beside.is_empty()) => {
                if !beside.is_empty() {
                    p.expected += &format!(" ({} is set too)", beside.join(", "));
                }
                (p.line, p.column) = file.position(at.start);
                p.file.clone_from(&file.name);
                problems.push(p);
            }
            _ => problems.push(at_variable(&p.path, p.what, &p.expected, p.warning)),
        }
    }
    (settings, problems)
}

fn section(path: &str) -> &str {
    path.split('.').next().unwrap_or_default()
}

/// `server.listen` is set by `SOAKWATCH__SERVER__LISTEN`.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replacen('.', "__", 1).to_uppercase())
}

fn at_variable(path: &str, what: String, expected: &str, warning: bool) -> Problem {
    let path = if path.is_empty() { String::new() } else { variable(path) };
    // Nothing stands in quotes there.
    let expected = expected.replace(" (without quotes)", "");
    Problem { file: ENVIRONMENT.into(), line: 0, column: 0, path, what, expected, warning }
}

/// Every setting that stands alone under its section, as `section.key`: the reader is asked what it asks for.
fn known() -> Vec<String> {
    let defaults = Source::new("defaults", "", DEFAULTS);
    settings::read(defaults.root(&defaults.parse()));
    let asked = defaults.asked.take();
    asked.into_iter().filter(|path| path.matches('.').count() == 1 && !path.contains('[')).collect()
}

/// The variables that set something, as (`section.key`, text). Others are reported.
fn variables<'k, 'e>(environment: &'e [(String, String)], known: &'k [String], problems: &mut Vec<Problem>) -> Vec<(&'k str, &'e str)> {
    let names: Vec<String> = known.iter().map(|k| variable(k)).collect();
    let mut set = Vec::new();
    for (name, text) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let found = names.iter().position(|n| n == name).and_then(|n| known.get(n));
        match found {
            Some(key) if key == "server.token" => {
                problems.push(at_name(name, "can't be set by a variable", "write [[server.token]] in soakwatch.toml"));
            }
            Some(key) if key == "evidence.signing_key" || key == "heartbeat.url" => {
                let (section, key) = key.split_once('.').unwrap_or_default();
                let expected = format!("write [{section}] {key} = {{ env = \"NAME\" }} or {{ file = \"/path\" }} in soakwatch.toml");
                problems.push(at_name(name, "can't be set by a variable", &expected));
            }
            Some(key) => set.push((key.as_str(), text.as_str())),
            None => {
                let rest: Vec<&str> = names.iter().filter_map(|n| n.strip_prefix(PREFIX)).collect();
                let expected = match nearest(name.strip_prefix(PREFIX).unwrap_or_default(), &rest) {
                    Some(near) => format!("expected a known one (did you mean \"{PREFIX}{near}\"?)"),
                    None => format!("expected {PREFIX}SECTION__KEY of a key in soakwatch.toml, such as {}", variable("server.listen")),
                };
                problems.push(at_name(name, "unknown setting", &expected));
            }
        }
    }
    set
}

fn at_name(name: &str, what: &str, expected: &str) -> Problem {
    Problem {
        file: ENVIRONMENT.into(),
        line: 0,
        column: 0,
        path: short(name),
        what: what.into(),
        expected: expected.into(),
        warning: false,
    }
}

/// Merges the layers and writes the result as TOML.
fn merge(file: &str, set: &[(&str, &str)]) -> Result<String, String> {
    use config::{Config, File, FileFormat};
    let mut layers =
        Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml)).add_source(File::from_str(file, FileFormat::Toml));
    for (key, text) in set {
        let layered = if LISTS.contains(key) {
            let members: Vec<String> = text.split(',').map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()).collect();
            layers.set_override(*key, members)
        } else {
            layers.set_override(*key, *text)
        };
        layers = layered.map_err(|e| e.to_string())?;
    }
    let merged: toml::Table = layers.build().and_then(Config::try_deserialize).map_err(|e| e.to_string())?;
    toml::to_string(&merged).map_err(|e| e.to_string())
}

/// Where a path stands in the file: its own place (`true`), or that of the nearest table around it.
fn place(entries: &DeTable<'_>, path: &str) -> Option<(Range<usize>, bool)> {
    let mut found: Option<Range<usize>> = None;
    let mut table = Some(entries);
    for step in path.split('.') {
        let (key, index) = step.split_once('[').map_or((step, None), |(k, n)| (k, n.trim_end_matches(']').parse::<usize>().ok()));
        let Some((_, value)) = table.and_then(|t| t.iter().find(|(k, _)| k.get_ref().as_ref() == key)) else {
            return found.map(|at| (at, false));
        };
        let value = match (value.get_ref(), index) {
            (DeValue::Array(members), Some(n)) => members.get(n).unwrap_or(value),
            _ => value,
        };
        found = Some(value.span());
        table = value.get_ref().as_table();
    }
    found.map(|at| (at, true))
}
