//! The oracle: product.md's "Soak" and "Outcome of a run" written down again as plainly as possible, slot by slot over raw runs, knowing nothing of the
//! engine. Slow, and meant to be: whoever doubts a verdict reads this.

use std::collections::BTreeMap;

use soakwatch::outcome::Outcome;
use soakwatch::record::{DurationCode, Run};

pub(crate) const HOUR: i64 = 3_600_000;

/// What is asked for; shares in thousandths.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Whole hours.
    pub(crate) window_h: i64,
    pub(crate) success: i64,
    pub(crate) wilson: bool,
    pub(crate) coverage: i64,
    pub(crate) outage_ms: i64,
    pub(crate) p95: Option<DurationCode>,
    pub(crate) throttled: i64,
}

/// One check: when it is due, how it is judged, what was recorded and what was taken out.
#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) interval: i64,
    pub(crate) phase: i64,
    pub(crate) judged: bool,
    pub(crate) every: bool,
    pub(crate) throttled_excluded: bool,
    pub(crate) runs: Vec<Run>,
    /// [`Check::slots_of`] the runs.
    pub(crate) recorded: BTreeMap<i64, Slot>,
    pub(crate) exclusions: Vec<(i64, i64)>,
}

/// Short, because failing cases are printed.
impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { interval, phase, judged, every, throttled_excluded, .. } = self;
        write!(f, "every {interval} ms from {phase} on, judged {judged}, every run {every}, throttled excluded {throttled_excluded}, ")?;
        write!(f, "exclusions {:?}; runs:", self.exclusions)?;
        let tell = |r: &Run| format!("{} x{} {} {}", r.slot.0, r.count, r.outcome, r.duration.0);
        self.runs.iter().try_for_each(|r| write!(f, " [{}]", tell(r)))
    }
}

/// One integration at a time.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) asked: Asked,
    pub(crate) checks: Vec<Check>,
    /// From here on runs count.
    pub(crate) since: i64,
    pub(crate) go_live: Option<i64>,
    pub(crate) now: i64,
}

/// A slot's fate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slot {
    at: i64,
    outcome: Outcome,
    first: bool,
    took: DurationCode,
}

/// What a check's numbers should be.
#[derive(Debug, PartialEq)]
pub(crate) struct Numbers {
    /// pass, fail, throttled, skipped, unknown.
    pub(crate) raw: [u64; 5],
    pub(crate) adjusted: [u64; 5],
    pub(crate) not_due: u64,
    pub(crate) excluded: u64,
    pub(crate) first_attempts: u64,
    pub(crate) outage_ms: i64,
    pub(crate) gap_ms: i64,
    pub(crate) p95: Option<DurationCode>,
}

impl Check {
    fn is_excluded(&self, at: i64) -> bool {
        self.exclusions.iter().any(|(from, to)| *from <= at && at < *to)
    }

    /// Every slot in `[from, to)`.
    fn due_at(&self, from: i64, to: i64) -> Vec<i64> {
        let first = from + (self.phase - from).rem_euclid(self.interval);
        (0..).map(|k| first + k * self.interval).take_while(|t| *t < to).collect()
    }

    /// Slot by slot, what is recorded.
    pub(crate) fn slots_of(runs: &[Run]) -> BTreeMap<i64, Slot> {
        let mut all = BTreeMap::new();
        for r in runs {
            for n in 0..i64::from(r.count) {
                let at = r.slot.0 + n * i64::from(r.interval_ms);
                all.insert(at, Slot { at, outcome: r.outcome, first: r.first_attempt_passed, took: r.duration });
            }
        }
        all
    }

    fn is_bad(&self, outcome: Outcome) -> bool {
        outcome == Outcome::Fail || (outcome == Outcome::Throttled && !self.throttled_excluded)
    }
}

fn is_counted(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Pass | Outcome::Fail | Outcome::Throttled)
}

/// The longest stretch of bad slots in milliseconds; only a pass ends one.
fn longest_outage(check: &Check, slots: &[Slot]) -> i64 {
    let (mut longest, mut run) = (0, 0);
    for slot in slots {
        if slot.outcome == Outcome::Pass {
            run = 0;
        } else if check.is_bad(slot.outcome) {
            run += check.interval;
        }
        longest = longest.max(run);
    }
    longest
}

