//! The judge: from the folds of an integration's checks, and what was seen beside them, to a [`Verdict`]. A pure function that makes no text and costs
//! well under a microsecond a check.

use super::fold::{CheckFold, NEVER};
use super::given::{CheckInput, Input};
use super::policy::Criterion;
use super::rows::{Judged, rows};
use super::standing::standing;
use super::track::CAN_BE_LOST;
use super::verdict::{Budget, Name, Row, Ruling, Standing, State, Verdict};
use super::window::{Frame, Stage};
use crate::clock::UnixMs;
use crate::record::Counts;
use crate::slots::grid::Grid;

/// Nothing has been heard of a check for too long after so many intervals and [`PATIENCE_MS`].
const SILENT_INTERVALS: i64 = 3;
const PATIENCE_MS: i64 = 60_000;

/// The frame of what is judged now: what the checks' folds are to be made for.
pub fn frame(input: &Input<'_>) -> Frame {
    Frame::at(input.since, input.policy.window, input.go_live, input.now)
}

/// The time for which living folds can be judged: now, or, where the clock was set back, just after the newest slot that they hold.
pub fn as_of<'f>(now: UnixMs, folds: impl IntoIterator<Item = &'f CheckFold>) -> UnixMs {
    folds.into_iter().filter_map(CheckFold::newest).fold(now, |now, slot| now.max(UnixMs(slot.0 + 1)))
}

/// Judges. Every fold must be one of [`frame`], and hold no run at or after `now`.
pub fn judge(input: &Input<'_>) -> Verdict {
    let frame = frame(input);
    let checks: Vec<Standing> = input.checks.iter().map(|c| standing(c, &frame, input.now)).collect();
    let judged: Vec<Judged<'_>> = input
        .checks
        .iter()
        .zip(&checks)
        .zip(0..)
        .filter(|((c, _), _)| c.judged)
        .map(|((c, s), n)| Judged::new(n, c, s, &frame, input.now))
        .collect();
    let mut rows = rows(input, &frame, &judged);
    if !input.waivers.is_empty() {
        let nothing = judged.is_empty() || judged.iter().any(Judged::ran_never);
        rows.iter_mut().for_each(|row| row.waiver = waiver(input, row, &frame).filter(|_| !(nothing && is_coverage(row))));
    }
    let doomed = doomed(input, &frame);
    let ruling = ruling(input, &frame, &rows, doomed.is_some());
    let ended_as_doomed = frame.stage == Stage::Frozen || frame.window.start == input.since;
    let said = ruling == Ruling::Doomed || (ruling == Ruling::Failed && ended_as_doomed);
    let (mut counts, mut adjusted) = (Counts::default(), Counts::default());
    for standing in checks.iter().filter(|s| s.judged) {
        counts.merge(&standing.counts);
        adjusted.merge(&standing.adjusted);
    }
    let passed = frame.window.end.0 - frame.window.start.0;
    Verdict {
        ruling,
        as_of: input.now,
        // What was lost with the end itself was never doomed.
        doomed_at: doomed.filter(|at| said && *at < frame.window.end),
        window: frame.window,
        stage: frame.stage,
        progress: (passed as f64 / input.policy.window.ms().max(1) as f64).clamp(0.0, 1.0),
        rows,
        counts,
        adjusted,
        budget: tightest(&checks),
        silent: silent(input, &frame),
        doubted: input.doubts.any(),
        checks,
    }
}

