//! Blobs no two of which are alike, and whose digests cost next to nothing.
//!
//! All blobs of one size share their bytes up to the last [`TAIL_BYTES`], which are hashed once.
//! The tail holds the run's seed and the blob's number. So a digest costs the hashing of a tail,
//! and the generator does not compete with the servers for the machine; a registry, which keeps
//! whole blobs, can neither know a blob before it has read all of it, nor store it once for two.
//! The shared bytes are random, so that they do not compress.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use proto::{Algorithm, Digest, Hasher};

use crate::size::SizeMix;

/// Bytes at the end of a blob that are its own.
const TAIL_BYTES: usize = 32;
/// The shared bytes repeat after so many.
const BLOCK_BYTES: usize = 4 << 20;
/// Most bytes of one frame of a body.
const FRAME_BYTES: usize = 512 << 10;

/// Makes the blobs of one run.
pub(crate) struct Content {
    seed: u64,
    mix: SizeMix,
    block: Bytes,
    /// For each size of the mix, what hashing has come to before the tail.
    hashers: Vec<(u64, Hasher)>,
}

/// A blob to push, and to compare what is pulled with.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) payload: Payload,
}

impl Content {
    /// The content that follows from `seed`. Hashes one blob of each size.
    pub(crate) fn new(seed: u64, mix: SizeMix) -> Self {
        let mut block = vec![0; BLOCK_BYTES];
        fastrand::Rng::with_seed(seed).fill(&mut block);
        let block = Bytes::from(block);
        let hashers = mix.sizes().map(|size| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            let mut shared = Payload::shared(&block, size);
            while let Some(piece) = shared.next() {
                hasher.update(&piece);
            }
            (size, hasher)
        });
        let hashers = hashers.collect();
        Self { seed, mix, block, hashers }
    }

    /// The blob `number`, which is the same whenever the seed and the mix are.
    pub(crate) fn blob(&self, number: u64) -> Blob {
        let mut rng = self.rng(number);
        let (size, hasher) = &self.hashers[self.mix.draw(&mut rng)];
        let mut tail = [0; TAIL_BYTES];
        rng.fill(&mut tail);
        tail[..8].copy_from_slice(&self.seed.to_be_bytes());
        tail[8..16].copy_from_slice(&number.to_be_bytes());
        let mut hasher = hasher.clone();
        hasher.update(&tail);
        let mut payload = Payload::shared(&self.block, *size);
        payload.tail = Bytes::copy_from_slice(&tail);
        Blob { digest: hasher.finish(), payload }
    }

    /// From what all of it follows.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Chance that is the same for the same seed and number.
    pub(crate) fn rng(&self, number: u64) -> fastrand::Rng {
        // Seeds that differ by one give streams that are alike at first: they are mixed before.
        fastrand::Rng::with_seed(fastrand::Rng::with_seed(self.seed ^ number).u64(..) ^ number)
    }
}

/// The body of a request: some of a block that repeats, then a tail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    block: Bytes,
    at: usize,
    shared: u64,
    tail: Bytes,
}

impl Payload {
    /// A body of these bytes.
    pub(crate) fn of(bytes: impl Into<Bytes>) -> Self {
        Self { tail: bytes.into(), ..Self::default() }
    }

    /// What a blob of `size` has before its tail.
    fn shared(block: &Bytes, size: u64) -> Self {
        let shared = size.saturating_sub(TAIL_BYTES as u64);
        Self { block: block.clone(), at: 0, shared, tail: Bytes::new() }
    }

    /// How many bytes are left to send.
    pub(crate) fn len(&self) -> u64 {
        self.shared + self.tail.len() as u64
    }

    fn next(&mut self) -> Option<Bytes> {
        if self.shared == 0 {
            let tail = std::mem::take(&mut self.tail);
            return (!tail.is_empty()).then_some(tail);
        }
        let most = FRAME_BYTES.min(self.block.len() - self.at);
        let length = usize::try_from(self.shared).unwrap_or(usize::MAX).min(most);
        let piece = self.block.slice(self.at..self.at + length);
        self.at = (self.at + length) % self.block.len();
        self.shared -= length as u64;
        Some(piece)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test panics")]

    use std::collections::BTreeSet;

    use super::*;

    fn content(seed: u64, mix: &str) -> Content {
        Content::new(seed, mix.parse().expect("it is a mix"))
    }

    fn bytes(mut payload: Payload) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = payload.next() {
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    #[test]
    fn a_blob_has_the_digest_and_the_length_that_it_says() {
        for size in ["64", "4KiB", "5000000", "9MiB"] {
            let blob = content(7, size).blob(3);
            let bytes = bytes(blob.payload.clone());
            assert_eq!(bytes.len() as u64, blob.payload.len(), "{size}");
            assert_eq!(blob.digest, Digest::of(Algorithm::Sha256, &bytes), "{size}");
        }
    }

    #[test]
    fn no_two_blobs_of_one_run_or_two_runs_are_alike() {
        let mut digests = BTreeSet::new();
        for seed in 0..10 {
            let content = content(seed, "64,100");
            digests.extend((0..1_000).map(|number| content.blob(number).digest.to_string()));
        }
        assert_eq!(digests.len(), 10_000);
    }

    #[test]
    fn the_same_seed_gives_the_same_blobs() {
        let (one, two) = (content(5, "1KiB:3,2KiB"), content(5, "1KiB:3,2KiB"));
        for number in 0..100 {
            assert_eq!(one.blob(number).digest, two.blob(number).digest);
        }
    }
}
