//! One integration's soak on the pages: the whole of it on the readiness page, the short section of the integration's own page, the word in its row.

use maud::{Markup, html};

use super::page::{clock_time, seconds as took, words};
use super::page_detail::fact;
use super::page_strip::strip;
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::config::model::SoakPolicy;
use crate::outcome::Phase;
use crate::readiness::{Passed, Soaks};
use crate::soak::gate::Answer;
use crate::soak::{Criterion, Ruling, Shown, ShownBudget, ShownCheck, ShownCounts, ShownRow, ShownSpan, Window, percent, seconds};

/// A verdict as symbol and word.
pub(super) fn verdict_badge(ruling: Ruling) -> Markup {
    let symbol = match ruling {
        Ruling::NotStarted => "○",
        Ruling::Running => "▸",
        Ruling::Doomed | Ruling::Failed => "✕",
        Ruling::Passed => "✓",
        Ruling::InsufficientEvidence => "?",
        Ruling::Stale => "◷",
        Ruling::Superseded => "↻",
    };
    html! { span class=(format!("badge v-{ruling}")) { i aria-hidden="true" { (symbol) } (words(ruling.as_str())) } }
}

/// A gate's answer as symbol and word.
pub(super) fn answer_badge(answer: Answer) -> Markup {
    let symbol = match answer {
        Answer::Go => "✓",
        Answer::NotYet => "…",
        Answer::NoGo => "✕",
    };
    html! { span class=(format!("badge a-{answer}")) { i aria-hidden="true" { (symbol) } (words(answer.as_str())) } }
}

/// The way to an environment's page, or to an integration's part of it. Ids are slugs and need no escaping.
pub(super) fn href(customer: &str, environment: &str, integration: Option<&str>) -> String {
    let part = integration.map(|i| format!("#{i}")).unwrap_or_default();
    format!("/readiness/{customer}/{environment}{part}")
}

/// A time as verdicts have it.
fn time_of(text: &str) -> Option<UnixMs> {
    text.parse::<jiff::Timestamp>().ok().map(UnixMs::from)
}

/// The same for people: `2026-11-21 22:10:05 UTC`.
pub(super) fn utc(text: &str) -> Markup {
    html! { time.nowrap datetime=(text) { (time_of(text).map_or_else(|| text.to_owned(), clock_time)) } }
}

/// A bar that is full to a share, and says so.
fn bar(share: f64, class: &str, label: &str) -> Markup {
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.rest x="0" y="0" width="100" height="8" {}
            rect class=(class) x="0" y="0" width=(format!("{:.2}", share.clamp(0.0, 1.0) * 100.0)) height="8" {}
        }
    }
}

/// How far the window has come.
pub(super) fn progress(shown: &Shown) -> Markup {
    html! {
        (bar(shown.progress, "done", &format!("{:.0} % of the window has passed", (shown.progress * 100.0).floor())))
        span.small {
            // Whole percents, cut: the bar shows the rest.
            (format!("{:.0} %", (shown.progress * 100.0).floor()))
            @if let Some(left) = shown.time_left_s { ", " (rough(left)) " left" }
        }
    }
}

/// Seconds that are left, in no smaller unit than matters: `4d23h`, `5h12m`.
fn rough(s: i64) -> String {
    let unit = if s >= 86_400 {
        3_600
    } else if s >= 3_600 {
        60
    } else {
        1
    };
    seconds((s / unit * unit) as f64)
}

/// What may still fail.
pub(super) fn budget(b: &ShownBudget) -> Markup {
    let words = format!("{} of {} failures used, {} left", b.used, b.allowed, b.left);
    let share = if b.allowed > 0 { b.used as f64 / b.allowed as f64 } else { f64::from(u8::from(b.used > 0)) };
    html! {
        (bar(share, if b.used > b.allowed { "over" } else { "used" }, &words))
        span.small class=[(b.used > b.allowed).then_some("low")] { (words) }
    }
}

