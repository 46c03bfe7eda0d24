//! Where in a connection of HTTP/1 a body ends and the next head begins.

use proto::limits::CHUNK_OVERHEAD_BYTES_MAX;

use super::head::BodyLength;

/// What the next byte of a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// A head.
    Head,
    /// A body, of which this many bytes are missing; never 0.
    Bytes(u64),
    /// A body in chunks.
    Chunked(Chunked),
}

/// A place in a body of chunks (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    place: Place,
    /// Bytes so far that are no content.
    overhead: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first digit of a size.
    Start,
    Size(u64),
    Extension(u64),
    /// After the CR behind the size.
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the beginning of a line of trailers.
    Trailer,
    InTrailer,
    TrailerLf,
    /// After the CR of the empty line that ends the body.
    EndLf,
}

/// The chunks of a body are not as they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunks of the body are not valid")]
pub(super) struct ChunkError;

impl Framing {
    /// What follows a head that says `length`.
    pub(super) const fn after(length: BodyLength) -> Self {
        match length {
            BodyLength::Bytes(0) => Self::Head,
            BodyLength::Bytes(length) => Self::Bytes(length),
            BodyLength::Chunked => Self::Chunked(Chunked { place: Place::Start, overhead: 0 }),
        }
    }

    /// Goes on by as many of `bytes` as belong to the body, and answers how many those are; what
    /// follows them is the next head.
    ///
    /// # Errors
    /// When the body breaks the rules of its chunks.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<usize, ChunkError> {
        match self {
            Self::Head => Ok(0),
            Self::Bytes(missing) => {
                let length = usize::try_from(*missing).map_or(bytes.len(), |m| m.min(bytes.len()));
                *missing -= length as u64;
                if *missing == 0 {
                    *self = Self::Head;
                }
                Ok(length)
            }
            Self::Chunked(chunked) => {
                let (length, is_end) = chunked.pass(bytes)?;
                if is_end {
                    *self = Self::Head;
                }
                Ok(length)
            }
        }
    }
}

impl Chunked {
    fn pass(&mut self, bytes: &[u8]) -> Result<(usize, bool), ChunkError> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Place::Data(missing) = &mut self.place {
                let rest = bytes.len() - at;
                let length = usize::try_from(*missing).map_or(rest, |missing| missing.min(rest));
                *missing -= length as u64;
                at += length;
                if *missing == 0 {
                    self.place = Place::DataCr;
                }
                continue;
            }
            at += 1;
            self.place = match self.step(*byte)? {
                Some(next) => next,
                None => return Ok((at, true)),
            };
        }
        Ok((at, false))
    }

    /// The place after `byte`, which is no content. `None` at the end of the body.
    fn step(&mut self, byte: u8) -> Result<Option<Place>, ChunkError> {
        // The size of a chunk comes with the chunk; what comes beside it is bounded.
        if matches!(self.place, Place::Extension(_) | Place::Trailer | Place::InTrailer) {
            self.overhead += 1;
            if self.overhead > CHUNK_OVERHEAD_BYTES_MAX {
                return Err(ChunkError);
            }
        }
        let next = match (self.place, byte) {
            (Place::Start, _) => Place::Size(digit(byte)?),
            (Place::Size(size), b'\r') | (Place::Extension(size), b'\r') => Place::SizeLf(size),
            (Place::Size(size), b';') => Place::Extension(size),
            (Place::Size(size), _) => {
                let digit = digit(byte)?;
                Place::Size(size.checked_mul(16).ok_or(ChunkError)? + digit)
            }
            (Place::SizeLf(0), b'\n') | (Place::TrailerLf, b'\n') => Place::Trailer,
            (Place::SizeLf(size), b'\n') => Place::Data(size),
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Start,
            (Place::Trailer, b'\r') => Place::EndLf,
            (Place::InTrailer, b'\r') => Place::TrailerLf,
            (Place::EndLf, b'\n') => return Ok(None),
            (Place::Extension(size), _) if is_text(byte) => Place::Extension(size),
            (Place::Trailer | Place::InTrailer, _) if is_text(byte) => Place::InTrailer,
            _ => return Err(ChunkError),
        };
        Ok(Some(next))
    }
}

fn digit(byte: u8) -> Result<u64, ChunkError> {
    char::from(byte).to_digit(16).map(u64::from).ok_or(ChunkError)
}

/// Whether `byte` may stand within a line.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use proptest::prelude::*;

    use super::*;

    const CHUNKED: Framing = Framing::after(BodyLength::Chunked);

    /// How many bytes of `bytes`, which come in two pieces cut at `cut`, belong to the body.
    fn passed(
        mut framing: Framing,
        bytes: &[u8],
        cut: usize,
    ) -> Result<(usize, Framing), ChunkError> {
        let (first, rest) = bytes.split_at(cut.min(bytes.len()));
        let mut length = framing.pass(first)?;
        if length == first.len() {
            length += framing.pass(rest)?;
        }
        Ok((length, framing))
    }

    #[test]
    fn a_body_ends_where_its_chunks_say() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n1;x=\"y\"\r\n\n\r\n00\r\n\r\n",
            "1\r\nx\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n",
        ] {
            let bytes = format!("{body}GET / HTTP/1.1\r\n");
            for cut in 0..bytes.len() {
                assert_eq!(
                    passed(CHUNKED, bytes.as_bytes(), cut),
                    Ok((body.len(), Framing::Head)),
                    "{body} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn chunks_that_others_could_read_differently_are_refused() {
        let long = format!("1;{}\r\n", "x".repeat(CHUNK_OVERHEAD_BYTES_MAX + 1));
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\nx",
            " 1\r\n",
            "1 \r\n",
            "0x1\r\n",
            "1\nx",
            "1\r\nxy",
            "1\r\nx\n0",
            "1\r\rx",
            "1;a\nx",
            "0\r\n\n",
            "0\r\na: b\n",
            "10000000000000000\r\n",
            &long,
        ] {
            assert_eq!(passed(CHUNKED, body.as_bytes(), 3), Err(ChunkError), "{body:.40}");
        }
    }

    proptest! {
        #[test]
        fn the_end_of_a_body_does_not_depend_on_how_it_arrives(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            next in prop::collection::vec(any::<u8>(), 0..20),
            cut in 0usize..400,
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            let length = bytes.len();
            bytes.extend(&next);
            prop_assert_eq!(passed(CHUNKED, &bytes, cut), Ok((length, Framing::Head)));
            let content = next.len() as u64;
            if content > 0 {
                let framing = Framing::after(BodyLength::Bytes(content));
                prop_assert_eq!(passed(framing, &next, cut), Ok((next.len(), Framing::Head)));
            }
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_looked_at(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cut in 0usize..200,
        ) {
            if let Ok((length, _)) = passed(CHUNKED, &bytes, cut) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
