//! What nodes ask of each other and answer. The envelopes are not read or written here: client and
//! server do that.

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use proto::DecodeError;
use proto::pb::peer as pb;

use super::{Wire, optional, required};
use crate::types::{Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig, Vote};

impl Wire for AppendEntriesRequest<TypeConfig> {
    type Message = pb::AppendEntriesRequest;

    fn to_message(&self) -> pb::AppendEntriesRequest {
        pb::AppendEntriesRequest {
            envelope: None,
            vote: Some(self.vote.to_message()),
            prev_log_id: self.prev_log_id.as_ref().map(Wire::to_message),
            entries: self.entries.iter().map(Wire::to_message).collect(),
            leader_commit: self.leader_commit.as_ref().map(Wire::to_message),
        }
    }

    fn from_message(message: pb::AppendEntriesRequest) -> Result<Self, DecodeError> {
        let entries = message.entries.into_iter().map(Entry::from_message);
        let request = Self {
            vote: leader(message.vote)?,
            prev_log_id: optional(message.prev_log_id)?,
            entries: entries.collect::<Result<_, _>>()?,
            leader_commit: optional(message.leader_commit)?,
        };
        check_order(&request)?;
        Ok(request)
    }
}

/// Openraft takes it for granted that entries follow each other and are not of a term after their
/// leader's.
fn check_order(request: &AppendEntriesRequest<TypeConfig>) -> Result<(), DecodeError> {
    let mut last = request.prev_log_id;
    for entry in &request.entries {
        let next = last.map_or(0, |last| last.index + 1);
        let term = last.map_or(0, |last| last.leader_id.term);
        if entry.log_id.index != next || entry.log_id.leader_id.term < term {
            return Err(DecodeError::new("entries", "they do not follow each other"));
        }
        last = Some(entry.log_id);
    }
    let is_later = |id: LogId| id.leader_id.term > request.vote.leader_id.term;
    if last.is_some_and(is_later) || request.leader_commit.is_some_and(is_later) {
        return Err(DecodeError::new("entries", "they are of a term after their leader's"));
    }
    Ok(())
}

impl Wire for AppendEntriesResponse<TypeConfig> {
    type Message = pb::AppendEntriesResponse;

    fn to_message(&self) -> pb::AppendEntriesResponse {
        use pb::append_entries_response::Result as Pb;
        let result = match self {
            Self::Success => Pb::Success(pb::Success {}),
            Self::PartialSuccess(matching) => Pb::PartialSuccess(pb::PartialSuccess {
                matching: matching.as_ref().map(Wire::to_message),
            }),
            Self::Conflict => Pb::Conflict(pb::Conflict {}),
            Self::HigherVote(vote) => Pb::HigherVote(vote.to_message()),
        };
        pb::AppendEntriesResponse { result: Some(result) }
    }

    fn from_message(message: pb::AppendEntriesResponse) -> Result<Self, DecodeError> {
        use pb::append_entries_response::Result as Pb;
        Ok(match message.result.ok_or_else(|| DecodeError::missing("result"))? {
            Pb::Success(_) => Self::Success,
            Pb::PartialSuccess(partial) => Self::PartialSuccess(optional(partial.matching)?),
            Pb::Conflict(_) => Self::Conflict,
            Pb::HigherVote(vote) => Self::HigherVote(Vote::from_message(vote)?),
        })
    }
}

impl Wire for VoteRequest<TypeConfig> {
    type Message = pb::VoteRequest;

    fn to_message(&self) -> pb::VoteRequest {
        pb::VoteRequest {
            envelope: None,
            vote: Some(self.vote.to_message()),
            last_log_id: self.last_log_id.as_ref().map(Wire::to_message),
            leadership_transfer: self.leadership_transfer,
        }
    }

    fn from_message(message: pb::VoteRequest) -> Result<Self, DecodeError> {
        let vote: Vote = required("vote", message.vote)?;
        if vote.committed {
            return Err(DecodeError::new("vote", "whoever asks for votes does not lead yet"));
        }
        let mut request = Self::new(vote, optional(message.last_log_id)?);
        request.leadership_transfer = message.leadership_transfer;
        Ok(request)
    }
}

impl Wire for VoteResponse<TypeConfig> {
    type Message = pb::VoteResponse;

    fn to_message(&self) -> pb::VoteResponse {
        pb::VoteResponse {
            vote: Some(self.vote.to_message()),
            granted: self.vote_granted,
            last_log_id: self.last_log_id.as_ref().map(Wire::to_message),
        }
    }

    fn from_message(message: pb::VoteResponse) -> Result<Self, DecodeError> {
        let vote: Vote = required("vote", message.vote)?;
        Ok(Self::new(vote, optional(message.last_log_id)?, message.granted))
    }
}

