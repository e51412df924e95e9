//! A verdict for people, as a table: one line a criterion, with what was asked for, what was seen, and why.

use std::fmt::Write as _;

use super::columns::aligned;
use crate::explain::plain;
use crate::soak::{Shown, ShownCounts, ShownRow};

/// The verdict's lines, without an end of line after the last.
pub(super) fn table(shown: &Shown) -> String {
    let mut out = format!("verdict: {}", shown.verdict);
    if let Some(at) = &shown.doomed_at {
        let _ = write!(out, " (could not pass any more from {at} on)");
    }
    let _ = writeln!(out, "\nwindow:  {} to {}\n", shown.window.start, shown.window.end);
    out.push_str(&criteria(shown, ""));
    let _ = writeln!(out, "\n{}", counts(&shown.counts));
    if shown.excluded > 0 {
        let _ = writeln!(out, "{} slots were excluded; without them: {}", shown.excluded, counts(&shown.adjusted));
    }
    let b = &shown.budget;
    let _ = write!(out, "budget: {} of {} tolerable failures used, {} left", b.used, b.allowed, b.left);
    if !shown.missing.is_empty() {
        let _ = write!(out, "\nto pass it lacks:");
        for words in &shown.missing {
            let _ = write!(out, "\n  - {words}");
        }
    }
    if let Some(at) = shown.earliest_pass.as_ref().filter(|_| !shown.missing.is_empty()) {
        let _ = write!(out, "\nit can pass at the earliest at {at}");
    }
    out
}

/// One line a criterion.
pub(super) fn criteria(shown: &Shown, indent: &str) -> String {
    let head = ["criterion", "asked for", "observed", "met", "why"].map(str::to_owned);
    let lines: Vec<[String; 5]> = std::iter::once(head).chain(shown.criteria.iter().map(line)).collect();
    aligned(&lines, indent)
}

fn line(row: &ShownRow) -> [String; 5] {
    let met = match (row.met, &row.waived) {
        (_, Some(_)) => "waived",
        (Some(true), _) => "yes",
        (Some(false), _) => "no",
        (None, _) => "-",
    };
    [plain(&row.name), row.asked(), plain(&row.seen()), met.to_owned(), plain(&row.reason)]
}

/// Slots by outcome.
pub(super) fn counts(c: &ShownCounts) -> String {
    format!("due {}: pass {}, fail {}, throttled {}, unknown {}, skipped {}", c.due, c.pass, c.fail, c.throttled, c.unknown, c.skipped)
}
