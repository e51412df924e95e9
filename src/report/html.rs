//! A page as one file of HTML without script and without anything from outside; it prints.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{latency, strip};
use super::page::{Block, Page, Part};
use super::stats::CheckStats;
use crate::evidence::time_text;
use crate::soak::seconds;

const STYLE: &str = "
body { font: 14px/1.45 system-ui, sans-serif; color: #1b1f24; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-top: 1px solid #c8ccd2; padding-top: 1rem; } h3 { font-size: 1rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; margin: .6rem 0; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .2rem .5rem; border-bottom: 1px solid #e3e6ea; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } code { font: 12px/1.4 ui-monospace, monospace; word-break: break-all; }
.state { font-weight: 600; } .go, .met, .ready_for_handoff, .closed { color: #116329; } .no_go, .not-met, .not_ready, .open { color: #a40e26; } .not_yet, .waived, .undecided { color: #7d4e00; } .answer { font-size: 1.3rem; font-weight: 600; }
.axis { font: 10px system-ui, sans-serif; fill: #57606a; color: #57606a; margin: .3rem 0 0; } .line { fill: none; stroke: #0550ae; stroke-width: 1.2; } svg { max-width: 100%; height: auto; display: block; }
.c-pass { fill: #6cc08b; } .c-some { fill: #f2cc60; } .c-many { fill: #e8833a; } .c-all { fill: #8b1a2b; } .c-none { fill: #fff; stroke: #8c959f; stroke-dasharray: 2 2; } .c-off { fill: #d0d7de; }
.key span { display: inline-block; margin-right: 1rem; } .key svg { display: inline; vertical-align: -2px; }
@media print { body { max-width: none; margin: 0; font-size: 11px; } h2 { break-before: auto; } table, svg { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
";

/// The page as HTML.
pub fn html(page: &Page) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (page.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (page.title) }
                @for block in &page.blocks { (self::block(block)) }
            }
        }
    };
    page.into_string() + "\n"
}

fn block(block: &Block) -> Markup {
    html! {
        @match block {
            Block::Heading(2, text) => h2 { (text) },
            Block::Heading(_, text) => h3 { (text) },
            Block::Text(text) => p { (parts(text)) },
            Block::List(lines) => ul { @for line in lines { li { (parts(line)) } } },
            Block::Table(head, rows) => div.table { table {
                thead { tr { @for h in head { th class=[is_number(h)] scope="col" { (h.trim_start_matches('#')) } } } }
                tbody { @for row in rows { tr {
                    @for (n, cell) in row.iter().enumerate() { td class=[head.get(n).and_then(|h| is_number(h))] { (parts(cell)) } }
                } } }
            } },
            Block::Hours(stats) => (hours(stats)),
            Block::Legend => (legend()),
        }
    }
}

fn is_number(head: &str) -> Option<&'static str> {
    head.starts_with('#').then_some("n")
}

fn parts(all: &[Part]) -> Markup {
    html! {
        @for part in all {
            @match part {
                Part::Plain(text) => (text),
                Part::Strong(text) => strong { (text) },
                Part::State(text) => span class=(format!("state {}", text.replace(' ', "-"))) { (text) },
                Part::Answer(text) => span class=(format!("answer {text}")) { (text) },
                Part::Code(text) => code { (text) },
                // An address that is something else than that is only shown.
                Part::Link(url) if url.starts_with("https://") || url.starts_with("http://") => a href=(url) rel="noreferrer noopener" { (url) },
                Part::Link(url) => (url),
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        p class="key" {
            @for (class, words) in [("c-pass", "all passed"), ("c-some", "under 10 % did not"), ("c-many", "10 % or more did not"), ("c-all", "none passed"), ("c-none", "none ran"), ("c-off", "not due")] {
                span { svg width="12" height="12" { rect width="12" height="12" class=(class) {} } " " (words) }
            }
        }
    }
}

fn hours(stats: &CheckStats) -> Markup {
    html! {
        h3 { (stats.check) }
        (strip(stats))
        @if stats.hours.iter().any(|h| h.p95.is_some()) { p class="axis" { "95 % of an hour's passed runs took no longer:" } }
        (latency(stats))
        @if !stats.outages.is_empty() {
            ul {
                @for (from, ms, n) in &stats.outages {
                    li { "outage of " (seconds(*ms as f64 / 1000.0)) " from " (time_text(*from)) " on, " (n) " runs" }
                }
            }
        }
    }
}
