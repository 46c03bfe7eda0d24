//! Manifests: what of their JSON the registry must understand (image-spec, "Image Manifest" and
//! "Image Index"; Docker image manifest version 2, schema 2), read once at the border.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;

use crate::excerpt::{NAMED_CHARS_MAX, excerpt};
use crate::limits::{INDEX_CHILDREN_BYTES_MAX, MANIFEST_BYTES_MAX, MANIFEST_LINKS_MAX};
use crate::{Algorithm, Descriptor, Digest, ManifestKind, MediaType, strict_json};

/// A manifest: its exact bytes, and what they say that the catalog must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub(crate) media_type: MediaType,
    pub(crate) digest: Digest,
    pub(crate) content: Bytes,
    pub(crate) blobs: Vec<Link>,
    pub(crate) children: Vec<Link>,
    pub(crate) subject: Option<Digest>,
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What a manifest says of a blob or a manifest that it needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The digest of what it needs.
    pub digest: Digest,
    /// The size that it gives for it, in bytes.
    pub size: u64,
}

impl Manifest {
    /// Reads `content`, which was pushed as `media_type`, and computes its digest with `algorithm`.
    ///
    /// # Errors
    /// Says what about the content is not a manifest of that type.
    pub fn parse(
        media_type: MediaType,
        algorithm: Algorithm,
        content: Bytes,
    ) -> Result<Self, ManifestError> {
        if content.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge);
        }
        let kind =
            media_type.manifest_kind().ok_or_else(|| ManifestError::Type(media_type.clone()))?;
        let invalid = |error: serde_json::Error| {
            // It names a value of a wrong type, and then says what it must be, and where it is.
            ManifestError::Json(excerpt(&error.to_string(), 4 * NAMED_CHARS_MAX).to_owned())
        };
        strict_json::check(&content).map_err(invalid)?;
        let json: ManifestJson = serde_json::from_slice(&content).map_err(invalid)?;
        json.check_shape(kind, &media_type)?;

        let config = json.config.iter().flatten();
        let artifact_type = match (json.artifact_type, &json.config) {
            (Some(artifact_type), _) if !artifact_type.is_empty() => Some(artifact_type),
            (_, Some(Some(config))) => Some(config.media_type.clone()),
            _ => None,
        };
        let listed = json.manifests.iter().flatten().flatten();
        let (children, others) = listed.partition::<Vec<_>, _>(|listed| listed.is_manifest());
        let children = links(children.into_iter())?;
        check_total(&children)?;
        let blobs = config.chain(json.layers.iter().flatten().flatten()).chain(others);
        Ok(Self {
            digest: Digest::of(algorithm, &content),
            blobs: links(blobs)?,
            children,
            subject: json
                .subject
                .map(|subject| subject.check())
                .transpose()?
                .map(|link| link.digest),
            artifact_type,
            annotations: json.annotations.unwrap_or_default(),
            media_type,
            content,
        })
    }

    /// The type it was pushed as.
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// The digest of its bytes.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its exact bytes.
    pub const fn content(&self) -> &Bytes {
        &self.content
    }

    /// Its size, in bytes.
    pub const fn size(&self) -> u64 {
        self.content.len() as u64
    }

    /// The blobs it needs in the registry: config and layers, foreign layers excepted, and what an
    /// index lists that is no manifest, as BuildKit does with the layers of a cache.
    pub fn blobs(&self) -> &[Link] {
        &self.blobs
    }

    /// The manifests it needs in the registry, which an index lists.
    pub fn children(&self) -> &[Link] {
        &self.children
    }

    /// The manifest that this one refers to, which need not exist (distribution-spec, "Pushing
    /// Manifests with Subject").
    pub const fn subject(&self) -> Option<&Digest> {
        self.subject.as_ref()
    }

    /// What lists of referrers say of it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.size(),
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

