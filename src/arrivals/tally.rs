//! What is counted of messages, and exported as counters. It outlives its check: an integration's sums never fall because a check was removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::DELAY_BUCKETS;

/// Counts of messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Messages, refused ones included.
    pub received: u64,
    /// Refused messages by reason.
    pub refused: BTreeMap<String, u64>,
    /// Messages by delay (not cumulative; the last one is +Inf).
    pub delays: [u64; DELAY_BUCKETS.len() + 1],
    /// Sum of the delays, in seconds.
    pub delay_sum: f64,
}

impl Tally {
    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        other.refused.iter().for_each(|(reason, n)| *self.refused.entry(reason.clone()).or_default() += n);
        self.delays.iter_mut().zip(other.delays).for_each(|(sum, n)| *sum += n);
        self.delay_sum += other.delay_sum;
    }

    /// Counts a delay, in seconds.
    pub(super) fn delayed(&mut self, delay: f64) {
        let place = DELAY_BUCKETS.iter().position(|le| delay <= *le).unwrap_or(DELAY_BUCKETS.len());
        if let Some(n) = self.delays.get_mut(place) {
            *n += 1;
        }
        self.delay_sum += delay;
    }
}
