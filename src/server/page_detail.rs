//! One integration's page: its facts, and each check with its last run, its last 24 hours, and the runs of the last hour.

use axum::extract::{Query as QueryOf, State};
use axum::response::Response;
use maud::{Markup, html};

use super::api::{IdPath, integration_id, no_integration};
use super::page::{
    age, badge, badge_of, certificate, clock_time, moment, page, percent, problem_page, refresh_link, refreshes, seconds, why, words,
};
use super::page_arrivals;
use super::page_findings;
use super::page_incident;
use super::page_limits::{self, notes};
use super::page_run;
use super::page_soak;
use super::runs::{self, Stored};
use super::{Query, Shared};
use crate::board::{Board, CheckEntry, IntegrationEntry};
use crate::budget::Views;
use crate::clock::{HOUR_MS, UnixMs};
use crate::config::model::{Batch, DeclaredVolume};
use crate::fields::{CheckId, Volume};
use crate::incident::Incident;
use crate::limits::integration_limits;
use crate::outcome::Outcome;
use crate::readiness::Soaks;
use crate::status::{CheckStatus, check_status, integration_status};
use crate::store::FailureRow;

/// Runs shown of each check.
const MOST_RUNS: usize = 60;
const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

pub(super) async fn integration(State(shared): State<Shared>, path: IdPath, QueryOf(query): Query) -> Response {
    let refresh = refreshes(&query);
    let id = match integration_id(&path) {
        Ok(id) => id,
        Err(problem) => return problem_page(&shared, &problem),
    };
    let Some(entry) = shared.state.board.integration(&id) else { return problem_page(&shared, &no_integration()) };
    let now = shared.state.clock.now();
    let mut stored = Vec::new();
    for check in &entry.checks {
        // A store that can't be read costs the table of runs, not the page.
        stored.push(runs::read_explained(&shared, check.def.id.clone(), now.minus(HOUR), now).await.ok());
    }
    let views = shared.state.views_of(&entry, now);
    page(
        &shared,
        &entry.def.name,
        refresh,
        &body(
            &entry,
            &views,
            (&shared.state.soaks, &shared.state.board),
            shared.state.incidents.open(&id).as_deref(),
            &stored,
            (refresh, now),
        ),
    )
}

fn body(
    entry: &IntegrationEntry,
    views: &Views,
    (soaks, board): (&Soaks, &Board),
    incident: Option<&Incident>,
    stored: &[Option<Stored>],
    (refresh, now): (bool, UnixMs),
) -> Markup {
    let i = integration_status(entry, views, now);
    html! {
        p.small { a href="/" { "All integrations" } " / " a href=(format!("/?customer={}", i.customer)) { (i.customer_name) } " / "
            a href=(page_soak::href(&i.customer, &i.environment, None)) { (i.environment) } }
        div.head { h1 { (i.name) } (badge_of(&i)) (notes(&i.limits, now)) }
        p.soft.small { (i.id) " · " (refresh_link(refresh)) }
        @if let Some(incident) = incident {
            p { a href=(page_incident::href(&incident.id)) { "Open incident" } " " (page_incident::severity_badge(incident.severity)) " since " (clock_time(incident.first_bad)) }
        }
        @if i.hold.is_some() || i.remediation.is_some() || i.detail.is_some() || i.warning.is_some() {
            div.card.pad.why { (why(&i)) }
        }
        div.card.pad {
            dl.facts {
                (fact("Success 1 h", &percent(i.ratios.ratio_1h)))
                (fact("Success 24 h", &percent(i.ratios.ratio_24h)))
                (fact("Success 7 d", &percent(i.ratios.ratio_7d)))
                (fact("Coverage 24 h", &percent(i.coverage_24h)))
                (fact("Last run", &moment(i.last_run_at, now, "never")))
                (fact("Certificate", &certificate(i.certificate_days)))
                (fact("Phase", &html! { (i.phase) }))
                (fact("Criticality", &html! { (i.criticality) }))
                (fact("Owner", &html! { (i.owner) }))
                (fact("Go-live", &html! { @match &i.go_live { Some(t) => (t), None => span.none { "not set" } } }))
                @if let Some(soak) = &i.soak {
                    (fact("Soak", &html! { "from " (soak.start) ", " (soak.window) ", success " (objective(soak.success_ratio)) }))
                }
                @if let Some(volume) = declared(&entry.def.volume) { (fact("Declared volume", &html! { (volume) })) }
                (fact("Runbook", &html! { @match &i.runbook {
                    Some(url) => a href=(url.url()) rel="noreferrer noopener" { (url) },
                    None => span.none { "none given" },
                } }))
            }
        }
        (page_soak::section(entry, soaks, now))
        (page_arrivals::section(entry, board, now))
        @if entry.checks.is_empty() {
            p { "No checks are configured for this integration, so nothing is known about it." }
        } @else {
            (page_limits::section(&integration_limits(entry, views, now), now))
        }
        @for (n, check) in entry.checks.iter().enumerate() {
            (check_card(check, views, stored.get(n).and_then(Option::as_ref), now))
        }
    }
}

