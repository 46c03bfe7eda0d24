//! What is pushed, again and again, and the stores to which it goes.

use std::fmt;
use std::sync::Arc;

use proto::{
    Algorithm, ClusterId, Command, Digest, Manifest, MediaType, ObjectKey, RepoName, RequestId,
    Stamped, Tag, Tagging, Timestamp, UploadKey,
};
use storage::Kv;
use storage::kv::{MemoryKv, RocksKv};
use tempfile::TempDir;

/// Layers of an image, besides its config.
const LAYERS: u64 = 8;

/// The blobs of all images.
pub(crate) const BLOBS: std::ops::RangeInclusive<u64> = 0..=LAYERS;

/// An engine of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    /// What the code itself costs.
    Memory,
    /// What nodes have.
    RocksDb,
}

impl Engine {
    pub(crate) const ALL: [Self; 2] = [Self::Memory, Self::RocksDb];

    /// A new store, and the folder that it needs for as long.
    pub(crate) fn open(self) -> (Arc<dyn Kv>, Option<TempDir>) {
        match self {
            Self::Memory => (Arc::new(MemoryKv::new()), None),
            Self::RocksDb => {
                let folder = TempDir::new().unwrap();
                (Arc::new(RocksKv::open(folder.path()).unwrap()), Some(folder))
            }
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::RocksDb => "RocksDB",
        })
    }
}

pub(crate) fn repository() -> RepoName {
    "team/app".parse().unwrap()
}

pub(crate) fn tag(number: u64) -> Tag {
    format!("v1.{number}").parse().unwrap()
}

fn blob(number: u64) -> Digest {
    Digest::of(Algorithm::Sha256, &number.to_be_bytes())
}

pub(crate) fn found() -> Command {
    let (cluster, upload_key) = (ClusterId::from_bytes([7; 16]), UploadKey::from_bytes([8; 32]));
    Command::FoundCluster { cluster, upload_key }
}

pub(crate) fn link(number: u64) -> Command {
    Command::LinkBlob {
        repository: repository(),
        digest: blob(number),
        size: number,
        checksum: None,
        object: ObjectKey::from_random(number.into()),
        replaces: None,
        upload: None,
    }
}

/// An image of the same blobs as all others, and of as many bytes.
fn image(number: u64) -> Manifest {
    let descriptor = |kind: &str, number| {
        let (kind, digest) = (format!("application/vnd.oci.image.{kind}"), blob(number));
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{number}}}"#)
    };
    let config = descriptor("config.v1+json", 0);
    let layers: Vec<String> =
        (1..=LAYERS).map(|number| descriptor("layer.v1.tar+gzip", number)).collect();
    let (layers, n) = (layers.join(","), format!(r#"{{"n":"{number:8}"}}"#));
    let json =
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}],"annotations":{n}}}"#);
    let media_type: MediaType = MediaType::OCI_MANIFEST.parse().unwrap();
    Manifest::parse(media_type, Algorithm::Sha256, json.into()).unwrap()
}

/// Pushes the image of this number as the tag.
pub(crate) fn push(number: u64, tag: Tag) -> Command {
    push_into(repository(), number, tag)
}

pub(crate) fn push_into(repository: RepoName, number: u64, tag: Tag) -> Command {
    Command::PutManifest {
        repository,
        manifest: image(number),
        tags: vec![tag],
        preconditions: vec![],
        sparse: false,
        tagging: Tagging::ANY,
    }
}

pub(crate) fn delete(number: u64) -> Command {
    Command::DeleteManifest { repository: repository(), digest: image(number).digest().clone() }
}

/// `command` as the request of this number, a millisecond after the one before.
pub(crate) fn stamped(number: u64, command: Command) -> Stamped {
    let request = RequestId::from_bytes(u128::from(number).to_be_bytes());
    let when = Timestamp::from_millis(number);
    Stamped { request, actor: "bencher".parse().unwrap(), when, command }
}
