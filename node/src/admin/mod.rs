//! The admin listener, which answers from the moment that it listens. A start may take minutes: a
//! store replays its log, and a node that joins a cluster waits to be let in.

pub(crate) mod fingerprint;
pub(crate) mod health;
pub(crate) mod invitations;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::metrics::counter::Counter;
use tower::ServiceExt as _;

use crate::Listener;
use crate::http::Manner;
use crate::service::Service;

/// How operators and their tools are treated: each asks one thing at a time.
const MANNER: Manner = Manner::public(256, 64);

/// The admin listener of a node that starts.
pub(crate) struct Operators {
    service: Service,
    started: Arc<OnceLock<Router>>,
}

impl Operators {
    /// Tells each client of `listener` that the node starts.
    pub(crate) fn welcome(listener: Box<dyn Listener>, refused: Counter) -> Self {
        let started = Arc::new(OnceLock::new());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&started));
        Self { service: Service::start(listener, router, None, MANNER, refused), started }
    }

    /// Answers with `router` from now on.
    pub(crate) fn serve(self, router: Router) -> Service {
        // Nobody else sets it.
        let _ = self.started.set(router);
        self.service
    }
}

async fn answer(State(started): State<Arc<OnceLock<Router>>>, request: Request) -> Response {
    let Some(router) = started.get() else { return starting(request.uri().path()) };
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// What there is to say before the node has started. A supervisor that restarts what is not alive
/// must leave it alone: the next start would have as much to do.
fn starting(path: &str) -> Response {
    match path {
        "/healthz" => "starting\n".into_response(),
        _ => {
            let reason = "the node starts: it opens its store, or waits to be let into its \
                          cluster; its log says how far it is\n";
            (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
        }
    }
}
