//! Holds the source to what ARCHITECTURE.md promises: which module may know which, how files begin, how long they are, where things lie.
//!
//! The checks are plain functions over texts, so that each is tried on planted violations below. They read files and compile nothing.

mod planted;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source::{Source, names_after_super, paths_from};

/// Which module of `src` may use which: `(module, the modules it may name)`, from the ground up. A module may only name rows above its own, so
/// dependencies go one way. A row stands for its submodules too, unless they have a row of their own. Code under `#[cfg(test)]` and files called
/// `tests.rs` are free.
const MAY_USE: &[(&str, &[&str])] = &[
    // The vocabulary.
    ("clock", &[]),
    ("outcome", &[]),
    ("fields", &["clock"]),
    ("files", &[]),
    ("secret", &["files"]),
    ("attribution", &["outcome"]),
    ("ratelimit", &["clock", "fields", "outcome"]),
    ("callbacks", &["fields"]),
    ("memory", &["callbacks", "fields"]),
    ("finding", &["clock", "fields", "outcome"]),
    ("sso", &["clock", "fields", "outcome", "finding"]),
    ("observed", &["clock", "fields", "finding", "outcome", "ratelimit"]),
    ("webhook", &["clock", "secret"]),
    ("record", &["clock", "fields", "finding", "outcome", "ratelimit"]),
    ("evidence", &["clock", "fields", "outcome", "observed"]),
    // The shape of the configuration. How files are read stands further down.
    ("config::table", &["clock", "fields", "outcome", "secret"]),
    // Verdicts over records: pure, and known to the configuration, which holds their policy.
    ("slots::grid", &["clock"]),
    ("slots::cron", &["clock"]),
    ("soak", &["clock", "fields", "outcome", "record", "slots::grid"]),
    ("incident", &["clock", "fields", "outcome", "observed", "record", "evidence"]),
    ("config::fingerprint", &[]),
    ("config::stamp", &[]),
    ("hypercare", &["clock", "fields", "outcome", "record", "incident", "soak"]),
    ("config::model", &["config::stamp", "clock", "fields", "outcome", "secret", "ratelimit", "soak", "incident", "hypercare", "probe"]),
    // One run: the exchange, the kinds, attempts under the deadline. When it runs: slots.
    ("transport", &["clock", "fields", "files", "outcome", "observed", "secret", "ratelimit", "config::model", "config::table"]),
    (
        "probe",
        &[
            "callbacks",
            "clock",
            "fields",
            "finding",
            "memory",
            "outcome",
            "ratelimit",
            "observed",
            "secret",
            "soak",
            "sso",
            "webhook",
            "config::model",
            "config::table",
            "transport",
            "slots::cron",
            "webhook",
        ],
    ),
    ("retry", &[]),
    ("budget", &["clock", "fields", "outcome", "ratelimit", "observed", "config::model"]),
    (
        "run",
        &[
            "clock",
            "memory",
            "ratelimit",
            "budget",
            "fields",
            "outcome",
            "secret",
            "attribution",
            "observed",
            "record",
            "config::model",
            "transport",
            "probe",
            "retry",
        ],
    ),
    ("slots", &["clock", "fields", "outcome", "record", "config::model"]),
    // Reading the configuration: knows the kinds' tables, runs nothing.
    (
        "config",
        &[
            "clock",
            "fields",
            "files",
            "outcome",
            "secret",
            "ratelimit",
            "attribution",
            "soak",
            "incident",
            "hypercare",
            "transport",
            "probe",
            "budget",
        ],
    ),
    ("config::outline", &["config", "config::model", "fields"]),
    // What is kept, and what is shown of it.
    ("arrivals", &["clock", "fields", "outcome", "attribution", "record", "webhook", "config::model", "probe", "slots", "slots::cron"]),
    ("board", &["arrivals", "clock", "fields", "finding", "outcome", "ratelimit", "record", "incident", "config::model"]),
    ("store", &["clock", "fields", "finding", "outcome", "ratelimit", "record", "evidence", "incident", "board"]),
    ("limits", &["clock", "fields", "outcome", "ratelimit", "budget", "config::model", "board"]),
    (
        "readiness",
        &[
            "finding",
            "clock",
            "fields",
            "outcome",
            "record",
            "evidence",
            "slots",
            "soak",
            "config::fingerprint",
            "config::model",
            "board",
            "limits",
            "store",
            "incident",
        ],
    ),
    (
        "plan",
        &["clock", "fields", "outcome", "record", "config::fingerprint", "config::model", "budget", "slots", "soak", "board", "limits"],
    ),
    (
        "checkpoint",
        &[
            "clock",
            "fields",
            "outcome",
            "attribution",
            "record",
            "evidence",
            "finding",
            "soak",
            "incident",
            "hypercare",
            "config::model",
            "probe",
            "board",
            "store",
            "readiness",
        ],
    ),
    ("health", &["clock"]),
    ("notify", &["clock"]),
    (
        "report",
        &[
            "clock",
            "fields",
            "outcome",
            "observed",
            "record",
            "evidence",
            "soak",
            "incident",
            "hypercare",
            "readiness",
            "checkpoint",
            "store",
        ],
    ),
    (
        "bundle",
        &["clock", "fields", "files", "outcome", "observed", "record", "evidence", "slots::grid", "soak", "readiness", "store", "report"],
    ),
    (
        "status",
        &["clock", "fields", "finding", "outcome", "attribution", "observed", "record", "config::model", "budget", "board", "limits"],
    ),
    (
        "metrics",
        &[
            "arrivals",
            "probe",
            "clock",
            "finding",
            "fields",
            "outcome",
            "attribution",
            "observed",
            "record",
            "soak",
            "config::model",
            "budget",
            "readiness",
            "board",
            "limits",
            "health",
            "incident",
            "hypercare",
            "checkpoint",
        ],
    ),
    ("rules", &["arrivals", "finding", "incident", "metrics", "outcome", "soak"]),
    ("log", &["clock", "config::model", "metrics"]),
    (
        "explain",
        &["clock", "fields", "finding", "outcome", "ratelimit", "attribution", "observed", "record", "config::model", "board", "run"],
    ),
    // The tasks.
    ("supervisor", &["clock", "health"]),
    ("self_check", &["clock", "fields", "outcome", "observed", "config::model", "transport", "metrics"]),
    (
        "recorder",
        &[
            "clock",
            "fields",
            "outcome",
            "observed",
            "record",
            "evidence",
            "config::model",
            "readiness",
            "board",
            "store",
            "metrics",
            "self_check",
            "incident",
        ],
    ),
    (
        "scheduler",
        &[
            "memory",
            "clock",
            "fields",
            "outcome",
            "record",
            "config::model",
            "transport",
            "budget",
            "run",
            "slots",
            "board",
            "store",
            "health",
            "metrics",
            "recorder",
        ],
    ),
    (
        "server",
        &[
            "finding",
            "memory",
            "clock",
            "fields",
            "outcome",
            "secret",
            "observed",
            "record",
            "evidence",
            "soak",
            "config::model",
            "config::outline",
            "config::table",
            "budget",
            "readiness",
            "hypercare",
            "checkpoint",
            "board",
            "store",
            "limits",
            "health",
            "status",
            "metrics",
            "incident",
        ],
    ),
    (
        "receiver",
        &[
            "arrivals",
            "board",
            "callbacks",
            "clock",
            "fields",
            "secret",
            "webhook",
            "config::model",
            "memory",
            "metrics",
            "probe",
            "server",
        ],
    ),
    // The composition root, and what starts it.
    (
        "app",
        &[
            "arrivals",
            "receiver",
            "memory",
            "clock",
            "fields",
            "files",
            "outcome",
            "soak",
            "bundle",
            "record",
            "config",
            "transport",
            "budget",
            "slots",
            "readiness",
            "board",
            "evidence",
            "store",
            "health",
            "notify",
            "metrics",
            "supervisor",
            "self_check",
            "recorder",
            "scheduler",
            "server",
            "incident",
            "hypercare",
            "checkpoint",
        ],
    ),
    (
        "demo",
        &[
            "clock",
            "fields",
            "outcome",
            "secret",
            "attribution",
            "record",
            "evidence",
            "slots",
            "soak",
            "config",
            "transport",
            "board",
            "store",
            "limits",
            "readiness",
            "status",
            "metrics",
            "server",
            "app",
            "webhook",
        ],
    ),
    (
        "cli",
        &[
            "sso",
            "finding",
            "memory",
            "clock",
            "fields",
            "files",
            "outcome",
            "secret",
            "attribution",
            "observed",
            "record",
            "ratelimit",
            "config",
            "transport",
            "budget",
            "run",
            "slots",
            "soak",
            "readiness",
            "board",
            "evidence",
            "readiness",
            "report",
            "bundle",
            "store",
            "limits",
            "plan",
            "status",
            "metrics",
            "notify",
            "log",
            "explain",
            "rules",
            "server",
            "webhook",
            "app",
            "demo",
            "sso",
            "incident",
            "hypercare",
            "checkpoint",
        ],
    ),
    ("main", &["cli"]),
];

