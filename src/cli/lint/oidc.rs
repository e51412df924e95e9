//! `soakwatch lint oidc`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::cli::CliResult;

/// An OIDC discovery document
#[derive(Debug, Args)]
pub(super) struct Oidc {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(args: &Oidc) -> CliResult {
    let _bytes = super::read(&args.file, 5 << 20)?;
    super::answer(&args.common, Vec::new())
}
