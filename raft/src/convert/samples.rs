//! Values to test with: one of every kind of entry, and strategies that make any.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use openraft::EntryPayload;
use proptest::prelude::*;
use proto::{
    Algorithm, Authority, Checksum, ClusterId, Command, Digest, Manifest, MediaType, ObjectKey,
    PeerAddress, Precondition, RequestId, Stamped, Tagging, Thumbprint, Timestamp, UploadKey,
};

use crate::catalog::access;
use crate::types::{Entry, LogId, Membership, Payload, PeerNode, StoredMembership, Vote, log_id};

/// The command to sample after `previous`. A new kind of command does not compile until it has its
/// place in the chain.
fn command_after(previous: Option<&Command>) -> Option<Command> {
    let repository = || "library/alpine".parse().unwrap();
    let digest = || Digest::of(Algorithm::Sha256, b"layer");
    let link = |checksum, replaces, upload| Command::LinkBlob {
        repository: repository(),
        digest: digest(),
        size: 5,
        checksum,
        object: ObjectKey::from_random(3),
        replaces,
        upload,
    };
    let next = match previous {
        None => Command::FoundCluster {
            cluster: ClusterId::from_bytes([1; 16]),
            upload_key: UploadKey::from_bytes([2; 32]),
        },
        Some(Command::FoundCluster { .. }) => {
            Command::AdmitNode { peer_address: "node-2.example:5001".parse().unwrap(), token: None }
        }
        Some(Command::AdmitNode { .. }) => Command::EstablishAuthority {
            authority: Authority { certificate: Bytes::from_static(b"certificate"), key: [9; 32] },
        },
        Some(Command::EstablishAuthority { .. }) => Command::IssueToken {
            token: Thumbprint::of(b"token"),
            lifetime: Duration::from_secs(60),
            alone: true,
        },
        Some(Command::IssueToken { .. }) => Command::RemoveNode { node: 7 },
        Some(Command::RemoveNode { .. }) => link(None, Some(ObjectKey::from_random(4)), None),
        Some(Command::LinkBlob { upload: None, .. }) => {
            link(None, None, Some(ObjectKey::from_random(6)))
        }
        Some(Command::LinkBlob { checksum: None, upload, .. }) => {
            link(Some(Checksum::from_crc(0xe306_9283)), None, *upload)
        }
        Some(Command::LinkBlob { .. }) => Command::MountBlob {
            repository: "team/app".parse().unwrap(),
            from: repository(),
            digest: digest(),
        },
        Some(Command::MountBlob { .. }) => {
            Command::UnlinkBlob { repository: repository(), digest: digest() }
        }
        Some(Command::UnlinkBlob { .. }) => Command::PutManifest {
            repository: repository(),
            manifest: manifest(),
            tags: vec!["latest".parse().unwrap(), "3.21".parse().unwrap()],
            preconditions: vec![],
            sparse: false,
            tagging: Tagging::ANY,
        },
        Some(Command::PutManifest { .. }) => {
            Command::DeleteManifest { repository: repository(), digest: digest() }
        }
        Some(Command::DeleteManifest { .. }) => Command::DeleteTag {
            repository: repository(),
            tag: "latest".parse().unwrap(),
            preconditions: vec![],
        },
        Some(Command::DeleteTag { .. }) => {
            Command::DiscardObject { object: ObjectKey::from_random(5) }
        }
        // Those of access, which come after, are sampled in their own place.
        Some(Command::DiscardObject { .. } | Command::Access(_)) => return None,
    };
    Some(next)
}

fn manifest() -> Manifest {
    let descriptor = |media_type: &str, content: &[u8]| {
        let digest = Digest::of(Algorithm::Sha256, content);
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, content.len())
    };
    let config = descriptor("application/vnd.oci.image.config.v1+json", b"config");
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip", b"layer");
    let subject = descriptor("application/vnd.oci.image.manifest.v1+json", b"subject");
    let head = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]"#);
    let json = format!(r#"{head},"subject":{subject},"annotations":{{"a":"b"}}}}"#);
    Manifest::parse(MediaType::OCI_MANIFEST.parse().unwrap(), Algorithm::Sha256, Bytes::from(json))
        .unwrap()
}

/// A push of a manifest of about `bytes` bytes.
pub(crate) fn push(bytes: usize) -> Command {
    let config = Digest::of(Algorithm::Sha256, b"config");
    let json = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{config}","size":6}},
            "layers":[]{}}}"#,
        " ".repeat(bytes)
    );
    let media_type = MediaType::OCI_MANIFEST.parse().unwrap();
    Command::PutManifest {
        repository: "library/alpine".parse().unwrap(),
        manifest: Manifest::parse(media_type, Algorithm::Sha256, Bytes::from(json)).unwrap(),
        tags: vec![],
        preconditions: vec![],
        sparse: true,
        tagging: Tagging::ANY,
    }
}

/// One of every kind of command, and those with preconditions or less, which came later.
pub(crate) fn commands() -> impl Iterator<Item = Command> {
    std::iter::successors(command_after(None), |previous| command_after(Some(previous)))
        .chain(conditional())
        .chain(access::samples::commands().into_iter().map(Command::Access))
        .chain([by_token()])
}

