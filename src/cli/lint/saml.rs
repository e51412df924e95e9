//! `soakwatch lint saml`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Common;
use crate::cli::{CliResult, Exit};
use crate::sso::saml::{Expected, MOST_BYTES, MOST_BYTES_AGGREGATE, Role, lint, pins};

/// Bytes of a file of pinned certificates.
const MOST_PEM: u64 = 1 << 20;

/// SAML 2.0 metadata of an identity provider, a service provider or a federation
#[derive(Debug, Args)]
pub(super) struct Saml {
    /// The file
    file: PathBuf,
    /// The entityID it must have; with --role aggregate only this entity is judged
    #[arg(long, value_name = "ID")]
    entity_id: Option<String>,
    /// What it must describe
    #[arg(long, value_enum, default_value_t)]
    role: Described,
    /// The document element must be signed by a pinned key
    #[arg(long)]
    require_signature: bool,
    /// Certificates (PEM, one or several in a file) whose keys may sign the document
    #[arg(long, value_name = "PEM")]
    pin: Vec<PathBuf>,
    /// A date that is fewer days ahead warns
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    warn_days: u32,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Described {
    /// An identity provider
    #[default]
    Idp,
    /// A service provider
    Sp,
    /// Any number of either
    Aggregate,
}

pub(super) fn run(args: &Saml) -> CliResult {
    let (role, most) = match args.role {
        Described::Idp => (Role::Idp, MOST_BYTES),
        Described::Sp => (Role::Sp, MOST_BYTES),
        Described::Aggregate => (Role::Aggregate, MOST_BYTES_AGGREGATE),
    };
    let mut expected = Expected {
        entity_id: args.entity_id.clone(),
        role,
        require_signature: args.require_signature,
        warn_days: args.warn_days,
        ..Expected::default()
    };
    for pem in &args.pin {
        let read = pins(&super::read(pem, MOST_PEM)?);
        expected.pins.extend(read.map_err(|why| Exit::BadInput.with(anyhow::anyhow!("{}: {why}", pem.display())))?);
    }
    let bytes = super::read(&args.file, most)?;
    super::answer(&args.common, lint(&bytes, &expected, args.common.at()))
}
