//! The overview page: a row per integration, worst first, filtered by a plain form, refreshing itself. And what all pages share: the frame, the
//! style, the words for ages and ratios. No script, nothing from elsewhere; every text is escaped by maud.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Query as QueryOf, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::api::Problem;
use super::page_incident;
use super::page_limits::notes;
use super::page_soak;
use super::{Query, Shared};
use crate::board::{Board, IntegrationEntry};
use crate::budget::Views;
use crate::clock::UnixMs;
use crate::incident::Incident;
use crate::incident::live::Incidents;
use crate::outcome::Phase;
use crate::readiness::Soaks;
use crate::soak::Ruling;
use crate::status::{IntegrationStatus, State as Word, integration_state, integration_status, sort_key};

/// Rows of one page; the filters lead to the others.
const MOST_ROWS: usize = 500;
/// With more customers than this the filter is a text field: a longer list helps nobody.
const MOST_OPTIONS: usize = 200;
/// A page shows new values after so many seconds.
const REFRESH_S: u32 = 10;

/// Coverage below this is shown beside the ratio.
const COVERAGE: f64 = 0.95;

const STYLE: &str = include_str!("style.css");

/// The policy allows this one style and nothing else: no script, no foreign address, no frame around us.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
});

const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' \
                    fill='%230a5aa8'/%3E%3Cpath d='M2 9h3l2-5 3 8 2-3h2' fill='none' stroke='white' stroke-width='1.5'/%3E%3C/svg%3E";

/// A page in the common frame.
pub(super) fn page(shared: &Shared, title: &str, refresh: bool, body: &Markup) -> Response {
    let now = shared.state.clock.now();
    let config = shared.state.config.borrow().clone();
    let vantage = &config.settings.scheduler.vantage;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Soakwatch" }
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a.brand href="/" { "Soakwatch" }
                    nav.main aria-label="Pages" { a href="/" { "Integrations" } a href="/hypercare" { "Hypercare" } }
                    span.soft.small { "watching from " (vantage) }
                    p { "As of " time datetime=(now) { (clock_time(now)) } @if refresh { ", refreshing every " (REFRESH_S) " s" } }
                }
                main {
                    @if !shared.state.health.is_ready() {
                        p.notice role="status" { "The monitor is starting or stopping: what is shown may be incomplete." }
                    }
                    @if let Err(why) = shared.state.health.healthy() {
                        p.notice role="alert" { "The monitor itself is stalled (" (why) "): what is shown is old." }
                    }
                    @if let Some(r) = shared.state.health.refused_config() {
                        p.notice role="alert" {
                            "The configuration on disk was refused at " time datetime=(r.at) { (clock_time(r.at)) } ": "
                            @if r.problems > 0 { (r.problems) @if r.problems == 1 { " problem: " } @else { " problems, first: " } }
                            (r.first) ". In force is the one from " time datetime=(r.in_force_since) { (clock_time(r.in_force_since)) } "."
                        }
                    }
                    (body)
                }
                footer {
                    span { "Soakwatch " (env!("CARGO_PKG_VERSION")) }
                    span { "configuration " (config.hash.get(..12).unwrap_or(&config.hash)) }
                    a href="/api/v1/status" { "JSON" }
                    a href="/metrics" { "metrics" }
                }
            }
        }
    };
    let mut response =
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY.as_str())], markup.into_string())
            .into_response();
    if refresh {
        // A header and not an element: every page that does it has a link that stops it.
        response.headers_mut().insert(header::REFRESH, HeaderValue::from(REFRESH_S));
    }
    response
}

/// Whether a page is to show new values by itself: unless somebody asked it not to.
pub(super) fn refreshes(query: &BTreeMap<String, String>) -> bool {
    query.get("refresh").is_none_or(|v| v != "off")
}

/// The link that stops a page from showing new values by itself, or lets it begin again.
pub(super) fn refresh_link(refresh: bool) -> Markup {
    html! { @if refresh { a href="?refresh=off" { "Stop refreshing" } } @else { a href="?" { "Refresh every " (REFRESH_S) " s" } } }
}

