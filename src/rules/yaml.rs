//! Writes rules as a rule file of Prometheus. Only what such a file needs of YAML: expressions as literal blocks, all other text in single quotes.

use std::fmt::Write as _;

use super::text::{Bases, annotations, labels};
use super::{Alert, Group, Record, Scale};

const HEAD: &str = "# Recording rules and alerts of Soakwatch, for Prometheus 2.42 or later. Made by `soakwatch rules`: change the tables in src/rules,\n\
                    # not this file. What each means and what to do stands in docs/alerts.md and docs/runbooks.\n";

/// The whole file.
pub fn written(groups: &[Group], scale: Scale, bases: &Bases) -> String {
    let mut out = format!("{HEAD}groups:\n");
    for group in groups {
        // Writing to a String can't fail.
        let _ = write!(out, "- name: {}\n  interval: {}\n  rules:\n", group.name, scale.span(group.interval));
        group.records.iter().for_each(|r| record(&mut out, r));
        group.alerts.iter().for_each(|a| alert(&mut out, a, scale, bases));
    }
    out
}

fn record(out: &mut String, record: &Record) {
    let _ = writeln!(out, "  - record: {}", record.name);
    expression(out, &record.expr);
}

fn alert(out: &mut String, alert: &Alert, scale: Scale, bases: &Bases) {
    let _ = writeln!(out, "  - alert: {}", alert.name);
    expression(out, &alert.expr);
    for (key, seconds) in [("for", alert.wait), ("keep_firing_for", alert.keep)] {
        if let Some(seconds) = seconds {
            let _ = writeln!(out, "    {key}: {}", scale.span(seconds));
        }
    }
    for (key, pairs) in [("labels", labels(alert)), ("annotations", annotations(alert, bases))] {
        let _ = writeln!(out, "    {key}:");
        for (name, value) in pairs {
            let _ = writeln!(out, "      {name}: {}", quoted(&value));
        }
    }
}

fn expression(out: &mut String, expr: &str) {
    if expr.contains('\n') {
        let _ = writeln!(out, "    expr: |-\n      {}", expr.replace('\n', "\n      "));
    } else {
        let _ = writeln!(out, "    expr: {}", quoted(expr));
    }
}

/// Plain where it is one word, quoted otherwise. Single quotes keep what is within as it is.
fn quoted(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_alphanumeric()) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}
