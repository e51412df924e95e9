//! The journal's rows: what one commit kept, packed, with everything a restart needs (docs/store.md).
//!
//! Owns the form of a row and its checksum; which rows are still needed is decided by the open hours (open.rs).

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};

use super::bits::Damage;
use super::{Run, codes};
use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::record::{DurationCode, Facts, Record};

/// First byte of a row's batch.
const VERSION: u8 = 1;
/// Version and checksum.
const HEAD: usize = 5;

/// A packed commit.
#[derive(Debug)]
pub(super) struct Batch {
    /// The top two bytes of each record's key, so that a reader of one check passes over the rows without it.
    pub(super) marks: Vec<u8>,
    /// Version, checksum, records.
    pub(super) bytes: Vec<u8>,
}

/// One record as it stands in a batch. Field order is the format.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(with = "postcard::fixint::le")]
    pub(super) key: u64,
    /// Milliseconds after the batch's first slot.
    slot: i64,
    interval_ms: u32,
    outcome: u8,
    class: u8,
    cause: u8,
    attribution: u8,
    duration: u16,
    attempts: u8,
    first_attempt_passed: bool,
    #[serde(borrow)]
    codes: Cow<'a, [u16]>,
    /// Bit n: phase n was reached.
    phases_reached: u8,
    phases: [u16; 5],
    #[serde(borrow)]
    more: Option<More<'a>>,
}

/// What most records do not have.
#[derive(Debug, Serialize, Deserialize)]
struct More<'a> {
    vantage: u16,
    count: u32,
    retries: Cow<'a, [u8]>,
    certificate_expiry: Option<i64>,
    values: Cow<'a, [(String, f64)]>,
    egress_rule: Option<&'a str>,
    detail: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(key: u64, r: &'a Record, base: i64) -> Self {
        let f = &r.facts;
        let plain = r.vantage == 0
            && r.count == 1
            && f.retries.is_empty()
            && f.certificate_expiry.is_none()
            && f.values.is_empty()
            && f.egress_rule.is_none()
            && r.detail.is_none();
        Self {
            key,
            slot: r.slot.0.wrapping_sub(base),
            interval_ms: r.interval_ms,
            outcome: codes::of_outcome(r.outcome),
            class: codes::or_none(r.class, codes::of_class),
            cause: codes::or_none(r.cause, codes::of_cause),
            attribution: codes::or_none(r.attribution, codes::of_attribution),
            duration: r.duration.0,
            attempts: r.attempts,
            first_attempt_passed: r.first_attempt_passed,
            codes: Cow::Borrowed(&f.codes),
            phases_reached: f.phases.iter().enumerate().fold(0, |bits, (n, p)| bits | (u8::from(p.is_some()) << n)),
            phases: f.phases.map(|p| p.map_or(0, |d| d.0)),
            more: (!plain).then(|| More {
                vantage: r.vantage,
                count: r.count,
                retries: f.retries.iter().map(|c| codes::of_class(*c)).collect(),
                certificate_expiry: f.certificate_expiry.map(|t| t.0),
                values: Cow::Borrowed(&f.values),
                egress_rule: f.egress_rule.as_deref(),
                detail: r.detail.as_deref(),
            }),
        }
    }

    /// Which place probed.
    pub(super) fn vantage(&self) -> u16 {
        self.more.as_ref().map_or(0, |m| m.vantage)
    }

    /// The detail, if there is one.
    pub(super) fn detail(&self) -> Option<&'a str> {
        self.more.as_ref().and_then(|m| m.detail)
    }

    /// The part that segments keep.
    pub(super) fn run(&self, base: i64) -> Result<Run, Damage> {
        const UNKNOWN: Damage = Damage("it holds a word this version does not know");
        Ok(Run {
            slot: UnixMs(base.wrapping_add(self.slot)),
            interval_ms: self.interval_ms,
            count: self.more.as_ref().map_or(1, |m| m.count.max(1)),
            outcome: codes::outcome(self.outcome).ok_or(UNKNOWN)?,
            class: codes::maybe(self.class, codes::class).ok_or(UNKNOWN)?,
            cause: codes::maybe(self.cause, codes::cause).ok_or(UNKNOWN)?,
            attribution: codes::maybe(self.attribution, codes::attribution).ok_or(UNKNOWN)?,
            duration: DurationCode(self.duration),
            attempts: self.attempts,
            first_attempt_passed: self.first_attempt_passed,
        })
    }

    /// All of it.
    pub(super) fn record(&self, base: i64, check: &CheckId) -> Result<Record, Damage> {
        let mut record = self.run(base)?.record(check, self.vantage());
        let mut phases = [None; 5];
        for (n, (phase, code)) in phases.iter_mut().zip(self.phases).enumerate() {
            *phase = (self.phases_reached >> n & 1 == 1).then_some(DurationCode(code));
        }
        record.facts = Facts { codes: self.codes.to_vec(), phases, ..Facts::default() };
        if let Some(m) = &self.more {
            record.facts.retries = m.retries.iter().filter_map(|c| codes::class(*c)).collect();
            record.facts.certificate_expiry = m.certificate_expiry.map(UnixMs);
            record.facts.values = m.values.to_vec();
            record.facts.egress_rule = m.egress_rule.map(str::to_owned);
            record.detail = m.detail.map(str::to_owned);
        }
        Ok(record)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    base: i64,
    lines: Lines<'a>,
}

