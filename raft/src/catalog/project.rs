//! From what happened to the rows that reads use.

use prost::Message as _;
use proto::pb::catalog as pb;
use proto::{
    Checksum, Digest, Event, Link, Manifest, Mutant, ObjectKey, Reference, RepoName, Tag, Timestamp,
};
use storage::Batch;

use super::{View, access};
use crate::ReadError;

/// Adds to `batch` what `event`, which happened at `when`, changes in the rows of `view`. Touches
/// nothing itself; rows derive from the events and their times alone, so that replaying the journal
/// makes the same rows byte for byte.
pub(crate) fn project(
    view: &View,
    when: Timestamp,
    event: &Event,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    let keys = view.keys();
    match event {
        Event::ClusterFounded { cluster, upload_key } => {
            let row = pb::ClusterFounded {
                cluster_id: cluster.as_bytes().to_vec().into(),
                upload_key: upload_key.as_bytes().to_vec().into(),
            };
            batch.put(keys.cluster(), row.encode_to_vec());
        }
        Event::NodeAdmitted { node, peer_address } => {
            let row = pb::NodeAdmitted { node_id: *node, peer_address: peer_address.to_string() };
            batch.put(keys.node(*node), row.encode_to_vec());
        }
        Event::AuthorityEstablished { authority } => {
            batch.put(keys.authority(), authority.encode());
        }
        Event::TokenIssued { token, end } => batch.put(keys.token(token), moment(*end)),
        Event::TokenRevoked { token } => batch.delete(keys.token(token)),
        Event::NodeRemoved { node } => {
            batch.delete(keys.node(*node));
            batch.put(keys.removed_node(*node), []);
        }
        Event::BlobLinked { repository, digest, size, checksum, object } => {
            batch.put(keys.repository(repository), []);
            batch.put(keys.link(repository, digest), []);
            batch.put(keys.holder(digest, repository), []);
            batch.put(keys.blob(digest), blob_row(*size, *checksum, *object));
            batch.put(keys.object(*object), digest.as_str());
        }
        Event::UploadLinked { upload, digest } => {
            batch.put(keys.object(*upload), digest.as_str());
        }
        Event::ObjectReplaced { digest, size, checksum, from, to } => {
            batch.put(keys.blob(digest), blob_row(*size, *checksum, *to));
            batch.delete(keys.object(*from));
            batch.put(keys.object(*to), digest.as_str());
        }
        Event::ObjectOrphaned { object } => batch.put(keys.orphan(*object), moment(when)),
        Event::BlobUnlinked { repository, digest } => {
            batch.delete(keys.link(repository, digest));
            batch.delete(keys.holder(digest, repository));
        }
        Event::ManifestPut { repository, manifest } => {
            put_manifest(view, repository, manifest, batch)
        }
        Event::ManifestDeleted { repository, digest } => {
            delete_manifest(view, repository, digest, batch)?
        }
        Event::TagMoved { repository, tag, from, to } => {
            if let Some(from) = from
                && !Mutant::MovedTagRemembered.is_active()
            {
                batch.delete(keys.tag_of(repository, from, tag));
            }
            batch.put(keys.tag(repository, tag), to.as_str());
            batch.put(keys.tag_of(repository, to, tag), []);
        }
        Event::AccessChanged { version, change } => access::project(keys, *version, change, batch),
        Event::TagDeleted { repository, tag, digest } => {
            delete_tag(view, repository, tag, digest, batch)
        }
    }
    Ok(())
}

fn put_manifest(view: &View, repository: &RepoName, manifest: &Manifest, batch: &mut Batch) {
    let keys = view.keys();
    let digest = manifest.digest();
    batch.put(keys.repository(repository), []);
    batch.put(keys.manifest(repository, digest), manifest.encode());
    for link in links(manifest) {
        batch.put(keys.needed_by(repository, &link.digest, digest), []);
    }
    if let Some(subject) = manifest.subject() {
        let descriptor = manifest.descriptor();
        let row = pb::DescriptorRow {
            media_type: descriptor.media_type.to_string(),
            size: descriptor.size,
            artifact_type: descriptor.artifact_type,
            annotations: descriptor.annotations,
        };
        batch.put(keys.referrer(repository, subject, digest), row.encode_to_vec());
    }
}

fn delete_manifest(
    view: &View,
    repository: &RepoName,
    digest: &Digest,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    let keys = view.keys();
    batch.delete(keys.manifest(repository, digest));
    if let Some(manifest) = view.manifest(repository, &Reference::Digest(digest.clone()))? {
        for link in links(&manifest) {
            batch.delete(keys.needed_by(repository, &link.digest, digest));
        }
        if let Some(subject) = manifest.subject() {
            batch.delete(keys.referrer(repository, subject, digest));
        }
    }
    Ok(())
}

fn delete_tag(view: &View, repository: &RepoName, tag: &Tag, digest: &Digest, batch: &mut Batch) {
    batch.delete(view.keys().tag(repository, tag));
    batch.delete(view.keys().tag_of(repository, digest, tag));
}

fn links(manifest: &Manifest) -> impl Iterator<Item = &Link> {
    let children: &[Link] = match Mutant::ChildrenUnneeded.is_active() {
        true => &[],
        false => manifest.children(),
    };
    manifest.blobs().iter().chain(children)
}

const fn moment(when: Timestamp) -> [u8; 8] {
    when.as_millis().to_be_bytes()
}

fn blob_row(size: u64, checksum: Option<Checksum>, object: ObjectKey) -> Vec<u8> {
    let crc32c = checksum.map(Checksum::crc);
    pb::BlobRow { size, object: object.to_string(), crc32c }.encode_to_vec()
}
