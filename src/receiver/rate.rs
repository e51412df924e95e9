//! How many messages a path may get: a token bucket for each, so that a flood on one takes nothing from the others. Bounded by the configured paths.

use std::collections::HashMap;
use std::time::Instant;

use crate::fields::Volume;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The buckets by path.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<String, Bucket>);

impl Rates {
    /// Takes a token of a path that is configured; false: there is none, so the message is refused. A bucket holds what comes in two seconds, at least one.
    pub(super) fn take(&mut self, path: &str, rate: Volume, now: Instant) -> bool {
        let per_s = rate.calls as f64 / rate.per_s.max(1) as f64;
        let most = (per_s * 2.0).max(1.0);
        if !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), Bucket { tokens: most, at: now });
        }
        let Some(bucket) = self.0.get_mut(path) else { return false };
        bucket.tokens = (bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * per_s).min(most);
        bucket.at = now;
        let taken = bucket.tokens >= 1.0;
        bucket.tokens -= f64::from(u8::from(taken));
        taken
    }

    /// Forgets paths that are configured no more.
    pub(super) fn keep(&mut self, known: impl Fn(&str) -> bool) {
        self.0.retain(|path, _| known(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;
    use std::time::Duration;

    #[test]
    fn a_flood_on_one_path_takes_nothing_from_another() {
        let (mut rates, rate, now) = (Rates::default(), Volume { calls: 5, per_s: 1 }, monotonic());
        let flood = (0..1000).filter(|_| rates.take("a", rate, now)).count();
        assert_eq!(flood, 10);
        assert!(rates.take("b", rate, now) && !rates.take("a", rate, now));
        let later = now + Duration::from_millis(400);
        assert_eq!((0..10).filter(|_| rates.take("a", rate, later)).count(), 2);
        rates.keep(|p| p == "b");
        assert_eq!(rates.0.len(), 1);
    }

    #[test]
    fn a_slow_rate_lets_one_through() {
        let (mut rates, rate, now) = (Rates::default(), Volume { calls: 1, per_s: 3600 }, monotonic());
        assert!(rates.take("a", rate, now) && !rates.take("a", rate, now + Duration::from_secs(3000)));
        assert!(rates.take("a", rate, now + Duration::from_secs(3700)));
    }
}
