//! Small images whose content is given by a number, so that whoever pulls one can say what it must
//! be.

use bytes::Bytes;
use proto::{Algorithm, Digest, MediaType};

/// An image of a config and layers.
#[derive(Clone, Debug)]
pub struct Image {
    blobs: Vec<(Digest, Bytes)>,
    manifest: Bytes,
}

impl Image {
    /// The image with this number. The first layer is the same in all of them, as a base image is.
    pub fn numbered(number: u64) -> Self {
        Self::of(number, vec![layer(0, 16 * 1024), layer(number + 1, 4 * 1024)], "")
    }

    /// The artifact with this number, which refers to the manifest `subject` of so many bytes, as a
    /// signature does.
    pub fn signature(number: u64, subject: &Digest, size: usize) -> Self {
        let media_type = MediaType::OCI_MANIFEST;
        let subject =
            format!(r#"{{"mediaType":"{media_type}","digest":"{subject}","size":{size}}}"#);
        let kind = Self::SIGNATURE_TYPE;
        let fields = format!(r#""artifactType":"{kind}","subject":{subject},"#);
        Self::of(number, vec![layer(number + 1, 512)], &fields)
    }

    /// The type of artifact that signatures have.
    pub const SIGNATURE_TYPE: &str = "application/vnd.example.signature";

    fn of(number: u64, layers: Vec<Bytes>, fields: &str) -> Self {
        let config = format!(r#"{{"architecture":"amd64","os":"linux","number":{number}}}"#);
        let contents = [vec![Bytes::from(config)], layers].concat();
        let blobs: Vec<(Digest, Bytes)> = contents
            .into_iter()
            .map(|content| (Digest::of(Algorithm::Sha256, &content), content))
            .collect();
        let kinds = ["config.v1+json"].into_iter().chain(std::iter::repeat("layer.v1.tar"));
        let descriptors: Vec<String> = blobs
            .iter()
            .zip(kinds)
            .map(|((digest, content), kind)| {
                let media_type = format!("application/vnd.oci.image.{kind}");
                format!(
                    r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#,
                    content.len()
                )
            })
            .collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}",{fields}"config":{},"layers":[{}],{}}}"#,
            MediaType::OCI_MANIFEST,
            descriptors[0],
            descriptors[1..].join(","),
            format_args!(r#""annotations":{{"number":"{number}"}}"#),
        );
        Self { blobs, manifest: manifest.into() }
    }

    /// The number of the image with this manifest, if it has one.
    pub fn number_of(manifest: &[u8]) -> Option<u64> {
        let manifest: serde_json::Value = serde_json::from_slice(manifest).ok()?;
        manifest["annotations"]["number"].as_str()?.parse().ok()
    }

    /// Its config and layers, with their digests.
    pub fn blobs(&self) -> &[(Digest, Bytes)] {
        &self.blobs
    }

    /// Its manifest.
    pub const fn manifest(&self) -> &Bytes {
        &self.manifest
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        Digest::of(Algorithm::Sha256, &self.manifest)
    }
}

/// Bytes that differ for each seed and do not compress away: a linear congruential generator
/// (Knuth's MMIX constants).
pub(crate) fn layer(seed: u64, size: usize) -> Bytes {
    let mut state = seed;
    (0..size)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect()
}
