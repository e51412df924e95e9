//! Waking at a time to some microseconds, by a timer of the kernel. The runtime's own timers know whole milliseconds and round up: a run would begin one to
//! two of them after its slot, and all that came due meanwhile with it. Owns the timer; decides nothing about when.

use std::os::fd::OwnedFd;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// A timer to wait for again and again.
pub(super) struct Alarm {
    /// `None`: the kernel gives none, and the runtime's timers have to do.
    timer: Option<AsyncFd<OwnedFd>>,
    /// What it is set to; it is not set again to the same.
    set: Option<Instant>,
}

impl Alarm {
    /// Called within the runtime that waits for it.
    pub(super) fn new() -> Self {
        let made = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC);
        #[expect(deprecated, reason = "what it is deprecated for can't happen to an owned descriptor, and its successor is unsafe to call")]
        let timer = made.map_err(std::io::Error::from).and_then(AsyncFd::new);
        if let Err(e) = &timer {
            tracing::warn!("no timer of the kernel ({e}): runs begin up to two milliseconds later");
        }
        Self { timer: timer.ok(), set: None }
    }

    /// Waits until `wake`. May be dropped at any time, and called again with another time.
    pub(super) async fn at(&mut self, wake: Instant) {
        let Some(timer) = &self.timer else { return sleep_until(wake).await };
        loop {
            let left = wake.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if self.set != Some(wake) {
                let at = Itimerspec { it_interval: Timespec::default(), it_value: Timespec::try_from(left).unwrap_or_default() };
                if timerfd_settime(timer, TimerfdTimerFlags::empty(), &at).is_err() {
                    return sleep_until(wake).await;
                }
                self.set = Some(wake);
            }
            let Ok(mut ready) = timer.readable().await else { return sleep_until(wake).await };
            // It went off, now or before it was set anew. It is not read: setting it anew is what makes it go off again, and each time is told once.
            ready.clear_ready();
            self.set = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_goes_off_at_its_time_and_not_before_however_often_it_is_set() {
        let mut alarm = Alarm::new();
        assert!(alarm.timer.is_some());
        let began = Instant::now();
        for ms in [5, 5, 0, 20] {
            let wake = began + Duration::from_millis(ms);
            alarm.at(wake).await;
            assert!(Instant::now() >= wake, "{ms}");
        }
        // Set, given up before it goes off, and set to something sooner and something later.
        for (first, then) in [(1_000_000, 30), (30, 60)] {
            let now = Instant::now();
            let (first, then) = (now + Duration::from_millis(first), now + Duration::from_millis(then));
            assert!(tokio::time::timeout(Duration::from_millis(1), alarm.at(first)).await.is_err());
            alarm.at(then).await;
            assert!(Instant::now() >= then);
        }
        // It went off while nobody waited.
        let wake = Instant::now() + Duration::from_millis(10);
        let _ = tokio::time::timeout(Duration::from_millis(1), alarm.at(wake)).await;
        std::thread::sleep(Duration::from_millis(20));
        alarm.at(wake).await;
        let later = Instant::now() + Duration::from_millis(20);
        alarm.at(later).await;
        assert!(Instant::now() >= later);
    }
}
