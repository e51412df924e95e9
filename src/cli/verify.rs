//! `soakwatch verify`: checks an evidence bundle with nothing but the bundle. Changes nothing, asks nobody.

use std::path::{Path, PathBuf};

use super::progress::{during, size_of};
use super::{CliError, CliResult, Exit, say};
use crate::bundle::key::PublicKey;
use crate::bundle::manifest::Manifest;
use crate::bundle::{Unreadable, Verified, verify};
use crate::files;

/// Check an evidence bundle: hashes, signature, chain, and the answer made again from its runs. Exit code: with --key 0 it is whole and by that key, 1 it
/// is not; without --key 2 it is whole, and nobody knows who signed it
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The directory of the bundle
    dir: PathBuf,
    /// The public key of who should have signed it: a file as soakwatch keygen writes it, or its 64 hex digits
    #[arg(long, value_name = "PUB")]
    key: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &Verify) -> CliResult {
    let key = args.key.as_deref().map(public_key).transpose()?;
    let verified =
        during(&format!("checking the bundle, {}", size_of(&args.dir)), || verify(&args.dir, key.as_ref())).map_err(|e| match e {
            Unreadable::NoBundle { .. } => Exit::BadInput.with(e),
            Unreadable::Io { .. } => Exit::Io.with(e),
        })?;
    if verified.findings.len() == 1 && key.is_some() && verified.manifest.as_ref().is_some_and(Manifest::is_unsigned) {
        say(format_args!("{}: not signed: everything else fits, but no key says who wrote it", args.dir.display()));
        return Ok(Exit::No);
    }
    for finding in &verified.findings {
        say(format_args!("BROKEN  {finding}"));
    }
    if !verified.findings.is_empty() {
        say(format_args!("{}: broken: this is not the evidence that was written", args.dir.display()));
        return Ok(Exit::No);
    }
    say(summary(&args.dir, &verified, key.is_some()));
    Ok(if key.is_some() { Exit::Yes } else { Exit::Undecided })
}

fn summary(dir: &Path, verified: &Verified, known: bool) -> String {
    let Verified { manifest: Some(m), gate: Some(gate), lines, .. } = verified else {
        return format!("{}: nothing was checked", dir.display());
    };
    let who = format!("{}/{}: {} as of {}", m.customer, m.environment, gate.answer, m.as_of);
    let what =
        format!("{lines} runs and spans, {} records of evidence: everything fits, and the runs give this answer again", m.chain_records);
    let signer = match (&m.key_id, known) {
        (None, _) => "integrity only, signer unknown: it is not signed".to_owned(),
        (Some(id), false) => format!("integrity only, signer unknown: signed by {id}, and no --key says whose that is"),
        (Some(id), true) => format!("signed by {id}"),
    };
    format!("{who}\n{what}\n{signer}")
}

fn public_key(text: &str) -> Result<PublicKey, CliError> {
    if let Some(key) = PublicKey::parse(text) {
        return Ok(key);
    }
    let path = Path::new(text);
    let bytes = files::read_blocking(path, 4 << 10).map_err(|why| {
        let exit =
            if matches!(why, files::Unread::Refused(kind) if kind != std::io::ErrorKind::NotFound) { Exit::Io } else { Exit::BadInput };
        exit.with(anyhow::anyhow!("--key {}: {why}", path.display()))
    })?;
    let key = std::str::from_utf8(&bytes).ok().and_then(PublicKey::parse);
    key.ok_or_else(|| {
        Exit::BadInput.with(anyhow::anyhow!("--key {}: expected an Ed25519 public key, as soakwatch keygen writes it", path.display()))
    })
}
