//! Bytes and bits, written and read. Reading never panics and never reads past the end.

use crate::varint::{self, Unread};

/// Why stored bytes could not be read. Static text: it ends up in reports, beside a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) &'static str);

/// What bytes that end too early are reported as.
const SHORT: Damage = Damage("it ends too early");

/// Small numbers of either sign become small numbers without one: 0, -1, 1, -2 -> 0, 1, 2, 3.
pub(super) const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// The way back from [`zigzag`].
pub(super) const fn unzigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}

/// A cursor over bytes.
#[derive(Clone, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        let (first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(SHORT)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Damage> {
        varint::take(&mut self.0).map_err(|e| match e {
            Unread::Short => SHORT,
            Unread::Long => Damage("a number is too long"),
        })
    }

    pub(super) fn varint_u32(&mut self) -> Result<u32, Damage> {
        u32::try_from(self.varint()?).map_err(|_| Damage("a number is too large"))
    }
}

/// Bits, highest first; the last byte is filled up with zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct BitWriter {
    pub(super) bytes: Vec<u8>,
    /// Bits still free in the last byte.
    free: u8,
}

impl BitWriter {
    /// Appends the lowest `n` bits of `bits` (at most 32).
    pub(super) fn put(&mut self, bits: u32, n: u8) {
        let mut left = n;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let now = left.min(self.free);
            let chunk = (u64::from(bits) >> (left - now)) as u32 & ((1u32 << now) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (chunk << (self.free - now)) as u8;
            }
            self.free -= now;
            left -= now;
        }
    }
}

/// Reads what [`BitWriter`] wrote.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bits from the highest down, 57 at least; behind the end there are zeros.
    fn ahead(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let eight = match rest.first_chunk::<8>() {
            Some(whole) => u64::from_be_bytes(*whole),
            None => rest.iter().zip(0..).fold(0, |bits, (byte, n)| bits | u64::from(*byte) << (56 - 8 * n)),
        };
        eight << (self.at % 8)
    }

    /// Passes over bits, if there are so many.
    fn pass(&mut self, n: u32) -> Result<(), Damage> {
        let at = self.at + n as usize;
        if at > 8 * self.bytes.len() {
            return Err(SHORT);
        }
        self.at = at;
        Ok(())
    }

    /// The next `n` bits (at most 32) as a number.
    pub(super) fn get(&mut self, n: u8) -> Result<u32, Damage> {
        let found = (self.ahead() >> 1 >> (63 - n.min(32))) as u32;
        self.pass(u32::from(n.min(32)))?;
        Ok(found)
    }

    /// A number of which the lowest `low` bits (at most 16) stand as they are, behind as many ones as the rest says and a zero. `None`: `limit` ones (at
    /// most 32), and nothing behind them is read.
    pub(super) fn rice(&mut self, limit: u32, low: u8) -> Result<Option<u32>, Damage> {
        let (ahead, low) = (self.ahead(), u32::from(low.min(16)));
        let ones = ahead.leading_ones();
        if ones >= limit.min(32) {
            return self.pass(limit).map(|()| None);
        }
        let bits = (ahead << (ones + 1)) >> 1 >> (63 - low);
        self.pass(ones + 1 + low)?;
        Ok(Some(ones << low | bits as u32))
    }

    /// Whole bytes that were not touched.
    pub(super) fn untouched(&self) -> usize {
        self.bytes.len() - self.at.div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(n in any::<u64>(), i in any::<i64>()) {
            let mut out = Vec::new();
            varint::put(&mut out, n);
            varint::put(&mut out, zigzag(i));
            let mut b = Bytes(&out);
            prop_assert_eq!((b.varint(), b.varint().map(unzigzag)), (Ok(n), Ok(i)));
            prop_assert!(b.0.is_empty() && b.byte().is_err());
        }

        #[test]
        fn bits_come_back(parts in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..50)) {
            let mut w = BitWriter::default();
            for (bits, n) in &parts {
                w.put(*bits, *n);
            }
            let mut r = BitReader::new(&w.bytes);
            for (bits, n) in &parts {
                let want = if *n == 32 { *bits } else { bits & ((1 << n) - 1) };
                prop_assert_eq!(r.get(*n), Ok(want));
            }
            prop_assert_eq!(r.untouched(), 0);
            prop_assert!(r.get(8).is_err());
        }

        /// Against the plainest reading, bit by bit.
        #[test]
        fn rice_numbers_are_ones_a_zero_and_bits(
            bytes in proptest::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 0..30),
            limit in 1u32..=32,
            low in 0u8..=16,
        ) {
            let (mut fast, mut slow) = (BitReader::new(&bytes), BitReader::new(&bytes));
            let mut plain = || -> Result<Option<u32>, Damage> {
                for ones in 0..limit {
                    if slow.get(1)? == 0 {
                        return Ok(Some(ones << low | slow.get(low)?));
                    }
                }
                Ok(None)
            };
            for _ in 0..300 {
                let want = plain();
                prop_assert_eq!(fast.rice(limit, low), want);
                if want.is_err() {
                    break;
                }
            }
        }

        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let mut b = Bytes(&bytes);
            while b.varint().is_ok() {}
            let mut r = BitReader::new(&bytes);
            while r.rice(12, 3).is_ok() {}
        }
    }
}
