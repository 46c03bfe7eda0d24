//! What comes from outside, made up to hurt: nothing panics or takes long, and what is accepted
//! keeps to every limit and means the same when it is read again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use proto::limits::{
    MANIFEST_BYTES_MAX, MANIFEST_LINKS_MAX, MEDIA_TYPE_BYTES_MAX, REPO_NAME_BYTES_MAX,
    TAG_BYTES_MAX,
};
use proto::{
    Algorithm, Digest, Manifest, ManifestError, MediaType, ObjectKey, Reference, RepoName, Tag,
};
use serde_json::{Value, json};

/// How long reading a manifest may take: much less than an election timeout.
const READ_MAX: Duration = Duration::from_millis(50);

/// Checks that `text`, if it is a `T` at all, is one that reads back as itself.
fn reads_back<T>(text: &str) -> Result<Option<T>, TestCaseError>
where
    T: FromStr + Display + PartialEq + Debug,
{
    let Ok(value) = text.parse::<T>() else { return Ok(None) };
    let shown = value.to_string();
    prop_assert_eq!(&shown, text);
    let again = shown.parse::<T>().ok();
    prop_assert_eq!(again.as_ref(), Some(&value));
    Ok(Some(value))
}

proptest! {
    #[test]
    fn every_name_that_is_accepted_reads_back_and_is_harmless(
        text in prop_oneof![
            "[a-z0-9._/-]{0,300}",
            "[a-z]{1,3}(/[a-z0-9]{1,4}){0,99}",
            any::<String>(),
        ],
    ) {
        if let Some(name) = reads_back::<RepoName>(&text)? {
            let name = name.as_str();
            prop_assert!(!name.is_empty() && name.len() <= REPO_NAME_BYTES_MAX);
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()
                || b"._-/".contains(&b)));
            prop_assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")));
        }
    }

    #[test]
    fn every_reference_that_is_accepted_reads_back(
        text in prop_oneof![
            "[A-Za-z0-9_.-]{0,140}",
            "(sha256|sha512|md5|sha-256|):?[0-9a-f]{0,2}",
            "sha256:[0-9a-f]{64}",
            "sha512:[0-9a-f]{128}",
            "sha256:[0-9a-fA-F]{63,65}",
            any::<String>(),
        ],
    ) {
        if let Some(tag) = reads_back::<Tag>(&text)? {
            prop_assert!(tag.as_str().len() <= TAG_BYTES_MAX && !tag.as_str().contains('/'));
            prop_assert_eq!(reads_back::<Digest>(&text)?, None, "a tag is no digest");
        }
        if let Some(digest) = reads_back::<Digest>(&text)? {
            let length = match digest.algorithm() {
                Algorithm::Sha256 => 64,
                Algorithm::Sha512 => 128,
            };
            prop_assert_eq!(digest.hex().len(), length);
        }
        reads_back::<Reference>(&text)?;
    }

    #[test]
    fn every_media_type_and_object_key_that_is_accepted_reads_back(
        text in prop_oneof![
            "[a-z0-9!#$&^_.+-]{0,9}/[a-z0-9.+ ;-]{0,260}",
            "[0-9a-fA-F]{30,34}",
            any::<String>(),
        ],
    ) {
        if let Some(media_type) = reads_back::<MediaType>(&text)? {
            let text = media_type.as_str();
            prop_assert!(text.len() <= MEDIA_TYPE_BYTES_MAX && text.is_ascii());
            prop_assert!(!text.contains([' ', ';', '\r', '\n']));
        }
        reads_back::<ObjectKey>(&text)?;
    }

    #[test]
    fn bytes_that_are_no_manifest_are_refused(
        content in prop::collection::vec(any::<u8>(), 0..300),
        media_type in media_types(),
    ) {
        prop_assert!(read(media_type, &content).is_err());
    }

    #[test]
    fn a_manifest_that_is_accepted_keeps_to_the_limits_and_reads_back(
        manifest in manifests(),
        media_type in media_types(),
    ) {
        accepted(media_type, manifest.to_string().as_bytes())?;
    }

    #[test]
    fn a_manifest_that_was_tampered_with_is_refused_or_is_another(
        manifest in manifests(),
        media_type in media_types(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut content = manifest.to_string().into_bytes();
        let at = at.index(content.len());
        let before = read(media_type, &content).ok();
        content[at] = byte;
        if let (Some(before), Some(after)) = (before, accepted(media_type, &content)?)
            && before.content() != after.content()
        {
            prop_assert_ne!(before.digest(), after.digest());
        }
    }
}