/// Why content is not a manifest. The text is for the client that pushed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More than [`MANIFEST_BYTES_MAX`].
    #[error("a manifest has at most {MANIFEST_BYTES_MAX} bytes")]
    TooLarge,
    /// Pushed as a type that is none of a manifest.
    #[error(
        "{0} is no type of manifest: push an OCI image manifest or index, or Docker's of schema 2"
    )]
    Type(MediaType),
    /// Not JSON, or fields of the wrong types.
    #[error("the manifest is not valid: {0}")]
    Json(String),
    /// Its `mediaType` is not the Content-Type it was pushed with.
    #[error("the manifest's mediaType is {found}, but its Content-Type is {pushed}")]
    TypeMismatch {
        /// The `mediaType` field.
        found: String,
        /// The Content-Type.
        pushed: MediaType,
    },
    /// Fields of an image and of an index in one manifest (CVE-2021-41190).
    #[error("a manifest has either 'config' and 'layers', or 'manifests'")]
    Ambiguous,
    /// A field that its type requires is missing.
    #[error("the manifest lacks '{0}'")]
    Missing(&'static str),
    /// `schemaVersion` is not 2.
    #[error("the manifest's schemaVersion is not 2")]
    SchemaVersion,
    /// More than [`MANIFEST_LINKS_MAX`] descriptors.
    #[error("a manifest names at most {MANIFEST_LINKS_MAX} blobs and manifests")]
    TooManyLinks,
    /// An index of manifests that have more than [`INDEX_CHILDREN_BYTES_MAX`] together.
    #[error(
        "the manifests that an index names have at most {INDEX_CHILDREN_BYTES_MAX} bytes in all"
    )]
    ChildrenTooLarge,
    /// A descriptor's digest is none.
    #[error("the manifest names {0:?}, which is not a digest of sha256 or sha512")]
    Digest(String),
    /// A descriptor's size is more than readers in other languages can hold (63 bits).
    #[error("the manifest gives a size of {0} bytes, which is none")]
    Size(u64),
    /// A descriptor's media type is none.
    #[error("the manifest gives {0:?} as a media type, which is none")]
    MediaType(String),
    /// A descriptor's embedded `data` is not what its digest and size say.
    #[error("the manifest embeds 'data' that does not match the digest {0}")]
    Data(Digest),
}

/// A field that tells an image from an index: `None` when the manifest does not have it, and
/// `Some(None)` when it is there and null, which some readers take for there and some for not.
type Field<T> = Option<Option<T>>;

fn present<'de, D, T>(json: D) -> Result<Field<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(json).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestJson {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "present")]
    config: Field<DescriptorJson>,
    #[serde(default, deserialize_with = "present")]
    layers: Field<Vec<DescriptorJson>>,
    #[serde(default, deserialize_with = "present")]
    manifests: Field<Vec<DescriptorJson>>,
    subject: Option<DescriptorJson>,
    annotations: Option<BTreeMap<String, String>>,
    // Docker's schema 1: refused by name, since its other fields mean nothing here.
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorJson {
    media_type: String,
    digest: String,
    size: u64,
    data: Option<String>,
}

impl ManifestJson {
    fn check_shape(&self, kind: ManifestKind, pushed: &MediaType) -> Result<(), ManifestError> {
        if self.schema_version != Some(2) || self.fs_layers.is_some() {
            return Err(ManifestError::SchemaVersion);
        }
        if let Some(found) = &self.media_type
            && found != pushed.as_str()
        {
            return Err(ManifestError::TypeMismatch {
                found: named(found),
                pushed: pushed.clone(),
            });
        }
        match kind {
            ManifestKind::Image if self.manifests.is_some() => {
                return Err(ManifestError::Ambiguous);
            }
            ManifestKind::Index if self.config.is_some() || self.layers.is_some() => {
                return Err(ManifestError::Ambiguous);
            }
            ManifestKind::Image if !has_value(&self.config) => {
                return Err(ManifestError::Missing("config"));
            }
            ManifestKind::Image if !has_value(&self.layers) => {
                return Err(ManifestError::Missing("layers"));
            }
            ManifestKind::Index if !has_value(&self.manifests) => {
                return Err(ManifestError::Missing("manifests"));
            }
            ManifestKind::Image | ManifestKind::Index => {}
        }
        let count = |list: &Field<Vec<DescriptorJson>>| list.iter().flatten().flatten().count();
        if count(&self.layers) + count(&self.manifests) > MANIFEST_LINKS_MAX {
            return Err(ManifestError::TooManyLinks);
        }
        Ok(())
    }
}

/// As much of `text` as an error names.
fn named(text: &str) -> String {
    excerpt(text, NAMED_CHARS_MAX).to_owned()
}

fn has_value<T>(field: &Field<T>) -> bool {
    matches!(field, Some(Some(_)))
}

