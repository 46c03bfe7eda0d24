//! Listing the bucket, page by page.

use std::io;

use aws_sdk_s3::primitives::DateTime;
use futures::{Stream, stream};

use super::bucket::{Bucket, Multipart};
use super::client::Patience;
use super::error::{failure, lacking};
use super::keys::Keys;
use crate::blob::BlobsError;

/// What a list says of an object.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its name in the bucket.
    pub(super) name: String,
    /// When it was written, by the store's clock.
    pub(super) written: Moment,
}

/// A time by the store's clock, in nanoseconds since 1970.
pub(super) type Moment = i128;

/// Where a list goes on.
enum Next<T> {
    From(T),
    End,
}

impl Bucket {
    /// The objects whose names begin with `prefix`. A page is all that is held.
    pub(super) fn list(
        &self,
        prefix: String,
    ) -> impl Stream<Item = Result<Vec<Entry>, BlobsError>> + Send + use<'_> {
        stream::try_unfold(Next::From(None), move |next| {
            let prefix = prefix.clone();
            async move {
                let Next::From(token) = next else { return Ok(None) };
                let page = self
                    .client
                    .list_objects_v2()
                    .bucket(&self.name)
                    .prefix(prefix)
                    .set_continuation_token(token)
                    .customize()
                    .config_override(Patience::Page.config())
                    .send()
                    .await
                    .map_err(|error| failure(&error))?;
                let next = match (page.is_truncated, page.next_continuation_token) {
                    (Some(true), Some(token)) => Next::From(Some(token)),
                    (Some(true), None) => return Err(broken_off()),
                    _ => Next::End,
                };
                let objects = page.contents.unwrap_or_default().into_iter();
                // None is left out: it may be a cursor, without which what it names is swept.
                let entries = objects.map(|object| {
                    let name = object.key.ok_or_else(|| lacking("list", "Key"))?;
                    let written = object.last_modified.map(moment);
                    let written = written.ok_or_else(|| lacking("list", "LastModified"))?;
                    Ok(Entry { name, written })
                });
                Ok(Some((entries.collect::<Result<_, BlobsError>>()?, next)))
            }
        })
    }

    /// The multipart uploads of objects that began before `cutoff`, of all that the store shows.
    /// Some show none here, and end them by themselves.
    pub(super) fn begun_before(
        &self,
        cutoff: Moment,
    ) -> impl Stream<Item = Result<Vec<Multipart>, BlobsError>> + Send + use<'_> {
        stream::try_unfold(Next::From((None, None)), move |next| async move {
            let Next::From((key, id)) = next else { return Ok(None) };
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(&self.name)
                .prefix(self.keys.objects())
                .set_key_marker(key)
                .set_upload_id_marker(id)
                .customize()
                .config_override(Patience::Page.config())
                .send()
                .await
                .map_err(|error| failure(&error))?;
            let next = match (page.is_truncated, page.next_key_marker) {
                (Some(true), Some(key)) => Next::From((Some(key), page.next_upload_id_marker)),
                (Some(true), None) => return Err(broken_off()),
                _ => Next::End,
            };
            let uploads = page.uploads.unwrap_or_default().into_iter();
            let is_old = |begun| moment(begun) <= cutoff;
            let uploads = uploads.filter(|upload| upload.initiated.is_some_and(is_old));
            let uploads = uploads.filter_map(|upload| {
                Some(Multipart { key: Keys::key_of(&upload.key?)?, id: upload.upload_id? })
            });
            Ok(Some((uploads.collect(), next)))
        })
    }
}

fn moment(time: DateTime) -> Moment {
    time.as_nanos()
}

fn broken_off() -> BlobsError {
    BlobsError::Unavailable(io::Error::other("a list of the store broke off"))
}