fn ruling(input: &Input<'_>, frame: &Frame, rows: &[Row], doomed: bool) -> Ruling {
    // What people attest is the gate's to ask for.
    let criteria = || rows.iter().filter(|r| matches!(r.name, Name::Criterion(_)));
    match frame.stage {
        _ if input.superseded => Ruling::Superseded,
        Stage::NotStarted => Ruling::NotStarted,
        Stage::Filling if doomed => Ruling::Doomed,
        Stage::Filling => Ruling::Running,
        Stage::Full | Stage::Frozen if criteria().all(Row::lets_pass) => {
            let expired = frame.stage == Stage::Frozen && input.now > frame.window.end.plus(input.policy.valid_for.0);
            if expired { Ruling::Stale } else { Ruling::Passed }
        }
        Stage::Full if doomed && input.go_live.is_some() => Ruling::Doomed,
        Stage::Full | Stage::Frozen if criteria().any(|r| r.state == State::Lost && r.waiver.is_none()) => Ruling::Failed,
        Stage::Full | Stage::Frozen => Ruling::InsufficientEvidence,
    }
}

/// Since when no window that ends by go-live can pass, if that is so.
fn doomed(input: &Input<'_>, frame: &Frame) -> Option<UnixMs> {
    let waived = |c: Criterion| active_waiver(input, c.as_str()).is_some();
    let p1 = input.seen.incidents.and_then(|i| i.p1_in_last).filter(|_| !waived(Criterion::Incidents));
    let lost_in = |which: usize| {
        let of_check = |c: &CheckInput<'_>| {
            let track = c.fold.ahead.get(which)?;
            let lost = CAN_BE_LOST.iter().zip(track.lost).filter(|(c, at)| *at != NEVER && !waived(**c));
            lost.map(|(_, at)| at).min()
        };
        input.checks.iter().filter(|c| c.judged).filter_map(of_check).chain(p1).min()
    };
    let mut since = None;
    for (which, window) in frame.last.iter().flatten().enumerate() {
        // A window that ended can't pass any more either, but for the last one, which is what ends.
        let ended = (which > 0 && window.end <= input.now).then_some(window.end);
        let at = lost_in(which).into_iter().chain(ended).min()?;
        since = since.max(Some(at));
    }
    since
}

/// What says whether there is evidence at all: where a check was never run no waiver makes something of nothing.
pub(super) fn is_coverage(row: &Row) -> bool {
    matches!(row.name, Name::Criterion(Criterion::Coverage))
}

/// The waiver that is in force and makes a criterion count as met that is not.
fn waiver(input: &Input<'_>, row: &Row, frame: &Frame) -> Option<u32> {
    let name = match row.name {
        Name::Criterion(c) => c.as_str(),
        Name::Attested(n) => input.policy.attest.get(n as usize)?,
    };
    let fails = match row.state {
        State::Lost | State::Short => true,
        State::Open => frame.is_over() || matches!(row.name, Name::Attested(_)),
        State::Met | State::Idle => false,
    };
    active_waiver(input, name).filter(|_| fails)
}

pub(super) fn active_waiver(input: &Input<'_>, name: &str) -> Option<u32> {
    (0..).zip(input.waivers).find(|(_, w)| w.criterion == name && input.now < w.until).map(|(n, _)| n)
}

/// The budget of the judged check that can take the fewest further failures.
fn tightest(checks: &[Standing]) -> Budget {
    let judged = (0..).zip(checks).filter(|(_, s)| s.judged);
    let tightest = judged.min_by_key(|(_, s)| (s.budget.left, s.budget.allowed));
    tightest.map_or_else(Budget::default, |(n, s)| Budget { check: Some(n), ..s.budget })
}

/// For so long a check may record nothing before it is silent.
pub(super) fn patience_ms(grid: Grid) -> i64 {
    SILENT_INTERVALS * grid.interval() + PATIENCE_MS
}

/// The judged check that has been silent the longest, if that is too long.
fn silent(input: &Input<'_>, frame: &Frame) -> Option<(u32, UnixMs)> {
    if matches!(frame.stage, Stage::NotStarted | Stage::Frozen) {
        return None;
    }
    let judged = (0..).zip(input.checks).filter(|(_, c)| c.judged);
    let silent = judged.filter_map(|(n, c)| {
        let since = c.fold.heard.max(frame.window.start);
        (input.now.0 - since.0 > patience_ms(c.rules.grid?)).then_some((n, since))
    });
    silent.min_by_key(|(_, since)| *since)
}