impl DescriptorJson {
    fn check(&self) -> Result<Link, ManifestError> {
        if i64::try_from(self.size).is_err() {
            return Err(ManifestError::Size(self.size));
        }
        self.media_type()?;
        let digest: Digest =
            self.digest.parse().map_err(|_| ManifestError::Digest(named(&self.digest)))?;
        if let Some(data) = &self.data {
            let matches =
                base64::engine::general_purpose::STANDARD.decode(data).is_ok_and(|data| {
                    data.len() as u64 == self.size
                        && Digest::of(digest.algorithm(), &data) == digest
                });
            if !matches {
                return Err(ManifestError::Data(digest));
            }
        }
        Ok(Link { digest, size: self.size })
    }

    /// Whether it is of a manifest, by its type: those of other types are blobs.
    fn is_manifest(&self) -> bool {
        self.media_type().is_ok_and(|media_type| media_type.manifest_kind().is_some())
    }

    fn media_type(&self) -> Result<MediaType, ManifestError> {
        self.media_type.parse().map_err(|_| ManifestError::MediaType(named(&self.media_type)))
    }
}

fn links<'a>(
    descriptors: impl Iterator<Item = &'a DescriptorJson>,
) -> Result<Vec<Link>, ManifestError> {
    let mut links = Vec::new();
    for descriptor in descriptors {
        let link = descriptor.check()?;
        if !descriptor.media_type()?.is_foreign_layer() {
            links.push(link);
        }
    }
    Ok(links)
}

