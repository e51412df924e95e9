//! All that is shown of an integration's rate limits, made once for API, page and command line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::batch::{BatchShown, batches};
use super::forecast::dated;
use super::{PolicyShown, headroom, policies, shortage, words, written};
use crate::board::{CheckEntry, IntegrationEntry};
use crate::budget::{Because, CheckBudget, Hold, Views};
use crate::clock::UnixMs;
use crate::fields::Span;

/// The rate limits of an integration. What is not known is absent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
pub struct IntegrationLimits {
    /// customer/environment/integration.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why it is paused and by whom, if it is: nothing is sent for it then.
    #[serde(default)]
    pub paused: Option<String>,
    /// The smallest headroom of its policies.
    pub headroom: Option<f64>,
    /// Its policies, with their forecast.
    pub policies: Vec<PolicyShown>,
    /// The wait an endpoint asked for last, while it lasts.
    pub retry_after: Option<RetryAfter>,
    /// The holds in force: nothing is sent there.
    pub holds: Vec<HoldShown>,
    /// What each check may send, and how often it runs.
    pub budgets: Vec<BudgetShown>,
    /// Whether the declared batches fit.
    pub batches: Vec<BatchShown>,
}

/// A wait that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
pub struct RetryAfter {
    /// The check that was told.
    pub check: String,
    /// For how many seconds.
    pub asked_s: u64,
    /// Until when.
    #[schemars(with = "String")]
    #[serde(with = "written::rfc3339")]
    pub until: UnixMs,
}

/// A hold in force.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
pub struct HoldShown {
    /// `host:port` that is left alone.
    pub host: String,
    /// What its end comes from.
    pub because: Because,
    /// Until when nothing is sent.
    #[schemars(with = "String")]
    #[serde(with = "written::rfc3339")]
    pub until: UnixMs,
    /// When it was asked for.
    #[schemars(with = "String")]
    #[serde(with = "written::rfc3339")]
    pub since: UnixMs,
    /// For how many seconds it was asked for, or until the quota renews: more than the hold where `max_hold` cut it.
    pub asked_s: u64,
    /// The check that was told, whole id: with the same credential it may be another integration's.
    pub told: String,
    /// The checks of this integration that wait for it.
    pub checks: Vec<String>,
}

/// A check's budget.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
pub struct BudgetShown {
    /// The check's own id.
    pub check: String,
    /// The configured interval.
    #[schemars(with = "String")]
    #[serde(with = "written")]
    pub every: Span,
    /// The interval it runs at.
    #[schemars(with = "String")]
    #[serde(with = "written")]
    pub effective_interval: Span,
    /// Every so many slots run; 1: all.
    pub factor: u32,
    /// The share of configured slots that are left out because the interval is widened.
    pub coverage_lost: f64,
    /// The end of a hold in force: until then no slot runs at all.
    #[schemars(with = "Option<String>")]
    #[serde(with = "written::rfc3339_option", default)]
    pub held_until: Option<UnixMs>,
    /// Why, in words.
    pub reason: String,
    /// `host:port` whose patience it is.
    pub host: String,
    /// What all checks that share the pace may send, requests a second.
    pub allowed_per_s: f64,
    /// What they would send at their configured intervals, requests a second.
    pub wanted_per_s: f64,
    /// How many checks share it.
    pub shared_by: usize,
}

/// All of an integration. `views`: the budgets of its checks.
pub fn integration_limits(entry: &IntegrationEntry, views: &Views, now: UnixMs) -> IntegrationLimits {
    let policies = policies(entry, now);
    let budgets = || entry.checks.iter().filter_map(|c| Some((c, views.get(&c.def.id)?)));
    IntegrationLimits {
        id: entry.def.id.to_string(),
        name: entry.def.name.clone(),
        paused: entry.def.paused.as_ref().map(|p| format!("{} ({})", p.reason, p.by)),
        headroom: headroom(entry, now),
        retry_after: entry.checks.iter().filter_map(|c| retry_after(c, now)).max_by_key(|r| r.until),
        holds: holds(budgets(), now),
        budgets: budgets().map(|(c, b)| budget(c, b, now)).collect(),
        batches: batches(&entry.def.volume, &policies, now),
        policies,
    }
}

