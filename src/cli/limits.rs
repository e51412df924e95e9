//! `soakwatch limits [ID]`: what a running daemon knows of rate limits: policies, holds, widened intervals, and with `--forecast` what they mean for the
//! declared volume. Changes nothing.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::columns::aligned;
use super::control::{Daemon, refused, within};
use super::{CliError, CliResult, Exit, block_on, say};
use crate::clock::UnixMs;
use crate::explain::plain;
use crate::fields::Slug;
use crate::limits::batch::BatchFit;
use crate::limits::{HoldShown, IntegrationLimits, words};

/// Show the rate limits that endpoints told a running daemon, how often its checks run because of them, and who is held. Times are UTC
#[derive(Debug, clap::Args)]
pub(super) struct Limits {
    /// customer, customer/environment or customer/environment/integration; all if not given
    id: Option<String>,
    /// Also what the quotas mean for the declared volume: headroom, when they run out, whether batches fit
    #[arg(long)]
    forecast: bool,
    /// The daemon's answer as it is: one JSON object, the forecast always in it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// What the daemon answers.
#[derive(Debug, Deserialize)]
struct Answer {
    now: String,
    integrations: Vec<IntegrationLimits>,
}

pub(super) fn run(args: &Limits) -> CliResult {
    let path = path(args.id.as_deref())?;
    let (status, body) = block_on(args.daemon.call(Method::GET, &path))?;
    if status != StatusCode::OK {
        return Err(no_answer(status, &body, args.id.as_deref().unwrap_or_default()));
    }
    let foreign = |e: &dyn std::fmt::Display| {
        Exit::Unreachable.with(anyhow::anyhow!("the answer can't be read ({e}): is this a Soakwatch daemon of the same version?"))
    };
    if args.json {
        let answer: Value = serde_json::from_str(&body).map_err(|e| foreign(&e))?;
        say(&answer);
        return Ok(Exit::Yes);
    }
    let answer: Answer = serde_json::from_str(&body).map_err(|e| foreign(&e))?;
    let now = answer.now.parse::<jiff::Timestamp>().map(UnixMs::from).map_err(|e| foreign(&e))?;
    if answer.integrations.is_empty() {
        say("no integrations are configured");
    } else {
        let texts: Vec<String> = answer.integrations.iter().map(|i| text(i, args.forecast, now)).collect();
        say(texts.join("\n").trim_end());
    }
    Ok(Exit::Yes)
}

/// Where to ask. Slugs need no escaping.
fn path(id: Option<&str>) -> Result<String, CliError> {
    let Some(id) = id else { return Ok("/api/v1/limits".into()) };
    if id.split('/').count() <= 3 && id.split('/').all(|part| part.parse::<Slug>().is_ok()) {
        return Ok(format!("/api/v1/limits?id={id}"));
    }
    let expected = "expected customer, customer/environment or customer/environment/integration";
    Err(Exit::Usage.with(anyhow::anyhow!("\"{}\" is no id; {expected}", id.escape_debug())))
}

fn no_answer(status: StatusCode, body: &str, id: &str) -> CliError {
    let answer: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let said = |key: &str| answer.get(key).and_then(Value::as_str).map(plain);
    match (status, said("error"), said("hint")) {
        (StatusCode::NOT_FOUND, Some(error), Some(hint)) => Exit::BadInput.with(anyhow::anyhow!("{id}: {error}; {}", within(&hint))),
        _ => refused(status, &answer, "reading needs the token of a viewer"),
    }
}

const INDENT: &str = "  ";

fn text(i: &IntegrationLimits, forecast: bool, now: UnixMs) -> String {
    let mut head = format!("{} ({})\n", i.id, plain(&i.name));
    if let Some(why) = &i.paused {
        head.push_str(&format!("{INDENT}paused, nothing is sent: {}\n", plain(why)));
    }
    for hold in &i.holds {
        head.push_str(&held(hold, now));
    }
    // A hold says it already.
    if let Some(r) = i.retry_after.as_ref().filter(|_| i.holds.is_empty()) {
        head.push_str(&format!("{INDENT}{} was asked to wait {}, until {}\n", r.check, words::span(r.asked_s), r.until.whole_seconds()));
    }
    if i.policies.is_empty() {
        head.push_str(&format!("{INDENT}no endpoint has told a quota lately\n"));
    }
    let mut blocks = vec![head];
    if !i.policies.is_empty() {
        blocks.push(policies(i, now));
    }
    if !i.budgets.is_empty() {
        blocks.push(budgets(i));
    }
    if forecast {
        blocks.extend(Some(forecast_of(i)).filter(|text| !text.is_empty()));
        blocks.extend(batches(i));
    }
    blocks.join("\n")
}

fn held(h: &HoldShown, now: UnixMs) -> String {
    let (until, left) = (h.until.whole_seconds(), words::span(h.until.since(now).as_secs()));
    format!("{INDENT}held until {until} (for {left}): {}; waiting: {}\n", words::said(h), h.checks.join(", "))
}

fn moment(at: UnixMs) -> String {
    at.whole_seconds().to_string()
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

fn policies(i: &IntegrationLimits, now: UnixMs) -> String {
    let mut lines = vec![["policy", "limit", "remaining", "window", "resets in", "read"].map(str::to_owned)];
    for p in &i.policies {
        let unit = p.unit.as_ref().map(|u| format!(" {}", plain(u))).unwrap_or_default();
        let resets = |at: UnixMs| if at <= now { "over".to_owned() } else { words::span(at.since(now).as_secs()) };
        lines.push([
            plain(&p.policy),
            or_dash(p.limit.map(|n| format!("{n}{unit}"))),
            or_dash(p.remaining.map(|n| n.to_string())),
            or_dash(p.window_s.map(words::span)),
            or_dash(p.reset_at.map(resets).or(p.assumed_reset_at.map(|at| format!("not told, by {}", moment(at))))),
            format!("{} ago", words::span(now.since(p.read_at).as_secs())),
        ]);
    }
    aligned(&lines, INDENT)
}

fn budgets(i: &IntegrationLimits) -> String {
    let mut lines = vec![["check", "every", "in effect", "coverage lost", "why"].map(str::to_owned)];
    for b in &i.budgets {
        let widened = if b.factor > 1 { format!(" (×{})", b.factor) } else { String::new() };
        let lost = match (b.held_until, b.factor) {
            (Some(until), _) => format!("held, no slot runs until {}", moment(until)),
            (None, 2..) => words::percent(b.coverage_lost),
            (None, _) => "none".into(),
        };
        lines.push([b.check.clone(), b.every.to_string(), format!("{}{widened}", b.effective_interval), lost, plain(&b.reason)]);
    }
    aligned(&lines, INDENT)
}

fn forecast_of(i: &IntegrationLimits) -> String {
    let mut out = match i.headroom {
        Some(h) => {
            let window = i.headroom_window().map(|w| format!(" ({})", plain(&w))).unwrap_or_default();
            format!("{INDENT}headroom: {} the declared volume{window}\n", words::times(h))
        }
        // It is said already that no quota is told.
        None if i.policies.is_empty() => String::new(),
        None => format!("{INDENT}headroom: not known (it takes a quota whose window is told, and the volume declared for such a window)\n"),
    };
    if !i.policies.is_empty() {
        let mut lines = vec![["policy", "headroom", "used", "runs out as used", "runs out as declared"].map(str::to_owned)];
        for p in &i.policies {
            lines.push([
                plain(&p.policy),
                or_dash(p.headroom.map(words::times)),
                or_dash(p.used_per_s.map(words::rate)),
                or_dash(p.exhausted_at.map(moment)),
                or_dash(p.exhausted_at_declared.map(moment)),
            ]);
        }
        out.push_str(&aligned(&lines, INDENT));
    }
    out
}

fn batches(i: &IntegrationLimits) -> Option<String> {
    let mut lines = vec![["batch", "calls", "policy", "fits", "as used", "takes", "ends", "why"].map(str::to_owned)];
    for b in &i.batches {
        for fit in &b.policies {
            lines.push([
                b.start.to_string(),
                b.calls.to_string(),
                plain(&fit.policy),
                yes(fit.fits),
                yes(fit.fits_as_used),
                or_dash(fit.takes_s.map(words::span)),
                or_dash(fit.ends.map(|t| t.to_string())),
                plain(&why(fit)),
            ]);
        }
        if b.policies.is_empty() {
            let unknown = "no quota of requests is known yet";
            let calls = b.calls.to_string();
            lines.push([b.start.to_string(), calls, "-".into(), yes(None), yes(None), "-".into(), "-".into(), unknown.into()]);
        }
    }
    (lines.len() > 1).then(|| aligned(&lines, INDENT))
}

fn yes(fits: Option<bool>) -> String {
    match fits {
        Some(true) => "yes".into(),
        Some(false) => "no".into(),
        None => "not known".into(),
    }
}

/// Why; beside what is used where that makes another answer.
fn why(fit: &BatchFit) -> String {
    match &fit.why_as_used {
        Some(used) if fit.fits_as_used != fit.fits => format!("{}; as used: {used}", fit.why),
        _ => fit.why.clone(),
    }
}