/// Checks what is new, and not what was taken before there was this limit.
fn check_total(children: &[Link]) -> Result<(), ManifestError> {
    let distinct: BTreeSet<&Link> = children.iter().collect();
    let total = distinct.iter().fold(0_u64, |total, child| total.saturating_add(child.size));
    if total > INDEX_CHILDREN_BYTES_MAX {
        return Err(ManifestError::ChildrenTooLarge);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(media_type: &str, json: &str) -> Result<Manifest, ManifestError> {
        let media_type = media_type.parse().unwrap();
        Manifest::parse(media_type, Algorithm::Sha256, Bytes::copy_from_slice(json.as_bytes()))
    }

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{EMPTY}","size":0}}"#)
    }

    #[test]
    fn an_image_names_its_config_layers_and_subject() {
        let config = descriptor("application/vnd.oci.image.config.v1+json");
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip");
        let foreign = descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar");
        let json = format!(
            r#"{{"schemaVersion":2,"config":{config},"layers":[{layer},{foreign}],
                "subject":{layer},"annotations":{{"a":"b"}}}}"#
        );
        let manifest = parse(MediaType::OCI_MANIFEST, &json).unwrap();
        assert_eq!(manifest.blobs().len(), 2, "config and layer, not the foreign one");
        assert_eq!(manifest.subject().map(Digest::as_str), Some(EMPTY));
        assert_eq!(
            manifest.descriptor().artifact_type.as_deref(),
            Some("application/vnd.oci.image.config.v1+json")
        );
        assert_eq!(manifest.digest(), &Digest::of(Algorithm::Sha256, json.as_bytes()));
    }

    #[test]
    fn what_an_index_lists_is_a_manifest_or_a_blob_by_its_type() {
        let image = descriptor(MediaType::OCI_MANIFEST);
        let list = descriptor(MediaType::DOCKER_LIST);
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip");
        let config = descriptor("application/vnd.buildkit.cacheconfig.v0");
        let json =
            format!(r#"{{"schemaVersion":2,"manifests":[{layer},{image},{config},{list}]}}"#);
        let index = parse(MediaType::OCI_INDEX, &json).unwrap();
        assert_eq!((index.children().len(), index.blobs().len()), (2, 2));
    }

    #[test]
    fn an_index_of_different_manifests_that_are_large_together_is_refused() {
        let child = |content: &[u8], size: u64| {
            let digest = Digest::of(Algorithm::Sha256, content);
            let media_type = MediaType::OCI_MANIFEST;
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
        };
        let index = |children: &[String]| {
            let json = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, children.join(","));
            parse(MediaType::OCI_INDEX, &json).map(|index| index.children().len())
        };
        let large = MANIFEST_BYTES_MAX as u64;
        let mut children: Vec<_> = (0..16).map(|number: u8| child(&[number], large)).collect();
        assert_eq!(index(&children), Ok(16));
        children.push(child(b"one more", 1));
        assert_eq!(index(&children), Err(ManifestError::ChildrenTooLarge));
        let same = vec![child(b"the same", large); MANIFEST_LINKS_MAX];
        assert_eq!(index(&same), Ok(MANIFEST_LINKS_MAX), "each is read once");
        let half = u64::MAX / 2;
        let endless = [child(b"a", half), child(b"b", half), child(b"c", 2)];
        assert_eq!(index(&endless), Err(ManifestError::ChildrenTooLarge));
    }

    #[test]
    fn an_error_names_the_beginning_of_what_was_sent() {
        let long = "\u{fc}".repeat(100_000);
        for json in [
            format!(r#"{{"schemaVersion":2,"mediaType":"{long}","manifests":[]}}"#),
            format!(r#"{{"schemaVersion":"{long}"}}"#),
            format!(r#"{{"schemaVersion":2,"{long}":1,"{long}":2,"manifests":[]}}"#),
            format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor(&long)),
            format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor("a/b"))
                .replace(EMPTY, &long),
        ] {
            let error = parse(MediaType::OCI_INDEX, &json).unwrap_err().to_string();
            assert!(error.contains("\u{fc}\u{fc}"), "{error:.500}");
            assert!(error.chars().count() <= 500, "{} characters", error.chars().count());
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_its_reason() {
        let config = descriptor("application/vnd.oci.image.config.v1+json");
        let both = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
        assert_eq!(parse(MediaType::OCI_MANIFEST, &both), Err(ManifestError::Ambiguous));
        assert_eq!(parse(MediaType::OCI_INDEX, &both), Err(ManifestError::Ambiguous));
        let with_null =
            format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":null}}"#);
        assert_eq!(parse(MediaType::OCI_MANIFEST, &with_null), Err(ManifestError::Ambiguous));
        for null in ["layers", "config"] {
            let index = format!(r#"{{"schemaVersion":2,"manifests":[],"{null}":null}}"#);
            assert_eq!(parse(MediaType::OCI_INDEX, &index), Err(ManifestError::Ambiguous));
        }
        let no_manifests = r#"{"schemaVersion":2,"manifests":null}"#;
        assert_eq!(
            parse(MediaType::OCI_INDEX, no_manifests),
            Err(ManifestError::Missing("manifests"))
        );
        let no_layers = format!(r#"{{"schemaVersion":2,"config":{config}}}"#);
        assert_eq!(
            parse(MediaType::OCI_MANIFEST, &no_layers),
            Err(ManifestError::Missing("layers"))
        );
        assert_eq!(
            parse(MediaType::OCI_INDEX, r#"{"schemaVersion":1}"#),
            Err(ManifestError::SchemaVersion)
        );
        assert!(matches!(parse("text/plain", "{}"), Err(ManifestError::Type(_))));
        let other = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
            MediaType::DOCKER_LIST
        );
        assert!(matches!(
            parse(MediaType::OCI_INDEX, &other),
            Err(ManifestError::TypeMismatch { .. })
        ));
        let data = r#"{"schemaVersion":2,"manifests":[
            {"mediaType":"a/b","digest":"DIGEST","size":0,"data":"eA=="}]}"#;
        assert!(matches!(
            parse(MediaType::OCI_INDEX, &data.replace("DIGEST", EMPTY)),
            Err(ManifestError::Data(_))
        ));

        let huge = r#"{"schemaVersion":2,"manifests":[
            {"mediaType":"a/b","digest":"DIGEST","size":18446744073709551615}]}"#;
        let huge = huge.replace("DIGEST", EMPTY);
        assert_eq!(parse(MediaType::OCI_INDEX, &huge), Err(ManifestError::Size(u64::MAX)));

        let deep = "[".repeat(100_000);
        for json in [
            "",
            "nonsense",
            "[]",
            "\u{feff}{}",
            r#"{"schemaVersion":2,"manifests":[]} trailing"#,
            r#"{"schemaVersion":2,"schemaVersion":2,"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"x","size":-1}]}"#,
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"x","size":1.5}]}"#,
            r#"{"schemaVersion":NaN}"#,
            r#"{"schemaVersion":2,"manifests":[],"a":1,"a":2}"#,
            r#"{"schemaVersion":2,"manifests":[],"Manifests":[]}"#,
            &deep,
        ] {
            assert!(
                matches!(parse(MediaType::OCI_INDEX, json), Err(ManifestError::Json(_))),
                "{json:.40}"
            );
        }
    }
}
