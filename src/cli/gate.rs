//! `soakwatch gate customer/environment`: may it go live; or, with `--gate hypercare`, may hypercare end? From the configuration and the store, without a daemon, or from a running one. Changes nothing.

use std::fmt::Write as _;
use std::path::PathBuf;

use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use super::control::{Credential, Daemon, refused, within};
use super::progress::during;
use super::verdict::{counts, criteria};
use super::{CliError, CliResult, Exit, block_on, complain, hypercare, say};
use crate::app::store_path;
use crate::checkpoint;
use crate::clock::{Clock, UnixMs};
use crate::config::model::Config;
use crate::config::{self, LoadOptions};
use crate::explain::plain;
use crate::fields::{Point, Slug};
use crate::readiness::{Answered, Failed, Passed, answer_from};
use crate::soak::gate::Answer;
use crate::soak::{Ruling, Shown, ShownCounts, percent};
use crate::store::Reader;

/// Say whether an environment may go live, or whether hypercare may end, and why not. Exit code: 0 go or ready_for_handoff, 1 no_go or not_ready (it failed), 2
/// not_yet (something is missing or can't be shown)
#[derive(Debug, clap::Args)]
pub(super) struct Gate {
    /// customer/environment
    environment: String,
    /// Which gate
    #[arg(long, value_enum, default_value_t = Which::GoLive)]
    gate: Which,
    /// The answer as one JSON object (docs/verdicts.md and docs/hypercare.md have its keys)
    #[arg(long)]
    json: bool,
    /// As it was at this time, by what had been recorded until then: 2026-12-01T08:00:00Z, a day (2026-12-01), or a span back from now (90m, 7d)
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Ask the running daemon that listens here, instead of reading its store
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "store"])]
    url: Option<Url>,
    #[command(flatten)]
    credential: Credential,
    /// The directory that holds soakwatch.toml and customers/
    #[arg(long, value_name = "DIR", default_value = "config")]
    config: PathBuf,
    /// The store's file; the configuration's unless given
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// The gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Which {
    /// May it go live?
    GoLive,
    /// May hypercare end?
    Hypercare,
}

pub(super) fn run(args: &Gate) -> CliResult {
    let now = Clock::System.now();
    let parts = args.environment.split_once('/').and_then(|(c, e)| Some((c.parse::<Slug>().ok()?, e.parse::<Slug>().ok()?)));
    let Some((customer, environment)) = parts else {
        let what = format!("\"{}\" is no environment; expected customer/environment", args.environment.escape_debug());
        return Err(Exit::Usage.with(anyhow::anyhow!(what)));
    };
    let at = args.at.as_ref().map(|text| time(text, now)).transpose()?;
    let environment = (customer.as_str(), environment.as_str());
    if args.gate == Which::Hypercare {
        let answered: checkpoint::Answered = match &args.url {
            Some(url) => ask(&Daemon::at(url.clone(), args.credential.clone()), environment, Some(checkpoint::GATE), at)?,
            None => read(args, environment, &|config, reader| {
                checkpoint::answer_from(config, reader, environment, at.unwrap_or(now), at.is_none())
            })?,
        };
        return hypercare::show(&answered, args.json);
    }
    let answered: Answered = match &args.url {
        Some(url) => ask(&Daemon::at(url.clone(), args.credential.clone()), environment, None, at)?,
        None => read(args, environment, &|config, reader| answer_from(config, reader, environment, at.unwrap_or(now), at.is_none()))?,
    };
    if args.json {
        say(serde_json::to_string_pretty(&answered).map_err(|e| Exit::Internal.with(e))?);
    } else {
        say(text(&answered));
    }
    Ok(match answered.answer {
        Answer::Go => Exit::Yes,
        Answer::NoGo => Exit::No,
        Answer::NotYet => Exit::Undecided,
    })
}

fn time(text: &str, now: UnixMs) -> Result<UnixMs, CliError> {
    let at = text
        .parse::<Point>()
        .map(|p| p.at(now))
        .map_err(|expected| Exit::Usage.with(anyhow::anyhow!("--at \"{}\" is not readable; expected {expected}", text.escape_debug())))?;
    if at > now {
        return Err(Exit::Usage.with(anyhow::anyhow!("--at {at} is in the future: nothing is judged before it has happened")));
    }
    Ok(at)
}

/// The answer of a running daemon.
fn ask<A: serde::de::DeserializeOwned>(
    daemon: &Daemon,
    (customer, environment): (&str, &str),
    gate: Option<&str>,
    at: Option<UnixMs>,
) -> Result<A, CliError> {
    // Slugs, words and UTC times need no escaping.
    let query: Vec<String> = gate.map(|g| format!("gate={g}")).into_iter().chain(at.map(|t| format!("at={t}"))).collect();
    let at = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let (status, body) = block_on(daemon.call(Method::GET, &format!("/api/v1/gates/{customer}/{environment}{at}")))?;
    if status != StatusCode::OK {
        let answer: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let said = |key: &str| answer.get(key).and_then(Value::as_str).map(plain);
        return Err(match (status, said("error"), said("hint")) {
            (StatusCode::NOT_FOUND, Some(error), Some(hint)) => {
                Exit::BadInput.with(anyhow::anyhow!("{customer}/{environment}: {error}; {}", within(&hint)))
            }
            _ => refused(status, &answer, "reading needs the token of a viewer"),
        });
    }
    serde_json::from_str(&body).map_err(|e| {
        Exit::Unreachable.with(anyhow::anyhow!("the answer can't be read ({e}): is this a Soakwatch daemon of the same version?"))
    })
}

