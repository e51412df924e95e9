//! A verdict: the ruling on one integration, every criterion with what was asked for and what was seen, and the numbers of every check. Plain data
//! and no text: [`super::Shown`] puts it into words.

use super::policy::Criterion;
use super::window::{Stage, Window};
use crate::clock::UnixMs;
use crate::outcome::closed_set;
use crate::record::{Counts, DurationCode};

closed_set! {
    /// What is said of a soak (product.md).
    Ruling {
        /// Its start lies ahead.
        NotStarted => "not_started",
        /// The window is not full yet.
        Running => "running",
        /// Still running, but it can't pass any more.
        Doomed => "doomed",
        /// Everything asked for was observed.
        Passed => "passed",
        /// Something asked for does not hold, whatever the missing runs were.
        Failed => "failed",
        /// Nothing failed, but what was observed does not show it.
        InsufficientEvidence => "insufficient_evidence",
        /// Passed longer ago than it is valid for.
        Stale => "stale",
        /// What is judged was changed; the soak starts again.
        Superseded => "superseded",
    }
}

/// The ruling on one integration at a time, with everything it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is said.
    pub ruling: Ruling,
    /// The time it was made for.
    pub as_of: UnixMs,
    /// The slot from which on it could not pass any more, while that is so and on the failure it led to.
    pub doomed_at: Option<UnixMs>,
    /// The judged window.
    pub window: Window,
    /// How far the soak has come.
    pub stage: Stage,
    /// How much of the window's length has passed, 0 to 1.
    pub progress: f64,
    /// Every criterion in product.md's order, then what people attest, in the policy's order.
    pub rows: Vec<Row>,
    /// Slots of all judged checks in the window, as recorded; what nobody recorded is `unknown`.
    pub counts: Counts,
    /// The same without what was excluded: what is judged.
    pub adjusted: Counts,
    /// Failures the window can take.
    pub budget: Budget,
    /// Every check in the input's order.
    pub checks: Vec<Standing>,
    /// The judged check of which nothing has been heard for too long, and since when; `None` at go-live and after it.
    pub silent: Option<(u32, UnixMs)>,
    /// There are doubts about what it was made from.
    pub doubted: bool,
}

/// Failures the tightest judged check can take in the whole window. All 0 where every run counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// So many in all.
    pub allowed: u64,
    /// So many were.
    pub used: u64,
    /// So many more.
    pub left: u64,
    /// Whose it is, by its number in the input.
    pub check: Option<u32>,
}

/// One criterion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Which one.
    pub name: Name,
    /// What is asked for.
    pub threshold: Value,
    /// What was seen; of several checks, of the worst.
    pub observed: Value,
    /// What comes of it.
    pub state: State,
    /// Whether it would hold if the window ended now on what was observed; `None`: it does not apply, or nothing was observed.
    pub so_far: Option<bool>,
    /// The check that decided, by its number in the input.
    pub check: Option<u32>,
    /// How many runs or observations are behind `observed`.
    pub behind: u64,
    /// The waiver that makes a criterion that is not met count as met, by its number in the input.
    pub waiver: Option<u32>,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// One of product.md's criteria.
    Criterion(Criterion),
    /// What people attest, by its number in the policy.
    Attested(u32),
}

/// A number in a criterion: ratios as such, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// None.
    Absent,
    /// Number.
    Number(f64),
    /// Whole number.
    Whole(u64),
    /// Attested, by its number in the input.
    Attested(u32),
}

/// What comes of a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It can't hold any more, whatever still comes and whatever the missing runs were.
    Lost,
    /// What was observed is too little and can't become enough in this window: missing evidence, no failure.
    Short,
    /// Not decidable, or not yet.
    Open,
    /// It holds, whatever still comes.
    Met,
    /// It does not apply.
    Idle,
}

impl Row {
    /// `true`: it holds whatever still comes. `false`: it can't hold whatever comes. `None`: it does not apply, or can't be decided yet. A waived
    /// criterion counts as met.
    pub fn met(&self) -> Option<bool> {
        match self.state {
            _ if self.waiver.is_some() => Some(true),
            State::Lost | State::Short => Some(false),
            State::Met => Some(true),
            State::Open | State::Idle => None,
        }
    }

    /// Whether it does not hold a pass back.
    pub fn lets_pass(&self) -> bool {
        self.waiver.is_some() || matches!(self.state, State::Met | State::Idle)
    }
}

/// The numbers of one check in the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Whether it is judged.
    pub judged: bool,
    /// As recorded; what nobody recorded is `unknown`.
    pub counts: Counts,
    /// Without what was excluded.
    pub adjusted: Counts,
    /// Slots that were not due (maintenance, paused) and taken out: at most 5 % of the window's. What is beyond is `unknown` in the counts.
    pub not_due: u64,
    /// Slots that were excluded.
    pub excluded: u64,
    /// Slots that are due in the whole window, also those that have not come yet; `None`: what arrives has none.
    pub slots: Option<u64>,
    /// Passing runs over judged runs.
    pub ratio: Option<f64>,
    /// The lower end of its 95 % Wilson score interval.
    pub lower: Option<f64>,
    /// Runs that passed at the first attempt, over judged runs.
    pub first_attempts: Option<f64>,
    /// Counted runs over due slots.
    pub coverage: Option<f64>,
    /// The longest outage: slots of non-passing runs one after the other, in milliseconds of slot time, and its first slot.
    pub outage: Option<(UnixMs, i64)>,
    /// The longest span of slots without a counted run, as recorded: milliseconds of slot time, and its first slot.
    pub gap: Option<(UnixMs, i64)>,
    /// 95th percentile of the passing runs' durations, by the nearest rank.
    pub p95: Option<DurationCode>,
    /// Failures it can take.
    pub budget: Budget,
}
