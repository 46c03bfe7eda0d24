//! Where the bytes of blobs rest: the keys of `[storage]`, and what must hold between them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use storage::blob::{Encryption as S3Encryption, S3Settings};

use super::{CacheSize, ConfigError, Encryption, Endpoint, Redirect, Seconds, Source, StorageKind};

/// How often the leader looks for what nobody needs.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// The bytes of blobs, which all nodes of a cluster share.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The kind of store.
    pub kind: StorageKind,
    /// The folder, of a store on disk.
    pub path: PathBuf,
    /// The bucket, of a store on S3: set for one.
    pub bucket: Option<String>,
    /// Where the store is; unset: Amazon's.
    pub endpoint: Option<Endpoint>,
    /// The region; unset: what the environment says.
    pub region: Option<String>,
    /// What all keys in the bucket begin with; unset: nothing.
    pub prefix: Option<String>,
    /// Whether the bucket stands in the path of URLs and not in their host.
    pub path_style: bool,
    /// A file with certificates of authorities that may have signed the store's; unset: those that
    /// the machine trusts, alone.
    pub ca: Option<PathBuf>,
    /// What the store is asked to encrypt with.
    pub sse: Encryption,
    /// The key for that, of the key management service; unset: the account's own.
    pub sse_kms_key: Option<String>,
    /// Whether clients get blobs from the store itself.
    pub redirect: Redirect,
    /// How much of what is read from the bucket the node keeps on its own disk.
    pub cache_bytes: CacheSize,
    /// The folder for that.
    pub cache_path: PathBuf,
    /// How long the leader rests between two looks for what uploads have left.
    pub sweep_every: Seconds,
}

impl Storage {
    /// What `source` says, of a node that `joins` a cluster or not.
    pub(super) fn read(
        source: &mut Source,
        data_dir: &Path,
        joins: bool,
    ) -> Result<Self, ConfigError> {
        let has_path = source.sets("storage.path");
        let storage = Self {
            kind: source.take("storage.kind", || StorageKind::Disk)?,
            path: source.take("storage.path", || data_dir.join("blobs"))?,
            bucket: source.take_optional("storage.bucket")?,
            endpoint: source.take_optional("storage.endpoint")?,
            region: source.take_optional("storage.region")?,
            prefix: source.take_optional("storage.prefix")?,
            path_style: source.take("storage.path_style", || false)?,
            ca: source.take_optional("storage.ca")?,
            sse: source.take("storage.sse", || Encryption::None)?,
            sse_kms_key: source.take_optional("storage.sse_kms_key")?,
            redirect: source.take("storage.redirect", || Redirect::Never)?,
            cache_bytes: source.take("storage.cache_bytes", || CacheSize::NONE)?,
            cache_path: source.take("storage.cache_path", || data_dir.join("cache"))?,
            // What it finds was idle for two days: an hour more is nothing.
            sweep_every: source.take("storage.sweep_every_s", || Seconds::of(SWEEP_EVERY))?,
        };
        storage.check(joins, has_path)?;
        Ok(storage)
    }

    fn check(&self, joins: bool, has_path: bool) -> Result<(), ConfigError> {
        let is_disk = self.kind == StorageKind::Disk;
        let refusal = if is_disk && joins && !has_path {
            "storage.path must be set, because cluster.join is: all nodes of a cluster share one \
             blob folder"
        } else if is_disk && self.bucket.is_some() {
            "storage.bucket is set, but storage.kind is \"disk\": set that to \"s3\", or leave the \
             bucket away"
        } else if is_disk && (self.endpoint.is_some() || self.prefix.is_some()) {
            "storage.endpoint and storage.prefix are of a store on S3, but storage.kind is \
             \"disk\": set that to \"s3\", or leave them away"
        } else if is_disk && self.redirect != Redirect::Never {
            "storage.redirect must be \"never\", because storage.kind is \"disk\": only a store on \
             S3 can serve blobs itself"
        } else if is_disk && self.cache_bytes != CacheSize::NONE {
            "storage.cache_bytes must be 0, because storage.kind is \"disk\": only what is read \
             from S3 is cached"
        } else if !is_disk && self.bucket.is_none() {
            "storage.bucket must be set, because storage.kind is \"s3\""
        } else if self.sse_kms_key.is_some() && self.sse != Encryption::Kms {
            "storage.sse must be \"aws:kms\", because storage.sse_kms_key is set"
        } else {
            return Ok(());
        };
        Err(ConfigError::conflict(refusal.to_owned()))
    }

    /// The bucket, of a store on S3.
    pub(crate) fn s3(&self) -> S3Settings {
        S3Settings {
            endpoint: self.endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
            region: self.region.clone(),
            prefix: self.prefix.clone().unwrap_or_default(),
            path_style: self.path_style,
            ca: self.ca.clone(),
            parts_max: match self.redirect {
                Redirect::Never => S3Settings::PARTS_SOON_TOGETHER,
                // Only what is one object has a URL to redirect to.
                Redirect::Auto | Redirect::Always => S3Settings::PARTS_MAX,
            },
            encryption: match self.sse {
                Encryption::None => S3Encryption::Bucket,
                Encryption::Aes256 => S3Encryption::Aes256,
                Encryption::Kms => S3Encryption::Kms { key: self.sse_kms_key.clone() },
            },
            ..S3Settings::new(self.bucket.clone().unwrap_or_default())
        }
    }
}
