//! I4: whoever gets a manifest gets all that it names.

/// What `manifest` names of which `is_there` does not hold.
pub(crate) fn missing_parts(manifest: &[u8], is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap_or_default();
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let digests = layers.chain([&manifest["config"]]).filter_map(|part| part["digest"].as_str());
    digests.filter(|digest| !is_there(digest)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    #[test]
    fn a_manifest_that_is_served_without_one_of_its_blobs_is_found() {
        let image = Image::numbered(7);
        let gone = image.blobs()[2].0.as_str();
        assert_eq!(missing_parts(image.manifest(), |_| true), Vec::<String>::new());
        assert_eq!(missing_parts(image.manifest(), |digest| digest != gone), [gone]);
        assert_eq!(missing_parts(image.manifest(), |_| false).len(), 3);
    }
}
