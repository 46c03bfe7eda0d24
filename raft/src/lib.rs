//! Order and facts: one Raft group that agrees on the catalog, and the handle through which a node
//! uses it.
//!
//! [`Cluster`] is the whole surface: [`Cluster::propose`] changes the catalog, [`Cluster::read`]
//! passes a read barrier and hands out a frozen [`View`] of it, on every node. All openraft types
//! stay inside this crate.

mod admission;
mod audit;
mod barrier;
mod catalog;
mod certificates;
mod cluster;
mod config;
mod convert;
mod credentials;
mod ended;
mod error;
mod founding;
mod handover;
mod hearing;
mod hindrance;
mod identify;
mod identity;
mod join;
mod lanes;
mod log;
mod membership;
mod neighbours;
mod offload;
mod peer;
mod peer_name;
mod presence;
mod propose;
mod random;
mod recovery;
#[cfg(test)]
mod refusing;
mod removal;
mod renewal;
mod service;
mod silences;
mod status;
mod store;
mod survey;
mod types;
mod validity;
mod voters;

#[doc(hidden)]
pub use catalog::BareCatalog;
pub use catalog::{Blob, Fingerprint, View};
pub use certificates::{CertificateError, sample};
pub use cluster::Cluster;
pub use config::{Clock, Config, Dial, DialError, PapersError, Tuning};
pub use credentials::{Credentials, Papers};
pub use ended::Ended;
pub use error::{ProposeError, ReadError, RemoveError, StartError};
pub use hindrance::Hindrance;
pub use identity::is_settled;
#[doc(hidden)]
pub use log::BareLog;
pub use peer_name::{PeerName, PeerNameError};
pub use status::{Handover, Member, PeerStatus, Removed, Role, Status};