/// A problem as a page.
pub(super) fn problem_page(shared: &Shared, problem: &Problem) -> Response {
    let (error, hint) = problem.texts();
    let body = html! { h1 { "Not possible" } p { (error) "." } p { (hint) } p { a href="/" { "All integrations" } } };
    let mut response = page(shared, "Not possible", false, &body);
    *response.status_mut() = problem.status();
    response
}

/// `2026-11-21 22:10:05 UTC`
pub(super) fn clock_time(at: UnixMs) -> String {
    at.timestamp().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An age in its largest unit.
pub(super) fn age(at: UnixMs, now: UnixMs) -> String {
    let s = now.since(at).as_secs();
    match s {
        0..=1 => "just now".into(),
        2..=119 => format!("{s} s ago"),
        120..=7_199 => format!("{} min ago", s / 60),
        7_200..=172_799 => format!("{} h ago", s / 3_600),
        _ => format!("{} days ago", s / 86_400),
    }
}

/// How far off a time is, in its largest unit; a time that is over: how long ago.
pub(super) fn ahead(at: UnixMs, now: UnixMs) -> String {
    let s = at.since(now).as_secs();
    match s {
        _ if at <= now => age(at, now),
        0..=119 => format!("in {s} s"),
        120..=7_199 => format!("in {} min", s / 60),
        7_200..=172_799 => format!("in {} h", s / 3_600),
        _ => format!("in {} days", s / 86_400),
    }
}

/// A time with its age.
pub(super) fn moment(at: Option<UnixMs>, now: UnixMs, never: &str) -> Markup {
    html! {
        @match at {
            Some(at) => time.nowrap datetime=(at) title=(clock_time(at)) { (age(at, now)) },
            None => span.none { (never) },
        }
    }
}

/// A ratio in percent, cut rather than rounded: only what is whole shows as 100 %.
pub(super) fn percent(ratio: Option<f64>) -> Markup {
    html! {
        @match ratio {
            None => span.none { "no data" },
            Some(r) if r >= 1.0 => "100 %",
            Some(r) => span class=[(r < 0.99).then_some("low")] { (format!("{:.2} %", (r * 10_000.0).floor() / 100.0)) },
        }
    }
}

/// Days of a certificate.
pub(super) fn certificate(days: Option<i64>) -> Markup {
    html! {
        @match days {
            None => span.none { "–" },
            Some(d) if d < 0 => span.low { "expired" },
            Some(d) => span class=[(d < 20).then_some(if d < 3 { "low" } else { "soon" })] { (d) @if d == 1 { " day" } @else { " days" } },
        }
    }
}

/// A state as symbol and word.
pub(super) fn badge(state: Word) -> Markup {
    let symbol = match state {
        Word::Failing => "✕",
        Word::Throttled => "◑",
        Word::Unknown => "?",
        Word::Pending => "…",
        Word::Maintenance => "◇",
        Word::Paused => "‖",
        Word::Passing => "✓",
    };
    html! { span class=(format!("badge s-{state}")) { i aria-hidden="true" { (symbol) } (state) } }
}

/// An integration's state; where its last hour says otherwise, the word says that it is the last run's.
pub(super) fn badge_of(i: &IntegrationStatus) -> Markup {
    if !i.only_passing_now() {
        return badge(i.state);
    }
    let title = "Every judged check's last run passed; the ratio of the last hour is below the objective.";
    html! { span.badge.s-passing title=(title) { i aria-hidden="true" { "✓" } "passing now" } }
}

/// A word of a closed set for people: without underscores.
pub(super) fn words(text: &str) -> String {
    text.replace('_', " ")
}

/// What the form asks for. Empty: no restriction.
#[derive(Debug, Default)]
struct Filter {
    customer: String,
    environment: String,
    phase: String,
    state: String,
    search: String,
    refresh: bool,
}

impl Filter {
    fn of(query: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| query.get(name).map(|v| v.trim().chars().take(100).collect::<String>()).unwrap_or_default();
        Self {
            customer: get("customer"),
            environment: get("environment"),
            phase: get("phase"),
            state: get("state"),
            search: get("q").to_lowercase(),
            refresh: refreshes(query),
        }
    }

    /// Everything but the state: the counts by state are of these.
    fn matches(&self, i: &IntegrationEntry, now: UnixMs) -> bool {
        let id = &i.def.id;
        let is = |wanted: &str, have: &str| wanted.is_empty() || wanted == have;
        is(&self.customer, id.customer())
            && is(&self.environment, id.environment())
            && is(&self.phase, i.phase(now).as_str())
            && (self.search.is_empty()
                || id.as_str().contains(&self.search)
                || i.def.name.to_lowercase().contains(&self.search)
                || i.def.customer_name.to_lowercase().contains(&self.search))
    }

    fn any(&self) -> bool {
        [&self.customer, &self.environment, &self.phase, &self.state, &self.search].iter().any(|f| !f.is_empty())
    }

    /// The address of this filter with another state or refresh.
    fn link(&self, state: &str, refresh: bool) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let pairs = [
            ("customer", &*self.customer),
            ("environment", &*self.environment),
            ("phase", &*self.phase),
            ("state", state),
            ("q", &*self.search),
        ];
        for (name, value) in pairs.into_iter().filter(|(_, v)| !v.is_empty()) {
            query.append_pair(name, value);
        }
        if !refresh {
            query.append_pair("refresh", "off");
        }
        match query.finish() {
            q if q.is_empty() => "/".into(),
            q => format!("/?{q}"),
        }
    }
}

