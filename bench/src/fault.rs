//! Why an operation fails.

use std::io;

use http::StatusCode;

/// Why an operation fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The server answered with another status than the operation needs.
    #[error("{method} {path}: {status} {code}")]
    Status {
        /// The request's method.
        method: http::Method,
        /// The request's path.
        path: String,
        /// What the server answered.
        status: StatusCode,
        /// The OCI error code in the body, empty when there is none.
        code: String,
    },
    /// No connection could be made.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection ended before the answer did.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The operation took longer than it may.
    #[error("no answer in time")]
    Timeout,
    /// The server's answer makes no sense, or holds other content than was pushed.
    #[error("{0}")]
    Wrong(&'static str),
}

impl Fault {
    /// The kind under which the report counts it, and its HTTP status.
    pub(crate) fn kind(&self) -> (u16, String) {
        match self {
            Self::Status { status, code, .. } => (status.as_u16(), code.clone()),
            Self::Connect(_) => (0, "no connection".to_owned()),
            Self::Broken(_) => (0, "connection broke".to_owned()),
            Self::Timeout => (0, "timeout".to_owned()),
            Self::Wrong(what) => (0, (*what).to_owned()),
        }
    }

    /// Whether trying again at once would only burn a processor.
    pub(crate) const fn is_of_transport(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Broken(_))
    }
}
