//! The page of a checkpoint: how an environment did in a span, how it stands, and what holds back the end of hypercare.

use super::page::{Page, Part as Words, plain, state};
use crate::checkpoint::{Checkpoint, Part, Passed};
use crate::hypercare::{Budget, Expiry, Incidents, Row, Times};
use crate::incident::shown::IncidentShown;
use crate::soak::{percent, seconds};

/// The page.
pub fn checkpoint(c: &Checkpoint) -> Page {
    let mut page = Page::new(format!("Checkpoint: {} ({})", c.customer, c.environment));
    page.text(vec![
        Words::Answer(c.gate.answer.to_string()),
        Words::Plain(format!(" as of {}. What happened since {}. Times are UTC.", c.as_of, c.since)),
    ]);
    page.list(c.gate.reasons.iter().cloned().chain(c.gate.earliest.iter().map(|at| format!("can be ready at the earliest: {at}"))));
    body(&mut page, c);
    page
}

/// Everything below the title.
pub(super) fn body(page: &mut Page, c: &Checkpoint) {
    summary(page, c);
    open_now(page, c);
    for (part, passed) in c.integrations.iter().zip(&c.gate.integrations) {
        integration(page, part, passed);
    }
}

/// A share, or that there is none.
pub(super) fn share(x: Option<f64>) -> String {
    x.map_or_else(|| "–".to_owned(), percent)
}

/// What is left of a budget: nothing is less than nothing.
fn left(b: Option<&Budget>) -> String {
    b.map_or_else(|| "–".to_owned(), |b| if b.left <= 0.0 { "none left".to_owned() } else { percent(b.left) })
}

fn word_of(row: &Row) -> Vec<Words> {
    state(match row.met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "undecided",
    })
}

fn summary(page: &mut Page, c: &Checkpoint) {
    let rows = c.integrations.iter().zip(&c.gate.integrations).map(|(part, passed)| {
        let standing = passed.standing.as_ref();
        let opened = part.incidents.as_ref().map_or_else(|| "–".to_owned(), |i| Incidents::sum(&i.opened).to_string());
        let open = part.incidents.as_ref().map_or_else(|| "–".to_owned(), |i| Incidents::sum(&i.open).to_string());
        vec![
            plain(&part.name),
            state(passed.answer.to_string()),
            plain(passed.phase.to_string()),
            plain(passed.day.map_or_else(|| "–".to_owned(), |d| d.to_string())),
            plain(share(part.numbers.as_ref().and_then(|n| n.success_ratio))),
            plain(share(part.numbers.as_ref().and_then(|n| n.coverage))),
            plain(left(standing.and_then(|s| s.budget_30d.as_ref()))),
            plain(opened),
            plain(open),
        ]
    });
    page.heading(2, "At a glance");
    let head = ["integration", "exit", "phase", "#day", "#success", "#coverage", "#budget, 30 days", "#incidents opened", "#open"];
    page.table(&head, rows.collect());
}

fn open_now(page: &mut Page, c: &Checkpoint) {
    let open: Vec<&IncidentShown> = c.integrations.iter().flat_map(|p| &p.incident_list).filter(|i| i.open).collect();
    page.heading(2, "Open now");
    if open.is_empty() {
        page.text(plain("No incident is open."));
    } else {
        incidents(page, &open);
    }
    let cause = |x: &crate::incident::shown::CauseShown| {
        format!("Most likely one cause: {} since {}, {}: {}", x.host, x.since, x.class, x.incidents.join(", "))
    };
    page.list(c.common_causes.iter().map(cause));
}

/// A table of incidents.
pub(super) fn incidents(page: &mut Page, all: &[&IncidentShown]) {
    let rows = all.iter().map(|i| {
        let on_it = i.acknowledged.as_ref().map_or_else(|| "nobody yet".to_owned(), |a| a.by.clone());
        let ended = match (i.closed, i.time_to_repair_s) {
            (Some(closed), Some(s)) => plain(format!("closed {closed}, after {}", seconds(s as f64))),
            _ => state("open"),
        };
        let checks: Vec<&str> = i.checks.iter().map(|c| c.check.as_str()).collect();
        vec![
            vec![Words::Code(i.id.clone())],
            plain(i.severity.to_string()),
            plain(format!("{} ({})", i.integration, checks.join(", "))),
            plain(format!("{}, {}", i.class, i.attribution)),
            plain(format!("{}, detected in {}", i.first_bad, seconds(i.time_to_detect_s as f64))),
            ended,
            plain(on_it),
        ]
    });
    page.table(&["incident", "", "what", "class, whose", "since", "end", "on it"], rows.collect());
}

