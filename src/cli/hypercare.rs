//! What `soakwatch gate --gate hypercare` writes: the answer, every criterion, and the numbers beside it.

use std::fmt::Write as _;

use super::gate::{list, told};
use super::{CliResult, Exit, say};
use crate::checkpoint::{Answered, Passed, Standing};
use crate::explain::plain;
use crate::hypercare::{Answer, Incidents};
use crate::soak::percent;

/// Writes the answer; its exit code.
pub(super) fn show(answered: &Answered, as_json: bool) -> CliResult {
    if as_json {
        say(serde_json::to_string_pretty(answered).map_err(|e| Exit::Internal.with(e))?);
    } else {
        say(text(answered));
    }
    Ok(match answered.answer {
        Answer::ReadyForHandoff => Exit::Yes,
        Answer::NotReady => Exit::No,
        Answer::NotYet => Exit::Undecided,
    })
}

fn text(answered: &Answered) -> String {
    let earliest = answered.earliest.as_ref().map(|at| format!("it can be ready at the earliest at {at}"));
    let head = (answered.environment.as_str(), words(answered.answer), answered.as_of.as_str());
    told(head, earliest, &answered.reasons, &answered.integrations, &integration)
}

fn words(answer: Answer) -> &'static str {
    match answer {
        Answer::ReadyForHandoff => "ready_for_handoff (hypercare may end)",
        Answer::NotReady => "not_ready (hypercare goes on)",
        Answer::NotYet => "not_yet (it is too early, or can't be decided)",
    }
}

fn integration(out: &mut String, p: &Passed) {
    let day = p.day.map(|d| format!(", day {}", d + 1)).unwrap_or_default();
    let _ = writeln!(out, "{}: {}, {}{day}", plain(&p.integration), p.answer, p.phase);
    for row in &p.criteria {
        let met = match row.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "open",
        };
        let _ = writeln!(out, "  {:<16} {met:<8} {}", row.name.as_str(), plain(&row.reason));
    }
    if let Some(standing) = &p.standing {
        numbers(out, standing);
    }
    list(out, "why not:", "  ", &p.reasons);
}

fn numbers(out: &mut String, s: &Standing) {
    let ratio = |x: Option<f64>| x.map_or_else(|| "none".to_owned(), percent);
    let windows = s.windows.iter().map(|(reach, n)| format!("{reach} {}", ratio(n.success_ratio)));
    let _ = writeln!(out, "  success: {}; {} is asked for", windows.collect::<Vec<_>>().join(", "), percent(s.objective));
    let burns = s.burn.iter().map(|(name, x)| format!("{name} {}", x.map_or_else(|| "none".to_owned(), |x| format!("{x:.1}"))));
    let _ = writeln!(out, "  burn rate: {}", burns.collect::<Vec<_>>().join(", "));
    if let Some(i) = &s.incidents {
        let mean = |s: Option<f64>| s.map_or_else(|| "none".to_owned(), crate::soak::seconds);
        let _ = writeln!(
            out,
            "  incidents since go-live: {} opened, {} closed, {} open; detected in {}, repaired in {} on average",
            Incidents::sum(&i.opened),
            Incidents::sum(&i.closed),
            Incidents::sum(&i.open),
            mean(i.time_to_detect.mean_s),
            mean(i.time_to_repair.mean_s)
        );
    }
}
