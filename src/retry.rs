//! The pauses between the attempts of one run: exponential with jitter. The only module that knows the `backoff` crate (unmaintained upstream,
//! see docs/decisions), so that replacing it is one file.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// The pauses of one run, each about twice as long as the one before.
pub struct Pauses(ExponentialBackoff);

impl std::fmt::Debug for Pauses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pauses").field("current", &self.0.current_interval).finish()
    }
}

impl Pauses {
    /// Starts at a twentieth of the run's deadline (50 ms to 1 s), half of it jitter.
    pub fn within(deadline: Duration) -> Self {
        let first = (deadline / 20).clamp(Duration::from_millis(50), Duration::from_secs(1));
        Self(ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: Duration::from_secs(10),
            // The run's own deadline ends the attempts.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(Duration::from_secs(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_jitter() {
        let mut p = Pauses::within(Duration::from_secs(10));
        for expected_ms in [500.0, 1000.0, 2000.0] {
            let ms = p.pause().as_secs_f64() * 1000.0;
            assert!((expected_ms * 0.5..=expected_ms * 1.5).contains(&ms), "{ms}");
        }
    }
}
