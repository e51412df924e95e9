//! What is observed beside the runs: certificates, quotas, reconciliations. Before day 1 often nothing was yet.

use super::weigh::Weigh;
use super::{Answer, IntegrationPlan};
use crate::board::IntegrationEntry;
use crate::clock::UnixMs;
use crate::limits;
use crate::limits::words::times;
use crate::soak::{Criterion, Policy, Window};

/// Certificates that end inside the window, or too soon after it.
pub(super) fn certificate(plan: &mut IntegrationPlan, entry: &IntegrationEntry, policy: &Policy, window: Window, weigh: &mut Weigh<'_>) {
    let seen = entry.checks.iter().filter_map(|c| Some((c.state.certificate_expiry?, c.def.id.check())));
    let Some((ends, check)) = seen.min() else {
        not_observed(
            policy,
            Criterion::CertificateDays,
            "no certificate was observed yet",
            "it is seen once the checks run; soakwatch probe shows it now",
            weigh,
        );
        return;
    };
    plan.certificate_ends = Some(ends.to_string());
    let (left, asked) = (window.end.whole_days_until(ends), i64::from(policy.certificate_days));
    if left < asked {
        let what = if ends <= window.end {
            format!("a certificate ends at {ends}, before the window does ({})", window.end)
        } else {
            format!("a certificate ends at {ends}: {left} days after the window, and soak.certificate_days asks for {asked}")
        };
        let change = "have it renewed before the window ends".to_owned();
        weigh.criterion(Answer::NotProvable, Criterion::CertificateDays, Some(check), what, change);
    }
}

/// The observed limit against the declared volume.
pub(super) fn headroom(plan: &mut IntegrationPlan, entry: &IntegrationEntry, policy: &Policy, now: UnixMs, weigh: &mut Weigh<'_>) {
    let volume = &entry.def.volume;
    let declared = policy.declared.contains(&Criterion::QuotaHeadroom);
    plan.quota_headroom = limits::headroom(entry, now);
    match plan.quota_headroom {
        Some(h) if h < policy.quota_headroom => {
            let what =
                format!("the limit they tell is {} the declared volume, and {} is asked for", times(h), times(policy.quota_headroom));
            let change = "a higher limit on their side, or a declared volume that is what will be sent".to_owned();
            weigh.criterion(Answer::NotProvable, Criterion::QuotaHeadroom, None, what, change);
        }
        Some(_) => {}
        None if declared && volume.peak.is_none() && volume.daily.is_none() => {
            let what = "soak.quota_headroom is asked for, but no volume is declared to set a limit against".to_owned();
            let change = "volume = { peak = \"600/min\" } with what will be sent, or no soak.quota_headroom".to_owned();
            weigh.criterion(Answer::NotProvable, Criterion::QuotaHeadroom, None, what, change);
        }
        None => not_observed(
            policy,
            Criterion::QuotaHeadroom,
            "no limit was told yet that fits the declared volume",
            "it is told once the checks run",
            weigh,
        ),
    }
}

/// What a reconcile check finds.
pub(super) fn reconciliation(policy: &Policy, weigh: &mut Weigh<'_>) {
    let hint = "a check that reconciles, or no soak.reconciliation";
    not_observed(policy, Criterion::Reconciliation, "nothing was reconciled yet", hint, weigh);
}

/// What was asked for by name is missing evidence until it is observed; the rest is passed over where it never is.
fn not_observed(policy: &Policy, criterion: Criterion, what: &str, change: &str, weigh: &mut Weigh<'_>) {
    if policy.declared.contains(&criterion) {
        let what = format!("{what}, and soak.{criterion} asks for it");
        weigh.criterion(Answer::Unknown, criterion, None, what, change.to_owned());
    }
}
