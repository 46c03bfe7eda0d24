//! What a request can fail with, and the one place that says how: status, OCI code, message and
//! headers.

mod class;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use proto::{
    Digest, DigestError, ManifestError, MediaTypeError, Reference, ReferenceError, Refusal,
    RepoName, RepoNameError, TagError, limits,
};
use raft::{ProposeError, ReadError, RemoveError};
use serde_json::{Value, json};
use storage::BlobsError;
use tokio::task::JoinError;

use self::class::{refused, stored};
use crate::condition;

/// A request that was not done. Its text is for the person who asked, and tells what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("nothing is at this address: the distribution API is under /v2/")]
    NoEndpoint,
    #[error("use one of these methods here: {0}")]
    Method(&'static str),
    #[error("{}", match has_failed {
        true => "the name, the password, the key or the token is wrong or has ended: log in again",
        false => "log in: `docker login`, or send credentials of an account of this registry",
    })]
    Unauthorized {
        /// Where to get a token, or what to send.
        challenge: String,
        /// Whether what was sent is no good. Why, a stranger is not told.
        has_failed: bool,
    },
    #[error("the name or the password is wrong")]
    LoginFailed,
    #[error("you may not do this, which needs: {0}; ask an administrator of this registry")]
    Denied(String),
    #[error(
        "a page of another site has your browser send this (Origin, Sec-Fetch-Site), which may \
         change nothing in this registry"
    )]
    OtherSite,
    #[error(
        "this registry is open to everybody: set access.mode to \"closed\" before you manage \
         accounts"
    )]
    AccessOpen,
    #[error("{0}")]
    BadRequest(String),
    #[error("the body has more than {most} bytes")]
    BodyTooLarge {
        /// How many it may have.
        most: u64,
    },
    #[error("deletion is switched off in this registry: ask its operator")]
    DeletionOff {
        /// The methods that are left, for `Allow`.
        allow: &'static str,
    },
    #[error("{0} is \"*\", or quoted digests separated by commas, such as \"sha256:6c3c...\"")]
    Condition(HeaderName),
    #[error("{0} is not what this request depends on; what it is, those learn who may pull it")]
    Concealed(Reference),
    #[error(transparent)]
    Name(RepoNameError),
    #[error("a repository name stands in the path as it is: without escapes, '..' or '//'")]
    UncleanName,
    #[error("repository {0} does not exist")]
    NameUnknown(RepoName),
    #[error("'n' is the number of entries to list: 0 or more")]
    PageSize,

    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error("give the digest of the content as the parameter 'digest'")]
    DigestMissing,
    #[error("the content is not what its digest {expected} says: its own is {actual}")]
    DigestMismatch { expected: Digest, actual: Digest },

    #[error(transparent)]
    TagUnknown(TagError),
    #[error(transparent)]
    TagInvalid(TagError),
    #[error("push at most {max} tags at once", max = limits::TAGS_PER_PUSH_MAX)]
    TooManyTags,
    #[error("the repository has no manifest {0}")]
    ManifestUnknown(Reference),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("give the manifest's media type as Content-Type: {0}")]
    ContentType(MediaTypeError),

    #[error("the repository has no blob {0}")]
    BlobUnknown(Digest),
    #[error("blob {digest} has {size} bytes: ask for a range inside them")]
    Range { digest: Digest, size: u64 },
    #[error("a blob has at most {max} bytes", max = limits::BLOB_BYTES_MAX)]
    BlobTooLarge,
    #[error("the upload does not exist, or has ended: begin another")]
    UploadUnknown,
    #[error("the upload has {extent} bytes: continue there, at the Location of this answer")]
    UploadOffset { extent: u64, location: String, range: String },
    #[error("Content-Range is 'first-last', the offsets of the chunk's first and last byte")]
    ContentRange,
    #[error("the body has not the {expected} bytes that its headers announce")]
    BodyLength { expected: u64 },
    #[error("the body ended early: {0}")]
    BodyBroken(String),
    #[error("no byte of the body came for a minute")]
    BodyIdle,
    #[error("too many transfers are under way: try again in {} s", seconds(BUSY_RETRY_AFTER))]
    TooManyTransfers,
    #[error(
        "too much of what you pushed is being read back: try again in {} s",
        seconds(BUSY_RETRY_AFTER)
    )]
    TooManyReadings,
    #[error(
        "your address begins too many uploads: try again in {} s, or ask the registry's operator \
         to raise the limit",
        seconds(*.retry_after)
    )]
    TooManyUploads { retry_after: Duration },
    #[error("too many attempts to log in: try again in {} s", seconds(*.retry_after))]
    TooManyLogins { retry_after: Duration },
    #[error(
        "your address asks too often: try again in {} s, or ask the registry's operator to raise \
         the limit",
        seconds(*.retry_after)
    )]
    TooManyRequests { retry_after: Duration },
    #[error(
        "your account asks too often: try again in {} s, or ask the registry's operator to raise \
         the limit",
        seconds(*.retry_after)
    )]
    TooManyRequestsOfAccount { retry_after: Duration },

    #[error("{0}")]
    Refused(Refusal),
    #[error("{0}")]
    WouldLoseQuorum(String),
    #[error("the cluster cannot agree now: try again in {} s", seconds(*.retry_after))]
    Unavailable { retry_after: Duration },
    #[error(
        "the cluster could not say in time whether this was done: look, and do it again if it was \
         not"
    )]
    OutcomeUnknown,
    #[error(transparent)]
    Read(ReadError),
    #[error(transparent)]
    Blobs(#[from] BlobsError),
    #[error("the object store did not answer in time: try again in a moment")]
    BlobsTimeout,
    #[error("the node failed to do this: {0}")]
    Internal(String),
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            ReadError::Store(_) | ReadError::Damaged(_) => Self::Read(error),
        }
    }
}

