//! `soakwatch probe ID`: one run now, through the daemon's own code path, explained. Stores nothing and counts nowhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::ids::Wanted;
use super::{CliError, CliResult, Exit, block_on, complain, say};
use crate::app;
use crate::clock::Clock;
use crate::config::model::{CheckDef, Config};
use crate::config::{self, LoadOptions};
use crate::explain;
use crate::memory::{MEMORY_NOTE, Memories};
use crate::observed::Noted;
use crate::outcome::Outcome;
use crate::run::run_once;
use crate::store::Reader;

/// Run a check once, now, and explain what it saw. Exit code: 0 it passed, 1 it did not, 2 it could not be judged.
#[derive(Debug, clap::Args)]
pub(super) struct Probe {
    /// customer/environment/integration/check, or customer/environment/integration for all of its checks.
    id: String,
    /// The directory that holds soakwatch.toml and customers/.
    #[arg(long, value_name = "DIR", default_value = "config")]
    config: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Probe) -> CliResult {
    let wanted = Wanted::parse(&args.id)?;
    let clock = Clock::System;
    // A secret that is missing here concerns the check that uses it: its run says so.
    let options = LoadOptions { check_secrets: false, env: config::environment(), now: clock.now() };
    let loaded = config::load(&args.config, &options);
    let Some(config) = loaded.config else {
        loaded.problems.iter().filter(|p| !p.warning).for_each(complain);
        return Err(Exit::BadInput.with(anyhow::anyhow!("the configuration in {} has errors (listed above)", args.config.display())));
    };
    let checks = find(&wanted, &config)?;
    // What a check accepted before is what it compares with; nothing of this run is kept.
    let memories = Memories::default();
    memories.restore(&remembered(&config));
    block_on(async {
        let transport = app::make_transport(&config, None, None).await.map_err(super::run::start_error)?;
        let mut outcomes = Vec::new();
        let mut values = Vec::new();
        for def in &checks {
            let report = Box::pin(run_once(def, (&transport, &memories), clock.now(), None, Noted::All)).await;
            outcomes.push(report.record.outcome);
            if args.json {
                values.push(explain::value(def, &report, clock.now()));
            } else {
                say(explain::text(def, &report, clock.now()));
            }
        }
        let exit = exit(&outcomes);
        if args.json {
            say(json!({ "id": args.id, "outcome": explain::worst(outcomes), "exit": exit as u8, "checks": values }));
        }
        Ok(exit)
    })
}

/// What the checks remember, where a store of this version is there to tell.
fn remembered(config: &Config) -> BTreeMap<String, String> {
    Reader::open(&app::store_path(config)).and_then(|r| r.notes(MEMORY_NOTE)).unwrap_or_default()
}

fn exit(outcomes: &[Outcome]) -> Exit {
    match explain::worst(outcomes.iter().copied()) {
        Outcome::Pass => Exit::Yes,
        Outcome::Fail | Outcome::Throttled => Exit::No,
        Outcome::Unknown | Outcome::Skipped | Outcome::NotDue => Exit::Undecided,
    }
}

fn find(wanted: &Wanted, config: &Config) -> Result<Vec<Arc<CheckDef>>, CliError> {
    let found: Vec<Arc<CheckDef>> = config.checks().filter(|c| wanted.is(&c.id)).cloned().collect();
    if found.is_empty() {
        let hint = wanted.hint(config.checks().map(|c| &c.id)).unwrap_or_else(|| "no check is configured".to_owned());
        return Err(Exit::BadInput.with(anyhow::anyhow!("{} is not in {}; {hint}", wanted.as_str(), config.dir.display())));
    }
    if let Some(told) = found.iter().find(|c| !c.kind.is_asked() || c.kind.receiving().is_some()) {
        let (id, kind) = (&told.id, told.kind.name());
        let why = format!("{id} can't be run by hand: its messages come to the daemon ({kind}); see: soakwatch runs {id}");
        return Err(Exit::Undecided.with(anyhow::anyhow!(why)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        use Outcome::{Fail, Pass, Throttled, Unknown};
        assert_eq!(exit(&[Pass, Pass]), Exit::Yes);
        assert_eq!(exit(&[Pass, Unknown]), Exit::Undecided);
        assert_eq!(exit(&[Unknown, Throttled]), Exit::No);
        assert_eq!(exit(&[Fail]), Exit::No);
    }
}
