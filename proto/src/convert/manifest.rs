//! Manifests, inside commands, events and rows.

use std::collections::BTreeMap;

use super::{DecodeError, parse};
use crate::pb::catalog as pb;
use crate::{Link, Manifest};

impl From<&Manifest> for pb::Manifest {
    fn from(manifest: &Manifest) -> Self {
        let links = |links: &[Link]| {
            links
                .iter()
                .map(|link| pb::Reference { digest: link.digest.to_string(), size: link.size })
                .collect()
        };
        Self {
            media_type: manifest.media_type.to_string(),
            digest: manifest.digest.to_string(),
            content: manifest.content.clone(),
            blobs: links(&manifest.blobs),
            children: links(&manifest.children),
            subject: manifest.subject.as_ref().map(ToString::to_string),
            artifact_type: manifest.artifact_type.clone(),
            annotations: manifest.annotations.clone(),
        }
    }
}

impl TryFrom<pb::Manifest> for Manifest {
    type Error = DecodeError;

    /// What the content says was read when it was pushed; it is not read again, so that a newer
    /// version that reads more decides an old entry as the older one did.
    fn try_from(manifest: pb::Manifest) -> Result<Self, DecodeError> {
        let links = |links: Vec<pb::Reference>| -> Result<Vec<Link>, DecodeError> {
            links
                .iter()
                .map(|l| Ok(Link { digest: parse("digest", &l.digest)?, size: l.size }))
                .collect()
        };
        Ok(Self {
            media_type: parse("media type", &manifest.media_type)?,
            digest: parse("digest", &manifest.digest)?,
            content: manifest.content,
            blobs: links(manifest.blobs)?,
            children: links(manifest.children)?,
            subject: manifest.subject.map(|digest| parse("digest", &digest)).transpose()?,
            artifact_type: manifest.artifact_type,
            annotations: BTreeMap::from_iter(manifest.annotations),
        })
    }
}