impl From<RemoveError> for Error {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Refused(refusal) => Self::Refused(refusal),
            RemoveError::WouldLoseQuorum(why) => Self::WouldLoseQuorum(why),
            RemoveError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            RemoveError::Unknown => Self::OutcomeUnknown,
        }
    }
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Refused(refusal) => Self::Refused(refusal),
            ProposeError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            ProposeError::Unknown => Self::OutcomeUnknown,
        }
    }
}

/// Work that others were given has no outcome: the node ends, and what goes on is cut off; or it
/// panicked.
impl From<JoinError> for Error {
    fn from(error: JoinError) -> Self {
        match error.is_cancelled() {
            true => Self::Unavailable { retry_after: RETRY_AFTER },
            false => Self::Internal(error.to_string()),
        }
    }
}

/// When to try again what failed for a reason that passes.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// When to try again what was one too many: a few small blobs are through by then.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(2);

impl Error {
    /// The status and the code (distribution-spec, "Error Codes"; `UNAVAILABLE`, `UNKNOWN`,
    /// `RANGE_INVALID` and `PAGINATION_NUMBER_INVALID` are those that registries use beside them).
    fn class(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoEndpoint => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Self::Method(_) | Self::DeletionOff { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED")
            }
            Self::Unauthorized { .. } | Self::LoginFailed => {
                (StatusCode::UNAUTHORIZED, "UNAUTHORIZED")
            }
            Self::Denied(_) | Self::OtherSite => (StatusCode::FORBIDDEN, "DENIED"),
            Self::AccessOpen => (StatusCode::CONFLICT, "UNSUPPORTED"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "UNSUPPORTED"),
            // The code that a refusal of the cluster has, which says that it is a decision.
            Self::Concealed(_) => (StatusCode::PRECONDITION_FAILED, "DENIED"),
            Self::Condition(_) | Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            Self::Name(_) | Self::UncleanName => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::NameUnknown(_) => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::PageSize => (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            Self::Digest(_) | Self::DigestMissing | Self::DigestMismatch { .. } => {
                (StatusCode::BAD_REQUEST, "DIGEST_INVALID")
            }
            Self::TagUnknown(_) | Self::ManifestUnknown(_) => {
                (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN")
            }
            Self::Manifest(ManifestError::TooLarge) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID")
            }
            // Distribution-spec, "Pushing Manifests": what to answer to too many of them.
            Self::TooManyTags => (StatusCode::URI_TOO_LONG, "MANIFEST_INVALID"),
            Self::TagInvalid(_) | Self::Manifest(_) | Self::ContentType(_) => {
                (StatusCode::BAD_REQUEST, "MANIFEST_INVALID")
            }
            Self::BlobUnknown(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID"),
            Self::BlobTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Self::UploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::UploadOffset { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Self::ContentRange => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::BodyLength { .. } | Self::BodyBroken(_) => {
                (StatusCode::BAD_REQUEST, "SIZE_INVALID")
            }
            Self::BodyIdle => (StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID"),
            Self::TooManyTransfers
            | Self::TooManyReadings
            | Self::TooManyUploads { .. }
            | Self::TooManyLogins { .. }
            | Self::TooManyRequests { .. }
            | Self::TooManyRequestsOfAccount { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS")
            }
            Self::Refused(refusal) => refused(refusal),
            Self::WouldLoseQuorum(_) => (StatusCode::CONFLICT, "DENIED"),
            Self::Unavailable { .. }
            | Self::OutcomeUnknown
            | Self::BlobsTimeout
            | Self::Read(_) => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            Self::Blobs(error) => stored(error),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        }
    }

    /// Whether it is the body that is too large, too slow or broken: nobody wants the rest of it.
    pub(crate) fn is_about_body(&self) -> bool {
        let (status, _) = self.class();
        matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT)
    }

    /// The entries of the `errors` array: one, or one for each digest that is missing.
    fn entries(&self, code: &str) -> Vec<Value> {
        if let Self::Refused(Refusal::ReferencesUnknown(digests)) = self {
            let entry = |digest: &Digest| {
                let message = format!(
                    "the repository lacks {digest}, which the manifest names: push it first"
                );
                let detail = json!({ "digest": digest.as_str() });
                json!({ "code": code, "message": message, "detail": detail })
            };
            return digests.iter().map(entry).collect();
        }
        let message = self.to_string();
        match self {
            Self::Refused(Refusal::PreconditionFailed { reference, current }) => {
                let current = current.as_ref().map(Digest::as_str);
                let detail = json!({ "reference": reference.to_string(), "digest": current });
                vec![json!({ "code": code, "message": message, "detail": detail })]
            }
            Self::DigestMismatch { expected, actual } => {
                let detail = json!({ "digest": expected.as_str(), "actual": actual.as_str() });
                vec![json!({ "code": code, "message": message, "detail": detail })]
            }
            // What was said of these names places of this machine, or keys of the store: it is for
            // the log.
            Self::Blobs(BlobsError::Unavailable(_) | BlobsError::Missing(_)) => {
                let message = "the object store is not available; try again, or tell the operator";
                vec![json!({ "code": code, "message": message })]
            }
            Self::Read(_) => {
                let message = "the node cannot read what it knows; ask another one, and tell the \
                               operator, who finds the reason in its log";
                vec![json!({ "code": code, "message": message })]
            }
            Self::Internal(_) => {
                let message = "the node failed to do this; tell its operator, who finds the reason \
                               in its log";
                vec![json!({ "code": code, "message": message })]
            }
            _ => vec![json!({ "code": code, "message": message })],
        }
    }

    fn headers(&self) -> Vec<(HeaderName, String)> {
        match self {
            Self::Unauthorized { challenge, .. } => {
                vec![(header::WWW_AUTHENTICATE, challenge.clone())]
            }
            Self::Method(allow) | Self::DeletionOff { allow } => {
                vec![(header::ALLOW, (*allow).to_owned())]
            }
            Self::Refused(Refusal::PreconditionFailed { current: Some(current), .. }) => {
                vec![(header::ETAG, condition::etag(current))]
            }
            Self::Range { size, .. } => vec![(header::CONTENT_RANGE, format!("bytes */{size}"))],
            Self::UploadOffset { location, range, .. } => {
                vec![(header::LOCATION, location.clone()), (header::RANGE, range.clone())]
            }
            Self::Unavailable { retry_after }
            | Self::TooManyUploads { retry_after }
            | Self::TooManyLogins { retry_after }
            | Self::TooManyRequests { retry_after }
            | Self::TooManyRequestsOfAccount { retry_after } => {
                vec![(header::RETRY_AFTER, seconds(*retry_after).to_string())]
            }
            Self::BodyIdle => vec![(header::CONNECTION, "close".to_owned())],
            Self::TooManyTransfers | Self::TooManyReadings => {
                vec![(header::RETRY_AFTER, seconds(BUSY_RETRY_AFTER).to_string())]
            }
            _ => Vec::new(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.class();
        if status.is_server_error() {
            tracing::warn!(error = &self as &dyn std::error::Error, "request failed");
        }
        let body = axum::Json(json!({ "errors": self.entries(code) }));
        let mut response = (status, body).into_response();
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .entry(header::RETRY_AFTER)
                .or_insert(HeaderValue::from_static("1"));
        }
        response
    }
}

/// Whole seconds, at least one, and an hour at most (RFC 9110, section 10.2.3).
fn seconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).clamp(1, 3600)
}

/// An error as it answers a path that asks for a manifest by what is no reference: a push is told
/// so, everything else is told that there is no such manifest.
pub(crate) fn bad_reference(error: ReferenceError, is_push: bool) -> Error {
    match error {
        ReferenceError::Digest(error) => Error::Digest(error),
        ReferenceError::Tag(error) if is_push => Error::TagInvalid(error),
        ReferenceError::Tag(error) => Error::TagUnknown(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Runtime;
    use tokio::task::JoinHandle;

    use super::*;

    #[test]
    fn what_is_cut_off_because_the_node_ends_may_be_tried_again() -> std::io::Result<()> {
        let (node, client) = (Runtime::new()?, Runtime::new()?);
        let unfinished = node.spawn(std::future::pending::<()>());
        let broken = node.spawn(async { assert_eq!(1, 2, "a fault of the program") });
        let answer = |task: JoinHandle<()>| match client.block_on(task) {
            Ok(()) => StatusCode::OK.into_response(),
            Err(error) => Error::from(error).into_response(),
        };

        assert_eq!(answer(broken).status(), StatusCode::INTERNAL_SERVER_ERROR);
        drop(node);
        let answer = answer(unfinished);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        Ok(())
    }
}
