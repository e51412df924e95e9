//! The page of an evidence bundle: may an environment go live, and what shows it.

use super::page::{Block, Page, Part, plain, state};
use super::{COMMAND, Report, VERIFY, met, said};
use crate::evidence::time_text;
use crate::readiness::{Case, SoakCase};
use crate::soak::Shown;
use crate::soak::gate::Passage;

/// The page of a report.
pub fn readiness(report: &Report<'_>) -> Page {
    let (document, given, gate) = (report.document, &report.document.given, report.gate);
    let mut page = Page::new(format!("Readiness evidence: {}/{}", given.customer, given.environment));
    page.text(vec![Part::Answer(gate.answer.to_string()), Part::Plain(format!(" as of {}", time_text(given.as_of)))]);
    let earliest = gate.earliest.iter().map(|at| format!("can be go at the earliest: {at}"));
    page.list(gate.reasons.iter().cloned().chain(earliest));
    page.text(vec![
        Part::Plain(format!("{} {}, configuration ", document.program.name, document.program.version)),
        Part::Code(given.config_hash.clone()),
        Part::Plain(format!(", {} runs and spans, {} slots.", document.runs.lines, document.runs.slots)),
    ]);
    page.text(vec![Part::Plain(format!("{VERIFY} ")), Part::Code(COMMAND.to_owned()), Part::Plain(".".to_owned())]);
    page.blocks.push(Block::Legend);
    for (case, passage) in given.integrations.iter().zip(&gate.integrations) {
        integration(&mut page, case, passage, report);
    }
    log(&mut page, report);
    page
}

fn integration(page: &mut Page, case: &Case, passage: &Passage, report: &Report<'_>) {
    page.heading(2, case.integration.to_string());
    page.text(vec![
        Part::Plain(format!("{} · owner {} · criticality {} · gate ", case.name, case.owner, case.criticality)),
        Part::State(passage.answer.to_string()),
    ]);
    page.list(passage.reasons.iter().cloned());
    let (Some(soak), Some(shown)) = (&case.soak, &passage.soak) else { return };
    page.text(vec![
        Part::Plain("Verdict ".to_owned()),
        Part::Strong(shown.verdict.to_string()),
        Part::Plain(format!(", window {} to {}.", shown.window.start, shown.window.end)),
    ]);
    criteria(page, shown);
    counts(page, shown);
    for check in &soak.checks {
        page.blocks.extend(report.stats.iter().find(|s| s.check == check.check).cloned().map(Block::Hours));
    }
    decisions(page, soak);
}

fn criteria(page: &mut Page, shown: &Shown) {
    let rows = shown.criteria.iter().map(|c| {
        let word = if c.waived.is_some() { "waived" } else { met(c.met) };
        vec![plain(&c.name), plain(c.asked()), plain(c.seen()), state(word), plain(&c.reason)]
    });
    page.table(&["criterion", "asked for", "observed", "", "why"], rows.collect());
}

fn counts(page: &mut Page, shown: &Shown) {
    let mut rows = Vec::new();
    for c in &shown.checks {
        for (word, n) in [("recorded", &c.counts), ("judged", &c.adjusted)] {
            let word = if c.judged { word } else { "not judged" };
            let numbers = [n.due, n.pass, n.fail, n.throttled, n.unknown, n.skipped];
            rows.push([plain(&c.check), plain(word)].into_iter().chain(numbers.map(|n| plain(n.to_string()))).collect());
        }
    }
    page.table(&["check", "", "#due", "#pass", "#fail", "#throttled", "#unknown", "#skipped"], rows);
}

/// What people decided: what, in words, who, until when.
fn decisions(page: &mut Page, soak: &SoakCase) {
    let span = |from, to| format!("{} to {}", time_text(from), time_text(to));
    let waivers = soak
        .waivers
        .iter()
        .map(|w| ["waiver".to_owned(), format!("{}: {}", w.criterion, w.reason), w.approver.clone(), time_text(w.until)]);
    let attestations = soak.attestations.iter().map(|a| {
        let value = a.value.as_deref().unwrap_or("attested");
        let note = a.note.as_ref().map(|n| format!(" ({n})")).unwrap_or_default();
        let what = format!("{}: {value}{note}, {}", a.name, time_text(a.at));
        ["attestation".to_owned(), what, a.by.clone(), a.until.map(time_text).unwrap_or_default()]
    });
    let exclusions = soak.exclusions.iter().map(|x| {
        let whose = x.check.as_deref().unwrap_or("every check");
        ["exclusion".to_owned(), format!("{whose}, {}: {}", span(x.from, x.to), x.reason), x.by.clone(), String::new()]
    });
    let windows = soak
        .maintenance
        .iter()
        .map(|m| ["maintenance".to_owned(), format!("{}: {}", span(m.start, m.end), m.reason), m.by.clone(), String::new()]);
    let rows: Vec<_> = waivers.chain(attestations).chain(exclusions).chain(windows).map(|cells| cells.map(plain).to_vec()).collect();
    if !rows.is_empty() {
        page.table(&["decision", "what", "who", "until"], rows);
    }
}

fn log(page: &mut Page, report: &Report<'_>) {
    let log = &report.document.log;
    page.heading(2, "Evidence log");
    page.text(vec![
        Part::Plain(format!("{} records, of which those below concern this environment. Head of the chain: ", log.records.len())),
        Part::Code(log.head.to_string()),
    ]);
    let rows = log.own().map(|r| {
        let whose = r.integration.clone().unwrap_or_default();
        vec![plain(r.seq.to_string()), plain(&r.at), plain(&r.kind), plain(whose), plain(&r.actor), plain(said(&r.body))]
    });
    page.table(&["#", "time", "kind", "integration", "by", "says"], rows.collect());
}
