//! The rows of a snapshot on their way from one node to another.

use std::io;

use bytes::Bytes;
use proto::pb::peer as pb;
use sha2::{Digest as _, Sha256};

use crate::catalog::{CatalogSnapshot, Row, StagedRows};
use crate::types::SnapshotMeta;

/// A frozen catalog, from which the rows of a snapshot are read.
pub(crate) trait SnapshotSource: Send + 'static {
    /// The next rows in the order of their keys, of about `bytes_max` bytes together; none at the
    /// end. Blocks while it reads.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn next_rows(&mut self, bytes_max: usize) -> io::Result<Vec<Row>>;
}

/// A catalog in the making, into which the rows of a snapshot are written. Nothing of it is used
/// before it is installed; when it is dropped instead, it is forgotten.
pub(crate) trait SnapshotSink: Send + 'static {
    /// Writes the next rows, in the order of their keys. Blocks while it writes.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn write_rows(&mut self, rows: Vec<Row>) -> io::Result<()>;

    /// What the rows that were written say of themselves.
    ///
    /// # Errors
    /// When they do not say it, or the store cannot be read.
    fn meta(&self) -> io::Result<SnapshotMeta>;
}

impl SnapshotSource for CatalogSnapshot {
    fn next_rows(&mut self, bytes_max: usize) -> io::Result<Vec<Row>> {
        match self {
            Self::Frozen(rows) => rows.next_rows(bytes_max),
            Self::Staged(_) => Err(io::Error::other("a snapshot that arrives is not sent on")),
        }
    }
}

impl SnapshotSink for StagedRows {
    fn write_rows(&mut self, rows: Vec<Row>) -> io::Result<()> {
        Self::write_rows(self, rows)
    }

    fn meta(&self) -> io::Result<SnapshotMeta> {
        Ok(self.applied()?.meta())
    }
}

/// Counts and hashes rows on both sides, so that a snapshot which lost or changed some on its way
/// is not installed.
#[derive(Clone, Default)]
pub(super) struct RowSum {
    rows: u64,
    hash: Sha256,
}

impl RowSum {
    /// Adds rows. Lengths are part of it, so that no two lists of rows have the same sum.
    pub(super) fn add(&mut self, rows: &[Row]) {
        for (key, value) in rows {
            for part in [key, value] {
                self.hash.update((part.len() as u64).to_be_bytes());
                self.hash.update(part);
            }
            self.rows += 1;
        }
    }

    /// The message that ends the snapshot.
    pub(super) fn end(self) -> pb::SnapshotEnd {
        let sha256 = Bytes::copy_from_slice(&self.hash.finalize());
        pb::SnapshotEnd { rows: self.rows, sha256 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[(&'static str, &'static str)]) -> pb::SnapshotEnd {
        let rows: Vec<Row> = rows.iter().map(|(k, v)| (Bytes::from(*k), Bytes::from(*v))).collect();
        let mut sum = RowSum::default();
        sum.add(&rows);
        sum.end()
    }

    #[test]
    fn moving_a_byte_between_key_and_value_changes_the_sum() {
        assert_ne!(sum(&[("ab", "c")]), sum(&[("a", "bc")]));
        assert_ne!(sum(&[("a", "b"), ("c", "d")]), sum(&[("c", "d"), ("a", "b")]));
        assert_eq!(sum(&[("a", "b")]), sum(&[("a", "b")]));
    }
}
