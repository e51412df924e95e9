//! `soakwatch explain`: reads a response that was saved, or comes from `curl -si`, and says what a check would make of it. Asks nobody, stores nothing.

mod cases;
mod raw;
mod words;

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::{CliError, CliResult, Exit, complain, say};
use crate::clock::{Clock, UnixMs};
use crate::files;
use crate::outcome::Owner;
use crate::ratelimit::{Dialect, date};

/// So much of a response is read; the rest of its body does not matter.
const MAX_RESPONSE: u64 = 1 << 20;

/// Explain a saved HTTP response: outcome, who most likely has to act, rate limits, when to try again. Exit code: 0 it was explained, 65 it can't be
/// read
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The response as `curl -si` prints it; standard input if not given, or `-`
    file: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long, conflicts_with = "jsonl")]
    json: bool,
    /// Read many: a JSON object a line (name, dialect, status, headers, received_at, body); print what each says of rate limits, one line each
    #[arg(long)]
    jsonl: bool,
    /// Whose rate limits to expect, such as github or zendesk; with --jsonl, for lines that do not say
    #[arg(long, default_value = "auto", value_parser = dialect)]
    dialect: Dialect,
    /// When the response came (2026-12-01T08:00:00Z); if not given, the time of its Date header, else now
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<UnixMs>,
    /// Who runs the far side: customer, vendor, partner or us
    #[arg(long, default_value = "customer", value_parser = owner)]
    owner: Owner,
}

/// A line that can't be read.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable {
    line: usize,
    why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

pub(super) fn run(args: &Explain) -> CliResult {
    let path = args.file.as_deref().filter(|f| *f != Path::new("-"));
    let source = path.map_or_else(|| "standard input".to_owned(), |p| p.display().to_string());
    let unread = |e: &std::io::Error| Exit::BadInput.with(anyhow::anyhow!("{source}: {}", files::words(e.kind())));
    // Also a pipe: `soakwatch explain <(curl -si ...)`.
    let input: Box<dyn Read> = match path {
        Some(path) => Box::new(File::open(path).map_err(|e| unread(&e))?),
        None => Box::new(std::io::stdin()),
    };
    let now = Clock::System.now();
    if args.jsonl {
        return many(args, BufReader::new(input), now, &source).map_err(|e| unread(&e));
    }
    let mut bytes = Vec::new();
    input.take(MAX_RESPONSE).read_to_end(&mut bytes).map_err(|e| unread(&e))?;
    let raw = raw::parse(&bytes).map_err(|e| bad(&source, &e))?;
    let received_at = args.at.or_else(|| date(&raw.headers, now)).unwrap_or(now);
    let explained = words::explain(&raw, args.dialect, args.owner, received_at);
    if args.json {
        say(explained.value());
    } else {
        say(explained.text().trim_end());
    }
    Ok(Exit::Yes)
}

/// Goes on after a line that can't be read, and says so at the end.
fn many(args: &Explain, mut input: impl std::io::BufRead, now: UnixMs, source: &str) -> Result<Exit, std::io::Error> {
    let mut exit = Exit::Yes;
    for number in 1.. {
        let Some(line) = cases::next_line(&mut input)? else { break };
        match cases::answer(&line, args.dialect, args.at.unwrap_or(now)) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                if let Some(odd) = answer.unknown_dialect {
                    complain(format_args!("{source}: line {number}: dialect {odd:?} is not known; read as {}", args.dialect));
                }
                say(answer.line);
            }
            Err(why) => {
                complain(format_args!("{source}: {}", Unreadable { line: number, why }));
                exit = Exit::BadInput;
            }
        }
    }
    Ok(exit)
}

fn bad(source: &str, unreadable: &Unreadable) -> CliError {
    Exit::BadInput.with(anyhow::anyhow!("{source}: {unreadable}"))
}

fn dialect(text: &str) -> Result<Dialect, String> {
    Dialect::parse(text).ok_or_else(|| {
        let near = Dialect::ALL.iter().min_by_key(|d| strsim::damerau_levenshtein(text, d.as_str()));
        let hint = near.map_or_else(String::new, |d| format!(" (did you mean \"{d}\"?)"));
        let all: Vec<&str> = Dialect::ALL.iter().map(|d| d.as_str()).collect();
        format!("expected one of {}{hint}", all.join(", "))
    })
}

fn owner(text: &str) -> Result<Owner, String> {
    Owner::parse(text).ok_or_else(|| "expected customer, vendor, partner or us".to_owned())
}

pub(super) fn time(text: &str) -> Result<UnixMs, String> {
    text.parse::<jiff::Timestamp>().map(UnixMs::from).map_err(|_| "expected a time such as 2026-12-01T08:00:00Z".to_owned())
}