/// The admission of a node that was invited.
fn by_token() -> Command {
    Command::AdmitNode {
        peer_address: "node-2.example:5001".parse().unwrap(),
        token: Some(Thumbprint::of(b"token")),
    }
}

/// A command of each kind that can have preconditions, with all of these between them, and a push
/// that may set no tag.
fn conditional() -> [Command; 3] {
    let repository = || "library/alpine".parse().unwrap();
    let digest = |content| Digest::of(Algorithm::Sha256, content);
    [
        Command::PutManifest {
            repository: repository(),
            manifest: manifest(),
            tags: vec!["latest".parse().unwrap()],
            preconditions: vec![
                Precondition::Absent,
                Precondition::NoneOf(vec![digest(b"bad")]),
                Precondition::AnyOf(vec![]),
            ],
            sparse: true,
            tagging: Tagging::ANY,
        },
        Command::PutManifest {
            repository: repository(),
            manifest: manifest(),
            tags: vec!["latest".parse().unwrap()],
            preconditions: vec![],
            sparse: false,
            tagging: Tagging { may_create: false, may_move: false },
        },
        Command::DeleteTag {
            repository: repository(),
            tag: "latest".parse().unwrap(),
            preconditions: vec![
                Precondition::Exists,
                Precondition::AnyOf(vec![digest(b"one"), digest(b"two")]),
            ],
        },
    ]
}

/// `command` as it stands in the log.
pub(crate) fn stamped(command: Command) -> Stamped {
    Stamped {
        request: RequestId::from_bytes([5; 16]),
        actor: "alice".parse().unwrap(),
        when: Timestamp::from_millis(1_700_000_000_123),
        command,
    }
}

/// A membership whose voters are `configs`, and whose nodes are these and `learners`.
pub(crate) fn membership(configs: &[&[u64]], learners: &[u64]) -> Membership {
    let configs: Vec<BTreeSet<u64>> =
        configs.iter().map(|ids| ids.iter().copied().collect()).collect();
    let nodes: BTreeMap<u64, PeerNode> = configs
        .iter()
        .flatten()
        .chain(learners)
        .map(|id| {
            (*id, PeerNode { peer_address: format!("node-{id}.example:5001").parse().unwrap() })
        })
        .collect();
    Membership::new(configs, nodes).unwrap()
}

/// One of every kind of payload.
pub(crate) fn payloads() -> impl Iterator<Item = Payload> {
    let memberships = [membership(&[&[1]], &[7]), membership(&[&[1, 2, 3], &[2, 3, 4]], &[7])];
    std::iter::once(EntryPayload::Blank)
        .chain(commands().map(|command| EntryPayload::Normal(stamped(command))))
        .chain(memberships.map(EntryPayload::Membership))
}

/// Any position in the log.
pub(crate) fn log_ids() -> impl Strategy<Value = LogId> {
    (any::<u64>(), 0..u64::MAX).prop_map(|(term, index)| log_id(term, index))
}

/// Any vote.
pub(crate) fn votes() -> impl Strategy<Value = Vote> {
    (0..u64::MAX, any::<u64>(), any::<bool>())
        .prop_map(|(term, node, committed)| Vote { committed, ..Vote::new(term, node) })
}

/// Any membership with voters.
pub(crate) fn memberships() -> impl Strategy<Value = Membership> {
    let ids = || prop::collection::btree_set(any::<u64>(), 1..5);
    let configs = prop::collection::vec(ids(), 1..3);
    let address = ("[a-z0-9]{1,20}", 1..=u16::MAX);
    (configs, ids(), address).prop_map(|(configs, learners, (host, port))| {
        let peer_address: PeerAddress = format!("{host}:{port}").parse().unwrap();
        let nodes: BTreeMap<u64, PeerNode> = configs
            .iter()
            .flatten()
            .chain(&learners)
            .map(|id| (*id, PeerNode { peer_address: peer_address.clone() }))
            .collect();
        Membership::new(configs, nodes).unwrap()
    })
}

/// Any membership with the entry that set it, and the one before the first.
pub(crate) fn stored_memberships() -> impl Strategy<Value = StoredMembership> {
    prop_oneof![
        Just(StoredMembership::default()),
        (prop::option::of(log_ids()), memberships())
            .prop_map(|(id, membership)| StoredMembership::new(id, membership)),
    ]
}

/// Any entry.
pub(crate) fn entries() -> impl Strategy<Value = Entry> {
    let command = prop::sample::select(commands().collect::<Vec<_>>());
    let stamp = (any::<[u8; 16]>(), ".{1,20}", any::<u64>());
    let normal = (command, stamp).prop_map(|(command, (request, actor, when))| Stamped {
        request: RequestId::from_bytes(request),
        actor: actor.parse().unwrap(),
        when: Timestamp::from_millis(when),
        command,
    });
    let payload = prop_oneof![
        Just(EntryPayload::Blank),
        normal.prop_map(EntryPayload::Normal),
        memberships().prop_map(EntryPayload::Membership),
    ];
    (log_ids(), payload).prop_map(|(log_id, payload)| Entry { log_id, payload })
}