impl IntegrationLimits {
    /// Where the headroom rests on a configured window: `the window of 1d is quota_window, policy default`.
    pub fn headroom_window(&self) -> Option<String> {
        let tightest = self.policies.iter().find(|p| p.headroom.is_some() && p.headroom == self.headroom)?;
        let window = words::span(tightest.window_s.filter(|_| tightest.window_configured)?);
        Some(format!("the window of {window} is quota_window, policy {}", tightest.policy))
    }
}

/// The wait a check was asked for last, if it is not over. A time that can't be shown is no time.
fn retry_after(c: &CheckEntry, now: UnixMs) -> Option<RetryAfter> {
    let (at, asked_s) = c.state.retry_after?;
    let until = dated(at.plus(std::time::Duration::from_secs(asked_s))).filter(|t| *t > now)?;
    Some(RetryAfter { check: c.def.id.check().to_owned(), asked_s, until })
}

/// Each hold once, in order of the checks.
fn holds<'e>(budgets: impl Iterator<Item = (&'e CheckEntry, &'e CheckBudget)>, now: UnixMs) -> Vec<HoldShown> {
    let mut all: Vec<HoldShown> = Vec::new();
    for (c, b) in budgets {
        let Some(hold) = in_force(b, now) else { continue };
        let check = c.def.id.check().to_owned();
        match all.iter_mut().find(|h| h.host == b.host && h.until == hold.until && h.told == hold.check) {
            Some(known) => known.checks.push(check),
            None => all.push(HoldShown {
                host: b.host.clone(),
                because: hold.because,
                until: hold.until,
                since: hold.since,
                asked_s: hold.asked_s,
                told: hold.check.clone(),
                checks: vec![check],
            }),
        }
    }
    all
}

/// A budget's hold, if it is not over.
pub fn in_force(b: &CheckBudget, now: UnixMs) -> Option<&Hold> {
    b.hold.as_ref().filter(|h| h.until > now)
}

fn budget(c: &CheckEntry, b: &CheckBudget, now: UnixMs) -> BudgetShown {
    BudgetShown {
        check: c.def.id.check().to_owned(),
        every: c.def.every,
        effective_interval: b.effective_interval,
        factor: b.factor,
        coverage_lost: b.coverage_lost(),
        held_until: in_force(b, now).map(|h| h.until),
        reason: words::reason(b),
        host: b.host.clone(),
        allowed_per_s: b.allowed_per_s,
        wanted_per_s: b.wanted_per_s,
        shared_by: b.shared_by,
    }
}

/// The few facts that stand in an integration's row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct LimitsBrief {
    /// Until when a host wants no requests; the latest of several holds.
    #[schemars(with = "Option<String>")]
    #[serde(with = "written::rfc3339_option")]
    pub held_until: Option<UnixMs>,
    /// Of the check whose interval is widened most: every so many slots run; 1: all.
    pub interval_factor: Option<u32>,
    /// The smallest headroom.
    pub headroom: Option<f64>,
    /// When the first quota runs out before its reset, at the observed rate: a time to come, of a window of five minutes or more.
    #[schemars(with = "Option<String>")]
    #[serde(with = "written::rfc3339_option")]
    pub exhausted_at: Option<UnixMs>,
    /// Whether nothing is left of a quota with such a window.
    pub used_up: bool,
}

/// These facts of an integration.
pub fn brief(entry: &IntegrationEntry, views: &Views, now: UnixMs) -> LimitsBrief {
    let budgets = || entry.checks.iter().filter_map(|c| views.get(&c.def.id));
    let policies = policies(entry, now);
    LimitsBrief {
        held_until: budgets().filter_map(|b| Some(in_force(b, now)?.until)).max(),
        interval_factor: budgets().map(|b| b.factor).max(),
        headroom: headroom(entry, now),
        exhausted_at: policies.iter().filter_map(|p| shortage::runs_out(p, now)).min(),
        used_up: policies.iter().any(|p| shortage::used_up(p, now)),
    }
}