fn read(media_type: &str, content: &[u8]) -> Result<Manifest, ManifestError> {
    let content = Bytes::copy_from_slice(content);
    Manifest::parse(media_type.parse().unwrap(), Algorithm::Sha256, content)
}

/// The manifest in `content`, if there is one, of which everything holds that is promised.
fn accepted(media_type: &str, content: &[u8]) -> Result<Option<Manifest>, TestCaseError> {
    let Ok(manifest) = read(media_type, content) else { return Ok(None) };
    prop_assert_eq!(manifest.content(), content);
    prop_assert_eq!(manifest.digest(), &Digest::of(Algorithm::Sha256, content));
    prop_assert_eq!(manifest.media_type().as_str(), media_type);
    prop_assert!(content.len() <= MANIFEST_BYTES_MAX);
    // A config may stand beside as many layers as there may be.
    prop_assert!(manifest.blobs().len() + manifest.children().len() <= MANIFEST_LINKS_MAX + 1);
    prop_assert_eq!(manifest.children().len(), listed_manifests(content));
    for link in manifest.blobs().iter().chain(manifest.children()) {
        prop_assert!(i64::try_from(link.size).is_ok());
        reads_back::<Digest>(link.digest.as_str())?;
    }
    let again = read(media_type, manifest.content()).ok();
    prop_assert_eq!(again.as_ref(), Some(&manifest));
    Ok(Some(manifest))
}

/// How many manifests `content` lists. An image lists none, whatever types its layers have.
fn listed_manifests(content: &[u8]) -> usize {
    let json: Value = serde_json::from_slice(content).unwrap();
    let is_manifest = |listed: &&Value| {
        let media_type = listed["mediaType"].as_str().unwrap().parse::<MediaType>().unwrap();
        media_type.manifest_kind().is_some()
    };
    json["manifests"].as_array().map_or(0, |listed| listed.iter().filter(is_manifest).count())
}

fn media_types() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        MediaType::OCI_MANIFEST,
        MediaType::OCI_INDEX,
        MediaType::DOCKER_MANIFEST,
        MediaType::DOCKER_LIST,
        "application/vnd.docker.distribution.manifest.v1+json",
        "text/plain",
    ])
}

/// JSON that looks much like a manifest, and is one often enough: an image or an index.
fn manifests() -> impl Strategy<Value = Value> {
    prop_oneof![manifests_with(0.9, 0.1), manifests_with(0.1, 0.9)]
}

/// The same with what an image has, and what an index has, as likely as this.
fn manifests_with(image: f64, index: f64) -> impl Strategy<Value = Value> {
    let fields = (
        prop_oneof![9 => Just(json!(2)), 1 => scalars()],
        prop::option::weighted(image, descriptors()),
        prop::option::weighted(image, prop::collection::vec(descriptors(), 0..4)),
        prop::option::weighted(index, prop::collection::vec(descriptors(), 0..4)),
        prop::option::weighted(0.3, descriptors()),
        prop::option::weighted(0.3, prop::collection::btree_map(".{0,6}", ".{0,6}", 0..3)),
        prop::option::weighted(0.1, ("[A-Za-z]{0,14}", scalars())),
    );
    fields.prop_map(|(version, config, layers, manifests, subject, annotations, other)| {
        let mut manifest = json!({ "schemaVersion": version });
        let fields = [
            ("config", config),
            ("layers", layers.map(Value::from)),
            ("manifests", manifests.map(Value::from)),
            ("subject", subject),
            ("annotations", annotations.map(|annotations| json!(annotations))),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                manifest[name] = value;
            }
        }
        if let Some((name, value)) = other {
            manifest[name] = value;
        }
        manifest
    })
}