struct Lines<'a> {
    base: i64,
    records: &'a [(u64, &'a Record)],
}

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.records.iter().map(|(key, r)| Line::of(*key, r, self.base)))
    }
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(body);
    crc.sum().to_le_bytes()
}

/// Packs the records of a commit, each with its check's key.
pub(super) fn pack(records: &[(u64, &Record)]) -> Result<Batch, Damage> {
    let base = records.first().map_or(0, |(_, r)| r.slot.0);
    let mut head = Vec::with_capacity(HEAD + 48 * records.len());
    head.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    let mut bytes =
        postcard::to_extend(&Body { base, lines: Lines { base, records } }, head).map_err(|_| Damage("a record could not be packed"))?;
    if let Some((head, body)) = bytes.split_at_mut_checked(HEAD) {
        head[1..].copy_from_slice(&checksum(body));
    }
    Ok(Batch { marks: records.iter().flat_map(|(key, _)| mark(*key)).collect(), bytes })
}

/// A key's mark.
pub(super) fn mark(key: u64) -> [u8; 2] {
    let [a, b, ..] = key.to_be_bytes();
    [a, b]
}

/// Whether a row with these marks may hold records of this key.
pub(super) fn may_hold(marks: &[u8], key: u64) -> bool {
    marks.chunks_exact(2).any(|m| m == mark(key))
}

/// Hands out a batch's records, in order, with the slot that theirs count from. Nothing is handed out unless the checksum holds.
pub(super) fn unpack(bytes: &[u8], each: &mut dyn FnMut(i64, &Line<'_>) -> Result<(), Damage>) -> Result<(), Damage> {
    const UNREADABLE: Damage = Damage("a record in it can't be read");
    let (head, body) = bytes.split_at_checked(HEAD).ok_or(Damage("it is too short"))?;
    if head[0] != VERSION {
        return Err(Damage("it was written by another version"));
    }
    if head[1..] != checksum(body) {
        return Err(Damage("its checksum does not match"));
    }
    let (base, rest) = postcard::take_from_bytes::<i64>(body).map_err(|_| UNREADABLE)?;
    let (count, mut rest) = postcard::take_from_bytes::<u32>(rest).map_err(|_| UNREADABLE)?;
    for _ in 0..count {
        let (line, after) = postcard::take_from_bytes::<Line<'_>>(rest).map_err(|_| UNREADABLE)?;
        each(base, &line)?;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(Damage("there is more than it says")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::any_record;
    use proptest::prelude::*;

    fn back(bytes: &[u8]) -> Result<Vec<(u64, Record)>, Damage> {
        let check: CheckId = "a/b/c/d".parse().unwrap();
        let mut out = Vec::new();
        unpack(bytes, &mut |base, line| {
            out.push((line.key, line.record(base, &check)?));
            Ok(())
        })?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn records_come_back(records in proptest::collection::vec(any_record("a/b/c/d"), 0..40), flip in any::<(usize, u8)>()) {
            let keyed: Vec<_> = records.iter().enumerate().map(|(n, r)| ((n as u64) << 48 | 7, r)).collect();
            let batch = pack(&keyed).unwrap();
            let want: Vec<_> = keyed.iter().map(|(k, r)| (*k, (*r).clone())).collect();
            prop_assert_eq!(back(&batch.bytes).unwrap(), want);
            for (key, _) in &keyed {
                prop_assert!(may_hold(&batch.marks, *key));
            }
            prop_assert!(!may_hold(&batch.marks, u64::MAX));
            // One changed byte anywhere is noticed.
            let mut broken = batch.bytes.clone();
            let at = flip.0 % broken.len();
            broken[at] ^= flip.1.max(1);
            prop_assert!(back(&broken).is_err());
            prop_assert!(back(&batch.bytes[..batch.bytes.len() - 1]).is_err());
        }

        #[test]
        fn rubbish_is_refused(mut body in proptest::collection::vec(any::<u8>(), 0..200), sealed in any::<bool>()) {
            // With a right checksum, too: then the reader itself must hold.
            if sealed {
                let mut bytes = vec![VERSION];
                bytes.extend(checksum(&body));
                bytes.append(&mut body);
                body = bytes;
            }
            let _ = back(&body);
        }
    }

    #[test]
    fn a_claim_of_four_billion_records_is_refused() {
        let mut body = postcard::to_allocvec(&(0i64, u32::MAX)).unwrap();
        body.extend([0; 40]);
        let mut bytes = vec![VERSION];
        bytes.extend(checksum(&body));
        bytes.extend(body);
        assert!(back(&bytes).is_err());
    }
}
