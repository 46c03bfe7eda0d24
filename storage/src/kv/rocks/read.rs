//! Reading, alike from the database and from a snapshot of it.

use std::ops::Range;

use bytes::Bytes;
use rocksdb::{ColumnFamily, DB, DBRawIterator, Error, ReadOptions, Snapshot};

use super::super::{KvError, Space, Visitor};
use super::engine::Engine;

/// What can be read from.
pub(super) trait Source {
    fn value(&self, family: &ColumnFamily, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;
    fn iterate<'a>(&'a self, family: &ColumnFamily, options: ReadOptions) -> DBRawIterator<'a>;
}

impl Source for DB {
    fn value(&self, family: &ColumnFamily, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.get_cf(family, key)
    }

    fn iterate<'a>(&'a self, family: &ColumnFamily, options: ReadOptions) -> DBRawIterator<'a> {
        self.raw_iterator_cf_opt(family, options)
    }
}

impl Source for Snapshot<'_> {
    fn value(&self, family: &ColumnFamily, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.get_cf(family, key)
    }

    fn iterate<'a>(&'a self, family: &ColumnFamily, options: ReadOptions) -> DBRawIterator<'a> {
        self.raw_iterator_cf_opt(family, options)
    }
}

pub(super) fn get(
    engine: &Engine,
    source: &impl Source,
    space: Space,
    key: &[u8],
) -> Result<Option<Bytes>, KvError> {
    let value = source.value(engine.family(space)?, key).map_err(|error| engine.judge(error))?;
    Ok(value.map(Bytes::from))
}

pub(super) fn scan(
    engine: &Engine,
    source: &impl Source,
    space: Space,
    range: Range<&[u8]>,
    visit: &mut Visitor<'_>,
) -> Result<(), KvError> {
    if range.is_empty() {
        return Ok(());
    }
    let mut pairs = source.iterate(engine.family(space)?, within(&range));
    pairs.seek_to_first();
    while let Some((key, value)) = pairs.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        pairs.next();
    }
    pairs.status().map_err(|error| engine.judge(error))
}

pub(super) fn last(
    engine: &Engine,
    source: &impl Source,
    space: Space,
    range: Range<&[u8]>,
) -> Result<Option<(Bytes, Bytes)>, KvError> {
    if range.is_empty() {
        return Ok(None);
    }
    let mut pairs = source.iterate(engine.family(space)?, within(&range));
    pairs.seek_to_last();
    let copy = |(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    let last = pairs.item().map(copy);
    pairs.status().map_err(|error| engine.judge(error))?;
    Ok(last)
}

/// Bounds for the iterator itself, so that it never looks at the tombstones beyond them.
fn within(range: &Range<&[u8]>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(range.start);
    options.set_iterate_upper_bound(range.end);
    options
}
