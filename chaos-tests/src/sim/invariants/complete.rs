//! I4: a client that gets a manifest gets all that it names.

use proto::Digest;

use crate::sim::ledger::{Item, Kind};

/// What `manifest`, of `repository`, names of which `is_there` does not hold: the blobs of an
/// image, the images of an index.
pub(crate) fn missing_parts(
    repository: &'static str,
    manifest: &[u8],
    is_there: impl Fn(&Item) -> bool,
) -> Vec<Item> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap_or_default();
    let list = |field: &str| manifest[field].as_array().into_iter().flatten();
    let blobs = list("layers").chain([&manifest["config"]]).map(|part| (Kind::Blob, part));
    let parts = blobs.chain(list("manifests").map(|part| (Kind::Manifest, part)));
    parts
        .filter_map(|(kind, part)| {
            let digest: Digest = part["digest"].as_str()?.parse().ok()?;
            Some(Item { repository, kind, digest })
        })
        .filter(|part| !is_there(part))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::Image;
    use crate::sim::client::APP;

    #[test]
    fn a_manifest_that_is_served_without_one_of_its_blobs_is_found() {
        let image = Image::numbered(7);
        let gone = Item::blob(APP, &image.blobs()[2].0);
        assert_eq!(missing_parts(APP, image.manifest(), |_| true), []);
        assert_eq!(missing_parts(APP, image.manifest(), |part| *part != gone), from_ref(&gone));
        assert_eq!(missing_parts(APP, image.manifest(), |_| false).len(), 3);
    }

    #[test]
    fn an_index_that_is_served_without_one_of_its_images_is_found() {
        let index = Image::numbered(Image::INDEXES + 7);
        let gone = Item::manifest(APP, &index.children()[1].digest());
        assert_eq!(missing_parts(APP, index.manifest(), |_| true), []);
        assert_eq!(missing_parts(APP, index.manifest(), |part| *part != gone), from_ref(&gone));
        let blobs_alone = |part: &Item| part.kind == Kind::Blob;
        assert_eq!(missing_parts(APP, index.manifest(), blobs_alone).len(), 2);
    }
}
