//! `report.html`: the report as one page without script and without anything from outside; it prints.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{latency, strip};
use super::{COMMAND, CheckStats, Report, VERIFY, cell, met, said};
use crate::evidence::time_text;
use crate::readiness::{Case, SoakCase};
use crate::soak::gate::Passage;
use crate::soak::{Shown, seconds};

const STYLE: &str = "
body { font: 14px/1.45 system-ui, sans-serif; color: #1b1f24; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-top: 1px solid #c8ccd2; padding-top: 1rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; margin: .6rem 0; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .2rem .5rem; border-bottom: 1px solid #e3e6ea; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } code { font: 12px/1.4 ui-monospace, monospace; word-break: break-all; }
.go, .met { color: #116329; } .no_go, .not-met { color: #a40e26; } .not_yet, .open, .waived { color: #7d4e00; } .answer { font-size: 1.3rem; font-weight: 600; }
.axis { font: 10px system-ui, sans-serif; fill: #57606a; color: #57606a; margin: .3rem 0 0; } .line { fill: none; stroke: #0550ae; stroke-width: 1.2; } svg { max-width: 100%; height: auto; display: block; }
.c-pass { fill: #6cc08b; } .c-some { fill: #f2cc60; } .c-many { fill: #e8833a; } .c-all { fill: #8b1a2b; } .c-none { fill: #fff; stroke: #8c959f; stroke-dasharray: 2 2; } .c-off { fill: #d0d7de; }
.key span { display: inline-block; margin-right: 1rem; } .key svg { display: inline; vertical-align: -2px; }
@media print { body { max-width: none; margin: 0; font-size: 11px; } h2 { break-before: auto; } table, svg { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
";

/// The report as HTML.
pub fn html(report: &Report<'_>) -> String {
    let (document, given, gate) = (report.document, &report.document.given, report.gate);
    let title = format!("Readiness evidence: {}/{}", given.customer, given.environment);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p { span class=(format!("answer {}", gate.answer)) { (gate.answer) } " as of " (time_text(given.as_of)) }
                @if !gate.reasons.is_empty() || gate.earliest.is_some() {
                    ul {
                        @for reason in &gate.reasons { li { (reason) } }
                        @if let Some(earliest) = &gate.earliest { li { "can be go at the earliest: " (earliest) } }
                    }
                }
                p {
                    (document.program.name) " " (document.program.version) ", configuration " code { (given.config_hash) } ", "
                    (document.runs.lines) " runs and spans, " (document.runs.slots) " slots."
                }
                p { (VERIFY) " " code { (COMMAND) } "." }
                p class="key" {
                    @for (class, words) in [("c-pass", "all passed"), ("c-some", "under 10 % did not"), ("c-many", "10 % or more did not"), ("c-all", "none passed"), ("c-none", "none ran"), ("c-off", "not due")] {
                        span { svg width="12" height="12" { rect width="12" height="12" class=(class) {} } " " (words) }
                    }
                }
                @for (case, passage) in given.integrations.iter().zip(&gate.integrations) { (integration(case, passage, report.stats)) }
                (log(report))
            }
        }
    };
    page.into_string() + "\n"
}

fn integration(case: &Case, passage: &Passage, stats: &[CheckStats]) -> Markup {
    html! {
        h2 { (case.integration) }
        p { (case.name) " · owner " (case.owner) " · criticality " (case.criticality) " · gate " strong class=(passage.answer) { (passage.answer) } }
        @if !passage.reasons.is_empty() { ul { @for reason in &passage.reasons { li { (reason) } } } }
        @if let (Some(soak), Some(shown)) = (&case.soak, &passage.soak) {
            p { "Verdict " strong { (shown.verdict) } ", window " (shown.window.start) " to " (shown.window.end) "." }
            (criteria(shown))
            (counts(shown))
            @for check in &soak.checks {
                @if let Some(s) = stats.iter().find(|s| s.check == check.check) { (hours(s)) }
            }
            (decided(soak))
        }
    }
}

fn criteria(shown: &Shown) -> Markup {
    html! {
        table {
            thead { tr { th { "criterion" } th { "asked for" } th { "observed" } th { } th { "why" } } }
            tbody {
                @for c in &shown.criteria {
                    @let state = if c.waived.is_some() { "waived" } else { met(c.met) };
                    tr { td { (c.name) } td { (cell(&c.threshold)) } td { (cell(&c.observed)) } td class=(state.replace(' ', "-").replace('–', "open")) { (state) } td { (c.reason) } }
                }
            }
        }
    }
}

fn counts(shown: &Shown) -> Markup {
    html! {
        table {
            thead { tr { th { "check" } th { } @for word in ["due", "pass", "fail", "throttled", "unknown", "skipped"] { th class="n" { (word) } } } }
            tbody {
                @for c in &shown.checks {
                    @for (word, n) in [("recorded", &c.counts), ("judged", &c.adjusted)] {
                        tr {
                            td { (c.check) }
                            td { (if c.judged { word } else { "not judged" }) }
                            @for n in [n.due, n.pass, n.fail, n.throttled, n.unknown, n.skipped] { td class="n" { (n) } }
                        }
                    }
                }
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

/// What people decided: what, in words, who, until when.
pub(super) fn decisions(soak: &SoakCase) -> Vec<[String; 4]> {
    let span = |from, to| format!("{} to {}", time_text(from), time_text(to));
    let waivers = soak
        .waivers
        .iter()
        .map(|w| ["waiver".to_owned(), format!("{}: {}", w.criterion, w.reason), w.approver.clone(), time_text(w.until)]);
    let attestations = soak.attestations.iter().map(|a| {
        let value = a.value.as_deref().unwrap_or("attested");
        let note = a.note.as_ref().map(|n| format!(" ({n})")).unwrap_or_default();
        [
            "attestation".to_owned(),
            format!("{}: {value}{note}, {}", a.name, time_text(a.at)),
            a.by.clone(),
            a.until.map(time_text).unwrap_or_default(),
        ]
    });
    let exclusions = soak.exclusions.iter().map(|x| {
        let whose = x.check.as_deref().unwrap_or("every check");
        ["exclusion".to_owned(), format!("{whose}, {}: {}", span(x.from, x.to), x.reason), x.by.clone(), String::new()]
    });
    let windows = soak
        .maintenance
        .iter()
        .map(|m| ["maintenance".to_owned(), format!("{}: {}", span(m.start, m.end), m.reason), m.by.clone(), String::new()]);
    waivers.chain(attestations).chain(exclusions).chain(windows).collect()
}

fn decided(soak: &SoakCase) -> Markup {
    let all = decisions(soak);
    html! {
        @if !all.is_empty() {
            table {
                thead { tr { th { "decision" } th { "what" } th { "who" } th { "until" } } }
                tbody { @for cells in &all { tr { @for text in cells { td { (text) } } } } }
            }
        }
    }
}

fn log(report: &Report<'_>) -> Markup {
    let log = &report.document.log;
    html! {
        h2 { "Evidence log" }
        p { (log.records.len()) " records, of which those below concern this environment. Head of the chain: " code { (log.head) } }
        table {
            thead { tr { th class="n" { } th { "time" } th { "kind" } th { "integration" } th { "by" } th { "says" } } }
            tbody {
                @for r in log.own() {
                    tr { td class="n" { (r.seq) } td { (r.at) } td { (r.kind) } td { (r.integration.as_deref().unwrap_or_default()) } td { (r.actor) } td { (said(&r.body)) } }
                }
            }
        }
    }
}
