//! The statuses and codes of what the cluster and the object store refuse.

use http::StatusCode;
use proto::Refusal;
use proto::access::AccessRefusal;
use storage::BlobsError;

/// What `decide` refused. What is part of a manifest cannot be deleted before it: the request is
/// understood and conflicts with what is there (409), for which `DENIED` is the code that the
/// specification has.
pub(super) const fn refused(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::NameUnknown(_) => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
        Refusal::BlobUnknown(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
        Refusal::ManifestUnknown(_) => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
        Refusal::ReferencesUnknown(_) => (StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN"),
        Refusal::SizeMismatch { .. } => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
        Refusal::InUse { .. } | Refusal::TooManyTags(_) => (StatusCode::CONFLICT, "DENIED"),
        // No code of the specification is about conditions: this one says that it is a decision.
        Refusal::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "DENIED"),
        Refusal::UploadEnded(_) => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
        Refusal::TypeConflict { .. } => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
        Refusal::AlreadyFounded(_) => (StatusCode::CONFLICT, "DENIED"),
        Refusal::NotFounded => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        Refusal::Access(refusal) => access_refused(refusal),
        Refusal::NodeUnknown(_) => (StatusCode::NOT_FOUND, "UNKNOWN"),
        Refusal::LastVoter(_) => (StatusCode::CONFLICT, "DENIED"),
        Refusal::TokenUnknown | Refusal::TokenExpired(_) => (StatusCode::FORBIDDEN, "DENIED"),
    }
}

/// What the rules for access refused.
const fn access_refused(refusal: &AccessRefusal) -> (StatusCode, &'static str) {
    match refusal {
        AccessRefusal::TagExists(_) | AccessRefusal::TagAbsent(_) => {
            (StatusCode::FORBIDDEN, "DENIED")
        }
        AccessRefusal::AccountUnknown(_)
        | AccessRefusal::KeyUnknown(_)
        | AccessRefusal::RoleUnknown(_)
        | AccessRefusal::GrantUnknown(_) => (StatusCode::NOT_FOUND, "UNKNOWN"),
        AccessRefusal::RobotPassword(_)
        | AccessRefusal::TooManyGroups
        | AccessRefusal::DescriptionTooLong => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
        AccessRefusal::AlreadyAppointed
        | AccessRefusal::AccountExists(_)
        | AccessRefusal::LastAdministrator(_)
        | AccessRefusal::TooManyKeys(_)
        | AccessRefusal::KeyExists(_)
        | AccessRefusal::RoleBuiltIn(_)
        | AccessRefusal::RoleInUse { .. }
        | AccessRefusal::TooManyRoles
        | AccessRefusal::TooManyGrants => (StatusCode::CONFLICT, "DENIED"),
    }
}

/// What the object store failed with.
pub(super) const fn stored(error: &BlobsError) -> (StatusCode, &'static str) {
    match error {
        BlobsError::Offset { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
        BlobsError::TooManyParts => (StatusCode::PAYLOAD_TOO_LARGE, "BLOB_UPLOAD_INVALID"),
        BlobsError::Body(_) => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
        // What is asked for by its digest, and is gone, has its own error. Else the store denies
        // what it took.
        BlobsError::Full | BlobsError::Missing(_) | BlobsError::Unavailable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
        }
    }
}
