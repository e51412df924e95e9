//! `soakwatch validate`: reads a configuration as the daemon would and says everything that is wrong with it. Changes nothing, sends nothing.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{CliResult, Exit, say};
use crate::clock::Clock;
use crate::config::table::Problem;
use crate::config::{Counts, LoadOptions, Loaded, environment, load};

/// Check a configuration and list every problem in it.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The directory that holds soakwatch.toml and customers/.
    #[arg(default_value = "config")]
    dir: PathBuf,
    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
    /// Warnings count as errors.
    #[arg(long)]
    strict: bool,
    /// Secrets that can't be read here (in a pipeline, say) are warnings only.
    #[arg(long)]
    no_secrets: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    valid: bool,
    errors: usize,
    warnings: usize,
    problems: &'a [Problem],
    customers: u64,
    integrations: u64,
    checks: u64,
}

pub(super) fn run(args: &Validate) -> CliResult {
    let options = LoadOptions { check_secrets: !args.no_secrets, env: environment(), now: Clock::System.now() };
    let loaded = load(&args.dir, &options);
    let report = report(&loaded, args.strict);
    if args.json {
        say(serde_json::to_string(&report).map_err(|e| Exit::Internal.with(e))?);
    } else {
        for problem in report.problems {
            say(problem);
        }
        say(summary(&report));
    }
    Ok(if report.valid { Exit::Yes } else { Exit::No })
}

fn report(loaded: &Loaded, strict: bool) -> Report<'_> {
    let warnings = loaded.problems.iter().filter(|p| p.warning).count();
    let Counts { customers, integrations, checks, .. } = loaded.counts;
    let valid = loaded.config.is_some() && (warnings == 0 || !strict);
    Report { valid, errors: loaded.problems.len() - warnings, warnings, problems: &loaded.problems, customers, integrations, checks }
}

/// `12 customers, 40 integrations, 85 checks: 3 errors, 1 warning`
fn summary(report: &Report<'_>) -> String {
    let several = |n: u64, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let inside = [several(report.customers, "customer"), several(report.integrations, "integration"), several(report.checks, "check")];
    let found = match (report.errors, report.warnings) {
        (0, 0) => "no problems".to_owned(),
        (errors, warnings) => format!("{}, {}", several(errors as u64, "error"), several(warnings as u64, "warning")),
    };
    let strict = if report.errors == 0 && !report.valid { " (which count as errors with --strict)" } else { "" };
    format!("{}: {found}{strict}", inside.join(", "))
}