/// What the page shows.
struct View {
    /// Each with the verdict of its soak, if it has one, and the incident that is open.
    rows: Vec<(IntegrationStatus, Option<Ruling>, Option<Arc<Incident>>)>,
    hidden: usize,
    by_state: BTreeMap<Word, usize>,
    configured: usize,
    customers: BTreeMap<String, String>,
    environments: BTreeSet<String>,
}

/// Judges all integrations, but spells out only those of the page.
fn look(board: &Board, (soaks, incidents): (&Soaks, &Incidents), views: &Views, filter: &Filter, now: UnixMs) -> View {
    board.read(|all| {
        let mut view = View {
            rows: Vec::new(),
            hidden: 0,
            by_state: Word::ALL.iter().map(|s| (*s, 0)).collect(),
            configured: all.len(),
            customers: BTreeMap::new(),
            environments: BTreeSet::new(),
        };
        let mut found = Vec::new();
        for i in all {
            let id = &i.def.id;
            if view.customers.len() <= MOST_OPTIONS && !view.customers.contains_key(id.customer()) {
                view.customers.insert(id.customer().to_owned(), i.def.customer_name.clone());
            }
            if view.environments.len() <= MOST_OPTIONS && !view.environments.contains(id.environment()) {
                view.environments.insert(id.environment().to_owned());
            }
            if !filter.matches(i, now) {
                continue;
            }
            let state = integration_state(i, views, now);
            *view.by_state.entry(state).or_default() += 1;
            if filter.state.is_empty() || filter.state == state.as_str() {
                found.push((sort_key(i, views, now), &i.def.id, i));
            }
        }
        found.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        view.hidden = found.len().saturating_sub(MOST_ROWS);
        view.rows = found
            .iter()
            .take(MOST_ROWS)
            .map(|(_, id, i)| (integration_status(i, views, now), page_soak::word(i, soaks, now), incidents.open(id)))
            .collect();
        view
    })
}

pub(super) async fn overview(State(shared): State<Shared>, QueryOf(query): Query) -> Response {
    let inner = shared.clone();
    let work = tokio::task::spawn_blocking(move || {
        let filter = Filter::of(&query);
        let now = inner.state.clock.now();
        let view = look(&inner.state.board, (&inner.state.soaks, &inner.state.incidents), &inner.state.views(now), &filter, now);
        let failing = view.by_state.get(&Word::Failing).copied().unwrap_or(0);
        let title = if failing > 0 { format!("{failing} failing") } else { "Integrations".into() };
        page(&inner, &title, filter.refresh, &overview_body(&view, &filter, now))
    });
    work.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "the overview could not be made");
        let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made", "The daemon's log says why.");
        problem_page(&shared, &problem)
    })
}

