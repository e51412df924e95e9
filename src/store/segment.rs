//! Segments: the runs of one check, from one place, in one UTC hour, as one blob: version, checksum, packed runs (packing.rs).

use std::collections::BTreeMap;

use super::bits::Damage;
use super::packing::{Packer, unpack};
use super::{Run, run};
use crate::board::Counts;

/// First byte of a segment.
const VERSION: u8 = 1;
const HEAD: usize = 5;

/// Which segment: part of its checksum, so that a blob in the wrong row is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) key: u64,
    pub(super) vantage: u16,
    pub(super) hour: i64,
}

fn checksum(place: Place, packed: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(packed);
    crc.update(&place.key.to_le_bytes());
    crc.update(&place.vantage.to_le_bytes());
    crc.update(&place.hour.to_le_bytes());
    crc.sum().to_le_bytes()
}

/// The blob of packed runs.
pub(super) fn blob(place: Place, packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + packed.len());
    out.push(VERSION);
    out.extend_from_slice(&checksum(place, packed));
    out.extend_from_slice(packed);
    out
}

/// Appends a segment's runs to `out`. If it is damaged, `out` is as before.
pub(super) fn read(place: Place, blob: &[u8], out: &mut Vec<Run>) -> Result<(), Damage> {
    let (head, packed) = blob.split_at_checked(HEAD).ok_or(Damage("it is too short"))?;
    if head[0] != VERSION {
        return Err(Damage("it was written by another version"));
    }
    if head[1..] != checksum(place, packed) {
        return Err(Damage("its checksum does not match"));
    }
    let before = out.len();
    unpack(place.hour, packed, out).inspect_err(|_| out.truncate(before))
}

/// Packs runs of one hour, sorted by slot.
pub(super) fn pack(hour: i64, runs: &mut [Run]) -> Packer {
    runs.sort_by_key(|r| r.slot);
    let mut packer = Packer::new(hour);
    runs.iter().for_each(|r| packer.push(r));
    packer
}

/// Sorts runs into hours; spans are cut where an hour ends.
pub(super) fn by_hour(runs: impl IntoIterator<Item = Run>) -> BTreeMap<i64, Vec<Run>> {
    let mut hours: BTreeMap<i64, Vec<Run>> = BTreeMap::new();
    for r in runs {
        for piece in run::pieces(r) {
            hours.entry(piece.slot.hour()).or_default().push(piece);
        }
    }
    hours
}

/// The sums of an hour: kept longer than its runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HourSum {
    pub(super) counts: Counts,
    pub(super) first_attempt_failures: u64,
    /// Of counted runs, in milliseconds.
    pub(super) duration_ms: u64,
}

impl HourSum {
    pub(super) fn of(runs: &[Run]) -> Self {
        let mut sum = Self::default();
        let mut seconds = 0.0;
        for r in runs {
            sum.counts.add(r.outcome, u64::from(r.count));
            if r.outcome.counted() {
                sum.first_attempt_failures += u64::from(!r.first_attempt_passed);
                seconds += r.duration.seconds();
            }
        }
        sum.duration_ms = (seconds * 1000.0).round() as u64;
        sum
    }

