//! Images as the generator makes them: a configuration, two layers, and the manifest of the three.

use bytes::Bytes;
use proto::{Algorithm, Digest};
use serde_json::json;

use crate::content::{Blob, Content, Payload};

/// The type of the manifests of images.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of the manifests of manifests.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Layers of an image.
const LAYERS: u64 = 2;

/// An image.
pub(crate) struct Image {
    /// Its configuration, then its layers.
    pub(crate) blobs: Vec<Blob>,
    pub(crate) manifest: Manifest,
}

/// A manifest, and what it is called.
#[derive(Clone)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
}

impl Image {
    /// The image `number` of `content`.
    pub(crate) fn new(content: &Content, number: u64) -> Self {
        let layers = (0..LAYERS).map(|layer| content.blob(number * LAYERS + layer));
        let layers: Vec<Blob> = layers.collect();
        let config = config(content, number, &layers);
        let manifest = Manifest::of(&config, &layers, "");
        Self { blobs: [vec![config], layers].concat(), manifest }
    }

    /// Its layers.
    pub(crate) fn layers(&self) -> &[Blob] {
        &self.blobs[1..]
    }

    /// A manifest of the same blobs that differs by `note`.
    pub(crate) fn noted(&self, note: &str) -> Manifest {
        Manifest::of(&self.blobs[0], self.layers(), note)
    }
}

impl Manifest {
    fn of(config: &Blob, layers: &[Blob], note: &str) -> Self {
        let descriptor = |media_type: &str, blob: &Blob| {
            let (digest, size) = (blob.digest.as_str(), blob.payload.len());
            json!({ "mediaType": media_type, "digest": digest, "size": size })
        };
        let layers: Vec<_> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": layers,
        });
        if !note.is_empty() {
            manifest["annotations"] = json!({ "bench": note });
        }
        Self::from(manifest.to_string())
    }

    /// A manifest that needs nothing to be there.
    pub(crate) fn empty() -> Self {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
        Self::from(index.to_string())
    }

    /// What is sent to push it.
    pub(crate) fn payload(&self) -> Payload {
        Payload::of(self.bytes.clone())
    }
}

impl From<String> for Manifest {
    fn from(text: String) -> Self {
        Self { digest: Digest::of(Algorithm::Sha256, text.as_bytes()), bytes: text.into() }
    }
}

/// A configuration (image-spec, "OCI Image Configuration") that no other image has.
fn config(content: &Content, number: u64, layers: &[Blob]) -> Blob {
    let diffs: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Labels": { "bench": format!("{}/{number}", content.seed()) } },
        "rootfs": { "type": "layers", "diff_ids": diffs },
    });
    let bytes = config.to_string();
    let digest = Digest::of(Algorithm::Sha256, bytes.as_bytes());
    Blob { digest, payload: Payload::of(bytes) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn an_image_is_what_registries_accept() {
        let content = Content::new(1, "1KiB".parse().expect("it is a mix"));
        let image = Image::new(&content, 5);
        let digest = image.manifest.digest.clone();
        let (media_type, bytes) = (MANIFEST.parse().expect("it is a type"), &image.manifest.bytes);
        let parsed = proto::Manifest::parse(media_type, Algorithm::Sha256, bytes.clone());
        let parsed = parsed.expect("it is a manifest");
        assert_eq!(parsed.digest(), &digest);
        assert_eq!(image.blobs.len(), 3);
        assert_ne!(image.noted("1").digest, image.noted("2").digest);
        assert_ne!(Image::new(&content, 6).manifest.digest, digest);
    }
}
