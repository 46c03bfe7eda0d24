//! Where an object ends.

use std::io;

use proto::ObjectKey;

use super::folder::{Folder, sync_folder};
use super::parts::{part, parts};
use crate::blob::files::Part;
use crate::blob::{Position, Tip};

/// The end of an object, or of nothing.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Its last part.
    pub(super) last: Option<Part>,
    /// How many parts it has.
    pub(super) count: usize,
}

impl End {
    /// The end of `object`, found by looking at all its parts.
    pub(super) fn of(folder: &Folder, object: ObjectKey) -> io::Result<Self> {
        parts(folder, object, 0).try_fold(Self::default(), |end, part| {
            Ok(Self { last: Some(part?), count: end.count + 1 })
        })
    }

    /// The same, durably.
    pub(super) fn durable(folder: &Folder, object: ObjectKey) -> io::Result<Self> {
        let end = Self::of(folder, object)?;
        // The node that renamed the last part to its place may have died before it synced the
        // folder.
        if end.last.is_some() {
            sync_folder(&folder.shard(object))?;
        }
        Ok(end)
    }

    /// The end of `object`, if it is where `at` says: its tip tells of the last part, so that two
    /// looks are enough. Parts are removed from the last to the first, so what comes before one
    /// that is there is there too.
    pub(super) fn told(
        folder: &Folder,
        object: ObjectKey,
        at: Position,
    ) -> io::Result<Option<Self>> {
        let tip = u128::from_be_bytes(*at.tip.as_bytes());
        let (Ok(start), Ok(count)) = (u64::try_from(tip >> 64), usize::try_from(tip & LOW)) else {
            return Ok(None);
        };
        if count == 0 {
            return Ok(None);
        }
        let last = part(folder, object, start)?.filter(|part| part.end == at.extent);
        if last.is_none() || part(folder, object, at.extent)?.is_some() {
            return Ok(None);
        }
        Ok(Some(Self { last, count }))
    }

    /// What clients are told of it, and say when they go on.
    pub(super) fn position(&self) -> Position {
        let Some(last) = &self.last else { return Position::START };
        let tip = (u128::from(last.start) << 64) | self.count as u128;
        Position { extent: last.end, tip: Tip::from_bytes(tip.to_be_bytes()) }
    }
}

/// The half of a tip that says how many parts there are.
const LOW: u128 = u64::MAX as u128;
