//! `soakwatch incidents`: what is broken and was, from a running daemon or from the store. `soakwatch ack`, `note`, `reclassify`: what people do with an
//! incident, told to a running daemon, which records it under the token's name.

use std::path::PathBuf;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::columns::aligned;
use super::control::{Daemon, refused, within};
use super::decide::{Shape, tell};
use super::{CliError, CliResult, Exit, block_on, say};
use crate::clock::{Clock, UnixMs};
use crate::explain::plain;
use crate::fields::Slug;
use crate::incident::Incident;
use crate::incident::cause::causes;
use crate::incident::shown::{IncidentList, IncidentShown};
use crate::limits::words::span;
use crate::store::{Reader, StoreError};

const INDENT: &str = "  ";

/// Show incidents: spans of time in which an integration does not work. All that the daemon has at hand, the open ones first and of them the worst, or one with its checks,
/// runs and timeline. Times are UTC. Exit code: 0 none of them is open, 1 one is
#[derive(Debug, clap::Args)]
pub(super) struct Incidents {
    /// The id of one, or customer, or customer/environment; all if not given
    id: Option<String>,
    /// Only those that go on
    #[arg(long)]
    open: bool,
    /// The answer as it is: one JSON object
    #[arg(long)]
    json: bool,
    /// Read this store's file instead of asking a daemon
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    #[command(flatten)]
    daemon: Daemon,
}

/// Say that you are on an incident. Needs the token of an operator. Exit code: 0 it is on record
#[derive(Debug, clap::Args)]
pub(super) struct Ack {
    /// The incident's id
    id: String,
    /// A remark beside the token's name, such as who is meant
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    #[command(flatten)]
    answer: Shape,
}

/// Write something down about an incident. Needs the token of an operator. Exit code: 0 it is on record
#[derive(Debug, clap::Args)]
pub(super) struct Note {
    /// The incident's id
    id: String,
    /// What; one line, at most 2000 characters
    text: String,
    /// A remark beside the token's name
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    #[command(flatten)]
    answer: Shape,
}

/// Say what an incident is, whose it is, or how bad: from then on it stays so. Needs the token of an approver, for a soak is judged by it.
/// Exit code: 0 it is on record
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["class", "attribution", "severity"])))]
pub(super) struct Reclassify {
    /// The incident's id
    id: String,
    /// What it is: a failure class, such as timeout
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Whose it is, such as third_party
    #[arg(long, value_name = "WHOSE")]
    attribution: Option<String>,
    /// How bad it is: P1, P2, P3 or P4
    #[arg(long, value_name = "P1..P4")]
    severity: Option<String>,
    /// Why, in one line: an auditor will read it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// A remark beside the token's name, such as who asked for it
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    #[command(flatten)]
    answer: Shape,
}

pub(super) fn ack(args: &Ack) -> CliResult {
    let path = path_of(&args.id, "/ack")?;
    tell(&args.answer, &path, &json!({ "by": args.by }), "acknowledging needs the token of an operator", |_| {
        format!("incident {} is acknowledged", args.id)
    })
}

pub(super) fn note(args: &Note) -> CliResult {
    let path = path_of(&args.id, "/note")?;
    let body = json!({ "text": args.text, "by": args.by });
    tell(&args.answer, &path, &body, "a note needs the token of an operator", |_| format!("it is noted on incident {}", args.id))
}

pub(super) fn reclassify(args: &Reclassify) -> CliResult {
    let Reclassify { id, class, attribution, severity, reason, by, answer } = args;
    let path = path_of(id, "/reclassify")?;
    let body = json!({ "class": class, "attribution": attribution, "severity": severity, "reason": reason, "by": by });
    tell(answer, &path, &body, "reclassifying needs the token of an approver", |said| {
        let said = |key: &str| said.get(key).and_then(Value::as_str).map(plain).unwrap_or_default();
        format!("incident {id} is {} {} ({})", said("severity"), said("class"), said("attribution"))
    })
}

/// Whether a text can be the id of an incident.
fn is_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
}

fn path_of(id: &str, what: &str) -> Result<String, CliError> {
    if is_id(id) {
        return Ok(format!("/api/v1/incidents/{id}{what}"));
    }
    let shown = id.escape_debug();
    Err(Exit::Usage.with(anyhow::anyhow!("\"{shown}\" is no incident's id: `soakwatch incidents` shows them")))
}

