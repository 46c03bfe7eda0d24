//! What an operator says of a bucket.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use proto::limits::UPLOAD_PARTS_MAX;

/// A bucket, and how to use it. Where no credentials are given, they come from where Amazon's
/// clients look for them: environment variables, the profile of the user, a web identity token, or
/// the machine's role.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// The bucket, which must exist.
    pub bucket: String,
    /// Where the store is, such as `https://s3.example`; unset: Amazon's own, in the region.
    pub endpoint: Option<String>,
    /// The region; unset: the environment's or the profile's, else `us-east-1`.
    pub region: Option<String>,
    /// What all keys begin with; empty, or a path without a slash at its ends.
    pub prefix: String,
    /// Whether the bucket stands in the path of URLs and not in their host.
    pub path_style: bool,
    /// A file with certificates, in PEM, of authorities that may have signed the store's, beside
    /// those that the machine trusts.
    pub ca: Option<PathBuf>,
    /// How the store encrypts what it keeps.
    pub encryption: Encryption,
    /// The account that asks; unset: that of the environment.
    pub credentials: Option<S3Credentials>,
    /// How long a presigned URL is good for.
    pub presigned_for: Duration,
    /// Most parts of one object: what is longer is several objects, which have no URL of their own.
    /// The store puts the parts of the last one together after the last byte.
    pub parts_max: u16,
    /// Most appends to one upload: [`UPLOAD_PARTS_MAX`].
    pub upload_parts_max: usize,
}

impl S3Settings {
    /// Most parts that an object may have on S3: 78 GiB.
    pub const PARTS_MAX: u16 = 10_000;
    /// As many parts as a store puts together in a moment: 2 GiB.
    pub const PARTS_SOON_TOGETHER: u16 = 256;

    /// `bucket`, with everything else as on S3 itself.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            endpoint: None,
            region: None,
            prefix: String::new(),
            path_style: false,
            ca: None,
            encryption: Encryption::Bucket,
            credentials: None,
            presigned_for: Duration::from_secs(5 * 60),
            parts_max: Self::PARTS_MAX,
            upload_parts_max: UPLOAD_PARTS_MAX,
        }
    }
}

/// A key that requests are signed with.
#[derive(Clone)]
pub struct S3Credentials {
    /// Its name.
    pub access_key: String,
    /// What nobody else knows.
    pub secret_key: String,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// How the store encrypts what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket is set up.
    Bucket,
    /// With keys that the store keeps (`AES256`).
    Aes256,
    /// With a key of the key management service (`aws:kms`); unset: the account's own.
    Kms {
        /// The key's id or name.
        key: Option<String>,
    },
}