    /// Whether there is anything to keep: slots that were not due count nowhere.
    pub(super) fn is_empty(&self) -> bool {
        self.counts == Counts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{HOUR_MS, UnixMs};
    use crate::outcome::{Attribution, Cause, Class, Outcome};
    use crate::record::DurationCode;
    use crate::seeds;
    use crate::store::fixtures::{any_run, passing};
    use proptest::prelude::*;

    const PLACE: Place = Place { key: 7, vantage: 0, hour: 490_000 };

    fn there_and_back(runs: &[Run]) -> Vec<Run> {
        let mut packer = Packer::new(PLACE.hour);
        runs.iter().for_each(|r| packer.push(r));
        let mut out = Vec::new();
        read(PLACE, &blob(PLACE, &packer.bytes()), &mut out).unwrap();
        out
    }

    proptest! {
        #[test]
        fn any_runs_in_any_order_come_back(runs in proptest::collection::vec(any_run(PLACE.hour), 0..150)) {
            prop_assert_eq!(there_and_back(&runs), runs);
        }

        #[test]
        fn a_schedule_with_hiccups_comes_back(
            interval in prop_oneof![Just(1_000u32), Just(30_000), Just(60_000)],
            steps in proptest::collection::vec((0u8..20, 100u16..110), 0..200),
        ) {
            let mut at = PLACE.hour * HOUR_MS + 12_345;
            let mut runs = Vec::new();
            for (luck, code) in steps {
                let mut run = passing(at, interval, code);
                match luck {
                    0 => (run.outcome, run.class, run.attribution) = (Outcome::Fail, Some(Class::Dns), Some(Attribution::Network)),
                    1 => (run.outcome, run.cause, run.count, run.attempts) = (Outcome::Skipped, Some(Cause::HostBusy), 5, 0),
                    2 => (run.attempts, run.first_attempt_passed) = (2, false),
                    3 => at += 17,
                    _ => {}
                }
                at += i64::from(interval) * i64::from(run.count);
                runs.push(run);
            }
            prop_assert_eq!(there_and_back(&runs), runs);
        }

    }

    /// Committed seeds.
    #[test]
    fn one_changed_byte_is_noticed() {
        let changed = (proptest::collection::vec(any_run(PLACE.hour), 1..50), any::<usize>(), 1u8..);
        seeds::tried(16, &changed, |(runs, at, with)| {
            let mut good = blob(PLACE, &pack(PLACE.hour, &mut runs.clone()).bytes());
            let at = at % good.len();
            let mut out = vec![runs[0]];
            let elsewhere = Place { hour: PLACE.hour + 1, ..PLACE };
            prop_assert!(read(elsewhere, &good, &mut out).is_err());
            good[at] ^= with;
            prop_assert!(read(PLACE, &good, &mut out).is_err());
            prop_assert_eq!(out.len(), 1);
            Ok(())
        });
    }

    #[test]
    fn rubbish_never_panics_and_stays_small() {
        seeds::tried(16, &proptest::collection::vec(any::<u8>(), 0..300), |bytes| {
            let mut out = Vec::new();
            let _ = unpack(PLACE.hour, &bytes, &mut out);
            prop_assert!(out.len() <= bytes.len() * 8);
            // With the right checksum, too: then the reader itself must hold.
            let mut out = Vec::new();
            let _ = read(PLACE, &blob(PLACE, &bytes), &mut out);
            prop_assert!(out.len() <= bytes.len() * 8);
            Ok(())
        });
    }

    #[test]
    fn a_claim_of_four_billion_runs_is_refused() {
        // One group: symbol 0 (pass, one attempt), interval 30 s, 2^32 runs; four bytes of times.
        let shape = [0b1010, 0b1001, 1, 0xb0, 0xea, 0x01, 0x80, 0x80, 0x80, 0x80, 0x10];
        let mut packed = vec![shape.len() as u8];
        packed.extend(shape);
        packed.extend([0, 0, 0, 0]);
        let mut out = Vec::new();
        assert_eq!(read(PLACE, &blob(PLACE, &packed), &mut out), Err(Damage("it ends too early")));
        assert!(out.capacity() < 100);
    }

    #[test]
    fn a_steady_hour_takes_half_a_byte_a_run() {
        let runs: Vec<Run> = (0..120)
            .map(|n| passing(PLACE.hour * HOUR_MS + 12_345 + n * 30_000, 30_000, 150 + [0, 1, 3, 2, 0, 4, 1][n as usize % 7]))
            .collect();
        let bytes = blob(PLACE, &pack(PLACE.hour, &mut runs.clone()).bytes()).len();
        println!("120 runs, durations within 5 steps: {bytes} bytes, {:.2} a run", bytes as f64 / 120.0);
        assert!(bytes <= 80, "{bytes}");
        assert_eq!(there_and_back(&runs), runs);
    }

    #[test]
    fn sums_count_every_slot_and_only_real_runs_take_time() {
        let mut down = passing(0, 30_000, 0);
        (down.outcome, down.cause, down.count, down.attempts) = (Outcome::Unknown, Some(Cause::Down), 14, 0);
        let mut retried = passing(0, 30_000, 189);
        (retried.attempts, retried.first_attempt_passed) = (2, false);
        let sum = HourSum::of(&[down, retried, passing(0, 30_000, 189)]);
        assert_eq!((sum.counts.unknown, sum.counts.pass, sum.first_attempt_failures), (14, 2, 1));
        let seconds = DurationCode(189).seconds() * 2.0;
        assert_eq!(sum.duration_ms, (seconds * 1000.0).round() as u64);
        assert_eq!(
            by_hour([Run { slot: UnixMs(HOUR_MS - 60_000), ..down }]).into_values().map(|r| r[0].count).collect::<Vec<_>>(),
            [2, 12]
        );
    }
}
