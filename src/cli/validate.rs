//! `soakwatch validate`: reads a configuration as the daemon would and says everything that is wrong with it; with `--against`, what a reload of a running
//! daemon would change. Changes nothing, sends nothing to a customer.

use std::path::PathBuf;

use clap::Args;
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;

use super::control::{Credential, Daemon, address, refused};
use super::reload::{settings_now, soaks_again};
use super::{CliError, CliResult, Exit, block_on, say};
use crate::clock::{Clock, UnixMs};
use crate::config::diff::Diff;
use crate::config::fingerprint::Change;
use crate::config::model::Config;
use crate::config::outline::Outline;
use crate::config::table::Problem;
use crate::config::{Counts, LoadOptions, Loaded, environment, load};
use crate::fields::CheckId;
use crate::readiness::{self, Restarted};

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
    /// Say what a reload would start, stop and restart in the daemon at this URL. Nothing is changed there.
    #[arg(long, value_name = "URL", value_parser = address)]
    against: Option<Url>,
    #[command(flatten)]
    credential: Credential,
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
    /// What a reload would change, where a daemon was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Changes>,
}

/// What a reload would change.
#[derive(Debug, Serialize)]
struct Changes {
    start: Vec<CheckId>,
    stop: Vec<CheckId>,
    restart: Vec<CheckId>,
    unchanged: usize,
    /// Soaks that would begin again, because what they judge is changed.
    soaks_restarted: Vec<Restarted>,
    /// Soaks of which this can't be told: these keys name files that can't be read, here or there.
    soaks_unsure: Vec<Restarted>,
    /// Settings that would change with it.
    settings_changed: Vec<String>,
    restart_needed: Vec<String>,
}

pub(super) fn run(args: &Validate) -> CliResult {
    let options = LoadOptions { check_secrets: !args.no_secrets, env: environment(), now: Clock::System.now() };
    let loaded = load(&args.dir, &options);
    let mut report = report(&loaded, args.strict);
    if let (Some(url), Some(config)) = (&args.against, &loaded.config) {
        let daemon = Daemon::at(url.clone(), args.credential.clone());
        report.against = Some(changes(&block_on(in_force(&daemon))?, config, options.now)?);
    }
    if args.json {
        say(serde_json::to_string(&report).map_err(|e| Exit::Internal.with(e))?);
    } else {
        for problem in report.problems {
            say(problem);
        }
        say(summary(&report));
        if let Some(changes) = &report.against {
            told(changes).iter().for_each(say);
        } else if args.against.is_some() {
            say("a reload would be refused: nothing would change");
        }
    }
    Ok(if report.valid { Exit::Yes } else { Exit::No })
}

fn report(loaded: &Loaded, strict: bool) -> Report<'_> {
    let warnings = loaded.problems.iter().filter(|p| p.warning).count();
    let Counts { customers, integrations, checks, .. } = loaded.counts;
    let valid = loaded.config.is_some() && (warnings == 0 || !strict);
    Report {
        valid,
        errors: loaded.problems.len() - warnings,
        warnings,
        problems: &loaded.problems,
        customers,
        integrations,
        checks,
        against: None,
    }
}

/// What the daemon runs, as hashes.
async fn in_force(daemon: &Daemon) -> Result<Outline, CliError> {
    let (status, body) = daemon.call(Method::GET, "/api/v1/config").await?;
    if status != StatusCode::OK {
        let answer = serde_json::from_str(&body).unwrap_or_default();
        return Err(refused(status, &answer, "this needs the token of a viewer"));
    }
    let other = || Exit::Unreachable.with(anyhow::anyhow!("the answer to /api/v1/config is none of a Soakwatch daemon's"));
    serde_json::from_str(&body).map_err(|_| other())
}

fn changes(before: &Outline, config: &Config, now: UnixMs) -> Result<Changes, CliError> {
    let new = Outline::of(config);
    let Some(diff) = before.diff(&new) else {
        return Err(Exit::Undecided.with(anyhow::anyhow!(
            "the daemon is version {}, this is {}: what a reload would change can't be told; use the daemon's own version",
            before.version,
            new.version
        )));
    };
    let Diff { added, removed, changed, unchanged, settings_changed, restart_needed } = diff;
    let (mut soaks_restarted, mut soaks_unsure) = (Vec::new(), Vec::new());
    for def in config.integrations() {
        let (Some(judges), Some(fingerprint)) = (before.soaks.get(&def.id), config.fingerprint(&def.id)) else { continue };
        let of = |changed| Restarted { integration: def.id.clone(), changed };
        match readiness::change(def, fingerprint, judges, now) {
            Change::None => {}
            Change::Some(keys) => soaks_restarted.push(of(keys)),
            Change::Unsure(keys) => soaks_unsure.push(of(keys)),
        }
    }
    Ok(Changes {
        start: added,
        stop: removed,
        restart: changed,
        unchanged,
        soaks_restarted,
        soaks_unsure,
        settings_changed,
        restart_needed,
    })
}

fn told(changes: &Changes) -> Vec<String> {
    let of = |word: &'static str, ids: &[CheckId]| ids.iter().map(move |id| format!("  {word:<8} {id}")).collect::<Vec<_>>();
    let mut lines = vec!["a reload would".to_owned()];
    lines.extend([of("start", &changes.start), of("stop", &changes.stop), of("restart", &changes.restart)].concat());
    lines.push(format!("  leave {} as {}", changes.unchanged, if changes.unchanged == 1 { "it is" } else { "they are" }));
    lines.extend(settings_now(&changes.settings_changed.iter().map(String::as_str).collect::<Vec<_>>()));
    lines.extend(soaks_again("  restart the soak of", &changes.soaks_restarted));
    lines.extend(soaks_again("whether it restarts the soak can't be told, for files can't be read, of", &changes.soaks_unsure));
    if !changes.restart_needed.is_empty() {
        lines.push(format!("these settings take effect at the next start: {}", changes.restart_needed.join(", ")));
    }
    lines
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_told_is_said_so() {
        let erp =
            Restarted { integration: "acme/production/erp".parse().unwrap(), changed: (0..7).map(|n| format!("check.{n}.ca")).collect() };
        let changes = Changes {
            start: Vec::new(),
            stop: Vec::new(),
            restart: Vec::new(),
            unchanged: 1,
            soaks_restarted: Vec::new(),
            soaks_unsure: vec![erp],
            settings_changed: Vec::new(),
            restart_needed: Vec::new(),
        };
        let said = told(&changes).join("\n");
        let open =
            "whether it restarts the soak can't be told, for files can't be read, of 1 integration:\n    acme/production/erp (check.0.ca, ";
        assert!(said.contains(open) && said.ends_with("check.4.ca, and 2 more)"), "{said}");
    }
}
