//! One bucket, and the few things that are asked of it.

use std::io;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use bytes::{Bytes, BytesMut};
use proto::ObjectKey;
use tokio::time::timeout;

use super::S3Settings;
use super::client::{Patience, client};
use super::error::{failure, is_absent, lacking, status};
use super::keys::Keys;
use super::sizes::SEGMENT_MIN;
use crate::blob::BlobsError;
use crate::blob::s3::Encryption;

/// What every byte on its way to the store is checked with: all stores know it, and processors
/// compute it fast.
const CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc32C;

/// Largest object that is read whole, in bytes: a segment that is read back has fewer than 5 MiB,
/// and the longest cursor, of ten thousand segments, some 600 KiB.
const SMALL_MAX: u64 = SEGMENT_MIN;

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) name: String,
    pub(super) keys: Keys,
    encryption: Encryption,
}

/// A small object, read whole.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) bytes: Bytes,
    /// The store's name for exactly this content, if it came with one.
    pub(super) etag: Option<String>,
}

/// When an object may be written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    /// In any case.
    Always,
    /// When there is none.
    Absent,
    /// When it still is this.
    Unchanged(&'a str),
}

/// What came of writing under a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is written.
    Yes,
    /// The condition did not hold, or another writer was just at it.
    Conflict,
    /// The store has no conditions.
    Unsupported,
}

/// A multipart upload of the store.
#[derive(Clone, Debug)]
pub(super) struct Multipart {
    /// The object that it will be.
    pub(super) key: ObjectKey,
    /// What the store calls it.
    pub(super) id: String,
}

impl Bucket {
    pub(super) async fn new(settings: &S3Settings, http: SharedHttpClient) -> Self {
        Self {
            client: client(settings, http).await,
            name: settings.bucket.clone(),
            keys: Keys::new(&settings.prefix),
            encryption: settings.encryption.clone(),
        }
    }

    /// The object under `key`, which must be small; `None` when there is none.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Found>, BlobsError> {
        let answer = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failure(&error)),
        };
        let etag = answer.e_tag;
        let mut body = answer.body;
        let mut bytes = BytesMut::new();
        let broken = |error| Err(BlobsError::Unavailable(error));
        loop {
            match timeout(super::READ_IDLE_MAX, body.try_next()).await {
                Ok(Ok(Some(frame))) => bytes.extend_from_slice(&frame),
                Ok(Ok(None)) => return Ok(Some(Found { bytes: bytes.freeze(), etag })),
                Ok(Err(error)) => return broken(error.into()),
                Err(late) => return broken(late.into()),
            }
            if bytes.len() as u64 > SMALL_MAX {
                return broken(io::Error::other(format!("{key} is larger than anything like it")));
            }
        }
    }

    /// How many bytes the object under `key` has; `None` when there is none.
    pub(super) async fn head(&self, key: &str) -> Result<Option<u64>, BlobsError> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(answer) => {
                let length = answer.content_length.and_then(|length| u64::try_from(length).ok());
                length.map(Some).ok_or_else(|| lacking("HEAD", "Content-Length"))
            }
            // An answer to a HEAD does not say who gave it: perhaps a proxy.
            Err(error) if status(&error) == Some(404) => self.length_told_by_a_read(key).await,
            Err(error) => Err(failure(&error)),
        }
    }

    /// What [`Bucket::head`] asks, of a request whose refusal says what is not there.
    async fn length_told_by_a_read(&self, key: &str) -> Result<Option<u64>, BlobsError> {
        let first = self.client.get_object().bucket(&self.name).key(key).range("bytes=0-0");
        match first.send().await {
            Ok(answer) => {
                let range = answer.content_range.unwrap_or_default();
                let length = range.rsplit('/').next().and_then(|length| length.parse().ok());
                length.map(Some).ok_or_else(|| lacking("GET of one byte", "Content-Range"))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Writes `bytes` under `key`.
    pub(super) async fn put(
        &self,
        key: &str,
        bytes: impl Into<Bytes>,
        condition: Condition<'_>,
        patience: Patience,
    ) -> Result<Written, BlobsError> {
        let (encryption, kms_key) = self.encryption();
        let mut request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .checksum_algorithm(CHECKSUM)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .body(ByteStream::from(bytes.into()));
        request = match condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        let is_conditional = !matches!(condition, Condition::Always);
        match request.customize().config_override(patience.config()).send().await {
            Ok(_) => Ok(Written::Yes),
            Err(error) if is_conditional => match status(&error) {
                // RFC 9110, section 13.1; 409 is Amazon's for two writers at once, 404 its answer
                // when what should be unchanged is gone.
                Some(412 | 409) => Ok(Written::Conflict),
                Some(404) if is_absent(&error) => Ok(Written::Conflict),
                Some(501) => Ok(Written::Unsupported),
                _ => Err(failure(&error)),
            },
            Err(error) => Err(failure(&error)),
        }
    }

    /// Removes the object under `key`, if it is there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), BlobsError> {
        match self.client.delete_object().bucket(&self.name).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Begins a multipart upload of the object `key`.
    pub(super) async fn begin(&self, key: ObjectKey) -> Result<Multipart, BlobsError> {
        let (encryption, kms_key) = self.encryption();
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&self.name)
            .key(self.keys.object(key))
            .checksum_algorithm(CHECKSUM)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .send()
            .await
            .map_err(|error| failure(&error))?;
        let id = begun.upload_id.unwrap_or_default();
        Ok(Multipart { key, id })
    }

    /// Adds a part, which is the `number`th, from 1.
    pub(super) async fn add(
        &self,
        multipart: &Multipart,
        number: i32,
        bytes: Bytes,
    ) -> Result<CompletedPart, BlobsError> {
        let part = self
            .client
            .upload_part()
            .bucket(&self.name)
            .key(self.keys.object(multipart.key))
            .upload_id(&multipart.id)
            .part_number(number)
            .checksum_algorithm(CHECKSUM)
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(Patience::Part.config())
            .send()
            .await
            .map_err(|error| failure(&error))?;
        let completed = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32_c(part.checksum_crc32_c);
        Ok(completed.build())
    }

    /// Makes the parts the object, which then has `length` bytes.
    pub(super) async fn complete(
        &self,
        multipart: &Multipart,
        parts: Vec<CompletedPart>,
        length: u64,
    ) -> Result<(), BlobsError> {
        let key = self.keys.object(multipart.key);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&self.name)
            .key(&key)
            .upload_id(&multipart.id)
            .multipart_upload(parts)
            .customize()
            .config_override(Patience::Completion.config())
            .send()
            .await;
        let Err(error) = completed else { return Ok(()) };
        // An attempt whose answer was lost may have done it: then the upload is known no longer.
        match self.head(&key).await {
            Ok(Some(found)) if found == length => Ok(()),
            _ => Err(failure(&error)),
        }
    }

    /// Gives a multipart upload up.
    pub(super) async fn abort(&self, multipart: &Multipart) -> Result<(), BlobsError> {
        let aborted = self
            .client
            .abort_multipart_upload()
            .bucket(&self.name)
            .key(self.keys.object(multipart.key))
            .upload_id(&multipart.id)
            .send()
            .await;
        match aborted {
            // It was completed, or ended before.
            Err(error) if error.code() != Some("NoSuchUpload") => Err(failure(&error)),
            _ => Ok(()),
        }
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.encryption {
            Encryption::Bucket => (None, None),
            Encryption::Aes256 => (Some(ServerSideEncryption::Aes256), None),
            Encryption::Kms { key } => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }
}
