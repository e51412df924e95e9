//! Hex and base64 as signatures are written. Strict: what is not exactly the encoding is not decoded.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::hex;

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Two digits a byte. Written in lower case, read in any.
    Hex,
    /// The standard alphabet with padding.
    Base64,
}

/// Keys are copied about by people: padding may be missing.
const KEYS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

impl Encoding {
    /// Its name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }

    pub(super) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => unhex(text),
            Self::Base64 => STANDARD.decode(text).ok(),
        }
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// A key in base64, with or without padding.
pub(super) fn key_from_base64(text: &str) -> Option<Vec<u8>> {
    KEYS.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exactly_the_encoding_is_read() {
        for good in ["00fF", "00FF", "00ff"] {
            assert_eq!(Encoding::Hex.decode(good.as_bytes()), Some(vec![0, 255]), "{good}");
        }
        for bad in ["0", "0g", " 00", "00 ", "0x00", "+1"] {
            assert_eq!(Encoding::Hex.decode(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Encoding::Base64.decode(b"+/8="), Some(vec![251, 255]));
        // Without padding, the other alphabet, bits left over, white space.
        for bad in ["+/8", "-_8=", "+/9=", "+/8= ", "+/8=\n", "+ /8="] {
            assert_eq!(Encoding::Base64.decode(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!((key_from_base64("+/8"), key_from_base64("+/8=")), (Some(vec![251, 255]), Some(vec![251, 255])));
        assert_eq!((Encoding::Hex.encode(&[0, 255]), Encoding::Base64.encode(&[251, 255])), ("00ff".into(), "+/8=".into()));
    }
}
