//! Bytes as hex, two digits a byte, in lower case: hashes, ids, random numbers. Pure.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// Bytes that show themselves as hex; up to 32 of them are written in one piece.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for bytes in self.0.chunks(32) {
            let mut text = [0; 64];
            for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
                pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            f.write_str(std::str::from_utf8(&text[..2 * bytes.len()]).unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Bytes as hex.
pub fn encode(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// SHA-256, as hex: 64 digits.
pub fn sha256(bytes: &[u8]) -> String {
    encode(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_two_digits() {
        assert_eq!(encode(&[]), "");
        assert_eq!(encode(&[0, 9, 0x0a, 0xf0, 0xff]), "00090af0ff");
        // More than one piece.
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&all), all.iter().map(|b| format!("{b:02x}")).collect::<String>());
    }

    #[test]
    fn a_hash_has_64_digits() {
        // printf abc | sha256sum
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
