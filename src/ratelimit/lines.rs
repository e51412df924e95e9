//! Header lines and the parts between their commas. Counts take the smallest of all they find, so that a value a proxy merged or a line that was
//! repeated gives the most careful reading.

use std::borrow::Cow;

use http::HeaderMap;

use super::number::Number;

/// The lines of a header, in order. Bytes that are not text become a character no number or date has.
pub(super) fn lines<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = Cow<'h, str>> {
    headers.get_all(name).into_iter().map(|v| String::from_utf8_lossy(v.as_bytes()))
}

/// The parts between commas of all lines, in order.
pub(super) fn parts(headers: &HeaderMap, name: &str) -> Vec<String> {
    lines(headers, name).flat_map(|l| l.split(',').map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The smallest readable count of all lines and parts.
pub(super) fn count(headers: &HeaderMap, name: &str) -> Option<u64> {
    parts(headers, name).iter().filter_map(|p| Number::parse(p)).min().map(Number::floor)
}

/// Splits at a character, but not within double quotes. A quote that is never closed holds the rest.
pub(super) fn split_outside_quotes(text: &str, at: char) -> Vec<&str> {
    let (mut found, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (n, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == at && !quoted => {
                found.push(&text[start..n]);
                start = n + c.len_utf8();
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found
}

/// `key=value`, both trimmed, the value without its quotes. The last of several equal keys wins.
pub(super) fn parameter(parts: &[&str], key: &str) -> Option<String> {
    let value = |p: &&str| p.split_once('=').filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_owned());
    let found = parts.iter().rev().find_map(value)?;
    let quoted = found.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    Some(quoted.map_or(found.clone(), |inner| inner.replace("\\\"", "\"").replace("\\\\", "\\")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Header lines as they come.
    pub(in super::super) fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut all = HeaderMap::new();
        for (name, value) in lines {
            all.append(*name, value.parse().unwrap());
        }
        all
    }

    #[test]
    fn the_smallest_count() {
        let count = |values: &[&str]| super::count(&headers(&values.iter().map(|v| ("x", *v)).collect::<Vec<_>>()), "x");
        assert_eq!(count(&["100, 60"]), Some(60));
        assert_eq!(count(&["100", "60"]), Some(60));
        assert_eq!(count(&["-1, 7.9, soon"]), Some(7));
        assert_eq!(count(&["-1"]), None);
        assert_eq!(count(&[]), None);
    }

    #[test]
    fn quotes_hold_their_commas() {
        assert_eq!(split_outside_quotes(r#"1;n="a,b\",c", 2"#, ','), [r#"1;n="a,b\",c""#, " 2"]);
        assert_eq!(split_outside_quotes("\"a,b", ','), ["\"a,b"]);
        assert_eq!(parameter(&["10", " name=\"a\\\"b\" ", "w = 1", "w=2"], "name").as_deref(), Some("a\"b"));
        assert_eq!(parameter(&["10", "w = 1", "w=2"], "w").as_deref(), Some("2"));
        assert_eq!(parameter(&["10"], "w"), None);
    }
}
