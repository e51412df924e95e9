//! As much of PromQL as the tests of dashboards need: which metrics an expression names, with which labels, over which ranges, and its text once Grafana has
//! put in what it knows. Whether it is PromQL at all, promtool and Prometheus say.

use std::collections::BTreeSet;

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Metrics, each with the labels that select on it.
    pub(super) metrics: Vec<(String, BTreeSet<String>)>,
    /// Labels of `by`, `on` and their like.
    pub(super) grouped: BTreeSet<String>,
}

const KEYWORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"];
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Words and single characters; strings and ranges are left out.
fn tokens(expr: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = expr;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                end.map_or(rest.len(), |n| n + 2)
            }
            '[' => rest.find(']').map_or(rest.len(), |n| n + 1),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let token = &rest[..length];
        if !token.starts_with(['"', '[']) && !token.trim().is_empty() {
            out.push(token.to_owned());
        }
        rest = &rest[length..];
    }
    out
}

/// The metrics and labels of an expression.
pub(super) fn names(expr: &str) -> Names {
    let tokens = tokens(expr);
    let mut names = Names::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1).map(String::as_str);
        at += 1;
        if !token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || KEYWORDS.contains(&token.as_str()) {
            continue;
        }
        let closing = |close: &str| tokens[at..].iter().position(|t| t == close).map_or(tokens.len(), |n| at + n);
        let word = |t: &&String| t.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if GROUPING.contains(&token.as_str()) {
            if next == Some("(") {
                let end = closing(")");
                names.grouped.extend(tokens[at..end].iter().filter(word).cloned());
                at = end;
            }
        } else if next == Some("{") {
            let end = closing("}");
            names.metrics.push((token.clone(), tokens[at..end].iter().filter(word).cloned().collect()));
            at = end;
        } else if next != Some("(") {
            // A function stands before its bracket, or before `by`.
            if !next.is_some_and(|n| ["by", "without"].contains(&n)) {
                names.metrics.push((token.clone(), BTreeSet::new()));
            }
        }
    }
    names
}

/// Each range with the function it stands in: `rate(x[5m])` is `("rate", "5m")`.
pub(super) fn ranges(expr: &str) -> Vec<(String, String)> {
    let before = |text: &str| {
        // The innermost bracket that is open here, and the word before it.
        let mut depth = 0;
        let open = text.char_indices().rev().find(|(_, c)| {
            depth += i32::from(*c == ')') - i32::from(*c == '(');
            depth < 0
        });
        let head = open.map_or("", |(n, _)| text[..n].trim_end());
        head[head.rfind(|c| !is_word(c)).map_or(0, |n| n + 1)..].to_owned()
    };
    let opens = expr.match_indices('[');
    opens.map(|(n, _)| (before(&expr[..n]), expr[n + 1..].split(']').next().unwrap_or_default().to_owned())).collect()
}

/// The names behind every `$name` and `${name}`; `${__field.labels.x}` is `__field`.
pub(super) fn variables(text: &str) -> BTreeSet<String> {
    let behind = text.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
    behind.map(|rest| rest[..rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len())].to_owned()).collect()
}

/// What Grafana would send: every variable at All, ranges of `range`.
pub(super) fn filled_in(expr: &str, range: &str) -> String {
    let mut text = expr.to_owned();
    for name in variables(expr) {
        let value = if name.starts_with("__") { range } else { ".*" };
        text = text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
    }
    text
}

/// The parts of `label_values(SELECTOR, LABEL)`.
pub(super) fn label_values(query: &str) -> Option<(&str, &str)> {
    query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(", ")
}

#[test]
fn expressions_are_taken_apart() {
    let expr = "sum by (check, le) (rate(a_total{x=~\"$x\", y!=\"b{c}\\\"d\"}[$__rate_interval])) / on (z) group_left () b:c:d5m > bool 0 or vector(0)";
    let set = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<String>>();
    let found = names(expr);
    assert_eq!(found.metrics, [("a_total".to_owned(), set(&["x", "y"])), ("b:c:d5m".to_owned(), set(&[]))]);
    assert_eq!(found.grouped, set(&["check", "le", "z"]));
    assert_eq!(ranges(expr), [("rate".to_owned(), "$__rate_interval".to_owned())]);
    assert_eq!(ranges("max_over_time((sum(x) or f(y))[7d:1h])"), [("max_over_time".to_owned(), "7d:1h".to_owned())]);
    assert_eq!(filled_in("rate(a{b=~\"$b\",c=~\"${c}\"}[$__rate_interval])", "1m"), "rate(a{b=~\".*\",c=~\".*\"}[1m])");
    assert_eq!(label_values("label_values(a{b=\"c\"}, d)"), Some(("a{b=\"c\"}", "d")));
}
