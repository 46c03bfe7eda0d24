//! The bytes of a part of an upload, on their way to the store.

use std::mem;

use bytes::Bytes;

use super::budget::{Budget, Room};
use super::sizes::{FREE_BYTES, PART_BYTES};
use crate::blob::BlobsError;

/// What is set aside for the first bytes of a part.
const FIRST_BYTES: usize = 64 * 1024;

/// The bytes of a part. What is larger than a little takes room for a whole part, until nobody has
/// the bytes any more.
#[derive(Debug, Default)]
pub(super) struct Part {
    bytes: Vec<u8>,
    room: Option<Room>,
}

impl Part {
    /// An empty part with room for `length` bytes.
    pub(super) async fn with_room_for(length: u64, budget: &Budget) -> Result<Self, BlobsError> {
        let is_free = length <= FREE_BYTES as u64;
        let room = if is_free { None } else { Some(budget.room().await?) };
        Ok(Self { bytes: Vec::new(), room })
    }

    /// The same part, with `bytes` in the place of its own.
    pub(super) fn filled(mut self, bytes: Vec<u8>) -> Self {
        self.bytes = bytes;
        self
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many more it may have.
    pub(super) fn left(&self) -> usize {
        PART_BYTES.saturating_sub(self.bytes.len())
    }

    /// Adds `frame`, for which it must have bytes left.
    pub(super) async fn extend(&mut self, frame: &[u8], budget: &Budget) -> Result<(), BlobsError> {
        let length = self.bytes.len() + frame.len();
        if length > FREE_BYTES && self.bytes.capacity() < PART_BYTES {
            let room = match self.room.take() {
                Some(room) => room,
                None => budget.room().await?,
            };
            let mut buffer = room.buffer();
            buffer.extend_from_slice(&self.bytes);
            self.bytes = buffer;
            self.room = Some(room);
        } else if length > self.bytes.capacity() {
            // Twice as much each time.
            let wanted = (2 * length).clamp(FIRST_BYTES, FREE_BYTES);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(frame);
        Ok(())
    }

    /// Its bytes, which give the room back when the last that has them drops them.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(room) = &self.room {
            room.keep(mem::take(&mut self.bytes));
        }
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_part_takes_room_from_when_it_is_large_until_nobody_has_it() {
        let budget = Budget::new(1);
        let mut small = Part::default();
        small.extend(&vec![0; FREE_BYTES], &budget).await.unwrap();
        let mut large = Part::default();
        large.extend(&[1; 3], &budget).await.unwrap();
        large.extend(&vec![1; FREE_BYTES], &budget).await.unwrap();
        let waits = small.extend(&[0], &budget).now_or_never();
        assert!(waits.is_none(), "there is room for one");
        let bytes = large.into_bytes();
        let piece = bytes.slice(0..1);
        drop(bytes);
        assert!(small.extend(&[0], &budget).now_or_never().is_none(), "it is still there");
        drop(piece);
        small.extend(&[0], &budget).now_or_never().unwrap().unwrap();
        assert_eq!((small.len(), small.left()), (FREE_BYTES + 1, PART_BYTES - FREE_BYTES - 1));
    }

    #[tokio::test]
    async fn a_part_never_sets_more_aside_than_it_may_have() {
        let budget = Budget::new(1);
        let mut part = Part::default();
        while part.left() > 0 {
            let frame = part.left().min(10_007);
            part.extend(&vec![0; frame], &budget).await.unwrap();
            assert!(part.bytes.capacity() <= PART_BYTES);
        }
        assert_eq!(part.len(), PART_BYTES);
    }

    #[tokio::test]
    async fn a_part_has_the_buffer_of_one_before_it() {
        let budget = Budget::new(2);
        let mut first = Part::default();
        first.extend(&vec![1; FREE_BYTES + 1], &budget).await.unwrap();
        let buffer = first.bytes.as_ptr();
        drop(first.into_bytes());
        let mut second = Part::default();
        second.extend(&vec![2; FREE_BYTES], &budget).await.unwrap();
        second.extend(&[3], &budget).await.unwrap();
        assert_eq!(second.bytes.as_ptr(), buffer);
        assert!(second.bytes[..FREE_BYTES].iter().all(|byte| *byte == 2));
        assert_eq!((second.len(), second.bytes[FREE_BYTES]), (FREE_BYTES + 1, 3));
    }

    #[tokio::test]
    async fn bytes_that_are_read_back_take_room_before_they_are() {
        let budget = Budget::new(1);
        let part = Part::with_room_for(FREE_BYTES as u64 + 1, &budget).await.unwrap();
        assert!(Part::with_room_for(1, &budget).now_or_never().is_some());
        let waits = Part::with_room_for(FREE_BYTES as u64 + 1, &budget).now_or_never();
        assert!(waits.is_none());
        drop(part.filled(vec![0; FREE_BYTES + 1]));
        assert!(Part::with_room_for(u64::MAX, &budget).now_or_never().is_some());
    }
}