/// When it can pass.
pub(super) fn earliest(shown: &Shown) -> Markup {
    html! {
        @match &shown.earliest_pass {
            _ if shown.verdict == Ruling::Passed => "it has passed",
            Some(at) => (utc(at)),
            None => span.none { "no time is known" },
        }
    }
}

/// What the readiness page knows of an integration.
pub(super) struct Part {
    pub(super) entry: IntegrationEntry,
    pub(super) passed: Passed,
}

/// All of it.
pub(super) fn card(part: &Part, now: UnixMs) -> Markup {
    let (def, passed) = (&part.entry.def, &part.passed);
    html! {
        section.card.pad.soak id=(def.id.integration()) aria-label=(def.name) {
            div.head {
                h2 { a href=(format!("/integrations/{}", def.id)) { (def.name) } }
                @if let Some(shown) = &passed.soak { (verdict_badge(shown.verdict)) }
                (answer_badge(passed.answer))
                span.tag { (part.entry.phase(now)) }
                span.soft.small { (def.id.integration()) ", " (def.criticality) ", owner " (def.owner) }
            }
            @match (&passed.soak, &def.soak) {
                (Some(shown), Some(policy)) => (soak(part, shown, policy, now)),
                _ => ul { @for reason in &passed.reasons { li { (reason) } } },
            }
        }
    }
}

fn soak(part: &Part, shown: &Shown, policy: &SoakPolicy, now: UnixMs) -> Markup {
    let frozen = matches!(part.entry.phase(now), Phase::Hypercare | Phase::Steady);
    let (attested, criteria): (Vec<&ShownRow>, Vec<&ShownRow>) = shown.criteria.iter().partition(|r| Criterion::parse(&r.name).is_none());
    html! {
        @if time_of(&shown.as_of).is_some_and(|at| at < now) {
            p.notice role="status" { "The runs are being counted again; this is the verdict of " (utc(&shown.as_of)) "." }
        }
        @if frozen { p { "Frozen at go-live, " (utc(&shown.window.end)) ": runs after it change nothing here." } }
        @if let Some(at) = &shown.doomed_at { p { span.low { "It could not pass any more" } " from the run of " (utc(at)) " on." } }
        @if let Some(silent) = &shown.silent { p { span.low { "Nothing heard" } " of " (silent.check) " since " (utc(&silent.since)) "." } }
        dl.facts {
            (fact("Window", &html! { (utc(&shown.window.start)) " to " (utc(&shown.window.end)) }))
            (fact("Progress", &progress(shown)))
            (fact("Error budget", &budget(&shown.budget)))
            (fact("Can pass at the earliest", &earliest(shown)))
        }
        @if let Some((start, end)) = time_of(&shown.window.start).zip(time_of(&shown.window.end)) {
            h3 { "Hour by hour" }
            (strip(&part.entry, Window { start, end }, policy.success_ratio.0, now))
        }
        @if !shown.missing.is_empty() {
            h3 { "What would change the verdict" }
            ul { @for what in &shown.missing { li { (what) } } }
        }
        h3 { "Criteria" }
        div.scroll tabindex="0" role="region" aria-label="Criteria" { (rows(&criteria)) }
        @if !attested.is_empty() {
            h3 { "Attestations" }
            div.scroll tabindex="0" role="region" aria-label="Attestations" { (rows(&attested)) }
        }
        (waivers(part, shown, now))
        (exclusions(part, shown))
        h3 { "Checks" }
        div.scroll tabindex="0" role="region" aria-label="Checks" { (checks(shown)) }
    }
}

/// Criteria, or attestations.
fn rows(all: &[&ShownRow]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Asked for" } th scope="col" { "Observed" } th scope="col" { "Met" } th scope="col" { "Why" }
            } }
            tbody { @for r in all { tr {
                th scope="row" { (words(&r.name)) }
                td.nowrap { (dashed(&r.asked())) }
                td { (dashed(&r.seen())) @if r.behind > 0 && r.check.is_some() { div.small.soft.nowrap { "of " (r.behind) } } }
                td.nowrap { (met(r)) }
                td { (r.reason) }
            } } }
        }
    }
}

