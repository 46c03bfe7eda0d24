//! The small objects that say where bytes are: a cursor for each upload, an index for each object
//! that is not of one piece.
//!
//! ```text
//! roadstead upload 1                                  roadstead object 1
//! tip 0123456789abcdef0123456789abcdef                3f62...e1 8388608
//! tail e3069283                                       77ab...03 1048576
//! 3f62...e1 8388608
//! 77ab...03 1048576
//! replaced 0c51...aa 524288
//! ```

use std::fmt::Write as _;
use std::io;
use std::str::Lines;

use proto::{Checksum, ObjectKey};

use crate::blob::{BlobsError, Position, Tip};

const CURSOR: &str = "roadstead upload 1";
const INDEX: &str = "roadstead object 1";
/// What the line of the last segment's checksum begins with.
const TAIL: &str = "tail ";
/// What the line of a segment begins with that was replaced.
const REPLACED: &str = "replaced ";

/// A piece of an upload or object, in an object of the bucket that holds nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The key of its bytes.
    pub(super) key: ObjectKey,
    /// How many there are, at least one.
    pub(super) length: u64,
}

/// Where an upload stands: its bytes are those of its segments, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Drawn at random for each cursor.
    pub(super) tip: Tip,
    /// The checksum of the last segment, when that is so small that it will be read back; unset in
    /// cursors from before there was one.
    pub(super) tail: Option<Checksum>,
    /// At least one.
    pub(super) segments: Vec<Segment>,
    /// Small segments that were written anew with what followed them. They stay as long as the
    /// upload, which may have been sealed when they were its last.
    pub(super) replaced: Vec<Segment>,
}

impl Cursor {
    /// Where the upload stands.
    pub(super) fn position(&self) -> Position {
        Position { extent: length(&self.segments), tip: self.tip }
    }

    /// The object that the upload becomes, when it is sealed here: its one segment, or one with an
    /// index. That has a key of its own, drawn with the tip.
    pub(super) fn object(&self) -> ObjectKey {
        match self.segments[..] {
            [only] => only.key,
            _ => ObjectKey::from_random(u128::from_be_bytes(*self.tip.as_bytes())),
        }
    }

    pub(super) fn encode(&self) -> String {
        let mut text = format!("{CURSOR}\ntip {}\n", self.tip);
        if let Some(checksum) = self.tail {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{TAIL}{checksum}");
        }
        write_segments(&mut text, &self.segments, "");
        write_segments(&mut text, &self.replaced, REPLACED);
        text
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BlobsError> {
        let mut lines = lines(bytes, CURSOR)?.peekable();
        let tip = lines.next().and_then(|line| line.strip_prefix("tip "));
        let tip = tip.and_then(|tip| u128::from_str_radix(tip, 16).ok()).ok_or_else(damaged)?;
        let tip = Tip::from_bytes(tip.to_be_bytes());
        let tail = lines.next_if(|line| line.starts_with(TAIL)).map(read_tail).transpose()?;
        let (replaced, segments) = lines.partition(|line| line.starts_with(REPLACED));
        let (segments, replaced): (Vec<_>, Vec<_>) = (segments, replaced);
        let replaced = replaced.into_iter().filter_map(|line| line.strip_prefix(REPLACED));
        let replaced = read_segments(replaced)?;
        let segments = at_least_one(read_segments(segments.into_iter())?)?;
        Ok(Self { tip, tail, segments, replaced })
    }
}

/// How many bytes `segments` hold together.
pub(super) fn length(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| segment.length).sum()
}

/// The keys of `segments`.
pub(super) fn keys(segments: &[Segment]) -> impl Iterator<Item = ObjectKey> {
    segments.iter().map(|segment| segment.key)
}

/// An index of `segments`.
pub(super) fn encode_index(segments: &[Segment]) -> String {
    let mut text = format!("{INDEX}\n");
    write_segments(&mut text, segments, "");
    text
}

/// The segments that an index lists.
pub(super) fn decode_index(bytes: &[u8]) -> Result<Vec<Segment>, BlobsError> {
    at_least_one(read_segments(lines(bytes, INDEX)?)?)
}

fn write_segments(text: &mut String, segments: &[Segment], what: &str) {
    for Segment { key, length } in segments {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what}{key} {length}");
    }
}