fn descriptors() -> impl Strategy<Value = Value> {
    let media_type = prop_oneof![
        9 => prop::sample::select(vec![
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            MediaType::OCI_MANIFEST,
            MediaType::DOCKER_LIST,
        ]).prop_map(Value::from),
        1 => scalars(),
    ];
    let digest = prop_oneof![9 => "sha256:[0-9a-f]{64}".prop_map(Value::from), 1 => scalars()];
    let size = prop_oneof![
        6 => (0..1_000_000_u64).prop_map(Value::from),
        3 => (0..u64::MAX / 2).prop_map(Value::from),
        1 => scalars(),
    ];
    let data = prop::option::weighted(0.1, "[A-Za-z0-9+/=]{0,8}");
    (media_type, digest, size, data).prop_map(|(media_type, digest, size, data)| {
        let mut descriptor = json!({ "mediaType": media_type, "digest": digest, "size": size });
        if let Some(data) = data {
            descriptor["data"] = data.into();
        }
        descriptor
    })
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ]
}

/// The time that this thread has had a processor; where the system does not say, the time that has
/// passed since `begin`.
fn processor_time(begin: Instant) -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| begin.elapsed(), Duration::from_nanos)
}

/// The least time that reading takes, so that what else the machine does hardly counts.
fn least_time(media_type: &str, content: &[u8]) -> Duration {
    let begin = Instant::now();
    let times = (0..20).map(|_| {
        let before = processor_time(begin);
        let _ = read(media_type, content);
        processor_time(begin).saturating_sub(before)
    });
    times.min().unwrap()
}

#[test]
fn a_hostile_manifest_is_decided_within_a_moment() {
    let layer = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": Digest::of(Algorithm::Sha256, b"").as_str(),
        "size": 0,
    });
    let image = |layers: usize, annotation: usize| {
        let image = json!({
            "schemaVersion": 2,
            "config": layer,
            "layers": vec![layer.clone(); layers],
            "annotations": { "a": "x".repeat(annotation) },
        });
        image.to_string()
    };
    let many_keys: Vec<String> = (0..200_000).map(|key| format!("\"{key}\":0")).collect();
    let nested = "{\"a\":".repeat(100_000);
    let mut slow = Vec::new();
    for (what, content) in [
        ("20,000 layers", image(20_000, 0)),
        ("as many layers as may be", image(MANIFEST_LINKS_MAX, 0)),
        ("an annotation of 1 MiB", image(1, 1024 * 1024)),
        ("more keys than may be", format!("{{{}}}", many_keys.join(","))),
        ("depth 100,000 of lists", "[".repeat(100_000)),
        ("depth 100,000 of objects", nested),
        ("4 MiB of spaces", " ".repeat(MANIFEST_BYTES_MAX)),
        ("4 MiB of one string", format!("\"{}", "\\u0000".repeat(MANIFEST_BYTES_MAX / 6 - 1))),
        ("4 MiB of digits", "9".repeat(MANIFEST_BYTES_MAX)),
        ("too much", " ".repeat(MANIFEST_BYTES_MAX + 1)),
    ] {
        let time = least_time(MediaType::OCI_MANIFEST, content.as_bytes());
        if time >= READ_MAX {
            slow.push(format!("{what}: {time:?}"));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
    assert!(read(MediaType::OCI_MANIFEST, image(MANIFEST_LINKS_MAX, 0).as_bytes()).is_ok());
    let too_many = read(MediaType::OCI_MANIFEST, image(MANIFEST_LINKS_MAX + 1, 0).as_bytes());
    assert_eq!(too_many, Err(ManifestError::TooManyLinks));
}
