//! Bodies as they come in.

use futures::{StreamExt as _, stream};

use super::{BlobsError, ByteStream};

/// `body` from its first byte on; `None` when it has none.
///
/// # Errors
/// [`BlobsError::Body`] when it fails before.
pub(super) async fn begun(mut body: ByteStream) -> Result<Option<ByteStream>, BlobsError> {
    loop {
        match body.next().await.transpose().map_err(BlobsError::Body)? {
            None => return Ok(None),
            Some(frame) if frame.is_empty() => {}
            Some(frame) => {
                let first = stream::once(async move { Ok(frame) });
                return Ok(Some(first.chain(body).boxed()));
            }
        }
    }
}
