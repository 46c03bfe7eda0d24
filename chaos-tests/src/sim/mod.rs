//! Failures simulated: the node that runs in production, in a worse world, repeatable from a seed.
//!
//! Everything here runs on one thread and on simulated time. [`run`] builds a [`Plan`] from a seed,
//! starts its nodes on simulated disks in a simulated network, lets clients work while the
//! `nemesis` breaks things, then lets the cluster heal, and audits what is left. The same seed
//! gives the same run, to the byte of its trace. [`play`] does the same with a [`Scenario`], a
//! story in place of chance.
//!
//! ```text
//! seed -> Plan -> Machine (disk, node::Node::start) x N ----+
//!              -> Client (push, pull, move, delete) x M ----+--> History, Ledger, Chronicle
//!              -> Nemesis, or a story -> Havoc -------------+
//!                         after every tick: invariants
//!                         at the end:       audit
//! ```

mod access;
mod audit;
mod chronicle;
mod client;
mod coverage;
mod dice;
mod disk;
#[cfg(test)]
mod engines;
mod havoc;
mod history;
mod http;
mod invariant;
mod invariants;
mod ledger;
mod linearizable;
mod machine;
mod nemesis;
mod objects;
mod operator;
mod people;
mod plan;
mod records;
mod rot;
mod run;
mod s3;
mod scenario;
mod simulation;
mod store;
mod sweeping;
mod witness;
mod world;

pub use chronicle::{Chronicle, Violation};
pub use client::Told;
pub use coverage::too_seldom;
pub(crate) use dice::Dice;
pub(crate) use history::{Action, History};
pub use invariant::Invariant;
pub(crate) use invariants::check_tags;
pub use plan::{Plan, StoreKind};
pub use run::{Report, play, run};
pub use scenario::{DiskCopy, Hand, Node, Scenario, Stage, Story, Trouble, Unmet, Upload};
pub use witness::Witness;