fn p95(slots: &[Slot]) -> Option<DurationCode> {
    let mut took: Vec<DurationCode> = slots.iter().filter(|s| s.outcome == Outcome::Pass).map(|s| s.took).collect();
    took.sort_unstable();
    let rank = (took.len() * 95).div_ceil(100);
    rank.checked_sub(1).map(|n| took[n])
}

/// Whether `pass` of `n` reach the target.
fn reaches(asked: &Asked, pass: u64, n: u64) -> bool {
    if !asked.wilson {
        return pass as i64 * 1000 >= n as i64 * asked.success;
    }
    if pass == n {
        return n as i64 >= needed(asked);
    }
    let (n, z) = (n as f64, 1.96);
    let p = pass as f64 / n;
    let centre = p + z * z / (2.0 * n);
    let margin = z * ((p * (1.0 - p) + z * z / (4.0 * n)) / n).sqrt();
    (centre - margin) / (1.0 + z * z / n) >= asked.success as f64 / 1000.0
}

/// The smallest number of passing runs that shows the target.
pub(crate) fn needed(asked: &Asked) -> i64 {
    (1..).find(|n| n * (1000 - asked.success) * 10_000 >= asked.success * 38_416).unwrap_or(i64::MAX)
}

impl Case {
    fn length(&self) -> i64 {
        self.asked.window_h * HOUR
    }

    /// The window that ends at a time.
    fn start_of(&self, end: i64) -> i64 {
        let mut start = self.since;
        while end - (start + HOUR) >= self.length() {
            start += HOUR;
        }
        start
    }

    /// The judged window.
    pub(crate) fn window(&self) -> (i64, i64) {
        let end = self.go_live.map_or(self.now, |g| g.min(self.now)).max(self.since);
        (self.start_of(end), end)
    }

    fn is_frozen(&self) -> bool {
        self.go_live.is_some_and(|g| g <= self.now)
    }

    fn is_full(&self) -> bool {
        let (start, end) = self.window();
        end - start >= self.length()
    }

    /// How many slots may be taken out of a window as not due.
    fn cap(&self, check: &Check, start: i64, end: i64) -> u64 {
        (check.due_at(start, end.max(start + self.length())).len() / 20) as u64
    }

    /// The numbers of a check in the judged window.
    pub(crate) fn numbers(&self, check: &Check) -> Numbers {
        let (start, end) = self.window();
        let recorded = |at: &i64| check.recorded.get(at).filter(|s| s.at < end);
        let mut due = check.due_at(start, end);
        // The newest slot may still be running.
        if let Some(last) = due.last().copied()
            && check.recorded.range(..end).next_back().is_none_or(|(newest, _)| *newest < last)
            && self.now < last + check.interval
        {
            due.pop();
        }
        let seen: Vec<Slot> = due.iter().filter_map(recorded).copied().collect();
        let past = due.clone();
        if self.is_frozen() {
            due.extend(check.due_at(end, start + self.length()));
        }
        let cap = self.cap(check, start, end);
        let count = |slots: &[i64]| {
            let mut by = [0u64; 5];
            let mut not_due = 0;
            for at in slots {
                match recorded(at).map(|s| s.outcome) {
                    Some(Outcome::Pass) => by[0] += 1,
                    Some(Outcome::Fail) => by[1] += 1,
                    Some(Outcome::Throttled) => by[2] += 1,
                    Some(Outcome::Skipped) => by[3] += 1,
                    Some(Outcome::NotDue) if not_due < cap => not_due += 1,
                    Some(Outcome::Unknown | Outcome::NotDue) | None => by[4] += 1,
                }
            }
            (by, not_due)
        };
        let judged: Vec<i64> = due.iter().copied().filter(|at| !check.is_excluded(*at)).collect();
        let (adjusted, not_due) = count(&judged);
        let kept: Vec<Slot> = seen.iter().copied().filter(|s| !check.is_excluded(s.at)).collect();
        let (mut gap, mut longest_gap) = (0, 0);
        for at in &past {
            gap = if recorded(at).is_some_and(|s| is_counted(s.outcome)) { 0 } else { gap + check.interval };
            longest_gap = longest_gap.max(gap);
        }
        Numbers {
            raw: count(&due).0,
            adjusted,
            not_due,
            excluded: (due.len() - judged.len()) as u64,
            first_attempts: kept.iter().filter(|s| s.outcome == Outcome::Pass && s.first).count() as u64,
            outage_ms: longest_outage(check, &kept),
            gap_ms: longest_gap,
            p95: p95(&kept),
        }
    }

