//! Rate limits on the pages: the short notes of an integration's row, and the section of its own page.

use std::time::Duration;

use maud::{Markup, html};

use super::page::{age, ahead, clock_time};
use super::page_detail::fact;
use crate::clock::{DAY_MS, UnixMs};
use crate::limits::batch::{BatchFit, BatchShown};
use crate::limits::{BudgetShown, HoldShown, IntegrationLimits, LimitsBrief, PolicyShown, words};

/// Below this headroom a number is marked: the declared volume fits, but with little to spare (product.md, `quota_headroom`).
const LITTLE: f64 = 1.5;

/// An end nearer than this is told to the second.
const NEAR: Duration = Duration::from_secs(120);

/// `14:05`, or with its day where that is not today.
fn short(at: UnixMs, now: UnixMs) -> String {
    let same_day = at.0.div_euclid(DAY_MS) == now.0.div_euclid(DAY_MS);
    at.timestamp().strftime(if same_day { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
}

/// `14:05:10`, or with its day where that is not today.
fn clock_second(at: UnixMs, now: UnixMs) -> String {
    let same_day = at.0.div_euclid(DAY_MS) == now.0.div_euclid(DAY_MS);
    at.timestamp().strftime(if same_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
}

/// The end of a hold: to the second where it is near, for its minute may be the present one.
fn end(at: UnixMs, now: UnixMs) -> String {
    if at.since(now) < NEAR { clock_second(at, now) } else { short(at, now) }
}

/// Held, widened, running out, headroom: a word each.
pub(super) fn notes(brief: &LimitsBrief, now: UnixMs) -> Markup {
    html! {
        @if let Some(until) = brief.held_until {
            span.tag title=(format!("A host refused and is left alone: nothing is sent to it until {}.", clock_time(until))) { "held until " (end(until, now)) } " "
        }
        @if let Some(n) = brief.interval_factor.filter(|n| *n > 1) {
            span.tag title=(format!("Only every {} slot runs, to stay within our share of the quota.", words::ordinal(n))) { "widened ×" (n) } " "
        }
        @if brief.used_up {
            span.tag.low title="Nothing was left of a quota when it was read last." { "quota used up" } " "
        } @else if let Some(at) = brief.exhausted_at {
            span.tag.low title=(format!("A quota runs out at {}, before its reset, if it is used as it was.", clock_time(at))) { "quota out " (short(at, now)) } " "
        }
        @if let Some(h) = brief.headroom {
            @let title = "The tightest quota over the declared volume; below 1 it does not fit.";
            @match low(h) {
                Some(class) => span class=(format!("tag {class}")) title=(title) { "headroom " (words::times(h)) },
                // Room to spare is worth a word, too, but no badge.
                None => span.soft title=(title) { "headroom " (words::times(h)) },
            }
        }
    }
}

/// How a headroom with little or nothing to spare is marked.
fn low(headroom: f64) -> Option<&'static str> {
    (headroom < LITTLE).then_some(if headroom < 1.0 { "low" } else { "soon" })
}

/// The section of an integration's page.
pub(super) fn section(l: &IntegrationLimits, now: UnixMs) -> Markup {
    html! {
        section.card.pad aria-label="Rate limits" {
            div.head { h2 { "Rate limits" } }
            @if let Some(why) = &l.paused { p role="status" { b { "Paused" } ", nothing is sent: " (why) } }
            @for hold in &l.holds { (held(hold, now)) }
            dl.facts {
                (fact("Headroom", &html! { (headroom(l.headroom)) @if let Some(window) = l.headroom_window() { div.small.soft { (window) } } }))
                // A hold says it already.
                @if let Some(r) = l.retry_after.as_ref().filter(|_| l.holds.is_empty()) {
                    (fact("Asked to wait", &html! { (r.check) ": " (words::span(r.asked_s)) ", until " (clock_time(r.until)) }))
                }
            }
            @if l.policies.is_empty() {
                p.soft.small { "No endpoint has told a quota lately." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Policies" { (policies(&l.policies, now)) }
            }
            @if !l.budgets.is_empty() { div.scroll tabindex="0" role="region" aria-label="Budgets" { (budgets(&l.budgets, now)) } }
            @if !l.batches.is_empty() { div.scroll tabindex="0" role="region" aria-label="Batches" { (batches(&l.batches)) } }
        }
    }
}

fn held(hold: &HoldShown, now: UnixMs) -> Markup {
    html! {
        p role="status" {
            b.soon { "Held until " (clock_time(hold.until)) } " (" (ahead(hold.until, now)) "): " (words::said(hold)) " (" (age(hold.since, now)) "). Until then "
            "nothing is sent for " (hold.checks.join(", ")) "."
        }
    }
}

fn headroom(h: Option<f64>) -> Markup {
    html! {
        @match h {
            Some(h) => span class=[low(h)] { (words::times(h)) " the declared volume" },
            None => span.none title="There is one where a quota with its window is told, and the volume for such a window is declared." { "not known" },
        }
    }
}

/// What is absent.
fn dash() -> Markup {
    html! { span.none { "–" } }
}

fn number(n: Option<u64>) -> Markup {
    html! { @match n { Some(n) => (n), None => (dash()) } }
}

fn policies(all: &[PolicyShown], now: UnixMs) -> Markup {
    let out = |at: Option<UnixMs>| {
        html! { @match at { Some(at) => span.low title=(clock_time(at)) { (short(at, now)) ", " (ahead(at, now)) }, None => (dash()) } }
    };
    html! {
        table {
            caption { "Policies the endpoints tell. Times are UTC; a quota runs out only if that is before its reset." }
            thead { tr {
                th scope="col" { "Policy" } th.num scope="col" { "Limit" } th.num scope="col" { "Remaining" } th scope="col" { "Window" }
                th scope="col" { "Resets" } th scope="col" { "Read" } th.num scope="col" { "Headroom" } th.num scope="col" { "Used" }
                th scope="col" { "Runs out as used" } th scope="col" { "Runs out as declared" }
            } }
            tbody { @for p in all { tr {
                th scope="row" { (p.policy) @if let Some(unit) = &p.unit { div.small.soft { "counts " (unit) } } div.small.soft { (p.checks.join(", ")) } }
                td.num { (number(p.limit)) }
                td.num { (number(p.remaining)) @if p.reset_at.is_some_and(|t| t <= now) { div.small.soft { "before the reset" } } }
                td { @match p.window_s { Some(s) => (words::span(s)), None => (dash()) } @if p.window_configured { div.small.soft { "quota_window" } } }
                td { (resets(p, now)) }
                td { span title=(clock_time(p.read_at)) { (age(p.read_at, now)) } }
                td.num { @match p.headroom { Some(h) => span class=[low(h)] { (words::times(h)) }, None => (dash()) } }
                td.num { @match p.used_per_s { Some(r) => (words::rate(r)), None => (dash()) } }
                td { (out(p.exhausted_at)) }
                td { (out(p.exhausted_at_declared)) }
            } } }
        }
    }
}

/// When there is more; where nobody says, when at the latest.
fn resets(p: &PolicyShown, now: UnixMs) -> Markup {
    html! {
        @match (p.reset_at, p.assumed_reset_at, p.window_s) {
            (Some(t), ..) => span title=(clock_time(t)) { (ahead(t, now)) },
            (None, Some(t), Some(s)) => { "by " (short(t, now)) div.small.soft { "not told: " (words::span(s)) " after it was read" } }
            _ => (dash()),
        }
    }
}

fn budgets(all: &[BudgetShown], now: UnixMs) -> Markup {
    html! {
        table {
            caption { "How often each check runs, so that no more than our share of a quota is ours" }
            thead { tr {
                th scope="col" { "Check" } th scope="col" { "Interval" } th scope="col" { "In effect" } th.num scope="col" { "Coverage lost" } th scope="col" { "Why" }
            } }
            tbody { @for b in all { tr {
                th scope="row" { (b.check) }
                td { (b.every) }
                td { @if b.factor > 1 { span.soon { (b.effective_interval) " (×" (b.factor) ")" } } @else { (b.effective_interval) } }
                td.num { (lost(b, now)) }
                td { (b.reason) }
            } } }
        }
    }
}

/// What is left out; a hold leaves out everything.
fn lost(b: &BudgetShown, now: UnixMs) -> Markup {
    html! {
        @if let Some(until) = b.held_until { span.soon { "held, no slot runs until " (clock_second(until, now)) } }
        @else if b.factor > 1 { (words::percent(b.coverage_lost)) }
        @else { "none" }
    }
}

fn batches(all: &[BatchShown]) -> Markup {
    html! {
        table {
            caption { "Whether the declared batches fit: beside the rest of the declared volume, and the next time if the quota is used on as it is now" }
            thead { tr {
                th scope="col" { "Batch" } th.num scope="col" { "Calls" } th scope="col" { "Policy" } th scope="col" { "Fits" } th scope="col" { "As used" } th scope="col" { "Takes" }
                th scope="col" { "Ends" } th scope="col" { "Why" }
            } }
            tbody { @for b in all {
                @if b.policies.is_empty() {
                    tr { th scope="row" { (batch_name(b)) } td.num { (b.calls) } td colspan="6" { span.none { "no quota of requests is known yet" } } }
                }
                @for fit in &b.policies { (batch_row(b, fit)) }
            } }
        }
    }
}

fn batch_name(b: &BatchShown) -> Markup {
    html! { (b.start) div.small.soft { (b.rows) " rows" } }
}

fn batch_row(b: &BatchShown, fit: &BatchFit) -> Markup {
    html! {
        tr {
            th scope="row" { (batch_name(b)) }
            td.num { (b.calls) }
            td { (fit.policy) }
            td { (yes(fit.fits)) }
            td { (yes(fit.fits_as_used)) }
            td { @match fit.takes_s { Some(s) => (words::span(s)), None => (dash()) } }
            td { @match fit.ends { Some(t) => (t), None => (dash()) } }
            td { (fit.why) @if let Some(why) = &fit.why_as_used { div.small.soft { "As used: " (why) } } }
        }
    }
}

fn yes(fits: Option<bool>) -> Markup {
    html! { @match fits { Some(true) => "yes", Some(false) => span.low { "no" }, None => span.none { "not known" } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Because;
    use crate::fields::{Span, TimeOfDay};

    const NOW: UnixMs = UnixMs(1_795_262_400_000);

    #[test]
    fn a_row_says_it_in_a_word() {
        let none = LimitsBrief { interval_factor: Some(1), ..LimitsBrief::default() };
        assert_eq!(notes(&none, NOW).into_string(), "");
        let headroom = |h| notes(&LimitsBrief { headroom: Some(h), ..none.clone() }, NOW).into_string();
        let badges = [("tag low", 0.666), ("tag soon", 1.0), ("tag soon", 1.49), ("soft", 1.5)];
        assert!(badges.iter().all(|(class, h)| headroom(*h).starts_with(&format!("<span class=\"{class}\""))), "{}", headroom(1.5));
        assert!(headroom(0.666).contains(">headroom 0.66 ×<"));
        let near = LimitsBrief { held_until: Some(UnixMs(NOW.0 + 15_000)), ..none.clone() };
        assert!(notes(&near, NOW).into_string().contains(">held until 12:00:15<"));
        let used_up = LimitsBrief { used_up: true, exhausted_at: Some(NOW), ..none };
        let html = notes(&used_up, NOW).into_string();
        assert!(html.contains(">quota used up<") && !html.contains("quota out"), "{html}");
        let all = LimitsBrief {
            held_until: Some(UnixMs(NOW.0 + 5 * 60_000)),
            interval_factor: Some(4),
            headroom: None,
            exhausted_at: Some(UnixMs(NOW.0 + DAY_MS)),
            used_up: false,
        };
        let html = notes(&all, NOW).into_string();
        for part in [">held until 12:05<", ">widened ×4<", "every 4th slot", ">quota out 2026-11-22 12:00<"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn what_a_server_calls_its_policies_is_text() {
        let policy = PolicyShown {
            policy: "<b>p".into(),
            unit: Some("<i>bytes".into()),
            limit: Some(100),
            remaining: Some(3),
            reset_at: Some(UnixMs(NOW.0 - 1)),
            read_at: UnixMs(NOW.0 - 60_000),
            ..PolicyShown::default()
        };
        let (fits, why) = (Some(true), "<b>why".to_owned());
        let fit = BatchFit {
            policy: "<b>p".into(),
            fits,
            why,
            fits_as_used: Some(false),
            why_as_used: Some("<b>used".into()),
            ..BatchFit::default()
        };
        let batch = BatchShown { start: TimeOfDay(79_200), rows: 10, calls_per_row: 0.5, calls: 5, policies: vec![fit] };
        let budget = BudgetShown {
            check: "list".into(),
            every: Span::seconds(10),
            effective_interval: Span::seconds(40),
            factor: 4,
            coverage_lost: 0.75,
            held_until: None,
            reason: "<b>reason".into(),
            host: "h".into(),
            allowed_per_s: 0.1,
            wanted_per_s: 0.4,
            shared_by: 4,
        };
        let hold = HoldShown {
            host: "<b>host".into(),
            because: Because::Asked,
            until: UnixMs(NOW.0 + 60_000),
            since: NOW,
            asked_s: 3_600,
            told: "a/b/c/d".into(),
            checks: vec!["list".into(), "token".into()],
        };
        let limits = IntegrationLimits {
            id: "a/b/c".into(),
            name: "n".into(),
            paused: Some("<b>paused (j.doe)".into()),
            headroom: Some(0.5),
            policies: vec![policy],
            retry_after: None,
            holds: vec![hold],
            budgets: vec![BudgetShown { held_until: Some(UnixMs(NOW.0 + 60_000)), factor: 1, ..budget.clone() }, budget],
            batches: vec![batch],
        };
        let html = section(&limits, NOW).into_string();
        assert!(
            !html.contains("<b>p")
                && !html.contains("<i>bytes")
                && !html.contains("<b>why")
                && !html.contains("<b>used")
                && !html.contains("<b>paused")
                && !html.contains("<b>host"),
            "{html}"
        );
        for part in [
            "&lt;b&gt;p",
            "<b>Paused</b>, nothing is sent: &lt;b&gt;paused (j.doe)",
            "before the reset",
            "40s (×4)",
            "75 %",
            "22:00Z",
            "asked a/b/c/d to be left alone for 1h (just now). Until then nothing is sent for list, token.",
            "held, no slot runs until 12:01:00",
            "<td>yes</td><td><span class=\"low\">no</span></td>",
            "As used: &lt;b&gt;used",
            "<span class=\"low\">0.5 × the declared volume</span>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
