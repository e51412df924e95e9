//! When a soak can be green at the earliest: never earlier than this, if everything from now on passes. Pure.
//!
//! What has to leave the window first is known to the hour, which is how windows move. Latency, throttling and what is observed beside the runs are
//! taken to be good by then, and numbers a fold does not keep exactly are rounded towards an earlier time: it is a bound, no promise.

use super::exact::{Share, allowed};
use super::fold::slots_in;
use super::given::{CheckInput, Input};
use super::policy::Judge;
use super::verdict::{Ruling, Verdict};
use super::window::{Frame, Stage, Window};
use crate::clock::{HOUR_MS, UnixMs};

/// The earliest time at which the verdict can be `passed`; `None`: no such time is known (the window is frozen, go-live comes before it, or too few
/// runs come together in any window).
pub fn earliest_pass(input: &Input<'_>, verdict: &Verdict) -> Option<UnixMs> {
    let frame = super::judge::frame(input);
    match verdict.ruling {
        Ruling::Passed => return Some(input.now),
        // The soak starts again once the daemon has taken the change over.
        Ruling::Superseded => return before_go_live(input, UnixMs(input.now.0 + input.policy.window.ms())),
        _ if frame.stage == Stage::Frozen => return None,
        _ => {}
    }
    let length = input.policy.window.ms();
    let first = (frame.window.start.0 - input.since.0) / HOUR_MS;
    // After one more window nothing that happened until now is left in it.
    let hours = length / HOUR_MS + 1;
    let starts = (first..=first + hours).map(|k| UnixMs(input.since.0 + k * HOUR_MS));
    let judged = || input.checks.iter().filter(|c| c.judged);
    let found = starts
        .map(|start| Window { start, end: UnixMs((start.0 + length).max(input.now.0)) })
        .find(|w| judged().next().is_some() && judged().all(|c| can_pass(c, &frame, *w)));
    found.and_then(|w| before_go_live(input, w.end))
}

fn before_go_live(input: &Input<'_>, at: UnixMs) -> Option<UnixMs> {
    input.go_live.is_none_or(|g| at <= g).then_some(at)
}

/// Whether a check's runs so far leave a window that begins now or later a chance.
fn can_pass(check: &CheckInput<'_>, frame: &Frame, window: Window) -> bool {
    let (policy, rules, fold) = (check.rules.policy, &check.rules, check.fold);
    let hour = (window.start.0 - frame.window.start.0) / HOUR_MS;
    let inside = fold.blemishes.iter().rev().take_while(|b| i64::from(b.hour) >= hour);
    let (bad, gone) = inside.fold((0, 0), |(bad, gone), b| (bad + u64::from(b.bad), gone + u64::from(b.gone)));
    let (end, ms) = fold.outages.last_long;
    let outage = ms.min(end.0.saturating_sub(window.start.0));
    if ms > 0 && outage > policy.longest_outage.ms() {
        return false;
    }
    let Some(due) = slots_in(window, rules) else { return rules.judge == Judge::Ratio || bad == 0 };
    let counted = due.saturating_sub(gone);
    let covered = Share::of(policy.coverage).reached(counted, due);
    let enough = match rules.judge {
        Judge::Ratio => {
            bad <= allowed(policy.success_ratio, policy.confidence, due)
                && Share::of(policy.success_ratio).runs_needed().is_some_and(|needed| due >= needed)
        }
        Judge::Every => bad == 0 && gone == 0,
    };
    covered && enough
}
