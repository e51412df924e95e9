//! The checks of the architecture, tried on planted violations: each must be able to fail.

use super::*;

/// A small table for the planted violations.
const PLANTED: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("config::model", &["clock"]),
    ("board", &["clock", "config::model"]),
    ("config", &["clock"]),
    ("server", &["board"]),
];

fn planted(path: &str, text: &str) -> String {
    dependency_problems(PLANTED, path, text).join("\n")
}

#[test]
fn a_planted_dependency_is_found() {
    for (path, text, found) in [
        ("src/clock.rs", "use crate::board::Board;", "src/clock.rs: clock may not use crate::board::Board"),
        ("src/clock.rs", "fn f(b: &crate::board::Board) {}", "may not use crate::board::Board"),
        ("src/clock.rs", "use crate::{server::{self, x}};", "may not use crate::server"),
        ("src/clock.rs", "use super::board::Board;", "write crate::board instead of super::board"),
        ("src/board.rs", "use crate::config::load;", "board may not use crate::config::load"),
        ("src/board.rs", "use crate::config::{self, model};", "board may not use crate::config ("),
        ("src/config/model.rs", "use crate::board::X;", "config::model may not use crate::board::X"),
        ("src/server/api/mod.rs", "use crate::clock::X;", "server may not use crate::clock::X"),
        ("src/board.rs", "fn f() { soakwatch::server::start() }", "board may not use crate::server::start"),
        ("src/gate.rs", "", "src/gate.rs: module gate is not in MAY_USE"),
    ] {
        assert!(planted(path, text).contains(found), "{path} with {text:?} gave: {:?}", planted(path, text));
    }
}

#[test]
fn an_allowed_dependency_is_not_reported() {
    for (path, text) in [
        ("src/board.rs", "use crate::clock::X; use crate::config::model::{A, B}; use crate::board::Y;"),
        ("src/board.rs", "use super::*; // crate::server\n#[cfg(test)]\nmod tests { use crate::server::X; }"),
        ("src/config/load.rs", "use crate::config::model::X; use super::model;"),
        ("src/clock.rs", "macro_rules! m { () => { $crate::clock::f() } }"),
        ("src/lib.rs", "pub mod server;"),
        ("src/board/tests.rs", "use crate::server::X;"),
    ] {
        assert_eq!(planted(path, text), "", "{path} with {text:?}");
    }
}

#[test]
fn a_table_with_a_dependency_upwards_is_found() {
    let upwards: &[(&str, &[&str])] = &[("clock", &["board"]), ("board", &["clock", "nowhere"])];
    assert_eq!(
        table_problems(upwards),
        [
            "MAY_USE: clock may not name board: its row does not stand above",
            "MAY_USE: board may not name nowhere: its row does not stand above"
        ]
    );
}

#[test]
fn a_planted_bad_file_is_found() {
    let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
    for (path, text, found) in [
        ("src/a.rs", "use x;", "does not begin with //!"),
        ("src/a.rs", long.as_str(), "601 lines"),
        ("src/server/util.rs", "//! x", "\"util\" says nothing"),
        ("src/helpers/mod.rs", "//! x", "\"helpers\" says nothing"),
        ("src/a.rs", "//! x\nlet c = mpsc::unbounded_channel();", "unbounded is not used here"),
        ("tests/it/a.rs", "//! x\n#[ignore = \"slow\"]", "#[ignore is not used here"),
        ("src/a.rs", "//! x\n#[allow(dead_code)]", "#[allow( is not used here"),
        ("src/a.rs", "//! x\n// TODO: later", "a comment says TODO"),
    ] {
        let problems = file_problems(path, text).join("\n");
        assert!(problems.contains(found), "{path} gave {problems:?}");
    }
    assert_eq!(file_problems("src/a.rs", "//! x\nlet s = \"unbounded TODO #[allow(\"; // unbounded\n"), Vec::<String>::new());
}

#[test]
fn a_stray_file_at_the_top_is_found() {
    let names = ["src", "target", "soakwatch.db-wal", "notes.txt"].map(str::to_owned);
    let problems = layout_problems(&names, "/target\n/soakwatch.db*\n");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("notes.txt: "), "{problems:?}");
}
