//! `soakwatch keygen`: makes the key that signs evidence bundles. Writes two files and overwrites none; the private key is never printed.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{CliError, CliResult, Exit, say};
use crate::bundle::key::SigningKey;
use crate::files;

/// Make a key that signs evidence bundles: the private key in a file of its own, the public one beside it.
#[derive(Debug, clap::Args)]
pub(super) struct Keygen {
    /// Where the private key goes; the public key goes to the same name with .pub. Neither file may be there
    #[arg(long, value_name = "FILE", default_value = "soakwatch-evidence.key")]
    out: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &Keygen) -> CliResult {
    let defect = |what: &'static str| Exit::Internal.with(anyhow::anyhow!(what));
    let key = SigningKey::fresh().ok_or_else(|| defect("the system gave no random bytes"))?;
    let pem = key.pem().ok_or_else(|| defect("the key could not be written as PEM"))?;
    let mut name = args.out.clone().into_os_string();
    name.push(".pub");
    let public = PathBuf::from(name);
    // Both names are taken before anything is written, so that no key is left without its half.
    let mut private_file = take(&args.out, 0o600)?;
    let public_file = take(&public, 0o644).inspect_err(|_| drop(std::fs::remove_file(&args.out)))?;
    write(&args.out, &mut private_file, &pem)?;
    write(&public, &mut { public_file }, &key.public().pem())?;
    say(format_args!("key id      {}", key.public().id()));
    say(format_args!("public key  {}", key.public()));
    say(format_args!("private     {} (keep it secret; only the daemon's user may read it)", args.out.display()));
    say(format_args!("public      {} (give it to whoever verifies: soakwatch verify DIR --key {})\n", public.display(), public.display()));
    say("Then in soakwatch.toml:\n");
    say(format_args!("[evidence]\nsigning_key = {{ file = {:?} }}", absolute(&args.out)));
    say("\nAnd reload a daemon that runs: the gate says go only on the configuration that is in force.");
    Ok(Exit::Yes)
}

fn take(path: &Path, mode: u32) -> Result<File, CliError> {
    let trouble = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AlreadyExists => anyhow::anyhow!("{} is there already and is not overwritten", path.display()),
        kind => anyhow::anyhow!("{} can't be made: {}", path.display(), files::words(kind)),
    };
    File::options().write(true).create_new(true).mode(mode).open(path).map_err(|e| Exit::Io.with(trouble(e)))
}

fn write(path: &Path, file: &mut File, text: &str) -> Result<(), CliError> {
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|e| Exit::Io.with(anyhow::anyhow!("{} can't be written: {}", path.display(), files::words(e.kind()))))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
