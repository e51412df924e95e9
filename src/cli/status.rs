//! `soakwatch status`: what fails now, since when, whose it most likely is and what to do, worst first, as the page `/` has it; asked of a running daemon. What
//! `soakwatch top` shows again and again is made here too. Changes nothing.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::control::{Daemon, refused};
use super::{CliError, CliResult, Exit, block_on, say};
use crate::clock::UnixMs;
use crate::explain::plain;
use crate::fields::Slug;
use crate::limits::words::span;
use crate::outcome::{Attribution, Cause, Class, Criticality};
use crate::status::State;

/// Show what fails, since when, whose it most likely is and what to do, worst first. Times are UTC. Exit code: 0 all is well, 1 something fails or is
/// throttled, 2 nothing does, but something is unknown or has not run yet (or nothing is configured)
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    pub(super) asked: Asked,
    /// The daemon's answer as it is: one JSON object
    #[arg(long)]
    json: bool,
}

/// What is to be shown, and of which daemon.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Asked {
    /// customer, customer/environment or customer/environment/integration; all if not given
    id: Option<String>,
    /// Those that are well, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// Of an answer what is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    now: String,
    #[serde(default)]
    config_refused: Option<Refused>,
    integrations: Vec<Seen>,
}

/// A configuration that was refused.
#[derive(Debug, Deserialize)]
struct Refused {
    at: String,
    problems: u64,
    first: String,
    in_force_since: String,
}

/// Of an integration what is shown.
#[derive(Clone, Debug, Deserialize)]
struct Seen {
    id: String,
    name: String,
    criticality: Criticality,
    state: State,
    hold: Option<Held>,
    failing_checks: Vec<String>,
    failing_since: Option<String>,
    last_run: Option<String>,
    ratio_24h: Option<f64>,
    class: Option<Class>,
    attribution: Option<Attribution>,
    cause: Option<Cause>,
    trouble_check: Option<String>,
    detail: Option<String>,
    remediation: Option<String>,
    warning: Option<Warned>,
}

#[derive(Clone, Debug, Deserialize)]
struct Held {
    reason: String,
    by: String,
    until: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Warned {
    detail: String,
    remediation: String,
}

pub(super) fn run(args: &Status) -> CliResult {
    let (body, answer) = block_on(args.asked.ask())?;
    if args.json {
        say(&body);
    } else {
        say(text(&answer, args.asked.all, coloured(), usize::MAX).trim_end());
    }
    Ok(exit(&answer))
}

/// Whether to colour what goes to standard output. Colour never says what the words beside it don't.
pub(super) fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

impl Asked {
    /// Asks the daemon once: its answer cut to what was asked for, as JSON and read, worst first.
    pub(super) async fn ask(&self) -> Result<(Value, Answer), CliError> {
        let id = self.id.as_deref();
        if let Some(id) = id.filter(|id| id.split('/').count() > 3 || id.split('/').any(|part| part.parse::<Slug>().is_err())) {
            let expected = "expected customer, customer/environment or customer/environment/integration";
            return Err(Exit::Usage.with(anyhow::anyhow!("\"{}\" is no id; {expected}", id.escape_debug())));
        }
        let (status, body) = self.daemon.call(Method::GET, "/api/v1/status").await?;
        let mut body: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        if status != StatusCode::OK {
            return Err(refused(status, &body, "reading needs the token of a viewer"));
        }
        if let (Some(id), Some(all)) = (id, body.get_mut("integrations").and_then(Value::as_array_mut)) {
            let known: Vec<String> = all.iter().filter_map(|i| i.get("id")?.as_str().map(str::to_owned)).collect();
            let depth = id.split('/').count();
            let start = |of: &str| of.split('/').take(depth).collect::<Vec<_>>().join("/");
            all.retain(|i| i.get("id").and_then(Value::as_str).is_some_and(|of| start(of) == id));
            if all.is_empty() {
                let near = known.iter().map(|k| start(k)).min_by_key(|k| strsim::damerau_levenshtein(id, k));
                let hint = near.map_or_else(|| "no integrations are configured".to_owned(), |near| format!("did you mean {near}?"));
                return Err(Exit::BadInput.with(anyhow::anyhow!("nothing is configured for {id}; {hint}")));
            }
            // They are of all there are.
            body.as_object_mut().map(|b| b.remove("totals"));
        }
        let mut answer: Answer = serde_json::from_value(body.clone()).map_err(|e| {
            Exit::Unreachable.with(anyhow::anyhow!("the answer can't be read ({e}): is this a Soakwatch daemon of the same version?"))
        })?;
        answer.integrations.sort_by(|a, b| (a.key(), &a.id).cmp(&(b.key(), &b.id)));
        Ok((body, answer))
    }
}

impl Seen {
    /// As the page sorts: state, of those that pass the ones with a warning, what matters most, the lowest ratio of the day.
    fn key(&self) -> (State, bool, Criticality, u64) {
        let ratio = self.ratio_24h.map_or(u64::MAX, |r| (r * 1e9) as u64);
        (self.state, self.state == State::Passing && self.warning.is_none(), self.criticality, ratio)
    }