/// What is declared, if anything is: `600/min at peak, 40000/day`. The batches come on top.
fn declared(volume: &DeclaredVolume) -> Option<String> {
    let daily = |v: &Volume| if volume.batches.is_empty() { v.to_string() } else { format!("{v} besides batches") };
    let batch = |b: &Batch| format!("{} calls at {}", b.calls(), b.start);
    let all =
        volume.peak.iter().map(|v| format!("{v} at peak")).chain(volume.daily.iter().map(daily)).chain(volume.batches.iter().map(batch));
    Some(all.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

/// A share as it was declared, in percent: `99.9 %`.
fn objective(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

pub(super) fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn check_card(entry: &CheckEntry, views: &Views, stored: Option<&Stored>, now: UnixMs) -> Markup {
    let c = check_status(entry, views, now);
    html! {
        section.card.pad aria-label=(c.check) {
            div.head {
                h2 { (c.check) }
                (badge(c.state))
                span.tag { (c.kind) }
                @if !c.judged { span.tag title="not judged" { "informational" } }
                span.soft.small { "every " (c.every) ", timeout " (c.timeout) @if c.retries > 0 { ", " (c.retries) " retries" } }
            }
            @if let Some(target) = &c.target { p.detail { (target) } }
            @if let Some(t) = &c.trouble {
                div.why {
                    p { b { (words(t.cause.map(|c| c.as_str()).or(t.class.map(|c| c.as_str())).unwrap_or("silent"))) }
                        @if let Some(a) = t.attribution { " · " (words(a.as_str())) }
                        @if let Some(since) = entry.state.failing_since { span.soft { " · failing since " (age(since, now)) ", " (c.consecutive_failures) " in a row" } }
                    }
                    @if let Some(detail) = &t.detail { p.detail { (detail) } }
                    p.small.soft { (t.remediation) }
                }
            }
            (page_findings::section(&c))
            h3 { "Last 24 hours" }
            (strip(entry, now))
            dl.facts {
                (fact("Success 1 h", &percent(c.ratios.ratio_1h)))
                (fact("Success 24 h", &percent(c.ratios.ratio_24h)))
                (fact("Success 7 d", &percent(c.ratios.ratio_7d)))
                (fact("Coverage 24 h", &percent(c.coverage_24h)))
                (fact("Last run", &moment(c.last_run_at, now, "never")))
                (fact("Last success", &moment(entry.state.last_success, now, "never")))
                (fact("Certificate", &certificate(c.certificate_days)))
                (fact("First attempt failed", &html! { (c.first_attempt_failures) }))
                @for (name, value) in &c.observed { (fact(name, &html! { (value) })) }
            }
            @if let Some(last) = &c.last { @if !last.phases.is_empty() {
                h3 { "Last run: " (seconds(last.duration_seconds)) @if last.attempts > 1 { ", " (last.attempts) " attempts" } @if let Some(last) = &entry.state.last { " " (page_run::link(&entry.def.id, last.slot)) } }
                ul.phases {
                    @for name in crate::observed::Phases::NAMES {
                        @if let Some(s) = last.phases.get(name) { li { span.soft { (name) " " } (seconds(*s)) } }
                    }
                }
            } }
            (tallies(&c))
            (recent(&entry.def.id, stored, now))
        }
    }
}

/// Failures, skips and unknowns since the beginning.
fn tallies(c: &CheckStatus) -> Markup {
    html! {
        @if !c.classes.is_empty() || !c.causes.is_empty() {
            h3 { "Since the check was first seen" }
            ul.phases {
                li { span.soft { "passed " } (c.counts.pass) }
                @for (class, by) in &c.classes { @for (who, n) in by { li { span.soft { (words(class)) " (" (words(who)) ") " } (n) } } }
                @for (cause, n) in &c.causes { li { span.soft { "not judged: " (words(cause)) " " } (n) } }
            }
        }
    }
}

/// 24 bars, oldest first: green and full where all passed, red from above by the share that did not, grey where nothing was judged.
fn strip(entry: &CheckEntry, now: UnixMs) -> Markup {
    let excluded = entry.def.integration.throttled_excluded;
    let hours: Vec<(i64, Option<f64>)> =
        (0..24).map(|n| now.hour() - 23 + n).map(|h| (h, entry.state.hours.sum(h, h).success_ratio(excluded))).collect();
    let bad = hours.iter().filter(|(_, r)| r.is_some_and(|r| r < 1.0)).count();
    let empty = hours.iter().filter(|(_, r)| r.is_none()).count();
    html! {
        svg.strip viewBox="0 0 480 34" preserveAspectRatio="none" role="img"
            aria-label=(format!("{bad} of the last 24 hours had failures, {empty} had no judged runs")) {
            @for (n, (hour, ratio)) in hours.iter().enumerate() {
                @let title = match ratio {
                    Some(r) => format!("{}: {:.2} % passed", clock_time(UnixMs(hour * HOUR_MS)), (r * 10_000.0).floor() / 100.0),
                    None => format!("{}: no data", clock_time(UnixMs(hour * HOUR_MS))),
                };
                @let x = n * 20;
                g {
                    title { (title) }
                    @match ratio {
                        None => rect.gap x=(x) y="30" width="17" height="4" {},
                        Some(r) => {
                            rect.ok x=(x) y="0" width="17" height="34" {}
                            // The smallest failure is still to be seen.
                            @if *r < 1.0 { rect.bad x=(x) y="0" width="17" height=(format!("{:.1}", ((1.0 - r) * 34.0).max(5.0))) {} }
                        }
                    }
                }
            }
        }
    }
}

fn recent(check: &CheckId, stored: Option<&Stored>, now: UnixMs) -> Markup {
    html! {
        @match stored {
            None => p.soft.small { "The stored runs can't be read just now; the daemon's log says why." },
            Some(Stored { runs, .. }) if runs.is_empty() => p.soft.small { "No runs are stored for the last hour." },
            Some(Stored { runs, failures }) => details {
                summary { "Runs of the last hour (" (runs.len()) ")" }
                div.scroll tabindex="0" role="region" aria-label="Table" { table {
                    caption { "Newest first" @if runs.len() > MOST_RUNS { ", the last " (MOST_RUNS) } }
                    thead { tr {
                        th scope="col" { "Slot" } th scope="col" { "Outcome" } th scope="col" { "Class or cause" }
                        th.num scope="col" { "Duration" } th.num scope="col" { "Attempts" } th scope="col" { "Run" } th scope="col" { "What happened" }
                    } }
                    tbody { @for r in runs.iter().rev().take(MOST_RUNS) { tr {
                        td.nowrap { (clock_time(r.slot)) " " span.soft { (age(r.slot, now)) }
                            @if r.count > 1 { br; "until " (clock_time(r.last_slot())) ", " (r.count) " slots" }
                        }
                        td { (outcome_word(r.outcome)) }
                        td { (words(r.cause.map(|c| c.as_str()).or(r.class.map(|c| c.as_str())).unwrap_or_default())) }
                        td.num { @if r.attempts > 0 { (seconds(r.duration.seconds())) } }
                        td.num { @if r.attempts > 0 { (r.attempts) } }
                        td.nowrap { @if r.attempts > 0 { (page_run::link(check, r.slot)) } }
                        td { @if let Some(detail) = FailureRow::said(failures, r) { span.detail { (detail) } } }
                    } } }
                } }
            },
        }
    }
}

pub(super) fn outcome_word(outcome: Outcome) -> Markup {
    let (class, symbol) = match outcome {
        Outcome::Pass => ("badge s-passing", "✓"),
        Outcome::Fail => ("badge s-failing", "✕"),
        Outcome::Throttled => ("badge s-throttled", "◑"),
        Outcome::Unknown => ("badge s-unknown", "?"),
        Outcome::Skipped => ("badge s-pending", "–"),
        Outcome::NotDue => ("badge s-paused", "‖"),
    };
    html! { span class=(class) { i aria-hidden="true" { (symbol) } (words(outcome.as_str())) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Attribution, Cause, Class};
    use crate::record::Record;
    use crate::store::{Reader, Store};

    #[test]
    fn batches_come_on_top_of_what_is_declared_a_day() {
        let of = |peak: &str, daily: &str| DeclaredVolume { peak: peak.parse().ok(), daily: daily.parse().ok(), batches: Vec::new() };
        assert_eq!(declared(&of("600/min", "40000/day")).as_deref(), Some("600/min at peak, 40000/day"));
        let batch = Batch { start: "22:00Z".parse().unwrap(), rows: 5_000, calls_per_row: 0.5 };
        let with = DeclaredVolume { batches: vec![batch], ..of("", "40000/day") };
        assert_eq!(declared(&with).as_deref(), Some("40000/day besides batches, 2500 calls at 22:00Z"));
        assert_eq!(declared(&of("", "")), None);
    }

    #[test]
    fn stored_runs_show_what_happened_and_how_long_a_span_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, start) = (dir.path().join("soakwatch.db"), UnixMs(1_796_112_000_000));
        let id: CheckId = "acme/production/crm/orders".parse().unwrap();
        let down = Record::not_run(id.clone(), start.plus(HOUR / 60), 30_000, 4, Cause::Down);
        let failed = Record {
            outcome: Outcome::Fail,
            cause: None,
            class: Some(Class::ServerError),
            attribution: Some(Attribution::ThirdParty),
            attempts: 1,
            detail: Some("answered 503 <b>".into()),
            ..Record::not_run(id.clone(), start, 30_000, 1, Cause::Down)
        };
        Store::open(&path).unwrap().commit(start, &[failed, down], &[]).unwrap();
        let (reader, now) = (Reader::open(&path).unwrap(), start.plus(HOUR));
        let stored = Stored { runs: reader.runs(&id, 0, start, now).unwrap(), failures: reader.failures(&id, start, now).unwrap() };
        let html = recent(&id, Some(&stored), now).into_string();
        for part in ["answered 503 &lt;b&gt;", "until 2026-12-01 08:02:30 UTC, 4 slots"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
