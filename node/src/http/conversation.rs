//! One connection, from its first byte to its last.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use http::Request;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::opening::{self, Version};
use super::paced::Inbound;
use super::{Manner, one, two};
use crate::Connection;

/// What the requests of one connection have in common.
#[derive(Clone)]
pub(super) struct Conversation {
    router: Router,
    address: SocketAddr,
    pub(super) manner: Manner,
}

/// Answers the requests of one connection until it ends, or until `stop` is cancelled and the
/// requests under way are answered.
pub(super) async fn converse(
    mut connection: Connection,
    address: SocketAddr,
    router: Router,
    manner: Manner,
    stop: CancellationToken,
) {
    let opening = opening::read(&mut connection, manner.patience);
    let (version, said) = tokio::select! {
        opening = opening => match opening {
            Ok(opening) => opening,
            // It has not asked for anything.
            Err(_) => return,
        },
        () = stop.cancelled() => return,
    };
    let conversation = Conversation { router, address, manner };
    let ended = match version {
        Version::One => one::hold(conversation, connection, said, stop).await,
        Version::Two => two::hold(conversation, connection, said, stop).await,
    };
    if let Err(error) = ended {
        // Clients go away as they please: not worth more than this.
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
    }
}

impl Conversation {
    /// The answer to `request`, whose body has to come at a pace when it may be anybody's.
    pub(super) async fn answer(self, mut request: Request<Incoming>) -> Response {
        request.extensions_mut().insert(ConnectInfo(self.address));
        let patience = self.manner.patience;
        let request = request.map(|body| {
            if self.manner.is_public {
                Body::new(Inbound::new(body, patience))
            } else {
                Body::new(body)
            }
        });
        self.router.oneshot(request).await.into_response()
    }
}
