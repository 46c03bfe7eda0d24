//! One request, as the handlers have it: the registry, and who was let in to use it.

use std::ops::Deref;
use std::sync::Arc;

use http::request::Parts;
use proto::access::Verb;
use proto::{Answer, Command, Digest, RepoName, RequestId};
use raft::View;

use crate::access::{Admission, Caller};
use crate::allowances::Share;
use crate::audit;
use crate::client::Origin;
use crate::error::Error;
use crate::registry::{Registry, decide, detached, fresh_request};

/// Most repositories that are looked at for one from which a blob can be mounted.
const SOURCES_MAX: usize = 1_000;

/// A request that was admitted: only [`crate::access::admit`] makes one.
#[derive(Clone)]
pub(crate) struct Visit {
    registry: Registry,
    /// Who asks.
    pub(crate) caller: Arc<Caller>,
    /// By what they were let in.
    pub(crate) admission: Admission,
    /// Where they ask from.
    pub(crate) origin: Origin,
    /// The catalog by which a caller who only reads was let in: that one is shown.
    pub(crate) admitted_by: Option<View>,
    /// The share of the transfers that the request has. What goes on after its client hung up has
    /// it, too.
    pub(crate) share: Option<Arc<Share>>,
}

impl Deref for Visit {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.registry
    }
}

impl Visit {
    /// The visit of `caller`, whose request `parts` are of and has `share`.
    pub(crate) fn of(
        registry: Registry,
        caller: Arc<Caller>,
        admission: Admission,
        parts: &Parts,
        share: Option<Arc<Share>>,
    ) -> Self {
        let origin = Origin::of(&parts.extensions);
        Self { registry, caller, admission, origin, admitted_by: None, share }
    }

    /// The catalog after everything that was acknowledged before the request came.
    pub(crate) async fn view(&self) -> Result<View, Error> {
        match &self.admitted_by {
            Some(view) => Ok(view.clone()),
            None => self.newest().await,
        }
    }

    /// A repository that has the blob and that the caller may read with what they have shown: what
    /// is mounted then comes from a repository that is named, as if the client had named it. Of
    /// very many, not all are looked at.
    pub(crate) async fn mountable_from(&self, digest: &Digest) -> Result<Option<RepoName>, Error> {
        let holders = self.view().await?.holders(digest, None, SOURCES_MAX)?;
        Ok(holders.into_iter().find(|holder| self.caller.may(Verb::Pull, Some(holder))))
    }

    /// Has the cluster decide `command`. Waits out an election: every attempt carries the same
    /// `request`, so it happens at most once. Goes on to its end when the caller is dropped, so
    /// that a client that left leaves nothing half done; until then it has its share.
    pub(crate) async fn propose(
        &self,
        request: RequestId,
        command: Command,
    ) -> Result<Answer, Error> {
        let (cluster, actor, origin) = (self.cluster.clone(), self.caller.actor(), self.origin);
        let share = self.share.clone();
        detached(async move {
            let _held = share;
            let outcome = decide(&cluster, &actor, request, &command).await;
            audit::decided(origin, &actor, &command, &outcome);
            outcome
        })
        .await
    }

    /// Has the cluster decide `command`, which no client repeats under the same id.
    pub(crate) async fn propose_once(&self, command: Command) -> Result<Answer, Error> {
        self.propose(fresh_request()?, command).await
    }
}
