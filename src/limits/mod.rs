//! What is shown of rate limits: the policies of an integration, how far each reaches, and when it runs out. Pure: made from the board's entries and a
//! time. Never decides who may send; that is `budget`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::board::{CheckEntry, IntegrationEntry};
use crate::clock::{DAY_MS, UnixMs};
use crate::config::model::Integration;
use crate::ratelimit::PolicyState;

mod as_used;
pub mod batch;
pub mod forecast;
mod labels;
mod shortage;
mod shown;
pub mod words;
mod written;

use forecast::{Quota, dated};
pub use labels::Label;
pub use shortage::{Shortage, check_headroom, shortage};
pub use shown::{BudgetShown, HoldShown, IntegrationLimits, LimitsBrief, RetryAfter, brief, in_force, integration_limits};

/// So many policies of one integration are shown.
pub const MOST_POLICIES: usize = 10;
/// A policy is shown for this long after it was told last (or for its window, or three intervals of its check, if that is longer).
const SHOWN_MS: i64 = DAY_MS;

/// A policy as it is shown. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema, Deserialize)]
pub struct PolicyShown {
    /// Its label, of its own in the integration: the policy's name; behind `host:port/` where the check that was told talks to another host than the
    /// integration's first check, behind `check/` where a check before it talks to the same host with another credential.
    pub policy: String,
    /// The integration's checks that were told of it, by their own ids.
    pub checks: Vec<String>,
    /// So many (of `unit`) in a window; where the last reading does not say, as it was told before.
    pub limit: Option<u64>,
    /// So many were left when it was read. Once the window is over (`reset_at`) nobody knows.
    pub remaining: Option<u64>,
    /// The window in seconds: as told, or `quota_window` of the integration.
    pub window_s: Option<u64>,
    /// Whether the window is `quota_window` of the integration, because none is told.
    #[serde(default)]
    pub window_configured: bool,
    /// When there is more, as told.
    #[schemars(with = "Option<String>")]
    #[serde(with = "written::rfc3339_option", default)]
    pub reset_at: Option<UnixMs>,
    /// Where no reset is told: when there is more at the latest, a window after it was read. The forecast assumes that nothing comes back before.
    #[schemars(with = "Option<String>")]
    #[serde(with = "written::rfc3339_option", default)]
    pub assumed_reset_at: Option<UnixMs>,
    /// What is counted; absent: requests.
    pub unit: Option<String>,
    /// When it was read.
    #[schemars(with = "String")]
    #[serde(with = "written::rfc3339")]
    pub read_at: UnixMs,
    /// The quota over the declared use of the same window: below 1 the declared volume does not fit.
    pub headroom: Option<f64>,
    /// What everybody together used of it per second, in the window it was read in.
    pub used_per_s: Option<f64>,
    /// When it runs out before its reset (told or assumed) at that rate; when it was read where nothing was left.
    #[schemars(with = "Option<String>")]
    #[serde(with = "written::rfc3339_option", default)]
    pub exhausted_at: Option<UnixMs>,
    /// When it runs out before its reset at the declared rate: `peak` for windows below a day, else `daily` and the batches, evenly.
    #[schemars(with = "Option<String>")]
    #[serde(with = "written::rfc3339_option", default)]
    pub exhausted_at_declared: Option<UnixMs>,
}

/// The policies of an integration, by label: those of its checks that were told of lately. A label of several checks stands for the one that was read
/// last. Of more than [`MOST_POLICIES`] the tightest are kept: those with the fewest requests a second in their whole quota, then by label. That is a
/// property of the policy, not of what is left of it: the same ones stay.
pub fn policies(entry: &IntegrationEntry, now: UnixMs) -> Vec<PolicyShown> {
    kept(entry, now).iter().map(|t| shown(&entry.def, t, now)).collect()
}

/// What a scrape says of a policy; as in [`PolicyShown`].
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are those of PolicyShown")]
pub struct PolicyNumbers {
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    pub reset_at: Option<UnixMs>,
    pub headroom: Option<f64>,
    pub exhausted_at: Option<UnixMs>,
}

/// The bare numbers of [`policies`], in the same order, without a text made for any.
pub fn each_policy(entry: &IntegrationEntry, now: UnixMs, mut f: impl FnMut(Label<'_>, PolicyNumbers)) {
    kept(entry, now).iter().for_each(|t| f(t.label, numbers(&entry.def, t.state, now)));
}

/// Those that are shown, in order of their labels.
fn kept(entry: &IntegrationEntry, now: UnixMs) -> Vec<Told<'_>> {
    let mut all = told(entry, now);
    if all.len() > MOST_POLICIES {
        // They are in order of the labels, and the sort keeps it among equals.
        let rate = |t: &Told<'_>| t.state.rate().unwrap_or(f64::INFINITY);
        all.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
        all.truncate(MOST_POLICIES);
        all.sort_by_key(|t| t.label);
    }
    all
}

