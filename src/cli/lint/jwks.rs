//! `soakwatch lint jwks`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::cli::CliResult;

/// A key set (JWKS)
#[derive(Debug, Args)]
pub(super) struct Jwks {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(args: &Jwks) -> CliResult {
    let _bytes = super::read(&args.file, 5 << 20)?;
    super::answer(&args.common, Vec::new())
}
