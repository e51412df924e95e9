//! Counts by span of wall time, packed: a week of hours would else be most of what is held of a check. Pure; knows neither hours nor minutes, only
//! numbers of spans.

use crate::record::Counts;
use crate::varint;

/// Counts of one span, in the order of the fields of [`Counts`].
type Span = (i32, [u32; 5]);

/// In an entry's first byte: the span does not follow at once on the one before it, and a number says how many lie between.
const GAP: u8 = 0x20;

/// Counts per span of wall time (an hour, five minutes), bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rolling {
    /// The newest span, which is still being counted: its number since the epoch, its counts.
    newest: Option<Span>,
    /// The numbers of the first and the last of those before it.
    oldest: i32,
    last: i32,
    /// Those before it, oldest first. Of each a byte that says which of its counts are not 0 (and [`GAP`]), then the numbers, as varints: two
    /// bytes for an hour in which all passed.
    packed: Vec<u8>,
}

impl Rolling {
    /// Adds to a span; the oldest ones go, so that `keep` of them are there at most.
    pub(super) fn add(&mut self, span: i64, counts: &Counts, keep: i32) {
        // Years of which nothing is kept.
        let Ok(span) = i32::try_from(span) else { return };
        let n = [counts.pass, counts.fail, counts.throttled, counts.skipped, counts.unknown].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        match &mut self.newest {
            Some((newest, sum)) if *newest == span => sum.iter_mut().zip(n).for_each(|(a, b)| *a = a.saturating_add(b)),
            Some((newest, _)) if *newest > span => self.add_before(span, n),
            _ => {
                if let Some(closed) = self.newest.replace((span, n)) {
                    self.push(closed);
                }
            }
        }
        self.forget(keep);
    }

    /// Sum over the spans numbered `from..=to`.
    pub fn sum(&self, from: i64, to: i64) -> Counts {
        let mut all = Counts::default();
        let within = |span: i32| (from..=to).contains(&i64::from(span));
        for (_, n) in self.spans().chain(self.newest).filter(|(span, _)| within(*span)) {
            let [pass, fail, throttled, skipped, unknown] = n.map(u64::from);
            all.merge(&Counts { pass, fail, throttled, skipped, unknown });
        }
        all
    }

    /// Adds to a span before the newest: a run that ended late. Rare, so all are unpacked and packed again.
    fn add_before(&mut self, span: i32, n: [u32; 5]) {
        let mut all: Vec<Span> = self.spans().collect();
        match all.binary_search_by_key(&span, |(s, _)| *s) {
            Ok(i) => all.iter_mut().skip(i).take(1).for_each(|(_, sum)| sum.iter_mut().zip(n).for_each(|(a, b)| *a = a.saturating_add(b))),
            Err(i) => all.insert(i, (span, n)),
        }
        self.packed.clear();
        all.into_iter().for_each(|entry| self.push(entry));
    }

    /// Drops what lies too far before the newest.
    fn forget(&mut self, keep: i32) {
        let Some((newest, _)) = self.newest else { return };
        while self.oldest <= newest.saturating_sub(keep) && !self.packed.is_empty() {
            let mut spans = self.spans();
            spans.next();
            let gone = self.packed.len() - spans.rest.len();
            // The next one's distance is told from the first one's: it becomes the first.
            let next = spans.next();
            self.packed.drain(..gone);
            // Without any, as at the beginning.
            (self.oldest, self.last) = next.map_or((0, 0), |(span, _)| (span, self.last));
            if let Some(head) = self.packed.first_mut().filter(|head| **head & GAP != 0) {
                *head &= !GAP;
                let mut after = self.packed.get(1..).unwrap_or_default();
                number(&mut after);
                let gap = self.packed.len() - 1 - after.len();
                self.packed.drain(1..1 + gap);
            }
        }
    }

    /// Appends a span that comes after all that are packed.
    fn push(&mut self, (span, n): Span) {
        let is_first = self.packed.is_empty();
        let gap = if is_first { 0 } else { span.saturating_sub(self.last).saturating_sub(1) };
        self.oldest = if is_first { span } else { self.oldest };
        self.last = span;
        let there = n.iter().enumerate().fold(0, |bits, (k, n)| bits | (u8::from(*n != 0) << k));
        let numbers = Some(gap.unsigned_abs()).filter(|gap| *gap > 0).into_iter().chain(n.into_iter().filter(|n| *n != 0));
        let mut entry = Vec::with_capacity(31);
        entry.push(there | if gap > 0 { GAP } else { 0 });
        numbers.for_each(|n| varint::put(&mut entry, u64::from(n)));
        // By an eighth, not twice: it grows by a few bytes an hour, for a week.
        if self.packed.capacity() - self.packed.len() < entry.len() {
            self.packed.reserve_exact(entry.len().max(self.packed.len() / 8));
        }
        self.packed.extend_from_slice(&entry);
    }