/// The one loop: a check's definition holds its kind, and a kind is handed its check's definition.
const LOOP: (&str, &str) = ("config::model", "probe");

/// Names that say nothing about what a module is for.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "types", "manager", "misc"];

/// A file may have this many lines, tests included.
const MAX_LINES: usize = 600;

/// What may lie at the top level. Everything else has a folder of its own.
const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".git",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "benches",
    "build.rs",
    "clippy.toml",
    "config",
    "dashboards",
    "deny.toml",
    "deploy",
    "docs",
    "rustfmt.toml",
    "src",
    "tests",
];

/// What code may not say, and what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("unbounded", "every channel and buffer has a bound"),
    ("#[ignore", "a test that does not run proves nothing: make it fast enough, or delete it"),
    ("#[allow(", "write #[expect(lint, reason = \"...\")]: it fails when the lint is no longer needed"),
    ("#![allow(", "write #![expect(lint, reason = \"...\")]: it fails when the lint is no longer needed"),
    ("todo!", "finish it, or leave it out"),
    ("unimplemented!", "finish it, or leave it out"),
];

/// `src/config/model.rs` -> `config::model`; `src/config/mod.rs` -> `config`.
fn module_of(path: &str) -> String {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    inner.trim_end_matches("/mod").replace('/', "::")
}

