//! The packing of the runs of one hour: about half a byte a run (docs/store.md describes it byte by byte).
//!
//! Two streams. *Shape*: groups of runs that follow each other at the same distance with the same result; a healthy hour is one group of ten
//! bytes. *Times*: one duration a run, as the difference from what was expected, in as many bits as the check's own scatter asks for. A
//! [`Packer`] takes runs as they come and is also what holds an open hour in memory. No I/O, no checksums (segment.rs).

use super::Run;
use super::bits::{BitReader, BitWriter, Bytes, Damage, unzigzag, zigzag};
use super::codes;
use crate::clock::{HOUR_MS, UnixMs};
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::record::DurationCode;
use crate::varint;

/// All of a run but its time and duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Symbol {
    outcome: Outcome,
    class: Option<Class>,
    cause: Option<Cause>,
    attribution: Option<Attribution>,
    attempts: u8,
    first_attempt_passed: bool,
}

impl Symbol {
    fn of(run: &Run) -> Self {
        let Run { outcome, class, cause, attribution, attempts, first_attempt_passed, .. } = *run;
        Self { outcome, class, cause, attribution, attempts, first_attempt_passed }
    }

    /// Outcome, flags, attempts, then the words that are there.
    fn put(&self, out: &mut Vec<u8>) {
        let words = [
            codes::or_none(self.class, codes::of_class),
            codes::or_none(self.cause, codes::of_cause),
            codes::or_none(self.attribution, codes::of_attribution),
        ];
        let there = words.iter().enumerate().fold(0, |bits, (n, w)| bits | (u8::from(*w != 0) << (4 + n)));
        out.push(codes::of_outcome(self.outcome) | (u8::from(self.first_attempt_passed) << 3) | there);
        out.push(self.attempts);
        out.extend(words.iter().filter(|w| **w != 0));
    }

    fn get(bytes: &mut Bytes<'_>) -> Result<Self, Damage> {
        const UNKNOWN: Damage = Damage("it holds a word this version does not know");
        let head = bytes.byte()?;
        let attempts = bytes.byte()?;
        let mut word = |bit: u8| if head & bit != 0 { bytes.byte() } else { Ok(0) };
        let (class, cause, attribution) = (word(0x10)?, word(0x20)?, word(0x40)?);
        Ok(Self {
            outcome: codes::outcome(head & 7).ok_or(UNKNOWN)?,
            class: codes::maybe(class, codes::class).ok_or(UNKNOWN)?,
            cause: codes::maybe(cause, codes::cause).ok_or(UNKNOWN)?,
            attribution: codes::maybe(attribution, codes::attribution).ok_or(UNKNOWN)?,
            attempts,
            first_attempt_passed: head & 8 != 0,
        })
    }
}

/// What the next duration of a symbol is expected to be. Writer and reader learn the same from the same values.
#[derive(Clone, Copy, Debug, Default)]
struct Guess {
    /// Sixteen times the mean.
    mean: i32,
    /// Sixteen times the mean of the zigzagged differences; negative: nothing seen yet.
    spread: i32,
}

/// Differences whose upper part would take this many ones are written whole instead.
const ESCAPE: u32 = 14;

impl Guess {
    const NEW: Self = Self { mean: 0, spread: -1 };

    /// How many low bits of a difference are written as they are.
    fn low_bits(self) -> u8 {
        // The mean's binary digits but one: what costs least for differences scattered like noise (measured).
        ((self.spread as u32 >> 4) | 1).ilog2() as u8
    }

    fn learn(&mut self, seen: u16) {
        if self.spread < 0 {
            *self = Self { mean: i32::from(seen) * 16, spread: 32 };
        } else {
            self.learn_far(seen, zigzag(i64::from(seen) - i64::from(self.expected())) as u32);
        }
    }

    /// The same where the zigzagged difference is known.
    fn learn_far(&mut self, seen: u16, far: u32) {
        self.spread += (far.min(255) as i32 * 16 - self.spread + 4) >> 3;
        self.mean += (i32::from(seen) * 16 - self.mean + 4) >> 3;
    }

