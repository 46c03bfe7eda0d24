//! The heads in what comes over a connection of HTTP/1: each is held back until it is whole and
//! checked; one that is refused is replaced by a request that only asks to be told so.

use std::mem;

use proto::limits::{HEAD_BYTES_MAX, TARGET_BYTES_MAX};

use super::fault::Fault;
use super::framing::Framing;
use super::guarded::Refused;
use super::head;

/// What the parser gets in place of a head that is refused: the service that answers it knows from
/// [`Refused`] that it is that, and the connection ends after it.
const REPLACEMENT: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// Most bytes of a request's first line: its target, and a method and a version.
const FIRST_LINE_BYTES_MAX: usize = TARGET_BYTES_MAX + 64;

/// See the module.
pub(super) struct Heads {
    framing: Framing,
    /// The beginning of a head.
    held: Vec<u8>,
    /// How much of it was looked through for its end.
    seen: usize,
    /// How many heads passed.
    count: u64,
    refused: Refused,
    is_broken: bool,
}

impl Heads {
    /// At the beginning of a connection. What is refused is put into `refused`.
    pub(super) const fn new(refused: Refused) -> Self {
        let framing = Framing::Head;
        Self { framing, held: Vec::new(), seen: 0, count: 0, refused, is_broken: false }
    }

    /// Whether the chunks of a body broke the rules: then nobody knows where it ends.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether a head was refused: then nothing of what follows is looked at.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.get().is_some()
    }

    /// Whether the client is in the middle of a request.
    pub(super) fn is_midway(&self) -> bool {
        self.framing != Framing::Head || !self.held.is_empty() || self.is_refused()
    }

    /// Takes what came, and answers how much of its beginning goes on at once: the rest of a body.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        self.framing.pass(bytes).unwrap_or_else(|_| {
            self.is_broken = true;
            0
        })
    }

    /// Takes what came after the rest of a body, and puts what may go on of it into `ready`.
    pub(super) fn gather(&mut self, bytes: &[u8], ready: &mut Vec<u8>) {
        let mut held = mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut at = 0;
        while at < held.len() && !self.is_broken {
            let rest = &held[at..];
            // Empty lines before a request mean nothing (RFC 9112, section 2.2).
            if rest.starts_with(b"\r\n") {
                (at, self.seen) = (at + 2, 0);
                continue;
            }
            match self.next_head(rest) {
                Ok(None) => {
                    self.seen = rest.len();
                    held.drain(..at);
                    self.held = held;
                    return;
                }
                Ok(Some(end)) => {
                    let request = end + self.pass(&rest[end..]);
                    ready.extend_from_slice(&rest[..request]);
                    (at, self.seen) = (at + request, 0);
                    self.count += 1;
                }
                Err(fault) => {
                    // It was not set before: nothing is gathered after that.
                    let _ = self.refused.set((self.count, fault));
                    ready.extend_from_slice(REPLACEMENT);
                    return;
                }
            }
        }
    }

    /// Where the head ends that `bytes` begins with, when it is whole.
    fn next_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        if bytes.first().is_some_and(|b| !b.is_ascii_alphanumeric() && *b != b'\r') {
            return Err(Fault::Malformed("this is not a request of HTTP: is it one of HTTPS?"));
        }
        let end = end_of_head(bytes, self.seen)?;
        let head = &bytes[..end.unwrap_or(bytes.len())];
        let first_line = head.iter().position(|b| *b == b'\n').unwrap_or(head.len());
        if first_line > FIRST_LINE_BYTES_MAX {
            return Err(Fault::TargetTooLong);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(Fault::HeadTooLarge);
        }
        if end.is_some() {
            self.framing = Framing::after(head::check(head)?);
        }
        Ok(end)
    }
}

