//! `report.md`: the report for people who read plain text.

use std::fmt::{self, Write};

use super::{COMMAND, CheckStats, HourCell, Report, VERIFY, cell, met, said};
use crate::clock::{HOUR_MS, UnixMs};
use crate::evidence::time_text;
use crate::readiness::{Case, SoakCase};
use crate::soak::Shown;
use crate::soak::gate::Passage;
use crate::soak::seconds;

/// The report as Markdown.
pub fn markdown(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing to a text can't fail.
    let _ = write(&mut out, report);
    out
}

/// A text that can't be taken for markup.
fn md(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_control() => out.push(' '),
            // Inside of a word it is nothing but itself.
            '_' if out.ends_with(char::is_alphanumeric) && chars.peek().is_some_and(|c| c.is_alphanumeric()) => out.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&' | '~' | '!' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

fn row(out: &mut String, cells: &[String]) -> fmt::Result {
    writeln!(out, "| {} |", cells.join(" | "))
}

fn head(out: &mut String, cells: &[&str]) -> fmt::Result {
    writeln!(out, "| {} |\n|{}", cells.join(" | "), " --- |".repeat(cells.len()))
}

fn write(out: &mut String, report: &Report<'_>) -> fmt::Result {
    let (document, given, gate) = (report.document, &report.document.given, report.gate);
    writeln!(out, "# Readiness evidence: {}/{}\n", given.customer, given.environment)?;
    writeln!(out, "**{}** as of {}\n", gate.answer, time_text(given.as_of))?;
    gate.reasons.iter().try_for_each(|reason| writeln!(out, "- {}", md(reason)))?;
    if let Some(earliest) = &gate.earliest {
        writeln!(out, "- can be `go` at the earliest: {}", md(earliest))?;
    }
    writeln!(
        out,
        "\n{} `{}`, configuration `{}`, {} runs and spans, {} slots.\n",
        document.program.name, document.program.version, given.config_hash, document.runs.lines, document.runs.slots
    )?;
    writeln!(out, "{VERIFY} `{COMMAND}`.\n")?;
    for (case, passage) in given.integrations.iter().zip(&gate.integrations) {
        integration(out, case, passage, report.stats)?;
    }
    log(out, report)
}

fn integration(out: &mut String, case: &Case, passage: &Passage, stats: &[CheckStats]) -> fmt::Result {
    writeln!(out, "## {}\n", case.integration)?;
    writeln!(out, "{} · owner {} · criticality {} · gate **{}**\n", md(&case.name), case.owner, case.criticality, passage.answer)?;
    passage.reasons.iter().try_for_each(|reason| writeln!(out, "- {}", md(reason)))?;
    let (Some(soak), Some(shown)) = (&case.soak, &passage.soak) else { return writeln!(out) };
    writeln!(out, "\nVerdict **{}**, window {} to {}.\n", shown.verdict, shown.window.start, shown.window.end)?;
    criteria(out, shown)?;
    counts(out, shown)?;
    for check in &soak.checks {
        if let Some(s) = stats.iter().find(|s| s.check == check.check) {
            hours(out, s)?;
        }
    }
    decisions(out, soak)
}

fn criteria(out: &mut String, shown: &Shown) -> fmt::Result {
    head(out, &["criterion", "asked for", "observed", "", "why"])?;
    for c in &shown.criteria {
        let state = if c.waived.is_some() { "waived" } else { met(c.met) };
        row(out, &[c.name.clone(), cell(&c.threshold), cell(&c.observed), state.to_owned(), c.reason.clone()].map(|t| md(&t)))?;
    }
    writeln!(out)
}

fn counts(out: &mut String, shown: &Shown) -> fmt::Result {
    head(out, &["check", "", "due", "pass", "fail", "throttled", "unknown", "skipped"])?;
    for c in &shown.checks {
        for (word, n) in [("recorded", &c.counts), ("judged", &c.adjusted)] {
            let numbers = [n.due, n.pass, n.fail, n.throttled, n.unknown, n.skipped].map(|n| n.to_string());
            let word = if c.judged { word } else { "not judged" };
            row(out, &[[md(&c.check), word.to_owned()].as_slice(), &numbers].concat())?;
        }
    }
    writeln!(out)
}

/// A line a day, a letter an hour.
fn hours(out: &mut String, stats: &CheckStats) -> fmt::Result {
    writeln!(
        out,
        "`{}`, a letter an hour: `.` all passed, `o` some did not, `X` none passed, `-` none ran, `m` not due\n\n```",
        stats.check
    )?;
    let mut day = i64::MIN;
    for h in &stats.hours {
        if h.hour.div_euclid(24) != day {
            if day > i64::MIN {
                writeln!(out)?;
            }
            day = h.hour.div_euclid(24);
            let date: String = time_text(UnixMs(h.hour * HOUR_MS)).chars().take(10).collect();
            write!(out, "{date} {}", " ".repeat(usize::try_from(h.hour.rem_euclid(24)).unwrap_or(0)))?;
        }
        out.push(letter(h));
    }
    writeln!(out, "\n```\n")?;
    for (from, ms, n) in &stats.outages {
        writeln!(out, "- outage of {} from {} on, {n} runs", seconds(*ms as f64 / 1000.0), time_text(*from))?;
    }
    writeln!(out)
}

fn letter(h: &HourCell) -> char {
    match (h.pass, h.bad, h.missing) {
        (0, 0, 0) => 'm',
        (0, 0, _) => '-',
        (_, 0, _) => '.',
        (0, _, _) => 'X',
        _ => 'o',
    }
}

fn decisions(out: &mut String, soak: &SoakCase) -> fmt::Result {
    let decided: Vec<[String; 4]> = super::html::decisions(soak);
    if decided.is_empty() {
        return Ok(());
    }
    head(out, &["decision", "what", "who", "until"])?;
    decided.iter().try_for_each(|cells| row(out, &cells.clone().map(|t| md(&t))))?;
    writeln!(out)
}

fn log(out: &mut String, report: &Report<'_>) -> fmt::Result {
    let log = &report.document.log;
    writeln!(
        out,
        "## Evidence log\n\n{} records, of which those below concern this environment. Head of the chain: `{}`\n",
        log.records.len(),
        log.head
    )?;
    head(out, &["", "time", "kind", "integration", "by", "says"])?;
    for r in log.own() {
        let whose = r.integration.clone().unwrap_or_default();
        row(out, &[r.seq.to_string(), r.at.clone(), r.kind.clone(), whose, r.actor.clone(), said(&r.body)].map(|t| md(&t)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_people_are_no_markup() {
        assert_eq!(md("uat_signoff _x_ a|b <b> [l](u) `c` \u{7}&amp;"), "uat_signoff \\_x\\_ a\\|b \\<b\\> \\[l\\](u) \\`c\\`  \\&amp;");
    }
}
