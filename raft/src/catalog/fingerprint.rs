//! A number that tells two catalogs apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use storage::KvRead;

use super::View;
use super::applied::Applied;
use super::keys::{self, Generation};
use crate::ReadError;

/// A sum over all rows of a catalog: two nodes that have applied the log equally far have equal
/// ones. The order of rows does not matter to it, so it can follow a store write by write.
///
/// The rows of a generation that is not current yet, a snapshot that arrives, are summed apart.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint {
    sums: BTreeMap<Generation, u128>,
}

impl Fingerprint {
    /// Follows a write to the space of the catalog: the value of `key` was `old` and is `new`.
    pub fn follow(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        let Some((generation, row)) = keys::split(key) else { return };
        let sum = self.sums.entry(generation).or_default();
        if let Some(old) = old {
            *sum = sum.wrapping_sub(hash(row, old));
        }
        if let Some(new) = new {
            *sum = sum.wrapping_add(hash(row, new));
        }
    }

    /// The sum over all rows of `view`, and the index of the last log entry that is applied in
    /// them; `None` before the first. Reads each of them: seconds, where there are millions.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn of_all(view: &View) -> Result<Option<(u64, u128)>, ReadError> {
        let mut sum = 0_u128;
        let prefix = keys::prefix(view.keys().generation());
        view.visit(&prefix, None, usize::MAX, |row, value| {
            sum = sum.wrapping_add(hash(row, value));
        })?;
        let applied = Applied::read(view)?.last.map(|id| id.index());
        Ok(applied.map(|index| (index, sum)))
    }

    /// The sum over the rows that are current in `rows`, which this has followed, and the index of
    /// the last log entry that is applied in them; `None` before the first.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn of_current(&self, rows: Arc<dyn KvRead>) -> Result<Option<(u64, u128)>, ReadError> {
        let view = View::current(rows)?;
        let applied = Applied::read(&view)?.last.map(|id| id.index());
        let sum = self.sums.get(&view.keys().generation()).copied().unwrap_or_default();
        Ok(applied.map(|index| (index, sum)))
    }
}

fn hash(row: &[u8], value: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    hash.update((row.len() as u64).to_be_bytes());
    hash.update(row);
    hash.update(value);
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    u128::from_be_bytes(half)
}
