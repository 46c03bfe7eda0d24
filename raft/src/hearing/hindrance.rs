//! What keeps a node from taking part in its cluster until its operator does something.

use std::time::Duration;

use proto::{DecodeError, NodeId};

/// What is in the way, as a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    /// It was started again before it had become a member, and without the addresses at which it
    /// had joined.
    #[error(
        "this node was admitted to its cluster, but is no member of it yet as far as it knows, and \
         knows no node that it could ask: start it with the address of one (--join, cluster.join)"
    )]
    Alone,
    /// Its cluster has nodes of a newer version, which one of them has made use of.
    #[error(
        "this node's program is older than its cluster's, and cannot read what that sends: {0}; \
         upgrade this node's program"
    )]
    Outdated(DecodeError),
    /// It leads, and nodes answer it, but no heartbeat in time, so that it has no majority. They
    /// hear it, and elect no other.
    #[error(
        "this leader has no majority, since node {node} and perhaps others answer, but heartbeats \
         too late to count: their disks hang, or raft.heartbeat_ms, {millis} now, is too short; it \
         must be more than 4/3 of the longest round trip between nodes and a sync: raise it, and \
         the times of elections, on all nodes",
        millis = .heartbeat.as_millis()
    )]
    Late {
        /// One of those that answer.
        node: NodeId,
        /// The time between two heartbeats.
        heartbeat: Duration,
    },
}