    /// The slots of a check in a window if all that was not recorded before `known`, and all that is missing, passes at once: what counts in the ratios,
    /// and what outages are made of.
    fn at_best(&self, check: &Check, start: i64, end: i64, known: i64) -> (Vec<Slot>, Vec<Slot>) {
        let mut not_due = 0;
        let cap = self.cap(check, start, end);
        let passes = |at| Slot { at, outcome: Outcome::Pass, first: true, took: DurationCode(0) };
        // What counts in the ratios, and what outages are made of: a slot that was not due is no part of one, however many there were.
        let (mut slots, mut line) = (Vec::new(), Vec::new());
        for at in check.due_at(start, end.max(start + self.length())) {
            if check.is_excluded(at) {
                continue;
            }
            match check.recorded.get(&at).filter(|s| s.at < known.min(end)) {
                Some(s) if is_counted(s.outcome) => {
                    slots.push(*s);
                    line.push(*s);
                }
                Some(s) if s.outcome == Outcome::NotDue => {
                    not_due += 1;
                    if not_due > cap {
                        slots.push(passes(at));
                    }
                }
                _ => {
                    slots.push(passes(at));
                    line.push(passes(at));
                }
            }
        }
        (slots, line)
    }

    /// Whether a window can't hold enough runs of some check to show anything, whatever they are.
    fn is_short(&self, start: i64, end: i64, known: i64) -> bool {
        let judged = self.checks.iter().filter(|c| c.judged && !c.every);
        let runs = |c: &Check, slots: &[Slot]| slots.iter().filter(|s| s.outcome == Outcome::Pass || c.is_bad(s.outcome)).count() as i64;
        judged.into_iter().any(|c| runs(c, &self.at_best(c, start, end, known).0) < needed(&self.asked))
    }

    /// Whether a check fails in a window even at best.
    fn fails_whatever(&self, check: &Check, start: i64, end: i64, known: i64) -> bool {
        let (slots, line) = self.at_best(check, start, end, known);
        let of = |o: Outcome| slots.iter().filter(|s| s.outcome == o).count() as u64;
        let (pass, throttled) = (of(Outcome::Pass), of(Outcome::Throttled));
        let bad = slots.iter().filter(|s| check.is_bad(s.outcome)).count() as u64;
        let outage = longest_outage(check, &line) > self.asked.outage_ms;
        let slow = self.asked.p95.is_some_and(|most| p95(&slots).is_some_and(|took| took > most));
        let throttled = throttled as i64 * 1000 > slots.len() as i64 * self.asked.throttled;
        let n = pass + bad;
        // Too few runs to show anything are no failure: then the plain ratio speaks.
        let plain = Asked { wilson: false, ..self.asked.clone() };
        let asked = if reaches(&self.asked, n, n) { &self.asked } else { &plain };
        let ratio = if check.every { bad > 0 } else { !reaches(asked, pass, n) };
        ratio || outage || slow || throttled
    }

    fn any_fails(&self, start: i64, end: i64, known: i64) -> bool {
        self.checks.iter().filter(|c| c.judged).any(|c| self.fails_whatever(c, start, end, known))
    }

    /// The same as of any moment up to `known`: what was lost stays lost. With wilson95 a window may come to hold too few runs to fail by (slots were not
    /// due, throttled runs take no part), after a failure that it could not take when more were to come: it can't pass either way.
    fn any_failed(&self, start: i64, end: i64, known: i64) -> bool {
        let judged = || self.checks.iter().filter(|c| c.judged);
        let fails = |c: &Check, known| self.fails_whatever(c, start, end, known);
        judged().any(|c| fails(c, known) || (self.asked.wilson && c.due_at(start, known.min(end)).iter().any(|slot| fails(c, slot + 1))))
    }

