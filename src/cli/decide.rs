//! `soakwatch exclude`, `soakwatch attest` and `soakwatch accept`: what people decide about a judgement, told to a running daemon, which records it under the token's name.

use reqwest::StatusCode;
use serde_json::{Map, Value, json};

use super::control::{Daemon, refused};
use super::{CliError, CliResult, Exit, block_on, complain, say};
use crate::explain::plain;

/// Take runs out of a soak's judgement after the fact, for good and on record. Needs the token of an approver. What was taken out is shown beside
/// every verdict, with the numbers as they were. Exit code: 0 it is on record
#[derive(Debug, clap::Args)]
pub(super) struct Exclude {
    /// customer/environment/integration for all of its checks, or customer/environment/integration/check for one
    id: String,
    /// From when: a time (2026-12-01T08:00:00Z), a day (2026-12-01), or a span back from now (90m)
    #[arg(long, value_name = "TIME")]
    from: String,
    /// To when, likewise; what is still to come can't be excluded (declare a maintenance window instead)
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Why, in one line: an auditor will read it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// A remark beside the token's name, such as who asked for it
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    #[command(flatten)]
    answer: Shape,
}

/// Vouch for what a monitor can't see, such as a sign-off that the soak's policy asks for. Needs the token of an operator. A new one of the same name
/// takes the place of the old one. Exit code: 0 it is on record
#[derive(Debug, clap::Args)]
pub(super) struct Attest {
    /// customer/environment
    environment: String,
    /// The name under `attest` in the soak's policy, such as uat_signoff
    name: String,
    /// What is vouched for, such as "passed"
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,
    /// Where to look it up, such as a ticket
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Until when it holds: a span from now on (30d), a time (2026-12-01T08:00:00Z) or a day (2026-12-01); for good if not given
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// A remark beside the token's name, such as who signed
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    #[command(flatten)]
    answer: Shape,
}

/// Accept a document that changed (metadata, keys, endpoints) as right, so that its change is no finding any more. Needs the token of an approver.
/// Exit code: 0 it is on record and in force
#[derive(Debug, clap::Args)]
pub(super) struct Accept {
    /// customer/environment/integration/check
    id: String,
    /// Why it is right, in one line: who confirmed it, and how
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// A remark beside the token's name, such as who asked for it
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    #[command(flatten)]
    answer: Shape,
}

/// Whom to tell, and how the answer looks.
#[derive(Debug, clap::Args)]
pub(super) struct Shape {
    /// The daemon's answer as it is: one JSON object with the record
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

pub(super) fn exclude(args: &Exclude) -> CliResult {
    let body = json!({ "id": args.id, "from": args.from, "to": args.to, "reason": args.reason, "by": args.by });
    let text = |body: &Map<String, Value>| format!("{} is excluded from {} to {}", args.id, field(body, "from"), field(body, "to"));
    tell(&args.answer, "/api/v1/exclusions", &body, "excluding needs the token of an approver", text)
}

pub(super) fn attest(args: &Attest) -> CliResult {
    let Attest { environment, name, value, note, until, by, answer } = args;
    let body = json!({ "environment": environment, "name": name, "value": value, "note": note, "until": until, "by": by });
    let text = |body: &Map<String, Value>| {
        let until = body.get("until").and_then(Value::as_str).map_or_else(|| "for good".to_owned(), |t| format!("until {}", plain(t)));
        format!("{name} is attested for {environment}, {until}")
    };
    tell(answer, "/api/v1/attestations", &body, "attesting needs the token of an operator", text)
}

pub(super) fn accept(args: &Accept) -> CliResult {
    let body = json!({ "id": args.id, "note": args.note, "by": args.by });
    let text = |_: &Map<String, Value>| format!("what {} last saw is accepted", args.id);
    tell(&args.answer, "/api/v1/acceptances", &body, "accepting needs the token of an approver", text)
}

fn field(body: &Map<String, Value>, key: &str) -> String {
    body.get(key).and_then(Value::as_str).map(plain).unwrap_or_default()
}

/// Tells it, and says that it is on record.
pub(super) fn tell(shape: &Shape, path: &str, body: &Value, advice: &str, text: impl Fn(&Map<String, Value>) -> String) -> CliResult {
    let (status, answer) = block_on(shape.daemon.post(path, body))?;
    if status != StatusCode::CREATED {
        return Err(not_done(status, &answer, advice));
    }
    let record = answer.get("recorded").and_then(Value::as_object);
    let Some((record, said)) = record.and_then(|r| Some((r, r.get("body")?.as_object()?))) else {
        return Err(Exit::Unreachable.with(anyhow::anyhow!("the answer can't be read: is this a Soakwatch daemon of the same version?")));
    };
    if shape.json {
        say(&answer);
    } else {
        let seq = record.get("seq").and_then(Value::as_u64).unwrap_or_default();
        say(format_args!("{} (evidence record {seq}, recorded as {})", text(said), field(record, "actor")));
    }
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        complain(format_args!("soakwatch: {}", plain(warning)));
    }
    Ok(Exit::Yes)
}

fn not_done(status: StatusCode, answer: &Value, advice: &str) -> CliError {
    let problems: Vec<String> = answer
        .get("problems")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|p| Some(format!("{}: {}", plain(p.get("field")?.as_str()?), plain(p.get("error")?.as_str()?))))
        .collect();
    match status {
        StatusCode::UNPROCESSABLE_ENTITY if !problems.is_empty() => {
            Exit::BadInput.with(anyhow::anyhow!("nothing was recorded:\n  - {}", problems.join("\n  - ")))
        }
        // The daemon is there; what was named is not.
        StatusCode::NOT_FOUND => {
            let error = answer.get("error").and_then(Value::as_str).map(plain);
            Exit::BadInput.with(anyhow::anyhow!("nothing was recorded: {}", error.unwrap_or_else(|| "there is no such thing".to_owned())))
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            let error = answer.get("error").and_then(Value::as_str).map(plain);
            Exit::Io.with(anyhow::anyhow!("{}", error.unwrap_or_else(|| "the daemon can't record it now".to_owned())))
        }
        _ => refused(status, answer, advice),
    }
}
