//! Raft between nodes, over gRPC: the client that openraft sends with, and the service that hands
//! what comes to openraft.
//!
//! Every request names the cluster and the node it is meant for; every call has a deadline;
//! whatever a peer sends is checked before openraft sees it.

mod addresses;
mod claims;
mod client;
mod confirmed;
mod consensus;
mod incoming;
mod majority;
mod outgoing;
mod rows;
mod server;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use addresses::Addresses;
pub(crate) use claims::{check_claim, proved, removed};
pub(crate) use majority::Majority;
pub(crate) use server::PeerService;

/// The network of a node's Raft.
pub(crate) type Network = client::PeerNetwork<crate::catalog::CatalogSnapshot>;