    fn expected(self) -> u16 {
        ((self.mean + 8) / 16) as u16
    }

    fn put(&mut self, out: &mut BitWriter, seen: u16) {
        if self.spread < 0 {
            out.put(u32::from(seen), 16);
        } else {
            let low = self.low_bits();
            let far = zigzag(i64::from(seen) - i64::from(self.expected())) as u32;
            let high = far >> low;
            if high < ESCAPE {
                out.put(((1 << high) - 1) << 1, high as u8 + 1);
                out.put(far, low);
            } else {
                out.put((1 << ESCAPE) - 1, ESCAPE as u8);
                out.put(u32::from(seen), 16);
            }
        }
        self.learn(seen);
    }

    fn get(&mut self, bits: &mut BitReader<'_>) -> Result<u16, Damage> {
        let far = if self.spread < 0 { None } else { bits.rice(ESCAPE, self.low_bits())? };
        let Some(far) = far else {
            let seen = bits.get(16)? as u16;
            self.learn(seen);
            return Ok(seen);
        };
        let seen = i64::from(self.expected()) + unzigzag(u64::from(far));
        let seen = u16::try_from(seen).map_err(|_| Damage("a duration is out of range"))?;
        self.learn_far(seen, far);
        Ok(seen)
    }
}

/// Runs that follow each other at the same distance with the same result.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Milliseconds between where the first run was expected and where it is.
    jump: i64,
    interval_ms: u32,
    interval_changed: bool,
    /// Slots per run; 1 but for spans.
    count: u32,
    symbol: usize,
    symbol_is_new: bool,
    runs: u64,
}

const JUMP: u8 = 1;
const INTERVAL: u8 = 2;
const COUNT: u8 = 4;
const SEVERAL: u8 = 8;
/// Symbol numbers from here on follow as a varint.
const FAR_SYMBOL: usize = 15;

/// The runs of one hour, packed as they come.
#[derive(Clone, Debug)]
pub(super) struct Packer {
    hour: i64,
    shape: Vec<u8>,
    times: BitWriter,
    symbols: Vec<(Symbol, Guess)>,
    /// Not yet in `shape`.
    group: Option<Group>,
    /// Where the next run is expected, in milliseconds from the hour's start.
    next: i64,
}

/// How far the slots of a run reach.
fn reach(run: &Run) -> i64 {
    i64::from(run.interval_ms).saturating_mul(i64::from(run.count))
}

impl Packer {
    pub(super) fn new(hour: i64) -> Self {
        Self { hour, shape: Vec::new(), times: BitWriter::default(), symbols: Vec::new(), group: None, next: 0 }
    }

    /// The UTC hour.
    pub(super) fn hour(&self) -> i64 {
        self.hour
    }

    pub(super) fn push(&mut self, run: &Run) {
        let symbol = Symbol::of(run);
        let known = self.symbols.iter().position(|(s, _)| *s == symbol);
        let number = known.unwrap_or(self.symbols.len());
        if known.is_none() {
            self.symbols.push((symbol, Guess::NEW));
        }
        let at = run.slot.0.saturating_sub(self.hour.saturating_mul(HOUR_MS));
        let jump = at.saturating_sub(self.next);
        match &mut self.group {
            Some(g) if jump == 0 && g.symbol == number && g.interval_ms == run.interval_ms && g.count == run.count => g.runs += 1,
            open => {
                let before = open.map_or(0, |g| g.interval_ms);
                let fresh = Group {
                    jump,
                    interval_ms: run.interval_ms,
                    interval_changed: before != run.interval_ms,
                    count: run.count,
                    symbol: number,
                    symbol_is_new: known.is_none(),
                    runs: 1,
                };
                if let Some(done) = open.replace(fresh) {
                    put_group(&mut self.shape, &done, &self.symbols);
                }
            }
        }
        self.next = at.saturating_add(reach(run));
        if let Some((_, guess)) = self.symbols.get_mut(number) {
            guess.put(&mut self.times, run.duration.0);
        }
    }

