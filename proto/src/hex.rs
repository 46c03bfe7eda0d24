//! Hexadecimal digits, of which only the lower-case ones are taken: what can be written in one way
//! alone can be compared as text.

use std::fmt::{self, Write as _};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes, shown as two digits each.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        digits(self.0).try_for_each(|digit| f.write_char(digit))
    }
}

/// The digits of `bytes`. Formatting each byte by itself would cost three times as much as all else
/// of a digest but the hash.
pub(crate) fn digits(bytes: &[u8]) -> impl Iterator<Item = char> {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    halves.map(|half| char::from(DIGITS[usize::from(half)]))
}

/// Whether `text` is nothing but digits.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|digit| value(digit).is_some())
}

/// The `N` bytes that `text` shows; `None` when it does not.
pub(crate) fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (value(*high)? << 4) | value(*low)?;
    }
    Some(bytes)
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_from_their_digits_and_from_no_others() {
        let bytes: [u8; 256] = std::array::from_fn(|byte| u8::try_from(byte).unwrap_or_default());
        let text = Hex(&bytes).to_string();
        assert!(text.starts_with("00010203") && text.ends_with("fdfeff"), "{text}");
        assert!(is_hex(&text));
        assert_eq!(read(&text), Some(bytes));
        assert_eq!(read("0a1f"), Some([10, 31]));
        for wrong in ["", "0a1", "0a1f0", "0a1f00", "0A1F", "0a1g", "0a 1", "+a1f", "0aä"] {
            assert_eq!(read::<2>(wrong), None, "{wrong}");
        }
        assert!(!is_hex("0A") && !is_hex("0g") && is_hex(""));
    }
}
