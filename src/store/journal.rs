//! The journal's rows: what one commit kept, packed, with everything a restart needs (docs/store.md).
//!
//! Owns the form of a row and its checksum; which rows are still needed is decided by the open hours (open.rs).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::bits::{Bytes, Damage, unzigzag, zigzag};
use super::{Run, codes};
use crate::clock::UnixMs;
use crate::fields::CheckId;
use crate::finding::{DocumentFacts, Findings};
use crate::ratelimit::Reading;
use crate::record::{DurationCode, Facts, Record};
use crate::varint;

/// First byte of a row's batch.
const VERSION: u8 = 4;
/// The first version: it had no limits, and its checksum did not cover it.
const FIRST: u8 = 1;
/// The second version: it had no findings.
const SECOND: u8 = 2;
/// The third version: it did not say what answers were spoken in.
const THIRD: u8 = 3;
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

/// What many records of a batch have in common: written once, referred to by number. Field order is the format (postcard).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kind {
    vantage: u16,
    interval_ms: u32,
    outcome: u8,
    class: u8,
    cause: u8,
    attribution: u8,
    attempts: u8,
    first_attempt_passed: bool,
    codes: Vec<u16>,
    /// Stands in a list of its own, behind all kinds: so the kinds themselves are those of earlier versions.
    #[serde(skip)]
    spoken: u8,
}

impl Kind {
    fn of(r: &Record) -> Self {
        Self {
            vantage: r.vantage,
            interval_ms: r.interval_ms,
            outcome: codes::of_outcome(r.outcome),
            class: codes::or_none(r.class, codes::of_class),
            cause: codes::or_none(r.cause, codes::of_cause),
            attribution: codes::or_none(r.attribution, codes::of_attribution),
            attempts: r.attempts,
            first_attempt_passed: r.first_attempt_passed,
            codes: r.facts.codes.clone(),
            spoken: codes::or_none(r.facts.spoken, codes::of_spoken),
        }
    }

    /// Whether this is a record's kind; the same as comparing [`Kind::of`], without making it.
    fn is(&self, r: &Record) -> bool {
        self.outcome == codes::of_outcome(r.outcome)
            && self.interval_ms == r.interval_ms
            && self.codes == r.facts.codes
            && self.spoken == codes::or_none(r.facts.spoken, codes::of_spoken)
            && (self.vantage, self.attempts, self.first_attempt_passed) == (r.vantage, r.attempts, r.first_attempt_passed)
            && self.class == codes::or_none(r.class, codes::of_class)
            && self.cause == codes::or_none(r.cause, codes::of_cause)
            && self.attribution == codes::or_none(r.attribution, codes::of_attribution)
    }
}

/// What most records do not have. Field order is the format (postcard).
#[derive(Debug, Serialize, Deserialize)]
struct More<'a> {
    count: u32,
    retries: Cow<'a, [u8]>,
    values: Cow<'a, [(String, f64)]>,
    egress_rule: Option<&'a str>,
    detail: Option<&'a str>,
}

/// What was told and felt of rate limits. Field order is the format (postcard).
#[derive(Debug, Serialize, Deserialize)]
struct Pace<'a> {
    limits: Cow<'a, [Reading]>,
    retry_after: Option<(UnixMs, u64)>,
    throttle_wait: Option<DurationCode>,
}

/// What was found in a document. Field order is the format (postcard).
#[derive(Debug, Default, Serialize, Deserialize)]
struct Found<'a> {
    findings: Option<Cow<'a, Findings>>,
    document: Option<DocumentFacts>,
}

/// What few records have.
#[derive(Debug)]
struct Rare<'a> {
    pace: Pace<'a>,
    found: Found<'a>,
}

/// One record of a batch.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) key: u64,
    slot: i64,
    kind: &'a Kind,
    duration: u16,
    phases: [Option<DurationCode>; 5],
    certificate_expiry: Option<i64>,
    // Most have neither, and are moved about.
    more: Option<Box<More<'a>>>,
    rare: Option<Box<Rare<'a>>>,
}

const UNKNOWN: Damage = Damage("it holds a word this version does not know");

