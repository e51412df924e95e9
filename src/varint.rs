//! Numbers in as few bytes as they need: seven bits a byte, the lowest first, the top bit meaning "more". Reading never panics and never reads past the end.
//! Does not know what a number counts.

/// Why no number could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The bytes end before it does.
    Short,
    /// It has more than 64 bits.
    Long,
}

/// Appends a number: one byte to ten.
pub fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes the number at the beginning of `bytes`; what was read of one that can't be is gone, too.
pub fn take(bytes: &mut &[u8]) -> Result<u64, Unread> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Unread::Short)?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            break;
        }
        n |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err(Unread::Long)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(mut bytes: &[u8]) -> (Result<u64, Unread>, usize) {
        (take(&mut bytes), bytes.len())
    }

    #[test]
    fn the_lowest_seven_bits_come_first() {
        let mut out = Vec::new();
        [0, 0x7f, 0x80, 300].into_iter().for_each(|n| put(&mut out, n));
        assert_eq!(out, [0, 0x7f, 0x80, 1, 0xac, 2]);
    }

    #[test]
    fn what_is_no_number_is_told() {
        assert_eq!(read(&[]), (Err(Unread::Short), 0));
        assert_eq!(read(&[0x80]), (Err(Unread::Short), 0));
        // The tenth byte has room for one bit.
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 5]), (Ok(u64::MAX), 1));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 5]), (Err(Unread::Long), 1));
    }

    proptest! {
        #[test]
        fn numbers_come_back(all in proptest::collection::vec(prop_oneof![0..300u64, any::<u64>()], 0..20)) {
            let mut out = Vec::new();
            all.iter().for_each(|n| put(&mut out, *n));
            let mut bytes = out.as_slice();
            let mut back = Vec::new();
            while let Ok(n) = take(&mut bytes) {
                back.push(n);
            }
            prop_assert_eq!(back, all);
        }
    }
}
