//! Descriptors (image-spec, "OCI Content Descriptors"), as referrers are listed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Digest, MediaType};

/// What a list says of one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The content's type.
    pub media_type: MediaType,
    /// The content's digest.
    pub digest: Digest,
    /// The content's size, in bytes.
    pub size: u64,
    /// What kind of artifact it is; for an image without `artifactType`, its config's media type.
    pub artifact_type: Option<String>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Serialize for Descriptor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mediaType", self.media_type.as_str())?;
        map.serialize_entry("digest", self.digest.as_str())?;
        map.serialize_entry("size", &self.size)?;
        if let Some(artifact_type) = &self.artifact_type {
            map.serialize_entry("artifactType", artifact_type)?;
        }
        if !self.annotations.is_empty() {
            map.serialize_entry("annotations", &self.annotations)?;
        }
        map.end()
    }
}