/// Flags of a line: the lowest five say which phases were reached.
const CERTIFICATE: u8 = 0x20;
const MORE: u8 = 0x40;
const RARE: u8 = 0x80;

fn put_line(out: &mut Vec<u8>, key: u64, r: &Record, kind: usize, before: i64) -> Result<(), Damage> {
    let f = &r.facts;
    let plain = r.count == 1 && f.retries.is_empty() && f.values.is_empty() && f.egress_rule.is_none() && r.detail.is_none();
    let paced = !f.limits.is_empty() || f.retry_after.is_some() || f.throttle_wait.is_some();
    let rare = paced || f.findings.is_some() || f.document.is_some();
    let reached = f.phases.iter().enumerate().fold(0, |bits, (n, p)| bits | (u8::from(p.is_some()) << n));
    out.extend_from_slice(&key.to_le_bytes());
    varint::put(out, zigzag(r.slot.0.wrapping_sub(before)));
    varint::put(out, kind as u64);
    let flags = [(f.certificate_expiry.is_some(), CERTIFICATE), (!plain, MORE), (rare, RARE)];
    out.push(flags.iter().filter(|(set, _)| *set).fold(reached, |bits, (_, flag)| bits | flag));
    varint::put(out, u64::from(r.duration.0));
    for phase in f.phases.iter().flatten() {
        varint::put(out, u64::from(phase.0));
    }
    if let Some(at) = f.certificate_expiry {
        varint::put(out, zigzag(at.0));
    }
    if !plain {
        let more = More {
            count: r.count,
            retries: f.retries.iter().map(|c| codes::of_class(*c)).collect(),
            values: Cow::Borrowed(&f.values),
            egress_rule: f.egress_rule.as_deref(),
            detail: r.detail.as_deref(),
        };
        *out = postcard::to_extend(&more, std::mem::take(out)).map_err(|_| Damage("a record could not be packed"))?;
    }
    if rare {
        let pace = Pace { limits: Cow::Borrowed(&f.limits), retry_after: f.retry_after, throttle_wait: f.throttle_wait };
        let found = Found { findings: f.findings.as_ref().map(Cow::Borrowed), document: f.document };
        *out = postcard::to_extend(&(pace, found), std::mem::take(out)).map_err(|_| Damage("a record could not be packed"))?;
    }
    Ok(())
}

impl<'a> Line<'a> {
    /// What follows the key.
    fn get(version: u8, key: u64, bytes: &mut Bytes<'a>, kinds: &'a [Kind], before: i64) -> Result<Self, Damage> {
        let duration = |bytes: &mut Bytes<'_>| u16::try_from(bytes.varint()?).map_err(|_| Damage("a duration is out of range"));
        let slot = before.wrapping_add(unzigzag(bytes.varint()?));
        let kind = kinds.get(bytes.varint_u32()? as usize).ok_or(Damage("a kind is used that it does not have"))?;
        let flags = bytes.byte()?;
        let total = duration(bytes)?;
        let mut phases = [None; 5];
        for (_, phase) in phases.iter_mut().enumerate().filter(|(n, _)| flags >> n & 1 == 1) {
            *phase = Some(DurationCode(duration(bytes)?));
        }
        let certificate_expiry = if flags & CERTIFICATE != 0 { Some(unzigzag(bytes.varint()?)) } else { None };
        let more = if flags & MORE != 0 { Some(Box::new(taken(bytes)?)) } else { None };
        let rare = if flags & RARE != 0 { Some(Box::new(Rare::get(version, bytes)?)) } else { None };
        Ok(Self { key, slot, kind, duration: total, phases, certificate_expiry, more, rare })
    }

    /// Passes over what follows the key; gives the slot, from which the next line's is counted.
    fn pass(version: u8, bytes: &mut Bytes<'_>, before: i64) -> Result<i64, Damage> {
        let slot = before.wrapping_add(unzigzag(bytes.varint()?));
        bytes.varint()?;
        let flags = bytes.byte()?;
        for _ in 0..1 + (flags & (CERTIFICATE | (CERTIFICATE - 1))).count_ones() {
            bytes.varint()?;
        }
        if flags & MORE != 0 {
            taken::<More<'_>>(bytes)?;
        }
        if flags & RARE != 0 {
            Rare::get(version, bytes)?;
        }
        Ok(slot)
    }

