//! `soakwatch lint`: judges a document from a file, by the same code as the checks; no daemon, no network.
//!
//! Owns the time to judge at, reading the file, and the two forms of the answer. One file a protocol beside it knows the protocol's options.

mod jwks;
mod oidc;
mod saml;
mod scim;

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{CliError, CliResult, Exit, say};
use crate::clock::{Clock, UnixMs};
use crate::explain::plain;
use crate::finding::{Finding, Level, Verdict, sorted, verdict};

/// Judges a document from a file: SAML metadata, OIDC discovery, key sets, recorded SCIM exchanges
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 pass or warnings only, 1 something is wrong, 65 the file can't be read.")]
pub(super) struct Lint {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Saml(saml::Saml),
    Oidc(oidc::Oidc),
    Jwks(jwks::Jwks),
    Scim(scim::Scim),
}

/// What every lint takes.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Judge as if it were this time, such as 2026-12-01T00:00:00Z; now unless given
    #[arg(long, value_name = "TIME", value_parser = super::explain::time)]
    at: Option<UnixMs>,
    /// Print one JSON object: the verdict and the findings
    #[arg(long)]
    json: bool,
}

impl Common {
    /// The time to judge at.
    pub(super) fn at(&self) -> UnixMs {
        self.at.unwrap_or_else(|| Clock::System.now())
    }
}

/// One finding as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    id: &'a str,
    level: Level,
    severity: &'a str,
    owner: &'a str,
    detail: &'a str,
}

#[derive(Serialize)]
struct Answer<'a> {
    verdict: Verdict,
    findings: Vec<Printed<'a>>,
}

pub(super) fn run(args: &Lint) -> CliResult {
    let (done, common) = match &args.what {
        What::Saml(a) => (saml::run(a), &a.common),
        What::Oidc(a) => (oidc::run(a), &a.common),
        What::Jwks(a) => (jwks::run(a), &a.common),
        What::Scim(a) => (scim::run(a), &a.common),
    };
    // Whoever reads JSON gets an object whatever happens; that nothing was judged is in the exit code and on standard error.
    if done.is_err() && common.json {
        say(serde_json::to_string(&Answer { verdict: Verdict::Fail, findings: Vec::new() }).map_err(anyhow::Error::from)?);
    }
    done
}

/// Reads the file, at most so many bytes; what can't be read is bad input.
pub(super) fn read(file: &Path, most: u64) -> Result<Vec<u8>, CliError> {
    crate::files::read_blocking(file, most).map_err(|e| Exit::BadInput.with(anyhow::anyhow!("{}: {e}", file.display())))
}

/// Prints the findings, worst first, and gives the exit code.
pub(super) fn answer(common: &Common, findings: Vec<Finding>) -> CliResult {
    let findings = sorted(findings);
    let verdict = verdict(&findings);
    if common.json {
        let printed = findings.iter().map(|f| Printed {
            id: &f.id,
            level: f.level,
            severity: f.severity.as_str(),
            owner: f.owner.as_str(),
            detail: &f.detail,
        });
        let answer = Answer { verdict, findings: printed.collect() };
        say(serde_json::to_string(&answer).map_err(anyhow::Error::from)?);
    } else {
        say(format!("verdict: {verdict}"));
        for f in &findings {
            say(format!("\n{:<5} {:<14} {:<9} {}\n      {}", f.level, f.id, f.severity, f.owner, plain(&f.detail)));
            if f.level != Level::Info && !f.advice().is_empty() {
                say(format!("      {}", f.advice()));
            }
        }
    }
    Ok(if verdict == Verdict::Fail { Exit::No } else { Exit::Yes })
}
