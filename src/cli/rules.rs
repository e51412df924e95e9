//! `soakwatch rules`: writes the recording rules and alerts for Prometheus, or says how many samples its scrape should allow. Asks nobody.

use std::path::{Path, PathBuf};

use super::{CliError, CliResult, Exit, complain, say};
use crate::clock::Clock;
use crate::config::{LoadOptions, environment, lines, load};
use crate::files;
use crate::rules::{Bases, Scale, groups, written};

/// Lines of a scrape that hang on no check: the daemon's own metrics, with room for every handler and status of its server.
const OWN_LINES: u64 = 500;

/// Write the recording rules and alerts for Prometheus (docs/alerts.md).
#[derive(Debug, clap::Args)]
pub(super) struct Rules {
    /// Where they go, such as /etc/prometheus/soakwatch.rules.yml; an older file is replaced. Standard output if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What stands before a runbook's name in alerts
    #[arg(long, value_name = "URL", default_value = "docs/runbooks")]
    runbooks: String,
    /// What stands before a dashboard's uid in alerts
    #[arg(long, value_name = "URL", default_value = "/d")]
    dashboards: String,
    /// prometheus: a file for rule_files; kubernetes: a PrometheusRule for the operator
    #[arg(long, value_enum, default_value_t = Format::Prometheus)]
    format: Format,
    /// Print a sample_limit for the scrape of this configuration instead (the directory that holds soakwatch.toml and customers/)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "runbooks", "dashboards", "format"])]
    sample_limit: Option<PathBuf>,
}

/// In which form.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Prometheus,
    Kubernetes,
}

/// The same rules as an object of Prometheus' operator: the file's text, two columns further in.
fn prometheus_rule(text: &str) -> String {
    let (comments, groups): (Vec<&str>, Vec<&str>) = text.lines().partition(|l| l.starts_with('#'));
    let head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: soakwatch\nspec:\n";
    let inside: String = groups.iter().map(|l| if l.is_empty() { "\n".to_owned() } else { format!("  {l}\n") }).collect();
    format!("{}\n{head}{inside}", comments.join("\n"))
}

/// Runs the command.
pub(super) fn run(args: &Rules) -> CliResult {
    if let Some(dir) = &args.sample_limit {
        say(format_args!("sample_limit: {}", sample_limit(dir)?));
        return Ok(Exit::Yes);
    }
    let base = |url: &str| url.trim_end_matches('/').to_owned();
    let bases = Bases { runbooks: base(&args.runbooks), dashboards: base(&args.dashboards) };
    let text = written(&groups(Scale::REAL), Scale::REAL, &bases);
    let text = match args.format {
        Format::Prometheus => text,
        Format::Kubernetes => prometheus_rule(&text),
    };
    match &args.out {
        None => say(text.trim_end()),
        Some(path) => std::fs::write(path, text)
            .map_err(|e| Exit::Io.with(anyhow::anyhow!("{} can't be written: {}", path.display(), files::words(e.kind()))))?,
    }
    Ok(Exit::Yes)
}

/// Twice what the configuration is counted as: a limit that is hit loses the whole scrape, and a reload may add to it.
fn sample_limit(dir: &Path) -> Result<u64, CliError> {
    let loaded = load(dir, &LoadOptions { check_secrets: false, env: environment(), now: Clock::System.now() });
    let Some(config) = loaded.config else {
        loaded.problems.iter().for_each(complain);
        return Err(
            Exit::BadInput.with(anyhow::anyhow!("the configuration can't be used; soakwatch validate {} says the same", dir.display()))
        );
    };
    Ok(2 * (lines(loaded.counts, config.settings.metrics.check_histograms) + OWN_LINES))
}
