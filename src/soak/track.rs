//! When a soak became impossible to pass: the same runs, held against the last window in which it could. A criterion is lost at the slot from which on it
//! fails even if everything that is missing and everything that is to come passes. Also the outages both folds share.

use super::exact::{Share, allowed};
use super::fold::{NEVER, slots_in};
use super::given::Rules;
use super::policy::{Criterion, Judge};
use super::window::Window;
use crate::clock::UnixMs;
use crate::fields::Span;
use crate::outcome::Outcome;
use crate::record::Run;

/// The criteria that runs can make impossible.
pub(super) const CAN_BE_LOST: [Criterion; 5] =
    [Criterion::SuccessRatio, Criterion::LongestOutage, Criterion::LatencyP95, Criterion::ThrottledRatio, Criterion::EveryRun];

/// Of the slots of a window at most one in so many is taken out because it was not due.
pub(super) const NOT_DUE_ONE_IN: u64 = 20;

/// Spans of non-passing runs, in slot time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outages {
    /// The longest: its first slot and its milliseconds.
    pub(super) longest: (UnixMs, i64),
    /// The one that goes on, if its milliseconds are not 0.
    pub(super) running: (UnixMs, i64),
    /// The last that was longer than the policy allows: the end of its last slot, and its milliseconds.
    pub(super) last_long: (UnixMs, i64),
}

impl Default for Outages {
    fn default() -> Self {
        let none = (NEVER, 0);
        Self { longest: none, running: none, last_long: none }
    }
}

impl Outages {
    /// A passing run ends an outage, a non-passing one extends it; all else (unknown, skipped, not due, and throttled where that is excluded) does
    /// neither.
    pub(super) fn add(&mut self, run: &Run, rules: &Rules<'_>) {
        match run.outcome {
            Outcome::Pass => self.running = (NEVER, 0),
            Outcome::Throttled if rules.throttled_excluded => {}
            Outcome::Fail | Outcome::Throttled => {
                if self.running.1 == 0 {
                    self.running.0 = run.slot;
                }
                self.running.1 += run.step() * i64::from(run.count);
                if self.running.1 > self.longest.1 {
                    self.longest = self.running;
                }
                if self.running.1 > rules.policy.longest_outage.ms() {
                    self.last_long = (UnixMs(run.last_slot().0 + run.step()), self.running.1);
                }
            }
            Outcome::Skipped | Outcome::Unknown | Outcome::NotDue => {}
        }
    }
}

/// What decides whether a window can still pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sums {
    pub(super) pass: u32,
    pub(super) fail: u32,
    pub(super) throttled: u32,
    pub(super) not_due: u32,
    /// Passes that took longer than the policy's `latency_p95`.
    pub(super) slow: u32,
    pub(super) outages: Outages,
}

impl Sums {
    fn add(&mut self, run: &Run, rules: &Rules<'_>) {
        let sum = match run.outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Fail => &mut self.fail,
            Outcome::Throttled => &mut self.throttled,
            Outcome::NotDue => &mut self.not_due,
            Outcome::Skipped | Outcome::Unknown => return,
        };
        *sum = sum.saturating_add(run.count);
        if is_slow(run, rules) {
            self.slow = self.slow.saturating_add(run.count);
        }
        self.outages.add(run, rules);
    }

    /// Runs the success ratio counts against.
    pub(super) fn bad(&self, rules: &Rules<'_>) -> u64 {
        u64::from(self.fail) + if rules.throttled_excluded { 0 } else { u64::from(self.throttled) }
    }

    /// Which of [`CAN_BE_LOST`] fail even if all others of the `due` slots pass. Without a number of slots more may always come.
    pub(super) fn lost(&self, rules: &Rules<'_>, due: Option<u64>) -> [bool; 5] {
        let policy = rules.policy;
        let (bad, throttled) = (self.bad(rules), u64::from(self.throttled));
        let out = if rules.throttled_excluded { throttled } else { 0 };
        let by_ratio = rules.judge == Judge::Ratio;
        let lost_of = |f: &dyn Fn(u64) -> bool| due.is_some_and(f);
        [
            by_ratio && lost_of(&|due| bad > allowed(policy.success_ratio, policy.confidence, due.saturating_sub(out))),
            self.outages.longest.1 > policy.longest_outage.ms(),
            // By the nearest rank one run in twenty may be slower.
            self.slow > 0 && lost_of(&|due| u64::from(self.slow) > due.saturating_sub(u64::from(self.fail) + throttled) / 20),
            lost_of(&|due| throttled > Share::of(policy.throttled_ratio).floor_of(due)),
            !by_ratio && bad > 0,
        ]
    }
}

/// A pass that took longer than the policy's `latency_p95`.
fn is_slow(run: &Run, rules: &Rules<'_>) -> bool {
    run.outcome == Outcome::Pass && rules.policy.latency_p95.is_some_and(|most| run.duration.seconds() > most.0.as_secs_f64())
}

/// One window that can end by go-live.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Track {
    pub(super) window: Window,
    /// Its slots, excluded ones not counted; where the window can't become full, those of a full one.
    slots: Option<u64>,
    /// So many slots at most are taken out because they are not due.
    cap: u32,
    pub(super) sums: Sums,
    /// The slot at which each of [`CAN_BE_LOST`] was lost, or [`NEVER`].
    pub(super) lost: [UnixMs; 5],
}

impl Track {
    pub(super) fn new(window: Window, length: Span, rules: &Rules<'_>) -> Self {
        let whole = Window { end: UnixMs(window.end.0.max(window.start.0 + length.ms())), ..window };
        let all = rules.grid.map_or(0, |g| g.within(whole.start, whole.end));
        Self {
            window,
            slots: slots_in(whole, rules),
            cap: u32::try_from(all / NOT_DUE_ONE_IN).unwrap_or(u32::MAX),
            sums: Sums { pass: 0, fail: 0, throttled: 0, not_due: 0, slow: 0, outages: Outages::default() },
            lost: [NEVER; 5],
        }
    }

    /// Slots that are due in the whole window, by what is known of it.
    pub(super) fn due(&self) -> Option<u64> {
        due(self.slots, self.cap, &self.sums)
    }

    pub(super) fn add(&mut self, run: &Run, rules: &Rules<'_>) {
        let Some(run) = run.clip(self.window.start, self.window.end) else { return };
        let before = self.sums;
        self.sums.add(&run, rules);
        // What passes in time and what was not run lose nothing.
        if matches!(run.outcome, Outcome::Skipped | Outcome::Unknown) || (run.outcome == Outcome::Pass && self.sums.slow == before.slow) {
            return;
        }
        for (which, lost) in self.sums.lost(rules, self.due()).into_iter().enumerate() {
            let Some(at) = self.lost.get_mut(which).filter(|at| lost && **at == NEVER) else { continue };
            // Of a span, its first slot that loses it.
            let loses = |n: u32| {
                let mut sums = before;
                sums.add(&Run { count: n, ..run }, rules);
                sums.lost(rules, due(self.slots, self.cap, &sums)).get(which) == Some(&true)
            };
            let (mut no, mut yes) = (0, run.count);
            while yes - no > 1 {
                let middle = no + (yes - no) / 2;
                if loses(middle) { yes = middle } else { no = middle }
            }
            *at = UnixMs(run.slot.0 + run.step() * i64::from(yes - 1));
        }
    }
}

fn due(slots: Option<u64>, cap: u32, sums: &Sums) -> Option<u64> {
    slots.map(|n| n.saturating_sub(u64::from(sums.not_due.min(cap))))
}