fn lines<'a>(bytes: &'a [u8], title: &str) -> Result<Lines<'a>, BlobsError> {
    let mut lines = std::str::from_utf8(bytes).map_err(|_| damaged())?.lines();
    if lines.next() == Some(title) { Ok(lines) } else { Err(damaged()) }
}

fn read_tail(line: &str) -> Result<Checksum, BlobsError> {
    let crc = line.strip_prefix(TAIL).and_then(|crc| u32::from_str_radix(crc, 16).ok());
    crc.map(Checksum::from_crc).ok_or_else(damaged)
}

fn read_segments<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Segment>, BlobsError> {
    let mut segments = lines.map(|line| {
        let (key, length) = line.split_once(' ')?;
        let length = length.parse().ok().filter(|length| *length > 0)?;
        Some(Segment { key: key.parse().ok()?, length })
    });
    segments.try_fold(Vec::new(), |mut read, segment| {
        read.push(segment.ok_or_else(damaged)?);
        Ok(read)
    })
}

fn at_least_one(segments: Vec<Segment>) -> Result<Vec<Segment>, BlobsError> {
    if segments.is_empty() { Err(damaged()) } else { Ok(segments) }
}

fn damaged() -> BlobsError {
    let reason = "an object that says where bytes are was damaged, or written by a newer version";
    BlobsError::Unavailable(io::Error::new(io::ErrorKind::InvalidData, reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    const GOLDEN: &str = "roadstead upload 1\n\
                          tip 00000000000000000000000000000007\n\
                          00000000000000000000000000000001 8388608\n\
                          00000000000000000000000000000002 3\n\
                          replaced 00000000000000000000000000000003 1\n";

    const GOLDEN_WITH_TAIL: &str = "roadstead upload 1\n\
                                    tip 00000000000000000000000000000007\n\
                                    tail e3069283\n\
                                    00000000000000000000000000000001 8388608\n\
                                    00000000000000000000000000000002 3\n\
                                    replaced 00000000000000000000000000000003 1\n";

    fn cursor() -> Cursor {
        let segment = |key, length| Segment { key: ObjectKey::from_random(key), length };
        Cursor {
            tip: Tip::from_bytes(7_u128.to_be_bytes()),
            tail: None,
            segments: vec![segment(1, 8_388_608), segment(2, 3)],
            replaced: vec![segment(3, 1)],
        }
    }

    #[test]
    fn a_cursor_is_written_as_ever() {
        assert_eq!(cursor().encode(), GOLDEN);
        assert_eq!(Cursor::decode(GOLDEN.as_bytes()).unwrap(), cursor());
        assert_eq!(cursor().position(), Position { extent: 8_388_611, tip: cursor().tip });
    }

    #[test]
    fn a_cursor_has_the_checksum_of_a_small_last_segment() {
        let cursor = Cursor { tail: Some(Checksum::of(b"123456789")), ..cursor() };
        assert_eq!(cursor.encode(), GOLDEN_WITH_TAIL);
        assert_eq!(Cursor::decode(GOLDEN_WITH_TAIL.as_bytes()).unwrap(), cursor);
    }

    #[test]
    fn an_index_is_written_as_ever() {
        let golden = "roadstead object 1\n00000000000000000000000000000001 8388608\n\
                      00000000000000000000000000000002 3\n";
        assert_eq!(encode_index(&cursor().segments), golden);
        assert_eq!(decode_index(golden.as_bytes()).unwrap(), cursor().segments);
    }

    #[test]
    fn an_upload_of_one_piece_becomes_that_piece() {
        let mut cursor = cursor();
        assert_eq!(cursor.object(), ObjectKey::from_random(7));
        cursor.segments.truncate(1);
        assert_eq!(cursor.object(), ObjectKey::from_random(1));
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let damages = [
            GOLDEN.replace("upload", "object"),
            GOLDEN.replace(" 1\n", " 2\n"),
            GOLDEN.replace("tip ", ""),
            GOLDEN.replace(" 3\n", " 0\n"),
            GOLDEN.replace(" 3\n", "\n"),
            GOLDEN_WITH_TAIL.replace("e3069283", "none"),
            GOLDEN.lines().take(2).collect::<Vec<_>>().join("\n"),
            String::new(),
        ];
        for text in damages {
            assert!(Cursor::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
