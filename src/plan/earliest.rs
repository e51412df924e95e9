//! The first window that can pass after what was not run, or failed, has left it. The judge's own bound is where the search begins; it keeps less of the
//! past, so this may be later, never earlier.

use super::SoFar;
use super::check::holds;
use crate::board::CheckEntry;
use crate::clock::{HOUR_MS, UnixMs};
use crate::soak::{Policy, Window};

/// The end of that window. `from`: not before this; `since`: windows begin whole hours after it, and are less than an hour longer than asked for.
pub(super) fn earliest(from: UnixMs, since: UnixMs, policy: &Policy, checks: &[&CheckEntry], so_far: &SoFar) -> UnixMs {
    let length = policy.window.ms();
    let passes = |start: UnixMs, end: i64| {
        let window = Window { start, end: UnixMs(end) };
        checks.iter().all(|c| so_far.slots.get(&c.def.id).is_none_or(|past| holds(&c.def, policy, window, past)))
    };
    let first = (from.0 - length - since.0).div_euclid(HOUR_MS).max(0);
    // After one more window nothing that has happened is left in it.
    let starts = (first..=first + length / HOUR_MS + 1).map(|k| UnixMs(since.0 + k * HOUR_MS));
    let bounds = |start: UnixMs| (start, (start.0 + length).max(from.0), start.0 + length + HOUR_MS - 1);
    let Some((start, soonest, longest)) = starts.map(bounds).find(|(start, from, to)| from <= to && passes(*start, *to)) else {
        return from;
    };
    if passes(start, soonest) {
        return UnixMs(soonest);
    }
    let (mut no, mut yes) = (soonest, longest);
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if passes(start, middle) { yes = middle } else { no = middle }
    }
    UnixMs(yes)
}
