//! Whether the daemon is alive and ready: facts that others set and `/-/healthy` and `/-/ready` read; whether its evidence log is whole, and whether the
//! configuration that was read last is the one in force. Never judges an integration.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{UnixMs, monotonic};

/// A scheduler that has not been heard of for longer than this is stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(10);

/// One for the daemon.
#[derive(Debug)]
pub struct Health {
    ready: AtomicBool,
    /// Milliseconds of monotonic time from `since` to the last beat.
    beat_ms: AtomicU64,
    since: Instant,
    /// What the last check of the evidence log found.
    evidence: Mutex<Option<String>>,
    /// When the configuration came into force, and what was refused since.
    config: Mutex<(UnixMs, Option<Refused>)>,
}

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When it was read.
    pub at: UnixMs,
    /// How many errors it has; 0 where it could not be taken over for another reason.
    pub problems: usize,
    /// The first of them, or that reason.
    pub first: String,
    /// Since when the one in force is.
    pub in_force_since: UnixMs,
}

/// So much of a problem is kept, in characters.
const MOST: usize = 500;

impl Default for Health {
    fn default() -> Self {
        Self {
            ready: AtomicBool::new(false),
            beat_ms: AtomicU64::new(0),
            since: monotonic(),
            evidence: Mutex::default(),
            config: Mutex::default(),
        }
    }
}

impl Health {
    /// One that is ready, and whose scheduler has not moved for a minute.
    #[cfg(test)]
    pub(crate) fn stalled() -> Self {
        let since = monotonic().checked_sub(Duration::from_secs(60)).unwrap_or_else(monotonic);
        Self { ready: AtomicBool::new(true), since, ..Self::default() }
    }

    /// Says whether everything is restored and running; until then `/metrics` and `/-/ready` answer 503.
    pub fn set_ready(&self, ready: bool) {
        // The scheduler's silence counts from here.
        self.beat();
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether everything is restored and running.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Says what the last check of the evidence log found; `None`: it is whole.
    pub fn set_evidence(&self, damage: Option<String>) {
        *self.evidence.lock().unwrap_or_else(PoisonError::into_inner) = damage;
    }

    /// What is wrong with the evidence log, in words. No gate says go on a log that is damaged.
    pub fn evidence_damage(&self) -> Option<String> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A configuration came into force.
    pub fn config_accepted(&self, at: UnixMs) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = (at, None);
    }

    /// A configuration was refused, by so many errors.
    pub fn config_refused(&self, at: UnixMs, problems: usize, first: &str) {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.1 = Some(Refused { at, problems, first: first.chars().take(MOST).collect(), in_force_since: config.0 });
    }

    /// What was refused after the configuration in force was read.
    pub fn refused_config(&self) -> Option<Refused> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// The scheduler is alive. It says so at least every second, also when it has nothing to do.
    pub fn beat(&self) {
        self.beat_ms.store(self.elapsed_ms(monotonic()), Ordering::Release);
    }

    /// `Err` with the reason when the scheduler has stalled. Judged only while ready: reading a large store at the start, and draining at the
    /// end, may take longer, and nobody should kill the daemon for it.
    pub fn healthy(&self) -> Result<(), String> {
        self.healthy_at(monotonic())
    }

    fn healthy_at(&self, now: Instant) -> Result<(), String> {
        let silent = Duration::from_millis(self.elapsed_ms(now).saturating_sub(self.beat_ms.load(Ordering::Acquire)));
        if self.is_ready() && silent > STALLED_AFTER {
            Err(format!("the scheduler has not moved for {} s", silent.as_secs()))
        } else {
            Ok(())
        }
    }

    fn elapsed_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_scheduler_is_not_healthy_and_a_beat_heals_it() {
        let h = Health::default();
        h.beat_ms.store(0, Ordering::Release);
        let late = h.since + STALLED_AFTER + Duration::from_secs(1);
        assert_eq!(h.healthy_at(late), Ok(()), "still starting");
        h.ready.store(true, Ordering::Release);
        assert_eq!(h.healthy_at(h.since + STALLED_AFTER), Ok(()));
        assert_eq!(h.healthy_at(late), Err("the scheduler has not moved for 11 s".into()));
        h.beat_ms.store(5_000, Ordering::Release);
        assert_eq!(h.healthy_at(late), Ok(()));
    }

    #[test]
    fn a_refusal_is_known_until_a_configuration_is_accepted() {
        let h = Health::default();
        h.config_accepted(UnixMs(1));
        assert_eq!(h.refused_config(), None);
        h.config_refused(UnixMs(2), 3, &"x".repeat(MOST + 1));
        let seen = h.refused_config().unwrap();
        assert_eq!((seen.at, seen.problems, seen.first.len(), seen.in_force_since), (UnixMs(2), 3, MOST, UnixMs(1)));
        h.config_accepted(UnixMs(4));
        assert_eq!(h.refused_config(), None);
    }

    #[test]
    fn ready_only_once_said() {
        let h = Health::default();
        assert!(!h.is_ready());
        h.set_ready(true);
        assert!(h.is_ready());
        h.beat();
        assert_eq!(h.healthy(), Ok(()));
    }
}
