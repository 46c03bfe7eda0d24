//! How many transfers are under way at once: each holds memory, a file or both for as long as its
//! client likes.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http_body::{Frame, SizeHint};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::quota::{Client, Share};
use crate::registry::Registry;

/// The share of the transfers that `request` takes; none when it moves no content.
///
/// # Errors
/// [`Error::TooManyTransfers`] when there are as many as there may be, of its client or of all.
pub(crate) fn admit(
    registry: &Registry,
    endpoint: &Endpoint,
    request: &Request,
) -> Result<Option<Share>, Error> {
    if !is_transfer(endpoint, request.method()) {
        return Ok(None);
    }
    let client = request.extensions().get::<Client>().copied().unwrap_or(Client::UNKNOWN);
    let share = registry.transfers.take(client).ok_or(Error::TooManyTransfers)?;
    Ok(Some(share))
}

/// `response`, which holds `share` until its last byte was taken.
pub(crate) fn attach(share: Option<Share>, response: Response) -> Response {
    match share {
        None => response,
        Some(share) => response.map(|body| Body::new(Sharing { body, _share: share })),
    }
}

/// Whether a request has a body that counts, on its way in or out. The few questions that have none
/// stay possible while everything is taken: tools ask them to find out what is wrong.
fn is_transfer(endpoint: &Endpoint, method: &Method) -> bool {
    match *method {
        Method::GET => !matches!(endpoint, Endpoint::Base | Endpoint::Cluster),
        Method::POST | Method::PUT | Method::PATCH => true,
        _ => false,
    }
}

/// A body that holds its share.
struct Sharing {
    body: Body,
    _share: Share,
}

impl HttpBody for Sharing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
