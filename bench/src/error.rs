//! Why a run does not come to a report.

use std::io;
use std::path::PathBuf;

use crate::fault::Fault;
use crate::process::ProcessError;

/// Why a run does not come to a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The repositories cannot be called that.
    #[error("--prefix: {0}")]
    Prefix(#[from] proto::RepoNameError),
    /// The operating system gives no randomness.
    #[error("no number could be drawn: {0}")]
    Chance(#[from] getrandom::Error),
    /// A process cannot be watched.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A server does not serve.
    #[error("{server} does not serve this: {reason}")]
    Server {
        /// Its URL.
        server: String,
        /// What it did.
        reason: String,
    },
    /// What the workload needs cannot be pushed.
    #[error("what the run needs cannot be pushed: {0}")]
    Preparation(String),
    /// Its threads cannot be started.
    #[error("the threads of the run cannot be started: {0}")]
    Runtime(#[source] io::Error),
    /// A client ended by a fault of the program.
    #[error("a client ended before the run did: {0}")]
    Client(#[from] tokio::task::JoinError),
    /// Latencies cannot be counted.
    #[error("latencies cannot be counted: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// A file cannot be written.
    #[error("{} cannot be written: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The plot cannot be drawn.
    #[error("the plot cannot be drawn: {0}")]
    Plot(String),
}

impl BenchError {
    /// What `fault` means while a run is prepared.
    pub(crate) fn preparing(fault: &Fault) -> Self {
        Self::Preparation(fault.to_string())
    }
}
