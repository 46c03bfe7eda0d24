//! The operations of S3 that the nodes use; all others are not implemented, and say so.

use std::ops::Range;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumMode,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition,
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectsV2Input, ListObjectsV2Output, MultipartUpload,
    Object as Listed, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp, UploadPartInput,
    UploadPartOutput,
};
use s3s::{Body, S3, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};

use super::bucket::{Moment, Named, Object, check, checksum};
use super::{BUCKET, SimS3};

/// Most names on a page: few, so that there are several.
const PAGE: i32 = 50;

#[async_trait::async_trait]
impl S3 for SimS3 {
    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        known(&input.bucket)?;
        let object = self.bucket().read(&input.key)?;
        check(input.if_match.as_ref().is_none_or(|condition| object.is(condition)))?;
        let whole = object.bytes.len();
        let range = input.range.map(|range| range.check(whole as u64)).transpose()?;
        let bytes = match &range {
            Some(Range { start, end }) => object.bytes.slice(index(*start)..index(*end)),
            None => object.bytes.clone(),
        };
        let is_checked = input.checksum_mode.is_some_and(|mode| mode.as_str() == ENABLED);
        let checksum = (is_checked && range.is_none()).then_some(object.checksum);
        Ok(S3Response::new(GetObjectOutput {
            content_length: length(bytes.len()),
            content_range: range.map(|r| format!("bytes {}-{}/{whole}", r.start, r.end - 1)),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            checksum_crc32c: checksum,
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(timestamp(object.written)),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        known(&request.input.bucket)?;
        let object = self.bucket().read(&request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: length(object.bytes.len()),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(timestamp(object.written)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let (input, trailer) = (request.input, request.trailing_headers);
        known(&input.bucket)?;
        let sum = input.checksum_crc32c;
        let bytes = receive(input.body, input.content_length, sum, trailer).await?;
        let conditions: [Option<&ETagCondition>; 2] =
            [input.if_match.as_ref(), input.if_none_match.as_ref()];
        let object = self.bucket().put(&input.key, bytes, conditions, self.now())?;
        Ok(S3Response::new(PutObjectOutput {
            checksum_crc32c: Some(object.checksum),
            e_tag: Some(ETag::Strong(object.etag)),
            ..PutObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        known(&request.input.bucket)?;
        self.bucket().delete(&request.input.key, self.now());
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        known(&request.input.bucket)?;
        let id = self.bucket().begin(&request.input.key, self.now());
        self.count("S3: uploads in parts");
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(request.input.bucket),
            key: Some(request.input.key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let (input, trailer) = (request.input, request.trailing_headers);
        known(&input.bucket)?;
        let sum = input.checksum_crc32c;
        let bytes = receive(input.body, input.content_length, sum, trailer).await?;
        let (key, id, number) = (&input.key, &input.upload_id, input.part_number);
        let part = self.bucket().add(key, id, number, bytes, self.now())?;
        Ok(S3Response::new(UploadPartOutput {
            checksum_crc32c: Some(part.checksum),
            e_tag: Some(ETag::Strong(part.etag)),
            ..UploadPartOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        known(&input.bucket)?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let named: Option<Vec<Named>> = parts
            .into_iter()
            .map(|part| {
                let etag = part.e_tag?.into_value();
                Some(Named { number: part.part_number?, etag, checksum: part.checksum_crc32c })
            })
            .collect();
        let named = named.ok_or_else(|| s3_error!(MalformedXML))?;
        let (key, id) = (&input.key, &input.upload_id);
        let etag = self.bucket().complete(key, id, &named, self.now())?;
        self.count("S3: uploads in parts completed");
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(etag)),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        known(&input.bucket)?;
        self.bucket().abort(&input.key, &input.upload_id, self.now())?;
        self.count("S3: uploads in parts given up");
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        known(&input.bucket)?;
        let (prefix, after) =
            (input.prefix.unwrap_or_default(), input.continuation_token.unwrap_or_default());
        let most = page(input.max_keys);
        let bucket = self.bucket();
        let listed = bucket.list(&prefix, &after, most, self.listed_at());
        let is_truncated = listed.len() > most;
        let contents: Vec<Listed> = listed.into_iter().take(most).map(entry).collect();
        let next = contents.last().and_then(|last| last.key.clone()).filter(|_| is_truncated);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(prefix),
            is_truncated: Some(is_truncated),
            next_continuation_token: next,
            contents: Some(contents),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        known(&input.bucket)?;
        let prefix = input.prefix.unwrap_or_default();
        let key = input.key_marker.unwrap_or_default();
        let id = input.upload_id_marker.unwrap_or_default();
        let most = page(input.max_uploads);
        let bucket = self.bucket();
        let listed = bucket.list_uploads(&prefix, (&key, &id), most, self.listed_at());
        let is_truncated = listed.len() > most;
        let listed = &listed[..listed.len().min(most)];
        let last = listed.last().filter(|_| is_truncated).map(|(name, _)| (*name).clone());
        let (next_key_marker, next_upload_id_marker) = last.unzip();
        let uploads = listed.iter().map(|((key, id), upload)| MultipartUpload {
            key: Some(key.clone()),
            upload_id: Some(id.clone()),
            initiated: Some(timestamp(upload.begun)),
            ..MultipartUpload::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            is_truncated: Some(is_truncated),
            next_key_marker,
            next_upload_id_marker,
            uploads: Some(uploads.collect()),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

/// The checksum mode in which a GET is answered with one.
const ENABLED: &str = ChecksumMode::ENABLED;

fn known(bucket: &str) -> S3Result<()> {
    if bucket == BUCKET { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
}

/// All bytes of a body, if they are as many as was said and have the checksum that they came with.
async fn receive(
    body: Option<StreamingBlob>,
    length: Option<i64>,
    sum: Option<String>,
    trailer: Option<TrailingHeaders>,
) -> S3Result<Bytes> {
    let mut bytes = BytesMut::new();
    if let Some(mut body) = body {
        while let Some(frame) = body.try_next().await.map_err(|_| s3_error!(IncompleteBody))? {
            bytes.extend_from_slice(&frame);
        }
    }
    if length.is_some_and(|length| usize::try_from(length) != Ok(bytes.len())) {
        return Err(s3_error!(IncompleteBody));
    }
    let trailing = trailer.and_then(|trailer| trailer.take());
    let trailing = trailing.and_then(|all| Some(all.get(CHECKSUM)?.to_str().ok()?.to_owned()));
    match sum.or(trailing) {
        Some(sum) if sum == checksum(&bytes) => Ok(bytes.freeze()),
        // Nothing that nodes write comes without.
        Some(_) | None => Err(s3_error!(BadDigest)),
    }
}

/// The header or trailer of a CRC32C.
const CHECKSUM: &str = "x-amz-checksum-crc32c";

fn entry((name, object): (&String, &Object)) -> Listed {
    Listed {
        key: Some(name.clone()),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(timestamp(object.written)),
        size: length(object.bytes.len()),
        ..Listed::default()
    }
}

fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from(SystemTime::UNIX_EPOCH + moment)
}

fn page(wanted: Option<i32>) -> usize {
    usize::try_from(wanted.unwrap_or(PAGE).clamp(1, PAGE)).unwrap_or(1)
}

fn length(bytes: usize) -> Option<i64> {
    i64::try_from(bytes).ok()
}

/// An offset in an object, which is in memory.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
