//! Checksums, by which a node notices that bytes are not those that were pushed at a small part of
//! what their digest would cost.

use std::fmt;

use crc_fast::{CrcAlgorithm, Digest};

/// What CRC32C starts from, and what its result is inverted with.
const INVERTED: u32 = u32::MAX;

/// The CRC32C of some bytes (RFC 3720, section 12.1): finds what disks, memory and lines do to
/// bytes by mistake. An attacker who changes them on purpose can keep it the same; clients compare
/// the digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Checksum(u32);

impl Checksum {
    /// The checksum of no bytes.
    pub const EMPTY: Self = Self(0);

    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut checksum = Self::EMPTY;
        checksum.extend(bytes);
        checksum
    }

    /// One that was stored.
    pub const fn from_crc(crc: u32) -> Self {
        Self(crc)
    }

    /// Its value.
    pub const fn crc(self) -> u32 {
        self.0
    }

    /// Makes it the checksum of the bytes that it is of, followed by `piece`.
    pub fn extend(&mut self, piece: &[u8]) {
        let state = u64::from(self.0 ^ INVERTED);
        let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, state);
        digest.update(piece);
        // Of a CRC with 32 bits the upper half is zero.
        self.0 = u32::try_from(digest.finalize()).unwrap_or_default();
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pieces: &[&[u8]]) -> Checksum {
        let mut checksum = Checksum::EMPTY;
        for piece in pieces {
            checksum.extend(piece);
        }
        checksum
    }

    /// RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
    #[test]
    fn it_is_the_crc32c_of_the_standard() {
        assert_eq!(of(&[b"123456789"]).to_string(), "e3069283");
        assert_eq!(of(&[&[0; 32]]).to_string(), "8a9136aa");
        assert_eq!(of(&[&[0xff; 32]]).to_string(), "62a8ab43");
        assert_eq!(of(&[b"", b"1234", b"", b"56789"]), of(&[b"123456789"]));
        assert_eq!(of(&[]), Checksum::EMPTY);
    }

    proptest! {
        #[test]
        fn it_is_the_same_in_pieces_and_another_after_any_flipped_bit(
            bytes in prop::collection::vec(any::<u8>(), 1..5_000),
            cut in any::<prop::sample::Index>(),
            flipped in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len()));
            let whole = of(&[&bytes]);
            prop_assert_eq!(of(&[head, tail]), whole);
            let mut other = bytes.clone();
            let bit = flipped.index(8 * bytes.len());
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(of(&[&other]), whole);
        }
    }
}
