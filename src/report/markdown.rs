//! A page as Markdown, for people who read plain text.

use std::fmt::{self, Write};

use super::page::{Block, Page, Part};
use super::stats::{CheckStats, HourCell};
use crate::clock::{HOUR_MS, UnixMs};
use crate::evidence::time_text;
use crate::soak::seconds;

/// The page as Markdown.
pub fn markdown(page: &Page) -> String {
    let mut out = String::new();
    // Writing to a text can't fail.
    let _ = write(&mut out, page);
    format!("{}\n", out.trim_end())
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

fn parts(all: &[Part]) -> String {
    let part = |p: &Part| match p {
        Part::Plain(text) => md(text),
        Part::State(text) | Part::Strong(text) | Part::Answer(text) => format!("**{}**", md(text)),
        // Nothing ends it early, and no table's cell either.
        Part::Code(text) => format!("`{}`", text.replace(['`', '|'], "'").replace(char::is_control, " ")),
        Part::Link(url) => format!("<{}>", url.replace(['<', '>', '|'], "").replace(char::is_whitespace, "")),
    };
    all.iter().map(part).collect()
}

fn write(out: &mut String, page: &Page) -> fmt::Result {
    writeln!(out, "# {}\n", md(&page.title))?;
    for block in &page.blocks {
        match block {
            Block::Heading(level, text) => writeln!(out, "{} {}\n", "#".repeat(usize::from(*level)), md(text))?,
            Block::Text(text) => writeln!(out, "{}\n", parts(text))?,
            Block::List(lines) => {
                lines.iter().try_for_each(|line| writeln!(out, "- {}", parts(line)))?;
                writeln!(out)?;
            }
            Block::Table(head, rows) => {
                let head: Vec<&str> = head.iter().map(|h| h.trim_start_matches('#')).collect();
                writeln!(out, "| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()))?;
                for row in rows {
                    writeln!(out, "| {} |", row.iter().map(|cell| parts(cell)).collect::<Vec<_>>().join(" | "))?;
                }
                writeln!(out)?;
            }
            Block::Hours(stats) => hours(out, stats)?,
            // Letters need none.
            Block::Legend => {}
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_people_are_no_markup() {
        assert_eq!(md("uat_signoff _x_ a|b <b> [l](u) `c` \u{7}&amp;"), "uat_signoff \\_x\\_ a\\|b \\<b\\> \\[l\\](u) \\`c\\`  \\&amp;");
        let hostile = [Part::Code("a`|b\n".into()), Part::Link("https://x/<a>|b c".into())];
        assert_eq!(parts(&hostile), "`a''b `<https://x/abc>");
    }
}