    /// The packed ones.
    fn spans(&self) -> Spans<'_> {
        Spans { rest: &self.packed, next: self.oldest }
    }
}

/// Takes the number at the beginning. There always is one: nobody else writes these bytes.
fn number(bytes: &mut &[u8]) -> u32 {
    varint::take(bytes).ok().and_then(|n| u32::try_from(n).ok()).unwrap_or_default()
}

/// Packed spans, one by one.
struct Spans<'a> {
    rest: &'a [u8],
    /// The number of the next one, if it follows at once.
    next: i32,
}

impl Iterator for Spans<'_> {
    type Item = Span;
    fn next(&mut self) -> Option<Span> {
        let (head, rest) = self.rest.split_first()?;
        self.rest = rest;
        let gap = if head & GAP != 0 { number(&mut self.rest) } else { 0 };
        let mut n = [0; 5];
        n.iter_mut().enumerate().filter(|(k, _)| head & (1 << k) != 0).for_each(|(_, n)| *n = number(&mut self.rest));
        let span = self.next.saturating_add_unsigned(gap);
        self.next = span.saturating_add(1);
        Some((span, n))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn counts([pass, fail, throttled, skipped, unknown]: [u32; 5]) -> Counts {
        let [pass, fail, throttled, skipped, unknown] = [pass, fail, throttled, skipped, unknown].map(u64::from);
        Counts { pass, fail, throttled, skipped, unknown }
    }

    #[test]
    fn a_week_of_hours_is_small() {
        let mut rolling = Rolling::default();
        (490_000..490_500).for_each(|hour| rolling.add(hour, &counts([120, u32::from(hour % 4 == 0), 0, 0, 0]), 169));
        assert_eq!(rolling.spans().count(), 168);
        assert!(rolling.packed.capacity() < 500, "{}", rolling.packed.capacity());
        assert_eq!(rolling.sum(490_490, 490_499), counts([1_200, 2, 0, 0, 0]));
        assert_eq!(rolling.sum(0, 490_330), Counts::default());
    }

    /// Spans mostly in order, with gaps, late ones and far ones.
    fn any_adds() -> impl Strategy<Value = Vec<(i64, [u32; 5])>> {
        let step = prop_oneof![4 => 0..2i64, 2 => 0..40i64, 2 => -20..0i64, 1 => -1_000_000..1_000_000i64, 1 => Just(i64::MAX / 2)];
        let n = prop_oneof![3 => Just([1, 0, 0, 0, 0]), 2 => prop::array::uniform5(0..300u32), 1 => prop::array::uniform5(any::<u32>())];
        prop::collection::vec((step, n), 0..80).prop_map(|steps| {
            let mut at = 1_000i64;
            let walk = |(step, n)| {
                // A far one stands alone.
                let span = at.saturating_add(step);
                at = if (-2_000_000_000..2_000_000_000).contains(&span) { span } else { at };
                (span, n)
            };
            steps.into_iter().map(walk).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn packed_or_not_the_sums_are_the_same(adds in any_adds(), keep in 1..30i32, from in 0..2_000i64, length in 0..60i64) {
            let (mut rolling, mut plain) = (Rolling::default(), BTreeMap::<i64, [u32; 5]>::new());
            for (span, n) in adds {
                rolling.add(span, &counts(n), keep);
                if i32::try_from(span).is_ok() {
                    plain.entry(span).or_default().iter_mut().zip(n).for_each(|(a, b)| *a = a.saturating_add(b));
                    let newest = plain.last_key_value().map_or(0, |(newest, _)| *newest);
                    plain.retain(|span, _| *span > newest - i64::from(keep));
                }
                let all: Vec<(i64, [u32; 5])> = rolling.spans().chain(rolling.newest).map(|(s, n)| (i64::from(s), n)).collect();
                prop_assert_eq!(&all, &plain.iter().map(|(s, n)| (*s, *n)).collect::<Vec<_>>());
            }
            let mut sum = Counts::default();
            plain.range(from..=from + length).for_each(|(_, n)| sum.merge(&counts(*n)));
            prop_assert_eq!(rolling.sum(from, from + length), sum);
        }
    }
}
