//! Which span is judged at a time, and on which windows it is decided that a soak can't pass any more. Pure arithmetic in UTC.

use crate::clock::{HOUR_MS, UnixMs};
use crate::fields::Span;

/// A half-open span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub start: UnixMs,
    /// Its end, exclusive.
    pub end: UnixMs,
}

/// How far a soak has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its start lies ahead.
    NotStarted,
    /// The window is shorter than asked for.
    Filling,
    /// The window has its length and moves on.
    Full,
    /// Go-live has come: nothing moves any more.
    Frozen,
}

/// What is judged at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The window. Where it is full it is less than an hour longer than asked for, because its start moves in whole hours.
    pub window: Window,
    /// How far it has come.
    pub stage: Stage,
    /// The length asked for.
    pub length: Span,
    /// When it is frozen.
    pub go_live: Option<UnixMs>,
    /// Where the window is full, or would be: its end, or `window.start` + the length asked for.
    pub full_end: UnixMs,
    /// The last window that can end by go-live, and the one an hour before it (which may be longer); without go-live the first window. Where none of
    /// them can pass, none can: all others begin earlier and are no longer.
    pub last: [Option<Window>; 2],
}

impl Frame {
    /// The frame of a soak that counts from `since`, asks for `length` (at least an hour) and goes live at `go_live`, at a time.
    pub fn at(since: UnixMs, length: Span, go_live: Option<UnixMs>, now: UnixMs) -> Self {
        let (asked, length) = (length, length.ms());
        let end = UnixMs(go_live.map_or(now, |g| g.min(now)).0.max(since.0));
        let window = Window { start: start(since, length, end), end };
        let is_full = end.0 - window.start.0 >= length;
        let stage = match go_live {
            _ if now < since => Stage::NotStarted,
            Some(g) if g <= now => Stage::Frozen,
            _ if is_full => Stage::Full,
            _ => Stage::Filling,
        };
        let last = match go_live {
            Some(go_live) => {
                let last = Window { start: start(since, length, go_live), end: go_live.max(since) };
                let earlier = Window { start: UnixMs(last.start.0 - HOUR_MS), end: UnixMs(last.start.0 + length) };
                [Some(last), (earlier.start >= since).then_some(earlier)]
            }
            None => [(window.start == since).then_some(Window { start: since, end: UnixMs(since.0 + length) }), None],
        };
        Self { window, stage, length: asked, go_live, full_end: UnixMs(end.0.max(window.start.0 + length)), last }
    }

    /// The runs that matter begin here: at the window, or at the earlier one that tells when a soak was lost.
    pub fn reads_from(&self) -> UnixMs {
        self.last.iter().flatten().map(|w| w.start).fold(self.window.start, UnixMs::min)
    }

    /// Whether the window is judged as it stands: it is full, or will not grow.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Full | Stage::Frozen)
    }
}

/// Where a window of at least `length` begins that ends at `end`: whole hours after `since`, never before it.
fn start(since: UnixMs, length: i64, end: UnixMs) -> UnixMs {
    let hours = (end.0 - length - since.0).div_euclid(HOUR_MS).max(0);
    UnixMs(since.0 + hours * HOUR_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_796_112_000_000;
    const WEEK: i64 = 168;

    /// Times in hours and minutes after the start.
    fn at(hours: i64, minutes: i64) -> UnixMs {
        UnixMs(S + hours * HOUR_MS + minutes * 60_000)
    }

    fn frame(go_live: Option<UnixMs>, now: UnixMs) -> Frame {
        Frame::at(UnixMs(S), Span::days(7), go_live, now)
    }

    fn window(start: UnixMs, end: UnixMs) -> Window {
        Window { start, end }
    }

    #[test]
    fn without_go_live_it_fills_and_then_moves_in_whole_hours() {
        let f = frame(None, at(-1, 0));
        assert_eq!((f.stage, f.window), (Stage::NotStarted, window(at(0, 0), at(0, 0))));
        let f = frame(None, at(3, 20));
        assert_eq!((f.stage, f.window, f.full_end), (Stage::Filling, window(at(0, 0), at(3, 20)), at(WEEK, 0)));
        let first = [Some(window(at(0, 0), at(WEEK, 0))), None];
        assert_eq!(f.last, first);
        let f = frame(None, at(WEEK, 59));
        assert_eq!((f.stage, f.window, f.full_end, f.last), (Stage::Full, window(at(0, 0), at(WEEK, 59)), at(WEEK, 59), first));
        let f = frame(None, at(WEEK + 5, 20));
        assert_eq!((f.stage, f.window, f.last), (Stage::Full, window(at(5, 0), at(WEEK + 5, 20)), [None, None]));
    }

    #[test]
    fn go_live_freezes_and_bounds_the_last_window() {
        let live = at(WEEK + 48, 30);
        let last = [Some(window(at(48, 0), live)), Some(window(at(47, 0), at(WEEK + 48, 0)))];
        for now in [at(0, 1), at(WEEK, 0), at(WEEK + 48, 29)] {
            assert_eq!(frame(Some(live), now).last, last, "{now}");
        }
        for now in [live, at(5_000, 0)] {
            let f = frame(Some(live), now);
            assert_eq!((f.stage, f.window, f.full_end, f.last), (Stage::Frozen, window(at(48, 0), live), live, last));
        }
    }

    #[test]
    fn a_go_live_too_early_never_fills_the_window() {
        let f = frame(Some(at(24, 0)), at(30, 0));
        assert_eq!((f.stage, f.window, f.full_end), (Stage::Frozen, window(at(0, 0), at(24, 0)), at(WEEK, 0)));
        assert_eq!(f.last, [Some(window(at(0, 0), at(24, 0))), None]);
        let f = frame(Some(at(-24, 0)), at(30, 0));
        assert_eq!((f.stage, f.window, f.full_end), (Stage::Frozen, window(at(0, 0), at(0, 0)), at(WEEK, 0)));
    }
}