impl Wire for TransferLeaderRequest<TypeConfig> {
    type Message = pb::TransferLeaderRequest;

    fn to_message(&self) -> pb::TransferLeaderRequest {
        pb::TransferLeaderRequest {
            envelope: None,
            from: Some(self.from_leader().to_message()),
            to: *self.to_node_id(),
            last_log_id: self.last_log_id().map(Wire::to_message),
        }
    }

    fn from_message(message: pb::TransferLeaderRequest) -> Result<Self, DecodeError> {
        Ok(Self::new(leader(message.from)?, message.to, optional(message.last_log_id)?))
    }
}

impl Wire for TransferLeaderResponse<TypeConfig> {
    type Message = pb::TransferLeaderResponse;

    fn to_message(&self) -> pb::TransferLeaderResponse {
        use pb::transfer_leader_response::Result as Pb;
        let id = |id: &Option<LogId>| id.as_ref().map(Wire::to_message);
        let result = match self {
            Ok(()) => Pb::Accepted(pb::Accepted {}),
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                Pb::VoteChanged(pb::VoteChanged {
                    expected: Some(expected.to_message()),
                    actual: Some(actual.to_message()),
                })
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                Pb::LogNotFlushed(pb::LogNotFlushed { expected: id(expected), actual: id(actual) })
            }
        };
        pb::TransferLeaderResponse { result: Some(result) }
    }

    fn from_message(message: pb::TransferLeaderResponse) -> Result<Self, DecodeError> {
        use pb::transfer_leader_response::Result as Pb;
        Ok(match message.result.ok_or_else(|| DecodeError::missing("result"))? {
            Pb::Accepted(_) => Ok(()),
            Pb::VoteChanged(changed) => Err(TransferLeaderError::VoteChanged {
                expected: required("expected vote", changed.expected)?,
                actual: required("actual vote", changed.actual)?,
            }),
            Pb::LogNotFlushed(behind) => Err(TransferLeaderError::LogNotFlushed {
                expected: optional(behind.expected)?,
                actual: optional(behind.actual)?,
            }),
        })
    }
}

impl Wire for SnapshotResponse<TypeConfig> {
    type Message = pb::SnapshotResponse;

    fn to_message(&self) -> pb::SnapshotResponse {
        pb::SnapshotResponse { vote: Some(self.vote.to_message()) }
    }

    fn from_message(message: pb::SnapshotResponse) -> Result<Self, DecodeError> {
        Ok(Self::new(required("vote", message.vote)?))
    }
}

/// What the first message of a snapshot says: in whose name it comes, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    /// The leader that sends it.
    pub(crate) vote: Vote,
    /// What it holds.
    pub(crate) meta: SnapshotMeta,
}

impl Wire for SnapshotHeader {
    type Message = pb::SnapshotHeader;

    fn to_message(&self) -> pb::SnapshotHeader {
        pb::SnapshotHeader {
            envelope: None,
            vote: Some(self.vote.to_message()),
            last_log_id: self.meta.last_log_id.as_ref().map(Wire::to_message),
            membership: Some(self.meta.last_membership.to_message()),
        }
    }

    fn from_message(message: pb::SnapshotHeader) -> Result<Self, DecodeError> {
        let vote = leader(message.vote)?;
        let last_log_id: LogId = required("last log id", message.last_log_id)?;
        // Openraft panics over a snapshot that its sender cannot have.
        if last_log_id.leader_id.term > vote.leader_id.term {
            return Err(DecodeError::new("snapshot", "it is of a term after its leader's"));
        }
        let last_membership: StoredMembership = required("membership", message.membership)?;
        check_membership(&last_membership, last_log_id)?;
        let meta = SnapshotMeta { last_log_id: Some(last_log_id), last_membership };
        Ok(Self { vote, meta })
    }
}

/// The membership of a snapshot that ends at `last` has voters, and an entry before that set it.
fn check_membership(membership: &StoredMembership, last: LogId) -> Result<(), DecodeError> {
    let error = |reason| Err(DecodeError::new("membership", reason));
    if membership.membership().get_joint_config().is_empty() {
        return error("it has no voters");
    }
    match membership.log_id() {
        None => error("no entry has set it"),
        Some(set) if set.index > last.index || set.leader_id.term > last.leader_id.term => {
            error("an entry after the snapshot's last has set it")
        }
        Some(_) => Ok(()),
    }
}

/// Reads the vote of a node that leads: openraft takes it for granted that only such a one sends
/// entries and snapshots.
fn leader(message: Option<proto::pb::raft::Vote>) -> Result<Vote, DecodeError> {
    let vote: Vote = required("vote", message)?;
    if !vote.committed {
        return Err(DecodeError::new("vote", "it is not a leader's"));
    }
    Ok(vote)
}
