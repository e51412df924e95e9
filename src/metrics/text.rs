//! The exposition format, piece by piece: numbers, label values, heads. Writes into a byte buffer; knows no metric.

use std::io::Write as _;

use super::catalogue::Family;

/// Writes `# HELP` and `# TYPE`.
pub(super) fn head(out: &mut Vec<u8>, family: &Family) {
    for part in ["# HELP ", family.name, " ", family.help, "\n# TYPE ", family.name, " ", family.kind.as_str(), "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Writes a whole number in digits.
pub(super) fn integer(out: &mut Vec<u8>, n: u64) {
    // Writing to a Vec can't fail.
    let _ = write!(out, "{n}");
}

/// Writes the shortest text that reads back as the same number; an exponent only where the digits would not fit a line.
pub(super) fn float(out: &mut Vec<u8>, x: f64) {
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
pub(super) fn escaped(out: &mut Vec<u8>, value: &str) {
    for b in value.bytes() {
        match b {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            b => out.push(b),
        }
    }
}

/// Writes `,name="value"`, escaped.
pub(super) fn label(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b',');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escaped(out, value);
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
    fn label_values_are_escaped() {
        let mut out = Vec::new();
        label(&mut out, "name", "a\\b\"c\nd");
        assert_eq!(String::from_utf8(out).unwrap(), r#",name="a\\b\"c\nd""#);
    }
}
