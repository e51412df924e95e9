//! `soakwatch checkpoint` and `soakwatch handoff`: what happened in hypercare, and what support takes over, from the configuration and the store's file, also
//! while the daemon runs.

use std::path::{Path, PathBuf};

use super::progress::during;
use super::report::environment;
use super::{CliError, CliResult, Exit, complain, say};
use crate::app::store_path;
use crate::checkpoint::{checkpoint, handoff};
use crate::clock::{Clock, UnixMs};
use crate::config::model::Config;
use crate::config::{self, LoadOptions};
use crate::fields::Point;
use crate::readiness::Failed;
use crate::report::{self, html, markdown};
use crate::store::Reader;

/// What a command reads from.
#[derive(Debug, clap::Args)]
struct From {
    /// The directory that holds soakwatch.toml and customers/
    #[arg(long, value_name = "DIR", default_value = "config")]
    config: PathBuf,
    /// The store's file; the configuration's unless given
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Markdown
    Md,
    /// One page of HTML, without anything from outside
    Html,
    /// The numbers (docs/hypercare.md has their keys)
    Json,
}

/// Report what happened to an environment since the last checkpoint: incidents, success against the objective, error budget, what ends soon, what holds
/// back the end of hypercare. Changes nothing
#[derive(Debug, clap::Args)]
pub(super) struct Checkpoint {
    /// customer/environment
    id: String,
    /// Where the span begins: a time (2026-12-01T08:00:00Z), a day (2026-12-01), or a span back from now (24h, 7d). By itself a day in the first week after
    /// go-live, later a week
    #[arg(long, value_name = "DATE|SPAN")]
    since: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
    /// Write it to this file, which must not be there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    from: From,
}

/// Write the package that support takes over when hypercare ends: inventory, known issues, runbooks, alert routes, contacts, history; as Markdown, HTML and
/// JSON. It holds no secrets. Changes nothing but DIR
#[derive(Debug, clap::Args)]
pub(super) struct Handoff {
    /// customer/environment
    id: String,
    /// Where it goes: a directory that is empty or is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    from: From,
}

/// Runs `soakwatch checkpoint`.
pub(super) fn run(args: &Checkpoint) -> CliResult {
    let now = Clock::System.now();
    let since = args.since.as_ref().map(|text| since(text, now)).transpose()?;
    let (customer, environment) = environment(&args.id)?;
    let (config, reader) = open(&args.from, now)?;
    let asked = (customer.as_str(), environment.as_str());
    let made = during("counting what is stored", || checkpoint(&config, &reader, asked, now, since)).map_err(failed)?;
    let text = match args.format {
        Format::Md => markdown(&report::checkpoint(&made)),
        Format::Html => html(&report::checkpoint(&made)),
        Format::Json => json(&made)?,
    };
    match &args.out {
        None => say(text.trim_end()),
        Some(path) => {
            write(path, &text)?;
            say(format_args!("{}: {} as of {now}, written to {}", args.id, made.gate.answer, path.display()));
        }
    }
    Ok(Exit::Yes)
}

/// Runs `soakwatch handoff`.
pub(super) fn run_handoff(args: &Handoff) -> CliResult {
    let now = Clock::System.now();
    let (customer, environment) = environment(&args.id)?;
    let (config, reader) = open(&args.from, now)?;
    let asked = (customer.as_str(), environment.as_str());
    let made = during("counting what is stored", || handoff(&config, &reader, asked, now)).map_err(failed)?;
    let dir = &args.out;
    let trouble = |e: std::io::Error| Exit::Io.with(anyhow::anyhow!("{}: {}", dir.display(), crate::files::words(e.kind())));
    std::fs::create_dir_all(dir).map_err(trouble)?;
    if std::fs::read_dir(dir).map_err(trouble)?.next().is_some() {
        return Err(Exit::Io.with(anyhow::anyhow!("{} is not empty: the package is written into a directory of its own", dir.display())));
    }
    let page = report::handoff(&made);
    for (name, text) in [("handoff.json", json(&made)?), ("handoff.md", markdown(&page)), ("handoff.html", html(&page))] {
        write(&dir.join(name), &text)?;
    }
    say(format_args!("{}: {} as of {now}; the package is in {}", args.id, made.checkpoint.gate.answer, dir.display()));
    Ok(Exit::Yes)
}

fn since(text: &str, now: UnixMs) -> Result<UnixMs, CliError> {
    let unreadable = |what: String| Exit::Usage.with(anyhow::anyhow!(what));
    let shown = text.escape_debug();
    let at =
        text.parse::<Point>().map_err(|expected| unreadable(format!("--since \"{shown}\" is not readable; expected {expected}")))?.at(now);
    if at >= now {
        return Err(unreadable(format!("--since ({at}) is still to come")));
    }
    Ok(at)
}

fn open(from: &From, now: UnixMs) -> Result<(Config, Reader), CliError> {
    let loaded = config::load(&from.config, &LoadOptions { check_secrets: false, env: config::environment(), now });
    let Some(config) = loaded.config else {
        loaded.problems.iter().filter(|p| !p.warning).for_each(complain);
        return Err(Exit::BadInput.with(anyhow::anyhow!("the configuration in {} has errors (listed above)", from.config.display())));
    };
    let path = from.store.clone().unwrap_or_else(|| store_path(&config));
    let reader = Reader::open(&path).map_err(|e| Exit::Io.with(e))?;
    Ok((config, reader))
}

fn failed(e: Failed) -> CliError {
    match e {
        Failed::Unknown(_) => Exit::BadInput.with(e),
        Failed::Store(e) => Exit::Io.with(e),
    }
}

fn json<T: serde::Serialize>(made: &T) -> Result<String, CliError> {
    serde_json::to_string_pretty(made).map(|text| text + "\n").map_err(|e| Exit::Internal.with(e))
}

/// Into a new file: nothing that is there is lost.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    let written = std::fs::File::options().write(true).create_new(true).open(path).and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|e| Exit::Io.with(anyhow::anyhow!("{}: {}", path.display(), crate::files::words(e.kind()))))
}
