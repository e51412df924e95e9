//! What a verdict needs of one check's runs: a fold over them, taken in slot order, with nothing ever subtracted. Pure and small: this is what a daemon
//! keeps of every check of every soak, so that a verdict costs no scan.
//!
//! When an hour leaves the window, an exclusion is added or the rules change, the check is folded again from the store ([`CheckFold::fits`] says when).

use super::durations::Durations;
use super::given::Rules;
use super::track::{CertainOutage, Mark, Track, is_slow};
use super::window::{Frame, Window};
use crate::clock::{HOUR_MS, UnixMs};
use crate::outcome::Outcome;
use crate::record::{Counts, DurationCode, Run};

/// No such time.
pub(super) const NEVER: UnixMs = UnixMs(i64::MAX);
/// Entries of room made at once.
const ROOM: usize = 8;

/// Slots by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) pass: u32,
    pub(super) fail: u32,
    pub(super) throttled: u32,
    pub(super) skipped: u32,
    pub(super) unknown: u32,
    pub(super) not_due: u32,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: Outcome, n: u32) {
        let sum = match outcome {
            Outcome::Pass => &mut self.pass,
            Outcome::Fail => &mut self.fail,
            Outcome::Throttled => &mut self.throttled,
            Outcome::Skipped => &mut self.skipped,
            Outcome::Unknown => &mut self.unknown,
            Outcome::NotDue => &mut self.not_due,
        };
        *sum = sum.saturating_add(n);
    }

    /// As counts, in which slots that were not due do not stand.
    pub(super) fn counts(self) -> Counts {
        let Self { pass, fail, throttled, skipped, unknown, not_due: _ } = self;
        let [pass, fail, throttled, skipped, unknown] = [pass, fail, throttled, skipped, unknown].map(u64::from);
        Counts { pass, fail, throttled, skipped, unknown }
    }
}

/// Outages as they are observed: spans of non-passing runs in slot time, which missing runs neither extend nor end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outages {
    /// The longest: its first slot and its milliseconds.
    pub(super) longest: (UnixMs, i64),
    /// The one that goes on, if its milliseconds are not 0.
    running: (UnixMs, i64),
    /// The last that was longer than the policy allows.
    pub(super) last_long: (UnixMs, i64),
}

impl Outages {
    fn add(&mut self, run: &Run, rules: &Rules<'_>) {
        match Mark::of(run, rules) {
            Mark::Pass => self.running = (NEVER, 0),
            Mark::Bad(ms) => {
                if self.running.1 == 0 {
                    self.running.0 = run.slot;
                }
                self.running.1 += ms;
                if self.running.1 > self.longest.1 {
                    self.longest = self.running;
                }
                if self.running.1 > rules.policy.longest_outage.ms() {
                    self.last_long = self.running;
                }
            }
            Mark::Missing | Mark::Neither => {}
        }
    }
}

/// An hour of the window in which not every run passed. Numbers stay at their largest rather than overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blemish {
    /// Hours after the window's start.
    pub(super) hour: u16,
    /// Runs the success ratio counts against.
    pub(super) bad: u8,
    /// Slots that were due and not run.
    pub(super) gone: u8,
}

/// The runs of one check in one window.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckFold {
    /// Runs from here on count.
    pub(super) start: UnixMs,
    /// Runs from here on are looked at ([`Frame::reads_from`]).
    reads_from: UnixMs,
    /// Up to here, exclusive: go-live.
    until: UnixMs,
    /// As recorded.
    pub(super) raw: Tally,
    /// Without what was excluded.
    pub(super) adjusted: Tally,
    /// Of the adjusted passes, those at the first attempt.
    pub(super) first_attempts: u32,
    /// Adjusted.
    pub(super) outages: Outages,
    /// The same, had every missing run passed.
    pub(super) certain: CertainOutage,
    /// Durations of the adjusted passes.
    pub(super) durations: Durations,
    /// The last slot that was recorded, also before `start`.
    pub(super) newest: UnixMs,
    /// The last slot that was run, or was not due.
    pub(super) heard: UnixMs,
    /// The last slot that was run, or [`NEVER`].
    pub(super) last_counted: UnixMs,
    /// The longest span of slots without a counted run that is over: its first slot and its milliseconds.
    pub(super) gap: (UnixMs, i64),
    /// Hours that were not spotless, ascending.
    pub(super) blemishes: Vec<Blemish>,
    /// The windows on which it is decided whether the soak can still pass.
    pub(super) ahead: Box<[Track]>,
}

