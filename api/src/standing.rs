//! Content by its digest, and whether the cluster stands behind that it is there.

use http::HeaderMap;
use raft::{ReadError, View};

use crate::error::{Error, RETRY_AFTER};
use crate::registry::Registry;
use crate::warning::warn;

/// Who says that content is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The cluster.
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
    /// What `find` finds, for content by its digest: since that cannot change, this node's own
    /// replica may answer while the cluster cannot be asked. That it is *absent* only that can say.
    pub(crate) async fn content<T>(
        &self,
        find: impl Fn(&View) -> Result<Option<T>, ReadError>,
    ) -> Result<Option<(T, Standing)>, Error> {
        let confirmed = |found: Option<T>| found.map(|found| (found, Standing::Confirmed));
        if let Some(view) = &self.admitted_by {
            return Ok(confirmed(find(view)?));
        }
        match self.cluster.read().await {
            Ok(view) => Ok(confirmed(find(&view)?)),
            Err(ReadError::Unavailable { .. }) => match find(&self.cluster.local()?)? {
                Some(found) => Ok(Some((found, Standing::Alone))),
                None => Ok(confirmed(find(&self.newest().await?)?)),
            },
            Err(error) => Err(error.into()),
        }
    }
}
