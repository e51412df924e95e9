//! Numbers as servers write them: digits, maybe a fraction, nothing else. What is not a number is absent, never 0.

/// A number that is not negative, exact to a billionth and rounded up there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    whole: u64,
    billionths: u32,
}

/// More digits than this before the point are no count and no time.
const MAX_DIGITS: usize = 15;
const BILLION: u32 = 1_000_000_000;

impl Number {
    /// Reads `1*DIGIT ["." 1*DIGIT]`, with spaces and tabs around it. No sign, exponent, hex or word.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        if whole.len() > MAX_DIGITS {
            return None;
        }
        let mut billionths = fraction.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |n, b| n * 10 + u32::from(b - b'0'));
        let more = fraction.bytes().skip(9).any(|b| b != b'0');
        if more && billionths < BILLION - 1 {
            billionths += 1;
        }
        Some(Self { whole: if whole.is_empty() { 0 } else { whole.parse().ok()? }, billionths })
    }

    /// A JSON number, as the text it would be in a header.
    pub(super) fn of_json(number: &serde_json::Number) -> Option<Self> {
        number.as_u64().map(|n| n.to_string()).or_else(|| number.as_f64().map(|n| format!("{n}"))).and_then(|t| Self::parse(&t))
    }

    /// A count: rounded down.
    pub(super) const fn floor(self) -> u64 {
        self.whole
    }

    /// A duration: rounded up.
    pub(super) const fn ceil(self) -> u64 {
        self.whole + (self.billionths > 0) as u64
    }

    /// In billionths: the nanoseconds of a number of seconds.
    pub(super) const fn nanos(self) -> i128 {
        self.whole as i128 * BILLION as i128 + self.billionths as i128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_number() {
        for (text, floor, ceil) in [
            ("0", 0, 0),
            (" \t42 ", 42, 42),
            ("007", 7, 7),
            ("596.0", 596, 596),
            ("64.57", 64, 65),
            ("0.0000000001", 0, 1),
            ("1.9999999999999", 1, 2),
            ("999999999999999", 999_999_999_999_999, 999_999_999_999_999),
            ("000000999999999999999.0", 999_999_999_999_999, 999_999_999_999_999),
        ] {
            let n = Number::parse(text).unwrap();
            assert_eq!((n.floor(), n.ceil()), (floor, ceil), "{text}");
        }
        for bad in
            ["", " ", "-1", "+1", "1e3", "0x10", "1.", ".5", "1.2.3", "1_000", "ten", "1 2", "12abc", "\u{661}", "1000000000000000", "1\n"]
        {
            assert_eq!(Number::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_of_json() {
        let read = |text: &str| Number::of_json(&serde_json::from_str(text).unwrap()).map(Number::ceil);
        assert_eq!(read("12"), Some(12));
        assert_eq!(read("0.57"), Some(1));
        assert_eq!(read("1e2"), Some(100));
        assert_eq!(read("-1"), None);
        assert_eq!(read("1e300"), None);
    }
}
