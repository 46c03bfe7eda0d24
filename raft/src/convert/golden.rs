//! The encodings at rest and between nodes, held against files in `tests/golden` that may be added
//! to, never edited: a log that any version wrote is read by all later ones, and nodes of two
//! versions understand each other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use std::fs;
use std::path::{Path, PathBuf};

use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use proto::{Command, Tagging};

use super::{SnapshotHeader, Wire, samples};
use crate::catalog::access;
use crate::types::{Entry, Payload, SnapshotMeta, StoredMembership, TypeConfig, Vote, log_id};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The file that holds the encoding of an entry with `payload`.
fn file(payload: &Payload) -> &'static str {
    match payload {
        EntryPayload::Blank => "entry-blank.hex",
        EntryPayload::Normal(stamped) => match &stamped.command {
            Command::FoundCluster { .. } => "entry-found-cluster.hex",
            Command::AdmitNode { token: None, .. } => "entry-admit-node.hex",
            Command::AdmitNode { .. } => "entry-admit-node-by-token.hex",
            Command::EstablishAuthority { .. } => "entry-establish-authority.hex",
            Command::IssueToken { .. } => "entry-issue-token.hex",
            Command::RemoveNode { .. } => "entry-remove-node.hex",
            Command::LinkBlob { checksum: Some(_), .. } => "entry-link-blob-summed.hex",
            Command::LinkBlob { upload: None, .. } => "entry-link-blob.hex",
            Command::LinkBlob { .. } => "entry-link-upload.hex",
            Command::MountBlob { .. } => "entry-mount-blob.hex",
            Command::UnlinkBlob { .. } => "entry-unlink-blob.hex",
            Command::PutManifest { preconditions, .. } if !preconditions.is_empty() => {
                "entry-put-manifest-if.hex"
            }
            Command::PutManifest { tagging, .. } if *tagging != Tagging::ANY => {
                "entry-put-manifest-tags-stay.hex"
            }
            Command::PutManifest { .. } => "entry-put-manifest.hex",
            Command::DeleteManifest { .. } => "entry-delete-manifest.hex",
            Command::DeleteTag { preconditions, .. } if !preconditions.is_empty() => {
                "entry-delete-tag-if.hex"
            }
            Command::DeleteTag { .. } => "entry-delete-tag.hex",
            Command::Access(command) => access::samples::command_file(command),
            Command::DiscardObject { .. } => "entry-discard-object.hex",
        },
        EntryPayload::Membership(membership) if membership.get_joint_config().len() > 1 => {
            "entry-membership-joint.hex"
        }
        EntryPayload::Membership(_) => "entry-membership.hex",
    }
}

/// Not everything of openraft's can be compared, but all of it can be shown.
fn check<T: Wire + std::fmt::Debug>(file: &str, value: &T) {
    let golden = check_bytes(file, &value.encode());
    let golden = T::decode(golden.into()).unwrap();
    assert_eq!(format!("{golden:?}"), format!("{value:?}"), "{file}");
}

/// Holds `bytes` against what `file` holds, and answers that.
pub(crate) fn check_bytes(file: &str, bytes: &[u8]) -> Vec<u8> {
    let golden = fs::read_to_string(folder().join(file))
        .unwrap_or_else(|_| panic!("add tests/golden/{file}, which holds:\n{}", hex(bytes)));
    assert_eq!(hex(bytes), golden, "the encoding changed: {file}");
    unhex(&golden)
}

/// What `file` holds, which is read and written no more.
pub(crate) fn bytes(file: &str) -> Vec<u8> {
    unhex(&fs::read_to_string(folder().join(file)).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(48).map(|chunk| line(chunk) + "\n").collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn every_kind_of_entry_is_encoded_as_ever() {
    for payload in samples::payloads() {
        let file = file(&payload);
        check(file, &Entry { log_id: log_id(3, 1000), payload });
    }
}

#[test]
fn votes_and_log_ids_are_encoded_as_ever() {
    check("vote.hex", &Vote::new(3, 7));
    check("vote-of-leader.hex", &Vote::new_committed(3, 7));
    check("log-id.hex", &log_id(3, 1000));
}

#[test]
fn stored_memberships_are_encoded_as_ever() {
    let membership = samples::membership(&[&[1, 2, 3]], &[7]);
    check("stored-membership.hex", &StoredMembership::new(Some(log_id(3, 9)), membership));
}

#[test]
fn what_peers_ask_is_encoded_as_ever() {
    let vote = Vote::new_committed(3, 7);
    let entry = Entry { log_id: log_id(3, 1001), payload: EntryPayload::Blank };
    let append = AppendEntriesRequest::<TypeConfig> {
        vote,
        prev_log_id: Some(log_id(3, 1000)),
        entries: vec![entry],
        leader_commit: Some(log_id(3, 999)),
    };
    check("peer-append.hex", &append);
    let mut ask = VoteRequest::<TypeConfig>::new(Vote::new(4, 7), Some(log_id(3, 1000)));
    ask.leadership_transfer = true;
    check("peer-vote.hex", &ask);
    let transfer = TransferLeaderRequest::<TypeConfig>::new(vote, 8, Some(log_id(3, 1000)));
    check("peer-transfer.hex", &transfer);
    let membership = samples::membership(&[&[1, 2, 3]], &[7]);
    let last_membership = StoredMembership::new(Some(log_id(3, 9)), membership);
    let meta = SnapshotMeta { last_log_id: Some(log_id(3, 1000)), last_membership };
    check("peer-snapshot.hex", &SnapshotHeader { vote, meta });
}

#[test]
fn what_peers_answer_is_encoded_as_ever() {
    use AppendEntriesResponse as Append;
    let (vote, own, other) = (Vote::new(4, 7), log_id(3, 1000), log_id(3, 999));
    check("peer-append-success.hex", &Append::<TypeConfig>::Success);
    check("peer-append-partly.hex", &Append::<TypeConfig>::PartialSuccess(Some(own)));
    check("peer-append-conflict.hex", &Append::<TypeConfig>::Conflict);
    check("peer-append-higher-vote.hex", &Append::<TypeConfig>::HigherVote(vote));
    check("peer-vote-answer.hex", &VoteResponse::<TypeConfig>::new(vote, Some(own), true));
    check("peer-snapshot-answer.hex", &SnapshotResponse::<TypeConfig>::new(vote));
    let transfers: [(&str, TransferLeaderResponse<TypeConfig>); 3] = [
        ("peer-transfer-accepted.hex", Ok(())),
        (
            "peer-transfer-vote-changed.hex",
            Err(TransferLeaderError::VoteChanged { expected: Vote::new(3, 7), actual: vote }),
        ),
        (
            "peer-transfer-not-flushed.hex",
            Err(TransferLeaderError::LogNotFlushed { expected: Some(own), actual: Some(other) }),
        ),
    ];
    for (file, answer) in transfers {
        check(file, &answer);
    }
}

#[test]
fn every_entry_ever_written_is_still_read() {
    for file in fs::read_dir(folder()).unwrap().map(Result::unwrap) {
        if file.file_name().to_string_lossy().starts_with("entry-") {
            let text = fs::read_to_string(file.path()).unwrap();
            Entry::decode(unhex(&text).into()).unwrap_or_else(|e| panic!("{file:?}: {e}"));
        }
    }
}