/// Makes an answer of configuration and store.
type Answering<'a, A> = dyn Fn(&Config, &Reader) -> Result<A, Failed> + 'a;

/// The answer from configuration and store.
fn read<A>(args: &Gate, (customer, environment): (&str, &str), answer: &Answering<'_, A>) -> Result<A, CliError> {
    let now = Clock::System.now();
    let loaded = config::load(&args.config, &LoadOptions { check_secrets: false, env: config::environment(), now });
    let Some(config) = loaded.config else {
        loaded.problems.iter().filter(|p| !p.warning).for_each(complain);
        return Err(Exit::BadInput.with(anyhow::anyhow!("the configuration in {} has errors (listed above)", args.config.display())));
    };
    let here = |i: &crate::fields::IntegrationId| i.customer() == customer && i.environment() == environment;
    if !config.integrations().any(|i| here(&i.id)) {
        return Err(unknown(&config, &args.environment));
    }
    let path = args.store.clone().unwrap_or_else(|| store_path(&config));
    let reader = Reader::open(&path).map_err(|e| Exit::Io.with(e))?;
    during("judging what is stored", || answer(&config, &reader)).map_err(|e| match e {
        Failed::Unknown(_) => unknown(&config, &args.environment),
        Failed::Store(error) => Exit::Io.with(error),
    })
}

fn unknown(config: &Config, asked: &str) -> CliError {
    let known = config.integrations().map(|i| format!("{}/{}", i.id.customer(), i.id.environment()));
    let hint = match known.min_by_key(|name| strsim::damerau_levenshtein(asked, name)) {
        Some(near) => format!("did you mean {near}?"),
        None => "no integrations are configured".to_owned(),
    };
    Exit::BadInput.with(anyhow::anyhow!("nothing is configured for {asked}; {hint}"))
}

fn text(answered: &Answered) -> String {
    let earliest = answered.earliest.as_ref().map(|at| format!("it can be go at the earliest at {at}"));
    let head = (answered.environment.as_str(), words(answered.answer), answered.as_of.as_str());
    told(head, earliest, &answered.reasons, &answered.integrations, &integration)
}

/// An answer for people, of either gate. `environment`, what is said of it, and as of when.
pub(super) fn told<P>(
    (environment, said, as_of): (&str, &str, &str),
    earliest: Option<String>,
    reasons: &[String],
    integrations: &[P],
    integration: &dyn Fn(&mut String, &P),
) -> String {
    let mut out = format!("{environment}: {said}, as of {as_of}\n");
    if let Some(earliest) = earliest {
        let _ = writeln!(out, "{earliest}");
    }
    list(&mut out, "why not:", "", reasons);
    for passed in integrations {
        out.push('\n');
        integration(&mut out, passed);
    }
    out.trim_end().to_owned()
}

fn words(answer: Answer) -> &'static str {
    match answer {
        Answer::Go => "go",
        Answer::NoGo => "no_go (it may not go live)",
        Answer::NotYet => "not_yet (it can't be shown that it may go live)",
    }
}

pub(super) fn list(out: &mut String, head: &str, indent: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(out, "{indent}{head}");
        for line in lines {
            let _ = writeln!(out, "{indent}  - {}", plain(line));
        }
    }
}

const INDENT: &str = "  ";

fn integration(out: &mut String, p: &Passed) {
    let _ = write!(out, "{}: {}", plain(&p.integration), p.answer);
    let Some(soak) = &p.soak else {
        out.push('\n');
        list(out, "why not:", INDENT, &p.reasons);
        return;
    };
    let _ = writeln!(out, ", soak {}, {} to {}", soak.verdict, soak.window.start, soak.window.end);
    out.push_str(&criteria(soak, INDENT));
    let _ = writeln!(out, "{INDENT}{}", counts(&soak.counts));
    let budget = &soak.budget;
    let _ = writeln!(out, "{INDENT}budget: {} of {} tolerable failures used, {} left", budget.used, budget.allowed, budget.left);
    excluded(out, p, soak);
    let head = if p.answer == Answer::Go { "to know:" } else { "why not:" };
    list(out, head, INDENT, &p.reasons);
    if let Some(at) = soak.earliest_pass.as_ref().filter(|_| soak.verdict != Ruling::Passed) {
        let _ = writeln!(out, "{INDENT}it can pass at the earliest at {at}");
    }
}

/// What was taken out afterwards, with the numbers as recorded and without it side by side.
fn excluded(out: &mut String, p: &Passed, soak: &Shown) {
    if soak.excluded > 0 {
        let all = soak.adjusted.due + soak.not_due + soak.excluded;
        let share = percent(soak.excluded as f64 / all.max(1) as f64);
        let (raw, adjusted) = (ratio(&soak.counts), ratio(&soak.adjusted));
        let _ = writeln!(
            out,
            "{INDENT}excluded: {} of {all} slots, {share}; passed {raw} of all runs as recorded, {adjusted} without what was excluded",
            soak.excluded
        );
        let _ = writeln!(out, "{INDENT}without it: {}", counts(&soak.adjusted));
    }
    for x in &p.exclusions {
        let what = x.check.as_deref().map(|c| format!(", {c} alone")).unwrap_or_default();
        let remark = x.remark.as_deref().map(|r| format!(", \"{}\"", plain(r))).unwrap_or_default();
        let _ = writeln!(out, "{INDENT}  - {} to {}{what}: {} ({} on {}{remark})", x.from, x.to, plain(&x.reason), plain(&x.by), x.at);
    }
}

fn ratio(c: &ShownCounts) -> String {
    let runs = c.pass + c.fail + c.throttled;
    if runs == 0 { "none".to_owned() } else { percent(c.pass as f64 / runs as f64) }
}
