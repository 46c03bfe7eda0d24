//! The object store that all nodes share, of either kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use proto::ObjectKey;
use storage::Blobs;
use storage::blob::S3OpenError;

use super::chronicle::Chronicle;
use super::dice::Dice;
use super::havoc::Conditions;
use super::invariants::garbage;
use super::objects::SimObjects;
use super::plan::{Plan, StoreKind};
use super::rot::Rot;
use super::s3::SimS3;

/// A store. Clones are the same one.
#[derive(Clone)]
pub(crate) enum Store {
    /// One that the nodes call, as they would call any.
    Called(SimObjects),
    /// One that they send requests to.
    S3(SimS3),
}

impl Store {
    /// The store of a plan.
    pub(crate) fn of(plan: &Plan, chronicle: &Chronicle) -> Self {
        let dice = Dice::new(plan.seed, "objects");
        match plan.store {
            StoreKind::Called => Self::Called(SimObjects::new(dice, chronicle.clone())),
            StoreKind::S3 => Self::S3(SimS3::new(dice, chronicle.clone())),
        }
    }

    /// Opens it for a node that starts.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Blobs>, S3OpenError> {
        match self {
            Self::Called(objects) => Ok(Arc::new(objects.clone())),
            Self::S3(s3) => Ok(Arc::new(s3.open().await?)),
        }
    }

    /// Makes it as wrong as `wanted` says.
    pub(crate) fn apply(&self, wanted: &Conditions) {
        match self {
            Self::Called(objects) => {
                objects.set_away(wanted.is_store_away || wanted.is_store_denied);
                objects.set_failing(wanted.store_fails.unwrap_or(0));
            }
            Self::S3(s3) => s3.apply(wanted),
        }
    }

    /// Whether it has ever refused all nodes.
    pub(crate) fn has_denied(&self) -> bool {
        match self {
            Self::Called(_) => false,
            Self::S3(s3) => s3.has_denied(),
        }
    }

    /// From now on nothing is wrong with it.
    pub(crate) fn end(&self) {
        match self {
            Self::Called(_) => {}
            Self::S3(s3) => s3.end(),
        }
    }

    /// Leaves what `rot` leaves of each object that has one of these `contents`, and no object
    /// where that is nothing, as a store that loses what it holds would. Answers how many those
    /// were.
    pub(crate) async fn damage(&self, contents: &[Bytes], rot: Rot) -> usize {
        match self {
            Self::Called(objects) => objects.damage(contents, rot).await,
            Self::S3(s3) => s3.damage(contents, rot),
        }
    }

    /// Has the object of a blob rot, one of those that `is_named` says the catalog names. Answers
    /// what it held, and what became of it.
    pub(crate) fn rot(
        &self,
        dice: &mut Dice,
        is_named: impl Fn(ObjectKey) -> bool,
    ) -> Option<(Bytes, Rot)> {
        match self {
            Self::Called(objects) => objects.rot(dice, is_named).now_or_never().flatten(),
            Self::S3(s3) => s3.rot(dice, is_named),
        }
    }

    /// Gives everything back as it was written.
    pub(crate) fn mend(&self) {
        match self {
            Self::Called(objects) => objects.mend(),
            Self::S3(s3) => s3.mend(),
        }
    }

    /// All bytes of each object that it holds.
    pub(crate) fn contents(&self) -> BTreeMap<ObjectKey, Bytes> {
        match self {
            // Memory makes nobody wait.
            Self::Called(objects) => objects.contents().now_or_never().unwrap_or_default(),
            Self::S3(s3) => s3.contents(),
        }
    }

    /// The names of what it holds that nobody needs, where `is_named` says which objects the
    /// catalog names.
    pub(crate) fn left(&self, is_named: impl Fn(ObjectKey) -> bool) -> Vec<String> {
        match self {
            Self::Called(objects) => {
                // Memory makes nobody wait.
                let keys = objects.keys().now_or_never().unwrap_or_default();
                garbage(keys, is_named).iter().map(ObjectKey::to_string).collect()
            }
            Self::S3(s3) => s3.left(is_named),
        }
    }
}