pub(super) fn run(args: &Incidents) -> CliResult {
    match args.id.as_deref() {
        Some(id) if is_id(id) => one(args, id),
        other => list(args, other),
    }
}

fn one(args: &Incidents, id: &str) -> CliResult {
    let found: IncidentShown = match &args.store {
        Some(file) => {
            let reader = Reader::open(file).map_err(trouble)?;
            let incident = reader.incident(id).map_err(trouble)?;
            let incident = incident.ok_or_else(|| Exit::BadInput.with(anyhow::anyhow!("the store has no incident {id}")))?;
            let all = reader.incidents().map_err(trouble)?;
            IncidentShown::of(&incident, None, &causes(&all))
        }
        None => ask(&args.daemon, &path_of(id, "")?)?,
    };
    if args.json {
        json(&found)?;
    } else {
        say(text(&found).trim_end());
    }
    Ok(if found.open { Exit::No } else { Exit::Yes })
}

fn list(args: &Incidents, below: Option<&str>) -> CliResult {
    let parts: Vec<&str> = below.map(|b| b.split('/').collect()).unwrap_or_default();
    if parts.len() > 2 || parts.iter().any(|p| p.parse::<Slug>().is_err()) {
        let shown = below.unwrap_or_default().escape_debug();
        return Err(Exit::Usage.with(anyhow::anyhow!("\"{shown}\" is neither an incident's id nor customer or customer/environment")));
    }
    let list = match &args.store {
        Some(file) => stored(&Reader::open(file).map_err(trouble)?, &parts, args.open)?,
        None => {
            let keys = ["customer", "environment"].iter().zip(&parts).map(|(key, part)| format!("{key}={part}"));
            let query: Vec<String> = keys.chain(args.open.then(|| "open=true".to_owned())).collect();
            let mark = if query.is_empty() { "" } else { "?" };
            ask(&args.daemon, &format!("/api/v1/incidents{mark}{}", query.join("&")))?
        }
    };
    if args.json {
        json(&list)?;
    } else {
        say(table(&list, args.open).trim_end());
    }
    Ok(if list.incidents.iter().any(|i| i.open) { Exit::No } else { Exit::Yes })
}

fn stored(reader: &Reader, parts: &[&str], open: bool) -> Result<IncidentList, CliError> {
    let mut all = reader.incidents().map_err(trouble)?;
    all.sort_by_cached_key(Incident::place);
    let causes = causes(&all);
    let named = |id: &str| id.split('/').zip(parts).all(|(a, b)| a == *b);
    let wanted = all.iter().filter(|i| named(i.integration.as_str()) && (!open || i.is_open()));
    let incidents: Vec<IncidentShown> = wanted.map(|i| IncidentShown::of(i, None, &causes)).collect();
    let common = causes.iter().filter(|c| c.incidents.iter().any(|id| incidents.iter().any(|i| i.id == *id)));
    let common_causes = common.map(Into::into).collect();
    Ok(IncidentList { now: Clock::System.now(), incidents, common_causes, next: None })
}

fn trouble(error: StoreError) -> CliError {
    match error {
        StoreError::Missing(_) | StoreError::NotAStore { .. } => Exit::BadInput.with(error),
        other => Exit::Io.with(other),
    }
}

fn ask<T: serde::de::DeserializeOwned>(daemon: &Daemon, path: &str) -> Result<T, CliError> {
    let (status, body) = block_on(daemon.call(Method::GET, path))?;
    if status != StatusCode::OK {
        let answer: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let said = |key: &str| answer.get(key).and_then(Value::as_str).map(plain);
        return Err(match (status, said("error")) {
            (StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, Some(error)) => {
                Exit::BadInput.with(anyhow::anyhow!("{error}; {}", within(&said("hint").unwrap_or_default())))
            }
            _ => refused(status, &answer, "looking needs the token of a viewer"),
        });
    }
    serde_json::from_str(&body).map_err(|e| {
        Exit::Unreachable.with(anyhow::anyhow!("the answer can't be read ({e}): is this a Soakwatch daemon of the same version?"))
    })
}

