//! Where an upload stands, and where its next chunk belongs.

use http::{HeaderMap, header};
use proto::limits::BLOB_BYTES_MAX;

use crate::content::range::ChunkRange;
use crate::error::Error;
use crate::extract::{content_length, text};
use crate::upload::intake::{IntakeError, Terms};
use crate::upload::session::Session;
use crate::visit::Visit;

/// What the headers say of the chunk, and the session where it belongs. A chunk that names the
/// durable end is welcome even when its session is older.
pub(super) async fn chunk(
    visit: &Visit,
    session: Session,
    headers: &HeaderMap,
) -> Result<(Session, Terms), Error> {
    let announced = content_length(headers);
    let range = match headers.get(header::CONTENT_RANGE) {
        None => None,
        Some(_) => {
            let range = text(headers, header::CONTENT_RANGE).and_then(ChunkRange::parse);
            Some(range.ok_or(Error::ContentRange)?)
        }
    };
    let mut session = session;
    if let Some(range) = range {
        if range.start != session.at.extent {
            session = durable(visit, session).await?;
        }
        let is_length_right = announced.is_none_or(|length| length == range.length);
        if range.start != session.at.extent || !is_length_right {
            return Err(out_of_step(visit, session).await?);
        }
    }
    let most = BLOB_BYTES_MAX.saturating_sub(session.at.extent);
    let length = range.map(|range| range.length).or(announced);
    if length.is_some_and(|length| length > most) {
        return Err(Error::BlobTooLarge);
    }
    Ok((session, Terms { length, most }))
}

/// The session at what is durable of its upload.
pub(super) async fn durable(visit: &Visit, session: Session) -> Result<Session, Error> {
    let position = visit.position(session.upload).await?;
    if position.extent < session.at.extent {
        // Acknowledged bytes are only gone when the upload has ended.
        return Err(Error::UploadUnknown);
    }
    Ok(session.resume_at(position))
}

/// The error that tells the client where the upload stands, if it has not ended.
pub(super) async fn out_of_step(visit: &Visit, session: Session) -> Result<Error, Error> {
    if visit.at_hand().await?.0.has_ended(session.upload)? {
        return Err(Error::UploadUnknown);
    }
    let session = durable(visit, session).await?;
    let location = session.location(visit.upload_key().await?);
    Ok(Error::UploadOffset { extent: session.at.extent, location, range: session.range() })
}

/// The error for a chunk that was not kept: where its place or its length was wrong, with where the
/// upload stands.
pub(super) async fn interrupted(
    visit: &Visit,
    session: Session,
    headers: &HeaderMap,
    error: IntakeError,
) -> Result<Error, Error> {
    match error {
        IntakeError::Offset => out_of_step(visit, session).await,
        IntakeError::Length { .. } if headers.contains_key(header::CONTENT_RANGE) => {
            out_of_step(visit, session).await
        }
        error => Ok(error.into()),
    }
}
