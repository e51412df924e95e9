//! What is wrong with a quota before anybody is refused: it runs out, or what is declared does not fit. Judges what is shown; the advice is
//! `attribution`'s.

use serde::Serialize;

use super::batch::{BatchFit, BatchShown, batches};
use super::forecast::DAY_S;
use super::{PolicyShown, lately, policies, quota, words};
use crate::board::{CheckEntry, IntegrationEntry};
use crate::clock::UnixMs;
use crate::outcome::Lack;

/// A quota with a shorter window comes back before anybody has read that it runs out.
const LONG_ENOUGH_S: u64 = 300;

/// A quota that will not be enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// What it lacks.
    pub lack: Lack,
    /// The policy's label.
    pub policy: String,
    /// In words.
    pub detail: String,
}

/// The worst that is wrong with an integration's quotas; of equals, that of the first policy.
pub fn shortage(entry: &IntegrationEntry, now: UnixMs) -> Option<Shortage> {
    if entry.checks.iter().all(|c| c.state.limits.is_empty()) {
        return None;
    }
    let policies = policies(entry, now);
    let of_one = |p: &PolicyShown| Some(Shortage { lack: lack(p, now)?, policy: p.policy.clone(), detail: detail(entry, p, now)? });
    let worst = policies.iter().filter_map(of_one).min_by_key(|s| s.lack);
    worst.or_else(|| worst_batch(&batches(&entry.def.volume, &policies, now), &policies))
}

/// What a policy lacks by itself.
fn lack(p: &PolicyShown, now: UnixMs) -> Option<Lack> {
    match () {
        () if used_up(p, now) => Some(Lack::UsedUp),
        () if runs_out(p, now).is_some() => Some(Lack::RunsOut),
        () if p.headroom.is_some_and(|h| h < 1.0) => Some(Lack::TooSmall),
        () => None,
    }
}

/// Whether its window is long enough to speak of an end.
fn long_enough(p: &PolicyShown) -> bool {
    let told = || Some(p.reset_at?.since(p.read_at).as_secs());
    p.window_s.or_else(told).is_some_and(|s| s >= LONG_ENOUGH_S)
}

/// Whether nothing was left at the last reading, and it has not renewed since.
pub(super) fn used_up(p: &PolicyShown, now: UnixMs) -> bool {
    long_enough(p) && p.remaining == Some(0) && p.reset_at.or(p.assumed_reset_at).is_some_and(|end| end > now)
}

/// When it runs out, if that is still to come.
pub(super) fn runs_out(p: &PolicyShown, now: UnixMs) -> Option<UnixMs> {
    p.exhausted_at.filter(|t| *t > now && long_enough(p))
}

fn detail(entry: &IntegrationEntry, p: &PolicyShown, now: UnixMs) -> Option<String> {
    let PolicyShown { policy, remaining, .. } = p;
    let of = p.limit.map(|n| format!(" of {n}")).unwrap_or_default();
    Some(match lack(p, now)? {
        Lack::UsedUp => format!("policy {policy} is used up, nothing is left{of}; {}", renews(p)?),
        Lack::RunsOut => format!(
            "policy {policy} runs out at {} as it is used now ({}): {}{of} are left; {}",
            runs_out(p, now)?.whole_seconds(),
            words::rate(p.used_per_s?),
            (*remaining)?,
            renews(p)?
        ),
        Lack::TooSmall | Lack::Batch => {
            let (volume, window_s) = (&entry.def.volume, p.window_s?);
            let quota = words::quota(p.limit?, window_s);
            let declared =
                match (volume.peak.filter(|_| window_s < DAY_S).or(volume.daily.filter(|_| window_s >= DAY_S)), window_s >= DAY_S) {
                    (Some(v), true) if !volume.batches.is_empty() => format!("{v} and the batches"),
                    (Some(v), _) => v.to_string(),
                    (None, _) => "the batches".into(),
                };
            format!(
                "the declared volume, {declared}, is more than the quota gives, {quota} (policy {policy}): headroom {}",
                words::times(p.headroom?)
            )
        }
    })
}

/// When there is more.
fn renews(p: &PolicyShown) -> Option<String> {
    match (p.reset_at, p.assumed_reset_at) {
        (Some(at), _) => Some(format!("it renews at {}", at.whole_seconds())),
        (None, Some(at)) => Some(format!("when it renews is not told, {} at the latest", at.whole_seconds())),
        (None, None) => None,
    }
}

/// Of the batches that do not fit the one that is worst off, and how many others there are.
fn worst_batch(all: &[BatchShown], policies: &[PolicyShown]) -> Option<Shortage> {
    let refused = |fit: &BatchFit| fit.fits == Some(false) || fit.fits_as_used == Some(false);
    // How long it would take with the whole quota: the same measure for policies with different windows.
    let whole_s = |b: &BatchShown, fit: &BatchFit| {
        let p = policies.iter().find(|p| p.policy == fit.policy);
        p.and_then(|p| Some(b.calls as f64 * p.window_s? as f64 / p.limit? as f64)).unwrap_or(0.0)
    };
    // What does not even fit as declared comes first; of equals the first batch.
    let worse = |(a, x): &(&BatchShown, &BatchFit), (b, y): &(&BatchShown, &BatchFit)| {
        let declared = |fit: &BatchFit| fit.fits != Some(false);
        declared(x).cmp(&declared(y)).then(whole_s(b, y).total_cmp(&whole_s(a, x)))
    };
    let each = all.iter().flat_map(|b| b.policies.iter().map(move |fit| (b, fit)));
    let (b, fit) = each.filter(|(_, fit)| refused(fit)).min_by(worse)?;
    let why = match fit.fits {
        Some(false) => fit.why.clone(),
        _ => format!("as it is used now, {}", fit.why_as_used.as_ref()?),
    };
    let others = match all.iter().filter(|b| b.policies.iter().any(refused)).count() {
        0 | 1 => "",
        2 => "; another batch does not fit either",
        _ => "; other batches do not fit either",
    };
    let detail = format!("the batch of {}, policy {}: {why}{others}", b.start, fit.policy);
    Some(Shortage { lack: Lack::Batch, policy: fit.policy.clone(), detail })
}

/// The smallest headroom of what one check was told. Absent as in [`super::headroom`].
pub fn check_headroom(check: &CheckEntry, now: UnixMs) -> Option<f64> {
    let def = &check.def.integration;
    let told = check.state.limits.iter().filter(|(_, p)| lately(check, p, now));
    told.filter_map(|(_, p)| quota(def, p)?.headroom(&def.volume)).min_by(f64::total_cmp)
}