fn json(what: &impl Serialize) -> Result<(), CliError> {
    say(serde_json::to_string_pretty(what).map_err(|e| Exit::Internal.with(e))?);
    Ok(())
}

fn moment(at: UnixMs) -> String {
    at.whole_seconds().to_string()
}

fn seconds(s: i64) -> String {
    span(u64::try_from(s).unwrap_or(0))
}

fn table(list: &IncidentList, open: bool) -> String {
    if list.incidents.is_empty() {
        return format!("no incident{}", if open { " is open" } else { "s" });
    }
    let mut lines = vec![["id", "severity", "integration", "since", "lasts", "class", "attribution", "on it"].map(str::to_owned)];
    for i in &list.incidents {
        let lasts = match i.time_to_repair_s {
            Some(s) => format!("{}, closed", seconds(s)),
            None => span(list.now.since(i.first_bad).as_secs()),
        };
        lines.push([
            i.id.clone(),
            i.severity.to_string(),
            plain(&i.integration),
            moment(i.first_bad),
            lasts,
            i.class.to_string(),
            i.attribution.to_string(),
            i.acknowledged.as_ref().map_or_else(|| "-".to_owned(), |a| plain(&a.by)),
        ]);
    }
    let mut out = aligned(&lines, "");
    for c in &list.common_causes {
        let ids = c.incidents.join(", ");
        out.push_str(&format!("\nmost likely one cause: {} ({}), since {}: {ids}\n", plain(&c.host), c.class, moment(c.since)));
    }
    out
}

fn text(i: &IncidentShown) -> String {
    let state = match (i.closed, i.time_to_repair_s) {
        (Some(at), Some(s)) => format!("closed {} after {}", moment(at), seconds(s)),
        _ => "open".to_owned(),
    };
    let mut out = format!("{} {} {}: {state}\n", i.id, i.severity, plain(&i.integration));
    let mut line = |text: String| out.push_str(&format!("{INDENT}{text}\n"));
    line(format!("{} ({}), owner {}, {} in {}", i.class, i.attribution, i.owner, i.criticality, i.phase));
    line(format!("first bad run {}, noticed {} after {}", moment(i.first_bad), moment(i.opened), seconds(i.time_to_detect_s)));
    if i.reopened > 0 {
        line(format!("broke again {} times", i.reopened));
    }
    if let Some(a) = &i.acknowledged {
        line(format!("{} is on it since {}", plain(&a.by), moment(a.at)));
    }
    if let Some(r) = &i.reclassified {
        line(format!("reclassified by {} at {}", plain(&r.by), moment(r.at)));
    }
    if let Some(c) = &i.common_cause {
        line(format!("most likely one cause with {} more: {} ({})", c.incidents.len().saturating_sub(1), plain(&c.host), c.class));
    }
    if let Some(runbook) = &i.runbook {
        line(format!("runbook: {}", plain(runbook)));
    }
    let mut checks = vec![["check", "state", "failures", "first", "last", "host"].map(str::to_owned)];
    for c in &i.checks {
        let state = if c.open { "broken" } else { "no longer broken" };
        let host = c.host.as_deref().map_or_else(|| "-".to_owned(), plain);
        checks.push([plain(&c.check), state.to_owned(), c.failures.to_string(), moment(c.first_bad), moment(c.last_bad), host]);
    }
    let mut runs = vec![["slot", "run", "check", "what", "status", "detail"].map(str::to_owned)];
    for r in &i.runs {
        let what = r.class.map_or_else(|| "passed".to_owned(), |c| c.to_string());
        let status = r.status.map_or_else(|| "-".to_owned(), |s| s.to_string());
        let id = r.run.map_or_else(|| "-".to_owned(), |id| id.to_string());
        runs.push([moment(r.slot), id, plain(&r.check), what, status, r.detail.as_deref().map(plain).unwrap_or_default()]);
    }
    let mut timeline = vec![["time", "what", "who", "text"].map(str::to_owned)];
    for e in &i.timeline {
        let who = e.by.as_deref().map_or_else(|| "-".to_owned(), plain);
        timeline.push([moment(e.at), e.event.to_string(), who, plain(&e.text)]);
    }
    [out, aligned(&checks, INDENT), aligned(&runs, INDENT), aligned(&timeline, INDENT)].join("\n")
}
