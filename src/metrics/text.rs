//! The exposition format, piece by piece: numbers, label values, heads. Writes into a byte buffer; knows no metric.

use std::io::Write as _;

use super::catalogue::Family;

/// Writes `# HELP` and `# TYPE`.
pub(super) fn head(out: &mut Vec<u8>, family: &Family) {
    for part in ["# HELP ", family.name, " ", family.help, "\n# TYPE ", family.name, " ", family.kind.as_str(), "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Writes a whole number in digits. By hand: nearly every line ends with one, and formatting costs more than the rest of the line.
pub(super) fn integer(out: &mut Vec<u8>, mut n: u64) {
    let (mut digits, mut at) = ([0; 20], 20);
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes milliseconds as seconds, as [`float`] would.
pub(super) fn seconds(out: &mut Vec<u8>, ms: i64) {
    // So many digits are the shortest text of their number.
    let Some(n) = u64::try_from(ms).ok().filter(|n| *n < 1_000_000_000_000_000) else { return float(out, ms as f64 / 1000.0) };
    integer(out, n / 1000);
    let rest = n % 1000;
    if rest > 0 {
        let digits = [b'.', b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8];
        let zeros = digits.iter().rev().take_while(|d| **d == b'0').count();
        out.extend_from_slice(&digits[..digits.len() - zeros]);
    }
}

/// Writes the shortest text that reads back as the same number; an exponent only where the digits would not fit a line.
pub(super) fn float(out: &mut Vec<u8>, x: f64) {
    if x.fract() == 0.0 && (1.0..1e15).contains(&x) {
        return integer(out, x as u64);
    }
    // Writing to a Vec can't fail.
    let _ = if x.is_nan() {
        out.write_all(b"NaN")
    } else if x.is_infinite() {
        out.write_all(if x > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if x != 0.0 && !(1e-7..1e17).contains(&x.abs()) {
        write!(out, "{x:e}")
    } else {
        write!(out, "{x}")
    };
}

/// Writes a label's value, escaped.
fn escaped(out: &mut Vec<u8>, value: &str) {
    if !value.bytes().any(|b| matches!(b, b'\\' | b'"' | b'\n')) {
        return out.extend_from_slice(value.as_bytes());
    }
    for b in value.bytes() {
        match b {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            b => out.push(b),
        }
    }
}

/// Writes `,name="value"`, escaped; the value in pieces.
pub(super) fn label<const N: usize>(out: &mut Vec<u8>, name: &str, value: [&str; N]) {
    out.push(b',');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    value.iter().for_each(|piece| escaped(out, piece));
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(x: f64) -> String {
        let mut out = Vec::new();
        float(&mut out, x);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_read_back_as_themselves() {
        for x in [0.0, 1.0, -1.0, 0.1, 0.99, 1_764_000_000.123, 1e16, 1e300, -2.5e-9, f64::MIN_POSITIVE, f64::MAX] {
            assert_eq!(shown(x).parse::<f64>().unwrap().to_bits(), x.to_bits(), "{x}");
            assert!(shown(x).len() < 26, "{}", shown(x));
        }
        assert_eq!([shown(60.0), shown(0.05), shown(1e300)], ["60", "0.05", "1e300"]);
        assert_eq!([shown(f64::INFINITY), shown(f64::NEG_INFINITY), shown(f64::NAN)], ["+Inf", "-Inf", "NaN"]);
    }

    #[test]
    fn times_and_whole_numbers_are_written_as_any_number_is() {
        for ms in [0, 1, 10, 100, 999, 1000, 1_010, 123_400, 1_764_000_000_123, 1_764_000_000_120, 999_999_999_999_999, i64::MAX, -5] {
            let mut out = Vec::new();
            seconds(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), shown(ms as f64 / 1000.0), "{ms}");
            assert_eq!(shown(ms as f64 / 1000.0).parse::<f64>().unwrap(), ms as f64 / 1000.0);
        }
        for n in [0, 1, 9, 10, 99, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            integer(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), n.to_string());
        }
        for x in [1.0, 2.0, 60.0, 999_999_999_999_999.0, 1e15, 123_456.0] {
            assert_eq!(shown(x), format!("{x}"));
        }
        assert_eq!([shown(0.0), shown(-0.0), shown(-3.0)], ["0", "-0", "-3"]);
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = Vec::new();
        label(&mut out, "name", ["a\\b", "\"c\nd"]);
        assert_eq!(String::from_utf8(out).unwrap(), r#",name="a\\b\"c\nd""#);
    }
}