impl CheckFold {
    /// An empty fold for what is judged now.
    pub fn new(frame: &Frame, rules: &Rules<'_>) -> Self {
        let nothing = (NEVER, 0);
        Self {
            start: frame.window.start,
            reads_from: frame.reads_from(),
            until: frame.go_live.unwrap_or(NEVER),
            raw: Tally::default(),
            adjusted: Tally::default(),
            first_attempts: 0,
            outages: Outages { longest: nothing, running: nothing, last_long: nothing },
            certain: CertainOutage::default(),
            durations: Durations::default(),
            newest: UnixMs(i64::MIN),
            heard: UnixMs(i64::MIN),
            last_counted: NEVER,
            gap: nothing,
            blemishes: Vec::new(),
            ahead: frame.last.iter().flatten().enumerate().map(|(n, w)| Track::new(*w, frame.length, n > 0, rules)).collect(),
        }
    }

    /// A fold of runs in slot order (in any other they are sorted first, and of two for one slot the first counts). Those after the end of the frame's
    /// window are left out, so that a verdict can be made for any time.
    pub fn of(frame: &Frame, rules: &Rules<'_>, runs: &[Run]) -> Self {
        let mut fold = Self::new(frame, rules);
        let end = frame.window.end;
        let whole = runs.partition_point(|r| r.last_slot() < end);
        let (before, rest) = runs.split_at(whole);
        if !runs.is_sorted_by(|a, b| a.last_slot() < b.slot) || !fold.take_all(before, rules) {
            let mut sorted = runs.to_vec();
            sorted.sort_by_key(|r| r.slot);
            sorted.dedup_by(|next, last| next.slot <= last.last_slot());
            return Self::of(frame, rules, &sorted);
        }
        for run in rest.iter().filter_map(|r| r.clip(UnixMs(i64::MIN), end)) {
            fold.apply(&run, rules);
        }
        fold
    }

    /// Takes in many runs in slot order, such as those of an hour; faster than one by one. `false`: not all of them were taken in, because one does not
    /// come after what was ([`CheckFold::take`]).
    #[must_use = "runs out of order are not taken in"]
    pub fn take_all(&mut self, runs: &[Run], rules: &Rules<'_>) -> bool {
        let mut rest = runs;
        let mut streak = Streak::default();
        while let Some(next) = rest.first() {
            let n = if rules.exclusions.is_empty() && next.slot >= self.start { streak.measure(rest, self.until, rules) } else { 0 };
            let (passes, after) = rest.split_at(n);
            rest = after;
            if let [first, ..] = passes {
                if first.slot <= self.newest {
                    return false;
                }
                self.pass(&Run { count: u32::try_from(n).unwrap_or(u32::MAX), ..*first }, streak.first_attempts, rules);
            } else if let Some((next, after)) = rest.split_first() {
                if !self.take(next, rules) {
                    return false;
                }
                rest = after;
            }
        }
        streak
            .durations
            .into_iter()
            .enumerate()
            .for_each(|(code, n)| self.durations.add(DurationCode(u16::try_from(code).unwrap_or(0)), n));
        true
    }

