//! What keeps a node from taking part in its cluster until its operator does something.

use proto::DecodeError;

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
}
