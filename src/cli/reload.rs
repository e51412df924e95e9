//! `soakwatch reload`: a running daemon reads its configuration again, and says what became of it.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::control::{Daemon, refused};
use super::{CliResult, Exit, block_on, complain, say};
use crate::readiness::Restarted;

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
            if !args.json {
                settings_now(&strings(&answer, "settings_changed")).iter().for_each(say);
            }
            let restarted = answer.get("soaks_restarted").and_then(|list| serde_json::from_value::<Vec<Restarted>>(list.clone()).ok());
            if !args.json {
                soaks_again("it restarts the soak of", &restarted.unwrap_or_default()).iter().for_each(say);
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

/// The settings that change with a reload; nothing where none does.
pub(super) fn settings_now(names: &[&str]) -> Option<String> {
    (!names.is_empty()).then(|| format!("settings that change now: {}", names.join(", ")))
}

/// So many integrations, and so many keys of each, are named.
const NAMED: (usize, usize) = (20, 5);

/// Whose soaks begin again, and by what; nothing where none does.
pub(super) fn soaks_again(what: &str, soaks: &[Restarted]) -> Vec<String> {
    if soaks.is_empty() {
        return Vec::new();
    }
    let more = |all: usize, named: usize| all.checked_sub(named).filter(|n| *n > 0).map(|n| format!("and {n} more"));
    let keys = |changed: &[String]| match changed {
        [] => "recorded by another version of Soakwatch".to_owned(),
        keys => keys.iter().take(NAMED.1).cloned().chain(more(keys.len(), NAMED.1)).collect::<Vec<_>>().join(", "),
    };
    let mut lines = vec![format!("{what} {} integration{}:", soaks.len(), if soaks.len() == 1 { "" } else { "s" })];
    lines.extend(soaks.iter().take(NAMED.0).map(|s| format!("    {} ({})", s.integration, keys(&s.changed))));
    lines.extend(more(soaks.len(), NAMED.0).map(|more| format!("    {more} (--json names all)")));
    lines
}

/// The texts of a list.
fn strings<'a>(answer: &'a Value, key: &str) -> Vec<&'a str> {
    answer.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
