//! `soakwatch lint jwks`.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::Common;
use crate::cli::{CliError, CliResult, Exit};
use crate::clock::UnixMs;
use crate::sso::json::MOST_BYTES;
use crate::sso::jwks::{Expected, Snapshot, changes, lint};

/// A key set (JWKS)
#[derive(Debug, Args)]
pub(super) struct Jwks {
    /// The file
    file: PathBuf,
    /// The key set as it was before, to judge the change of keys by
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(args: &Jwks) -> CliResult {
    let at = args.common.at();
    let bytes = super::read(&args.file, MOST_BYTES as u64)?;
    let before = args.before.as_deref().map(|file| snapshot(file, at)).transpose()?;
    let judged = lint(&bytes, &Expected::default(), at);
    let mut findings = judged.findings;
    if let (Some(before), Some(now)) = (before, judged.keys) {
        findings.extend(changes(&before, &now.snapshot()));
    }
    super::answer(&args.common, findings)
}

/// What is kept of the earlier set; its own faults are not this run's.
fn snapshot(file: &Path, at: UnixMs) -> Result<Snapshot, CliError> {
    let judged = lint(&super::read(file, MOST_BYTES as u64)?, &Expected::default(), at);
    let no_set = || Exit::BadInput.with(anyhow!("{}: expected a key set, a JSON object with an array \"keys\"", file.display()));
    judged.keys.map(|k| k.snapshot()).ok_or_else(no_set)
}
