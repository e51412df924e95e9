//! When a soak can be green at the earliest: never earlier than this, if everything from now on passes. Pure.
//!
//! What has to leave the window first is known to the hour, which is how windows move. Latency, throttling and what is observed beside the runs are
//! taken to be good by then, and numbers a fold does not keep exactly are rounded towards an earlier time: it is a bound, no promise.

use super::exact::{Share, allowed};
use super::fold::slots_in;
use super::given::{CheckInput, Input};
use super::judge::patience_ms;
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
    let judged = || input.checks.iter().filter(|c| c.judged);
    judged().next()?;
    let passes = |start: UnixMs, end: i64| judged().all(|c| can_pass(c, &frame, Window { start, end: UnixMs(end) }, input.now));
    if let Some(go_live) = input.go_live.filter(|g| g.0 < input.since.0 + length) {
        // The window will not be full, and is judged all the same.
        return Some(go_live).filter(|g| passes(input.since, g.0));
    }
    let first = (frame.window.start.0 - input.since.0) / HOUR_MS;
    // After one more window nothing that happened until now is left in it.
    let hours = length / HOUR_MS + 1;
    let starts = (first..=first + hours).map(|k| UnixMs(input.since.0 + k * HOUR_MS));
    let bounds = |start: UnixMs| {
        let longest = start.0 + length + HOUR_MS - 1;
        (start, (start.0 + length).max(input.now.0), input.go_live.map_or(longest, |g| g.0.min(longest)))
    };
    // Of windows with the same beginning the longest has the best chance.
    let (start, soonest, longest) = starts.map(bounds).find(|(start, from, to)| from <= to && passes(*start, *to))?;
    if passes(start, soonest) {
        return Some(UnixMs(soonest));
    }
    let (mut no, mut yes) = (soonest, longest);
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if passes(start, middle) { yes = middle } else { no = middle }
    }
    Some(UnixMs(yes))
}

fn before_go_live(input: &Input<'_>, at: UnixMs) -> Option<UnixMs> {
    input.go_live.is_none_or(|g| at <= g).then_some(at)
}

/// Whether a check's runs so far leave a window that begins now or later a chance.
fn can_pass(check: &CheckInput<'_>, frame: &Frame, window: Window, now: UnixMs) -> bool {
    let (policy, rules, fold) = (check.rules.policy, &check.rules, check.fold);
    let hour = (window.start.0 - frame.window.start.0) / HOUR_MS;
    let inside = fold.blemishes.iter().rev().take_while(|b| i64::from(b.hour) >= hour);
    let (bad, gone) = inside.fold((0, 0), |(bad, gone), b| (bad + u64::from(b.bad), gone + u64::from(b.gone)));
    let (first, ms) = fold.outages.last_long;
    // As if every slot that leaves the window had been one of its.
    let left_out = (window.start.0.saturating_sub(first.0)).max(0);
    let left_out = rules.grid.map_or(left_out, |g| (left_out + g.interval() - 1) / g.interval() * g.interval());
    if ms > 0 && ms - left_out > policy.longest_outage.ms() {
        return false;
    }
    let full = window.end.max(UnixMs(window.start.0 + policy.window.ms()));
    let slots = |end| slots_in(Window { end, ..window }, rules);
    let (Some(due), Some(own)) = (slots(full), slots(window.end)) else { return rules.judge == Judge::Ratio || bad == 0 };
    let gone = gone + unrecorded(check, window, now);
    let counted = own.saturating_sub(gone);
    let covered = Share::of(policy.coverage).reached(counted, due);
    let enough = match rules.judge {
        Judge::Ratio => {
            bad <= allowed(policy.success_ratio, policy.confidence, due)
                && Share::of(policy.success_ratio).runs_needed().is_some_and(|needed| own >= needed)
        }
        Judge::Every => bad == 0 && gone == 0 && own == due,
    };
    covered && enough
}

/// Slots of a window that have gone by since a check fell silent, and of which nothing will be recorded any more.
fn unrecorded(check: &CheckInput<'_>, window: Window, now: UnixMs) -> u64 {
    let Some(grid) = check.rules.grid else { return 0 };
    let newest = check.fold.newest;
    if now.0.saturating_sub(newest.0) <= patience_ms(grid) {
        return 0;
    }
    // A slot whose interval is not over may be running.
    let over = UnixMs(now.0 - grid.interval() + 1);
    let silent = Window { start: window.start.max(UnixMs(newest.0.saturating_add(1))), end: window.end.min(over) };
    if silent.start < silent.end { slots_in(silent, &check.rules).unwrap_or(0) } else { 0 }
}
