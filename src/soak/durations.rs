//! How long passing runs took: a sparse histogram on the 5 % scale of [`DurationCode`], and percentiles of it.

use crate::record::DurationCode;

/// A shown duration is off by at most this share: half a step of the scale.
pub const ERROR: f64 = 0.025;

/// Entries of room made at once: little is wasted on a check.
const ROOM: usize = 8;

/// Runs by duration code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// (code, runs), ascending by code. A code whose number is full has a further entry.
    entries: Vec<(u16, u16)>,
}

impl Durations {
    /// Adds runs.
    pub fn add(&mut self, code: DurationCode, mut n: u32) {
        let mut at = self.entries.partition_point(|(c, _)| *c < code.0);
        while n > 0 {
            match self.entries.get_mut(at) {
                Some((c, runs)) if *c == code.0 => {
                    let fits = n.min(u32::from(u16::MAX - *runs));
                    *runs += u16::try_from(fits).unwrap_or(0);
                    n -= fits;
                    at += 1;
                }
                _ => {
                    if self.entries.len() == self.entries.capacity() {
                        self.entries.reserve_exact(ROOM);
                    }
                    self.entries.insert(at, (code.0, 0));
                }
            }
        }
    }

    /// Runs in all.
    pub fn total(&self) -> u64 {
        self.entries.iter().map(|(_, n)| u64::from(*n)).sum()
    }

    /// Runs that took longer than so many seconds, as their durations are shown.
    pub fn above(&self, seconds: f64) -> u64 {
        self.entries.iter().rev().take_while(|(c, _)| DurationCode(*c).seconds() > seconds).map(|(_, n)| u64::from(*n)).sum()
    }

    /// The smallest code that at least `percent` % of the runs do not exceed (the nearest rank); `None` without runs.
    pub fn percentile(&self, percent: u64) -> Option<DurationCode> {
        self.percentile_of(self.total(), percent)
    }

    /// The same where the number of runs is known. From the top, because few are there.
    pub(super) fn percentile_of(&self, total: u64, percent: u64) -> Option<DurationCode> {
        let may_exceed = total - (total * percent.min(100)).div_ceil(100).max(1).min(total);
        let mut above = 0;
        let mut entries = self.entries.iter().rev().peekable();
        while let Some((code, n)) = entries.next() {
            above += u64::from(*n);
            if above > may_exceed || entries.peek().is_none() {
                return Some(DurationCode(*code));
            }
        }
        None
    }

    /// Bytes beside its own size.
    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u16, u16)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_list(mut codes in proptest::collection::vec(0u16..=400, 0..300), percent in 1u64..=100, limit in 0u16..=400) {
            let mut d = Durations::default();
            codes.iter().for_each(|c| d.add(DurationCode(*c), 1));
            codes.sort_unstable();
            let rank = (codes.len() * percent as usize).div_ceil(100);
            prop_assert_eq!(d.percentile(percent).map(|c| c.0), rank.checked_sub(1).map(|i| codes[i]));
            prop_assert_eq!(d.total(), codes.len() as u64);
            prop_assert_eq!(d.above(DurationCode(limit).seconds()), codes.iter().filter(|c| **c > limit).count() as u64);
        }
    }

    #[test]
    fn a_full_entry_goes_on_in_another() {
        let mut d = Durations::default();
        d.add(DurationCode(7), 65_000);
        d.add(DurationCode(9), 1);
        d.add(DurationCode(7), 70_000);
        assert_eq!((d.total(), d.above(DurationCode(7).seconds()), d.entries.len()), (135_001, 1, 4));
        assert_eq!(d.percentile(99), Some(DurationCode(7)));
        assert_eq!(d.percentile(100), Some(DurationCode(9)));
    }
}
