//! Pieces of PromQL that several rules are made of.

use super::{HOUR, MINUTE, Scale};
use crate::metrics::catalogue::{self as cat, Family};
use crate::outcome::{Cause, Phase};

/// The labels of an integration.
pub(super) const I: &str = "customer, environment, integration";
/// The labels of a check.
pub(super) const IC: &str = "customer, environment, integration, check";
/// Fewer runs than this in the short window say nothing: one failure would be an eighth of them or more.
pub(super) const FEWEST_RUNS: u32 = 8;

/// Scrapes may be lost for so long, in seconds, before what they told counts as gone.
const LOST_SCRAPES: u64 = 2 * MINUTE;

/// Writes queries on one scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queries(pub(super) Scale);

/// `label="a"`, or `label=~"a|b"` of several. The values are words of closed sets.
pub(super) fn one_of(label: &str, values: &[&str]) -> String {
    format!("{label}{}\"{}\"", if values.len() == 1 { "=" } else { "=~" }, values.join("|"))
}

/// The recorded number of runs in a window of so many seconds.
pub(super) fn runs(window: u64) -> String {
    format!("integration:soakwatch_runs:increase{}", Scale::REAL.span(window))
}

/// The recorded share of runs that failed.
pub(super) fn ratio(window: u64) -> String {
    format!("integration:soakwatch_run_failures_per_runs:ratio{}", Scale::REAL.span(window))
}

/// The recorded burn rate.
pub(super) fn burn(window: u64) -> String {
    format!("integration:soakwatch_burn_rate:ratio{}", Scale::REAL.span(window))
}

impl Queries {
    /// A gauge as it was last scraped: without this, a lost scrape would begin the wait of an alert anew.
    pub(super) fn last(self, family: &Family, selector: &str) -> String {
        self.last_of(family.name, selector)
    }

    /// The same by name.
    pub(super) fn last_of(self, name: &str, selector: &str) -> String {
        let selector = if selector.is_empty() { String::new() } else { format!("{{{selector}}}") };
        format!("last_over_time({name}{selector}[{}])", self.w(LOST_SCRAPES))
    }

    /// Gives every alert the phase, tier and owner of its integration, so that urgency and priority can follow from them. Of integrations in other
    /// phases (`None`: any but paused) nothing is left. What was scraped before counts only where nothing is there now: for a while an integration
    /// would have two phases otherwise, and Prometheus takes only one.
    pub(super) fn placed(self, expr: &str, phases: Option<&[Phase]>, labels: &str) -> String {
        let phases = phases.map_or_else(
            || format!("phase!=\"{}\"", Phase::Paused),
            |phases| one_of("phase", &phases.iter().map(|p| p.as_str()).collect::<Vec<_>>()),
        );
        let (info, before) = (cat::INTEGRATION_INFO.name, self.last(&cat::INTEGRATION_INFO, &phases));
        format!(
            "(\n  {}\n)\n* on ({I}) group_left ({labels})\n  max by ({I}, {labels}) (\n    {info}{{{phases}}}\n    or {before} unless on ({I}) {info}\n  )",
            expr.replace('\n', "\n  ")
        )
    }

    /// A window.
    pub(super) fn w(self, seconds: u64) -> String {
        self.0.span(seconds)
    }

    /// What a number of seconds that is no window is multiplied with.
    pub(super) fn factor(self) -> f64 {
        1.0 / f64::from(self.0.0.get())
    }

    /// How much a counter rose, in sums by these labels.
    pub(super) fn rose(self, family: &Family, selector: &str, by: &str, window: u64) -> String {
        let selector = if selector.is_empty() { String::new() } else { format!("{{{selector}}}") };
        format!("sum by ({by}) (increase({}{selector}[{}]))", family.name, self.w(window))
    }

    /// The same of a counter whose series appears with its first increase, which `increase` alone does not see: a series that was not there at the
    /// window's beginning, although the daemon was.
    pub(super) fn rose_or_appeared(self, family: &Family, by: &str, window: u64) -> String {
        let (name, w) = (family.name, self.w(window));
        format!(
            "{} > 0\nor (sum by ({by}) ({name}) unless sum by ({by}) ({name} offset {w}) and on () max(up{{job=\"soakwatch\"}} offset {w}) == 1)",
            self.rose(family, "", by, window)
        )
    }

    /// Integrations that are in a declared maintenance window, or were until so long ago.
    pub(super) fn in_maintenance(self, window: u64) -> String {
        format!("max by ({I}) (max_over_time({}[{}])) == 1", cat::MAINTENANCE.name, self.w(window))
    }

    /// Integrations that are paused, or were until so long ago.
    pub(super) fn paused(self, window: u64) -> String {
        format!("max by ({I}) (last_over_time({}{{phase=\"{}\"}}[{}]))", cat::INTEGRATION_INFO.name, Phase::Paused, self.w(window))
    }

    /// One result as long as no vantage sees out.
    pub(super) fn blind(self) -> String {
        format!("max(max_over_time({}[{}])) == 0", cat::SELF_CHECK.name, self.w(2 * MINUTE))
    }

    /// Integrations whose checks did not run in the last hour for a reason that is known and has its own way to be told: a hold, a check before them
    /// that fails, our own network.
    pub(super) fn held_back(self) -> String {
        let skipped = one_of("cause", &[Cause::RateLimit.as_str(), Cause::Blocked.as_str()]);
        let unknown = one_of("cause", &[Cause::SelfCheck.as_str()]);
        format!(
            "{} > 0\nor {} > 0\nor max by ({I}) ({}) > 0",
            self.rose(&cat::RUNS_SKIPPED, &skipped, I, HOUR),
            self.rose(&cat::RUNS_UNKNOWN, &unknown, I, HOUR),
            cat::RATE_LIMIT_RETRY_AFTER.name
        )
    }
}
