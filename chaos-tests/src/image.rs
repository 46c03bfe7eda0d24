//! Small images whose content is given by a number, so that a client that pulls one can say what it
//! must be.

use bytes::Bytes;
use proto::{Algorithm, Digest, MediaType};

/// An image of a config and layers, or an index of such images for several platforms.
#[derive(Clone, Debug)]
pub struct Image {
    number: u64,
    blobs: Vec<(Digest, Bytes)>,
    children: Vec<Self>,
    manifest: Bytes,
}

impl Image {
    /// From this number on they are indexes.
    pub const INDEXES: u64 = 1_000_000_000_000;

    /// The image with this number. The first layer is the same in all of them, as a base image is.
    /// From [`Self::INDEXES`] on it is an index, of the image whose number is that much less and of
    /// the one after it: indexes that follow each other share an image.
    pub fn numbered(number: u64) -> Self {
        if number >= Self::INDEXES {
            let first = number % Self::INDEXES;
            return Self::index(number, [first, first + 1].map(Self::numbered).into());
        }
        Self::of(number, vec![layer(0, 16 * 1024), layer(number + 1, 4 * 1024)], "")
    }

    /// The artifact with this number, which refers to `subject`, as a signature does.
    pub fn signature(number: u64, subject: &Self) -> Self {
        let kind = Self::SIGNATURE_TYPE;
        let subject = descriptor(subject.media_type(), &subject.manifest, "");
        let fields = format!(r#""artifactType":"{kind}","subject":{subject},"#);
        Self::of(number, vec![layer(number + 1, 512)], &fields)
    }

    /// The type of artifact that signatures have.
    const SIGNATURE_TYPE: &str = "application/vnd.example.signature";

    fn of(number: u64, layers: Vec<Bytes>, fields: &str) -> Self {
        let config = format!(r#"{{"architecture":"amd64","os":"linux","number":{number}}}"#);
        let contents = [vec![Bytes::from(config)], layers].concat();
        let kinds = ["config.v1+json"].into_iter().chain(std::iter::repeat("layer.v1.tar"));
        let descriptors: Vec<String> = contents
            .iter()
            .zip(kinds)
            .map(|(content, kind)| {
                descriptor(&format!("application/vnd.oci.image.{kind}"), content, "")
            })
            .collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}",{fields}"config":{},"layers":[{}],{}}}"#,
            MediaType::OCI_MANIFEST,
            descriptors[0],
            descriptors[1..].join(","),
            annotations(number),
        );
        let with_digest = |content: Bytes| (Digest::of(Algorithm::Sha256, &content), content);
        let blobs = contents.into_iter().map(with_digest).collect();
        Self { number, blobs, children: Vec::new(), manifest: manifest.into() }
    }

    fn index(number: u64, children: Vec<Self>) -> Self {
        let descriptors: Vec<String> = children
            .iter()
            .zip(["amd64", "arm64"])
            .map(|(child, architecture)| {
                let platform =
                    format!(r#","platform":{{"architecture":"{architecture}","os":"linux"}}"#);
                descriptor(child.media_type(), &child.manifest, &platform)
            })
            .collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}],{}}}"#,
            MediaType::OCI_INDEX,
            descriptors.join(","),
            annotations(number),
        );
        Self { number, blobs: Vec::new(), children, manifest: manifest.into() }
    }

    /// Its number.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The number of the image with this manifest, if it has one.
    pub fn number_of(manifest: &[u8]) -> Option<u64> {
        let manifest: serde_json::Value = serde_json::from_slice(manifest).ok()?;
        manifest["annotations"]["number"].as_str()?.parse().ok()
    }

    /// Its config and layers, with their digests; an index has none.
    pub fn blobs(&self) -> &[(Digest, Bytes)] {
        &self.blobs
    }

    /// The images that it lists, if it is an index.
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// The images that are pulled with it: those that it lists, or itself.
    pub fn images(&self) -> &[Self] {
        if self.is_index() { &self.children } else { std::slice::from_ref(self) }
    }

    /// Whether it is an index.
    pub const fn is_index(&self) -> bool {
        !self.children.is_empty()
    }

    /// The type of its manifest.
    pub const fn media_type(&self) -> &'static str {
        if self.is_index() { MediaType::OCI_INDEX } else { MediaType::OCI_MANIFEST }
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

/// The descriptor of `content`, which has these `fields` too.
fn descriptor(media_type: &str, content: &Bytes, fields: &str) -> String {
    let (digest, size) = (Digest::of(Algorithm::Sha256, content), content.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{fields}}}"#)
}

/// What tells the number of a manifest to the client that pulls it.
fn annotations(number: u64) -> String {
    format!(r#""annotations":{{"number":"{number}"}}"#)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use proto::Manifest;

    use super::*;

    fn parsed(image: &Image) -> Manifest {
        let media_type = image.media_type().parse().unwrap();
        Manifest::parse(media_type, Algorithm::Sha256, image.manifest().clone()).unwrap()
    }

    #[test]
    fn a_number_says_all_of_an_image_or_an_index() {
        for number in [0, 7, Image::INDEXES, Image::INDEXES + 7] {
            let image = Image::numbered(number);
            assert_eq!(image.number(), number);
            assert_eq!(Image::number_of(image.manifest()), Some(number));
            assert_eq!(parsed(&image).digest(), &image.digest());
        }
        let numbers = |index: Image| index.children().iter().map(Image::number).collect::<Vec<_>>();
        assert_eq!(numbers(Image::numbered(Image::INDEXES + 7)), [7, 8]);
        assert_eq!(numbers(Image::numbered(Image::INDEXES + 8)), [8, 9], "they share an image");
        assert!(Image::numbered(7).children().is_empty());
    }

    #[test]
    fn an_index_lists_its_images_and_a_signature_names_its_subject() {
        let index = Image::numbered(Image::INDEXES + 7);
        let manifest = parsed(&index);
        let listed: Vec<&Digest> = manifest.children().iter().map(|link| &link.digest).collect();
        assert_eq!(listed, [&Image::numbered(7).digest(), &Image::numbered(8).digest()]);
        assert!(manifest.blobs().is_empty());
        let signature = parsed(&Image::signature(9, &index));
        assert_eq!(signature.subject(), Some(&index.digest()));
    }
}
