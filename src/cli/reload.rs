//! `soakwatch reload`: a running daemon reads its configuration again, and says what became of it.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::control::{Daemon, refused};
use super::{CliResult, Exit, block_on, complain, say};

/// Make a running daemon read its configuration again. Exit code: 0 it is in force, 1 it has errors and nothing was changed
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    #[command(flatten)]
    daemon: Daemon,
    /// The daemon's answer as it is: one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Reload) -> CliResult {
    let (status, body) = block_on(args.daemon.call(Method::POST, "/-/reload"))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    if args.json && !answer.is_null() {
        say(&answer);
    }
    match status {
        StatusCode::OK => {
            let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
            if !args.json {
                say(format_args!(
                    "in force; checks: {} added, {} removed, {} changed, {} as before",
                    count("added"),
                    count("removed"),
                    count("changed"),
                    count("unchanged")
                ));
            }
            let waiting = strings(&answer, "restart_needed");
            if !waiting.is_empty() {
                complain(format_args!("these settings take effect at the next start: {}", waiting.join(", ")));
            }
            Ok(Exit::Yes)
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            if !args.json {
                for shown in strings(&answer, "shown") {
                    say(shown);
                }
                say("nothing was changed: the daemon goes on with the configuration it had");
            }
            Ok(Exit::No)
        }
        other => Err(refused(other, &answer, "reloading needs the token of an operator")),
    }
}

/// The texts of a list.
fn strings<'a>(answer: &'a Value, key: &str) -> Vec<&'a str> {
    answer.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
