//! The memory that uploads take on their way.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::sizes::{PART_BYTES, PARTS_IN_FLIGHT};
use crate::blob::BlobsError;

/// Buffers that are kept for the next part: all that one transfer needs. An allocator that got each
/// of them anew would hold twice as many, since they are freed on other threads.
const SPARE_MAX: usize = PARTS_IN_FLIGHT + 1;

/// How many parts may be in memory at once, of all uploads of a node together.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    rooms: Arc<Semaphore>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Budget {
    /// Room for so many parts.
    pub(super) fn new(parts: usize) -> Self {
        Self { rooms: Arc::new(Semaphore::new(parts)), spare: Arc::default() }
    }

    /// Waits until there is room for a part. A transfer that waits holds back its client; one that
    /// has room needs no more of it to end, so that the room will be free again.
    pub(super) async fn room(&self) -> Result<Room, BlobsError> {
        let permit = Arc::clone(&self.rooms).acquire_owned().await;
        let permit = permit.map_err(|closed| BlobsError::Unavailable(io::Error::other(closed)))?;
        Ok(Room { _permit: permit, budget: self.clone() })
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for one part.
#[derive(Debug)]
pub(super) struct Room {
    _permit: OwnedSemaphorePermit,
    budget: Budget,
}

impl Room {
    /// An empty buffer for a whole part.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let spare = self.budget.spare().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(PART_BYTES))
    }

    /// Keeps `buffer` for the next part.
    pub(super) fn keep(&self, mut buffer: Vec<u8>) {
        let mut spare = self.budget.spare();
        if buffer.capacity() == PART_BYTES && spare.len() < SPARE_MAX {
            buffer.clear();
            spare.push(buffer);
        }
    }
}