    /// The packed runs so far: length of the shape, shape, times.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut shape = self.shape.clone();
        if let Some(g) = &self.group {
            put_group(&mut shape, g, &self.symbols);
        }
        let mut out = Vec::with_capacity(shape.len() + self.times.bytes.len() + 3);
        varint::put(&mut out, shape.len() as u64);
        out.extend_from_slice(&shape);
        out.extend_from_slice(&self.times.bytes);
        out
    }
}

fn put_group(out: &mut Vec<u8>, g: &Group, symbols: &[(Symbol, Guess)]) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let symbol = g.symbol.min(FAR_SYMBOL);
    let flags = flag(g.jump != 0, JUMP) | flag(g.interval_changed, INTERVAL) | flag(g.count != 1, COUNT) | flag(g.runs != 1, SEVERAL);
    out.push(flags | (symbol as u8) << 4);
    if symbol == FAR_SYMBOL {
        varint::put(out, g.symbol as u64);
    }
    if let Some((new, _)) = symbols.get(g.symbol).filter(|_| g.symbol_is_new) {
        new.put(out);
    }
    if g.jump != 0 {
        varint::put(out, zigzag(g.jump));
    }
    if g.interval_changed {
        varint::put(out, u64::from(g.interval_ms));
    }
    if g.count != 1 {
        varint::put(out, u64::from(g.count));
    }
    if g.runs != 1 {
        varint::put(out, g.runs);
    }
}

/// Appends the runs of a packed hour to `out`, in the order they were pushed.
pub(super) fn unpack(hour: i64, packed: &[u8], out: &mut Vec<Run>) -> Result<(), Damage> {
    const RANGE: Damage = Damage("a slot is out of range");
    let mut rest = Bytes(packed);
    let length = usize::try_from(rest.varint()?).map_err(|_| RANGE)?;
    let mut shape = Bytes(rest.take(length)?);
    let mut times = BitReader::new(rest.0);
    let mut symbols: Vec<(Symbol, Guess)> = Vec::new();
    let mut at = hour.checked_mul(HOUR_MS).ok_or(RANGE)?;
    let mut interval_ms = 0;
    while !shape.0.is_empty() {
        let head = shape.byte()?;
        let mut number = usize::from(head >> 4);
        if number == FAR_SYMBOL {
            number = shape.varint_u32()? as usize;
        }
        if number == symbols.len() {
            symbols.push((Symbol::get(&mut shape)?, Guess::NEW));
        }
        let (symbol, guess) = symbols.get_mut(number).ok_or(Damage("a result is used before it is described"))?;
        if head & JUMP != 0 {
            at = at.checked_add(unzigzag(shape.varint()?)).ok_or(RANGE)?;
        }
        if head & INTERVAL != 0 {
            interval_ms = shape.varint_u32()?;
        }
        let count = if head & COUNT != 0 { shape.varint_u32()? } else { 1 };
        let runs = if head & SEVERAL != 0 { shape.varint()? } else { 1 };
        // Each run takes a bit at least, so a false number ends with the bits, after as many runs as the blob could hold.
        out.reserve(usize::try_from(runs).unwrap_or(usize::MAX).min(8 * times.untouched()));
        for _ in 0..runs {
            let duration = DurationCode(guess.get(&mut times)?);
            let Symbol { outcome, class, cause, attribution, attempts, first_attempt_passed } = *symbol;
            let run =
                Run { slot: UnixMs(at), interval_ms, count, outcome, class, cause, attribution, duration, attempts, first_attempt_passed };
            at = at.checked_add(reach(&run)).ok_or(RANGE)?;
            out.push(run);
        }
    }
    if times.untouched() == 0 { Ok(()) } else { Err(Damage("there is more than it says")) }
}