    /// Which place probed.
    pub(super) fn vantage(&self) -> u16 {
        self.kind.vantage
    }

    /// The detail, if there is one.
    pub(super) fn detail(&self) -> Option<&'a str> {
        self.more.as_ref().and_then(|m| m.detail)
    }

    /// The part that segments keep.
    pub(super) fn run(&self) -> Result<Run, Damage> {
        let k = self.kind;
        Ok(Run {
            slot: UnixMs(self.slot),
            interval_ms: k.interval_ms,
            count: self.more.as_ref().map_or(1, |m| m.count.max(1)),
            outcome: codes::outcome(k.outcome).ok_or(UNKNOWN)?,
            class: codes::maybe(k.class, codes::class).ok_or(UNKNOWN)?,
            cause: codes::maybe(k.cause, codes::cause).ok_or(UNKNOWN)?,
            attribution: codes::maybe(k.attribution, codes::attribution).ok_or(UNKNOWN)?,
            duration: DurationCode(self.duration),
            attempts: k.attempts,
            first_attempt_passed: k.first_attempt_passed,
        })
    }

    /// All of it.
    pub(super) fn record(&self, check: &CheckId) -> Result<Record, Damage> {
        let mut record = self.run()?.record(check, self.vantage());
        record.facts = Facts {
            codes: self.kind.codes.clone(),
            phases: self.phases,
            certificate_expiry: self.certificate_expiry.map(UnixMs),
            spoken: codes::maybe(self.kind.spoken, codes::spoken).ok_or(UNKNOWN)?,
            ..Facts::default()
        };
        if let Some(m) = &self.more {
            record.facts.retries = m.retries.iter().filter_map(|c| codes::class(*c)).collect();
            record.facts.values = m.values.to_vec();
            record.facts.egress_rule = m.egress_rule.map(str::to_owned);
            record.detail = m.detail.map(str::to_owned);
        }
        if let Some(r) = &self.rare {
            record.facts.limits = r.pace.limits.to_vec();
            (record.facts.retry_after, record.facts.throttle_wait) = (r.pace.retry_after, r.pace.throttle_wait);
            record.facts.findings = r.found.findings.as_deref().cloned();
            record.facts.document = r.found.document;
        }
        Ok(record)
    }
}

impl<'a> Rare<'a> {
    fn get(version: u8, bytes: &mut Bytes<'a>) -> Result<Self, Damage> {
        let pace = taken(bytes)?;
        let found = if version > SECOND { taken(bytes)? } else { Found::default() };
        Ok(Self { pace, found })
    }
}

fn taken<'a, T: Deserialize<'a>>(bytes: &mut Bytes<'a>) -> Result<T, Damage> {
    let (found, rest) = postcard::take_from_bytes(bytes.0).map_err(|_| Damage("a record in it can't be read"))?;
    bytes.0 = rest;
    Ok(found)
}

/// Of version and body. The first version covered its body alone.
fn checksum(version: u8, body: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    if version != FIRST {
        crc.update(&[version]);
    }
    crc.update(body);
    crc.sum().to_le_bytes()
}

/// Packs the records of a commit, each with its check's key.
pub(super) fn pack(records: &[(u64, &Record)]) -> Result<Batch, Damage> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut lines = Vec::with_capacity(32 * records.len());
    let mut before = 0;
    for (key, r) in records {
        let kind = kinds.iter().position(|k| k.is(r)).unwrap_or_else(|| {
            kinds.push(Kind::of(r));
            kinds.len() - 1
        });
        put_line(&mut lines, *key, r, kind, before)?;
        before = r.slot.0;
    }
    let mut bytes = vec![VERSION, 0, 0, 0, 0];
    let spoken: Vec<u8> = kinds.iter().map(|k| k.spoken).collect();
    bytes = postcard::to_extend(&(&kinds, spoken), bytes).map_err(|_| Damage("a record could not be packed"))?;
    bytes.append(&mut lines);
    if let Some((head, body)) = bytes.split_at_mut_checked(HEAD) {
        head[1..].copy_from_slice(&checksum(VERSION, body));
    }
    Ok(Batch { marks: records.iter().flat_map(|(key, _)| mark(*key)).collect(), bytes })
}

