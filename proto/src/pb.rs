//! The generated protobuf messages. Only [`crate::convert`](crate) and the borders, disk and wire,
//! use them.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::clone_on_ref_ptr,
    reason = "generated"
)]

/// Accounts, keys, roles and grants.
pub mod access {
    pub mod v1 {
        tonic::include_proto!("roadstead.access.v1");
    }
    pub use v1::*;
}

/// The catalog's commands, events and answers.
pub mod catalog {
    pub mod v1 {
        tonic::include_proto!("roadstead.catalog.v1");
    }
    pub use v1::*;
}

/// Raft's log, vote and membership.
pub mod raft {
    pub mod v1 {
        tonic::include_proto!("roadstead.raft.v1");
    }
    pub use v1::*;
}

/// Raft between nodes.
pub mod peer {
    pub mod v1 {
        tonic::include_proto!("roadstead.peer.v1");
    }
    pub use v1::*;
}

/// What nodes ask of each other beside Raft.
pub mod cluster {
    pub mod v1 {
        tonic::include_proto!("roadstead.cluster.v1");
    }
    pub use v1::*;
}
