//! Texts of somebody else's document as a snapshot keeps them: short plain ones as they are, all others by their hash. So equal stays equal,
//! and a snapshot's size has a bound.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text itself when it is at most `most` bytes of plain ASCII that JSON writes as they are; else `sha256:` and its hash.
pub(super) fn kept(text: &str, most: usize) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if plain && text.len() <= most && !text.starts_with("sha256:") { text.to_owned() } else { format!("sha256:{}", hash(text.as_bytes())) }
}

/// SHA-256 in base64url.
pub(super) fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stays_equal_and_the_size_is_bounded() {
        assert_eq!(kept("https://a/b", 20), "https://a/b");
        for odd in ["x".repeat(21), "a\u{0}".into(), "a\"".into(), "sha256:x".into(), "ü".into()] {
            assert!(kept(&odd, 20).starts_with("sha256:") && kept(&odd, 20).len() == 50);
            assert_eq!(kept(&odd, 20), kept(&odd, 20));
            assert_ne!(kept(&odd, 20), kept(&format!("{odd}x"), 20));
        }
    }
}