    /// Whether, knowing the slots before `known`, every window fails that ends by go-live and not before `known`; without go-live: the first window.
    fn is_doomed(&self, known: i64) -> bool {
        let first_end = self.since + self.length();
        let Some(go_live) = self.go_live else { return self.any_failed(self.since, first_end, known) };
        let last = go_live.max(self.since);
        let mut ends: Vec<i64> = vec![last];
        // A window changes when its end passes a slot, and it is longest just before its beginning moves. With wilson95 a shorter one may hold too few
        // runs to fail by, which lets nothing pass: there the longest speaks.
        for check in self.checks.iter().filter(|c| c.judged && !self.asked.wilson) {
            ends.extend(check.due_at(known.max(first_end), last).iter().map(|at| at + 1));
        }
        let moves = (0..).map(|h| first_end + (h + 1) * HOUR - 1).take_while(|t| *t < last);
        ends.extend(moves.clone().filter(|t| *t >= known));
        ends.sort_unstable();
        ends.dedup();
        // With wilson95 it is the two last windows that have to fail; one before them that holds too few runs to fail by passes no more than they do.
        let last_two = [Some(last), moves.last()];
        let hopeless = |end: i64| self.asked.wilson && !last_two.contains(&Some(end)) && self.is_short(self.start_of(end), end, known);
        ends.into_iter().all(|end| self.any_failed(self.start_of(end), end, known) || hopeless(end))
    }

    /// The ruling's word.
    pub(crate) fn ruling(&self) -> &'static str {
        if self.now < self.since {
            return "not_started";
        }
        let (start, end) = self.window();
        let over = self.is_frozen() || self.is_full();
        if over && self.all_met() {
            return "passed";
        }
        let may_be_doomed = if over { self.go_live.is_some() && !self.is_frozen() } else { true };
        if may_be_doomed && self.is_doomed(self.now) {
            return "doomed";
        }
        match over {
            false => "running",
            true if self.any_fails(start, end, self.now) => "failed",
            true => "insufficient_evidence",
        }
    }

    /// Whether everything asked for was observed.
    fn all_met(&self) -> bool {
        let asked = &self.asked;
        let mut judged = self.checks.iter().filter(|c| c.judged).peekable();
        judged.peek().is_some()
            && judged.all(|check| {
                let n = self.numbers(check);
                let [pass, fail, throttled, skipped, unknown] = n.adjusted;
                let (counted, due) = (pass + fail + throttled, pass + fail + throttled + skipped + unknown);
                let runs = if check.throttled_excluded { pass + fail } else { counted };
                let enough = if check.every {
                    pass + (counted - runs) == due
                } else {
                    runs > 0 && reaches(asked, pass, runs) && runs as i64 >= needed(asked)
                };
                enough
                    && due > 0
                    && counted > 0
                    && counted as i64 * 1000 >= due as i64 * asked.coverage
                    && n.outage_ms <= asked.outage_ms
                    && throttled as i64 * 1000 <= counted as i64 * asked.throttled
                    && asked.p95.is_none_or(|most| n.p95.is_some_and(|took| took <= most))
            })
    }

    /// The first moment from which on it was doomed: a slot, or the end of an hour in which a window could still have passed.
    pub(crate) fn doomed_at(&self) -> Option<i64> {
        let until = self.window().1;
        let mut moments: Vec<i64> = self.checks.iter().filter(|c| c.judged).flat_map(|c| c.due_at(self.since, until)).collect();
        moments.extend((0..).map(|h| self.since + h * HOUR).take_while(|t| *t < until));
        moments.sort_unstable();
        moments.dedup();
        // Once doomed, always doomed: what is known only grows.
        let at = moments.partition_point(|t| !self.is_doomed(t + 1));
        moments.get(at).copied()
    }

    /// Failures the tightest check can take: allowed, used, left.
    pub(crate) fn budget(&self) -> (u64, u64, u64) {
        let (start, end) = self.window();
        let judged = self.checks.iter().filter(|c| c.judged);
        let budgets = judged.map(|check| {
            let n = self.numbers(check);
            let slots = check.due_at(start, end.max(start + self.length()));
            let due = slots.iter().filter(|at| !check.is_excluded(**at)).count() as u64 - n.not_due;
            let used = n.adjusted[1] + if check.throttled_excluded { 0 } else { n.adjusted[2] };
            let of = due - if check.throttled_excluded { n.adjusted[2] } else { 0 };
            let plain = Asked { wilson: false, ..self.asked.clone() };
            let asked = if reaches(&self.asked, of, of) { &self.asked } else { &plain };
            let allowed = if check.every { 0 } else { (0..=of).take_while(|bad| reaches(asked, of - bad, of)).count() as u64 - 1 };
            (allowed, used, allowed.saturating_sub(used))
        });
        budgets.min_by_key(|(allowed, _, left)| (*left, *allowed)).unwrap_or_default()
    }
}
