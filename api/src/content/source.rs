//! What a node knows, and whether the cluster stands behind it: content by its digest, and who may
//! have that.

use http::HeaderMap;
use http::request::Parts;
use raft::{ReadError, View};

use crate::access;
use crate::error::{Error, RETRY_AFTER};
use crate::registry::Registry;
use crate::visit::Visit;
use crate::warning::warn;

/// Who says that content is there, or that credentials are good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// The cluster.
    #[default]
    Confirmed,
    /// This node, which could not ask it: there is no quorum, or too many ask at once.
    Alone,
}

impl Source {
    /// Tells the reader of the answer with these `headers` what it is worth.
    pub(crate) fn mark(self, headers: &mut HeaderMap) {
        if self == Self::Alone {
            warn(
                headers,
                "this node could not ask its cluster: the bytes are those of the digest, but may \
                 have been deleted meanwhile",
            );
        }
    }

    /// Tells the reader of the answer with these `headers` what it is worth, where that says who
    /// the reader is.
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
    pub(crate) fn explain(self, error: Error) -> Error {
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
    pub(crate) async fn at_hand(&self) -> Result<(View, Source), Error> {
        match self.cluster.read().await {
            Err(ReadError::Unavailable { .. }) => Ok((self.cluster.local()?, Source::Alone)),
            newest => Ok((newest?, Source::Confirmed)),
        }
    }
}

impl Visit {
    /// What `find` finds, for content by its digest that the request of `parts` is about: since
    /// content cannot change, this node's own replica may answer while the cluster cannot be asked.
    /// But only the cluster can say that content is absent.
    ///
    /// A caller who was let in by the rights that this node knew is shown the content that it knew,
    /// and newer content only if newer rights permit it, too.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when only the cluster could say, and cannot now; those of a caller
    /// who has no right any more.
    pub(crate) async fn content<T>(
        &self,
        parts: &Parts,
        find: impl Fn(&View) -> Result<Option<T>, ReadError>,
    ) -> Result<Option<(T, Source)>, Error> {
        let (view, source) = match &self.admitted_by {
            Some(view) => (view.clone(), Source::Confirmed),
            None if self.admission.source == Source::Alone => {
                (self.cluster.local()?, Source::Alone)
            }
            None => self.at_hand().await?,
        };
        match find(&view)? {
            None if source == Source::Alone => {
                let newest = self.newest().await?;
                access::judge_anew(self, parts, &newest).await?;
                Ok(find(&newest)?.map(|found| (found, Source::Confirmed)))
            }
            found => Ok(found.map(|found| (found, source))),
        }
    }
}
