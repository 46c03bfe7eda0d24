//! The catalog by which it is decided who asks and what they may do.

use http::Method;
use http::request::Parts;
use proto::{Mutant, Reference};
use raft::View;

use super::Credentials;
use crate::content::source::Source;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::registry::Registry;

/// A catalog, and how much of what was acknowledged it has.
pub(super) struct Sight {
    /// The catalog.
    pub(super) view: View,
    extent: Extent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// It has everything that was acknowledged before the request came.
    Newest,
    /// It has what this node knows while there is no quorum.
    Behind,
    /// It has what this node knows, which is enough.
    Enough,
}

impl Sight {
    /// The newest catalog: so a client that was told that a right is given or taken back finds it
    /// so on every node. While there is no quorum, a node goes by the rights that it knows, for
    /// what it serves then: content by its digest, whether credentials are good, and what it says
    /// of the cluster.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the cluster cannot agree now, and the request needs that.
    pub(super) async fn of(
        registry: &Registry,
        endpoint: &Endpoint,
        parts: &Parts,
        credentials: &Credentials,
    ) -> Result<Self, Error> {
        let is_told_where_tokens_are =
            *endpoint == Endpoint::Base && matches!(credentials, Credentials::None);
        if is_told_where_tokens_are || Mutant::RightsOfTheNode.is_active() {
            return Ok(Self { view: registry.cluster.local()?, extent: Extent::Enough });
        }
        if !serves_alone(endpoint, &parts.method) {
            return Self::newest(registry).await;
        }
        let (view, source) = registry.at_hand().await?;
        let extent = match source {
            Source::Confirmed => Extent::Newest,
            Source::Alone => Extent::Behind,
        };
        Ok(Self { view, extent })
    }

    /// The newest catalog.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the cluster cannot agree now.
    pub(super) async fn newest(registry: &Registry) -> Result<Self, Error> {
        Ok(Self { view: registry.newest().await?, extent: Extent::Newest })
    }

    /// Whether there may be rights that it does not have.
    pub(super) fn is_behind(&self) -> bool {
        self.extent == Extent::Behind
    }

    /// Who says what it says.
    pub(super) fn source(&self) -> Source {
        if self.is_behind() { Source::Alone } else { Source::Confirmed }
    }

    /// The catalog for a request of `method`, when that only reads: what somebody may see and what
    /// they are shown belong together, and are looked up once.
    pub(super) fn shown_to(self, method: &Method) -> Option<View> {
        (self.extent == Extent::Newest && is_read(method)).then_some(self.view)
    }
}

/// Whether a node answers this without a quorum.
fn serves_alone(endpoint: &Endpoint, method: &Method) -> bool {
    let is_served = matches!(
        endpoint,
        Endpoint::Base
            | Endpoint::Blob(..)
            | Endpoint::Manifest(_, Reference::Digest(_))
            | Endpoint::Cluster
    );
    is_served && is_read(method)
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