    /// Takes in passes that follow one another at once, of which none was slow; their durations are added by the caller.
    fn pass(&mut self, run: &Run, first_attempts: u32, rules: &Rules<'_>) {
        self.note_unrecorded(run, rules);
        self.newest = run.last_slot();
        self.record(run, rules);
        self.ahead.iter_mut().for_each(|track| track.add(run, rules));
        self.adjusted.add(Outcome::Pass, run.count);
        self.first_attempts = self.first_attempts.saturating_add(first_attempts);
        self.outages.add(run, rules);
        self.certain.add(Mark::Pass);
    }

    /// Whether this fold is of the window that is judged now; if not, the check is to be folded again.
    pub fn fits(&self, frame: &Frame) -> bool {
        let ahead = self.ahead.iter().map(|t| t.window);
        self.start == frame.window.start && self.until == frame.go_live.unwrap_or(NEVER) && ahead.eq(frame.last.iter().flatten().copied())
    }

    /// The last slot that was taken in, or lies before the window; `None`: none.
    pub fn newest(&self) -> Option<UnixMs> {
        (self.newest.0 > i64::MIN).then_some(self.newest)
    }

    /// Takes in a run (or a span of slots nobody ran). `false`: it does not come after what was taken in, nothing was changed, and the check is to be
    /// folded again in slot order.
    #[must_use = "a run out of order is not taken in"]
    pub fn take(&mut self, run: &Run, rules: &Rules<'_>) -> bool {
        let follows = run.slot > self.newest;
        if follows {
            self.apply(run, rules);
        }
        follows
    }

    fn apply(&mut self, run: &Run, rules: &Rules<'_>) {
        let Some(run) = run.clip(UnixMs(i64::MIN), self.until) else { return };
        self.note_unrecorded(&run, rules);
        self.newest = self.newest.max(run.last_slot());
        let Some(run) = run.clip(self.reads_from, self.until) else { return };
        if let Some(run) = run.clip(self.start, self.until) {
            self.record(&run, rules);
        }
        let mut rest = Some(run);
        let first = rules.exclusions.partition_point(|x| x.to <= run.slot);
        for x in rules.exclusions.iter().skip(first).take_while(|x| x.from <= run.last_slot()) {
            let Some(before) = rest else { return };
            if let Some(part) = before.clip(UnixMs(i64::MIN), x.from) {
                self.adjust(&part, rules);
            }
            rest = before.clip(x.to, NEVER);
        }
        if let Some(part) = rest {
            self.adjust(&part, rules);
        }
    }

    /// Slots between the newest and this run that nobody recorded are missing runs.
    fn note_unrecorded(&mut self, run: &Run, rules: &Rules<'_>) {
        let between = Window { start: UnixMs(self.newest.0.saturating_add(1)).max(self.reads_from), end: run.slot };
        if between.end.0 - between.start.0 >= run.step() && slots_in(between, rules).is_some_and(|n| n > 0) {
            self.certain.add(Mark::Missing);
            self.ahead.iter_mut().for_each(Track::skip);
        }
    }

    /// Takes in a run of the window as it was recorded.
    fn record(&mut self, run: &Run, rules: &Rules<'_>) {
        self.raw.add(run.outcome, run.count);
        if run.outcome.counted() {
            self.close_gap(run, rules);
        }
        if run.outcome.counted() || run.outcome == Outcome::NotDue {
            self.heard = run.last_slot();
        }
    }

    /// Takes in a part that was not excluded.
    fn adjust(&mut self, run: &Run, rules: &Rules<'_>) {
        for track in &mut self.ahead {
            track.add(run, rules);
        }
        let Some(run) = &run.clip(self.start, self.until) else { return };
        self.adjusted.add(run.outcome, run.count);
        self.outages.add(run, rules);
        self.certain.add(Mark::of(run, rules));
        if run.outcome == Outcome::Pass {
            self.durations.add(run.duration, run.count);
            self.first_attempts = self.first_attempts.saturating_add(if run.first_attempt_passed { run.count } else { 0 });
        } else {
            self.note_blemish(run, rules);
        }
    }

