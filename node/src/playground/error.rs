//! Why the playground does not work, as sentences for the person at the terminal.

use std::io;
use std::path::PathBuf;

use super::layout::NODES_MAX;
use crate::FolderError;
use crate::config::ConfigError;

/// Why the playground does not work.
#[derive(Debug, thiserror::Error)]
pub enum PlaygroundError {
    /// A file or folder of it cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What the environment says of its store cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is a running playground on the folder.
    #[error("a playground runs in {} already; name another --dir, or stop that one", .0.display())]
    Running(PathBuf),
    /// There is no running playground on the folder.
    #[error(
        "no playground runs in {}; start it with: roadstead playground --dir {}",
        .0.display(), .0.display()
    )]
    NotRunning(PathBuf),
    /// There cannot be so many nodes.
    #[error("a playground has 1 to {NODES_MAX} nodes, not {0}")]
    Nodes(u16),
    /// The nodes' ports do not fit.
    #[error(
        "port {0} leaves no room for the nodes' ports, which go up to 65535; name a lower --port"
    )]
    Port(u16),
    /// The folder's cluster looks different.
    #[error(
        "the playground in {} has {nodes} nodes from port {port}; leave --nodes and --port \
         away, or name another --dir",
        path.display()
    )]
    Different {
        /// The folder.
        path: PathBuf,
        /// How many nodes it has.
        nodes: u16,
        /// Its first port.
        port: u16,
    },
    /// The folder's cluster is open to everybody.
    #[error(
        "the playground in {} is open to everybody; leave --auth out, or name another --dir",
        .0.display()
    )]
    IsOpen(PathBuf),
    /// The folder's cluster has another store.
    #[error(
        "the playground in {} keeps its blobs elsewhere than ROADSTEAD_STORAGE_KIND, _BUCKET, \
         _ENDPOINT and _PREFIX say; unset them, or name another --dir",
        .0.display()
    )]
    OtherStore(PathBuf),
    /// There is no such node.
    #[error("there is no node {node}; the playground has nodes 1 to {nodes}")]
    NoSuchNode {
        /// The node that was asked for.
        node: u16,
        /// How many there are.
        nodes: u16,
    },
    /// A node ended while it was to become ready.
    #[error(
        "node-{node} ended ({status}) before it was ready; its log {} ends with:\n{tail}",
        log.display()
    )]
    Ended {
        /// The node.
        node: u16,
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A node was not ready in time.
    #[error(
        "node-{node} was not ready in time: {reason}; its log {} ends with:\n{tail}",
        log.display()
    )]
    Late {
        /// The node.
        node: u16,
        /// What it said last.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The running playground could not do it.
    #[error("{0}")]
    Refused(String),
    /// A request cannot be made.
    #[error("HTTP requests cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl PlaygroundError {
    /// For `map_err`: the system refused something about `path`.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |reason| Self::File { path, reason }
    }
}
