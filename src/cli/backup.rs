//! `soakwatch backup FILE`: a copy of the store, while the daemon runs or not. Changes nothing but that it makes the file.

use std::path::{Path, PathBuf};

use super::progress::{during, size_of};
use super::{CliError, CliResult, Exit, complain, say};
use crate::app::store_path;
use crate::clock::{Clock, UnixMs};
use crate::config::model::Config;
use crate::config::{self, LoadOptions};
use crate::store::StoreError;
use crate::store::backup::{Contents, CopyError, copy, sync_directory};

/// Copy the store to a file, while the daemon runs: every result up to one moment, and the evidence log. Overwrites nothing
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Where the copy goes; it must not be there
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

/// Which store.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The directory that holds soakwatch.toml and customers/: it says where the store is
    #[arg(long, value_name = "DIR", default_value = "config", conflicts_with = "store")]
    config: PathBuf,
    /// The store's file itself, without a configuration
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

impl Which {
    /// The store's file, and the configuration that names it.
    pub(super) fn locate(&self, now: UnixMs) -> Result<(PathBuf, Option<Config>), CliError> {
        if let Some(file) = &self.store {
            return Ok((file.clone(), None));
        }
        let loaded = config::load(&self.config, &LoadOptions { check_secrets: false, env: config::environment(), now });
        let Some(config) = loaded.config else {
            loaded.problems.iter().filter(|p| !p.warning).for_each(complain);
            let what = "has errors (listed above); --store FILE names a store without a configuration";
            return Err(Exit::BadInput.with(anyhow::anyhow!("the configuration in {} {what}", self.config.display())));
        };
        Ok((store_path(&config), Some(config)))
    }
}

/// Runs the command.
pub(super) fn run(args: &Backup) -> CliResult {
    let (store, config) = args.which.locate(Clock::System.now())?;
    let there = || Exit::Io.with(anyhow::anyhow!("{} is there already and is not overwritten", args.file.display()));
    if args.file.symlink_metadata().is_ok() {
        return Err(there());
    }
    let (copied, contents) =
        during(&format!("copying the store, {}", size_of(&store)), || copy(&store, directory(&args.file))).map_err(|e| Exit::Io.with(e))?;
    copied.persist_noclobber(&args.file).map_err(|e| match e.error.kind() {
        std::io::ErrorKind::AlreadyExists => there(),
        _ => Exit::Io.with(anyhow::anyhow!("{}: {}", args.file.display(), e.error)),
    })?;
    sync_directory(&args.file).map_err(|e| Exit::Io.with(anyhow::anyhow!("{}: {e}", args.file.display())))?;
    say(format_args!("{}: {}", args.file.display(), words(&contents)));
    if let Some(config) = config {
        let evidence = &config.settings.evidence;
        let bundles = store.parent().unwrap_or(Path::new("")).join(&evidence.dir);
        let bundles = if bundles.is_dir() { format!(", the evidence bundles in {}", bundles.display()) } else { String::new() };
        let key = evidence.signing_key.as_ref().map(|key| format!(", the signing key ({key})")).unwrap_or_default();
        say(format_args!("not in it, copy them too: the configuration in {}{bundles}{key}, and the secrets", config.dir.display()));
    }
    Ok(Exit::Yes)
}

/// The directory a file lies in.
pub(super) fn directory(file: &Path) -> &Path {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a copy holds, in words.
pub(super) fn words(contents: &Contents) -> String {
    let Contents { checks, evidence, last, bytes } = contents;
    let last = last.map_or_else(|| "nothing is committed yet".to_owned(), |at| format!("up to {}", at.whole_seconds()));
    format!("{checks} checks, {evidence} records of evidence, {} KiB, {last}", bytes.div_ceil(1024))
}

/// The exit code of a file that was to be copied and is not good.
pub(super) fn bad(e: CopyError) -> CliError {
    match e {
        CopyError::Store(StoreError::NotAStore { .. } | StoreError::Newer { .. } | StoreError::Corrupt(_) | StoreError::Missing(_)) => {
            Exit::BadInput.with(e)
        }
        other => Exit::Io.with(other),
    }
}
