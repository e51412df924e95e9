//! Names and values as forms and queries write them (`application/x-www-form-urlencoded`), decoded once, as bytes.

use percent_encoding::percent_decode;

/// The pairs in order. Names without a value have an empty one; escapes that are none stay as they are.
pub(super) fn pairs(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let parts = text.split(|b| *b == b'&').filter(|p| !p.is_empty());
    parts
        .map(|part| {
            let equals = part.iter().position(|b| *b == b'=');
            let (name, value) = equals.map_or((part, &[][..]), |n| (&part[..n], &part[n + 1..]));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    percent_decode(&spaced).collect()
}

/// The query of an address, without its question mark.
pub(super) fn query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

/// The first value of a name in the query of an address.
pub(super) fn in_query(url: &str, name: &str) -> Option<Vec<u8>> {
    pairs(query(url).as_bytes()).into_iter().find(|(n, _)| n == name.as_bytes()).map(|(_, v)| v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoded_once_and_no_more() {
        let first = |url: &str| in_query(url, "t").map(|v| String::from_utf8(v).unwrap());
        assert_eq!(first("https://x.test/a?t=a%3a+b%2bc%252b#?t=z").as_deref(), Some("a: b+c%2b"));
        assert_eq!(first("/a?b=1&t=1&t=2").as_deref(), Some("1"));
        assert_eq!((first("/a?t").as_deref(), first("/a?T=1"), first("/a")), (Some(""), None, None));
        assert_eq!(pairs(b"a=1=2&&b=%ff%zz"), [(b"a".to_vec(), b"1=2".to_vec()), (b"b".to_vec(), b"\xff%zz".to_vec())]);
    }
}