/// A key's mark.
fn mark(key: u64) -> [u8; 2] {
    let [a, b, ..] = key.to_be_bytes();
    [a, b]
}

/// The marks of some keys, a bit each.
#[derive(Debug)]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    /// Of these keys.
    pub(super) fn of(keys: impl IntoIterator<Item = u64>) -> Self {
        let mut marks = Self(vec![0; (1 << 16) / 64]);
        keys.into_iter().for_each(|key| marks.add(&mark(key)));
        marks
    }

    /// Adds those of a row.
    pub(super) fn add(&mut self, row: &[u8]) {
        for (word, bit) in places(row) {
            self.0.get_mut(word).into_iter().for_each(|b| *b |= bit);
        }
    }

    /// Adds all there are.
    pub(super) fn add_all(&mut self) {
        self.0.fill(u64::MAX);
    }

    /// Whether a row with these marks may hold records of one of the keys.
    pub(super) fn may_be_in(&self, row: &[u8]) -> bool {
        places(row).any(|(word, bit)| self.0.get(word).is_some_and(|b| b & bit != 0))
    }

    /// Whether this may be one of the keys.
    pub(super) fn may_hold(&self, key: u64) -> bool {
        self.may_be_in(&mark(key))
    }
}

/// Where the bits of a row's marks are.
fn places(row: &[u8]) -> impl Iterator<Item = (usize, u64)> {
    let (marks, _) = row.as_chunks::<2>();
    marks.iter().map(|m| u16::from_be_bytes(*m)).map(|n| (usize::from(n / 64), 1 << (n % 64)))
}

/// Takes a record of a batch.
type EachLine<'a> = dyn FnMut(&Line<'_>) -> Result<(), Damage> + 'a;

/// Hands out a batch's records, in order. Nothing is handed out unless the checksum holds.
pub(super) fn unpack(bytes: &[u8], each: &mut EachLine<'_>) -> Result<(), Damage> {
    unpack_of(None, bytes, each)
}

