//! Byte ranges in headers: which part of a blob is asked for, and where a chunk of an upload
//! belongs.

use std::ops::Range;

/// What a `Range` header asks of a blob (RFC 9110, section 14.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, several ranges, or a header that means nothing.
    Whole,
    /// These bytes, never none of them.
    Part(Range<u64>),
    /// Bytes that the blob does not have.
    Unsatisfiable,
}

impl Wanted {
    /// Reads `header` for a blob of `size` bytes.
    ///
    /// Several ranges get the whole blob, so that asking for little can never cost much. A last
    /// byte before the first is called unsatisfiable, as the conformance suite wants, where RFC
    /// 9110 would let it pass.
    pub(crate) fn parse(header: &str, size: u64) -> Self {
        let Some(set) = header.trim().strip_prefix("bytes=") else { return Self::Whole };
        let Some((first, last)) = set.trim().split_once('-') else { return Self::Whole };
        match (position(first), position(last)) {
            (Position::Absent, Position::At(length)) => {
                Self::part(size.saturating_sub(length)..size, size)
            }
            (Position::At(first), Position::Absent) => Self::part(first..size, size),
            (Position::At(first), Position::At(last)) => {
                Self::part(first..last.saturating_add(1).min(size), size)
            }
            _ => Self::Whole,
        }
    }

    fn part(range: Range<u64>, size: u64) -> Self {
        if range.is_empty() || range.start >= size {
            Self::Unsatisfiable
        } else {
            Self::Part(range)
        }
    }
}

/// Where a chunk belongs (distribution-spec, "Pushing a blob in chunks": `<start>-<end>`, both
/// inclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRange {
    /// The offset of its first byte.
    pub(crate) start: u64,
    /// Its length, in bytes; never 0.
    pub(crate) length: u64,
}

impl ChunkRange {
    /// Reads a `Content-Range` header, in the specification's form or in that of RFC 9110, section
    /// 14.4. `None` when it is neither.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let range = match header.strip_prefix("bytes ") {
            Some(rest) => rest.split_once('/').map_or(rest, |(range, _total)| range),
            None => header,
        };
        let (start, end) = range.split_once('-')?;
        let (start, end) = (exact(start)?, exact(end)?);
        let length = end.checked_sub(start)?.checked_add(1)?;
        Some(Self { start, length })
    }
}

enum Position {
    Absent,
    At(u64),
    Malformed,
}

/// A position in a `Range`; one that is too large for 64 bits is past every blob's end all the
/// same.
fn position(text: &str) -> Position {
    match text.trim() {
        "" => Position::Absent,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Position::At(digits.parse().unwrap_or(u64::MAX))
        }
        _ => Position::Malformed,
    }
}

fn exact(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_a_part_or_unsatisfiable_or_ignored() {
        for (header, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-4", Wanted::Part(2..5)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=9-99999999999999999999999", Wanted::Part(9..10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=500-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(Wanted::parse(header, 10), wanted, "{header}");
        }
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(Wanted::parse(header, 0), Wanted::Unsatisfiable, "{header} of nothing");
        }
    }

    #[test]
    fn a_chunk_range_names_its_first_and_last_byte() {
        for (header, start, length) in [
            ("0-0", 0, 1),
            ("0-99", 0, 100),
            ("100-199", 100, 100),
            ("bytes 100-199/200", 100, 100),
            ("bytes 100-199/*", 100, 100),
            ("bytes 100-199", 100, 100),
        ] {
            assert_eq!(ChunkRange::parse(header), Some(ChunkRange { start, length }), "{header}");
        }
        for header in
            ["", "-", "1", "1-", "-1", "5-4", "a-b", "0-18446744073709551615", "+1-2", "0-1-2"]
        {
            assert_eq!(ChunkRange::parse(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_always_lies_inside_the_blob(
            header in "(bytes=)?[0-9,-]{0,24}",
            size in 0u64..200,
        ) {
            if let Wanted::Part(range) = Wanted::parse(&header, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn every_range_of_a_blob_can_be_asked_for(first in 0u64..100, length in 1u64..100) {
            let size = first + length + 7;
            let header = format!("bytes={first}-{}", first + length - 1);
            prop_assert_eq!(Wanted::parse(&header, size), Wanted::Part(first..first + length));
            let chunk = format!("{first}-{}", first + length - 1);
            prop_assert_eq!(ChunkRange::parse(&chunk), Some(ChunkRange { start: first, length }));
        }
    }
}
