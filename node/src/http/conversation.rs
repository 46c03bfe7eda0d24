//! One connection, from its first byte to its last.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use api::Scheme;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use http::{Extensions, Request};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::fault::Fault;
use super::opening::{self, Version};
use super::paced::Inbound;
use super::{Manner, one, two};
use crate::Connection;
use crate::tls::{Handshake, Opened, Shown};

/// What the requests of one connection have in common.
#[derive(Clone)]
pub(super) struct Conversation {
    router: Router,
    /// What is known of the client.
    extensions: Extensions,
    pub(super) manner: Manner,
}

/// Answers the requests of one connection until it ends, or until `stop` is cancelled and the
/// requests under way are answered.
pub(super) async fn converse(
    connection: Connection,
    address: SocketAddr,
    router: Router,
    tls: Option<Arc<dyn Handshake>>,
    manner: Manner,
    stop: CancellationToken,
) {
    let mut extensions = Extensions::new();
    extensions.insert(ConnectInfo(address));
    extensions.insert(Scheme::Http);
    let conversation = Conversation { router, extensions, manner };
    let (conversation, mut connection, said) = match tls {
        None => (conversation, connection, Vec::new()),
        Some(tls) => match stop.run_until_cancelled(conversation.secure(&*tls, connection)).await {
            Some(Ok(secured)) => secured,
            Some(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                return;
            }
            None => return,
        },
    };
    let opening = opening::read(&mut connection, said, manner.patience);
    let (version, said) = tokio::select! {
        opening = opening => match opening {
            Ok(opening) => opening,
            // It has not asked for anything.
            Err(_) => return,
        },
        () = stop.cancelled() => return,
    };
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
    /// Has the conversation over TLS, and answers what was read of it. A client that speaks none
    /// comes to read that it should.
    async fn secure(
        mut self,
        tls: &dyn Handshake,
        connection: Connection,
    ) -> io::Result<(Self, Connection, Vec<u8>)> {
        Ok(match tls.accept(connection).await? {
            Opened::Secure { connection, known, is_trusted } => {
                self.extensions.insert(Scheme::Https);
                self.extensions.extend(known);
                self.manner.is_public |= !is_trusted;
                (self, connection, Vec::new())
            }
            Opened::Plain(connection, said) => {
                // A client that speaks no TLS to a port with TLS has proved nothing. Nodes that do
                // without it have no handshake, and never come here.
                self.manner.is_public = true;
                let router = Router::new().fallback(async || Fault::Unencrypted.response());
                (Self { router, ..self }, connection, vec![said])
            }
        })
    }

    /// The answer to `request`, whose body has to come at a pace when it may be anybody's.
    pub(super) async fn answer(self, mut request: Request<Incoming>) -> Response {
        if let Some(names) = self.extensions.get::<Shown>().and_then(Shown::names) {
            request.extensions_mut().insert(names);
        }
        request.extensions_mut().extend(self.extensions);
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
