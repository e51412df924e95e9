//! What a quota means for a declared volume: how many times it fits, and when what is left runs out. Plain arithmetic over plain numbers; whatever
//! can't be told (nothing declared, no window, numbers that overflow) is absent.

use crate::clock::UnixMs;
use crate::config::model::DeclaredVolume;
use crate::fields::Volume;

/// Seconds of a day: quotas with a window of at least that are set against what is declared a day, shorter ones against the peak.
pub const DAY_S: u64 = 86_400;
/// The last millisecond of the year 9999. A later time is a mistake somewhere, and not shown.
const LAST_MS: i64 = 253_402_300_799_999;

/// So many requests in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests.
    pub limit: u64,
    /// The window's length in seconds, more than 0.
    pub window_s: u64,
}

impl Quota {
    /// The quota over the declared use of one window ([`declared_use`]).
    pub fn headroom(self, volume: &DeclaredVolume) -> Option<f64> {
        let used = declared_use(volume, self.window_s).filter(|n| *n > 0.0)?;
        Some(self.limit as f64 / used).filter(|h| h.is_finite())
    }
}

/// Requests a second.
pub(super) fn per_s(v: Volume) -> f64 {
    v.calls as f64 / v.per_s.max(1) as f64
}

/// The declared requests a second that count for a window: the peak, or over a day and more the mean of it.
pub fn declared_per_s(volume: &DeclaredVolume, window_s: u64) -> Option<f64> {
    if window_s < DAY_S { volume.peak } else { volume.daily }.map(per_s)
}

/// The declared requests of one window, without the batches: the peak all through it, but no more than the whole day has; from a day on, what is declared
/// a day.
pub fn declared_use(volume: &DeclaredVolume, window_s: u64) -> Option<f64> {
    let used = declared_per_s(volume, window_s)? * window_s as f64;
    let day = volume.daily.filter(|_| window_s < DAY_S).map(|d| per_s(d) * DAY_S as f64);
    Some(day.map_or(used, |d| used.min(d)))
}

/// A time that can be shown.
pub(super) fn dated(t: UnixMs) -> Option<UnixMs> {
    (0..=LAST_MS).contains(&t.0).then_some(t)
}

/// When `remaining`, read at `at`, runs out at so many a second: `at` itself where nothing is left. Absent where that is not before `end` (the reset, or
/// the window's end), and once `end` is over: then there is more, and nobody knows how much.
pub fn runs_out(at: UnixMs, remaining: u64, per_s: f64, end: UnixMs, now: UnixMs) -> Option<UnixMs> {
    if end <= now || end <= at {
        return None;
    }
    if remaining == 0 {
        return dated(at);
    }
    let after_ms = Some(remaining as f64 / per_s * 1000.0).filter(|ms| per_s > 0.0 && *ms < (end.0.saturating_sub(at.0)) as f64)?;
    dated(UnixMs(at.0.saturating_add(after_ms as i64)))
}