/// The smallest headroom of all policies of an integration: the number the soak criterion `quota_headroom` judges. Absent where nothing is declared or
/// nothing was told that can be set against it.
pub fn headroom(entry: &IntegrationEntry, now: UnixMs) -> Option<f64> {
    // Most are told nothing, and are asked with every verdict.
    if entry.checks.iter().all(|c| c.state.limits.is_empty()) {
        return None;
    }
    let of = |t: &Told<'_>| quota(&entry.def, t.state)?.headroom(&entry.def.volume);
    told(entry, now).iter().filter_map(of).min_by(f64::total_cmp)
}

/// A policy and who was told of it.
struct Told<'e> {
    label: Label<'e>,
    checks: Vec<&'e str>,
    state: &'e PolicyState,
}

/// All that were told of lately, in order of their labels.
fn told(entry: &IntegrationEntry, now: UnixMs) -> Vec<Told<'_>> {
    let mut all: Vec<Told<'_>> = Vec::new();
    if entry.checks.iter().all(|c| c.state.limits.is_empty()) {
        return all;
    }
    for (check, prefix) in entry.checks.iter().zip(labels::prefixes(entry)) {
        for (name, state) in check.state.limits.iter().filter(|(_, p)| lately(check, p, now)) {
            let label = Label::new(prefix, name);
            let place = all.binary_search_by_key(&label, |t| t.label).unwrap_or_else(|place| {
                all.insert(place, Told { label, checks: Vec::new(), state });
                place
            });
            let Some(known) = all.get_mut(place) else { continue };
            known.checks.push(check.def.id.check());
            if newer(state, known.state) {
                known.state = state;
            }
        }
    }
    all
}

/// Whether it was read later; at the same time: whether less is left.
fn newer(a: &PolicyState, b: &PolicyState) -> bool {
    let left = |p: &PolicyState| p.last.remaining.unwrap_or(u64::MAX);
    (a.last.at, std::cmp::Reverse(left(a))) > (b.last.at, std::cmp::Reverse(left(b)))
}

fn lately(check: &CheckEntry, p: &PolicyState, now: UnixMs) -> bool {
    let window = p.last.window_s.map_or(0, |s| i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1000));
    let shown = SHOWN_MS.max(window).max(check.def.every.ms().saturating_mul(3));
    now.0.saturating_sub(p.last.at.0) <= shown
}

/// The window in seconds, as told or configured; never a guess.
fn window_s(def: &Integration, p: &PolicyState) -> Option<u64> {
    p.window().or(def.quota_window.map(|w| w.0)).map(|w| w.as_secs()).filter(|s| *s > 0)
}

/// The policy as a quota of requests in a known window, if it is one. A limit of 0 is no quota, but a way to say that there is none.
fn quota(def: &Integration, p: &PolicyState) -> Option<Quota> {
    Some(Quota { limit: p.limit().filter(|l| *l > 0 && p.counts_requests())?, window_s: window_s(def, p)? })
}

/// When a policy's window ends where no reset is told: a window after it was read.
fn assumed_reset(state: &PolicyState, window_s: Option<u64>) -> Option<UnixMs> {
    window_s.filter(|_| state.last.reset_at.is_none()).map(|s| state.last.at.plus(std::time::Duration::from_secs(s)))
}

/// When what is left of a policy runs out at so many requests a second.
fn runs_out(state: &PolicyState, window_s: Option<u64>, per_s: f64, now: UnixMs) -> Option<UnixMs> {
    let end = state.last.reset_at.or(assumed_reset(state, window_s))?;
    forecast::runs_out(state.last.at, state.last.remaining?, per_s, end, now)
}

fn numbers(def: &Integration, state: &PolicyState, now: UnixMs) -> PolicyNumbers {
    PolicyNumbers {
        limit: state.limit(),
        remaining: state.last.remaining,
        reset_at: state.last.reset_at.and_then(dated),
        headroom: quota(def, state).and_then(|q| q.headroom(&def.volume)),
        exhausted_at: runs_out(state, window_s(def, state), state.used_per_s().unwrap_or(0.0), now),
    }
}

fn shown(def: &Integration, Told { label, checks, state }: &Told<'_>, now: UnixMs) -> PolicyShown {
    let window_s = window_s(def, state);
    let PolicyNumbers { limit, remaining, reset_at, headroom, exhausted_at } = numbers(def, state, now);
    let declared = window_s.filter(|_| state.counts_requests()).and_then(|s| forecast::declared_per_s(&def.volume, s));
    PolicyShown {
        policy: label.to_string(),
        checks: checks.iter().copied().map(str::to_owned).collect(),
        limit,
        remaining,
        window_s,
        window_configured: window_s.is_some() && state.window().is_none_or(|w| w.as_secs() == 0),
        reset_at,
        assumed_reset_at: assumed_reset(state, window_s).and_then(dated),
        unit: state.last.unit.clone(),
        read_at: state.last.at,
        headroom,
        used_per_s: state.used_per_s(),
        exhausted_at,
        exhausted_at_declared: declared.and_then(|rate| runs_out(state, window_s, rate, now)),
    }
}
