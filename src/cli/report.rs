//! `soakwatch report`: writes the evidence bundle of an environment, from the configuration and the store's file, also while the daemon runs.

use std::path::PathBuf;

use super::progress::during;
use super::{CliError, CliResult, Exit, complain, say};
use crate::app::{signing_key_blocking, store_path};
use crate::bundle::key::SigningKey;
use crate::bundle::{Content, NotWritten, write_bundle};
use crate::clock::{Clock, UnixMs};
use crate::config::model::Config;
use crate::config::{self, LoadOptions};
use crate::fields::{Point, Slug};
use crate::readiness::{Failed, assemble, doubt_clocks};
use crate::store::{Reader, StoreError};

/// Write the evidence bundle of an environment: the answer, everything it was made from, and reports for people. Changes nothing but DIR.
#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// customer/environment
    id: String,
    /// Where the bundle goes: a directory that is empty or is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Judged for this time: a time (2026-12-01T08:00:00Z), a day (2026-12-01), or a span back from now (2h); now if not given
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The directory that holds soakwatch.toml and customers/
    #[arg(long, value_name = "DIR", default_value = "config")]
    config: PathBuf,
    /// The store's file; the configuration's unless given
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &Report) -> CliResult {
    let now = Clock::System.now();
    let as_of = match &args.at {
        None => now,
        Some(text) => text.parse::<Point>().map(|p| p.at(now)).map_err(|expected| {
            Exit::Usage.with(anyhow::anyhow!("--at \"{}\" is not readable; expected {expected}", text.escape_debug()))
        })?,
    };
    if as_of > now {
        return Err(Exit::Usage.with(anyhow::anyhow!("--at ({as_of}) is still to come")));
    }
    let (customer, environment) = environment(&args.id)?;
    let loaded = config::load(&args.config, &LoadOptions { check_secrets: false, env: config::environment(), now });
    let Some(config) = loaded.config else {
        loaded.problems.iter().filter(|p| !p.warning).for_each(complain);
        return Err(Exit::BadInput.with(anyhow::anyhow!("the configuration in {} has errors (listed above)", args.config.display())));
    };
    let key = signing_key_blocking(&config).map_err(|why| Exit::BadInput.with(anyhow::anyhow!(why)))?;
    let written = during("writing the bundle", || bundle(args, &config, (&customer, &environment), as_of, key.as_ref()))?;
    say(format_args!("{}: {} as of {as_of}", args.id, written.gate.answer));
    let signed =
        written.manifest.key_id.map_or_else(|| "not signed: [evidence] signing_key is not set".to_owned(), |id| format!("signed by {id}"));
    say(format_args!(
        "{}: {} runs and spans, {} records of evidence, {signed}",
        args.out.display(),
        written.lines,
        written.manifest.chain_records
    ));
    Ok(Exit::Yes)
}

fn bundle(
    args: &Report,
    config: &Config,
    (customer, environment): (&Slug, &Slug),
    as_of: UnixMs,
    key: Option<&SigningKey>,
) -> Result<crate::bundle::Written, CliError> {
    let trouble = |e: StoreError| Exit::Io.with(e);
    let path = args.store.clone().unwrap_or_else(|| store_path(config));
    let reader = Reader::open(&path).map_err(trouble)?;
    let (mut situation, log) = assemble(config, &reader, customer.as_str(), environment.as_str(), as_of).map_err(|e| match e {
        Failed::Unknown(_) => Exit::BadInput.with(e),
        Failed::Store(e) => trouble(e),
    })?;
    if args.at.is_none() {
        doubt_clocks(&reader, &mut situation).map_err(trouble)?;
    }
    let content = Content { situation, log };
    let mut runs = |check: &crate::readiness::CheckCase, window: crate::soak::Window| {
        let runs = reader.runs(&check.check, 0, window.start, window.end)?;
        // A part is no evidence: better none.
        reader.whole().map(|()| runs)
    };
    write_bundle(content, &mut runs, &args.out, key).map_err(|e| match e {
        NotWritten::NotEmpty(_) | NotWritten::File { .. } | NotWritten::Runs(_) => Exit::Io.with(e),
        NotWritten::Json(_) => Exit::Internal.with(e),
    })
}

/// customer/environment.
pub(super) fn environment(id: &str) -> Result<(Slug, Slug), CliError> {
    let parts = id.split_once('/').and_then(|(c, e)| Some((c.parse().ok()?, e.parse().ok()?)));
    parts.ok_or_else(|| Exit::Usage.with(anyhow::anyhow!("\"{}\" is no environment; expected customer/environment", id.escape_debug())))
}
