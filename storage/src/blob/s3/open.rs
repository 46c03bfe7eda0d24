//! Opening: finding out what is wrong with a bucket before anybody relies on it, and whose it is.

use std::error::Error as _;
use std::str;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{HttpClient, IntoShared as _};
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use proto::ClusterId;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use super::bucket::{Bucket, Condition, Written};
use super::budget::Budget;
use super::client::{self, Patience};
use super::error::{Failed, reason, status};
use super::publish::Publisher;
use super::sizes::PARTS_IN_MEMORY;
use super::{S3Blobs, S3OpenError, S3Settings, Store};
use crate::blob::{BlobsError, ClaimError, Unclaimed};

/// Objects that are looked at to tell whether a store is new.
const LOOK: i32 = 10;
/// How long after the claim of a store without conditions that claim is looked at.
const SETTLING: Duration = Duration::from_secs(3);
/// The store's code for credentials that were good for a time, and may be renewed.
const EXPIRED: &str = "ExpiredToken";
/// Its code for a request that was signed at another time than it is there.
const SKEWED: &str = "RequestTimeTooSkewed";

impl S3Blobs {
    /// Opens the store that `settings` name. One that cannot be reached now is opened as well: what
    /// needs it fails until it can.
    ///
    /// # Errors
    /// [`S3OpenError`]: what will not mend by itself.
    pub async fn open(settings: &S3Settings) -> Result<Self, S3OpenError> {
        Self::open_through(settings, client::http(settings)?).await
    }

    /// Does what [`S3Blobs::open`] does, with `http` to carry requests, such as over a network that
    /// is simulated. It must heed the time that making a connection may take.
    ///
    /// # Errors
    /// See [`S3Blobs::open`].
    pub async fn open_through(
        settings: &S3Settings,
        http: impl HttpClient + 'static,
    ) -> Result<Self, S3OpenError> {
        let bucket = Arc::new(Bucket::new(settings, http.into_shared()).await);
        let place = settings.endpoint.clone().unwrap_or_else(|| "Amazon S3".to_owned());
        let looked = bucket
            .client
            .list_objects_v2()
            .bucket(&bucket.name)
            .prefix(bucket.keys.prefix())
            .max_keys(1)
            .send()
            .await;
        if let Err(error) = looked {
            if let Some(refusal) = refusal(&error, &bucket.name, place) {
                return Err(refusal);
            }
            tracing::warn!(error = reason(&error), "{}", outage(error.code()));
        }
        let store = Store {
            bucket,
            publisher: Publisher::default(),
            parts_max: settings.parts_max,
            upload_parts_max: settings.upload_parts_max,
            budget: Budget::new(PARTS_IN_MEMORY),
            presigned_for: settings.presigned_for,
            to_claim: OnceLock::new(),
            claimed: OnceCell::new(),
        };
        Ok(Self { store: Arc::new(store) })
    }

    /// Whether the store promises that of several appends through several nodes exactly one wins:
    /// it heeds conditional writes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_conditional(&self) -> Result<bool, BlobsError> {
        self.store.publisher.is_conditional(&self.store.bucket).await
    }
}

/// What is said of a store that may come back, and refused us with this `code`.
fn outage(code: Option<&str>) -> &'static str {
    match code {
        Some(EXPIRED) => "the credentials for the object store have expired: renew them",
        Some(SKEWED) => "by the object store's clock this machine's is wrong: set it right",
        _ => "the object store does not answer",
    }
}

/// What the operator has to mend before a node can start; `None` when the store may only be down.
fn refusal<E>(error: &Failed<E>, bucket: &str, place: String) -> Option<S3OpenError>
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    let bucket = bucket.to_owned();
    let SdkError::ServiceError(_) = error else {
        let reason = reason(error);
        return match credentials_error(error) {
            Some(CredentialsError::CredentialsNotLoaded(_)) => {
                Some(S3OpenError::NoCredentials(bucket))
            }
            Some(CredentialsError::InvalidConfiguration(_)) => {
                Some(S3OpenError::Denied { bucket, place, reason })
            }
            // The service that gives credentials out may only be down.
            Some(_) => None,
            None => matches!(error, SdkError::ConstructionFailure(_))
                .then_some(S3OpenError::Refused { bucket, place, reason }),
        };
    };
    match (status(error), error.code()) {
        // Who gives no code is a proxy that does not find the store, or does not let us through.
        // (The SDK calls a 404 without a body `NotFound`.)
        (_, None | Some("NotFound" | EXPIRED | SKEWED)) => None,
        (_, Some("NoSuchBucket")) => Some(S3OpenError::NoBucket { bucket, place }),
        (Some(401 | 403), _) => Some(S3OpenError::Denied { bucket, place, reason: reason(error) }),
        (Some(408 | 429), _) => None,
        (Some(300..500), _) => Some(S3OpenError::Refused { bucket, place, reason: reason(error) }),
        _ => None,
    }
}

/// Why there were no credentials to sign a request with, if that is why it failed.
fn credentials_error<E>(error: &Failed<E>) -> Option<&CredentialsError>
where
    E: std::error::Error + 'static,
{
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

impl Store {
    /// See [`crate::Blobs::claim`].
    pub(super) async fn claim(
        &self,
        cluster: ClusterId,
        unclaimed: Unclaimed,
    ) -> Result<(), ClaimError> {
        let mut owner = self.owner().await?;
        if owner.is_none() && unclaimed == Unclaimed::Bind {
            if self.is_foreign().await? {
                return Err(ClaimError::Foreign);
            }
            let key = self.bucket.keys.cluster();
            let put = |condition| {
                self.bucket.put(&key, format!("{cluster}\n"), condition, Patience::Question)
            };
            // Some stores ignore a condition, and say that it is written; others refuse it, and
            // write nothing. Then, of two clusters that are founded on one bucket at the same
            // moment, the first to write finds the other, once that has had the time to write.
            let is_settled = match put(Condition::Absent).await? {
                Written::Yes => self.publisher.is_conditional(&self.bucket).await?,
                Written::Conflict => true,
                Written::Unsupported => {
                    put(Condition::Always).await?;
                    false
                }
            };
            if !is_settled {
                sleep(SETTLING).await;
            }
            owner = self.owner().await?;
        }
        match owner {
            Some(owner) if owner == cluster => Ok(()),
            Some(owner) => Err(ClaimError::Taken(owner)),
            None => Err(ClaimError::Empty),
        }
    }

    async fn owner(&self) -> Result<Option<ClusterId>, BlobsError> {
        let Some(found) = self.bucket.get(&self.bucket.keys.cluster()).await? else {
            return Ok(None);
        };
        let owner = str::from_utf8(&found.bytes).ok().and_then(|text| text.trim_end().parse().ok());
        let damaged = || std::io::Error::other("the object `cluster` does not name a cluster");
        owner.map(Some).ok_or_else(|| BlobsError::Unavailable(damaged()))
    }

    /// Whether a store that nobody owns holds anything but what nodes that start write.
    async fn is_foreign(&self) -> Result<bool, BlobsError> {
        let prefix = self.bucket.keys.prefix();
        let listed = self
            .bucket
            .client
            .list_objects_v2()
            .bucket(&self.bucket.name)
            .prefix(prefix)
            .max_keys(LOOK)
            .send()
            .await
            .map_err(|error| super::failure(&error))?;
        let ours = [self.bucket.keys.probes(), self.bucket.keys.cluster()];
        let is_ours = |key: &str| ours.iter().any(|ours| key.starts_with(ours));
        Ok(listed.contents().iter().filter_map(|object| object.key()).any(|key| !is_ours(key)))
    }
}
