//! Reading from the disk, which fails when the disk does, and where a bit has flipped.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use storage::kv::Visitor;
use storage::{KvError, KvRead, Space};

use super::SimDisk;

/// Rows of the disk as one process reads them: those of now, or frozen ones.
pub(super) struct Surface {
    pub(super) disk: SimDisk,
    pub(super) process: u64,
    pub(super) rows: Arc<dyn KvRead>,
    /// One of those that [`OpenDisk`](super::OpenDisk) counts.
    pub(super) _counted: Arc<()>,
}

impl Surface {
    fn check(&self, space: Space, key: &[u8]) -> Result<(), KvError> {
        let mut state = self.disk.state();
        let was_sound = !state.is_failed();
        let checked = state.check_row(self.process, space, key);
        if was_sound && state.is_failed() {
            self.disk.chronicle.count(match checked {
                Err(ref error) if *error == super::failed() => "reads that failed",
                _ => "flipped bits that were found",
            });
        }
        checked
    }
}

impl KvRead for Surface {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.check(space, key)?;
        self.rows.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        let mut checked = self.check(space, from);
        if checked.is_ok() {
            self.rows.scan(space, from, to, &mut |key, value| {
                checked = self.check(space, key);
                if checked.is_err() { ControlFlow::Break(()) } else { visit(key, value) }
            })?;
        }
        checked
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        self.check(space, from)?;
        let last = self.rows.last(space, from, to)?;
        if let Some((key, _)) = &last {
            self.check(space, key)?;
        }
        Ok(last)
    }
}