/// The same, but for records whose keys have none of these marks.
pub(super) fn unpack_of(wanted: Option<&Marks>, bytes: &[u8], each: &mut EachLine<'_>) -> Result<(), Damage> {
    const KINDS: Damage = Damage("its kinds can't be read");
    let (head, body) = bytes.split_at_checked(HEAD).ok_or(Damage("it is too short"))?;
    if !(FIRST..=VERSION).contains(&head[0]) {
        return Err(Damage("it was written by another version"));
    }
    if head[1..] != checksum(head[0], body) {
        return Err(Damage("its checksum does not match"));
    }
    let (mut kinds, mut rest) = postcard::take_from_bytes::<Vec<Kind>>(body).map_err(|_| KINDS)?;
    if head[0] > THIRD {
        let (spoken, behind) = postcard::take_from_bytes::<Vec<u8>>(rest).map_err(|_| KINDS)?;
        kinds.iter_mut().zip(spoken).for_each(|(kind, spoken)| kind.spoken = spoken);
        rest = behind;
    }
    let mut rest = Bytes(rest);
    let mut before = 0;
    while !rest.0.is_empty() {
        let key = rest.take(8)?.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if wanted.is_some_and(|w| !w.may_hold(key)) {
            before = Line::pass(head[0], &mut rest, before)?;
            continue;
        }
        let line = Line::get(head[0], key, &mut rest, &kinds, before)?;
        before = line.slot;
        each(&line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;
    use crate::store::fixtures::any_record;
    use proptest::prelude::*;

    fn back(bytes: &[u8]) -> Result<Vec<(u64, Record)>, Damage> {
        let check: CheckId = "a/b/c/d".parse().unwrap();
        let mut out = Vec::new();
        unpack(bytes, &mut |line| {
            out.push((line.key, line.record(&check)?));
            Ok(())
        })?;
        Ok(out)
    }

    /// Committed seeds.
    #[test]
    fn records_come_back() {
        let batches = (proptest::collection::vec(any_record("a/b/c/d"), 0..40), any::<(usize, u8)>());
        seeds::tried(16, &batches, |(records, flip)| {
            let keyed: Vec<_> = records.iter().enumerate().map(|(n, r)| ((n as u64) << 48 | 7, r)).collect();
            let batch = pack(&keyed).unwrap();
            let want: Vec<_> = keyed.iter().map(|(k, r)| (*k, (*r).clone())).collect();
            prop_assert_eq!(&back(&batch.bytes).unwrap(), &want);
            // Passing over the others changes nothing.
            let mut one = Vec::new();
            let wanted = Marks::of(keyed.first().map(|(k, _)| *k));
            unpack_of(Some(&wanted), &batch.bytes, &mut |line| {
                one.push((line.key, line.slot));
                Ok(())
            })
            .unwrap();
            let expected: Vec<_> = want.iter().filter(|(k, _)| wanted.may_hold(*k)).map(|(k, r)| (*k, r.slot.0)).collect();
            prop_assert_eq!(one, expected);
            for (key, _) in &keyed {
                prop_assert!(Marks::of([*key]).may_be_in(&batch.marks));
            }
            prop_assert!(!Marks::of([u64::MAX]).may_be_in(&batch.marks));
            // One changed byte anywhere is noticed.
            let mut broken = batch.bytes.clone();
            let at = flip.0 % broken.len();
            broken[at] ^= flip.1.max(1);
            prop_assert!(back(&broken).is_err());
            prop_assert!(back(&batch.bytes[..batch.bytes.len() - 1]).is_err());
            Ok(())
        });
    }

    #[test]
    fn rubbish_is_refused() {
        seeds::tried(16, &(proptest::collection::vec(any::<u8>(), 0..200), any::<bool>()), |(mut body, sealed)| {
            // With a right checksum, too: then the reader itself must hold.
            if sealed {
                let mut bytes = vec![VERSION];
                bytes.extend(checksum(VERSION, &body));
                bytes.append(&mut body);
                body = bytes;
            }
            let _ = back(&body);
            Ok(())
        });
    }

    #[test]
    fn versions_before_are_read_and_the_next_is_not() {
        // As an earlier version wrote it: without the list of what was spoken, which is that of one kind here.
        let written_by = |version: u8, record: &Record, less: usize| {
            let mut bytes = pack(&[(7, record)]).unwrap().bytes;
            let kinds = postcard::to_allocvec(&[Kind::of(record)]).unwrap().len() + 1;
            bytes.drain(HEAD + kinds..HEAD + kinds + 2);
            bytes.truncate(bytes.len() - less);
            bytes[0] = version;
            let sum = checksum(version, &bytes[HEAD..]);
            bytes[1..HEAD].copy_from_slice(&sum);
            bytes
        };
        let record = Record::not_run("a/b/c/d".parse().unwrap(), UnixMs(60_000), 60_000, 1, crate::outcome::Cause::Down);
        // A record that was told nothing of rate limits and found nothing was written the same way then.
        for version in [FIRST, SECOND, THIRD] {
            assert_eq!(back(&written_by(version, &record, 0)).unwrap(), [(7, record.clone())]);
        }
        // One with limits had nothing after them in the second version: the two bytes that say that nothing was found.
        let facts = Facts { retry_after: Some((UnixMs(1), 2)), ..Facts::default() };
        let told = Record { facts, ..record };
        assert_eq!(back(&written_by(THIRD, &told, 0)).unwrap(), [(7, told.clone())]);
        let mut bytes = written_by(SECOND, &told, 2);
        assert_eq!(back(&bytes).unwrap(), [(7, told)]);
        bytes[0] = VERSION + 1;
        assert!(back(&bytes).is_err());
    }

    #[test]
    fn a_claim_of_four_billion_kinds_is_refused() {
        let mut body = postcard::to_allocvec(&u32::MAX).unwrap();
        body.extend([0; 40]);
        let mut bytes = vec![VERSION];
        bytes.extend(checksum(VERSION, &body));
        bytes.extend(body);
        assert!(back(&bytes).is_err());
    }
}
