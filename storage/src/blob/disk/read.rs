//! Reading an object: finding the parts that hold what is wanted of it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use proto::ObjectKey;

use super::folder::Folder;
use super::parts::parts;
use crate::blob::error::failure;
use crate::blob::files::Source;
use crate::blob::{BlobsError, ByteStream};

/// Reads `range` of `object`, see [`crate::Blobs::read`].
pub(super) async fn read(
    folder: &Arc<Folder>,
    object: ObjectKey,
    range: Range<u64>,
) -> Result<ByteStream, BlobsError> {
    if range.is_empty() {
        return Ok(stream::empty().boxed());
    }
    let source = folder.blocking(move |folder| find(folder, object, &range)).await?;
    Ok(source.read(&folder.threads))
}

/// Finds the parts that hold `range`, and opens the first.
fn find(folder: &Folder, object: ObjectKey, range: &Range<u64>) -> Result<Source, BlobsError> {
    let found = folder.surely(object, || look(folder, object, range)).map_err(failure)?;
    found.ok_or(BlobsError::Missing(object))
}

fn look(folder: &Folder, object: ObjectKey, range: &Range<u64>) -> io::Result<Option<Source>> {
    let mut within = Vec::new();
    for part in parts(folder, object, 0) {
        let part = part?;
        let is_last = part.end >= range.end;
        if part.end > range.start {
            within.push(part);
        }
        if is_last {
            return match Source::open(range.clone(), within) {
                Ok(source) => Ok(Some(source)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            };
        }
    }
    Ok(None)
}