    fn close_gap(&mut self, run: &Run, rules: &Rules<'_>) {
        let first_due = if self.last_counted == NEVER {
            rules.grid.map_or(run.slot, |g| g.after(UnixMs(self.start.0 - 1)))
        } else {
            UnixMs(self.last_counted.0 + run.step())
        };
        if run.slot.0 - first_due.0 > self.gap.1 {
            self.gap = (first_due, run.slot.0 - first_due.0);
        }
        self.last_counted = run.last_slot();
    }

    fn note_blemish(&mut self, run: &Run, rules: &Rules<'_>) {
        let bad = run.outcome.counted();
        if run.outcome == Outcome::NotDue || (run.outcome == Outcome::Throttled && rules.throttled_excluded) {
            return;
        }
        let mut rest = Some(*run);
        while let Some(run) = rest {
            let hour = (run.slot.0 - self.start.0) / HOUR_MS;
            let end = UnixMs(self.start.0 + (hour + 1) * HOUR_MS);
            let n = run.clip(run.slot, end).map_or(0, |r| u8::try_from(r.count).unwrap_or(u8::MAX));
            let hour = u16::try_from(hour).unwrap_or(u16::MAX);
            if self.blemishes.last().is_none_or(|b| b.hour != hour) {
                if self.blemishes.len() == self.blemishes.capacity() {
                    self.blemishes.reserve_exact(ROOM);
                }
                self.blemishes.push(Blemish { hour, bad: 0, gone: 0 });
            }
            if let Some(b) = self.blemishes.last_mut() {
                let sum = if bad { &mut b.bad } else { &mut b.gone };
                *sum = sum.saturating_add(n);
            }
            rest = run.clip(end, NEVER);
        }
    }

    /// The duration that so many percent of the passing runs do not exceed, by the nearest rank.
    pub fn percentile(&self, percent: u64) -> Option<DurationCode> {
        self.durations.percentile(percent)
    }

    /// Bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let lists = self.blemishes.capacity() * size_of::<Blemish>() + self.ahead.len() * size_of::<Track>();
        size_of::<Self>() + lists + self.durations.heap_bytes()
    }
}

/// Passes one after the other, as they lie in the store.
struct Streak {
    /// By code, of all streaks.
    durations: Vec<u32>,
    /// Of the last streak.
    first_attempts: u32,
}

impl Default for Streak {
    fn default() -> Self {
        Self { durations: vec![0; usize::from(DurationCode::MAX.0) + 1], first_attempts: 0 }
    }
}

impl Streak {
    /// How many runs there are at the beginning that pass in time, each a slot after the one before; their durations are counted.
    fn measure(&mut self, runs: &[Run], until: UnixMs, rules: &Rules<'_>) -> usize {
        let Some(first) = runs.first() else { return 0 };
        let (mut due, mut n) = (first.slot.0, 0);
        self.first_attempts = 0;
        for run in runs {
            let fits = run.outcome == Outcome::Pass && run.count == 1 && run.slot.0 == due && run.interval_ms == first.interval_ms;
            let Some(sum) = self.durations.get_mut(usize::from(run.duration.0)).filter(|_| fits && run.slot < until) else { break };
            if rules.policy.latency_p95.is_some() && is_slow(run, rules) {
                break;
            }
            *sum += 1;
            self.first_attempts += u32::from(run.first_attempt_passed);
            due += run.step();
            n += 1;
        }
        n
    }
}

/// Slots of a check in a span that count, which is without what was excluded.
pub(super) fn slots_in(window: Window, rules: &Rules<'_>) -> Option<u64> {
    let grid = rules.grid?;
    Some(grid.within(window.start, window.end) - excluded_in(window, rules))
}

/// Slots of a check in a span that were excluded.
pub(super) fn excluded_in(window: Window, rules: &Rules<'_>) -> u64 {
    let Some(grid) = rules.grid else { return 0 };
    let inside = rules.exclusions.iter().map(|x| (x.from.max(window.start), x.to.min(window.end)));
    inside.filter(|(from, to)| from < to).map(|(from, to)| grid.within(from, to)).sum()
}