fn overview_body(view: &View, filter: &Filter, now: UnixMs) -> Markup {
    html! {
        h1 { "Integrations" }
        nav aria-label="By state" {
            ul.states {
                li {
                    a href=(filter.link("", filter.refresh)) aria-current=[filter.state.is_empty().then_some("true")] {
                        b { (view.by_state.values().sum::<usize>()) } "all"
                    }
                }
                @for (state, n) in &view.by_state {
                    li {
                        a.zero[*n == 0] href=(filter.link(state.as_str(), filter.refresh)) aria-current=[(filter.state == state.as_str()).then_some("true")] {
                            b { (n) } @if *n == 0 { (state) } @else { (badge(*state)) }
                        }
                    }
                }
            }
        }
        (form(view, filter))
        @if view.rows.is_empty() {
            div.card.empty {
                @if view.configured == 0 {
                    p { "No integrations are configured yet." }
                    p.soft { "Describe a customer in a file under customers/, then reload. `soakwatch validate` says what is wrong with it." }
                } @else {
                    p { "No integration fits these filters." }
                    p { a href="/" { "Show all " (view.configured) } }
                }
            }
        } @else {
            div.card { (table(view, now)) }
            @if view.hidden > 0 {
                p role="status" { b { "And " (view.hidden) " more." } " Only the first " (MOST_ROWS) " are shown, worst first: narrow them with the filters above." }
            }
        }
    }
}

fn form(view: &View, filter: &Filter) -> Markup {
    let select = |name: &str, label: &str, chosen: &str, options: Vec<(String, String)>| {
        html! {
            label {
                (label)
                select name=(name) {
                    option value="" { "all" }
                    @for (value, text) in &options {
                        option value=(value) selected[value == chosen] { (text) }
                    }
                }
            }
        }
    };
    let same = |words: Vec<&str>| words.into_iter().map(|w| (w.to_owned(), w.to_owned())).collect::<Vec<_>>();
    html! {
        form method="get" action="/" role="search" aria-label="Filter integrations" {
            @if view.customers.len() > MOST_OPTIONS {
                label { "Customer" input name="customer" value=(filter.customer) placeholder="id"; }
            } @else {
                (select("customer", "Customer", &filter.customer, view.customers.clone().into_iter().collect()))
            }
            (select("environment", "Environment", &filter.environment, same(view.environments.iter().map(String::as_str).collect())))
            (select("phase", "Phase", &filter.phase, same(Phase::ALL.iter().map(|p| p.as_str()).collect())))
            (select("state", "State", &filter.state, same(Word::ALL.iter().map(|s| s.as_str()).collect())))
            label { "Name or id" input type="search" name="q" value=(filter.search) maxlength="100"; }
            @if !filter.refresh { input type="hidden" name="refresh" value="off"; }
            button { "Filter" }
            span.links {
                @if filter.any() { a href=(Filter { refresh: filter.refresh, ..Filter::default() }.link("", filter.refresh)) { "Clear" } }
                @if filter.refresh { a href=(filter.link(&filter.state, false)) { "Stop refreshing" } }
                @else { a href=(filter.link(&filter.state, true)) { "Refresh every " (REFRESH_S) " s" } }
            }
        }
    }
}

fn table(view: &View, now: UnixMs) -> Markup {
    html! {
        table.list role="table" {
            caption { "Worst first. Ratios are those of an integration's worst judged check; times are UTC." }
            thead {
                tr {
                    th scope="col" { "State" }
                    th scope="col" { "Integration" }
                    th.num scope="col" { "1 h" }
                    th.num scope="col" { "24 h" }
                    th.num scope="col" { "7 d" }
                    th scope="col" { "Last run" }
                    th scope="col" { "What is wrong, and whose turn it is" }
                    th.num scope="col" { "Certificate" }
                }
            }
            tbody { @for (i, verdict, incident) in &view.rows { (row(i, *verdict, incident.as_deref(), now)) } }
        }
    }
}

/// The way to an integration's own page. Ids are slugs and need no escaping.
fn href(i: &IntegrationStatus) -> String {
    format!("/integrations/{}", i.id)
}

