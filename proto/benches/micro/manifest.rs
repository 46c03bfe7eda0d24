//! Manifests: the parser, which each passes once, when it is pushed, and the encoding in which it
//! is in the log and in the catalog.

use std::fmt;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use proto::{Algorithm, Digest, Manifest, MediaType};

/// A manifest as a client pushes it.
struct Pushed {
    name: &'static str,
    media_type: MediaType,
    content: Bytes,
}

impl Pushed {
    fn new(name: &'static str, media_type: &str, json: String) -> Self {
        Self { name, media_type: media_type.parse().unwrap(), content: json.into() }
    }

    fn parse(&self) -> Manifest {
        Manifest::parse(self.media_type.clone(), Algorithm::Sha256, self.content.clone()).unwrap()
    }

    fn count(&self) -> BytesCount {
        BytesCount::of_slice(&self.content)
    }
}

impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What people push, and what is as large as may be.
fn pushed() -> [Pushed; 3] {
    [
        Pushed::new("image, 8 layers", MediaType::OCI_MANIFEST, image(8)),
        Pushed::new("index, 10 images", MediaType::OCI_INDEX, index(10)),
        Pushed::new("image, 9,999 layers", MediaType::OCI_MANIFEST, image(9_999)),
    ]
}

fn image(layers: usize) -> String {
    let config = descriptor("application/vnd.oci.image.config.v1+json", 0, "");
    let layer = |number| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", number, "");
    let layers: Vec<String> = (1..=layers).map(layer).collect();
    let (media_type, layers) = (MediaType::OCI_MANIFEST, layers.join(","));
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{layers}]}}"#
    )
}

/// An index as builders write it, which give each image its platform.
fn index(images: usize) -> String {
    let platform = r#","platform":{"architecture":"arm64","os":"linux","variant":"v8"}"#;
    let image = |number| descriptor(MediaType::OCI_MANIFEST, number, platform);
    let images: Vec<String> = (1..=images).map(image).collect();
    let (media_type, images) = (MediaType::OCI_INDEX, images.join(","));
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{images}]}}"#)
}

fn descriptor(media_type: &str, number: usize, more: &str) -> String {
    let digest = Digest::of(Algorithm::Sha256, &number.to_be_bytes());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{number}{more}}}"#)
}

#[divan::bench(args = pushed())]
fn parse(bencher: Bencher<'_, '_>, pushed: &Pushed) {
    bencher.counter(pushed.count()).bench(|| black_box(pushed).parse());
}

#[divan::bench(args = pushed())]
fn encode(bencher: Bencher<'_, '_>, pushed: &Pushed) {
    let manifest = pushed.parse();
    bencher.counter(pushed.count()).bench(|| black_box(&manifest).encode());
}

#[divan::bench(args = pushed())]
fn decode(bencher: Bencher<'_, '_>, pushed: &Pushed) {
    let row = Bytes::from(pushed.parse().encode());
    bencher.counter(pushed.count()).bench(|| Manifest::decode(black_box(&row).clone()).unwrap());
}