/// Where the first empty line of `head` ends, of which the bytes before `seen` hold none.
fn end_of_head(head: &[u8], seen: usize) -> Result<Option<usize>, Fault> {
    for at in seen..head.len() {
        if head[at] == b'\n' {
            if at == 0 || head[at - 1] != b'\r' {
                return Err(Fault::Malformed("a request ends each of its lines by CR and LF"));
            }
            if at >= 3 && head[at - 3..=at] == *b"\r\n\r\n" {
                return Ok(Some(at + 1));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// What goes on of `bytes`, which come in pieces of `size`, and what was refused.
    fn gathered(bytes: &[u8], size: usize) -> (Vec<u8>, Option<(u64, Fault)>) {
        let refused = Refused::default();
        let mut heads = Heads::new(Refused::clone(&refused));
        let mut ready = Vec::new();
        for piece in bytes.chunks(size) {
            if heads.is_refused() || heads.is_broken() {
                break;
            }
            let body = heads.pass(piece);
            ready.extend_from_slice(&piece[..body]);
            heads.gather(&piece[body..], &mut ready);
        }
        (ready, refused.get().copied())
    }

    #[test]
    fn requests_go_on_as_they_came_however_they_are_cut() {
        let bytes = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\nPUT /b HTTP/1.1\r\nhost: a\r\n\
                      content-length: 4\r\n\r\n\r\n\r\nPUT /c HTTP/1.1\r\nhost: a\r\n\
                      transfer-encoding: chunked\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n\
                      GET /d HTTP/1.1\r\nhost: a\r\n\r\n";
        for size in 1..bytes.len() {
            assert_eq!(gathered(bytes, size), (bytes.to_vec(), None), "{size}");
        }
    }

    #[test]
    fn a_request_that_is_refused_is_the_last() {
        let bytes = b"\r\n\r\nGET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\n\r\n\
                      GET /c HTTP/1.1\r\nhost: a\r\n\r\n";
        let expected = [&b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"[..], REPLACEMENT].concat();
        for size in 1..bytes.len() {
            let (ready, refused) = gathered(bytes, size);
            assert_eq!(ready, expected, "{size}");
            assert_eq!(refused.unwrap().0, 1);
        }
    }

    #[test]
    fn a_head_is_refused_as_soon_as_it_is_too_long_or_hopeless() {
        let long_target = [b"GET /".to_vec(), vec![b'x'; FIRST_LINE_BYTES_MAX]].concat();
        let long_header = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'x'; HEAD_BYTES_MAX]].concat();
        for (bytes, fault) in
            [(long_target, Fault::TargetTooLong), (long_header, Fault::HeadTooLarge)]
        {
            assert_eq!(gathered(&bytes, 4096), (REPLACEMENT.to_vec(), Some((0, fault))));
        }
        for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/1.1\nhost: a\n", b"\n"] {
            let (ready, refused) = gathered(bytes, 100);
            assert_eq!(ready, REPLACEMENT);
            assert!(matches!(refused, Some((0, Fault::Malformed(_)))), "{refused:?}");
        }
    }

    #[test]
    fn requests_sent_ahead_cost_no_more_than_their_length() {
        let bytes = b"GET / HTTP/1.1\r\nhost:\r\n\r\n".repeat(400_000);
        let begun = std::time::Instant::now();
        let (ready, refused) = gathered(&bytes, bytes.len());
        assert!(ready == bytes && refused.is_none());
        // Were each to move what is behind it, this would be minutes.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }

    proptest! {
        #[test]
        fn what_is_refused_does_not_depend_on_how_it_arrives(
            bytes in "(GET|PUT|G T) /[a-z]{0,3} HTTP/1.[01]\r\n\
                      (host: a\r\n|content-length: [0-9]{1,2}\r\n|transfer-encoding: chunked\r\n|\
                      x: \r?\n| y\r\n){0,4}\r\n[0-9a-f\r\n]{0,20}",
            size in 1usize..60,
        ) {
            let bytes = bytes.as_bytes();
            let (whole, cut) = (gathered(bytes, bytes.len()), gathered(bytes, size));
            prop_assert_eq!(&whole.1, &cut.1);
            prop_assert_eq!(whole.0, cut.0);
        }
    }
}
