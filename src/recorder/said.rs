//! What the log says of an outcome: when it says something at all, and once. Decides nothing else.

use crate::outcome::{Cause, Outcome};
use crate::record::Record;
use crate::run_id::RunId;

/// Whether an outcome tells how the check stands: it was judged, or somebody has to mend something before it can be. Other gaps are said where
/// they begin (self-check, clock, start), or are meant.
pub(super) fn tells(r: &Record) -> bool {
    r.outcome.counted()
        || matches!(r.cause, Some(Cause::Secret | Cause::File | Cause::Egress | Cause::Route | Cause::Capacity | Cause::Internal))
}

/// A failure is logged once: when it begins, when it changes, when it ends.
pub(super) fn log_change(r: &Record) {
    let check = r.check.as_str();
    let detail = r.detail.as_deref().unwrap_or_default();
    let class = r.class.map_or("", |c| c.as_str());
    let attribution = r.attribution.map_or("", |a| a.as_str());
    let run = tracing::field::display(RunId::of(&r.check, r.slot));
    match r.outcome {
        Outcome::Pass => tracing::info!(check, run, "{check} passes"),
        Outcome::Fail | Outcome::Throttled => tracing::warn!(check, run, class, attribution, detail, "{check} fails: {class}"),
        Outcome::Unknown | Outcome::Skipped | Outcome::NotDue => {
            let cause = r.cause.map_or("", |c| c.as_str());
            tracing::warn!(check, run, cause, detail, "{check} can't be judged: {cause}");
        }
    }
}
