//! When a soak became impossible to pass: the same runs, held against the last window in which it could. A criterion is lost at the slot from which on it
//! fails even if everything that is missing and everything that is to come passes.

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

/// What a run is to outages, with what it is worth in slot time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It ends one.
    Pass,
    /// It extends one by so many milliseconds.
    Bad(i64),
    /// It was due and nobody ran it.
    Missing,
    /// It was not due, or is not looked at: it does neither.
    Neither,
}

impl Mark {
    pub(super) fn of(run: &Run, rules: &Rules<'_>) -> Self {
        match run.outcome {
            Outcome::Pass => Self::Pass,
            Outcome::Throttled if rules.throttled_excluded => Self::Neither,
            Outcome::Fail | Outcome::Throttled => Self::Bad(run.step() * i64::from(run.count)),
            Outcome::Skipped | Outcome::Unknown => Self::Missing,
            Outcome::NotDue => Self::Neither,
        }
    }
}

/// The longest outage if every missing run had passed: what is certain. (The observed one is not ended by missing runs: [`super::fold`].)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CertainOutage {
    running_ms: i64,
    pub(super) longest_ms: i64,
}

impl CertainOutage {
    pub(super) fn add(&mut self, mark: Mark) {
        match mark {
            Mark::Pass | Mark::Missing => self.running_ms = 0,
            Mark::Bad(ms) => self.running_ms += ms,
            Mark::Neither => {}
        }
        self.longest_ms = self.longest_ms.max(self.running_ms);
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
    pub(super) outage: CertainOutage,
}

impl Sums {
    fn add(&mut self, run: &Run, rules: &Rules<'_>) {
        let sum = match run.outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Fail => &mut self.fail,
            Outcome::Throttled => &mut self.throttled,
            Outcome::NotDue => &mut self.not_due,
            Outcome::Skipped | Outcome::Unknown => return self.outage.add(Mark::Missing),
        };
        *sum = sum.saturating_add(run.count);
        if is_slow(run, rules) {
            self.slow = self.slow.saturating_add(run.count);
        }
        self.outage.add(Mark::of(run, rules));
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
            self.outage.longest_ms > policy.longest_outage.ms(),
            // By the nearest rank one run in twenty may be slower.
            self.slow > 0 && lost_of(&|due| u64::from(self.slow) > due.saturating_sub(u64::from(self.fail) + throttled) / 20),
            lost_of(&|due| throttled > Share::of(policy.throttled_ratio).floor_of(due)),
            !by_ratio && bad > 0,
        ]
    }
}

/// A pass that took longer than the policy's `latency_p95`.
pub(super) fn is_slow(run: &Run, rules: &Rules<'_>) -> bool {
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
    /// So many fewer slots another window may hold for which this one stands.
    fewer: u32,
    pub(super) sums: Sums,
    /// The slot at which each of [`CAN_BE_LOST`] was lost, or [`NEVER`].
    pub(super) lost: [UnixMs; 5],
}

impl Track {
    /// `earlier`: it stands for all windows that begin before the last one. They are equally long, and hold one slot more or less where the interval does
    /// not divide the hour. Nothing is lost by the most of them that is not lost by the fewest: with wilson95 those may be too few to fail by.
    pub(super) fn new(window: Window, length: Span, earlier: bool, rules: &Rules<'_>) -> Self {
        let whole = Window { end: UnixMs(window.end.0.max(window.start.0 + length.ms())), ..window };
        let all = rules.grid.map_or(0, |g| g.within(whole.start, whole.end));
        let most = rules.grid.map_or(0, |g| u64::try_from((whole.end.0 - whole.start.0 + g.interval() - 1) / g.interval()).unwrap_or(0));
        let more = if earlier { most.saturating_sub(all) } else { 0 };
        let fewest = rules.grid.map_or(0, |g| u64::try_from((whole.end.0 - whole.start.0) / g.interval()).unwrap_or(0));
        let fewer = if earlier { u32::try_from(most.saturating_sub(fewest)).unwrap_or(u32::MAX) } else { 0 };
        Self {
            window,
            slots: slots_in(whole, rules).map(|n| n + more),
            cap: u32::try_from(all / NOT_DUE_ONE_IN).unwrap_or(u32::MAX),
            fewer,
            sums: Sums { pass: 0, fail: 0, throttled: 0, not_due: 0, slow: 0, outage: CertainOutage::default() },
            lost: [NEVER; 5],
        }
    }

    /// Slots that are due in the whole window, by what is known of it.
    pub(super) fn due(&self) -> Option<u64> {
        due(self.slots, self.cap, &self.sums)
    }

    /// Which of [`CAN_BE_LOST`] are lost by so much.
    fn lost_by(&self, sums: &Sums, rules: &Rules<'_>) -> [bool; 5] {
        let due = due(self.slots, self.cap, sums);
        let lost = sums.lost(rules, due);
        if self.fewer == 0 || !lost.contains(&true) {
            return lost;
        }
        let fewest = sums.lost(rules, due.map(|n| n.saturating_sub(self.fewer.into())));
        std::array::from_fn(|which| lost.get(which) == Some(&true) && fewest.get(which) == Some(&true))
    }

    /// Slots before the next run were due, and nobody recorded them.
    pub(super) fn skip(&mut self) {
        self.sums.outage.add(Mark::Missing);
    }

    pub(super) fn add(&mut self, run: &Run, rules: &Rules<'_>) {
        let Some(run) = run.clip(self.window.start, self.window.end) else { return };
        let before = self.sums;
        self.sums.add(&run, rules);
        // What passes in time and what was not run lose nothing.
        if matches!(run.outcome, Outcome::Skipped | Outcome::Unknown) || (run.outcome == Outcome::Pass && self.sums.slow == before.slow) {
            return;
        }
        for (which, lost) in self.lost_by(&self.sums, rules).into_iter().enumerate() {
            if !lost || self.lost.get(which).is_none_or(|at| *at != NEVER) {
                continue;
            }
            // Of a span, its first slot that loses it.
            let loses = |n: u32| {
                let mut sums = before;
                sums.add(&Run { count: n, ..run }, rules);
                self.lost_by(&sums, rules).get(which) == Some(&true)
            };
            let (mut no, mut yes) = (0, run.count);
            while yes - no > 1 {
                let middle = no + (yes - no) / 2;
                if loses(middle) { yes = middle } else { no = middle }
            }
            if let Some(at) = self.lost.get_mut(which) {
                *at = UnixMs(run.slot.0 + run.step() * i64::from(yes - 1));
            }
        }
    }
}

fn due(slots: Option<u64>, cap: u32, sums: &Sums) -> Option<u64> {
    slots.map(|n| n.saturating_sub(u64::from(sums.not_due.min(cap))))
}