    fn well(&self) -> bool {
        self.state == State::Passing && self.warning.is_none()
    }
}

/// The worst decides. What is paused or in maintenance is meant to be.
pub(super) fn exit(answer: &Answer) -> Exit {
    match answer.integrations.iter().map(|i| i.state).min() {
        Some(State::Failing | State::Throttled) => Exit::No,
        Some(State::Unknown | State::Pending) | None => Exit::Undecided,
        Some(State::Maintenance | State::Paused | State::Passing) => Exit::Yes,
    }
}

/// Symbol and colour of a state.
fn sign(state: State) -> (&'static str, &'static str) {
    match state {
        State::Failing => ("✕", "31"),
        State::Throttled => ("◑", "33"),
        State::Unknown => ("?", "35"),
        State::Pending => ("–", "36"),
        State::Maintenance | State::Paused => ("‖", "36"),
        State::Passing => ("✓", "32"),
    }
}

fn at(text: Option<&String>) -> Option<UnixMs> {
    text?.parse::<jiff::Timestamp>().ok().map(UnixMs::from)
}

/// How long ago, in words: `since 2026-12-01T08:00:00Z, for 2 hours`.
fn since(text: Option<&String>, now: UnixMs) -> Option<String> {
    let at = at(text)?;
    Some(format!("since {}, for {}", at.whole_seconds(), span(now.since(at).as_secs())))
}

/// All of it: a line of counts, then what is not well, worst first; at most `most` integrations.
pub(super) fn text(answer: &Answer, all: bool, colour: bool, most: usize) -> String {
    let now = at(Some(&answer.now)).unwrap_or_default();
    let counts: Vec<String> = State::ALL
        .iter()
        .map(|s| (s, answer.integrations.iter().filter(|i| i.state == *s).count()))
        .filter(|(_, n)| *n > 0)
        .map(|(s, n)| format!("{n} {s}"))
        .collect();
    let head = if counts.is_empty() { "no integrations are configured".to_owned() } else { counts.join(", ") };
    let mut out = format!("{head}, as of {}\n", now.whole_seconds());
    if let Some(r) = &answer.config_refused {
        let count = match r.problems {
            0 => String::new(),
            1 => "1 problem: ".to_owned(),
            n => format!("{n} problems, first: "),
        };
        let whole = |text: &String| at(Some(text)).map_or_else(|| plain(text), |t| t.whole_seconds().to_string());
        let _ = writeln!(out, "the configuration on disk was refused at {}: {count}{}", whole(&r.at), plain(&r.first));
        let _ = writeln!(out, "    in force is the one from {}; `soakwatch validate` lists all problems", whole(&r.in_force_since));
    }
    let shown: Vec<&Seen> = answer.integrations.iter().filter(|i| all || !i.well()).collect();
    for i in shown.iter().take(most) {
        out.push('\n');
        one(&mut out, i, colour, now);
    }
    if shown.is_empty() && !answer.integrations.is_empty() {
        out.push_str("nothing fails\n");
    }
    if shown.len() > most {
        let _ = writeln!(out, "\nand {} more", shown.len() - most);
    }
    out
}

fn one(out: &mut String, i: &Seen, colour: bool, now: UnixMs) {
    let (symbol, code) = sign(i.state);
    let state = format!("{symbol} {}", i.state);
    let state = if colour { format!("\u{1b}[1;{code}m{state}\u{1b}[0m") } else { state };
    let since = match i.state {
        State::Failing | State::Throttled => since(i.failing_since.as_ref(), now),
        State::Unknown => i.last_run.as_ref().map(|t| format!("last judged run {t}")),
        _ => None,
    };
    let _ = writeln!(
        out,
        "{state}  {} ({}), {}{}",
        plain(&i.id),
        plain(&i.name),
        i.criticality,
        since.map(|s| format!(", {s}")).unwrap_or_default()
    );
    if let Some(hold) = &i.hold {
        let until = hold.until.as_ref().map(|u| format!(", until {u}")).unwrap_or_default();
        let _ = writeln!(out, "    {} (declared by {}{until})", plain(&hold.reason), plain(&hold.by));
    }
    let what = i.cause.map(|c| c.as_str()).or(i.class.map(|c| c.as_str()));
    if what.is_some() || i.detail.is_some() {
        let whose = i.attribution.map(|a| format!(", most likely {a}")).unwrap_or_default();
        let check = i.trouble_check.as_deref().map(|c| format!(" in {}", plain(c))).unwrap_or_default();
        let more = if i.failing_checks.len() > 1 { format!(" ({} checks fail)", i.failing_checks.len()) } else { String::new() };
        let _ = writeln!(out, "    {}{check}{whose}{more}", what.unwrap_or("silent"));
    }
    let warned = i.warning.as_ref();
    for (label, line) in
        [("", i.detail.as_ref().or(warned.map(|w| &w.detail))), ("next: ", i.remediation.as_ref().or(warned.map(|w| &w.remediation)))]
    {
        if let Some(line) = line {
            let _ = writeln!(out, "    {label}{}", plain(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(id: &str, state: &str, more: &Value) -> Seen {
        let mut all = json!({ "id": id, "name": "CRM", "criticality": "high", "state": state, "failing_checks": [] });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn answer(integrations: Vec<Seen>) -> Answer {
        Answer { now: "2026-12-01T10:00:00Z".into(), config_refused: None, integrations }
    }

    #[test]
    fn a_refused_configuration_is_told_above_all() {
        let refused: Refused = serde_json::from_value(json!({
            "at": "2026-12-01T09:00:00Z", "problems": 2, "first": "acme.toml:3:1: evry: unknown key\u{1b}[2J", "in_force_since": "2026-12-01T08:00:00Z",
        }))
        .unwrap();
        let a = Answer { config_refused: Some(refused), ..answer(vec![seen("acme/production/crm", "passing", &json!({}))]) };
        let want = "\
1 passing, as of 2026-12-01T10:00:00Z
the configuration on disk was refused at 2026-12-01T09:00:00Z: 2 problems, first: acme.toml:3:1: evry: unknown key [2J
    in force is the one from 2026-12-01T08:00:00Z; `soakwatch validate` lists all problems
nothing fails
";
        assert_eq!(text(&a, false, false, 10), want);
    }

    #[test]
    fn what_fails_is_told_with_its_time_its_owner_and_what_to_do() {
        let failing = json!({
            "failing_checks": ["list", "get"], "failing_since": "2026-12-01T08:00:00Z", "class": "server_error", "attribution": "third_party",
            "trouble_check": "list", "detail": "answered 503\u{1b}[2J", "remediation": "Ask the vendor.",
        });
        let a = answer(vec![seen("acme/production/crm", "failing", &failing), seen("acme/production/erp", "passing", &json!({}))]);
        let want = "\
1 failing, 1 passing, as of 2026-12-01T10:00:00Z

✕ failing  acme/production/crm (CRM), high, since 2026-12-01T08:00:00Z, for 2h
    server_error in list, most likely third_party (2 checks fail)
    answered 503 [2J
    next: Ask the vendor.
";
        assert_eq!(text(&a, false, false, 10), want);
        assert!(text(&a, true, false, 10).contains("✓ passing  acme/production/erp"));
        assert!(text(&a, true, false, 1).ends_with("\nand 1 more\n"));
        assert!(text(&a, false, true, 10).contains("\u{1b}[1;31m✕ failing\u{1b}[0m"), "colour is beside the word");
    }

    #[test]
    fn the_worst_state_is_the_exit_code() {
        let of = |states: &[&str]| exit(&answer(states.iter().map(|s| seen("a/b/c", s, &json!({}))).collect()));
        assert_eq!(of(&["passing", "paused", "maintenance"]), Exit::Yes);
        assert_eq!(of(&["passing", "failing", "unknown"]), Exit::No);
        assert_eq!(of(&["throttled"]), Exit::No);
        assert_eq!((of(&["unknown", "passing"]), of(&["pending"])), (Exit::Undecided, Exit::Undecided));
        assert_eq!(of(&[]), Exit::Undecided, "nothing is watched, so nothing is known to be well");
    }
}
