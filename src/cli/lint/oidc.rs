//! `soakwatch lint oidc`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::cli::CliResult;
use crate::sso::json::MOST_BYTES;
use crate::sso::oidc::{Expected, lint};

/// An OIDC discovery document
#[derive(Debug, Args)]
pub(super) struct Oidc {
    /// The file
    file: PathBuf,
    /// The issuer that the application has configured, compared byte for byte
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// How the application authenticates at the token endpoint, such as client_secret_basic
    #[arg(long, value_name = "METHOD")]
    client_auth: Option<String>,
    /// The jwks_uri that was accepted before
    #[arg(long, value_name = "URL")]
    baseline_jwks_uri: Option<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(args: &Oidc) -> CliResult {
    let bytes = super::read(&args.file, MOST_BYTES as u64)?;
    let expected = Expected {
        client_auth: args.client_auth.clone(),
        baseline_jwks_uri: args.baseline_jwks_uri.clone(),
        ..Expected::of(args.issuer.as_str())
    };
    super::answer(&args.common, lint(&bytes, &expected).findings)
}