fn dashed(text: &str) -> Markup {
    html! { @if text == "-" { span.none { "–" } } @else { (text.replace(">=", "≥").replace("<=", "≤")) } }
}

fn met(r: &ShownRow) -> Markup {
    let mark = |class: &'static str, symbol: &'static str, word: &'static str| {
        html! { span class=(class) { span aria-hidden="true" { (symbol) } " " (word) } }
    };
    match (r.met, &r.waived, r.so_far) {
        (_, Some(_), _) => mark("soon", "◇", "waived"),
        (Some(true), ..) => mark("yes", "✓", "yes"),
        (Some(false), ..) => mark("low", "✕", "no"),
        (None, _, Some(true)) => mark("", "▸", "so far"),
        (None, _, Some(false)) => mark("soon", "▸", "not yet"),
        // Nothing was seen: it does not apply, or is not decided. The reason says which.
        (None, _, None) => html! { span.none { "–" } },
    }
}

/// Those of the configuration, also those that are not needed or over.
fn waivers(part: &Part, shown: &Shown, now: UnixMs) -> Markup {
    let all = &part.entry.def.waivers;
    let used = |name: &str| shown.criteria.iter().any(|r| r.name == name && r.waived.is_some());
    html! {
        @if !all.is_empty() {
            h3 { "Waivers" }
            div.scroll tabindex="0" role="region" aria-label="Table" { table {
                thead { tr {
                    th scope="col" { "Criterion" } th scope="col" { "In use" } th scope="col" { "Approved by" } th scope="col" { "Until" } th scope="col" { "Reason" }
                } }
                tbody { @for w in all { tr {
                    th scope="row" { (words(&w.criterion)) }
                    td { @if w.until <= now { "over" } @else if used(&w.criterion) { b.soon { "yes" } } @else { "not needed" } }
                    td { (w.approver) }
                    td { (utc(&w.until.to_string())) }
                    td { (w.reason) }
                } } }
            } }
        }
    }
}

/// What was taken out after the fact, and what it changes.
fn exclusions(part: &Part, shown: &Shown) -> Markup {
    html! {
        @if !part.passed.exclusions.is_empty() {
            h3 { "Exclusions" }
            div.scroll tabindex="0" role="region" aria-label="Table" { table {
                caption { "Taken out of the window after the fact, by whoever is named." }
                thead { tr {
                    th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Checks" } th scope="col" { "By" } th scope="col" { "Recorded" }
                    th scope="col" { "Reason" }
                } }
                tbody { @for x in &part.passed.exclusions { tr {
                    td { (utc(&x.from.to_string())) } td { (utc(&x.to.to_string())) }
                    td { (x.check.as_deref().unwrap_or("all")) }
                    td { (x.by) @if let Some(remark) = &x.remark { div.small.soft { (remark) } } }
                    td { (utc(&x.at.to_string())) } td { (x.reason) }
                } } }
            } }
            div.scroll tabindex="0" role="region" aria-label="Table" { table {
                caption { "All judged checks, as recorded and without what was excluded." }
                thead { tr { th scope="col" { "Slots" } (count_heads()) } }
                tbody {
                    tr { th scope="row" { "as recorded" } (count_cells(&shown.counts)) }
                    tr { th scope="row" { "without the " (shown.excluded) " excluded slots" } (count_cells(&shown.adjusted)) }
                }
            } }
        }
    }
}

fn count_heads() -> Markup {
    html! { @for name in ["Due", "Passed", "Failed", "Throttled", "Unknown", "Skipped"] { th.num scope="col" { (name) } } }
}

fn count_cells(c: &ShownCounts) -> Markup {
    html! { @for n in [c.due, c.pass, c.fail, c.throttled, c.unknown, c.skipped] { td.num { (n) } } }
}