fn integration(page: &mut Page, part: &Part, passed: &Passed) {
    page.heading(2, part.integration.clone());
    let mut head = vec![
        Words::Plain(format!("{} · owner {} · criticality {} · exit ", part.name, part.owner, part.criticality)),
        Words::State(passed.answer.to_string()),
    ];
    if let Some(contact) = &part.contact {
        head.push(Words::Plain(format!(" · contact {contact}")));
    }
    if let Some(runbook) = &part.runbook {
        head.extend([Words::Plain(" · runbook ".to_owned()), Words::Link(runbook.clone())]);
    }
    page.text(head);
    page.list(passed.reasons.iter().cloned());
    criteria(page, passed);
    numbers(page, part, passed);
    if let Some(i) = &part.incidents {
        page.list(tally(i));
    }
    let closed: Vec<&IncidentShown> = part.incident_list.iter().filter(|i| !i.open).collect();
    if !closed.is_empty() {
        incidents(page, &closed);
    }
    watched(page, part, passed);
}

fn criteria(page: &mut Page, passed: &Passed) {
    let rows = passed.criteria.iter().map(|r| vec![plain(r.name.to_string()), word_of(r), plain(&r.reason)]);
    if !passed.criteria.is_empty() {
        page.table(&["criterion", "", "why"], rows.collect());
    }
}

fn numbers(page: &mut Page, part: &Part, passed: &Passed) {
    let Some(standing) = &passed.standing else { return };
    let mut rows: Vec<Vec<Vec<Words>>> = Vec::new();
    let spans = part.numbers.iter().map(|n| ("this span".to_owned(), n));
    for (name, n) in spans.chain(standing.windows.iter().map(|(reach, n)| (reach.to_string(), n))) {
        rows.push(vec![
            plain(name.replace("go_live", "since go-live")),
            plain(&n.since),
            plain(share(n.success_ratio)),
            plain(n.worst_check.clone().unwrap_or_default()),
            plain(share(n.coverage)),
            plain(n.counts.pass.to_string()),
            plain(n.counts.fail.to_string()),
            plain(n.counts.throttled.to_string()),
            plain((n.counts.unknown + n.counts.skipped).to_string()),
        ]);
    }
    page.table(&["window", "from", "#success", "worst check", "#coverage", "#pass", "#fail", "#throttled", "#unknown, skipped"], rows);
    let burns = standing.burn.iter().map(|(name, x)| format!("{name} {}", x.map_or_else(|| "–".to_owned(), |x| format!("{x:.1}"))));
    page.text(plain(format!(
        "Objective {}. Error budget: {} of the last 30 days, {} of all of hypercare. Burn rates: {}.",
        percent(standing.objective),
        left(standing.budget_30d.as_ref()),
        left(standing.budget_hypercare.as_ref()),
        burns.collect::<Vec<_>>().join(", ")
    )));
    if !standing.failures_24h.is_empty() {
        let failures = standing.failures_24h.iter().map(|(whose, n)| format!("{whose} {n}"));
        page.text(plain(format!("Failures of the last 24 hours: {}.", failures.collect::<Vec<_>>().join(", "))));
    }
}

/// What incidents come to, in lines.
fn tally(i: &Incidents) -> Vec<String> {
    let by = |of: &std::collections::BTreeMap<String, u64>| {
        let each: Vec<String> = of.iter().map(|(word, n)| format!("{word} {n}")).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    };
    let times = |t: &Times| match (t.mean_s, t.worst_s) {
        (Some(mean), Some(worst)) => format!("{} on average, {} at worst", seconds(mean), seconds(worst)),
        _ => "nothing to measure".to_owned(),
    };
    let whose = if i.opened_by_attribution.is_empty() { String::new() } else { format!("; whose: {}", by(&i.opened_by_attribution)) };
    let mut lines =
        vec![format!("incidents opened: {}{whose}", by(&i.opened)), format!("closed: {}; open: {}", by(&i.closed), by(&i.open))];
    if i.time_to_detect.count + i.time_to_repair.count > 0 {
        lines.push(format!("time to detect: {}; time to repair: {}", times(&i.time_to_detect), times(&i.time_to_repair)));
    }
    lines
}

/// What may yet go wrong: what ends, throttling, waivers, findings.
fn watched(page: &mut Page, part: &Part, passed: &Passed) {
    let ends = |e: &Expiry| format!("{} of {} ends {}", e.what.as_str().replace('_', " "), e.of, e.at);
    match passed.standing.as_ref().map(|s| &s.expiries) {
        Some(Some(all)) => page.list(all.iter().map(ends)),
        Some(None) => page.list(["what ended soon then is not known any more"]),
        None => {}
    }
    page.list(part.throttled.iter().map(|(check, n)| format!("{check}: throttled {n} times")));
    let waiver =
        |w: &crate::checkpoint::Waiver| format!("waiver until {}: {}, {} (approved by {})", w.until, w.criterion, w.reason, w.approver);
    page.list(part.waivers.iter().map(waiver));
    let finding = |f: &crate::checkpoint::Finding| format!("{} of {}, {}: {} {}", f.level, f.check, f.rule, f.detail, f.advice);
    page.list(part.findings.iter().map(finding));
}