/// Whether `path` is `module` or lies in it.
fn within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The row that speaks for a module: the longest that it lies in.
fn row_of<'t>(table: &'t [(&'t str, &'t [&'t str])], module: &str) -> Option<&'t (&'t str, &'t [&'t str])> {
    table.iter().filter(|(name, _)| within(module, name)).max_by_key(|(name, _)| name.len())
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// What is wrong with the table itself.
fn table_problems(table: &[(&str, &[&str])]) -> Vec<String> {
    let mut above: Vec<&str> = Vec::new();
    let mut problems = Vec::new();
    for (module, allowed) in table {
        for used in *allowed {
            if !above.contains(used) && (*module, *used) != LOOP {
                problems.push(format!("MAY_USE: {module} may not name {used}: its row does not stand above"));
            }
        }
        above.push(module);
    }
    problems
}

/// What one file of `src` refers to and may not.
fn dependency_problems(table: &[(&str, &[&str])], path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    if module == "lib" || module.split("::").any(|part| part == "tests") {
        return Vec::new();
    }
    let Some((row, allowed)) = row_of(table, &module) else {
        return vec![format!(
            "{path}: module {module} is not in MAY_USE (tests/it/architecture.rs): add its row below everything it uses, and its line to \
             ARCHITECTURE.md"
        )];
    };
    let code = Source::of(text).without_tests();
    let mut used = paths_from(&code, "crate");
    used.extend(paths_from(&code, "soakwatch"));
    let known: BTreeSet<&str> = table.iter().map(|(name, _)| top(name)).collect();
    let mut problems: Vec<String> = used
        .into_iter()
        .filter(|p| known.contains(top(p)) && top(p) != top(&module))
        .filter(|p| !allowed.iter().any(|a| within(p, a)))
        .map(|p| format!("{path}: {row} may not use crate::{p} (MAY_USE lets it use: {})", allowed.join(", ")))
        .collect();
    // `super::` in a file directly under src reaches the root: the same dependency by another name.
    if !module.contains("::") && !path.ends_with("/mod.rs") {
        let own = |name: &str| code.contains(&format!("mod {name}"));
        problems.extend(
            names_after_super(&code)
                .into_iter()
                .filter(|n| known.contains(n.as_str()) && !own(n))
                .map(|n| format!("{path}: write crate::{n} instead of super::{n}, so that the dependency can be seen")),
        );
    }
    problems
}

/// What is wrong with one file of Rust, whoever it depends on.
fn file_problems(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") {
        problems.push(format!("{path}: does not begin with //! (what the module owns, and what it never does)"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{path}: {lines} lines; split it by subject (limit {MAX_LINES}, aim at 100 to 300)"));
    }
    for part in module_of(path).split("::").filter(|p| EMPTY_NAMES.contains(p)) {
        problems.push(format!("{path}: \"{part}\" says nothing: name the module after what it is for"));
    }
    let source = Source::of(text);
    for (word, instead) in FORBIDDEN.iter().filter(|(word, _)| source.code.contains(word)) {
        problems.push(format!("{path}: {word} is not used here; {instead}"));
    }
    for word in ["TODO", "FIXME", "XXX"].iter().filter(|w| source.comments.contains(**w)) {
        problems.push(format!("{path}: a comment says {word}: do it, or open an issue and say in words what is missing"));
    }
    problems
}

/// Names at the top level that do not belong there.
fn layout_problems(names: &[String], ignored: &str) -> Vec<String> {
    let ignored: Vec<&str> = ignored.lines().filter_map(|l| l.strip_prefix('/')).collect();
    let is_ignored =
        |name: &str| ignored.iter().any(|i| i.strip_suffix('*').map_or(name == i.trim_end_matches('/'), |prefix| name.starts_with(prefix)));
    names
        .iter()
        .filter(|n| !TOP_LEVEL.contains(&n.as_str()) && !is_ignored(n))
        .map(|n| format!("{n}: nothing else belongs at the top level (TOP_LEVEL in tests/it/architecture.rs)"))
        .collect()
}

/// Every Rust file under a folder of the repository, by its path from the root.
fn rust_files(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn in_root(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn dependencies_go_one_way() {
    let mut problems = table_problems(MAY_USE);
    let files = rust_files("src");
    assert!(files.len() > 10, "the source was not found");
    for (path, text) in &files {
        problems.extend(dependency_problems(MAY_USE, path, text));
    }
    assert_none(&problems);
}

#[test]
fn files_are_short_named_and_say_what_they_are() {
    let files = rust_files("src").into_iter().chain(rust_files("tests"));
    let problems: Vec<String> = files.flat_map(|(path, text)| file_problems(&path, &text)).collect();
    assert_none(&problems);
}

#[test]
fn the_top_level_holds_nothing_else() {
    let names: Vec<String> = std::fs::read_dir(in_root("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_none(&layout_problems(&names, &std::fs::read_to_string(in_root(".gitignore")).unwrap()));
}

#[test]
fn the_code_map_names_every_module() {
    let map = std::fs::read_to_string(in_root("ARCHITECTURE.md")).unwrap();
    let missing: BTreeSet<String> = rust_files("src")
        .keys()
        .map(|path| top(&module_of(path)).to_owned())
        .filter(|m| !["lib", "main"].contains(&m.as_str()) && !map.contains(&format!("| `{m}` |")))
        .map(|m| format!("ARCHITECTURE.md: the code map has no row | `{m}` |"))
        .collect();
    assert_none(&missing.into_iter().collect::<Vec<_>>());
}
