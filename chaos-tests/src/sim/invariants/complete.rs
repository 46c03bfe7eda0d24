//! I4: whoever gets a manifest gets all that it names.

use crate::sim::ledger::Kind;

/// What `manifest` names of which `is_there` does not hold: the blobs of an image, the images of an
/// index.
pub(crate) fn missing_parts(manifest: &[u8], is_there: impl Fn(Kind, &str) -> bool) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap_or_default();
    let list = |field: &str| manifest[field].as_array().into_iter().flatten();
    let blobs = list("layers").chain([&manifest["config"]]).map(|part| (Kind::Blob, part));
    let parts = blobs.chain(list("manifests").map(|part| (Kind::Manifest, part)));
    parts
        .filter_map(|(kind, part)| Some((kind, part["digest"].as_str()?)))
        .filter(|(kind, digest)| !is_there(*kind, digest))
        .map(|(_, digest)| digest.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    #[test]
    fn a_manifest_that_is_served_without_one_of_its_blobs_is_found() {
        let image = Image::numbered(7);
        let gone = image.blobs()[2].0.as_str();
        assert_eq!(missing_parts(image.manifest(), |_, _| true), Vec::<String>::new());
        assert_eq!(missing_parts(image.manifest(), |_, digest| digest != gone), [gone]);
        assert_eq!(missing_parts(image.manifest(), |_, _| false).len(), 3);
    }

    #[test]
    fn an_index_that_is_served_without_one_of_its_images_is_found() {
        let index = Image::numbered(Image::INDEXES + 7);
        let gone = index.children()[1].digest();
        assert_eq!(missing_parts(index.manifest(), |_, _| true), Vec::<String>::new());
        let without = |_: Kind, digest: &str| digest != gone.as_str();
        assert_eq!(missing_parts(index.manifest(), without), [gone.as_str()]);
        let blobs_alone = |kind: Kind, _: &str| kind == Kind::Blob;
        assert_eq!(missing_parts(index.manifest(), blobs_alone).len(), 2);
    }
}
