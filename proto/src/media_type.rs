//! Media types, and which of them Roadstead reads as manifests.

use std::fmt;
use std::str::FromStr;

use crate::limits::MEDIA_TYPE_BYTES_MAX;

/// A media type without parameters, for example `application/vnd.oci.image.manifest.v1+json` (RFC
/// 6838, section 4.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaType(Box<str>);

/// How the content of a manifest is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// A config and layers: an OCI image or artifact, or a Docker image of schema 2.
    Image,
    /// A list of manifests: an OCI index, or a Docker manifest list.
    Index,
}

impl MediaType {
    /// The media type of an OCI image index, in which referrers are answered too.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// The media type of an OCI image manifest.
    pub const OCI_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// The media type of a Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &'static str =
        "application/vnd.docker.distribution.manifest.v2+json";
    /// The media type of a Docker manifest list.
    pub const DOCKER_LIST: &'static str =
        "application/vnd.docker.distribution.manifest.list.v2+json";

    /// The media type as it stands in headers.
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// How to read content of this type as a manifest. `None` when it is no type of manifest that
    /// Roadstead takes.
    pub fn manifest_kind(&self) -> Option<ManifestKind> {
        match &*self.0 {
            Self::OCI_MANIFEST | Self::DOCKER_MANIFEST => Some(ManifestKind::Image),
            Self::OCI_INDEX | Self::DOCKER_LIST => Some(ManifestKind::Index),
            _ => None,
        }
    }

    /// Whether content of this type need not be in the registry: image-spec's non-distributable
    /// layers, and Docker's foreign ones, live elsewhere.
    pub fn is_foreign_layer(&self) -> bool {
        self.0.starts_with("application/vnd.oci.image.layer.nondistributable.v1.")
            || self.0.starts_with("application/vnd.docker.image.rootfs.foreign.")
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        // RFC 6838, section 4.2: restricted-name.
        let is_name = |name: &str| {
            name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let (kind, subtype) = text.split_once('/').ok_or(MediaTypeError)?;
        if text.len() <= MEDIA_TYPE_BYTES_MAX && is_name(kind) && is_name(subtype) {
            Ok(Self(text.into()))
        } else {
            Err(MediaTypeError)
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a media type is type/subtype, without parameters, of at most {MEDIA_TYPE_BYTES_MAX} characters"
)]
pub struct MediaTypeError;
