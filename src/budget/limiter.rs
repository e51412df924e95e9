//! One pace: so many requests a second, evenly, never two at once unless timers are too coarse for it. `governor` counts; the caller says what time it is.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// What time it is, as told.
#[derive(Clone, Debug)]
struct Told(Arc<Mutex<Instant>>);

impl Told {
    fn tell(&self, now: Instant) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *told = now.max(*told);
    }
}

impl Clock for Told {
    type Instant = Instant;
    fn now(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request is this many cells, so that a turn taken a little late moves none of the next ones.
const CELLS: u32 = 10;
/// Who waits for a moment that is nearer may wake this late. A pace that lets more than one request go meanwhile can't be kept one by one: each would make all
/// behind it later.
const LATE: Duration = Duration::from_millis(2);

/// A pace, and when it was last used.
pub(super) struct Limiter {
    inner: RateLimiter<NotKeyed, InMemoryState, Told, StateInformationMiddleware>,
    clock: Told,
    per_s: f64,
    strict: bool,
    last: Option<Instant>,
    /// When the next request may go, as far as is known.
    next: Instant,
    /// Requests that went out beyond their turn, and are made up for.
    owed: u32,
}

impl Limiter {
    /// So many requests a second. `strict`: never a moment too early (a quota); otherwise a tenth of the distance is allowed for, or what goes by while timers
    /// are late.
    pub(super) fn new(per_s: f64, strict: bool, now: Instant) -> Self {
        let clock = Told(Arc::new(Mutex::new(now)));
        let inner = RateLimiter::direct_with_clock(quota(per_s, strict), clock.clone()).with_middleware();
        Self { inner, clock, per_s, strict, last: None, next: now, owed: 0 }
    }

    /// Changes the pace. What went out under the old one counts: the next request keeps its distance to the last.
    pub(super) fn set(&mut self, per_s: f64, now: Instant) {
        if (per_s / self.per_s - 1.0).abs() < 0.01 {
            return;
        }
        let Self { last, owed, strict, .. } = *self;
        *self = Self { owed, ..Self::new(per_s, strict, last.unwrap_or(now)) };
        if let Some(last) = last {
            self.take_cells(last);
        }
    }

    /// How long until a request may go.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Takes a turn, if there is one now.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        while self.take_cells(now) {
            if self.owed == 0 {
                return true;
            }
            self.owed -= 1;
        }
        false
    }

    /// So many requests went out without a turn.
    pub(super) fn charge(&mut self, requests: u32) {
        // No more than can be made up for in reasonable time.
        self.owed = self.owed.saturating_add(requests).min(20);
    }

    /// Requests it would let go now: 1, or how much of one has gathered.
    pub(super) fn tokens(&self, now: Instant) -> f64 {
        (1.0 - self.wait(now).as_secs_f64() * self.per_s).clamp(0.0, 1.0)
    }

    fn take_cells(&mut self, now: Instant) -> bool {
        self.clock.tell(now);
        let Some(cells) = NonZeroU32::new(CELLS) else { return false };
        match self.inner.check_n(cells) {
            Ok(Ok(left)) => {
                self.last = Some(now);
                let more = left.remaining_burst_capacity() >= CELLS;
                self.next = if more { now } else { now + Duration::from_secs_f64(1.0 / self.per_s) };
                true
            }
            Ok(Err(not_until)) => {
                self.next = now + not_until.wait_time_from(self.clock.now());
                false
            }
            Err(_) => false,
        }
    }
}

/// One request in `1 / per_s` seconds, as cells.
fn quota(per_s: f64, strict: bool) -> Quota {
    let cell = Duration::from_secs_f64(1.0 / per_s / f64::from(CELLS)).max(Duration::from_nanos(1));
    let allowed = (LATE.as_secs_f64() * per_s * f64::from(CELLS)).max(1.0) as u32;
    let burst = NonZeroU32::new(if strict { CELLS } else { CELLS.saturating_add(allowed) }).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(cell).unwrap_or(Quota::per_second(burst)).allow_burst(burst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    fn sent(limiter: &mut Limiter, from: Instant, seconds: u64, mut each: impl FnMut(&mut Limiter, Instant)) -> Vec<Duration> {
        let mut all = Vec::new();
        for ms in 0..seconds * 1000 {
            let now = from + Duration::from_millis(ms);
            if limiter.wait(now).is_zero() && limiter.take(now) {
                all.push(now - from);
                each(limiter, now);
            }
        }
        all
    }

    #[test]
    fn it_is_even() {
        for (per_s, strict, most) in [(2.0, true, 20), (0.1, true, 1), (3.0, false, 31), (1000.0, true, 10_000)] {
            let now = monotonic();
            let all = sent(&mut Limiter::new(per_s, strict, now), now, 10, |_, _| {});
            let gap = all.windows(2).map(|w| w[1] - w[0]).min().unwrap_or(Duration::MAX);
            assert!(all.len() <= most && all.len() >= most - 1 - most / 50, "{per_s}: {}", all.len());
            assert!(gap.as_secs_f64() >= 0.89 / per_s, "{per_s}: {gap:?}");
        }
    }

    #[test]
    fn a_pace_faster_than_timers_is_kept_on_average() {
        let now = monotonic();
        let mut limiter = Limiter::new(1000.0, false, now);
        let at_once = (0..10).filter(|_| limiter.wait(now).is_zero() && limiter.take(now)).count();
        assert_eq!((at_once, limiter.wait(now).is_zero()), (3, false));
        let mut limiter = Limiter::new(1000.0, false, now);
        let mut all = 0;
        for ms in (0..10_000).step_by(3) {
            let now = now + Duration::from_millis(ms);
            while limiter.wait(now).is_zero() && limiter.take(now) {
                all += 1;
            }
        }
        assert!((9_990..=10_002).contains(&all), "{all}");
    }

    #[test]
    fn changing_the_pace_gives_nothing_away() {
        let now = monotonic();
        let mut flip = false;
        let all = sent(&mut Limiter::new(1.0, true, now), now, 20, |l, now| {
            flip = !flip;
            l.set(if flip { 1.5 } else { 1.0 }, now);
        });
        assert!(all.windows(2).all(|w| w[1] - w[0] >= Duration::from_millis(666)), "{all:?}");
        assert!(all.len() >= 20, "{all:?}");
    }

    #[test]
    fn what_went_out_beyond_is_made_up_for() {
        let now = monotonic();
        let all = sent(&mut Limiter::new(1.0, true, now), now, 20, |l, _| l.charge(1));
        assert!((9..=10).contains(&all.len()), "{all:?}");
    }
}
