//! The arithmetic of verdicts: shares compared in whole numbers, so that 99 % of 10,080 is exactly 100 failures, and the Wilson score interval.

use crate::fields::Ratio;
use crate::soak::policy::Confidence;

/// z of the 95 % interval.
const Z: f64 = 1.96;
/// Its square, in ten-thousandths: exact.
const Z2_E4: u64 = 38_416;

/// A share between 0 and 1 in billionths; what it is taken of are numbers of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

impl Share {
    const ONE: u64 = 1_000_000_000;

    /// The nearest billionth of a ratio; a number that is none is taken into 0 to 1.
    pub fn of(ratio: Ratio) -> Self {
        Self((ratio.0.clamp(0.0, 1.0) * 1e9 + 0.5) as u64)
    }

    /// This share of a number, rounded down.
    pub fn floor_of(self, n: u64) -> u64 {
        self.0 * bounded(n) / Self::ONE
    }

    /// This share of a number, rounded to the nearest, half up.
    pub fn round_of(self, n: u64) -> u64 {
        (self.0 * bounded(n) + Self::ONE / 2) / Self::ONE
    }

    /// What is left to 1.
    pub fn rest(self) -> Self {
        Self(Self::ONE - self.0)
    }

    /// Whether `part` of `whole` is at least this share.
    pub fn reached(self, part: u64, whole: u64) -> bool {
        bounded(part) * Self::ONE >= self.0 * bounded(whole)
    }

    /// Whether `part` of `whole` is at most this share.
    pub fn kept(self, part: u64, whole: u64) -> bool {
        bounded(part) * Self::ONE <= self.0 * bounded(whole)
    }

    /// How many runs, all of them passing, it takes until the lower end of the interval reaches this share: n / (n + z^2) >= share. 381 for 99 %;
    /// `None`: no number does.
    pub fn runs_needed(self) -> Option<u64> {
        let rest = (Self::ONE - self.0) * 10_000;
        (rest > 0).then(|| (self.0 * Z2_E4).div_ceil(rest).max(1))
    }
}

/// A number of slots, so that its product with a billion still fits. Three hundred years of slots each second do.
fn bounded(n: u64) -> u64 {
    n.min(10_000_000_000)
}

/// The lower end of the 95 % Wilson score interval of `pass` out of `n`; no runs: no interval.
pub fn wilson_lower(pass: u64, n: u64) -> Option<f64> {
    if n == 0 {
        return None;
    }
    let (n, z2) = (n as f64, Z * Z);
    let p = pass as f64 / n;
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).max(0.0).sqrt();
    Some(((p + z2 / (2.0 * n) - spread) / (1.0 + z2 / n)).clamp(0.0, 1.0))
}

/// Whether so many passing runs reach a target.
pub(super) fn reaches(target: Ratio, confidence: Confidence, pass: u64, n: u64) -> bool {
    let share = Share::of(target);
    match confidence {
        Confidence::Ratio => share.reached(pass, n),
        // All passing is where rounding would decide: there it is a matter of whole numbers.
        Confidence::Wilson95 if pass == n => share.runs_needed().is_some_and(|needed| n >= needed),
        Confidence::Wilson95 => wilson_lower(pass, n).is_some_and(|lower| lower >= target.0),
    }
}

/// How many of `n` runs may not pass. With `wilson95` and too few runs to show anything it is what the plain ratio allows: too few is no failure.
pub fn allowed(target: Ratio, confidence: Confidence, n: u64) -> u64 {
    let plain = Share::of(target).rest().floor_of(n);
    if confidence == Confidence::Ratio || !reaches(target, confidence, n, n) {
        return plain;
    }
    // The largest that still reaches it: below it all do, above it none.
    let (mut yes, mut no) = (0, plain + 1);
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if reaches(target, confidence, n.saturating_sub(middle), n) { yes = middle } else { no = middle }
    }
    yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TARGET: Ratio = Ratio(0.99);

    #[test]
    fn shares_are_exact_where_floats_are_not() {
        assert_eq!(Share::of(TARGET).rest().floor_of(10_080), 100);
        // As floats, (1 - 0.99) x 100 is 1.0000000000000009 and (1 - 0.9) x 10 is 0.9999999999999998.
        assert_eq!((Share::of(TARGET).rest().floor_of(100), Share::of(Ratio(0.9)).rest().floor_of(10)), (1, 1));
        assert!(Share::of(TARGET).reached(99, 100) && !Share::of(TARGET).reached(98, 100));
        assert!(Share::of(Ratio(0.01)).kept(1, 100) && !Share::of(Ratio(0.01)).kept(2, 100));
        assert_eq!((Share::of(Ratio(0.008)).round_of(10_080), Share::of(Ratio(0.5)).round_of(3)), (81, 2));
    }

    #[test]
    fn ninety_nine_percent_takes_381_runs() {
        assert_eq!(Share::of(TARGET).runs_needed(), Some(381));
        assert!(wilson_lower(380, 380).unwrap() < 0.99 && wilson_lower(381, 381).unwrap() >= 0.99);
        assert_eq!((Share::of(Ratio(0.999)).runs_needed(), Share::of(Ratio(1.0)).runs_needed()), (Some(3838), None));
        for ratio in [0.5, 0.9, 0.95, 0.99, 0.995, 0.999] {
            let n = Share::of(Ratio(ratio)).runs_needed().unwrap();
            assert!(wilson_lower(n, n).unwrap() >= ratio - 1e-15 && wilson_lower(n - 1, n - 1).unwrap() < ratio, "{ratio}: {n}");
        }
        // 0.5: n >= 3.8416.
        assert_eq!((Share::of(Ratio(0.5)).runs_needed(), Share::of(Ratio(0.0)).runs_needed()), (Some(4), Some(1)));
        assert_eq!(wilson_lower(0, 0), None);
        // A textbook value: 95 of 100.
        assert!((wilson_lower(95, 100).unwrap() - 0.888_248).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn allowed_is_the_most_that_reaches(target in 0.5f64..0.9999, n in 1u64..30_000, wilson: bool) {
            let (target, confidence) = (Ratio(target), if wilson { Confidence::Wilson95 } else { Confidence::Ratio });
            prop_assume!(reaches(target, confidence, n, n));
            let most = allowed(target, confidence, n);
            prop_assert!(reaches(target, confidence, n - most, n));
            prop_assert!(most == n || !reaches(target, confidence, n - most - 1, n));
        }
    }
}
