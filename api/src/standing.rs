//! What a node knows, and whether the cluster stands behind it: content by its digest, and who may
//! have that.

use http::HeaderMap;
use raft::{ReadError, View};

use crate::error::{Error, RETRY_AFTER};
use crate::registry::Registry;
use crate::warning::warn;

/// Who says that content is there, or that credentials are good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The cluster.
    #[default]
    Confirmed,
    /// This node, which could not ask it: there is no quorum, or too many ask at once.
    Alone,
}

impl Standing {
    /// Tells whoever reads the answer with these `headers` what it is worth.
    pub(crate) fn mark(self, headers: &mut HeaderMap) {
        if self == Self::Alone {
            warn(
                headers,
                "this node could not ask its cluster: the bytes are those of the digest, but may \
                 have been deleted meanwhile",
            );
        }
    }

    /// Tells whoever reads the answer with these `headers` what it is worth, where that says who
    /// they are.
    pub(crate) fn mark_login(self, headers: &mut HeaderMap) {
        if self == Self::Alone {
            warn(
                headers,
                "this node could not ask its cluster: credentials and rights may have been taken \
                 back meanwhile",
            );
        }
    }

    /// What came of looking after the bytes of content. That they are gone may only be so where
    /// this node looks, if another object has taken the place of theirs meanwhile.
    pub(crate) fn judge(self, error: Error) -> Error {
        match error {
            Error::BlobUnknown(_) if self == Self::Alone => {
                Error::Unavailable { retry_after: RETRY_AFTER }
            }
            error => error,
        }
    }
}

impl Registry {
    /// The catalog after everything that was acknowledged before, or, while the cluster cannot be
    /// asked, this node's own replica of it.
    pub(crate) async fn at_hand(&self) -> Result<(View, Standing), Error> {
        match self.cluster.read().await {
            Err(ReadError::Unavailable { .. }) => Ok((self.cluster.local()?, Standing::Alone)),
            newest => Ok((newest?, Standing::Confirmed)),
        }
    }

    /// What `find` finds, for content by its digest: since that cannot change, this node's own
    /// replica may answer while the cluster cannot be asked. But only the cluster can say that
    /// something is absent.
    pub(crate) async fn content<T>(
        &self,
        find: impl Fn(&View) -> Result<Option<T>, ReadError>,
    ) -> Result<Option<(T, Standing)>, Error> {
        let (view, standing) = match &self.admitted_by {
            Some(view) => (view.clone(), Standing::Confirmed),
            None => self.at_hand().await?,
        };
        match find(&view)? {
            None if standing == Standing::Alone => {
                let found = find(&self.newest().await?)?;
                Ok(found.map(|found| (found, Standing::Confirmed)))
            }
            found => Ok(found.map(|found| (found, standing))),
        }
    }
}
