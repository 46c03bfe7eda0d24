//! A node's life: its configuration, its composition, its listeners, and the command line around
//! them.
//!
//! [`Node::start`] is the only place where the parts of a node are put together.

mod access;
mod admin;
pub mod cli;
pub mod config;
mod dial;
mod folder;
mod http;
mod metrics;
mod node;
mod open_files;
mod options;
mod peers;
mod playground;
mod service;
mod sweeper;
mod telemetry;
mod tls;
mod world;

pub use access::AccessError;
pub use config::Config;
pub use dial::WorldDial;
pub use folder::{DataFolder, FolderError};
pub use node::{Addresses, Listeners, Node, NodeError};
pub use peers::AuthorityError;
pub use tls::{TlsError, install_cryptography};
pub use world::{Connection, Listener, Socket, TcpWorld, World};
