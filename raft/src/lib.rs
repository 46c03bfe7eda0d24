//! Order and facts: one Raft group that agrees on the catalog, and the handle through which a node
//! uses it.
//!
//! [`Cluster`] is the whole surface: [`Cluster::propose`] changes the catalog, [`Cluster::read`]
//! passes a read barrier and hands out a frozen [`View`] of it, on every node. All openraft types
//! stay inside this crate.

mod audit;
mod barrier;
mod catalog;
mod cluster;
mod config;
mod convert;
mod credentials;
mod ended;
mod error;
mod hearing;
mod identity;
mod log;
mod membership;
mod neighbours;
mod offload;
mod participant;
mod peer;
mod propose;
mod purging;
mod random;
mod recovery;
#[cfg(test)]
mod refusing;
mod service;
mod status;
mod store;
mod types;

#[doc(hidden)]
pub use catalog::BareCatalog;
pub use catalog::{Blob, Fingerprint, View};
pub use cluster::Cluster;
pub use config::{Clock, Config, Dial, DialError, PapersError, Tuning};
pub use credentials::{CertificateError, Credentials, Papers, PeerName, PeerNameError, sample};
pub use ended::Ended;
pub use error::{ProposeError, ReadError, RemoveError, StartError};
pub use hearing::Hindrance;
pub use identity::is_settled;
#[doc(hidden)]
pub use log::BareLog;
pub use membership::INTERVAL as MEMBERSHIP_INTERVAL;
pub use status::{Handover, Member, PeerStatus, Removed, Role, Status};

/// Which of openraft's own events are worth a line in a log, as directives of `tracing-subscriber`:
/// warnings and errors. Two of its modules are off. They log an error for every call that finds
/// Raft stopped or busy: the caller gets that error anyway, and logs it where it matters.
pub const LOG_FILTER: &str = "openraft=warn,openraft::raft::raft_inner=off,openraft::raft::api=off";
