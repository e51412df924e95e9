//! The page of the package that support takes over.

use super::page::{Page, Part as Words, plain, state};
use super::{checkpoint as at_a_checkpoint, said};
use crate::checkpoint::{Handoff, Inventory};
use crate::soak::{percent, seconds};

/// Where alerts go by the routing of deploy/alertmanager: severity, and whom they reach.
const ROUTES: [[&str; 3]; 5] = [
    ["page", "production, and environments of other names", "the pager, and the incident bridge"],
    ["page", "sandbox, staging", "chat"],
    ["ticket", "all", "the ticket bridge"],
    ["info", "all", "chat, in office hours"],
    ["none", "all", "the heartbeat (SoakwatchWatchdog: its absence is the alarm)"],
];

/// The page.
pub fn handoff(h: &Handoff) -> Page {
    let c = &h.checkpoint;
    let mut page = Page::new(format!("Support handoff: {} ({})", c.customer, c.environment));
    page.text(vec![Words::Answer(c.gate.answer.to_string()), Words::Plain(format!(" as of {}. Times are UTC.", c.as_of))]);
    page.list(c.gate.obstacles());
    inventory(&mut page, h);
    known_issues(&mut page, h);
    runbooks(&mut page, h);
    routes(&mut page, h);
    page.heading(2, "How it has done since go-live");
    at_a_checkpoint::body(&mut page, c);
    verdicts(&mut page, h);
    page
}

fn inventory(page: &mut Page, h: &Handoff) {
    page.heading(2, "Inventory and configuration");
    page.text(plain("Addresses are without the values of their queries. Credentials are not part of this package: they stay where the daemon reads them."));
    for i in &h.inventory {
        page.heading(3, format!("{} ({})", i.name, i.integration));
        page.list(facts(i));
        let rows = i.checks.iter().map(|c| {
            vec![
                plain(&c.check),
                plain(&c.kind),
                vec![Words::Code(c.target.clone().unwrap_or_else(|| "it is sent to us".to_owned()))],
                plain(&c.every),
                plain(seconds(c.timeout_s)),
                plain(c.retries.to_string()),
                plain(if c.judged { "judged" } else { "shown only" }),
            ]
        });
        page.table(&["check", "kind", "target", "every", "timeout", "#retries", ""], rows.collect());
    }
}

fn facts(i: &Inventory) -> Vec<String> {
    let mut lines = vec![
        format!("owner {}, criticality {}, contact {}", i.owner, i.criticality, i.contact.as_deref().unwrap_or("not given")),
        format!(
            "live since {}, hypercare for {}, objective {}",
            i.go_live.as_deref().unwrap_or("(no go_live is set)"),
            i.hypercare,
            percent(i.objective)
        ),
        format!("an incident opens after {} runs of a check that did not pass", i.fail_after),
    ];
    let volume: Vec<String> = i.peak.iter().map(|v| format!("{v} at peak")).chain(i.daily.iter().cloned()).collect();
    if !volume.is_empty() {
        lines.push(format!("declared volume: {}", volume.join(", ")));
    }
    lines
}

fn known_issues(page: &mut Page, h: &Handoff) {
    page.heading(2, "Known issues");
    let parts = &h.checkpoint.integrations;
    let open = parts.iter().flat_map(|p| &p.incident_list).filter(|i| i.open).map(|i| {
        format!("open incident {} ({}): {} since {}, {}, {}", i.id, i.severity, i.integration, i.first_bad, i.class, i.attribution)
    });
    let findings = parts.iter().flat_map(|p| {
        p.findings.iter().map(|f| format!("{} of {}/{}, {}: {} {}", f.level, p.integration, f.check, f.rule, f.detail, f.advice))
    });
    let waivers = parts.iter().flat_map(|p| {
        p.waivers.iter().map(|w| {
            format!("waiver of {} for {} until {}: {} (approved by {})", w.criterion, p.integration, w.until, w.reason, w.approver)
        })
    });
    let all: Vec<String> = open.chain(findings).chain(waivers).collect();
    if all.is_empty() {
        page.text(plain("No incident, finding or waiver is open."));
    }
    page.list(all);
}

fn runbooks(page: &mut Page, h: &Handoff) {
    page.heading(2, "Runbooks");
    let rows = h.inventory.iter().map(|i| {
        let link = i.runbook.as_ref().map_or_else(|| plain("none given"), |url| vec![Words::Link(url.clone())]);
        vec![plain(&i.integration), link, plain(i.contact.as_deref().unwrap_or("not given"))]
    });
    page.table(&["integration", "runbook", "contact"], rows.collect());
    if !h.classes.is_empty() {
        page.text(plain("What failed, and what to do about it; the pages are in the documentation of Soakwatch:"));
        let rows = h.classes.iter().map(|c| {
            vec![
                state(c.class.to_string()),
                plain(c.attribution.to_string()),
                plain(c.failures.to_string()),
                plain(&c.advice),
                vec![Words::Code(c.page.clone())],
            ]
        });
        page.table(&["class", "whose", "#failures", "what to do", "page"], rows.collect());
    }
}

fn routes(page: &mut Page, h: &Handoff) {
    page.heading(2, "Alert routes");
    let (customer, environment) = h.checkpoint.environment.split_once('/').unwrap_or_default();
    page.text(vec![
        Words::Plain("Alerts of this environment carry ".to_owned()),
        Words::Code(format!("customer=\"{customer}\", environment=\"{environment}\"")),
        Words::Plain(". Where they go by the routing in deploy/alertmanager, by their label severity:".to_owned()),
    ]);
    page.table(&["severity", "environment", "goes to"], ROUTES.iter().map(|r| r.map(plain).to_vec()).collect());
}

fn verdicts(page: &mut Page, h: &Handoff) {
    page.heading(2, "What was judged and decided");
    let rows = h.verdicts.iter().map(|v| {
        vec![
            plain(v.seq.to_string()),
            plain(&v.at),
            plain(&v.kind),
            plain(v.integration.clone().unwrap_or_default()),
            plain(&v.by),
            plain(said(&v.body)),
        ]
    });
    page.table(&["#", "time", "kind", "integration", "by", "says"], rows.collect());
}
