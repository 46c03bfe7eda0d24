//! The endpoints, and what all of them share: dispatch, the headers of every answer, a span and the
//! metrics.

mod access;
mod base;
mod blobs;
mod catalog;
mod cluster;
mod manifests;
mod referrers;
mod tags;
mod uploads;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use proto::Mutant;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::allowances::{Share, transfers};
use crate::client::Client;
use crate::endpoint::{Endpoint, PathError};
use crate::error::{Error, bad_reference};
use crate::registry::Registry;
use crate::upload::intake;
use crate::visit::Visit;
use crate::{client, remainder};

/// Tells clients that they talk to a registry of the second version of the API (distribution-spec,
/// "Legacy Docker support HTTP headers").
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// Names the content that an answer carries or is about.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Answers a request.
pub(crate) async fn serve(State(registry): State<Registry>, mut request: Request) -> Response {
    let started = Instant::now();
    client::identify(&mut request, &registry.options.trusted_proxies);
    let method = request.method().clone();
    let endpoint = Endpoint::parse(request.uri().path());
    let route = endpoint.as_ref().map_or("other", Endpoint::route);
    // The path, without the query: upload sessions are nobody's business. As Debug, so that nothing
    // in it can forge a line.
    let span = tracing::info_span!("request", %method, path = ?request.uri().path());
    let metrics = registry.metrics.clone();
    async {
        let asked = count(&registry, &request).and(endpoint.map_err(|e| bad_path(e, &method)));
        let outcome = match asked {
            Ok(endpoint) => Box::pin(admit(&registry, endpoint, request)).await,
            Err(error) => Err(error),
        };
        let mut response = outcome.unwrap_or_else(Error::into_response);
        let headers = response.headers_mut();
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let latency = started.elapsed();
        metrics.observe(route, &method, response.status(), latency);
        tracing::debug!(status = response.status().as_u16(), ?latency, "answered");
        response
    }
    .instrument(span)
    .await
}

/// Counts a request, whatever it is, among those that its client may make.
fn count(registry: &Registry, request: &Request) -> Result<(), Error> {
    let admitted = registry.requests.take(Client::of(request.extensions()));
    admitted.map_err(|retry_after| Error::TooManyRequests { retry_after })
}

/// Answers a request once it has its share of what there is to share.
async fn admit(
    registry: &Registry,
    endpoint: Endpoint,
    request: Request,
) -> Result<Response, Error> {
    if Mutant::TaskLeftBehind.is_active() {
        tokio::spawn(std::future::pending::<()>());
    }
    let client = Client::of(request.extensions());
    let share = transfers::admit(registry, &endpoint, request.method(), client).await?;
    dispatch(registry, endpoint, request, share).await
}

async fn dispatch(
    registry: &Registry,
    endpoint: Endpoint,
    request: Request,
    share: Option<Arc<Share>>,
) -> Result<Response, Error> {
    if !endpoint.allows(request.method()) {
        return Err(Error::Method(endpoint.allow()));
    }
    let (parts, body) = request.into_parts();
    let (body, remainder) = remainder::lend(body);
    // A client that waits to be asked for its body must not be asked for it now.
    let is_sending = !parts.headers.contains_key(header::EXPECT);
    match Box::pin(handle(registry, endpoint, &parts, body, share.clone())).await {
        Ok(response) => {
            // Where an upload has ended, nobody needs what comes for it.
            if is_sending {
                remainder.discard().await;
            }
            Ok(transfers::attach(share, response))
        }
        Err(error) => {
            // Who is refused holds up nobody else, however long they go on sending.
            drop(share);
            if is_sending && !error.is_about_body() {
                remainder.discard().await;
            }
            Err(error)
        }
    }
}

async fn handle(
    registry: &Registry,
    endpoint: Endpoint,
    parts: &Parts,
    body: Body,
    share: Option<Arc<Share>>,
) -> Result<Response, Error> {
    let visit = crate::access::admit(registry, &endpoint, parts, share).await?;
    let account = visit.caller.account();
    let client = Client::of(&parts.extensions);
    let limit = |body| visit.throughput.limit(client, account, body);
    let response = answer(&visit, endpoint, parts, limit(intake::watched(body))).await?;
    Ok(response.map(limit))
}

async fn answer(
    visit: &Visit,
    endpoint: Endpoint,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let method = parts.method.as_str();
    if method == "DELETE"
        && !visit.options.deletion
        && let Some(allow) = endpoint.allow_while_content_stays()
    {
        return Err(Error::DeletionOff { allow });
    }
    match (endpoint, method) {
        (Endpoint::Access(endpoint), _) => access::handle(visit, endpoint, parts, body).await,
        (Endpoint::Base, "GET" | "HEAD") => Ok(base::show(visit)),
        (Endpoint::Catalog, "GET" | "HEAD") => catalog::list(visit, parts).await,
        (Endpoint::Cluster, "GET" | "HEAD") => Ok(cluster::show(visit).await),
        (Endpoint::ClusterNode(node), "DELETE") => cluster::remove(visit, node).await,
        (Endpoint::Tags(repository), "GET" | "HEAD") => tags::list(visit, &repository, parts).await,
        (Endpoint::Referrers(repository, digest), "GET" | "HEAD") => {
            referrers::list(visit, &repository, &digest, parts).await
        }
        (Endpoint::Manifest(repository, reference), "GET" | "HEAD") => {
            manifests::show(visit, &repository, reference, parts).await
        }
        (Endpoint::Manifest(repository, reference), "PUT") => {
            manifests::put(visit, repository, reference, parts, body).await
        }
        (Endpoint::Manifest(repository, reference), "DELETE") => {
            manifests::delete(visit, repository, reference, parts).await
        }
        (Endpoint::Blob(repository, digest), "GET") => {
            blobs::show(visit, &repository, digest, parts).await
        }
        (Endpoint::Blob(repository, digest), "HEAD") => {
            blobs::describe(visit, &repository, digest, parts).await
        }
        (Endpoint::Blob(repository, digest), "DELETE") => {
            blobs::delete(visit, repository, digest, parts).await
        }
        (Endpoint::Uploads(repository), "POST") => {
            uploads::begin(visit, repository, parts, body).await
        }
        (Endpoint::Upload(repository, upload), _) => {
            uploads::handle(visit, repository, upload, parts, body).await
        }
        (endpoint, _) => Err(Error::Method(endpoint.allow())),
    }
}

fn bad_path(error: PathError, method: &Method) -> Error {
    match error {
        PathError::NoEndpoint => Error::NoEndpoint,
        PathError::Unclean => Error::UncleanName,
        PathError::Name(error) => Error::Name(error),
        PathError::Digest(error) => Error::Digest(error),
        PathError::Reference(error) => bad_reference(error, method == Method::PUT),
        PathError::AccessName(error) => Error::BadRequest(error.to_string()),
        PathError::Upload => Error::UploadUnknown,
    }
}
