//! The handshake with which a connection becomes secure.

use std::io;

use async_trait::async_trait;
use http::Extensions;
use rustls::server::Acceptor as Hello;

use crate::Connection;

/// What every record of a handshake begins with (RFC 8446, section 5.1), and no request of HTTP.
const RECORD: u8 = 22;

/// Makes connections secure.
#[async_trait]
pub(crate) trait Handshake: Send + Sync + 'static {
    /// Shakes hands with the other end of `connection`.
    ///
    /// # Errors
    /// When that fails, or takes too long.
    async fn accept(&self, connection: Connection) -> io::Result<Opened>;
}

/// A connection that is ready for what is said over it.
pub(crate) enum Opened {
    /// It is secure.
    Secure {
        /// What is said over it.
        connection: Connection,
        /// What is known of the other end, for each of its requests.
        known: Extensions,
        /// Whether the other end has proved to belong here, and may take its time; otherwise it
        /// may be anybody.
        is_trusted: bool,
    },
    /// The other end does not speak TLS, and has said this byte.
    Plain(Connection, u8),
}

/// The beginning of a handshake, unless `first` is that of something else.
pub(crate) fn begin(first: u8) -> io::Result<Option<Hello>> {
    if first != RECORD {
        return Ok(None);
    }
    let mut hello = Hello::default();
    hello.read_tls(&mut [first].as_slice())?;
    Ok(Some(hello))
}
