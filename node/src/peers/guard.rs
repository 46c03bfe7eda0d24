//! Who may ask what of the services for nodes.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http_body_util::Limited;
use raft::PeerName;
use tonic::Status;
use tonic::transport::server::TcpConnectInfo;

/// All that a node without a name may ask for.
const JOIN: &str = "/roadstead.cluster.v1.Cluster/Join";
/// Most bytes of such a request: an address, a key and a token.
const JOIN_BYTES_MAX: usize = 16 * 1024;

/// What is known of the other end of a connection.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// It is this node of the cluster.
    Member(PeerName),
    /// It has shown no certificate.
    Nobody,
    /// It has shown one that is not good, for this reason.
    Stranger(String),
}

/// `services` for nodes of the cluster, whose names come with their requests, and for those that
/// want to join it.
pub(crate) fn guarded(services: Router) -> Router {
    services.layer(from_fn(guard))
}

async fn guard(mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        // Where services for nodes look for it.
        let known = TcpConnectInfo { local_addr: None, remote_addr: Some(*address) };
        request.extensions_mut().insert(known);
    }
    let refusal = match request.extensions_mut().remove::<Peer>() {
        Some(Peer::Member(name)) => {
            request.extensions_mut().insert(name);
            return next.run(request).await;
        }
        Some(Peer::Nobody) if request.uri().path() == JOIN => {
            let limit = |body| Body::new(Limited::new(body, JOIN_BYTES_MAX));
            return next.run(request.map(limit)).await;
        }
        Some(Peer::Stranger(reason)) => reason,
        Some(Peer::Nobody) | None => {
            "this node serves nodes of its cluster, which show a certificate".to_owned()
        }
    };
    tracing::debug!(refusal, "a node was refused");
    Status::unauthenticated(refusal).into_http::<Body>()
}
