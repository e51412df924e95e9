//! `soakwatch lint scim`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::cli::CliResult;

/// Recorded SCIM exchanges
#[derive(Debug, Args)]
pub(super) struct Scim {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(args: &Scim) -> CliResult {
    let _bytes = super::read(&args.file, 5 << 20)?;
    super::answer(&args.common, Vec::new())
}
