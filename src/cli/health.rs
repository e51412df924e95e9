//! `soakwatch health`: is the daemon alive, or ready? For containers and scripts that have no HTTP client. Changes nothing, needs no token.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};

use super::control::{Credential, Daemon, Trust, address, refused};
use super::{CliResult, Exit, block_on, say};

/// Whoever asks for health has a deadline of his own, as a rule some seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ask a running daemon whether it is healthy. Exit code: 0 it is, 1 it is not (with --ready: 2, not yet), 69 nobody answers
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    /// Where the daemon listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464", value_parser = address)]
    url: Url,
    /// Whether it is ready: all that is stored is read, and every check is on its schedule
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    trust: Trust,
}

/// Runs the command.
pub(super) fn run(args: &Health) -> CliResult {
    let (path, no) = if args.ready { ("/-/ready", Exit::Undecided) } else { ("/-/healthy", Exit::No) };
    let daemon = Daemon::at(args.url.clone(), Credential::nobody(args.trust.clone()));
    let (status, body) = block_on(daemon.call_within(Method::GET, path, PATIENCE))?;
    match status {
        StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => {
            let line = body.lines().next().unwrap_or_default();
            say(line.chars().filter(|c| !c.is_control()).take(200).collect::<String>());
            Ok(if status == StatusCode::OK { Exit::Yes } else { no })
        }
        other => Err(refused(other, &serde_json::Value::Null, "health needs no token: is this a Soakwatch daemon?")),
    }
}