fn row(i: &IntegrationStatus, verdict: Option<Ruling>, incident: Option<&Incident>, now: UnixMs) -> Markup {
    html! {
        tr role="row" {
            td.state role="cell" {
                (badge_of(i))
                @if let Some(incident) = incident { a.verdict href=(page_incident::href(&incident.id)) { "incident: " (page_incident::severity_badge(incident.severity)) } }
                @if let Some(verdict) = verdict {
                    a.verdict href=(page_soak::href(&i.customer, &i.environment, Some(&i.integration))) { "soak: " (page_soak::verdict_badge(verdict)) }
                }
                div.small { (notes(&i.limits, now)) }
            }
            th scope="row" role="rowheader" {
                a href=(href(i)) { (i.name) }
                div.small { a.plain href=(page_soak::href(&i.customer, &i.environment, None)) title="Can it go live?" { (i.customer_name) " · " (i.environment) } }
                div.small.soft { (i.phase) ", " (i.criticality) ", owner " (i.owner) }
            }
            td.num role="cell" data-label="1 h" { (percent(i.ratios.ratio_1h)) }
            td.num role="cell" data-label="24 h" {
                (percent(i.ratios.ratio_24h))
                // A good ratio of few runs is not a good ratio.
                @if let Some(c) = i.coverage_24h.filter(|c| *c < COVERAGE) { div.small.soft { "coverage " (format!("{:.0} %", (c * 100.0).floor())) } }
            }
            td.num role="cell" data-label="7 d" { (percent(i.ratios.ratio_7d)) }
            td role="cell" data-label="Last run" { (moment(i.last_run_at, now, "never")) }
            td.why role="cell" { (why(i)) }
            td.num role="cell" data-label="Certificate" { (certificate(i.certificate_days)) }
        }
    }
}

/// Class, attribution, detail and advice; or why nothing is watched just now; or what will go wrong.
pub(super) fn why(i: &IntegrationStatus) -> Markup {
    html! {
        @if let Some(hold) = &i.hold {
            p { (hold.reason) }
            p.small.soft { "declared by " (hold.by) @if let Some(until) = &hold.until { ", until " (until) } }
        } @else if i.remediation.is_some() || i.detail.is_some() {
            p {
                b { (i.cause.map(|c| words(c.as_str())).or(i.class.map(|c| words(c.as_str()))).unwrap_or_else(|| "silent".into())) }
                @if let Some(a) = i.attribution { " · " (words(a.as_str())) }
                @if let Some(check) = &i.trouble_check { " " span.tag { (check) } }
                @if i.failing_checks.len() > 1 { " " span.small.soft { (i.failing_checks.len()) " checks fail" } }
            }
            @if let Some(detail) = &i.detail { p.detail { (detail) } }
            @if let Some(advice) = &i.remediation { p.small.soft { (advice) } }
        } @else if let Some(w) = &i.warning {
            p { b { (words(w.kind.as_str())) } " · " (words(w.attribution.as_str())) }
            p.detail { (w.detail) }
            p.small.soft { (w.remediation) }
        }
    }
}

/// A duration in milliseconds or seconds.
pub(super) fn seconds(s: f64) -> String {
    let d = Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX);
    if d < Duration::from_secs(1) { format!("{:.1} ms", s * 1000.0) } else { format!("{s:.2} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_never_rounded_up_to_whole() {
        assert_eq!(percent(Some(1.0)).into_string(), "100 %");
        assert_eq!(percent(Some(0.999_999)).into_string(), "<span>99.99 %</span>");
        assert_eq!(percent(Some(0.5)).into_string(), "<span class=\"low\">50.00 %</span>");
        assert!(percent(None).into_string().contains("no data"));
    }

    #[test]
    fn ages() {
        let now = UnixMs(1_000_000_000);
        let shown = |s: i64| age(UnixMs(now.0 - s * 1000), now);
        assert_eq!([shown(0), shown(5), shown(300), shown(90_000)], ["just now", "5 s ago", "5 min ago", "25 h ago"]);
        assert_eq!(shown(-5), "just now");
        let shown = |s: i64| ahead(UnixMs(now.0 + s * 1000), now);
        assert_eq!([shown(5), shown(300), shown(90_000), shown(200_000)], ["in 5 s", "in 5 min", "in 25 h", "in 2 days"]);
        assert_eq!([shown(0), shown(-300)], ["just now", "5 min ago"]);
    }

    #[test]
    fn links_keep_the_filters() {
        let f = Filter { customer: "acme".into(), search: "a&b".into(), refresh: true, ..Filter::default() };
        assert_eq!(f.link("failing", false), "/?customer=acme&state=failing&q=a%26b&refresh=off");
        assert_eq!(Filter::default().link("", true), "/");
    }
}
