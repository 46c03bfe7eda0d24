//! Reading the log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, ControlFlow, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use openraft::{OptionalSend, RaftLogReader};
use proto::DecodeError;
use proto::limits::LOG_READ_BYTES_MAX;
use storage::{Kv, Space};

use super::{LogSize, keys};
use crate::ReadError;
use crate::convert::Wire;
use crate::error::{io_error, remedy};
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// A reader of the log. Clones share it, and see what the store writes at once.
#[derive(Clone)]
pub(crate) struct LogReader {
    kv: Arc<dyn Kv>,
    /// The first index that can be there: reads start here, past the tombstones of what was
    /// purged.
    first: Arc<AtomicU64>,
    /// What was written, and so must be there.
    size: LogSize,
}

impl LogReader {
    pub(super) fn open(kv: Arc<dyn Kv>) -> io::Result<Self> {
        let reader = Self { kv, first: Arc::default(), size: LogSize::default() };
        if let Some(purged) = reader.purged()? {
            reader.starts_at(purged.index + 1);
        }
        Ok(reader)
    }

    /// The first index that can be in the log.
    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    /// Says that nothing before `first` is in the log any more.
    pub(super) fn starts_at(&self, first: u64) {
        self.first.fetch_max(first, Ordering::AcqRel);
    }

    /// The sizes of the entries.
    pub(super) const fn size(&self) -> &LogSize {
        &self.size
    }

    /// The position of the last purged entry.
    pub(super) fn purged(&self) -> io::Result<Option<LogId>> {
        self.log_id(keys::PURGED)
    }

    /// The position of the last entry that is there.
    pub(super) fn last(&self) -> io::Result<Option<LogId>> {
        let from = keys::entry(self.first());
        let last = self.kv.last(Space::Log, &from, keys::ENTRIES_END).map_err(io_error)?;
        last.map(|(_, value)| Entry::decode(value).map(|entry| entry.log_id))
            .transpose()
            .map_err(|error| self.damaged(&error))
    }

    /// The position that `key` holds.
    pub(super) fn log_id(&self, key: &[u8]) -> io::Result<Option<LogId>> {
        self.value(key)
    }

    fn value<T: Wire>(&self, key: &[u8]) -> io::Result<Option<T>> {
        let value = self.kv.get(Space::Log, key).map_err(io_error)?;
        value.map(T::decode).transpose().map_err(|error| self.damaged(&error))
    }

    /// The entries from `from` to before `to` that are there, until they have `bytes_max` bytes
    /// together. Only those that were purged may be missing before the first of them.
    fn entries(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let from = from.max(self.first());
        let mut entries: Vec<Entry> = Vec::new();
        if from >= to {
            return Ok(entries);
        }

        let mut bytes = 0;
        let mut failure = None;
        let mut visit = |_: &[u8], value: &[u8]| {
            match following(entries.last(), value) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
            bytes += value.len();
            if bytes >= bytes_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let (start, end) = (keys::entry(from), keys::entry(to));
        self.kv.scan(Space::Log, &start, &end, &mut visit).map_err(io_error)?;
        if let Some(error) = failure {
            return Err(self.damaged(&error));
        }
        // Logs of openraft's suite begin at 1.
        if from > 0
            && let Some(first) = after_gap(from, &entries)
            && self.purged()?.is_none_or(|purged| purged.index + 1 < first)
        {
            return Err(self.damaged(&missing()));
        }
        Ok(entries)
    }

    /// The bytes of the entries from `from` to before `to`.
    pub(super) fn sizes(&self, from: u64, to: u64) -> io::Result<Vec<usize>> {
        let mut sizes = Vec::new();
        let mut visit = |_: &[u8], value: &[u8]| {
            sizes.push(value.len());
            ControlFlow::Continue(())
        };
        let (start, end) = (keys::entry(from), keys::entry(to));
        self.kv.scan(Space::Log, &start, &end, &mut visit).map_err(io_error)?;
        Ok(sizes)
    }

    /// What reads and does not decode is not what was written, and a vote may not be either: the
    /// store has failed, and the node ends.
    pub(crate) fn damaged(&self, error: &DecodeError) -> io::Error {
        let failed = self
            .kv
            .fail(format!("the log is damaged, or of another version: {error}; {}", remedy(error)));
        io::Error::new(io::ErrorKind::InvalidData, ReadError::from(failed))
    }

    /// The entries from `from` to before `to`, read in bounded chunks as they are asked for. Fails
    /// if one is missing: openraft does not count what it gets, and would take the missing entry
    /// for applied.
    fn chunks(&self, from: u64, to: u64) -> impl Stream<Item = io::Result<Entry>> + use<> {
        let reader = self.clone();
        stream::try_unfold(from, move |from| {
            let reader = reader.clone();
            let chunk = reader.entries(from, to, LOG_READ_BYTES_MAX);
            async move {
                let chunk = chunk?;
                let is_lost = match chunk.is_empty() {
                    true => from.max(reader.first()) < to.min(reader.size.end()),
                    false => after_gap(from, &chunk).is_some(),
                };
                if is_lost {
                    return Err(reader.damaged(&missing()));
                }
                Ok::<_, io::Error>(
                    chunk
                        .last()
                        .map(|last| last.log_id.index + 1)
                        .map(|next| (stream::iter(chunk).map(Ok), next)),
                )
            }
        })
        .try_flatten()
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(range);
        self.entries(from, to, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.value(keys::VOTE)
    }

    /// Stops after [`LOG_READ_BYTES_MAX`], so that what is replicated fits a message; never returns
    /// nothing when there is something. What comes after purged entries is nothing here: it would
    /// be sent as what follows those before them.
    async fn limited_get_log_entries(&mut self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        let mut entries = self.entries(from, to, LOG_READ_BYTES_MAX)?;
        if after_gap(from, &entries).is_some() {
            entries.clear();
        }
        Ok(entries)
    }

    /// Reads committed entries for applying, those that a node has to apply again when it starts
    /// among them: one that is far behind applies in bounded memory.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(range);
        Box::pin(self.chunks(from, to))
    }
}

/// Reads the entry that comes after `last`: a log with a hole is no log.
fn following(last: Option<&Entry>, value: &[u8]) -> Result<Entry, DecodeError> {
    let entry = Entry::decode(Bytes::copy_from_slice(value))?;
    match last {
        Some(last) if last.log_id.index + 1 != entry.log_id.index => Err(missing()),
        _ => Ok(entry),
    }
}

/// The first index of `entries`, when that is not `from`.
fn after_gap(from: u64, entries: &[Entry]) -> Option<u64> {
    entries.first().map(|first| first.log_id.index).filter(|first| *first != from)
}

fn missing() -> DecodeError {
    DecodeError::new("log", "an entry is missing")
}

/// The first index of `range`, and the one after its last.
fn bounds(range: impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}
