//! `soakwatch restore FILE`: puts a backup in the place of the store, after it was examined, while no daemon writes. Deletes nothing.

use std::path::PathBuf;

use super::backup::{Which, bad, directory, words};
use super::progress::{during, size_of};
use super::{CliResult, Exit, say};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::backup::{copy, hold, put};

/// Put a backup in the place of the store, while no daemon runs. It is examined first. What was there is moved aside
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// The backup
    file: PathBuf,
    /// Also where a store is there already: that one gets another name
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: Which,
}

/// Runs the command.
pub(super) fn run(args: &Restore) -> CliResult {
    let now = Clock::System.now();
    let (store, _) = args.which.locate(now)?;
    if !args.file.exists() {
        return Err(Exit::BadInput.with(anyhow::anyhow!("there is no backup at {}", args.file.display())));
    }
    if store.exists() && !args.force {
        // Who is told to force it should not first hear afterwards that a daemon is in the way.
        let what = match hold(&store) {
            Err(StoreError::InUse(_)) => {
                "there is a store, and a daemon works with it: stop that first; then --force gives the store another name and puts the backup in its place"
            }
            _ => "there is a store already; --force gives that one another name and puts the backup in its place",
        };
        return Err(Exit::Io.with(anyhow::anyhow!("{}: {what}", store.display())));
    }
    let held = hold(&store).map_err(|e| match e {
        StoreError::InUse(_) => Exit::Io.with(anyhow::anyhow!("{e}: stop it first")),
        other => Exit::Io.with(other),
    })?;
    let (copied, contents) =
        during(&format!("examining the backup, {}", size_of(&args.file)), || copy(&args.file, directory(&store))).map_err(bad)?;
    let aside = format!(".replaced-{}", now.whole_seconds().to_string().replace(['-', ':'], ""));
    let kept = put(&held, copied, &aside).map_err(|e| Exit::Io.with(anyhow::anyhow!("{}: {e}", store.display())))?;
    say(format_args!("{}: {}", store.display(), words(&contents)));
    if let Some(kept) = kept {
        say(format_args!("the store that was there: {}", kept.display()));
    }
    say("what was due since then will be unknown, cause down: a daemon that starts now accounts for it");
    Ok(Exit::Yes)
}
