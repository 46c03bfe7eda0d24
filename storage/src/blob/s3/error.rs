//! What an error of the store means to the caller.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use crate::blob::BlobsError;

/// Why a bucket cannot be used as an object store, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum S3OpenError {
    /// There is no such bucket.
    #[error("the bucket {bucket} does not exist at {place}: make it, or name another")]
    NoBucket {
        /// The bucket.
        bucket: String,
        /// Where it was looked for.
        place: String,
    },
    /// There are no credentials.
    #[error(
        "there are no credentials for the bucket {0}: set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, or give the machine a role"
    )]
    NoCredentials(String),
    /// The store does not let us in.
    #[error("these credentials do not do for the bucket {bucket} at {place}: {reason}")]
    Denied {
        /// The bucket.
        bucket: String,
        /// Where it is.
        place: String,
        /// What the store said.
        reason: String,
    },
    /// The certificates of authorities that sign the store's cannot be read.
    #[error("the certificates in {} cannot be used: {reason}", path.display())]
    Authorities {
        /// The file that they should be in.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There can be no encrypted connections.
    #[error("encrypted connections to the object store cannot be made: {0}")]
    Tls(String),
    /// It is not to be used like this.
    #[error("the bucket {bucket} at {place} cannot be used as an object store: {reason}")]
    Refused {
        /// The bucket.
        bucket: String,
        /// Where it is.
        place: String,
        /// What the store said.
        reason: String,
    },
}

/// What the SDK fails with, whatever was asked.
pub(super) type Failed<E> = SdkError<E, HttpResponse>;

/// The status of the answer, if there was one.
pub(super) fn status<E>(error: &Failed<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether the key is not there, in a bucket that is. A store says so with its code: any other 404
/// may come from a proxy that does not find the store. (The SDK calls one without a body
/// `NotFound`, which is what a HEAD gets.)
pub(super) fn is_absent<E: ProvideErrorMetadata>(error: &Failed<E>) -> bool {
    status(error) == Some(404) && error.code() == Some("NoSuchKey")
}

/// What `error` means when the store was to read or write.
pub(super) fn failure<E>(error: &Failed<E>) -> BlobsError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if is_full(error) {
        BlobsError::Full
    } else {
        BlobsError::Unavailable(io::Error::other(reason(error)))
    }
}

/// Whether the store takes no more: its disks are full, or the bucket has all that it may have.
fn is_full<E: ProvideErrorMetadata>(error: &Failed<E>) -> bool {
    match error.code() {
        Some("XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" | "QuotaExceeded") => true,
        // Garage has no code for it.
        Some("AccessDenied") => {
            error.message().is_some_and(|message| message.contains("quota is reached"))
        }
        _ => status(error) == Some(507),
    }
}

/// When the store, or what is before it, says that it gave this answer.
pub(super) fn date<E>(error: &Failed<E>) -> Option<DateTime> {
    let date = error.raw_response()?.headers().get("date")?;
    DateTime::from_str(date, DateTimeFormat::HttpDate).ok()
}

/// What it means that a successful answer to a `request` came without a usable `field`, as when a
/// proxy drops it: of what was asked after that says nothing, least of all that it is gone.
pub(super) fn lacking(request: &str, field: &str) -> BlobsError {
    let reason = format!("its answer to a {request} has no usable {field}");
    BlobsError::Unavailable(io::Error::other(reason))
}

/// What happened, in one line, without what the request carried.
pub(super) fn reason<E>(error: &Failed<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(answer) = error {
        let status = answer.raw().status().as_u16();
        let code = error.code().unwrap_or("no code");
        return match error.message() {
            Some(message) => format!("{code} ({status}): {}", message.replace('\n', " ")),
            None => format!("{code} ({status})"),
        };
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
