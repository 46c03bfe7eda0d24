//! The types that openraft is used with, and short names for those of its own that take them as
//! parameters.

use std::fmt;

use openraft::impls::{
    BoxedErrorSource, InlineBatch, OneshotResponder, TokioRuntime, leader_id_std,
};
use openraft::{OptionalSend, RaftTypeConfig};
use proto::{NodeId, Outcome, PeerAddress, Stamped};

use crate::catalog::StateMachine;

/// Roadstead's choice of types for openraft: one leader per term, commands as they stand in the
/// log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Stamped;
    type R = Response;
    type NodeId = NodeId;
    type Node = PeerNode;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = TokioRuntime;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// Who leads, or stands for leading, in which term.
pub(crate) type LeaderId = leader_id_std::LeaderId<u64, NodeId>;
/// The leader that proposed an entry: in one term there is only one, so the term names it.
pub(crate) type CommittedLeaderId = <LeaderId as openraft::vote::RaftLeaderId>::Committed;
/// Whom a node votes for, or follows.
pub(crate) type Vote = openraft::Vote<LeaderId>;
/// The position of an entry in the log, and the term in which it was proposed.
pub(crate) type LogId = openraft::LogId<CommittedLeaderId>;
/// What an entry holds.
pub(crate) type Payload = openraft::EntryPayload<Stamped, NodeId, PeerNode>;
/// An entry of the log.
pub(crate) type Entry = openraft::Entry<CommittedLeaderId, Payload>;
/// The voters, two sets of them in joint consensus, and all nodes.
pub(crate) type Membership = openraft::Membership<NodeId, PeerNode>;
/// A membership with the entry that set it.
pub(crate) type StoredMembership = openraft::StoredMembership<CommittedLeaderId, NodeId, PeerNode>;
/// What a snapshot holds: up to which entry, and the membership at that entry.
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId, NodeId, PeerNode>;
/// A snapshot whose rows are `D`.
pub(crate) type SnapshotOf<D> = openraft::Snapshot<CommittedLeaderId, NodeId, PeerNode, D>;

/// The running consensus of this node.
pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// A node as the membership knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerNode {
    /// Where its peers reach it.
    pub(crate) peer_address: PeerAddress,
}

impl fmt::Display for PeerNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer_address.fmt(f)
    }
}

/// What the catalog answers to an applied entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// What the command came to; `None` when the entry held no command.
    pub(crate) outcome: Option<Outcome>,
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Some(Ok(answer)) => write!(f, "{answer:?}"),
            Some(Err(refusal)) => write!(f, "refused: {refusal}"),
            None => f.write_str("no command"),
        }
    }
}

/// The position of the entry that `term`'s leader proposed at `index`.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: term.into(), index }
}
