//! `soakwatch lint scim`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::cli::{CliResult, Exit};
use crate::sso::scim::{Known, judge, recording};

/// Recorded SCIM exchanges
#[derive(Debug, Args)]
pub(super) struct Scim {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(args: &Scim) -> CliResult {
    let exchanges = recording::read(&super::read(&args.file, recording::MOST_BYTES)?)
        .map_err(|why| Exit::BadInput.with(anyhow::anyhow!("{}: {why}", args.file.display())))?;
    super::answer(&args.common, judge(&exchanges, &Known::default()))
}