/// Each check's numbers in the window; of one that slots were excluded from, the raw ones too.
fn checks(shown: &Shown) -> Markup {
    let name = |c: &ShownCheck| c.check.rsplit('/').next().unwrap_or_default().to_owned();
    let share = |s: Option<f64>| html! { @match s { Some(s) => (percent(s)), None => span.none { "no data" } } };
    let span = |s: &Option<ShownSpan>| {
        html! { @match s {
            Some(s) => { (seconds(s.seconds.as_f64().unwrap_or_default())) div.small.soft { "from " (utc(&s.from)) } },
            None => span.none { "none" },
        } }
    };
    html! {
        table {
            caption { "In the window, without what was excluded. Durations are those of passing runs, to within 2.5 %." }
            thead { tr {
                th scope="col" { "Check" } (count_heads()) th.num scope="col" { "Success" } th.num scope="col" { "First attempt" }
                th.num scope="col" { "Coverage" } th scope="col" { "Longest outage" } th scope="col" { "Longest gap" } th.num scope="col" { "p95" }
            } }
            tbody { @for c in &shown.checks {
                tr.informational[!c.judged] {
                    th scope="row" {
                        (name(c)) " "
                        @if c.judged { @if c.judge == crate::soak::Judge::Every { span.tag { "every run counts" } } }
                        @else { span.tag { "informational" } }
                        @if c.not_due > 0 { div.small.soft { (c.not_due) " slots not due" } }
                    }
                    (count_cells(&c.adjusted))
                    td.num {
                        (share(c.success_ratio))
                        @if let Some(lower) = c.lower_bound { div.small.soft title="Lower end of the 95 % Wilson score interval" { "shows " (percent(lower)) } }
                    }
                    td.num { (share(c.first_attempt_ratio)) } td.num { (share(c.coverage)) }
                    td { (span(&c.longest_outage)) } td { (span(&c.longest_gap)) }
                    td.num {
                        @match c.p95_s { Some(s) => (took(s)), None => span.none { "–" } }
                        @if let Some((p50, p99)) = c.p50_s.zip(c.p99_s) { div.small.soft { "p50 " (took(p50)) } div.small.soft { "p99 " (took(p99)) } }
                    }
                }
                @if c.excluded > 0 {
                    tr.informational { th scope="row" { span.soft { "as recorded, with " (c.excluded) " excluded" } } (count_cells(&c.counts)) td colspan="6" {} }
                }
            } }
        }
    }
}

/// What an integration's row says of its soak.
pub(super) fn word(entry: &IntegrationEntry, soaks: &Soaks, now: UnixMs) -> Option<Ruling> {
    soaks.judged(entry, now, |_, verdict| verdict.ruling)
}

/// The section of an integration's page.
pub(super) fn section(entry: &IntegrationEntry, soaks: &Soaks, now: UnixMs) -> Markup {
    let id = &entry.def.id;
    html! {
        @if let Some(Passed { soak, reasons, .. }) = soaks.passed(entry, now) {
            section.card.pad aria-label="Soak" {
                div.head {
                    h2 { "Soak" }
                    @if let Some(shown) = &soak { (verdict_badge(shown.verdict)) }
                    a.small href=(href(id.customer(), id.environment(), Some(id.integration()))) { "every criterion, and the gate" }
                }
                @if let Some(shown) = &soak {
                    dl.facts {
                        (fact("Window", &html! { (utc(&shown.window.start)) " to " (utc(&shown.window.end)) }))
                        (fact("Progress", &progress(shown)))
                        (fact("Error budget", &budget(&shown.budget)))
                    }
                }
                @if !reasons.is_empty() { ul { @for reason in &reasons { li { (reason) } } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_roughly() {
        assert_eq!([rough(431_924), rough(18_725), rough(725), rough(59)], ["4d23h", "5h12m", "12m5s", "59 s"]);
    }

    #[test]
    fn times_of_verdicts_are_shown_in_utc() {
        assert!(utc("2026-11-21T12:00:00.123Z").into_string().contains(">2026-11-21 12:00:00 UTC<"));
        assert!(utc("<b>").into_string().contains(">&lt;b&gt;<"), "what is no time is shown as it is");
    }
}
