//! HTTP in, HTTP out: the distribution API, and the management API beside it, over one
//! [`Registry`].
//!
//! A request's path becomes an `Endpoint` of valid names; its handler in `routes` asks the cluster
//! for facts and the object store for bytes; whatever goes wrong becomes an `Error`, which alone
//! knows statuses and codes.

mod access;
mod allowances;
mod audit;
mod client;
mod condition;
mod content;
mod doubt;
mod endpoint;
mod error;
mod extract;
mod mac;
mod metrics;
mod offload;
mod registry;
mod remainder;
mod removal;
mod routes;
mod upload;
mod visit;
mod warning;

pub use access::{
    ADMINISTRATOR, AccessMode, AccessOptions, AppointError, Appointed, Htpasswd, HtpasswdError,
    Issuer, IssuerError,
};
pub use allowances::{Quota, Share};
pub use client::Client;
pub use client::certificate::{CertificateName, ClientCertificate, NameKind};
pub use client::scheme::Scheme;
pub use content::redirect::Redirect;
pub use registry::{Options, Registry};

/// The whole API as a service for the API listener.
///
/// Every path goes to one function: names contain slashes, which no table of routes can tell from
/// the rest of a path.
pub fn router(registry: Registry) -> axum::Router {
    axum::Router::new().fallback(routes::serve).with_state(registry)
}
