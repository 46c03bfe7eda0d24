//! How many bytes the entries of the log have, each of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sizes of the entries that are there. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogSize(Arc<Mutex<Sizes>>);

#[derive(Debug, Default)]
struct Sizes {
    /// The index after the last entry.
    end: u64,
    /// The sizes of the entries before `end`, oldest first.
    entries: VecDeque<u32>,
    bytes: u64,
}

impl LogSize {
    /// The bytes of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.sizes().bytes
    }

    /// The index after the last entry, as far as entries were counted or written.
    pub(super) fn end(&self) -> u64 {
        self.sizes().end
    }

    /// The last of the entries that must go for the others to have no more than `kept` bytes.
    pub(crate) fn excess(&self, kept: u64) -> Option<u64> {
        let sizes = self.sizes();
        let mut bytes = 0;
        let newest = sizes.entries.iter().rev().position(|entry| {
            bytes += u64::from(*entry);
            bytes > kept
        })?;
        Some(sizes.end - 1 - newest as u64)
    }

    /// The sizes of a log that begins at `first`, with entries of so many bytes.
    #[cfg(test)]
    pub(crate) fn of(first: u64, entries: &[usize]) -> Self {
        let size = Self::default();
        for (index, bytes) in (first..).zip(entries) {
            size.append(index, *bytes);
        }
        size
    }

    /// Notes that the entry at `index` is the last one now, and has so many bytes.
    pub(super) fn append(&self, index: u64, bytes: usize) {
        let mut sizes = self.sizes();
        sizes.truncate(index);
        if sizes.end != index {
            *sizes = Sizes { end: index, ..Sizes::default() };
        }
        sizes.end += 1;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        sizes.entries.push_back(bytes);
        sizes.bytes += u64::from(bytes);
    }

    /// Notes that the entries before those it knows, which end at `end` if it knows none, have so
    /// many bytes, the first one first.
    pub(super) fn prepend(&self, end: u64, before: &[usize]) {
        let mut sizes = self.sizes();
        if sizes.entries.is_empty() {
            sizes.end = end;
        }
        for bytes in before.iter().rev() {
            let bytes = u32::try_from(*bytes).unwrap_or(u32::MAX);
            sizes.entries.push_front(bytes);
            sizes.bytes += u64::from(bytes);
        }
    }

    /// Notes that there is no entry from `end` on.
    pub(super) fn truncate(&self, end: u64) {
        self.sizes().truncate(end);
    }

    /// Notes that there is no entry before `first`.
    pub(super) fn purge(&self, first: u64) {
        let mut sizes = self.sizes();
        while sizes.first() < first
            && let Some(bytes) = sizes.entries.pop_front()
        {
            sizes.bytes -= u64::from(bytes);
        }
    }

    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sizes {
    fn first(&self) -> u64 {
        self.end - self.entries.len() as u64
    }

    fn truncate(&mut self, end: u64) {
        while self.end > end
            && let Some(bytes) = self.entries.pop_back()
        {
            self.bytes -= u64::from(bytes);
            self.end -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_go_is_found_from_the_last_entry_back() {
        let size = LogSize::of(7, &[10, 20, 30, 40]);
        assert_eq!(size.bytes(), 100);
        for (kept, expected) in [
            (100, None),
            (99, Some(7)),
            (90, Some(7)),
            (70, Some(8)),
            (39, Some(10)),
            (0, Some(10)),
        ] {
            assert_eq!(size.excess(kept), expected, "{kept}");
        }
        assert_eq!(LogSize::default().excess(0), None);
    }

    #[test]
    fn entries_that_are_purged_truncated_or_written_anew_count_no_more() {
        let size = LogSize::of(7, &[10, 20, 30, 40]);
        size.purge(8);
        size.truncate(10);
        assert_eq!((size.bytes(), size.excess(0)), (50, Some(9)));
        size.append(9, 5);
        assert_eq!((size.bytes(), size.excess(0)), (25, Some(9)));
        size.purge(100);
        assert_eq!((size.bytes(), size.excess(0)), (0, None));
        size.append(100, 3);
        assert_eq!((size.bytes(), size.excess(0)), (3, Some(100)), "after a snapshot");
    }

    #[test]
    fn earlier_entries_are_counted_after_later_ones() {
        let size = LogSize::default();
        size.prepend(9, &[30, 40]);
        size.prepend(7, &[10, 20]);
        assert_eq!((size.bytes(), size.excess(69), size.excess(90)), (100, Some(7), Some(5)));
        size.append(9, 50);
        assert_eq!((size.bytes(), size.excess(50)), (150, Some(8)));
    }
}
