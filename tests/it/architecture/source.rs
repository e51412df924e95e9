//! Reads Rust source far enough to see what it refers to: takes comments, strings and test code out, finds paths that start at the crate's root.
//!
//! Knows nothing of the project's rules. Not a parser: it relies on the code compiling and being formatted.

use std::collections::BTreeSet;

/// A file's text, taken apart.
pub(super) struct Source {
    /// The code alone: comments gone, contents of strings and characters blanked.
    pub(super) code: String,
    /// The text of all comments, a line each.
    pub(super) comments: String,
}

impl Source {
    pub(super) fn of(text: &str) -> Self {
        let mut source = Self { code: String::with_capacity(text.len()), comments: String::new() };
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken = if rest.starts_with("//") {
                let end = rest.find('\n').unwrap_or(rest.len());
                source.comment(&rest[..end]);
                end
            } else if rest.starts_with("/*") {
                let end = block_comment(rest);
                source.comment(&rest[..end]);
                source.code.push(' ');
                end
            } else if let Some(end) = raw_string(rest).filter(|_| !source.in_word()) {
                source.code.push_str("\"\"");
                end
            } else if c == '"' {
                source.code.push_str("\"\"");
                quoted(rest, '"')
            } else if c == '\'' && is_char(rest) {
                source.code.push_str("' '");
                quoted(rest, '\'')
            } else {
                source.code.push(c);
                c.len_utf8()
            };
            rest = &rest[taken..];
        }
        source
    }

    fn comment(&mut self, text: &str) {
        self.comments.push_str(text);
        self.comments.push('\n');
    }

    /// Whether the code so far ends inside a word, so that an `r` belongs to that word.
    fn in_word(&self) -> bool {
        self.code.ends_with(is_word)
    }

    /// The code without what is compiled for tests only: every item after `#[cfg(test)]`.
    pub(super) fn without_tests(&self) -> String {
        const MARK: &str = "#[cfg(test)]";
        let mut out = String::new();
        let mut rest = self.code.as_str();
        while let Some(at) = rest.find(MARK) {
            out.push_str(&rest[..at]);
            rest = &rest[at + MARK.len()..];
            rest = &rest[item_end(rest)..];
        }
        out + rest
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the block comment (they nest) that `text` starts with.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0usize);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the raw string that `text` starts with, if it does.
fn raw_string(text: &str) -> Option<usize> {
    let open = ["r", "br", "cr"].iter().find_map(|p| text.strip_prefix(p).filter(|t| t.starts_with(['"', '#'])))?;
    let hashes = open.len() - open.trim_start_matches('#').len();
    let body = open[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |n| n + close.len());
    Some(text.len() - body.len() + end)
}

/// The length of the quoted literal that `text` starts with.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (n, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return n + c.len_utf8();
        }
    }
    text.len()
}

/// Whether the `'` that `text` starts with opens a character (and not a lifetime).
fn is_char(text: &str) -> bool {
    let mut c = text.chars().skip(1);
    matches!((c.next(), c.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

/// Where the item that `text` starts with ends: at its `;`, or at the brace that closes its body.
fn item_end(text: &str) -> usize {
    let mut depth = 0usize;
    for (n, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    return n + 1;
                }
            }
            ';' if depth == 0 => return n + 1,
            _ => {}
        }
    }
    text.len()
}

/// Every path in `code` that starts with `root::` (`crate`, or the crate's name), without the root: `config::model::Config`. Braces are
/// written out, `as` and `*` are left off.
pub(super) fn paths_from(code: &str, root: &str) -> Vec<String> {
    let start = format!("{root}::");
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&start) {
        if !code[..at].ends_with(is_word) {
            tree(&mut code[at + start.len()..].chars().peekable(), "", &mut found);
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Reads one use tree after `prefix`: `a::b`, `a::{b, c::d}`, `a::*`, `a as b`.
fn tree(text: &mut std::iter::Peekable<std::str::Chars<'_>>, prefix: &str, found: &mut Vec<String>) {
    let mut path = prefix.to_owned();
    loop {
        while text.next_if(|c| c.is_whitespace()).is_some() {}
        let mut word = String::new();
        while let Some(c) = text.next_if(|c| is_word(*c)) {
            word.push(c);
        }
        if !word.is_empty() && word != "self" {
            let colons = if path.is_empty() { "" } else { "::" };
            path = format!("{path}{colons}{word}");
        }
        match text.peek() {
            Some('{') => {
                text.next();
                return branches(text, &path, found);
            }
            Some(':') => {
                text.next();
                if text.next_if_eq(&':').is_none() {
                    break;
                }
            }
            _ => break,
        }
    }
    if !path.is_empty() {
        found.push(path);
    }
}

/// Reads the branches of a use tree up to its closing brace.
fn branches(text: &mut std::iter::Peekable<std::str::Chars<'_>>, path: &str, found: &mut Vec<String>) {
    loop {
        tree(text, path, found);
        // What is left of this branch: `as name`, `*`, spaces.
        while text.next_if(|c| !matches!(c, ',' | '}')).is_some() {}
        if text.next() != Some(',') {
            return;
        }
        while text.next_if(|c| c.is_whitespace()).is_some() {}
        if text.next_if_eq(&'}').is_some() {
            return;
        }
    }
}

/// The names that follow `super::` (once or more often) in `code`.
pub(super) fn names_after_super(code: &str) -> BTreeSet<String> {
    paths_from(code, "super").iter().filter_map(|p| p.split("::").find(|w| *w != "super")).map(str::to_owned).collect()
}

#[test]
fn comments_strings_and_characters_are_not_code() {
    let text = r####"
//! crate::docs
use crate::a; // crate::b
/* crate::c /* crate::d */ crate::e */
let s = "crate::f \" crate::g"; let r = r#"crate::h " crate::i"#; let c = '"'; let l: &'static str = x; let d = '\''; crate::j::k();
let bar"#" = 1;
"####;
    let source = Source::of(text);
    assert_eq!(paths_from(&source.code, "crate"), ["a", "j::k"]);
    for said in ["crate::docs", "crate::b", "crate::e"] {
        assert!(source.comments.contains(said), "{said} is in a comment");
    }
}

#[test]
fn use_trees_are_written_out() {
    let code = "use crate::{a, b::{self, c as d, e::*}, f::{g::{h}, i,},};\npub(crate) fn x() -> crate::j::K<crate::l::M> { $crate::n!() }\nmycrate::o();";
    assert_eq!(paths_from(code, "crate"), ["a", "b", "b::c", "b::e", "f::g::h", "f::i", "j::K", "l::M", "n"]);
    let names: Vec<String> = names_after_super("use super::super::a::b; use super::{c, d};").into_iter().collect();
    assert_eq!(names, ["a", "c", "d"]);
}

#[test]
fn test_code_is_left_out() {
    let text = "use crate::a;\n#[cfg(test)]\nuse crate::b;\n#[cfg(test)]\nmod tests {\n fn f() { let x = [1; 2]; crate::c::d(); }\n}\nuse crate::e;";
    assert_eq!(paths_from(&Source::of(text).without_tests(), "crate"), ["a", "e"]);
}
